//! A wall clock that jumps. The kernel has no such clock for a namespace, so a library that is loaded before all others puts it forward
//! and back for one program.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use testkit::site::{Node, SOON, Site};

use crate::site::over_both;

over_both! {
    a_clock_that_jumps_ends_no_session_and_hinders_no_new_one: 2,
}

const YEAR: i64 = 365 * 24 * 60 * 60;

/// The wall clock of a program.
struct WallClock {
    library: PathBuf,
    file: PathBuf,
}

impl WallClock {
    /// Below a directory.
    fn make(directory: &Path) -> Self {
        let library = directory.join("wall_clock.so");
        let mut compiler = Command::new("cc");
        compiler
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .arg(&library);
        compiler.arg(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/lab/wall_clock.c"
        ));
        assert!(compiler.status().unwrap().success());
        Self {
            library,
            file: directory.join("jumped"),
        }
    }

    /// It is this much ahead of that of everybody else from now on.
    fn jump(&self, seconds: i64) {
        // At once, also for who reads it now.
        let new = self.file.with_extension("new");
        fs::write(&new, seconds.to_string()).unwrap();
        fs::rename(new, &self.file).unwrap();
    }

    fn start(&self, site: &Site, place: usize) -> Node {
        site.start_with(place, |command| {
            command.env("LD_PRELOAD", &self.library);
            command.env("WALL_CLOCK", &self.file);
        })
    }
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap()
}

/// What a program takes the time for, less what it is.
fn ahead(node: &mut Node) -> f64 {
    let clock = node.told("clock", "clock")["seconds"].as_f64().unwrap();
    clock - now().as_secs_f64()
}

fn leave(node: &mut Node) {
    node.process.send_line("leave").unwrap();
    assert!(node.process.wait(SOON).unwrap().success());
}

/// Sessions, deadlines and keep-alives go by a clock that nobody can set, and who is trusted is so at any time.
fn a_clock_that_jumps_ends_no_session_and_hinders_no_new_one(site: &mut Site) {
    let clock = WallClock::make(&site.home(1));
    // To 1970, ten years on, and back.
    let jumps = [-(now().as_secs() as i64), 10 * YEAR, 0];
    let (mut one, mut two) = (clock.start(site, 1), site.start(2));
    let to_two = format!("calls {} 100", site.id(2));
    let to_one = format!("calls {} 100", site.id(1));
    one.succeeds(&to_two);
    two.succeeds(&to_one);
    for jump in jumps {
        clock.jump(jump);
        assert!((ahead(&mut one) - jump as f64).abs() < 60.0, "{jump}");
        one.succeeds(&to_two);
        two.succeeds(&to_one);
    }
    // Nobody was missed meanwhile: the first event is of the leave.
    leave(&mut one);
    let gone = two.wait_for_device("offline", &site.id(1), SOON);
    assert_eq!(gone["reason"], "left");
    for jump in jumps {
        clock.jump(jump);
        let mut one = clock.start(site, 1);
        two.wait_for_device("online", &site.id(1), SOON);
        one.succeeds(&to_two);
        two.succeeds(&to_one);
        leave(&mut one);
        two.wait_for_device("offline", &site.id(1), SOON);
    }
}
