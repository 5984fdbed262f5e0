//! What comes instead of an opening.

use std::{sync::Arc, time::Duration};

use proto::{
    frame::Frame,
    message::{Control, Hello, PROTOCOL_VERSION, VersionRange},
};
use softbus::{
    DeviceId,
    rpc::{
        Bus, BusConfig, Link, MemoryLink, Peer,
        opening::{self, Incoming, OpenSessionError, Remote, close_code},
        session::passing_rules::Party,
    },
};
use testkit::world::raw::{BOOT, CONTROL, PARTY, RawPeer, hello};

use super::act;

/// Sends something first, and expects that there is no session, with this code, for this reason.
fn refused(first: Frame, code: u32, reason: &str) {
    act(async |stage| {
        let (mut peer, accept) = RawPeer::dial(&stage.bus).await;
        peer.send(CONTROL, &first).await;
        let error = accept.await.unwrap().unwrap_err();
        assert!(error.to_string().starts_with(reason), "{error}");
        assert_eq!(peer.closed().await, code);
        assert_eq!(stage.bus.session_count(), 1, "the honest one");
    });
}

#[test]
fn versions_that_do_not_overlap_are_refused_visibly() {
    let newer = Hello {
        versions: VersionRange::new(2, 9),
        ..hello()
    };
    refused(
        Frame::Control(Control::Hello(newer)),
        close_code::VERSION,
        "no common version: ours 1..=1, theirs 2..=9",
    );
    let nonsense = Hello {
        versions: VersionRange::new(9, 0),
        ..hello()
    };
    refused(
        Frame::Control(Control::Hello(nonsense)),
        close_code::VERSION,
        "no common version: ours 1..=1, theirs 9..=0",
    );
}

/// Row 119: of two ranges that overlap, the highest version that is in both.
#[test]
fn the_highest_common_version_is_agreed_on() {
    act(async |stage| {
        for (lowest, highest) in [(0, PROTOCOL_VERSION), (PROTOCOL_VERSION, u32::MAX)] {
            let versions = VersionRange::new(lowest, highest);
            let (mut peer, accept) = RawPeer::dial(&stage.bus).await;
            let hello = Hello {
                versions,
                ..hello()
            };
            peer.send(CONTROL, &Frame::Control(Control::Hello(hello)))
                .await;
            match peer.receive(CONTROL).await {
                Some(Frame::Control(Control::Welcome(welcome))) => {
                    assert_eq!(welcome.version, PROTOCOL_VERSION, "{versions:?}");
                }
                other => panic!("{other:?} instead of Welcome"),
            }
            drop(peer);
            let _ = accept.await.unwrap();
        }
    });
}

/// A session of buses that speak these versions, or why there is none, as both ends say.
async fn opened(
    dials: VersionRange,
    answers: VersionRange,
) -> (Result<u32, OpenSessionError>, Result<u32, OpenSessionError>) {
    let bus = |device, versions| {
        let party = Party {
            device: DeviceId::from_bytes([device; 32]),
            process: Party::HOST,
        };
        Bus::new(BusConfig {
            versions,
            ..BusConfig::new(party, BOOT)
        })
    };
    let (a, b) = (bus(1, dials), bus(2, answers));
    let (to_b, to_a) = MemoryLink::pair();
    let remote = |bus: &Bus| Remote::device(bus.party());
    let accept = async {
        let incoming = Incoming::accept(&b, Arc::new(to_a), remote(&a)).await?;
        incoming.welcome(&b).await
    };
    let connect = opening::connect(&a, Arc::new(to_b), remote(&b), 0);
    let (at_a, at_b) = tokio::join!(connect, accept);
    let version = |peer: Result<Peer, _>| peer.map(|peer| peer.version());
    (version(at_a), version(at_b))
}

#[test]
fn a_bus_of_a_version_and_one_of_the_next_that_speaks_both_agree_on_the_first() {
    crate::run_in(async |_| {
        let (old, new) = (VersionRange::new(1, 1), VersionRange::new(1, 2));
        assert_eq!(opened(old, new).await, (Ok(1), Ok(1)));
        assert_eq!(opened(new, old).await, (Ok(1), Ok(1)));
        assert_eq!(opened(new, VersionRange::new(2, 9)).await, (Ok(2), Ok(2)));
    });
}

#[test]
fn without_a_common_version_both_ends_say_which_there_are() {
    crate::run_in(async |_| {
        let (old, new) = (VersionRange::new(1, 2), VersionRange::new(3, 4));
        for (ours, theirs) in [(old, new), (new, old)] {
            let (at_a, at_b) = opened(ours, theirs).await;
            assert_eq!(at_a, Err(OpenSessionError::Version { ours, theirs }));
            let (ours, theirs) = (theirs, ours);
            assert_eq!(at_b, Err(OpenSessionError::Version { ours, theirs }));
        }
    });
}

/// What a close says is not believed further than it can be read.
#[test]
fn a_close_for_the_version_that_names_none_is_a_close() {
    crate::run_in(async |_| {
        for text in ["", "versions", "versions 1", "versions 1..=x", "1..=2"] {
            let (ours, theirs) = MemoryLink::pair();
            theirs.close(close_code::VERSION, text);
            let party = Party {
                device: DeviceId::from_bytes([1; 32]),
                process: Party::HOST,
            };
            let bus = Bus::new(BusConfig::new(party, BOOT));
            let dialled = opening::connect(&bus, Arc::new(ours), Remote::device(PARTY), 0);
            let error = dialled.await.unwrap_err();
            assert!(matches!(error, OpenSessionError::Closed(_)), "{error}");
        }
    });
}

#[test]
fn who_begins_with_something_else_is_no_peer() {
    let unknown = Frame::Control(Control::Unknown);
    refused(unknown, close_code::PROTOCOL, "not an opening");
}

#[test]
fn who_says_nothing_is_not_waited_for() {
    act(async |stage| {
        let begun = tokio::time::Instant::now();
        let (peer, accept) = RawPeer::dial(&stage.bus).await;
        let error = accept.await.unwrap().unwrap_err();
        assert_eq!(error, OpenSessionError::TimedOut);
        assert_eq!(peer.closed().await, close_code::TIMEOUT);
        assert!(begun.elapsed() < Duration::from_secs(6));
    });
}

#[test]
fn who_goes_away_in_between_leaves_nothing() {
    act(async |stage| {
        for _ in 0..100 {
            let (mut peer, accept) = RawPeer::dial(&stage.bus).await;
            peer.send_bytes(CONTROL, &[20, 0, 0]).await;
            peer.hang_up();
            assert!(accept.await.unwrap().is_err());
        }
        assert_eq!(stage.bus.session_count(), 1, "the honest one");
    });
}
