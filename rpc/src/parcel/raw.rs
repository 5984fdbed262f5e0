use bytes::Bytes;

use super::{ALIGN, Data, Parcel, ReadParcelError, WriteParcelError, pad, padded};

/// The most raw data one call carries: 128 MiB, as in OpenHarmony.
pub const MAX_RAW_DATA: usize = 128 * 1024 * 1024;
/// Raw data up to this many bytes is written into the parcel like any other; above, it travels beside it.
pub const MAX_INLINE_RAW_DATA: usize = 32 * 1024;

/// Raw data that travels beside the parcel.
#[derive(Clone)]
pub(super) struct RawData {
    /// Where its length is written, or before that; cutting the parcel there takes the raw data with it.
    pub(super) at: usize,
    /// Where its length stands, once that is known: in a received parcel when it has been read. It stands in one place,
    /// or a peer could have one block copied as often as its length fits into a parcel.
    pub(super) place: Option<usize>,
    pub(super) bytes: Bytes,
}

impl RawData {
    pub(super) fn moved_by(&self, base: usize) -> Self {
        Self {
            at: base + self.at,
            place: self.place.map(|place| base + place),
            bytes: self.bytes.clone(),
        }
    }
}

/// # Raw data
///
/// One large block: a picture, a file, a model. Up to 32 KiB it is written into the parcel and counts; above that it
/// is handed over as it is, without a copy, and does not count against the capacity.
///
/// ```
/// use softbus_rpc::Parcel;
///
/// let mut parcel = Parcel::new();
/// parcel.write_raw_data(vec![7; 10_000_000])?;
/// assert_eq!(parcel.data_size(), 4);
/// assert_eq!(parcel.read_raw_data(10_000_000)?.len(), 10_000_000);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
impl Parcel {
    /// Appends 1 byte to [`MAX_RAW_DATA`] of raw data; at most one block above 32 KiB in a parcel.
    ///
    /// # Errors
    /// [`WriteParcelError::RawDataSize`] for nothing and for too much, [`WriteParcelError::SecondRawData`],
    /// [`WriteParcelError::CapacityExceeded`]; nothing is written.
    pub fn write_raw_data(&mut self, bytes: impl Into<Bytes>) -> Result<(), WriteParcelError> {
        let bytes = bytes.into();
        let size = bytes.len();
        if size == 0 || size > MAX_RAW_DATA {
            return Err(WriteParcelError::RawDataSize {
                size,
                limit: MAX_RAW_DATA,
            });
        }
        if size <= MAX_INLINE_RAW_DATA {
            let data = self.room(ALIGN + padded(size))?;
            data.extend_from_slice(&(size as i32).to_le_bytes());
            data.extend_from_slice(&bytes);
            pad(data);
            return Ok(());
        }
        let at = self.room(ALIGN)?.len();
        if self.carried.raw.is_some() {
            return Err(WriteParcelError::SecondRawData);
        }
        self.write_i32(size as i32)?;
        let place = Some(at);
        self.carried.raw = Some(RawData { at, place, bytes });
        Ok(())
    }

    /// Reads raw data of exactly `len` bytes. A block above 32 KiB, and any block of a received parcel, is not copied.
    ///
    /// # Errors
    /// [`ReadParcelError::RawDataSize`] when another size was written, [`ReadParcelError::Truncated`],
    /// [`ReadParcelError::RawDataMissing`]; the cursor stays.
    pub fn read_raw_data(&mut self, len: usize) -> Result<Bytes, ReadParcelError> {
        let bytes = self.raw_data_at(self.read, Some(len))?;
        self.read += raw_data_len(bytes.len());
        Ok(bytes)
    }

    /// Raw data at `at`, of the size `expected` or of any.
    pub(super) fn raw_data_at(
        &mut self,
        at: usize,
        expected: Option<usize>,
    ) -> Result<Bytes, ReadParcelError> {
        let length = i32::from_le_bytes(self.peek(at)?);
        let size =
            usize::try_from(length).map_err(|_| ReadParcelError::InvalidLength { length })?;
        if let Some(expected) = expected
            && expected != size
        {
            return Err(ReadParcelError::RawDataSize {
                expected,
                actual: size,
            });
        }
        if size <= MAX_INLINE_RAW_DATA {
            return self.copy_region(at + ALIGN, size);
        }
        let raw = self
            .carried
            .raw
            .as_mut()
            .ok_or(ReadParcelError::RawDataMissing)?;
        if raw.bytes.len() != size {
            return Err(ReadParcelError::RawDataSize {
                expected: size,
                actual: raw.bytes.len(),
            });
        }
        if *raw.place.get_or_insert(at) != at {
            return Err(ReadParcelError::RawDataMissing);
        }
        Ok(raw.bytes.clone())
    }

    /// `len` plain bytes at `at` on their own; shared with the parcel when it was received.
    pub(super) fn copy_region(&self, at: usize, len: usize) -> Result<Bytes, ReadParcelError> {
        let region = self.region(at, len)?;
        Ok(match &self.data {
            Data::Written(_) => Bytes::copy_from_slice(region),
            Data::Received(data) => data.slice(at..at + len),
        })
    }
}

/// The bytes that raw data of a size takes in the parcel.
pub(super) fn raw_data_len(size: usize) -> usize {
    if size <= MAX_INLINE_RAW_DATA {
        ALIGN + padded(size)
    } else {
        ALIGN
    }
}
