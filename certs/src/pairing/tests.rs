use std::net::{IpAddr, Ipv4Addr};
use std::time::Instant;

use proptest::prelude::*;
use proto::DeviceId;

use super::*;
use crate::TrustStore;

const PHONE: DeviceId = DeviceId::from_bytes([1; 32]);
const TV: DeviceId = DeviceId::from_bytes([2; 32]);
const MALLORY: DeviceId = DeviceId::from_bytes([3; 32]);

fn address(number: u8) -> IpAddr {
    Ipv4Addr::new(192, 168, 1, number).into()
}

/// A connection between two devices, as each of them sees it.
fn channel(initiator: DeviceId, responder: DeviceId, connection: u8) -> PairingChannel {
    PairingChannel::new(initiator, responder, [connection; 32])
}

/// The end that opened a window.
struct Tv {
    window: PairingWindow,
    now: Instant,
    connections: u8,
}

impl Tv {
    fn new(options: &PairingOptions) -> Self {
        let now = Instant::now();
        Self {
            window: PairingWindow::open(options, now).unwrap(),
            now,
            connections: 0,
        }
    }

    fn code(&self) -> PairingCode {
        self.window.code().unwrap().clone()
    }

    fn wrong_code(&self) -> PairingCode {
        let other = if self.code().reveal() == "000000" {
            "000001"
        } else {
            "000000"
        };
        other.parse().unwrap()
    }

    /// The next connection, from an address of its own.
    fn connect(&mut self, from: DeviceId) -> Result<(Responder, SessionNumber, u8), PairingError> {
        self.connections += 1;
        let session = self.window.admit(address(self.connections), self.now)?;
        let channel = channel(from, TV, self.connections);
        let responder = Responder::new(channel, session, "tv");
        Ok((responder, session, self.connections))
    }

    /// A pairing with a phone that was told this code, to its end.
    fn pair(&mut self, code: &PairingCode) -> Result<(), PairingError> {
        let (mut responder, session, connection) = self.connect(PHONE)?;
        let (initiator, hello) =
            Initiator::by_code(channel(PHONE, TV, connection), "phone", code).unwrap();
        let result = self.run(initiator, hello, &mut responder);
        self.window.over(session);
        result.map(drop)
    }

    /// Carries messages until both ends are done, or one fails. Both users agree to everything. Returns all messages,
    /// those of the initiator first.
    fn run(
        &mut self,
        mut initiator: Initiator,
        hello: Vec<u8>,
        responder: &mut Responder,
    ) -> Result<[Vec<Vec<u8>>; 2], PairingError> {
        let mut sent = [vec![hello.clone()], vec![]];
        let (mut to_responder, mut to_initiator) = (vec![hello], Vec::new());
        let mut done = [false; 2];
        while !to_responder.is_empty() || !to_initiator.is_empty() {
            for message in std::mem::take(&mut to_responder) {
                let mut steps = responder.receive(&mut self.window, &message, self.now)?;
                while !steps.is_empty() {
                    match steps.remove(0) {
                        Step::Send(message) => to_initiator.push(message),
                        Step::AskUser | Step::Compare(_) => {
                            steps.extend(responder.agreed(&mut self.window)?);
                        }
                        Step::Store => steps.extend(responder.stored(&mut self.window)?),
                        Step::Done => done[1] = true,
                    }
                }
            }
            sent[1].extend(to_initiator.iter().cloned());
            for message in std::mem::take(&mut to_initiator) {
                let mut steps = initiator.receive(&message)?;
                while !steps.is_empty() {
                    match steps.remove(0) {
                        Step::Send(message) => to_responder.push(message),
                        Step::AskUser => unreachable!("an initiator's user has typed the code"),
                        Step::Compare(_) => steps.extend(initiator.agreed()?),
                        Step::Store => steps.extend(initiator.stored()?),
                        Step::Done => done[0] = true,
                    }
                }
            }
            sent[0].extend(to_responder.iter().cloned());
        }
        assert_eq!(done, [true; 2], "it ended without an error");
        Ok(sent)
    }
}

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

#[test]
fn three_wrong_codes_close_the_window() {
    let mut tv = Tv::new(&PairingOptions::code());
    let (right, wrong) = (tv.code(), tv.wrong_code());
    for left in [2, 1, 0] {
        assert_eq!(tv.pair(&wrong), Err(PairingError::WrongCode));
        assert_eq!(tv.window.attempts_left(PairingMode::Code), left);
    }
    assert_eq!(tv.window.end(tv.now), Some(WindowEnd::Failed));
    assert_eq!(tv.pair(&right), Err(PairingError::Closed));
}

#[test]
fn the_last_attempt_may_be_the_right_one() {
    let mut tv = Tv::new(&PairingOptions::code());
    let (right, wrong) = (tv.code(), tv.wrong_code());
    for _ in 0..2 {
        tv.pair(&wrong).unwrap_err();
    }
    tv.pair(&right).unwrap();
    assert_eq!(tv.window.end(tv.now), Some(WindowEnd::Paired));
}

#[test]
fn a_used_up_code_leaves_the_qr_code_open() {
    let mut tv = Tv::new(&PairingOptions::code_and_qr());
    let (right, wrong) = (tv.code(), tv.wrong_code());
    for _ in 0..3 {
        assert_eq!(tv.pair(&wrong), Err(PairingError::WrongCode));
    }
    assert_eq!(tv.window.attempts_left(PairingMode::Code), 0);
    assert_eq!(tv.pair(&right), Err(PairingError::Closed));
    assert_eq!(tv.window.end(tv.now), None);
    assert_eq!(tv.window.attempts_left(PairingMode::Qr), 20);
}

/// Up to the initiator's key exchange message, which is returned and not yet delivered.
fn up_to_kex(tv: &mut Tv, code: &PairingCode) -> (Initiator, Responder, SessionNumber, Vec<u8>) {
    let (mut responder, session, connection) = tv.connect(PHONE).unwrap();
    let (mut initiator, hello) =
        Initiator::by_code(channel(PHONE, TV, connection), "phone", code).unwrap();
    let answer = sent(responder.receive(&mut tv.window, &hello, tv.now).unwrap());
    let kex = sent(initiator.receive(&answer).unwrap());
    (initiator, responder, session, kex)
}

fn sent(mut steps: Vec<Step>) -> Vec<u8> {
    match steps.remove(0) {
        Step::Send(message) => message,
        other => panic!("{other:?} instead of a message"),
    }
}

#[test]
fn giving_up_after_the_attempt_arrived_counts() {
    let mut tv = Tv::new(&PairingOptions::code());
    let code = tv.code();
    for left in [2, 1, 0] {
        let (_, mut responder, session, kex) = up_to_kex(&mut tv, &code);
        responder.receive(&mut tv.window, &kex, tv.now).unwrap();
        tv.window.over(session);
        assert_eq!(tv.window.attempts_left(PairingMode::Code), left);
    }
    assert_eq!(tv.pair(&code), Err(PairingError::Closed));
}

#[test]
fn the_code_expires() {
    let mut tv = Tv::new(&PairingOptions::code());
    let code = tv.code();
    let (_, mut responder, _, kex) = up_to_kex(&mut tv, &code);
    tv.now += Duration::from_secs(119);
    let (_, mut in_time, _, kex_in_time) = up_to_kex(&mut tv, &code);
    in_time
        .receive(&mut tv.window, &kex_in_time, tv.now)
        .unwrap();
    tv.now += Duration::from_secs(2);
    let late = responder.receive(&mut tv.window, &kex, tv.now);
    assert_eq!(late, Err(PairingError::CodeExpired));
    assert_eq!(tv.pair(&code), Err(PairingError::CodeExpired));
    assert_eq!(tv.window.end(tv.now), Some(WindowEnd::Expired));
}

#[test]
fn two_at_once_the_second_is_busy_and_not_counted() {
    let mut tv = Tv::new(&PairingOptions::code().without_asking());
    let code = tv.code();
    let (mut first, mut to_first, _, kex) = up_to_kex(&mut tv, &code);
    let answer = sent(to_first.receive(&mut tv.window, &kex, tv.now).unwrap());
    let (_, mut to_second, second, other_kex) = up_to_kex(&mut tv, &code);
    let busy = to_second.receive(&mut tv.window, &other_kex, tv.now);
    assert_eq!(busy, Err(PairingError::Busy));
    tv.window.over(second);
    assert_eq!(tv.window.attempts_left(PairingMode::Code), 2);
    let proof = sent(first.receive(&answer).unwrap());
    let steps = to_first.receive(&mut tv.window, &proof, tv.now).unwrap();
    assert_eq!(steps, [Step::Store]);
    let answer = sent(to_first.stored(&mut tv.window).unwrap());
    assert_eq!(first.receive(&answer), Ok(vec![Step::Store]));
}

#[test]
fn idle_ones_hold_no_place_for_long() {
    let mut tv = Tv::new(&PairingOptions::code());
    for number in 1..=4 {
        tv.window.admit(address(number), tv.now).unwrap();
    }
    assert_eq!(tv.window.admit(address(5), tv.now), Err(PairingError::Busy));
    tv.now += MESSAGE_TIME;
    tv.connections = 5;
    let code = tv.code();
    tv.pair(&code).unwrap();
}

#[test]
fn one_that_was_idle_too_long_comes_too_late() {
    let mut tv = Tv::new(&PairingOptions::code());
    let code = tv.code();
    let (_, mut responder, _, kex) = up_to_kex(&mut tv, &code);
    tv.now += MESSAGE_TIME;
    let late = responder.receive(&mut tv.window, &kex, tv.now);
    assert_eq!(late, Err(PairingError::Busy));
}

#[test]
fn an_address_that_comes_too_often_hinders_no_other() {
    let mut tv = Tv::new(&PairingOptions::code());
    let mut let_in = 0;
    for _ in 0..100 {
        if let Ok(session) = tv.window.admit(address(200), tv.now) {
            let_in += 1;
            tv.window.over(session);
        }
        tv.now += Duration::from_millis(10);
    }
    assert_eq!(let_in, 1);
    let code = tv.code();
    tv.pair(&code).unwrap();
}

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
fn a_window_that_is_closed_meanwhile_trusts_nobody() {
    let mut tv = Tv::new(&PairingOptions::code());
    let code = tv.code();
    let (mut initiator, mut responder, _, kex) = up_to_kex(&mut tv, &code);
    let answer = sent(responder.receive(&mut tv.window, &kex, tv.now).unwrap());
    let proof = sent(initiator.receive(&answer).unwrap());
    let asked = responder.receive(&mut tv.window, &proof, tv.now).unwrap();
    assert_eq!(asked, [Step::AskUser]);
    tv.window.close();
    assert_eq!(responder.agreed(&mut tv.window), Err(PairingError::Closed));
}

#[test]
fn a_mode_that_was_not_opened_is_closed() {
    let mut tv = Tv::new(&PairingOptions::compare());
    assert_eq!(
        tv.pair(&"000000".parse().unwrap()),
        Err(PairingError::Closed)
    );
    let mut tv = Tv::new(&PairingOptions::qr());
    assert_eq!(
        tv.pair(&"000000".parse().unwrap()),
        Err(PairingError::Closed)
    );
}

#[test]
fn another_version_is_named() {
    let mut tv = Tv::new(&PairingOptions::code());
    let (mut responder, _, _) = tv.connect(PHONE).unwrap();
    let refused = responder.receive(&mut tv.window, &[1, 2, 1], tv.now);
    assert_eq!(refused, Err(PairingError::Version { ours: 1, theirs: 2 }));
}

/// Compare mode up to the digits, over connections that may be two.
fn compare(
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
fn a_network_of_ipv6_counts_as_one_address() {
    let mut tv = Tv::new(&PairingOptions::code());
    let mut admit = |address: &str| tv.window.admit(address.parse().unwrap(), tv.now);
    assert!(admit("2001:db8::1").is_ok());
    assert_eq!(admit("2001:db8::2:0:0:1"), Err(PairingError::Busy));
    assert!(admit("2001:db8:0:1::1").is_ok());
    assert!(admit("192.168.1.5").is_ok());
    assert_eq!(admit("::ffff:192.168.1.5"), Err(PairingError::Busy));
}

#[test]
fn a_window_is_open_for_fifteen_minutes_at_most() {
    let options = PairingOptions::code().open_for(Duration::from_secs(3600));
    assert_eq!(options.time(), Duration::from_secs(900));
    let mut tv = Tv::new(&options);
    let opened = tv.now;
    assert_eq!(tv.window.end(opened + Duration::from_secs(899)), None);
    tv.now = opened + Duration::from_secs(900);
    assert_eq!(tv.window.end(tv.now), Some(WindowEnd::Expired));
    assert!(!PairingOptions::code().is_despite_failures());
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
