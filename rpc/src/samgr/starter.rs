//! How a service that is started on demand is started and stopped.

use std::{error::Error, future::Future, time::Duration};

use async_trait::async_trait;

use crate::{limits, registry::ServiceOptions, remote::RemoteObject};

/// Starts a service when somebody wants it, and stops it when its owner unloads it. A closure
/// `Fn() -> impl Future<Output = Result<RemoteObject, E>>` is one that has nothing to do at the stop.
///
/// Runs in a task of its own on the node's runtime, never under a lock. A start that panics or fails is told to those
/// who wait for it as [`StartFailed`](crate::GetServiceError::StartFailed); one that takes longer than it may is
/// dropped where it waits.
#[async_trait]
pub trait ServiceStarter: Send + Sync + 'static {
    /// Yields the stub that will be registered. May be called again after the service has gone; never twice at a time.
    ///
    /// # Errors
    /// Why it cannot be started: told to callers of this device, and logged. Other devices learn only that it failed.
    async fn start(&self) -> Result<RemoteObject, Box<dyn Error + Send + Sync>>;

    /// The service is about to be unregistered; proxies of it still work. After [`limits::UNLOAD_TIME`] it is dropped
    /// where it waits, and the service is unregistered all the same.
    async fn stop(&self) {}
}

#[async_trait]
impl<F, S, E> ServiceStarter for F
where
    F: Fn() -> S + Send + Sync + 'static,
    S: Future<Output = Result<RemoteObject, E>> + Send,
    E: Into<Box<dyn Error + Send + Sync>>,
{
    async fn start(&self) -> Result<RemoteObject, Box<dyn Error + Send + Sync>> {
        self().await.map_err(Into::into)
    }
}

/// How a service is offered that is started on demand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnDemandOptions {
    pub(super) service: ServiceOptions,
    pub(super) start_time: Duration,
}

impl OnDemandOptions {
    /// Registered with these options once it is started. A start may take [`limits::LOAD_TIME`].
    pub const fn new(service: ServiceOptions) -> Self {
        Self {
            service,
            start_time: limits::LOAD_TIME,
        }
    }

    /// How long a start may take, at most [`limits::MAX_WAIT`].
    #[must_use]
    pub fn start_time(mut self, time: Duration) -> Self {
        self.start_time = time.min(limits::MAX_WAIT);
        self
    }
}

impl From<ServiceOptions> for OnDemandOptions {
    fn from(service: ServiceOptions) -> Self {
        Self::new(service)
    }
}
