//! What can be said on the command line.

mod ca;
mod call;
mod listen;
mod policy;
#[cfg(test)]
mod tests;
mod value;

pub(crate) use ca::Ca;
pub(crate) use call::{Argument, CallArguments, ReplyType};
pub(crate) use policy::Policy;
use value::transports;
pub(crate) use value::{ListenAddress, MethodName, StaticPeer};

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand};
use softbus::{ServiceId, transport::Transports};

const AFTER_HELP: &str = "\
Devices are given by their full id, by the beginning of the id of a trusted device, or by the name
under which `softbus trust add --name` put it into this device's trust store. What a device calls
itself only finds a stranger for `softbus pair`, where the code proves who it is.

Exit codes:
    0  done
    1  failed
    2  the command line is wrong
    3  not found, or unreachable: also a device that is not found before --wait is over
    4  refused: not trusted here or there, or not allowed. A device that no rule of a service
       names is told this whether the service is there or not
    5  timed out
  130  stopped by Ctrl-C or SIGTERM before it was done

With --json every line of the standard output is a JSON object; `softbus COMMAND --help` says which
fields it has. An error is one on the standard error: error, kind (failed, usage, not_found, refused,
timed_out, interrupted), exit_code, and hint (what to do next, or null). Only what is wrong with the
form of the command line is said in words.

One process at a time uses an identity. While `softbus run` runs, other commands that start a node
attach to it (--local on both, on Linux), or need a directory of their own (--dir), and then the devices
they talk to have to trust that one's id.";

/// Run a node of the soft-bus, look around, call services.
#[derive(Debug, Parser)]
#[command(name = "softbus", version, after_help = AFTER_HELP, arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) options: Options,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What holds for all commands.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Print JSON objects, one a line, for other programs
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// Where identity and trust store are kept [default: $SOFTBUS_DIR, else softbus in the XDG data directory]
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,

    /// What to log on the standard error, as `debug` or `softbus=debug,quinn=info`
    #[arg(long, global = true, value_name = "FILTER", default_value = "warn")]
    pub(crate) log: String,

    #[command(flatten)]
    pub(crate) network: Network,
}

/// What holds for all commands that start a node.
#[derive(Debug, Args)]
#[command(next_help_heading = "Network (of commands that start a node)")]
pub(crate) struct Network {
    /// Listen at this address only, as `192.168.1.5`, `127.0.0.1:4000` or `[::1]:4000` [default: all addresses]
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Option<ListenAddress>,

    /// Listen at this port, of UDP and of TCP [default: any free one]
    #[arg(long, global = true, value_name = "PORT")]
    pub(crate) port: Option<u16>,

    /// What this device calls itself, to everybody on the network: for people, it proves nothing [default: nothing]
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) called: Option<String>,

    /// Talk to other devices by `quic` only, by `tcp` only, or by both [default: QUIC, and TCP where that does not get through]
    #[arg(long, global = true, value_name = "WHICH", value_parser = transports)]
    pub(crate) transports: Option<Transports>,

    /// Find devices by mDNS on this interface only, as `eth0`; `loopback` is this machine; may be
    /// repeated, all of them on one side of the command [default: all]
    #[arg(
        long = "interface",
        global = true,
        value_name = "NAME",
        conflicts_with = "no_mdns"
    )]
    pub(crate) interfaces: Vec<String>,

    /// Do not find devices by mDNS: only those given by --peer, and those that find this one
    #[arg(long, global = true)]
    pub(crate) no_mdns: bool,

    /// A device and where it is, as `4OYMIQU-...@192.168.1.5:4000`; may be repeated, all of
    /// them on one side of the command
    #[arg(long = "peer", global = true, value_name = "DEVICE@ADDR")]
    pub(crate) peers: Vec<StaticPeer>,

    /// The bus of this device, at the socket PATH: `softbus run` hosts it for other processes, on the socket that systemd hands
    /// over if it does, and every other command attaches to it instead of being a device of its own [default PATH: softbus/bus.sock
    /// in $XDG_RUNTIME_DIR, else in /run]
    #[cfg(target_os = "linux")]
    #[arg(long, global = true, value_name = "PATH", num_args = 0..=1, require_equals = true)]
    pub(crate) local: Option<Option<PathBuf>>,
}

#[cfg(target_os = "linux")]
impl Network {
    /// Where the bus of this device is, if it was asked for.
    pub(crate) fn local_path(&self) -> Option<PathBuf> {
        let given = self.local.clone()?;
        Some(given.unwrap_or_else(softbus::local::default_path))
    }
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a node until Ctrl-C or SIGTERM, and print its id, its address and what happens to devices
    #[command(after_help = "\
JSON: one object for each event, with the field event:
  started    device, address (where it listens, or null if it is attached), directory, epoch (counts the starts), services (ids)
  online     device, name (from the trust store or null), addresses, time_ms (since 1970)
  offline    device, name, reason (left, crashed, timed_out, restarted, access_revoked, failed,
             other), detail (text or null), time_ms
  trusted, renamed, forgotten, blocked
             device, name, time_ms: the trust store has changed, for example by `softbus trust`
  open, failed, paired
             with --pair, as `softbus pair` has them
  stopped    nothing more: it has taken leave of the other devices")]
    Run(Run),

    /// Show who this device is to others
    Identity {
        /// What to do with it.
        #[command(subcommand)]
        action: Identity,
    },

    /// Say which devices may talk to this one, and which it talks to
    ///
    /// A running node in the same directory notices within a second. Both devices have to trust each other.
    Trust {
        /// What to do with it.
        #[command(subcommand)]
        action: Trust,
    },

    /// Make this device and another trust each other, with you in front of both
    ///
    /// One device runs `softbus pair --listen`, which shows a code and a QR code; on the other, `softbus pair ADDRESS` asks
    /// for the code, and `softbus pair -` for the text of the QR code. With --compare on both, both show six digits, and
    /// you say whether they are the same.
    #[command(after_help = "\
JSON: one object for each event, with the field event:
  open       with --listen: device, addresses, code (or null), invitation (text of the QR code, or
             null), seconds
  failed     with --listen: device, error, attempts_left
  paired     device, claimed_name (what it says of itself, escaped), added (whether it was a
             stranger before)
Questions are asked on the standard error and answered on the standard input.")]
    Pair(Pair),

    /// Make a CA for a fleet, and issue certificates: devices that list it trust each other without entries
    ///
    /// docs/security.md has the steps.
    Ca {
        /// What to do with it.
        #[command(subcommand)]
        action: Ca,
    },

    /// Check and explain the policy: what this device allows others
    ///
    /// It is the file policy.toml in the directory of the identity, if there is one; a running node in the same directory
    /// notices a change within a second, and keeps what it had if the file is not right. docs/security.md describes it.
    Policy {
        /// What to do with it.
        #[command(subcommand)]
        action: Policy,
    },

    /// Look around for devices
    #[command(after_help = "\
In the table a name in quotes is what a device says of itself, which proves nothing; one without is
from the trust store.

JSON: one object for each device: device, name (from the trust store or null), claimed_name (what it
says of itself, escaped, or null), presence (candidate, connecting, online, suspect, offline, other),
trusted, transport (quic, tcp, or null without a connection), addresses (list of IP:PORT)")]
    Devices(Devices),

    /// List the services of a device, or of all trusted devices that are online
    ///
    /// Only what this device may call is listed, what is started on demand too. The services of this device itself are listed with
    /// --local; without, ask for them from another device.
    #[command(after_help = "\
JSON: one object for each service: device, name (from the trust store or null), service")]
    Services(Services),

    /// Start a service of a device that is started on demand
    ///
    /// Done when it is there; one that is there already is done at once. `softbus call` starts it too.
    #[command(after_help = "JSON: one object: device, service, elapsed_ms")]
    Load(Load),

    /// Show the interface of a service: its methods, and the types they use
    #[command(after_help = "\
JSON: one object: device, service, descriptor, methods (list of {code, name, arguments (list of {name,
type}), result, one_way, idempotent, wait_ms (or null)}), types (definitions, as text)")]
    Describe(Describe),

    /// Have a service of this device write what is in it, as --local says
    ///
    /// For root, and for the user of its program. What it writes, and what the arguments mean, is the service's affair.
    #[cfg(target_os = "linux")]
    #[command(after_help = "\
Example, beside `softbus run --local --echo 7`: softbus --local dump 7

JSON: one object: service, text")]
    Dump(Dump),

    /// Call a method of a service and print its result
    ///
    /// By its name, if the service describes its interface (`softbus describe`): each argument is JSON, and a string needs
    /// no quotes; the result is printed as JSON, a stream item by item. Bytes are Base64, a variant is its name or an
    /// object of its name and its fields, as {"Circle":{"radius":2}}.
    ///
    /// By its code, of any service: arguments are written in the order in which they are given. Nothing in a reply says
    /// what it holds: --reply names the values in it; without, its bytes are shown in hexadecimal.
    #[command(after_help = "\
Examples, for a device that runs `softbus run --echo 7`:
  softbus call kitchen 7 sum 40 2
  softbus call kitchen 7 2 --i32 40 --i32 2 --reply i32

JSON: by name, one object: device, service, method, code, one_way, result, elapsed_ms; of a stream, one
for each item: item. By code, one object: device, service, code, one_way, reply (list of {type, value}),
unread_bytes (left of the reply), elapsed_ms")]
    Call(Call),

    /// Print devices as they are found, come online, change and go, until Ctrl-C
    ///
    /// Those that are known already come first.
    #[command(after_help = "\
JSON: one object for each event, with the field event: started, online, offline and stopped, as
`softbus run` has them; found, and changed with the fields of `softbus devices`, changed with the list
changed of those that are different; lost")]
    Watch,
}

/// `softbus run`
#[derive(Debug, Args)]
pub(crate) struct Run {
    /// Offer a service to try things with, to trusted devices, under this id
    ///
    /// Its methods: 1, echo, answers with the string it is sent; 2, sum, with the sum of two i32; 3, reverse (ReverseInt),
    /// with an i32 whose decimal digits are those of the argument backwards.
    #[arg(long, value_name = "SERVICE_ID", value_parser = value::service)]
    pub(crate) echo: Option<ServiceId>,
    /// Let another device pair with this one, as `softbus pair` does, while the node runs; for two minutes
    #[arg(long)]
    pub(crate) pair: bool,
}

/// `softbus identity`
#[derive(Debug, Subcommand)]
pub(crate) enum Identity {
    /// Show the id of this device; the identity is made where there is none yet
    #[command(
        after_help = "JSON: one object: device, directory, created (whether it was made just now)"
    )]
    Show,
    /// Print the certificate that is shown to others, for a CA
    #[command(after_help = "JSON: one object: certificate (PEM)")]
    Certificate,
    /// Show a certificate that a CA has issued for this device, from the next start on
    #[command(after_help = "JSON: one object: installed")]
    Install {
        /// The file that `softbus ca issue` printed
        file: PathBuf,
    },
}

/// `softbus trust`
#[derive(Debug, Subcommand)]
pub(crate) enum Trust {
    /// Trust a device from now on; one that is trusted already is renamed
    #[command(
        after_help = "JSON: one object: device, name, added (whether it was not trusted before)"
    )]
    Add {
        /// Its full id, as `softbus identity show` prints it there
        id: String,
        /// What to call it here, up to 64 characters
        #[arg(long)]
        name: Option<String>,
    },
    /// List the devices of the trust store
    #[command(after_help = "\
JSON: one object for each device: device, name, trusted, blocked, added_at (seconds since 1970),
added_via (manual, import, code, qr, compare)")]
    List {
        /// Show full ids
        #[arg(long)]
        long: bool,
    },
    /// Trust every device of a list: a line for each, with its full id and, after a space, a name
    ///
    /// All or none. `#` begins a comment. Devices that are there keep their names, blocked ones stay blocked.
    #[command(after_help = "JSON: one object: added, known, blocked (how many devices)")]
    Import {
        /// The list
        file: PathBuf,
    },
    /// Refuse a device, known or not, until it is removed: no connection, no pairing, no import
    #[command(after_help = "JSON: one object: device, name, blocked")]
    Block {
        /// Its full id, or the beginning of its id or its name here
        device: String,
    },
    /// Trust a device no longer, or lift its block; a running node ends its connection
    #[command(after_help = "JSON: one object: device, name, removed")]
    Remove {
        /// Its id, the beginning of its id, or its name here
        device: String,
    },
}

/// `softbus pair`
#[derive(Debug, Args)]
pub(crate) struct Pair {
    /// Whom to pair with: its address, its id or the beginning of it, or the name it gives itself. `-` asks for the text
    /// of its QR code. Without, another device may pair with this one, as with --listen
    #[arg(value_name = "DEVICE")]
    pub(crate) target: Option<String>,
    /// Show a QR code only
    #[arg(long, conflicts_with_all = ["compare", "target"])]
    pub(crate) qr: bool,
    /// Both devices show six digits to be compared
    #[arg(long)]
    pub(crate) compare: bool,
    /// Pair with who has the code without asking again
    #[arg(long, conflicts_with_all = ["compare", "target"])]
    pub(crate) yes: bool,
    /// How long others may try, at most 900
    #[arg(long, value_name = "SECONDS", default_value = "120", value_parser = value::seconds, conflicts_with = "target")]
    pub(crate) open_for: Duration,
    /// Open although wrong codes were given lately
    #[arg(long, conflicts_with = "target")]
    pub(crate) despite_failures: bool,
    /// What to call the other device here, up to 64 characters
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Read the code, or the text of the QR code, from a file instead of asking for it
    #[arg(long, value_name = "FILE", requires = "target")]
    pub(crate) code_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) look: Look,
}

/// `softbus devices`
#[derive(Debug, Args)]
pub(crate) struct Devices {
    #[command(flatten)]
    pub(crate) look: Look,
    /// Show full ids
    #[arg(long)]
    pub(crate) long: bool,
}

/// How long to look around.
#[derive(Debug, Args)]
pub(crate) struct Look {
    /// How long to look around
    #[arg(long = "for", value_name = "SECONDS", default_value = "2", value_parser = value::seconds)]
    pub(crate) time: Duration,
}

/// `softbus services`
#[derive(Debug, Args)]
pub(crate) struct Services {
    /// Whose: an id, the beginning of a trusted device's id, or its name here
    pub(crate) device: Option<String>,
    #[command(flatten)]
    pub(crate) look: Look,
}

/// `softbus load`
#[derive(Debug, Args)]
pub(crate) struct Load {
    /// Whose: an id, the beginning of a trusted device's id, or its name here
    pub(crate) device: String,
    /// Which service, 1..=0xffffff
    #[arg(value_parser = value::service)]
    pub(crate) service: ServiceId,
    /// How long finding the device and starting the service may take together
    #[arg(long, value_name = "SECONDS", default_value = "8", value_parser = value::seconds)]
    pub(crate) wait: Duration,
}

/// `softbus describe`
#[derive(Debug, Args)]
pub(crate) struct Describe {
    /// Whose: an id, the beginning of a trusted device's id, or its name here
    pub(crate) device: String,
    /// Which service, 1..=0xffffff
    #[arg(value_parser = value::service)]
    pub(crate) service: ServiceId,
    /// How long finding the device, getting the service and asking it may take together
    #[arg(long, value_name = "SECONDS", default_value = "8", value_parser = value::seconds)]
    pub(crate) wait: Duration,
}

/// `softbus dump`
#[cfg(target_os = "linux")]
#[derive(Debug, Args)]
pub(crate) struct Dump {
    /// Which service, 1..=0xffffff
    #[arg(value_parser = value::service)]
    pub(crate) service: ServiceId,
    /// What it is told
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) arguments: Vec<String>,
    /// How long getting the service and asking it may take together
    #[arg(long, value_name = "SECONDS", default_value = "8", value_parser = value::seconds)]
    pub(crate) wait: Duration,
}

/// `softbus call`
#[derive(Debug, Args)]
pub(crate) struct Call {
    /// Whose: an id, the beginning of a trusted device's id, or its name here
    pub(crate) device: String,
    /// Which service, 1..=0xffffff
    #[arg(value_parser = value::service)]
    pub(crate) service: ServiceId,
    /// Which method: its name, or its code, 1..=0xffffff
    pub(crate) method: MethodName,
    /// Arguments of a described method, as JSON, in order
    #[arg(value_name = "JSON", allow_negative_numbers = true)]
    pub(crate) values: Vec<String>,
    #[command(flatten)]
    pub(crate) arguments: CallArguments,
    /// Do not wait for a reply: whether the call succeeded is not known
    #[arg(long, conflicts_with = "reply")]
    pub(crate) oneway: bool,
    /// How long finding the device, getting the service and calling it may take together
    #[arg(long, value_name = "SECONDS", default_value = "8", value_parser = value::seconds)]
    pub(crate) wait: Duration,
    /// What the reply holds, in order; may be repeated. `hex` is all the rest
    #[arg(long, value_name = "TYPE", value_delimiter = ',')]
    pub(crate) reply: Vec<ReplyType>,
}
