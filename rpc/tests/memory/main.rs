//! Calls over a memory link: a whole soft-bus without a network.

#![expect(clippy::unwrap_used, reason = "a helper of tests fails the test")]

mod blocking;
mod cast;
#[cfg(unix)]
mod descriptors;
mod echo;
mod inline;
mod lifetimes;
mod one_proxy;
mod one_way;
mod one_way_deadlines;
mod pair;
mod policy;
mod serial;
