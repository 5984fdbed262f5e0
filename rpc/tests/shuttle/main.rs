//! The gate's parts that threads share, in the orders in which threads can go: shuttle runs each test a thousand times
//! and chooses who goes on at every lock and every atomic.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "the files belong to the library, and not all of them is used here"
)]

use softbus_rpc::limits;

/// As the library has it.
mod session {
    pub(crate) use softbus_rpc::session::passing_rules;
}

mod gate;

use std::future::poll_fn;

use gate::{
    queue::Visit,
    shares::{Load, Shares},
    turns::{Gone, Place, Turns},
};
use proto::{DeviceId, message::DeathReason};
use session::passing_rules::Party;
use shuttle::{
    future::block_on,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

/// How many orders are tried.
const ORDERS: usize = 1000;

fn caller(number: u8) -> Party {
    Party {
        device: DeviceId::from_bytes([number; 32]),
        process: 0,
    }
}

fn visit(number: u8) -> Visit<Party> {
    Visit {
        caller: caller(number),
        chain: number.into(),
        depth: 0,
        registration: u64::from(number % 2),
        nested: false,
    }
}

fn wait(turns: &Turns, place: &Place) -> Result<(), Gone> {
    block_on(poll_fn(|cx| turns.poll(place, cx)))
}

/// No wake-up is lost, no turn is given twice, and everybody has one.
#[test]
fn everybody_has_a_turn_and_no_more_than_so_many_at_a_time() {
    shuttle::check_random(
        || {
            let turns = Arc::new(Turns::new(2, 100));
            let running = Arc::new(AtomicUsize::new(0));
            let threads: Vec<_> = (0..5)
                .map(|number| {
                    let (turns, running) = (Arc::clone(&turns), Arc::clone(&running));
                    thread::spawn(move || {
                        let place = turns.enter(visit(number)).expect("there is room");
                        wait(&turns, &place).expect("nobody is sent away");
                        assert!(running.fetch_add(1, Ordering::SeqCst) < 2);
                        thread::yield_now();
                        running.fetch_sub(1, Ordering::SeqCst);
                        turns.leave(&place);
                    })
                })
                .collect();
            for thread in threads {
                thread.join().unwrap();
            }
            assert_eq!(turns.count(), (0, 0));
        },
        ORDERS,
    );
}

/// Who is sent away, by a removal or for somebody with fewer requests, hears it; who gives up leaves nothing behind.
#[test]
fn a_removal_in_the_middle_strands_nobody() {
    shuttle::check_random(
        || {
            let turns = Arc::new(Turns::new(1, 3));
            let removal = {
                let turns = Arc::clone(&turns);
                thread::spawn(move || turns.drain(Some(1), DeathReason::ServiceRemoved))
            };
            let threads: Vec<_> = [1, 1, 1, 2, 3]
                .into_iter()
                .enumerate()
                .map(|(index, number)| {
                    let turns = Arc::clone(&turns);
                    thread::spawn(move || {
                        let Ok(place) = turns.enter(visit(number)) else {
                            return;
                        };
                        // One gives up before it has looked, granted or not.
                        if index != 4 {
                            let _ = wait(&turns, &place);
                        }
                        turns.leave(&place);
                    })
                })
                .collect();
            for thread in threads {
                thread.join().unwrap();
            }
            removal.join().unwrap();
            assert_eq!(turns.count(), (0, 0));
        },
        ORDERS,
    );
}

/// The bound holds however additions and their undoing fall together, and all of it comes back.
#[test]
fn shares_are_kept_to_and_come_back() {
    shuttle::check_random(
        || {
            let shares = Arc::new(Shares::new(4, 1 << 20));
            let inside = Arc::new(AtomicUsize::new(0));
            let threads: Vec<_> = (0..4)
                .map(|number| {
                    let (shares, inside) = (Arc::clone(&shares), Arc::clone(&inside));
                    thread::spawn(move || {
                        for _ in 0..3 {
                            let Ok(share) = shares.take(caller(number % 2), Load::of(7)) else {
                                continue;
                            };
                            assert!(inside.fetch_add(1, Ordering::SeqCst) < 4);
                            inside.fetch_sub(1, Ordering::SeqCst);
                            shares.give_back(&share);
                        }
                    })
                })
                .collect();
            for thread in threads {
                thread.join().unwrap();
            }
            assert_eq!(shares.used(), Load::default());
            assert!(
                shares.take(caller(9), Load::of(1 << 20)).is_ok(),
                "nobody holds anything"
            );
        },
        ORDERS,
    );
}
