//! A network where nothing can leave the machine, and whether mDNS can work there.
//!
//! The mDNS engine joins its multicast groups on every interface when it is made, before it can be told to use the
//! loopback interface alone. On Linux the demo therefore moves to a network namespace whose only interface is that one.

use std::{
    fmt,
    io::{self, ErrorKind},
    mem::MaybeUninit,
    net::{Ipv4Addr, SocketAddrV4},
    time::Duration,
};

use socket2::{Domain, Protocol, Socket, Type};

/// Where the demo runs.
#[derive(Debug)]
pub(crate) enum Network {
    /// There is nothing but the loopback interface.
    LoopbackOnly,
    /// The machine's own network, because of this.
    Host(String),
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LoopbackOnly => {
                f.write_str("in a network namespace with nothing but the loopback interface")
            }
            Self::Host(why) => write!(
                f,
                "on the machine's own network ({why}); what is announced is announced on 127.0.0.1"
            ),
        }
    }
}

impl Network {
    /// Moves to a network of its own if there is a way; then this function does not return, and the program starts
    /// anew.
    pub(crate) fn prepare() -> Self {
        namespace::prepare()
    }
}

/// Whether a multicast packet that is sent on 127.0.0.1 arrives there.
///
/// # Errors
/// What the system said, or that nothing arrived.
pub(crate) fn try_loopback_multicast() -> io::Result<()> {
    let group = Ipv4Addr::new(224, 0, 0, 251);
    let socket = || Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP));
    let receiver = socket()?;
    // Any port but that of mDNS: nobody else is to hear this.
    receiver.bind(&SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0).into())?;
    receiver.join_multicast_v4(&group, &Ipv4Addr::LOCALHOST)?;
    receiver.set_read_timeout(Some(Duration::from_millis(500)))?;
    let port = receiver
        .local_addr()?
        .as_socket_ipv4()
        .map_or(0, |address| address.port());

    let sender = socket()?;
    sender.bind(&SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0).into())?;
    sender.set_multicast_if_v4(&Ipv4Addr::LOCALHOST)?;
    sender.set_multicast_loop_v4(true)?;
    sender.send_to(b"softbus demo", &SocketAddrV4::new(group, port).into())?;
    match receiver.recv(&mut [MaybeUninit::uninit(); 64]) {
        Ok(_) => Ok(()),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
            Err(io::Error::new(
                ErrorKind::TimedOut,
                "a packet to 224.0.0.251 did not arrive",
            ))
        }
        Err(error) => Err(error),
    }
}

#[cfg(target_os = "linux")]
mod namespace {
    use std::{
        env, fs,
        os::unix::process::CommandExt as _,
        process::{Command, Stdio},
    };

    use super::Network;

    /// Set for the program that was started in the namespace, so that it does not look for a better one.
    const MARK: &str = "SOFTBUS_DEMO_ISOLATED";
    /// A new network's loopback interface is down.
    const RAISE: &str = "ip link set lo up";

    pub(super) fn prepare() -> Network {
        if env::var_os(MARK).is_some() || has_only_loopback() {
            return Network::LoopbackOnly;
        }
        let Ok(program) = env::current_exe() else {
            return Network::Host("the program does not know its own path".into());
        };
        // As root, and as a user who may make a user namespace.
        let Some(way) = ["-n", "-rn"].into_iter().find(|way| is_possible(way)) else {
            return Network::Host(
                "no network namespace: that needs `unshare` and `ip`, and root or user namespaces"
                    .into(),
            );
        };
        let script = format!("{RAISE} && exec \"$@\"");
        let error = unshare(way, &["sh", "-c", &script, "demo"])
            .arg(program)
            .args(env::args_os().skip(1))
            .env(MARK, "1")
            .exec();
        Network::Host(format!("no network namespace: {error}"))
    }

    /// `lo` itself may be down; the multicast test finds out.
    fn has_only_loopback() -> bool {
        let interfaces = fs::read_to_string("/proc/net/dev").unwrap_or_default();
        // The first two lines are headings.
        let mut names = interfaces
            .lines()
            .skip(2)
            .filter_map(|line| line.split_once(':'));
        !interfaces.is_empty() && names.all(|(name, _)| name.trim() == "lo")
    }

    fn is_possible(way: &str) -> bool {
        let silent = || Stdio::null();
        unshare(way, &["sh", "-c", RAISE])
            .stdin(silent())
            .stdout(silent())
            .stderr(silent())
            .status()
            .is_ok_and(|status| status.success())
    }

    fn unshare(way: &str, program: &[&str]) -> Command {
        let mut path = env::var_os("PATH").unwrap_or_default();
        // Where `ip` is for root and, on some systems, not for others.
        path.push(":/usr/sbin:/sbin");
        let mut command = Command::new("unshare");
        command.arg(way).arg("--").args(program).env("PATH", path);
        command
    }
}

#[cfg(not(target_os = "linux"))]
mod namespace {
    pub(super) fn prepare() -> super::Network {
        super::Network::Host("network namespaces are Linux's".into())
    }
}
