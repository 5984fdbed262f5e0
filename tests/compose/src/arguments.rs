//! What is to be tried.

use std::fmt::Write;

use softbus::transport::Transport;

use crate::{bus, scenarios::SCENARIOS};

pub(crate) const USAGE: &str = "\
usage: compose [--json] [--suite SUITE].. [--transport WHICH] [SCENARIO..]

Builds an image from `softbus` and `room` beside this program, starts containers with docker-compose, tries the scenarios (all of
them, or those named, or those of a module that is named), and removes the containers.

  --json             one object for each scenario: scenario, transport, passed, seconds, found
  --suite SUITE      commands: five containers, asked with the `softbus` command
                     bus: three containers, and the scenarios of all kinds of devices on them, by QUIC unless told otherwise
                     faults: the same, of what happens to devices and to the network between them
  --transport WHICH  quic or tcp only; by TCP the command's containers drop the UDP that arrives, and the others have TCP only

Changing the network of a container needs root: of the suites `commands` by TCP and `faults` do.

Exit codes: 0 all passed, 1 one failed or nothing could be tried, 2 usage";

/// What belongs together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Suite {
    Commands,
    Bus,
    Faults,
}

#[derive(Debug, Default)]
pub(crate) struct Arguments {
    pub(crate) json: bool,
    suites: Vec<Suite>,
    transport: Option<Transport>,
    wanted: Vec<String>,
}

pub(crate) enum Asked {
    Run(Arguments),
    Help,
}

impl Suite {
    /// What a call is does not depend on what carries it; what becomes of it in bad weather does.
    pub(crate) fn is_run_over(self, transport: Transport, arguments: &Arguments) -> bool {
        self != Self::Bus || transport == Transport::Quic || arguments.transport.is_some()
    }
}

impl Arguments {
    pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Result<Asked, String> {
        let mut arguments = Self::default();
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} of what?"));
            match &*word {
                "--help" | "-h" => return Ok(Asked::Help),
                "--json" => arguments.json = true,
                "--suite" => arguments.suites.push(match &*value()? {
                    "commands" => Suite::Commands,
                    "bus" => Suite::Bus,
                    "faults" => Suite::Faults,
                    other => return Err(format!("no suite {other:?}")),
                }),
                "--transport" => {
                    arguments.transport = Some(match &*value()? {
                        "quic" => Transport::Quic,
                        "tcp" => Transport::Tcp,
                        other => return Err(format!("no transport {other:?}")),
                    });
                }
                name if all().any(|known| is_named(known, name)) => arguments.wanted.push(word),
                other => return Err(format!("no scenario {other:?}")),
            }
        }
        Ok(Asked::Run(arguments))
    }

    pub(crate) fn wants_transport(&self, transport: Transport) -> bool {
        self.transport.is_none_or(|wanted| wanted == transport)
    }

    pub(crate) fn wants(&self, suite: Suite, name: &str) -> bool {
        let of_suite = self.suites.is_empty() || self.suites.contains(&suite);
        let mut wanted = self.wanted.iter();
        of_suite && (self.wanted.is_empty() || wanted.any(|wanted| is_named(name, wanted)))
    }

    pub(crate) fn wants_some<'a>(
        &self,
        suite: Suite,
        mut names: impl Iterator<Item = &'a str>,
    ) -> bool {
        names.any(|name| self.wants(suite, name))
    }
}

fn is_named(name: &str, word: &str) -> bool {
    let module = name.split_once("::").map(|(module, _)| module);
    name == word || module == Some(word)
}

fn all() -> impl Iterator<Item = &'static str> {
    let bus = bus::bus().into_iter().chain(bus::faults());
    let commands = SCENARIOS.iter().map(|(name, ..)| *name);
    commands.chain(bus.map(|scenario| scenario.name))
}

pub(crate) fn help() -> String {
    let mut help = format!("{USAGE}\n\nScenarios of `commands`:\n");
    let mut line = |name: &str, about: &str| {
        // A string takes whatever is written to it.
        let _ = writeln!(help, "  {name:12} {about}");
    };
    for (name, about, _) in SCENARIOS {
        line(name, about);
    }
    line("\nScenarios of `bus` and `faults`:", "");
    for name in all().filter(|name| name.contains("::")) {
        line(name, "");
    }
    line("\nScenarios that are none for containers:", "");
    for (name, reason) in bus::left_out() {
        line(name, reason);
    }
    help
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Arguments, String> {
        match Arguments::parse(words.iter().map(|word| (*word).to_owned()))? {
            Asked::Run(arguments) => Ok(arguments),
            Asked::Help => Err("help".to_owned()),
        }
    }

    #[test]
    fn all_is_wanted_unless_something_is_named() {
        let all = parse(&[]).unwrap();
        assert!(
            all.wants(Suite::Commands, "killed") && all.wants(Suite::Bus, "calls::reverse_int")
        );
        let named = parse(&["killed", "calls"]).unwrap();
        assert!(
            named.wants(Suite::Commands, "killed") && named.wants(Suite::Bus, "calls::reverse_int")
        );
        assert!(!named.wants(Suite::Commands, "paused"));
        let suite = parse(&["--suite", "bus"]).unwrap();
        assert!(!suite.wants(Suite::Commands, "killed"));
    }

    #[test]
    fn what_is_not_there_is_said() {
        assert_eq!(parse(&["nap"]).unwrap_err(), "no scenario \"nap\"");
        assert_eq!(parse(&["--suite"]).unwrap_err(), "--suite of what?");
    }
}
