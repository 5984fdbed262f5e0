//! The bytes of a lane: cutting them into frames, and reading each.

use bytes::{Bytes, BytesMut};
use proto::frame::{Frame, FrameReader, MAX_FRAME_LEN};

/// The first byte says in which pieces the others arrive.
pub fn run(data: &[u8]) {
    let Some((&pieces, lane)) = data.split_first() else {
        return;
    };
    let whole = frames(lane, lane.len());
    let pieced = frames(lane, usize::from(pieces).max(1));
    assert_eq!(whole, pieced, "frames do not depend on how they arrive");
    for frame in whole {
        assert!(frame.len() <= MAX_FRAME_LEN);
        check(frame);
    }
    check(Bytes::copy_from_slice(lane));
}

fn frames(lane: &[u8], pieces: usize) -> Vec<Bytes> {
    let mut reader = FrameReader::new();
    let mut frames = Vec::new();
    for piece in lane.chunks(pieces.max(1)) {
        reader.buffer().extend_from_slice(piece);
        loop {
            match reader.next_frame() {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(_) => return frames,
            }
        }
    }
    frames
}

/// What is read from bytes is what is read from its own bytes.
fn check(frame: Bytes) {
    let Ok(Some(read)) = Frame::decode(frame) else {
        return;
    };
    let mut written = BytesMut::new();
    read.encode(&mut written);
    let mut reader = FrameReader::new();
    reader.buffer().unsplit(written);
    let again = reader
        .next_frame()
        .expect("what we write is no longer than a frame may be")
        .expect("what we write is whole");
    assert!(reader.is_empty());
    let again = Frame::decode(again).expect("what we write can be read");
    assert_eq!(again, Some(read));
}
