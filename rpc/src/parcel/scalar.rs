use super::{Parcel, ReadParcelError, WriteParcelError, pad, padded};

/// Values of 4 and 8 bytes: as they are.
macro_rules! full_width {
    ($($ty:ident $bytes:literal $write:ident $read:ident;)*) => {$(
        #[doc = concat!("Appends an `", stringify!($ty), "`: ", $bytes, " bytes.")]
        ///
        /// # Errors
        /// [`WriteParcelError`]; nothing is written.
        #[inline]
        pub fn $write(&mut self, value: $ty) -> Result<(), WriteParcelError> {
            self.put(value.to_le_bytes())
        }

        #[doc = concat!("Reads an `", stringify!($ty), "`: ", $bytes, " bytes.")]
        ///
        /// # Errors
        /// [`ReadParcelError`]; the cursor stays.
        #[inline]
        pub fn $read(&mut self) -> Result<$ty, ReadParcelError> {
            Ok($ty::from_le_bytes(self.take()?))
        }
    )*};
}

/// Values of 1 and 2 bytes: extended to 4 (`$wide`).
macro_rules! extended {
    ($($ty:ident $wide:ident $write:ident $read:ident;)*) => {$(
        #[doc = concat!("Appends an `", stringify!($ty), "`, extended to 4 bytes.")]
        ///
        /// # Errors
        /// [`WriteParcelError`]; nothing is written.
        #[inline]
        pub fn $write(&mut self, value: $ty) -> Result<(), WriteParcelError> {
            self.put($wide::from(value).to_le_bytes())
        }

        #[doc = concat!("Reads an `", stringify!($ty), "` from 4 bytes.")]
        ///
        /// # Errors
        /// [`ReadParcelError`], [`OutOfRange`](ReadParcelError::OutOfRange) when a wider value stands here; the
        /// cursor stays.
        #[inline]
        pub fn $read(&mut self) -> Result<$ty, ReadParcelError> {
            let value = $wide::from_le_bytes(self.peek(self.read)?);
            let narrow = $ty::try_from(value)
                .map_err(|_| ReadParcelError::OutOfRange { value: value.into() })?;
            self.read += size_of::<$wide>();
            Ok(narrow)
        }
    )*};
}

/// # Numbers and truth values
///
/// `bool` and integers of 8 and 16 bits take 4 bytes, all else its own size; little-endian, aligned to 4.
///
/// ```
/// use softbus_rpc::Parcel;
///
/// let mut parcel = Parcel::new();
/// parcel.write_u8(200)?;
/// parcel.write_i64(-1)?;
/// assert_eq!(parcel.data_size(), 12);
///
/// // What fits no `i8` is refused, and can be read as what it is.
/// assert!(parcel.read_i8().is_err());
/// assert_eq!(parcel.read_u8()?, 200);
/// assert_eq!(parcel.read_i64()?, -1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
impl Parcel {
    extended! {
        i8 i32 write_i8 read_i8;
        i16 i32 write_i16 read_i16;
        u8 u32 write_u8 read_u8;
        u16 u32 write_u16 read_u16;
    }

    full_width! {
        i32 4 write_i32 read_i32;
        u32 4 write_u32 read_u32;
        i64 8 write_i64 read_i64;
        u64 8 write_u64 read_u64;
        f32 4 write_f32 read_f32;
        f64 8 write_f64 read_f64;
    }

    /// Appends a `bool`: 4 bytes, 0 or 1.
    ///
    /// # Errors
    /// [`WriteParcelError`]; nothing is written.
    #[inline]
    pub fn write_bool(&mut self, value: bool) -> Result<(), WriteParcelError> {
        self.put(u32::from(value).to_le_bytes())
    }

    /// Reads a `bool` from 4 bytes.
    ///
    /// # Errors
    /// [`ReadParcelError`], [`InvalidBool`](ReadParcelError::InvalidBool) for anything but 0 and 1; the cursor stays.
    #[inline]
    pub fn read_bool(&mut self) -> Result<bool, ReadParcelError> {
        let value = match u32::from_le_bytes(self.peek(self.read)?) {
            0 => false,
            1 => true,
            value => return Err(ReadParcelError::InvalidBool { value }),
        };
        self.read += size_of::<u32>();
        Ok(value)
    }

    /// Appends bytes without their length, padded to 4: for those who know how many there are.
    ///
    /// # Errors
    /// [`WriteParcelError`]; nothing is written.
    pub fn write_buffer(&mut self, bytes: &[u8]) -> Result<(), WriteParcelError> {
        let data = self.room(padded(bytes.len()))?;
        data.extend_from_slice(bytes);
        pad(data);
        Ok(())
    }

    /// Reads `len` bytes and skips their padding. They stay in the parcel; nothing is copied.
    ///
    /// # Errors
    /// [`ReadParcelError`]; the cursor stays.
    pub fn read_buffer(&mut self, len: usize) -> Result<&[u8], ReadParcelError> {
        let at = self.read;
        self.region(at, len)?;
        self.read = at + padded(len);
        Ok(&self.bytes()[at..at + len])
    }
}
