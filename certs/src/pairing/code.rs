//! What a user carries from one screen to the other. None of it is ever printed by `Debug`.

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE32_NOPAD;
use zeroize::Zeroizing;

use super::PairingError;

const DIGITS: usize = 6;
const CODES: u32 = 1_000_000;

/// Six digits from the system's random numbers, good for one window.
#[derive(Clone, PartialEq, Eq)]
pub struct PairingCode(Zeroizing<[u8; DIGITS]>);

impl PairingCode {
    /// A new one.
    ///
    /// # Errors
    ///
    /// [`PairingError::Random`].
    pub fn generate() -> Result<Self, PairingError> {
        // Numbers from the last, incomplete million would make some codes more likely.
        let fair = u32::MAX - u32::MAX % CODES;
        loop {
            let number = Zeroizing::new(getrandom::u32()?);
            if *number < fair {
                return Ok(Self(Zeroizing::new(to_digits(*number % CODES))));
            }
        }
    }

    /// The digits, to be shown to our user and to nobody else.
    pub fn reveal(&self) -> &str {
        str::from_utf8(&*self.0).expect("digits are text")
    }
}

impl FromStr for PairingCode {
    type Err = ParsePairingCodeError;

    /// As people type it: spaces and hyphens do not count.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut digits = Zeroizing::new([0; DIGITS]);
        let mut count = 0;
        for byte in text.trim().bytes().filter(|byte| !b" -".contains(byte)) {
            if !byte.is_ascii_digit() {
                return Err(ParsePairingCodeError);
            }
            *digits.get_mut(count).ok_or(ParsePairingCodeError)? = byte;
            count += 1;
        }
        if count != DIGITS {
            return Err(ParsePairingCodeError);
        }
        Ok(Self(digits))
    }
}

impl fmt::Debug for PairingCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PairingCode(..)")
    }
}

/// A text is no pairing code, which is six digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a pairing code is six digits")]
pub struct ParsePairingCodeError;

/// 128 random bits that go into a QR code, good for one window.
#[derive(Clone, PartialEq, Eq)]
pub struct PairingSecret(Zeroizing<[u8; 16]>);

impl PairingSecret {
    /// Characters of its text form.
    const TEXT_LEN: usize = 26;

    /// A new one.
    ///
    /// # Errors
    ///
    /// [`PairingError::Random`].
    pub fn generate() -> Result<Self, PairingError> {
        let mut bytes = Zeroizing::new([0; 16]);
        getrandom::fill(&mut *bytes)?;
        Ok(Self(bytes))
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &*self.0
    }

    pub(super) fn append_to(&self, text: &mut String) {
        BASE32_NOPAD.encode_append(self.bytes(), text);
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut bytes = Zeroizing::new([0; 16]);
        let upper = Zeroizing::new(text.to_ascii_uppercase());
        if upper.len() != Self::TEXT_LEN {
            return None;
        }
        BASE32_NOPAD
            .decode_mut(upper.as_bytes(), &mut *bytes)
            .ok()?;
        Some(Self(bytes))
    }
}

impl fmt::Debug for PairingSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PairingSecret(..)")
    }
}

/// Six digits that two users compare. No secret: who sees them can do nothing with them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompareDigits(u32);

impl CompareDigits {
    /// Drawn from random bytes: the first 20 bits that are below a million.
    pub(super) fn draw(random: &[u8; 48]) -> Self {
        let (triples, _) = random.as_chunks::<3>();
        let numbers = triples
            .iter()
            .map(|[a, b, c]| u32::from_be_bytes([0, *a, *b, *c]) >> 4);
        // Sixteen numbers that are all too large do not happen: one in 10^21.
        Self(numbers.clone().find(|number| *number < CODES).unwrap_or(0))
    }
}

impl fmt::Display for CompareDigits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:03} {:03}", self.0 / 1000, self.0 % 1000)
    }
}

fn to_digits(number: u32) -> [u8; DIGITS] {
    let mut left = number;
    let mut digits = [0; DIGITS];
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (left % 10) as u8;
        left /= 10;
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_six_digits_leading_zeros_included() {
        assert_eq!(&to_digits(0), b"000000");
        assert_eq!(&to_digits(1_234), b"001234");
        assert_eq!(&to_digits(999_999), b"999999");
        for _ in 0..100 {
            let code = PairingCode::generate().unwrap();
            assert_eq!(code.reveal().parse(), Ok(code.clone()));
        }
    }

    #[test]
    fn typed_with_spaces_or_hyphens() {
        let code: PairingCode = "042137".parse().unwrap();
        for same in [" 042 137\n", "042-137", "0 4 2 1 3 7"] {
            assert_eq!(same.parse(), Ok(code.clone()));
        }
        for wrong in ["", "04213", "0421370", "04213a", "٠٤٢١٣٧", "04.213"] {
            assert_eq!(wrong.parse::<PairingCode>(), Err(ParsePairingCodeError));
        }
    }

    #[test]
    fn digits_are_drawn_fairly() {
        let mut random = [0; 48];
        random[..3].copy_from_slice(&[0x0f, 0x42, 0x3f]);
        assert_eq!(CompareDigits::draw(&random).to_string(), "062 499");
        random[..3].copy_from_slice(&[0xf4, 0x24, 0x00]);
        // 1,000,000 is one too many; the next 20 bits are zero.
        assert_eq!(CompareDigits::draw(&random).to_string(), "000 000");
        random[..3].copy_from_slice(&[0xf4, 0x23, 0xf0]);
        assert_eq!(CompareDigits::draw(&random).to_string(), "999 999");
    }

    #[test]
    fn nothing_secret_is_printed() {
        let code: PairingCode = "042137".parse().unwrap();
        assert_eq!(format!("{code:?}"), "PairingCode(..)");
        let secret = PairingSecret::generate().unwrap();
        assert_eq!(format!("{secret:?}"), "PairingSecret(..)");
    }
}
