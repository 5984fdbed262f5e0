//! The checks can fail: a log of a good run, changed in one place, is a bad one, and the rule that is broken is named.

use proto::message::DeathReason;
use rpc::{
    GetServiceError, SendRequestError,
    link::LinkClosed,
    peer::SessionEnd,
    session::{PeerFault, Usage},
};
use softbus::presence::OfflineReason;
use softbus_simulation::{
    Below,
    checks::{Checks, Rule},
    log::{Answer, Begun, Entry, Event, Frames, Passage, Place, Reference},
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
fn an_export_that_is_left_behind() {
    let rule = after(
        |event| matches!(event, Event::Usage { quiet: true, usage, .. } if usage.serving + usage.calls == 0),
        |log, at| {
            // In all of them: whether nothing is open is for the check to know.
            for entry in &mut log[at..] {
                if let Event::Usage { usage, .. } = &mut entry.event {
                    usage.exports += 1;
                }
            }
        },
    );
    assert_eq!(rule, Rule::Tables);
}

#[test]
fn an_export_that_is_missing() {
    let rule = after(
        |event| matches!(event, Event::Usage { usage, .. } if usage.exports > 1),
        |log, at| {
            for entry in &mut log[at..] {
                if let Event::Usage { usage, .. } = &mut entry.event {
                    usage.exports = 1;
                }
            }
        },
    );
    assert_eq!(rule, Rule::Tables);
}

#[test]
fn who_is_trusted_no_longer_stays_online() {
    let rule = after(
        |event| matches!(event, Event::Online { .. }),
        |log, at| {
            let Event::Online { at: by, of } = &log[at].event else {
                return;
            };
            let event = Event::Distrusts(by.device, of.device);
            let at = log[at].at;
            let next = log.partition_point(|entry| entry.at <= at);
            log.insert(next, Entry { at, event });
        },
    );
    assert_eq!(rule, Rule::Trust);
}

#[test]
fn a_device_that_is_suspected_for_nothing() {
    let suspected = |before: &[Event]| {
        let quiet = Event::Suspects {
            at: CALLER,
            of: OWNER.device,
        };
        let frame = Event::Sent(passage(0), Frames::Other("hello"));
        let events = [Event::Started(CALLER), Event::Started(OWNER), frame];
        let events = events.into_iter().chain(before.iter().cloned());
        let log: Vec<_> = events
            .chain([quiet])
            .zip([0, 0, 0].into_iter().chain(std::iter::repeat(20_000)))
            .map(|(event, at)| Entry { at, event })
            .collect();
        broken(&log)
    };
    let (here, there) = (CALLER.device, OWNER.device);
    let cut = Event::Cut(there, here);
    assert_eq!(suspected(&[cut]), None);
    assert_eq!(suspected(&[Event::StandsStill(there)]), None);
    assert_eq!(suspected(&[]), Some(Rule::Presence));
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
fn a_device_that_goes_offline_for_nothing_or_comes_twice_or_is_never_seen() {
    let online = |event: &Event| matches!(event, Event::Online { .. });
    let for_nothing = after(online, |log, at| {
        if let Event::Online { at: to, of } = log[at].event {
            let offline = Event::Offline {
                at: to,
                of: of.device,
                reason: OfflineReason::TimedOut,
            };
            // As it happens when the session has ended at this end, and nobody knows why.
            let ended = Event::SessionEnded {
                at: to,
                with: of.device,
                link: u32::MAX,
                end: SessionEnd::Link(LinkClosed::TimedOut),
            };
            let now = log[at].at;
            for event in [offline, ended] {
                log.insert(at + 1, Entry { at: now, event });
            }
        }
    });
    let seen = |event: &Event| matches!(event, Event::Sees { .. });
    let never = after(seen, |log, at| {
        if let Event::Sees { link, .. } = &mut log[at].event {
            *link = None;
        }
    });
    assert_eq!(
        [for_nothing, after(online, twice), never],
        [Rule::Presence; 3]
    );
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

const OWNER: Place = Place {
    device: 0,
    start: 1,
};
const CALLER: Place = Place {
    device: 1,
    start: 2,
};

/// An object, and one-way calls of one proxy of it, sent one after the other.
fn one_way_calls_made(calls: u32) -> Vec<Event> {
    let begun = Begun {
        at: CALLER,
        target: Reference {
            object: 1,
            registration: None,
            proxy: Some(7),
            dead: None,
        },
        objects: Vec::new(),
        one_way: true,
        wait: None,
        answer: Answer::Reply,
        inside: None,
    };
    let born = Event::Born {
        object: 1,
        owner: OWNER,
        re_exportable: false,
    };
    let calls = (1..=calls).flat_map(|call| {
        [
            Event::Begun(call, begun.clone()),
            Event::Ended(call, Ok(())),
        ]
    });
    std::iter::once(born).chain(calls).collect()
}

/// Which rule is broken by a log of these events, one in each millisecond.
fn broken_by(events: impl IntoIterator<Item = Event>) -> Option<Rule> {
    let over = [
        Event::Freed(1),
        Event::Over {
            tasks: 0,
            panics: Vec::new(),
        },
    ];
    let entries = (0..).zip(events.into_iter().chain(over));
    let log: Vec<_> = entries.map(|(at, event)| Entry { at, event }).collect();
    broken(&log)
}

/// Two one-way calls, and then these events.
fn one_way_calls(ends: &[Event]) -> Option<Rule> {
    broken_by(
        one_way_calls_made(2)
            .into_iter()
            .chain(ends.iter().cloned()),
    )
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

/// One one-way call on the wire, and these events after it has arrived.
fn credit(after: &[Event]) -> Option<Rule> {
    let link = 0;
    let began = |at, with| Event::SessionBegan { at, with, link };
    let call = Frames::Call {
        id: None,
        handle: 1,
        code: 1,
        grants: 0,
        exported: Vec::new(),
        bulk: false,
    };
    let there = passage(0);
    let wire = [
        Event::Dialled {
            at: CALLER,
            to: OWNER.device,
            link,
        },
        began(CALLER, OWNER),
        began(OWNER, CALLER),
        Event::Sent(there, call.clone()),
        Event::Arrived(there, call),
    ];
    let events = one_way_calls_made(1).into_iter().chain(wire);
    let rest = Event::Holds {
        at: CALLER,
        with: OWNER.device,
        usage: Usage {
            exports: 1,
            imports: 1,
            ..Usage::default()
        },
    };
    broken_by(events.chain(after.iter().cloned()).chain([rest]))
}

const fn passage(from: usize) -> Passage {
    Passage {
        link: 0,
        from,
        lane: Some(1),
    }
}

#[test]
fn credit_that_is_given_back_twice_or_early_or_never() {
    let ran = Event::Ran { call: 1, object: 1 };
    let done = Event::Done(1);
    let ack = |calls| Frames::Ack { calls, refused: 0 };
    let gives = |calls| Event::Sent(passage(1), ack(calls));
    let has = |calls| Event::Arrived(passage(1), ack(calls));
    let good = [ran.clone(), done.clone(), gives(1), has(1)];
    assert_eq!(credit(&good), None);
    for bad in [
        &[ran.clone(), done.clone(), gives(2), has(2)][..],
        &[ran.clone(), gives(1), done.clone(), has(1)],
        &[ran, done, gives(1)],
    ] {
        assert_eq!(credit(bad), Some(Rule::Credit), "{bad:?}");
    }
}
