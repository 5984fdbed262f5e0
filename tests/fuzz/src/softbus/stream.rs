//! The stream of bytes that carries a session where QUIC does not get through: how it is cut into frames, and one end of it, besieged.

mod siege;

use bytes::BytesMut;
use softbus::fuzzing::{Said, read_preamble};

use super::Input;
use siege::Siege;

/// As much as a frame without its header may have, and that.
const MAX_PAYLOAD: usize = 16 * 1024;
const HEADER: usize = 8;
/// As many steps as some bodies and lanes need.
const STEPS: usize = 256;

/// In which pieces the rest arrives, or that it is a siege.
pub fn run(data: &[u8]) {
    let mut input = Input(data);
    match input.u8() {
        pieces @ 0..=0x3f => cut(input.0, pieces.into()),
        _ => besiege(&mut input),
    }
}

/// Nothing depends on how it arrives, and what is read is written and read again the same.
fn cut(stream: &[u8], pieces: usize) {
    let whole = frames(stream, stream.len());
    assert_eq!(whole, frames(stream, pieces));
    for frame in whole.0 {
        let mut written = BytesMut::new();
        frame.put(&mut written);
        let again = Said::take(&mut written);
        assert_eq!(again, Ok(Some(frame)));
        assert!(written.is_empty());
    }
}

fn frames(stream: &[u8], pieces: usize) -> (Vec<Said>, Option<String>) {
    let mut buffer = BytesMut::new();
    let mut begun = false;
    let mut frames = Vec::new();
    for piece in stream.chunks(pieces.max(1)) {
        buffer.extend_from_slice(piece);
        if !begun {
            match read_preamble(&mut buffer) {
                Ok(None) => continue,
                Ok(Some(_)) => begun = true,
                Err(error) => return (frames, Some(error)),
            }
        }
        loop {
            match Said::take(&mut buffer) {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(error) => return (frames, Some(error)),
            }
        }
        assert!(
            buffer.len() < HEADER + MAX_PAYLOAD,
            "a frame is whole by then"
        );
    }
    (frames, None)
}

fn besiege(input: &mut Input<'_>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let mut siege = Siege::begin(input).await;
        for _ in 0..STEPS {
            if input.is_empty() || siege.is_over() {
                break;
            }
            siege.step(input).await;
            siege.check();
        }
        siege.end(input).await;
    });
}
