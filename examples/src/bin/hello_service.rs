//! Offers a service that greets. Its client is `hello_client`.
//!
//! On one machine, in two terminals; on two machines without `--loopback`:
//!
//! ```sh
//! cargo run -p softbus-examples --bin hello_service -- --loopback
//! cargo run -p softbus-examples --bin hello_client -- --loopback --trust ID_THE_SERVICE_PRINTS
//! ```
//!
//! The client is a stranger at first: it prints its own id, which is to be typed in the service's terminal.

use softbus::{Allow, Node, ServiceId, ServiceOptions, remote_interface};
use softbus_examples::Arguments;

#[remote_interface(descriptor = "org.example.Hello")]
trait Hello {
    async fn hello(&self, name: &str) -> String;
}

struct Greeter;

impl Hello for Greeter {
    async fn hello(&self, name: &str) -> String {
        format!("hello, {name}")
    }
}

const HELLO: ServiceId = ServiceId::new(1401).unwrap();

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = Arguments::parse("hello_service", "hello-service");
    let node = Node::builder()
        .identity_dir(&arguments.dir)
        .mdns(arguments.interfaces.clone())
        .listen(arguments.listen)
        .start()
        .await?;
    let options = ServiceOptions::distributed(Allow::trusted());
    node.samgr()
        .add(HELLO, &HelloStub::new(Greeter).into(), options)?;
    arguments.introduce(&node)?;

    tokio::signal::ctrl_c().await?;
    node.shutdown().await;
    Ok(())
}
