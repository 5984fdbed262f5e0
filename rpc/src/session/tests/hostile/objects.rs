//! Objects that may not come.

use super::*;

#[test]
fn object_sent_home_from_another_device_is_null() {
    let mut pair = pair();
    let proxy = pair.grant(A, &stub());
    let home = Grant::Home {
        handle: pair.handle(B, proxy),
    };
    let frame = Frame::Call(Call {
        grants: grants(&[home, Grant::Null]),
        ..call(0)
    });
    pair.forge(A, ROOT_LANE, &frame).unwrap();
    let objects = pair.request(A).unwrap().parcel.objects;
    assert!(matches!(objects[..], [Delivered::Null, Delivered::Null]));
}

#[test]
fn object_of_a_third_device_is_null_and_given_back() {
    let mut pair = pair();
    let foreign = BootId {
        epoch: 9,
        random: 9,
    };
    let frame = Frame::Call(Call {
        grants: grants(&[granted(foreign, 3, 3)]),
        ..call(0)
    });
    pair.forge(A, ROOT_LANE, &frame).unwrap();
    assert!(matches!(
        pair.request(A).unwrap().parcel.objects[..],
        [Delivered::Null]
    ));
    let frames = pair.intercept(A);
    let [(_, Frame::Release(release))] = frames[..] else {
        panic!("{frames:?}")
    };
    assert_eq!((release.handle, release.count), (Handle::new(3, 3), 1));
    assert_eq!(pair.usage(A).imports, 1);
}

#[test]
fn grant_of_the_place_of_the_root_is_null() {
    let mut pair = pair();
    let root = grants(&[granted(boot(B), 0, 0), granted(boot(B), 0, 5)]);
    pair.forge(
        A,
        ROOT_LANE,
        &Frame::Call(Call {
            grants: root,
            ..call(0)
        }),
    )
    .unwrap();
    let objects = pair.request(A).unwrap().parcel.objects;
    assert!(matches!(objects[..], [Delivered::Null, Delivered::Null]));
    assert_eq!(pair.usage(A).imports, 1);
    pair.two_way(A, pair.ends[A].root);
}

#[test]
fn more_objects_than_agreed_are_null_and_given_back() {
    let mut pair = pair();
    let limit = small_limits().objects as usize;
    let (mut index, mut kept, mut given_back) = (0, Vec::new(), 0);
    for slot in 0..8 {
        let some: Vec<_> = (0..64)
            .map(|_| {
                index += 1;
                granted(boot(B), index, 1)
            })
            .collect();
        let frame = Frame::Call(Call {
            grants: grants(&some),
            ..call(slot)
        });
        pair.forge(A, ROOT_LANE, &frame).unwrap();
        let objects = pair.request(A).unwrap().parcel.objects;
        let null = objects
            .iter()
            .filter(|object| matches!(object, Delivered::Null));
        let refused = null.count();
        kept.extend(objects);
        let frames = pair.intercept(A).into_iter();
        let released = frames.filter(|(_, frame)| matches!(frame, Frame::Release(_)));
        assert_eq!(released.count(), refused, "each null is given back");
        given_back += refused;
    }
    assert_eq!(pair.usage(A).imports, limit + 1);
    assert_eq!(given_back, 8 * 64 - limit);
    drop(kept);
    pair.disconnect();
    assert_eq!(pair.usage(A).exports, 0);
}
