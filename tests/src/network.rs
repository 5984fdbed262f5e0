//! Networks that a device may be on.

/// One of two networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Network {
    /// The one that there always is.
    First,
    /// The one that is added.
    Second,
}
