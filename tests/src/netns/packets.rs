//! A raw socket of one interface: what comes in on it, and what is sent out of it, frame by frame.
//!
//! Each frame has ten bytes before it that say what its sender left to the card: a checksum, or cutting a large frame into packets.
//! Who sends them on with the frame leaves that where it is.
//!
//! # Safety
//!
//! The two system calls here are given a pointer to a value of this function, which lives until they return, and its size; they keep
//! neither.
#![expect(
    unsafe_code,
    reason = "no safe crate at hand binds a packet socket or sets its options"
)]

use std::{
    io,
    os::fd::{AsRawFd, OwnedFd},
    time::Duration,
};

use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netdevice, socket_with, sockopt,
};

/// A frame of this size is the largest that comes: 64 KiB, with what is around it.
pub(super) const LARGEST: usize = 66 << 10;

/// How long it is waited for a frame before somebody looks whether it is still wanted.
const LOOK: Duration = Duration::from_millis(50);

/// Of `linux/if_packet.h`: frames come and go with what is left to the card, and what is sent here does not come back.
const PACKET_VNET_HDR: libc::c_int = 15;
const PACKET_IGNORE_OUTGOING: libc::c_int = 23;

#[derive(Debug)]
pub(super) struct Packets(OwnedFd);

impl Packets {
    /// Of an interface of the namespace that the calling thread is in.
    pub(super) fn open(interface: &str) -> io::Result<Self> {
        // It gets nothing before it is bound.
        let flags = SocketFlags::CLOEXEC;
        let socket = socket_with(AddressFamily::PACKET, SocketType::RAW, flags, None)?;
        let index = netdevice::name_to_index(&socket, interface)?;
        sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(LOOK))?;
        sockopt::set_socket_recv_buffer_size(&socket, 4 << 20)?;
        let packets = Self(socket);
        packets.set(PACKET_VNET_HDR)?;
        packets.set(PACKET_IGNORE_OUTGOING)?;
        packets.bind(index)?;
        Ok(packets)
    }

    /// What came in next; `None` when nothing has for a while.
    pub(super) fn receive(&self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        use rustix::io::Errno;
        match rustix::net::recv(&self.0, buffer, RecvFlags::empty()) {
            Ok((length, _)) => Ok(Some(length)),
            // The cable was pulled: said once, and then nothing comes.
            Err(Errno::AGAIN | Errno::INTR | Errno::NETDOWN) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Sends what was received. What does not go is lost.
    pub(super) fn send(&self, frame: &[u8]) {
        let _ = rustix::net::send(&self.0, frame, SendFlags::empty());
    }

    /// Switches an option on.
    fn set(&self, option: libc::c_int) -> io::Result<()> {
        let on: libc::c_int = 1;
        let size = size_of_val(&on) as libc::socklen_t;
        // SAFETY: `on` is a value of that size, and is only read.
        let result = unsafe {
            libc::setsockopt(
                self.0.as_raw_fd(),
                libc::SOL_PACKET,
                option,
                (&raw const on).cast(),
                size,
            )
        };
        checked(result)
    }

    fn bind(&self, index: u32) -> io::Result<()> {
        let address = libc::sockaddr_ll {
            sll_family: libc::AF_PACKET as u16,
            sll_protocol: (libc::ETH_P_ALL as u16).to_be(),
            sll_ifindex: index as i32,
            sll_hatype: 0,
            sll_pkttype: 0,
            sll_halen: 0,
            sll_addr: [0; 8],
        };
        let size = size_of_val(&address) as libc::socklen_t;
        // SAFETY: `address` is an address of that size and family, and is only read.
        let result = unsafe { libc::bind(self.0.as_raw_fd(), (&raw const address).cast(), size) };
        checked(result)
    }
}

fn checked(result: libc::c_int) -> io::Result<()> {
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
