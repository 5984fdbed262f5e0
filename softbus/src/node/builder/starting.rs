//! What a builder does when the node starts.

#[cfg(target_os = "linux")]
use std::time::{Duration, Instant};
use std::{path::PathBuf, sync::Arc};

use certs::{Fleet, Identity, PolicyStore, TrustStore};
use discovery::StaticPeers;
#[cfg(target_os = "linux")]
use rpc::limits;
use rpc::{Bus, BusConfig, session::passing_rules::Party};
use tokio::sync::watch;

#[cfg(target_os = "linux")]
use super::Local;
use super::NodeBuilder;
#[cfg(target_os = "linux")]
use crate::local::{Access, Attachment, ListeningSocket, LocalError, LocalHost};
use crate::{
    access::OwnersPolicy,
    audit::AuditLog,
    error::StartNodeError,
    fleet::Members,
    node::{
        Inner, Network, Node,
        discover::{Discoveries, advertisement},
        fleet_file, policy_file,
        ports::{self, Ports},
        trust_file,
    },
    peers::{Carriers, Owner, Peers},
    side::Side,
};

/// With as many devices there may be a session.
const MAX_DEVICES: usize = 1024;

impl NodeBuilder {
    /// The node of a process that attaches, unless it is to be the host.
    #[cfg(target_os = "linux")]
    pub(super) async fn try_attach(&mut self) -> Result<Option<Node>, StartNodeError> {
        let (path, may_host) = match &self.local {
            Local::Alone | Local::Host(..) | Local::Listening(_) => return Ok(None),
            Local::Attach(path) => (path.clone(), false),
            Local::AttachOrHost(path) => (path.clone(), true),
        };
        let deadline = Instant::now() + limits::HANDSHAKE_TIME;
        let attachment = loop {
            let attached = Attachment::start(&path, self.configure()).await;
            match attached {
                Ok(attachment) => break attachment,
                Err(LocalError::Absent(_)) if may_host => {}
                Err(error) => return Err(error.into()),
            }
            // Before anything else of a host is opened, which two cannot have.
            match ListeningSocket::open(&path, Access::Owner) {
                Ok(socket) => {
                    self.local = Local::Listening(socket);
                    return Ok(None);
                }
                Err(LocalError::InUse(_)) if Instant::now() < deadline => {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                Err(error) => return Err(error.into()),
            }
        };
        let (stop, _) = watch::channel(false);
        let side = Side::Host(Arc::clone(&attachment));
        let inner = Arc::new(Inner {
            side,
            network: None,
            audit: Arc::new(AuditLog::new()),
            stop,
        });
        let samgr = attachment.bus.samgr();
        self.services.register(&samgr)?;
        for service in samgr.own() {
            let registered = attachment.register(service, limits::DEFAULT_WAIT).await;
            registered.map_err(|error| StartNodeError::Service { service, error })?;
        }
        Ok(Some(Node { inner }))
    }

    pub(super) async fn start_on_network(mut self) -> Result<Node, StartNodeError> {
        // First of all: whoever has the socket is the host.
        #[cfg(target_os = "linux")]
        let socket = match std::mem::take(&mut self.local) {
            Local::Host(path, access) => Some(ListeningSocket::open(&path, access)?),
            Local::Listening(socket) => Some(socket),
            Local::Alone | Local::Attach(_) | Local::AttachOrHost(_) => None,
        };
        let policies = self.policies()?;
        let fleet = self.open_fleet()?;
        let (identity, trust) = self.open()?;
        let Ports {
            endpoint,
            tcp,
            address,
        } = self.ports().open(&identity)?;
        let boot = identity.boot_id();
        let party = Party {
            device: *identity.device_id(),
            process: 0,
        };
        let mut bus = BusConfig::new(party, boot);
        bus.versions = self.versions.unwrap_or(bus.versions);
        self.configure()(&mut bus);
        let bus = Bus::new(bus);
        let audit = Arc::new(AuditLog::new());
        let (fleet_file, fleet) = fleet.unzip();
        let members = Arc::new(Members::new(fleet));
        let owners = OwnersPolicy::new(policies.clone(), Arc::clone(&members), Arc::clone(&audit));
        bus.set_access_policy(Arc::new(owners));
        self.services.register(&bus.samgr())?;
        #[cfg(target_os = "linux")]
        let host = socket.map(|socket| {
            let secret = identity.transport_secret("numbers of local processes");
            LocalHost::start(Arc::clone(&bus), socket, &secret, self.egress.clone())
        });
        let owner = Owner {
            trust: trust.clone(),
            audit: Arc::clone(&audit),
            members: Arc::clone(&members),
            max_devices: self.max_devices.unwrap_or(MAX_DEVICES),
        };
        let carriers = Carriers {
            endpoint,
            transports: self.transports,
        };
        let peers = Peers::new(bus, Arc::new(identity), owner, carriers, self.profile);
        peers
            .pairing
            .set_name(self.name.as_deref().unwrap_or_default());
        #[cfg(target_os = "linux")]
        if let Some(host) = &host {
            peers.host_local(host);
        }
        peers.start(self.strangers, tcp);
        let (stop, _) = watch::channel(false);
        let advertisement = advertisement(
            party.device,
            boot.epoch,
            address.port(),
            self.name.as_deref(),
            peers.bus.config().versions,
        );
        let discoveries = Discoveries::start(
            std::mem::take(&mut self.discoveries),
            self.mdns.take(),
            self.static_list()?,
            advertisement,
            &peers,
            stop.subscribe(),
        )
        .await?;
        let subscription = trust.subscribe({
            let peers = Arc::downgrade(&peers);
            let discoveries = Arc::downgrade(&discoveries);
            move |change| {
                if let Some(peers) = peers.upgrade() {
                    peers.trust_changed(change.device, change.withdraws());
                }
                if let Some(discoveries) = discoveries.upgrade() {
                    discoveries.trust_changed();
                }
            }
        });
        // Behind the subscription, which has to hear what it finds.
        tokio::spawn(trust_file::follow(trust, stop.subscribe()));
        if let Some(file) = fleet_file {
            let peers = Arc::downgrade(&peers);
            tokio::spawn(fleet_file::follow(file, members, peers, stop.subscribe()));
        }
        tokio::spawn(policy_file::follow(
            policies.clone(),
            Arc::downgrade(&peers.bus),
            Arc::clone(&audit),
            stop.subscribe(),
        ));
        tracing::info!(device = ?party.device, %address, "node started");
        Ok(Node {
            inner: Arc::new(Inner {
                side: Side::Network(peers),
                network: Some(Network {
                    discoveries,
                    address,
                    #[cfg(target_os = "linux")]
                    host,
                    policies,
                    _trust: subscription,
                }),
                audit,
                stop,
            }),
        })
    }

    fn policies(&mut self) -> Result<PolicyStore, StartNodeError> {
        let policies = match (self.policies.take(), &self.directory) {
            (Some(policies), _) => Ok(policies),
            (None, Some(directory)) => PolicyStore::open_if_there(directory.join("policy.toml")),
            (None, None) => Ok(PolicyStore::new()),
        };
        policies.map_err(|error| StartNodeError::Policy(error.to_string()))
    }

    fn open_fleet(&self) -> Result<Option<(PathBuf, Fleet)>, StartNodeError> {
        let in_directory = || {
            let file = self.directory.as_ref()?.join("fleet.toml");
            file.exists().then_some(file)
        };
        let Some(file) = self.fleet.clone().or_else(in_directory) else {
            return Ok(None);
        };
        match Fleet::open(&file) {
            Ok(fleet) => Ok(Some((file, fleet))),
            Err(error) => Err(StartNodeError::Fleet(error.to_string())),
        }
    }

    fn open(&mut self) -> Result<(Identity, TrustStore), StartNodeError> {
        let identity = match (self.identity.take(), &self.directory) {
            (Some(identity), _) => identity,
            (None, Some(directory)) => Identity::open(directory)
                .map_err(|error| StartNodeError::Identity(error.to_string()))?,
            (None, None) => return Err(StartNodeError::NoIdentity),
        };
        let trust = match (self.trust.take(), &self.directory) {
            (Some(trust), _) => trust,
            (None, Some(directory)) => TrustStore::open(directory)
                .map_err(|error| StartNodeError::Trust(error.to_string()))?,
            (None, None) => TrustStore::in_memory(),
        };
        Ok((identity, trust))
    }

    fn ports(&self) -> ports::Wanted {
        ports::Wanted {
            listen: self.listen,
            port: self.port,
            profile: self.profile,
            transports: self.transports,
        }
    }

    fn static_list(&mut self) -> Result<Option<StaticPeers>, StartNodeError> {
        if self.static_peers.is_empty() {
            return Ok(None);
        }
        StaticPeers::new(
            discovery::Source::STATIC,
            std::mem::take(&mut self.static_peers),
        )
        .map(Some)
        .map_err(|error| StartNodeError::Discovery(error.to_string()))
    }
}
