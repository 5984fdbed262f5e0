//! The after-check of what the process has: descriptors, threads, memory. What others do would show in it, so each test has
//! a process of its own.

#![expect(unsafe_code, reason = "an allocator that counts is one")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    env,
    process::Command,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Instant,
};

use super::SOON;

/// Set where there is one test.
const ALONE: &str = "SOFTBUS_HOSTILE_ALONE";
/// What a node may remember of whom it has met, and what its runtime keeps for the next who comes, in bytes.
const KEPT: usize = 1 << 20;

thread_local! {
    /// Whether the test of this thread has been run in a process of its own.
    static RUN_ELSEWHERE: Cell<bool> = const { Cell::new(false) };
}

/// Whether the test that asks is the only one here. If not it has been run, in a process of its own, and did not fail.
pub(super) fn alone() -> bool {
    // Where tests are run one at a time the harness makes no threads for them.
    let name = match thread::current().name() {
        Some(name) if name != "main" && env::var_os(ALONE).is_none() => name.to_owned(),
        _ => return true,
    };
    if RUN_ELSEWHERE.replace(true) {
        return false;
    }
    let mut test = Command::new(env::current_exe().unwrap());
    test.args([&name, "--exact", "--nocapture"]).env(ALONE, "1");
    let ended = test.output().unwrap();
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (said(&ended.stdout), said(&ended.stderr));
    println!("{out}{err}");
    assert!(ended.status.success(), "{name} failed");
    assert!(out.contains("1 passed"), "{name} was not run");
    false
}

/// What the process has.
#[derive(Clone, Copy, Debug)]
struct Has {
    descriptors: usize,
    threads: usize,
    bytes: usize,
}

impl Has {
    fn now() -> Self {
        let count = |list| std::fs::read_dir(list).map_or(0, Iterator::count);
        Self {
            descriptors: count("/proc/self/fd"),
            threads: count("/proc/self/task"),
            bytes: bytes(),
        }
    }

    fn is_as(&self, before: &Self) -> bool {
        self.descriptors <= before.descriptors
            && self.threads <= before.threads
            && self.bytes <= before.bytes + KEPT
    }
}

/// What the process had before the attack. When it is dropped it waits until that is all again.
#[derive(Debug, Default)]
pub(super) struct Before(Option<Has>);

impl Before {
    pub(super) fn is_now(&mut self) {
        self.0 = Some(Has::now());
    }
}

impl Drop for Before {
    fn drop(&mut self) {
        let (false, Some(before)) = (thread::panicking(), self.0) else {
            return;
        };
        let deadline = Instant::now() + SOON;
        let mut now = Has::now();
        while !now.is_as(&before) && Instant::now() < deadline {
            thread::yield_now();
            now = Has::now();
        }
        println!("before: {before:?}, afterwards: {now:?}");
        assert!(now.is_as(&before), "{now:?} and not {before:?}");
    }
}

static LIVE: AtomicUsize = AtomicUsize::new(0);

/// How much memory is in use.
pub(super) fn bytes() -> usize {
    LIVE.load(Ordering::Relaxed)
}

/// The system's, and how much is in use.
struct Counting;

// SAFETY: all is left to `System`, with the arguments as they came; counting allocates nothing and does not unwind.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promises are those of this function.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        LIVE.fetch_add(size.wrapping_sub(layout.size()), Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.realloc(old, layout, size) }
    }

    unsafe fn dealloc(&self, old: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(old, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;
