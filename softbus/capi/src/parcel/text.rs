//! Strings, buffers and interface tokens of parcels.
//!
//! Unsafe, because they come as pointers; see `boundary.rs`.
#![expect(unsafe_code, reason = "functions that C calls")]

use std::{
    ffi::{CStr, c_char, c_int},
    ptr,
};

use softbus::{
    Parcel,
    rpc::parcel::{MAX_TOKEN_LEN, ReadParcelError},
};

use super::{OHIPCParcel, PARCELS, is_valid, write};
use crate::{
    boundary::{self, Allocator, OutText, guard},
    error::{self, INNER, PARCEL_READ, PARCEL_WRITE, SUCCESS},
};

/// Lends C something of a parcel's memory.
fn lend<T>(
    parcel: *const OHIPCParcel,
    read: impl FnOnce(&mut Parcel) -> Result<*const T, ReadParcelError>,
) -> *const T {
    let found = PARCELS.with(parcel, |held| {
        let found = read(&mut held.parcel)?;
        held.lent = true;
        Ok::<_, ReadParcelError>(found)
    });
    match found {
        Some(Ok(found)) => found,
        Some(Err(refused)) => {
            error::remember(&refused);
            ptr::null()
        }
        None => {
            error::invalid();
            ptr::null()
        }
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn OH_IPCParcel_WriteString(
    parcel: *mut OHIPCParcel,
    text: *const c_char,
) -> c_int {
    // SAFETY: the caller's string, or NULL.
    let text = unsafe { boundary::c_str(text) };
    guard(PARCEL_WRITE, || match text {
        Some(text) => write(parcel, text.count_bytes() + 4, |parcel| {
            parcel.write_c_str(text)
        }),
        None => error::check_param(),
    })
}

#[unsafe(no_mangle)]
extern "C" fn OH_IPCParcel_ReadString(parcel: *const OHIPCParcel) -> *const c_char {
    guard(ptr::null(), || {
        lend(parcel, |parcel| parcel.read_c_str().map(CStr::as_ptr))
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn OH_IPCParcel_WriteBuffer(
    parcel: *mut OHIPCParcel,
    buffer: *const u8,
    len: i32,
) -> c_int {
    let len = usize::try_from(len).unwrap_or(0);
    // SAFETY: the caller's bytes, as many as it says, or NULL.
    let bytes = unsafe { boundary::bytes(buffer, len) };
    guard(PARCEL_WRITE, || match bytes {
        Some(bytes) if len > 0 => write(parcel, len + 3, |parcel| parcel.write_buffer(bytes)),
        _ => error::check_param(),
    })
}

#[unsafe(no_mangle)]
extern "C" fn OH_IPCParcel_ReadBuffer(parcel: *const OHIPCParcel, len: i32) -> *const u8 {
    guard(ptr::null(), || match usize::try_from(len) {
        Ok(len) if len > 0 => lend(parcel, |parcel| parcel.read_buffer(len).map(<[u8]>::as_ptr)),
        _ => {
            error::invalid();
            ptr::null()
        }
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn OH_IPCParcel_WriteInterfaceToken(
    parcel: *mut OHIPCParcel,
    token: *const c_char,
) -> c_int {
    // SAFETY: the caller's string, or NULL.
    let token = unsafe { boundary::c_str(token) };
    guard(PARCEL_WRITE, || {
        let Some(token) = token.filter(|_| is_valid(parcel)) else {
            return error::check_param();
        };
        let len = token.count_bytes();
        if len == 0 || len > MAX_TOKEN_LEN {
            return error::check_param();
        }
        match token.to_str() {
            Ok(token) => write(parcel, 2 * len + 16, |parcel| {
                parcel.write_interface_token(token)
            }),
            Err(invalid) => {
                error::remember(&invalid);
                PARCEL_WRITE
            }
        }
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn OH_IPCParcel_ReadInterfaceToken(
    parcel: *const OHIPCParcel,
    token: *mut *mut c_char,
    len: *mut i32,
    allocator: Allocator,
) -> c_int {
    // SAFETY: the caller says that results may go there, or NULL, and what its allocator returns.
    let out = unsafe { OutText::new(token, len, allocator) };
    guard(INNER, || {
        let Some(out) = out else {
            return error::check_param();
        };
        let read = PARCELS.with(parcel, |held| {
            let position = held.parcel.read_position();
            held.parcel
                .read_interface_token()
                .map(|token| (token, position))
        });
        let (token, position) = match read {
            Some(Ok(read)) => read,
            Some(Err(refused)) => {
                error::remember(&refused);
                return PARCEL_READ;
            }
            None => return error::check_param(),
        };
        // The caller's code, so not while the parcel is in our hands.
        let copied = out.set(&token);
        if copied != SUCCESS {
            PARCELS.with(parcel, |held| held.parcel.rewind_read(position));
        }
        copied
    })
}
