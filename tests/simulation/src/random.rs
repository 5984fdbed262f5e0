//! Random numbers that a seed decides. Written here, so that a seed in an old report still means the same run when a
//! library has changed its generator.

use std::ops::RangeInclusive;

/// A sequence of random numbers (SplitMix64).
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// The sequence of a seed.
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub(crate) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A sequence of its own, so that drawing more from one does not shift the other.
    pub(crate) const fn fork(&mut self) -> Self {
        Self(self.next())
    }

    /// A number below `limit`; 0 for a limit of 0.
    pub(crate) const fn below(&mut self, limit: u64) -> u64 {
        // The bias is far below what any run would show.
        if limit == 0 { 0 } else { self.next() % limit }
    }

    /// A number of a range.
    pub(crate) const fn within(&mut self, range: &RangeInclusive<u64>) -> u64 {
        *range.start() + self.below(range.end().saturating_sub(*range.start()) + 1)
    }

    /// Whether something happens that happens so often in a hundred.
    pub(crate) const fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }

    /// One of a list.
    pub(crate) fn pick<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        of.get(self.below(of.len() as u64) as usize)
    }
}
