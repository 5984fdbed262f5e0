//! What the demo prints: a line a step for people, an object a line for machines.

use std::{
    fmt::Display,
    io::{self, IsTerminal, Write},
    process::ExitCode,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::order::{Failure, Outcome, millis};

/// The longest name of a step.
const STEP_WIDTH: usize = 16;

#[derive(Debug)]
pub(crate) struct Reporter {
    json: bool,
    colours: bool,
    began: Instant,
    done: u32,
    failed: u32,
}

impl Reporter {
    pub(crate) fn new(json: bool) -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self {
            json,
            colours: wanted && io::stdout().is_terminal(),
            began: Instant::now(),
            done: 0,
            failed: 0,
        }
    }

    /// Something to know that is no step. Machines find it on the standard error output.
    pub(crate) fn note(&self, text: impl Display) {
        if self.json {
            let _ = writeln!(io::stderr(), "demo: {text}");
        } else {
            self.line(&text.to_string());
        }
    }

    pub(crate) fn step(&mut self, step: &str, began: Instant, outcome: &Outcome) {
        match outcome {
            Ok(done) => self.done(step, done.millis, &done.detail),
            Err(failure) => self.failed(step, millis(began.elapsed()), failure),
        }
    }

    fn done(&mut self, step: &str, millis: f64, detail: &str) {
        self.done += 1;
        if self.json {
            self.object(Object {
                step,
                ok: true,
                millis,
                detail,
                failure: None,
            });
        } else {
            self.row("32", "ok", millis, step, detail);
        }
    }

    pub(crate) fn failed(&mut self, step: &str, millis: f64, failure: &Failure) {
        self.failed += 1;
        let Failure { expected, came } = failure;
        if self.json {
            let detail = &format!("expected {expected}; came {came}");
            self.object(Object {
                step,
                ok: false,
                millis,
                detail,
                failure: Some(failure),
            });
        } else {
            self.row(
                "31",
                "FAILED",
                millis,
                step,
                &format!("expected {expected}"),
            );
            self.line(&format!(
                "{:indent$}came     {came}",
                "",
                indent = 8 + 12 + STEP_WIDTH + 2
            ));
        }
    }

    fn object(&self, mut object: Object<'_>) {
        object.millis = (object.millis * 1e3).round() / 1e3;
        if let Ok(line) = serde_json::to_string(&object) {
            self.line(&line);
        }
    }

    fn row(&self, colour: &str, verdict: &str, millis: f64, step: &str, detail: &str) {
        let verdict = self.coloured(colour, &format!("{verdict:6}"));
        self.line(&format!(
            "{verdict}{millis:>11.1} ms  {step:STEP_WIDTH$}  {detail}"
        ));
    }

    fn coloured(&self, code: &str, text: &str) -> String {
        if self.colours {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    /// A reader that has gone away is no reason to leave devices behind.
    fn line(&self, text: &str) {
        let _ = writeln!(io::stdout(), "{text}");
    }

    /// A bar for a transfer; nothing where nobody looks.
    pub(crate) fn bar(&self, bytes: u64) -> ProgressBar {
        if self.json || !io::stderr().is_terminal() {
            return ProgressBar::hidden();
        }
        let bar = ProgressBar::new(bytes);
        let template = "{spinner} {msg} [{bar:30}] {bytes}/{total_bytes} {elapsed}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.enable_steady_tick(Duration::from_millis(100));
        bar
    }

    /// The last line, and how the process ends.
    pub(crate) fn end(&self) -> ExitCode {
        let Self { done, failed, .. } = self;
        if !self.json {
            let took = self.began.elapsed().as_secs_f64();
            let verdict = if *failed == 0 {
                self.coloured("32", &format!("all {done} steps did what they should"))
            } else {
                self.coloured("31", &format!("{failed} of {} steps FAILED", done + failed))
            };
            self.line(&format!("\n{verdict}, {took:.1} s"));
        }
        if *failed == 0 {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }
}

/// A step, for machines.
#[derive(Serialize)]
struct Object<'a> {
    step: &'a str,
    ok: bool,
    millis: f64,
    detail: &'a str,
    #[serde(flatten)]
    failure: Option<&'a Failure>,
}
