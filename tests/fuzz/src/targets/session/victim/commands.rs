//! What the victim does itself, as far as the contract of a session lets its driver.

use std::time::Duration;

use bytes::Bytes;
use proto::{frame::Status, message::DeathReason};
use softbus_rpc::{
    fuzzing::same,
    session::{Answer, Body, CallRequest, Context, Outgoing, Scope},
};

use super::{super::super::Input, Victim};

static BIG: [u8; 40_000] = [0; 40_000];

impl Victim {
    pub(in super::super) fn commands(&mut self, input: &mut Input<'_>) {
        for _ in 0..self.session.tags_wanted() {
            self.tags += 1;
            self.session.add_tag(self.tags);
        }
        match input.u8() % 16 {
            0..=4 => self.calls(input),
            5..=7 => self.answers(input),
            8 => self.takes(input),
            9 => self.abandons(input),
            10 => self.drops(input),
            11 => self.links(input),
            12 => {
                let which = input.below(self.stubs.len());
                if let Outgoing::Own(stub) = &self.stubs[which] {
                    self.session
                        .kill(DeathReason::Revoked, |other| same(other, stub));
                    self.queued += 64;
                }
            }
            13 => {
                if self.session.poll_bulk().is_some() && input.bool() {
                    self.session.bulk_sent();
                }
            }
            14 => self.session.bulk_sent(),
            _ => {
                if input.u8() == 0 {
                    self.session.go_away(1, "bye");
                }
            }
        }
    }

    fn calls(&mut self, input: &mut Input<'_>) {
        let target = match input.u8() {
            0..=99 => self.root,
            index => *pick(&self.held, index.into()).unwrap_or(&self.root),
        };
        let one_way = input.bool();
        let wait = input
            .bool()
            .then(|| Duration::from_millis(input.u8().into()));
        let depth = input.u8() % 3;
        let objects = self.objects(input);
        let (bytes, raw) = body(input);
        let request = CallRequest {
            target,
            code: 1,
            interface: None,
            one_way,
            idempotent: false,
            long_poll: false,
            context: Context {
                deadline: wait.map(|wait| self.now + wait),
                chain: 1,
                depth,
                trace: None,
            },
            behalf: None,
            body: Body {
                parts: [bytes, &[]],
                raw: raw.as_ref(),
            },
            objects: &objects,
        };
        if let Ok(call) = self.session.start_call(self.now, &request) {
            self.queued += 4096 + bytes.len();
            self.calls.extend(call);
        }
    }

    fn objects(&self, input: &mut Input<'_>) -> Vec<Outgoing> {
        let count = input.below(4);
        let object = |_| match input.u8() {
            0..=20 => Outgoing::Null,
            index @ 21..=200 => self.stubs[usize::from(index) % self.stubs.len()].clone(),
            // As the passing rules let it.
            index => pick(&self.held, index.into())
                .filter(|_| self.session.config().scope == Scope::SameDevice)
                .filter(|key| self.session.import_death(**key).is_none())
                .map_or(Outgoing::Null, |key| Outgoing::Home(*key)),
        };
        (0..count).map(object).collect()
    }

    fn answers(&mut self, input: &mut Input<'_>) {
        if self.serving.is_empty() {
            return;
        }
        let serving = self.serving.swap_remove(input.below(self.serving.len()));
        let objects = self.objects(input);
        let (bytes, raw) = body(input);
        let answer = if !input.u8().is_multiple_of(4) {
            Answer::Parcel {
                body: Body {
                    parts: [bytes, &[]],
                    raw: raw.as_ref(),
                },
                objects: &objects,
            }
        } else {
            Answer::Error {
                status: Status::Panicked,
                extensions: Default::default(),
            }
        };
        self.queued += 4096 + bytes.len();
        self.session.finish(serving, &answer);
    }

    fn takes(&mut self, input: &mut Input<'_>) {
        if self.ended.is_empty() {
            return;
        }
        let id = self.ended.swap_remove(input.below(self.ended.len()));
        self.take(id);
    }

    fn abandons(&mut self, input: &mut Input<'_>) {
        if !self.calls.is_empty() {
            let id = self.calls.swap_remove(input.below(self.calls.len()));
            self.session.abandon(id);
            self.queued += 64;
        }
    }

    fn drops(&mut self, input: &mut Input<'_>) {
        if !self.held.is_empty() {
            let key = self.held.swap_remove(input.below(self.held.len()));
            self.session.drop_hold(key);
            self.queued += 64;
        }
    }

    fn links(&mut self, input: &mut Input<'_>) {
        if input.bool() {
            if let Some((key, link)) = self.links.pop() {
                self.session.unlink_to_death(key, link);
            }
        } else if let Some(&key) = pick(&self.held, input.u8().into())
            && let Ok(link) = self.session.link_to_death(key)
        {
            self.links.push((key, link));
        }
    }
}

fn pick<T>(from: &[T], index: usize) -> Option<&T> {
    from.get(index % from.len().max(1))
}

/// Bytes of a body and raw data: mostly small, sometimes too long for a lane.
fn body(input: &mut Input<'_>) -> (&'static [u8], Option<Bytes>) {
    let len = match input.u8() {
        small @ 0..=250 => usize::from(small),
        _ => BIG.len(),
    };
    let raw = (input.u8() > 250).then(|| Bytes::from_static(&BIG));
    (&BIG[..len], raw)
}
