//! A process, the host of its device's bus, and other devices: what passes through the host.

#![expect(
    clippy::unwrap_used,
    reason = "tests; clippy knows functions marked as tests only"
)]

mod calls;
mod deaths;
mod descriptors;
mod handed_out;
mod identity;
mod objects;
mod on_the_wire;
mod order;
mod rules;
mod streams;
mod world;
