//! What can be done from outside to the cable of a container: to its other end, which is a port of a bridge of this machine.

use std::time::Duration;

use super::{LabError, Namespace, slow::Relay};

/// The port of a bridge that an interface of another namespace is connected to.
#[derive(Debug)]
pub struct Port {
    /// Where the bridge is.
    here: Namespace,
    name: String,
    bridge: String,
}

/// A cable that holds back all that goes over it, until [`end`](Self::end).
///
/// The port is in a namespace of its own meanwhile, and so is one end of a new cable whose other end is in its place at the bridge. Between
/// them a relay of our own carries the frames.
#[derive(Debug)]
pub struct LongCable {
    port: Port,
    between: Namespace,
    outer: String,
    relay: Relay,
}

impl Port {
    /// The port of the interface of `device` that has this hardware address, at a bridge of the namespace of this process.
    ///
    /// # Errors
    /// There is none.
    pub fn of(device: &Namespace, hardware: &str) -> Result<Self, LabError> {
        let here = Namespace::own()?;
        let missing = |what: &str, said: &str| LabError::Failed {
            step: format!("look for {what} of {hardware}"),
            detail: said.to_owned(),
        };
        let inside = device.tool("ip", "-o link show", "")?;
        let mut lines = inside.lines();
        let interface = lines.find(|line| line.contains(hardware));
        // `12: eth0@if13: ..` has its other end at number 13.
        let peer = interface.and_then(|line| line.split_once("@if")?.1.split_once(':'));
        let (peer, _) = peer.ok_or_else(|| missing("the interface", &inside))?;
        let outside = here.tool("ip", "-o link show", "")?;
        let start = format!("{peer}: ");
        let line = outside.lines().find_map(|line| line.strip_prefix(&start));
        let found = line.and_then(|line| {
            let name = line.split(['@', ':']).next()?;
            let mut words = line.split_whitespace();
            words.find(|word| *word == "master")?;
            Some((name.to_owned(), words.next()?.to_owned()))
        });
        let (name, bridge) = found.ok_or_else(|| missing("the port", &outside))?;
        Ok(Self { here, name, bridge })
    }

    /// Takes it off the bridge, of which the other end notices nothing, or puts it there again.
    ///
    /// # Errors
    /// It is gone, or this user may not; so with all below.
    pub fn cut(&self, cut: bool) -> Result<(), LabError> {
        let (name, bridge) = (&self.name, &self.bridge);
        match cut {
            true => self.here.ip(&format!("link set {name} nomaster")),
            false => self.here.ip(&format!("link set {name} master {bridge}")),
        }
    }

    /// Holds back for so long all that comes from the other end and all that is sent to it, whatever it is. Order is kept.
    pub fn delay(self, by: Duration) -> Result<LongCable, LabError> {
        let between = Namespace::new()?;
        between.silence()?;
        let (name, bridge) = (&self.name, &self.bridge);
        let outer = format!("{name}-");
        self.here.ip(&format!(
            "link add {outer} type veth peer name inner netns {}",
            between.path()
        ))?;
        between.ip("link set inner up")?;
        self.here
            .ip(&format!("link set {outer} master {bridge} up"))?;
        self.here.until_forwarding(&outer)?;
        self.here
            .ip(&format!("link set {name} netns {}", between.path()))?;
        between.ip(&format!("link set {name} up"))?;
        let relay = between.within(|| Relay::start([name, "inner"], by));
        let relay = relay.map_err(|error| LabError::Failed {
            step: format!("relay between {name} and {outer}"),
            detail: error.to_string(),
        })?;
        Ok(LongCable {
            port: self,
            between,
            outer,
            relay,
        })
    }
}

impl LongCable {
    /// Makes it as short as it was.
    pub fn end(self) -> Result<(), LabError> {
        drop(self.relay);
        let Port { here, name, bridge } = &self.port;
        // With its other end.
        here.ip(&format!("link del {}", self.outer))?;
        self.between
            .ip(&format!("link set {name} netns {}", here.path()))?;
        here.ip(&format!("link set {name} master {bridge} up"))?;
        here.until_forwarding(name)
    }
}
