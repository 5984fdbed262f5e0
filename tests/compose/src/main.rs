//! Tries on devices in containers what users of a bus between devices complain about: `cargo run -p softbus-compose`.

mod arguments;
mod bus;
mod report;
mod scenarios;
mod world;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use arguments::{Arguments, Asked, Suite};
use report::Report;
use scenarios::SCENARIOS;
use softbus::transport::Transport;
use softbus_compose::{ground::Ground, image::Image};
use world::World;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The image's name, with the number of this process: others may be built at the same time.
const IMAGE: &str = "softbus-compose";

fn main() -> ExitCode {
    let arguments = match Arguments::parse(std::env::args().skip(1)) {
        Ok(Asked::Run(arguments)) => arguments,
        Ok(Asked::Help) => {
            print!("{}", arguments::help());
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("compose: {error}\n{}", arguments::USAGE);
            return ExitCode::from(2);
        }
    };
    match run(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("compose: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What all parts are run with.
struct Stage {
    here: &'static Path,
    image: Image,
    softbus: PathBuf,
}

fn run(arguments: &Arguments) -> Result<bool, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    // A line for each panic, which is how scenarios fail: their names say where.
    std::panic::set_hook(Box::new(|panic| eprintln!("{panic}")));
    // From here on Ctrl-C ends docker's commands and not this program, which fails then and removes the containers.
    runtime.spawn(async { while tokio::signal::ctrl_c().await.is_ok() {} });
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let beside = std::env::current_exe()?;
    let beside = beside.parent().unwrap_or_else(|| Path::new("."));
    let programs: Vec<PathBuf> = ["softbus", "room"].map(|name| beside.join(name)).into();
    let mut report = Report::new(arguments.json);
    report.step("building the image");
    let image = format!("{IMAGE}:{}", std::process::id());
    let image = Image::build(&image, &here.join("Dockerfile"), &programs)?;
    report.note(&format!("image of {} MB", image.size()? / 1_000_000));
    let stage = Stage {
        here,
        image,
        softbus: programs[0].clone(),
    };
    for transport in [Transport::Quic, Transport::Tcp] {
        if arguments.wants_transport(transport) {
            over(&stage, transport, arguments, &mut report)?;
        }
    }
    drop(stage);
    report.end();
    Ok(report.all_passed())
}

fn over(
    stage: &Stage,
    transport: Transport,
    arguments: &Arguments,
    report: &mut Report,
) -> Result<(), Failure> {
    report.over(transport);
    let names = SCENARIOS.iter().map(|(name, ..)| *name);
    if arguments.wants_some(Suite::Commands, names) {
        commands(stage, transport, arguments, report)?;
    }
    for (suite, list) in [(Suite::Bus, bus::bus()), (Suite::Faults, bus::faults())] {
        let names = list.iter().map(|scenario| scenario.name);
        if suite.is_run_over(transport, arguments) && arguments.wants_some(suite, names) {
            on_the_bus(stage, transport, (suite, &list), arguments, report)?;
        }
    }
    Ok(())
}

/// Everything through the `softbus` command in the containers.
fn commands(
    stage: &Stage,
    transport: Transport,
    arguments: &Arguments,
    report: &mut Report,
) -> Result<(), Failure> {
    report.step(&format!("starting five containers, over {transport}"));
    let file = stage.here.join("compose.yaml");
    let world = World::start(&file, stage.image.name(), &stage.softbus, transport)?;
    let before = report.failed();
    for (name, about, scenario) in SCENARIOS {
        if arguments.wants(Suite::Commands, name) {
            report.scenario(name, about, || scenario(&world));
        }
    }
    if report.failed() > before {
        eprintln!("{}", world.lan.logs()?);
    }
    report.step("removing the containers");
    Ok(())
}

/// The scenarios of all kinds of devices, by processes that are attached to the buses in the containers.
fn on_the_bus(
    stage: &Stage,
    transport: Transport,
    (suite, list): (Suite, &[bus::Scenario]),
    arguments: &Arguments,
    report: &mut Report,
) -> Result<(), Failure> {
    report.step(&format!("making three containers, over {transport}"));
    let file = stage.here.join("devices.yaml");
    let only = transport.to_string().to_lowercase();
    let ground = Ground::new(&file, stage.image.name(), &stage.softbus, &only)?;
    let before = report.failed();
    for scenario in list {
        if arguments.wants(suite, scenario.name) {
            report.scenario(scenario.name, "", || scenario.run(&ground));
        }
    }
    if report.failed() > before {
        eprintln!("{}", ground.logs()?);
    }
    report.step("removing the containers");
    Ok(())
}
