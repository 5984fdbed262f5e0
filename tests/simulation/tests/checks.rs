//! The checks can fail: a log of a good run, changed in one place, is a bad one, and the rule that is broken is named.

use proto::message::DeathReason;
use rpc::{GetServiceError, SendRequestError, peer::SessionEnd, session::PeerFault};
use softbus_simulation::{
    Below,
    checks::{Checks, Rule},
    log::{Answer, Begun, Entry, Event, Frames, Place, Reference},
    run,
};

fn broken(log: &[Entry]) -> Option<Rule> {
    let mut checks = Checks::default();
    let mut verdicts = log.iter().map(|entry| checks.see(entry));
    verdicts.find_map(|verdict| verdict.err().map(|violation| violation.rule))
}

/// Which rule is broken by a log in which the first event that `matches` has been changed.
fn after(matches: impl Fn(&Event) -> bool, change: impl Fn(&mut Vec<Entry>, usize)) -> Rule {
    for seed in 0..200 {
        let mut log = run(seed, Below::Frames).log;
        assert_eq!(broken(&log), None, "seed {seed} as it is");
        if let Some(at) = log.iter().position(|entry| matches(&entry.event)) {
            change(&mut log, at);
            return broken(&log).expect("the checks notice");
        }
    }
    panic!("no seed has such an event");
}

fn without(log: &mut Vec<Entry>, at: usize) {
    log.remove(at);
}

fn twice(log: &mut Vec<Entry>, at: usize) {
    log.insert(at, log[at].clone());
}

fn told_and_remains(event: &Event) -> bool {
    matches!(event, Event::Remains { dead: Some(_), .. })
}

#[test]
fn a_call_that_does_not_end() {
    assert_eq!(
        after(|event| matches!(event, Event::Ended(..)), without),
        Rule::EndsOnce
    );
}

#[test]
fn a_call_that_ends_twice() {
    assert_eq!(
        after(|event| matches!(event, Event::Ended(..)), twice),
        Rule::EndsOnce
    );
}

#[test]
fn a_handler_that_runs_twice() {
    assert_eq!(
        after(|event| matches!(event, Event::Ran { .. }), twice),
        Rule::RunsOnce
    );
}

#[test]
fn a_handler_that_runs_on_another_object() {
    let rule = after(
        |event| matches!(event, Event::Ran { .. }),
        |log, at| {
            if let Event::Ran { object, .. } = &mut log[at].event {
                *object += 1;
            }
        },
    );
    assert_eq!(rule, Rule::RunsOnce);
}

#[test]
fn a_call_that_fails_without_a_reason() {
    for error in [
        SendRequestError::BadObject,
        SendRequestError::Indeterminate,
        SendRequestError::Cancelled,
        SendRequestError::DeadObject {
            reason: DeathReason::Revoked,
        },
    ] {
        // The first call of all: nothing has been broken yet.
        let rule = after(
            |event| matches!(event, Event::Ended(_, Ok(()))),
            |log, at| {
                if let Event::Ended(_, result) = &mut log[at].event {
                    *result = Err(error.clone());
                }
            },
        );
        assert_eq!(rule, Rule::Outcome, "{error}");
    }
}

#[test]
fn a_reply_that_no_handler_gave() {
    let code = |event: &Event| matches!(event, Event::Ended(_, Err(SendRequestError::Service(_))));
    let rule = after(code, |log, at| {
        if let Event::Ended(_, result) = &mut log[at].event {
            *result = Ok(());
        }
    });
    assert_eq!(rule, Rule::Outcome);
}

#[test]
fn a_parcel_that_may_not_be_passed() {
    let refused =
        |event: &Event| matches!(event, Event::Ended(_, Err(SendRequestError::Pass { .. })));
    let rule = after(refused, |log, at| {
        if let Event::Ended(_, result) = &mut log[at].event {
            *result = Err(SendRequestError::Refused);
        }
    });
    assert!(matches!(rule, Rule::Passing | Rule::Outcome), "{rule:?}");
}

#[test]
fn an_object_that_may_not_be_returned() {
    let refused = |event: &Event| {
        matches!(
            event,
            Event::Returns {
                refused: Some(_),
                ..
            }
        )
    };
    let rule = after(refused, |log, at| {
        if let Event::Returns { refused, .. } = &mut log[at].event {
            *refused = None;
        }
    });
    assert_eq!(rule, Rule::Passing);
}

#[test]
fn an_object_that_its_owner_granted_and_that_does_not_come() {
    let rule = after(
        |event| matches!(event, Event::Took { error: None, .. }),
        |log, at| {
            if let Event::Took { error, .. } = &mut log[at].event {
                *error = Some("null".to_owned());
            }
        },
    );
    assert_eq!(rule, Rule::Passing);
}

#[test]
fn a_death_that_nobody_tells() {
    let rule = after(told_and_remains, |log, at| {
        let Event::Remains { watch, .. } = log[at].event else {
            return;
        };
        log.retain(|entry| !matches!(entry.event, Event::Told(told, _) if told == watch));
    });
    assert_eq!(rule, Rule::DeathNotice);
}

#[test]
fn a_death_that_is_told_twice() {
    assert_eq!(
        after(|event| matches!(event, Event::Told(..)), twice),
        Rule::DeathNotice
    );
}

#[test]
fn a_death_for_another_reason() {
    let revoked = |event: &Event| matches!(event, Event::Told(_, DeathReason::ServiceRemoved));
    let rule = after(revoked, |log, at| {
        if let Event::Told(_, reason) = &mut log[at].event {
            *reason = DeathReason::AccessRevoked;
        }
    });
    assert_eq!(rule, Rule::DeathNotice);
}

#[test]
fn a_watch_that_should_have_been_refused() {
    let refused = |event: &Event| matches!(event, Event::Watched { result: Err(_), .. });
    let rule = after(refused, |log, at| {
        if let Event::Watched { result, .. } = &mut log[at].event {
            *result = Ok(());
        }
    });
    assert_eq!(rule, Rule::Watching);
}

#[test]
fn a_service_that_is_for_others() {
    let rule = after(
        |event| {
            matches!(
                event,
                Event::Registered {
                    allowed: Some(_),
                    ..
                }
            )
        },
        |log, _| {
            for entry in log {
                if let Event::Registered {
                    allowed: Some(allowed),
                    ..
                } = &mut entry.event
                {
                    allowed.clear();
                }
            }
        },
    );
    assert_eq!(rule, Rule::Services);
}

#[test]
fn a_service_that_is_refused_for_no_reason() {
    let rule = after(
        |event| matches!(event, Event::Answered(_, Ok(Some(_)))),
        |log, at| {
            if let Event::Answered(_, result) = &mut log[at].event {
                *result = Err(GetServiceError::Refused);
            }
        },
    );
    assert_eq!(rule, Rule::Services);
}

#[test]
fn two_answers_to_one_call() {
    assert_eq!(
        after(
            |event| matches!(event, Event::Sent(_, Frames::Reply { .. })),
            twice
        ),
        Rule::TerminalFrame
    );
}

#[test]
fn a_peer_that_breaks_the_protocol() {
    let rule = after(
        |event| matches!(event, Event::SessionEnded { .. }),
        |log, at| {
            if let Event::SessionEnded { end, .. } = &mut log[at].event {
                *end = SessionEnd::Fault(PeerFault::InvalidBulk);
            }
        },
    );
    assert_eq!(rule, Rule::Protocol);
}

#[test]
fn what_is_left_behind() {
    let held = after(
        |event| matches!(event, Event::Holds { .. }),
        |log, at| {
            if let Event::Holds { usage, .. } = &mut log[at].event {
                usage.exports += 1;
            }
        },
    );
    let task = after(
        |event| matches!(event, Event::Over { .. }),
        |log, at| {
            if let Event::Over { tasks, .. } = &mut log[at].event {
                *tasks = 1;
            }
        },
    );
    let stub = after(|event| matches!(event, Event::Freed(_)), without);
    assert_eq!([held, task, stub], [Rule::Leftover; 3]);
}

#[test]
fn a_panic_that_a_task_swallows() {
    let rule = after(
        |event| matches!(event, Event::Over { .. }),
        |log, at| {
            if let Event::Over { panics, .. } = &mut log[at].event {
                panics.push("at the wrong place".to_owned());
            }
        },
    );
    assert_eq!(rule, Rule::Panic);
}

/// Two one-way calls of one proxy, sent one after the other; `ends` are the events that follow.
fn one_way_calls(ends: &[Event]) -> Option<Rule> {
    let owner = Place {
        device: 0,
        start: 1,
    };
    let caller = Place {
        device: 1,
        start: 2,
    };
    let target = Reference {
        object: 1,
        registration: None,
        proxy: Some(7),
        dead: None,
    };
    let begun = Begun {
        at: caller,
        target,
        objects: Vec::new(),
        one_way: true,
        wait: None,
        answer: Answer::Reply,
        inside: None,
    };
    let born = Event::Born {
        object: 1,
        owner,
        re_exportable: false,
    };
    let begin = [
        born,
        Event::Begun(1, begun.clone()),
        Event::Ended(1, Ok(())),
        Event::Begun(2, begun),
        Event::Ended(2, Ok(())),
    ];
    let over = [
        Event::Freed(1),
        Event::Over {
            tasks: 0,
            panics: Vec::new(),
        },
    ];
    let events = begin.into_iter().chain(ends.iter().cloned()).chain(over);
    let log: Vec<_> = (0..)
        .zip(events)
        .map(|(at, event)| Entry { at, event })
        .collect();
    broken(&log)
}

#[test]
fn one_way_calls_out_of_order_or_beside_each_other_or_lost() {
    let ran = |call| Event::Ran { call, object: 1 };
    let done = Event::Done;
    assert_eq!(one_way_calls(&[ran(1), done(1), ran(2), done(2)]), None);
    for ends in [
        &[ran(2), done(2), ran(1), done(1)][..],
        &[ran(1), ran(2), done(1), done(2)],
        &[ran(1), done(1)],
    ] {
        assert_eq!(one_way_calls(ends), Some(Rule::OneWay), "{ends:?}");
    }
}
