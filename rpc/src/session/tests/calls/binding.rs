//! What a caller says it speaks.

use super::*;

fn methods(methods: &[(u32, u64)]) -> Vec<MethodHash> {
    methods
        .iter()
        .map(|&(code, hash)| MethodHash { code, hash })
        .collect()
}

#[test]
fn binding_is_checked_for_each_method() {
    let mut pair = pair();
    let ours = typed(methods(&[(1, 10), (2, 20)]));
    let target = pair.grant(B, &ours);
    let same = interface("test.Stub", methods(&[(1, 10), (2, 21), (3, 30)]));
    let other = interface("test.Other", methods(&[(1, 10)]));
    let cases = [
        (same, 1, Status::Ok),
        (same, 2, Status::InterfaceMismatch),
        (same, 3, Status::UnknownMethod),
        (other, 1, Status::InterfaceMismatch),
    ];
    for (interface, code, status) in cases {
        let call = TestCall {
            interface: Some(interface),
            code,
            ..TestCall::new(target)
        };
        let id = pair.call(A, &call).unwrap().unwrap();
        pair.drive();
        if status == Status::Ok {
            let request = pair.request(B).unwrap();
            pair.answer(B, request.serving, &[]);
            pair.drive();
        }
        assert_eq!(
            pair.status(A, id),
            status,
            "{} {code}",
            interface.descriptor
        );
    }
    // A caller that names no interface is not checked.
    let id = pair
        .call(
            A,
            &TestCall {
                code: 3,
                ..TestCall::new(target)
            },
        )
        .unwrap();
    pair.drive();
    assert_eq!(pair.request(B).unwrap().code, 3);
    assert!(pair.outcome(A, id.unwrap()).is_none());
}

#[test]
fn stub_without_a_list_of_methods_is_not_checked() {
    let mut pair = pair();
    let target = pair.grant(B, &stub());
    let other = interface("test.Other", methods(&[(1, 10)]));
    pair.call(
        A,
        &TestCall {
            interface: Some(other),
            ..TestCall::new(target)
        },
    )
    .unwrap();
    pair.drive();
    assert!(pair.request(B).is_some());
}

#[test]
fn interface_is_bound_once() {
    let mut pair = pair();
    let target = pair.grant(B, &stub());
    let same = interface("test.Stub", Vec::new());
    let call = TestCall {
        interface: Some(same),
        ..TestCall::new(target)
    };
    pair.call(A, &call).unwrap();
    pair.call(A, &call).unwrap();
    let frames = pair.intercept(A);
    assert_eq!(
        frames
            .iter()
            .filter(|(_, frame)| matches!(frame, Frame::Bind(_)))
            .count(),
        1
    );
}

#[test]
fn more_interfaces_than_numbers_take_turns() {
    let mut pair = pair();
    let ours = typed(methods(&[(1, 10)]));
    let target = pair.grant(B, &ours);
    let right = interface("test.Stub", methods(&[(1, 10)]));
    let wrong: Vec<_> = (0..20)
        .map(|_| interface("test.Other", methods(&[(1, 10)])))
        .collect();
    for _ in 0..2 {
        for wrong in &wrong {
            let call = TestCall {
                interface: Some(wrong),
                ..TestCall::new(target)
            };
            let id = pair.call(A, &call).unwrap().unwrap();
            pair.drive();
            assert_eq!(pair.status(A, id), Status::InterfaceMismatch);
        }
        pair.call(
            A,
            &TestCall {
                interface: Some(right),
                ..TestCall::new(target)
            },
        )
        .unwrap();
        pair.drive();
        let request = pair.request(B).unwrap();
        pair.answer(B, request.serving, &[]);
    }
}

#[test]
fn interface_too_large_to_bind_is_not_checked() {
    let mut pair = pair();
    let target = pair.grant(B, &stub());
    let huge = methods(&vec![(1, 10); 2000]);
    let huge = interface("test.Stub", huge);
    pair.call(
        A,
        &TestCall {
            interface: Some(huge),
            ..TestCall::new(target)
        },
    )
    .unwrap();
    pair.drive();
    assert!(pair.request(B).is_some());
}
