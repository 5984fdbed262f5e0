//! How a command line is read.

use super::*;

#[test]
fn the_definition_is_sound() {
    Arguments::definition().debug_assert();
}

fn call(line: &str) -> Call {
    let words = ["softbus", "call", "kitchen", "7", "0x10"];
    let arguments = Arguments::read(words.into_iter().chain(line.split(' '))).unwrap();
    let Command::Call(call) = arguments.command else {
        panic!("a call")
    };
    call
}

#[test]
fn arguments_keep_their_order() {
    use Argument::{Bool, I32, I64, Text};
    let call = call("--i32 -1 --string a --i64 -5 --i32 2 --bool true --string -b");
    let texts = ["a", "-b"].map(|text| Text(text.to_owned()));
    let [a, b] = texts;
    assert_eq!(
        call.arguments.0,
        [I32(-1), a, I64(-5), I32(2), Bool(true), b]
    );
    assert_eq!(
        (call.service.get(), &call.method),
        (7, &MethodName::Code(16))
    );
}

#[test]
fn reply_types_by_repetition_and_by_comma() {
    use ReplyType::{Bool, I32, Text};
    assert_eq!(
        call("--reply i32 --reply string,bool").reply,
        [I32, Text, Bool]
    );
}

#[test]
fn options_before_and_behind_the_command() {
    for line in [
        "--no-mdns --dir d watch --json",
        "watch --no-mdns --dir d --json",
    ] {
        let words = ["softbus"].into_iter().chain(line.split(' '));
        let options = Arguments::read(words).unwrap().options;
        assert!(options.network.no_mdns && options.json && options.dir.is_some());
    }
}

#[test]
fn an_address_to_listen_at_is_not_taken_back_by_a_window_that_is_opened() {
    let listen = |line: &str| {
        let arguments = Arguments::read(["softbus"].into_iter().chain(line.split(' ')));
        arguments.map(|arguments| arguments.options.network.listen)
    };
    let loopback: Option<ListenAddress> = Some("127.0.0.1:40".parse().unwrap());
    for line in [
        "--listen 127.0.0.1:40 pair --listen",
        "pair --listen 127.0.0.1:40",
        "--listen 127.0.0.1:40 pair",
        "--listen 127.0.0.1:40 run --pair",
        "run --listen 127.0.0.1:40",
        "--listen 127.0.0.2 pair --listen 127.0.0.1:40",
        "--listen 127.0.0.1:40 identity show",
        "identity show --listen 127.0.0.1:40",
    ] {
        assert_eq!(listen(line).unwrap(), loopback, "{line}");
    }
    assert_eq!(listen("pair --listen").unwrap(), None);
    // Only what opens a window says it without an address.
    assert!(listen("run --listen").is_err() && listen("--listen run").is_err());
}
