//! What is announced, how it is taken back, and when the engine does not take it.

use super::*;

#[test]
fn goodbye_is_said_200_ms_before_the_end() {
    let mut bench = Bench::up();
    bench.machine.publish(bench.now, &advertisement(9));
    bench.actions();
    let far = bench.now + Duration::from_secs(5);
    bench.machine.close(bench.now, far);
    assert_eq!(bench.actions(), [Action::Unregister(full(9, ""))]);
    bench.wait(199);
    assert_eq!(bench.actions(), []);
    assert!(!bench.machine.is_stopped());
    bench.wait(1);
    assert_eq!(bench.actions(), [Action::Stop]);
    assert!(bench.machine.is_stopped());
    bench.machine.close(bench.now, far);
    assert_eq!(bench.actions(), []);
}

#[test]
fn close_waits_for_an_earlier_goodbye_but_not_past_its_deadline() {
    let mut bench = Bench::up();
    bench.machine.publish(bench.now, &advertisement(9));
    bench.machine.withdraw(bench.now, &id(9));
    bench.wait(50);
    bench.actions();
    let soon = bench.now + Duration::from_millis(60);
    bench.machine.close(bench.now, soon);
    bench.wait(59);
    assert_eq!(bench.actions(), []);
    bench.wait(1);
    assert_eq!(bench.actions(), [Action::Stop]);
}

#[test]
fn close_with_nothing_published_is_at_once() {
    let mut bench = Bench::up();
    let far = bench.now + Duration::from_secs(5);
    bench.machine.close(bench.now, far);
    assert_eq!(bench.actions(), [Action::Stop]);
}

#[test]
fn a_full_command_queue_is_tried_again() {
    let mut bench = Bench::up();
    bench.machine.publish(bench.now, &advertisement(9));
    let register = bench.actions().remove(0);
    bench
        .machine
        .handle_failure(bench.now, &register, Failure::Busy);
    bench.wait(200);
    assert_eq!(bench.actions(), [register]);
    bench
        .machine
        .handle_failure(bench.now, &Action::Browse, Failure::Busy);
    bench.wait(200);
    assert_eq!(bench.actions(), [Action::Browse]);
    bench.machine.withdraw(bench.now, &id(9));
    let goodbye = bench.actions().remove(0);
    bench
        .machine
        .handle_failure(bench.now, &goodbye, Failure::Busy);
    bench.wait(200);
    assert_eq!(bench.actions(), [goodbye]);
}
