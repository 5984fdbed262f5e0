//! `softbus call`, `services` and `devices`, against `softbus run --echo`.

use crate::harness::Device;

#[test]
fn the_echo_service() {
    let (a, b) = Device::pair();
    let node = a.start(["run", "--echo", "7"]);
    let text = b.ask("a", &node, "call a 7 1 --string hello --reply string");
    assert_eq!(
        (text.code, text.stdout.as_str()),
        (0, "hello\n"),
        "{text:?}"
    );

    let sum = b
        .ask(
            "a",
            &node,
            "call a 7 2 --i32 -2 --i32 44 --reply i32 --json",
        )
        .object();
    assert_eq!(
        sum["reply"],
        serde_json::json!([{ "type": "i32", "value": 42 }])
    );
    assert_eq!(
        (&sum["device"], &sum["service"]),
        (&a.id.as_str().into(), &7.into())
    );
    assert_eq!((&sum["code"], &sum["unread_bytes"]), (&2.into(), &0.into()));

    let reversed = b.ask("a", &node, "call a 0x7 0x3 --i32 2019 --reply i32");
    assert_eq!(reversed.stdout, "9102\n", "{reversed:?}");
}

#[test]
fn what_a_reply_holds_is_shown_as_told_and_harmless() {
    let (a, b) = Device::pair();
    let node = a.start(["run", "--echo", "7"]);
    let bytes = b.ask("a", &node, "call a 7 1 --string hi");
    assert_eq!(bytes.stdout, "0200000068690000\n", "{bytes:?}");
    let rest = b
        .ask("a", &node, "call a 7 1 --string hi --reply i32 --json")
        .object();
    assert_eq!(
        (&rest["reply"][0]["value"], &rest["unread_bytes"]),
        (&2.into(), &4.into())
    );

    let hostile = b.ask(
        "a",
        &node,
        "call a 7 1 --string \x1b[2J\u{202e} --reply string",
    );
    assert_eq!(hostile.stdout, "\\u{1b}[2J\\u{202e}\n", "{hostile:?}");
    let hostile = b.ask(
        "a",
        &node,
        "call a 7 1 --string \x1b\u{202e} --reply string --json",
    );
    assert!(hostile.stdout.contains(r"\u001b\u202e"), "{hostile:?}");
    assert_eq!(hostile.object()["reply"][0]["value"], "\x1b\u{202e}");

    let wrong = b.ask("a", &node, "call a 7 2 --i32 1 --i32 2 --reply i32,string");
    wrong.assert_failed(1, &["value 2 of the reply", "--reply hex"]);
}

#[test]
fn a_one_way_call_has_no_reply() {
    let (a, b) = Device::pair();
    let node = a.start(["run", "--echo", "7"]);
    let sent = b
        .ask("a", &node, "call a 7 1 --string hi --oneway --json")
        .object();
    assert_eq!(
        (&sent["one_way"], &sent["reply"]),
        (&true.into(), &serde_json::json!([]))
    );
}

#[test]
fn what_is_wrong_with_a_call() {
    let (a, b) = Device::pair();
    let node = a.start(["run", "--echo", "7"]);
    b.ask("a", &node, "call a 8 1")
        .assert_failed(4, &["refused", "softbus", "services"]);
    b.ask("a", &node, "call a 7 9")
        .assert_failed(1, &["unknown method 9"]);
    b.ask("a", &node, "call a 7 1 --i32 5")
        .assert_failed(1, &["arguments"]);
    let full = b.ask("a", &node, "call a 7 2 --i32 2147483647 --i32 1");
    full.assert_failed(1, &["does not fit"]);
    b.ask("a", &node, "call kitchen 7 1")
        .assert_failed(3, &["no trusted device", "trust list"]);
}

#[test]
fn devices_by_the_beginning_of_their_id() {
    let (a, b) = Device::pair();
    let node = a.start(["run", "--echo", "7"]);
    let line = format!("call {} 7 2 --i32 1 --i32 2 --reply i32", &a.id[..12]);
    let sum = b.ask(&a.id, &node, &line);
    assert_eq!(sum.stdout, "3\n", "{sum:?}");
}

#[test]
fn nobody_there() {
    let (a, b) = Device::pair();
    // Without an address there is nothing to try.
    let lost = b.run(["call", "a", "7", "1", "--wait", "0.2"]);
    lost.assert_failed(3, &["unreachable", &format!("--peer {}@IP:PORT", a.id)]);

    // The address of a node that has gone.
    let node = a.start(["run"]);
    let address = node.address.clone();
    assert_eq!(
        node.terminate(rustix::process::Signal::TERM).code(),
        Some(0)
    );
    let peer = format!("a@{address}");
    let lost = b.run([
        "--json", "call", "a", "7", "1", "--wait", "0.2", "--peer", &peer,
    ]);
    lost.assert_failed(3, &[r#""kind":"not_found""#]);
}

#[test]
fn somebody_else_at_the_address() {
    let (a, b) = Device::pair();
    let stranger = Device::new();
    let node = stranger.start(["run"]);
    let _ = a;
    b.ask("a", &node, "call a 7 1 --wait 2")
        .assert_failed(3, &["somebody else answers"]);
}

#[test]
fn services_of_one_and_of_all() {
    let (a, b) = Device::pair();
    let node = a.start(["run", "--echo", "7"]);
    let of_one = b.ask("a", &node, "services a --json").object();
    assert_eq!(
        (&of_one["service"], &of_one["name"]),
        (&7.into(), &"a".into())
    );
    let of_all = b.ask("a", &node, "services --json --for 1").object();
    assert_eq!(of_one, of_all);
    let table = b.ask("a", &node, "services a");
    assert_eq!(table.stdout.lines().count(), 2, "{table:?}");
    let own = b.ask("a", &node, &format!("services {}", b.id));
    own.assert_failed(1, &["this device"]);
    let none = b.run(["services", "--for", "0.1"]);
    assert_eq!((none.code, none.stdout.as_str()), (0, ""));
    assert!(none.stderr.contains("from another device"), "{none:?}");
}

#[test]
fn devices_in_a_table_and_as_objects() {
    let (a, b) = Device::pair();
    let node = a.start(["run"]);
    let found = b.ask("a", &node, "devices --for 1 --json").object();
    assert_eq!(
        (&found["device"], &found["name"]),
        (&a.id.as_str().into(), &"a".into())
    );
    assert_eq!(
        (&found["presence"], &found["trusted"], &found["transport"]),
        (&"online".into(), &true.into(), &"quic".into())
    );
    assert_eq!(found["addresses"], serde_json::json!([node.address]));

    let table = b.ask("a", &node, "devices --for 1");
    let lines: Vec<_> = table.stdout.lines().collect();
    assert_eq!(lines.len(), 2, "{table:?}");
    assert_eq!(
        lines[0].find("PRESENCE"),
        lines[1].find("online"),
        "{table:?}"
    );
    assert_eq!(
        lines[0].find("ADDRESSES"),
        lines[1].find("127.0.0.1"),
        "{table:?}"
    );
    assert!(
        !table.stdout.contains('\x1b') && table.stderr.is_empty(),
        "{table:?}"
    );
    let long = b.ask("a", &node, "devices --for 1 --long");
    assert!(long.stdout.contains(&a.id), "{long:?}");

    let none = b.run(["devices", "--for", "0.1"]);
    assert_eq!((none.code, none.stdout.as_str()), (0, ""), "{none:?}");
}

#[test]
fn a_service_is_loaded_or_it_is_said_why_not() {
    let (a, b) = Device::pair();
    let node = a.start(["run", "--echo", "7"]);
    let loaded = b.ask("a", &node, "load a 7 --json").object();
    assert_eq!(
        (&loaded["device"], &loaded["service"]),
        (&a.id.as_str().into(), &7.into())
    );
    let text = b.ask("a", &node, "load a 7");
    assert!(
        text.code == 0 && text.stdout.contains("is there"),
        "{text:?}"
    );
    b.ask("a", &node, "load a 8")
        .assert_failed(4, &["service 8", "refused", "softbus", "services"]);
}

/// Said before the command or behind it, it is the same.
#[test]
fn a_node_without_quic_is_reached_by_tcp() {
    let (a, b) = Device::pair();
    let node = a.start(["--transports", "tcp", "run"]);
    let found = b.ask("a", &node, "devices --for 2 --json").object();
    assert_eq!(
        (&found["presence"], &found["transport"]),
        (&"online".into(), &"tcp".into())
    );
    let refused = b.ask("a", &node, "devices --for 1 --json --transports quic");
    assert_eq!(refused.object()["transport"], serde_json::Value::Null);
    let wrong = b.run(["run", "--transports", "smoke"]);
    wrong.assert_failed(2, &["neither quic, tcp nor all"]);
}
