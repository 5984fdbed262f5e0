use std::ffi::CStr;

use super::{ALIGN, Parcel, ReadParcelError, WriteParcelError, pad, padded};

/// The length of a string that is not there.
const NULL: i32 = -1;

/// # Strings
///
/// Three forms, which a reader must not confuse: with a length and in UTF-8, with a length and in UTF-16, and without
/// a length up to the first NUL. The first two may be null and may contain NUL.
///
/// ```
/// use softbus_rpc::Parcel;
///
/// let mut parcel = Parcel::new();
/// parcel.write_string("Grüße")?;
/// parcel.write_null_string()?;
/// parcel.write_c_string("bare")?;
///
/// assert_eq!(parcel.read_str()?, "Grüße");
/// assert_eq!(parcel.read_nullable_string()?, None);
/// assert_eq!(parcel.read_c_string()?, "bare");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
impl Parcel {
    /// Appends a string in UTF-8: length, bytes, NUL, padding.
    ///
    /// # Errors
    /// [`WriteParcelError`]; nothing is written.
    pub fn write_string(&mut self, value: &str) -> Result<(), WriteParcelError> {
        let data = self.room(ALIGN + padded(value.len() + 1))?;
        // No string that fits a parcel is longer than an `i32` can say.
        data.extend_from_slice(&(value.len() as i32).to_le_bytes());
        data.extend_from_slice(value.as_bytes());
        data.push(0);
        pad(data);
        Ok(())
    }

    /// Appends a string in UTF-16: number of units, units, a NUL unit, padding.
    ///
    /// # Errors
    /// [`WriteParcelError`]; nothing is written.
    pub fn write_string16(&mut self, value: &str) -> Result<(), WriteParcelError> {
        let units = value.encode_utf16().count();
        let data = self.room(ALIGN + padded((units + 1) * 2))?;
        data.extend_from_slice(&(units as i32).to_le_bytes());
        for unit in value.encode_utf16() {
            data.extend_from_slice(&unit.to_le_bytes());
        }
        data.extend_from_slice(&[0; 2]);
        pad(data);
        Ok(())
    }

    /// Appends a string without a length: bytes, NUL, padding.
    ///
    /// # Errors
    /// [`WriteParcelError`], [`InteriorNul`](WriteParcelError::InteriorNul) when the string contains a NUL; nothing
    /// is written.
    pub fn write_c_string(&mut self, value: &str) -> Result<(), WriteParcelError> {
        if let Some(position) = value.bytes().position(|byte| byte == 0) {
            return Err(WriteParcelError::InteriorNul { position });
        }
        let data = self.room(padded(value.len() + 1))?;
        data.extend_from_slice(value.as_bytes());
        data.push(0);
        pad(data);
        Ok(())
    }

    /// As [`write_c_string`](Self::write_c_string), for bytes that need not be UTF-8.
    ///
    /// # Errors
    /// [`WriteParcelError`]; nothing is written.
    pub fn write_c_str(&mut self, value: &CStr) -> Result<(), WriteParcelError> {
        self.write_buffer(value.to_bytes_with_nul())
    }

    /// Appends the null string, which is the same in UTF-8 and UTF-16: the length −1 and nothing else.
    ///
    /// # Errors
    /// [`WriteParcelError`]; nothing is written.
    pub fn write_null_string(&mut self) -> Result<(), WriteParcelError> {
        self.write_i32(NULL)
    }

    /// Appends a string in UTF-8, or the null string.
    ///
    /// # Errors
    /// [`WriteParcelError`]; nothing is written.
    pub fn write_nullable_string(&mut self, value: Option<&str>) -> Result<(), WriteParcelError> {
        match value {
            Some(value) => self.write_string(value),
            None => self.write_null_string(),
        }
    }

    /// Appends a string in UTF-16, or the null string.
    ///
    /// # Errors
    /// [`WriteParcelError`]; nothing is written.
    pub fn write_nullable_string16(&mut self, value: Option<&str>) -> Result<(), WriteParcelError> {
        match value {
            Some(value) => self.write_string16(value),
            None => self.write_null_string(),
        }
    }

    /// Reads a string in UTF-8.
    ///
    /// # Errors
    /// [`ReadParcelError`], [`UnexpectedNull`](ReadParcelError::UnexpectedNull) for the null string; the cursor
    /// stays.
    pub fn read_string(&mut self) -> Result<String, ReadParcelError> {
        let (value, next) = string_at(self)?;
        let value = value.ok_or(ReadParcelError::UnexpectedNull)?.to_owned();
        self.read = next;
        Ok(value)
    }

    /// Reads a string in UTF-8 that stays in the parcel; nothing is copied.
    ///
    /// # Errors
    /// As [`read_string`](Self::read_string).
    pub fn read_str(&mut self) -> Result<&str, ReadParcelError> {
        let (value, next) = string_at(self)?;
        let len = value.ok_or(ReadParcelError::UnexpectedNull)?.len();
        let start = self.read + ALIGN;
        self.read = next;
        // Checked a moment ago, and only the borrow had to end: looking twice is cheaper than a copy.
        std::str::from_utf8(&self.bytes()[start..start + len])
            .map_err(|_| ReadParcelError::InvalidUtf8)
    }

    /// Reads a string in UTF-8 that may be null.
    ///
    /// # Errors
    /// [`ReadParcelError`]; the cursor stays.
    pub fn read_nullable_string(&mut self) -> Result<Option<String>, ReadParcelError> {
        let (value, next) = string_at(self)?;
        let value = value.map(str::to_owned);
        self.read = next;
        Ok(value)
    }

    /// Reads a string in UTF-16.
    ///
    /// # Errors
    /// [`ReadParcelError`], [`UnexpectedNull`](ReadParcelError::UnexpectedNull) for the null string; the cursor
    /// stays.
    pub fn read_string16(&mut self) -> Result<String, ReadParcelError> {
        let (value, next) = string16_at(self, self.read)?;
        let value = value.ok_or(ReadParcelError::UnexpectedNull)?;
        self.read = next;
        Ok(value)
    }

    /// Reads a string in UTF-16 that may be null.
    ///
    /// # Errors
    /// [`ReadParcelError`]; the cursor stays.
    pub fn read_nullable_string16(&mut self) -> Result<Option<String>, ReadParcelError> {
        let (value, next) = string16_at(self, self.read)?;
        self.read = next;
        Ok(value)
    }

    /// Reads a string without a length, up to its NUL. It stays in the parcel; nothing is copied.
    ///
    /// # Errors
    /// [`ReadParcelError`], [`MissingTerminator`](ReadParcelError::MissingTerminator) when no NUL follows; the cursor
    /// stays.
    pub fn read_c_string(&mut self) -> Result<&str, ReadParcelError> {
        let start = self.read;
        let len = match self.read_c_str()?.to_str() {
            Ok(value) => value.len(),
            Err(_) => {
                self.read = start;
                return Err(ReadParcelError::InvalidUtf8);
            }
        };
        // Checked a moment ago, and only the borrow had to end: looking twice is cheaper than a copy.
        std::str::from_utf8(&self.bytes()[start..start + len])
            .map_err(|_| ReadParcelError::InvalidUtf8)
    }

    /// As [`read_c_string`](Self::read_c_string), for bytes that need not be UTF-8.
    ///
    /// # Errors
    /// [`ReadParcelError`], [`MissingTerminator`](ReadParcelError::MissingTerminator) when no NUL follows; the cursor
    /// stays.
    pub fn read_c_str(&mut self) -> Result<&CStr, ReadParcelError> {
        let start = self.read;
        let rest = self.bytes().get(start..).unwrap_or_default();
        let found = CStr::from_bytes_until_nul(rest);
        let len = found
            .map_err(|_| ReadParcelError::MissingTerminator)?
            .count_bytes();
        self.region(start, len + 1)?;
        self.read = start + padded(len + 1);
        CStr::from_bytes_with_nul(&self.bytes()[start..=start + len])
            .map_err(|_| ReadParcelError::MissingTerminator)
    }

    /// A string16 at `at` and the position behind it; for the interface token, which has two numbers before it.
    pub(super) fn read_string16_at(&self, at: usize) -> Result<(String, usize), ReadParcelError> {
        let (value, next) = string16_at(self, at)?;
        Ok((value.ok_or(ReadParcelError::UnexpectedNull)?, next))
    }
}

/// The string at the cursor and the position behind it.
fn string_at(parcel: &Parcel) -> Result<(Option<&str>, usize), ReadParcelError> {
    let at = parcel.read;
    let Some(len) = length_at(parcel, at)? else {
        return Ok((None, at + ALIGN));
    };
    let bytes = terminated(parcel, at + ALIGN, len, 1)?;
    let value = std::str::from_utf8(bytes).map_err(|_| ReadParcelError::InvalidUtf8)?;
    Ok((Some(value), at + ALIGN + padded(len + 1)))
}

fn string16_at(parcel: &Parcel, at: usize) -> Result<(Option<String>, usize), ReadParcelError> {
    let Some(units) = length_at(parcel, at)? else {
        return Ok((None, at + ALIGN));
    };
    let len = units.saturating_mul(2);
    let bytes = terminated(parcel, at + ALIGN, len, 2)?;
    let units = bytes
        .as_chunks()
        .0
        .iter()
        .map(|unit| u16::from_le_bytes(*unit));
    let mut value = String::with_capacity(len / 2);
    for unit in char::decode_utf16(units) {
        value.push(unit.map_err(|_| ReadParcelError::InvalidUtf16)?);
    }
    Ok((Some(value), at + ALIGN + padded(len + 2)))
}

/// A length; `None` for the null string.
fn length_at(parcel: &Parcel, at: usize) -> Result<Option<usize>, ReadParcelError> {
    match i32::from_le_bytes(parcel.peek(at)?) {
        NULL => Ok(None),
        length => usize::try_from(length)
            .map(Some)
            .map_err(|_| ReadParcelError::InvalidLength { length }),
    }
}

/// `len` bytes that `nul` zeros follow.
fn terminated(
    parcel: &Parcel,
    at: usize,
    len: usize,
    nul: usize,
) -> Result<&[u8], ReadParcelError> {
    let (value, end) = parcel.region(at, len.saturating_add(nul))?.split_at(len);
    if end.iter().any(|&byte| byte != 0) {
        return Err(ReadParcelError::MissingTerminator);
    }
    Ok(value)
}
