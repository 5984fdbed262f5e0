//! Handles that were never granted, grants that cannot be, and counts that do not add up.

use bytes::{BufMut, BytesMut};
use proto::{
    BootId, Handle, ObjectId, ServiceId,
    frame::{Call, Frame, Grant, ObjectKind, Release, Status},
    message::{Control, DeathReason, Obituary},
    openharmony::code::PING_TRANSACTION,
};
use softbus::rpc::session::PeerFault;
use testkit::{
    scenarios::{
        SERVICE, reached,
        workbench::{code, reverse, workbench},
    },
    world::raw::{BOOT, CALLS, RawPeer},
};

use super::{act, fault_of, goes_on};

/// A call with objects: each is followed by its number.
fn with_objects(call: Call, grants: &[Grant]) -> Call {
    let mut body = BytesMut::new();
    let mut table = BytesMut::new();
    for index in 0..grants.len() as u32 {
        table.put_u32_le(body.len() as u32);
        body.put_u32_le(0x534f_4c54);
        body.put_u32_le(index);
        body.put_u32_le(index);
    }
    body.extend_from_slice(&table);
    Call {
        grants: grants.iter().copied().collect(),
        body: body.freeze(),
        ..call
    }
}

fn granted(index: u32, boot: BootId) -> Grant {
    Grant::Granted {
        handle: Handle::new(index, 77),
        kind: ObjectKind::Anonymous,
        object: ObjectId {
            boot,
            number: index.into(),
        },
    }
}

/// Row 111: a handle is a pair of a place and a tag nobody can guess, and who guesses is not listened to for long.
#[test]
fn guessed_handles_reach_nothing_and_end_the_session() {
    act(async |stage| {
        let (mut peer, session) = RawPeer::in_session(&stage.bus).await;
        let service = peer.get(SERVICE.get()).await;
        let guess = Handle::new(service.index(), service.tag() ^ 1);
        for _ in 0..2 {
            let call = peer.call(guess, code::REVERSE, &[0; 4]);
            assert_eq!(peer.status_of(call).await, Status::BadObject);
        }
        goes_on(&mut peer).await;
        let entered = *stage.honest.bench.entered.borrow();
        let call = peer.call(guess, code::REVERSE, &[0; 4]);
        peer.send(CALLS, &Frame::Call(call)).await;
        assert_eq!(fault_of(&session).await, PeerFault::ForgedHandle);
        assert_eq!(*stage.honest.bench.entered.borrow(), entered);
    });
}

#[test]
fn a_handle_that_was_never_issued_ends_the_session() {
    act(async |stage| {
        let (mut peer, session) = RawPeer::in_session(&stage.bus).await;
        let call = peer.call(Handle::new(4711, 1), PING_TRANSACTION, &[]);
        peer.send(CALLS, &Frame::Call(call)).await;
        assert_eq!(fault_of(&session).await, PeerFault::ForgedHandle);
    });
}

/// A handle of one session means nothing on another.
#[test]
fn a_handle_of_another_session_is_a_guess() {
    act(async |stage| {
        let (mut one, _session) = RawPeer::in_session(&stage.bus).await;
        let (mut two, _other_session) = RawPeer::in_session(&stage.bus).await;
        let service = one.get(SERVICE.get()).await;
        two.get(SERVICE.get()).await;
        let call = two.call(service, code::REVERSE, &[0; 4]);
        assert_eq!(two.status_of(call).await, Status::BadObject);
    });
}

#[test]
fn what_was_given_back_is_gone_and_no_guess() {
    act(async |stage| {
        let (mut peer, _session) = RawPeer::in_session(&stage.bus).await;
        let handle = peer.get(SERVICE.get()).await;
        let release = Frame::Release(Release {
            handle,
            count: 1,
            homes: 0,
        });
        peer.send(CALLS, &release).await;
        for _ in 0..5 {
            let call = peer.call(handle, code::REVERSE, &[0; 4]);
            assert_eq!(peer.status_of(call).await, Status::BadObject);
            peer.send(CALLS, &release).await;
        }
        goes_on(&mut peer).await;
    });
}

#[test]
fn giving_back_more_than_was_granted_ends_the_session() {
    act(async |stage| {
        let (mut peer, session) = RawPeer::in_session(&stage.bus).await;
        let handle = peer.get(SERVICE.get()).await;
        let release = Release {
            handle,
            count: 2,
            homes: 0,
        };
        peer.send(CALLS, &Frame::Release(release)).await;
        assert_eq!(fault_of(&session).await, PeerFault::OverRelease);
    });
}

/// Rows 114 and 115: what may not be passed is null, and what stands around it can be read. What looks like our own
/// stub on its way home cannot be: between devices no honest peer passes it.
#[test]
fn an_object_that_cannot_be_is_null_and_the_rest_is_readable() {
    act(async |stage| {
        let (mut peer, session) = RawPeer::in_session(&stage.bus).await;
        let before = session.usage();
        let service = peer.get(SERVICE.get()).await;
        let somebody_elses = BootId {
            epoch: 9,
            random: 9,
        };
        for broken in [
            Grant::Null,
            Grant::Home { handle: service },
            Grant::Home {
                handle: Handle::new(4711, 1),
            },
            granted(9, somebody_elses),
            granted(0, BOOT),
        ] {
            let good = [granted(1, BOOT), granted(2, BOOT)];
            let call = peer.call(service, code::READ_THREE, &[]);
            let call = with_objects(call, &[good[0], broken, good[1]]);
            peer.send(CALLS, &Frame::Call(call)).await;
            let reply = peer.receive_reply().await;
            let read: Vec<_> = reply.body.chunks(4).map(|number| number[0]).collect();
            assert_eq!(read, [1, 0, 0, 1, 1, 2], "{broken:?}");
        }
        peer.send(
            CALLS,
            &Frame::Release(Release {
                handle: service,
                count: 1,
                homes: 0,
            }),
        )
        .await;
        let settled = testkit::wait::wait_until_async(testkit::scenarios::SOON, async || {
            session.usage() == before
        });
        assert!(settled.await, "{:?} and not {before:?}", session.usage());
    });
}

/// A peer that goes away with everything it was granted and everything it gave leaves nothing. Row 72.
#[test]
fn a_peer_that_hangs_up_leaves_nothing() {
    act(async |stage| {
        let (stub, bench) = workbench();
        let service = ServiceId::new(7).unwrap();
        let all = testkit::scenarios::for_all();
        stage.honest.b.add(service, &stub, all).unwrap();
        drop(stub);
        let (mut peer, session) = RawPeer::in_session(&stage.bus).await;
        let handle = peer.get(7).await;
        let given = [granted(1, BOOT), granted(2, BOOT)];
        let call = with_objects(peer.call(handle, code::KEEP, &[]), &given);
        // Numbers stand between the objects, which is not what this method wants; they are kept until then.
        assert_eq!(peer.status_of(call).await, Status::MalformedParcel);
        let kept = bench.kept().clone();
        stage.honest.b.remove(service).unwrap();
        assert_eq!(*bench.destroyed.borrow(), 0);
        peer.hang_up();
        session.ended().await;
        reached(&bench.destroyed, 1).await;
        assert!(kept.iter().all(softbus::RemoteObject::is_dead));
        assert!(reverse(&kept[0], 1).await.is_err());
        assert_eq!(stage.bus.session_count(), 1);
    });
}

/// Row 154: an obituary concerns what its sender has granted to us, and nothing of ours or of anybody else's.
#[test]
fn an_obituary_kills_only_what_its_sender_granted() {
    act(async |stage| {
        let (mut peer, session) = RawPeer::in_session(&stage.bus).await;
        let service = peer.get(SERVICE.get()).await;
        let obituary = Obituary {
            handle: service,
            granted: 1,
            reason: DeathReason::Revoked,
        };
        peer.send(0, &Frame::Control(Control::Obituary(obituary)))
            .await;
        goes_on(&mut peer).await;
        assert_eq!(session.end(), None);
        assert!(!stage.honest.stub.is_dead() && !stage.honest.proxy.is_dead());
        // Kept for a grant that may still come, and gone with the session.
        assert_eq!(session.usage().obituaries, 1);
    });
}
