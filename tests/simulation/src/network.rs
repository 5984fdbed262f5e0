//! A network of connections that is as slow, as lossy and as broken as a seed says.
//!
//! It moves frames, the smallest that a lane moves: each takes its time, those of one lane keep their order, and nothing
//! else does. A lost frame is a late one, because a connection repeats it. What passes in neither or in one direction ends
//! connections as silence does: each end notices for itself, and some time after the other.

mod carrier;
mod link;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::SocketAddr,
    ops::RangeInclusive,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    task::Waker,
};

use bytes::{BufMut, Bytes, BytesMut};
use proto::frame::{Frame, FrameReader};
use rpc::link::LinkClosed;
use tokio::sync::{Notify, mpsc};

use crate::{
    carrier::Numbered,
    journal::Journal,
    log::{Event, Frames, Passage, Place},
    random::Random,
    simulation::{Calendar, Due},
};
use link::SimulatedLink;

/// After how long without a packet a connection is given up, in milliseconds: what nodes use by default.
const IDLE: u64 = 5000;
/// How often something is sent when nothing else is.
const KEEP_ALIVE: u64 = 1000;
/// How often devices look how long nothing has come (`softbus::__decisions::TICK`).
pub(crate) const TICK: u64 = 100;
/// How much later than that it may be noticed.
const NOTICED: RangeInclusive<u64> = 0..=1000;
/// How late what had to be repeated is.
const REPEATED: RangeInclusive<u64> = 150..=900;
/// How many bytes of a lane, or of a bulk stream, are under way before its writer waits.
const WINDOW: usize = 64 * 1024;
/// The longest piece of a bulk body.
const LONGEST_PIECE: usize = 16 * 1024;

/// How the network is.
#[derive(Clone, Debug)]
pub(crate) struct Weather {
    /// How long a frame takes, in milliseconds.
    pub(crate) latency: RangeInclusive<u64>,
    /// How many in a hundred have to be repeated.
    pub(crate) loss: u64,
}

/// What the network has to do at some time.
#[derive(Debug)]
pub(crate) enum Transfer {
    /// A device hears of a connection.
    Knock(u32),
    /// Who dialled it hears that it is one.
    Connected(u32),
    /// The next frame of a lane arrives.
    Frame { link: u32, lane: u16, from: usize },
    /// The next piece of a bulk stream arrives.
    Piece { link: u32, id: u64, from: usize },
    /// One end hears that the other has closed.
    Hangup {
        link: u32,
        to: usize,
        closed: LinkClosed,
    },
    /// A datagram arrives.
    Datagram {
        from: SocketAddr,
        to: SocketAddr,
        bytes: BytesMut,
    },
    /// The timer of a QUIC connection is due.
    Timer { link: u32, at: u64 },
    /// One end has heard nothing since then.
    Silence { link: u32, at: usize, since: u64 },
}

/// All connections there have been.
#[derive(Debug)]
pub(crate) struct Network {
    state: Mutex<State>,
    calendar: Arc<Calendar>,
    journal: Arc<Journal>,
    me: Weak<Self>,
}

#[derive(Debug)]
struct State {
    random: Random,
    weather: Weather,
    /// Directions in which nothing passes.
    cuts: BTreeSet<(u8, u8)>,
    /// Devices that stand still, those whose host says that nobody listens, and where those are that have moved.
    still: BTreeSet<u8>,
    refusing: BTreeSet<u8>,
    addresses: BTreeMap<u8, u32>,
    /// Devices that look how long nothing has come.
    looking: BTreeSet<u8>,
    links: Vec<Connection>,
    /// Where bulk streams open, at ends that have not answered.
    unanswered: BTreeMap<u32, mpsc::UnboundedReceiver<u64>>,
}

/// One connection. Ends are 0, which dialled, and 1.
#[derive(Debug)]
struct Connection {
    devices: [u8; 2],
    /// Which start of its device each end belongs to, once one has answered.
    places: [Option<Place>; 2],
    /// By lane and the end it comes from.
    lanes: BTreeMap<(u16, usize), LaneState>,
    /// By number and the end it comes from.
    streams: BTreeMap<(u64, usize), StreamState>,
    /// Why it is over, as each end sees it.
    closed: [Option<LinkClosed>; 2],
    /// Told to who waits for that.
    hung_up: [Arc<Notify>; 2],
    /// Nothing leaves this end any more.
    mute: [bool; 2],
    /// Where the second end was dialled, and whether it is there no longer.
    address: u32,
    severed: bool,
    /// Who dialled knows that it is a connection.
    connected: bool,
    /// How many frames and pieces have come to each end.
    received: [u64; 2],
    /// Since when this end has heard nothing.
    silent_since: [Option<u64>; 2],
    /// Bulk streams towards each end, as they open.
    opened: [mpsc::UnboundedSender<u64>; 2],
}

#[derive(Debug, Default)]
struct LaneState {
    staged: FrameReader,
    under_way: VecDeque<Bytes>,
    bytes: usize,
    /// When the last of them arrives.
    last: u64,
    /// How many have come to where nothing passes.
    stuck: usize,
    arrived: BytesMut,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

#[derive(Debug, Default)]
struct StreamState {
    under_way: VecDeque<Piece>,
    bytes: usize,
    last: u64,
    stuck: usize,
    arrived: VecDeque<Bytes>,
    opened: bool,
    ended: bool,
    /// Its sender has given it up.
    reset: bool,
    /// Its receiver does not want it.
    stopped: bool,
    reader: Option<Waker>,
    room: Arc<Notify>,
}

/// A piece of a bulk stream.
#[derive(Debug)]
enum Piece {
    Bytes(Bytes),
    End,
    Reset,
}

impl State {
    fn latency(&mut self) -> u64 {
        let repeated = if self.random.percent(self.weather.loss) {
            self.random.within(&REPEATED)
        } else {
            0
        };
        self.random.within(&self.weather.latency) + repeated
    }

    /// Whether nothing passes that leaves this end.
    fn is_blocked(&self, link: u32, from: usize) -> bool {
        let link = &self.links[link as usize];
        let way = (link.devices[from], link.devices[1 - from]);
        let still = self.still.contains(&way.0) || self.still.contains(&way.1);
        link.severed || still || self.cuts.contains(&way)
    }
}

impl Connection {
    /// Nobody hears any more from who waits at this end.
    fn wake(&mut self, end: usize) {
        for ((_, from), lane) in &mut self.lanes {
            let waker = if *from == end {
                lane.writer.take()
            } else {
                lane.reader.take()
            };
            waker.into_iter().for_each(Waker::wake);
        }
        for ((_, from), stream) in &mut self.streams {
            if *from == end {
                stream.room.notify_waiters();
            } else {
                stream.reader.take().into_iter().for_each(Waker::wake);
            }
        }
    }

    fn is_closed(&self, end: usize) -> bool {
        self.closed[end].is_some()
    }

    /// The connection is over for this end; whether it was not before.
    fn close(&mut self, end: usize, how: LinkClosed) -> bool {
        let first = !self.is_closed(end);
        if first {
            self.mute[end] = true;
            self.closed[end] = Some(how);
            self.hung_up[end].notify_waiters();
            self.wake(end);
        }
        first
    }
}

impl Network {
    /// One without connections.
    pub(crate) fn new(
        random: Random,
        weather: Weather,
        calendar: Arc<Calendar>,
        journal: Arc<Journal>,
    ) -> Arc<Self> {
        let state = State {
            random,
            weather,
            cuts: BTreeSet::new(),
            still: BTreeSet::new(),
            refusing: BTreeSet::new(),
            addresses: BTreeMap::new(),
            looking: BTreeSet::new(),
            links: Vec::new(),
            unanswered: BTreeMap::new(),
        };
        Arc::new_cyclic(|me| Self {
            state: Mutex::new(state),
            calendar,
            journal,
            me: me.clone(),
        })
    }

    fn end(
        &self,
        number: u32,
        end: usize,
        opened: mpsc::UnboundedReceiver<u64>,
    ) -> Option<Numbered> {
        let network = self.me.upgrade()?;
        let link = Arc::new(SimulatedLink::new(network, number, end, opened));
        Some(Numbered { number, link })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn schedule(&self, state: &mut State, at: u64, transfer: Transfer) {
        let tie = state.random.next();
        self.calendar.add(at, tie, Due::Network(transfer));
    }

    fn listen_all(&self, state: &mut State) {
        for link in 0..state.links.len() {
            self.listen(state, link as u32);
        }
    }

    /// Looks which end of a connection hears the other.
    fn listen(&self, state: &mut State, number: u32) {
        let now = self.calendar.now();
        for at in 0..2 {
            let mute = state.links[number as usize].mute[1 - at];
            let hears = !mute && !state.is_blocked(number, 1 - at);
            let here = state.links[number as usize].devices[at];
            if !hears && state.still.contains(&here) {
                continue;
            }
            let link = &mut state.links[number as usize];
            match (hears, link.silent_since[at]) {
                (true, _) => link.silent_since[at] = None,
                (false, Some(_)) => {}
                (false, None) => {
                    link.silent_since[at] = Some(now);
                    if !link.is_closed(at) {
                        let due = now + IDLE + state.random.within(&NOTICED);
                        let link = number;
                        let since = now;
                        self.schedule(state, due, Transfer::Silence { link, at, since });
                        self.begin_to_look(state, here);
                    }
                }
            }
        }
    }

    fn begin_to_look(&self, state: &mut State, device: u8) {
        if state.looking.insert(device) {
            let at = self.calendar.now() + TICK;
            let tie = state.random.next();
            self.calendar.add(at, tie, Due::Look(device));
        }
    }

    fn unstick_all(&self, state: &mut State) {
        for link in 0..state.links.len() as u32 {
            for from in 0..2 {
                if !state.is_blocked(link, from) {
                    self.unstick(state, link, from);
                }
            }
        }
    }

    /// What came to where nothing passed is repeated.
    fn unstick(&self, state: &mut State, link: u32, from: usize) {
        let now = self.calendar.now();
        let lanes = state.links[link as usize].lanes.iter_mut();
        let lanes: Vec<_> = lanes
            .filter(|((_, end), _)| *end == from)
            .map(|((lane, _), state)| (*lane, std::mem::take(&mut state.stuck)))
            .collect();
        for (lane, stuck) in lanes {
            for _ in 0..stuck {
                let at = now + state.latency();
                self.schedule(state, at, Transfer::Frame { link, lane, from });
            }
        }
        let streams = state.links[link as usize].streams.iter_mut();
        let streams: Vec<_> = streams
            .filter(|((_, end), _)| *end == from)
            .map(|((id, _), state)| (*id, std::mem::take(&mut state.stuck)))
            .collect();
        for (id, stuck) in streams {
            for _ in 0..stuck {
                let at = now + state.latency();
                self.schedule(state, at, Transfer::Piece { link, id, from });
            }
        }
    }

    fn frame_arrives(&self, link: u32, lane: u16, from: usize) {
        let state = &mut *self.state();
        let blocked = state.is_blocked(link, from);
        let connection = &mut state.links[link as usize];
        let over = connection.is_closed(1 - from);
        let Some(of) = connection.lanes.get_mut(&(lane, from)) else {
            return;
        };
        if over {
            return;
        }
        if blocked {
            of.stuck += 1;
            return;
        }
        let Some(frame) = of.under_way.pop_front() else {
            return;
        };
        connection.received[1 - from] += 1;
        of.bytes -= frame.len();
        self.note(link, Some(lane), from, &frame, Event::Arrived);
        of.arrived.put_u32_le(frame.len() as u32);
        of.arrived.put_slice(&frame);
        let wakers = [of.reader.take(), of.writer.take()];
        wakers.into_iter().flatten().for_each(Waker::wake);
    }

    fn piece_arrives(&self, link: u32, id: u64, from: usize) {
        let state = &mut *self.state();
        let blocked = state.is_blocked(link, from);
        let connection = &mut state.links[link as usize];
        let over = connection.is_closed(1 - from);
        let opened = connection.opened[1 - from].clone();
        let Some(of) = connection.streams.get_mut(&(id, from)) else {
            return;
        };
        if over {
            return;
        }
        if blocked {
            of.stuck += 1;
            return;
        }
        let Some(piece) = of.under_way.pop_front() else {
            return;
        };
        connection.received[1 - from] += 1;
        let len = match &piece {
            Piece::Bytes(bytes) => Some(bytes.len()),
            Piece::End | Piece::Reset => None,
        };
        let passage = Passage {
            link,
            from,
            lane: None,
        };
        self.journal
            .record(Event::Arrived(passage, Frames::Piece { id, len }));
        if !std::mem::replace(&mut of.opened, true) {
            let _ = opened.send(id);
        }
        match piece {
            Piece::Bytes(bytes) => {
                of.bytes -= bytes.len();
                of.arrived.push_back(bytes);
                of.room.notify_waiters();
            }
            Piece::End => of.ended = true,
            Piece::Reset => of.reset = true,
        }
        of.reader.take().into_iter().for_each(Waker::wake);
    }

    fn note(
        &self,
        link: u32,
        lane: Option<u16>,
        from: usize,
        frame: &Bytes,
        event: fn(Passage, Frames) -> Event,
    ) {
        let frames = match Frame::decode(frame.clone()) {
            Ok(Some(frame)) => Frames::of(&frame),
            Ok(None) => Frames::Other("unknown"),
            Err(_) => Frames::Other("broken"),
        };
        let passage = Passage { link, from, lane };
        self.journal.record(event(passage, frames));
    }
}
