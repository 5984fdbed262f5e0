//! Watches the service of `hello_service`: says when it dies and why, and finds it again when it is back.
//!
//! On one machine, in two terminals; on two machines without `--loopback`:
//!
//! ```sh
//! cargo run -p softbus-examples --bin hello_service -- --loopback
//! cargo run -p softbus-examples --bin death_watch -- --loopback --trust ID_THE_SERVICE_PRINTS
//! ```
//!
//! The watcher's id is to be typed in the service's terminal. Then end the service, with Ctrl-C or with `kill -9`, and
//! start it again.

use std::time::Duration;

use softbus::{DeviceId, Node, ServiceId};
use softbus_examples::Arguments;
use tokio::sync::mpsc;

const HELLO: ServiceId = ServiceId::new(1401).unwrap();

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = Arguments::parse("death_watch", "death-watch");
    let device = arguments.other()?;
    let node = Node::builder()
        .identity_dir(&arguments.dir)
        .mdns(arguments.interfaces.clone())
        .listen(arguments.listen)
        .start()
        .await?;
    arguments.introduce(&node)?;
    tokio::select! {
        watched = watch(&node, device) => watched?,
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    node.shutdown().await;
    Ok(())
}

async fn watch(node: &Node, device: DeviceId) -> Result<(), Box<dyn std::error::Error>> {
    loop {
        let hello = match node.samgr().get(HELLO, &device).await {
            Ok(object) => object,
            Err(error) => {
                println!("not there: {error}");
                tokio::time::sleep(Duration::from_secs(1)).await;
                continue;
            }
        };
        // The notice comes once, on the node's runtime. Dropping the link takes the wish to be told back.
        let (died, mut death) = mpsc::unbounded_channel();
        let _link = hello.link_to_death(move |reason| {
            let _ = died.send(reason);
        })?;
        println!("alive");
        if let Some(reason) = death.recv().await {
            println!("dead: {reason}");
        }
        // The proxy stays dead; the next turn gets a new one.
        assert!(hello.is_dead());
    }
}
