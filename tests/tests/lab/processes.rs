//! Processes on two devices, each attached to the host of its own: what one calls of the other goes through both hosts.

use std::{path::PathBuf, process::Command, time::Duration};

use serde_json::Value;
use testkit::process::Process;

use crate::site::{Site, site};

/// Longer than a device takes to be missed and found again.
const SOON: Duration = Duration::from_secs(40);

fn socket(site: &Site, place: usize) -> PathBuf {
    site.home(place).join("bus.sock")
}

fn wait_for(process: &mut Process, event: &str) -> Value {
    let wanted = |found: &Value| found["event"] == event;
    process.wait_for_event(SOON, wanted).unwrap()
}

fn told(process: &mut Process, line: &str, event: &str) -> Value {
    process.send_line(line).unwrap();
    wait_for(process, event)
}

fn host(site: &Site, place: usize) -> Process {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lab_node"));
    command.arg(site.home(place)).arg(socket(site, place));
    let mut host = site.lab.run_in(place, command).unwrap();
    wait_for(&mut host, "ready");
    host
}

fn attach(site: &Site, place: usize) -> Process {
    let mut command = Command::new(env!("CARGO_BIN_EXE_local_process"));
    command.arg(socket(site, place));
    let mut process = site.lab.run_in(place, command).unwrap();
    wait_for(&mut process, "ready");
    process
}

/// A process with a service on the second device.
fn serving(site: &Site) -> Process {
    let mut process = attach(site, 2);
    told(&mut process, "offer", "offers");
    process
}

/// A process of the first device calls the service of the second, and is called back.
fn meets(process: &mut Process, site: &Site) {
    let met = told(process, &format!("meet {}", site.id(2)), "met");
    assert_eq!(
        (&met["result"], &met["called back"]),
        (&9102.into(), &21.into())
    );
}

fn died(process: &mut Process) -> Value {
    wait_for(process, "died")["reason"].take()
}

/// Rows 104 and 106, and what each end of the chain notices when a process in it is killed.
#[test]
fn processes_of_two_devices_call_each_other_through_their_hosts() {
    let Some(site) = site(2) else { return };
    let mut hosts = [host(&site, 1), host(&site, 2)];
    let mut caller = attach(&site, 1);
    let mut server = serving(&site);
    meets(&mut caller, &site);
    let refused = told(&mut caller, "hand over", "handed over");
    let error = refused["error"].as_str().unwrap();
    assert!(error.contains("SecondLocalPass"), "{error}");

    // The process with the service: it is dead, and its device is not.
    server.kill().unwrap();
    assert_eq!(died(&mut caller), "ProcessDied");
    let dead = told(&mut caller, "again", "called");
    assert!(
        dead["error"].as_str().unwrap().starts_with("DeadObject"),
        "{dead}"
    );
    let _server = serving(&site);
    meets(&mut caller, &site);

    // The host of who calls.
    hosts[0].kill().unwrap();
    assert_eq!(died(&mut caller), "HostGone");
    hosts[0] = host(&site, 1);
    meets(&mut caller, &site);

    // The host of the service: with the next one it is registered by its process, which lives on.
    hosts[1].kill().unwrap();
    // Its socket answers that nobody is there, or it does not answer.
    let reason = died(&mut caller);
    assert!(["ProcessDied", "DeviceUnreachable"].contains(&reason.as_str().unwrap()));
    hosts[1] = host(&site, 2);
    meets(&mut caller, &site);
}
