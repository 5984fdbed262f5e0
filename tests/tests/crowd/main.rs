//! Many devices at a time, a process and a network namespace each. Alone in this program: beside them nothing else meets its deadlines.

#![cfg(target_os = "linux")]

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use softbus::transport::Transports;
use testkit::{scenarios::measured, site::Site};

/// So many processes may find a machine that has other things to do.
const MANY: Duration = Duration::from_secs(240);

/// Who has it is the only test.
static ALONE: Mutex<()> = Mutex::new(());

/// All pairs, in both directions: with 50 devices 1,225 sessions and 2,450 calls.
fn devices_find_connect_and_call_each_other(devices: usize, transports: Transports) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(site) = Site::or_skip(env!("CARGO_BIN_EXE_lab_node"), devices) else {
        return;
    };
    let site = site.over(transports);
    let begun = Instant::now();
    let mut nodes: Vec<_> = (1..=devices).map(|place| site.start(place)).collect();
    measured(&format!("{devices} devices started"), begun.elapsed());
    site.all_are_online_within(&mut nodes, MANY);
    measured("all online to each other", begun.elapsed());
    let mut calls = 0;
    for (index, node) in nodes.iter_mut().enumerate() {
        for other in (1..=devices).filter(|place| place - 1 != index) {
            node.succeeds(&format!("call {}", site.id(other)));
            calls += 1;
        }
    }
    assert_eq!(calls, devices * (devices - 1));
    measured(&format!("and {calls} calls, each of each"), begun.elapsed());
    site.all_hold_one_session(&mut nodes);
}

#[test]
fn fifty_devices_find_connect_and_call_each_other_by_quic() {
    devices_find_connect_and_call_each_other(50, Transports::Quic);
}

#[test]
fn fifty_devices_find_connect_and_call_each_other_by_tcp() {
    devices_find_connect_and_call_each_other(50, Transports::Tcp);
}
