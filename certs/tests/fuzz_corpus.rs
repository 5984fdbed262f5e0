//! The kept inputs of the fuzz targets (`tests/fuzz`) of this crate, through the same functions. It needs no fuzzer, and
//! shows that the targets still build.

#![allow(
    clippy::unwrap_used,
    unreachable_pub,
    reason = "a test, and a crate of its own elsewhere"
)]

#[path = "../../tests/fuzz/src"]
mod fuzz {
    pub mod certs;
    mod input;
}

use std::{fs, path::Path};

use fuzz::certs::{certificate, fleet, invitation, pairing, policy, trust};

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
fn pairings() {
    replay("pairing", pairing::run);
}

#[test]
fn invitations() {
    replay("invitation", invitation::run);
}

#[test]
fn certificates() {
    replay("certificate", certificate::run);
}

#[test]
fn policies() {
    replay("policy", policy::run);
}

#[test]
fn trust_stores() {
    replay("trust", trust::run);
}

#[test]
fn fleets() {
    replay("fleet", fleet::run);
}
