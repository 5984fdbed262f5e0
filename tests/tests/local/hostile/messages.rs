//! Messages that are none, and news of deaths that are not the sender's to tell.

use proto::{
    Handle,
    frame::{Call, Frame, Grant, Status},
    message::{Control, DeathReason, Obituary},
    openharmony::samgr,
};
use softbus::rpc::{parcel::MAX_OBJECTS, session::PeerFault};

use super::{act, enter, fault_of};
use crate::{
    raw::{RawProcess, encoded},
    stage::HOLD,
};

async fn status_of(process: &mut RawProcess, call: Call) -> Status {
    let sent = process.send(&encoded(&Frame::Call(call)), &[]).await;
    sent.unwrap();
    process.reply().await.unwrap().status
}

/// The slot of the first object of a parcel.
const SLOT: [u8; 8] = *b"TLOS\0\0\0\0";

/// A body with eight bytes, and a table that says that an object stands at `offset`.
fn body(slot: [u8; 8], offset: u32) -> Vec<u8> {
    [&slot[..], &offset.to_le_bytes()].concat()
}

/// Row 149: what is no parcel is refused whole. Its handler, which would hold on, does not begin.
#[test]
fn a_message_that_is_no_parcel_is_refused_whole() {
    act(async |stage| {
        let (mut process, session) = enter(stage).await;
        let service = process.service().await;
        let bodies = [
            // Not padded.
            vec![1, 2, 3],
            // An object that stands behind the end, one that stands across it, and one at no multiple of four.
            body(SLOT, 1 << 30),
            body(SLOT, 4),
            body(SLOT, 2),
            // No slot where the table says that there is one.
            body([0xff; 8], 0),
            // No table.
            Vec::new(),
        ];
        for (index, body) in bodies.into_iter().enumerate() {
            let mut call = process.call(service, HOLD, &[], 0);
            if index > 0 {
                call.grants = [Grant::Null].into_iter().collect();
            }
            call.body = body.into();
            let status = status_of(&mut process, call).await;
            assert_eq!(status, Status::MalformedParcel, "body {index}");
        }
        assert_eq!(stage.desk.holding.available_permits(), 0);
        assert_eq!(session.end(), None);
        // One that is a parcel gets to a handler, which has no such method.
        let mut whole = process.call(service, 99, &[], 0);
        whole.grants = [Grant::Null].into_iter().collect();
        whole.body = body(SLOT, 0).into();
        let status = status_of(&mut process, whole).await;
        assert_eq!(status, Status::UnknownMethod);
        drop(process);
        session.ended().await;
    });
}

/// Row 149: more objects than a message may have end the session of who sends them; nothing of it is looked at.
#[test]
fn more_objects_than_a_message_may_have_end_the_session() {
    act(async |stage| {
        let (mut process, session) = enter(stage).await;
        let service = process.service().await;
        let mut call = process.call(service, HOLD, &[], 0);
        call.grants = (0..=MAX_OBJECTS).map(|_| Grant::Null).collect();
        let sent = process.send(&encoded(&Frame::Call(call)), &[]).await;
        sent.unwrap();
        assert!(matches!(fault_of(&session).await, PeerFault::Decode(_)));
        assert_eq!(stage.desk.holding.available_permits(), 0);
    });
}

/// Row 154: a process that says that somebody else's stub is dead, or that its registration has ended, harms nobody: the
/// honest one, with its proxy of the same stub, is served afterwards.
#[test]
fn a_process_cannot_tell_of_the_death_of_what_is_not_its_own() {
    act(async |stage| {
        let (mut process, session) = enter(stage).await;
        let service = process.service().await;
        for handle in [service, Handle::SAMGR] {
            let obituary = Control::Obituary(Obituary {
                handle,
                granted: 1,
                reason: DeathReason::Revoked,
            });
            let frame = encoded(&Frame::Control(obituary));
            process.send_control(&frame, &[]).await;
        }
        // What a host says to a process: this one is none.
        let mut ended = process.call(Handle::SAMGR, samgr::REGISTRATION_ENDED, &[], 0);
        ended.grants = [Grant::Null].into_iter().collect();
        ended.body = body(SLOT, 0).into();
        assert_eq!(status_of(&mut process, ended).await, Status::Refused);
        assert!(!stage.proxy.is_dead());
        assert_eq!(process.service().await, service, "it is still there");
        drop(process);
        session.ended().await;
    });
}
