//! The only file that knows mdns-sd. Translates, and decides nothing.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::time::Duration;

use mdns_sd::{
    DaemonEvent, Error, IfKind, IfPredicate, Receiver, ResolvedService, ScopedIp, ServiceDaemon,
    ServiceEvent, ServiceInfo,
};
use tokio::time::{Instant, sleep, timeout_at};

use super::driver::Engine;
use super::machine::{EngineEvent, Failure, Registration, Resolved};
use super::{Interface, Interfaces, SERVICE_TYPE};
use crate::networks::is_loopback_interface;

/// The default of 5 s leaves a device unreachable for as long after a change of its address.
const IP_CHECK_SECONDS: u32 = 1;

/// Before a full command queue is tried again while stopping.
const AGAIN: Duration = Duration::from_millis(10);

pub(super) struct Adapter {
    interfaces: Interfaces,
    running: Option<Running>,
}

struct Running {
    daemon: ServiceDaemon,
    monitor: Receiver<DaemonEvent>,
    /// The last is the browse that runs; those before are read to their end, so that no removal is lost.
    browses: VecDeque<Receiver<ServiceEvent>>,
}

impl Adapter {
    pub(super) fn new(interfaces: Interfaces) -> Self {
        Self {
            interfaces,
            running: None,
        }
    }

    fn daemon(&self) -> Result<&ServiceDaemon, Failure> {
        let running = self.running.as_ref();
        running
            .map(|running| &running.daemon)
            .ok_or_else(|| Failure::Gone("no engine".to_owned()))
    }

    fn configure(&self, daemon: &ServiceDaemon) -> Result<Receiver<DaemonEvent>, Error> {
        if let Some(chosen) = chosen(&self.interfaces) {
            daemon.disable_interface(IfKind::All)?;
            daemon.enable_interface(chosen)?;
        }
        daemon.set_ip_check_interval(IP_CHECK_SECONDS)?;
        daemon.monitor()
    }
}

impl Engine for Adapter {
    fn create(&mut self) -> Result<(), Failure> {
        let daemon = ServiceDaemon::new().map_err(failure)?;
        match self.configure(&daemon) {
            Ok(monitor) => {
                self.running = Some(Running {
                    daemon,
                    monitor,
                    browses: VecDeque::new(),
                });
                Ok(())
            }
            Err(error) => {
                let _ = daemon.shutdown();
                Err(Failure::Gone(error.to_string()))
            }
        }
    }

    fn browse(&mut self) -> Result<(), Failure> {
        let browse = self.daemon()?.browse(SERVICE_TYPE).map_err(failure)?;
        if let Some(running) = &mut self.running {
            running.browses.push_back(browse);
        }
        Ok(())
    }

    fn register(&mut self, registration: &Registration) -> Result<(), Failure> {
        let daemon = self.daemon()?;
        let mut info = ServiceInfo::new(
            SERVICE_TYPE,
            &registration.instance,
            &registration.host,
            registration.addrs.as_slice(),
            registration.port,
            registration.txt.as_slice(),
        )
        .map_err(failure)?;
        // Its names are made of a device's id, so nobody else has them: to ask for three quarters of a second whether somebody
        // does would keep those present from hearing of a newcomer for as long.
        info.set_requires_probe(false);
        let info = if registration.addrs.is_empty() {
            info.enable_addr_auto()
        } else {
            info
        };
        daemon.register(info).map_err(failure)
    }

    fn unregister(&mut self, fullname: &str) -> Result<(), Failure> {
        // The receiver only says whether the name was registered.
        self.daemon()?
            .unregister(fullname)
            .map(drop)
            .map_err(failure)
    }

    fn verify(&mut self, fullname: &str, timeout: Duration) -> Result<(), Failure> {
        self.daemon()?
            .verify(fullname.to_owned(), timeout)
            .map_err(failure)
    }

    async fn next(&mut self) -> EngineEvent {
        let Some(running) = &mut self.running else {
            return std::future::pending().await;
        };
        let mut monitored = true;
        loop {
            tokio::select! {
                event = next_browsed(&mut running.browses) => match event {
                    Some(event) => if let Some(event) = browsed(event) {
                        return event;
                    },
                    None => return EngineEvent::BrowseClosed,
                },
                event = running.monitor.recv_async(), if monitored => match event {
                    Ok(event) => if let Some(event) = noticed(event) {
                        return event;
                    },
                    Err(_) => monitored = false,
                },
            }
        }
    }

    async fn stop(&mut self, within: Duration) -> bool {
        let deadline = Instant::now() + within;
        let Some(running) = self.running.take() else {
            return true;
        };
        let stop = async {
            let stopped = loop {
                match running.daemon.shutdown() {
                    Ok(stopped) => break stopped,
                    Err(Error::Again) => sleep(AGAIN).await,
                    Err(_) => return,
                }
            };
            let _ = stopped.recv_async().await;
            // It answers before it drops its sockets; the monitor is dropped after them.
            while running.monitor.recv_async().await.is_ok() {}
        };
        let ended = timeout_at(deadline, stop).await.is_ok();
        if !ended {
            tracing::warn!("mDNS engine does not end");
        }
        ended
    }
}

impl Drop for Adapter {
    fn drop(&mut self) {
        // The engine's thread holds a sender to itself: without this it would run for ever.
        if let Some(running) = self.running.take() {
            let _ = running.daemon.shutdown();
        }
    }
}

/// `None` once the last browse ended; not ready before the first.
async fn next_browsed(browses: &mut VecDeque<Receiver<ServiceEvent>>) -> Option<ServiceEvent> {
    loop {
        let Some(browse) = browses.front() else {
            return std::future::pending().await;
        };
        if let Ok(event) = browse.recv_async().await {
            return Some(event);
        }
        browses.pop_front();
        if browses.is_empty() {
            return None;
        }
    }
}

fn browsed(event: ServiceEvent) -> Option<EngineEvent> {
    match event {
        ServiceEvent::SearchStarted(text) => Some(EngineEvent::SearchStarted(text)),
        ServiceEvent::ServiceResolved(service) => Some(EngineEvent::Resolved(resolved(&service))),
        ServiceEvent::ServiceRemoved(_, fullname) => Some(EngineEvent::Removed(fullname)),
        _ => None,
    }
}

fn noticed(event: DaemonEvent) -> Option<EngineEvent> {
    match event {
        DaemonEvent::Error(error) => Some(EngineEvent::Trouble(error.to_string())),
        _ => None,
    }
}

fn resolved(service: &ResolvedService) -> Resolved {
    let addrs = service.addresses.iter();
    let txt = service.txt_properties.iter();
    Resolved {
        fullname: service.fullname.clone(),
        addrs: addrs
            .filter_map(|addr| socket_addr(addr, service.port))
            .collect(),
        txt: txt
            .map(|entry| (entry.key().to_owned(), entry.val().map(<[u8]>::to_vec)))
            .collect(),
    }
}

/// `None` for a loopback address that another device claims: it would be one of ours.
fn socket_addr(addr: &ScopedIp, port: u16) -> Option<SocketAddr> {
    let heard_on_loopback = |name: &str| is_loopback_interface(name);
    match addr {
        ScopedIp::V4(v4) => {
            let ip = *v4.addr();
            let ours = ip.is_loopback()
                && !v4
                    .interface_ids()
                    .iter()
                    .any(|interface| heard_on_loopback(&interface.name));
            (!ours).then_some(SocketAddr::new(IpAddr::V4(ip), port))
        }
        ScopedIp::V6(v6) => {
            let ip = *v6.addr();
            if ip.is_loopback() && !heard_on_loopback(&v6.scope_id().name) {
                return None;
            }
            let scope = if ip.is_unicast_link_local() {
                v6.scope_id().index
            } else {
                0
            };
            Some(SocketAddrV6::new(ip, port, 0, scope).into())
        }
        _ => None,
    }
}

/// `None` for all.
fn chosen(interfaces: &Interfaces) -> Option<Vec<IfKind>> {
    match interfaces {
        Interfaces::All => None,
        Interfaces::Only(only) => Some(
            only.iter()
                .map(|interface| match interface {
                    Interface::Name(name) => IfKind::Name(name.clone()),
                    Interface::Addr(addr) => IfKind::Addr(*addr),
                })
                .collect(),
        ),
        Interfaces::LoopbackOnly => Some(vec![IfKind::LoopbackV4]),
        Interfaces::Predicate(predicate) => {
            let predicate = predicate.clone();
            let all = IfPredicate::new(move |i| predicate(&i.name, i.ip()));
            Some(vec![IfKind::Predicate(all)])
        }
    }
}

fn failure(error: Error) -> Failure {
    match error {
        Error::Again => Failure::Busy,
        other => Failure::Gone(other.to_string()),
    }
}
