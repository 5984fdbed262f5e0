//! Typed values that contain no others, and those that contain one.

use std::{borrow::Cow, time::Duration};

use bytes::Bytes;

use super::{
    ALIGN, MAX_INLINE_RAW_DATA, Marshal, Parcel, Parcelable, ReadParcelError, WriteParcelError,
    padded, raw::raw_data_len,
};
use crate::RemoteObject;

/// In place of the length of a byte vector: raw data follows.
const RAW: i32 = -2;
/// A byte vector longer than this becomes raw data, if the parcel has none yet: what else the call carries still fits.
const MAX_INLINE_BYTES: usize = 512 * 1024;

macro_rules! scalars {
    ($($ty:ident $write:ident $read:ident $write_vec:ident $read_vec:ident;)*) => {$(
        impl Marshal for $ty {
            #[inline]
            fn marshal(&self, parcel: &mut Parcel) -> Result<(), WriteParcelError> {
                parcel.$write(*self)
            }

            fn marshal_slice(values: &[Self], parcel: &mut Parcel) -> Result<(), WriteParcelError> {
                parcel.$write_vec(values)
            }
        }

        impl Parcelable for $ty {
            #[inline]
            fn unmarshal(parcel: &mut Parcel) -> Result<Self, ReadParcelError> {
                parcel.$read()
            }

            fn type_name() -> Cow<'static, str> {
                stringify!($ty).into()
            }

            fn unmarshal_vec(parcel: &mut Parcel) -> Result<Vec<Self>, ReadParcelError> {
                parcel.$read_vec()
            }
        }
    )*};
}

scalars! {
    bool write_bool read_bool write_bool_vec read_bool_vec;
    i8 write_i8 read_i8 write_i8_vec read_i8_vec;
    i16 write_i16 read_i16 write_i16_vec read_i16_vec;
    i32 write_i32 read_i32 write_i32_vec read_i32_vec;
    i64 write_i64 read_i64 write_i64_vec read_i64_vec;
    u16 write_u16 read_u16 write_u16_vec read_u16_vec;
    u32 write_u32 read_u32 write_u32_vec read_u32_vec;
    u64 write_u64 read_u64 write_u64_vec read_u64_vec;
    f32 write_f32 read_f32 write_f32_vec read_f32_vec;
    f64 write_f64 read_f64 write_f64_vec read_f64_vec;
}

/// Many of them are a block of bytes: packed in arrays too, and raw data where they are too many for the parcel.
impl Marshal for u8 {
    #[inline]
    fn marshal(&self, parcel: &mut Parcel) -> Result<(), WriteParcelError> {
        parcel.write_u8(*self)
    }

    fn marshal_slice(values: &[Self], parcel: &mut Parcel) -> Result<(), WriteParcelError> {
        if is_raw(parcel, values.len()) {
            write_raw(parcel, Bytes::copy_from_slice(values))
        } else {
            parcel.write_u8_vec(values)
        }
    }

    fn marshal_array(values: &[Self], parcel: &mut Parcel) -> Result<(), WriteParcelError> {
        parcel.write_buffer(values)
    }
}

impl Parcelable for u8 {
    #[inline]
    fn unmarshal(parcel: &mut Parcel) -> Result<Self, ReadParcelError> {
        parcel.read_u8()
    }

    fn type_name() -> Cow<'static, str> {
        "u8".into()
    }

    fn unmarshal_vec(parcel: &mut Parcel) -> Result<Vec<Self>, ReadParcelError> {
        if is_raw_here(parcel)? {
            Ok(Bytes::unmarshal(parcel)?.into())
        } else {
            parcel.read_u8_vec()
        }
    }

    fn unmarshal_array<const N: usize>(parcel: &mut Parcel) -> Result<[Self; N], ReadParcelError> {
        let mut array = [0; N];
        array.copy_from_slice(parcel.read_buffer(N)?);
        Ok(array)
    }
}

/// The same bytes and the same name as a `Vec<u8>`, without copying what is raw data or was received.
impl Marshal for Bytes {
    fn marshal(&self, parcel: &mut Parcel) -> Result<(), WriteParcelError> {
        if is_raw(parcel, self.len()) {
            write_raw(parcel, self.clone())
        } else {
            parcel.write_u8_vec(self)
        }
    }
}

impl Parcelable for Bytes {
    fn unmarshal(parcel: &mut Parcel) -> Result<Self, ReadParcelError> {
        if is_raw_here(parcel)? {
            let bytes = parcel.raw_data_at(parcel.read + ALIGN, None)?;
            parcel.read += ALIGN + raw_data_len(bytes.len());
            return Ok(bytes);
        }
        let len = parcel.peek_count(1)?;
        let bytes = parcel.copy_region(parcel.read + ALIGN, len)?;
        parcel.read += ALIGN + padded(len);
        Ok(bytes)
    }

    fn type_name() -> Cow<'static, str> {
        Vec::<u8>::type_name()
    }
}

/// Whether this many bytes go beside the parcel. A second large block stays in it as long as it fits.
fn is_raw(parcel: &Parcel, len: usize) -> bool {
    let fits = ALIGN.saturating_add(padded(len)) <= parcel.writable_bytes();
    len > MAX_INLINE_BYTES && parcel.carried.raw.is_none() || len > MAX_INLINE_RAW_DATA && !fits
}

fn write_raw(parcel: &mut Parcel, bytes: Bytes) -> Result<(), WriteParcelError> {
    parcel.atomically(|parcel| {
        parcel.write_i32(RAW)?;
        parcel.write_raw_data(bytes)
    })
}

fn is_raw_here(parcel: &Parcel) -> Result<bool, ReadParcelError> {
    Ok(i32::from_le_bytes(parcel.peek(parcel.read)?) == RAW)
}

impl Marshal for char {
    fn marshal(&self, parcel: &mut Parcel) -> Result<(), WriteParcelError> {
        parcel.write_u32(u32::from(*self))
    }
}

impl Parcelable for char {
    fn unmarshal(parcel: &mut Parcel) -> Result<Self, ReadParcelError> {
        let value = parcel.read_u32()?;
        Self::from_u32(value).ok_or(ReadParcelError::InvalidChar { value })
    }

    fn type_name() -> Cow<'static, str> {
        "char".into()
    }
}

impl Marshal for str {
    fn marshal(&self, parcel: &mut Parcel) -> Result<(), WriteParcelError> {
        parcel.write_string(self)
    }
}

impl Marshal for String {
    fn marshal(&self, parcel: &mut Parcel) -> Result<(), WriteParcelError> {
        parcel.write_string(self)
    }
}

impl Parcelable for String {
    fn unmarshal(parcel: &mut Parcel) -> Result<Self, ReadParcelError> {
        parcel.read_string()
    }

    fn type_name() -> Cow<'static, str> {
        "String".into()
    }
}

/// Seconds in 8 bytes, nanoseconds in 4.
impl Marshal for Duration {
    fn marshal(&self, parcel: &mut Parcel) -> Result<(), WriteParcelError> {
        (self.as_secs(), self.subsec_nanos()).marshal(parcel)
    }
}

impl Parcelable for Duration {
    fn unmarshal(parcel: &mut Parcel) -> Result<Self, ReadParcelError> {
        match <(u64, u32)>::unmarshal(parcel)? {
            (secs, nanos) if nanos < 1_000_000_000 => Ok(Self::new(secs, nanos)),
            _ => Err(ReadParcelError::InvalidValue("duration")),
        }
    }

    fn type_name() -> Cow<'static, str> {
        "Duration".into()
    }
}

impl Marshal for RemoteObject {
    fn marshal(&self, parcel: &mut Parcel) -> Result<(), WriteParcelError> {
        parcel.write_remote_object(self)
    }
}

impl Parcelable for RemoteObject {
    fn unmarshal(parcel: &mut Parcel) -> Result<Self, ReadParcelError> {
        parcel.read_remote_object()
    }

    fn type_name() -> Cow<'static, str> {
        "RemoteObject".into()
    }
}

impl<T: Marshal + ?Sized> Marshal for &T {
    fn marshal(&self, parcel: &mut Parcel) -> Result<(), WriteParcelError> {
        (**self).marshal(parcel)
    }
}

/// As the value in it; one level of nesting.
impl<T: Marshal + ?Sized> Marshal for Box<T> {
    fn marshal(&self, parcel: &mut Parcel) -> Result<(), WriteParcelError> {
        parcel.write_nested(|parcel| (**self).marshal(parcel))
    }
}

impl<T: Parcelable> Parcelable for Box<T> {
    fn unmarshal(parcel: &mut Parcel) -> Result<Self, ReadParcelError> {
        parcel.read_nested(T::unmarshal).map(Self::new)
    }

    fn type_name() -> Cow<'static, str> {
        T::type_name()
    }
}

/// 0, or 1 and the value.
impl<T: Marshal> Marshal for Option<T> {
    fn marshal(&self, parcel: &mut Parcel) -> Result<(), WriteParcelError> {
        match self {
            None => parcel.write_i32(0),
            Some(value) => {
                parcel.write_i32(1)?;
                value.marshal(parcel)
            }
        }
    }
}

impl<T: Parcelable> Parcelable for Option<T> {
    fn unmarshal(parcel: &mut Parcel) -> Result<Self, ReadParcelError> {
        match parcel.read_i32()? {
            0 => Ok(None),
            1 => T::unmarshal(parcel).map(Some),
            value => Err(ReadParcelError::InvalidTag { value }),
        }
    }

    fn type_name() -> Cow<'static, str> {
        format!("Option<{}>", T::type_name()).into()
    }
}

/// 0 and the value, or 1 and the error.
impl<T: Marshal, E: Marshal> Marshal for Result<T, E> {
    fn marshal(&self, parcel: &mut Parcel) -> Result<(), WriteParcelError> {
        match self {
            Ok(value) => {
                parcel.write_i32(0)?;
                value.marshal(parcel)
            }
            Err(error) => {
                parcel.write_i32(1)?;
                error.marshal(parcel)
            }
        }
    }
}

impl<T: Parcelable, E: Parcelable> Parcelable for Result<T, E> {
    fn unmarshal(parcel: &mut Parcel) -> Result<Self, ReadParcelError> {
        match parcel.read_i32()? {
            0 => T::unmarshal(parcel).map(Ok),
            1 => E::unmarshal(parcel).map(Err),
            value => Err(ReadParcelError::InvalidTag { value }),
        }
    }

    fn type_name() -> Cow<'static, str> {
        format!("Result<{}, {}>", T::type_name(), E::type_name()).into()
    }
}
