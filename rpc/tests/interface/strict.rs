//! What the macro writes warns in no crate, however strict, and whether or not it is used.

#![deny(warnings, missing_docs, missing_debug_implementations, unreachable_pub)]
#![deny(
    unused_qualifications,
    elided_lifetimes_in_paths,
    unused_lifetimes,
    single_use_lifetimes
)]
#![deny(
    clippy::pedantic,
    clippy::nursery,
    clippy::unwrap_used,
    clippy::missing_const_for_fn
)]
#![expect(clippy::redundant_pub_crate, reason = "contradicts `unreachable_pub`")]
#![deny(
    clippy::absolute_paths,
    clippy::allow_attributes,
    clippy::arithmetic_side_effects
)]

use softbus_rpc::{Caller, remote_interface};

/// Nobody uses it.
#[remote_interface]
pub(crate) trait Unused {
    /// With all there is.
    async fn all(
        &self,
        caller: &Caller,
        text: &str,
        numbers: &[u32],
        owned: Vec<String>,
    ) -> Result<(), String>;
    /// Blocks.
    #[idempotent]
    fn blocking(&self, caller: &Caller, text: &str) -> u32;
    /// One-way.
    #[oneway]
    async fn event(&self, listener: UnusedProxy);
    /// Old.
    #[deprecated]
    async fn old(&self) -> u32 {
        1
    }
    /// Gone.
    #[cfg(any())]
    async fn never(&self, missing: Missing);
}

/// Nothing in it.
#[remote_interface]
trait Empty {}
