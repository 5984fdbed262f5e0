//! Memory that processes of one device share: OpenHarmony's `Ashmem`, as a sealed memfd.
//!
//! What is too large for a message between processes, about 1 MB, goes here: the descriptor travels and the bytes stay
//! where they are, a gigabyte as fast as a page.
//!
//! ```
//! use softbus_rpc::ashmem::{Ashmem, Protection};
//!
//! let memory = Ashmem::create("frame", 1 << 20)?;
//! memory.write(0, b"pixels")?;
//!
//! // What is frozen is the same for everybody and for ever, so it can be looked at where it is.
//! memory.freeze()?;
//! assert_eq!(memory.protection(), Protection::ReadOnly);
//! assert_eq!(&memory.map()?[..6], b"pixels");
//! # Ok::<(), softbus_rpc::ashmem::AshmemError>(())
//! ```
//!
//! # What another process may do to us
//!
//! The size is sealed, so no process can shrink the memory under another that reads it. The content is not, unless it was
//! [frozen](Ashmem::freeze): every holder may write at any time. [`read`](Ashmem::read) and [`write`](Ashmem::write) copy,
//! and a copy is what may be judged. A view of memory that others may write to is [`map_mut`](Ashmem::map_mut), and
//! `unsafe` for that reason.
//!
//! Shared memory does not cross devices: a parcel with one in it is refused when it is sent to another device.

mod map;

pub use map::{AshmemMap, AshmemMapMut};

use std::{
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    sync::Arc,
};

use rustix::{
    fs::{FileType, MemfdFlags, OFlags, SealFlags},
    io::Errno,
};

/// The largest shared memory, in bytes: what OpenHarmony's parcel, which has its size as an `int32`, can name.
pub const MAX_ASHMEM: usize = i32::MAX as usize;
/// The longest name, in bytes (Linux `memfd_create`: 249).
pub const MAX_NAME: usize = 249;

/// What everybody who gets it can rely on: the size stays, and nobody takes these promises or adds others.
const SEALED: SealFlags = SealFlags::SHRINK
    .union(SealFlags::GROW)
    .union(SealFlags::SEAL);

/// What a holder may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protection {
    /// Read.
    ReadOnly,
    /// Read and write.
    ReadWrite,
}

/// Shared memory. Clones are the same memory; it is given back to the system when nobody on the device holds it.
#[derive(Clone, Debug)]
pub struct Ashmem {
    descriptor: Arc<OwnedFd>,
    /// Seals are set through a handle that may write: what a narrowed one was made from.
    origin: Option<Arc<OwnedFd>>,
    size: usize,
    protection: Protection,
}

/// Why shared memory was not made, read, written, mapped or taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AshmemError {
    /// Nothing, or more than [`MAX_ASHMEM`]. Use several.
    #[error("shared memory of {size} bytes, limit {limit}")]
    Size {
        /// The bytes asked for; 0 is refused as well.
        size: usize,
        /// [`MAX_ASHMEM`], in bytes.
        limit: usize,
    },
    /// The name is longer than [`MAX_NAME`] or has a NUL in it.
    #[error("name of {len} bytes, limit {limit}, without nul")]
    Name {
        /// Its length, in bytes.
        len: usize,
        /// [`MAX_NAME`], in bytes.
        limit: usize,
    },
    /// What was to be read or written is not all inside. Nothing was.
    #[error("{len} bytes at {offset} of {size}")]
    OutOfBounds {
        /// Where, in bytes from the beginning.
        offset: usize,
        /// How many bytes.
        len: usize,
        /// How many there are.
        size: usize,
    },
    /// The memory is frozen, or this handle was narrowed to reading.
    #[error("read-only")]
    ReadOnly,
    /// The memory may change at any time, so it is not shown in place. Freeze it, or copy with [`Ashmem::read`].
    #[error("not frozen")]
    NotFrozen,
    /// Somebody has mapped the memory for writing. Drop the map, then freeze.
    #[error("mapped for writing")]
    Mapped,
    /// The memory has been passed on, and what it promises can no longer change. Freeze before passing.
    #[error("passed on already")]
    Shared,
    /// What came from another process is not sealed shared memory of the size it claims. Refused, because its owner could
    /// take it away while it is read.
    #[error("not sealed shared memory: {0}")]
    NotSealed(&'static str),
    /// The system refused; for example, this process has no descriptors left.
    #[error("{call}: {error}")]
    System {
        /// What was asked.
        call: &'static str,
        /// The system's answer.
        error: Errno,
    },
}

impl Ashmem {
    /// Makes shared memory of `size` bytes, all zero. The name is for people who look into `/proc`; it need not be unique.
    ///
    /// Memory is taken page by page when it is written.
    ///
    /// # Errors
    /// [`AshmemError::Size`], [`AshmemError::Name`], [`AshmemError::System`].
    pub fn create(name: &str, size: usize) -> Result<Self, AshmemError> {
        if size == 0 || size > MAX_ASHMEM {
            let limit = MAX_ASHMEM;
            return Err(AshmemError::Size { size, limit });
        }
        let descriptor = create_memfd(name)?;
        rustix::fs::ftruncate(&descriptor, size as u64).map_err(system("ftruncate"))?;
        rustix::fs::fcntl_add_seals(&descriptor, SealFlags::SHRINK | SealFlags::GROW)
            .map_err(system("fcntl"))?;
        Ok(Self {
            descriptor: Arc::new(descriptor),
            origin: None,
            size,
            protection: Protection::ReadWrite,
        })
    }

    /// How many bytes there are. Never changes.
    pub fn size(&self) -> usize {
        self.size
    }

    /// What may be done through this handle.
    pub fn protection(&self) -> Protection {
        if self.protection == Protection::ReadWrite && !self.is_frozen() {
            Protection::ReadWrite
        } else {
            Protection::ReadOnly
        }
    }

    /// Copies `bytes` to `offset`.
    ///
    /// # Errors
    /// [`AshmemError::ReadOnly`], [`AshmemError::OutOfBounds`]; nothing is written.
    pub fn write(&self, offset: usize, bytes: &[u8]) -> Result<(), AshmemError> {
        if self.protection == Protection::ReadOnly {
            return Err(AshmemError::ReadOnly);
        }
        self.check_bounds(offset, bytes.len())?;
        let mut rest = bytes;
        while !rest.is_empty() {
            let at = offset + bytes.len() - rest.len();
            match rustix::io::pwrite(&*self.descriptor, rest, at as u64) {
                Ok(written) => rest = &rest[written..],
                Err(Errno::INTR) => {}
                Err(Errno::PERM) => return Err(AshmemError::ReadOnly),
                Err(error) => return Err(system("pwrite")(error)),
            }
        }
        Ok(())
    }

    /// Fills `into` with what stands at `offset`.
    ///
    /// # Errors
    /// [`AshmemError::OutOfBounds`]; `into` is as it was.
    pub fn read(&self, offset: usize, into: &mut [u8]) -> Result<(), AshmemError> {
        self.check_bounds(offset, into.len())?;
        let mut filled = 0;
        while filled < into.len() {
            let at = (offset + filled) as u64;
            match rustix::io::pread(&*self.descriptor, &mut into[filled..], at) {
                // The size is sealed.
                Ok(0) => return Err(system("pread")(Errno::IO)),
                Ok(read) => filled += read,
                Err(Errno::INTR) => {}
                Err(error) => return Err(system("pread")(error)),
            }
        }
        Ok(())
    }

    /// A handle of the same memory that only reads. Protection is narrowed by it and never widened: who gets this handle
    /// in a parcel gets one that only reads.
    ///
    /// It keeps a receiver from writing by mistake. Against one that means harm, [`freeze`](Self::freeze): a process of the
    /// same user can open the memory anew.
    ///
    /// # Errors
    /// [`AshmemError::System`].
    pub fn read_only(&self) -> Result<Self, AshmemError> {
        if self.protection == Protection::ReadOnly {
            return Ok(self.clone());
        }
        let path = format!("/proc/self/fd/{}", self.descriptor.as_raw_fd());
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let descriptor = rustix::fs::open(path, flags, rustix::fs::Mode::empty());
        Ok(Self {
            descriptor: Arc::new(descriptor.map_err(system("open"))?),
            origin: Some(Arc::clone(&self.descriptor)),
            size: self.size,
            protection: Protection::ReadOnly,
        })
    }

    /// From here on nobody writes, through whichever handle.
    ///
    /// # Errors
    /// [`AshmemError::Mapped`] while somebody has it mapped for writing, [`AshmemError::Shared`] when it has been passed on
    /// unfrozen. Frozen already is no error.
    pub fn freeze(&self) -> Result<(), AshmemError> {
        if self.is_frozen() {
            return Ok(());
        }
        match self.add_seals(SealFlags::WRITE | SEALED) {
            Ok(()) => Ok(()),
            Err(Errno::BUSY) => Err(AshmemError::Mapped),
            Err(Errno::PERM) if self.seals().contains(SealFlags::SEAL) => Err(AshmemError::Shared),
            Err(error) => Err(system("fcntl")(error)),
        }
    }

    /// Whether nobody can write any more.
    pub fn is_frozen(&self) -> bool {
        self.seals().contains(SealFlags::WRITE)
    }

    /// Shows what is in frozen memory, in place and without a copy.
    ///
    /// # Errors
    /// [`AshmemError::NotFrozen`], [`AshmemError::System`].
    pub fn map(&self) -> Result<AshmemMap, AshmemError> {
        AshmemMap::new(self)
    }

    /// Shows the memory in place, to be read and written while others may do the same.
    ///
    /// # Safety
    /// While a slice of the map is borrowed, no holder of the memory, in this process or another, writes to what it covers,
    /// and none reads what is written through it. Nothing but an agreement between the holders can give that.
    ///
    /// # Errors
    /// [`AshmemError::ReadOnly`], [`AshmemError::System`].
    #[expect(unsafe_code, reason = "an obligation for the caller; see map.rs")]
    pub unsafe fn map_mut(&self) -> Result<AshmemMapMut, AshmemError> {
        if self.protection() == Protection::ReadOnly {
            return Err(AshmemError::ReadOnly);
        }
        // SAFETY: handed on to our caller.
        unsafe { AshmemMapMut::new(self) }
    }

    /// Takes a descriptor that came from another process, if it is what it is said to be.
    ///
    /// # Errors
    /// [`AshmemError::NotSealed`] for anything whose owner could still change its size, [`AshmemError::Size`].
    pub fn from_descriptor(descriptor: OwnedFd, size: usize) -> Result<Self, AshmemError> {
        if size == 0 || size > MAX_ASHMEM {
            let limit = MAX_ASHMEM;
            return Err(AshmemError::Size { size, limit });
        }
        // Files on disks answer EINVAL here: what could block or fail when it is touched does not come in.
        let seals = rustix::fs::fcntl_get_seals(&descriptor)
            .map_err(|_| AshmemError::NotSealed("no memory file"))?;
        if !seals.contains(SEALED) {
            return Err(AshmemError::NotSealed("its size may change"));
        }
        let stat = rustix::fs::fstat(&descriptor).map_err(system("fstat"))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(AshmemError::NotSealed("no memory file"));
        }
        if u64::try_from(stat.st_size) != Ok(size as u64) {
            return Err(AshmemError::NotSealed("of another size"));
        }
        let flags = rustix::fs::fcntl_getfl(&descriptor).map_err(system("fcntl"))?;
        let protection = match flags & OFlags::RWMODE {
            OFlags::RDWR => Protection::ReadWrite,
            OFlags::RDONLY => Protection::ReadOnly,
            _ => return Err(AshmemError::NotSealed("not readable")),
        };
        Ok(Self {
            descriptor: Arc::new(descriptor),
            origin: None,
            size,
            protection,
        })
    }

    /// The descriptor to pass on. From here on what the memory promises is fixed.
    ///
    /// # Errors
    /// [`AshmemError::System`].
    pub fn share(&self) -> Result<BorrowedFd<'_>, AshmemError> {
        if !self.seals().contains(SEALED) {
            self.add_seals(SEALED).map_err(system("fcntl"))?;
        }
        Ok(self.descriptor.as_fd())
    }

    fn seals(&self) -> SealFlags {
        rustix::fs::fcntl_get_seals(&*self.descriptor).unwrap_or(SealFlags::empty())
    }

    fn add_seals(&self, seals: SealFlags) -> Result<(), Errno> {
        let descriptor = self.origin.as_ref().unwrap_or(&self.descriptor);
        rustix::fs::fcntl_add_seals(descriptor, seals)
    }

    fn check_bounds(&self, offset: usize, len: usize) -> Result<(), AshmemError> {
        match offset.checked_add(len) {
            Some(end) if end <= self.size => Ok(()),
            _ => Err(AshmemError::OutOfBounds {
                offset,
                len,
                size: self.size,
            }),
        }
    }
}

/// Frozen shared memory in the making: what is appended until it is [finished](Self::finish). For what has a length only
/// once it has come.
#[derive(Debug)]
pub struct AshmemWriter {
    descriptor: OwnedFd,
    size: usize,
}

impl AshmemWriter {
    /// Nothing yet.
    ///
    /// # Errors
    /// [`AshmemError::System`].
    pub fn new(name: &str) -> Result<Self, AshmemError> {
        let descriptor = create_memfd(name)?;
        Ok(Self {
            descriptor,
            size: 0,
        })
    }

    /// Copies `bytes` to the end.
    ///
    /// # Errors
    /// [`AshmemError::Size`], [`AshmemError::System`].
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), AshmemError> {
        let size = self.size.saturating_add(bytes.len());
        if size > MAX_ASHMEM {
            let limit = MAX_ASHMEM;
            return Err(AshmemError::Size { size, limit });
        }
        let mut rest = bytes;
        while !rest.is_empty() {
            match rustix::io::pwrite(&self.descriptor, rest, self.size as u64) {
                Ok(written) => {
                    self.size += written;
                    rest = &rest[written..];
                }
                Err(Errno::INTR) => {}
                Err(error) => return Err(system("pwrite")(error)),
            }
        }
        Ok(())
    }

    /// The memory, which nobody writes any more.
    ///
    /// # Errors
    /// [`AshmemError::Size`] when nothing was appended, [`AshmemError::System`].
    pub fn finish(self) -> Result<Ashmem, AshmemError> {
        rustix::fs::fcntl_add_seals(&self.descriptor, SealFlags::WRITE | SEALED)
            .map_err(system("fcntl"))?;
        Ashmem::from_descriptor(self.descriptor, self.size)
    }
}

fn create_memfd(name: &str) -> Result<OwnedFd, AshmemError> {
    if name.len() > MAX_NAME || name.contains('\0') {
        return Err(AshmemError::Name {
            len: name.len(),
            limit: MAX_NAME,
        });
    }
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    match rustix::fs::memfd_create(name, flags | MemfdFlags::NOEXEC_SEAL) {
        // Linux before 6.3 does not know that nobody runs shared memory.
        Err(Errno::INVAL) => rustix::fs::memfd_create(name, flags),
        made => made,
    }
    .map_err(system("memfd_create"))
}

fn system(call: &'static str) -> impl Fn(Errno) -> AshmemError {
    move |error| AshmemError::System { call, error }
}
