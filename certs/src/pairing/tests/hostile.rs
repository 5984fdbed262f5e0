//! Machines in the middle, recordings, and messages that are not what they should be.

use proptest::prelude::*;

use super::*;

/// Somebody in the middle who knows the code, or carries everything to and fro, has other keys than the ends expect.
#[test]
fn a_relay_with_the_right_code_fails_at_both_ends() {
    for (at_phone, at_tv) in [
        // The phone talks to Mallory, who passes it on to the tv.
        (channel(PHONE, MALLORY, 1), channel(MALLORY, TV, 1)),
        // Even if the ids were right, the connections are two.
        (channel(PHONE, TV, 1), channel(PHONE, TV, 2)),
    ] {
        let mut tv = Tv::new(&PairingOptions::code());
        let code = tv.code();
        let session = tv.window.admit(address(1), tv.now).unwrap();
        let mut responder = Responder::new(at_tv, session, "tv");
        let (mut initiator, hello) = Initiator::by_code(at_phone, "phone", &code).unwrap();
        let answer = sent(responder.receive(&mut tv.window, &hello, tv.now).unwrap());
        let kex = sent(initiator.receive(&answer).unwrap());
        let kex = sent(responder.receive(&mut tv.window, &kex, tv.now).unwrap());
        let proof = sent(initiator.receive(&kex).unwrap());
        let failed = responder.receive(&mut tv.window, &proof, tv.now);
        assert_eq!(failed, Err(PairingError::WrongCode));
        // Whatever Mallory answers for the tv, the phone stores nothing.
        let forged = message::Message::ResponderProof([0; 32]).encode();
        assert_eq!(initiator.receive(&forged), Err(PairingError::WrongCode));
    }
}

#[test]
fn a_recording_is_of_no_use() {
    let options = PairingOptions::code().without_asking();
    let mut tv = Tv::new(&options);
    let code = tv.code();
    let (mut responder, session, connection) = tv.connect(PHONE).unwrap();
    let (initiator, hello) =
        Initiator::by_code(channel(PHONE, TV, connection), "phone", &code).unwrap();
    let recorded = tv.run(initiator, hello, &mut responder).unwrap();
    tv.window.over(session);

    // To a responder that shows the same code again.
    let mut again = Tv::new(&options);
    again.window.set_code(code.clone());
    let (mut responder, _, _) = again.connect(PHONE).unwrap();
    let mut result = Ok(Vec::new());
    for message in &recorded[0] {
        result = result.and_then(|_| responder.receive(&mut again.window, message, again.now));
    }
    assert_eq!(result, Err(PairingError::WrongCode));

    // To an initiator that is told the same code again.
    let (mut initiator, _) = Initiator::by_code(channel(PHONE, TV, 77), "phone", &code).unwrap();
    let mut result = Ok(Vec::new());
    for message in &recorded[1] {
        result = result.and_then(|_| initiator.receive(message));
    }
    assert_eq!(result, Err(PairingError::WrongCode));
}

#[test]
fn bad_key_exchange_messages_break_the_protocol_and_count() {
    let reflected_by_the_tv = {
        let mut tv = Tv::new(&PairingOptions::code());
        let code = tv.code();
        let (mut initiator, _, _, kex) = up_to_kex(&mut tv, &code);
        initiator.receive(&[&[4], &kex[1..]].concat())
    };
    assert!(matches!(
        reflected_by_the_tv,
        Err(PairingError::Protocol(_))
    ));

    let mut identity = [0; 33];
    (identity[0], identity[1]) = (b'A', 1);
    let mut zero = [0; 33];
    zero[0] = b'A';
    let mut ones = [0xff; 33];
    ones[0] = b'A';
    let small = {
        let point = curve25519_dalek::constants::EIGHT_TORSION[1];
        [b"A", &point.compress().0[..]].concat()
    };
    let contents: [&[u8]; 8] = [
        &identity,
        &zero,
        &ones,
        &small,
        &[],
        &[b'A'; 32],
        &[b'A'; 34],
        &[b'A'; 1025],
    ];
    for content in contents {
        let mut tv = Tv::new(&PairingOptions::code());
        let code = tv.code();
        let (_, mut responder, _, _) = up_to_kex(&mut tv, &code);
        let message = [&[3], content].concat();
        let refused = responder.receive(&mut tv.window, &message, tv.now);
        assert!(
            matches!(refused, Err(PairingError::Protocol(_))),
            "{refused:?}"
        );
        assert_eq!(tv.window.attempts_left(PairingMode::Code), 2, "{content:?}");
    }
}

#[test]
fn the_responder_s_own_message_back_is_refused() {
    let mut tv = Tv::new(&PairingOptions::code());
    let code = tv.code();
    let (_, mut responder, _, kex) = up_to_kex(&mut tv, &code);
    let answer = sent(responder.receive(&mut tv.window, &kex, tv.now).unwrap());
    let (_, mut other, _, _) = {
        tv.window.over(SessionNumber::first());
        up_to_kex(&mut tv, &code)
    };
    let reflected = [&[3], &answer[1..]].concat();
    let refused = other.receive(&mut tv.window, &reflected, tv.now);
    assert!(
        matches!(refused, Err(PairingError::Protocol(_))),
        "{refused:?}"
    );
}

#[test]
fn messages_out_of_order_twice_or_after_the_end_are_refused() {
    let options = PairingOptions::code().without_asking();
    let mut tv = Tv::new(&options);
    let code = tv.code();
    let (mut responder, session, connection) = tv.connect(PHONE).unwrap();
    let (initiator, hello) =
        Initiator::by_code(channel(PHONE, TV, connection), "phone", &code).unwrap();
    let [to_tv, to_phone] = tv.run(initiator, hello, &mut responder).unwrap();
    tv.window.over(session);
    for after in to_tv.iter().chain(&to_phone) {
        let refused = responder.receive(&mut tv.window, after, tv.now);
        assert!(
            matches!(refused, Err(PairingError::Protocol(_))),
            "{refused:?}"
        );
    }
    for (place, first) in to_tv.iter().chain(&to_phone).enumerate() {
        let mut tv = Tv::new(&options);
        let (mut responder, _, _) = tv.connect(PHONE).unwrap();
        let begun = responder.receive(&mut tv.window, first, tv.now);
        assert_eq!(begun.is_ok(), place == 0);
        if place == 0 {
            let twice = responder.receive(&mut tv.window, first, tv.now);
            assert!(matches!(twice, Err(PairingError::Protocol(_))), "{twice:?}");
        }
    }
}

#[test]
fn another_version_is_named() {
    let mut tv = Tv::new(&PairingOptions::code());
    let (mut responder, _, _) = tv.connect(PHONE).unwrap();
    let refused = responder.receive(&mut tv.window, &[1, 2, 1], tv.now);
    assert_eq!(refused, Err(PairingError::Version { ours: 1, theirs: 2 }));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// No bit of any message may be changed under way.
    #[test]
    fn any_flipped_bit_trusts_nobody(which in 0usize..6, bit: prop::sample::Index) {
        let mut tv = Tv::new(&PairingOptions::code().without_asking());
        let code = tv.code();
        let (mut responder, _, connection) = tv.connect(PHONE).unwrap();
        let (mut initiator, mut message) =
            Initiator::by_code(channel(PHONE, TV, connection), "phone", &code).unwrap();
        let (mut phone_stores, mut tv_stores) = (false, false);
        for place in 0..6 {
            if place == which {
                let bit = bit.index(message.len() * 8);
                message[bit / 8] ^= 1 << (bit % 8);
            }
            let steps = if place % 2 == 0 {
                responder.receive(&mut tv.window, &message, tv.now)
            } else {
                initiator.receive(&message)
            };
            let Ok(mut steps) = steps else { break };
            if steps == [Step::Store] {
                if place % 2 == 0 {
                    tv_stores = true;
                    steps = responder.stored(&mut tv.window).unwrap();
                } else {
                    phone_stores = true;
                    break;
                }
            }
            message = sent(steps);
        }
        prop_assert!(!phone_stores);
        // The tv has stored before its own confirmation was spoiled; the phone will be asked again.
        prop_assert_eq!(tv_stores, which == 5);
    }

    /// Whatever is sent in whatever order, without the code nobody gets to trust.
    #[test]
    fn no_order_of_messages_is_trusted_without_the_code(
        order in prop::collection::vec((1u8..12, prop::collection::vec(any::<u8>(), 0..40)), 0..8)
    ) {
        let mut tv = Tv::new(&PairingOptions::code().without_asking());
        let (mut responder, _, _) = tv.connect(PHONE).unwrap();
        for (kind, content) in order {
            let message = [&[kind], &content[..]].concat();
            let steps = responder.receive(&mut tv.window, &message, tv.now);
            prop_assert!(!steps.is_ok_and(|steps| steps.contains(&Step::Store)));
        }
    }
}

#[test]
fn an_unknown_key_exchange_is_refused() {
    let mut tv = Tv::new(&PairingOptions::code());
    let code = tv.code();
    let (mut responder, _, connection) = tv.connect(PHONE).unwrap();
    let (phone, mut hello) =
        Initiator::by_code(channel(PHONE, TV, connection), "phone", &code).unwrap();
    assert_eq!(phone.peer_name(), "");
    hello[3] = 2;
    let refused = responder.receive(&mut tv.window, &hello, tv.now);
    assert_eq!(refused, Err(PairingError::Protocol("unknown key exchange")));
}

/// One that cannot be read ends it at both ends, and what would have been right comes too late.
#[test]
fn after_a_message_that_is_none_there_is_no_going_on() {
    for spoil_the_phone in [true, false] {
        let mut tv = Tv::new(&PairingOptions::code());
        let code = tv.code();
        let (mut phone, mut responder, _, kex) = up_to_kex(&mut tv, &code);
        let late = if spoil_the_phone {
            let answer = sent(responder.receive(&mut tv.window, &kex, tv.now).unwrap());
            phone.receive(&[0xff]).unwrap_err();
            phone.receive(&answer)
        } else {
            let garbage = responder.receive(&mut tv.window, &[0xff], tv.now);
            garbage.unwrap_err();
            responder.receive(&mut tv.window, &kex, tv.now)
        };
        assert_eq!(late, Err(PairingError::Protocol("message out of order")));
    }
}
