//! The lab: devices on one network segment, each in a network namespace of its own.
//!
//! ```text
//!   device 1        device 2        device 3         a namespace each: lo, eth0 = 10.77.0.<i>/24
//!      |               |               |             veth pairs
//!   ---+---------------+---------------+---  br0     the switch, a namespace of its own
//! ```
//!
//! They may be on a second network as well: eth1 = `10.78.0.<i>/24` of each, on br1.
//!
//! Nothing of it has a name outside: each namespace is held by a file descriptor of this process
//! and vanishes with everything in it when the last descriptor and the last process in it are
//! gone, even if the test itself is killed. There is no way from a lab to the machine's network,
//! so a device may speak mDNS freely.
//!
//! The lab needs the right to make network namespaces (root, or root of a user namespace as in
//! `unshare -Urnm cargo test`) and the programs `ip`, `unshare` and, for loss, `nft`; for a narrow
//! link `tc`.

mod namespace;
mod network;
mod packets;
mod port;
mod slow;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use crate::process::Process;
use crate::skip::skip;
pub use namespace::Namespace;
pub use network::Network;
pub use port::{LongCable, Port};

/// What went wrong with the lab itself, never with what runs in it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LabError {
    /// This machine or user cannot have a lab: a reason to skip the test.
    #[error("no network namespaces here: {reason}")]
    Unavailable {
        /// What is missing.
        reason: String,
    },
    /// A step of building or changing the lab failed.
    #[error("`{step}` failed: {detail}")]
    Failed {
        /// The command or action.
        step: String,
        /// What it said.
        detail: String,
    },
}

/// N devices and the switch between them; gone when dropped.
///
/// Devices are numbered from 1, as their addresses are. Methods that take a device panic for a
/// number that the lab does not have.
#[derive(Debug)]
pub struct Lab {
    switch: Namespace,
    /// A device without power has lost its namespace, and has another one.
    devices: Vec<Mutex<Arc<Namespace>>>,
    cut: Mutex<BTreeSet<(Network, usize)>>,
    /// Of the devices that are far away.
    relays: Mutex<BTreeMap<usize, slow::Relay>>,
}

impl Lab {
    /// The most devices a lab can have.
    pub const MAX_DEVICES: usize = 250;
    /// The kernel remembers who is where for at most 1,024 neighbours, of all namespaces together. In a lab of more devices than
    /// this each is told beforehand where the others are, which does not count.
    const FEW_DEVICES: usize = 30;

    /// Builds a lab of `devices` devices, all connected.
    ///
    /// # Panics
    ///
    /// If `devices` is more than [`Lab::MAX_DEVICES`].
    pub fn new(devices: usize) -> Result<Self, LabError> {
        assert!(
            devices <= Self::MAX_DEVICES,
            "a lab has at most {} devices",
            Self::MAX_DEVICES
        );
        let mut lab = Self {
            switch: Namespace::new()?,
            devices: Vec::with_capacity(devices),
            cut: Mutex::default(),
            relays: Mutex::default(),
        };
        // The switch itself must stay silent, also on a port that is cut.
        lab.switch.silence()?;
        lab.add_switch(Network::First)?;
        for number in 1..=devices {
            let device = Namespace::new()?;
            lab.connect(&device, number, Network::First)?;
            lab.devices.push(Mutex::new(Arc::new(device)));
        }
        if devices > Self::FEW_DEVICES {
            lab.introduce_neighbours()?;
        }
        Ok(lab)
    }

    /// [`Lab::new`] for a test: `None` after a loud [`skip`] where there can be no lab.
    ///
    /// # Panics
    ///
    /// If the lab could be had and building it failed.
    #[must_use]
    #[track_caller]
    pub fn or_skip(devices: usize) -> Option<Self> {
        match Self::new(devices) {
            Ok(lab) => Some(lab),
            Err(reason @ LabError::Unavailable { .. }) => {
                skip(reason);
                None
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// How many devices there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.devices.len()
    }

    /// Whether there is no device at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.devices.is_empty()
    }

    /// The address a device has when the lab is new.
    #[must_use]
    pub fn address(&self, device: usize) -> Ipv4Addr {
        self.address_on(Network::First, device)
    }

    /// The address a device has on a network when that is new.
    #[must_use]
    pub fn address_on(&self, network: Network, device: usize) -> Ipv4Addr {
        self.device(device);
        network.address(device)
    }

    /// Connects every device to a second network too, as a telephone is to Wi-Fi and a cable.
    pub fn add_second_network(&self) -> Result<(), LabError> {
        self.add_switch(Network::Second)?;
        for number in 1..=self.devices.len() {
            self.connect(&self.device(number), number, Network::Second)?;
        }
        Ok(())
    }

    /// Cuts a device off silently: nothing passes, but its link stays up. Cutting twice is cutting
    /// once.
    ///
    /// The port is taken off the bridge rather than put into the state *disabled*: the kernel
    /// makes a disabled port forward again when the device's link goes down and up.
    pub fn cut(&self, device: usize) -> Result<(), LabError> {
        self.cut_on(Network::First, device)
    }

    /// The same on one of several networks.
    pub fn cut_on(&self, network: Network, device: usize) -> Result<(), LabError> {
        self.set_cut(network, device, true)
    }

    /// Ends a [`cut`](Lab::cut). Healing what is not cut changes nothing.
    pub fn heal(&self, device: usize) -> Result<(), LabError> {
        self.heal_on(Network::First, device)
    }

    /// The same on one of several networks.
    pub fn heal_on(&self, network: Network, device: usize) -> Result<(), LabError> {
        self.set_cut(network, device, false)
    }

    /// Nothing that a device sends arrives any more, and it still hears the others; `false` ends that.
    pub fn mute(&self, device: usize, muted: bool) -> Result<(), LabError> {
        self.device(device);
        let table = format!("mute{device}");
        let rule = match muted {
            true => format!("iifname {} drop;", self.port_of(Network::First, device)),
            false => String::new(),
        };
        self.switch.nft(&format!(
            "add table bridge {table}
             delete table bridge {table}
             table bridge {table} {{
                 chain forward {{
                     type filter hook forward priority 0;
                     {rule}
                 }}
             }}
            "
        ))
    }

    /// The host of a device no longer says that nobody listens at a port, as one whose firewall lets no such ICMP out; `false` ends that.
    /// What TCP says of it goes out.
    pub fn hide_closed_ports(&self, device: usize, hidden: bool) -> Result<(), LabError> {
        let rules = match hidden {
            true => {
                "icmp type destination-unreachable drop; icmpv6 type destination-unreachable drop;"
            }
            false => "",
        };
        self.device(device).nft(&format!(
            "add table inet hidden
             delete table inet hidden
             table inet hidden {{
                 chain output {{
                     type filter hook output priority 0;
                     {rules}
                 }}
             }}
            "
        ))
    }

    /// Loses `percent` of all packets of UDP and TCP at the switch, in every direction; 0 ends that.
    ///
    /// Only those, over IPv4 and IPv6: lost ARP would take down all connections of a host at once,
    /// which is not what packet loss looks like.
    ///
    /// # Panics
    ///
    /// If `percent` is more than 100.
    pub fn drop_percent(&self, percent: u8) -> Result<(), LabError> {
        assert!(percent <= 100, "at most all packets can be lost");
        let rule = match percent {
            0 => String::new(),
            100 => "meta l4proto { tcp, udp } drop;".to_owned(),
            _ => format!("meta l4proto {{ tcp, udp }} numgen random mod 100 < {percent} drop;"),
        };
        self.set_rule(&rule)
    }

    /// Lets no UDP packets pass but those of mDNS, as some guest networks do: devices find each other, and QUIC does not get
    /// through. Takes the place of [`drop_percent`](Lab::drop_percent), and the other way round.
    pub fn block_udp(&self, blocked: bool) -> Result<(), LabError> {
        self.set_rule(match blocked {
            true => "meta l4proto udp th dport != 5353 drop;",
            false => "",
        })
    }

    /// Lets no multicast DNS pass, so that nobody is found; else as [`block_udp`](Lab::block_udp).
    pub fn block_multicast(&self, blocked: bool) -> Result<(), LabError> {
        self.set_rule(match blocked {
            true => "udp dport 5353 drop;",
            false => "",
        })
    }

    fn set_rule(&self, rule: &str) -> Result<(), LabError> {
        // One transaction: the table is there for `delete`, and comes back with the new rule.
        self.switch.nft(&format!(
            "add table bridge loss
             delete table bridge loss
             table bridge loss {{
                 chain forward {{
                     type filter hook forward priority 0;
                     {rule}
                 }}
             }}
            "
        ))
    }

    /// Pulls a device's cable: it sees its link go down.
    pub fn link_down(&self, device: usize) -> Result<(), LabError> {
        self.device(device).ip("link set eth0 down")
    }

    /// Plugs a device's cable in again. A device that is cut stays cut.
    pub fn link_up(&self, device: usize) -> Result<(), LabError> {
        self.device(device).ip("link set eth0 up")
    }

    /// Gives a device another address instead of all it has, as another network or DHCP does.
    pub fn change_address(&self, device: usize, address: Ipv4Addr) -> Result<(), LabError> {
        let namespace = self.device(device);
        namespace.ip("-4 addr flush dev eth0")?;
        namespace.ip(&format!("addr add {address}/24 brd + dev eth0"))
    }

    /// Takes the power from a device: its cable is dead before anything on it can say goodbye. What runs there is killed by its
    /// [`Process`], after this; the namespace goes with the last of it.
    pub fn power_off(&self, device: usize) -> Result<(), LabError> {
        let off = self.device(device);
        self.delay(device, Duration::ZERO)?;
        self.switch
            .ip(&format!("link del {}", Network::First.port(device)))?;
        let another = Arc::new(Namespace::new()?);
        *lock(&self.devices[device - 1]) = another;
        drop(off);
        Ok(())
    }

    /// Ends [`power_off`](Self::power_off), in a namespace that remembers nothing. It is not cut, whatever it was.
    pub fn power_on(&self, device: usize) -> Result<(), LabError> {
        lock(&self.cut).remove(&(Network::First, device));
        self.connect(&self.device(device), device, Network::First)
    }

    /// Starts a program on a device. Its standard input and output belong to the [`Process`].
    pub fn run_in(&self, device: usize, command: Command) -> io::Result<Process> {
        self.within(device, || Process::spawn(command))
    }

    /// Runs `work` on a thread that is on the device: sockets it opens, threads and runtimes it
    /// creates and processes it starts are there, and stay there.
    ///
    /// A panic of `work` goes on in the caller.
    pub fn within<T: Send>(&self, device: usize, work: impl FnOnce() -> T + Send) -> T {
        self.device(device).within(work)
    }

    /// A descriptor of the device's network namespace, for a program that enters it by itself.
    pub fn namespace(&self, device: usize) -> io::Result<File> {
        self.device(device).try_clone()
    }

    fn add_switch(&self, network: Network) -> Result<(), LabError> {
        let switch = network.switch();
        self.switch.ip(&format!(
            "link add {switch} type bridge stp_state 0 forward_delay 0 mcast_snooping 0"
        ))?;
        self.switch.ip(&format!("link set {switch} up"))
    }

    fn connect(&self, device: &Namespace, number: usize, network: Network) -> Result<(), LabError> {
        let (port, interface) = (network.port(number), network.interface());
        device.ip("link set lo up")?;
        self.switch.ip(&format!(
            "link add {port} type veth peer name {interface} netns {}",
            device.path()
        ))?;
        let hardware = network.hardware_address(number);
        device.ip(&format!("link set {interface} address {hardware}"))?;
        // Nobody else can have our addresses, so don't wait a second to find that out.
        device.within(|| {
            set_ipv6_option(interface, "accept_dad", "0")?;
            set_ipv6_option(interface, "dad_transmits", "0")
        })?;
        let switch = network.switch();
        self.switch
            .ip(&format!("link set {port} master {switch} up"))?;
        let address = network.address(number);
        device.ip(&format!("addr add {address}/24 brd + dev {interface}"))?;
        device.ip(&format!("link set {interface} up"))?;
        self.switch.until_forwarding(&port)
    }

    fn introduce_neighbours(&self) -> Result<(), LabError> {
        let mut lines = String::new();
        for number in 1..=self.devices.len() {
            let hardware = Network::First.hardware_address(number);
            let link_local = format!("fe80::aff:fe4d:{number:x}");
            for address in [Network::First.address(number).to_string(), link_local] {
                lines +=
                    &format!("neigh replace {address} lladdr {hardware} dev eth0 nud permanent\n");
            }
        }
        (1..=self.devices.len()).try_for_each(|number| self.device(number).ip_batch(&lines))
    }

    fn set_cut(&self, network: Network, device: usize, wanted: bool) -> Result<(), LabError> {
        self.device(device);
        let mut cut = lock(&self.cut);
        if cut.contains(&(network, device)) == wanted {
            return Ok(());
        }
        let port = self.port_of(network, device);
        let master = match wanted {
            true => "nomaster".to_owned(),
            false => format!("master {}", network.switch()),
        };
        self.switch.ip(&format!("link set {port} {master}"))?;
        match wanted {
            true => cut.insert((network, device)),
            false => cut.remove(&(network, device)),
        };
        Ok(())
    }

    fn device(&self, number: usize) -> Arc<Namespace> {
        let index = number.checked_sub(1).expect("devices are numbered from 1");
        let device = self.devices.get(index);
        let device = device.unwrap_or_else(|| panic!("the lab has no device {number}"));
        Arc::clone(&lock(device))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    let locked = mutex.lock();
    locked.expect("no code panics while it holds this lock")
}

/// `/proc/sys/net` shows the namespace of the thread that looks.
fn set_ipv6_option(interface: &str, option: &str, value: &str) -> Result<(), LabError> {
    let path = format!("/proc/sys/net/ipv6/conf/{interface}/{option}");
    match fs::write(&path, value) {
        // A kernel without IPv6 has nothing to switch off.
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(LabError::Failed {
            step: format!("write {path}"),
            detail: error.to_string(),
        }),
        _ => Ok(()),
    }
}
