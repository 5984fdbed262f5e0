//! Wall clocks that jump.

use std::time::{SystemTime, UNIX_EPOCH};

use super::{Told, back, both_ways, tally::Tally};
use crate::{
    scenarios::{SERVICE, SERVICE_OF_A, for_all},
    world::faults::Clocks,
};

const TEN_YEARS: i64 = 10 * 365 * 24 * 60 * 60;

/// Sessions, deadlines and keep-alives go by a clock that nobody can set, and who is trusted is so at any time: each call is answered,
/// nobody is missed, and who starts with such a clock is found.
pub async fn a_clock_that_jumps_ends_no_session_and_hinders_no_new_one(world: &mut impl Clocks) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let to_1970 = -(now.as_secs() as i64);
    let (pair, of_a) = both_ways(world).await;
    let (mut a, mut b) = (Told::of(&pair.proxy), Told::of(&of_a));
    let tally = Tally::start(&pair.a, pair.b.id(), &pair.bench);
    for seconds in [to_1970, TEN_YEARS, 0] {
        world.set_ahead(seconds).await;
        tally.goes_on().await;
    }
    let totals = tally.rest().await;
    assert_eq!((totals.unknown, totals.not_done), (0, 0), "{totals:?}");
    a.nothing_more();
    b.nothing_more();

    let mut again = pair.b;
    for seconds in [to_1970, TEN_YEARS] {
        world.set_ahead(seconds).await;
        again = world.restart(&again).await;
        again.add(SERVICE, &pair.stub, for_all()).unwrap();
        back(&*pair.a, SERVICE, &*again).await;
        back(&*again, SERVICE_OF_A, &*pair.a).await;
    }
}
