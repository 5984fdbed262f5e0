//! One that floods, and everybody else: how long a call of another device takes before, during and afterwards.
//!
//! What is judged is that every call of the other device is answered while the flood goes on. How long it takes is printed, for
//! the table in `docs/security.md`, and not judged: all of it shares one machine, those who flood too.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread::{self, JoinHandle},
};

use super::*;

/// What a flood has done before its neighbour's calls are timed.
const UNDER_WAY: u64 = 10;

/// What goes on beside the calls of others, on a thread of its own, until it is told to stop.
struct Flood {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Flood {
    fn start(flood: impl FnOnce(&AtomicBool, &AtomicU64) + Send + 'static) -> Self {
        let (stop, done) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let thread = {
            let (stop, done) = (Arc::clone(&stop), Arc::clone(&done));
            thread::spawn(move || flood(&stop, &done))
        };
        Self {
            stop,
            done,
            thread: Some(thread),
        }
    }

    fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    async fn has_done(&self, much: u64) {
        while self.done() < much {
            tokio::task::yield_now().await;
        }
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Calls of the friend before, during and after a flood.
async fn beside(what: &str, scene: &Scene, flood: impl FnOnce() -> Flood) {
    let before = scene.calls(1000).await;
    let (begun, flood) = (Instant::now(), flood());
    flood.has_done(UNDER_WAY).await;
    let at_first = flood.done();
    let during = scene.calls(1000).await;
    // It was not over before the calls were.
    flood.has_done(at_first + 1).await;
    let (done, took) = (flood.done(), begun.elapsed());
    drop(flood);
    let rate = done as f64 / took.as_secs_f64();
    let after = scene.calls(1000).await;
    println!("| {what}: {done}, {rate:.0} a second | {before:.0?} | {during:.0?} | {after:.0?} |");
}

fn on_a_runtime_of_its_own(flood: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(flood);
}

#[test]
fn fifty_thousand_datagrams_that_are_no_quic_hinder_nobody() {
    const COUNT: u64 = 50_000;
    run(async || {
        let scene = Scene::start(|builder| builder).await;
        let at = scene.node.local_addr().unwrap();
        let flood = || {
            Flood::start(move |stop, done| {
                let socket = UdpSocket::bind(LOCAL).unwrap();
                let mut noise = [0x5a; 1200];
                while !stop.load(Ordering::Relaxed) || done.load(Ordering::Relaxed) < COUNT {
                    let number = done.fetch_add(1, Ordering::Relaxed);
                    // Long headers, short ones, and connection ids that nobody has.
                    noise[..8]
                        .copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
                    let _ = socket.send_to(&noise, at);
                }
            })
        };
        beside("garbage of a stranger", &scene, flood).await;
        scene.unharmed().await;
    });
}

#[test]
fn strangers_who_dial_without_end_hinder_nobody() {
    run(async || {
        let scene = Scene::start(|builder| builder).await;
        let (at, whom) = (scene.node.local_addr().unwrap(), scene.node.device_id());
        let flood = || {
            Flood::start(move |stop, done| {
                on_a_runtime_of_its_own(async {
                    let (endpoint, stranger) = (Scene::endpoint(), Identity::generate().unwrap());
                    while !stop.load(Ordering::Relaxed) {
                        if let Ok(connection) = connect(&endpoint, &stranger, whom, at).await {
                            connection.closed().await;
                        }
                        done.fetch_add(1, Ordering::Relaxed);
                    }
                });
            })
        };
        beside("dials of a stranger", &scene, flood).await;
        scene.unharmed().await;
    });
}

#[test]
fn a_trusted_device_that_calls_without_end_hinders_nobody() {
    run(async || {
        let mut scene = Scene::start(|builder| builder).await;
        let (at, whom) = (scene.node.local_addr().unwrap(), scene.node.device_id());
        let known = std::mem::replace(&mut scene.known, Identity::generate().unwrap());
        let flood = || {
            Flood::start(move |stop, done| {
                on_a_runtime_of_its_own(flood_with_calls(known, whom, at, stop, done));
            })
        };
        beside("calls of a trusted device, 64 at a time", &scene, flood).await;
        scene.alone_again().await;
        scene.unharmed().await;
    });
}

const LARGE: ServiceId = ServiceId::new(9).unwrap();

/// Answers with much whatever it is asked.
struct Large;

#[async_trait]
impl RemoteStub for Large {
    fn descriptor(&self) -> &str {
        "test.Large"
    }

    async fn on_remote_request(
        &self,
        _caller: &Caller,
        _code: u32,
        _data: &mut Parcel,
        reply: &mut Parcel,
    ) -> Result<(), HandlerError> {
        Ok(reply.write_string(&"x".repeat(8 << 10))?)
    }
}

#[test]
fn a_trusted_device_that_reads_no_replies_hinders_nobody() {
    run(async || {
        let options = ServiceOptions::distributed(Allow::trusted());
        let large = RemoteObject::new(Large);
        let scene = Scene::start(|builder| builder.service(LARGE, &large, options)).await;
        let before = scene.calls(1000).await;
        let endpoint = Scene::endpoint();
        let (connection, _control, mut calls) = session::in_session(&scene, &endpoint).await;
        let handle = calls.get(1, LARGE).await;
        let mut asked = 0;
        let ask = async {
            for slot in 2..1000 {
                calls.ask(slot, handle).await;
                asked += 1;
            }
        };
        // As many as it is let: what it may ask is bounded by what it does not read.
        let _ = tokio::time::timeout(Duration::from_secs(2), ask).await;
        let during = scene.calls(1000).await;
        assert!(connection.close_reason().is_none() && asked > UNDER_WAY);
        connection.close(0_u32.into(), b"");
        let after = scene.calls(1000).await;
        println!(
            "| replies that are not read: {asked} of 16 KiB | {before:.0?} | {during:.0?} | {after:.0?} |"
        );
        scene.alone_again().await;
        scene.unharmed().await;
    });
}

async fn flood_with_calls(
    identity: Identity,
    whom: DeviceId,
    at: SocketAddr,
    stop: &AtomicBool,
    done: &AtomicU64,
) {
    let trust = TrustStore::in_memory();
    trust.trust(whom, "").unwrap();
    let builder = Node::builder().identity(identity).trust(trust);
    let node = builder.listen(LOCAL).static_peer(whom, at).start().await;
    let node = node.unwrap();
    let proxy = node.samgr().get(SERVICE, &whom).await.unwrap();
    let one_after_the_other = async || {
        while !stop.load(Ordering::Relaxed) {
            let mut data = Parcel::new();
            data.write_string(PAYLOAD).unwrap();
            // Whether it is served or told that the service is busy.
            let _ = proxy.send_request(1, &data, CallOption::two_way()).await;
            done.fetch_add(1, Ordering::Relaxed);
        }
    };
    let mut all: Vec<_> = (0..64).map(|_| Box::pin(one_after_the_other())).collect();
    std::future::poll_fn(|context| {
        all.retain_mut(|one| one.as_mut().poll(context).is_pending());
        match all.is_empty() {
            true => std::task::Poll::Ready(()),
            false => std::task::Poll::Pending,
        }
    })
    .await;
    node.shutdown().await;
}
