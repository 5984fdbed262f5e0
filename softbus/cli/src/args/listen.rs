//! `--listen`, which has two meanings: where to listen, and, bare and of `pair`, to open a window.
//!
//! As a global argument it would have one place: `--listen 127.0.0.1 pair --listen` would forget the address and listen on
//! all of them. So before the command and behind it are two arguments, and a bare one says nothing of addresses.

use std::ffi::OsString;

use clap::{Arg, ArgMatches, Command, CommandFactory, FromArgMatches};

use super::{Arguments, ListenAddress};

const BEFORE: &str = "listen";
const BEHIND: &str = "listen_behind";

impl Arguments {
    /// Reads a command line, the name of the program included.
    ///
    /// # Errors
    /// It is wrong, or asks for help.
    pub(crate) fn read<T: Into<OsString> + Clone>(
        line: impl IntoIterator<Item = T>,
    ) -> Result<Self, clap::Error> {
        let matches = Self::definition().try_get_matches_from(line)?;
        let mut arguments = Self::from_arg_matches(&matches)?;
        if let Some(address) = behind(&matches) {
            arguments.options.network.listen = Some(address);
        }
        Ok(arguments)
    }

    pub(super) fn definition() -> Command {
        let command = Self::command();
        let before = command.get_arguments().find(|arg| arg.get_id() == BEFORE);
        let before = before.expect("it is defined above").clone();
        let address = before.id(BEHIND).global(true);
        let address_or_none = |arg: Arg| arg.num_args(0..=1);
        command.mut_subcommands(move |command| {
            let address = address.clone();
            match command.get_name() {
                "pair" => command.arg(address_or_none(address)),
                _ => command.arg(address),
            }
        })
    }
}

fn behind(matches: &ArgMatches) -> Option<ListenAddress> {
    let (_, command) = matches.subcommand()?;
    command.get_one(BEHIND).copied()
}
