//! `IPCKit/ipc_cskeleton.h`: threads, and who calls.
//!
//! Unsafe, because texts and places for them come as pointers; see `boundary.rs`.
#![expect(unsafe_code, reason = "functions that C calls")]

pub(crate) mod identity;

use std::ffi::{c_char, c_int};

use softbus::rpc::{self, limits};

use crate::{
    boundary::{self, Allocator, OutText, guard},
    error::{self, INNER, SUCCESS},
};

#[unsafe(no_mangle)]
extern "C" fn OH_IPCSkeleton_JoinWorkThread() {
    guard((), rpc::lend_thread);
}

#[unsafe(no_mangle)]
extern "C" fn OH_IPCSkeleton_StopWorkThread() {
    guard((), || {
        rpc::take_back_thread();
    });
}

#[unsafe(no_mangle)]
extern "C" fn OH_IPCSkeleton_SetMaxWorkThreadNum(threads: c_int) -> c_int {
    guard(INNER, || match usize::try_from(threads) {
        Ok(threads @ 1..=limits::MAX_BLOCKING_THREADS) => {
            rpc::raise_blocking_threads(threads);
            SUCCESS
        }
        _ => error::check_param(),
    })
}

#[unsafe(no_mangle)]
extern "C" fn OH_IPCSkeleton_GetCallingTokenId() -> u64 {
    guard(0, || identity::caller().token)
}

#[unsafe(no_mangle)]
extern "C" fn OH_IPCSkeleton_GetFirstTokenId() -> u64 {
    // OpenHarmony's answer where no process has set a token for the chains it begins, which only its token service does.
    0
}

#[unsafe(no_mangle)]
extern "C" fn OH_IPCSkeleton_GetSelfTokenId() -> u64 {
    guard(0, || identity::Identity::own().token)
}

#[unsafe(no_mangle)]
extern "C" fn OH_IPCSkeleton_GetCallingPid() -> u64 {
    // A signed number, as wide as the result: -1 has all bits.
    guard(0, || i64::from(identity::caller().pid) as u64)
}

#[unsafe(no_mangle)]
extern "C" fn OH_IPCSkeleton_GetCallingUid() -> u64 {
    guard(0, || i64::from(identity::caller().uid) as u64)
}

#[unsafe(no_mangle)]
extern "C" fn OH_IPCSkeleton_IsLocalCalling() -> c_int {
    guard(1, || c_int::from(identity::caller().device.is_none()))
}

#[unsafe(no_mangle)]
extern "C" fn OH_IPCSkeleton_IsHandlingTransaction() -> c_int {
    guard(0, || c_int::from(identity::is_handling()))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn OH_IPCSkeleton_ResetCallingIdentity(
    text: *mut *mut c_char,
    len: *mut i32,
    allocator: Allocator,
) -> c_int {
    // SAFETY: the caller says that results may go there, or NULL, and what its allocator returns.
    let out = unsafe { OutText::new(text, len, allocator) };
    guard(INNER, || {
        let Some(out) = out else {
            return error::check_param();
        };
        let caller = identity::is_handling().then(identity::caller);
        let copied = out.set(&caller.map_or(String::new(), |caller| caller.to_string()));
        if copied == SUCCESS {
            identity::set(identity::Identity::own());
        }
        copied
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn OH_IPCSkeleton_SetCallingIdentity(text: *const c_char) -> c_int {
    // SAFETY: the caller's string, or NULL.
    let text = unsafe { boundary::c_str(text) };
    guard(INNER, || {
        let Some(text) = text else {
            return error::check_param();
        };
        if !identity::is_handling() {
            return SUCCESS;
        }
        match text.to_str().ok().and_then(identity::Identity::parse) {
            Some(identity) => {
                identity::set(identity);
                SUCCESS
            }
            None => {
                error::say("no identity of OH_IPCSkeleton_ResetCallingIdentity");
                INNER
            }
        }
    })
}
