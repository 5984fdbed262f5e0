//! The two questions an origin is asked, as parcels.

use proto::{DeviceId, Handle, frame::Token};

use super::tokens::RedeemError;
use crate::{
    Parcel,
    parcel::{MAX_OBJECTS, ReadParcelError, WriteParcelError},
    session::passing_rules::Party,
};

/// What an origin says, and 0 is yes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum No {
    Unknown,
    Dead,
    Refused,
    NotTrusted,
    NotReExportable,
    TooMany,
    Expired,
    Used,
}

pub(super) const YES: i32 = 0;

impl No {
    pub(super) const fn to_wire(self) -> i32 {
        match self {
            Self::Unknown => 1,
            Self::Dead => 2,
            Self::Refused => 3,
            Self::NotTrusted => 4,
            Self::NotReExportable => 5,
            Self::TooMany => 6,
            Self::Expired => 7,
            Self::Used => 8,
        }
    }

    /// Answers of later versions are refusals.
    pub(super) const fn from_wire(answer: i32) -> Self {
        match answer {
            1 => Self::Unknown,
            2 => Self::Dead,
            4 => Self::NotTrusted,
            5 => Self::NotReExportable,
            6 => Self::TooMany,
            7 => Self::Expired,
            8 => Self::Used,
            _ => Self::Refused,
        }
    }
}

impl From<RedeemError> for No {
    fn from(error: RedeemError) -> Self {
        match error {
            RedeemError::Unknown => Self::Unknown,
            RedeemError::Expired => Self::Expired,
            RedeemError::Used => Self::Used,
        }
    }
}

/// Which objects of the origin, by their handles on the session, somebody wants to pass to whom.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Question {
    pub(super) receiver: Party,
    pub(super) handles: Vec<Handle>,
}

impl Question {
    pub(super) fn write(&self) -> Result<Parcel, WriteParcelError> {
        let mut parcel = Parcel::new();
        parcel.write_buffer(self.receiver.device.as_bytes())?;
        parcel.write_u64(self.receiver.process)?;
        let handles: Vec<_> = self
            .handles
            .iter()
            .map(|handle| handle.raw() as i64)
            .collect();
        parcel.write_i64_vec(&handles)?;
        Ok(parcel)
    }

    pub(super) fn read(parcel: &mut Parcel) -> Result<Self, ReadParcelError> {
        let receiver = Party {
            device: DeviceId::from_bytes(read_32(parcel)?),
            process: parcel.read_u64()?,
        };
        let handles = parcel.read_i64_vec()?;
        if !(1..=MAX_OBJECTS).contains(&handles.len()) {
            return Err(ReadParcelError::InvalidValue("number of handles"));
        }
        let handle = |raw: i64| Handle::from_raw(raw as u64);
        Ok(Self {
            receiver,
            handles: handles.into_iter().map(handle).collect(),
        })
    }
}

/// A token for each handle, or which handle is refused and why.
pub(super) type Answer = Result<Vec<Token>, (usize, No)>;

pub(super) fn write_answer(answer: &Answer) -> Result<Parcel, WriteParcelError> {
    let mut parcel = Parcel::new();
    match answer {
        Ok(tokens) => {
            parcel.write_i32(YES)?;
            for token in tokens {
                parcel.write_buffer(token.as_bytes())?;
            }
        }
        Err((index, no)) => {
            parcel.write_i32(no.to_wire())?;
            parcel.write_i32(*index as i32)?;
        }
    }
    Ok(parcel)
}

/// Reads the answer to a question about `count` handles.
pub(super) fn read_answer(parcel: &mut Parcel, count: usize) -> Result<Answer, ReadParcelError> {
    match parcel.read_i32()? {
        YES => (0..count)
            .map(|_| read_32(parcel).map(Token::from_bytes))
            .collect::<Result<_, _>>()
            .map(Ok),
        no => {
            let index = usize::try_from(parcel.read_i32()?).unwrap_or(0);
            Ok(Err((index.min(count.saturating_sub(1)), No::from_wire(no))))
        }
    }
}

/// Tokens to be redeemed.
pub(super) fn write_tokens(tokens: &[Token]) -> Result<Parcel, WriteParcelError> {
    let mut parcel = Parcel::new();
    parcel.write_i32(tokens.len() as i32)?;
    for token in tokens {
        parcel.write_buffer(token.as_bytes())?;
    }
    Ok(parcel)
}

pub(super) fn read_tokens(parcel: &mut Parcel) -> Result<Vec<Token>, ReadParcelError> {
    let count = usize::try_from(parcel.read_i32()?).unwrap_or(0);
    if !(1..=MAX_OBJECTS).contains(&count) {
        return Err(ReadParcelError::InvalidValue("number of tokens"));
    }
    (0..count)
        .map(|_| read_32(parcel).map(Token::from_bytes))
        .collect()
}

fn read_32(parcel: &mut Parcel) -> Result<[u8; 32], ReadParcelError> {
    let bytes = parcel.read_buffer(32)?;
    Ok(bytes.try_into().unwrap_or([0; 32]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_is_distinct_on_the_wire() {
        for answer in 1..=8 {
            assert_eq!(No::from_wire(answer).to_wire(), answer);
        }
        assert_eq!(No::from_wire(99), No::Refused);
    }

    #[test]
    fn questions_and_answers_come_back_as_they_went() {
        let receiver = Party {
            device: DeviceId::from_bytes([3; 32]),
            process: u64::MAX,
        };
        let question = Question {
            receiver,
            handles: vec![Handle::from_raw(u64::MAX), Handle::from_raw(7)],
        };
        let read = Question::read(&mut question.write().unwrap());
        assert_eq!(read, Ok(question));
        let tokens = vec![Token::from_bytes([1; 32]), Token::from_bytes([2; 32])];
        for answer in [Ok(tokens.clone()), Err((1, No::NotReExportable))] {
            let mut parcel = write_answer(&answer).unwrap();
            assert_eq!(read_answer(&mut parcel, 2), Ok(answer));
        }
        let mut parcel = write_tokens(&tokens).unwrap();
        assert_eq!(read_tokens(&mut parcel), Ok(tokens));
    }

    #[test]
    fn counts_that_no_parcel_has_are_refused() {
        let receiver = Party {
            device: DeviceId::from_bytes([3; 32]),
            process: 0,
        };
        let question = |handles: usize| Question {
            receiver,
            handles: vec![Handle::from_raw(7); handles],
        };
        for handles in [0, MAX_OBJECTS + 1] {
            assert!(Question::read(&mut question(handles).write().unwrap()).is_err());
        }
        for count in [-1, 0, 65, i32::MAX] {
            let mut parcel = Parcel::new();
            parcel.write_i32(count).unwrap();
            assert!(read_tokens(&mut parcel).is_err());
        }
        let mut cut_off = write_tokens(&[Token::from_bytes([1; 32])]).unwrap();
        cut_off.rewind_write(8).unwrap();
        assert!(read_tokens(&mut cut_off).is_err());
        // The origin answers with fewer tokens than it was asked for, or about a handle that was not asked for.
        let mut few = write_answer(&Ok(vec![Token::from_bytes([1; 32])])).unwrap();
        assert!(read_answer(&mut few, 2).is_err());
        let mut far = write_answer(&Err((9, No::Dead))).unwrap();
        assert_eq!(read_answer(&mut far, 2), Ok(Err((1, No::Dead))));
    }
}
