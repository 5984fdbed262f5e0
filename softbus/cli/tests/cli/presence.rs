//! Devices coming and going, trust that changes meanwhile, and how commands end.

use rustix::process::Signal;

use crate::harness::{Device, Running};

/// `watch` of a device that knows where the node of `a` is.
fn watch(device: &Device, node: &Running) -> Running {
    device.start(["watch", "--peer", &format!("a@{}", node.address)])
}

#[test]
fn watch_sees_a_device_come_and_go() {
    let (a, b) = Device::pair();
    let mut node = a.start(["run"]);
    let mut watch = watch(&b, &node);
    let online = watch.event("online");
    assert_eq!(
        (&online["device"], &online["name"]),
        (&a.id.as_str().into(), &"a".into())
    );
    assert_eq!(online["addresses"], serde_json::json!([node.address]));
    assert_eq!(node.event("online")["device"], b.id.as_str());

    assert_eq!(node.terminate(Signal::TERM).code(), Some(0));
    let offline = watch.event("offline");
    assert_eq!(
        (&offline["device"], &offline["reason"]),
        (&a.id.as_str().into(), &"left".into())
    );
    assert_eq!(watch.terminate(Signal::INT).code(), Some(0));
}

#[test]
fn a_device_that_is_not_trusted_there_says_what_to_do() {
    let (a, b) = (Device::new(), Device::new());
    b.trust(&a, "a");
    let mut node = a.start(["run", "--echo", "7"]);
    let call = "call a 7 2 --i32 1 --i32 2 --reply i32";
    let refused = b.ask("a", &node, call);
    let hint = format!("on the other machine run: softbus trust add {}", b.id);
    refused.assert_failed(4, &["not trusted by the device", &hint]);

    // What the hint says, while the node runs.
    assert_eq!(a.run(["trust", "add", &b.id]).code, 0);
    assert_eq!(node.event("trusted")["device"], b.id.as_str());
    let answered = b.ask("a", &node, call);
    assert_eq!(answered.stdout, "3\n", "{answered:?}");
}

#[test]
fn a_device_that_is_not_trusted_here_says_what_to_do() {
    let (a, b) = (Device::new(), Device::new());
    a.trust(&b, "b");
    let node = a.start(["run", "--echo", "7"]);
    let refused = b.ask(&a.id, &node, &format!("call {} 7 1", a.id));
    refused.assert_failed(4, &["not trusted here", &format!("trust add {}", a.id)]);
}

#[test]
fn trust_that_is_withdrawn_ends_the_connection() {
    let (a, b) = Device::pair();
    let mut node = a.start(["run"]);
    let mut watch = watch(&b, &node);
    watch.event("online");
    assert_eq!(a.run(["trust", "remove", "b"]).code, 0);
    assert_eq!(node.event("forgotten")["device"], b.id.as_str());
    assert_eq!(watch.event("offline")["reason"], "access_revoked");
}

#[test]
fn a_command_that_is_stopped_before_it_is_done() {
    let (a, b) = Device::pair();
    let mut node = a.start(["run"]);
    let peer = format!("a@{}", node.address);
    let looking = b.spawn(["devices", "--for", "3000", "--peer", &peer]);
    // It is under way when the other device sees it.
    node.event("online");
    let stopped = looking.stop(Signal::INT);
    stopped.assert_failed(130, &["interrupted"]);
    assert_eq!(node.event("offline")["reason"], "left");
    assert_eq!(node.terminate(Signal::INT).code(), Some(0));
}
