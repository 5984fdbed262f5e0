//! What the fuzz targets and the test of their inputs need beyond what users have: files without a directory. Not for people: it
//! changes without notice.

use crate::{Fleet, TrustEntry, identity::Key, pairing::PairingFreeze, trust};

/// What stands in the file of a trust store, and that file as it would be written now.
pub fn trust_file(content: &[u8]) -> Option<(Vec<TrustEntry>, String)> {
    trust::read_file(content)
}

/// What stands in the file that lists the CAs of a fleet. Whatever certificates it names, they are this one, in PEM.
pub fn fleet_file(text: &str, certificate: &str) -> Option<Fleet> {
    Fleet::parse(text, certificate)
}

/// The key in a file, and that file as it would be written.
pub fn key_file(content: &[u8]) -> Option<Vec<u8>> {
    Key::from_pem(content).map(|key| key.to_pem().to_vec())
}

/// What the file says of pairing windows that failed.
pub fn freeze_file(content: &[u8]) -> Option<PairingFreeze> {
    PairingFreeze::from_file(content)
}

/// That file as it would be written now.
pub fn freeze_written(freeze: &PairingFreeze) -> String {
    freeze.to_file()
}
