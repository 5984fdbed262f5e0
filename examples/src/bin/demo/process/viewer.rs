//! What the viewer does with the camera.

use std::time::{Duration, Instant};

use softbus::{
    CallError, DeathLink, DeathReason, DeviceId, Node, SendRequestError,
    rpc::{
        ashmem::Ashmem,
        parcel::{Bytes, PassObjectError},
    },
};
use tokio::sync::watch;

use super::{CAMERA, camera::CameraProxy};
use crate::{
    order::{Done, Failure, OrFail, Order, Outcome, millis, refused, same, within},
    services::{NOTES, NotesProxy, checksum},
};

/// The size of the shared memory.
const GIGABYTE: usize = 1 << 30;
/// The sizes of raw data: one that goes inside the message, one that goes as sealed memory.
const RAW_BYTES: [usize; 2] = [16 * 1024, 16 * 1024 * 1024];
/// The calls whose median is told.
const MEASURED: usize = 200;
const NOTICE_TIME: Duration = Duration::from_secs(5);

pub(super) struct Viewer {
    node: Node,
    tablet: DeviceId,
    watched: Option<Watched>,
}

/// The camera's service, and an object of its that is none.
struct Watched {
    camera: CameraProxy,
    _links: [DeathLink; 2],
    reasons: [watch::Receiver<Option<DeathReason>>; 2],
}

impl Viewer {
    pub(super) const fn new(node: Node, tablet: DeviceId) -> Self {
        Self {
            node,
            tablet,
            watched: None,
        }
    }

    pub(super) async fn perform(&mut self, order: Order) -> Outcome {
        match order {
            Order::LocalCall => self.local_call().await,
            Order::SharedMemory => self.shared_memory().await,
            Order::RawData => self.raw_data().await,
            Order::ThroughHost => self.through_host().await,
            Order::SecondPass => self.second_pass().await,
            Order::Watch => self.watch().await,
            Order::Told => self.told().await,
            other => Err(Failure::new("a step of a process", format!("{other:?}"))),
        }
    }

    async fn camera(&self) -> Result<CameraProxy, Failure> {
        let camera = self.node.samgr().get(CAMERA, &self.node.device_id()).await;
        camera.map(CameraProxy::new).or_fail("the camera's service")
    }

    async fn notes(&self) -> Result<NotesProxy, Failure> {
        let notes = self.node.samgr().get(NOTES, &self.tablet).await;
        notes.map(NotesProxy::new).or_fail("the tablet's notes")
    }

    async fn local_call(&self) -> Outcome {
        let began = Instant::now();
        let camera = self.camera().await?;
        let found = began.elapsed();
        let who = camera.who_am_i().await.or_fail("an answer")?;
        let first = began.elapsed();
        same("who the camera sees", &who, &(true, std::process::id()))?;
        let mut times = Vec::with_capacity(MEASURED);
        for _ in 0..MEASURED {
            let began = Instant::now();
            camera.who_am_i().await.or_fail("an answer")?;
            times.push(began.elapsed());
        }
        times.sort_unstable();
        let detail = format!(
            "viewer to camera, directly; found in {:.1} ms, median of {MEASURED}: {:.3} ms; the camera sees process {}",
            millis(found),
            millis(times[MEASURED / 2]),
            who.1,
        );
        Ok(Done::new(first, detail))
    }

    async fn shared_memory(&self) -> Outcome {
        let camera = self.camera().await?;
        let memory = Ashmem::create("demo", GIGABYTE).or_fail("a gigabyte of shared memory")?;
        memory.write(0, &[41]).or_fail("its first byte")?;
        memory.write(GIGABYTE - 1, &[7]).or_fail("its last byte")?;
        let began = Instant::now();
        let seen = camera.look(memory.clone()).await;
        let took = began.elapsed();
        same(
            "what the camera sees",
            &seen.or_fail("an answer")?,
            &(41, 7),
        )?;
        let mut first = [0];
        memory.read(0, &mut first).or_fail("its first byte")?;
        same("what the camera has written", &first, &[42])?;
        let detail = "1 GiB of shared memory handed over, seen at both ends and written there; nothing was copied";
        Ok(Done::new(took, detail))
    }

    async fn raw_data(&self) -> Outcome {
        let camera = self.camera().await?;
        let began = Instant::now();
        let mut ways = Vec::new();
        for len in RAW_BYTES {
            let block = Bytes::from((0..len).map(|at| (at % 251) as u8).collect::<Vec<_>>());
            let expected = checksum(block.clone()).await;
            let began = Instant::now();
            let told = camera.put(block).await.or_fail("raw data to arrive")?;
            let back = camera.get().await.or_fail("raw data back")?;
            let took = began.elapsed();
            same("SHA-256 at the camera", &told, &expected)?;
            same(
                "SHA-256 of what came back",
                &checksum(back).await,
                &expected,
            )?;
            ways.push(format!("{} KiB in {:.1} ms", len / 1024, millis(took)));
        }
        let detail = format!(
            "there and back: {} inside the message, {} as sealed memory; SHA-256 the same",
            ways[0], ways[1]
        );
        Ok(Done::new(began.elapsed(), detail))
    }

    async fn through_host(&self) -> Outcome {
        let began = Instant::now();
        let notes = self.notes().await?;
        let greeting = notes.greet("viewer").await.or_fail("a greeting")?;
        let took = began.elapsed();
        same(
            "greeting",
            &greeting.as_str(),
            &"hello viewer, this is the tablet",
        )?;
        let seen = notes.who_am_i().await.or_fail("the caller's id")?;
        let own = self.node.device_id().to_string();
        same("device that the tablet sees", &seen, &own)?;
        let detail =
            format!("the same interface as between devices: {greeting:?}, who sees the phone");
        Ok(Done::new(took, detail))
    }

    async fn second_pass(&self) -> Outcome {
        let camera = self.camera().await?;
        let notes = self.notes().await?;
        let began = Instant::now();
        let reason = PassObjectError::SecondLocalPass;
        let error = SendRequestError::Pass { index: 0, reason };
        let passed = camera.keep(notes.as_object().clone()).await;
        refused(
            "passing the tablet's object to the camera",
            passed,
            &CallError::Send(error.clone()),
        )?;
        let took = began.elapsed();
        notes
            .greet("viewer")
            .await
            .or_fail("it to be of use all the same")?;
        Ok(Done::new(
            took,
            format!("an object of the tablet, passed from process to process: {error}"),
        ))
    }

    async fn watch(&mut self) -> Outcome {
        let began = Instant::now();
        let camera = self.camera().await?;
        let object = camera.open().await.or_fail("an object of the camera")?;
        let link = |object: &softbus::RemoteObject| {
            let (sender, reason) = watch::channel(None);
            let link = object.link_to_death(move |reason| {
                sender.send_replace(Some(reason));
            });
            Ok::<_, Failure>((link.or_fail("to be told of a death")?, reason))
        };
        let (service, told) = link(camera.as_object())?;
        let (other, told_too) = link(&object)?;
        self.watched = Some(Watched {
            camera,
            _links: [service, other],
            reasons: [told, told_too],
        });
        Ok(Done::new(began.elapsed(), "watching"))
    }

    async fn told(&mut self) -> Outcome {
        let began = Instant::now();
        let missing = || Failure::new("a service that is watched", "none");
        let watched = self.watched.take().ok_or_else(missing)?;
        for mut reason in watched.reasons {
            let what = "a death notice";
            let told = within(NOTICE_TIME, what, reason.wait_for(Option::is_some)).await?;
            let told = *told.or_fail(what)?;
            same("reason", &told, &Some(DeathReason::ProcessDied))?;
        }
        let took = began.elapsed();
        let reason = DeathReason::ProcessDied;
        let dead = CallError::Send(SendRequestError::DeadObject { reason });
        refused("a call after the death", watched.camera.get().await, &dead)?;
        Ok(Done::new(took, dead.to_string()))
    }
}
