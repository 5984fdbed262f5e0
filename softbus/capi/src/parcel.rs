//! `IPCKit/ipc_cparcel.h`: parcels.
//!
//! Unsafe, because C hands in where a value is to go. Every function looks at its handle first, so that a NULL or a handle
//! that was destroyed is an error and nothing else.
#![expect(unsafe_code, reason = "functions that C calls")]

mod object;
mod text;

use std::{ffi::c_int, mem};

use softbus::{
    Parcel,
    rpc::parcel::{ReadParcelError, WriteParcelError},
};

use crate::{
    boundary::{Out, guard},
    error::{self, INNER, PARCEL_READ, PARCEL_WRITE, SUCCESS},
    handle::Handles,
};

/// A parcel, to C.
pub(crate) enum OHIPCParcel {}

static PARCELS: Handles<OHIPCParcel, Held> = Handles::new(1);

/// What a handle of a parcel stands for.
#[derive(Default)]
struct Held {
    parcel: Parcel,
    /// Whether C may have a pointer into the parcel's memory.
    lent: bool,
    /// Memory that the parcel has outgrown and C may have a pointer into. Each is half as large as the next.
    outgrown: Vec<Parcel>,
    /// Whether it belongs to a request callback that runs, which may not destroy it.
    given: bool,
}

impl Held {
    /// Before a write of up to `len` bytes: if it could move the parcel's memory and C has a pointer there, the memory
    /// stays.
    fn before_write(&mut self, len: usize) {
        let left = self.parcel.allocated() - self.parcel.data_size();
        if !self.lent || len <= left {
            return;
        }
        let copy = self.parcel.clone();
        let mut outgrown = mem::replace(&mut self.parcel, copy);
        // What it carries is in the copy. Its memory stays, and is all that is wanted of it.
        if outgrown.rewind_write(0).is_ok() {
            self.outgrown.push(outgrown);
        }
        self.lent = false;
    }

    /// Puts a reply in the place of what is there. Returns that, to be dropped where nobody else's code is in the way.
    fn receive(&mut self, reply: Parcel) -> Self {
        let received = Self {
            parcel: reply,
            given: self.given,
            ..Self::default()
        };
        mem::replace(self, received)
    }
}

/// A handle for a parcel.
fn new_handle(parcel: Parcel, given: bool) -> *mut OHIPCParcel {
    PARCELS.insert(Held {
        parcel,
        given,
        ..Held::default()
    })
}

/// A copy of what a parcel holds; `None` for an invalid handle. Objects and descriptors are shared with it.
pub(crate) fn copy_of(parcel: *const OHIPCParcel) -> Option<Parcel> {
    PARCELS.with(parcel, |held| held.parcel.clone())
}

/// Whether a handle is valid.
pub(crate) fn is_valid(parcel: *const OHIPCParcel) -> bool {
    PARCELS.with(parcel, |_| ()).is_some()
}

/// Puts a reply where its caller wants it. With an error what was there stays.
pub(crate) fn fill(parcel: *mut OHIPCParcel, reply: Parcel) -> c_int {
    let reply = match PARCELS.with(parcel, |held| held.given.then(|| held.parcel.clone())) {
        Some(Some(given)) => match within(given, &reply) {
            Ok(reply) => reply,
            Err(refused) => return error::inner(&refused),
        },
        Some(None) => reply,
        None => return error::check_param(),
    };
    match PARCELS.with(parcel, |held| held.receive(reply)) {
        Some(_before) => SUCCESS,
        // Destroyed while the request was under way.
        None => error::check_param(),
    }
}

/// A reply in the form of the one that a callback fills: that knows what its receiver may have, so it has to look at what
/// comes in.
fn within(mut given: Parcel, reply: &Parcel) -> Result<Parcel, WriteParcelError> {
    given.rewind_write(0)?;
    given.append(reply)?;
    Ok(given)
}

/// How many parcels there are.
pub(crate) fn count() -> usize {
    PARCELS.count()
}

/// The two parcels of a request callback, as handles for as long as it runs.
pub(crate) struct Given {
    pub(crate) data: *mut OHIPCParcel,
    pub(crate) reply: *mut OHIPCParcel,
}

impl Given {
    pub(crate) fn new(data: &mut Parcel, reply: &mut Parcel) -> Self {
        Self {
            data: new_handle(mem::take(data), true),
            reply: new_handle(mem::take(reply), true),
        }
    }

    /// The reply as the callback has left it.
    pub(crate) fn end(self) -> Parcel {
        let data = PARCELS.remove(self.data);
        let reply = PARCELS.remove(self.reply);
        drop(data);
        reply.unwrap_or_default().parcel
    }
}

fn write(
    parcel: *const OHIPCParcel,
    len: usize,
    write: impl FnOnce(&mut Parcel) -> Result<(), WriteParcelError>,
) -> c_int {
    let written = PARCELS.with(parcel, |held| {
        held.before_write(len);
        write(&mut held.parcel)
    });
    match written {
        Some(Ok(())) => SUCCESS,
        Some(Err(refused)) => {
            error::remember(&refused);
            PARCEL_WRITE
        }
        None => error::check_param(),
    }
}

/// Reads a value to where C wants it.
fn read<T>(
    parcel: *const OHIPCParcel,
    value: Option<Out<T>>,
    read: impl FnOnce(&mut Parcel) -> Result<T, ReadParcelError>,
) -> c_int {
    let Some(value) = value else {
        return error::check_param();
    };
    match PARCELS.with(parcel, |held| read(&mut held.parcel)) {
        Some(Ok(found)) => {
            value.set(found);
            SUCCESS
        }
        Some(Err(refused)) => {
            error::remember(&refused);
            PARCEL_READ
        }
        None => error::check_param(),
    }
}

/// A size or position; -1 for an invalid handle.
fn measure(parcel: *const OHIPCParcel, measure: impl FnOnce(&Parcel) -> usize) -> c_int {
    guard(-1, || {
        let found = PARCELS.with(parcel, |held| measure(&held.parcel));
        let Some(size) = found else {
            error::invalid();
            return -1;
        };
        // No parcel is larger than an `int` can say.
        c_int::try_from(size).unwrap_or(c_int::MAX)
    })
}

#[unsafe(no_mangle)]
extern "C" fn OH_IPCParcel_Create() -> *mut OHIPCParcel {
    guard(std::ptr::null_mut(), || new_handle(Parcel::new(), false))
}

#[unsafe(no_mangle)]
extern "C" fn OH_IPCParcel_Destroy(parcel: *mut OHIPCParcel) {
    guard((), || drop(PARCELS.remove_if(parcel, |held| !held.given)));
}

#[unsafe(no_mangle)]
extern "C" fn OH_IPCParcel_GetDataSize(parcel: *const OHIPCParcel) -> c_int {
    measure(parcel, Parcel::data_size)
}

#[unsafe(no_mangle)]
extern "C" fn OH_IPCParcel_GetWritableBytes(parcel: *const OHIPCParcel) -> c_int {
    // What OpenHarmony says: the room in the memory there is, and none for a parcel without any.
    measure(parcel, |parcel| parcel.allocated() - parcel.data_size())
}

#[unsafe(no_mangle)]
extern "C" fn OH_IPCParcel_GetReadableBytes(parcel: *const OHIPCParcel) -> c_int {
    measure(parcel, Parcel::readable_bytes)
}

#[unsafe(no_mangle)]
extern "C" fn OH_IPCParcel_GetReadPosition(parcel: *const OHIPCParcel) -> c_int {
    measure(parcel, Parcel::read_position)
}

#[unsafe(no_mangle)]
extern "C" fn OH_IPCParcel_GetWritePosition(parcel: *const OHIPCParcel) -> c_int {
    measure(parcel, Parcel::write_position)
}

/// OpenHarmony's header says *invalid parameter*, its code and its tests this: what programs meet there.
fn out_of_range(refused: &dyn std::error::Error) -> c_int {
    error::remember(refused);
    INNER
}

#[unsafe(no_mangle)]
extern "C" fn OH_IPCParcel_RewindReadPosition(parcel: *mut OHIPCParcel, to: u32) -> c_int {
    guard(INNER, || {
        match PARCELS.with(parcel, |held| held.parcel.rewind_read(to as usize)) {
            Some(Ok(())) => SUCCESS,
            Some(Err(refused)) => out_of_range(&refused),
            None => error::check_param(),
        }
    })
}

#[unsafe(no_mangle)]
extern "C" fn OH_IPCParcel_RewindWritePosition(parcel: *mut OHIPCParcel, to: u32) -> c_int {
    guard(INNER, || {
        let rewound = PARCELS.with(parcel, |held| {
            // Objects that are cut off may be stubs of C's: not dropped before nobody is in their way.
            let carried = (held.parcel.object_count() > 0).then(|| held.parcel.clone());
            (held.parcel.rewind_write(to as usize), carried)
        });
        match rewound {
            Some((Ok(()), _carried)) => SUCCESS,
            Some((Err(refused), _)) => out_of_range(&refused),
            None => error::check_param(),
        }
    })
}

/// A pair of functions for each kind of number. The small ones are cut out of the 4 bytes they take, as OpenHarmony does.
macro_rules! numbers {
    ($($ty:ty: $write:ident = $put:ident, $read:ident = $get:ident;)*) => {$(
        #[unsafe(no_mangle)]
        extern "C" fn $write(parcel: *mut OHIPCParcel, value: $ty) -> c_int {
            guard(PARCEL_WRITE, || write(parcel, 8, |parcel| parcel.$put(value)))
        }

        #[unsafe(no_mangle)]
        unsafe extern "C" fn $read(parcel: *const OHIPCParcel, value: *mut $ty) -> c_int {
            // SAFETY: the caller says that the result may go there, or NULL.
            let value = unsafe { Out::new(value) };
            guard(PARCEL_READ, || read(parcel, value, |parcel| Ok(parcel.$get()? as $ty)))
        }
    )*};
}

numbers! {
    i8: OH_IPCParcel_WriteInt8 = write_i8, OH_IPCParcel_ReadInt8 = read_i32;
    i16: OH_IPCParcel_WriteInt16 = write_i16, OH_IPCParcel_ReadInt16 = read_i32;
    i32: OH_IPCParcel_WriteInt32 = write_i32, OH_IPCParcel_ReadInt32 = read_i32;
    i64: OH_IPCParcel_WriteInt64 = write_i64, OH_IPCParcel_ReadInt64 = read_i64;
    u8: OH_IPCParcel_WriteUint8 = write_u8, OH_IPCParcel_ReadUint8 = read_u32;
    u16: OH_IPCParcel_WriteUint16 = write_u16, OH_IPCParcel_ReadUint16 = read_u32;
    u32: OH_IPCParcel_WriteUint32 = write_u32, OH_IPCParcel_ReadUint32 = read_u32;
    u64: OH_IPCParcel_WriteUint64 = write_u64, OH_IPCParcel_ReadUint64 = read_u64;
    f32: OH_IPCParcel_WriteFloat = write_f32, OH_IPCParcel_ReadFloat = read_f32;
    f64: OH_IPCParcel_WriteDouble = write_f64, OH_IPCParcel_ReadDouble = read_f64;
}
