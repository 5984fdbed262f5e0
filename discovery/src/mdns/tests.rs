//! The driver over a scripted engine; the clock stands still unless somebody waits.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::driver::Engine;
use super::machine::{EngineEvent, Failure, Registration, Resolved};
use super::*;
use crate::{Announcement, Event, InstanceName, ProtocolVersions, Status};

/// What was asked of the engine, in order.
type Calls = UnboundedReceiver<String>;

struct Script {
    calls: UnboundedSender<String>,
    events: UnboundedReceiver<EngineEvent>,
    /// What the next calls of `create` answer; `Ok` when empty.
    creates: Arc<Mutex<VecDeque<Failure>>>,
    hangs: bool,
}

impl Script {
    fn call(&self, call: impl Into<String>) -> Result<(), Failure> {
        let _ = self.calls.send(call.into());
        Ok(())
    }
}

impl Engine for Script {
    fn create(&mut self) -> Result<(), Failure> {
        self.call("create")?;
        match self.creates.lock().unwrap().pop_front() {
            Some(failure) => Err(failure),
            None => Ok(()),
        }
    }

    fn browse(&mut self) -> Result<(), Failure> {
        self.call("browse")
    }

    fn register(&mut self, registration: &Registration) -> Result<(), Failure> {
        self.call(format!("register {}", registration.port))
    }

    fn unregister(&mut self, _fullname: &str) -> Result<(), Failure> {
        self.call("unregister")
    }

    fn verify(&mut self, _fullname: &str, _timeout: Duration) -> Result<(), Failure> {
        self.call("verify")
    }

    async fn next(&mut self) -> EngineEvent {
        match self.events.recv().await {
            Some(event) => event,
            None => std::future::pending().await,
        }
    }

    async fn stop(&mut self, within: Duration) -> bool {
        let _ = self.call("stop");
        if self.hangs {
            tokio::time::sleep(within).await;
        }
        !self.hangs
    }
}

fn start(creates: Vec<Failure>, hangs: bool) -> (Mdns, UnboundedSender<EngineEvent>, Calls) {
    let (calls, called) = unbounded_channel();
    let (event, events) = unbounded_channel();
    let script = Script {
        calls,
        events,
        creates: Arc::new(Mutex::new(creates.into())),
        hangs,
    };
    (Mdns::start_on(&Handle::current(), script), event, called)
}

async fn next_call(calls: &mut Calls, except: &str) -> String {
    loop {
        let call = timeout(Duration::from_secs(100), calls.recv());
        let call = call.await.expect("in time").expect("the engine is there");
        if call != except {
            return call;
        }
    }
}

async fn next_event(watch: &mut Watch) -> Event {
    let event = timeout(Duration::from_secs(100), watch.next());
    event.await.expect("in time").expect("not closed")
}

fn announcement(n: u8) -> Announcement {
    let versions = ProtocolVersions::new(1, 1).unwrap();
    Announcement::new(DeviceId::from_bytes([n; 32]), versions, 1)
}

fn resolved(n: u8) -> EngineEvent {
    let announcement = announcement(n);
    let txt = announcement.to_txt().into_iter();
    EngineEvent::Resolved(Resolved {
        fullname: format!("{}.{SERVICE_TYPE}", InstanceName::new(&announcement.id)),
        addrs: vec!["10.0.0.1:9".parse().unwrap()],
        txt: txt
            .map(|(k, v)| (k.to_owned(), Some(v.into_bytes())))
            .collect(),
    })
}

fn searching() -> EngineEvent {
    EngineEvent::SearchStarted(format!("{SERVICE_TYPE} on 1 interfaces [lo]"))
}

#[tokio::test(start_paused = true)]
async fn from_start_to_close() {
    let (mdns, event, mut calls) = start(vec![], false);
    let mut watch = mdns.watch();
    assert_eq!(next_call(&mut calls, "").await, "create");
    assert_eq!(next_call(&mut calls, "").await, "browse");
    event.send(searching()).unwrap();
    let (source, status) = (Source::MDNS, Status::Up);
    assert_eq!(
        next_event(&mut watch).await,
        Event::Status { source, status }
    );
    event.send(resolved(1)).unwrap();
    let Event::Upsert(candidate) = next_event(&mut watch).await else {
        panic!("a candidate");
    };
    assert_eq!(candidate.id, announcement(1).id);

    let ad = Advertisement::new(announcement(9), 4433);
    let publication = mdns.publish(ad.clone()).await.unwrap();
    assert_eq!(next_call(&mut calls, "browse").await, "register 4433");
    assert_eq!(
        mdns.publish(ad.clone()).await.err(),
        Some(PublishDeviceError::AlreadyPublished)
    );
    let mut moved = ad.clone();
    moved.port = 4434;
    publication.update(moved).await.unwrap();
    assert_eq!(next_call(&mut calls, "browse").await, "register 4434");

    let before = Instant::now();
    mdns.close(Duration::from_secs(2)).await.unwrap();
    assert_eq!(next_call(&mut calls, "browse").await, "unregister");
    assert_eq!(next_call(&mut calls, "browse").await, "stop");
    let took = before.elapsed();
    assert!(took >= Duration::from_millis(200) && took < Duration::from_millis(300));
    assert_eq!(watch.next().await, None);
    mdns.close(Duration::from_secs(2)).await.unwrap();
    assert_eq!(
        publication.update(ad.clone()).await,
        Err(UpdatePublicationError::Closed)
    );
    assert_eq!(
        mdns.publish(ad).await.err(),
        Some(PublishDeviceError::Closed)
    );
    assert_eq!(
        mdns.refresh(None, Hint::Wanted).await,
        Err(RefreshDiscoveryError::Closed)
    );
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_cannot_be_made_is_tried_again() {
    let gone = || Failure::Gone("no".to_owned());
    let (mdns, event, mut calls) = start(vec![gone(), gone()], false);
    let mut watch = mdns.watch();
    let source = Source::MDNS;
    let status = Status::Down("no".to_owned());
    assert_eq!(
        next_event(&mut watch).await,
        Event::Status { source, status }
    );
    let before = Instant::now();
    for _ in 0..2 {
        assert_eq!(next_call(&mut calls, "stop").await, "create");
    }
    assert_eq!(next_call(&mut calls, "stop").await, "create");
    assert_eq!(next_call(&mut calls, "stop").await, "browse");
    assert_eq!(before.elapsed().as_secs(), 3, "1 s, then 2 s");
    event.send(searching()).unwrap();
    let status = Status::Up;
    assert_eq!(
        next_event(&mut watch).await,
        Event::Status { source, status }
    );
}

#[tokio::test(start_paused = true)]
async fn a_dropped_publication_is_withdrawn() {
    let (mdns, _event, mut calls) = start(vec![], false);
    let ad = Advertisement::new(announcement(9), 4433);
    drop(mdns.publish(ad.clone()).await.unwrap());
    assert_eq!(next_call(&mut calls, "create").await, "browse");
    assert_eq!(next_call(&mut calls, "browse").await, "register 4433");
    assert_eq!(next_call(&mut calls, "browse").await, "unregister");
    let old = mdns.publish(ad.clone()).await.unwrap();
    old.withdraw().await.unwrap();
    let _new = mdns.publish(ad.clone()).await.unwrap();
    assert_eq!(
        old.update(ad).await,
        Err(UpdatePublicationError::Withdrawn),
        "the new one is not the old one's to change"
    );
    drop(old);
    for expected in ["register 4433", "unregister", "register 4433"] {
        assert_eq!(next_call(&mut calls, "browse").await, expected);
    }
    mdns.refresh(None, Hint::Wanted).await.unwrap();
    assert_eq!(next_call(&mut calls, "").await, "browse");
}

#[tokio::test(start_paused = true)]
async fn dropping_the_handle_ends_the_engine() {
    let (mdns, _event, mut calls) = start(vec![], false);
    let ad = Advertisement::new(announcement(9), 4433);
    let publication = mdns.publish(ad).await.unwrap();
    drop(mdns);
    assert_eq!(next_call(&mut calls, "create").await, "browse");
    assert_eq!(next_call(&mut calls, "browse").await, "register 4433");
    assert_eq!(next_call(&mut calls, "browse").await, "unregister");
    assert_eq!(next_call(&mut calls, "browse").await, "stop");
    assert_eq!(
        publication.withdraw().await,
        Err(UpdatePublicationError::Closed)
    );
}

#[tokio::test(start_paused = true)]
async fn close_keeps_its_deadline() {
    let (mdns, _event, _calls) = start(vec![], true);
    let before = Instant::now();
    assert_eq!(
        mdns.close(Duration::from_millis(300)).await,
        Err(CloseDiscoveryError::TimedOut)
    );
    assert!(before.elapsed() <= Duration::from_millis(301));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_announced_is_refused() {
    let (mdns, _event, _calls) = start(vec![], false);
    let mut ad = Advertisement::new(announcement(9), 0);
    assert_eq!(
        mdns.publish(ad.clone()).await.err(),
        Some(PublishDeviceError::PortZero)
    );
    ad.port = 1;
    ad.addrs = vec![IpAddr::from([10, 0, 0, 1]); 17];
    assert_eq!(
        mdns.publish(ad).await.err(),
        Some(PublishDeviceError::TooManyAddrs(17))
    );
}

#[test]
fn without_a_runtime_it_does_not_start() {
    let options = MdnsOptions::new(Interfaces::LoopbackOnly);
    assert_eq!(Mdns::start(options).err(), Some(StartMdnsError::NoRuntime));
}
