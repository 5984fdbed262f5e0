//! What parcels carry: objects, descriptors, other parcels.
//!
//! Unsafe, because a descriptor from C is a number that it says is open, and for where results go; see `boundary.rs`.
#![expect(unsafe_code, reason = "functions that C calls")]

use std::{
    ffi::c_int,
    os::fd::{BorrowedFd, IntoRawFd},
    ptr,
};

use softbus::RemoteObject;

use super::{OHIPCParcel, PARCELS, copy_of, is_valid, read, write};
use crate::{
    boundary::{Out, guard},
    error::{self, PARCEL_READ, PARCEL_WRITE},
    remote::{OHIPCRemoteProxy, OHIPCRemoteStub, proxy, stub},
};

/// What an object takes in a parcel.
const SLOT: usize = 8;

fn write_object(parcel: *mut OHIPCParcel, object: Option<RemoteObject>) -> c_int {
    match object {
        Some(object) => write(parcel, SLOT, |parcel| parcel.write_remote_object(&object)),
        None => error::check_param(),
    }
}

fn read_object(parcel: *const OHIPCParcel) -> Option<RemoteObject> {
    let object = PARCELS.with(parcel, |held| held.parcel.read_remote_object());
    if object.is_none() {
        error::invalid();
    }
    object?.inspect_err(|refused| error::remember(refused)).ok()
}

#[unsafe(no_mangle)]
extern "C" fn OH_IPCParcel_WriteRemoteStub(
    parcel: *mut OHIPCParcel,
    object: *const OHIPCRemoteStub,
) -> c_int {
    guard(PARCEL_WRITE, || write_object(parcel, stub::object(object)))
}

#[unsafe(no_mangle)]
extern "C" fn OH_IPCParcel_ReadRemoteStub(parcel: *const OHIPCParcel) -> *mut OHIPCRemoteStub {
    guard(ptr::null_mut(), || {
        read_object(parcel).map_or(ptr::null_mut(), stub::handle)
    })
}

#[unsafe(no_mangle)]
extern "C" fn OH_IPCParcel_WriteRemoteProxy(
    parcel: *mut OHIPCParcel,
    object: *const OHIPCRemoteProxy,
) -> c_int {
    guard(PARCEL_WRITE, || write_object(parcel, proxy::object(object)))
}

#[unsafe(no_mangle)]
extern "C" fn OH_IPCParcel_ReadRemoteProxy(parcel: *const OHIPCParcel) -> *mut OHIPCRemoteProxy {
    guard(ptr::null_mut(), || {
        read_object(parcel).map_or(ptr::null_mut(), proxy::handle)
    })
}

#[unsafe(no_mangle)]
extern "C" fn OH_IPCParcel_WriteFileDescriptor(parcel: *mut OHIPCParcel, fd: i32) -> c_int {
    guard(PARCEL_WRITE, || {
        if !is_valid(parcel) {
            return error::check_param();
        }
        if fd < 0 {
            error::say("a descriptor below 0 is not open");
            return PARCEL_WRITE;
        }
        // SAFETY: not -1, and used for nothing but the system call that duplicates it, which fails if it is not open.
        let descriptor = unsafe { BorrowedFd::borrow_raw(fd) };
        write(parcel, SLOT, |parcel| {
            parcel.write_file_descriptor(descriptor)
        })
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn OH_IPCParcel_ReadFileDescriptor(
    parcel: *const OHIPCParcel,
    fd: *mut i32,
) -> c_int {
    // SAFETY: the caller says that the result may go there, or NULL.
    let fd = unsafe { Out::new(fd) };
    guard(PARCEL_READ, || {
        read(parcel, fd, |parcel| {
            parcel.read_file_descriptor().map(IntoRawFd::into_raw_fd)
        })
    })
}

#[unsafe(no_mangle)]
extern "C" fn OH_IPCParcel_Append(parcel: *mut OHIPCParcel, data: *const OHIPCParcel) -> c_int {
    guard(PARCEL_WRITE, || match copy_of(data) {
        // A copy, because both may be the same parcel.
        Some(data) => write(parcel, data.data_size(), |parcel| parcel.append(&data)),
        None => error::check_param(),
    })
}
