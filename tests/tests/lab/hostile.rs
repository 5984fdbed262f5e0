//! Devices that are trusted and do harm: the calls of all others go on, and the one they are after does not run out of memory.

use bytes::Bytes;
use softbus::Identity;
use testkit::{
    deaf::{Aim, CALLS, Deaf, Question},
    scenarios::{SERVICE, workbench::code},
    site::{SOON, Site},
    wait::wait_until,
};

use crate::site::over_both;

over_both! {
    a_trusted_device_that_floods_another_hinders_nobody: 4,
    a_trusted_device_that_never_reads_hinders_nobody: 4,
}

/// In KiB: much more than its limits let a peer take with small calls, and much less than a flood that is not bounded takes.
const MORE_AT_MOST: u64 = 64 << 10;

/// It keeps more calls under way than any limit lets it, and sends one-way calls without waiting for room.
fn a_trusted_device_that_floods_another_hinders_nobody(site: &mut Site) {
    let mut nodes = site.at_work::<3>();
    let mut flooder = site.start(4);
    flooder.succeeds(&format!("call {}", site.id(1)));
    for place in 1..=3 {
        site.is_called(place);
    }
    let before = nodes[0].most_memory();
    flooder.told(&format!("flood {} 1500", site.id(1)), "floods");
    for _ in 0..2 {
        for place in 1..=3 {
            site.is_called(place);
        }
    }
    let told = flooder.told("calm", "calm");
    println!("the one that floods was told: {told}");
    for kind in ["answered", "busy", "one-way", "one-way busy"] {
        assert!(told[kind].as_u64().unwrap() > 0, "{kind}: {told}");
    }
    // Nobody was cut off for it.
    assert_eq!(told["failed"], 0, "{told}");
    // What it has sent without waiting may still be in the queue.
    let call = format!("call {}", site.id(1));
    assert!(wait_until(SOON, || flooder.ends(&call)["result"] == 9102));
    let more = nodes[0].most_memory() - before;
    println!("{more} KiB more at most than the {before} KiB before");
    assert!(more < MORE_AT_MOST, "{more} KiB");
    let totals = site.rest(&mut nodes);
    assert!(totals.answered > 100, "{totals}");
    assert_eq!((totals.unknown.0, totals.not_done), (0, 0), "{totals}");
}

/// It asks for a thousand replies, 70 MiB of them, and takes none.
fn a_trusted_device_that_never_reads_hinders_nobody(site: &mut Site) {
    const PORT: u16 = 4711;
    let victim = site.start_with(1, |command| {
        command.args(["--port", &PORT.to_string()]);
    });
    let mut nodes = [victim, site.start(2), site.start(3)];
    site.all_are_online(&mut nodes);
    for (place, node) in (1..).zip(&mut nodes) {
        node.process.send_line(&site.work(place, 3)).unwrap();
    }
    site.is_called(1);
    let before = nodes[0].most_memory();
    // On a lane, and beside it.
    let sizes = [16_u32 << 10, 128 << 10];
    let aim = Aim {
        identity: Identity::open(site.home(4)).unwrap(),
        whom: site.ids[0],
        at: (site.lab.address(1), PORT).into(),
        by: site.transports(),
        question: Question {
            service: SERVICE,
            code: code::LARGE_REPLY,
            bodies: sizes
                .map(|size| Bytes::copy_from_slice(&size.to_le_bytes()))
                .into(),
        },
    };
    let deaf = Deaf::start(&site.lab, 4, aim);
    nodes[0].wait_for_device("online", &site.id(4), SOON);
    assert!(wait_until(SOON, || deaf.asked() > 100), "{}", deaf.asked());
    for _ in 0..2 {
        for place in 1..=3 {
            site.is_called(place);
        }
    }
    let asked = deaf.asked();
    let stayed = deaf.stop();
    let more = nodes[0].most_memory() - before;
    println!("{asked} of {CALLS} replies asked for, its connection stayed: {stayed}");
    println!("{more} KiB more at most than the {before} KiB before");
    // What it has asked for and not read may be held for it once, and no more.
    assert!(more < 2 * (70 << 10), "{more} KiB");
    nodes[0].wait_for_device("offline", &site.id(4), SOON);
    site.is_called(1);
    let totals = site.rest(&mut nodes);
    assert!(totals.answered > 100, "{totals}");
    assert_eq!((totals.unknown.0, totals.not_done), (0, 0), "{totals}");
    site.all_hold_one_session(&mut nodes);
}
