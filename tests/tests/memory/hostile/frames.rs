//! Bytes that are no frames, and frames where they do not belong. Row 113.

use bytes::Bytes;
use proto::{
    CallId, DecodeError, Handle, MAX_FRAME_LEN,
    frame::{Extensions, Frame, Grants, Release, Reply, Status},
    message::{Control, GoAway},
};
use softbus::rpc::{opening::close_code, session::PeerFault};
use testkit::world::raw::{CALLS, CONTROL, RawPeer, hello};

use super::{act, fault_of, goes_on};

/// Sends bytes on a lane, and expects that only this session ends, with this fault.
fn ends_with(lane: usize, bytes: &[u8], expected: impl Fn(&PeerFault) -> bool) {
    act(async |stage| {
        let (mut peer, session) = RawPeer::in_session(&stage.bus).await;
        peer.send_bytes(lane, bytes).await;
        let fault = fault_of(&session).await;
        assert!(expected(&fault), "{fault:?}");
        assert_eq!(peer.closed().await, close_code::PROTOCOL);
    });
}

fn framed(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u32).to_le_bytes(), bytes].concat()
}

fn undecodable(fault: &PeerFault) -> bool {
    matches!(fault, PeerFault::Decode(_))
}

#[test]
fn a_forged_length_is_refused_before_anything_is_allocated() {
    for len in [u32::MAX, MAX_FRAME_LEN as u32 + 1] {
        ends_with(CALLS, &len.to_le_bytes(), |fault| {
            matches!(fault, PeerFault::Decode(DecodeError::FrameTooLong { .. }))
        });
    }
}

#[test]
fn a_truncated_frame_is_waited_for_and_goes_with_its_link() {
    act(async |stage| {
        let (mut peer, session) = RawPeer::in_session(&stage.bus).await;
        peer.send_bytes(CALLS, &[100, 0, 0, 0, 1, 0]).await;
        assert_eq!(session.end(), None);
        peer.hang_up();
        session.ended().await;
    });
}

#[test]
fn a_frame_that_ends_before_its_header_is_refused() {
    for len in 0..40 {
        let mut bytes = vec![0; len];
        bytes.iter_mut().take(1).for_each(|kind| *kind = 1);
        ends_with(CALLS, &framed(&bytes), undecodable);
    }
}

#[test]
fn a_frame_that_claims_more_objects_or_extensions_than_it_has_is_refused() {
    // A call's header: the number of objects is its third byte, the length of extensions its last two.
    for (at, value) in [(2, 64), (2, 255), (38, 1), (39, 255)] {
        let mut call = vec![0; 40];
        call[0] = 1;
        call[at] = value;
        ends_with(CALLS, &framed(&call), undecodable);
    }
}

#[test]
fn an_unknown_frame_is_refused_unless_it_may_be_skipped() {
    ends_with(CALLS, &framed(&[0x7f, 1, 2, 3]), |fault| {
        matches!(fault, PeerFault::Decode(DecodeError::Unsupported { .. }))
    });
    act(async |stage| {
        let (mut peer, _session) = RawPeer::in_session(&stage.bus).await;
        for lane in [CONTROL, CALLS] {
            peer.send_framed(lane, &[0xff, 1, 2, 3]).await;
        }
        goes_on(&mut peer).await;
    });
}

#[test]
fn noise_ends_the_session_that_makes_it() {
    let mut noise = 0x2545_f491_4f6c_dd1d_u64;
    act(async |stage| {
        for round in 0..300 {
            let bytes: Vec<u8> = (0..64)
                .map(|_| {
                    noise ^= noise << 13;
                    noise ^= noise >> 7;
                    noise ^= noise << 17;
                    noise as u8
                })
                .collect();
            let (mut peer, session) = RawPeer::in_session(&stage.bus).await;
            peer.send_framed(round % 2, &bytes).await;
            // What happens to be skippable or incomplete goes with the link.
            peer.hang_up();
            session.ended().await;
        }
    });
}

#[test]
fn a_frame_on_the_wrong_lane_is_refused() {
    let away = GoAway {
        code: 0,
        text: String::new(),
    };
    let release = Release {
        handle: Handle::SAMGR,
        count: 1,
        homes: 0,
    };
    for (lane, frame) in [
        (CALLS, Frame::Control(Control::GoAway(away))),
        (CONTROL, Frame::Release(release)),
    ] {
        act(async |stage| {
            let (mut peer, session) = RawPeer::in_session(&stage.bus).await;
            peer.send(lane, &frame).await;
            assert_eq!(fault_of(&session).await, PeerFault::WrongLane);
        });
    }
}

#[test]
fn a_second_hello_is_refused() {
    act(async |stage| {
        let (mut peer, session) = RawPeer::in_session(&stage.bus).await;
        peer.send(CONTROL, &Frame::Control(Control::Hello(hello())))
            .await;
        assert_eq!(fault_of(&session).await, PeerFault::UnexpectedControl);
    });
}

/// Row 112: replies to no call are dropped, and one that sends them is not listened to for long.
#[test]
fn forged_replies_are_dropped_and_end_the_session() {
    act(async |stage| {
        let (mut peer, session) = RawPeer::in_session(&stage.bus).await;
        let forged = Frame::Reply(Reply {
            id: CallId {
                slot: 7,
                generation: 7,
            },
            status: Status::Ok,
            bulk: None,
            grants: Grants::default(),
            extensions: Extensions::default(),
            body: Bytes::new(),
        });
        peer.send(CALLS, &forged).await;
        peer.send(CALLS, &forged).await;
        goes_on(&mut peer).await;
        peer.send(CALLS, &forged).await;
        assert_eq!(fault_of(&session).await, PeerFault::ForgedReply);
    });
}
