//! The `softbus` command: run a node, look around, call a service.

mod args;
mod command;
mod device_name;
mod directory;
mod events;
mod failure;
mod interface;
mod json;
mod logging;
mod node;
mod output;
mod signal;

use std::process::ExitCode;

use args::{Arguments, Command, Identity};
use command::Context;
use failure::Failure;

fn main() -> ExitCode {
    keep_secrets_out_of_core_dumps();
    let arguments = Arguments::read(std::env::args_os()).unwrap_or_else(|error| error.exit());
    let output = output::Output::new(arguments.options.json);
    match run(arguments, &output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => output.failure(&failure),
    }
}

/// The memory of a node has its key in it, and a code while it pairs.
fn keep_secrets_out_of_core_dumps() {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        // Fails on no kernel that there is; a dump is no reason not to run.
        let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    }
}

fn run(arguments: Arguments, output: &output::Output) -> Result<(), Failure> {
    logging::start(&arguments.options.log)?;
    let context = Context::new(arguments.options, output)?;
    match arguments.command {
        Command::Run(options) => on_runtime(command::run::run(&context, options)),
        Command::Identity {
            action: Identity::Show,
        } => command::identity::show(&context),
        Command::Identity {
            action: Identity::Certificate,
        } => command::ca::show(&context),
        Command::Identity {
            action: Identity::Install { file },
        } => command::ca::install(&context, &file),
        Command::Ca { action } => command::ca::run(&context, action),
        Command::Policy { action } => command::policy::run(&context, action),
        Command::Trust { action } => command::trust::run(&context, action),
        Command::Pair(options) => on_runtime(command::pair::run(&context, options)),
        Command::Devices(options) => on_runtime(command::devices::run(&context, options)),
        Command::Services(options) => on_runtime(command::services::run(&context, options)),
        Command::Load(options) => on_runtime(command::load::run(&context, options)),
        Command::Describe(options) => on_runtime(command::describe::run(&context, options)),
        #[cfg(target_os = "linux")]
        Command::Dump(options) => on_runtime(command::dump::run(&context, options)),
        Command::Call(options) => on_runtime(command::call::run(&context, options)),
        Command::Watch => on_runtime(command::watch::run(&context)),
    }
}

/// A node is fastest on a runtime of one thread.
fn on_runtime(command: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|error| Failure::failed(format!("cannot start: {error}")))?;
    runtime.block_on(command)
}
