//! Pairings that go as they should, or are mended.

use super::{comparing::compare, *};

#[test]
fn the_right_code_pairs_and_closes_the_window() {
    let mut tv = Tv::new(&PairingOptions::code());
    let code = tv.code();
    tv.pair(&code).unwrap();
    assert_eq!(tv.window.end(tv.now), Some(WindowEnd::Paired));
    assert_eq!(tv.pair(&code), Err(PairingError::Closed));
}

#[test]
fn names_are_carried_cut_and_both_modes_of_one_window_work() {
    let mut tv = Tv::new(&PairingOptions::code_and_qr());
    let secret = tv.window.secret().unwrap().clone();
    let (mut responder, _, connection) = tv.connect(PHONE).unwrap();
    let name = "\u{202e}ü".repeat(40);
    let (initiator, hello) =
        Initiator::by_secret(channel(PHONE, TV, connection), &name, &secret).unwrap();
    tv.run(initiator, hello, &mut responder).unwrap();
    // As many of both as fit into 64 bytes: 12 times 3 and 2, and one of 3.
    assert_eq!(
        responder.peer_name(),
        format!("{}\u{202e}", "\u{202e}ü".repeat(12))
    );
    assert_eq!(responder.mode(), Some(PairingMode::Qr));
    assert_eq!(tv.window.attempts_left(PairingMode::Code), 3);
}

/// What a peer takes too long for is not waited for; what its user takes long for is.
#[test]
fn only_users_are_waited_for() {
    let mut tv = Tv::new(&PairingOptions::code());
    let code = tv.code();
    let (mut phone, mut responder, _, kex) = up_to_kex(&mut tv, &code);
    assert!(!responder.waits_for_their_user() && !phone.waits_for_their_user());
    let answer = sent(responder.receive(&mut tv.window, &kex, tv.now).unwrap());
    sent(phone.receive(&answer).unwrap());
    assert!(!responder.waits_for_their_user());
    assert!(phone.waits_for_their_user(), "the tv's user is asked");

    let (mut tv, phone, mut responder, _) = compare(channel(PHONE, TV, 1), channel(PHONE, TV, 1));
    assert!(responder.waits_for_their_user() && phone.waits_for_their_user());
    let yes = message::Message::InitiatorYes.encode();
    responder.receive(&mut tv.window, &yes, tv.now).unwrap();
    assert!(!responder.waits_for_their_user(), "only ours is left");
}

/// The responder has stored its trust, and whether the initiator has is not known: both do it again.
#[test]
fn a_lost_end_is_mended_by_pairing_again() {
    let (at_phone, at_tv) = (TrustStore::in_memory(), TrustStore::in_memory());
    for lost in [true, false] {
        let mut tv = Tv::new(&PairingOptions::code().without_asking());
        let code = tv.code();
        let (mut phone, mut responder, _, kex) = up_to_kex(&mut tv, &code);
        let answer = sent(responder.receive(&mut tv.window, &kex, tv.now).unwrap());
        let proof = sent(phone.receive(&answer).unwrap());
        responder.receive(&mut tv.window, &proof, tv.now).unwrap();
        let added = at_tv.add_paired(PHONE, "", PairingMode::Code).unwrap();
        assert_eq!(added, lost, "the second time it is there");
        let confirmed = sent(responder.stored(&mut tv.window).unwrap());
        if !lost {
            assert_eq!(phone.receive(&confirmed), Ok(vec![Step::Store]));
            assert!(at_phone.add_paired(TV, "", PairingMode::Code).unwrap());
        }
    }
    assert_eq!((at_phone.entries().len(), at_tv.entries().len()), (1, 1));
}

#[test]
fn an_end_at_work_is_seen_and_each_knows_the_other_s_name() {
    let mut tv = Tv::new(&PairingOptions::code());
    let code = tv.code();
    let (phone, mut responder, session, kex) = up_to_kex(&mut tv, &code);
    assert_eq!((phone.peer_name(), responder.peer_name()), ("tv", "phone"));
    assert!(!tv.window.is_working());
    responder.receive(&mut tv.window, &kex, tv.now).unwrap();
    assert!(tv.window.is_working());
    tv.window.over(session);
    assert!(!tv.window.is_working());
}
