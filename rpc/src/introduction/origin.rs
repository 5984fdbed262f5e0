//! The device an object lives on: it is asked whether its object may be passed on, and later gives it to who comes for it.

use std::sync::Arc;

use proto::{Handle, frame::Token, openharmony::samgr as code};

use super::{
    sweep,
    wire::{self, Answer, No, Question, YES},
};
use crate::{
    Bus, Parcel,
    error::HandlerError,
    limits::WRONG_TOKENS_PENALTY,
    peer::{PeerShared, now},
    remote::{LocalObject, RemoteObject},
    session::passing_rules::Party,
};

/// Whether a code of a bus's system ability manager is one of the two questions here.
pub(crate) const fn answers(code: u32) -> bool {
    matches!(code, code::INTRODUCE | code::REDEEM)
}

/// Answers one of them. They are about the session they come on, which handlers know nothing of.
pub(crate) fn serve(
    peer: &Arc<PeerShared>,
    code: u32,
    data: &mut Parcel,
) -> Result<Parcel, HandlerError> {
    if !peer.introduces() {
        return Err(HandlerError::UnknownMethod);
    }
    match code {
        code::INTRODUCE => {
            let question = Question::read(data)?;
            let answer = introduce(peer, &question)?;
            let (asker, receiver) = (peer.remote().device, question.receiver.device);
            match &answer {
                Ok(tokens) => {
                    tracing::debug!(?asker, ?receiver, count = tokens.len(), "introduced");
                }
                Err((_, no)) => {
                    tracing::info!(?asker, ?receiver, ?no, "introduction refused");
                }
            }
            Ok(wire::write_answer(&answer)?)
        }
        code::REDEEM => redeem(peer, &wire::read_tokens(data)?),
        _ => Err(HandlerError::UnknownMethod),
    }
}

/// Whether somebody may have an object that another one introduces to it. Processes of this device may have what they are
/// given, as from its owner.
fn may_have(bus: &Bus, object: &LocalObject, receiver: Party) -> Result<(), No> {
    let local = receiver.device == bus.party().device;
    if object.death().is_some() {
        return Err(No::Dead);
    }
    match &object.registration {
        Some(registration) if local || bus.admits(registration, receiver.device) => Ok(()),
        Some(_) => Err(No::Refused),
        None if object.is_re_exportable() || local => Ok(()),
        None => Err(No::NotReExportable),
    }
}

/// Whether somebody that holds an object may introduce it.
fn may_introduce(bus: &Bus, object: &LocalObject, asker: Party) -> bool {
    let local = asker.device == bus.party().device;
    let registration = object.registration.as_ref();
    registration.is_none_or(|registration| local || bus.admits(registration, asker.device))
}

/// Whether there can be an introduction of `we` by `asker` to `receiver` at all: three devices, or three of which two or all
/// are processes of this one.
fn are_three(we: Party, asker: Party, receiver: Party) -> bool {
    if asker.device == we.device {
        ![we, asker].contains(&receiver)
    } else {
        ![we.device, asker.device].contains(&receiver.device)
    }
}

fn introduce(peer: &Arc<PeerShared>, question: &Question) -> Result<Answer, HandlerError> {
    let bus = peer.bus().ok_or(HandlerError::Refused)?;
    let (asker, receiver) = (peer.remote(), question.receiver);
    let neighbours = bus
        .introductions
        .neighbours()
        .ok_or(HandlerError::Refused)?;
    if !are_three(bus.party(), asker, receiver) {
        return Ok(Err((0, No::Refused)));
    }
    let local = receiver.device == bus.party().device;
    if !local && !neighbours.is_trusted(&receiver.device) {
        return Ok(Err((0, No::NotTrusted)));
    }
    let objects = match exported(peer, &question.handles)? {
        Ok(objects) => objects,
        Err(unknown) => return Ok(Err((unknown, No::Unknown))),
    };
    for (index, object) in objects.iter().enumerate() {
        let may = may_have(&bus, object, receiver);
        let may = may.and_then(|()| match may_introduce(&bus, object, asker) {
            true => Ok(()),
            false => Err(No::Refused),
        });
        if let Err(no) = may {
            return Ok(Err((index, no)));
        }
    }
    let Some(tokens) = random_tokens(objects.len()) else {
        return Ok(Err((0, No::TooMany)));
    };
    let now = now();
    let mut given = bus.introductions.given();
    if !given.tokens.has_room(asker, objects.len()) {
        drop(given);
        return Ok(Err((0, No::TooMany)));
    }
    for (token, object) in tokens.iter().zip(objects) {
        given.tokens.insert(now, *token, asker, receiver, object);
    }
    let swept = std::mem::replace(&mut given.swept, true);
    drop(given);
    if !swept {
        peer.runtime().spawn(sweep(Arc::downgrade(&bus)));
    }
    Ok(Ok(tokens))
}

/// The objects that the peer names, or the first that it does not hold. Who guesses loses its session, as with any
/// other frame about an object.
fn exported(
    peer: &Arc<PeerShared>,
    handles: &[Handle],
) -> Result<Result<Vec<LocalObject>, usize>, HandlerError> {
    let mut objects = Vec::with_capacity(handles.len());
    for (index, handle) in handles.iter().enumerate() {
        // Locked one at a time: what is found is dropped outside the lock.
        let found = peer.lock().session.exported(*handle);
        match found {
            Ok(Some(object)) => objects.push(object),
            Ok(None) => return Ok(Err(index)),
            Err(fault) => {
                peer.fault(fault);
                return Err(HandlerError::Refused);
            }
        }
    }
    Ok(Ok(objects))
}

fn random_tokens(count: usize) -> Option<Vec<Token>> {
    let mut bytes = vec![0; count * Token::LEN];
    getrandom::fill(&mut bytes).ok()?;
    let chunks = bytes.as_chunks().0.iter();
    Some(chunks.map(|bytes| Token::from_bytes(*bytes)).collect())
}

fn redeem(peer: &Arc<PeerShared>, tokens: &[Token]) -> Result<Parcel, HandlerError> {
    let mut reply = Parcel::new();
    for token in tokens {
        match redeem_one(peer, *token) {
            Ok(object) => {
                reply.write_i32(YES)?;
                reply.write_remote_object(&RemoteObject::from_local(object))?;
            }
            Err(no) => {
                tracing::warn!(device = ?peer.remote().device, ?no, "introduction not redeemed");
                reply.write_i32(no.to_wire())?;
            }
        }
    }
    Ok(reply)
}

fn redeem_one(peer: &Arc<PeerShared>, token: Token) -> Result<LocalObject, No> {
    let (now, who) = (now(), peer.remote());
    if peer.lock().as_origin.is_out(now) {
        return Err(No::TooMany);
    }
    let bus = peer.bus().ok_or(No::Refused)?;
    let redeemed = bus.introductions.given().tokens.redeem(now, token, who);
    let object = redeemed.map_err(|error| {
        let no = No::from(error);
        if no == No::Unknown && peer.lock().as_origin.count(now, WRONG_TOKENS_PENALTY) {
            let device = who.device;
            tracing::warn!(target: "softbus::audit", ?device, "too many wrong tokens");
        }
        no
    })?;
    // Policy may have changed since the token was made.
    may_have(&bus, &object, who)?;
    Ok(object)
}
