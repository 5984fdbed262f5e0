//! Devices that nobody trusts, and devices that are easily mistaken for each other.

use softbus::GetServiceError;

use super::{Told, back, both_ways, tally::Tally};
use crate::{
    scenarios::{
        SERVICE, SOON, for_all,
        workbench::{reverse, workbench},
    },
    strangers::Flood,
    wait::wait_until_async,
    world::faults::{Names, Strangers},
};

/// A stranger is refused, whatever it sends, and hinders nobody: every call of devices that know each other is answered, and who comes
/// meanwhile is found.
pub async fn a_stranger_that_floods_hinders_nobody(world: &mut impl Strangers) {
    let (pair, of_a) = both_ways(world).await;
    let (mut a, mut b) = (Told::of(&pair.proxy), Told::of(&of_a));
    let stranger = world.stranger().await;
    // Later it may not even be asked who it is: it comes too often.
    let refused = stranger.get(SERVICE, &pair.b.id()).await.unwrap_err();
    assert_eq!(refused, GetServiceError::NotTrustedByDevice);
    let flood = world.flood(&pair.b.id()).await;
    let tally = Tally::start(&pair.a, pair.b.id(), &pair.bench);
    goes_on(&flood).await;
    tally.has_done(100).await;
    let third = world.device().await;
    third.add(SERVICE, &workbench().0, for_all()).unwrap();
    for device in [&pair.a, &pair.b] {
        back(&**device, SERVICE, &*third).await;
    }
    goes_on(&flood).await;
    tally.goes_on().await;
    let packets = flood.sent();
    drop(flood);
    let totals = tally.rest().await;
    println!("{packets} packets of the stranger");
    // Each is answered: nobody was ever away.
    assert_eq!((totals.unknown, totals.not_done), (0, 0), "{totals:?}");
    let callers = pair.bench.callers();
    assert!(callers.iter().all(|(who, _)| who.device != stranger.id()));
    a.nothing_more();
    b.nothing_more();
}

/// Waits until a flood has sent much more.
async fn goes_on(flood: &Flood) {
    let enough = flood.sent() + 1000;
    let sent = wait_until_async(SOON, async || flood.sent() >= enough);
    assert!(sent.await, "{} packets are sent", flood.sent());
}

/// Two of a kind, called alike by who bought them: who calls one of them gets that one, and sees that there are two.
pub async fn two_devices_of_one_name_are_told_apart(world: &mut impl Names) {
    let observer = world.device().await;
    let twins = [world.namesake().await, world.namesake().await];
    let benches = twins.each_ref().map(|twin| {
        let (stub, bench) = workbench();
        twin.add(SERVICE, &stub, for_all()).unwrap();
        bench
    });
    for (twin, bench) in twins.iter().zip(&benches) {
        let proxy = observer.get(SERVICE, &twin.id()).await.unwrap();
        assert_eq!(reverse(&proxy, 2019).await, Ok(9102));
        assert_eq!(*bench.entered.borrow(), 1);
    }
    let mut heard = None;
    let both = wait_until_async(SOON, async || {
        heard = world.heard_by(&observer.id());
        let Some(heard) = &heard else { return true };
        let called = |id| heard.iter().find(|(other, _)| *other == id);
        let names = twins.each_ref().map(|twin| called(twin.id()));
        matches!(names, [Some((_, one)), Some((_, other))] if one == other)
    });
    assert!(both.await, "{heard:?}");
}
