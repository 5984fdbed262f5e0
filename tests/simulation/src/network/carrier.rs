//! What a run asks of the network of frames.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use rpc::link::LinkClosed;
use tokio::sync::mpsc;

use super::{Connection, KEEP_ALIVE, Network, REPEATED, Transfer};
use crate::{
    carrier::{Carrier, Numbered},
    log::{Event, Place},
};

#[async_trait]
impl Carrier for Network {
    fn start(&self, place: Place) {
        self.state().refusing.remove(&place.device);
    }

    fn address(&self, device: u8) -> u32 {
        let state = self.state();
        state.addresses.get(&device).copied().unwrap_or_default()
    }

    async fn connected(&self, link: u32) -> bool {
        loop {
            let told = {
                let state = self.state();
                let link = &state.links[link as usize];
                if link.is_closed(0) || link.connected {
                    return !link.is_closed(0);
                }
                Arc::clone(&link.hung_up[0]).notified_owned()
            };
            told.await;
        }
    }

    fn dial(&self, from: Place, to: u8, address: u32) -> Numbered {
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
            address,
            severed: false,
            connected: false,
            received: [0; 2],
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
                if state.is_blocked(link, 0) {
                    let at = self.calendar.now() + state.random.within(&REPEATED);
                    self.schedule(state, at, Transfer::Knock(link));
                    return Vec::new();
                }
                let connection = &state.links[link as usize];
                let to = connection.devices[1];
                let there = state.addresses.get(&to).copied().unwrap_or_default();
                let open = !connection.is_closed(0) && connection.address == there;
                return open.then_some(link).into_iter().collect();
            }
            Transfer::Connected(link) => {
                let state = &mut *self.state();
                if state.is_blocked(link, 1) {
                    let at = self.calendar.now() + state.random.within(&REPEATED);
                    self.schedule(state, at, Transfer::Connected(link));
                    return Vec::new();
                }
                state.links[link as usize].connected = true;
                state.links[link as usize].hung_up[0].notify_waiters();
            }
            Transfer::Frame { link, lane, from } => self.frame_arrives(link, lane, from),
            Transfer::Piece { link, id, from } => self.piece_arrives(link, id, from),
            Transfer::Hangup { link, to, closed } => {
                let state = &mut *self.state();
                let receiver = state.links[link as usize].devices[to];
                let own = matches!(closed, LinkClosed::Failed(_));
                if !own && state.still.contains(&receiver) {
                    // It waits there.
                    let at = self.calendar.now() + state.random.within(&REPEATED);
                    let hangup = Transfer::Hangup { link, to, closed };
                    self.schedule(state, at, hangup);
                } else if own || !state.is_blocked(link, 1 - to) {
                    // A goodbye is said once, and is not repeated.
                    state.links[link as usize].close(to, closed);
                }
            }
            Transfer::Silence { link, at, since } => {
                let state = &mut *self.state();
                let here = state.links[link as usize].devices[at];
                if state.links[link as usize].silent_since[at] != Some(since) {
                    return Vec::new();
                }
                if state.still.contains(&here) {
                    // Who stands still notices nothing.
                    state.links[link as usize].silent_since[at] = None;
                } else {
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
        let at = self.calendar.now() + state.latency();
        self.schedule(&mut state, at, Transfer::Connected(link));
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
        self.unstick_all(&mut state);
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

    /// Nobody asks and answers here as keep-alive packets do, so they are counted as if they had come.
    fn received(&self, link: u32, device: u8) -> u64 {
        let (state, now) = (self.state(), self.calendar.now());
        let link = &state.links[link as usize];
        let end = usize::from(link.devices[0] != device);
        let heard = link.silent_since[end].unwrap_or(now);
        link.received[end] + heard / KEEP_ALIVE
    }

    fn before_welcome(&self, link: u32, device: u8) -> Option<u64> {
        Some(self.received(link, device))
    }

    fn is_silent(&self, link: u32, device: u8) -> bool {
        let state = self.state();
        let link = &state.links[link as usize];
        let end = usize::from(link.devices[0] != device);
        link.silent_since[end].is_some()
    }

    fn is_quiet(&self, link: u32) -> bool {
        let state = self.state();
        let link = &state.links[link as usize];
        let lanes = link.lanes.values().all(|lane| lane.under_way.is_empty());
        lanes
            && link
                .streams
                .values()
                .all(|stream| stream.under_way.is_empty())
    }

    fn looked(&self, device: u8) {
        self.state().looking.remove(&device);
    }

    fn refuses(&self, from: u8, to: u8) -> bool {
        let state = self.state();
        let cut = [(from, to), (to, from)]
            .iter()
            .any(|way| state.cuts.contains(way));
        state.refusing.contains(&to) && !cut && !state.still.contains(&from)
    }

    /// What the device has dialled goes on from its new address. What it was dialled on has lost it.
    fn move_away(&self, device: u8) {
        let mut state = self.state();
        *state.addresses.entry(device).or_default() += 1;
        self.journal.record(Event::Moved(device));
        for link in &mut state.links {
            link.severed |= link.devices[1] == device;
        }
        self.listen_all(&mut state);
    }

    fn hold(&self, device: u8) {
        let mut state = self.state();
        if state.still.insert(device) {
            self.journal.record(Event::StandsStill(device));
            self.listen_all(&mut state);
        }
    }

    fn go_on(&self, device: u8) {
        let mut state = self.state();
        if !state.still.remove(&device) {
            return;
        }
        self.journal.record(Event::GoesOn(device));
        for link in 0..state.links.len() as u32 {
            let connection = &state.links[link as usize];
            let Some(to) = connection.devices.iter().position(|one| *one == device) else {
                continue;
            };
            if connection.is_closed(1 - to) && !connection.is_closed(to) {
                // Who has given it up does not know it any more.
                let at = self.calendar.now() + state.latency();
                let closed = LinkClosed::Reset;
                let hangup = Transfer::Hangup { link, to, closed };
                self.schedule(&mut state, at, hangup);
            }
        }
        self.unstick_all(&mut state);
        self.listen_all(&mut state);
    }

    fn held(&self) -> Vec<u8> {
        self.state().still.iter().copied().collect()
    }

    fn crash(&self, place: Place, host_answers: bool) {
        let mut state = self.state();
        let refuses = host_answers && state.random.percent(50);
        if refuses {
            state.refusing.insert(place.device);
        }
        let host_answers = host_answers && !refuses;
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
