//! The scenarios that every world has to pass, on devices in containers.

use std::{future::Future, pin::Pin, sync::Arc, thread, time::Duration};

use softbus_compose::{compose_world::ComposeWorld, ground::Ground};

use crate::Failure;

type Run = for<'a> fn(&'a mut ComposeWorld) -> Pin<Box<dyn Future<Output = ()> + 'a>>;

pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    run: Run,
    /// Whether no other device may be there.
    fresh: bool,
}

/// Why a scenario of a list that is run here is not.
pub(crate) const LEFT_OUT: &[(&str, &str)] = &[
    (
        "calls::a_one_way_call_waits_for_room_or_says_busy",
        "the hosts of both buses have room for one-way calls too, so more of them fit than a queue has",
    ),
    (
        "introductions::an_introduction_that_is_given_up_lets_the_calls_behind_it_go",
        "a process hands one-way calls to the host of its bus, and does not wait while that one asks for tokens",
    ),
    (
        "introductions::a_home_that_the_receiver_does_not_trust_is_not_asked",
        "the host of a bus knows why an object is missing, and its processes are told only that it is",
    ),
    (
        "objects::a_stub_knows_who_holds_it",
        "a process's stub is held by the host of its bus, whoever has it of that one",
    ),
    (
        "loading::only_distributed_services_are_loaded_from_elsewhere",
        "a process starts services on demand for itself alone",
    ),
    (
        "watching::waits_do_not_hold_up_a_leave",
        "it looks at waits that the host of the bus serves",
    ),
    (
        "rebinding::a_rebinding_object_leaves_nothing_behind",
        "it looks at who holds a stub and at what is served: of a process, that is the host of its bus",
    ),
];

/// Those that a container with a history would spoil: who was there, or which rules its services had.
const FRESH: &[&str] = &[
    "services::a_registration_is_distributed_only_when_told",
    "watching::a_stranger_is_refused_alike",
    "faults::a_stranger_that_floods_hinders_nobody",
    "faults::who_is_known_is_found_without_multicast",
];

/// In the lab it is 80 s.
const DEADLINE: Duration = Duration::from_secs(100);

macro_rules! list {
    ($($module:ident :: $name:ident),* $(,)?) => {
        [$(Scenario {
            name: concat!(stringify!($module), "::", stringify!($name)),
            run: |world| Box::pin(testkit::scenarios::$module::$name(world)),
            fresh: false,
        }),*]
    };
}

macro_rules! names {
    ($($module:ident :: $name:ident),* $(,)?) => {
        [$(concat!(stringify!($module), "::", stringify!($name))),*]
    };
}

/// All that other worlds of nodes run and this one does not, and why.
pub(crate) fn left_out() -> Vec<(&'static str, &'static str)> {
    let mut all = LEFT_OUT.to_vec();
    let on_demand = testkit::scenarios_on_demand!(names);
    all.extend(
        on_demand.map(|name| (name, "a process starts services on demand for itself alone")),
    );
    all
}

/// What the bus does.
pub(crate) fn bus() -> Vec<Scenario> {
    let mut all: Vec<_> = testkit::scenarios!(list).into();
    all.extend(testkit::scenarios_of_devices!(list));
    // Here it matters who else is there.
    let nodes = testkit::scenarios_of_nodes!(list);
    all.extend(nodes.map(|scenario| Scenario {
        fresh: true,
        ..scenario
    }));
    all.retain(|scenario| LEFT_OUT.iter().all(|(name, _)| *name != scenario.name));
    for scenario in &mut all {
        scenario.fresh |= FRESH.contains(&scenario.name);
    }
    all
}

/// What happens to devices, and to the network between them.
pub(crate) fn faults() -> Vec<Scenario> {
    let mut all: Vec<_> = testkit::scenarios_of_cuts!(list).into();
    all.extend(testkit::scenarios_of_cuts_and_nodes!(list));
    all.extend(testkit::scenarios_of_mutes!(list));
    all.extend(testkit::scenarios_of_loss!(list));
    all.extend(testkit::scenarios_of_delay!(list));
    all.extend(testkit::scenarios_of_bandwidth!(list));
    all.extend(testkit::scenarios_of_moves!(list));
    all.extend(testkit::scenarios_of_sleep!(list));
    all.extend(testkit::scenarios_of_outages!(list));
    all.extend(testkit::scenarios_of_names!(list));
    all.extend(testkit::scenarios_of_flaps!(list));
    all.extend(testkit::scenarios_of_two_networks!(list));
    all.extend(testkit::scenarios_of_multicast!(list));
    all.extend(testkit::scenarios_of_clocks!(list));
    all.extend(testkit::scenarios_of_strangers!(list));
    all.retain(|scenario| LEFT_OUT.iter().all(|(name, _)| *name != scenario.name));
    for scenario in &mut all {
        scenario.fresh |= FRESH.contains(&scenario.name);
    }
    all
}

impl Scenario {
    /// Runs it on a thread of its own: it fails by a panic.
    pub(crate) fn run(&self, ground: &Arc<Ground>) -> Result<String, Failure> {
        let thread = thread::Builder::new().name(self.name.to_owned());
        let ended = thread::scope(|scope| {
            let run = thread.spawn_scoped(scope, || self.run_here(ground))?;
            run.join().map_err(|panic| {
                let text = panic.downcast_ref::<String>().cloned();
                let text =
                    text.or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned()));
                Failure::from(text.unwrap_or_else(|| "it panicked".to_owned()))
            })
        });
        // Whatever it was that ended it.
        let cleared = ground.clear();
        ended??;
        cleared?;
        Ok(String::new())
    }

    fn run_here(&self, ground: &Arc<Ground>) -> Result<(), Failure> {
        let mut world = match self.fresh {
            true => ComposeWorld::fresh(ground)?,
            false => ComposeWorld::rested(ground)?,
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let scenario = (self.run)(&mut world);
        let ended = runtime.block_on(async { tokio::time::timeout(DEADLINE, scenario).await });
        ended.map_err(|_| format!("not within {DEADLINE:?}").into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_would_be_there() {
        let mut all: Vec<_> = testkit::scenarios!(names).into();
        all.extend(testkit::scenarios_of_devices!(names));
        all.extend(testkit::scenarios_of_nodes!(names));
        all.extend(testkit::scenarios_of_sleep!(names));
        for (left_out, _) in LEFT_OUT {
            assert!(all.contains(left_out), "{left_out}");
        }
    }
}
