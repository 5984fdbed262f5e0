//! What is printed: a line for each scenario as it ends.

use std::{
    io::{self, IsTerminal, Write},
    time::Instant,
};

use serde_json::json;
use softbus::transport::Transport;

use crate::Failure;

pub(crate) struct Report {
    json: bool,
    colours: bool,
    passed: usize,
    failed: usize,
    transport: String,
    began: Instant,
}

impl Report {
    pub(crate) fn new(json: bool) -> Self {
        Self {
            json,
            colours: !json && io::stdout().is_terminal(),
            passed: 0,
            failed: 0,
            transport: String::new(),
            began: Instant::now(),
        }
    }

    /// What follows is over this transport.
    pub(crate) fn over(&mut self, transport: Transport) {
        self.transport = transport.to_string();
    }

    /// Something that takes a while, and that nobody asks about later.
    pub(crate) fn step(&self, what: &str) {
        let _ = writeln!(io::stderr(), "{what} ..");
    }

    pub(crate) fn note(&self, what: &str) {
        let _ = writeln!(io::stderr(), "{what}");
    }

    pub(crate) fn scenario(
        &mut self,
        name: &str,
        about: &str,
        scenario: impl FnOnce() -> Result<String, Failure>,
    ) {
        let began = Instant::now();
        let ended = scenario();
        let seconds = began.elapsed().as_secs_f64();
        let passed = ended.is_ok();
        let found = ended.unwrap_or_else(|error| error.to_string());
        self.passed += usize::from(passed);
        self.failed += usize::from(!passed);
        let line = if self.json {
            json!({
                "scenario": name, "transport": self.transport, "passed": passed,
                "seconds": seconds, "found": found,
            })
            .to_string()
        } else {
            let verdict = match (passed, self.colours) {
                (true, true) => "\u{1b}[32mok    \u{1b}[0m",
                (true, false) => "ok    ",
                (false, true) => "\u{1b}[31mFAILED\u{1b}[0m",
                (false, false) => "FAILED",
            };
            let line = format!("{verdict} {name:12} {seconds:5.1} s  {about}");
            match &*found {
                "" => line.trim_end().to_owned(),
                found => format!("{line}\n{:23}{found}", ""),
            }
        };
        let _ = writeln!(io::stdout(), "{line}");
    }

    pub(crate) fn failed(&self) -> usize {
        self.failed
    }

    pub(crate) fn all_passed(&self) -> bool {
        self.failed == 0 && self.passed > 0
    }

    pub(crate) fn end(&self) {
        let seconds = self.began.elapsed().as_secs();
        self.note(&format!(
            "{} passed, {} failed, {seconds} s",
            self.passed, self.failed
        ));
    }
}
