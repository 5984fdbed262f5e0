//! The end that is attacked, and its driver.

mod commands;

use std::time::{Duration, Instant};

use bytes::Bytes;
use proto::{
    BootId, CallId, Handle,
    frame::{Frame, FrameReader, Grant, Status},
    message::{DeathReason, PeerLimits, feature},
};
use softbus_rpc::{
    Quotas,
    fuzzing::{a_stub, local, root},
    session::{
        Answer, Arrived, Config, Delivered, Event, ImportKey, LinkId, LostBulk, Outcome, Outgoing,
        RedemptionId, Scope, ServingId, Session, Usage,
    },
};

pub(super) const LANES: u16 = 2;
/// Small enough to be reached.
const LIMITS: PeerLimits = PeerLimits {
    calls_in_flight: 20,
    objects: 6,
    objects_per_parcel: 64,
    one_way_calls: 5,
    one_way_bytes: 4096,
    bulk_streams: 2,
};
/// Bodies without headers and headers without use for their bodies, which a session remembers.
const MAX_UNMATCHED: usize = 2 * 8192;

pub(super) struct Victim {
    session: Session,
    root: ImportKey,
    now: Instant,
    tags: u64,
    /// Handlers that run.
    serving: Vec<ServingId>,
    /// Calls whose outcome it waits for.
    pub(super) calls: Vec<CallId>,
    ended: Vec<CallId>,
    /// Objects of the peer's that it uses.
    held: Vec<ImportKey>,
    links: Vec<(ImportKey, LinkId)>,
    /// Introductions of which it is known what became.
    redeemed: Vec<RedemptionId>,
    stubs: Vec<Outgoing>,
    /// What the peer has read of its own grants.
    pub(super) granted: Vec<Handle>,
    /// On which lane its calls went, by slot.
    lanes: Vec<u16>,
    /// Bytes of bodies that it queued since it last wrote.
    queued: usize,
    faulty: bool,
}

pub(super) fn boot(end: u64) -> BootId {
    BootId {
        epoch: 1,
        random: end,
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "an Instant has no other beginning"
)]
fn beginning() -> Instant {
    Instant::now()
}

impl Victim {
    pub(super) fn new(same_device: bool) -> Self {
        let config = Config {
            scope: if same_device {
                Scope::SameDevice
            } else {
                Scope::OtherDevice
            },
            lanes: LANES,
            limits: LIMITS,
            quotas: Quotas::DEFAULT,
            boot: boot(0),
            peer_boot: boot(1),
            features: feature::INTRODUCTIONS | feature::RELAY,
            peer_is_host: true,
        };
        let (session, peer_root) = Session::new(config, root());
        let stub = || local(&a_stub()).map_or(Outgoing::Null, Outgoing::Own);
        Self {
            session,
            root: peer_root,
            now: beginning(),
            tags: 1000,
            serving: Vec::new(),
            calls: Vec::new(),
            ended: Vec::new(),
            held: Vec::new(),
            links: Vec::new(),
            redeemed: Vec::new(),
            stubs: (0..8).map(|_| stub()).collect(),
            granted: Vec::new(),
            lanes: Vec::new(),
            queued: 0,
            faulty: false,
        }
    }

    pub(super) fn lane_of_call(&self, id: CallId) -> Option<u16> {
        self.lanes.get(id.slot as usize).copied()
    }

    // What comes from the peer.

    pub(super) fn frame(&mut self, lane: u16, frame: Frame) {
        if self.session.handle_frame(self.now, lane, frame).is_err() {
            self.closes();
        }
    }

    pub(super) fn bulk(&mut self, id: u64, len: usize) {
        let body = Bytes::from(vec![0; len]);
        if self.session.handle_bulk(self.now, id, body).is_err() {
            self.closes();
        }
    }

    pub(super) fn reset(&mut self, id: u64) {
        self.session.handle_bulk_reset(id, LostBulk::GivenUp);
    }

    pub(super) fn passes(&mut self, ms: u64) {
        self.now += Duration::from_millis(ms);
        if self
            .session
            .poll_timeout()
            .is_some_and(|due| due <= self.now)
        {
            self.session.handle_timeout(self.now);
        }
    }

    /// As a driver does after a fault.
    pub(super) fn closes(&mut self) {
        self.faulty = true;
        self.session.close(DeathReason::DeviceUnreachable);
    }

    /// The link takes what waits on some lanes, and the peer reads what it was granted.
    pub(super) fn writes(&mut self, lanes: u8) {
        for lane in (0..=LANES).filter(|lane| lanes >> lane & 1 == 1) {
            let mut reader = FrameReader::new();
            self.session.poll_transmit(lane, reader.buffer());
            let len = reader.buffer().len();
            assert!(len <= self.most_unwritten(), "{len} bytes wait on one lane");
            while let Some(frame) = reader.next_frame().expect("what we write is well formed") {
                let frame = Frame::decode(frame).expect("what we write can be read");
                self.read(lane, frame.expect("we know what we write"));
            }
            assert!(reader.is_empty(), "frames are written whole");
        }
        if lanes & 7 == 7 {
            self.queued = 0;
        }
    }

    /// What may wait on one lane: what the victim has said itself, and an answer to everything the peer may have open.
    fn most_unwritten(&self) -> usize {
        let open = (LIMITS.calls_in_flight + LIMITS.one_way_calls + LIMITS.objects) as usize;
        self.queued + (open + 16) * 4096
    }

    fn read(&mut self, lane: u16, frame: Frame) {
        let grants = match frame {
            Frame::Call(call) => {
                if let Some(id) = call.id {
                    let slot = id.slot as usize;
                    self.lanes.resize(self.lanes.len().max(slot + 1), 1);
                    self.lanes[slot] = lane;
                }
                call.grants
            }
            Frame::Reply(reply) => reply.grants,
            _ => return,
        };
        for grant in grants.iter() {
            if let Grant::Granted { handle, .. } = grant
                && !self.granted.contains(&handle)
            {
                self.granted.push(handle);
            }
        }
    }

    fn take(&mut self, id: CallId) {
        if let Some(Outcome::Replied(arrived)) = self.session.take_outcome(id) {
            self.hold(arrived);
        }
    }

    fn hold(&mut self, arrived: Arrived) {
        for object in arrived.objects {
            if let Delivered::Import { key, .. } = object {
                self.held.push(key);
            }
        }
    }

    // What has to hold.

    /// Takes what a step has left to be done, and what that leaves.
    pub(super) fn drain(&mut self) {
        loop {
            self.drain_events();
            if self.redeemed.is_empty() {
                break;
            }
            for id in std::mem::take(&mut self.redeemed) {
                self.session.redeemed(id);
            }
        }
        self.session.take_dirty_lanes();
    }

    fn drain_events(&mut self) {
        while let Some(event) = self.session.poll_event() {
            match event {
                Event::Request(incoming) => {
                    self.serving.push(incoming.serving);
                    self.hold(incoming.parcel);
                }
                Event::OneWay { calls, .. } => {
                    for incoming in calls {
                        self.serving.push(incoming.serving);
                        self.hold(incoming.parcel);
                    }
                }
                Event::CallEnded(id) => {
                    let waiting = self.calls.iter().position(|waiting| *waiting == id);
                    let waiting = waiting.expect("only what was called and not given up ends");
                    self.calls.swap_remove(waiting);
                    self.ended.push(id);
                }
                Event::Died { key, links, .. } => {
                    self.links.retain(|(_, link)| !links.contains(link));
                    assert!(self.session.import_death(key).is_some());
                }
                // Some are told of at once, some never.
                Event::Redeem { id, objects, .. } if objects.len() < 3 => {
                    self.redeemed.push(id);
                }
                _ => {}
            }
        }
    }

    /// Nobody holds more than agreed.
    pub(super) fn check(&mut self) {
        let Usage {
            exports,
            imports,
            calls,
            serving,
            links,
            bulk,
            obituaries,
        } = self.session.usage();
        let objects = LIMITS.objects as usize;
        assert!(exports <= objects + 1, "{exports} exports");
        assert!(imports <= objects + 1, "{imports} imports");
        let waiting = self.calls.len() + self.ended.len();
        let most = LIMITS.calls_in_flight as usize;
        assert!(
            calls <= most + waiting,
            "{calls} calls, {waiting} of them ours"
        );
        let one_way = usize::from(LANES) * LIMITS.one_way_calls as usize;
        assert!(serving <= most + one_way, "{serving} handlers");
        assert!(links <= self.links.len(), "{links} links");
        assert!(
            bulk <= MAX_UNMATCHED + most + calls + one_way,
            "{bulk} halves"
        );
        assert!(obituaries <= objects, "{obituaries} obituaries");
        if self.faulty {
            assert!(self.session.closed().is_some());
        }
    }

    /// Whatever it was, the end of the session gives everything back.
    pub(super) fn end(mut self) {
        self.closes();
        self.drain();
        for serving in std::mem::take(&mut self.serving) {
            let answer = Answer::Error {
                status: Status::Internal,
                extensions: Default::default(),
            };
            self.session.finish(serving, &answer);
        }
        for id in std::mem::take(&mut self.ended) {
            self.take(id);
        }
        for key in std::mem::take(&mut self.held) {
            self.session.drop_hold(key);
        }
        self.drain();
        assert_eq!(self.calls, [], "every call has ended");
        let left = Usage {
            imports: 1,
            ..Usage::default()
        };
        assert_eq!(self.session.usage(), left, "only the way in is left");
        assert!(self.session.is_idle());
    }
}
