//! Links over sockets: what carries a session between devices, and between processes of one.

mod end;
pub(crate) mod moving;
pub(crate) mod quic;
pub(crate) mod stream;
pub(crate) mod tcp;
#[cfg(target_os = "linux")]
pub(crate) mod unix;
