//! Whether this process is a child that was forked from one with a bus and has not become another program: it has the sockets
//! of that process and none of the threads that serve them.
//!
//! # Unsafe
//!
//! The system is told of a function to be called in such a child; that is an `unsafe` call. The function stores a flag and does
//! nothing else, which is allowed where hardly anything is.
#![expect(unsafe_code, reason = "tells the system of a function")]

use std::sync::{
    Once,
    atomic::{AtomicBool, Ordering},
};

static FORKED: AtomicBool = AtomicBool::new(false);

/// Notices forks from here on.
pub(crate) fn watch() {
    static WATCHED: Once = Once::new();
    WATCHED.call_once(|| {
        // SAFETY: `in_child` is a function of this program for as long as it runs, and safe between `fork` and `exec`.
        let watched = unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
        if watched != 0 {
            tracing::warn!("calls in forked children will not be refused: no memory");
        }
    });
}

extern "C" fn in_child() {
    FORKED.store(true, Ordering::Relaxed);
}

/// Whether this is such a child.
pub(crate) fn is_forked() -> bool {
    FORKED.load(Ordering::Relaxed)
}
