//! What comes from C and goes there: pointers, strings, and the panics that must not.
//!
//! Unsafe, because a pointer from C is only its caller's word. Everything here says what it takes that word for; the rest
//! of the crate deals in references and copies. (Handles are no pointers in this sense: see `handle.rs`.)
#![expect(
    unsafe_code,
    reason = "reads and writes through pointers of the caller's"
)]

use std::{
    cell::RefCell,
    ffi::{CStr, CString, c_char, c_int, c_void},
    panic::{AssertUnwindSafe, catch_unwind},
    ptr,
};

use crate::error::{self, MEM_ALLOCATOR, SUCCESS};

/// `OH_IPC_MemAllocator`: a C function, or NULL.
pub(crate) type Allocator = Option<extern "C" fn(len: i32) -> *mut c_void>;

/// What the application wants back with each callback. It may be used on any thread: the headers say so.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UserData(*mut c_void);

// SAFETY: we hand the pointer back and never look behind it. That callbacks come on any thread is in the header.
unsafe impl Send for UserData {}
// SAFETY: as above.
unsafe impl Sync for UserData {}

impl UserData {
    pub(crate) fn new(pointer: *mut c_void) -> Self {
        Self(pointer)
    }

    pub(crate) fn get(self) -> *mut c_void {
        self.0
    }
}

/// Runs what a function of the library does. A panic of ours is a failed call of the caller's and goes no further: the
/// one place that every exported function goes through.
pub(crate) fn guard<R>(failed: R, run: impl FnOnce() -> R) -> R {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or(failed)
}

/// A string of the caller's; `None` for NULL.
///
/// # Safety
/// `text` is NULL, or points to bytes up to a NUL that do not change while the result is in use.
pub(crate) unsafe fn c_str<'a>(text: *const c_char) -> Option<&'a CStr> {
    // SAFETY: not NULL, and the rest is the caller's promise.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) })
}

/// Bytes of the caller's; `None` for NULL.
///
/// # Safety
/// `bytes` is NULL, or points to `len` bytes that do not change while the result is in use.
pub(crate) unsafe fn bytes<'a>(bytes: *const u8, len: usize) -> Option<&'a [u8]> {
    // SAFETY: not NULL, and the rest is the caller's promise.
    (!bytes.is_null()).then(|| unsafe { std::slice::from_raw_parts(bytes, len) })
}

/// Reads a struct of the caller's; `None` for NULL.
///
/// # Safety
/// `value` is NULL, or points to a `T`, which may be aligned to less than it.
pub(crate) unsafe fn read<T: Copy>(value: *const T) -> Option<T> {
    // SAFETY: not NULL, and the rest is the caller's promise.
    (!value.is_null()).then(|| unsafe { ptr::read_unaligned(value) })
}

/// Where the caller wants a result.
#[derive(Debug)]
pub(crate) struct Out<T>(*mut T);

impl<T> Out<T> {
    /// `None` for NULL.
    ///
    /// # Safety
    /// `place` is NULL, or may be written to while this exists.
    pub(crate) unsafe fn new(place: *mut T) -> Option<Self> {
        (!place.is_null()).then_some(Self(place))
    }

    pub(crate) fn set(&self, value: T) {
        // SAFETY: promised to `new`. Unaligned, because structs of the headers are packed.
        unsafe { ptr::write_unaligned(self.0, value) }
    }
}

/// Where the caller wants a string, and what it wants it in.
#[derive(Debug)]
pub(crate) struct OutText {
    text: Out<*mut c_char>,
    len: Out<i32>,
    allocator: extern "C" fn(i32) -> *mut c_void,
}

impl OutText {
    /// `None` if anything of it is NULL.
    ///
    /// # Safety
    /// As for [`Out::new`]; and what `allocator` returns is NULL or as long as it was asked for.
    pub(crate) unsafe fn new(
        text: *mut *mut c_char,
        len: *mut i32,
        allocator: Allocator,
    ) -> Option<Self> {
        // SAFETY: handed on to our caller.
        let (text, len) = unsafe { (Out::new(text)?, Out::new(len)?) };
        Some(Self {
            text,
            len,
            allocator: allocator?,
        })
    }

    /// Copies a string, with its NUL, to memory that the caller allocates.
    pub(crate) fn set(&self, value: &str) -> c_int {
        let Ok(len) = i32::try_from(value.len() + 1) else {
            return error::check_param();
        };
        let memory = (self.allocator)(len).cast::<u8>();
        self.text.set(memory.cast());
        if memory.is_null() {
            error::say("the allocator returned NULL");
            return MEM_ALLOCATOR;
        }
        // SAFETY: `memory` has room for `len` bytes, by the promise to `new`, and is not `value`, which is ours.
        unsafe {
            ptr::copy_nonoverlapping(value.as_ptr(), memory, value.len());
            memory.add(value.len()).write(0);
        }
        self.len.set(len);
        SUCCESS
    }
}

/// Copies a string, with its NUL, to a buffer of the caller's; `None` for NULL and one that is too small.
///
/// # Safety
/// `buffer` is NULL, or has `size` bytes that may be written to.
pub(crate) unsafe fn write_text(buffer: *mut c_char, size: usize, text: &str) -> Option<()> {
    if buffer.is_null() || size <= text.len() {
        return None;
    }
    // SAFETY: there is room for the text and one more byte, and it is not the text, which is ours.
    unsafe {
        ptr::copy_nonoverlapping(text.as_ptr(), buffer.cast(), text.len());
        buffer.add(text.len()).write(0);
    }
    Some(())
}

thread_local! {
    static LAST_ERROR: RefCell<CString> = RefCell::default();
}

/// Remembers what went wrong on this thread.
pub(crate) fn set_last_error(mut text: String) {
    text.retain(|c| c != '\0');
    let _ = LAST_ERROR.try_with(|last| last.replace(CString::new(text).unwrap_or_default()));
}

/// What went wrong last on this thread; lives until something goes wrong again.
pub(crate) fn last_error() -> *const c_char {
    let pointer = LAST_ERROR.try_with(|last| last.borrow().as_ptr());
    pointer.unwrap_or(c"".as_ptr())
}
