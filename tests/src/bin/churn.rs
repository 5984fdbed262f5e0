//! Devices of the lab that call each other without end, while they and their network fail at random:
//! `churn [--devices 25] [--minutes 10] [--seed N] [--transport all|quic|tcp]`: by QUIC and TCP in reserve, as nodes do that were
//! told nothing (the default), by QUIC only, by TCP only.
//!
//! It says what it does, and ends with 0 when all of this holds:
//!
//! - no call was lost silently, answered and not done, done and told as not done, or doubled (`testkit::ledger`);
//! - no program ended by itself;
//! - after the last fault everybody is online to everybody again within a minute;
//! - then nothing is held of anybody that is not always, and of those that leave nothing at all.
//!
//! With 1 one of them does not; anything else is no result. The seed decides which faults there are and for how long, not when
//! a packet is where: a run with the same seed is like the one before, and not the same.

#[path = "churn/run.rs"]
mod run;

fn main() -> std::process::ExitCode {
    run::main()
}
