//! Skipping a test so that somebody notices.
//!
//! A test that returns early because the machine lacks something looks like a test that passed.
//! So it has to say `SKIPPED`, past the test harness's capture, and where everything must be
//! present (`SOFTBUS_NO_SKIP=1`, set by `.ci/run`) it has to fail.

use std::env;
use std::fmt::Display;
use std::io::{self, Write};
use std::panic::Location;
use std::thread;

/// The variable that turns every skip into a failure.
pub const NO_SKIP: &str = "SOFTBUS_NO_SKIP";

/// Says that the running test is skipped and why: `SKIPPED: <test>: <reason>` on standard error.
///
/// The caller returns from the test afterwards.
///
/// # Panics
///
/// If the environment has `SOFTBUS_NO_SKIP=1`: nothing may be skipped there.
#[track_caller]
pub fn skip(reason: impl Display) {
    let line = skipped(&test_name(Location::caller()), &reason);
    assert!(
        !skipping_is_forbidden(env::var(NO_SKIP).ok().as_deref()),
        "{NO_SKIP}=1, but {line}"
    );
    // Not `eprintln!`: the harness would swallow that for a test that passes.
    let _ = writeln!(io::stderr(), "{line}");
}

fn skipped(test: &str, reason: &impl Display) -> String {
    format!("SKIPPED: {test}: {reason}")
}

fn skipping_is_forbidden(variable: Option<&str>) -> bool {
    variable.is_some_and(|value| !value.is_empty() && value != "0")
}

/// The harness names a test's thread after the test, except when it runs a single thread.
fn test_name(caller: &Location<'_>) -> String {
    match thread::current().name() {
        Some(name) if name != "main" => name.to_owned(),
        _ => format!("{}:{}", caller.file(), caller.line()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_names_the_test_and_the_reason() {
        let test = test_name(Location::caller());
        assert!(test.contains("skip"), "{test}");
        assert_eq!(
            skipped("some::test", &"no `ip`"),
            "SKIPPED: some::test: no `ip`"
        );
    }

    #[test]
    fn a_thread_without_a_test_name_is_known_by_its_place() {
        let here = Location::caller();
        let unnamed = thread::spawn(move || test_name(here)).join().unwrap();
        assert!(unnamed.contains(".rs:"), "{unnamed}");
    }

    #[test]
    fn only_a_set_variable_forbids_skipping() {
        assert!(skipping_is_forbidden(Some("1")));
        assert!(!skipping_is_forbidden(Some("0")));
        assert!(!skipping_is_forbidden(Some("")));
        assert!(!skipping_is_forbidden(None));
    }
}
