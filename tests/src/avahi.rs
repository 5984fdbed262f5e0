//! Somebody else's mDNS on a device of the lab: a private message bus and avahi-daemon there.
//!
//! It runs only inside the lab's namespaces: its bus is a socket in a temporary directory, its
//! run-time files are on a file system of its own, and the machine's own avahi, if there is one,
//! is not involved.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::netns::Lab;
use crate::process::{Process, ReportError};
use crate::skip::skip;

/// Both daemons and `avahi-browse` need about a second each; more is for a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

const PROGRAMS: [&str; 4] = [
    "dbus-daemon",
    "avahi-daemon",
    "avahi-browse",
    "avahi-publish",
];

/// Runs a program so that it ends when our end of its standard input closes, which even a killed
/// test cannot prevent; says on standard output what it says on either. As the first process of a
/// process id namespace this shell takes along whatever the program leaves running.
const TETHERED: &str = r#"
exec 3<&0 </dev/null
"$@" 2>&1 3<&- &
program=$!
{ cat <&3 >/dev/null; kill -9 $program; } &
wait $program
"#;

/// Avahi's files are at fixed places below `/run`, so each daemon gets a `/run` of its own.
const WITH_PRIVATE_RUN: &str =
    r#"mount -n -t tmpfs tmpfs /run && mkdir /run/avahi-daemon && exec "$@""#;

/// What went wrong with avahi itself.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AvahiError {
    /// A program could not be started.
    #[error("cannot run it")]
    Io(#[from] io::Error),
    /// A program did not say what it says when all is well.
    #[error("it does not answer as expected")]
    Report(#[from] ReportError),
}

/// A service that avahi has found and resolved, on one interface over one protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Found {
    /// The instance name, unescaped.
    pub name: String,
    /// The type, such as `_softbus._udp`.
    pub service_type: String,
    /// The host that offers it, such as `d2.local`.
    pub host: String,
    /// The address that the host name resolved to.
    pub address: IpAddr,
    /// The port.
    pub port: u16,
    /// The TXT record's strings, such as `key=value`, in avahi's order.
    pub txt: Vec<String>,
}

/// An avahi-daemon on one device; it ends when dropped.
#[derive(Debug)]
pub struct Avahi<'lab> {
    lab: &'lab Lab,
    device: usize,
    bus_address: String,
    // In the order in which they end.
    _daemon: Process,
    _bus: Process,
    _directory: TempDir,
}

/// A service that avahi announces; withdrawn when dropped.
#[derive(Debug)]
pub struct Publication {
    name: String,
    _publisher: Process,
}

impl Publication {
    /// The name it was established under: another than asked for if that was taken.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl<'lab> Avahi<'lab> {
    /// [`Avahi::start`] for a test: `None` after a loud [`skip`] where avahi is not installed.
    ///
    /// # Panics
    ///
    /// If avahi is there and does not start.
    #[must_use]
    #[track_caller]
    pub fn or_skip(lab: &'lab Lab, device: usize) -> Option<Self> {
        if let Some(reason) = missing() {
            skip(reason);
            return None;
        }
        Some(Self::start(lab, device).unwrap_or_else(|error| panic!("avahi: {error:?}")))
    }

    /// Starts avahi on a device of the lab, whose host name then is `d<device>.local`, and waits
    /// until it serves.
    pub fn start(lab: &'lab Lab, device: usize) -> Result<Self, AvahiError> {
        let directory = tempfile::Builder::new()
            .prefix("softbus-avahi-")
            .tempdir()?;
        let at = |name: &str| directory.path().join(name).display().to_string();
        fs::write(at("bus.conf"), bus_config(&at("bus")))?;
        fs::write(at("avahi.conf"), avahi_config(device))?;

        let mut command = tethered("dbus-daemon");
        command.arg(format!("--config-file={}", at("bus.conf")));
        command.args(["--nofork", "--nopidfile", "--print-address"]);
        let mut bus = lab.run_in(device, command)?;
        let bus_address = bus.wait_for_line(PATIENCE, |line| line.starts_with("unix:"))?;

        let mut command = tethered("unshare");
        command.args(["--mount", "sh", "-c", WITH_PRIVATE_RUN, "sh"]);
        command.arg("avahi-daemon").arg("-f").arg(at("avahi.conf"));
        command.args(["--no-drop-root", "--no-chroot", "--no-rlimits"]);
        on_bus(&mut command, &bus_address);
        let mut daemon = lab.run_in(device, command)?;
        daemon.wait_for_line(PATIENCE, |line| line.contains("Server startup complete"))?;

        Ok(Self {
            lab,
            device,
            bus_address,
            _daemon: daemon,
            _bus: bus,
            _directory: directory,
        })
    }

    /// All services of a type that avahi finds in about a second, resolved.
    pub fn browse(&self, service_type: &str) -> Result<Vec<Found>, AvahiError> {
        let mut command = Command::new("avahi-browse");
        command.args([
            "--parsable",
            "--terminate",
            "--resolve",
            "--no-db-lookup",
            service_type,
        ]);
        on_bus(&mut command, &self.bus_address);
        let mut browser = self.lab.run_in(self.device, command)?;
        match browser.wait_for_line(PATIENCE, |_| false) {
            Err(ReportError::Ended { seen }) => {
                let status = browser.wait(PATIENCE)?;
                if !status.success() {
                    return Err(io::Error::other(format!("avahi-browse: {status}")).into());
                }
                Ok(seen.iter().filter_map(|line| parse(line)).collect())
            }
            Err(error) => Err(error.into()),
            Ok(line) => unreachable!("no line was wanted, not even {line:?}"),
        }
    }

    /// Announces a service and waits until avahi has established it.
    pub fn publish(
        &self,
        name: &str,
        service_type: &str,
        port: u16,
        txt: &[&str],
    ) -> Result<Publication, AvahiError> {
        let mut command = tethered("avahi-publish");
        command
            .args(["-s", name, service_type])
            .arg(port.to_string())
            .args(txt);
        on_bus(&mut command, &self.bus_address);
        let mut publisher = self.lab.run_in(self.device, command)?;
        let line = publisher.wait_for_line(PATIENCE, |line| established_name(line).is_some())?;
        let name = established_name(&line).unwrap_or_default().to_owned();
        Ok(Publication {
            name,
            _publisher: publisher,
        })
    }
}

/// Why there can be no avahi here, if so.
fn missing() -> Option<String> {
    if let Some(program) = PROGRAMS.into_iter().find(|program| !runs(program)) {
        return Some(format!("cannot run `{program}`"));
    }
    // avahi-daemon gives a directory to its own user even when it stays root.
    let users = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    (users.split_whitespace().nth(2) == Some("1"))
        .then(|| "avahi needs its own user id, and this user namespace has one id".to_owned())
}

fn runs(program: &str) -> bool {
    Command::new(program)
        .arg("--version")
        .output()
        .is_ok_and(|output| output.status.success())
}

fn tethered(program: &str) -> Command {
    let mut command = Command::new("unshare");
    command.args([
        "--pid",
        "--fork",
        "--kill-child",
        "sh",
        "-c",
        TETHERED,
        "sh",
        program,
    ]);
    command
}

fn on_bus(command: &mut Command, address: &str) {
    command
        .env("DBUS_SYSTEM_BUS_ADDRESS", address)
        .env("LC_ALL", "C");
}

fn bus_config(socket: &str) -> String {
    format!(
        r#"<busconfig>
  <type>system</type>
  <listen>unix:path={socket}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <allow own="*"/>
    <allow send_type="method_call"/>
    <allow send_destination="*"/>
    <allow receive_sender="*"/>
  </policy>
</busconfig>
"#
    )
}

fn avahi_config(device: usize) -> String {
    format!(
        "[server]\nhost-name=d{device}\nuse-ipv4=yes\nuse-ipv6=yes\nenable-dbus=yes\n\
         [wide-area]\nenable-wide-area=no\n\
         [publish]\npublish-hinfo=no\npublish-workstation=no\n"
    )
}

fn established_name(line: &str) -> Option<&str> {
    line.strip_prefix("Established under name '")?
        .strip_suffix('\'')
}

/// One line of `avahi-browse --parsable`; only resolved services (`=`) have all the fields.
fn parse(line: &str) -> Option<Found> {
    let mut fields = line.strip_prefix("=;")?.splitn(9, ';').skip(2);
    let name = unescape(fields.next()?);
    let service_type = fields.next()?.to_owned();
    let _domain = fields.next()?;
    let host = fields.next()?.to_owned();
    let address = fields.next()?.parse().ok()?;
    let port = fields.next()?.parse().ok()?;
    let txt = quoted(fields.next()?).map(unescape).collect();
    Some(Found {
        name,
        service_type,
        host,
        address,
        port,
        txt,
    })
}

/// The strings of `"a" "b"`.
fn quoted(list: &str) -> impl Iterator<Item = &str> {
    let inner = list
        .trim()
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    inner.into_iter().flat_map(|inner| inner.split("\" \""))
}

/// Undoes avahi's escapes: `\032` is the byte with that decimal number, `\;` is `;`.
fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let number = tail
            .get(..3)
            .and_then(|digits| str::from_utf8(digits).ok()?.parse().ok());
        (rest, _) = match (first, number, tail) {
            (b'\\', Some(byte), _) => (&tail[3..], bytes.push(byte)),
            (b'\\', None, [literal, tail @ ..]) => (tail, bytes.push(*literal)),
            _ => (tail, bytes.push(*first)),
        };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resolved_line_is_read() {
        let line =
            r#"=;eth0;IPv4;My\032\195\188\046x;_t._udp;local;d2.local;10.77.0.2;4711;"b=2" "a=1""#;
        let found = parse(line).unwrap();
        assert_eq!(found.name, "My ü.x");
        assert_eq!(found.service_type, "_t._udp");
        assert_eq!(found.host, "d2.local");
        assert_eq!(found.address, IpAddr::from([10, 77, 0, 2]));
        assert_eq!(found.port, 4711);
        assert_eq!(found.txt, ["b=2", "a=1"]);
    }

    #[test]
    fn a_service_without_txt_has_none() {
        assert!(
            parse("=;eth0;IPv4;x;_t._udp;local;h.local;10.77.0.2;1;")
                .unwrap()
                .txt
                .is_empty()
        );
    }

    #[test]
    fn other_lines_are_no_services() {
        assert_eq!(parse("+;eth0;IPv4;x;_t._udp;local"), None);
        assert_eq!(parse("=;eth0;IPv4;x;_t._udp;local;h.local"), None);
        assert_eq!(parse(""), None);
    }

    #[test]
    fn escapes_at_the_end_are_harmless() {
        assert_eq!(unescape(r"a\"), r"a\");
        assert_eq!(unescape(r"a\\b\;"), r"a\b;");
        assert_eq!(unescape(r"\999"), "999");
    }
}
