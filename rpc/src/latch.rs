//! Something that is said once and waited for.

use std::{pin::pin, sync::OnceLock};

use tokio::sync::Notify;

/// A value that is set once, and whoever wants to know it waits for that. They are woken in the order in which they began to
/// wait: what follows from a run of things is the same each time. (A `watch` of tokio's wakes in a random order.)
#[derive(Debug, Default)]
pub(crate) struct Latch<T> {
    value: OnceLock<T>,
    told: Notify,
}

impl<T> Latch<T> {
    pub(crate) fn new() -> Self {
        Self {
            value: OnceLock::new(),
            told: Notify::new(),
        }
    }

    /// The value, if it has been set.
    pub(crate) fn get(&self) -> Option<&T> {
        self.value.get()
    }

    /// Sets it; the first value counts. Whether this was the first.
    pub(crate) fn set(&self, value: T) -> bool {
        let first = self.value.set(value).is_ok();
        if first {
            self.told.notify_waiters();
        }
        first
    }

    /// Waits for it.
    pub(crate) async fn wait(&self) -> &T {
        let mut told = pin!(self.told.notified());
        loop {
            // From here on nothing that is told is missed.
            told.as_mut().enable();
            if let Some(value) = self.get() {
                return value;
            }
            told.as_mut().await;
            told.set(self.told.notified());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[tokio::test]
    async fn the_first_value_counts() {
        let latch = Latch::new();
        assert_eq!(latch.get(), None);
        assert!(latch.set(1));
        assert!(!latch.set(2));
        assert_eq!((latch.get(), latch.wait().await), (Some(&1), &1));
    }

    #[tokio::test]
    async fn who_waits_is_woken_in_turn() {
        let latch = Arc::new(Latch::new());
        let woken = Arc::new(Mutex::new(Vec::new()));
        let wait = |number| {
            let (latch, woken) = (Arc::clone(&latch), Arc::clone(&woken));
            tokio::spawn(async move {
                latch.wait().await;
                woken.lock().unwrap().push(number);
            })
        };
        let waiting: Vec<_> = (0..20).map(wait).collect();
        // They run in the order in which they were made, and after this.
        tokio::task::yield_now().await;
        latch.set(());
        for task in waiting {
            task.await.unwrap();
        }
        assert!(woken.lock().unwrap().iter().copied().eq(0..20));
    }
}
