//! A program in C that attaches to the bus of its device, which a program in Rust hosts.

use std::{fs, os::unix::net::UnixListener, path::Path, time::Duration};

use softbus::{CallOption, Node, Parcel, RemoteObject, ServiceId, ServiceOptions};
use testkit::process::Process;

use crate::{
    adder::{Adder, SERVICE},
    build::{self, Language, Program},
};

const OF_C: ServiceId = ServiceId::new(1402).unwrap();
pub(crate) const SOON: Duration = Duration::from_secs(60);
/// What ends the program's test.
const LAST: u32 = 0x00ff_ffff;

/// A host with a service that adds, on a socket that it is given.
pub(crate) async fn host(program: &Program, socket: UnixListener) -> Node {
    let builder = Node::builder()
        .identity_dir(program.path("identity"))
        .listen("127.0.0.1:0".parse().unwrap())
        .host_local_on(socket);
    let node = builder.start().await.unwrap();
    let adder = RemoteObject::new(Adder);
    let options = ServiceOptions::local();
    node.samgr().add(SERVICE, &adder, options).unwrap();
    node
}

/// Calls the service that the program has registered, and ends its wait.
pub(crate) async fn call(node: &Node) -> i32 {
    let samgr = node.samgr();
    let found = samgr.wait_for(OF_C, &node.device_id(), SOON).await.unwrap();
    let mut data = Parcel::new();
    data.write_i32(41).unwrap();
    let option = CallOption::two_way().wait(SOON);
    let mut reply = found.send_request(1, &data, option).await.unwrap();
    found.send_request(LAST, &data, option).await.unwrap();
    reply.read_i32().unwrap()
}

#[test]
fn a_program_in_c_attaches_to_the_bus_of_its_device() {
    let program = Program::new();
    let path = program.program("attached", &build::c_file("attached.c"), Language::C);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let socket = program.path("softbus/bus.sock");
    fs::create_dir(socket.parent().unwrap()).unwrap();
    let listener = UnixListener::bind(&socket).unwrap();
    let node = runtime.block_on(host(&program, listener));
    let mut command = program.command(&path);
    // So that this is also where a host is by default.
    let directory: &Path = &program.path("");
    command.arg(&socket).env("XDG_RUNTIME_DIR", directory);
    let mut process = Process::spawn(command).unwrap();
    assert_eq!(runtime.block_on(call(&node)), 42);
    let device = format!("device {}", node.device_id());
    process.wait_for_line(SOON, |line| line == device).unwrap();
    process
        .wait_for_line(SOON, |line| line == "sum 42")
        .unwrap();
    assert!(process.wait(SOON).unwrap().success());
    runtime.block_on(node.shutdown());
}
