//! `hilog/log.h`: a logger that prints to standard error.
//!
//! Unsafe, because formats and their arguments come from C, and are given to C's own `vsnprintf`.
#![expect(unsafe_code, reason = "functions that C calls")]

mod format;

use std::{
    cell::Cell,
    ffi::{CStr, CString, c_char, c_int, c_uint, c_void},
    io::Write,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicI32, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use crate::boundary::{self, guard};

/// `LogLevel`.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Level {
    Warn = 5,
    Error = 6,
}

/// `LOG_APP`, the one `LogType`.
const APP: c_int = 0;
/// What the library itself writes as.
const OWN_TAG: &CStr = c"softbus";
const LOWEST: c_int = 3;
const HIGHEST: c_int = 7;

/// The lowest level that is printed: `LOG_INFO`.
static MIN_LEVEL: AtomicI32 = AtomicI32::new(4);

/// `LogCallback`.
type Callback = extern "C" fn(
    kind: c_int,
    level: c_int,
    domain: c_uint,
    tag: *const c_char,
    message: *const c_char,
);

static CALLBACK: Mutex<Option<Callback>> = Mutex::new(None);

thread_local! {
    /// Whether the callback runs on this thread.
    static TELLING: Cell<bool> = const { Cell::new(false) };
}

unsafe extern "C" {
    /// Of the C library. A `va_list` is a pointer to the function that gets one, on every platform we build for.
    fn vsnprintf(
        buffer: *mut c_char,
        size: usize,
        format: *const c_char,
        arguments: *mut c_void,
    ) -> c_int;
}

/// Writes a line of the library's own.
pub(crate) fn log(level: Level, message: &str) {
    if let Ok(message) = CString::new(message.replace('\0', " ")) {
        print(APP, level as c_int, 0, OWN_TAG, &message);
    }
}

fn is_loggable(level: c_int) -> bool {
    (LOWEST..=HIGHEST).contains(&level) && level >= MIN_LEVEL.load(Ordering::Relaxed)
}

/// Writes a line. The number of bytes; 0 for a level that is not printed, less if it could not be.
fn print(kind: c_int, level: c_int, domain: c_uint, tag: &CStr, message: &CStr) -> c_int {
    if !is_loggable(level) {
        return 0;
    }
    let line = format!(
        "{} {:5} {:5} {} {:04X}/{}: {}\n",
        now(),
        std::process::id(),
        rustix::thread::gettid().as_raw_nonzero(),
        letter(level),
        domain & 0xffff,
        tag.to_string_lossy(),
        message.to_string_lossy(),
    );
    // One write for a line: those of other threads and processes do not come between.
    let written = std::io::stderr().write_all(line.as_bytes());
    let callback = *CALLBACK.lock().unwrap_or_else(PoisonError::into_inner);
    // Not of what it logs itself, which need not end.
    if let Some(callback) = callback.filter(|_| !TELLING.replace(true)) {
        callback(kind, level, domain, tag.as_ptr(), message.as_ptr());
        TELLING.set(false);
    }
    match written {
        Ok(()) => c_int::try_from(line.len()).unwrap_or(c_int::MAX),
        Err(_) => -1,
    }
}

fn letter(level: c_int) -> char {
    match level {
        ..=3 => 'D',
        4 => 'I',
        5 => 'W',
        6 => 'E',
        _ => 'F',
    }
}

/// Month, day and time of day, in UTC.
fn now() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.unwrap_or_default();
    let (days, second) = (now.as_secs() / 86_400, now.as_secs() % 86_400);
    let (month, day) = format::month_and_day(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let milli = now.subsec_millis();
    format!("{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{milli:03}")
}

/// Formats what C hands in. `None` for a format that is none.
///
/// # Safety
/// `arguments` is a `va_list` for `format`.
unsafe fn formatted(format: &CStr, arguments: *mut c_void) -> Option<CString> {
    let marks = format::Marks::new();
    let plain = CString::new(marks.plain_format(format.to_bytes())).ok()?;
    let mut buffer = [0_u8; format::LONGEST];
    // SAFETY: the buffer is as long as is said. The format has the same conversions in the same order as the caller's.
    let written = unsafe {
        vsnprintf(
            buffer.as_mut_ptr().cast(),
            buffer.len(),
            plain.as_ptr(),
            arguments,
        )
    };
    usize::try_from(written).ok()?;
    let text = CStr::from_bytes_until_nul(&buffer).ok()?;
    CString::new(marks.hide_private(text.to_bytes())).ok()
}

#[unsafe(no_mangle)]
unsafe extern "C" fn OH_LOG_VPrint(
    kind: c_int,
    level: c_int,
    domain: c_uint,
    tag: *const c_char,
    format: *const c_char,
    arguments: *mut c_void,
) -> c_int {
    // SAFETY: the caller's strings, or NULL.
    let (tag, format) = unsafe { (boundary::c_str(tag), boundary::c_str(format)) };
    guard(-1, || {
        let Some(format) = format else { return -1 };
        if !is_loggable(level) {
            return 0;
        }
        // SAFETY: the caller's arguments are for its format.
        match unsafe { formatted(format, arguments) } {
            Some(message) => print(kind, level, domain, tag.unwrap_or_default(), &message),
            None => -1,
        }
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn OH_LOG_PrintMsg(
    kind: c_int,
    level: c_int,
    domain: c_uint,
    tag: *const c_char,
    message: *const c_char,
) -> c_int {
    // SAFETY: the caller's strings, or NULL.
    let (tag, message) = unsafe { (boundary::c_str(tag), boundary::c_str(message)) };
    guard(-1, || match message {
        Some(message) => print(kind, level, domain, tag.unwrap_or_default(), message),
        None => -1,
    })
}

#[unsafe(no_mangle)]
extern "C" fn OH_LOG_IsLoggable(_domain: c_uint, _tag: *const c_char, level: c_int) -> bool {
    is_loggable(level)
}

#[unsafe(no_mangle)]
extern "C" fn OH_LOG_SetMinLogLevel(level: c_int) {
    MIN_LEVEL.store(level, Ordering::Relaxed);
}

#[unsafe(no_mangle)]
extern "C" fn OH_LOG_SetCallback(callback: Option<Callback>) {
    *CALLBACK.lock().unwrap_or_else(PoisonError::into_inner) = callback;
}
