//! Row 48 with a process of its own: this very test, told where to attach.

use std::{path::Path, process::Stdio};

use softbus::{local, rpc::ashmem::Ashmem};

use crate::{
    SOON, run,
    stage::{SERVICE, Stage, give, look, take},
};

/// Where the other process attaches.
const ATTACH: &str = "SOFTBUS_TEST_ATTACH";

#[test]
fn another_process_sees_a_gigabyte_and_takes_descriptors() {
    if let Some(path) = std::env::var_os(ATTACH) {
        return run(attached(path.as_ref()));
    }
    run(async {
        let stage = Stage::set().await;
        let this = std::env::current_exe().unwrap();
        let child = tokio::process::Command::new(this)
            .args(["another_process_sees_a_gigabyte", "--nocapture"])
            .env(ATTACH, &stage.path)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .status();
        assert!(child.await.unwrap().success());
    });
}

/// A line of what the system says of this process's memory, in KiB.
fn memory_of_this_process(line: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let found = status.lines().find(|found| found.starts_with(line));
    let number = found.unwrap().split_whitespace().nth(1);
    number.unwrap().parse().unwrap()
}

/// The other process.
async fn attached(path: &Path) {
    let (_bus, host) = local::attach(path).await.unwrap();
    let proxy = host.get_service(SERVICE, SOON).await.unwrap();
    let memory = Ashmem::create("gigabyte", 1 << 30).unwrap();
    memory.write(0, &[41]).unwrap();
    memory.write((1 << 30) - 1, &[7]).unwrap();
    assert_eq!(look(&proxy, &memory).await, Ok([41, 7]));
    let mut first = [0];
    memory.read(0, &mut first).unwrap();
    assert_eq!(first, [42]);
    // Nothing of it was copied: it has the two pages that were touched, and nobody wrote its size elsewhere.
    let blocks = rustix::fs::fstat(memory.share().unwrap())
        .unwrap()
        .st_blocks;
    assert!(blocks < 64, "{blocks} blocks of 512 bytes are in use");
    let largest = memory_of_this_process("VmHWM:");
    assert!(largest < 512 * 1024, "{largest} KiB were in use at a time");
    assert_eq!(take(&proxy, 16).await, Ok(0));
    assert_eq!(give(&proxy, 16).await.unwrap().len(), 16);
}
