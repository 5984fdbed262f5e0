//! An object passed as an argument: the listener tells the clock whom to call, and the clock calls it back.
//!
//! On one machine, in two terminals; on two machines without `--loopback`:
//!
//! ```sh
//! cargo run -p softbus-examples --bin callback -- clock --loopback
//! cargo run -p softbus-examples --bin callback -- listen --loopback --dir listener --trust ID_THE_CLOCK_PRINTS
//! ```
//!
//! The listener's id is to be typed in the clock's terminal. It then hears three ticks, and the clock what it answered.

use std::time::Duration;

use softbus::{Allow, Caller, Node, ServiceId, ServiceOptions, remote_interface};
use softbus_examples::Arguments;

#[remote_interface(descriptor = "org.example.Listener")]
trait Listener {
    async fn tick(&self, caller: &Caller, number: u32) -> String;
}

#[remote_interface(descriptor = "org.example.Clock")]
trait Clock {
    /// Calls `listener` so many times, and returns when it has.
    async fn tell(&self, listener: ListenerProxy, times: u32) -> Result<(), String>;
}

struct Ear;

impl Listener for Ear {
    async fn tick(&self, caller: &Caller, number: u32) -> String {
        println!("tick {number} from {}", caller.device().short());
        format!("heard {number}")
    }
}

struct WallClock;

impl Clock for WallClock {
    async fn tell(&self, listener: ListenerProxy, times: u32) -> Result<(), String> {
        let mut seconds = tokio::time::interval(Duration::from_secs(1));
        for number in 1..=times {
            seconds.tick().await;
            let answer = listener
                .tick(number)
                .await
                .map_err(|error| error.to_string())?;
            println!("the listener says: {answer}");
        }
        Ok(())
    }
}

const CLOCK: ServiceId = ServiceId::new(1402).unwrap();

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = Arguments::parse("callback clock|listen", "clock");
    let node = Node::builder()
        .identity_dir(&arguments.dir)
        .mdns(arguments.interfaces.clone())
        .listen(arguments.listen)
        .start()
        .await?;
    arguments.introduce(&node)?;
    if arguments.words == ["listen"] {
        let clock = ClockProxy::new(node.samgr().get(CLOCK, &arguments.other()?).await?);
        // The stub stays here; the clock gets a proxy of it.
        clock.tell(ListenerStub::new(Ear).into_proxy(), 3).await?;
        println!("done");
    } else {
        let options = ServiceOptions::distributed(Allow::trusted());
        node.samgr()
            .add(CLOCK, &ClockStub::new(WallClock).into(), options)?;
        tokio::signal::ctrl_c().await?;
    }
    node.shutdown().await;
    Ok(())
}
