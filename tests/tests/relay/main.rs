//! A process, the host of its device's bus, and other devices: what passes through the host.

#![expect(
    clippy::unwrap_used,
    reason = "tests; clippy knows functions marked as tests only"
)]

mod calls;
mod deaths;
mod identity;
mod objects;
mod order;
mod rules;
mod streams;
mod world;
