//! A peer that does what no peer may do: it gets a named answer or loses its own session, and others are served as before.

mod calls;
mod frames;
mod introductions;
mod objects;
mod openings;

use std::sync::Arc;

use softbus::{
    CallOption,
    rpc::{Bus, Peer, peer::SessionEnd, session::PeerFault},
};
use testkit::{
    scenarios::{
        Pair, SERVICE, pair,
        workbench::{code, reverse},
    },
    world::raw::RawPeer,
};

use crate::run_in;

/// A service, an honest device that calls it, and a bus for a hostile one to call.
struct Stage {
    honest: Pair,
    bus: Arc<Bus>,
}

/// Sets the stage, and looks after the act whether the honest device is served.
fn act(act: impl AsyncFnOnce(&Stage)) {
    run_in(async |world| {
        let honest = pair(world).await;
        let bus = world.bus_of(&honest.b.id()).unwrap();
        let stage = Stage { honest, bus };
        act(&stage).await;
        assert_eq!(reverse(&stage.honest.proxy, 2019).await, Ok(9102));
        let ping = stage.honest.proxy.ping(CallOption::two_way()).await;
        assert_eq!(ping, Ok(()));
    });
}

/// What a session has ended with, as the one who ended it says.
async fn fault_of(session: &Peer) -> PeerFault {
    match session.ended().await {
        SessionEnd::Fault(fault) => fault,
        other => panic!("{other:?}"),
    }
}

/// The hostile peer has done nothing to lose its session, which still works.
async fn goes_on(peer: &mut RawPeer) {
    let service = peer.get(SERVICE.get()).await;
    let call = peer.call(service, code::REVERSE, &2019_i32.to_le_bytes());
    peer.send(testkit::world::raw::CALLS, &proto::frame::Frame::Call(call))
        .await;
    let reply = peer.receive_reply().await;
    assert_eq!(&reply.body[..], 9102_i32.to_le_bytes());
}
