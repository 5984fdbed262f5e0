//! Two screens and two users.

use super::*;

/// Compare mode up to the digits, over connections that may be two.
pub(super) fn compare(
    at_phone: PairingChannel,
    at_tv: PairingChannel,
) -> (Tv, Initiator, Responder, [Vec<Step>; 2]) {
    let mut tv = Tv::new(&PairingOptions::compare());
    let session = tv.window.admit(address(1), tv.now).unwrap();
    let mut responder = Responder::new(at_tv, session, "tv");
    let (mut initiator, hello) = Initiator::by_comparing(at_phone, "phone").unwrap();
    let answer = sent(responder.receive(&mut tv.window, &hello, tv.now).unwrap());
    let nonce = sent(initiator.receive(&answer).unwrap());
    let mut at_tv = responder.receive(&mut tv.window, &nonce, tv.now).unwrap();
    let Step::Send(nonce) = at_tv.remove(0) else {
        panic!("{at_tv:?}");
    };
    let at_phone = initiator.receive(&nonce);
    let at_phone = at_phone.unwrap_or_default();
    (tv, initiator, responder, [at_phone, at_tv])
}

#[test]
fn compared_digits_agree_and_both_users_are_needed() {
    let (mut tv, mut phone, mut responder, [at_phone, at_tv]) =
        compare(channel(PHONE, TV, 1), channel(PHONE, TV, 1));
    assert!(matches!(at_phone[..], [Step::Compare(_)]));
    assert_eq!(at_phone, at_tv);
    assert_eq!(tv.window.attempts_left(PairingMode::Compare), 2);
    let yes = sent(phone.agreed().unwrap());
    assert_eq!(responder.receive(&mut tv.window, &yes, tv.now), Ok(vec![]));
    let steps = responder.agreed(&mut tv.window).unwrap();
    let [Step::Send(yes), Step::Store] = &steps[..] else {
        panic!("{steps:?}");
    };
    assert_eq!(responder.stored(&mut tv.window), Ok(vec![]));
    assert_eq!(phone.receive(yes), Ok(vec![Step::Store]));
    let done = sent(phone.stored().unwrap());
    assert_eq!(
        responder.receive(&mut tv.window, &done, tv.now),
        Ok(vec![Step::Done])
    );
}

#[test]
fn a_yes_of_the_other_alone_stores_nothing() {
    let (mut tv, _, mut responder, _) = compare(channel(PHONE, TV, 1), channel(PHONE, TV, 1));
    let yes = message::Message::InitiatorYes.encode();
    assert_eq!(responder.receive(&mut tv.window, &yes, tv.now), Ok(vec![]));
    let twice = responder.receive(&mut tv.window, &yes, tv.now);
    assert!(matches!(twice, Err(PairingError::Protocol(_))));
}

#[test]
fn a_relay_shows_other_digits() {
    let mut alike = 0;
    for _ in 0..20 {
        let mut tv = Tv::new(&PairingOptions::compare());
        let session = tv.window.admit(address(1), tv.now).unwrap();
        let (at_phone, at_tv) = (channel(PHONE, MALLORY, 1), channel(MALLORY, TV, 2));
        let mut responder = Responder::new(at_tv, session, "tv");
        let (mut to_tv, hello) = Initiator::by_comparing(channel(MALLORY, TV, 2), "").unwrap();
        let answer = sent(responder.receive(&mut tv.window, &hello, tv.now).unwrap());
        let nonce = sent(to_tv.receive(&answer).unwrap());
        let shown = responder.receive(&mut tv.window, &nonce, tv.now).unwrap();
        // Mallory plays the tv to the phone by the rules: what else he may choose is committed to before he hears
        // anything that the digits depend on.
        let mut as_tv = Tv::new(&PairingOptions::compare());
        let session = as_tv.window.admit(address(1), as_tv.now).unwrap();
        let mut fake = Responder::new(channel(PHONE, MALLORY, 1), session, "tv");
        let (mut phone, hello) = Initiator::by_comparing(at_phone, "phone").unwrap();
        let answer = sent(fake.receive(&mut as_tv.window, &hello, as_tv.now).unwrap());
        let nonce = sent(phone.receive(&answer).unwrap());
        let revealed = sent(fake.receive(&mut as_tv.window, &nonce, as_tv.now).unwrap());
        let steps = phone.receive(&revealed).unwrap();
        alike += usize::from(steps.last() == shown.last());
    }
    assert_eq!(alike, 0);
}

#[test]
fn a_nonce_that_was_not_committed_to_shows_no_digits() {
    let mut tv = Tv::new(&PairingOptions::compare());
    let (mut responder, _, connection) = tv.connect(PHONE).unwrap();
    let (mut phone, hello) = Initiator::by_comparing(channel(PHONE, TV, connection), "").unwrap();
    let answer = sent(responder.receive(&mut tv.window, &hello, tv.now).unwrap());
    sent(phone.receive(&answer).unwrap());
    let other = message::Message::ResponderNonce([9; 32]).encode();
    let refused = phone.receive(&other);
    assert_eq!(
        refused,
        Err(PairingError::Protocol("not what was committed to"))
    );
}

#[test]
fn the_initiator_s_hello_has_nothing_the_digits_depend_on_alone() {
    // Two runs with the same hello, which a machine in the middle knows before it commits: the digits still differ.
    let mut shown = Vec::new();
    for _ in 0..2 {
        let (_, _, _, [at_phone, _]) = compare(channel(PHONE, TV, 1), channel(PHONE, TV, 1));
        shown.push(at_phone);
    }
    assert_ne!(shown[0], shown[1]);
}
