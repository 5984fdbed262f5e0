//! The text of a device id, as people type it and programs hand it on.

use proto::DeviceId;

/// All bytes are the text.
pub fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let Ok(id) = text.parse::<DeviceId>() else {
        return;
    };
    let written = id.to_string();
    let again: DeviceId = written.parse().expect("what we write can be read");
    assert_eq!(again, id, "{text:?} and {written:?} are one device");
    assert_eq!(again.to_string(), written, "a device has one spelling");
}
