//! `hello_service` and `hello_client` without `#[remote_interface]`: what it writes, by hand. The bytes are the same, so
//! either side works with the other kind.
//!
//! On one machine, in two terminals; on two machines without `--loopback`:
//!
//! ```sh
//! cargo run -p softbus-examples --bin hello_by_hand -- serve --loopback
//! cargo run -p softbus-examples --bin hello_by_hand -- call --loopback --dir hello-client --trust ID_THE_SERVICE_PRINTS
//! ```
//!
//! As with `hello_client`, the id of the caller is to be typed in the service's terminal.

use softbus::{
    Allow, CallOption, Caller, HandlerError, Node, Parcel, RemoteObject, RemoteStub, ServiceId,
    ServiceOptions, async_trait,
};
use softbus_examples::Arguments;

const HELLO: ServiceId = ServiceId::new(1401).unwrap();
/// The first method of the interface.
const SAY_HELLO: u32 = 1;

struct Greeter;

#[async_trait]
impl RemoteStub for Greeter {
    fn descriptor(&self) -> &str {
        "org.example.Hello"
    }

    async fn on_remote_request(
        &self,
        caller: &Caller,
        code: u32,
        data: &mut Parcel,
        reply: &mut Parcel,
    ) -> Result<(), HandlerError> {
        match code {
            SAY_HELLO => {
                let name = data.read_string()?;
                println!("{name} is greeted on {}", caller.device().short());
                Ok(reply.write_string(&format!("hello, {name}"))?)
            }
            _ => Err(HandlerError::UnknownMethod),
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = Arguments::parse("hello_by_hand serve|call", "hello-by-hand");
    let node = Node::builder()
        .identity_dir(&arguments.dir)
        .mdns(arguments.interfaces.clone())
        .listen(arguments.listen)
        .start()
        .await?;
    arguments.introduce(&node)?;
    if arguments.words == ["call"] {
        let hello = node.samgr().get(HELLO, &arguments.other()?).await?;
        let mut data = Parcel::new();
        data.write_string("parcel")?;
        let mut reply = hello
            .send_request(SAY_HELLO, &data, CallOption::two_way())
            .await?;
        println!("{}", reply.read_string()?);
    } else {
        let options = ServiceOptions::distributed(Allow::trusted());
        node.samgr()
            .add(HELLO, &RemoteObject::new(Greeter), options)?;
        tokio::signal::ctrl_c().await?;
    }
    node.shutdown().await;
    Ok(())
}
