//! What can be asked of any object, whatever its interface.

use std::time::Duration;

use super::RemoteObject;
use crate::{call::CallOption, error::SendRequestError, typed::Proxy};

impl RemoteObject {
    /// The object as a typed interface, if its stub is of that interface by its descriptor; `None` if it is of another
    /// one. Asks the other side once. What the methods of both look like is compared when one is called.
    ///
    /// # Errors
    /// [`SendRequestError`]: the stub could not be asked.
    pub async fn cast<P: Proxy>(&self) -> Result<Option<P>, SendRequestError> {
        let same = match self.local() {
            Some(local) if local.death().is_none() => local.descriptor() == P::DESCRIPTOR,
            _ => self.descriptor().await? == P::DESCRIPTOR,
        };
        Ok(same.then(|| P::from(self.clone())))
    }

    /// Waits until every one-way call that was sent through this reference before has arrived at the stub's process,
    /// where it stands in the stub's queue. It need not have run.
    ///
    /// What a call carries beside its frame, raw data and bodies over 32 KiB, may still be on its way. One-way calls
    /// within a process have arrived when they are sent.
    ///
    /// # Errors
    /// [`SendRequestError`]: the calls may or may not have arrived, and none of them is repeated.
    /// [`TimedOut`](SendRequestError::TimedOut) after `wait`, whose bounds are those of [`CallOption::wait`].
    pub async fn flush(&self, wait: Duration) -> Result<(), SendRequestError> {
        // It takes the lane that the calls took, behind them, and is answered without the stub's doing.
        self.ping(CallOption::two_way().wait(wait)).await
    }
}
