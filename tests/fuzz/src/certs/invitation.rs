//! The text of a QR code, which anybody may have printed.

use softbus_certs::pairing::{MAX_NAME_LEN, PairingInvitation};

/// All bytes are the text.
pub fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let Ok(invitation) = text.parse::<PairingInvitation>() else {
        return;
    };
    assert!(invitation.name.len() <= MAX_NAME_LEN);
    let written = invitation.reveal();
    let again: PairingInvitation = written.parse().expect("what we write can be read");
    assert_eq!(again, invitation);
    assert_eq!(*again.reveal(), *written, "an invitation has one spelling");
}
