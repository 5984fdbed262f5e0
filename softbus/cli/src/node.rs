//! Starting a node for a command, and taking leave when it is done.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

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

/// Runs `work` with a node, until it is done or the user asks to stop; the node takes leave either way. Asked a second
/// time, it goes without.
pub(crate) async fn with_node(
    context: &Context<'_>,
    on_signal: OnSignal,
    work: impl AsyncFnOnce(&Node) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut signal = StopSignal::new()?;
    let node = start(context).await?;
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

async fn start(context: &Context<'_>) -> Result<Node, Failure> {
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
    let builder = builder.identity(identity.map_err(|error| identity_failure(context, &error))?);
    builder.start().await.map_err(|error| {
        let hint = match &error {
            StartNodeError::Bind { .. } => {
                "another program may listen there: choose another --port or --listen"
            }
            StartNodeError::Discovery(_) => {
                "--no-mdns does without, --interface NAME chooses where"
            }
            _ => return Failure::failed(error.to_string()),
        };
        Failure::failed(error.to_string()).hint(hint)
    })
}

/// Why there is no identity to start with.
pub(crate) fn identity_failure(context: &Context<'_>, error: &OpenIdentityError) -> Failure {
    let OpenIdentityError::IdentityInUse { .. } = error else {
        return Failure::failed(error.to_string());
    };
    let directory = context.directory.display();
    Failure::failed(format!("the identity in {directory} is in use by another process, as `softbus run`")).hint(
        "give this command a directory of its own, which makes it another device: softbus --dir DIR ..; \
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
    builder = match network.listen.and_then(|listen| listen.ip) {
        Some(ip) => builder.listen(SocketAddr::new(ip, port)),
        None => builder.port(port),
    };
    // clap does not notice when one stands before the command and the other behind it.
    if network.no_mdns && !network.interfaces.is_empty() {
        return Err(
            Failure::new(Kind::Usage, "--no-mdns and --interface exclude each other")
                .hint("leave one of them out"),
        );
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
