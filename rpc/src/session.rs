//! One peer, as a pure state machine: what we export to it, what it granted us, the calls under way in both
//! directions, and who wants to know whose death.

mod bulk;
mod call_table;
mod death_links;
mod descriptors;
mod event;
mod export_table;
mod fault;
mod import_table;
mod introductions;
mod lanes;
pub mod passing_rules;
mod receiving;
mod requests;
mod sending;
mod serving_table;
mod slow;
#[cfg(test)]
mod tests;

pub use bulk::LostBulk;
pub use descriptors::{Attached, Taken};
pub use event::{
    About, Answer, Arrived, Body, Context, Delivered, Event, ImportKey, Incoming, LinkId, Outcome,
    Outgoing, OutgoingBulk, Reference, ServingId,
};
pub use fault::PeerFault;
pub use introductions::{Introduced, RedemptionId};
pub use sending::{CallRequest, StartCallError};
pub use slow::{Served, Slow};

use std::{collections::VecDeque, time::Instant};

use bytes::BytesMut;
use proto::{
    BootId, CallId, Handle, ObjectId,
    frame::{Frame, Release},
    message::{Control, DeathReason, GoAway, Obituary, PeerLimits, feature},
};

pub use crate::quotas::Full;
use crate::{error::LinkToDeathError, quotas::Quotas, remote::LocalObject};
use bulk::{Bulk, Pending};
use call_table::CallTable;
use death_links::DeathLinks;
use export_table::ExportTable;
use import_table::{Dropped, ImportTable};
use introductions::Introductions;
use lanes::{Credit, Lane};
use serving_table::ServingTable;
use slow::SlowWatch;

/// The longest text for people in a control message, in characters.
const MAX_TEXT: usize = 256;

/// Where the peer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// On this device, in another process: the rules of IPC.
    SameDevice,
    /// On another device: the rules of RPC.
    OtherDevice,
}

/// What a session is begun with. Never changes in its life.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the peer is.
    pub scope: Scope,
    /// Call lanes, from 1.
    pub lanes: u16,
    /// What both ends agreed to hold.
    pub limits: PeerLimits,
    /// What we hold for the peer besides.
    pub quotas: Quotas,
    /// Which start of our bus this is.
    pub boot: BootId,
    /// Which start of its bus the peer is.
    pub peer_boot: BootId,
    /// What both ends can do beyond version 1: [`feature`].
    pub features: u64,
    /// The peer hosts this device's bus, and may relay for other devices.
    pub peer_is_host: bool,
}

/// One peer's session.
///
/// # Contract
/// Commands and `handle_*` methods change the state and return at once. After each of them, and before the next, drain
/// what it left: [`poll_event`](Self::poll_event) and [`poll_bulk`](Self::poll_bulk) until `None`, the lanes named by
/// [`take_dirty_lanes`](Self::take_dirty_lanes) with [`poll_transmit`](Self::poll_transmit) and
/// [`take_attached`](Self::take_attached), and then read
/// [`poll_timeout`](Self::poll_timeout).
///
/// A session never waits, never reads a clock (`now` is an argument), holds no lock, makes no random number (tags come
/// from [`add_tag`](Self::add_tag)) and runs nobody's code: what runs code is an event. A peer's bytes never make it
/// panic; what no peer may do is a [`PeerFault`], after which [`close`](Self::close) is the only thing left to do.
#[derive(Debug)]
pub struct Session {
    config: Config,
    credit: Credit,
    lanes: Vec<Lane>,
    dirty: u128,
    events: VecDeque<Event>,
    tags: Vec<u64>,
    exports: ExportTable,
    imports: ImportTable,
    calls: CallTable,
    serving: ServingTable,
    links: DeathLinks,
    bulk: Bulk,
    /// The time as we were last told it; `None` before the first frame.
    clock: Option<Instant>,
    /// When the peer is to be told of one-way calls that have ended, whatever else there is to write.
    acks_due: Option<Instant>,
    watch: SlowWatch,
    introductions: Introductions,
    /// Replies that the link has not taken.
    unsent_replies: u32,
    forged_replies: u32,
    peer_leaving: bool,
    leaving: bool,
    closed: Option<DeathReason>,
}

/// How much a session holds. All zero, and one import and one export for the peers' system ability managers, when
/// nothing is under way and nothing is held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Stubs of ours the peer holds.
    pub exports: usize,
    /// Objects of the peer's that we hold.
    pub imports: usize,
    /// Calls we wait for.
    pub calls: usize,
    /// Handlers that have not ended.
    pub serving: usize,
    /// Death links.
    pub links: usize,
    /// Headers and bodies that wait for their other half.
    pub bulk: usize,
    /// Obituaries kept for grants that may still come.
    pub obituaries: usize,
}

impl Session {
    /// How many tags to keep ready: one parcel's worth of new objects and then some.
    const TAGS: usize = 128;

    /// Begins a session. `root` is what the peer may call without having been granted anything: our system ability
    /// manager. The key is that of the peer's.
    pub fn new(config: Config, root: LocalObject) -> (Self, ImportKey) {
        let mut exports = ExportTable::default();
        exports.insert_root(root);
        let mut imports = ImportTable::default();
        let peer_root = imports.insert_root(ObjectId {
            boot: config.peer_boot,
            number: LocalObject::ROOT,
        });
        let credit = Credit {
            calls: config.limits.one_way_calls.into(),
            bytes: config.limits.one_way_bytes.into(),
        };
        let session = Self {
            lanes: (0..=config.lanes).map(|_| Lane::default()).collect(),
            config,
            credit,
            dirty: 0,
            events: VecDeque::new(),
            tags: Vec::new(),
            exports,
            imports,
            calls: CallTable::default(),
            serving: ServingTable::default(),
            links: DeathLinks::default(),
            bulk: Bulk::default(),
            clock: None,
            acks_due: None,
            watch: SlowWatch::default(),
            introductions: Introductions::default(),
            unsent_replies: 0,
            forged_replies: 0,
            peer_leaving: false,
            leaving: false,
            closed: None,
        };
        (session, peer_root)
    }

    // Getters.

    /// What the session was begun with.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Why it ended, if it has.
    pub fn closed(&self) -> Option<DeathReason> {
        self.closed
    }

    /// Whether we have said that we begin nothing new.
    pub fn is_leaving(&self) -> bool {
        self.leaving
    }

    /// How much it holds.
    pub fn usage(&self) -> Usage {
        Usage {
            exports: self.exports.len(),
            imports: self.imports.len(),
            calls: self.calls.len(),
            serving: self.serving.len(),
            links: self.links.len(),
            bulk: self.bulk.len(),
            obituaries: self.imports.obituaries(),
        }
    }

    /// Calls of ours that wait for their answers.
    pub fn open_calls(&self) -> u32 {
        self.calls.open()
    }

    /// Bytes of bulk bodies that wait for their headers.
    pub fn early_bytes(&self) -> usize {
        self.bulk.early_bytes()
    }

    /// Whether no call is under way in either direction and everything has been given to the link.
    pub fn is_idle(&self) -> bool {
        self.calls.open() == 0
            && self.serving.len() == 0
            && !self.bulk.is_sending()
            && self.lanes.iter().all(Lane::is_empty)
    }

    /// Whether the peer holds a grant of something that `matches`.
    pub fn exports(&self, matches: impl Fn(&LocalObject) -> bool) -> bool {
        self.exports.holds(matches)
    }

    /// Why an imported object is dead, if it is.
    pub fn import_death(&self, key: ImportKey) -> Option<DeathReason> {
        self.imports.get(key).and_then(|import| import.dead)
    }

    /// A stub of ours that the peer names by its handle, if it holds it. Its way in is not one of those.
    ///
    /// # Errors
    /// It guesses handles; the session is to be closed.
    pub fn exported(&mut self, handle: Handle) -> Result<Option<LocalObject>, PeerFault> {
        if handle.index() == Handle::SAMGR.index() || self.closed.is_some() {
            return Ok(None);
        }
        self.exports.lookup(handle)?;
        Ok(self
            .exports
            .find_mut(handle)
            .map(|export| export.object.clone()))
    }

    /// What the peer calls an object that it granted us.
    pub fn import_handle(&self, key: ImportKey) -> Option<Handle> {
        self.imports.get(key).map(|import| import.handle)
    }

    /// Whether the caller of a request that is being served still waits for its reply.
    pub fn is_awaited(&mut self, serving: ServingId) -> bool {
        self.serving
            .get_mut(serving)
            .is_some_and(|served| served.call.is_some() && !served.replied)
    }

    /// When the caller of a request that is being served stops waiting.
    pub fn deadline_of(&mut self, serving: ServingId) -> Option<Instant> {
        self.serving.get_mut(serving)?.deadline
    }

    /// Whether a place in the import table is taken.
    pub fn has_import(&self, key: ImportKey) -> bool {
        self.imports.get(key).is_some()
    }

    /// Whether a handler is to stop, or has already ended.
    pub fn is_stopped(&mut self, serving: ServingId) -> bool {
        self.serving
            .get_mut(serving)
            .is_none_or(|served| served.stopped)
    }

    /// How many bytes the header of a bulk stream has announced, if it has come and the rest has not.
    pub fn announced(&self, bulk: u64) -> Option<usize> {
        self.bulk.announced(bulk)
    }

    /// How many tags are wanted. Give them before the next command that may grant something.
    pub fn tags_wanted(&self) -> usize {
        Self::TAGS.saturating_sub(self.tags.len())
    }

    // Commands. Those that send are in `sending`.

    /// A random tag of 40 bits for an export.
    pub fn add_tag(&mut self, tag: u64) {
        self.tags.push(tag);
    }

    /// The outcome of a call, once; `None` while it is under way.
    pub fn take_outcome(&mut self, id: CallId) -> Option<Outcome> {
        self.calls.take(id)
    }

    /// Asks to be told of an object's death.
    ///
    /// # Errors
    /// The rule or limit that forbids it.
    pub fn link_to_death(&mut self, key: ImportKey) -> Result<LinkId, LinkToDeathError> {
        let import = self.imports.get(key).ok_or(LinkToDeathError::DeadObject)?;
        self.links
            .link(self.config.scope, key, import, &self.config.quotas)
    }

    /// Takes that back; whether it was still there.
    pub fn unlink_to_death(&mut self, key: ImportKey, link: LinkId) -> bool {
        self.links.unlink(key, link)
    }

    /// One of ours uses an imported object no longer.
    pub fn drop_hold(&mut self, key: ImportKey) {
        if let Some(Dropped {
            handle,
            received,
            homes,
            key,
        }) = self.imports.drop_hold(key)
        {
            self.links.take(key);
            if received > 0 {
                self.send_release(Release {
                    handle,
                    count: received,
                    homes,
                });
            }
        }
    }

    /// Stubs of ours that `matches` picks are dead; the peer is told of each it holds.
    pub fn kill(&mut self, reason: DeathReason, matches: impl Fn(&LocalObject) -> bool) {
        for (handle, granted) in self.exports.kill(reason, matches) {
            self.send_control(Control::Obituary(Obituary {
                handle,
                granted,
                reason,
            }));
        }
    }

    /// Says that we begin nothing new; the peer's new calls are refused from here on.
    pub fn go_away(&mut self, code: u32, text: &str) {
        if !self.leaving {
            self.leaving = true;
            let text = text.chars().take(MAX_TEXT).collect();
            self.send_control(Control::GoAway(GoAway { code, text }));
        }
    }

    /// Ends the session: the lease of everything in it. Pending calls end as indeterminate, every import dies with
    /// `reason`, every export is released.
    pub fn close(&mut self, reason: DeathReason) {
        if self.closed.is_some() {
            return;
        }
        self.closed = Some(reason);
        for serving in self.serving.close() {
            self.stop(serving);
        }
        for pending in self.bulk.clear() {
            match pending {
                Pending::Call(incoming, _) => self.discard(*incoming),
                Pending::Reply {
                    objects,
                    introductions,
                    ..
                } => {
                    self.forget_redemption(introductions);
                    self.undeliver(objects);
                }
            }
        }
        self.end_redemptions();
        for export in self.exports.clear() {
            self.drop_export(export);
        }
        let events = &mut self.events;
        self.calls
            .close(|id| events.push_back(Event::CallEnded(id)));
        for (key, reason) in self.imports.close(reason) {
            let links = self.links.take(key);
            self.events.push_back(Event::Died { key, reason, links });
        }
        for lane in 1..self.lanes.len() as u16 {
            self.events.push_back(Event::Credit { lane });
        }
        for lane in &mut self.lanes {
            let descriptors = std::mem::take(lane).descriptors.into_all();
            self.events.extend(descriptors.map(Event::Close));
        }
        self.unsent_replies = 0;
        self.acks_due = None;
        self.dirty = 0;
    }

    // Outputs.

    /// What to do next outside the lock.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// The next bulk stream to write; tell its end with [`bulk_sent`](Self::bulk_sent).
    pub fn poll_bulk(&mut self) -> Option<OutgoingBulk> {
        self.bulk.next(self.config.limits.bulk_streams)
    }

    /// A bulk stream of ours is written or given up: another may open.
    pub fn bulk_sent(&mut self) {
        self.bulk.sent();
    }

    /// The lanes, a bit each, on which something has been queued since the last time; the control lane is bit 0.
    pub fn take_dirty_lanes(&mut self) -> u128 {
        std::mem::take(&mut self.dirty)
    }

    /// Whether anything waits on a lane.
    pub fn has_transmit(&self, lane: u16) -> bool {
        self.lanes
            .get(usize::from(lane))
            .is_some_and(|lane| !lane.is_empty())
    }

    /// Swaps what waits on a lane with `into`, which should be empty; leaves `into` empty when nothing waits.
    pub fn poll_transmit(&mut self, lane: u16, into: &mut BytesMut) {
        if let Some(lane) = self.lanes.get_mut(usize::from(lane)) {
            self.unsent_replies -= lane.take(into);
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) is next due; it may turn out that nothing was.
    pub fn poll_timeout(&self) -> Option<Instant> {
        [
            self.calls.earliest(),
            self.serving.earliest(),
            self.bulk.earliest(),
            self.acks_due,
            self.watch.next(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    fn queue(&mut self, lane: u16, frame: &Frame) {
        if self.closed.is_none() {
            frame.encode(self.lanes[usize::from(lane)].out());
            self.touch(lane);
        }
    }

    fn touch(&mut self, lane: u16) {
        self.dirty |= 1 << lane;
    }

    /// Whether the peer may pass on what comes from other devices.
    fn takes_relayed(&self) -> bool {
        self.config.scope == Scope::SameDevice
            && self.config.peer_is_host
            && self.config.features & feature::RELAY != 0
    }

    /// Which lane calls of an object of the peer use, while we hold it.
    pub(crate) fn lane_of_import(&self, key: ImportKey) -> Option<u16> {
        Some(self.lane_of(self.imports.get(key)?.handle))
    }

    /// How many one-way calls we have sent on a lane, and how many of them the peer says have ended.
    pub(crate) fn one_way_calls(&self, lane: u16) -> (u64, u64) {
        self.lanes[usize::from(lane)].one_way_calls()
    }

    fn lane_of(&self, handle: Handle) -> u16 {
        lanes::lane_of(handle, self.config.lanes)
    }
}
