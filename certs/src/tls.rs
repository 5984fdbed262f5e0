//! TLS configurations for a connection between two devices.
//!
//! They are plain rustls values, made for QUIC and for nothing else: TLS 1.3 only, both sides show a certificate, a
//! protocol name for sessions and one for pairing, and none of the features that would let a peer in without its key being checked anew (tickets,
//! session storage, early data) or tell a listener who is called (SNI) or what is said (key log).

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

use proto::DeviceId;
use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::UnixTime;
use rustls::server::NoServerSessionStorage;
use rustls::sign::SingleCertAndKey;
use rustls::time_provider::TimeProvider;
use rustls::version::TLS13;
use rustls::{ClientConfig, NoKeyLog, ServerConfig};

use crate::identity::Identity;
use crate::verifier::{AnyDevice, DialledDevice, VerifyPeerError};

/// The protocol name of a session (ALPN): both devices trust each other.
pub const ALPN: &[u8] = b"softbus/1";

/// The protocol name of a [pairing](crate::pairing): of a connection with this name nothing but a pairing may come.
pub const PAIRING_ALPN: &[u8] = b"softbus-pair/1";

/// What to pass where a TLS or QUIC client demands a server name. It is not sent, and no check looks at it: whom a
/// dialler expects is part of its configuration.
pub const SERVER_NAME: &str = "softbus.invalid";

/// Why a configuration could not be made.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigureTlsError {
    /// The cryptography this crate was built with has no TLS 1.3: a fault of the build.
    #[error("no usable cryptography")]
    Provider(#[source] rustls::Error),
}

/// For accepting connections. Any device may finish the handshake; [`admit`](crate::admit()) decides about it then, or,
/// if the protocol is that of [pairing](PAIRING_ALPN), the window our user has opened.
///
/// # Errors
///
/// [`ConfigureTlsError`], which no build with the dependencies as they stand gives.
pub fn server_config(identity: &Identity) -> Result<ServerConfig, ConfigureTlsError> {
    let provider = provider();
    let verifier = Arc::new(AnyDevice::new(provider.clone()));
    let resolver = Arc::new(SingleCertAndKey::from(identity.certified_key()));
    let mut config = ServerConfig::builder_with_details(provider, Arc::new(Clock))
        .with_protocol_versions(&[&TLS13])
        .map_err(ConfigureTlsError::Provider)?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(resolver);
    config.alpn_protocols = vec![ALPN.to_vec(), PAIRING_ALPN.to_vec()];
    // A resumed session skips the verifier, and a device that was blocked would come back.
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    // Early data can be replayed; data before the client's certificate goes to nobody knows whom.
    config.max_early_data_size = 0;
    config.send_half_rtt_data = false;
    config.key_log = Arc::new(NoKeyLog {});
    config.enable_secret_extraction = false;
    // On by default if another crate switches the feature on; a certificate of ours has nothing to compress.
    config.cert_compressors = Vec::new();
    config.cert_decompressors = Vec::new();
    Ok(config)
}

/// For dialling `expected`, once. Its certificate is compared before anything of ours is sent, our own included.
///
/// Configurations are cheap and belong to one attempt: the second value tells afterwards whether the handshake failed
/// because of who answered, which a QUIC error keeps only as text.
///
/// # Errors
///
/// As for [`server_config`].
pub fn client_config(
    identity: &Identity,
    expected: DeviceId,
) -> Result<(ClientConfig, PeerCheck), ConfigureTlsError> {
    dialling(identity, Some(expected), ALPN)
}

/// For pairing with whoever answers, or with `expected` and nobody else where it is known: from a QR code, say. Who
/// answered is proven by the handshake, and that it is the right one by the pairing.
///
/// # Errors
///
/// As for [`server_config`].
pub fn pairing_client_config(
    identity: &Identity,
    expected: Option<DeviceId>,
) -> Result<(ClientConfig, PeerCheck), ConfigureTlsError> {
    dialling(identity, expected, PAIRING_ALPN)
}

fn dialling(
    identity: &Identity,
    expected: Option<DeviceId>,
    alpn: &[u8],
) -> Result<(ClientConfig, PeerCheck), ConfigureTlsError> {
    let provider = provider();
    let refused = Arc::new(OnceLock::new());
    let verifier = Arc::new(DialledDevice::new(
        expected,
        provider.clone(),
        refused.clone(),
    ));
    let resolver = Arc::new(SingleCertAndKey::from(identity.certified_key()));
    let mut config = ClientConfig::builder_with_details(provider, Arc::new(Clock))
        .with_protocol_versions(&[&TLS13])
        .map_err(ConfigureTlsError::Provider)?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_client_cert_resolver(resolver);
    config.alpn_protocols = vec![alpn.to_vec()];
    config.check_selected_alpn = true;
    config.resumption = Resumption::disabled();
    config.enable_early_data = false;
    config.enable_sni = false;
    config.key_log = Arc::new(NoKeyLog {});
    config.enable_secret_extraction = false;
    config.cert_compressors = Vec::new();
    config.cert_decompressors = Vec::new();
    Ok((config, PeerCheck(refused)))
}

/// What became of the check of the peer in one attempt to connect.
#[derive(Clone)]
pub struct PeerCheck(Arc<OnceLock<VerifyPeerError>>);

impl PeerCheck {
    /// Why the peer was refused; `None` as long as it was not, so also when the handshake failed for another reason.
    pub fn refused(&self) -> Option<VerifyPeerError> {
        self.0.get().cloned()
    }
}

impl fmt::Debug for PeerCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PeerCheck").field(&self.0.get()).finish()
    }
}

/// Named here instead of installed for the process, which belongs to the application and may be set to something else.
fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    PROVIDER
        .get_or_init(|| Arc::new(rustls::crypto::ring::default_provider()))
        .clone()
}

/// The time of day. The clock of rustls panics before 1970, where small devices without a battery wake up.
#[derive(Debug)]
struct Clock;

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(unix_time(SystemTime::now()))
    }
}

fn unix_time(now: SystemTime) -> UnixTime {
    UnixTime::since_unix_epoch(now.duration_since(UNIX_EPOCH).unwrap_or_default())
}

#[cfg(test)]
mod tests;
