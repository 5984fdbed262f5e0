//! Typed interfaces over a memory link.

#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test is not a test to clippy"
)]

mod calls;
mod describe;
mod hostile_names;
mod hygiene;
mod objects;
mod options;
mod pair;
mod streams;
mod strict;
mod versions;

/// Another way to where the names are that generated code uses.
mod facade {
    pub(crate) use softbus_rpc::__private;
}
