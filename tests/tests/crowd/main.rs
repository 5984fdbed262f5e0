//! Many devices at a time, a process and a network namespace each. Alone in this program: beside them nothing else meets its deadlines.

#![cfg(target_os = "linux")]

use std::time::{Duration, Instant};

use testkit::{scenarios::measured, site::Site};

/// So many processes may find a machine that has other things to do.
const MANY: Duration = Duration::from_secs(240);

#[test]
fn twenty_five_devices_find_connect_and_call_each_other() {
    const DEVICES: usize = 25;
    let Some(site) = Site::or_skip(env!("CARGO_BIN_EXE_lab_node"), DEVICES) else {
        return;
    };
    let began = Instant::now();
    let mut nodes: Vec<_> = (1..=DEVICES).map(|place| site.start(place)).collect();
    measured("25 devices started", began.elapsed());
    for (index, node) in nodes.iter_mut().enumerate() {
        let mut others: Vec<_> = (1..=DEVICES).filter(|place| place - 1 != index).collect();
        while !others.is_empty() {
            let online = node.wait_for("online", MANY);
            others.retain(|place| online["device"] != site.id(*place));
        }
    }
    measured("25 devices online to each other", began.elapsed());
    for (index, node) in nodes.iter_mut().enumerate() {
        for other in (1..=DEVICES).filter(|place| place - 1 != index) {
            node.succeeds(&format!("call {}", site.id(other)));
        }
    }
    measured("and each has called each", began.elapsed());
}
