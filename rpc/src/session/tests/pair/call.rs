//! A call as a test makes it, and what came of one.

use std::time::Duration;

use bytes::Bytes;
use proto::DeviceId;

use super::super::super::{Arrived, Delivered, ImportKey, Outcome, Outgoing};
use crate::interface::Interface;

/// A call as a test makes it.
#[derive(Clone)]
pub(in super::super) struct TestCall<'a> {
    pub(in super::super) target: ImportKey,
    pub(in super::super) code: u32,
    pub(in super::super) interface: Option<&'static Interface>,
    pub(in super::super) behalf: Option<DeviceId>,
    pub(in super::super) one_way: bool,
    pub(in super::super) wait: Option<Duration>,
    pub(in super::super) depth: u8,
    pub(in super::super) body: &'a [u8],
    pub(in super::super) raw: Option<Bytes>,
    pub(in super::super) objects: &'a [Outgoing],
}

impl TestCall<'_> {
    pub(in super::super) fn new(target: ImportKey) -> Self {
        Self {
            target,
            code: 1,
            interface: None,
            behalf: None,
            one_way: false,
            wait: None,
            depth: 0,
            body: &[],
            raw: None,
            objects: &[],
        }
    }
}

/// The place of what arrived as an import.
pub(in super::super) fn key(delivered: &Delivered) -> ImportKey {
    match delivered {
        Delivered::Import { key, .. } => *key,
        other => panic!("{other:?} is no import"),
    }
}

/// The parcel of an outcome.
pub(in super::super) fn replied(outcome: Option<Outcome>) -> Arrived {
    match outcome {
        Some(Outcome::Replied(arrived)) => arrived,
        other => panic!("{other:?} is no reply"),
    }
}
