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
    pub mod replay;
    pub mod targets;
}

use fuzz::replay::replay;
use fuzz::targets;

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

#[test]
fn guests() {
    replay("guests", targets::guests::run);
}

#[test]
fn introduction() {
    replay("introduction", targets::introduction::run);
}
