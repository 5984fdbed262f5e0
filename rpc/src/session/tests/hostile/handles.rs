//! Handles that were not granted, are not any more, or are given back too often.

use super::*;

#[test]
fn handle_that_was_never_issued_ends_the_session() {
    for frame in about(Handle::new(8, 5)) {
        let mut pair = pair();
        assert_eq!(
            pair.forge(A, ROOT_LANE, &frame),
            Err(PeerFault::ForgedHandle),
            "{frame:?}"
        );
        assert_eq!(pair.count(A, is_request), 0);
    }
}

#[test]
fn third_wrong_tag_ends_the_session() {
    let mut pair = pair();
    pair.grant(A, &stub());
    let [call, release, bind] = about(Handle::new(1, 0xdead));
    let lane = pair.lane(A, Handle::new(1, 0));
    pair.forge(A, lane, &call).unwrap();
    assert_eq!(statuses(&mut pair, A), [Status::BadObject]);
    pair.forge(A, lane, &release).unwrap();
    assert_eq!(pair.usage(A).exports, 2, "nothing was released");
    assert_eq!(pair.forge(A, lane, &bind), Err(PeerFault::ForgedHandle));
}

#[test]
fn tag_of_the_root_cannot_be_guessed_around() {
    let mut pair = pair();
    let [call, ..] = about(Handle::new(0, 1));
    pair.forge(A, ROOT_LANE, &call).unwrap();
    assert_eq!(statuses(&mut pair, A), [Status::BadObject]);
}

#[test]
fn guessing_by_sending_home_is_guessing() {
    let mut pair = Pair::new(Scope::SameDevice);
    pair.grant(A, &stub());
    let home = |tag| Grant::Home {
        handle: Handle::new(1, tag),
    };
    let guess = |slot, tag| {
        Frame::Call(Call {
            grants: grants(&[home(tag)]),
            ..call(slot)
        })
    };
    for slot in 0..2 {
        pair.forge(A, ROOT_LANE, &guess(slot, slot.into())).unwrap();
        assert!(matches!(
            pair.request(A).unwrap().parcel.objects[..],
            [Delivered::Null]
        ));
    }
    assert_eq!(
        pair.forge(A, ROOT_LANE, &guess(2, 2)),
        Err(PeerFault::ForgedHandle)
    );

    let mut pair = Pair::new(Scope::SameDevice);
    let never = Grant::Home {
        handle: Handle::new(9, 1),
    };
    let frame = Frame::Call(Call {
        grants: grants(&[never]),
        ..call(0)
    });
    assert_eq!(
        pair.forge(A, ROOT_LANE, &frame),
        Err(PeerFault::ForgedHandle)
    );
}

#[test]
fn what_came_before_a_guess_in_one_header_is_held_by_nobody() {
    let mut pair = Pair::new(Scope::SameDevice);
    let guess = Grant::Home {
        handle: Handle::new(9, 1),
    };
    let frame = Frame::Call(Call {
        grants: grants(&[granted(boot(B), 5, 1), guess]),
        ..call(0)
    });
    let forged = pair.forge(A, ROOT_LANE, &frame);
    assert_eq!(forged, Err(PeerFault::ForgedHandle));
    assert_eq!(pair.usage(A).imports, 1);
}

#[test]
fn freed_handle_is_ignored() {
    let mut pair = pair();
    let proxy = pair.grant(A, &stub());
    let handle = pair.handle(B, proxy);
    let lane = pair.lane(B, handle);
    pair.drop_hold(B, proxy);
    pair.drive();
    for _ in 0..5 {
        for frame in about(handle) {
            pair.forge(A, lane, &frame).unwrap();
        }
        assert_eq!(statuses(&mut pair, A), [Status::BadObject]);
    }
    // Also when its place is taken again.
    pair.grant(A, &stub());
    for frame in about(handle).into_iter().skip(1).cycle().take(2) {
        pair.forge(A, lane, &frame).unwrap();
    }
    assert_eq!(pair.usage(A).exports, 2);
}

#[test]
fn more_released_than_granted_ends_the_session() {
    let mut pair = pair();
    let proxy = pair.grant(A, &stub());
    let handle = pair.handle(B, proxy);
    let lane = pair.lane(B, handle);
    let release = |count| {
        Frame::Release(Release {
            handle,
            count,
            homes: 0,
        })
    };
    assert_eq!(
        pair.forge(A, lane, &release(2)),
        Err(PeerFault::OverRelease)
    );
}

#[test]
fn more_released_than_granted_behind_a_held_call_ends_the_session() {
    let mut pair = pair();
    let proxy = pair.grant(A, &stub());
    let handle = pair.handle(B, proxy);
    let lane = pair.lane(B, handle);
    let part = BulkPart {
        id: 1,
        body_len: 0,
        raw_len: 4,
    };
    let held = Frame::Call(Call {
        bulk: Some(part),
        ..forged_call(handle, 0)
    });
    let release = Frame::Release(Release {
        handle,
        count: 1,
        homes: 0,
    });
    pair.forge(A, lane, &held).unwrap();
    pair.forge(A, lane, &release).unwrap();
    assert_eq!(pair.forge(A, lane, &release), Err(PeerFault::OverRelease));
}

#[test]
fn root_is_never_released() {
    let mut pair = pair();
    let release = |count| {
        Frame::Release(Release {
            handle: Handle::SAMGR,
            count,
            homes: 0,
        })
    };
    for _ in 0..3 {
        pair.forge(A, ROOT_LANE, &release(1)).unwrap();
        pair.forge(A, ROOT_LANE, &release(0)).unwrap();
    }
    pair.two_way(B, pair.ends[B].root);
    pair.drive();
    assert!(pair.request(A).is_some());
    assert_eq!(
        pair.forge(A, ROOT_LANE, &release(2)),
        Err(PeerFault::OverRelease)
    );
}
