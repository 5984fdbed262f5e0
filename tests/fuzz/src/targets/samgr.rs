//! What another device asks of our system ability manager.

use bytes::Bytes;
use softbus_rpc::{
    Allow, HandlerError, ServiceOptions,
    fuzzing::{a_stub, ask_samgr, bus, received},
};

use proto::openharmony::samgr as code;

use super::Input;

/// Those that another device is answered, beside all others.
const CODES: [u32; 5] = [
    code::GET_SYSTEM_ABILITY,
    code::CHECK_SYSTEM_ABILITY,
    code::LOAD_SYSTEM_ABILITY,
    code::LIST_CALLABLE,
    code::WAIT_FOR_SYSTEM_ABILITY,
];

/// Codes and bodies, one after the other.
pub fn run(data: &[u8]) {
    let bus = bus();
    let samgr = bus.samgr();
    let (ours, all) = (a_stub(), ServiceOptions::distributed(Allow::trusted()));
    for (number, options) in [(1, ServiceOptions::local()), (2, all)] {
        let id = proto::ServiceId::new(number).expect("an id");
        samgr.add(id, &ours, options).expect("there is room");
    }
    let before = samgr.list();
    let mut input = Input(data);
    // As many as a minute of a peer, not more.
    for _ in 0..64 {
        if input.is_empty() {
            break;
        }
        let code = match input.u8() {
            known @ 0..=0x7f => CODES[usize::from(known) % CODES.len()],
            _ => u32::try_from(input.number()).unwrap_or(u32::MAX),
        };
        let len = input.below(40);
        let body = Bytes::copy_from_slice(input.bytes(len));
        let Ok(body) = received(body, Vec::new(), None) else {
            continue;
        };
        // `None` while it waits: it is cancelled then, as by a peer that goes.
        match ask_samgr(&bus, code, body) {
            Some((Ok(()), reply)) => assert!(reply.object_count() <= 1),
            Some((Err(HandlerError::Refused | HandlerError::UnknownMethod), reply)) => {
                assert_eq!(reply.object_count(), 0);
            }
            Some((Err(_), _)) | None => {}
        }
        assert_eq!(samgr.list(), before, "code {code}");
    }
}
