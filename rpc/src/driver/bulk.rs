//! Bodies that have a stream of their own.

use std::{future::poll_fn, sync::Arc};

use bytes::{Bytes, BytesMut};

use crate::{
    limits,
    link::{BulkReceive, LinkError},
    parcel::MAX_RAW_DATA,
    peer::PeerShared,
    quotas::Full,
    session::{LostBulk, OutgoingBulk, PeerFault},
};

/// How many pieces of a body are taken at a time.
const PIECES: usize = 32;
/// How many times as much as has come of a body may be allocated for the rest of it.
const GROWTH: usize = 16;

/// Sends a bulk body on a stream of its own.
pub(crate) fn send(peer: &Arc<PeerShared>, bulk: OutgoingBulk) {
    let peer = Arc::clone(peer);
    let runtime = peer.runtime().clone();
    runtime.spawn(async move {
        let OutgoingBulk { id, body, raw } = bulk;
        let send = async {
            let mut stream = peer.link().open_bulk(id).await?;
            for piece in [body, raw] {
                if !piece.is_empty() {
                    peer.telemetry().sent(piece.len());
                    stream.write(piece).await?;
                }
            }
            stream.finish();
            Ok::<_, LinkError>(())
        };
        tokio::select! {
            biased;
            sent = send => if let Err(error) = sent {
                tracing::debug!(%error, "bulk stream given up");
            },
            _ = peer.ended() => {}
        }
        peer.run(|state, _| state.session.bulk_sent());
    });
}

/// Takes the bulk streams that the peer opens, each on a task of its own.
pub(super) async fn accept(peer: Arc<PeerShared>) {
    loop {
        let accepted = tokio::select! {
            biased;
            _ = peer.ended() => return,
            accepted = peer.link().accept_bulk() => accepted,
        };
        let (id, stream) = match accepted {
            Ok(accepted) => accepted,
            Err(LinkError::Unexpected) => return peer.fault(PeerFault::InvalidBulk),
            // The link says why, and `watch_link` hears it.
            Err(_) => return,
        };
        let runtime = peer.runtime().clone();
        let peer = Arc::clone(&peer);
        runtime.spawn(async move {
            let mut reserved = Reserved {
                peer: &peer,
                bytes: 0,
            };
            let received = tokio::select! {
                biased;
                received = receive(id, stream, &mut reserved) => received,
                _ = peer.ended() => return,
            };
            match received {
                Ok(body) => {
                    let taken = peer.run(|state, now| {
                        let taken = state.session.handle_bulk(now, id, body);
                        reserved.bytes -= state.keep_early();
                        taken
                    });
                    drop(reserved);
                    if let Err(fault) = taken {
                        peer.fault(fault);
                    }
                }
                Err(why) => peer.run(|state, _| state.session.handle_bulk_reset(id, why)),
            }
        });
    }
}

/// Memory reserved for one body while it arrives; while it waits for its header, `State` has the reservation.
struct Reserved<'a> {
    peer: &'a PeerShared,
    bytes: usize,
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        self.peer.bulk_memory.give_back(self.bytes);
    }
}

/// Reads a body.
async fn receive(
    id: u64,
    mut stream: Box<dyn BulkReceive>,
    reserved: &mut Reserved<'_>,
) -> Result<Bytes, LostBulk> {
    let limit = limits::MAX_REMOTE_PARCEL + MAX_RAW_DATA;
    let peer = reserved.peer;
    let mut pieces = [const { Bytes::new() }; PIECES];
    let mut first = Bytes::new();
    let mut body = BytesMut::new();
    loop {
        let read = poll_fn(|cx| stream.poll_read(cx, &mut pieces)).await;
        let count = read.map_err(|_| LostBulk::GivenUp)?;
        let pieces = &mut pieces[..count];
        if pieces.is_empty() {
            // A body in one piece is where it came.
            return Ok(match body.is_empty() {
                true => first,
                false => peer.spare.lend(body),
            });
        }
        let bytes = pieces.iter().map(Bytes::len).sum();
        let before = reserved.bytes;
        let here = before + bytes;
        let taken = match here > limit {
            true => Err(Full { limit, value: here }),
            false => peer.bulk_memory.take(bytes),
        };
        taken.map_err(|full| {
            // What has not come would have come, as far as its header is here to say so.
            let announced = peer.lock().session.announced(id).unwrap_or_default();
            LostBulk::NoRoom(Full {
                value: full.value.saturating_add(announced.saturating_sub(here)),
                ..full
            })
        })?;
        reserved.bytes = here;
        peer.telemetry().received(bytes);
        if before == 0 && count == 1 {
            first = std::mem::take(&mut pieces[0]);
            continue;
        }
        if body.capacity() < here {
            let announced = peer.lock().session.announced(id).unwrap_or_default();
            // Memory grows with what has come, not with what was claimed.
            let least = announced.min(here * GROWTH).max(here);
            let mut larger = peer.spare.take(least, announced.max(least));
            larger.extend_from_slice(&body);
            peer.spare.keep(std::mem::replace(&mut body, larger));
        }
        body.extend_from_slice(&std::mem::take(&mut first));
        for piece in pieces {
            body.extend_from_slice(&std::mem::take(piece));
        }
    }
}
