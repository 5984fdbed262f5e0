//! A program in C on one device of the lab, and a service in Rust on another.

use std::{net::SocketAddr, time::Duration};

use softbus::{Allow, Identity, Node, RemoteObject, ServiceOptions, TrustStore};
use testkit::netns::Lab;

use crate::{
    adder::{Adder, SERVICE},
    build::{self, Language, Program},
};

const SOON: Duration = Duration::from_secs(60);

/// An identity in a directory, and who it trusts.
fn identity(program: &Program, name: &str) -> Identity {
    Identity::open(program.path(name)).unwrap()
}

#[test]
fn a_program_in_c_calls_a_service_in_rust_on_another_device() {
    let Some(lab) = Lab::or_skip(2) else { return };
    let program = Program::new();
    let client = *identity(&program, "client").device_id();
    let server = identity(&program, "server");
    let id = *server.device_id();
    let trusted = TrustStore::open(program.path("client")).unwrap();
    trusted.trust(id, "server").unwrap();
    let trust = TrustStore::in_memory();
    trust.trust(client, "client").unwrap();
    let path = program.program("lab_client", &build::c_file("lab_client.c"), Language::C);

    let address = SocketAddr::from((lab.address(1), 7000));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let node = lab.within(1, || {
        let service = RemoteObject::new(Adder);
        let options = ServiceOptions::distributed(Allow::trusted());
        let builder = Node::builder()
            .identity(server)
            .trust(trust)
            .listen(address)
            .service(SERVICE, &service, options);
        runtime.block_on(builder.start()).unwrap()
    });
    let mut command = program.command(&path);
    command.arg(program.path("client")).args([
        id.to_string(),
        address.to_string(),
        SERVICE.to_string(),
    ]);
    let mut process = lab.run_in(2, command).unwrap();
    assert_eq!(process.next_line(SOON).unwrap(), "error 0 result 0 sum 42");
    assert!(process.wait(SOON).unwrap().success());
    runtime.block_on(node.shutdown());
}
