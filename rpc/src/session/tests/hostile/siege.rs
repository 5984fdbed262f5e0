//! A peer that says anything at all, with small numbers so that it hits something.

use std::time::Duration;

use bytes::Bytes;
use proptest::{collection::vec, prelude::*};
use proto::{
    CallId, Handle, ObjectId,
    frame::{Ack, Bind, BulkPart, Call, Cancel, Frame, Grant, ObjectKind, Release, Reply, Status},
    message::{Control, DeathReason, GoAway, Obituary, PeerLimits},
};

use super::{
    super::pair::{A, B, Pair, TestCall, boot, grants, key, named, small_limits, stub},
    ROOT_LANE, reply,
};
use crate::session::{Delivered, LostBulk, Outgoing, Scope};

fn number() -> impl Strategy<Value = u32> {
    prop_oneof![8 => 0..6_u32, 1 => Just(u32::MAX), 1 => any::<u32>()]
}

/// The tags the harness gives out begin at 1000 and are handed out from the last.
fn handle() -> impl Strategy<Value = Handle> {
    let tag = prop_oneof![6 => 1000..1140_u64, 2 => Just(0), 1 => any::<u64>()];
    prop_oneof![
        2 => Just(Handle::SAMGR),
        3 => (0..6_u32, tag).prop_map(|(index, tag)| Handle::new(index, tag)),
        1 => any::<u64>().prop_map(Handle::from_raw),
    ]
}

fn grant() -> impl Strategy<Value = Grant> {
    prop_oneof![
        Just(Grant::Null),
        handle().prop_map(|handle| Grant::Home { handle }),
        (handle(), any::<bool>()).prop_map(|(handle, ours)| Grant::Granted {
            handle,
            kind: ObjectKind::Anonymous,
            object: ObjectId {
                boot: boot(if ours { B } else { A }),
                number: 5
            },
        }),
    ]
}

fn bulk() -> impl Strategy<Value = Option<BulkPart>> {
    let part = (0..6_u64, 0..2_u32, 1..4_u32);
    prop::option::of(part.prop_map(|(id, body_len, raw_len)| BulkPart {
        id,
        body_len,
        raw_len,
    }))
}

prop_compose! {
    fn any_call()(
        handle in handle(), slot in prop::option::of(number()), generation in 1..3_u32,
        code in number(), binding in 0..3_u16, depth in 0..20_u8, deadline_us in number(),
        part in bulk(), some in vec(grant(), 0..4), body in vec(any::<u8>(), 0..20),
    ) -> Frame {
        let body = if part.is_some_and(|part| part.body_len > 0) { Vec::new() } else { body };
        Frame::Call(Call {
            handle, id: slot.map(|slot| CallId { slot, generation }), code, binding,
            idempotent: false, depth, chain: 1, deadline_us, bulk: part, grants: grants(&some),
            extensions: Default::default(), body: body.into(),
        })
    }
}

prop_compose! {
    fn any_reply()(
        slot in number(), generation in 0..3_u32, ok in any::<bool>(), part in bulk(),
        some in vec(grant(), 0..4),
    ) -> Frame {
        let id = CallId { slot, generation };
        Frame::Reply(if ok {
            Reply { bulk: part, grants: grants(&some), ..reply(id) }
        } else {
            Reply { status: Status::Busy, ..reply(id) }
        })
    }
}

fn any_control() -> impl Strategy<Value = Control> {
    prop_oneof![
        Just(Control::Unknown),
        Just(Control::GoAway(GoAway {
            code: 1,
            text: String::new()
        })),
        handle().prop_map(Control::ObituaryEnd),
        handle().prop_map(|handle| {
            Control::Obituary(Obituary {
                handle,
                granted: 1,
                reason: DeathReason::Revoked,
            })
        }),
    ]
}

fn any_frame() -> impl Strategy<Value = Frame> {
    prop_oneof![
        6 => any_call(),
        3 => any_reply(),
        1 => (number(), 0..3_u32).prop_map(|(slot, generation)| {
            Frame::Cancel(Cancel { id: CallId { slot, generation } })
        }),
        3 => (handle(), 0..3_u32, 0..2_u32)
            .prop_map(|(handle, count, homes)| Frame::Release(Release { handle, count, homes })),
        2 => (handle(), 1..20_u16).prop_map(|(handle, binding)| {
            Frame::Bind(Bind { handle, binding, descriptor: Bytes::new(), methods: Vec::new() })
        }),
        1 => (0..3_u64, 0..3_u64, 0..2_u64)
            .prop_map(|(calls, bytes, refused)| Frame::Ack(Ack { calls, bytes, refused })),
        2 => any_control().prop_map(Frame::Control),
    ]
}

/// What the victim does meanwhile.
#[derive(Clone, Copy, Debug)]
enum Victim {
    Calls(bool),
    Answers,
    Drops,
    Kills,
    Waits(u64),
    Writes,
}

#[derive(Clone, Debug)]
enum Step {
    Frame(Frame, bool),
    Body(u64, usize),
    Reset(u64),
    Victim(Victim),
}

fn step() -> impl Strategy<Value = Step> {
    let victim = prop_oneof![
        any::<bool>().prop_map(Victim::Calls),
        Just(Victim::Answers),
        Just(Victim::Drops),
        Just(Victim::Kills),
        (0..4000_u64).prop_map(Victim::Waits),
        Just(Victim::Writes),
    ];
    prop_oneof![
        10 => (any_frame(), prop::bool::weighted(0.97)).prop_map(|(frame, right)| Step::Frame(frame, right)),
        2 => (0..6_u64, 0..5_usize).prop_map(|(id, len)| Step::Body(id, len)),
        1 => (0..6_u64).prop_map(Step::Reset),
        5 => victim.prop_map(Step::Victim),
    ]
}

/// The lane on which a frame has to come.
fn lane_of(pair: &Pair, frame: &Frame) -> u16 {
    match frame {
        Frame::Call(call) => pair.lane(A, call.handle),
        Frame::Release(release) => pair.lane(A, release.handle),
        Frame::Bind(bind) => pair.lane(A, bind.handle),
        Frame::Control(_) => 0,
        Frame::Reply(_) | Frame::Cancel(_) | Frame::Ack(_) => ROOT_LANE,
    }
}

fn besiege(scope: Scope, steps: Vec<Step>) {
    let limits = PeerLimits {
        objects: 5,
        ..small_limits()
    };
    let mut pair = Pair::with(scope, 2, limits);
    let objects = [Outgoing::Own(stub()), Outgoing::Own(named(3, 1))];
    let (mut held, mut serving) = (Vec::new(), Vec::new());
    for step in steps {
        match step {
            Step::Frame(frame, right) => {
                let lane = if right { lane_of(&pair, &frame) } else { 1 };
                let _ = pair.forge(A, lane, &frame);
            }
            Step::Body(id, len) => {
                let body = Bytes::from(vec![0; len]);
                let taken = pair.run(A, |session, now| session.handle_bulk(now, id, body));
                if taken.is_err() {
                    pair.run(A, |session, _| {
                        session.close(DeathReason::DeviceUnreachable)
                    });
                }
            }
            Step::Reset(id) => pair.run(A, |session, _| {
                session.handle_bulk_reset(id, LostBulk::Late)
            }),
            Step::Victim(Victim::Calls(one_way)) => {
                let target = held.last().copied().unwrap_or(pair.ends[A].root);
                let _ = pair.call(
                    A,
                    &TestCall {
                        one_way,
                        objects: &objects,
                        ..TestCall::new(target)
                    },
                );
            }
            Step::Victim(Victim::Answers) => {
                if let Some(id) = serving.pop() {
                    pair.answer(A, id, &objects);
                }
            }
            Step::Victim(Victim::Drops) => {
                if let Some(key) = held.pop() {
                    pair.drop_hold(A, key);
                }
            }
            Step::Victim(Victim::Kills) => {
                pair.run(A, |session, _| session.kill(DeathReason::Revoked, |_| true));
            }
            Step::Victim(Victim::Waits(ms)) => pair.pass(Duration::from_millis(ms)),
            Step::Victim(Victim::Writes) => drop(pair.intercept(A)),
        }
        while let Some(request) = pair.request(A) {
            serving.push(request.serving);
            let import = |object: &Delivered| matches!(object, Delivered::Import { .. });
            held.extend(
                request
                    .parcel
                    .objects
                    .iter()
                    .filter(|object| import(object))
                    .map(key),
            );
        }
        assert!(pair.usage(A).imports <= 6, "no more objects than agreed");
    }
    // Whatever it was, the end of the session gives everything back.
    pair.run(A, |session, _| {
        session.close(DeathReason::DeviceUnreachable)
    });
    for id in serving {
        pair.answer(A, id, &objects);
    }
    let usage = pair.usage(A);
    assert_eq!((usage.exports, usage.serving, usage.bulk), (0, 0, 0));
}

proptest! {
    #![proptest_config(super::super::interleavings::config())]

    #[test]
    fn no_frame_makes_a_session_panic(
        same in any::<bool>(), steps in vec(step(), 1..60),
    ) {
        besiege(if same { Scope::SameDevice } else { Scope::OtherDevice }, steps);
    }
}
