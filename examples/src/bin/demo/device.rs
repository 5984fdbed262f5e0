//! A device: a node, its services, and what it does when it is told to.

use std::{
    io::{self, BufRead, Write},
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    process::ExitCode,
    str::FromStr,
    thread,
};

use softbus::{DeviceId, Interfaces, Node};
use tokio::sync::mpsc;

use crate::{
    order::{Done, Failure, OrFail, Order, Report},
    services,
    steps::Steps,
};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[arg(long)]
    name: String,
    /// Where its identity and trust store are
    #[arg(long)]
    dir: PathBuf,
    /// Hosts the bus of its device here
    #[cfg(target_os = "linux")]
    #[arg(long)]
    host: Option<PathBuf>,
    /// Finds the others by mDNS
    #[arg(long)]
    mdns: bool,
    /// NAME=ID or NAME=ID@ADDRESS
    #[arg(long)]
    peer: Vec<Peer>,
}

/// Another device.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) name: String,
    pub(crate) id: DeviceId,
    address: Option<SocketAddr>,
}

impl FromStr for Peer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, rest) = text.split_once('=').ok_or("no = in it")?;
        let (id, address) = match rest.split_once('@') {
            Some((id, address)) => (id, Some(address)),
            None => (rest, None),
        };
        let address = address.map(str::parse).transpose();
        Ok(Self {
            name: name.to_owned(),
            id: id.parse().map_err(|error| format!("{error}"))?,
            address: address.map_err(|error| format!("{error}"))?,
        })
    }
}

/// Does what it is told until it is told to leave, or until nobody is there to tell it anything.
pub(crate) async fn run(arguments: Arguments) -> ExitCode {
    match perform(arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            tell(&Report::Answer(Err(failure)));
            ExitCode::FAILURE
        }
    }
}

async fn perform(arguments: Arguments) -> Result<(), Failure> {
    let mut orders = orders();
    let mut builder = Node::builder()
        .identity_dir(&arguments.dir)
        .policy(services::policy().or_fail("the policy to be right")?)
        .listen((Ipv4Addr::LOCALHOST, 0).into());
    if arguments.mdns {
        builder = builder.mdns(Interfaces::LoopbackOnly);
    }
    #[cfg(target_os = "linux")]
    if let Some(path) = &arguments.host {
        builder = builder.host_local(path);
    }
    for peer in &arguments.peer {
        if let Some(address) = peer.address {
            builder = builder.static_peer(peer.id, address);
        }
    }
    let expected = format!("the node of {} to start", arguments.name);
    let node = builder.start().await.or_fail(&expected)?;
    services::offer(&node, &arguments.name)?;
    let mut steps = Steps::new(node.clone(), arguments.name, arguments.peer);
    tell(&Report::Ready {
        address: node
            .local_addr()
            .ok_or_else(|| Failure::new("an address", "none"))?,
    });
    while let Some(order) = orders.recv().await {
        let order = order?;
        if order == Order::Leave {
            let began = std::time::Instant::now();
            node.shutdown().await;
            tell(&Report::Answer(Ok(Done::new(began.elapsed(), "left"))));
            return Ok(());
        }
        let outcome = steps.perform(order).await;
        tell(&Report::Answer(outcome));
    }
    Ok(())
}

/// Orders as they come. A thread of its own reads them: one that waits for input would hold up the end of the runtime.
pub(crate) fn orders() -> mpsc::UnboundedReceiver<Result<Order, Failure>> {
    let (sender, orders) = mpsc::unbounded_channel();
    thread::spawn(move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            let order = serde_json::from_str(&line).or_fail("an order");
            if sender.send(order).is_err() {
                return;
            }
        }
    });
    orders
}

/// Says something to the director; one that has gone has ended this process's input as well.
pub(crate) fn tell(report: &Report) {
    if let Ok(line) = serde_json::to_string(report) {
        let _ = writeln!(io::stdout(), "{line}");
    }
}
