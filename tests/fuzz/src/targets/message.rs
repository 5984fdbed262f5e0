//! Control messages.

use bytes::BytesMut;
use proto::{frame::Frame, message::Control};

/// All bytes are one message.
pub fn run(data: &[u8]) {
    let Ok(message) = Control::decode(data) else {
        return;
    };
    let frame = Frame::Control(message);
    if data.len() > proto::message::MAX_CONTROL_LEN {
        return;
    }
    let mut written = BytesMut::new();
    frame.encode(&mut written);
    // Behind the length is the frame.
    let again = Frame::decode(written.freeze().slice(4..)).expect("what we write can be read");
    assert_eq!(again, Some(frame));
}
