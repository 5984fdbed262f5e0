//! Processes that are killed, and children that are forked.

use std::time::Instant;

use softbus::{DeathReason, Node, ServiceOptions};
use testkit::scenarios::{
    measured, next, obituaries,
    workbench::{SERVICE, reverse, workbench},
};

use crate::{Device, SOON};

/// How often a process is killed for a measurement.
const TIMES: usize = 20;

#[tokio::test]
async fn a_killed_process_is_noticed_by_its_peers_at_once() {
    let device = Device::start().await;
    let watcher = Node::attach(&device.path).await.unwrap();
    let mut times = Vec::new();
    for _ in 0..TIMES {
        let process = device.process().await;
        let mut process = device.told(process, "serve", "serves").await;
        let proxy = watcher.samgr().get(SERVICE, &watcher.device_id()).await;
        let proxy = proxy.unwrap();
        reverse(&proxy, 12).await.unwrap();
        let (tell, mut told) = obituaries();
        let _link = proxy.link_to_death(tell).unwrap();
        let killed = Instant::now();
        rustix::process::kill_process(
            rustix::process::Pid::from_raw(process.id() as i32).unwrap(),
            rustix::process::Signal::KILL,
        )
        .unwrap();
        assert_eq!(next(&mut told).await, DeathReason::ProcessDied);
        times.push(killed.elapsed());
        let _ = process.kill();
        let host = device.host.samgr();
        assert!(
            testkit::wait::wait_until_async(SOON, async || host.check(SERVICE).is_none()).await
        );
    }
    times.sort();
    measured("death of a local process noticed, median", times[TIMES / 2]);
    measured(
        "death of a local process noticed, longest",
        times[TIMES - 1],
    );
}

#[tokio::test]
async fn a_stub_hears_of_the_death_of_the_process_that_holds_it() {
    let device = Device::start().await;
    let (stub, _bench) = workbench();
    let p = Node::attach(&device.path).await.unwrap();
    p.samgr()
        .register(SERVICE, &stub, ServiceOptions::local())
        .await
        .unwrap();
    let mut held = stub.watch_holders().unwrap();
    let process = device.process().await;
    let mut process = device.told(process, "hold", "holds").await;
    let pid = process.id();
    let holders = stub.holders().unwrap();
    // The host, which has it registered, and the process.
    assert!(holders.iter().any(|holder| holder.pid == Some(pid)));
    let before = holders.len();
    process.kill().unwrap();
    let gone = async { while held.next().await.unwrap() != before - 1 {} };
    tokio::time::timeout(SOON, gone).await.unwrap();
    let holders = stub.holders().unwrap();
    assert!(holders.iter().all(|holder| holder.pid != Some(pid)));
}

#[tokio::test]
async fn a_process_that_left_its_sockets_to_a_child_is_dead_when_it_ends() {
    let device = Device::start().await;
    let watcher = Node::attach(&device.path).await.unwrap();
    let process = device.process().await;
    let mut process = device.told(process, "serve", "serves").await;
    let proxy = watcher.samgr().get(SERVICE, &watcher.device_id()).await;
    let proxy = proxy.unwrap();
    let (tell, mut told) = obituaries();
    let _link = proxy.link_to_death(tell).unwrap();
    process.send_line("fork").unwrap();
    let pid = process.id();
    let children = format!("/proc/{pid}/task/{pid}/children");
    let forked = testkit::wait::wait_for(SOON, || {
        let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).ok()?;
        let all = tasks
            .filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("children")).ok());
        all.collect::<String>().trim().parse::<i32>().ok()
    });
    let child = forked.unwrap_or_else(|| panic!("nothing in {children}"));
    process.kill().unwrap();
    assert_eq!(next(&mut told).await, DeathReason::ProcessDied);
    let child = rustix::process::Pid::from_raw(child).unwrap();
    rustix::process::kill_process(child, rustix::process::Signal::KILL).unwrap();
}

#[tokio::test]
async fn a_call_in_a_forked_child_is_refused() {
    let device = Device::start().await;
    let (stub, _bench) = workbench();
    let samgr = device.host.samgr();
    samgr.add(SERVICE, &stub, ServiceOptions::local()).unwrap();
    let process = device.process().await;
    let process = device.told(process, "hold", "holds").await;
    let mut process = process;
    process.send_line("call in a child").unwrap();
    let waited = tokio::task::spawn_blocking(move || {
        process.wait_for_event(SOON, |event| event["event"] == "called")
    });
    assert_eq!(waited.await.unwrap().unwrap()["refused"], true);
}
