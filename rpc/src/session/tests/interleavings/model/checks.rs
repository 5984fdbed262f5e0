//! What has to hold after each step, and when everything has ended.

use super::*;

impl World {
    /// Everything that is under way comes to its end, and everybody lets go of everything.
    pub(in super::super) fn settle(&mut self) {
        for _ in 0..200 {
            self.pair.drive();
            self.absorb();
            self.check();
            for end in [A, B] {
                while !self.apps[end].running.is_empty() {
                    self.finish(
                        end,
                        0,
                        false,
                        &Parcel {
                            objects: Vec::new(),
                            raw: false,
                        },
                    );
                    self.absorb();
                }
                let calls: Vec<_> = self.apps[end].calls.keys().copied().collect();
                for id in calls {
                    self.take_call(end, id);
                }
                while !self.apps[end].holds.is_empty() {
                    self.drop_hold(end, 0);
                }
            }
            self.pair.pass(Duration::from_secs(1));
            self.absorb();
        }
        self.messages.clear();
        for end in [A, B] {
            self.pair.ends[end].killed.clear();
            self.apps[end].owners.clear();
        }
        for end in [A, B] {
            self.assert_ended(end);
        }
    }

    fn assert_ended(&self, end: usize) {
        let app = &self.apps[end];
        assert!(
            app.calls.is_empty(),
            "every call has ended: {:?}",
            app.calls
        );
        let expected = if self.closed {
            Usage {
                exports: 0,
                ..FLOOR
            }
        } else {
            FLOOR
        };
        assert_eq!(self.pair.usage(end), expected, "what {end} holds");
        assert!(self.pair.ends[end].session.is_idle());
        for stub in &app.stubs {
            assert_eq!(
                Arc::strong_count(&stub.object.stub),
                1,
                "nobody keeps a stub of {end}"
            );
        }
        if !self.closed {
            assert!(
                self.pair.no_one_way_open(end),
                "the credit of {end} is whole"
            );
            let ran = self.apps[1 - end].one_way_ran;
            assert_eq!(
                app.one_way_sent,
                ran + app.one_way_refused,
                "one-way calls of {end}"
            );
        }
    }

    /// What holds after every step.
    pub(super) fn check(&mut self) {
        for end in [A, B] {
            assert_eq!(self.pair.ends[end].fault, None, "fault seen by {end}");
            if self.closed {
                continue;
            }
            for key in &self.apps[end].holds {
                let handle = self.pair.handle(end, *key);
                let exports = &mut self.pair.ends[1 - end].session.exports;
                assert!(
                    exports.find_mut(handle).is_some(),
                    "{handle:?} is held and was freed"
                );
            }
        }
    }
}
