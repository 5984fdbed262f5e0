//! A network of connections that is as slow, as lossy and as broken as a seed says.
//!
//! It moves frames, the smallest that a lane moves: each takes its time, those of one lane keep their order, and nothing
//! else does. A lost frame is a late one, because a connection repeats it. What passes in neither or in one direction ends
//! connections as silence does: each end notices for itself, and some time after the other.

mod link;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    ops::RangeInclusive,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    task::Waker,
};

use bytes::{BufMut, Bytes, BytesMut};
use proto::frame::{Frame, FrameReader};
use rpc::link::LinkClosed;
use tokio::sync::{Notify, mpsc};

use crate::{
    carrier::{Carrier, Numbered},
    journal::Journal,
    log::{Event, Frames, Passage, Place},
    random::Random,
    simulation::{Calendar, Due},
};
use link::SimulatedLink;

/// After how long without a packet a connection is given up, in milliseconds: what nodes use by default.
const IDLE: u64 = 5000;
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
    Datagram { from: u8, to: u8, bytes: BytesMut },
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

impl Carrier for Network {
    fn start(&self, _: Place) {}

    fn dial(&self, from: Place, to: u8) -> Numbered {
        let mut state = self.state();
        let number = state.links.len() as u32;
        let (to_first, first) = mpsc::unbounded_channel();
        let (to_second, second) = mpsc::unbounded_channel();
        state.links.push(Connection {
            devices: [from.device, to],
            places: [Some(from), None],
            lanes: BTreeMap::new(),
            streams: BTreeMap::new(),
            closed: [None, None],
            hung_up: Default::default(),
            mute: [false; 2],
            silent_since: [None; 2],
            opened: [to_first, to_second],
        });
        let at = self.calendar.now() + state.latency();
        self.schedule(&mut state, at, Transfer::Knock(number));
        state.unanswered.insert(number, second);
        drop(state);
        self.end(number, 0, first)
            .expect("who asks keeps the network")
    }

    fn perform(&self, transfer: Transfer) -> Vec<u32> {
        match transfer {
            Transfer::Knock(link) => {
                let state = &mut *self.state();
                let [from, to] = state.links[link as usize].devices;
                if state.cuts.contains(&(from, to)) {
                    let at = self.calendar.now() + state.random.within(&REPEATED);
                    self.schedule(state, at, Transfer::Knock(link));
                    return Vec::new();
                }
                let open = !state.links[link as usize].is_closed(0);
                return open.then_some(link).into_iter().collect();
            }
            Transfer::Frame { link, lane, from } => self.frame_arrives(link, lane, from),
            Transfer::Piece { link, id, from } => self.piece_arrives(link, id, from),
            Transfer::Hangup { link, to, closed } => {
                let state = &mut *self.state();
                let Connection { devices, .. } = state.links[link as usize];
                let own = matches!(closed, LinkClosed::Failed(_));
                // A goodbye is said once, and is not repeated.
                if own || !state.cuts.contains(&(devices[1 - to], devices[to])) {
                    state.links[link as usize].close(to, closed);
                }
            }
            Transfer::Silence { link, at, since } => {
                let state = &mut *self.state();
                if state.links[link as usize].silent_since[at] == Some(since) {
                    state.links[link as usize].close(at, LinkClosed::TimedOut);
                    self.listen(state, link);
                }
            }
            // Of the other network.
            Transfer::Datagram { .. } | Transfer::Timer { .. } => {}
        }
        Vec::new()
    }

    fn answer(&self, link: u32, place: Place) -> Option<Numbered> {
        let mut state = self.state();
        let opened = state.unanswered.remove(&link)?;
        state.links[link as usize].places[1] = Some(place);
        drop(state);
        self.end(link, 1, opened)
    }

    fn devices(&self, link: u32) -> [u8; 2] {
        self.state().links[link as usize].devices
    }

    fn cut(&self, from: u8, to: u8) {
        let mut state = self.state();
        if state.cuts.insert((from, to)) {
            self.journal.record(Event::Cut(from, to));
            self.listen_all(&mut state);
        }
    }

    fn heal(&self, from: u8, to: u8) {
        let mut state = self.state();
        if !state.cuts.remove(&(from, to)) {
            return;
        }
        self.journal.record(Event::Healed(from, to));
        for link in 0..state.links.len() {
            let devices = state.links[link].devices;
            for end in 0..2 {
                if (devices[end], devices[1 - end]) == (from, to) {
                    self.unstick(&mut state, link as u32, end);
                }
            }
        }
        self.listen_all(&mut state);
    }

    fn cuts(&self) -> Vec<(u8, u8)> {
        self.state().cuts.iter().copied().collect()
    }

    fn live(&self) -> Vec<u32> {
        let state = self.state();
        let links = state.links.iter().enumerate();
        let live = links.filter(|(_, link)| !link.is_closed(0) && !link.is_closed(1));
        live.map(|(number, _)| number as u32).collect()
    }

    fn break_link(&self, link: u32) {
        let mut state = self.state();
        self.journal.record(Event::Broke(link));
        for to in 0..2 {
            state.links[link as usize].mute[to] = true;
            let at = self.calendar.now() + state.random.below(100);
            let closed = LinkClosed::Failed("broken".to_owned());
            let hangup = Transfer::Hangup { link, to, closed };
            self.schedule(&mut state, at, hangup);
        }
        self.listen(&mut state, link);
    }

    /// Nobody asks and answers here as keep-alive packets do, which are what is meant.
    fn hears(&self, link: u32) -> bool {
        let state = self.state();
        let link = &state.links[link as usize];
        let [from, to] = link.devices;
        !link.is_closed(0) && !link.mute[0] && !state.cuts.contains(&(from, to))
    }

    fn crash(&self, place: Place, host_answers: bool) {
        let mut state = self.state();
        for link in 0..state.links.len() {
            for end in 0..2 {
                if state.links[link].places[end] != Some(place) {
                    continue;
                }
                let link = link as u32;
                if host_answers && !state.links[link as usize].mute[end] {
                    let at = self.calendar.now() + state.random.within(&(100..=1500));
                    let (to, closed) = (1 - end, LinkClosed::Reset);
                    let hangup = Transfer::Hangup { link, to, closed };
                    self.schedule(&mut state, at, hangup);
                }
                state.links[link as usize].close(end, LinkClosed::ByUs);
                self.listen(&mut state, link);
            }
        }
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
            let link = &state.links[number as usize];
            let towards = (link.devices[1 - at], link.devices[at]);
            let hears = !link.mute[1 - at] && !state.cuts.contains(&towards);
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
                    }
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
        let connection = &mut state.links[link as usize];
        let [here, there] = [connection.devices[from], connection.devices[1 - from]];
        let over = connection.is_closed(1 - from);
        let Some(of) = connection.lanes.get_mut(&(lane, from)) else {
            return;
        };
        if over {
            return;
        }
        if state.cuts.contains(&(here, there)) {
            of.stuck += 1;
            return;
        }
        let Some(frame) = of.under_way.pop_front() else {
            return;
        };
        of.bytes -= frame.len();
        self.note(link, Some(lane), from, &frame, Event::Arrived);
        of.arrived.put_u32_le(frame.len() as u32);
        of.arrived.put_slice(&frame);
        let wakers = [of.reader.take(), of.writer.take()];
        wakers.into_iter().flatten().for_each(Waker::wake);
    }

    fn piece_arrives(&self, link: u32, id: u64, from: usize) {
        let state = &mut *self.state();
        let connection = &mut state.links[link as usize];
        let [here, there] = [connection.devices[from], connection.devices[1 - from]];
        let over = connection.is_closed(1 - from);
        let opened = connection.opened[1 - from].clone();
        let Some(of) = connection.streams.get_mut(&(id, from)) else {
            return;
        };
        if over {
            return;
        }
        if state.cuts.contains(&(here, there)) {
            of.stuck += 1;
            return;
        }
        let Some(piece) = of.under_way.pop_front() else {
            return;
        };
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
