//! What comes instead of an opening.

use std::time::Duration;

use proto::{
    frame::Frame,
    message::{Control, Hello, PROTOCOL_VERSION},
};
use softbus::rpc::opening::{OpenSessionError, close_code};
use testkit::world::raw::{CONTROL, RawPeer, hello};

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
        versions: (2, 9),
        ..hello()
    };
    refused(
        Frame::Control(Control::Hello(newer)),
        close_code::VERSION,
        "no common version: ours (1, 1), theirs (2, 9)",
    );
    let nonsense = Hello {
        versions: (9, 0),
        ..hello()
    };
    refused(
        Frame::Control(Control::Hello(nonsense)),
        close_code::VERSION,
        "no common version: ours (1, 1), theirs (9, 0)",
    );
}

/// Row 119: of two ranges that overlap, the highest version that is in both.
#[test]
fn the_highest_common_version_is_agreed_on() {
    act(async |stage| {
        for versions in [(0, PROTOCOL_VERSION), (PROTOCOL_VERSION, u32::MAX)] {
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
