//! The UDP socket a node lives on.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
};

use socket2::{Domain, Protocol, Socket, Type};

/// quinn's own default overflows under load, and what overflows looks like loss.
const RECEIVE_BUFFER: usize = 4 * 1024 * 1024;

/// Binds `address`, or every address of this device where it is `None`: IPv6 and IPv4 on one socket if the system has
/// both, IPv4 otherwise.
pub(crate) fn bind(address: Option<SocketAddr>, port: u16) -> io::Result<UdpSocket> {
    match address {
        Some(address) => bind_one(address),
        None => bind_one((Ipv6Addr::UNSPECIFIED, port).into())
            .or_else(|_| bind_one((Ipv4Addr::UNSPECIFIED, port).into())),
    }
}

fn bind_one(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::DGRAM,
        Some(Protocol::UDP),
    )?;
    if address.is_ipv6() && address.ip().is_unspecified() {
        socket.set_only_v6(false)?;
    }
    // A system that allows less gives less.
    let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
    socket.bind(&address.into())?;
    Ok(socket.into())
}
