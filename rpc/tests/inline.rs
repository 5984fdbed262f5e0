//! Handlers that run where their requests arrive, and lose that when they take too long.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use proto::{BootId, DeviceId, ServiceId};
use softbus_rpc::{
    Allow, Bus, BusConfig, CallOption, Caller, Execution, HandlerError, MemoryLink, Parcel, Peer,
    RemoteObject, RemoteStub, ServiceOptions, StubOptions, async_trait,
    opening::{self, Incoming, Remote},
    session::{Scope, passing_rules::Party},
};

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

fn bus(number: u8) -> Arc<Bus> {
    let party = Party {
        device: DeviceId::from_bytes([number; 32]),
        process: 0,
    };
    let boot = BootId {
        epoch: 1,
        random: number.into(),
    };
    Bus::new(BusConfig::new(party, boot))
}

async fn pair(a: &Arc<Bus>, b: &Arc<Bus>) -> (Peer, Peer) {
    let (to_b, to_a) = MemoryLink::pair();
    let remote = |bus: &Arc<Bus>| Remote {
        party: bus.party(),
        scope: Scope::OtherDevice,
    };
    let (at_a, at_b) = tokio::join!(opening::connect(a, Arc::new(to_b), remote(b), 0), async {
        let incoming = Incoming::accept(Arc::new(to_a), remote(a)).await.unwrap();
        incoming.welcome(b).await
    });
    (at_a.unwrap(), at_b.unwrap())
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
    for _ in 0..3 {
        assert_eq!(call(2000).await, lane, "the third slow one is still inline");
    }
    assert_ne!(call(0).await, lane, "a task of its own from then on");
}
