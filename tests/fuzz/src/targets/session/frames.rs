//! Frames of a peer that keeps to their form and to nothing else.

use bytes::{Bytes, BytesMut};
use proto::{
    BootId, CallId, DeviceId, Handle, ObjectId, ServiceId,
    frame::{
        Ack, Bind, BulkPart, Call, Cancel, Extensions, Frame, FrameReader, Grant, Grants,
        Introduction, MAX_GRANTS, MethodHash, ObjectKind, Release, Reply, Status, Token,
    },
    message::{Control, DeathReason, GoAway, Obituary},
};

use super::{
    super::Input,
    victim::{LANES, Victim, boot},
};

/// A frame and its lane: most of the time the right one, or nothing would get far.
pub(super) fn any(victim: &Victim, input: &mut Input<'_>) -> Option<(u16, Frame)> {
    let frame = frame(victim, input);
    let lane = match &frame {
        Frame::Control(_) => 0,
        Frame::Call(Call { handle, .. })
        | Frame::Release(Release { handle, .. })
        | Frame::Bind(Bind { handle, .. }) => lane_of(*handle),
        Frame::Reply(Reply { id, .. }) => victim.lane_of_call(*id).unwrap_or(1),
        Frame::Cancel(_) | Frame::Ack(_) => 1 + input.below(LANES.into()) as u16,
    };
    let wrong = input.u8() == 0xff;
    let lane = if wrong {
        (lane + 1) % (LANES + 1)
    } else {
        lane
    };
    // Through its bytes, as it comes from a link.
    let mut reader = FrameReader::new();
    let mut bytes = BytesMut::new();
    frame.encode(&mut bytes);
    reader.buffer().unsplit(bytes);
    let frame = Frame::decode(reader.next_frame().ok()??).ok()??;
    Some((lane, frame))
}

/// As both ends count.
pub(super) fn lane_of(handle: Handle) -> u16 {
    1 + (handle.index() % u32::from(LANES)) as u16
}

fn frame(victim: &Victim, input: &mut Input<'_>) -> Frame {
    match input.u8() % 12 {
        0..=4 => Frame::Call(call(victim, input)),
        5 | 6 => Frame::Reply(reply(victim, input)),
        7 => Frame::Cancel(Cancel { id: call_id(input) }),
        8 => Frame::Release(Release {
            handle: exported(victim, input),
            count: input.number() as u32,
            homes: input.number() as u32,
        }),
        9 => Frame::Bind(Bind {
            handle: exported(victim, input),
            binding: (input.number() as u16).max(1),
            descriptor: Bytes::from_static(if input.bool() { b"Deaf" } else { b"Other" }),
            methods: (0..input.below(3))
                .map(|_| MethodHash {
                    code: input.number() as u32,
                    hash: input.number(),
                })
                .collect(),
        }),
        10 => Frame::Ack(Ack {
            calls: input.number(),
            bytes: input.number(),
            refused: input.number(),
        }),
        _ => Frame::Control(control(input)),
    }
}

fn call(victim: &Victim, input: &mut Input<'_>) -> Call {
    let bulk = bulk(input);
    let (grants, extensions) = tables(victim, input);
    Call {
        handle: exported(victim, input),
        id: input.bool().then(|| call_id(input)),
        code: (input.number() as u32).wrapping_add(1),
        binding: input.number() as u16 % 18,
        idempotent: input.bool(),
        depth: input.number() as u8,
        chain: input.number(),
        deadline_us: input.number() as u32,
        bulk,
        grants,
        extensions,
        body: body(bulk, input),
    }
}

fn reply(victim: &Victim, input: &mut Input<'_>) -> Reply {
    let id = match victim.calls.get(input.below(8)) {
        Some(id) => *id,
        None => call_id(input),
    };
    let ok = input.bool();
    let bulk = if ok { bulk(input) } else { None };
    let (grants, extensions) = if ok {
        tables(victim, input)
    } else {
        Default::default()
    };
    Reply {
        id,
        status: if ok { Status::Ok } else { Status::Busy },
        bulk,
        grants,
        extensions,
        body: if ok { body(bulk, input) } else { Bytes::new() },
    }
}

fn control(input: &mut Input<'_>) -> Control {
    let handle = imported(input);
    match input.u8() % 8 {
        0 => Control::Unknown,
        1 => Control::GoAway(GoAway {
            code: 1,
            text: String::new(),
        }),
        2..=4 => Control::Obituary(Obituary {
            handle,
            granted: input.number(),
            reason: DeathReason::Revoked,
        }),
        _ => Control::ObituaryEnd(handle),
    }
}

fn call_id(input: &mut Input<'_>) -> CallId {
    CallId {
        slot: input.number() as u32,
        generation: input.number() as u32,
    }
}

fn bulk(input: &mut Input<'_>) -> Option<BulkPart> {
    let with = input.u8().is_multiple_of(4);
    with.then(|| BulkPart {
        id: input.number(),
        body_len: input.number() as u32,
        raw_len: (input.number() as u32).max(1),
    })
}

fn body(bulk: Option<BulkPart>, input: &mut Input<'_>) -> Bytes {
    let len = match bulk {
        Some(part) if part.body_len > 0 => 0,
        _ => input.below(64),
    };
    Bytes::copy_from_slice(input.bytes(len))
}

/// Grants, and the introductions that some of them name.
fn tables(victim: &Victim, input: &mut Input<'_>) -> (Grants, Extensions) {
    let grants = grants(victim, input);
    if input.u8() < 0xe0 {
        return (grants, Extensions::default());
    }
    let introduced = Grant::Introduced {
        entry: 0,
        object: ObjectId {
            boot: boot(2),
            number: input.number(),
        },
    };
    let introduction = Introduction {
        home: DeviceId::from_bytes([7; 32]),
        process: 0,
        token: Token::from_bytes([input.u8(); 32]),
    };
    let more = std::iter::repeat_n(introduced, 1 + input.below(4));
    let grants = more.chain(grants.iter()).take(MAX_GRANTS).collect();
    (grants, Extensions::default().introducing(&[introduction]))
}

fn grants(victim: &Victim, input: &mut Input<'_>) -> Grants {
    let count = match input.u8() {
        count @ 0..=250 => count % 4,
        many => many / 4,
    };
    let grant = |_| match input.u8() % 4 {
        0 => Grant::Null,
        1 => Grant::Home {
            handle: exported(victim, input),
        },
        _ => granted(input),
    };
    (0..count).map(grant).collect()
}

fn granted(input: &mut Input<'_>) -> Grant {
    let handle = imported(input);
    let foreign = input.u8() == 0xff;
    let kind = match ServiceId::new(input.number() as u32) {
        Some(service) => ObjectKind::Named(service),
        None => ObjectKind::Anonymous,
    };
    let boot = if foreign {
        BootId {
            epoch: 9,
            random: 9,
        }
    } else {
        boot(1)
    };
    Grant::Granted {
        handle,
        kind,
        object: ObjectId {
            boot,
            number: handle.index().into(),
        },
    }
}

/// What the peer calls an object of its own.
fn imported(input: &mut Input<'_>) -> Handle {
    Handle::new(input.number() as u32 & 0xff_ffff, 7)
}

/// What the victim calls an object of its own: one it has granted, or a guess.
fn exported(victim: &Victim, input: &mut Input<'_>) -> Handle {
    match input.u8() {
        0..=99 => Handle::SAMGR,
        index @ 100..=250 if !victim.granted.is_empty() => {
            victim.granted[usize::from(index) % victim.granted.len()]
        }
        _ => Handle::from_raw(input.number()),
    }
}
