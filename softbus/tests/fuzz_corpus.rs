//! The kept inputs of the fuzz targets (`tests/fuzz`) of this crate, through the same functions. It needs no fuzzer, and
//! shows that the targets still build.

#![allow(
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test, and a crate of its own elsewhere"
)]

#[path = "../../tests/fuzz/src"]
mod fuzz {
    mod input;
    pub mod softbus;
}

use std::{fs, path::Path};

#[cfg(target_os = "linux")]
use fuzz::softbus::local;
use fuzz::softbus::stream;

/// Runs a target over all that is kept for it.
fn replay(target: &str, run: fn(&[u8])) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz/corpus");
    let mut inputs = 0;
    for entry in fs::read_dir(corpus.join(target)).unwrap() {
        let path = entry.unwrap().path();
        // Shown if the test fails.
        println!("{}", path.display());
        run(&fs::read(path).unwrap());
        inputs += 1;
    }
    assert!(inputs > 0, "nothing is kept for {target}");
    run(&[]);
}

#[test]
fn streams() {
    replay("stream", stream::run);
}

#[cfg(target_os = "linux")]
#[test]
fn processes() {
    replay("local", local::run);
}
