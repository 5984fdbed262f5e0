//! Connections from one device to another. Each is two: the system of this machine loses nothing between its own sockets, so what is
//! cut here waits, as what TCP sends again and again does, and a loss is what TCP makes of it: that it comes late.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{Semaphore, mpsc, watch},
    time::{Instant, sleep_until},
};

use super::side::Side;

/// Connections at a time; more wait.
const MOST: usize = 64;
/// A piece, and how many of them are under way at a time; then who sends has to wait.
const PIECE: usize = 16 * 1024;
const PIECES: usize = 64;

/// Takes the connections that one device makes to the other.
pub(super) async fn listen(
    listener: TcpListener,
    from: Arc<Side>,
    to: Arc<Side>,
    moves: watch::Receiver<u64>,
) {
    let room = Arc::new(Semaphore::new(MOST));
    // A connection is made by packets in both directions.
    while from.open().await && to.open().await {
        let room = Arc::clone(&room).acquire_owned().await;
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        let (from, to, moves) = (Arc::clone(&from), Arc::clone(&to), moves.clone());
        // It may live longer than the address that was dialled.
        tokio::spawn(async move {
            connect(stream, from, to, moves).await;
            drop(room);
        });
    }
}

async fn connect(
    mut here: TcpStream,
    from: Arc<Side>,
    to: Arc<Side>,
    mut moves: watch::Receiver<u64>,
) {
    moves.mark_unchanged();
    let address = *to.address.borrow();
    let Some(address) = address else { return };
    // Who refuses this one refuses the other.
    let Ok(mut there) = TcpStream::connect(address).await else {
        return;
    };
    let _ = here
        .set_nodelay(true)
        .and_then(|()| there.set_nodelay(true));
    let moved = {
        let ((here_in, here_out), (there_in, there_out)) = (here.split(), there.split());
        let carried = async {
            tokio::join!(
                carry(here_in, there_out, &from),
                carry(there_in, here_out, &to)
            )
        };
        tokio::select! {
            _ = carried => false,
            _ = moves.changed() => true,
        }
    };
    // One of them is somewhere else: what they send gets nowhere, and nobody says so.
    if moved {
        tokio::join!(swallow(here), swallow(there));
    }
}

/// Carries one direction to its end.
async fn carry(from: impl AsyncRead + Unpin, to: impl AsyncWrite + Unpin, sender: &Side) {
    let (pieces, under_way) = mpsc::channel(PIECES);
    tokio::join!(take(from, pieces, sender), give(to, under_way, sender));
}

async fn take(
    mut from: impl AsyncRead + Unpin,
    pieces: mpsc::Sender<(Instant, Bytes)>,
    sender: &Side,
) {
    loop {
        sleep_until(sender.ready()).await;
        let mut piece = BytesMut::with_capacity(PIECE);
        match from.read_buf(&mut piece).await {
            Ok(0) | Err(_) => return,
            Ok(len) => {
                let due = sender.piece(len);
                if pieces.send((due, piece.freeze())).await.is_err() {
                    return;
                }
            }
        }
    }
}

async fn give(
    mut to: impl AsyncWrite + Unpin,
    mut under_way: mpsc::Receiver<(Instant, Bytes)>,
    sender: &Side,
) {
    while let Some((due, piece)) = under_way.recv().await {
        sleep_until(due).await;
        if !sender.open().await || to.write_all(&piece).await.is_err() {
            return;
        }
    }
    // Its end is sent as all else is.
    if sender.open().await {
        let _ = to.shutdown().await;
    }
}

/// Reads until the other end gives up.
async fn swallow(mut stream: TcpStream) {
    let mut nowhere = vec![0; PIECE];
    while let Ok(1..) = stream.read(&mut nowhere).await {}
}
