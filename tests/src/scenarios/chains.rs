//! Calls that handlers make.

use std::sync::Arc;

use super::{
    SERVICE_OF_A, for_all, pair, pair_with,
    workbench::{Bench, delegate, ping_pong, serial_workbench, workbench},
};
use crate::world::World;
use softbus::{RemoteObject, rpc::limits};

/// Row 63: a handler calls the caller, which waits for it.
pub async fn a_handler_calls_back_into_the_caller(world: &mut dyn World) {
    let pair = pair(world).await;
    let (callback, bench) = workbench();
    assert_eq!(delegate(&pair.proxy, &callback, 2019).await, Ok(9102));
    assert_eq!(bench.callers(), [(pair.b.party(), world.is_one_device())]);
}

/// A service that does one thing at a time is called back by what it waits for: no deadlock.
pub async fn a_serial_service_is_called_back_in_its_own_chain(world: &mut dyn World) {
    descend(world, serial_workbench).await;
}

/// Calls that call back are at most 16 deep.
pub async fn a_chain_of_calls_ends_at_its_limit(world: &mut dyn World) {
    descend(world, workbench).await;
}

async fn descend(world: &mut dyn World, make: fn() -> (RemoteObject, Arc<Bench>)) {
    let pair = pair_with(world, make()).await;
    let (stub, bench) = make();
    pair.a.add(SERVICE_OF_A, &stub, for_all()).unwrap();
    bench.kept().push(pair.proxy.clone());
    let back = pair.b.get(SERVICE_OF_A, &pair.a.id()).await.unwrap();
    pair.bench.kept().push(back);
    // The first call has depth 0.
    let handlers = i32::from(limits::MAX_CALL_DEPTH) + 1;
    assert_eq!(ping_pong(&pair.proxy).await, Ok(handlers));
    assert_eq!(ping_pong(&pair.proxy).await, Ok(handlers));
    bench.kept().clear();
    pair.bench.kept().clear();
}
