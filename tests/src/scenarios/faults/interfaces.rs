//! Interfaces that go and come, devices that are on two networks, and networks on which nobody is found.

use std::time::Duration;

use softbus::{DeathReason, GetServiceError};

use super::{Told, back, both_ways, tally::Tally};
use crate::{
    scenarios::{
        SERVICE, SERVICE_OF_A, for_all, next, pair, usage_of,
        workbench::{reverse, workbench},
    },
    world::faults::{Flaps, Multicasts, Network, TwoNetworks},
};

/// However often the interface of a device comes and goes, there is one session in the end, it works, and no call was lost silently or
/// done twice. Calls of others go on meanwhile.
pub async fn an_interface_that_comes_and_goes_leaves_one_session_that_works(
    world: &mut impl Flaps,
) {
    let pair = pair(world).await;
    let third = world.device().await;
    third.add(SERVICE, &workbench().0, for_all()).unwrap();
    let beside = pair.a.get(SERVICE, &third.id()).await.unwrap();
    let b = pair.b.id();
    let tally = Tally::start(&pair.a, b, &pair.bench);
    tally.goes_on().await;
    for _ in 0..3 {
        for up in [false, true] {
            world.interface(&b, up).await;
            for number in 0..20 {
                reverse(&beside, number).await.unwrap();
            }
        }
    }
    tally.goes_on().await;
    tally.rest().await;
    back(&*pair.a, SERVICE, &*pair.b).await;
    // That looks at how many there are.
    usage_of(&*pair.a, &*pair.b);
    usage_of(&*pair.b, &*pair.a);
}

/// As a laptop whose cable is pulled: it is missed and misses the others, each is told once, and with the cable in it is there again,
/// also for who came meanwhile.
pub async fn a_device_without_an_interface_is_missed_and_is_back_with_one(world: &mut impl Flaps) {
    let (pair, of_a) = both_ways(world).await;
    let (mut a, mut b) = (Told::of(&pair.proxy), Told::of(&of_a));
    world.interface(&pair.b.id(), false).await;
    for told in [&mut a, &mut b] {
        assert_eq!(
            next(&mut told.reasons).await,
            DeathReason::DeviceUnreachable
        );
    }
    // It may have the address that is free now.
    let third = world.device().await;
    third.add(SERVICE, &workbench().0, for_all()).unwrap();
    world.interface(&pair.b.id(), true).await;
    back(&*pair.a, SERVICE, &*pair.b).await;
    back(&*pair.b, SERVICE_OF_A, &*pair.a).await;
    back(&*pair.b, SERVICE, &*third).await;
    a.nothing_more();
    b.nothing_more();
}

/// A device that comes to a second network and then loses the first is back over the second one, and calls go on: none is lost silently or
/// done twice.
pub async fn a_device_that_loses_one_of_two_networks_is_back_over_the_other(
    world: &mut impl TwoNetworks,
) {
    let pair = pair(world).await;
    let mut told = Told::of(&pair.proxy);
    world.add_second_network().await;
    let tally = Tally::start(&pair.a, pair.b.id(), &pair.bench);
    tally.goes_on().await;
    world.cut_on(Network::First, &pair.b.id(), true).await;
    let reason = next(&mut told.reasons).await;
    assert_eq!(reason, DeathReason::DeviceUnreachable);
    tally.goes_on().await;
    back(&*pair.a, SERVICE, &*pair.b).await;
    world.cut_on(Network::First, &pair.b.id(), false).await;
    tally.goes_on().await;
    let totals = tally.rest().await;
    assert!(totals.unknown > 0, "{totals:?}");
    told.nothing_more();
}

/// Who is known has not to be looked for: a device that starts again where it was is there although nothing can be asked of the network.
/// One that is new is found by nobody until something can.
pub async fn who_is_known_is_found_without_multicast(world: &mut impl Multicasts) {
    let pair = pair(world).await;
    pair.a.add(SERVICE_OF_A, &workbench().0, for_all()).unwrap();
    world.multicast(false).await;
    pair.b.vanish().await;
    let b = world.restart(&pair.b).await;
    b.add(SERVICE, &pair.stub, for_all()).unwrap();
    back(&*pair.a, SERVICE, &*b).await;
    back(&*b, SERVICE_OF_A, &*pair.a).await;

    let third = world.device().await;
    third.add(SERVICE, &workbench().0, for_all()).unwrap();
    let wait = Duration::from_secs(2);
    let unknown = pair.a.wait_for(SERVICE, &third.id(), wait).await;
    let unknown = unknown.unwrap_err();
    assert!(
        matches!(
            unknown,
            GetServiceError::Unreachable(_) | GetServiceError::TimedOut { .. }
        ),
        "{unknown}"
    );
    world.multicast(true).await;
    back(&*pair.a, SERVICE, &*third).await;
}
