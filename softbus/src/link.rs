//! Links over sockets: what carries a session between devices.

pub(crate) mod quic;
