//! Who runs next, step by step.

use super::queue::{Admission, Turn, TurnQueue, Visit};

fn visit(caller: char, chain: u64) -> Visit<char> {
    Visit {
        caller,
        chain,
        depth: 0,
        registration: 0,
        nested: false,
    }
}

/// Enters a request that has its chain as its ticket.
fn enter(queue: &mut TurnQueue<char, u64>, caller: char, chain: u64) -> Admission<u64> {
    queue.enter(visit(caller, chain), || chain)
}

/// A request that had a turn ends. Who runs now?
fn leave(queue: &mut TurnQueue<char, u64>, chain: u64) -> Option<u64> {
    queue.leave(Turn::Own, chain, 0);
    let next = queue.next();
    assert!(next.is_none_or(|(_, turn)| turn == Turn::Own));
    next.map(|(ticket, _)| ticket)
}

const RUN: Admission<u64> = Admission::Run(Turn::Own);
const BESIDE: Admission<u64> = Admission::Run(Turn::Beside);
const WAIT: Admission<u64> = Admission::Wait { instead_of: None };

#[test]
fn one_caller_is_served_in_the_order_it_came() {
    let mut queue = TurnQueue::new(1, 10);
    assert_eq!(enter(&mut queue, 'a', 0), RUN);
    for chain in 1..10 {
        assert_eq!(enter(&mut queue, 'a', chain), WAIT);
    }
    assert_eq!(enter(&mut queue, 'a', 10), Admission::Refused);
    for chain in 0..9 {
        assert_eq!(leave(&mut queue, chain), Some(chain + 1));
    }
    assert_eq!(leave(&mut queue, 9), None);
    assert_eq!((queue.running(), queue.waiting()), (0, 0));
}

#[test]
fn callers_take_turns() {
    let mut queue = TurnQueue::new(1, 100);
    assert_eq!(enter(&mut queue, 'f', 0), RUN);
    for chain in 1..50 {
        enter(&mut queue, 'f', chain);
    }
    for chain in 100..103 {
        enter(&mut queue, 'p', chain);
    }
    enter(&mut queue, 'q', 200);
    let mut order = Vec::new();
    let mut running = 0;
    while let Some(next) = leave(&mut queue, running) {
        order.push(next);
        running = next;
    }
    assert_eq!(order[..8], [1, 100, 200, 2, 101, 3, 102, 4]);
    assert_eq!(order.len(), 53);
}

#[test]
fn so_many_run_at_a_time_and_no_more() {
    let mut queue = TurnQueue::new(3, 100);
    for chain in 0..3 {
        assert_eq!(enter(&mut queue, 'a', chain), RUN);
    }
    assert_eq!(enter(&mut queue, 'a', 3), WAIT);
    assert_eq!(leave(&mut queue, 1), Some(3));
    assert_eq!(leave(&mut queue, 3), None);
    assert_eq!(queue.running(), 2);
}

#[test]
fn a_full_queue_gives_up_the_newest_of_the_longest_line() {
    let mut queue = TurnQueue::new(1, 8);
    enter(&mut queue, 'f', 0);
    for chain in 1..8 {
        assert_eq!(enter(&mut queue, 'f', chain), WAIT);
    }
    assert_eq!(enter(&mut queue, 'f', 8), Admission::Refused);
    for (mine, gone) in [(100, 7), (101, 6), (102, 5)] {
        let instead_of = Some(gone);
        assert_eq!(enter(&mut queue, 'p', mine), Admission::Wait { instead_of });
    }
    // Four and three wait: neither gains by more.
    assert_eq!(enter(&mut queue, 'p', 103), Admission::Refused);
    assert_eq!(enter(&mut queue, 'f', 8), Admission::Refused);
    assert_eq!(queue.waiting(), 7);
}

fn nested(chain: u64, depth: u8) -> Visit<char> {
    Visit {
        depth,
        nested: true,
        ..visit('b', chain)
    }
}

#[test]
fn what_a_handler_waits_for_runs_beside_it() {
    let mut queue = TurnQueue::new(1, 1);
    enter(&mut queue, 'a', 7);
    assert_eq!(queue.enter(nested(7, 1), || 7), BESIDE);
    assert_eq!(
        queue.enter(nested(8, 1), || 8),
        Admission::Refused,
        "not of a chain that runs"
    );
    assert_eq!(
        enter(&mut queue, 'b', 7),
        Admission::Refused,
        "not from where it waits"
    );
    assert_eq!(
        queue.enter(nested(7, 0), || 9),
        Admission::Refused,
        "not from deeper than who is to be waiting"
    );
}

#[test]
fn what_one_handler_waits_for_runs_one_at_a_time() {
    let mut queue = TurnQueue::new(1, 4);
    enter(&mut queue, 'a', 7);
    assert_eq!(queue.enter(nested(7, 2), || 1), BESIDE);
    assert_eq!(queue.enter(nested(7, 2), || 2), WAIT);
    assert_eq!(
        queue.enter(nested(7, 3), || 3),
        BESIDE,
        "what the first of them waits for does not wait for its end"
    );
    assert_eq!(
        queue.enter(nested(7, 2), || 4),
        Admission::Refused,
        "they count"
    );
    queue.leave(Turn::Beside, 7, 3);
    assert_eq!(queue.next(), None);
    queue.leave(Turn::Beside, 7, 2);
    assert_eq!(queue.next(), Some((2, Turn::Beside)));
    assert_eq!(queue.next(), None);
}

#[test]
fn what_nobody_inside_waits_for_any_more_waits_for_its_turn() {
    let mut queue = TurnQueue::new(1, 10);
    enter(&mut queue, 'a', 7);
    enter(&mut queue, 'a', 8);
    assert_eq!(queue.enter(nested(7, 2), || 1), BESIDE);
    assert_eq!(queue.enter(nested(7, 2), || 2), WAIT);
    queue.leave(Turn::Own, 7, 0);
    assert_eq!(queue.next(), Some((8, Turn::Own)));
    assert_eq!(queue.next(), None);
    queue.leave(Turn::Own, 8, 0);
    assert_eq!(queue.next(), Some((2, Turn::Own)));
    queue.leave(Turn::Beside, 7, 2);
    queue.leave(Turn::Own, 7, 2);
    assert_eq!(
        (queue.next(), queue.running(), queue.waiting()),
        (None, 0, 0)
    );
}

#[test]
fn two_calls_from_elsewhere_in_a_chain_take_turns() {
    let mut queue = TurnQueue::new(1, 10);
    assert_eq!(queue.enter(nested(7, 1), || 1), RUN);
    assert_eq!(queue.enter(nested(7, 1), || 2), WAIT);
    queue.leave(Turn::Own, 7, 1);
    assert_eq!(queue.next(), Some((2, Turn::Own)));
}

#[test]
fn whoever_waits_for_a_handler_inside_can_give_up_and_be_removed() {
    let mut queue = TurnQueue::new(1, 10);
    enter(&mut queue, 'a', 7);
    assert_eq!(queue.enter(nested(7, 2), || 1), BESIDE);
    assert_eq!(queue.enter(nested(7, 2), || 2), WAIT);
    assert_eq!(queue.enter(nested(7, 2), || 3), WAIT);
    queue.cancel('b', 2);
    assert_eq!(queue.drain(Some(0)), [3]);
    assert_eq!(queue.waiting(), 0);
}

#[test]
fn a_removal_takes_what_waits_for_that_registration() {
    let mut queue = TurnQueue::new(1, 10);
    enter(&mut queue, 'a', 0);
    for chain in 1..5 {
        let registration = chain % 2;
        let visit = Visit {
            registration,
            ..visit('a', chain)
        };
        queue.enter(visit, || chain);
    }
    assert_eq!(queue.drain(Some(1)), [1, 3]);
    queue.cancel('a', 2);
    queue.cancel('a', 2);
    queue.cancel('b', 4);
    assert_eq!(queue.waiting(), 1);
    assert_eq!(queue.drain(None), [4]);
    assert_eq!(leave(&mut queue, 0), None);
}
