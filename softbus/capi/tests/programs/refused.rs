//! What a program in C that attaches does not get, and is told why: of a host that has no room or no right for it, and of one
//! that is gone.

use std::{
    fs::{self, Permissions},
    os::unix::{fs::PermissionsExt, net::UnixListener},
    path::PathBuf,
};

use softbus::{
    Node, Policy, RemoteObject, ServiceId, ServiceOptions, certs::RegisterRule, rpc::limits,
};
use testkit::{process::Process, skip::skip};
use tokio::runtime::Runtime;

use crate::{
    adder::Adder,
    attached::{SOON, call, host},
    build::{self, Language, Program},
};

/// What everybody may register, for this device only.
const OPEN: ServiceId = ServiceId::new(1403).unwrap();
const LATE: ServiceId = ServiceId::new(1404).unwrap();
const BROKEN: ServiceId = ServiceId::new(1405).unwrap();

/// Who may use the socket of a host.
const EVERYBODY: u32 = 0o666;
const NOBODY: u32 = 0;

struct Device {
    runtime: Runtime,
    program: Program,
    socket: PathBuf,
    host: Node,
}

impl Device {
    /// One whose host is on a socket with this mode, in a directory that every user reaches.
    fn start(mode: u32) -> Self {
        let program = Program::new();
        fs::set_permissions(program.path(""), Permissions::from_mode(0o711)).unwrap();
        let runtime = Runtime::new().unwrap();
        let socket = program.path("bus.sock");
        let host = begin(&runtime, &program, mode);
        Self {
            runtime,
            program,
            socket,
            host,
        }
    }

    /// Runs a test of `refused.c`.
    fn run(self, test: &str) {
        let mut process = self.spawn(test);
        assert!(process.wait(SOON).unwrap().success(), "{test}");
        self.runtime.block_on(self.host.shutdown());
    }

    fn spawn(&self, test: &str) -> Process {
        let source = build::c_file("refused.c");
        let path = self.program.program("refused", &source, Language::C);
        let mut command = self.program.command(&path);
        command.arg(&self.socket).arg(test);
        Process::spawn(command).unwrap()
    }
}

fn begin(runtime: &Runtime, program: &Program, mode: u32) -> Node {
    let socket = program.path("bus.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    fs::set_permissions(&socket, Permissions::from_mode(mode)).unwrap();
    runtime.block_on(host(program, listener))
}

/// Whether there can be a process of another user; says so loudly if not.
fn can_be_another_user() -> bool {
    let can = rustix::process::getuid().is_root();
    if !can {
        skip("only root can be another user");
    }
    can
}

#[test]
fn a_socket_that_is_not_for_it() {
    Device::start(NOBODY).run("who_may_not_use_the_socket_is_refused");
}

#[test]
fn more_processes_than_a_host_has_room_for() {
    Device::start(EVERYBODY).run("a_host_has_room_for_so_many_processes");
}

#[test]
fn services_that_the_owner_does_not_allow() {
    let device = Device::start(EVERYBODY);
    let rule = RegisterRule::new("open").services([OPEN]).every_user();
    let policy = Policy::builder().register(rule).build().unwrap();
    device.host.set_policy(policy);
    device.run("what_the_owners_policy_forbids_is_not_registered");
}

#[test]
fn services_of_another_user() {
    if can_be_another_user() {
        Device::start(EVERYBODY).run("what_another_user_has_registered_is_not_replaced");
    }
}

#[test]
fn more_services_than_a_device_has_room_for() {
    let device = Device::start(EVERYBODY);
    let stub = RemoteObject::new(Adder);
    let samgr = device.host.samgr();
    // One is there already.
    for number in 10_000..10_000 + limits::MAX_SERVICES as u32 - 1 {
        let service = ServiceId::new(number).unwrap();
        samgr.add(service, &stub, ServiceOptions::local()).unwrap();
    }
    device.run("a_device_has_room_for_so_many_services");
}

#[test]
fn services_that_do_not_start() {
    let device = Device::start(EVERYBODY);
    let samgr = device.host.samgr();
    let _where_it_is_started = device.runtime.enter();
    let late = || std::future::pending::<Result<RemoteObject, &str>>();
    samgr
        .add_on_demand(LATE, late, ServiceOptions::local())
        .unwrap();
    let broken = || std::future::ready(Err::<RemoteObject, _>("no such camera"));
    samgr
        .add_on_demand(BROKEN, broken, ServiceOptions::local())
        .unwrap();
    device.run("a_service_that_is_not_started_is_not_got");
}

#[test]
fn a_host_that_is_gone_and_the_next_one() {
    let device = Device::start(EVERYBODY);
    let mut process = device.spawn("without_a_host_a_service_waits_for_one");
    let Device {
        runtime,
        program,
        socket,
        host,
    } = device;
    process
        .wait_for_line(SOON, |line| line == "attached")
        .unwrap();
    runtime.block_on(host.shutdown());
    // With what it has of the identity, which the next one needs.
    drop(host);
    fs::remove_file(&socket).unwrap();
    process.send_line("gone").unwrap();
    process
        .wait_for_line(SOON, |line| line == "unreachable")
        .unwrap();
    let next = begin(&runtime, &program, EVERYBODY);
    assert_eq!(runtime.block_on(call(&next)), 42);
    assert!(process.wait(SOON).unwrap().success());
    runtime.block_on(next.shutdown());
}

/// A test in C that no device is prepared for would not run.
#[test]
fn every_test_has_its_device() {
    let ours = include_str!("refused.rs");
    let names = include_str!("../c/refused.c")
        .lines()
        .filter_map(|line| line.strip_prefix("TEST(")?.strip_suffix(')'));
    let forgotten: Vec<_> = names
        .filter(|name| !ours.contains(&format!("(\"{name}\")")))
        .collect();
    assert!(forgotten.is_empty(), "{forgotten:?}");
}
