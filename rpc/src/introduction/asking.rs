//! Who passes an object of a third device on: it asks that device first.

use std::{
    collections::BTreeMap,
    future::{Future, poll_fn},
    pin::Pin,
    sync::Arc,
    task::Poll,
    time::Instant,
};

use proto::{DeviceId, frame::Introduction, openharmony::samgr as code};
use tokio::sync::Semaphore;

use super::wire::{self, No, Question};
use crate::{
    call::CallOption,
    error::SendRequestError,
    limits::REDEEM_AT_ONCE,
    parcel::{PassObjectError, Slot},
    peer::{Passed, PeerShared, now},
    remote::RemoteProxy,
    session::{Introduced, Outgoing, passing_rules::Party},
};

/// The objects of a parcel for `receiver`, as they travel, after asking the devices of those that have to be
/// introduced. `beyond` is the device that gets them when the receiver only relays. Nothing is sent before all have answered, and nothing when one refuses.
pub(crate) async fn ask(
    receiver: &Arc<PeerShared>,
    beyond: Option<&DeviceId>,
    objects: &[Slot],
    until: Instant,
) -> Result<Vec<Outgoing>, SendRequestError> {
    let mut outgoing = Vec::with_capacity(objects.len());
    // By session, and there by proxy: an object that stands in the parcel twice is introduced once.
    let mut homes: BTreeMap<u64, Vec<Wanted>> = BTreeMap::new();
    for (index, object) in objects.iter().enumerate() {
        outgoing.push(Outgoing::Null);
        let Ok(object) = object else { continue };
        match receiver.pass(object, beyond) {
            Ok(Passed::Now(now)) => outgoing[index] = now,
            Ok(Passed::Introduce(proxy)) => {
                let home = homes.entry(proxy.0.peer.number()).or_default();
                match home
                    .iter_mut()
                    .find(|known| known.proxy.0.key == proxy.0.key)
                {
                    Some(known) => known.places.push(index),
                    None => home.push(Wanted {
                        proxy: proxy.clone(),
                        places: vec![index],
                    }),
                }
            }
            Err(reason) => return Err(SendRequestError::Pass { index, reason }),
        }
    }
    let receiver = receiver.remote();
    let at_once = Semaphore::new(REDEEM_AT_ONCE);
    let mut asking: Vec<_> = homes
        .into_values()
        .map(|wanted| Some(ask_when_due(&at_once, receiver, wanted, until)))
        .collect();
    // Not as tasks of their own: these calls belong to the chain of the handler that makes ours.
    poll_fn(|cx| {
        let mut waiting = false;
        for place in &mut asking {
            let Some(one) = place else { continue };
            match one.as_mut().poll(cx) {
                Poll::Pending => waiting = true,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Ready(Ok(introduced)) => {
                    *place = None;
                    for (places, introduced) in introduced {
                        for place in places {
                            outgoing[place] = Outgoing::Introduced(introduced);
                        }
                    }
                }
            }
        }
        if waiting {
            Poll::Pending
        } else {
            Poll::Ready(Ok(()))
        }
    })
    .await?;
    Ok(outgoing)
}

/// What one device has given tokens for, and where in the parcel that stands.
type Answered = Vec<(Vec<usize>, Introduced)>;

/// Asks a device when no more than enough are being asked. Boxed: asking is a call too, which could introduce.
fn ask_when_due<'a>(
    at_once: &'a Semaphore,
    receiver: Party,
    wanted: Vec<Wanted>,
    until: Instant,
) -> Pin<Box<dyn Future<Output = Result<Answered, SendRequestError>> + Send + 'a>> {
    Box::pin(async move {
        // The semaphore is never closed.
        let _place = at_once.acquire().await;
        ask_one(receiver, wanted, until).await
    })
}

/// An object to be introduced, and where it stands in the parcel.
struct Wanted {
    proxy: RemoteProxy,
    places: Vec<usize>,
}

/// Asks one device for all its objects in the parcel.
async fn ask_one(
    receiver: Party,
    wanted: Vec<Wanted>,
    until: Instant,
) -> Result<Answered, SendRequestError> {
    let Some(first) = wanted.first() else {
        return Ok(Vec::new());
    };
    let peer = Arc::clone(&first.proxy.0.peer);
    let refused = |at: usize, reason| SendRequestError::Pass {
        index: wanted[at].places[0],
        reason,
    };
    let handles = {
        let state = peer.lock();
        let handle = |wanted: &Wanted| state.session.import_handle(wanted.proxy.0.key);
        wanted.iter().map(handle).collect::<Option<Vec<_>>>()
    };
    let (Some(handles), Some(root)) = (handles, peer.root()) else {
        return Err(refused(0, PassObjectError::DeadObject));
    };
    let question = Question { receiver, handles };
    let data = question.write().map_err(SendRequestError::Arguments)?;
    let left = until.saturating_duration_since(now());
    if left.is_zero() {
        return Err(refused(0, PassObjectError::OriginTimedOut));
    }
    let option = CallOption::two_way().wait(left);
    let asked = root.send_request(code::INTRODUCE, &data, option).await;
    let mut reply = asked.map_err(|error| match error {
        error @ SendRequestError::TooDeep { .. } => error,
        SendRequestError::TimedOut { .. } => refused(0, PassObjectError::OriginTimedOut),
        SendRequestError::Busy { .. } => refused(0, PassObjectError::OriginBusy),
        SendRequestError::UnknownMethod { .. } => refused(0, PassObjectError::ThirdParty),
        SendRequestError::Refused => refused(0, PassObjectError::OriginRefused),
        _ => refused(0, PassObjectError::OriginUnreachable),
    })?;
    let answer = wire::read_answer(&mut reply, wanted.len());
    let tokens = match answer.map_err(|_| refused(0, PassObjectError::OriginRefused))? {
        Ok(tokens) => tokens,
        Err((at, no)) => {
            let home = peer.remote().device;
            let receiver = receiver.device;
            tracing::info!(?home, ?receiver, ?no, "not introduced");
            return Err(refused(at, reason(no)));
        }
    };
    let home = peer.remote();
    let introduced = wanted.into_iter().zip(tokens).map(|(wanted, token)| {
        let introduction = Introduction {
            home: home.device,
            process: home.process,
            token,
        };
        let object = wanted.proxy.0.id;
        let introduced = Introduced {
            introduction,
            object,
        };
        (wanted.places, introduced)
    });
    Ok(introduced.collect())
}

fn reason(no: No) -> PassObjectError {
    match no {
        No::Unknown | No::Dead => PassObjectError::DeadObject,
        No::NotTrusted => PassObjectError::ReceiverNotTrusted,
        No::NotReExportable => PassObjectError::NotReExportable,
        No::TooMany => PassObjectError::OriginBusy,
        No::Refused | No::Expired | No::Used => PassObjectError::OriginRefused,
    }
}
