//! The key and certificate of this device.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use proto::{BootId, DeviceId};
use ring::hkdf;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::sign::CertifiedKey;
use zeroize::Zeroizing;

use crate::files::{FileError, Lock, PrivateDir};
use crate::verifier::peer_device_id;

mod key;

pub(crate) use key::Key;
use key::KeyError;

const LOCK: &str = "lock";
const KEY: &str = "key.pem";
const CERTIFICATE: &str = "certificate.pem";
const EPOCH: &str = "epoch";

/// The most that is read of each of those files, in bytes.
const MAX_FILE_LEN: usize = 32 * 1024;

/// Separates what is derived here from everything else the key may ever be used for.
const SECRET_SALT: &[u8] = b"softbus transport secret v1";

/// Who this device is: an Ed25519 key and a self-signed certificate for it.
///
/// The certificate only carries the key. It names nobody, does not expire in practice, and may be replaced by another for
/// the same key without changing the [`DeviceId`].
///
/// # Files
///
/// [`open`](Self::open) keeps an identity in a directory of its own (0700, files 0600): `key.pem`, `certificate.pem`,
/// `epoch` (counts the starts) and `lock`. Whoever copies the directory copies the device; whoever loses `key.pem` loses
/// every pairing. Only one process uses a directory at a time.
pub struct Identity {
    device_id: DeviceId,
    certified_key: Arc<CertifiedKey>,
    secret: Zeroizing<[u8; 32]>,
    boot_id: BootId,
    /// Until the identity is dropped or released no other process has it. `None` in memory.
    lock: Mutex<Option<Lock>>,
}

impl Identity {
    /// A new identity that lives in memory only: for tests, and for a device that is a stranger at each start.
    ///
    /// # Errors
    ///
    /// [`GenerateIdentityError`] if the system gives no random numbers.
    pub fn generate() -> Result<Self, GenerateIdentityError> {
        let key = Key::generate()?;
        let certificate = key.self_sign()?;
        let boot_id = boot_id(1)?;
        let certificate = certificate.der().clone();
        let device_id = key.device_id();
        Ok(Self::assemble(&key, device_id, certificate, boot_id, None)?)
    }

    /// The identity kept in `directory`; at the first start the directory and the identity are made.
    ///
    /// Each call begins another start of the device: the epoch of [`boot_id`](Self::boot_id) is raised.
    ///
    /// # Errors
    ///
    /// [`OpenIdentityError`]. What is there already is never replaced: a directory or file that others can read, that is a
    /// link or somebody else's, that is damaged or does not belong together stops the start, and the message names it and
    /// says what to do.
    pub fn open(directory: impl AsRef<Path>) -> Result<Self, OpenIdentityError> {
        let directory = PrivateDir::open_or_create(directory.as_ref())?;
        let Some(lock) = directory.try_lock(LOCK)? else {
            return Err(OpenIdentityError::IdentityInUse {
                path: directory.path_of(LOCK),
            });
        };
        let stored = StoredIdentity { directory };
        let (key, certificate) = stored.key_and_certificate()?;
        let device_id = key.device_id();
        // Last, so that a start that was refused did not count.
        let boot_id = boot_id(stored.raise_epoch()?)?;
        Ok(Self::assemble(
            &key,
            device_id,
            certificate,
            boot_id,
            Some(lock),
        )?)
    }

    /// Whose identity `directory` keeps, or `None` where there is none yet. Only looks: nothing is made or counted, and
    /// another process may have the identity open.
    ///
    /// # Errors
    ///
    /// [`OpenIdentityError`], as [`open`](Self::open) but for the lock.
    ///
    /// ```
    /// use softbus_certs::Identity;
    ///
    /// let parent = tempfile::tempdir()?;
    /// let directory = parent.path().join("softbus");
    /// assert_eq!(Identity::device_id_of(&directory)?, None);
    ///
    /// let identity = Identity::open(&directory)?;
    /// assert_eq!(Identity::device_id_of(&directory)?, Some(*identity.device_id()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn device_id_of(
        directory: impl AsRef<Path>,
    ) -> Result<Option<DeviceId>, OpenIdentityError> {
        match PrivateDir::open(directory.as_ref())? {
            Some(directory) => StoredIdentity { directory }.device_id(),
            None => Ok(None),
        }
    }

    /// Puts a certificate that somebody else has issued for this device's key, in PEM, into the place of the one that is
    /// there. The device stays who it is, and shows it from the next start on.
    ///
    /// # Errors
    ///
    /// [`OpenIdentityError`]: the identity is in use, there is none, or the certificate is not one for its key.
    pub fn install_certificate(
        directory: impl AsRef<Path>,
        certificate: &str,
    ) -> Result<(), OpenIdentityError> {
        let directory = PrivateDir::open_or_create(directory.as_ref())?;
        let Some(_lock) = directory.try_lock(LOCK)? else {
            return Err(OpenIdentityError::IdentityInUse {
                path: directory.path_of(LOCK),
            });
        };
        let stored = StoredIdentity { directory };
        let (key, _) = stored.key_and_certificate()?;
        stored.parse_certificate(certificate.as_bytes(), &key)?;
        Ok(stored
            .directory
            .replace(CERTIFICATE, certificate.as_bytes())?)
    }

    fn assemble(
        key: &Key,
        device_id: DeviceId,
        certificate: CertificateDer<'static>,
        boot_id: BootId,
        lock: Option<Lock>,
    ) -> Result<Self, KeyError> {
        let certified_key = Arc::new(CertifiedKey::new(vec![certificate], key.for_tls()?));
        let mut secret = Zeroizing::new([0; 32]);
        derive(key.seed(), b"root", &mut secret);
        Ok(Self {
            device_id,
            certified_key,
            secret,
            boot_id,
            lock: Mutex::new(lock),
        })
    }

    /// Lets others open the directory, as dropping the identity does: for the end of a node, parts of which may have it a
    /// little longer. It is not to be shown to other devices after that.
    pub fn release(&self) {
        let mut lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        *lock = None;
    }

    /// Who this device is to others.
    pub const fn device_id(&self) -> &DeviceId {
        &self.device_id
    }

    /// Which start of the device this is: the epoch is raised by each [`open`](Self::open) and survives restarts, the rest
    /// is random.
    pub const fn boot_id(&self) -> BootId {
        self.boot_id
    }

    /// The certificate that is shown to peers.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certified_key.cert[0]
    }

    /// A secret of this device for one purpose, named by `label`: the same at each start, different for each label, and
    /// of no use for finding the key or another label's secret.
    ///
    /// For what has to survive a crash of the process, so that peers understand the next one: the key of stateless resets
    /// and that of connection ids.
    pub fn transport_secret(&self, label: &str) -> Zeroizing<[u8; 32]> {
        let mut secret = Zeroizing::new([0; 32]);
        derive(&*self.secret, label.as_bytes(), &mut secret);
        secret
    }

    pub(crate) fn certified_key(&self) -> Arc<CertifiedKey> {
        self.certified_key.clone()
    }
}

impl fmt::Debug for Identity {
    /// Who, never with what.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Identity").field(&self.device_id).finish()
    }
}

/// Why no identity could be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GenerateIdentityError {
    /// The system gave no random numbers.
    #[error("no random numbers from the system")]
    Random,
    /// The new key or its certificate could not be used: a fault of the build.
    #[error("cannot make a certificate")]
    Certificate,
}

/// Why an identity was not opened. The message names the file and says how to mend it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenIdentityError {
    /// Another process has this identity. Two with one identity would throw each other off the bus.
    #[error(
        "identity is in use: another process holds {}; stop it or choose another directory",
        .path.display()
    )]
    IdentityInUse {
        /// The lock it holds.
        path: PathBuf,
    },
    /// A file or the directory may not be used, or the system refused.
    #[error(transparent)]
    File(#[from] FileError),
    /// A file is there and is not what it should be.
    #[error("{} {problem}; {fix}", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: &'static str,
        /// What to do about it.
        fix: &'static str,
    },
    /// No new identity could be made at the first start.
    #[error(transparent)]
    Generate(#[from] GenerateIdentityError),
}

impl From<KeyError> for GenerateIdentityError {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::Random => Self::Random,
            KeyError::Unusable => Self::Certificate,
        }
    }
}

impl From<KeyError> for OpenIdentityError {
    fn from(error: KeyError) -> Self {
        Self::Generate(error.into())
    }
}

const RESTORE_KEY: &str = "restore it from a backup, or delete the whole directory to become a new device without any pairing";
const RESTORE_BOTH: &str = "restore both from a backup, or delete the whole directory to become a new device without any pairing";
const DROP_CERTIFICATE: &str =
    "delete it to have it made again, which does not change who the device is";
const DROP_EPOCH: &str = "delete it to count on from the time of day";

/// What lies in the directory. The caller holds its lock, unless it only looks.
struct StoredIdentity {
    directory: PrivateDir,
}

impl StoredIdentity {
    fn key_and_certificate(&self) -> Result<(Key, CertificateDer<'static>), OpenIdentityError> {
        let (key, certificate) = match self.read()? {
            Some((key, certificate)) => (key, certificate),
            None => (self.make_key()?, None),
        };
        let certificate = match certificate {
            Some(certificate) => certificate,
            // The first start, or one that was interrupted between the two files: nothing is lost by issuing it.
            None => self.make_certificate(&key)?,
        };
        Ok((key, certificate))
    }

    fn device_id(&self) -> Result<Option<DeviceId>, OpenIdentityError> {
        Ok(self.read()?.map(|(key, _)| key.device_id()))
    }

    /// What is there. The key is made before the certificate, so it is read after it: who looks without the lock sees
    /// no certificate without its key.
    #[allow(clippy::type_complexity, reason = "named, it would be no clearer")]
    fn read(&self) -> Result<Option<(Key, Option<CertificateDer<'static>>)>, OpenIdentityError> {
        let stored_certificate = self.directory.read(CERTIFICATE, MAX_FILE_LEN)?;
        let stored_key = self.directory.read(KEY, MAX_FILE_LEN)?;
        let key = match (stored_key, &stored_certificate) {
            (Some(content), _) => self.parse_key(&content)?,
            (None, None) => return Ok(None),
            (None, Some(_)) => return Err(self.damaged(KEY, "is missing", RESTORE_KEY)),
        };
        let certificate = stored_certificate
            .map(|content| self.parse_certificate(&content, &key))
            .transpose()?;
        Ok(Some((key, certificate)))
    }

    fn make_key(&self) -> Result<Key, OpenIdentityError> {
        let key = Key::generate()?;
        self.directory.replace(KEY, &key.to_pem())?;
        Ok(key)
    }

    fn make_certificate(&self, key: &Key) -> Result<CertificateDer<'static>, OpenIdentityError> {
        let certificate = key.self_sign()?;
        self.directory
            .replace(CERTIFICATE, certificate.pem().as_bytes())?;
        Ok(certificate.der().clone())
    }

    fn parse_key(&self, content: &[u8]) -> Result<Key, OpenIdentityError> {
        if content.is_empty() {
            return Err(self.damaged(KEY, "is empty", RESTORE_KEY));
        }
        Key::from_pem(content)
            .ok_or_else(|| self.damaged(KEY, "is no ed25519 key in pem", RESTORE_KEY))
    }

    fn parse_certificate(
        &self,
        content: &[u8],
        key: &Key,
    ) -> Result<CertificateDer<'static>, OpenIdentityError> {
        let damaged = |problem| self.damaged(CERTIFICATE, problem, DROP_CERTIFICATE);
        if content.is_empty() {
            return Err(damaged("is empty"));
        }
        let certificates: Vec<_> = CertificateDer::pem_slice_iter(content)
            .collect::<Result<_, _>>()
            .map_err(|_| damaged("is no certificate in pem"))?;
        let device_id =
            peer_device_id(&certificates).map_err(|_| damaged("is not one certificate"))?;
        if device_id != key.device_id() {
            // Not DROP_CERTIFICATE: it may be the key that was damaged, and the certificate the proof of it.
            return Err(self.damaged(CERTIFICATE, "does not belong to key.pem", RESTORE_BOTH));
        }
        certificates
            .into_iter()
            .next()
            .ok_or_else(|| damaged("is not one certificate"))
    }

    /// Counts this start. Where no count is kept, it begins at the time of day in seconds, which is more than any number
    /// of starts before: a device must not look older than it was because the file was lost.
    fn raise_epoch(&self) -> Result<u64, OpenIdentityError> {
        let damaged = || self.damaged(EPOCH, "is not a number below 2^64 - 1", DROP_EPOCH);
        let epoch = match self.directory.read(EPOCH, MAX_FILE_LEN)? {
            Some(content) => {
                let text = str::from_utf8(&content).map_err(|_| damaged())?;
                let last: u64 = text.trim_end().parse().map_err(|_| damaged())?;
                last.checked_add(1).ok_or_else(damaged)?
            }
            None => {
                let now = SystemTime::now()
                    .duration_since(UNIX_EPOCH)
                    .unwrap_or_default();
                now.as_secs().max(1)
            }
        };
        self.directory
            .replace(EPOCH, format!("{epoch}\n").as_bytes())?;
        Ok(epoch)
    }

    fn damaged(&self, name: &str, problem: &'static str, fix: &'static str) -> OpenIdentityError {
        OpenIdentityError::Damaged {
            path: self.directory.path_of(name),
            problem,
            fix,
        }
    }
}

fn boot_id(epoch: u64) -> Result<BootId, KeyError> {
    let random = getrandom::u64().map_err(|_| KeyError::Random)?;
    Ok(BootId { epoch, random })
}

fn derive(secret: &[u8], label: &[u8], out: &mut [u8; 32]) {
    let pseudo_random_key = hkdf::Salt::new(hkdf::HKDF_SHA256, SECRET_SALT).extract(secret);
    pseudo_random_key
        .expand(&[label], hkdf::HKDF_SHA256)
        .and_then(|material| material.fill(out))
        .expect("one hash is never too much to ask of hkdf");
}
