//! See [`crate::fuzzing`].

use proto::{Handle, frame::Token};

use super::wire::{self, No, Question};
use crate::{
    Parcel,
    parcel::{ReadParcelError, WriteParcelError},
    session::passing_rules::Party,
};

/// Whom an origin is asked to introduce objects to, and which.
pub fn read_question(parcel: &mut Parcel) -> Result<(Party, Vec<Handle>), ReadParcelError> {
    let question = Question::read(parcel)?;
    Ok((question.receiver, question.handles))
}

/// As somebody who asks writes it.
pub fn write_question(receiver: Party, handles: &[Handle]) -> Result<Parcel, WriteParcelError> {
    let handles = handles.to_vec();
    Question { receiver, handles }.write()
}

/// What an origin answers about `count` objects: a token for each, or which it refuses and why.
pub fn read_answer(
    parcel: &mut Parcel,
    count: usize,
) -> Result<Result<Vec<Token>, (usize, i32)>, ReadParcelError> {
    let answer = wire::read_answer(parcel, count)?;
    Ok(answer.map_err(|(index, no)| (index, no.to_wire())))
}

/// As the origin writes it.
pub fn write_answer(answer: &Result<Vec<Token>, (usize, i32)>) -> Result<Parcel, WriteParcelError> {
    let answer = answer.clone();
    wire::write_answer(&answer.map_err(|(index, no)| (index, No::from_wire(no))))
}

/// The tokens that somebody presents to an origin.
pub fn read_tokens(parcel: &mut Parcel) -> Result<Vec<Token>, ReadParcelError> {
    wire::read_tokens(parcel)
}

/// As somebody who presents them writes them.
pub fn write_tokens(tokens: &[Token]) -> Result<Parcel, WriteParcelError> {
    wire::write_tokens(tokens)
}
