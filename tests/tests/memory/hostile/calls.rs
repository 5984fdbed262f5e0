//! Calls that are not as they should be, and answers that come too late.

use std::time::Duration;

use bytes::Bytes;
use proto::{
    Handle, ObjectId, ServiceId,
    frame::{BulkPart, Call, Extensions, Frame, Grant, Grants, ObjectKind, Release, Reply, Status},
    openharmony::{
        code::{DUMP_TRANSACTION, PING_TRANSACTION},
        samgr,
    },
};
use softbus::{
    CallOption, DeviceId, GetServiceError, Parcel,
    rpc::{
        Bus, BusConfig,
        dump::DumpError,
        session::{PeerFault, passing_rules::Party},
    },
};
use testkit::{
    scenarios::{
        SERVICE, SOON, for_all, reached,
        workbench::{OWN_CODE, code, workbench},
    },
    wait::wait_until_async,
    world::raw::{BOOT, CALLS, RawPeer},
};

use super::{act, fault_of, goes_on};

/// A bus of its own.
const HOME: Party = Party {
    device: DeviceId::from_bytes([0xa0; 32]),
    process: Party::HOST,
};

/// Rows 6 and 64, when the peer does not keep to them: the handler does not run.
#[test]
fn codes_outside_the_range_are_unknown_methods() {
    act(async |stage| {
        let (mut peer, _session) = RawPeer::in_session(&stage.bus).await;
        let service = peer.get(SERVICE.get()).await;
        for code in [0, 0x0100_0000, u32::MAX] {
            let call = peer.call(service, code, &[]);
            assert_eq!(peer.status_of(call).await, Status::UnknownMethod);
        }
        assert_eq!(*stage.honest.bench.entered.borrow(), 0);
        goes_on(&mut peer).await;
    });
}

/// Row 68: what is in a stub is for processes of its own device. Neither our side asks nor would theirs answer.
#[test]
#[cfg(unix)]
fn another_device_gets_no_dump() {
    act(async |stage| {
        let honest = &stage.honest.proxy;
        let asked = honest.dump(std::io::stderr(), &[], CallOption::two_way());
        assert_eq!(asked.await, Err(DumpError::OtherDevice));
        let (mut peer, _session) = RawPeer::in_session(&stage.bus).await;
        let service = peer.get(SERVICE.get()).await;
        for handle in [service, Handle::SAMGR] {
            let dump = peer.call(handle, DUMP_TRANSACTION, &[]);
            assert_eq!(peer.status_of(dump).await, Status::Refused);
        }
        assert_eq!(stage.honest.stub.stats().unwrap().refused.rule, 1);
        goes_on(&mut peer).await;
    });
}

/// Rows 97 and 142: what other devices ask of the system ability manager and may not have.
#[test]
fn others_may_only_get_check_and_load() {
    act(async |stage| {
        let (mut peer, _session) = RawPeer::in_session(&stage.bus).await;
        let allowed = [
            samgr::GET_SYSTEM_ABILITY,
            samgr::CHECK_SYSTEM_ABILITY,
            samgr::LOAD_SYSTEM_ABILITY,
        ];
        // Every request of OpenHarmony's: add, remove, list, subscribe, unload and the rest.
        for code in (1..=samgr::LAST_CODE).filter(|code| !allowed.contains(code)) {
            let call = peer.call(Handle::SAMGR, code, &SERVICE.get().to_le_bytes());
            assert_eq!(peer.status_of(call).await, Status::Refused);
        }
        // No id, and what is none: not a refusal, which is for what could be a service.
        let ids = [0, 0x0100_0000, u32::MAX].map(u32::to_le_bytes);
        for code in allowed.into_iter().chain([samgr::WAIT_FOR_SYSTEM_ABILITY]) {
            for id in ids.iter().map(<[u8; 4]>::as_slice).chain([&[][..]]) {
                let call = peer.call(Handle::SAMGR, code, id);
                assert_eq!(peer.status_of(call).await, Status::MalformedParcel);
            }
        }
        assert_eq!(stage.honest.b.list(), [SERVICE]);
        goes_on(&mut peer).await;
    });
}

#[test]
fn a_body_that_is_no_parcel_is_an_error_of_its_call() {
    act(async |stage| {
        let (mut peer, _session) = RawPeer::in_session(&stage.bus).await;
        let service = peer.get(SERVICE.get()).await;
        // Not padded, and an object without its slot.
        let unpadded = peer.call(service, code::KEEP, &[1, 2, 3]);
        let mut without_slot = peer.call(service, code::KEEP, &[0; 12]);
        without_slot.grants = [Grant::Null].into_iter().collect();
        for call in [unpadded, without_slot] {
            assert_eq!(peer.status_of(call).await, Status::MalformedParcel);
        }
        assert_eq!(*stage.honest.bench.entered.borrow(), 0);
        goes_on(&mut peer).await;
    });
}

#[test]
fn a_call_id_in_use_is_refused() {
    act(async |stage| {
        let (mut peer, session) = RawPeer::in_session(&stage.bus).await;
        let service = peer.get(SERVICE.get()).await;
        let call = peer.call(service, code::HOLD, &[]);
        peer.send(CALLS, &Frame::Call(call.clone())).await;
        reached(&stage.honest.bench.entered, 1).await;
        peer.send(CALLS, &Frame::Call(call)).await;
        assert_eq!(fault_of(&session).await, PeerFault::InvalidCallId);
        // The first one ended with its session.
        reached(&stage.honest.bench.left, 1).await;
    });
}

#[test]
fn calls_over_the_agreed_number_end_the_session() {
    act(async |stage| {
        let (mut peer, session) = RawPeer::in_session(&stage.bus).await;
        let service = peer.get(SERVICE.get()).await;
        let limit = peer.welcome.unwrap().limits.calls_in_flight;
        for _ in 0..limit {
            let call = peer.call(service, code::HOLD, &[]);
            peer.send(CALLS, &Frame::Call(call)).await;
        }
        reached(&stage.honest.bench.entered, limit.into()).await;
        assert_eq!(session.end(), None);
        let one_more = peer.call(Handle::SAMGR, PING_TRANSACTION, &[]);
        peer.send(CALLS, &Frame::Call(one_more)).await;
        assert_eq!(fault_of(&session).await, PeerFault::InvalidCallId);
        reached(&stage.honest.bench.left, limit.into()).await;
    });
}

#[test]
fn one_way_calls_over_the_credit_end_the_session() {
    act(async |stage| {
        let (mut peer, session) = RawPeer::in_session(&stage.bus).await;
        let service = peer.get(SERVICE.get()).await;
        let credit = peer.welcome.unwrap().limits.one_way_calls;
        for _ in 0..=credit {
            let one_way = Call {
                id: None,
                ..peer.call(service, code::HOLD, &[])
            };
            peer.send(CALLS, &Frame::Call(one_way)).await;
        }
        assert_eq!(fault_of(&session).await, PeerFault::CreditExceeded);
    });
}

#[test]
fn a_bulk_body_of_another_length_ends_the_session() {
    act(async |stage| {
        let (mut peer, session) = RawPeer::in_session(&stage.bus).await;
        let service = peer.get(SERVICE.get()).await;
        let part = BulkPart {
            id: 1,
            body_len: 0,
            raw_len: u32::MAX,
        };
        let call = Call {
            bulk: Some(part),
            ..peer.call(service, code::RAW, &[])
        };
        peer.send(CALLS, &Frame::Call(call)).await;
        peer.send_bulk(1, &[0; 100]).await;
        assert_eq!(fault_of(&session).await, PeerFault::InvalidBulk);
    });
}

#[test]
fn a_bulk_body_without_a_header_is_given_up() {
    act(async |stage| {
        let (mut peer, session) = RawPeer::in_session(&stage.bus).await;
        peer.send_bulk(9, &[0; 100_000]).await;
        let waits = wait_until_async(SOON, async || session.usage().bulk == 1);
        assert!(waits.await);
        // The bus gives it a minute.
        tokio::time::sleep(Duration::from_secs(61)).await;
        let service = peer.get(SERVICE.get()).await;
        let part = BulkPart {
            id: 9,
            body_len: 0,
            raw_len: 100_000,
        };
        let call = Call {
            bulk: Some(part),
            ..peer.call(service, code::RAW, &[])
        };
        assert_ne!(peer.status_of(call).await, Status::Ok);
        assert_eq!(*stage.honest.bench.entered.borrow(), 0);
        assert_eq!(session.usage().bulk, 0);
        goes_on(&mut peer).await;
    });
}

/// Who sends bodies and keeps their headers back has no more of the memory of all than who sends both.
#[test]
fn a_bulk_body_that_waits_for_its_header_counts_with_all_that_arrive() {
    crate::run_in(async |_| {
        let mut config = BusConfig::new(HOME, BOOT);
        config.quotas.bulk_memory_in_all = 150_000;
        let bus = Bus::new(config);
        let (stub, _bench) = workbench();
        bus.samgr().add(SERVICE, &stub, for_all()).unwrap();
        let (mut one, session) = RawPeer::in_session(&bus).await;
        let (mut other, _session) = RawPeer::in_session(&bus).await;
        let part = |id| BulkPart {
            id,
            body_len: 0,
            raw_len: 100_000,
        };
        let raw = async |peer: &mut RawPeer, id| {
            let service = peer.get(SERVICE.get()).await;
            let call = Call {
                bulk: Some(part(id)),
                ..peer.call(service, code::RAW, &[])
            };
            peer.status_of(call).await
        };
        one.send_bulk(1, &[0; 100_000]).await;
        let waits = wait_until_async(SOON, async || session.usage().bulk == 1);
        assert!(waits.await);
        other.send_bulk(1, &[0; 100_000]).await;
        assert_eq!(raw(&mut other, 1).await, Status::Busy);
        // Its header ends the wait; what it was is no matter.
        assert_ne!(raw(&mut one, 1).await, Status::Busy);
        other.send_bulk(2, &[0; 100_000]).await;
        assert_ne!(raw(&mut other, 2).await, Status::Busy);
    });
}

/// A handler's answer is its caller's: with an error, nothing else of the reply. Row 75, on the wire.
#[test]
fn an_error_carries_no_parcel_and_no_grants() {
    act(async |stage| {
        let (mut peer, _session) = RawPeer::in_session(&stage.bus).await;
        let service = peer.get(SERVICE.get()).await;
        let call = peer.call(service, code::FAIL, &OWN_CODE.to_le_bytes());
        peer.send(CALLS, &Frame::Call(call)).await;
        let reply = peer.receive_reply().await;
        assert_eq!(reply.status, Status::App(OWN_CODE));
        assert!(reply.body.is_empty() && reply.grants.is_empty() && reply.bulk.is_none());
    });
}

/// The next call that the peer is asked to serve.
async fn asked(peer: &mut RawPeer) -> Call {
    loop {
        match peer.receive(CALLS).await {
            Some(Frame::Call(call)) => return call,
            Some(_) => {}
            None => panic!("the session has ended"),
        }
    }
}

fn answer(call: &Call, status: Status) -> Reply {
    Reply {
        id: call.id.unwrap(),
        status,
        bulk: None,
        grants: Grants::default(),
        extensions: Extensions::default(),
        body: Bytes::new(),
    }
}

/// Row 57: a reply that comes after the wait is read for its grants and dropped; it is no fault.
#[test]
fn a_late_reply_is_dropped_and_what_it_grants_is_given_back() {
    act(async |stage| {
        let (mut peer, session) = RawPeer::in_session(&stage.bus).await;
        let wait = Duration::from_millis(300);
        let late = session.get_service(SERVICE, wait).await;
        assert_eq!(late.unwrap_err(), GetServiceError::TimedOut { after: wait });
        let call = asked(&mut peer).await;
        match peer.receive(CALLS).await {
            Some(Frame::Cancel(cancel)) => assert_eq!(Some(cancel.id), call.id),
            other => panic!("{other:?} instead of a cancel"),
        }
        let handle = Handle::new(1, 77);
        let mut reply = answer(&call, Status::Ok);
        reply.grants = [Grant::Granted {
            handle,
            kind: ObjectKind::Named(SERVICE),
            object: ObjectId {
                boot: BOOT,
                number: 5,
            },
        }]
        .into_iter()
        .collect();
        peer.send(CALLS, &Frame::Reply(reply)).await;
        let released = peer.receive(CALLS).await;
        assert_eq!(
            released,
            Some(Frame::Release(Release {
                handle,
                count: 1,
                homes: 0
            }))
        );
        assert_eq!(session.usage().calls, 0);
        goes_on(&mut peer).await;
    });
}

/// The other end's clock may be ahead: its *expired* is the time-out of this call and says how long that was.
#[test]
fn expired_there_is_timed_out_here() {
    act(async |stage| {
        let (mut peer, session) = RawPeer::in_session(&stage.bus).await;
        let wait = Duration::from_secs(3);
        let expire = async {
            let call = asked(&mut peer).await;
            let expired = answer(&call, Status::Expired);
            peer.send(CALLS, &Frame::Reply(expired)).await;
        };
        let (late, ()) = tokio::join!(session.get_service(SERVICE, wait), expire);
        assert_eq!(late.unwrap_err(), GetServiceError::TimedOut { after: wait });
    });
}

#[test]
fn a_reply_that_is_no_parcel_is_an_error_of_its_call() {
    act(async |stage| {
        let (mut peer, session) = RawPeer::in_session(&stage.bus).await;
        for body in [&b"abc"[..], &[0; 4], &[]] {
            let reply = async {
                let call = asked(&mut peer).await;
                let mut reply = answer(&call, Status::Ok);
                reply.body = Bytes::copy_from_slice(body);
                peer.send(CALLS, &Frame::Reply(reply)).await;
            };
            let wait = Duration::from_secs(3);
            let (got, ()) = tokio::join!(session.get_service(SERVICE, wait), reply);
            assert!(matches!(got, Err(GetServiceError::Call(_))), "{got:?}");
        }
        assert_eq!(session.end(), None);
    });
}

/// Whether a call may be repeated is said to the callee with each call, and holds for that call only.
#[test]
fn the_callee_is_told_which_calls_may_be_repeated() {
    act(async |stage| {
        let (mut peer, _session) = RawPeer::in_session(&stage.bus).await;
        let (stub, bench) = workbench();
        let service = ServiceId::new(7).unwrap();
        stage.honest.b.add(service, &stub, for_all()).unwrap();
        let workbench = peer.get(7).await;
        let ours = Handle::new(1, 77);
        let mut keep = peer.call(workbench, code::KEEP, &[]);
        keep.grants = [Grant::Granted {
            handle: ours,
            kind: ObjectKind::Anonymous,
            object: ObjectId {
                boot: BOOT,
                number: 5,
            },
        }]
        .into_iter()
        .collect();
        keep.body = Bytes::from_static(b"TLOS\0\0\0\0\0\0\0\0");
        assert_eq!(peer.status_of(keep).await, Status::Ok);
        let proxy = bench.kept().pop().unwrap();
        let plain = CallOption::two_way();
        for (option, expected) in [(plain, false), (plain.idempotent(), true), (plain, false)] {
            let nothing = Parcel::new();
            let answered = async {
                let call = asked(&mut peer).await;
                assert_eq!((call.handle, call.idempotent), (ours, expected));
                let mut reply = answer(&call, Status::Ok);
                reply.body = Bytes::new();
                peer.send(CALLS, &Frame::Reply(reply)).await;
            };
            let (reply, ()) = tokio::join!(proxy.send_request(1, &nothing, option), answered);
            reply.unwrap();
        }
    });
}
