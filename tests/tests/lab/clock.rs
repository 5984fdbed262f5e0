//! A wall clock that jumps.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use testkit::{
    site::{Node, SOON, Site},
    wall_clock::WallClock,
};

use crate::site::over_both;

over_both! {
    a_clock_that_jumps_ends_no_session_and_hinders_no_new_one: 2,
    calls_under_way_notice_nothing_of_a_clock_that_jumps: 2,
}

const YEAR: i64 = 365 * 24 * 60 * 60;

fn start(clock: &WallClock, site: &Site, place: usize) -> Node {
    site.start_with(place, |command| clock.wind(command))
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap()
}

/// What a program takes the time for, less what it is.
fn ahead(node: &mut Node) -> f64 {
    let clock = node.told("clock", "clock")["seconds"].as_f64().unwrap();
    clock - now().as_secs_f64()
}

fn leave(node: &mut Node) {
    node.process.send_line("leave").unwrap();
    assert!(node.process.wait(SOON).unwrap().success());
}

/// Sessions, deadlines and keep-alives go by a clock that nobody can set, and who is trusted is so at any time.
fn a_clock_that_jumps_ends_no_session_and_hinders_no_new_one(site: &mut Site) {
    let clock = WallClock::make(&site.home(1)).unwrap();
    // To 1970, ten years on, and back.
    let jumps = [-(now().as_secs() as i64), 10 * YEAR, 0];
    let (mut one, mut two) = (start(&clock, site, 1), site.start(2));
    let to_two = format!("calls {} 100", site.id(2));
    let to_one = format!("calls {} 100", site.id(1));
    one.succeeds(&to_two);
    two.succeeds(&to_one);
    for jump in jumps {
        clock.jump(jump).unwrap();
        assert!((ahead(&mut one) - jump as f64).abs() < 60.0, "{jump}");
        one.succeeds(&to_two);
        two.succeeds(&to_one);
    }
    // Nobody was missed meanwhile: the first event is of the leave.
    leave(&mut one);
    let gone = two.wait_for_device("offline", &site.id(1), SOON);
    assert_eq!(gone["reason"], "left");
    for jump in jumps {
        clock.jump(jump).unwrap();
        let mut one = start(&clock, site, 1);
        two.wait_for_device("online", &site.id(1), SOON);
        one.succeeds(&to_two);
        two.succeeds(&to_one);
        leave(&mut one);
        two.wait_for_device("offline", &site.id(1), SOON);
    }
}

/// No deadline is missed and no keep-alive: each call is answered.
fn calls_under_way_notice_nothing_of_a_clock_that_jumps(site: &mut Site) {
    let clock = WallClock::make(&site.home(1)).unwrap();
    let mut nodes = [start(&clock, site, 1), site.start(2)];
    site.all_are_online(&mut nodes);
    for (place, node) in (1..).zip(&mut nodes) {
        node.process.send_line(&site.work(place, 2)).unwrap();
    }
    for jump in [-(now().as_secs() as i64), 10 * YEAR, 0] {
        clock.jump(jump).unwrap();
        for place in [1, 2] {
            site.is_called(place);
        }
    }
    let totals = site.rest(&mut nodes);
    assert_eq!((totals.unknown.0, totals.not_done), (0, 0), "{totals}");
    assert!(totals.answered > 1000, "{totals}");
}
