//! The kept inputs of the fuzz targets (`tests/fuzz`) of this crate and of `proto`, through the same functions. It needs no
//! fuzzer, and shows that the targets still build.

#![allow(
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test, and a crate of its own elsewhere"
)]

#[path = "../../tests/fuzz/src"]
mod fuzz {
    mod input;
    pub mod targets;
}

use std::{fs, path::Path};

use fuzz::targets;

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
fn frame() {
    replay("frame", targets::frame::run);
}

#[test]
fn message() {
    replay("message", targets::message::run);
}

#[test]
fn parcel() {
    replay("parcel", targets::parcel::run);
}

#[test]
fn parcelable() {
    replay("parcelable", targets::parcelable::run);
}

#[test]
fn dynamic() {
    replay("dynamic", targets::dynamic::run);
}

#[test]
fn session() {
    replay("session", targets::session::run);
}

#[test]
fn append() {
    replay("append", targets::append::run);
}

#[test]
fn identity() {
    replay("identity", targets::identity::run);
}

#[test]
fn samgr() {
    replay("samgr", targets::samgr::run);
}
