//! Starting a node for a command, and taking leave when it is done.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

#[cfg(target_os = "linux")]
use softbus::local::LocalError;
use softbus::{
    Identity, Interfaces, Node, NodeBuilder, TrustStore,
    certs::{OpenIdentityError, PolicyStore},
    discovery::Interface,
    error::StartNodeError,
};

use crate::{
    args::Network,
    command::{self, Context},
    failure::{Failure, Kind},
    signal::StopSignal,
};

/// What being asked to stop means to a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnSignal {
    /// That is how it ends.
    Done,
    /// It was not done yet.
    Interrupted,
}

/// Runs `work` with a node, which is a device or, with `--local`, a process of one.
pub(crate) async fn with_node(
    context: &Context<'_>,
    on_signal: OnSignal,
    work: impl AsyncFnOnce(&Node) -> Result<(), Failure>,
) -> Result<(), Failure> {
    #[cfg(target_os = "linux")]
    if let Some(path) = context.network.local_path() {
        let attached = async {
            Node::attach(path)
                .await
                .map_err(|error| start_failure(&error))
        };
        return with_started(attached, on_signal, work).await;
    }
    with_started(start(device(context)?), on_signal, work).await
}

/// Runs `work` with a node that is a device and, with `--local`, hosts its bus.
pub(crate) async fn with_host(
    context: &Context<'_>,
    on_signal: OnSignal,
    work: impl AsyncFnOnce(&Node) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let builder = device(context)?;
    #[cfg(target_os = "linux")]
    let builder = match context.network.local_path() {
        // Whoever started us may listen already, and then knows where.
        Some(path) => match listenfd::ListenFd::from_env().take_unix_listener(0) {
            Ok(Some(listener)) => builder.host_local_on(listener),
            Ok(None) => builder.host_local(path),
            Err(error) => {
                let message = format!("the socket that was handed over is none: {error}");
                return Err(Failure::failed(message).hint(
                    "the unit needs ListenStream= with a path, as systemd/softbus.socket has it",
                ));
            }
        },
        None => builder,
    };
    with_started(start(builder), on_signal, work).await
}

/// Until it is done or the user asks to stop; the node takes leave either way. Asked a second time, it goes without.
async fn with_started(
    start: impl Future<Output = Result<Node, Failure>>,
    on_signal: OnSignal,
    work: impl AsyncFnOnce(&Node) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut signal = StopSignal::new()?;
    let node = start.await?;
    let result = tokio::select! {
        result = work(&node) => result,
        () = signal.received() => match on_signal {
            OnSignal::Done => Ok(()),
            OnSignal::Interrupted => Err(Failure::interrupted()),
        },
    };
    tokio::select! {
        () = node.shutdown() => result,
        () = signal.received() => Err(Failure::interrupted()),
    }
}

/// A node with everything that the directory and the command line say.
fn device(context: &Context<'_>) -> Result<NodeBuilder, Failure> {
    let trust = context.trust()?;
    let builder = network(Node::builder(), &context.network, &trust)?.trust(trust);
    let policies = PolicyStore::open_if_there(command::policy::file_in(&context.directory));
    let policies = policies.map_err(|error| {
        Failure::failed(error.to_string())
            .hint("a node does not start with a policy that is not right")
    })?;
    let builder = builder.policy(policies);
    let builder = match command::ca::fleet_in(&context.directory) {
        Some(fleet) => builder.fleet(fleet),
        None => builder,
    };
    // Last, because it counts as a start.
    let identity = Identity::open(&context.directory);
    Ok(builder.identity(identity.map_err(|error| identity_failure(context, &error))?))
}

async fn start(builder: NodeBuilder) -> Result<Node, Failure> {
    builder.start().await.map_err(|error| start_failure(&error))
}

fn start_failure(error: &StartNodeError) -> Failure {
    let hint = match error {
        StartNodeError::Bind { .. } => {
            "another program may listen there: choose another --port or --listen"
        }
        StartNodeError::Discovery(_) => "--no-mdns does without, --interface NAME chooses where",
        #[cfg(target_os = "linux")]
        StartNodeError::Local(LocalError::Absent(_)) => {
            return Failure::new(Kind::NotFound, error.to_string())
                .hint("start the host of this device's bus: softbus run --local");
        }
        #[cfg(target_os = "linux")]
        StartNodeError::Local(LocalError::Denied(_)) => {
            return Failure::new(Kind::Refused, error.to_string())
                .hint("the host says who may attach; by default it is its own user alone");
        }
        #[cfg(target_os = "linux")]
        StartNodeError::Local(LocalError::InUse(_)) => {
            "this device has a host already; --local=PATH chooses another place"
        }
        _ => return Failure::failed(error.to_string()),
    };
    Failure::failed(error.to_string()).hint(hint)
}

/// Why there is no identity to start with.
pub(crate) fn identity_failure(context: &Context<'_>, error: &OpenIdentityError) -> Failure {
    let OpenIdentityError::IdentityInUse { .. } = error else {
        return Failure::failed(error.to_string());
    };
    let directory = context.directory.display();
    Failure::failed(format!("the identity in {directory} is in use by another process, as `softbus run`")).hint(
        "run this command with --local, which makes it a process of the same device (on Linux), and that one, if it does not yet, as \
         `softbus run --local`, of which there is one; or give this command a directory of its own, which makes it another device: softbus --dir DIR ..; \
         the devices it shall talk to have to trust the id that `softbus --dir DIR identity show` prints; \
         to pair with the one that runs, start it as `softbus run --pair`",
    )
}

fn network(
    mut builder: NodeBuilder,
    network: &Network,
    trust: &TrustStore,
) -> Result<NodeBuilder, Failure> {
    let port = port(network)?;
    builder = match network.listen {
        Some(listen) => builder.listen(SocketAddr::new(listen.ip, port)),
        None => builder.port(port),
    };
    builder = builder.transports(network.transports.unwrap_or_default());
    // clap does not notice when one stands before the command and the other behind it.
    if network.no_mdns && !network.interfaces.is_empty() {
        return Err(
            Failure::new(Kind::Usage, "--no-mdns and --interface exclude each other")
                .hint("leave one of them out"),
        );
    }
    if let Some(name) = &network.called {
        builder = builder.name(name);
    }
    if !network.no_mdns {
        builder = builder.mdns(interfaces(&network.interfaces));
    }
    let known = command::trusted(Some(trust));
    for peer in &network.peers {
        let device = crate::device_name::resolve(&peer.device, &known)?;
        builder = builder.static_peer(device, peer.address);
    }
    Ok(builder)
}

fn port(network: &Network) -> Result<u16, Failure> {
    let of_address = network.listen.and_then(|listen| listen.port);
    match (of_address, network.port) {
        (Some(one), Some(other)) if one != other => {
            let message = format!("--listen says port {one} and --port says {other}");
            Err(Failure::new(Kind::Usage, message).hint("leave one of them out"))
        }
        (one, other) => Ok(one.or(other).unwrap_or(0)),
    }
}

fn interfaces(names: &[String]) -> Interfaces {
    const LOOPBACK: &str = "loopback";
    if names.is_empty() {
        return Interfaces::All;
    }
    if names.iter().all(|name| name == LOOPBACK) {
        return Interfaces::LoopbackOnly;
    }
    let interface = |name: &String| match name.as_str() {
        LOOPBACK => Interface::Addr(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        name => Interface::from(name),
    };
    Interfaces::Only(names.iter().map(interface).collect())
}
