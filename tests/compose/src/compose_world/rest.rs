//! When what has happened on a ground is over.
//!
//! A device that was killed is online to the others until they have missed it, or until it comes again and its new session replaces the
//! old one: what a scenario did in the old one would be lost with it. The same goes for who was cut off a moment ago, and for who was
//! not trusted.

use softbus::presence::Presence;
use testkit::{wait::wait_until, world::node::NodeDevice};

use super::process;
use crate::{
    ComposeError,
    ground::{Ground, SOON},
};

/// Starts all that do not run, and waits until each two of them have a session that will stay.
pub(super) fn rest(ground: &Ground) -> Result<(), ComposeError> {
    let places = 0..ground.len();
    for place in places.clone() {
        ground.start(place)?;
    }
    let mut processes = Vec::new();
    for place in places {
        let process = process(ground.socket(place)).ok_or(ComposeError::NoBus { place })?;
        processes.push(process);
    }
    let mut apart = Vec::new();
    let rested = wait_until(SOON, || {
        apart = processes.iter().flat_map(|it| away(ground, it)).collect();
        apart.is_empty()
    });
    match rested {
        true => Ok(()),
        false => Err(ComposeError::NotRested { apart }),
    }
}

/// Who is not online to a device, and what is.
///
/// One look at both ends of a session is enough. Who started later is online to nobody in a session of before, and sees the others in a
/// new one only, which by then has replaced the old one at the other end. And who is about to be missed has been quiet for a while:
/// that is `Suspect`, and not `Online`.
fn away(ground: &Ground, process: &NodeDevice) -> Vec<String> {
    let known = process.node().devices();
    let id = process.node().device_id();
    let others = (0..ground.len()).map(|place| ground.id(place));
    let others = others.filter(|other| *other != id);
    others
        .filter_map(|other| {
            let device = known.iter().find(|device| device.id == other);
            let presence = device.map(|device| device.presence.clone());
            (presence != Some(Presence::Online))
                .then(|| format!("{id:?} sees {other:?} as {presence:?}"))
        })
        .collect()
}
