//! What a run asks of the network of datagrams.

use std::sync::Arc;

use async_trait::async_trait;
use certs::tls;
use quinn_proto::{Endpoint, EndpointConfig};
use ring::hmac;
use rpc::link::LinkClosed;
use std::collections::BTreeMap;

use super::{Host, QuicNetwork, address, client, server};
use crate::{
    carrier::{Carrier, Numbered},
    log::{Event, Place},
    network::{TICK, Transfer},
    simulation::Due,
};

#[async_trait]
impl Carrier for QuicNetwork {
    fn start(&self, place: Place) {
        let mut state = self.state();
        state.refusing.remove(&place.device);
        if state.looking.insert(place.device) {
            let at = self.calendar.now() + TICK;
            let tie = state.random.next();
            self.calendar.add(at, tie, Due::Look(place.device));
        }
        let mut seed = [0; 32];
        for part in seed.chunks_exact_mut(8) {
            part.copy_from_slice(&state.random.next().to_le_bytes());
        }
        // The same for each start of a device, as nodes have it: so peers learn that it has been started again.
        let reset = hmac::Key::new(hmac::HMAC_SHA256, &[place.device; 32]);
        let mut config = EndpointConfig::new(Arc::new(reset));
        config.rng_seed(Some(seed));
        let server = Arc::new(server(place.device));
        let host = Host {
            place,
            endpoint: Endpoint::new(Arc::new(config), Some(server), true, None),
            ends: BTreeMap::new(),
        };
        state.hosts.insert(place.device, host);
    }

    fn address(&self, device: u8) -> u32 {
        let state = self.state();
        state.addresses.get(&device).copied().unwrap_or_default()
    }

    async fn connected(&self, link: u32) -> bool {
        loop {
            let changed = {
                let state = self.state();
                let end = &state.ends[link as usize];
                if end.connected || end.closed.is_some() {
                    return end.closed.is_none();
                }
                Arc::clone(&end.changed).notified_owned()
            };
            changed.await;
        }
    }

    fn dial(&self, from: Place, to: u8, place: u32) -> Numbered {
        let state = &mut *self.state();
        let host = state.hosts.get_mut(&from.device);
        let host = host.expect("who dials has been started");
        let connected = host.endpoint.connect(
            self.calendar.time(),
            client(from.device, to),
            address(to, place),
            tls::SERVER_NAME,
        );
        let (handle, connection) = connected.expect("the address is one");
        let number = self.add(state, from, to, true, handle, connection);
        self.flush(state, number);
        self.link(number).expect("who asks keeps the network")
    }

    fn perform(&self, transfer: Transfer) -> Vec<u32> {
        match transfer {
            Transfer::Datagram { from, to, bytes } => self.arrives(from, to, bytes),
            Transfer::Timer { link, at } => {
                let state = &mut *self.state();
                let end = &mut state.ends[link as usize];
                if end.timer == Some(at) && state.still.contains(&end.place.device) {
                    let (later, tie) = (self.calendar.now() + TICK, state.random.next());
                    let timer = Transfer::Timer { link, at };
                    self.calendar.add(later, tie, Due::Network(timer));
                } else if end.timer == Some(at) {
                    end.timer = None;
                    end.connection.handle_timeout(self.calendar.time());
                    self.flush(state, link);
                }
            }
            _ => {}
        }
        std::mem::take(&mut self.state().knocks)
    }

    fn devices(&self, link: u32) -> [u8; 2] {
        let state = self.state();
        let end = &state.ends[link as usize];
        [end.peer, end.place.device]
    }

    fn answer(&self, link: u32, _: Place) -> Option<Numbered> {
        self.link(link)
    }

    fn cut(&self, from: u8, to: u8) {
        if self.state().cuts.insert((from, to)) {
            self.journal.record(Event::Cut(from, to));
        }
    }

    fn heal(&self, from: u8, to: u8) {
        if self.state().cuts.remove(&(from, to)) {
            self.journal.record(Event::Healed(from, to));
        }
    }

    fn cuts(&self) -> Vec<(u8, u8)> {
        self.state().cuts.iter().copied().collect()
    }

    /// A connection of QUIC breaks by silence alone.
    fn live(&self) -> Vec<u32> {
        Vec::new()
    }

    fn break_link(&self, _: u32) {}

    fn received(&self, link: u32, _: u8) -> u64 {
        let state = self.state();
        state.ends[link as usize]
            .connection
            .stats()
            .udp_rx
            .datagrams
    }

    /// Lanes are opened by the end that dialled, when it has heard Welcome.
    fn before_welcome(&self, _: u32, _: u8) -> Option<u64> {
        None
    }

    fn is_silent(&self, _: u32, _: u8) -> bool {
        true
    }

    /// Datagrams may be of any connection.
    fn is_quiet(&self, _: u32) -> bool {
        false
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

    fn move_away(&self, device: u8) {
        let state = &mut *self.state();
        *state.addresses.entry(device).or_default() += 1;
        self.journal.record(Event::Moved(device));
        for number in 0..state.ends.len() {
            let end = &mut state.ends[number];
            if end.place.device == device && end.closed.is_none() {
                end.connection.local_address_changed();
                self.flush(state, number as u32);
            }
        }
    }

    fn hold(&self, device: u8) {
        if self.state().still.insert(device) {
            self.journal.record(Event::StandsStill(device));
        }
    }

    fn go_on(&self, device: u8) {
        let state = &mut *self.state();
        if !state.still.remove(&device) {
            return;
        }
        self.journal.record(Event::GoesOn(device));
        for (from, to, bytes) in std::mem::take(&mut state.waiting) {
            let at = self.calendar.now() + state.random.within(&state.weather.latency.clone());
            let tie = state.random.next();
            let datagram = Transfer::Datagram { from, to, bytes };
            self.calendar.add(at, tie, Due::Network(datagram));
        }
    }

    fn held(&self) -> Vec<u8> {
        self.state().still.iter().copied().collect()
    }

    fn crash(&self, place: Place, host_answers: bool) {
        let mut state = self.state();
        if host_answers {
            state.refusing.insert(place.device);
        }
        state.hosts.remove(&place.device);
        for end in state.ends.iter_mut().filter(|end| end.place == place) {
            end.timer = None;
            end.close(LinkClosed::ByUs);
        }
    }
}
