//! One end of a session, besieged: frames and bytes on every lane, bulk streams, time, and commands of its own in
//! between. The peer may say anything; what must hold is that nothing panics and that nobody holds more than agreed.

mod frames;
mod victim;

use proto::frame::{Frame, FrameReader};

use super::Input;
use victim::{LANES, Victim};

/// Where the peer is, and then steps.
pub fn run(data: &[u8]) {
    let mut input = Input(data);
    let mut victim = Victim::new(input.bool());
    let mut readers: Vec<_> = (0..=LANES).map(|_| FrameReader::new()).collect();
    while !input.is_empty() {
        step(&mut victim, &mut readers, &mut input);
        victim.drain();
        victim.check();
    }
    victim.end();
}

fn step(victim: &mut Victim, readers: &mut [FrameReader], input: &mut Input<'_>) {
    match input.u8() % 16 {
        // Mostly frames that are well formed: others are found out at once, and have a target of their own.
        0..=6 => {
            if let Some((lane, frame)) = frames::any(victim, input) {
                victim.frame(lane, frame);
            }
        }
        7 => {
            let lane = input.below(readers.len());
            let len = input.u8().into();
            bytes(victim, &mut readers[lane], lane as u16, input.bytes(len));
        }
        8 => {
            let (id, len) = (input.number(), input.number() as usize % 70_000);
            victim.bulk(id, len);
        }
        9 => victim.reset(input.number()),
        10 => victim.passes(input.u16().into()),
        11 => victim.writes(input.u8()),
        _ => victim.commands(input),
    }
}

/// Bytes of a lane, in whatever pieces.
fn bytes(victim: &mut Victim, reader: &mut FrameReader, lane: u16, bytes: &[u8]) {
    reader.buffer().extend_from_slice(bytes);
    loop {
        match reader.next_frame().map(|frame| frame.map(Frame::decode)) {
            Ok(Some(Ok(Some(frame)))) => victim.frame(lane, frame),
            Ok(Some(Ok(None))) => {}
            Ok(None) => return,
            Ok(Some(Err(_))) | Err(_) => return victim.closes(),
        }
    }
}
