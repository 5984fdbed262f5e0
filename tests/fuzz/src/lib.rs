//! What the fuzz targets run. Nothing in here needs a fuzzer: `rpc/tests/fuzz_corpus.rs` runs the same functions over
//! the inputs that are kept.

pub mod targets;
