//! What is broken on purpose.

use std::sync::Arc;

use rpc::limits;

use super::{Due, Simulation, TO_BE_HEARD};
use crate::{application::Application, log::Event};

impl Simulation {
    pub(super) fn fault(&mut self) {
        match self.random.below(16) {
            0..3 => self.break_a_connection(),
            3..5 => self.cut(true),
            5..7 => self.cut(false),
            7..10 => self.crash(),
            10..12 => self.leave(),
            12..14 => self.distrust(),
            14 => self.move_away(),
            _ => self.stand_still(),
        }
    }

    /// What is broken is mended.
    pub(super) fn mend(&mut self) {
        for (from, to) in self.shared.network.cuts() {
            self.shared.network.heal(from, to);
        }
        for device in self.shared.network.held() {
            self.shared.network.go_on(device);
        }
        let distrusted = self.shared.distrusted().clone();
        for (by, of) in distrusted {
            self.trust(by, of);
        }
    }

    /// Two different devices.
    fn two(&mut self) -> (u8, u8) {
        let devices = u64::from(self.setting.devices);
        let one = self.random.below(devices);
        let other = (one + 1 + self.random.below(devices - 1)) % devices;
        (one as u8, other as u8)
    }

    fn break_a_connection(&mut self) {
        if let Some(link) = self.random.pick(&self.shared.network.live()) {
            self.shared.network.break_link(*link);
        }
    }

    /// Nothing passes for a while between two devices, in both directions or in one.
    fn cut(&mut self, both: bool) {
        let (from, to) = self.two();
        let time = [300, 4000, 15_000][self.random.below(3) as usize];
        let ways = if both {
            vec![(from, to), (to, from)]
        } else {
            vec![(from, to)]
        };
        for (from, to) in ways {
            self.shared.network.cut(from, to);
            self.soon(time, Due::Heal(from, to));
        }
    }

    /// A device is gone without a word, and comes back.
    fn crash(&mut self) {
        let there: Vec<_> = self.applications.keys().copied().collect();
        let Some(device) = self.random.pick(&there).copied() else {
            return;
        };
        let host_answers = self.random.percent(50);
        let Some(application) = self.applications.remove(&device) else {
            return;
        };
        let place = application.node.place;
        application.node.record(Event::Crashed(place));
        self.end_of(device, &application, host_answers);
    }

    /// What a device was is no more; it starts again.
    fn end_of(&mut self, device: u8, application: &Application, host_answers: bool) {
        self.end_services(device);
        application.node.crash();
        application.let_go();
        application.stop();
        let place = application.node.place;
        self.shared.network.crash(place, host_answers);
        self.soon(8000, Due::Restart(device));
    }

    fn end_services(&self, device: u8) {
        let now = self.shared.now();
        for ((of, _), standing) in self.shared.services().iter_mut() {
            if *of == device {
                standing.iter_mut().for_each(|one| {
                    one.end(now);
                });
            }
        }
    }

    /// A device takes leave of the others, and comes back.
    fn leave(&mut self) {
        let there: Vec<_> = self.applications.keys().copied().collect();
        let Some(device) = self.random.pick(&there).copied() else {
            return;
        };
        let Some(application) = self.applications.remove(&device) else {
            return;
        };
        let node = Arc::clone(&application.node);
        node.record(Event::Leaves(node.place));
        tokio::spawn(async move { node.leave().await });
        self.leaving.insert(device, application);
        let at = self.shared.now() + limits::DRAIN_TIME.as_millis() as u64 + 1;
        self.shared.calendar.add(at, 0, Due::Gone(device));
    }

    /// It has taken leave.
    pub(super) fn gone(&mut self, device: u8) {
        if let Some(application) = self.leaving.remove(&device) {
            let place = application.node.place;
            application.node.record(Event::Gone(place));
            self.end_of(device, &application, false);
        }
    }

    /// A device trusts another one no longer, for a while or until all is mended.
    fn distrust(&mut self) {
        let (by, of) = self.two();
        let time = [300, 4000, 15_000, 60_000][self.random.below(4) as usize];
        if !self.shared.distrusted().insert((by, of)) {
            return;
        }
        self.shared.journal.record(Event::Distrusts(by, of));
        if let Some(application) = self.applications.get(&by) {
            application.node.trust_changed(of);
        }
        self.soon(time, Due::Trust(by, of));
    }

    pub(super) fn trust(&mut self, by: u8, of: u8) {
        if !self.shared.distrusted().remove(&(by, of)) {
            return;
        }
        self.shared.journal.record(Event::Trusts(by, of));
        if let Some(application) = self.applications.get(&by) {
            application.node.trust_changed(of);
        }
    }

    /// A device is at another address, and the others hear of it some time later.
    fn move_away(&mut self) {
        let there: Vec<_> = self.applications.keys().copied().collect();
        let Some(device) = self.random.pick(&there).copied() else {
            return;
        };
        self.shared.network.move_away(device);
        if let Some(application) = self.applications.get(&device) {
            application.node.network_changed();
        }
        for other in (0..self.setting.devices).filter(|other| *other != device) {
            self.soon(TO_BE_HEARD, Due::Heard(other, device));
        }
    }

    /// A device stands still for a while.
    fn stand_still(&mut self) {
        let there: Vec<_> = self.applications.keys().copied().collect();
        if let Some(device) = self.random.pick(&there).copied() {
            let time = [300, 4000, 15_000][self.random.below(3) as usize];
            self.shared.network.hold(device);
            self.soon(time, Due::GoOn(device));
        }
    }
}
