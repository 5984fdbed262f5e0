//! How a command line is read.

use clap::CommandFactory;

use super::*;

#[test]
fn the_definition_is_sound() {
    Arguments::command().debug_assert();
}

fn call(line: &str) -> Call {
    let words = ["softbus", "call", "kitchen", "7", "0x10"];
    let arguments = Arguments::try_parse_from(words.into_iter().chain(line.split(' '))).unwrap();
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
        let options = Arguments::try_parse_from(words).unwrap().options;
        assert!(options.network.no_mdns && options.json && options.dir.is_some());
    }
}
