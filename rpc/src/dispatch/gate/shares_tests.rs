//! Of `shares.rs`, and apart from it: that file is also built over other locks, under which these cannot run.

use proto::DeviceId;

use super::shares::{Full, Load, Share, Shares};
use crate::session::passing_rules::Party;

fn caller(number: u8) -> Party {
    Party {
        device: DeviceId::from_bytes([number; 32]),
        process: 0,
    }
}

fn fill(shares: &Shares, who: u8, bytes: usize) -> Vec<Share> {
    std::iter::from_fn(|| shares.take(caller(who), Load::of(bytes)).ok()).collect()
}

#[test]
fn one_caller_alone_gets_everything() {
    let shares = Shares::new(1024, 1 << 30);
    assert_eq!(fill(&shares, 1, 0).len(), 1024);
    for few in 1..100 {
        assert_eq!(fill(&Shares::new(few, 1 << 30), 1, 0).len(), few);
    }
    assert_eq!(fill(&Shares::new(0, 1 << 30), 1, 0).len(), 0);
}

#[test]
fn everybody_finds_room_beside_a_flood() {
    let shares = Shares::new(1024, 1 << 30);
    let flood = fill(&shares, 1, 0);
    let polite: Vec<_> = (2..=17)
        .map(|who| shares.take(caller(who), Load::of(0)))
        .collect();
    assert!(polite.iter().all(Result::is_ok), "sixteen more callers");
    assert_eq!(
        shares.take(caller(1), Load::of(0)).unwrap_err(),
        Full::Queue {
            limit: 1024,
            value: 1041
        }
    );
    flood.iter().for_each(|share| shares.give_back(share));
    for share in polite {
        shares.give_back(&share.unwrap());
    }
    assert_eq!(shares.used(), Load::default());
    assert!(shares.holders().is_empty());
}

/// However greedy they are: as what they hold ends, each of them gets the same.
#[test]
fn floods_get_even_shares_of_the_second_half() {
    let shares = Shares::new(1024, 1 << 30);
    let mut held: Vec<Vec<Share>> = vec![fill(&shares, 0, 0), Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..4000 {
        // Each ends one request, and asks for as many as it can get.
        for (who, held) in (0..).zip(&mut held) {
            if !held.is_empty() {
                shares.give_back(&held.remove(0));
            }
            held.extend(fill(&shares, who, 0));
        }
    }
    let mut second = [0_u64; 4];
    for holder in shares.holders().iter() {
        second[usize::from(holder.caller.device.as_bytes()[0])] = holder.load.requests;
    }
    assert!(
        second.iter().all(|held| (120..=128).contains(held)),
        "{second:?}"
    );
}

#[test]
fn bytes_are_shared_as_places_are() {
    let shares = Shares::new(1024, 64 << 10);
    let flood = fill(&shares, 1, 1 << 10);
    assert_eq!(flood.len(), 63);
    let full = shares.take(caller(1), Load::of(1 << 10)).unwrap_err();
    assert_eq!(
        full,
        Full::Budget {
            limit: 64 << 10,
            value: 64 << 10,
            alone: false
        }
    );
    let _small = shares.take(caller(2), Load::of(100)).unwrap();
    let too_large = shares.take(caller(2), Load::of(usize::MAX));
    assert!(matches!(too_large, Err(Full::Budget { alone: true, .. })));
    let _nothing = shares.take(caller(1), Load::of(0)).unwrap();
}
