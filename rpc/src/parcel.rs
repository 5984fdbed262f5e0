//! What arguments and results travel in: OpenHarmony's `MessageParcel`.
//!
//! A [`Parcel`] is a byte buffer with a write end and a read cursor. Values are written one after the other and read
//! back in the same order with the same types; nothing in the bytes says what they are. References to remote objects
//! and one large block of raw data ride along.
//!
//! ```
//! use softbus_rpc::Parcel;
//!
//! let mut parcel = Parcel::new();
//! parcel.write_i32(7)?;
//! parcel.write_string("kitchen")?;
//!
//! assert_eq!(parcel.read_i32()?, 7);
//! assert_eq!(parcel.read_string()?, "kitchen");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Layout
//!
//! Everything is little-endian, on every machine. Each item starts at a multiple of 4 and is padded with zeros to the
//! next one.
//!
//! | value | bytes |
//! |---|---|
//! | `bool`, `i8`, `i16`, `u8`, `u16`, `i32`, `u32`, `f32` | 4; the small ones are extended |
//! | `i64`, `u64`, `f64` | 8, aligned to 4 only |
//! | string | `i32` bytes of UTF-8, the bytes, NUL, padding; a null string is −1 alone |
//! | string16 | `i32` units of UTF-16, the units, a NUL unit, padding; a null string is −1 alone |
//! | C string | the bytes, NUL, padding; no length |
//! | buffer | the bytes, padding; no length |
//! | vector | `i32` count, the elements; those of one or two bytes are packed and padded at the end |
//! | parcelable | `i32` 0 for null, or 1 and the value |
//! | remote object, file descriptor | `u32` 0x534f_4c54, `u32` index into the parcel's objects |
//! | shared memory | its file descriptor, `i32` bytes |
//! | raw data | `i32` bytes, then the bytes and padding up to 32 KiB; above that they travel beside the data |
//!
//! The typed forms of values add: a tag of 4 bytes before an `Option` (1 is there) and a `Result` (1 is the error); a
//! `char` as a `u32`; a map as a vector of key and value; and a long byte vector as −2 and raw data. A derived struct is its
//! fields, a derived enum an `i32` for the variant and its fields. An element of a vector that would take nothing takes 4
//! zeros.
//!
//! # Limits
//!
//! A new parcel takes [`DEFAULT_CAPACITY`] bytes, which [`Parcel::raise_capacity`] raises up to [`MAX_PARCEL_LEN`];
//! raw data above 32 KiB does not count. A write that fails changes nothing, and neither does a read: it leaves the
//! cursor where it was, so that another type can be tried. (A broken object is the one exception, see
//! [`Parcel::read_remote_object`].)
//!
//! # Typed values
//!
//! [`Parcel::write`] and [`Parcel::read`] take any type that implements [`Marshal`] and [`Parcelable`]: that is what
//! typed interfaces use. A type of an application gets into a parcel with
//! [`#[derive(Parcelable)]`](macro@Parcelable).

mod carried;
mod collection;
#[cfg(unix)]
mod descriptor;
mod error;
mod header;
mod object;
mod parcelable;
mod raw;
mod scalar;
mod string;
#[cfg(test)]
mod tests;
mod type_text;
mod value;
mod vector;
mod wire;

pub use bytes::Bytes;
pub use error::{MalformedParcel, PassObjectError, ReadParcelError, WriteParcelError};
pub use header::{Exception, MAX_TOKEN_LEN};
pub use parcelable::{MAX_DEPTH, Marshal, Parcelable};
pub use raw::{MAX_INLINE_RAW_DATA, MAX_RAW_DATA};
pub use rpc_macros::Parcelable;
#[doc(hidden)]
pub use type_text::type_text;

pub(crate) use object::{BrokenObject, Item, PassCheck, Slot};

use std::fmt;

use carried::Carried;

/// The bytes a new parcel takes: 200 KiB, as in OpenHarmony.
pub const DEFAULT_CAPACITY: usize = 204_800;
/// The most bytes any parcel takes: what may be sent to another device in one call, 1 MiB.
pub const MAX_PARCEL_LEN: usize = 1024 * 1024;
/// The most objects one parcel carries, file descriptors included.
pub const MAX_OBJECTS: usize = proto::frame::MAX_GRANTS;
/// How many of them may be file descriptors.
pub const MAX_DESCRIPTORS: usize = proto::frame::MAX_DESCRIPTORS;

/// Every item starts at a multiple of this.
const ALIGN: usize = 4;
/// What a first write allocates, as in OpenHarmony.
const FIRST_ALLOCATION: usize = 64;
/// From here on memory comes in whole steps of this, as in OpenHarmony.
const STEP: usize = 4096;

/// Arguments, or a result, on their way to or from another process or device.
///
/// See the [module](self) for the layout and the limits. Sending a parcel borrows it, so the same one can be sent
/// again, also after an error. A parcel that was received can be read and not written.
#[derive(Clone)]
pub struct Parcel {
    data: Data,
    read: usize,
    limit: usize,
    depth: usize,
    carried: Carried,
    pass_check: Option<PassCheck>,
}

/// Received bytes are kept as they came: no copy, and nothing to write to.
#[derive(Clone)]
enum Data {
    Written(Vec<u8>),
    Received(Bytes),
}

impl Parcel {
    /// An empty parcel with a capacity of [`DEFAULT_CAPACITY`]; allocates at the first write.
    pub const fn new() -> Self {
        Self {
            data: Data::Written(Vec::new()),
            read: 0,
            limit: DEFAULT_CAPACITY,
            depth: 0,
            carried: Carried::nothing(),
            pass_check: None,
        }
    }

    /// How many bytes the parcel holds, padding and object slots included, raw data above 32 KiB not.
    pub fn data_size(&self) -> usize {
        self.bytes().len()
    }

    /// How many bytes the parcel may hold.
    ///
    /// [`DEFAULT_CAPACITY`] unless raised. A received parcel reports its size.
    pub fn capacity(&self) -> usize {
        match &self.data {
            Data::Written(_) => self.limit,
            Data::Received(data) => data.len(),
        }
    }

    /// How many bytes are allocated at this moment.
    ///
    /// Memory is taken lazily: 0 for a new parcel, 64 after its first small write. OpenHarmony's *writable bytes* are
    /// this less the data size; [`writable_bytes`](Self::writable_bytes) says what a writer wants to know.
    pub fn allocated(&self) -> usize {
        match &self.data {
            Data::Written(data) => data.capacity(),
            Data::Received(data) => data.len(),
        }
    }

    /// How many bytes can still be written: the capacity less the size, 0 for a received parcel.
    ///
    /// Unlike in OpenHarmony, where a new parcel reports 0, this does not depend on what happens to be allocated.
    pub fn writable_bytes(&self) -> usize {
        self.capacity() - self.data_size()
    }

    /// How many bytes lie behind the read cursor.
    pub fn readable_bytes(&self) -> usize {
        self.data_size() - self.read
    }

    /// Where the next value is read, in bytes from the start.
    pub fn read_position(&self) -> usize {
        self.read
    }

    /// Where the next value is written: the end of the data.
    pub fn write_position(&self) -> usize {
        self.data_size()
    }

    /// Whether the parcel came from a peer and cannot be written.
    pub fn is_read_only(&self) -> bool {
        matches!(self.data, Data::Received(_))
    }

    /// Allows the parcel to grow to `capacity` bytes.
    ///
    /// # Errors
    /// [`WriteParcelError::CapacityExceeded`] above [`MAX_PARCEL_LEN`], [`WriteParcelError::CapacityLowered`] below
    /// the present capacity, [`WriteParcelError::ReadOnly`] for a received parcel.
    ///
    /// ```
    /// use softbus_rpc::Parcel;
    ///
    /// let mut parcel = Parcel::new();
    /// assert!(parcel.write_buffer(&[0; 300_000]).is_err());
    /// parcel.raise_capacity(400_000)?;
    /// parcel.write_buffer(&[0; 300_000])?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn raise_capacity(&mut self, capacity: usize) -> Result<(), WriteParcelError> {
        if self.is_read_only() {
            return Err(WriteParcelError::ReadOnly);
        }
        if capacity > MAX_PARCEL_LEN {
            return Err(WriteParcelError::CapacityExceeded {
                limit: MAX_PARCEL_LEN,
                size: capacity,
            });
        }
        if capacity < self.limit {
            return Err(WriteParcelError::CapacityLowered {
                current: self.limit,
                wanted: capacity,
            });
        }
        self.limit = capacity;
        Ok(())
    }

    /// Allows the parcel to grow as far as a call can carry, [`MAX_PARCEL_LEN`]: what generated code does at once,
    /// because its user cannot. Without effect on a received parcel.
    pub fn raise_to_transport_limit(&mut self) {
        self.limit = MAX_PARCEL_LEN;
    }

    /// Moves the read cursor to `position`, at most the data size.
    ///
    /// Values can be read again from a position that [`read_position`](Self::read_position) gave. Any position is
    /// accepted, also one inside a value; what is read from there is whatever the bytes mean.
    ///
    /// # Errors
    /// [`ReadParcelError::Position`] behind the end; the cursor stays.
    pub fn rewind_read(&mut self, position: usize) -> Result<(), ReadParcelError> {
        let size = self.data_size();
        if position > size {
            return Err(ReadParcelError::Position { position, size });
        }
        self.read = position;
        Ok(())
    }

    /// Cuts the parcel at `position`: the data behind it goes, and so do the objects and the raw data written there.
    /// A read cursor behind it moves to the new end.
    ///
    /// # Errors
    /// [`WriteParcelError::Position`] behind the end, [`WriteParcelError::Misaligned`] at a position that is no
    /// multiple of 4 (no item begins there), [`WriteParcelError::ReadOnly`] for a received parcel.
    pub fn rewind_write(&mut self, position: usize) -> Result<(), WriteParcelError> {
        let Data::Written(data) = &self.data else {
            return Err(WriteParcelError::ReadOnly);
        };
        let size = data.len();
        if position > size {
            return Err(WriteParcelError::Position { position, size });
        }
        if !position.is_multiple_of(ALIGN) {
            return Err(WriteParcelError::Misaligned { position });
        }
        self.truncate(position);
        Ok(())
    }

    /// `rewind_write` to an earlier, aligned end; also the way back for a write of many parts that failed.
    fn truncate(&mut self, position: usize) {
        if let Data::Written(data) = &mut self.data {
            data.truncate(position);
        }
        self.truncate_objects(position);
        if self
            .carried
            .raw
            .as_ref()
            .is_some_and(|raw| raw.at >= position)
        {
            self.carried.raw = None;
        }
        self.read = self.read.min(position);
    }

    /// A write of many parts: all of them or nothing.
    fn atomically(
        &mut self,
        write: impl FnOnce(&mut Self) -> Result<(), WriteParcelError>,
    ) -> Result<(), WriteParcelError> {
        let start = self.data_size();
        let written = write(self);
        if written.is_err() && self.data_size() > start {
            self.truncate(start);
        }
        written
    }

    #[inline]
    fn bytes(&self) -> &[u8] {
        match &self.data {
            Data::Written(data) => data,
            Data::Received(data) => data,
        }
    }

    /// Where `len` more bytes go, padding included; nothing is written on an error.
    #[inline]
    fn room(&mut self, len: usize) -> Result<&mut Vec<u8>, WriteParcelError> {
        let Data::Written(data) = &mut self.data else {
            return Err(WriteParcelError::ReadOnly);
        };
        if len > self.limit - data.len() {
            return Err(WriteParcelError::CapacityExceeded {
                limit: self.limit,
                size: data.len().saturating_add(len),
            });
        }
        if len > data.capacity() - data.len() {
            grow(data, len, self.limit);
        }
        Ok(data)
    }

    #[inline]
    fn put<const N: usize>(&mut self, bytes: [u8; N]) -> Result<(), WriteParcelError> {
        self.room(N)?.extend_from_slice(&bytes);
        Ok(())
    }

    #[inline]
    fn take<const N: usize>(&mut self) -> Result<[u8; N], ReadParcelError> {
        let bytes = self.peek(self.read)?;
        self.read += N;
        Ok(bytes)
    }

    /// `N` plain bytes at `at`, wherever the cursor is.
    #[inline]
    fn peek<const N: usize>(&self, at: usize) -> Result<[u8; N], ReadParcelError> {
        let rest = self.bytes().get(at..).unwrap_or_default();
        let Some(bytes) = rest.first_chunk::<N>() else {
            return Err(ReadParcelError::Truncated {
                wanted: N,
                left: rest.len(),
            });
        };
        if !self.carried.slots.is_empty() {
            self.check_plain(at, N)?;
        }
        Ok(*bytes)
    }

    /// `len` plain bytes at `at`; an item of that many bytes ends at `at + padded(len)`, which is in range as well.
    #[inline]
    fn region(&self, at: usize, len: usize) -> Result<&[u8], ReadParcelError> {
        let rest = self.bytes().get(at..).unwrap_or_default();
        if padded(len) > rest.len() {
            return Err(ReadParcelError::Truncated {
                wanted: len,
                left: rest.len(),
            });
        }
        if !self.carried.slots.is_empty() {
            self.check_plain(at, len)?;
        }
        Ok(&rest[..len])
    }

    /// A length or count at the cursor that stands for at least `unit` bytes each: so many can be there, or it is
    /// refused before anything is allocated for it.
    fn peek_count(&self, unit: usize) -> Result<usize, ReadParcelError> {
        let length = i32::from_le_bytes(self.peek(self.read)?);
        let count =
            usize::try_from(length).map_err(|_| ReadParcelError::InvalidLength { length })?;
        let left = self.readable_bytes() - ALIGN;
        let wanted = count.saturating_mul(unit);
        if wanted > left {
            Err(ReadParcelError::Truncated { wanted, left })
        } else {
            Ok(count)
        }
    }
}

impl Default for Parcel {
    fn default() -> Self {
        Self::new()
    }
}

/// Sizes only: what is in a parcel belongs to the application and in no log.
impl fmt::Debug for Parcel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parcel")
            .field("data_size", &self.data_size())
            .field("capacity", &self.capacity())
            .field("read_position", &self.read)
            .field("read_only", &self.is_read_only())
            .field("objects", &self.carried.objects.len())
            .field(
                "raw_data",
                &self.carried.raw.as_ref().map(|raw| raw.bytes.len()),
            )
            .finish()
    }
}

/// Doubles, from 64 bytes up to the limit. Up to a step it has the sizes that OpenHarmony's has, so that its *writable bytes*
/// are the same; above that OpenHarmony adds one step at a time, which would copy a large parcel again and again.
#[cold]
fn grow(data: &mut Vec<u8>, len: usize, limit: usize) {
    let needed = data.len() + len;
    let wanted = if needed <= STEP {
        needed.next_power_of_two().max(FIRST_ALLOCATION)
    } else {
        // One more than a whole number of steps, as there.
        (needed / STEP + 1)
            .saturating_mul(STEP)
            .max(data.capacity() * 2)
    };
    let wanted = wanted.min(limit).max(needed);
    if data.capacity() == 0 {
        *data = Vec::with_capacity(wanted);
    } else {
        data.reserve_exact(wanted - data.len());
    }
}

/// The bytes an item of `len` bytes takes; saturates, so that a forged length stays too long.
#[inline]
const fn padded(len: usize) -> usize {
    len.saturating_add(ALIGN - 1) & !(ALIGN - 1)
}

/// Zeros up to the next multiple of 4.
#[inline]
fn pad(data: &mut Vec<u8>) {
    data.resize(padded(data.len()), 0);
}

/// The examples of the derive macro need this crate, so they are run here.
#[cfg(doctest)]
#[doc = include_str!("../macros/parcelable.md")]
struct DeriveExamples;
