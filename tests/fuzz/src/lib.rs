//! What the fuzz targets run. Nothing in here needs a fuzzer: `fuzz_corpus.rs` of `rpc` and of `certs` run the same functions
//! over the inputs that are kept.

pub mod certs;
mod input;
pub mod targets;
