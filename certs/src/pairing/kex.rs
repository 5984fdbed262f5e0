//! The password-authenticated key exchange: two ends that know the same password get the same key, and who does not
//! learns nothing but that.

use curve25519_dalek::edwards::CompressedEdwardsY;
use curve25519_dalek::traits::IsIdentity;
use ring::digest::{Context, SHA256};
use spake2::{Ed25519Group, Identity, Password, Spake2};
use zeroize::Zeroizing;

use super::PairingError;

/// Which end we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Initiator,
    Responder,
}

/// One run of a key exchange. Another one may replace SPAKE2 under another [`VERSION`](Self::VERSION).
pub(super) trait PairingKex: Sized {
    /// Its number in the hellos; the ends have to agree.
    const VERSION: u8;

    /// Begins, bound to who the two ends are; the message is for the other end.
    fn start(side: Side, password: &[u8], initiator: &[u8], responder: &[u8]) -> (Self, Vec<u8>);

    /// The key, if the password was the same; some other key if it was not.
    fn finish(self, theirs: &[u8]) -> Result<Zeroizing<Vec<u8>>, PairingError>;
}

/// SPAKE2 on Ed25519, as in python-spake2 and magic-wormhole. What the crate leaves open is done here: points are
/// checked, and who uses it confirms the key.
pub(super) struct Spake2Ed25519 {
    state: Spake2<Ed25519Group>,
    peer: u8,
}

impl PairingKex for Spake2Ed25519 {
    const VERSION: u8 = 1;

    fn start(side: Side, password: &[u8], initiator: &[u8], responder: &[u8]) -> (Self, Vec<u8>) {
        // The crate keeps its password without wiping it, so it is given a hash: a code can still be guessed from that,
        // but no dump of memory shows it.
        let mut hash = Context::new(&SHA256);
        hash.update(password);
        let password = Password::new(hash.finish());
        let (a, b) = (Identity::new(initiator), Identity::new(responder));
        let (state, message) = match side {
            Side::Initiator => Spake2::start_a(&password, &a, &b),
            Side::Responder => Spake2::start_b(&password, &a, &b),
        };
        let peer = match side {
            Side::Initiator => b'B',
            Side::Responder => b'A',
        };
        (Self { state, peer }, message)
    }

    fn finish(self, theirs: &[u8]) -> Result<Zeroizing<Vec<u8>>, PairingError> {
        check_point(self.peer, theirs)?;
        let key = self.state.finish(theirs);
        key.map(Zeroizing::new)
            .map_err(|_| PairingError::Protocol("key exchange message"))
    }
}

/// A message of the other side with a point of the prime-order group in its one encoding. The crate takes any point, and
/// one of small order would make the key guessable without the password.
pub(super) fn check_point(side: u8, message: &[u8]) -> Result<(), PairingError> {
    const BAD: PairingError = PairingError::Protocol("key exchange message");
    let (first, point) = message.split_first().ok_or(BAD)?;
    let compressed = CompressedEdwardsY::from_slice(point).map_err(|_| BAD)?;
    let point = compressed.decompress().ok_or(BAD)?;
    let canonical = point.compress() == compressed;
    if *first != side || !canonical || point.is_identity() || !point.is_torsion_free() {
        return Err(BAD);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION};

    use super::*;

    fn run(password: &str, other: &str, id: &str, other_id: &str) -> bool {
        let (a, to_b) =
            Spake2Ed25519::start(Side::Initiator, password.as_bytes(), id.as_bytes(), b"r");
        let (b, to_a) =
            Spake2Ed25519::start(Side::Responder, other.as_bytes(), other_id.as_bytes(), b"r");
        a.finish(&to_a).unwrap() == b.finish(&to_b).unwrap()
    }

    #[test]
    fn the_key_is_the_same_only_for_one_password_and_the_same_ends() {
        assert!(run("042137", "042137", "i", "i"));
        assert!(!run("042137", "042138", "i", "i"));
        assert!(!run("042137", "042137", "i", "j"));
    }

    #[test]
    fn only_good_points_of_the_other_side_are_taken() {
        let good = ED25519_BASEPOINT_POINT;
        let message = |side: u8, point: [u8; 32]| [&[side][..], &point].concat();
        assert_eq!(check_point(b'A', &message(b'A', good.compress().0)), Ok(()));
        assert!(check_point(b'B', &message(b'A', good.compress().0)).is_err());
        for point in EIGHT_TORSION {
            assert!(check_point(b'A', &message(b'A', point.compress().0)).is_err());
            if !point.is_identity() {
                let mixed = (good + point).compress().0;
                assert!(check_point(b'A', &message(b'A', mixed)).is_err());
            }
        }
        // 2^255 - 19 + 1 is another spelling of the identity's y.
        let mut spelled = [0xff; 32];
        (spelled[0], spelled[31]) = (0xee, 0x7f);
        for bytes in [[0; 32], [0xff; 32], spelled] {
            assert!(check_point(b'A', &message(b'A', bytes)).is_err());
        }
        let whole = message(b'A', good.compress().0);
        for len in 0..33 {
            assert!(check_point(b'A', &whole[..len]).is_err());
        }
        assert!(check_point(b'A', &[&whole[..], &[0]].concat()).is_err());
    }
}
