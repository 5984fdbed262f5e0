//! Who is at the other end of the stream.

use std::{
    collections::BTreeMap,
    pin::Pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::{Buf, BytesMut};
use softbus::fuzzing::{Said, preamble, read_preamble};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

use super::{HEADER, Input, PIPE, WINDOW};

const LANE: u8 = 1;
const LANE_END: u8 = 2;
const OPEN: u8 = 3;
const BULK: u8 = 4;
const END: u8 = 5;
const RESET: u8 = 6;
const DONE: u8 = 7;
const CREDIT: u8 = 8;
const PING: u8 = 9;
const CLOSE: u8 = 11;
/// What the pipe does not take waits here, up to this.
const WAITING: usize = 1024 * 1024;

pub(super) struct Peer {
    stream: DuplexStream,
    /// What it says and the pipe has not taken.
    says: BytesMut,
    /// What it has heard and not looked at.
    hears: BytesMut,
    begun: bool,
    /// It has sent only what it counts here.
    honest: bool,
    sent: BTreeMap<u32, usize>,
    heard: BTreeMap<u32, usize>,
    opened: u32,
    granted: BTreeMap<u32, usize>,
    bulk: BTreeMap<u32, usize>,
}

/// Bytes of a lane from some place on: they show when one is missing, or of another lane.
pub(super) fn pattern(lane: u32, from: usize, len: usize) -> Vec<u8> {
    let byte = |at: usize| (at * 31 % 251) as u8 ^ lane as u8;
    (from..from + len).map(byte).collect()
}

impl Peer {
    pub(super) fn new(stream: DuplexStream, idle: Duration) -> Self {
        Self {
            stream,
            says: BytesMut::from(&*preamble(idle)),
            hears: BytesMut::new(),
            begun: false,
            honest: true,
            sent: BTreeMap::new(),
            heard: BTreeMap::new(),
            opened: 0,
            granted: BTreeMap::new(),
            bulk: BTreeMap::new(),
        }
    }

    pub(super) fn is_honest(&self) -> bool {
        self.honest
    }

    pub(super) fn sent_on(&self, lane: u32) -> usize {
        self.sent.get(&lane).copied().unwrap_or_default()
    }

    pub(super) fn says(&mut self, what: u8, input: &mut Input<'_>) {
        if self.says.len() > WAITING {
            return;
        }
        let number = input.number() as u32;
        match what {
            0 | 1 => {
                let len = length(input);
                let sent = self.sent.entry(number).or_default();
                let bytes = pattern(number, *sent, len);
                *sent += len;
                self.put(LANE, number, &bytes);
            }
            2 => self.put(LANE_END, number, &[]),
            3 => {
                let number = match input.bool() {
                    true => number,
                    false => self.opened.wrapping_add(1),
                };
                self.opened = number;
                self.put(OPEN, number, &number.to_le_bytes().repeat(2));
            }
            4 | 5 => self.put(BULK, number, &vec![2; length(input)]),
            6 => {
                let kind = [END, RESET, DONE][input.below(3)];
                self.put(kind, number, &[]);
            }
            7 => {
                let credit = u32::from(input.u16()) * 16;
                *self.granted.entry(number).or_default() += credit as usize;
                self.put(CREDIT, number, &credit.to_le_bytes());
            }
            _ => match input.u8() {
                0..=0x7f => self.put(PING, 0, &[]),
                0x80..=0x83 => self.put(CLOSE, number, b"\xffover"),
                _ => {
                    let len = input.u8().into();
                    self.says.extend_from_slice(input.bytes(len));
                    self.honest = false;
                }
            },
        }
    }

    fn put(&mut self, kind: u8, number: u32, payload: &[u8]) {
        let len = payload.len() as u16;
        self.says.extend_from_slice(&[kind, 0]);
        self.says.extend_from_slice(&len.to_le_bytes());
        self.says.extend_from_slice(&number.to_le_bytes());
        self.says.extend_from_slice(payload);
    }

    /// As much as the pipe takes.
    pub(super) fn speaks(&mut self) {
        let mut cx = Context::from_waker(Waker::noop());
        while !self.says.is_empty() {
            match Pin::new(&mut self.stream).poll_write(&mut cx, &self.says) {
                Poll::Ready(Ok(written)) => self.says.advance(written),
                Poll::Ready(Err(_)) => self.says.clear(),
                Poll::Pending => return,
            }
        }
    }

    /// As much as there is.
    pub(super) fn listens(&mut self) {
        let mut cx = Context::from_waker(Waker::noop());
        let mut bytes = vec![0; PIPE];
        loop {
            let mut buffer = ReadBuf::new(&mut bytes);
            match Pin::new(&mut self.stream).poll_read(&mut cx, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    self.hears.extend_from_slice(buffer.filled());
                }
                _ => return,
            }
        }
    }

    /// What it hears is well formed, is what was written, and no more than it has granted.
    pub(super) fn check(&mut self, written: &[usize]) {
        if !self.begun {
            let idle = read_preamble(&mut self.hears);
            self.begun = idle.expect("it begins as it should").is_some();
        }
        while self.begun && self.hears.len() >= HEADER {
            let len = usize::from(u16::from_le_bytes([self.hears[2], self.hears[3]]));
            if self.hears.len() < HEADER + len {
                return;
            }
            let frame = self.hears.split_to(HEADER + len);
            let taken = Said::take(&mut BytesMut::from(&*frame));
            assert!(matches!(taken, Ok(Some(_))), "what is written can be read");
            let (header, payload) = frame.split_at(HEADER);
            let number = u32::from_le_bytes([header[4], header[5], header[6], header[7]]);
            match header[0] {
                LANE => self.hear_lane(number, payload, written),
                BULK => self.hear_bulk(number, payload.len()),
                _ => {}
            }
        }
    }

    fn hear_lane(&mut self, lane: u32, bytes: &[u8], written: &[usize]) {
        let heard = self.heard.entry(lane).or_default();
        assert_eq!(bytes, pattern(lane, *heard, bytes.len()));
        *heard += bytes.len();
        assert!(*heard <= written[lane as usize]);
    }

    fn hear_bulk(&mut self, number: u32, len: usize) {
        let bulk = self.bulk.entry(number).or_default();
        *bulk += len;
        let granted = self.granted.get(&number).copied().unwrap_or_default();
        assert!(!self.honest || *bulk <= WINDOW + granted);
    }
}

/// Of a payload; one in a few is longer than any may be.
fn length(input: &mut Input<'_>) -> usize {
    usize::from(input.u16()) % 20_000
}
