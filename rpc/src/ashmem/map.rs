//! Shared memory in place.
//!
//! Unsafe, because a mapping is memory that the compiler does not know to be shared: a slice of it must not change under
//! its reader, nor be taken away. The file's size is sealed, so no access faults; that nobody writes is either sealed too
//! ([`AshmemMap`]) or promised by the caller ([`AshmemMapMut`]).
#![expect(unsafe_code, reason = "maps files")]

use std::{
    ops::{Deref, DerefMut},
    os::fd::AsRawFd,
};

use memmap2::{Mmap, MmapMut, MmapOptions};
use rustix::io::Errno;

use super::{Ashmem, AshmemError};

/// Frozen shared memory, in place. Outlives the handle it was made from.
#[derive(Debug)]
pub struct AshmemMap(Mmap);

impl AshmemMap {
    pub(super) fn new(memory: &Ashmem) -> Result<Self, AshmemError> {
        if !memory.is_frozen() {
            return Err(AshmemError::NotFrozen);
        }
        let mut options = MmapOptions::new();
        options.len(memory.size);
        // SAFETY: the file is sealed against writes and against a change of size, and seals are never taken off; no mapping
        // for writing existed when the first seal was set, or it would have been refused. So the bytes never change and
        // never go away. `size` is the sealed file's.
        let map = unsafe { options.map(memory.descriptor.as_raw_fd()) };
        map.map(Self).map_err(failed)
    }
}

impl Deref for AshmemMap {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

/// What makes `Bytes` of it.
impl AsRef<[u8]> for AshmemMap {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// Shared memory that can be written, in place. Outlives the handle it was made from.
#[derive(Debug)]
pub struct AshmemMapMut(MmapMut);

impl AshmemMapMut {
    /// # Safety
    /// As [`Ashmem::map_mut`].
    pub(super) unsafe fn new(memory: &Ashmem) -> Result<Self, AshmemError> {
        let mut options = MmapOptions::new();
        options.len(memory.size);
        // SAFETY: the size of the file is sealed and `size` is it, so the mapping is never cut off; that nobody else
        // writes under a borrowed slice is what our caller promises.
        let map = unsafe { options.map_mut(memory.descriptor.as_raw_fd()) };
        map.map(Self).map_err(failed)
    }
}

impl Deref for AshmemMapMut {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl DerefMut for AshmemMapMut {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

fn failed(error: std::io::Error) -> AshmemError {
    AshmemError::System {
        call: "mmap",
        error: Errno::from_io_error(&error).unwrap_or(Errno::IO),
    }
}
