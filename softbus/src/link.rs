//! Links over sockets: what carries a session between devices, and between processes of one.

pub(crate) mod quic;
#[cfg(target_os = "linux")]
pub(crate) mod unix;
