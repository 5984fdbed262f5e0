//! Handlers that run where their requests arrive, and lose that when they take too long.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use proto::ServiceId;
use softbus_rpc::{
    Allow, CallOption, Caller, Execution, HandlerError, Parcel, RemoteObject, RemoteStub,
    ServiceOptions, StubOptions, async_trait,
};

use crate::pair::{bus, pair};

/// Notes in which task each request ran; takes as long as the request says.
struct Slow(Arc<Mutex<Vec<tokio::task::Id>>>);

#[async_trait]
impl RemoteStub for Slow {
    fn descriptor(&self) -> &str {
        "org.example.Slow"
    }

    fn options(&self) -> StubOptions {
        StubOptions::execution(Execution::Inline)
    }

    async fn on_remote_request(
        &self,
        _caller: &Caller,
        _code: u32,
        data: &mut Parcel,
        _reply: &mut Parcel,
    ) -> Result<(), HandlerError> {
        let busy = Duration::from_micros(data.read_u64()?);
        #[expect(clippy::disallowed_methods, reason = "it holds its thread on purpose")]
        let begun = std::time::Instant::now();
        while begun.elapsed() < busy {
            std::hint::spin_loop();
        }
        self.0.lock().unwrap().extend(tokio::task::try_id());
        Ok(())
    }
}

#[tokio::test]
async fn a_handler_that_is_repeatedly_slow_no_longer_runs_inline() {
    let (a, b) = (bus(1), bus(2));
    let (at_a, _at_b) = pair(&a, &b).await;
    let ran = Arc::new(Mutex::new(Vec::new()));
    let service = ServiceId::new(7).unwrap();
    let options = ServiceOptions::distributed(Allow::trusted());
    let object = RemoteObject::new(Slow(Arc::clone(&ran)));
    b.samgr().add(service, &object, options).unwrap();
    let slow = at_a
        .get_service(service, Duration::from_secs(5))
        .await
        .unwrap();
    let call = async |micros: u64| {
        let mut data = Parcel::new();
        data.write_u64(micros).unwrap();
        slow.send_request(1, &data, CallOption::two_way())
            .await
            .unwrap();
        *ran.lock().unwrap().last().unwrap()
    };
    let lane = call(0).await;
    for _ in 0..4 {
        assert_eq!(call(2000).await, lane);
    }
    assert_eq!(call(0).await, lane, "a quick one in between is forgiven");
    for _ in 0..5 {
        assert_eq!(call(2000).await, lane, "the fifth slow one is still inline");
    }
    assert_ne!(call(0).await, lane, "a task of its own from then on");
}
