//! Sessions, peers and buses as they are, on a network and in a time that a seed decides.
//!
//! A run of a seed is the same whenever and wherever it runs, so what it found once can be looked at again. See
//! `README.md` for how to run and how to read it.

mod agenda;
mod application;
mod carrier;
pub mod checks;
mod journal;
pub mod log;
mod network;
mod node;
mod quic;
mod random;
mod simulation;

pub use simulation::{Below, Run, run, run_twice};
