//! The networks this device is on, and when that changes: an interface goes up or down, or has another address.
//!
//! Linux says so by itself. Elsewhere the list of interfaces is looked at each second.

use std::time::{Duration, Instant};

use discovery::{DeviceTable, InterfaceAddress, interface_addresses, local_networks};

/// The shortest time between two looks because of what was heard, which a flood of records is. Where nobody says that
/// something has changed, the time between two looks.
const EVERY: Duration = Duration::from_secs(1);
/// The shortest time between two looks because something has changed: an interface that comes up says so several times.
const TOGETHER: Duration = Duration::from_millis(100);

/// When the networks of this device are looked at, and what was seen.
#[derive(Default)]
pub(super) struct Networks {
    looked: Option<Instant>,
    pub(super) due: Option<Instant>,
    seen: Vec<InterfaceAddress>,
}

impl Networks {
    /// A record came: now it matters which networks there are.
    pub(super) fn something_was_heard(&mut self) {
        self.look_after(EVERY);
    }

    pub(super) fn something_has_changed(&mut self) {
        self.look_after(TOGETHER);
    }

    fn look_after(&mut self, pause: Duration) {
        let soonest = self
            .looked
            .map_or_else(Instant::now, |looked| looked + pause);
        self.due = Some(self.due.map_or(soonest, |due| due.min(soonest)));
    }

    /// Whether something is otherwise than at the last look.
    pub(super) fn look(&mut self, table: &mut DeviceTable) -> bool {
        (self.looked, self.due) = (Some(Instant::now()), None);
        match local_networks() {
            Ok(networks) => table.set_local_networks(networks),
            Err(error) => tracing::debug!(%error, "no list of local networks"),
        }
        match interface_addresses() {
            Ok(addresses) if addresses != self.seen => {
                self.seen = addresses;
                true
            }
            _ => false,
        }
    }
}

/// Says when something may have changed.
pub(super) struct Changes {
    #[cfg(target_os = "linux")]
    socket: Option<linux::Socket>,
}

impl Changes {
    pub(super) fn new() -> Self {
        Self {
            #[cfg(target_os = "linux")]
            socket: linux::Socket::open()
                .inspect_err(|error| tracing::debug!(%error, "networks are looked at each second"))
                .ok(),
        }
    }

    /// Cancel safe.
    pub(super) async fn next(&mut self) {
        #[cfg(target_os = "linux")]
        if let Some(socket) = &self.socket {
            match socket.changed().await {
                Ok(()) => return,
                Err(error) => {
                    tracing::debug!(%error, "networks are looked at each second from now on");
                    self.socket = None;
                }
            }
        }
        tokio::time::sleep(EVERY).await;
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::{io, os::unix::net::UnixDatagram as StdDatagram};

    use rustix::{
        io::Errno,
        net::{
            AddressFamily, SocketFlags, SocketType, bind, netlink::SocketAddrNetlink, socket_with,
        },
    };
    use tokio::net::UnixDatagram;

    /// Of `linux/rtnetlink.h`: links, and addresses of IPv4 and IPv6.
    const GROUPS: u32 = 0x1 | 0x10 | 0x100;

    /// A socket on which the system tells of interfaces. What it tells is not read: a look says what there is.
    ///
    /// It is netlink's; of sockets that have datagrams and no addresses of the Internet tokio knows this kind.
    pub(super) struct Socket(UnixDatagram);

    impl Socket {
        pub(super) fn open() -> io::Result<Self> {
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            // No protocol of netlink is that of routes.
            let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?;
            bind(&socket, &SocketAddrNetlink::new(0, GROUPS))?;
            Ok(Self(UnixDatagram::from_std(StdDatagram::from(socket))?))
        }

        /// Returns when something was told, all of which is then taken.
        pub(super) async fn changed(&self) -> io::Result<()> {
            self.0.readable().await?;
            // The rest of a longer message is gone with it.
            let mut part = [0; 64];
            loop {
                match self.0.try_recv(&mut part) {
                    Ok(_) => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                    // There was more than it keeps: something has changed all the same.
                    Err(error) if error.raw_os_error() == Some(Errno::NOBUFS.raw_os_error()) => {}
                    Err(error) => return Err(error),
                }
            }
        }
    }
}
