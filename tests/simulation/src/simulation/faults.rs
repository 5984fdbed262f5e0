//! What is broken on purpose.

use super::{Due, Simulation};
use crate::log::Event;

impl Simulation {
    pub(super) fn fault(&mut self) {
        match self.random.below(10) {
            0..3 => self.break_a_connection(),
            3..5 => self.cut(true),
            5..7 => self.cut(false),
            _ => self.crash(),
        }
    }

    fn break_a_connection(&mut self) {
        if let Some(link) = self.random.pick(&self.shared.network.live()) {
            self.shared.network.break_link(*link);
        }
    }

    /// Nothing passes for a while between two devices, in both directions or in one.
    fn cut(&mut self, both: bool) {
        let devices = u64::from(self.setting.devices);
        let from = self.random.below(devices) as u8;
        let to = (u64::from(from) + 1 + self.random.below(devices - 1)) % devices;
        let to = to as u8;
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
        let now = self.shared.now();
        for ((of, _), standing) in self.shared.services().iter_mut() {
            if *of == device {
                standing.iter_mut().for_each(|one| {
                    one.end(now);
                });
            }
        }
        application.node.crash();
        application.let_go();
        application.stop();
        self.shared.network.crash(place, host_answers);
        self.soon(8000, Due::Restart(device));
    }
}
