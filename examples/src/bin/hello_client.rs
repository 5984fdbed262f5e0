//! Calls the service of `hello_service`, or of `hello_by_hand`, on another device.
//!
//! On one machine, in two terminals; on two machines without `--loopback`:
//!
//! ```sh
//! cargo run -p softbus-examples --bin hello_service -- --loopback
//! cargo run -p softbus-examples --bin hello_client -- --loopback --trust ID_THE_SERVICE_PRINTS kitchen
//! ```
//!
//! Until the service trusts this device it says so and ends with 1; type its id in the service's terminal and try again.

use softbus::{GetServiceError, Node, ServiceId, remote_interface};
use softbus_examples::Arguments;

/// The same trait as in the service; larger programs share it in a crate of its own.
#[remote_interface(descriptor = "org.example.Hello")]
trait Hello {
    async fn hello(&self, name: &str) -> String;
}

const HELLO: ServiceId = ServiceId::new(1401).unwrap();

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = Arguments::parse("hello_client [NAME]", "hello-client");
    let service = arguments.other()?;
    let node = Node::builder()
        .identity_dir(&arguments.dir)
        .mdns(arguments.interfaces.clone())
        .listen(arguments.listen)
        .start()
        .await?;
    arguments.introduce(&node)?;

    // Waits until the device is found, 8 s at most.
    let hello = match node.samgr().get(HELLO, &service).await {
        Ok(object) => HelloProxy::new(object),
        Err(GetServiceError::NotTrustedByDevice) => {
            return Err(
                "the service's device does not trust this one yet: type this one's id there".into(),
            );
        }
        Err(error) => return Err(error.into()),
    };
    let name = arguments.words.first().map_or("world", String::as_str);
    println!("{}", hello.hello(name).await?);
    node.shutdown().await;
    Ok(())
}
