//! The scenarios between processes of one device: nodes of this process, on the sockets that several would have.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

mod dump;

use std::time::Duration;

use softbus::{DeathReason, GetServiceError, service_watch::RemoteServiceEvent};
use testkit::{
    scenarios::{SERVICE, SOON, for_all, workbench::workbench},
    wait::run_within,
    world::{World, local::LocalWorld},
};

const DEADLINE: Duration = Duration::from_secs(60);

fn run(mut world: LocalWorld, scenario: impl AsyncFnOnce(&mut dyn World)) {
    run_within(DEADLINE, scenario(&mut world));
}

/// Each has attached, and any two talk directly.
macro_rules! between_processes {
    ($($module:ident :: $name:ident),* $(,)?) => { $(
        #[test]
        fn $name() {
            run(LocalWorld::new(), testkit::scenarios::$module::$name);
        }
    )* };
}
testkit::scenarios!(between_processes);

/// The services are those of the host itself, which starts them for whoever has attached.
macro_rules! with_the_host {
    ($($module:ident :: $name:ident),* $(,)?) => { $(
        #[test]
        fn $name() {
            let world = LocalWorld::with_services_of_the_host();
            run(world, testkit::scenarios::$module::$name);
        }
    )* };
}
testkit::scenarios_on_demand!(with_the_host);

/// The host hears of the end of a registration later than its process, and perhaps later than it is asked for it.
#[test]
fn a_service_that_was_just_removed_is_absent() {
    run(LocalWorld::new(), async |world: &mut dyn World| {
        let (a, b) = (world.device().await, world.device().await);
        let (stub, _) = workbench();
        for _ in 0..200 {
            b.add(SERVICE, &stub, for_all()).unwrap();
            a.get(SERVICE, &b.id()).await.unwrap();
            b.remove(SERVICE).unwrap();
            let gone = a.get(SERVICE, &b.id()).await;
            assert_eq!(gone.unwrap_err(), GetServiceError::Absent);
        }
    });
}

/// The same of a process's own service, of which the host answers what the process has ended meanwhile.
#[test]
fn an_own_service_that_was_just_removed_is_absent() {
    run(LocalWorld::new(), async |world: &mut dyn World| {
        let device = world.device().await;
        let (stub, _) = workbench();
        for round in 0..200 {
            device.add(SERVICE, &stub, for_all()).unwrap();
            // The host has heard of the service as soon as it has answered this, mostly.
            device.list_of(&device.id()).await.unwrap();
            device.remove(SERVICE).unwrap();
            let gone = device.get(SERVICE, &device.id()).await;
            assert_eq!(gone.unwrap_err(), GetServiceError::Absent, "{round}");
        }
    });
}

/// A process that watches what it registers itself is told of the end also when that comes at once.
#[test]
fn an_own_service_that_goes_at_once_is_told_to_be_gone() {
    run(LocalWorld::new(), async |world: &mut dyn World| {
        let device = world.device().await;
        let mut watch = device.watch_of(SERVICE, &device.id()).unwrap();
        let (stub, _) = workbench();
        for round in 0..200 {
            device.add(SERVICE, &stub, for_all()).unwrap();
            let added = tokio::time::timeout(SOON, watch.next()).await;
            assert_eq!(
                added,
                Ok(RemoteServiceEvent::Added(stub.clone())),
                "{round}"
            );
            device.remove(SERVICE).unwrap();
            let removed = tokio::time::timeout(SOON, watch.next()).await;
            let gone = RemoteServiceEvent::Removed(DeathReason::ServiceRemoved);
            assert_eq!(removed, Ok(gone), "{round}");
        }
    });
}
