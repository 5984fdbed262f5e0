//! Sessions that a host hands to its processes, and processes that take none: what lies in their sockets is the host's, where
//! the system counts it.

use proto::{Handle, frame::Frame, openharmony::samgr::HOST_DESK};
use testkit::wait::wait_until_async;

use crate::{
    SOON,
    door::{Device, act},
    raw::{RawProcess, encoded},
};

/// More than two processes are handed, and more than lie in a socket and wait for it.
const MANY: usize = 40;

/// A process that attaches and does nothing, and its number.
async fn silent(device: &Device) -> (RawProcess, u64) {
    let before: Vec<_> = numbers(device).collect();
    let silent = RawProcess::attach(&device.path).await;
    let number = || numbers(device).find(|number| !before.contains(number));
    assert!(wait_until_async(SOON, async || number().is_some()).await);
    (silent, number().unwrap())
}

fn numbers(device: &Device) -> impl Iterator<Item = u64> {
    let attached = device.host.usage().into_iter();
    attached.map(|(party, _)| party.process)
}

/// Asks for a session with a process. Those up to `known` are known.
async fn ask(asker: &mut RawProcess, desk: Handle, process: u64, known: u64) {
    let asked = [process.to_le_bytes(), known.to_le_bytes()].concat();
    let connect = asker.call(desk, 1, &asked, 0);
    let asked = asker.send(&encoded(&Frame::Call(connect)), &[]).await;
    asked.unwrap();
}

#[test]
fn two_processes_are_handed_so_many_sessions_and_no_more() {
    act(async |device| {
        let (silent, number) = silent(device).await;
        let mut asker = RawProcess::attach(&device.path).await;
        let desk = asker.object(Handle::SAMGR, HOST_DESK, &[]).await;
        let mut handed = 0;
        // Each time it says that the last one is known to it.
        for known in 0..MANY as u64 {
            ask(&mut asker, desk, number, known).await;
            asker.reply().await.unwrap();
            handed += asker.packets_there();
        }
        assert_eq!(handed, 8);
        device.serves().await;
        drop(silent);
    });
}

/// Who attaches anew has another number, and is another process to the host.
#[test]
fn a_process_that_takes_no_session_is_handed_few_and_loses_its_place() {
    act(async |device| {
        let (mut silent, number) = silent(device).await;
        for _ in 0..MANY {
            let mut asker = RawProcess::attach(&device.path).await;
            let desk = asker.object(Handle::SAMGR, HOST_DESK, &[]).await;
            ask(&mut asker, desk, number, 0).await;
        }
        let gone = async || numbers(device).all(|attached| attached != number);
        assert!(wait_until_async(SOON, gone).await, "it keeps its place");
        let lie = silent.packets_there();
        assert!((1..16).contains(&lie), "{lie} sessions lie in its socket");
        device.serves().await;
        assert!(silent.reply().await.is_none());
    });
}
