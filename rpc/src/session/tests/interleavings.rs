//! Everything at once, in every order: two applications that call, pass objects, cancel, kill and let go at random over
//! a wire whose lanes and bulk streams overtake one another. What has to hold, whatever the order, is asserted here.

mod model;

use std::fmt;

use proptest::{collection::vec, prelude::*};

use super::pair::{A, B};
use crate::session::Scope;
use model::World;

/// One step. The numbers choose among what there is when the step is taken.
#[derive(Clone, Debug)]
pub(super) enum Op {
    Call {
        end: usize,
        target: u8,
        how: How,
        parcel: Parcel,
    },
    Deliver {
        to: usize,
        lane: u8,
        bytes: u16,
    },
    DeliverLanes,
    Bulk {
        to: usize,
        index: u8,
    },
    ResetBulk {
        to: usize,
        index: u8,
    },
    Finish {
        end: usize,
        index: u8,
        fails: bool,
        parcel: Parcel,
    },
    Take {
        end: usize,
        index: u8,
    },
    Abandon {
        end: usize,
        index: u8,
    },
    Drop {
        end: usize,
        index: u8,
    },
    Link {
        end: usize,
        index: u8,
    },
    Unlink {
        end: usize,
        index: u8,
    },
    Kill {
        end: usize,
        index: u8,
    },
    Pass {
        ms: u16,
    },
    GoAway {
        end: usize,
    },
    Disconnect,
}

#[derive(Clone, Debug)]
pub(super) struct How {
    pub(super) one_way: bool,
    pub(super) nested: bool,
    pub(super) wait_ms: Option<u16>,
    /// Which interface the caller speaks.
    pub(super) interface: Option<u8>,
}

#[derive(Clone, Debug)]
pub(super) struct Parcel {
    pub(super) objects: Vec<Object>,
    pub(super) raw: bool,
}

#[derive(Clone, Debug)]
pub(super) enum Object {
    Null,
    Own(u8),
    /// Something we hold, back to its owner; on another device this is one's own stub instead.
    Home(u8),
}

fn object() -> impl Strategy<Value = Object> {
    prop_oneof![
        1 => Just(Object::Null),
        6 => any::<u8>().prop_map(Object::Own),
        4 => any::<u8>().prop_map(Object::Home),
    ]
}

fn parcel() -> impl Strategy<Value = Parcel> {
    let objects = prop_oneof![2 => Just(Vec::new()), 3 => vec(object(), 1..4)];
    (objects, prop::bool::weighted(0.2)).prop_map(|(objects, raw)| Parcel { objects, raw })
}

fn how() -> impl Strategy<Value = How> {
    let wait = prop_oneof![2 => Just(None), 1 => (1..4000_u16).prop_map(Some)];
    let interface = prop_oneof![2 => Just(None), 1 => any::<u8>().prop_map(Some)];
    (any::<bool>(), prop::bool::weighted(0.2), wait, interface).prop_map(
        |(one_way, nested, wait_ms, interface)| How {
            one_way,
            nested,
            wait_ms,
            interface,
        },
    )
}

fn op() -> impl Strategy<Value = Op> {
    let end = || prop_oneof![Just(A), Just(B)];
    let pick = any::<u8>;
    prop_oneof![
        24 => (end(), pick(), how(), parcel())
            .prop_map(|(end, target, how, parcel)| Op::Call { end, target, how, parcel }),
        24 => (end(), pick(), prop_oneof![1..40_u16, 1..400_u16, Just(u16::MAX)])
            .prop_map(|(to, lane, bytes)| Op::Deliver { to, lane, bytes }),
        4 => Just(Op::DeliverLanes),
        8 => (end(), pick()).prop_map(|(to, index)| Op::Bulk { to, index }),
        2 => (end(), pick()).prop_map(|(to, index)| Op::ResetBulk { to, index }),
        16 => (end(), pick(), prop::bool::weighted(0.2), parcel())
            .prop_map(|(end, index, fails, parcel)| Op::Finish { end, index, fails, parcel }),
        8 => (end(), pick()).prop_map(|(end, index)| Op::Take { end, index }),
        3 => (end(), pick()).prop_map(|(end, index)| Op::Abandon { end, index }),
        12 => (end(), pick()).prop_map(|(end, index)| Op::Drop { end, index }),
        3 => (end(), pick()).prop_map(|(end, index)| Op::Link { end, index }),
        1 => (end(), pick()).prop_map(|(end, index)| Op::Unlink { end, index }),
        2 => (end(), pick()).prop_map(|(end, index)| Op::Kill { end, index }),
        3 => (0..2500_u16).prop_map(|ms| Op::Pass { ms }),
    ]
}

/// Steps, of which a failing test prints one a line.
struct Script(Vec<Op>);

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|op| write!(f, "\n    {op:?}"))
    }
}

/// Most runs end in peace; some begin to leave, some lose their link.
fn script() -> impl Strategy<Value = Script> {
    let end = prop_oneof![
        6 => Just(None),
        1 => prop_oneof![Just(A), Just(B)].prop_map(|end| Some(Op::GoAway { end })),
        2 => Just(Some(Op::Disconnect)),
    ];
    (vec(op(), 0..220), end, vec(op(), 0..20)).prop_map(|(mut ops, end, after)| {
        if let Some(end) = end {
            ops.push(end);
            ops.extend(after);
        }
        Script(ops)
    })
}

/// 1,500 cases of about 110 steps, or as many as the environment asks for.
pub(super) fn config() -> ProptestConfig {
    let asked = std::env::var_os("PROPTEST_CASES").is_some();
    let default = ProptestConfig::default();
    ProptestConfig {
        cases: if asked { default.cases } else { 1500 },
        failure_persistence: None,
        max_shrink_iters: 20_000,
        ..default
    }
}

fn run(scope: Scope, lanes: u16, script: &Script) {
    let mut world = World::new(scope, lanes);
    for op in &script.0 {
        world.step(op);
    }
    world.settle();
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn nothing_is_lost_between_devices(lanes in 1..6_u16, script in script()) {
        run(Scope::OtherDevice, lanes, &script);
    }

    #[test]
    fn nothing_is_lost_on_one_device(lanes in 1..6_u16, script in script()) {
        run(Scope::SameDevice, lanes, &script);
    }
}
