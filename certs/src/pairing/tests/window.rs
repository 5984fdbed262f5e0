//! How long a window is open, for how many, and what counts as an attempt.

use super::*;

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
