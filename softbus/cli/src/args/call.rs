//! The arguments of a call and the values of its reply.

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, ValueEnum};

/// One argument of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Argument {
    I32(i32),
    I64(i64),
    Text(String),
    Bool(bool),
}

/// The arguments of a call, in the order in which they stand on the command line whatever their types.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct CallArguments(pub(crate) Vec<Argument>);

const I32: &str = "i32";
const I64: &str = "i64";
const STRING: &str = "string";
const BOOL: &str = "bool";

impl FromArgMatches for CallArguments {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut found = Vec::new();
        collect(matches, I32, Argument::I32, &mut found);
        collect(matches, I64, Argument::I64, &mut found);
        collect(matches, STRING, Argument::Text, &mut found);
        collect(matches, BOOL, Argument::Bool, &mut found);
        found.sort_by_key(|(place, _)| *place);
        Ok(Self(
            found.into_iter().map(|(_, argument)| argument).collect(),
        ))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for CallArguments {
    fn augment_args(command: Command) -> Command {
        let arg = |name, value, help| {
            let arg = Arg::new(name).long(name).value_name(value).help(help);
            arg.action(ArgAction::Append)
                .allow_hyphen_values(true)
                .help_heading("Arguments of the call, in order")
        };
        command
            .arg(arg(I32, "N", "A 32-bit number").value_parser(clap::value_parser!(i32)))
            .arg(arg(I64, "N", "A 64-bit number").value_parser(clap::value_parser!(i64)))
            .arg(arg(STRING, "TEXT", "A string").value_parser(clap::value_parser!(String)))
            .arg(arg(BOOL, "true|false", "A truth value").value_parser(clap::value_parser!(bool)))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

fn collect<T: Clone + Send + Sync + 'static>(
    matches: &ArgMatches,
    name: &str,
    make: impl Fn(T) -> Argument,
    found: &mut Vec<(usize, Argument)>,
) {
    let places = matches.indices_of(name).into_iter().flatten();
    let values = matches.get_many::<T>(name).into_iter().flatten().cloned();
    found.extend(places.zip(values.map(make)));
}

/// How a value of a reply is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReplyType {
    /// A 32-bit number
    I32,
    /// A 64-bit number
    I64,
    /// A string
    #[value(name = "string")]
    Text,
    /// A truth value
    Bool,
    /// All bytes that are left, in hexadecimal
    Hex,
}
