//! A process that is killed while it writes its key or its trust store. Input 19.
//!
//! Not with the other tests: a process that is just being started has the locks of its parent's files for a moment.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::collections::HashMap;
use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use proto::DeviceId;
use softbus_certs::{Identity, TrustStore};

const SOON: Duration = Duration::from_secs(60);
/// Names the directory to a copy of this process that is there to be killed.
const DIRECTORY: &str = "SOFTBUS_TEST_WRITES_TO";
const TRUST: &str = "trust.toml";
const KEY: &str = "key.pem";
const CERTIFICATE: &str = "certificate.pem";

/// Held by the test that starts processes.
static ALONE: Mutex<()> = Mutex::new(());

fn device(number: usize) -> DeviceId {
    DeviceId::from_spki(&number.to_le_bytes())
}

/// Where a file's replacement stands, as its directory shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Step {
    /// There is no new file: before the first step, or after the last.
    Without,
    /// It is there, with nothing in it.
    Begun,
    /// It has something in it, which may be all.
    Filled,
}

fn step(directory: &Path, file: &str) -> Step {
    match fs::metadata(directory.join(format!(".{file}.new"))) {
        Err(_) => Step::Without,
        Ok(new) if new.len() == 0 => Step::Begun,
        Ok(_) => Step::Filled,
    }
}

/// A copy of this process that does nothing but the part of this test that writes.
fn writer(test: &str, directory: &Path) -> Child {
    Command::new(env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture"])
        .env(DIRECTORY, directory)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Kills it as soon as the replacement stands there, and says where it stood in the end.
fn kill_at(wanted: Step, child: &mut Child, mut stands: impl FnMut() -> Step) -> Step {
    let deadline = Instant::now() + SOON;
    while stands() != wanted && Instant::now() < deadline {}
    // SIGKILL.
    child.kill().unwrap();
    child.wait().unwrap();
    stands()
}

/// How often it was killed where. An empty new file is there for so short a time that it is not always met.
fn count(steps: &HashMap<Step, usize>) {
    println!("killed at {steps:?}");
    for step in [Step::Without, Step::Filled] {
        assert!(steps.contains_key(&step), "never killed at {step:?}");
    }
}

#[test]
fn killed_at_any_step_of_writing_trust_the_old_or_the_new_is_whole() {
    const BEFORE: usize = 200;
    if let Some(directory) = env::var_os(DIRECTORY) {
        let store = TrustStore::open(directory).unwrap();
        println!();
        println!("ready");
        let begun = Instant::now();
        // Somebody has failed to kill it if it comes to the end.
        while begun.elapsed() < SOON {
            store.trust(device(BEFORE), "comes and goes").unwrap();
            store.forget(&device(BEFORE)).unwrap();
        }
        return;
    }
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("d");
    let list: String = (0..BEFORE).map(|n| format!("{}\n", device(n))).collect();
    TrustStore::open(&path).unwrap().import_list(&list).unwrap();
    let whole = fs::metadata(path.join(TRUST)).unwrap().len();
    let mut steps = HashMap::new();
    let deadline = Instant::now() + SOON;
    for round in 0.. {
        let name = "killed_at_any_step_of_writing_trust_the_old_or_the_new_is_whole";
        let mut child = writer(name, &path);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap() == "ready"));
        let wanted = [Step::Begun, Step::Filled, Step::Without][round % 3];
        let stood = kill_at(wanted, &mut child, || {
            // At no time is there less than a whole file, and so at no time that it may be killed at.
            let length = fs::metadata(path.join(TRUST)).unwrap().len();
            assert!(length >= whole, "{length} of {whole} bytes");
            step(&path, TRUST)
        });
        *steps.entry(stood).or_default() += 1;

        // The next start reads it, and takes what was left for nothing.
        let store = TrustStore::open(&path).unwrap();
        assert!((0..BEFORE).all(|n| store.is_trusted(&device(n))));
        let entries = store.entries().len();
        let with_one_more = store.is_trusted(&device(BEFORE));
        assert_eq!(entries, BEFORE + usize::from(with_one_more));
        store.block(&device(BEFORE + 1)).unwrap();
        assert_eq!(step(&path, TRUST), Step::Without);
        store.forget(&device(BEFORE + 1)).unwrap();
        if round >= 30 && steps.len() >= 2 || Instant::now() > deadline {
            break;
        }
    }
    count(&steps);
}

#[test]
fn killed_at_any_step_of_making_a_key_there_is_none_or_a_whole_one() {
    if let Some(directory) = env::var_os(DIRECTORY) {
        let begun = Instant::now();
        for number in (0..).take_while(|_: &usize| begun.elapsed() < SOON) {
            let directory = Path::new(&directory).join(number.to_string());
            let identity = Identity::open(directory).unwrap();
            println!("\nmade {}", identity.device_id());
        }
        return;
    }
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let mut steps = HashMap::new();
    let deadline = Instant::now() + SOON;
    for round in 0.. {
        let temp = tempfile::tempdir().unwrap();
        let of = |number: usize| temp.path().join(number.to_string());
        let name = "killed_at_any_step_of_making_a_key_there_is_none_or_a_whole_one";
        let mut child = writer(name, temp.path());
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut lines = lines.map(|line| line.unwrap());
        let made = |line: String| line.strip_prefix("made ").map(str::to_owned);
        let mut told: Vec<_> = lines.find_map(made).into_iter().collect();
        let mut at = 0;
        let file = [KEY, CERTIFICATE][round / 3 % 2];
        let wanted = [Step::Begun, Step::Filled, Step::Without][round % 3];
        let stood = kill_at(wanted, &mut child, || {
            while of(at + 1).exists() {
                at += 1;
            }
            step(&of(at), file)
        });
        *steps.entry(stood).or_default() += 1;

        told.extend(lines.filter_map(made));
        for (number, id) in told.iter().enumerate() {
            let identity = Identity::open(of(number)).unwrap();
            assert_eq!(identity.device_id().to_string(), *id);
        }
        // The one that it was at: whole, or not there, in which case there is a new one now.
        let first = *Identity::open(of(at)).unwrap().device_id();
        for file in [KEY, CERTIFICATE] {
            assert_eq!(step(&of(at), file), Step::Without);
        }
        assert_eq!(*Identity::open(of(at)).unwrap().device_id(), first);
        if round >= 30 && steps.len() >= 2 || Instant::now() > deadline {
            break;
        }
    }
    count(&steps);
}
