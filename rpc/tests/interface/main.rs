//! Typed interfaces over a memory link.

// What the macro writes must not warn in the strictest of crates.
#![deny(warnings, missing_docs, missing_debug_implementations, unreachable_pub, unused_qualifications)]
#![deny(clippy::pedantic, clippy::use_self, clippy::unwrap_used)]
#![expect(clippy::unwrap_used, reason = "a helper of a test is not a test to clippy")]

mod calls;
mod pair;
