//! Processes that mean harm. The numbers are those of the inputs in `docs/security.md`. Each loses its own session or gets
//! an answer; nothing of what it sent stays open, and the honest process is served before and after.

mod descriptors;
mod identity;
mod memory;
mod messages;

use softbus::rpc::{Peer, peer::SessionEnd, session::PeerFault};

use crate::{
    raw::RawProcess,
    run,
    stage::{Stage, closes, open},
};

/// Sets the stage for a hostile process, and looks whether all is as before when it is gone.
fn act(act: impl AsyncFnOnce(&mut Stage)) {
    run(async {
        let mut stage = Stage::set().await;
        stage.serves().await;
        let before = open();
        act(&mut stage).await;
        closes(before).await;
        stage.serves().await;
    });
}

/// A hostile process in a session, and the session.
async fn enter(stage: &mut Stage) -> (RawProcess, Peer) {
    let process = RawProcess::attach(&stage.path).await;
    (process, stage.sessions.recv().await.unwrap())
}

async fn fault_of(session: &Peer) -> PeerFault {
    match session.ended().await {
        SessionEnd::Fault(fault) => fault,
        other => panic!("{other:?}"),
    }
}
