//! Tries on five devices in containers what users of a bus between devices complain about: `cargo run -p softbus-compose`.

mod report;
mod scenarios;
mod world;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use report::Report;
use scenarios::SCENARIOS;
use softbus_compose::image;
use world::World;

type Failure = Box<dyn std::error::Error + Send + Sync>;

const USAGE: &str = "\
usage: compose [--json] [SCENARIO..]

Builds an image from `softbus` and `room` beside this program, starts five containers with docker-compose, tries the scenarios (all of
them, or those named), and removes the containers.

  --json   one object for each scenario: scenario, passed, seconds, found

Exit codes: 0 all passed, 1 one failed or nothing could be tried, 2 usage";

/// The image's name; built anew each time, from what is there.
const IMAGE: &str = "softbus-compose";

fn main() -> ExitCode {
    let mut json = false;
    let mut wanted = Vec::new();
    for word in std::env::args().skip(1) {
        match &*word {
            "--json" => json = true,
            "--help" | "-h" => {
                println!("{USAGE}\n\nScenarios:");
                for (name, about, _) in SCENARIOS {
                    println!("  {name:12} {about}");
                }
                return ExitCode::SUCCESS;
            }
            name if SCENARIOS.iter().any(|(known, ..)| *known == name) => wanted.push(word),
            other => {
                eprintln!("compose: no scenario {other:?}\n{USAGE}");
                return ExitCode::from(2);
            }
        }
    }
    match run(json, &wanted) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("compose: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(json: bool, wanted: &[String]) -> Result<bool, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    // From here on Ctrl-C ends docker's commands and not this program, which fails then and removes the containers.
    runtime.spawn(async { while tokio::signal::ctrl_c().await.is_ok() {} });
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let beside = std::env::current_exe()?;
    let beside = beside.parent().unwrap_or_else(|| Path::new("."));
    let programs: Vec<PathBuf> = ["softbus", "room"].map(|name| beside.join(name)).into();
    let mut report = Report::new(json);
    report.step("building the image");
    image::build(IMAGE, &here.join("Dockerfile"), &programs)?;
    let bytes = image::size(IMAGE)?;
    report.note(&format!("image of {} MB", bytes / 1_000_000));
    report.step("starting five containers");
    let world = World::start(&here.join("compose.yaml"), IMAGE, &programs[0])?;
    for (name, about, scenario) in SCENARIOS {
        if wanted.is_empty() || wanted.iter().any(|wanted| wanted == name) {
            report.scenario(name, about, || scenario(&world));
        }
    }
    if !report.all_passed() {
        eprintln!("{}", world.lan.logs()?);
    }
    report.step("removing the containers");
    drop(world);
    image::remove(IMAGE)?;
    report.end();
    Ok(report.all_passed())
}
