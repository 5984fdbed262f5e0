//! Inputs 43 and 63 of docs/security.md: what a claimed length or count makes whoever reads it allocate, in bytes.

#![expect(unsafe_code, reason = "an allocator that counts is one")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

use bytes::Bytes;
use proto::{
    frame::{Frame, FrameReader, MAX_FRAME_LEN},
    message::{Control, MAX_CONTROL_LEN},
};
use softbus_rpc::{
    Parcel, Parcelable,
    fuzzing::{read_question, read_tokens, received},
    parcel::ReadParcelError,
};

/// What the list of inputs allows.
const AT_MOST: usize = 64 * 1024;
/// Lengths and counts that are too many, negative, or overflow when multiplied.
const CLAIMS: [u32; 8] = [
    5,
    1000,
    0x0100_0000,
    0x1fff_ffff,
    0x2000_0001,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
];

thread_local! {
    static ALLOCATED: Cell<usize> = const { Cell::new(0) };
}

/// The system's, and how much each thread has asked it for in all.
struct Counting;

fn count(bytes: usize) {
    // A thread that ends has no more thread-locals, and counts nothing.
    let _ = ALLOCATED.try_with(|allocated| allocated.set(allocated.get() + bytes));
}

// SAFETY: all is left to `System`, with the arguments as they came; counting allocates nothing and does not unwind.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller's promises are those of this function.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size.saturating_sub(layout.size()));
        // SAFETY: as above.
        unsafe { System.realloc(old, layout, size) }
    }

    unsafe fn dealloc(&self, old: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(old, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// What this thread allocates meanwhile, given back or not.
fn allocated<T>(by: impl FnOnce() -> T) -> (usize, T) {
    let before = ALLOCATED.get();
    let result = by();
    (ALLOCATED.get() - before, result)
}

#[test]
fn what_is_allocated_is_counted() {
    let (bytes, _) = allocated(|| vec![1_u8; 100_000]);
    assert!((100_000..101_000).contains(&bytes), "{bytes}");
    let (bytes, _) = allocated(|| vec![0_u8; 100_000]);
    assert!((100_000..101_000).contains(&bytes), "{bytes}");
    let mut grown = Vec::<u8>::with_capacity(1000);
    let (bytes, ()) = allocated(|| grown.reserve_exact(100_000));
    assert!((99_000..101_000).contains(&bytes), "{bytes}");
}

type Read = fn(&mut Parcel) -> Result<(), ReadParcelError>;

fn read<T: Parcelable>(parcel: &mut Parcel) -> Result<(), ReadParcelError> {
    parcel.read::<T>().map(drop)
}

/// Each begins with a length or a count.
const READERS: [(&str, Read); 16] = [
    ("string", |parcel| parcel.read_string().map(drop)),
    ("string16", |parcel| parcel.read_string16().map(drop)),
    ("nullable string", |parcel| {
        parcel.read_nullable_string().map(drop)
    }),
    ("nullable string16", |parcel| {
        parcel.read_nullable_string16().map(drop)
    }),
    ("bools", |parcel| parcel.read_bool_vec().map(drop)),
    ("bytes", |parcel| parcel.read_u8_vec().map(drop)),
    ("i64s", |parcel| parcel.read_i64_vec().map(drop)),
    ("f32s", |parcel| parcel.read_f32_vec().map(drop)),
    ("strings", |parcel| parcel.read_string_vec().map(drop)),
    ("string16s", |parcel| parcel.read_string16_vec().map(drop)),
    ("a list of lists", read::<Vec<Vec<u8>>>),
    ("a list of large items", read::<Vec<[u64; 1000]>>),
    ("a list of strings", read::<Vec<String>>),
    ("a list of what may be missing", read::<Vec<Option<u64>>>),
    ("a list of pairs", read::<Vec<(u32, String)>>),
    ("raw data", |parcel| {
        let len = parcel.read_u32()?;
        parcel.read_raw_data(len as usize).map(drop)
    }),
];

#[test]
fn a_forged_length_in_a_parcel_allocates_next_to_nothing() {
    for claim in CLAIMS {
        for (what, read) in READERS {
            // As in a list of lists, where the first may be as long as it says.
            for more in [[0, 0], claim.to_le_bytes().first_chunk().copied().unwrap()] {
                let claimed = claim.to_le_bytes();
                let body = [&claimed[..], &more, &[0; 2]].concat();
                let mut parcel = received(Bytes::from(body), Vec::new(), None).unwrap();
                let (bytes, result) = allocated(|| read(&mut parcel));
                assert!(bytes < AT_MOST, "{what}, {claim:#x}: {bytes} bytes");
                // What is not there is written as -1.
                let nothing = claim == u32::MAX && what.starts_with("nullable");
                assert_eq!(result.is_ok(), nothing, "{what}, {claim:#x}");
            }
        }
    }
}

#[test]
fn a_forged_count_of_what_is_introduced_allocates_next_to_nothing() {
    // A question names its receiver first: a device and a process.
    let readers: [(&str, usize, Read); 2] = [
        ("handles", 40, |parcel| read_question(parcel).map(drop)),
        ("tokens", 0, |parcel| read_tokens(parcel).map(drop)),
    ];
    for claim in CLAIMS {
        for (what, before, read) in readers {
            let body = [&vec![0; before][..], &claim.to_le_bytes(), &[0; 8]].concat();
            let mut parcel = received(Bytes::from(body), Vec::new(), None).unwrap();
            let (bytes, result) = allocated(|| read(&mut parcel));
            assert!(bytes < AT_MOST, "{what}, {claim:#x}: {bytes} bytes");
            assert!(result.is_err(), "{what}, {claim:#x}");
        }
    }
}

#[test]
fn a_forged_length_of_a_frame_allocates_next_to_nothing() {
    for claim in CLAIMS.into_iter().chain([MAX_FRAME_LEN as u32]) {
        let (bytes, result) = allocated(|| {
            let mut reader = FrameReader::new();
            reader.buffer().extend_from_slice(&claim.to_le_bytes());
            reader.next_frame().map(|frame| frame.is_some())
        });
        assert!(bytes < AT_MOST, "{claim:#x}: {bytes} bytes");
        assert_ne!(result, Ok(true), "{claim:#x}");
    }
}

/// A length as protobuf writes it.
fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

#[test]
fn a_forged_length_in_a_control_message_allocates_next_to_nothing() {
    let claims = CLAIMS.map(u64::from).into_iter().chain([u64::MAX]);
    for claim in claims {
        // Every field that one byte can name, known or not, and each in each.
        for field in (0..16_u8).map(|field| field << 3 | 2) {
            for inner in (0..16_u8).map(|field| field << 3 | 2) {
                let forged = [&[inner][..], &varint(claim)].concat();
                let nested = [&[field, forged.len() as u8][..], &forged].concat();
                for message in [forged, nested] {
                    let (bytes, _) = allocated(|| Control::decode(&message).map(drop));
                    assert!(bytes < AT_MOST, "{message:02x?}: {bytes} bytes");
                }
            }
        }
    }
}

#[test]
fn a_control_message_that_is_too_long_or_too_deep_allocates_next_to_nothing() {
    let groups = |depth: usize| vec![[0xc3, 0x0c]; depth].concat();
    for message in [vec![0; MAX_CONTROL_LEN + 1], groups(101), groups(10_000)] {
        let frame = Bytes::from([&[0x10], &message[..]].concat());
        let (bytes, result) = allocated(|| Frame::decode(frame).map(drop));
        assert!(bytes < AT_MOST, "{} long: {bytes} bytes", message.len());
        assert!(result.is_err(), "{} long", message.len());
    }
}
