//! Deaths: who may watch, who is told, and why.

use std::collections::BTreeMap;

use proto::message::DeathReason;
use rpc::LinkToDeathError;

use super::{Rule, Verdict, World, require};
use crate::log::{Event, Place, Reference};

#[derive(Debug, Default)]
pub(super) struct Deaths {
    watches: BTreeMap<u32, Watch>,
    /// Watches that were told in this moment: the reason may be written down a little later.
    told: Vec<(u32, DeathReason)>,
}

#[derive(Debug)]
struct Watch {
    at: Place,
    of: Reference,
    since: u64,
    told: bool,
    /// Set when it was taken back: whether in time.
    ended: Option<bool>,
}

impl Deaths {
    pub(super) fn see(&mut self, world: &World, event: &Event) -> Verdict {
        match event {
            Event::Watched {
                watch,
                at,
                of,
                result,
            } => {
                let rule = if of.proxy.is_none() {
                    Err(LinkToDeathError::LocalStub)
                } else if of.dead.is_some() {
                    Err(LinkToDeathError::DeadObject)
                } else if of.registration.is_none() {
                    Err(LinkToDeathError::AnonymousStub)
                } else {
                    Ok(())
                };
                require(*result == rule, Rule::Watching, || {
                    format!("{at} watches {of}: {result:?}, the rules say {rule:?}")
                })?;
                if result.is_ok() {
                    let new = Watch {
                        at: *at,
                        of: *of,
                        since: world.now,
                        told: false,
                        ended: None,
                    };
                    self.watches.insert(*watch, new);
                }
            }
            Event::Unwatched(number, in_time) => {
                if let Some(watch) = self.watches.get_mut(number) {
                    watch.ended = Some(*in_time);
                    require(*in_time != watch.told, Rule::DeathNotice, || {
                        format!("watch {number} ended in time: {in_time}")
                    })?;
                }
            }
            Event::Told(number, reason) => {
                let watch = self.watches.get_mut(number);
                let due = watch.is_some_and(|watch| {
                    !std::mem::replace(&mut watch.told, true) && watch.ended.is_none()
                });
                require(due, Rule::DeathNotice, || {
                    format!("watch {number} is told again, or after its end")
                })?;
                self.told.push((*number, *reason));
            }
            Event::Remains { watch, dead } => self.remains(world, *watch, *dead)?,
            _ => {}
        }
        Ok(())
    }

    /// Everything has had its time: what is dead is known, and who wanted to know has been told.
    fn remains(&self, world: &World, number: u32, dead: Option<DeathReason>) -> Verdict {
        let Some(watch) = self.watches.get(&number) else {
            return Ok(());
        };
        require(watch.told == dead.is_some(), Rule::DeathNotice, || {
            format!("watch {number} told: {}, dead: {dead:?}", watch.told)
        })?;
        let died = world.is_dead(&watch.of);
        require(!died || dead.is_some(), Rule::DeathNotice, || {
            format!("watch {number} does not know of a death")
        })
    }

    /// What was told at the last moment is true.
    pub(super) fn explain(&mut self, world: &World) -> Verdict {
        for (number, reason) in std::mem::take(&mut self.told) {
            let Some(watch) = self.watches.get(&number) else {
                continue;
            };
            let object = world.objects.get(&watch.of.object);
            let registration = watch.of.registration;
            let registration = registration.and_then(|number| world.registrations.get(&number));
            let home = world.owner(&watch.of).device;
            let true_reason = match reason {
                DeathReason::Revoked => object.is_some_and(|object| object.revoked),
                DeathReason::ServiceRemoved => {
                    registration.is_some_and(|registration| registration.until.is_some())
                }
                DeathReason::DeviceUnreachable | DeathReason::ProcessDied => {
                    world.lost_since(watch.since, watch.at.device, home)
                }
                DeathReason::AccessRevoked => {
                    let one = watch.at.device;
                    world.distrusted_since(watch.since, one, home)
                        || world.distrusted_since(watch.since, home, one)
                }
                _ => false,
            };
            require(true_reason, Rule::DeathNotice, || {
                format!("watch {number} is told what is not so: {reason}")
            })?;
        }
        Ok(())
    }
}
