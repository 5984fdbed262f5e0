//! Two devices that know nothing of each other come to trust one another, by a code that one of them shows.
//!
//! On one machine, in two terminals; on two machines without `--loopback`:
//!
//! ```sh
//! cargo run -p softbus-examples --bin pairing -- show --loopback
//! cargo run -p softbus-examples --bin pairing -- enter ADDRESS --loopback --dir other
//! ```
//!
//! The second asks for the code that the first prints; the first then asks whether to pair with that device.

use std::error::Error;

use softbus::{
    Node,
    pairing::{PairWith, PairingEvent, PairingOptions},
};
use softbus_examples::Arguments;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse("pairing show | pairing enter ADDRESS", "pairing");
    let node = Node::builder()
        .identity_dir(&arguments.dir)
        .listen(arguments.listen)
        .name("example")
        .start()
        .await?;
    let words: Vec<_> = arguments.words.iter().map(String::as_str).collect();
    match words[..] {
        ["show"] => show(&node).await?,
        ["enter", address] => enter(&node, address).await?,
        _ => return Err("pairing show, or pairing enter ADDRESS".into()),
    }
    node.shutdown().await;
    Ok(())
}

/// A device with a screen: it shows a code, and asks who is to be let in.
async fn show(node: &Node) -> Result<(), Box<dyn Error>> {
    let mut window = node.open_pairing(PairingOptions::code()).await?;
    let code = window.code().ok_or("a window for a code has one")?;
    let at = node.local_addr().ok_or("no network")?;
    println!("at {at}, the code is {}", code.reveal());
    while let Some(event) = window.next().await {
        match event {
            PairingEvent::Request(request) => {
                // A name proves nothing; the id does.
                println!("{:?} ({})? y/n", request.claimed_name(), request.device());
                if line().await.starts_with('y') {
                    request.accept();
                }
            }
            PairingEvent::Failed { error, .. } => println!("somebody failed: {error}"),
            PairingEvent::Paired(paired) => println!("paired with {}", paired.device),
            _ => {}
        }
    }
    Ok(())
}

/// A device with a keyboard: the code is typed into it.
async fn enter(node: &Node, address: &str) -> Result<(), Box<dyn Error>> {
    println!("the code?");
    let code = line().await.parse()?;
    let paired = node.pair(PairWith::code([address.parse()?], code)).await?;
    println!("paired with {}", paired.device);
    Ok(())
}

async fn line() -> String {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    // Reading waits as long as people do, and nothing else may wait for that.
    std::thread::spawn(move || {
        let mut line = String::new();
        let _ = std::io::stdin().read_line(&mut line);
        let _ = sender.send(line);
    });
    receiver.await.unwrap_or_default()
}
