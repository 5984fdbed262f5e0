//! What C holds of our objects: handles, which can be asked whether they still are ones.
//!
//! A handle looks like a pointer and is none. It is a number: the place in a table, how often that place had been used
//! before, and the kind of object. So a handle that was destroyed, destroyed twice, made up, or is of another kind is found
//! out by comparing numbers, without looking at memory that may be gone, and nothing here is unsafe. The lock of a place is
//! also what makes two threads with one parcel take turns.
//!
//! | bits (of 64 / of 32) | what |
//! |---|---|
//! | 0..4 | kind, not 0: no pointer to memory of `malloc` has these |
//! | 4..32 / 4..20 | place |
//! | 32..64 / 20..32 | use of the place, not 0 |
//!
//! A place whose uses have all been used up is not used again.

use std::{
    marker::PhantomData,
    ptr,
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
};

const KIND_BITS: u32 = 4;
const PLACE_BITS: u32 = if usize::BITS == 64 { 28 } else { 16 };
const USE_SHIFT: u32 = KIND_BITS + PLACE_BITS;
/// How often a place can be used, and the number of its last use.
const USES: usize = usize::MAX >> USE_SHIFT;

/// The first block of places; each has twice as many as the one before it, and none ever moves or goes.
const FIRST: usize = 64;
const BLOCKS: usize = (PLACE_BITS - FIRST.ilog2()) as usize;
/// What all blocks have together.
const PLACES: usize = FIRST * ((1 << BLOCKS) - 1);

/// All handles of one kind: they stand for values of type `T`, and to C they are `*mut C`.
pub(crate) struct Handles<C, T> {
    kind: usize,
    blocks: [OnceLock<Block<T>>; BLOCKS],
    free: Mutex<Free>,
    to_c: PhantomData<fn() -> *mut C>,
}

type Block<T> = Box<[Mutex<Place<T>>]>;

struct Place<T> {
    /// 0 for one that was never used.
    uses: usize,
    value: Option<T>,
}

struct Free {
    /// Places that were used and can be used again.
    places: Vec<usize>,
    /// How many have been used at all.
    begun: usize,
}

impl<C, T> Handles<C, T> {
    /// No handles yet, of a kind of their own: 1 to 15.
    pub(crate) const fn new(kind: usize) -> Self {
        assert!(kind > 0 && kind < 1 << KIND_BITS);
        Self {
            kind,
            blocks: [const { OnceLock::new() }; BLOCKS],
            free: Mutex::new(Free {
                places: Vec::new(),
                begun: 0,
            }),
            to_c: PhantomData,
        }
    }

    /// A handle for a value; NULL if there are as many as there can be.
    pub(crate) fn insert(&self, value: T) -> *mut C {
        let mut free = lock(&self.free);
        let place = match free.places.pop() {
            Some(place) => place,
            None if free.begun < PLACES => {
                free.begun += 1;
                free.begun - 1
            }
            None => return ptr::null_mut(),
        };
        drop(free);
        let (block, at) = position(place);
        let places = self.blocks[block].get_or_init(|| new_block(block));
        let mut found = lock(&places[at]);
        found.uses += 1;
        found.value = Some(value);
        let handle = found.uses << USE_SHIFT | place << KIND_BITS | self.kind;
        ptr::without_provenance_mut(handle)
    }

    /// Does something with what a handle stands for, while no other thread does; `None` if it stands for nothing.
    ///
    /// Nobody else's code may run in `with`, and nothing of theirs may be dropped: they could come with the same handle.
    #[inline]
    pub(crate) fn with<R>(&self, handle: *const C, with: impl FnOnce(&mut T) -> R) -> Option<R> {
        let mut place = self.place(handle)?;
        // Not `map`: of a handle that was removed it would drop `with`, and what that owns, while the place is locked.
        let value = place.value.as_mut()?;
        Some(with(value))
    }

    /// Ends a handle; what it stood for, if it did.
    pub(crate) fn remove(&self, handle: *const C) -> Option<T> {
        self.remove_if(handle, |_| true)
    }

    /// As [`remove`](Self::remove), if what it stands for may go.
    pub(crate) fn remove_if(&self, handle: *const C, may: impl FnOnce(&T) -> bool) -> Option<T> {
        let mut place = self.place(handle)?;
        let value = place.value.take_if(|value| may(value))?;
        let worn = place.uses == USES;
        drop(place);
        if !worn {
            lock(&self.free).places.push(number(handle));
        }
        Some(value)
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        let begun = lock(&self.free).begun;
        let used = |place: &usize| {
            let (block, at) = position(*place);
            let places = self.blocks[block].get();
            places.is_some_and(|places| lock(&places[at]).value.is_some())
        };
        (0..begun).filter(used).count()
    }

    /// The place of a handle that is in use.
    #[inline]
    fn place(&self, handle: *const C) -> Option<MutexGuard<'_, Place<T>>> {
        if handle.addr() & ((1 << KIND_BITS) - 1) != self.kind {
            return None;
        }
        let (block, at) = position(number(handle));
        let place = lock(self.blocks.get(block)?.get()?.get(at)?);
        (place.uses == handle.addr() >> USE_SHIFT).then_some(place)
    }
}

#[inline]
fn number<C>(handle: *const C) -> usize {
    handle.addr() >> KIND_BITS & ((1 << PLACE_BITS) - 1)
}

/// The block of a place, and where in it.
#[inline]
fn position(place: usize) -> (usize, usize) {
    let block = (place / FIRST + 1).ilog2() as usize;
    (block, place - FIRST * ((1 << block) - 1))
}

fn new_block<T>(block: usize) -> Block<T> {
    let place = || {
        Mutex::new(Place {
            uses: 0,
            value: None,
        })
    };
    std::iter::repeat_with(place).take(FIRST << block).collect()
}

#[inline]
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::{
        hint::black_box,
        time::{Duration, Instant},
    };

    use super::*;

    #[test]
    fn a_handle_is_one_until_it_is_removed() {
        let handles = Handles::<(), u32>::new(3);
        let handle = handles.insert(7);
        let before = handles.with(handle, |value| std::mem::replace(value, 8));
        assert_eq!(before, Some(7));
        assert_eq!(handles.count(), 1);
        assert_eq!(handles.remove(handle), Some(8));
        assert_eq!(handles.remove(handle), None);
        assert_eq!(handles.with(handle, |value| *value), None);
        assert_eq!(handles.count(), 0);
        // The same place, and another handle.
        let next = handles.insert(9);
        assert_ne!(next, handle);
        assert_eq!(number(next), number(handle));
        assert_eq!(handles.with(handle, |value| *value), None);
        assert_eq!(handles.with(next, |value| *value), Some(9));
    }

    #[test]
    fn what_may_not_go_stays() {
        let handles = Handles::<(), u32>::new(3);
        let handle = handles.insert(7);
        assert_eq!(handles.remove_if(handle, |_| false), None);
        assert_eq!(handles.remove(handle), Some(7));
    }

    /// What a caller hands over may, when it is dropped, come with the same handle.
    #[test]
    fn what_is_not_used_is_dropped_where_nothing_is_locked() {
        struct Dropped<'a>(&'a Handles<(), u32>);
        impl Drop for Dropped<'_> {
            fn drop(&mut self) {
                let places = self.0.blocks[0].get().unwrap();
                assert!(places[0].try_lock().is_ok());
            }
        }
        let handles = Handles::<(), u32>::new(3);
        let handle = handles.insert(7);
        handles.remove(handle);
        let owned = Dropped(&handles);
        let with = handles.with(handle, move |_| drop(owned));
        assert_eq!(with, None);
    }

    #[test]
    fn what_is_no_handle_is_none() {
        let (handles, others) = (Handles::<(), u32>::new(3), Handles::<(), u32>::new(4));
        let handle = handles.insert(7);
        assert_eq!(others.insert(1).addr() & !0xf, handle.addr() & !0xf);
        assert_eq!(others.remove(handle), None);
        let memory = Box::new(0_u64);
        let pointer: *const u64 = &raw const *memory;
        let all = usize::MAX;
        for address in [0, 3, 0x13, all, all & !0xf | 3, pointer.addr()] {
            let made_up = ptr::without_provenance(address);
            assert_eq!(handles.with(made_up, |value| *value), None, "{address:#x}");
            assert_eq!(handles.remove(made_up), None, "{address:#x}");
        }
        assert_eq!(handles.remove(handle), Some(7));
    }

    #[test]
    fn there_is_room_for_many() {
        let handles = Handles::<(), usize>::new(1);
        let all: Vec<_> = (0..10_000).map(|value| handles.insert(value)).collect();
        for (value, handle) in all.iter().enumerate() {
            assert_eq!(handles.with(*handle, |found| *found), Some(value));
        }
        assert_eq!(
            position(PLACES - 1),
            (BLOCKS - 1, (FIRST << (BLOCKS - 1)) - 1)
        );
        assert_eq!(handles.count(), 10_000);
    }

    #[test]
    fn a_place_is_worn_after_its_last_use() {
        let handles = Handles::<(), u32>::new(1);
        let first = handles.insert(1);
        handles.remove(first);
        lock(&handles.blocks[0].get().unwrap()[0]).uses = USES - 1;
        let last = handles.insert(2);
        assert_eq!(number(last), number(first));
        assert_eq!(handles.remove(last), Some(2));
        assert_ne!(number(handles.insert(3)), number(first));
    }

    #[test]
    fn threads_take_turns() {
        let handles = Handles::<(), u32>::new(1);
        let handle = handles.insert(0).addr();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        handles.with(ptr::without_provenance(handle), |value| *value += 1);
                    }
                });
            }
        });
        let value = handles.remove(ptr::without_provenance(handle));
        assert_eq!(value, Some(4000));
    }

    /// What a check takes, for people: `cargo test --release -p softbus-capi a_check -- --nocapture`. It is to be under
    /// 20 ns on a machine that does nothing else; no time is asserted that a busy one would fail: `tests/instructions` counts.
    #[test]
    fn a_check_takes_nanoseconds() {
        const CHECKS: u32 = 1_000_000;
        let handles = Handles::<(), u32>::new(1);
        let handle = handles.insert(0);
        let mut best = Duration::MAX;
        for _ in 0..5 {
            let begun = Instant::now();
            for _ in 0..CHECKS {
                black_box(handles.with(black_box(handle), |value| *value));
            }
            best = best.min(begun.elapsed());
        }
        let each = best.as_secs_f64() * 1e9 / f64::from(CHECKS);
        println!("{each:.1} ns a check");
        assert_eq!(handles.remove(handle), Some(0));
    }
}
