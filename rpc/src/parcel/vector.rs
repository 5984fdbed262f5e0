use super::{ALIGN, Marshal, Parcel, Parcelable, ReadParcelError, WriteParcelError, pad, padded};

macro_rules! vectors {
    ($($ty:ident $write:ident $read:ident;)*) => {$(
        #[doc = concat!("Appends a vector of `", stringify!($ty), "`: count, packed elements, padding.")]
        ///
        /// # Errors
        /// [`WriteParcelError`]; nothing is written.
        pub fn $write(&mut self, values: &[$ty]) -> Result<(), WriteParcelError> {
            let len = padded(size_of_val(values));
            let data = self.room(ALIGN.saturating_add(len))?;
            // What fits a parcel is fewer than an `i32` can say.
            data.extend_from_slice(&(values.len() as i32).to_le_bytes());
            let start = data.len();
            // Zeros first, and the elements over them: this becomes one copy, pushing them would not.
            data.resize(start + len, 0);
            let elements = data[start..].as_chunks_mut().0;
            for (element, value) in elements.iter_mut().zip(values) {
                *element = value.to_le_bytes();
            }
            Ok(())
        }

        #[doc = concat!("Reads a vector of `", stringify!($ty), "`.")]
        ///
        /// # Errors
        /// [`ReadParcelError`], before allocating anything when the count is forged; the cursor stays.
        pub fn $read(&mut self) -> Result<Vec<$ty>, ReadParcelError> {
            const SIZE: usize = size_of::<$ty>();
            let len = self.peek_count(SIZE)? * SIZE;
            let at = self.read + ALIGN;
            let elements = self.region(at, len)?.as_chunks::<SIZE>().0;
            let values = elements.iter().map(|bytes| $ty::from_le_bytes(*bytes)).collect();
            self.read = at + padded(len);
            Ok(values)
        }
    )*};
}

/// # Vectors
///
/// A count of 4 bytes, the elements packed at their own size (a `bool` takes one byte here), and padding. A count
/// that the rest of the parcel cannot hold is refused before anything is allocated.
///
/// The type of the elements is not written: reading with another one is an error only where the length does not fit
/// or a value is none of that type. Whoever reads has to know what was written.
///
/// ```
/// use softbus_rpc::Parcel;
///
/// let mut parcel = Parcel::new();
/// parcel.write_i16_vec(&[1, 2, 3])?;
/// parcel.write_string_vec(&["a", "b"])?;
/// assert_eq!(parcel.read_i16_vec()?, [1, 2, 3]);
/// assert_eq!(parcel.read_string_vec()?, ["a", "b"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
impl Parcel {
    vectors! {
        i8 write_i8_vec read_i8_vec;
        i16 write_i16_vec read_i16_vec;
        i32 write_i32_vec read_i32_vec;
        i64 write_i64_vec read_i64_vec;
        u8 write_u8_vec read_u8_vec;
        u16 write_u16_vec read_u16_vec;
        u32 write_u32_vec read_u32_vec;
        u64 write_u64_vec read_u64_vec;
        f32 write_f32_vec read_f32_vec;
        f64 write_f64_vec read_f64_vec;
    }

    /// Appends a vector of `bool`: count, one byte each, padding.
    ///
    /// # Errors
    /// [`WriteParcelError`]; nothing is written.
    pub fn write_bool_vec(&mut self, values: &[bool]) -> Result<(), WriteParcelError> {
        let data = self.room(ALIGN.saturating_add(padded(values.len())))?;
        data.extend_from_slice(&(values.len() as i32).to_le_bytes());
        data.extend(values.iter().map(|&value| u8::from(value)));
        pad(data);
        Ok(())
    }

    /// Reads a vector of `bool`.
    ///
    /// # Errors
    /// [`ReadParcelError`], [`InvalidBool`](ReadParcelError::InvalidBool) for any element but 0 and 1; the cursor
    /// stays.
    pub fn read_bool_vec(&mut self) -> Result<Vec<bool>, ReadParcelError> {
        let len = self.peek_count(1)?;
        let at = self.read + ALIGN;
        let values = self.region(at, len)?.iter().map(|&byte| match byte {
            0 => Ok(false),
            1 => Ok(true),
            value => Err(ReadParcelError::InvalidBool {
                value: value.into(),
            }),
        });
        let values = values.collect::<Result<_, _>>()?;
        self.read = at + padded(len);
        Ok(values)
    }

    /// Appends a vector of strings in UTF-8: count, strings.
    ///
    /// # Errors
    /// [`WriteParcelError`]; nothing is written.
    pub fn write_string_vec<S: AsRef<str>>(
        &mut self,
        values: &[S],
    ) -> Result<(), WriteParcelError> {
        self.write_sequence(values, |parcel, value| parcel.write_string(value.as_ref()))
    }

    /// Reads a vector of strings in UTF-8.
    ///
    /// # Errors
    /// [`ReadParcelError`]; the cursor stays.
    pub fn read_string_vec(&mut self) -> Result<Vec<String>, ReadParcelError> {
        self.read_sequence(Self::read_string)
    }

    /// Appends a vector of strings in UTF-16: count, strings.
    ///
    /// # Errors
    /// [`WriteParcelError`]; nothing is written.
    pub fn write_string16_vec<S: AsRef<str>>(
        &mut self,
        values: &[S],
    ) -> Result<(), WriteParcelError> {
        self.write_sequence(values, |parcel, value| {
            parcel.write_string16(value.as_ref())
        })
    }

    /// Reads a vector of strings in UTF-16.
    ///
    /// # Errors
    /// [`ReadParcelError`]; the cursor stays.
    pub fn read_string16_vec(&mut self) -> Result<Vec<String>, ReadParcelError> {
        self.read_sequence(Self::read_string16)
    }

    /// Appends a vector of values that each have OpenHarmony's mark of being there: count, then 1 and the value each.
    ///
    /// # Errors
    /// [`WriteParcelError`]; nothing is written.
    pub fn write_parcelable_vec<T: Marshal>(
        &mut self,
        values: &[T],
    ) -> Result<(), WriteParcelError> {
        self.write_sequence(values, |parcel, value| parcel.write_parcelable(Some(value)))
    }

    /// Reads a vector of values that each have a mark of being there.
    ///
    /// # Errors
    /// [`ReadParcelError`], [`UnexpectedNull`](ReadParcelError::UnexpectedNull) when one is null; the cursor stays.
    pub fn read_parcelable_vec<T: Parcelable>(&mut self) -> Result<Vec<T>, ReadParcelError> {
        self.read_sequence(|parcel| {
            parcel
                .read_parcelable()?
                .ok_or(ReadParcelError::UnexpectedNull)
        })
    }

    /// A count and elements, all or nothing. An element that writes nothing takes 4 bytes all the same: else a few
    /// bytes from a peer could ask for a million of them.
    pub(crate) fn write_sequence<I: IntoIterator<IntoIter: ExactSizeIterator>>(
        &mut self,
        values: I,
        mut write: impl FnMut(&mut Self, I::Item) -> Result<(), WriteParcelError>,
    ) -> Result<(), WriteParcelError> {
        let values = values.into_iter();
        self.write_nested(|parcel| {
            let count =
                i32::try_from(values.len()).map_err(|_| WriteParcelError::CapacityExceeded {
                    limit: parcel.limit,
                    size: values.len(),
                })?;
            parcel.write_i32(count)?;
            for value in values {
                let start = parcel.data_size();
                write(parcel, value)?;
                if parcel.data_size() == start {
                    parcel.write_i32(0)?;
                }
            }
            Ok(())
        })
    }

    /// What `write_sequence` wrote. Allocates no more at first than the bytes that are there.
    pub(crate) fn read_sequence<T, C: FromSequence<T>>(
        &mut self,
        mut read: impl FnMut(&mut Self) -> Result<T, ReadParcelError>,
    ) -> Result<C, ReadParcelError> {
        self.read_nested(|parcel| {
            let count = parcel.peek_count(ALIGN)?;
            parcel.read += ALIGN;
            let mut values =
                C::empty(count.min(parcel.readable_bytes() / size_of::<T>().max(ALIGN)));
            for _ in 0..count {
                let start = parcel.read;
                values.add(read(parcel)?);
                if parcel.read == start {
                    parcel.read_i32()?;
                }
            }
            Ok(values)
        })
    }
}

/// What a sequence can be read into.
pub(crate) trait FromSequence<T> {
    /// With memory for this many, where that means something.
    fn empty(expected: usize) -> Self;
    fn add(&mut self, value: T);
}

impl<T> FromSequence<T> for Vec<T> {
    fn empty(expected: usize) -> Self {
        Self::with_capacity(expected)
    }

    fn add(&mut self, value: T) {
        self.push(value);
    }
}
