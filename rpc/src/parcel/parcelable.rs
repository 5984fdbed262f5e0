use std::borrow::Cow;

use super::{Data, Parcel, ReadParcelError, WriteParcelError};

/// How deep values may nest in one another: boxes, vectors, maps and parcelables.
pub const MAX_DEPTH: usize = 32;

/// A value that can be written to a parcel.
///
/// Split from [`Parcelable`] so that `&str` and `&[T]` can be arguments: they can be written without copying them into
/// something owned first. See there for an example.
#[diagnostic::on_unimplemented(
    note = "a type of your own is made parcelable by `#[derive(Parcelable)]`, if all that it holds is"
)]
pub trait Marshal {
    /// Appends the value.
    ///
    /// # Errors
    /// [`WriteParcelError`]. What was written before the error may stay; [`Parcel::write`] removes it.
    fn marshal(&self, parcel: &mut Parcel) -> Result<(), WriteParcelError>;

    /// Appends a vector of values. What packs better than one by one says so here.
    #[doc(hidden)]
    fn marshal_slice(values: &[Self], parcel: &mut Parcel) -> Result<(), WriteParcelError>
    where
        Self: Sized,
    {
        parcel.write_sequence(values, |parcel, value| value.marshal(parcel))
    }

    /// Appends values whose number the reader knows.
    #[doc(hidden)]
    fn marshal_array(values: &[Self], parcel: &mut Parcel) -> Result<(), WriteParcelError>
    where
        Self: Sized,
    {
        values.iter().try_for_each(|value| value.marshal(parcel))
    }
}

/// A value that can be written to a parcel and read back: what an argument or result of a typed interface is.
///
/// Implemented for `bool`, integers of up to 64 bits, floats, `char`, `String`, `Vec`, `Option`, `Result`, arrays,
/// tuples of up to six, maps, `Box`, `Duration`, [`Bytes`](bytes::Bytes) and
/// [`RemoteObject`](crate::RemoteObject). For a type of your own it is
/// [derived](macro@crate::parcel::Parcelable):
///
/// ```
/// use softbus_rpc::{Parcel, Parcelable};
///
/// #[derive(Debug, PartialEq, Parcelable)]
/// struct Point {
///     x: i32,
///     y: i32,
///     label: Option<String>,
/// }
///
/// let mut parcel = Parcel::new();
/// parcel.write(&Point { x: 1, y: 2, label: None })?;
/// assert_eq!(parcel.read::<Point>()?, Point { x: 1, y: 2, label: None });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// By hand, where the bytes have to be others, it writes its fields and reads them in the same order:
///
/// ```
/// use std::borrow::Cow;
/// use softbus_rpc::{Parcel, parcel::{Marshal, Parcelable, ReadParcelError, WriteParcelError}};
///
/// #[derive(Debug, PartialEq)]
/// struct Point {
///     x: i32,
///     y: i32,
///     label: Option<String>,
/// }
///
/// impl Marshal for Point {
///     fn marshal(&self, parcel: &mut Parcel) -> Result<(), WriteParcelError> {
///         parcel.write_i32(self.x)?;
///         parcel.write_i32(self.y)?;
///         self.label.marshal(parcel)
///     }
/// }
///
/// impl Parcelable for Point {
///     fn unmarshal(parcel: &mut Parcel) -> Result<Self, ReadParcelError> {
///         Ok(Self {
///             x: parcel.read_i32()?,
///             y: parcel.read_i32()?,
///             label: Parcelable::unmarshal(parcel)?,
///         })
///     }
///
///     fn type_name() -> Cow<'static, str> {
///         "Point".into()
///     }
/// }
///
/// let mut parcel = Parcel::new();
/// let points = vec![Point { x: 1, y: 2, label: None }, Point { x: 3, y: 4, label: Some("b".into()) }];
/// parcel.write(&points)?;
/// assert_eq!(parcel.read::<Vec<Point>>()?, points);
/// assert_eq!(Vec::<Point>::type_name(), "Vec<Point>");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[diagnostic::on_unimplemented(
    note = "a type of your own is made parcelable by `#[derive(Parcelable)]`, if all that it holds is"
)]
pub trait Parcelable: Marshal + Sized + 'static {
    /// Reads a value that [`Marshal::marshal`] wrote.
    ///
    /// Bytes may come from anyone: an implementation allocates nothing for a length it was told, and reads what nests
    /// in itself through `Box`, `Vec` or [`Parcel::read_nested`], which stop at [`MAX_DEPTH`].
    ///
    /// # Errors
    /// [`ReadParcelError`]. The cursor may have moved; [`Parcel::read`] moves it back.
    fn unmarshal(parcel: &mut Parcel) -> Result<Self, ReadParcelError>;

    /// A name for the fingerprint of a method, the same on both ends exactly when the bytes mean the same: `i32`,
    /// `Vec<String>`, `Option<u8>`; a derived type's is its whole definition. What contains others asks them each time
    /// and does not keep the answer: within the name of a type that contains itself it is another.
    fn type_name() -> Cow<'static, str>;

    /// Reads what [`Marshal::marshal_slice`] wrote.
    #[doc(hidden)]
    fn unmarshal_vec(parcel: &mut Parcel) -> Result<Vec<Self>, ReadParcelError> {
        parcel.read_sequence(Self::unmarshal)
    }

    /// Reads what [`Marshal::marshal_array`] wrote.
    #[doc(hidden)]
    fn unmarshal_array<const N: usize>(parcel: &mut Parcel) -> Result<[Self; N], ReadParcelError> {
        let mut failed = None;
        let values = [(); N].map(|()| {
            if failed.is_some() {
                return None;
            }
            Self::unmarshal(parcel)
                .map_err(|error| failed = Some(error))
                .ok()
        });
        match failed {
            Some(error) => Err(error),
            None => Ok(values.map(|value| value.expect("every element was read"))),
        }
    }
}

/// # Typed values
///
/// What generated code writes and reads; see [`Parcelable`].
///
/// ```
/// use std::collections::BTreeMap;
/// use softbus_rpc::Parcel;
///
/// let mut parcel = Parcel::new();
/// parcel.write("a &str is written like a String")?;
/// parcel.write(&BTreeMap::from([(1u8, 1.5f64)]))?;
///
/// let text: String = parcel.read()?;
/// let map: BTreeMap<u8, f64> = parcel.read()?;
/// assert_eq!(map[&1], 1.5);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
impl Parcel {
    /// Appends a typed value, all of it or nothing.
    ///
    /// # Errors
    /// [`WriteParcelError`]; nothing is written.
    pub fn write<T: Marshal + ?Sized>(&mut self, value: &T) -> Result<(), WriteParcelError> {
        self.atomically(|parcel| value.marshal(parcel))
    }

    /// Reads a typed value.
    ///
    /// # Errors
    /// [`ReadParcelError`]; the cursor stays.
    pub fn read<T: Parcelable>(&mut self) -> Result<T, ReadParcelError> {
        let start = self.read;
        T::unmarshal(self).inspect_err(|_| self.read = start)
    }

    /// Appends a value with OpenHarmony's mark of being there: 1 and the value, or 0 for null.
    ///
    /// # Errors
    /// [`WriteParcelError`]; nothing is written.
    ///
    /// ```
    /// use softbus_rpc::Parcel;
    ///
    /// let mut parcel = Parcel::new();
    /// parcel.write_parcelable(Some("here"))?;
    /// parcel.write_parcelable::<str>(None)?;
    /// assert_eq!(parcel.read_parcelable::<String>()?.as_deref(), Some("here"));
    /// assert_eq!(parcel.read_parcelable::<String>()?, None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn write_parcelable<T: Marshal + ?Sized>(
        &mut self,
        value: Option<&T>,
    ) -> Result<(), WriteParcelError> {
        self.write_nested(|parcel| match value {
            None => parcel.write_i32(0),
            Some(value) => {
                parcel.write_i32(1)?;
                value.marshal(parcel)
            }
        })
    }

    /// Reads a value with a mark of being there; `None` is null.
    ///
    /// # Errors
    /// [`ReadParcelError`], [`InvalidTag`](ReadParcelError::InvalidTag) for a mark other than 0 and 1; the cursor
    /// stays.
    pub fn read_parcelable<T: Parcelable>(&mut self) -> Result<Option<T>, ReadParcelError> {
        self.read_nested(|parcel| match parcel.read_i32()? {
            0 => Ok(None),
            1 => T::unmarshal(parcel).map(Some),
            value => Err(ReadParcelError::InvalidTag { value }),
        })
    }

    /// Appends what lies one level deeper, all of it or nothing.
    ///
    /// # Errors
    /// [`WriteParcelError::TooDeep`] below [`MAX_DEPTH`] levels, and what `write` says; nothing is written.
    pub fn write_nested(
        &mut self,
        write: impl FnOnce(&mut Self) -> Result<(), WriteParcelError>,
    ) -> Result<(), WriteParcelError> {
        if self.depth >= MAX_DEPTH {
            return Err(WriteParcelError::TooDeep { limit: MAX_DEPTH });
        }
        self.depth += 1;
        let written = self.atomically(write);
        self.depth -= 1;
        written
    }

    /// Reads what lies one level deeper. A type that contains itself other than through `Box`, `Vec` or a map calls
    /// this around itself, so that no parcel can exhaust the stack.
    ///
    /// # Errors
    /// [`ReadParcelError::TooDeep`] below [`MAX_DEPTH`] levels, and what `read` says; the cursor stays.
    pub fn read_nested<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, ReadParcelError>,
    ) -> Result<T, ReadParcelError> {
        if self.depth >= MAX_DEPTH {
            return Err(ReadParcelError::TooDeep { limit: MAX_DEPTH });
        }
        let start = self.read;
        self.depth += 1;
        let value = read(self);
        self.depth -= 1;
        value.inspect_err(|_| self.read = start)
    }

    /// Writes over a number that was written at `position`, when it is known at last. Without effect on what was
    /// received.
    pub(crate) fn overwrite_u32(&mut self, position: usize, value: u32) {
        if let Data::Written(data) = &mut self.data
            && let Some(place) = data.get_mut(position..position + 4)
        {
            place.copy_from_slice(&value.to_le_bytes());
        }
    }
}
