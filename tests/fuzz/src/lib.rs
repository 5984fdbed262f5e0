//! What the fuzz targets run. Nothing in here needs a fuzzer: `fuzz_corpus.rs` of each crate that reads something runs the same
//! functions over the inputs that are kept.

pub mod certs;
pub mod discovery;
mod input;
pub mod softbus;
pub mod targets;
