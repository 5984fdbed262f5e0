//! Starting services when somebody wants them, and unloading them.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use proto::ServiceId;
use tokio::task::JoinHandle;

use super::on_demand::{Run, Unload};
use crate::{
    bus::Bus,
    error::{GetServiceError, UnloadServiceError},
    limits,
    remote::RemoteObject,
};

type Started = Result<RemoteObject, GetServiceError>;

/// Runs a starter. Those who wait for it are told how it ended, whatever happens.
pub(super) fn start(bus: &Arc<Bus>, service: ServiceId, run: Run) {
    let starting = Starting {
        bus: Arc::downgrade(bus),
        service,
        run: run.number,
        ended: false,
    };
    let offer = run.offer;
    let time = offer.options.start_time;
    let runtime = offer.runtime.clone();
    tracing::debug!(%service, "service starts");
    runtime.spawn(async move {
        // A task of its own: one that blocks its thread or panics harms nobody but itself.
        let mut task = Task(tokio::spawn(async move { offer.starter.start().await }));
        let started = match tokio::time::timeout(time, &mut task.0).await {
            Ok(Ok(Ok(object))) => Ok(object),
            Ok(Ok(Err(error))) => Err(GetServiceError::StartFailed(error.to_string())),
            Ok(Err(_)) => Err(GetServiceError::StartFailed("starter panicked".to_owned())),
            Err(_) => Err(GetServiceError::TimedOut { after: time }),
        };
        starting.end(started);
    });
}

/// Ends its task where it waits when it is dropped.
struct Task<T>(JoinHandle<T>);

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A start that is under way. Dropped without an end it has failed: its runtime is gone.
struct Starting {
    bus: Weak<Bus>,
    service: ServiceId,
    run: u64,
    ended: bool,
}

impl Starting {
    fn end(mut self, started: Started) {
        self.ended = true;
        self.tell(started);
    }

    fn tell(&self, started: Started) {
        let Some(bus) = self.bus.upgrade() else {
            return;
        };
        let service = self.service;
        let stub = started.and_then(|object| match object.local() {
            Some(local) => {
                local.stub.set_home(bus.party());
                Ok(local.clone())
            }
            None => Err(GetServiceError::StartFailed(
                "starter yielded a proxy".to_owned(),
            )),
        });
        let (outcome, change, result) = {
            let mut registry = bus.registry();
            // Replaced or removed meanwhile: who waited was told then.
            let Some(offer) = registry.on_demand.starting(service, self.run) else {
                return;
            };
            let options = offer.service_options().clone();
            let result = stub.as_ref().map_err(Clone::clone).and_then(|local| {
                let registered = registry.register(service, Arc::clone(&local.stub), options);
                registered.map_err(|error| GetServiceError::StartFailed(error.to_string()))
            });
            let outcome = registry.on_demand.started(service, result.is_ok());
            (outcome, registry.change(service), result)
        };
        match &result {
            Ok(_) => {
                tracing::info!(%service, "service started");
                bus.watches.changed(change);
            }
            Err(error) => tracing::warn!(%service, %error, "service not started"),
        }
        if let Some(outcome) = outcome {
            outcome.send_replace(Some(result.map(drop)));
        }
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        if !self.ended {
            let gone = "its runtime has ended".to_owned();
            self.tell(Err(GetServiceError::StartFailed(gone)));
        }
    }
}

/// Unloads a service now, and waits until it is.
pub(super) async fn unload(bus: &Arc<Bus>, service: ServiceId) -> Result<(), UnloadServiceError> {
    let unload = bus.registry().on_demand.unload(service, Duration::ZERO)?;
    let mut unloaded = match unload {
        Unload::Join(unloaded) => unloaded,
        Unload::Now(run, unloaded) => {
            stop(bus, service, run);
            unloaded
        }
        Unload::Later(_) => return Ok(()),
    };
    match unloaded.wait_for(Option::is_some).await.as_deref() {
        Ok(Some(false)) => Err(UnloadServiceError::TimedOut {
            after: limits::UNLOAD_TIME,
        }),
        _ => Ok(()),
    }
}

/// Unloads a service later unless somebody wants it before; does not wait for it.
pub(super) fn unload_after(
    bus: &Arc<Bus>,
    service: ServiceId,
    delay: Duration,
) -> Result<(), UnloadServiceError> {
    let unload = bus.registry().on_demand.unload(service, delay)?;
    match unload {
        Unload::Join(_) => {}
        Unload::Now(run, _) => stop(bus, service, run),
        Unload::Later(run) => {
            let bus = Arc::downgrade(bus);
            run.offer.runtime.spawn(async move {
                tokio::time::sleep(delay).await;
                let Some(bus) = bus.upgrade() else { return };
                let due = bus.registry().on_demand.unload_due(service, run.number);
                if let Some(run) = due {
                    stop(&bus, service, run);
                }
            });
        }
    }
    Ok(())
}

/// Has a service stop, and then unregisters it.
fn stop(bus: &Arc<Bus>, service: ServiceId, run: Run) {
    let Run { offer, number } = run;
    let stopping = Stopping {
        bus: Arc::downgrade(bus),
        service,
        run: number,
        in_time: false,
    };
    let runtime = offer.runtime.clone();
    runtime.spawn(async move {
        let mut task = Task(tokio::spawn(async move { offer.starter.stop().await }));
        let stopped = tokio::time::timeout(limits::UNLOAD_TIME, &mut task.0).await;
        stopping.end(stopped.is_ok());
    });
}

/// An unload that is under way; ends when it is dropped, whatever happened.
struct Stopping {
    bus: Weak<Bus>,
    service: ServiceId,
    run: u64,
    in_time: bool,
}

impl Stopping {
    fn end(mut self, in_time: bool) {
        self.in_time = in_time;
    }
}

impl Drop for Stopping {
    fn drop(&mut self) {
        let Some(bus) = self.bus.upgrade() else {
            return;
        };
        let service = self.service;
        let (removed, change, ended) = {
            let mut registry = bus.registry();
            // Replaced or removed meanwhile.
            if !registry.on_demand.unloading(service, self.run) {
                return;
            }
            let removed = registry.unregister(service);
            let ended = registry.on_demand.unloaded(service);
            (removed, registry.change(service), ended)
        };
        bus.watches.changed(change);
        if let Some(removed) = &removed {
            bus.kill_registration(removed);
        }
        tracing::info!(%service, in_time = self.in_time, "service unloaded");
        let Some((next, unloaded)) = ended else {
            return;
        };
        unloaded.send_replace(Some(self.in_time));
        if let Some(run) = next {
            start(&bus, service, run);
        }
    }
}
