//! What can be seen of calls: spans, refusals, slow handlers, and what must not be seen.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

mod capture;
mod devices;
mod privacy;
mod refusals;
mod slow;
mod spans;
