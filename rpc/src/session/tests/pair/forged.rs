//! Frames that the other end did not make, and frames that do not reach it.

use bytes::{Bytes, BytesMut};
use proto::{
    CallId, Handle,
    frame::{Call, Frame, FrameReader, Grant, Grants},
};

use super::Pair;
use crate::session::PeerFault;

impl Pair {
    /// A frame that the other end did not make.
    pub(in crate::session::tests) fn forge(
        &mut self,
        to: usize,
        lane: u16,
        frame: &Frame,
    ) -> Result<(), PeerFault> {
        let mut bytes = BytesMut::new();
        frame.encode(&mut bytes);
        let mut reader = FrameReader::new();
        reader.buffer().extend_from_slice(&bytes);
        let frame = Frame::decode(reader.next_frame().unwrap().unwrap())
            .unwrap()
            .unwrap();
        let taken = self.run(to, |session, now| session.handle_frame(now, lane, frame));
        if let Err(fault) = &taken {
            self.fault(to, fault.clone());
        }
        taken
    }

    /// All frames an end would transmit now, by lane; they do not reach the other end.
    pub(in crate::session::tests) fn intercept(&mut self, from: usize) -> Vec<(u16, Frame)> {
        let mut frames = Vec::new();
        self.ends[from].dirty = 0;
        for lane in 0..self.ends[from].inbound.len() as u16 {
            let mut reader = FrameReader::new();
            self.ends[from].session.poll_transmit(lane, reader.buffer());
            while let Some(frame) = reader.next_frame().unwrap() {
                frames.push((lane, Frame::decode(frame).unwrap().unwrap()));
            }
        }
        frames
    }
}

/// A forged request, two-way.
pub(in crate::session::tests) fn forged_call(handle: Handle, slot: u32) -> Call {
    Call {
        handle,
        id: Some(CallId {
            slot,
            generation: 1,
        }),
        code: 1,
        binding: 0,
        idempotent: false,
        depth: 0,
        chain: 1,
        deadline_us: 0,
        bulk: None,
        grants: Grants::default(),
        extensions: Default::default(),
        body: Bytes::new(),
    }
}

pub(in crate::session::tests) fn grants(grants: &[Grant]) -> Grants {
    grants.iter().copied().collect()
}
