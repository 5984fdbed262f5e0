//! Whom a program in C trusts: with a device that is blocked, and with lists as long as a store may be.

use softbus::{DeviceId, TrustStore};

use crate::build::{self, Language, Program};

/// A list of so many devices.
fn list(devices: usize) -> String {
    let id = |number: usize| {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&number.to_le_bytes());
        DeviceId::from_bytes(bytes)
    };
    (0..devices)
        .map(|number| format!("{}\n", id(number)))
        .collect()
}

#[test]
fn trust() {
    let program = Program::new();
    let path = program.program("trust", &build::c_file("trust.c"), Language::C);
    let [device, blocked] = [0xd0, 0xb0].map(|byte| DeviceId::from_bytes([byte; 32]));
    let store = TrustStore::open(program.path("identity")).unwrap();
    store.block(&blocked).unwrap();
    program.file("full.txt", &list(TrustStore::MAX_DEVICES));
    program.file("over.txt", &list(TrustStore::MAX_DEVICES + 1));
    let mut command = program.command(&path);
    build::run(command.arg(device.to_string()).arg(blocked.to_string()));
}
