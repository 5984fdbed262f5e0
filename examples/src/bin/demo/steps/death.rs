//! A device dies, comes back, and takes leave.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use softbus::{
    CallError, DeathLink, DeathReason, DeviceEvent, SendRequestError, presence::OfflineReason,
    rpc::LinkToDeathError,
};
use tokio::{sync::watch, task::JoinHandle};

use super::Steps;
use crate::{
    order::{Done, Failure, OrFail, Outcome, millis, refused, same, within},
    services::{NOTES, NotesProxy},
};

/// The longest a death may take to be noticed: the idle time-out, and a little.
const NOTICE_TIME: Duration = Duration::from_millis(6_300);

/// The tablet's service, and who is told of its death.
pub(super) struct Watched {
    notes: NotesProxy,
    _link: DeathLink,
    notices: Arc<AtomicU32>,
    reason: watch::Receiver<Option<DeathReason>>,
    /// A call that is under way when it dies.
    held: Option<JoinHandle<Result<(), CallError>>>,
}

impl Watched {
    /// What calls of the dead service fail with.
    fn dead<E>(&self) -> Result<CallError<E>, Failure> {
        let reason = *self.reason.borrow();
        let reason = reason.ok_or_else(|| Failure::new("a death notice", "none"))?;
        Ok(CallError::Send(SendRequestError::DeadObject { reason }))
    }
}

impl Steps {
    pub(super) async fn watch(&mut self) -> Outcome {
        let notes = NotesProxy::new(self.get(NOTES, "tablet").await?);
        let began = Instant::now();
        let notices = Arc::new(AtomicU32::new(0));
        let (sender, reason) = watch::channel(None);
        let link = notes.as_object().link_to_death({
            let notices = Arc::clone(&notices);
            move |reason| {
                notices.fetch_add(1, Ordering::Relaxed);
                sender.send_replace(Some(reason));
            }
        });
        let link = link.or_fail("to be told of the service's death")?;
        let mut hold = Box::pin({
            let notes = notes.clone();
            async move { notes.hold().await }
        });
        // Calls of one object arrive in order: when the second is answered, the first is under way.
        tokio::select! {
            biased;
            ended = &mut hold => return Err(Failure::new("a call that waits", format!("{ended:?}"))),
            greeting = notes.greet("phone") => drop(greeting.or_fail("a greeting")?),
        }
        let held = Some(tokio::spawn(hold));
        self.watched = Some(Watched {
            notes,
            _link: link,
            notices,
            reason,
            held,
        });
        Ok(Done::new(
            began.elapsed(),
            "phone and tv ask to be told when the tablet's service dies; a call is under way",
        ))
    }

    fn watched(&mut self) -> Result<&mut Watched, Failure> {
        self.watched
            .as_mut()
            .ok_or_else(|| Failure::new("a service that is watched", "none"))
    }

    pub(super) async fn told(&mut self) -> Outcome {
        let began = Instant::now();
        let mut reason = self.watched()?.reason.clone();
        let told = within(
            NOTICE_TIME,
            "a death notice",
            reason.wait_for(Option::is_some),
        )
        .await?;
        let told = *told.or_fail("a death notice")?;
        let took = began.elapsed();
        // The first where the machine says that nobody listens any more, the second where there is only silence.
        match told {
            Some(reason @ (DeathReason::ProcessDied | DeathReason::DeviceUnreachable)) => {
                Ok(Done::new(took, reason.to_string()))
            }
            other => Err(Failure::new(
                "reason of the death: process died",
                format!("{other:?}"),
            )),
        }
    }

    pub(super) async fn aftermath(&mut self) -> Outcome {
        let tablet = self.id_of("tablet")?;
        let watched = self.watched()?;
        let held = watched
            .held
            .take()
            .ok_or_else(|| Failure::new("a call under way", "none"))?;
        let what = "the call that was under way to end";
        let held = within(Duration::from_secs(1), what, held)
            .await?
            .or_fail(what)?;
        let lost = CallError::Send(SendRequestError::Indeterminate);
        refused("the call that was under way", held, &lost)?;

        let began = Instant::now();
        let dead = watched.dead()?;
        refused(
            "a call after the death",
            watched.notes.greet("phone").await,
            &dead,
        )?;
        let took = began.elapsed();
        let again = watched.notes.as_object().link_to_death(|_| {});
        refused("watching the dead", again, &LinkToDeathError::DeadObject)?;
        let offline = self.offline(tablet).await?;
        let left = offline == OfflineReason::Left;
        same("whether the tablet said good-bye", &left, &false)?;
        let detail = format!(
            "the call under way: {lost}; new calls at once: {dead}; device offline: {offline}"
        );
        Ok(Done::new(took, detail))
    }

    pub(super) async fn find_again(&mut self) -> Outcome {
        let began = Instant::now();
        let fresh = NotesProxy::new(self.get(NOTES, "tablet").await?);
        let greeting = fresh.greet("phone").await.or_fail("a greeting")?;
        let took = began.elapsed();
        same(
            "greeting",
            &greeting.as_str(),
            &"hello phone, this is the tablet",
        )?;
        let watched = self.watched()?;
        let dead = watched.dead()?;
        refused(
            "a call of the old proxy",
            watched.notes.greet("phone").await,
            &dead,
        )?;
        same(
            "whether old and new are the same",
            &(fresh == watched.notes),
            &false,
        )?;
        same(
            "death notices",
            &watched.notices.load(Ordering::Relaxed),
            &1,
        )?;
        let detail = format!(
            "found {:.0} ms later; a new proxy works, the old one stays dead, told once",
            millis(took)
        );
        Ok(Done::new(took, detail))
    }

    pub(super) async fn see_leave(&self) -> Outcome {
        let tablet = self.id_of("tablet")?;
        let began = Instant::now();
        let gone = DeviceEvent::Offline(tablet, OfflineReason::Left);
        self.see("the tablet to leave", |event| *event == gone)
            .await?;
        Ok(Done::new(began.elapsed(), OfflineReason::Left.to_string()))
    }
}
