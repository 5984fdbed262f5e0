//! How quinn is set up: the settings of `docs/protocol.md`, section QUIC, and why they are not quinn's own.

use std::{sync::Arc, time::Duration};

use certs::{Identity, tls};
use proto::DeviceId;
use quinn::{
    AckFrequencyConfig, ClientConfig, EndpointConfig, IdleTimeout, MtuDiscoveryConfig,
    ServerConfig, TransportConfig, VarInt,
    crypto::rustls::{QuicClientConfig, QuicServerConfig},
};
use quinn_proto::HashedConnectionIdGenerator;
use ring::hmac;

use super::closing::ClosingConfig;
use crate::{error::StartNodeError, presence::Profile};

/// Lanes and a little room. Each allowed stream costs memory from the beginning of a connection.
pub(crate) const LANE_STREAMS: u32 = 65;
/// Bulk streams.
pub(crate) const BULK_STREAMS: u32 = 16;
/// A stranger may open the control lane and nothing else.
const STRANGER_LANES: u32 = 1;
/// How much of one stream may be under way.
const STREAM_WINDOW: u32 = 1024 * 1024;
/// How much of a connection: more than all bulk streams together, so that bulk never takes what lanes need.
const RECEIVE_WINDOW: u32 = 16 * 1024 * 1024;
const SEND_WINDOW: u64 = 8 * 1024 * 1024;
/// The largest datagram that is looked for on a path: what loopback and jumbo frames take makes a transfer more than twice
/// as fast. A batch for the kernel is ten of them and at most 64 KiB, which quinn does not check: above 6,553 its
/// batches would be refused, and the path taken for one that loses everything.
const LARGEST_DATAGRAM: u16 = 6400;
/// How long a packet is taken to need before one was measured; what is lost of a handshake is sent again after three times that.
/// QUIC's own is 333 ms: a dial would have gone over to TCP before.
const INITIAL_RTT: Duration = Duration::from_millis(50);
/// Handshakes that wait for us.
const MAX_INCOMING: usize = 256;
const INCOMING_BUFFER: u64 = 64 * 1024;
const INCOMING_BUFFER_TOTAL: u64 = 4 * 1024 * 1024;

/// What both roles share.
fn transport(profile: Profile) -> TransportConfig {
    let mut acks = AckFrequencyConfig::default();
    // The tail of a lost packet is dominated by the peer's acknowledgement delay, which is 25 ms unless asked.
    acks.max_ack_delay(Some(Duration::from_millis(1)))
        .ack_eliciting_threshold(VarInt::from_u32(2));
    let mut mtu = MtuDiscoveryConfig::default();
    mtu.upper_bound(LARGEST_DATAGRAM);
    let mut transport = TransportConfig::default();
    transport
        .max_idle_timeout(IdleTimeout::try_from(profile.idle_timeout()).ok())
        .keep_alive_interval(Some(profile.keep_alive()))
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW))
        .receive_window(VarInt::from_u32(RECEIVE_WINDOW))
        .send_window(SEND_WINDOW)
        .initial_rtt(INITIAL_RTT)
        .ack_frequency_config(Some(acks))
        .mtu_discovery_config(Some(mtu))
        .congestion_controller_factory(Arc::new(ClosingConfig::default()))
        .datagram_receive_buffer_size(None)
        .max_concurrent_uni_streams(VarInt::from_u32(BULK_STREAMS));
    transport
}

/// For accepting. Until a peer is admitted it may open the control lane only.
pub(crate) fn server(
    identity: &Identity,
    profile: Profile,
) -> Result<ServerConfig, StartNodeError> {
    let tls = tls::server_config(identity).map_err(crypto)?;
    let tls = QuicServerConfig::try_from(tls).map_err(crypto)?;
    let mut transport = transport(profile);
    transport
        .max_concurrent_bidi_streams(VarInt::from_u32(STRANGER_LANES))
        .max_concurrent_uni_streams(VarInt::from_u32(0));
    let mut config = ServerConfig::with_crypto(Arc::new(tls));
    config
        .transport_config(Arc::new(transport))
        .max_incoming(MAX_INCOMING)
        .incoming_buffer_size(INCOMING_BUFFER)
        .incoming_buffer_size_total(INCOMING_BUFFER_TOTAL);
    Ok(config)
}

/// For one dial: whom it expects is part of it.
pub(crate) fn client(
    identity: &Identity,
    expected: DeviceId,
    profile: Profile,
) -> Result<(ClientConfig, tls::PeerCheck), StartNodeError> {
    let (tls, check) = tls::client_config(identity, expected).map_err(crypto)?;
    Ok((dialling(tls, profile)?, check))
}

/// For one dial to pair; `expected` where it is known.
pub(crate) fn pairing_client(
    identity: &Identity,
    expected: Option<DeviceId>,
    profile: Profile,
) -> Result<(ClientConfig, tls::PeerCheck), StartNodeError> {
    let (tls, check) = tls::pairing_client_config(identity, expected).map_err(crypto)?;
    Ok((dialling(tls, profile)?, check))
}

fn dialling(tls: rustls::ClientConfig, profile: Profile) -> Result<ClientConfig, StartNodeError> {
    let tls = QuicClientConfig::try_from(tls).map_err(crypto)?;
    let mut transport = transport(profile);
    // The side that dialled opens the lanes.
    transport.max_concurrent_bidi_streams(VarInt::from_u32(0));
    let mut config = ClientConfig::new(Arc::new(tls));
    config.transport_config(Arc::new(transport));
    Ok(config)
}

/// Reset key and connection ids come from the identity: a process that was started again recognises the connections
/// of the one before, and its peers learn at their next packet that they are gone.
pub(crate) fn endpoint(identity: &Identity) -> EndpointConfig {
    let reset = identity.transport_secret("quic stateless reset");
    let ids = identity.transport_secret("quic connection ids");
    let id_key = ids
        .first_chunk::<8>()
        .map_or(0, |key| u64::from_le_bytes(*key));
    let mut config = EndpointConfig::new(Arc::new(hmac::Key::new(hmac::HMAC_SHA256, &*reset)));
    // What we take; refused only below 1,200.
    let _ = config.max_udp_payload_size(LARGEST_DATAGRAM);
    config.cid_generator(move || Box::new(HashedConnectionIdGenerator::from_key(id_key)));
    config
}

fn crypto(error: impl std::fmt::Display) -> StartNodeError {
    StartNodeError::Crypto(error.to_string())
}
