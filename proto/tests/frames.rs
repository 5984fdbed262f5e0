//! Frames come back as they went, however the lane cuts them; and bytes that are no frames are an error, never a panic.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail the test")]

use bytes::{Bytes, BytesMut};
use proptest::{collection::vec, prelude::*};
use softbus_proto::{
    BootId, CallId, DecodeError, DeviceId, Handle, MAX_FRAME_LEN, ObjectId, ServiceId,
    frame::{
        Ack, Bind, BulkPart, Call, Cancel, ExtensionKind, Extensions, Frame, FrameReader, Grant,
        Grants, Introduction, MAX_DESCRIPTORS, MAX_GRANTS, MAX_INLINE_BODY, MethodHash, ObjectKind,
        Release, Reply, Status, Token,
    },
    message::{Control, DeathReason, GoAway, Hello, Obituary, PeerLimits, VersionRange, Welcome},
};

fn handle() -> impl Strategy<Value = Handle> {
    any::<u64>().prop_map(Handle::from_raw)
}

fn id() -> impl Strategy<Value = CallId> {
    any::<(u32, u32)>().prop_map(|(slot, generation)| CallId { slot, generation })
}

fn boot() -> impl Strategy<Value = BootId> {
    any::<(u64, u64)>().prop_map(|(epoch, random)| BootId { epoch, random })
}

fn kind() -> impl Strategy<Value = ObjectKind> {
    prop_oneof![
        Just(ObjectKind::Anonymous),
        (1..=ServiceId::MAX).prop_map(|id| ObjectKind::Named(ServiceId::new(id).unwrap())),
    ]
}

fn grant() -> impl Strategy<Value = Grant> {
    prop_oneof![
        Just(Grant::Null),
        handle().prop_map(|handle| Grant::Home { handle }),
        (handle(), kind(), boot(), any::<u64>()).prop_map(|(handle, kind, boot, number)| {
            Grant::Granted {
                handle,
                kind,
                object: ObjectId { boot, number },
            }
        }),
    ]
}

fn grants() -> impl Strategy<Value = Grants> {
    let few = prop_oneof![4 => 0..4_usize, 1 => Just(MAX_GRANTS)];
    let objects = few.prop_flat_map(|count| vec(grant(), count));
    let descriptors = prop_oneof![4 => Just(0), 1 => 1..=MAX_DESCRIPTORS];
    (objects, descriptors).prop_map(|(objects, descriptors)| {
        let descriptors = std::iter::repeat_n(Grant::Descriptor, descriptors);
        descriptors.chain(objects).take(MAX_GRANTS).collect()
    })
}

fn extensions() -> impl Strategy<Value = Extensions> {
    let kind = prop_oneof![
        Just(ExtensionKind::Text),
        Just(ExtensionKind::Limit),
        Just(ExtensionKind::RetryAfter),
        Just(ExtensionKind::Trace),
        Just(ExtensionKind::PassRefused),
    ];
    vec((kind, vec(any::<u8>(), 0..40)), 0..3).prop_map(|all| {
        let add = |list: Extensions, (kind, value): (_, Vec<u8>)| list.with(kind, &value);
        all.into_iter().fold(Extensions::default(), add)
    })
}

fn introduction() -> impl Strategy<Value = Introduction> {
    any::<([u8; 32], u64, [u8; 32])>().prop_map(|(home, process, token)| Introduction {
        home: DeviceId::from_bytes(home),
        process,
        token: Token::from_bytes(token),
    })
}

/// Grants and extensions that fit each other.
fn tables() -> impl Strategy<Value = (Grants, Extensions)> {
    let introduced = (vec(introduction(), 0..4), boot(), any::<u64>());
    let homes = vec(any::<[u8; 32]>().prop_map(DeviceId::from_bytes), 0..4);
    let relayed = (homes, handle(), kind());
    (grants(), extensions(), introduced, relayed).prop_map(
        |(grants, extensions, (introductions, boot, number), (homes, handle, kind))| {
            let object = ObjectId { boot, number };
            let introduced = (0..introductions.len()).map(|entry| Grant::Introduced {
                entry: entry as u8,
                object,
            });
            let relayed = (0..homes.len()).map(|entry| Grant::Relayed {
                entry: entry as u8,
                handle,
                kind,
                object,
            });
            let grants: Vec<_> = grants.iter().chain(introduced).chain(relayed).collect();
            let grants = grants.into_iter().rev().take(MAX_GRANTS).collect();
            let extensions = extensions.introducing(&introductions).relaying(&homes);
            (
                grants,
                homes
                    .iter()
                    .fold(extensions, |list, home| list.on_behalf_of(*home)),
            )
        },
    )
}

/// A body, and what of the parcel is elsewhere.
fn body() -> impl Strategy<Value = (Option<BulkPart>, Bytes)> {
    let inline = prop_oneof![8 => vec(any::<u8>(), 0..64), 1 => Just(vec![7; MAX_INLINE_BODY])];
    let part = (any::<u64>(), any::<u32>(), any::<u32>())
        .prop_filter("not empty", |(_, body_len, raw_len)| {
            body_len | raw_len != 0
        })
        .prop_map(|(id, body_len, raw_len)| BulkPart {
            id,
            body_len,
            raw_len,
        });
    (prop::option::of(part), inline).prop_map(|(part, inline)| {
        let beside = part.is_some_and(|part| part.body_len > 0);
        (part, if beside { Bytes::new() } else { inline.into() })
    })
}

fn call() -> impl Strategy<Value = Call> {
    let fixed = (
        handle(),
        prop::option::of(id()),
        any::<(u32, u16, bool, u8, u64, u32)>(),
    );
    (fixed, tables(), body()).prop_map(|(fixed, (grants, extensions), (bulk, body))| {
        let (handle, id, (code, binding, idempotent, depth, chain, deadline_us)) = fixed;
        Call {
            handle,
            id,
            code,
            binding,
            idempotent,
            depth,
            chain,
            deadline_us,
            bulk,
            grants,
            extensions,
            body,
        }
    })
}

fn status() -> impl Strategy<Value = Status> {
    prop_oneof![
        any::<i32>().prop_map(Status::App),
        Just(Status::BadObject),
        Just(Status::Dead(DeathReason::ServiceRemoved)),
        Just(Status::UnknownMethod),
        Just(Status::InterfaceMismatch),
        Just(Status::Refused),
        Just(Status::Busy),
        Just(Status::Expired),
        Just(Status::Cancelled),
        Just(Status::ReplyTooLarge),
        Just(Status::MalformedParcel),
        Just(Status::Panicked),
        Just(Status::TooDeep),
        Just(Status::PassRefused),
        Just(Status::ShuttingDown),
        Just(Status::Internal),
        Just(Status::Indeterminate),
    ]
}

fn reply() -> impl Strategy<Value = Reply> {
    let parcel = (tables(), body()).prop_map(|((grants, extensions), (bulk, body))| {
        (Status::Ok, bulk, grants, extensions, body)
    });
    let error = (status(), extensions()).prop_map(|(status, extensions)| {
        (status, None, Grants::default(), extensions, Bytes::new())
    });
    (id(), prop_oneof![parcel, error]).prop_map(|(id, (status, bulk, grants, extensions, body))| {
        Reply {
            id,
            status,
            bulk,
            grants,
            extensions,
            body,
        }
    })
}

fn bind() -> impl Strategy<Value = Bind> {
    let method = any::<(u32, u64)>().prop_map(|(code, hash)| MethodHash { code, hash });
    (handle(), 1..=u16::MAX, "\\PC{0,60}", vec(method, 0..20)).prop_map(
        |(handle, binding, descriptor, methods)| Bind {
            handle,
            binding,
            descriptor: descriptor.into(),
            methods,
        },
    )
}

fn limits() -> impl Strategy<Value = PeerLimits> {
    any::<[u32; 6]>().prop_map(
        |[calls, objects, per_parcel, one_way, bytes, streams]| PeerLimits {
            calls_in_flight: calls,
            objects,
            objects_per_parcel: per_parcel,
            one_way_calls: one_way,
            one_way_bytes: bytes,
            bulk_streams: streams,
        },
    )
}

fn control() -> impl Strategy<Value = Control> {
    let reason = prop_oneof![
        Just(DeathReason::ServiceRemoved),
        Just(DeathReason::Revoked),
        Just(DeathReason::ProcessDied),
        Just(DeathReason::DeviceUnreachable),
        Just(DeathReason::AccessRevoked),
        Just(DeathReason::HostGone),
    ];
    prop_oneof![
        (any::<(u32, u32, u64, u64)>(), 1..=64_u16, limits(), boot()).prop_map(
            |((low, high, features, replaces), lanes, limits, boot)| {
                Control::Hello(Hello {
                    versions: VersionRange::new(low, high),
                    features,
                    lanes,
                    limits,
                    boot,
                    replaces,
                })
            }
        ),
        (any::<(u32, u64, u64)>(), 1..=64_u16, limits(), boot()).prop_map(
            |((version, features, session), lanes, limits, boot)| {
                Control::Welcome(Welcome {
                    version,
                    features,
                    lanes,
                    limits,
                    boot,
                    session,
                })
            }
        ),
        (any::<u32>(), "\\PC{0,60}")
            .prop_map(|(code, text)| Control::GoAway(GoAway { code, text })),
        (handle(), any::<u64>(), reason).prop_map(|(handle, granted, reason)| {
            Control::Obituary(Obituary {
                handle,
                granted,
                reason,
            })
        }),
        handle().prop_map(Control::ObituaryEnd),
        Just(Control::Unknown),
    ]
}

fn frame() -> impl Strategy<Value = Frame> {
    prop_oneof![
        4 => call().prop_map(Frame::Call),
        3 => reply().prop_map(Frame::Reply),
        1 => id().prop_map(|id| Frame::Cancel(Cancel { id })),
        1 => (handle(), any::<(u32, u32)>())
            .prop_map(|(handle, (count, homes))| Frame::Release(Release { handle, count, homes })),
        1 => bind().prop_map(Frame::Bind),
        1 => any::<(u64, u64, u64)>()
            .prop_map(|(calls, bytes, refused)| Frame::Ack(Ack { calls, bytes, refused })),
        2 => control().prop_map(Frame::Control),
    ]
}

fn encoded(frame: &Frame) -> BytesMut {
    let mut bytes = BytesMut::new();
    frame.encode(&mut bytes);
    bytes
}

/// Reads all frames of a lane whose bytes come in these pieces; the last error ends it.
fn read_all<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Result<Vec<Frame>, DecodeError> {
    let mut reader = FrameReader::new();
    let mut frames = Vec::new();
    for piece in pieces {
        reader.buffer().extend_from_slice(piece);
        while let Some(frame) = reader.next_frame()? {
            frames.extend(Frame::decode(frame)?);
        }
    }
    Ok(frames)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn frames_come_back_as_they_went(frames in vec(frame(), 1..6), piece in 1..5000_usize) {
        let mut lane = BytesMut::new();
        for frame in &frames {
            frame.encode(&mut lane);
        }
        prop_assert_eq!(read_all(lane.chunks(piece)).unwrap(), frames);
    }

    #[test]
    fn frame_that_is_cut_off_is_an_error_or_another_frame(frame in frame(), at in any::<prop::sample::Index>()) {
        let bytes = encoded(&frame).freeze().slice(4..);
        let cut = bytes.slice(..at.index(bytes.len()));
        if let Ok(Some(other)) = Frame::decode(cut) {
            prop_assert_ne!(other, frame);
        }
    }

    #[test]
    fn what_is_read_is_written_and_read_as_the_same(
        frame in frame(), flips in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = encoded(&frame).split_off(4);
        for (at, value) in flips {
            let at = at.index(bytes.len().min(200));
            bytes[at] = value;
        }
        if let Ok(Some(read)) = Frame::decode(bytes.freeze()) {
            prop_assert_eq!(read_all(std::iter::once(&encoded(&read)[..])).unwrap(), vec![read]);
        }
    }

    #[test]
    fn garbage_is_an_error(bytes in vec(any::<u8>(), 0..300), kind in 0..8_u8) {
        let _ = Frame::decode(bytes.clone().into());
        let mut framed = vec![kind];
        framed.extend_from_slice(&bytes);
        let _ = Frame::decode(framed.into());
        let _ = Control::decode(&bytes);
        let _ = read_all(bytes.chunks(7));
    }
}

#[test]
fn control_messages_are_bounded_and_unknown_fields_passed_over() {
    let control = |bytes: &[u8]| {
        let mut frame = vec![0x10];
        frame.extend_from_slice(bytes);
        Frame::decode(frame.into())
    };
    // Field 200, of which we know nothing: a number, and three bytes.
    let unknown = [0xc0, 0x0c, 7, 0xc2, 0x0c, 3, 1, 2, 3];
    let known = Control::decode(&unknown);
    assert_eq!(known, Ok(Control::Unknown));
    // Groups in groups, which protobuf has to skip one by one.
    let nested = |depth: usize| {
        let mut bytes = vec![[0xc3, 0x0c]; depth].concat();
        bytes.extend(vec![[0xc4, 0x0c]; depth].concat());
        bytes
    };
    assert_eq!(
        control(&nested(50)),
        Ok(Some(Frame::Control(Control::Unknown)))
    );
    for depth in [101, 10_000] {
        assert_eq!(control(&nested(depth)), Err(DecodeError::MalformedControl));
    }
    // One byte more than a frame may have.
    let text = "x".repeat(MAX_FRAME_LEN);
    let mut bytes = BytesMut::new();
    bytes.extend_from_slice(&(MAX_FRAME_LEN as u32 + 1).to_le_bytes());
    bytes.extend_from_slice(text.as_bytes());
    let mut reader = FrameReader::new();
    reader.buffer().extend_from_slice(&bytes);
    let len = MAX_FRAME_LEN + 1;
    let limit = MAX_FRAME_LEN;
    assert_eq!(
        reader.next_frame(),
        Err(DecodeError::FrameTooLong { len, limit })
    );
}

#[test]
fn length_above_the_limit_is_refused_before_its_bytes_come() {
    let mut reader = FrameReader::new();
    reader
        .buffer()
        .extend_from_slice(&(MAX_FRAME_LEN as u32 + 1).to_le_bytes());
    let too_long = DecodeError::FrameTooLong {
        len: MAX_FRAME_LEN + 1,
        limit: MAX_FRAME_LEN,
    };
    assert_eq!(reader.next_frame(), Err(too_long));

    let mut reader = FrameReader::new();
    reader
        .buffer()
        .extend_from_slice(&(MAX_FRAME_LEN as u32).to_le_bytes());
    assert_eq!(reader.next_frame(), Ok(None));
    assert!(
        reader.buffer().capacity() < MAX_FRAME_LEN,
        "nothing is allocated from a claim"
    );
}

#[test]
fn empty_frame_is_cut_off() {
    assert_eq!(
        Frame::decode(Bytes::new()),
        Err(DecodeError::Truncated("frame"))
    );
}

#[test]
fn sixteen_file_descriptors_and_not_one_more() {
    for (count, expected) in [
        (MAX_DESCRIPTORS, Ok(MAX_DESCRIPTORS)),
        (
            MAX_DESCRIPTORS + 1,
            Err(DecodeError::Invalid("number of file descriptors")),
        ),
    ] {
        let reply = Frame::Reply(Reply {
            id: CallId {
                slot: 1,
                generation: 1,
            },
            status: Status::Ok,
            bulk: None,
            grants: std::iter::repeat_n(Grant::Descriptor, count).collect(),
            extensions: Extensions::default(),
            body: Bytes::new(),
        });
        let read = read_all(std::iter::once(&encoded(&reply)[..]));
        let counted = read.map(|frames| match &frames[..] {
            [Frame::Reply(reply)] => reply.grants.descriptors(),
            other => panic!("{other:?}"),
        });
        assert_eq!(counted, expected);
    }
}

#[test]
fn largest_parcel_of_a_lane_fits_into_a_frame() {
    let call = Call {
        handle: Handle::SAMGR,
        id: None,
        code: 1,
        binding: 0,
        idempotent: false,
        depth: 0,
        chain: 0,
        deadline_us: 0,
        bulk: Some(BulkPart {
            id: 1,
            body_len: 0,
            raw_len: 1,
        }),
        grants: std::iter::repeat_n(Grant::Null, MAX_GRANTS).collect(),
        extensions: Extensions::default()
            .with(ExtensionKind::Text, &[b'x'; 5000])
            .introducing(&[an_introduction(); MAX_GRANTS]),
        body: vec![1; MAX_INLINE_BODY].into(),
    };
    let bytes = encoded(&Frame::Call(call.clone()));
    assert_eq!(
        read_all(std::iter::once(&bytes[..])).unwrap(),
        [Frame::Call(call)]
    );
}

fn an_introduction() -> Introduction {
    Introduction {
        home: DeviceId::from_bytes([0xb0; 32]),
        process: 0,
        token: Token::from_bytes([0x77; 32]),
    }
}

#[test]
fn a_token_is_never_printed() {
    let text = format!("{:?}", an_introduction());
    assert!(text.contains("Token(..)") && !text.contains("77"), "{text}");
}

#[test]
fn reserved_bytes_are_zero() {
    let frames = [
        (
            Frame::Cancel(Cancel {
                id: CallId {
                    slot: 1,
                    generation: 1,
                },
            }),
            vec![1, 2, 3],
        ),
        (
            Frame::Release(Release {
                handle: Handle::SAMGR,
                count: 1,
                homes: 0,
            }),
            vec![1, 2, 3],
        ),
        (Frame::Ack(Ack::default()), vec![1, 2, 3]),
        (
            Frame::Reply(Reply {
                id: CallId {
                    slot: 1,
                    generation: 1,
                },
                status: Status::Busy,
                bulk: None,
                grants: Grants::default(),
                extensions: Extensions::default().with(ExtensionKind::Text, b"full"),
                body: Bytes::new(),
            }),
            // One in the header, one in the extension.
            vec![3, 21],
        ),
    ];
    for (frame, reserved) in frames {
        for at in reserved {
            let mut bytes = encoded(&frame).split_off(4);
            bytes[at] = 1;
            let read = Frame::decode(bytes.freeze());
            assert!(
                matches!(read, Err(DecodeError::Unsupported { .. })),
                "{frame:?} at {at}: {read:?}"
            );
        }
    }
}
