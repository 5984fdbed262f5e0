//! What a stream of a QUIC connection begins with.

use softbus::fuzzing::{Beginning, LONGEST_BEGINNING, NotRead};

/// It is asked for no more bytes than it has, what is known of a part of it is true of all, and what is read is written the same.
pub fn run(data: &[u8]) {
    let mut there = 0;
    let read = loop {
        match Beginning::read(&data[..there]) {
            Err(NotRead::Longer(length)) => {
                assert!(there < length && length <= LONGEST_BEGINNING);
                if data.len() < length {
                    // Its stream ends here.
                    assert_eq!(Beginning::read(data), Err(NotRead::Longer(length)));
                    return;
                }
                there = length;
            }
            read => break read,
        }
    };
    // What follows is the stream's own.
    assert_eq!(read, Beginning::read(data));
    if let Ok(beginning) = read {
        assert_eq!(beginning.to_bytes(), &data[..there]);
    }
}
