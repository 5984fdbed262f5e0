//! Which devices this one trusts.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use proto::DeviceId;

use crate::pairing::PairingMode;

mod error;
mod file;
mod import;
mod table;
mod watch;

pub use error::{ChangeTrustError, ImportTrustError, OpenTrustError};
pub use import::ImportSummary;
pub use watch::{Subscription, TrustChange, TrustEvent};

use file::TrustFile;
use table::{Edit, TrustTable};
use watch::Listeners;

/// A device our user has decided about.
///
/// Everything here is ours: a peer can neither write nor choose any of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TrustEntry {
    /// Who it is.
    pub device: DeviceId,
    /// What our user calls it; may be empty, is at most [`TrustStore::MAX_NAME_LEN`] characters, none a control character.
    pub name: String,
    /// When it was decided, in seconds since 1970.
    pub added_at: u64,
    /// How it got here.
    pub added_via: AddedVia,
    /// Denied: it is neither talked to nor paired with, and no import changes that.
    pub blocked: bool,
}

impl TrustEntry {
    /// When it was decided.
    pub fn added_at(&self) -> SystemTime {
        // Beyond what the system can express only if the file was edited.
        UNIX_EPOCH
            .checked_add(Duration::from_secs(self.added_at))
            .unwrap_or(UNIX_EPOCH)
    }
}

/// How a device got into the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum AddedVia {
    /// Our user named its id.
    Manual,
    /// From a list of ids.
    Import,
    /// Paired by a six-digit code.
    Code,
    /// Paired by a QR code.
    Qr,
    /// Paired by comparing two screens.
    Compare,
}

impl From<PairingMode> for AddedVia {
    fn from(mode: PairingMode) -> Self {
        match mode {
            PairingMode::Code => Self::Code,
            PairingMode::Qr => Self::Qr,
            PairingMode::Compare => Self::Compare,
        }
    }
}

/// The devices this one trusts, and those it refuses.
///
/// A clone is the same store. Nothing is trusted that was not put here by [`trust`](Self::trust) or an import.
///
/// # File
///
/// [`open`](Self::open) keeps the store as `trust.toml` in a private directory, usually that of the
/// [`Identity`](crate::Identity). Every change reads the file again, under a lock, before it is written as a whole, so
/// that a running node and a command line tool do not undo each other's work; the node sees what the tool did when it is
/// told to [`reload`](Self::reload).
///
/// What is withdrawn ([`forget`](Self::forget), [`block`](Self::block)) takes effect even if it cannot be written; the
/// error then says that it will not outlive the process. What is granted takes effect only once it is on disk.
#[derive(Clone)]
pub struct TrustStore {
    shared: Arc<Shared>,
}

struct Shared {
    /// Held for a whole change, waiting for the disk included; never while listeners run.
    file: Mutex<Backing>,
    /// Held for a look only.
    table: Mutex<TrustTable>,
    listeners: Listeners,
}

/// Where the store is kept between starts.
struct Backing {
    file: Option<TrustFile>,
    /// Withdrawn here and not yet on disk, so to be repeated on whatever is read from there.
    unsaved: Vec<Edit>,
}

impl TrustStore {
    /// The longest name of a device, in characters.
    pub const MAX_NAME_LEN: usize = 64;
    /// The most devices a store takes.
    pub const MAX_DEVICES: usize = 16 * 1024;

    /// An empty store that lives in memory only.
    pub fn in_memory() -> Self {
        Self::new(None, TrustTable::default())
    }

    /// The store kept in `directory`; empty where there is none yet.
    ///
    /// # Errors
    ///
    /// [`OpenTrustError`]. A file that cannot be read as a whole is left as it is, and nothing is trusted from it.
    pub fn open(directory: impl AsRef<Path>) -> Result<Self, OpenTrustError> {
        let file = TrustFile::open(directory.as_ref())?;
        let table = file.read()?;
        Ok(Self::new(Some(file), table))
    }

    fn new(file: Option<TrustFile>, table: TrustTable) -> Self {
        let shared = Shared {
            file: Mutex::new(Backing {
                file,
                unsaved: Vec::new(),
            }),
            table: Mutex::new(table),
            listeners: Listeners::default(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// The file the store is kept in, whether or not it is there yet; `None` for one in memory. For who wants to
    /// notice that somebody else replaced it, and then [`reload`](Self::reload)s.
    pub fn path(&self) -> Option<PathBuf> {
        self.backing().file.as_ref().map(TrustFile::path)
    }

    /// Whether a device may be talked to now: it is in the store and not blocked.
    pub fn is_trusted(&self, device: &DeviceId) -> bool {
        self.table().get(device).is_some_and(|entry| !entry.blocked)
    }

    /// What is known about a device, blocked or not.
    pub fn get(&self, device: &DeviceId) -> Option<TrustEntry> {
        self.table().get(device).cloned()
    }

    /// All devices of the store, blocked ones too, in the order of their ids.
    pub fn entries(&self) -> Vec<TrustEntry> {
        self.table().entries().cloned().collect()
    }

    /// Trusts a device from now on. `name` is what our user calls it; naming a device that is trusted already renames it.
    ///
    /// # Errors
    ///
    /// [`ChangeTrustError::Blocked`] if it is blocked, [`ChangeTrustError::InvalidName`], a full store, or the file could
    /// not be changed; nothing changed then.
    pub fn trust(&self, device: DeviceId, name: &str) -> Result<(), ChangeTrustError> {
        check_name(name)?;
        let entry = entry(device, name, AddedVia::Manual);
        self.change(vec![Edit::Trust(entry)]).map(drop)
    }

    /// Trusts a device that was paired. Of one that is trusted already nothing changes, so that pairing again, after the
    /// other side lost its store say, is harmless; it is renamed if `name` is not empty. `true` if it was not trusted before.
    ///
    /// # Errors
    ///
    /// As for [`trust`](Self::trust). A full disk leaves it a stranger.
    pub fn add_paired(
        &self,
        device: DeviceId,
        name: &str,
        mode: PairingMode,
    ) -> Result<bool, ChangeTrustError> {
        check_name(name)?;
        let changes = self.change(vec![Edit::Pair(entry(device, name, mode.into()))])?;
        Ok(changes
            .iter()
            .any(|change| change.device == device && change.event == TrustEvent::Trusted))
    }

    /// Drops a device from the store: it is a stranger again, who may pair again. `true` if it was there.
    ///
    /// # Errors
    ///
    /// [`ChangeTrustError::Save`] or [`ChangeTrustError::Open`] if the file could not be changed; until this process ends
    /// the device is forgotten all the same.
    pub fn forget(&self, device: &DeviceId) -> Result<bool, ChangeTrustError> {
        self.change(vec![Edit::Forget(*device)])
            .map(|events| !events.is_empty())
    }

    /// Refuses a device, known or not, until it is forgotten: no connection, no pairing, no import. `true` if it was not
    /// blocked before.
    ///
    /// # Errors
    ///
    /// [`ChangeTrustError::Save`] or [`ChangeTrustError::Open`] if the file could not be changed; until this process ends
    /// the device is blocked all the same. [`ChangeTrustError::Full`] for one that is not in a full store; it is a stranger anyway.
    pub fn block(&self, device: &DeviceId) -> Result<bool, ChangeTrustError> {
        let entry = entry(*device, "", AddedVia::Manual);
        self.change(vec![Edit::Block(entry)])
            .map(|events| !events.is_empty())
    }

    /// Trusts every device of a list, for fleets and tests that share one file: a line per device with its id and, after a
    /// space, a name if there is one; `#` begins a comment. Our own id may be in it.
    ///
    /// All or nothing. Devices that are there keep their name, blocked ones stay blocked.
    ///
    /// # Errors
    ///
    /// [`ImportTrustError`], with the line that is wrong.
    pub fn import_list(&self, list: &str) -> Result<ImportSummary, ImportTrustError> {
        let devices = import::parse(list)?;
        let mut summary = ImportSummary::default();
        let edits = devices
            .into_iter()
            .map(|(device, name)| Edit::Import(entry(device, &name, AddedVia::Import)))
            .collect();
        self.change_and_look(edits, |table, edit| {
            summary.count(table.get(edit.device()));
        })?;
        Ok(summary)
    }

    /// [`import_list`](Self::import_list) of a file, which may be anywhere and anybody's: naming it is the permission.
    ///
    /// # Errors
    ///
    /// As there; also if the file cannot be read or is larger than 2 MiB.
    pub fn import(&self, path: impl AsRef<Path>) -> Result<ImportSummary, ImportTrustError> {
        self.import_list(&import::read(path.as_ref())?)
    }

    /// Reads the file again, after somebody else changed it.
    ///
    /// # Errors
    ///
    /// [`OpenTrustError`]; everything stays as it was.
    pub fn reload(&self) -> Result<(), OpenTrustError> {
        let events = {
            let backing = self.backing();
            let Some(file) = &backing.file else {
                return Ok(());
            };
            let mut table = file.read()?;
            for edit in &backing.unsaved {
                // What does not fit any more is not in the table either.
                let _ = table.apply(edit);
            }
            self.publish(table)
        };
        self.shared.listeners.tell(&events);
        Ok(())
    }

    /// Calls `listener` after each change, on the thread that made it and outside all locks, until the result is dropped.
    ///
    /// Changes made at once by two threads may arrive in either order, so ask the store what is true now. Nothing is
    /// reported of what was there before.
    #[must_use = "dropping the subscription ends it"]
    pub fn subscribe(
        &self,
        listener: impl Fn(&TrustChange) + Send + Sync + 'static,
    ) -> Subscription {
        self.shared.listeners.add(Arc::new(listener))
    }

    /// Raised by each change: who remembers a decision remembers this beside it, and asks again when it has moved.
    pub fn version(&self) -> u64 {
        self.shared.listeners.version()
    }

    fn change(&self, edits: Vec<Edit>) -> Result<Vec<TrustChange>, ChangeTrustError> {
        self.change_and_look(edits, |_, _| {})
    }

    /// Applies edits to what is on disk, writes that, makes it what we hold, and tells. `look` sees the table before each
    /// edit.
    fn change_and_look(
        &self,
        edits: Vec<Edit>,
        look: impl FnMut(&TrustTable, &Edit),
    ) -> Result<Vec<TrustChange>, ChangeTrustError> {
        let (events, result) = {
            let mut backing = self.backing();
            match self.save(&mut backing, &edits, look) {
                Ok(table) => (self.publish(table), Ok(())),
                Err(error) => (self.withdraw_unsaved(&mut backing, edits), Err(error)),
            }
        };
        self.shared.listeners.tell(&events);
        result.map(|()| events)
    }

    fn save(
        &self,
        backing: &mut Backing,
        edits: &[Edit],
        mut look: impl FnMut(&TrustTable, &Edit),
    ) -> Result<TrustTable, ChangeTrustError> {
        let _lock = backing.file.as_ref().map(TrustFile::lock).transpose()?;
        let before = match &backing.file {
            Some(file) => file.read()?,
            None => self.table().clone(),
        };
        let mut table = before.clone();
        for edit in &backing.unsaved {
            let _ = table.apply(edit);
        }
        for edit in edits {
            look(&table, edit);
            table.apply(edit)?;
        }
        if let Some(file) = &backing.file
            && table != before
        {
            file.write(&table)?;
        }
        backing.unsaved.clear();
        Ok(table)
    }

    /// After a failure: what takes trust away holds in memory, what gives it does not.
    fn withdraw_unsaved(&self, backing: &mut Backing, edits: Vec<Edit>) -> Vec<TrustChange> {
        let mut table = self.table().clone();
        for edit in edits.into_iter().filter(Edit::withdraws) {
            if table.apply(&edit).is_ok() {
                backing
                    .unsaved
                    .retain(|earlier| earlier.device() != edit.device());
                backing.unsaved.push(edit);
            }
        }
        self.publish(table)
    }

    fn publish(&self, table: TrustTable) -> Vec<TrustChange> {
        let mut current = self.table();
        let changes = table::differences(&current, &table);
        *current = table;
        // Before the lock is given back: who sees the new table must not still see the old version.
        self.shared.listeners.raise_version(changes.len());
        changes
    }

    // A panic while one of these is held leaves no half-made value behind: tables are swapped as a whole.
    fn backing(&self) -> MutexGuard<'_, Backing> {
        self.shared
            .file
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn table(&self) -> MutexGuard<'_, TrustTable> {
        self.shared
            .table
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for TrustStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrustStore")
            .field("devices", &self.table().len())
            .finish_non_exhaustive()
    }
}

/// What stands in a file, and that file as it would be written now.
pub(crate) fn read_file(content: &[u8]) -> Option<(Vec<TrustEntry>, String)> {
    let table = file::decode(content).ok()?;
    Some((table.entries().cloned().collect(), file::render(&table)))
}

fn entry(device: DeviceId, name: &str, added_via: AddedVia) -> TrustEntry {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    TrustEntry {
        device,
        name: name.to_owned(),
        added_at: now.as_secs(),
        added_via,
        blocked: false,
    }
}

fn check_name(name: &str) -> Result<(), ChangeTrustError> {
    if name.chars().count() > TrustStore::MAX_NAME_LEN || name.chars().any(char::is_control) {
        return Err(ChangeTrustError::InvalidName);
    }
    Ok(())
}
