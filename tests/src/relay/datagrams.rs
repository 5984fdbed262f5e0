//! Datagrams from one device to another.

use std::{collections::VecDeque, sync::Arc};

use tokio::time::{Instant, sleep_until};

use super::side::Side;

/// Packets under way at a time; more are lost.
const MOST: usize = 1024;
const LARGEST: usize = 65_536;

/// Carries what one sends to the other, from the address where the other finds it. Without end: the relays' thread has one.
pub(super) async fn carry(from: Arc<Side>, to: Arc<Side>) {
    let mut under_way: VecDeque<(Instant, Vec<u8>)> = VecDeque::new();
    let mut buffer = vec![0; LARGEST];
    let mut sockets = from.socket.subscribe();
    loop {
        let socket = Arc::clone(&sockets.borrow_and_update());
        let next = under_way.front().map(|(due, _)| *due);
        tokio::select! {
            biased;
            () = arrival(next) => {
                let now = Instant::now();
                let arrived = under_way.iter().take_while(|(due, _)| *due <= now).count();
                for (_, packet) in under_way.drain(..arrived) {
                    deliver(&from, &to, &packet);
                }
            }
            received = socket.recv(&mut buffer) => {
                let Ok(len) = received else { continue };
                let due = from.packet(len).filter(|_| under_way.len() < MOST);
                match due {
                    // A timer knows nothing shorter than a millisecond.
                    Some(due) if under_way.is_empty() && due <= Instant::now() => {
                        deliver(&from, &to, &buffer[..len]);
                    }
                    Some(due) => under_way.push_back((due, buffer[..len].to_vec())),
                    None => {}
                }
            }
            // It hears of the other from here no more, but from somewhere else.
            _ = sockets.changed() => {}
        }
    }
}

async fn arrival(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}

/// What finds nobody, or no room, is lost.
fn deliver(from: &Side, to: &Side, packet: &[u8]) {
    let address = *to.address.borrow();
    if let Some(address) = address
        && !from.road.borrow().blocked
    {
        let _ = to.socket.borrow().try_send_to(packet, address);
    }
}
