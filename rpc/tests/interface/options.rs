//! How calls are made and requests are run.

use std::{sync::Arc, time::Duration};

use softbus_rpc::{
    CallError, CallOption, Execution, RemoteStub, SendRequestError, StubOptions, remote_interface,
};
use tokio::sync::Semaphore;

use crate::pair::offer;

#[remote_interface(descriptor = "org.example.Slow")]
trait Slow {
    #[wait(2.5)]
    async fn short(&self);
    #[idempotent]
    async fn long(&self);
    #[oneway]
    async fn poke(&self);
    async fn pokes(&self) -> u32;
}

struct Never {
    pokes: Arc<Semaphore>,
}

impl Slow for Never {
    async fn short(&self) {
        std::future::pending().await
    }

    async fn long(&self) {
        std::future::pending().await
    }

    async fn poke(&self) {
        self.pokes.add_permits(1);
    }

    async fn pokes(&self) -> u32 {
        self.pokes.available_permits() as u32
    }
}

fn slow() -> Never {
    Never {
        pokes: Arc::new(Semaphore::new(0)),
    }
}

fn timed_out<T>(millis: u64) -> Result<T, CallError> {
    Err(SendRequestError::TimedOut {
        after: Duration::from_millis(millis),
    }
    .into())
}

#[tokio::test(start_paused = true)]
async fn a_wait_is_the_default_or_the_methods_or_the_proxys() {
    let pair = offer(SlowStub::new(slow())).await;
    let slow = SlowProxy::new(pair.remote.clone());
    assert_eq!(slow.long().await, timed_out(8000));
    assert_eq!(slow.short().await, timed_out(2500));
    let patient = slow.wait(Duration::from_secs(60));
    assert_eq!(patient.short().await, timed_out(60_000));
    assert_eq!(patient, slow, "it is a proxy of the same object");
    assert_eq!(
        slow.short().await,
        timed_out(2500),
        "and the one it was made from is as it was"
    );
}

#[tokio::test(start_paused = true)]
async fn a_method_stays_one_way_or_two_way_whatever_the_proxys_option() {
    let service = slow();
    let pokes = Arc::clone(&service.pokes);
    let pair = offer(SlowStub::new(service)).await;
    let slow = SlowProxy::new(pair.remote.clone());
    for option in [
        CallOption::one_way().no_wait(),
        CallOption::two_way().idempotent(),
    ] {
        let slow = slow.with_option(option);
        slow.poke().await.unwrap();
        drop(pokes.acquire().await.unwrap());
        assert!(slow.pokes().await.unwrap() >= 1);
    }
}

#[tokio::test]
async fn a_stub_is_run_as_its_options_say() {
    let options = StubOptions::execution(Execution::Serial).queue(1);
    let stub = SlowStub::with_options(slow(), options);
    assert_eq!(RemoteStub::options(&stub), options);
    assert_eq!(stub.service().pokes.available_permits(), 0);
    let pair = offer(stub).await;
    let slow = SlowProxy::new(pair.remote.clone());
    let (waiting, refused) = tokio::join!(
        tokio::time::timeout(Duration::from_millis(200), slow.long()),
        slow.pokes(),
    );
    waiting.unwrap_err();
    let error = refused.unwrap_err();
    assert!(
        matches!(error, CallError::Send(SendRequestError::Busy { .. })),
        "{error}"
    );
}
