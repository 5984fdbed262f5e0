//! Descriptors that do not fit their frames, and too many of them.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use bytes::Bytes;
use proto::frame::{Call, Frame, Grant, Status};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use softbus::{
    SendRequestError,
    rpc::{limits::DESCRIPTORS_PER_PEER, parcel::MAX_DESCRIPTORS, session::PeerFault},
};

use super::{act, enter, fault_of};
use crate::{
    raw::{RawProcess, encoded},
    stage::{HOLD, MIXED, TAKE, closes, open, take, two_way},
};

fn pipe() -> OwnedFd {
    io::pipe().unwrap().0.into()
}

fn call(call: Call) -> Bytes {
    encoded(&Frame::Call(call))
}

// Input 60.
#[test]
fn more_or_fewer_descriptors_than_named_end_the_session() {
    for (named, sent) in [(1, 10), (10, 0), (0, 1), (0, 16), (16, 15)] {
        act(async |stage| {
            let (mut process, session) = enter(stage).await;
            let service = process.service().await;
            let frame = call(process.call(service, TAKE, &0_u32.to_le_bytes(), named));
            let pipe = pipe();
            process
                .send(&frame, &vec![pipe.as_fd(); sent])
                .await
                .unwrap();
            let fault = fault_of(&session).await;
            assert_eq!(fault, PeerFault::Descriptors, "{named} named, {sent} sent");
            assert!(process.reply().await.is_none());
        });
    }
}

#[test]
fn descriptors_within_a_frame_that_never_ends_are_bounded() {
    act(async |stage| {
        let (mut process, session) = enter(stage).await;
        let service = process.service().await;
        let frame = call(process.call(service, TAKE, &0_u32.to_le_bytes(), 16));
        let pipe = pipe();
        // Byte by byte, with as many each time as one frame may have.
        for byte in frame.chunks(1).take(3) {
            // The session may be over by then.
            let _ = process.send(byte, &[pipe.as_fd(); 16]).await;
        }
        assert_eq!(fault_of(&session).await, PeerFault::Descriptors);
    });
}

// Inputs 46 and 60.
#[test]
fn more_than_sixteen_in_one_message_are_all_closed() {
    act(async |stage| {
        let (mut process, session) = enter(stage).await;
        let service = process.service().await;
        let frame = call(process.call(service, TAKE, &0_u32.to_le_bytes(), 16));
        let pipe = pipe();
        process.send(&frame, &[pipe.as_fd(); 17]).await.unwrap();
        assert_eq!(fault_of(&session).await, PeerFault::Descriptors);
    });
    act(async |stage| {
        let (mut process, session) = enter(stage).await;
        let service = process.service().await;
        let frame = call(process.call(service, TAKE, &0_u32.to_le_bytes(), 17));
        let pipe = pipe();
        process.send(&frame, &[pipe.as_fd(); 16]).await.unwrap();
        assert!(matches!(fault_of(&session).await, PeerFault::Decode(_)));
    });
}

// Input 60.
#[test]
fn without_room_for_all_none_is_kept_and_only_that_session_ends() {
    act(async |stage| {
        let (mut process, session) = enter(stage).await;
        let service = process.service().await;
        let frame = call(process.call(service, TAKE, &0_u32.to_le_bytes(), 10));
        let pipe = pipe();
        // Room for three more.
        let limit = getrlimit(Resource::Nofile);
        let current = Some(open() as u64 + 100);
        setrlimit(Resource::Nofile, Rlimit { current, ..limit }).unwrap();
        let duplicates = std::iter::from_fn(|| pipe.try_clone().ok());
        let mut fill: Vec<_> = duplicates.collect();
        fill.truncate(fill.len() - 3);
        let sent = process.send(&frame, &[pipe.as_fd(); 10]).await;
        let fault = fault_of(&session).await;
        // Others do without descriptors as before.
        let ping = stage.proxy.ping(two_way()).await;
        setrlimit(Resource::Nofile, limit).unwrap();
        sent.unwrap();
        ping.unwrap();
        assert_eq!(fault, PeerFault::Descriptors);
    });
}

// Input 60.
#[test]
fn a_flood_of_descriptors_is_bounded() {
    act(async |stage| {
        let (mut process, session) = enter(stage).await;
        let service = process.service().await;
        let pipe = pipe();
        let before = open();
        let calls = 200;
        for _ in 0..calls {
            let frame = call(process.call(service, HOLD, &[], 16));
            process.send(&frame, &[pipe.as_fd(); 16]).await.unwrap();
        }
        let allowed = DESCRIPTORS_PER_PEER / MAX_DESCRIPTORS as u32;
        stage.hold(allowed).await;
        for _ in allowed..calls {
            let reply = process.reply().await.unwrap();
            assert_eq!(reply.status, Status::Busy);
        }
        let most = before + DESCRIPTORS_PER_PEER as usize;
        assert!(open() <= most, "{} open, {most} at most", open());
        stage.serves().await;
        drop(process);
        session.ended().await;
    });
}

// Input 60.
#[test]
fn processes_together_hold_a_quarter_of_what_may_be_open_and_no_session_ends() {
    act(async |stage| {
        let limit = getrlimit(Resource::Nofile);
        let current = Some(800);
        setrlimit(Resource::Nofile, Rlimit { current, ..limit }).unwrap();
        let pipe = pipe();
        let mut processes = Vec::new();
        // Twelve calls with 16 each make 192 of 200.
        for held in [8, 4, 0, 0] {
            let (mut process, session) = enter(stage).await;
            let service = process.service().await;
            for _ in 0..8 {
                let frame = call(process.call(service, HOLD, &[], 16));
                process.send(&frame, &[pipe.as_fd(); 16]).await.unwrap();
            }
            stage.hold(held).await;
            for _ in held..8 {
                assert_eq!(process.reply().await.unwrap().status, Status::Busy);
            }
            processes.push((process, session));
        }
        let (fits, over) = (take(&stage.proxy, 8).await, take(&stage.proxy, 9).await);
        setrlimit(Resource::Nofile, limit).unwrap();
        assert_eq!(fits, Ok(0));
        let (limit, value, retry_after) = (Some(200), Some(201), None);
        let busy = SendRequestError::Busy {
            limit,
            value,
            retry_after,
        };
        assert_eq!(over, Err(busy));
        for (process, session) in processes {
            assert_eq!(session.end(), None);
            drop(process);
            session.ended().await;
        }
    });
}

#[test]
fn a_flood_of_descriptors_in_one_way_calls_is_over_the_credit() {
    act(async |stage| {
        let (mut process, session) = enter(stage).await;
        let service = process.service().await;
        let pipe = pipe();
        let before = open();
        for _ in 0..200 {
            let mut one_way = process.call(service, HOLD, &[], 16);
            one_way.id = None;
            if process
                .send(&call(one_way), &[pipe.as_fd(); 16])
                .await
                .is_err()
            {
                break;
            }
            let most = before + DESCRIPTORS_PER_PEER as usize + MAX_DESCRIPTORS;
            assert!(open() <= most, "{} open, {most} at most", open());
        }
        assert_eq!(fault_of(&session).await, PeerFault::CreditExceeded);
    });
}

#[test]
fn who_did_not_agree_on_descriptors_sends_none() {
    for (named, fault) in [
        (0, PeerFault::Descriptors),
        (1, PeerFault::UnexpectedDescriptor),
    ] {
        act(async |stage| {
            let mut process = RawProcess::attach_knowing(&stage.path, 0, &[]).await;
            let session = stage.sessions.recv().await.unwrap();
            let service = process.service().await;
            let frame = call(process.call(service, TAKE, &0_u32.to_le_bytes(), named));
            let pipe = pipe();
            process.send(&frame, &[pipe.as_fd()]).await.unwrap();
            assert_eq!(fault_of(&session).await, fault);
        });
    }
}

#[test]
fn descriptors_on_the_control_lane_come_to_nobody() {
    act(async |stage| {
        let (mut process, session) = enter(stage).await;
        let pipe = pipe();
        // A control message of a later version.
        let frame = [3, 0, 0, 0, 0x10, 0x78, 0];
        for _ in 0..100 {
            process.send_control(&frame, &[pipe.as_fd(); 16]).await;
        }
        process.service().await;
        assert_eq!(session.end(), None);
        drop(process);
        session.ended().await;
    });
}

#[test]
fn descriptors_of_calls_that_are_refused_are_closed_at_once() {
    act(async |stage| {
        let (mut process, session) = enter(stage).await;
        let service = process.service().await;
        let pipe = pipe();
        let before = open();
        let mut calls = Vec::new();
        for (code, status) in [
            (0xffff_ffff, Status::UnknownMethod),
            (99, Status::UnknownMethod),
            // Slots that are no parcel of this shape.
            (TAKE, Status::MalformedParcel),
        ] {
            let mut refused = process.call(service, code, &[], 4);
            if status == Status::MalformedParcel {
                refused.body = vec![0; 64].into();
            }
            calls.push((refused, status));
        }
        for (refused, status) in calls {
            process
                .send(&call(refused), &[pipe.as_fd(); 4])
                .await
                .unwrap();
            assert_eq!(process.reply().await.unwrap().status, status);
            closes(before).await;
        }
        assert_eq!(session.end(), None);
        drop(process);
        session.ended().await;
    });
}

#[test]
fn descriptors_where_the_parcel_has_objects_are_no_objects() {
    act(async |stage| {
        let (mut process, session) = enter(stage).await;
        let service = process.service().await;
        let pipe = pipe();
        // `MIXED` wants an object first, `TAKE` a descriptor.
        let mixed = process.call(service, MIXED, &[], 1);
        process.send(&call(mixed), &[pipe.as_fd()]).await.unwrap();
        let reply = process.reply().await.unwrap();
        assert_eq!(reply.status, Status::MalformedParcel);
        let mut nothing = process.call(service, TAKE, &1_u32.to_le_bytes(), 1);
        nothing.grants = [Grant::Null].into_iter().collect();
        process
            .send(&call(nothing), &[] as &[BorrowedFd<'_>])
            .await
            .unwrap();
        let reply = process.reply().await.unwrap();
        assert_eq!(reply.status, Status::MalformedParcel);
        drop(process);
        session.ended().await;
    });
}
