//! Who may call what: the policy of a device's owner, in code and in a file, and what is told of what it refuses.
//!
//! Two devices in one process, which find each other by their addresses; nothing is announced:
//!
//! ```sh
//! cargo run -p softbus-examples --bin policy
//! ```

use std::{error::Error, path::Path};

use softbus::{
    Allow, Identity, Node, NodeBuilder, Policy, ServiceId, ServiceOptions, TrustStore,
    certs::{PolicyStore, Rule, Subject},
    remote_interface,
};

#[remote_interface(descriptor = "org.example.Heating")]
trait Heating {
    async fn temperature(&self) -> i32;
    async fn turn_off(&self);
}

struct Boiler;

impl Heating for Boiler {
    async fn temperature(&self) -> i32 {
        21
    }

    async fn turn_off(&self) {}
}

const HEATING: ServiceId = ServiceId::new(1410).unwrap();

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let guest = Identity::generate()?;

    // In code: the first method, for the devices of a group.
    let rule = Rule::allow("read").from(Subject::group("guests"));
    let policy = Policy::builder()
        .group("guests", [*guest.device_id()])
        .rule(rule.service(HEATING).methods([1]))
        .build()?;
    let (heating, [owner, _guest]) = visit(|builder| builder.policy(policy), guest).await?;
    println!("temperature: {}", heating.temperature().await?);
    let mut audit = owner.audit();
    if let Err(error) = heating.turn_off().await {
        println!("turn off: {error}");
    }
    println!(
        "the owner is told: {:?}",
        audit.next().await.map(|record| record.event)
    );

    // The owner changes their mind: the guest's proxy dies.
    owner.set_policy(Policy::default());
    if let Err(error) = heating.temperature().await {
        println!("temperature: {error}");
    }

    // In a file, with a test of its own that has to hold, or the file is not taken.
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("policy.toml");
    std::fs::write(&file, FILE)?;
    let guest = Identity::generate()?;
    let (heating, _nodes) = visit(|builder| builder.policy(open(&file)), guest).await?;
    println!("by the file, turn off: {:?}", heating.turn_off().await);
    Ok(())
}

const FILE: &str = r#"version = 1
[[rule]]
id = "everybody"
from = ["trusted"]
service = [1410]
methods = "*"
[[test]]
from = "trusted"
service = 1410
method = 2
expect = "allow"
"#;

/// As [`Node::builder`] does by itself with a `policy.toml` in the directory of the identity.
fn open(file: &Path) -> PolicyStore {
    PolicyStore::open(file).expect("a policy that is right")
}

/// Starts an owner who offers the heating by policy, and a guest who gets it.
async fn visit(
    with: impl FnOnce(NodeBuilder) -> NodeBuilder,
    guest: Identity,
) -> Result<(HeatingProxy, [Node; 2]), Box<dyn Error>> {
    let owner = Identity::generate()?;
    let (owner_id, guest_id) = (*owner.device_id(), *guest.device_id());
    let node = |identity, other| -> Result<NodeBuilder, Box<dyn Error>> {
        let trust = TrustStore::in_memory();
        trust.trust(other, "")?;
        let builder = Node::builder().identity(identity).trust(trust);
        Ok(builder.listen("127.0.0.1:0".parse()?))
    };
    let owner = with(node(owner, guest_id)?).start().await?;
    let options = ServiceOptions::distributed(Allow::by_policy());
    let samgr = owner.samgr();
    samgr.add(HEATING, &HeatingStub::new(Boiler).into(), options)?;
    let address = owner.local_addr().ok_or("a node with a network")?;
    let guest = node(guest, owner_id)?.static_peer(owner_id, address);
    let guest = guest.start().await?;
    let heating = guest.samgr().get(HEATING, &owner_id).await?;
    Ok((HeatingProxy::new(heating), [owner, guest]))
}
