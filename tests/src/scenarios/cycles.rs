//! Devices that come and go, over and over.

use std::{sync::Arc, time::Duration};

use softbus::{
    CallOption, DeathReason, Parcel, RemoteObject,
    rpc::{DeathLink, session::Usage},
};
use tokio::{sync::mpsc, task::JoinHandle, time::Instant};

use super::{
    SERVICE, SOON, for_all, next, obituaries, reached,
    workbench::{Bench, call, code, keep, reverse, workbench},
};
use crate::{
    wait::wait_until_async,
    world::{Device, World},
};

/// Row 161: a device comes, is called, given objects and watched, and is killed in the middle of calls; at most so often
/// and so long. The other one is left with nothing, each time. Says how often it was.
pub async fn connects_and_kills_leave_nothing_behind(
    world: &mut dyn World,
    cycles: usize,
    at_most: Duration,
) -> usize {
    let a = world.device().await;
    let mut b = world.device().await;
    let begun = Instant::now();
    let mut done = 0;
    while done < cycles && begun.elapsed() < at_most {
        let mut before = busy(&*a, &*b).await;
        b.vanish().await;
        // What is there again at once is noticed at once.
        b = world.restart(&b).await;
        before.check(&*a).await;
        done += 1;
    }
    b.vanish().await;
    let empty = wait_until_async(SOON, async || a.usage().is_empty()).await;
    assert!(empty, "{:?}", a.usage());
    done
}

/// What is told of a device that was busy when it was killed.
struct Busy {
    told: mpsc::UnboundedReceiver<DeathReason>,
    _link: DeathLink,
    held: JoinHandle<()>,
    theirs: RemoteObject,
    ours: Arc<Bench>,
}

/// Everything that there can be between two devices is under way.
async fn busy(a: &dyn Device, b: &dyn Device) -> Busy {
    let (service, bench) = workbench();
    b.add(SERVICE, &service, for_all()).unwrap();
    let proxy = a.get(SERVICE, &b.id()).await.unwrap();
    assert_eq!(reverse(&proxy, 2019).await, Ok(9102));
    let (tell, told) = obituaries();
    let link = proxy.link_to_death(tell).unwrap();
    // It holds something of ours, we hold something of its, and calls of each kind are under way.
    let (ours, ours_bench) = workbench();
    keep(&proxy, &[&ours]).await.unwrap();
    let mut reply = call(&proxy, code::STUB, &Parcel::new()).await.unwrap();
    let theirs = reply.read_remote_object().unwrap();
    let held = tokio::spawn(hold(proxy.clone()));
    let given_up = tokio::spawn(hold(theirs.clone()));
    reached(&bench.entered, 4).await;
    let (nothing, one_way) = (Parcel::new(), CallOption::one_way());
    let sent = proxy.send_request(code::HOLD, &nothing, one_way);
    sent.await.unwrap();
    given_up.abort();
    drop(ours);

    Busy {
        told,
        _link: link,
        held,
        theirs,
        ours: ours_bench,
    }
}

impl Busy {
    /// All of it has ended, and nothing is left of it.
    async fn check(&mut self, a: &dyn Device) {
        next(&mut self.told).await;
        (&mut self.held).await.unwrap();
        assert!(self.theirs.is_dead());
        reached(&self.ours.destroyed, 1).await;
        // The next session may be there already.
        let nothing = Usage {
            exports: 1,
            imports: 1,
            ..Usage::default()
        };
        let left = || {
            let usage = a.usage();
            usage.len() > 1 || usage.iter().any(|(_, usage)| *usage != nothing)
        };
        let ended = wait_until_async(SOON, async || !left()).await;
        assert!(ended, "{:?}", a.usage());
    }
}

/// Ends with its device.
async fn hold(object: RemoteObject) {
    assert!(call(&object, code::HOLD, &Parcel::new()).await.is_err());
}
