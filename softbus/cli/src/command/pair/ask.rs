//! Asking the person at the terminal. Each question is asked on a thread, because reading waits as long as people do.

use std::io::{self, Write};

use softbus::{certs::escape_untrusted, pairing::PairingRequest};
use tokio::sync::oneshot;

use crate::command::Context;

/// A line that is typed; `None` at the end of the input.
pub(super) async fn line(context: &Context<'_>, prompt: &str) -> Option<String> {
    context.output.note(prompt);
    let (sender, receiver) = oneshot::channel();
    std::thread::spawn(move || sender.send(read_line()));
    receiver.await.ok().flatten()
}

/// Asks whether a device may be paired, and answers it.
pub(super) fn about(request: PairingRequest, name: &str) {
    let device = request.device();
    let claimed = escape_untrusted(request.claimed_name(), 64);
    let question = match request.digits() {
        Some(digits) => format!("does \"{claimed}\" ({device}) show {digits} too? [y/N] "),
        None => format!("pair with \"{claimed}\" ({device})? [y/N] "),
    };
    let _ = write!(io::stderr().lock(), "{question}");
    let yes = read_line().is_some_and(|line| matches!(line.trim(), "y" | "Y" | "yes"));
    if yes {
        request.accept_as(name);
    } else {
        request.refuse();
    }
}

fn read_line() -> Option<String> {
    let mut line = String::new();
    let read = io::stdin().read_line(&mut line);
    read.is_ok_and(|len| len > 0).then_some(line)
}
