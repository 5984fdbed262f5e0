//! Replays the test vectors of `docs/protocol.md`, so that neither page nor code can drift.

#![expect(
    clippy::unwrap_used,
    reason = "a vector that cannot be read fails the test"
)]

use std::fmt::Write;

use bytes::BytesMut;
use softbus_proto::{
    BootId, CallId, DecodeError, Handle, ObjectId,
    frame::{BulkPart, ExtensionKind, Extensions, Frame, FrameReader, Grant, Grants, ObjectKind},
    message::{Control, PeerLimits},
};

const PAGE: &str = include_str!("../../docs/protocol.md");

struct Vector {
    title: String,
    bytes: Vec<u8>,
    meaning: String,
}

fn vectors() -> Vec<Vector> {
    let blocks = PAGE.split("```vector\n").skip(1);
    blocks
        .map(|block| vector(block.split("```").next().unwrap()))
        .collect()
}

fn vector(block: &str) -> Vector {
    let mut vector = Vector {
        title: String::new(),
        bytes: Vec::new(),
        meaning: String::new(),
    };
    for line in block.lines() {
        if let Some(title) = line.strip_prefix("# ") {
            vector.title = title.to_owned();
        } else if line.contains(':') {
            writeln!(vector.meaning, "{line}").unwrap();
        } else {
            let digits: String = line.split_whitespace().collect();
            let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
            vector.bytes.extend((0..digits.len()).step_by(2).map(byte));
        }
    }
    vector
}

/// The frame in these bytes; `None` when it is skipped.
fn read(bytes: &[u8]) -> Result<Option<Frame>, DecodeError> {
    let mut reader = FrameReader::new();
    reader.buffer().extend_from_slice(bytes);
    let frame = reader.next_frame()?.expect("a whole frame");
    assert!(reader.is_empty(), "nothing follows the frame");
    Frame::decode(frame)
}

#[test]
fn every_vector_of_the_page_is_read_and_written_as_it_says() {
    let vectors = vectors();
    assert!(
        vectors.len() > 30,
        "the page has vectors: {}",
        vectors.len()
    );
    for vector in vectors {
        let read = read(&vector.bytes);
        let said = match &read {
            Ok(Some(frame)) => describe(frame),
            Ok(None) => "frame: skipped\n".to_owned(),
            Err(error) => format!("error: {error}\n"),
        };
        assert_eq!(said, vector.meaning, "{}", vector.title);
        if !vector.title.starts_with("decode only") {
            let mut written = BytesMut::new();
            read.unwrap().unwrap().encode(&mut written);
            assert_eq!(written[..], vector.bytes[..], "{}", vector.title);
        }
    }
}

#[test]
fn every_kind_of_frame_and_message_has_a_vector() {
    let meanings: String = vectors().into_iter().map(|vector| vector.meaning).collect();
    let frames = [
        "call", "reply", "cancel", "release", "bind", "ack", "control", "skipped",
    ];
    let messages = ["hello", "welcome", "go away", "obituary", "obituary end"];
    for frame in frames {
        assert!(meanings.contains(&format!("frame: {frame}\n")), "{frame}");
    }
    for message in messages {
        assert!(
            meanings.contains(&format!("message: {message}\n")),
            "{message}"
        );
    }
}

#[test]
fn lane_of_an_object_follows_from_the_index_of_its_handle() {
    let handle = Handle::from_raw(0x0000_0201_0203_0405);
    assert_eq!((handle.index(), handle.tag()), (2, 0x01_0203_0405));
    assert_eq!(Handle::new(2, 0x01_0203_0405), handle);
}

/// What a frame says, as the page puts it.
fn describe(frame: &Frame) -> String {
    let mut out = String::new();
    match frame {
        Frame::Call(call) => {
            line(&mut out, "frame", "call");
            line(&mut out, "handle", handle(call.handle));
            line(
                &mut out,
                "id",
                call.id.map_or_else(|| "one-way".to_owned(), id),
            );
            line(&mut out, "code", call.code);
            line(&mut out, "binding", call.binding);
            line(
                &mut out,
                "idempotent",
                if call.idempotent { "yes" } else { "no" },
            );
            line(&mut out, "depth", call.depth);
            line(&mut out, "chain", format!("{:#018x}", call.chain));
            line(
                &mut out,
                "deadline",
                match call.deadline_us {
                    0 => "none".to_owned(),
                    us => format!("{us} us"),
                },
            );
            parcel(
                &mut out,
                call.bulk,
                &call.grants,
                &call.extensions,
                &call.body,
            );
        }
        Frame::Reply(reply) => {
            line(&mut out, "frame", "reply");
            line(&mut out, "id", id(reply.id));
            line(&mut out, "status", format!("{:?}", reply.status));
            parcel(
                &mut out,
                reply.bulk,
                &reply.grants,
                &reply.extensions,
                &reply.body,
            );
        }
        Frame::Cancel(cancel) => {
            line(&mut out, "frame", "cancel");
            line(&mut out, "id", id(cancel.id));
        }
        Frame::Release(release) => {
            line(&mut out, "frame", "release");
            line(&mut out, "handle", handle(release.handle));
            line(&mut out, "count", release.count);
            line(&mut out, "homes", release.homes);
        }
        Frame::Bind(bind) => {
            line(&mut out, "frame", "bind");
            line(&mut out, "handle", handle(bind.handle));
            line(&mut out, "binding", bind.binding);
            line(
                &mut out,
                "descriptor",
                std::str::from_utf8(&bind.descriptor).unwrap(),
            );
            for method in &bind.methods {
                line(
                    &mut out,
                    "method",
                    format!("{} {:#018x}", method.code, method.hash),
                );
            }
        }
        Frame::Ack(ack) => {
            line(&mut out, "frame", "ack");
            line(&mut out, "calls", ack.calls);
            line(&mut out, "bytes", ack.bytes);
            line(&mut out, "refused", ack.refused);
        }
        Frame::Control(control) => {
            line(&mut out, "frame", "control");
            describe_control(&mut out, control);
        }
    }
    out
}

fn describe_control(out: &mut String, control: &Control) {
    match control {
        Control::Hello(hello) => {
            line(out, "message", "hello");
            line(out, "versions", hello.versions.to_string());
            line(out, "features", format!("{:#x}", hello.features));
            line(out, "lanes", hello.lanes);
            line(out, "limits", limits(&hello.limits));
            line(out, "boot", boot(hello.boot));
            line(out, "replaces", format!("{:#018x}", hello.replaces));
        }
        Control::Welcome(welcome) => {
            line(out, "message", "welcome");
            line(out, "version", welcome.version);
            line(out, "features", format!("{:#x}", welcome.features));
            line(out, "lanes", welcome.lanes);
            line(out, "limits", limits(&welcome.limits));
            line(out, "boot", boot(welcome.boot));
            line(out, "session", format!("{:#018x}", welcome.session));
        }
        Control::GoAway(away) => {
            line(out, "message", "go away");
            line(out, "code", format!("{:#x}", away.code));
            line(out, "text", &away.text);
        }
        Control::Obituary(obituary) => {
            line(out, "message", "obituary");
            line(out, "handle", handle(obituary.handle));
            line(out, "granted", obituary.granted);
            line(out, "reason", format!("{:?}", obituary.reason));
        }
        Control::ObituaryEnd(dead) => {
            line(out, "message", "obituary end");
            line(out, "handle", handle(*dead));
        }
        Control::Unknown => line(out, "message", "unknown"),
    }
}

fn parcel(
    out: &mut String,
    bulk: Option<BulkPart>,
    grants: &Grants,
    extensions: &Extensions,
    body: &[u8],
) {
    line(
        out,
        "bulk",
        match bulk {
            None => "none".to_owned(),
            Some(part) => {
                format!(
                    "stream {}, body {}, raw {}",
                    part.id, part.body_len, part.raw_len
                )
            }
        },
    );
    for one in grants.iter() {
        line(out, "grant", grant(one));
    }
    let known = [
        ExtensionKind::Text,
        ExtensionKind::Limit,
        ExtensionKind::RetryAfter,
        ExtensionKind::Trace,
        ExtensionKind::PassRefused,
        ExtensionKind::ReExportable,
    ];
    for kind in known {
        if let Some(value) = extensions.get(kind) {
            line(out, "extension", format!("{kind:?} {}", hex(value)));
        }
    }
    for introduction in extensions.introductions() {
        let (home, token) = (introduction.home.as_bytes(), introduction.token.as_bytes());
        let process = introduction.process;
        line(
            out,
            "introduction",
            format!("home {} process {process} token {}", hex(home), hex(token)),
        );
    }
    for home in extensions.homes() {
        line(out, "relayed from", hex(home.as_bytes()));
    }
    if let Some(device) = extensions.behalf() {
        line(out, "on behalf of", hex(device.as_bytes()));
    }
    line(
        out,
        "body",
        if body.is_empty() {
            "empty".to_owned()
        } else {
            hex(body)
        },
    );
}

fn grant(grant: Grant) -> String {
    match grant {
        Grant::Null => "null".to_owned(),
        Grant::Descriptor => "file descriptor".to_owned(),
        Grant::Home { handle: home } => format!("home {}", handle(home)),
        Grant::Introduced { entry, object } => format!(
            "introduced by entry {entry}, object {} of boot {}",
            object.number,
            boot(object.boot)
        ),
        Grant::Granted {
            handle: granted,
            kind,
            object,
        } => named(kind, granted, object),
        Grant::Relayed {
            entry,
            handle: granted,
            kind,
            object,
        } => format!("{} of home {entry}", named(kind, granted, object)),
    }
}

fn named(kind: ObjectKind, granted: Handle, object: ObjectId) -> String {
    let kind = match kind {
        ObjectKind::Anonymous => "anonymous".to_owned(),
        ObjectKind::Named(service) => format!("service {service}"),
    };
    let (granted, boot) = (handle(granted), boot(object.boot));
    format!("{kind} {granted}, object {} of boot {boot}", object.number)
}

fn line(out: &mut String, name: &str, value: impl std::fmt::Display) {
    writeln!(out, "{name}: {value}").unwrap();
}

fn handle(handle: Handle) -> String {
    format!("{}/{:#012x}", handle.index(), handle.tag())
}

fn id(id: CallId) -> String {
    format!("slot {}, generation {}", id.slot, id.generation)
}

fn boot(boot: BootId) -> String {
    format!("{}/{:#018x}", boot.epoch, boot.random)
}

fn limits(limits: &PeerLimits) -> String {
    format!(
        "calls {}, objects {}, per parcel {}, one-way {} calls, one-way {} bytes, streams {}",
        limits.calls_in_flight,
        limits.objects,
        limits.objects_per_parcel,
        limits.one_way_calls,
        limits.one_way_bytes,
        limits.bulk_streams
    )
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
