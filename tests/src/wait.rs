//! Waiting for something to become true, or for a test to end, with a deadline.
//!
//! Prefer an event to a wait: a channel, a line of a [`Process`](crate::process::Process). Where
//! only asking helps, ask here. This is the one place of the tests that sleeps in order to wait, and it sleeps
//! between questions, never instead of one.

use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime::Builder;

/// Short enough not to be felt, long enough to leave the processor to those we wait for.
const BETWEEN_QUESTIONS: Duration = Duration::from_millis(5);

/// Asks until `condition` holds or `within` has passed; says whether it held.
///
/// The condition is asked at least once, and a last time at the deadline.
#[must_use = "a wait that ended by its deadline is a failure"]
pub fn wait_until(within: Duration, mut condition: impl FnMut() -> bool) -> bool {
    wait_for(within, || condition().then_some(())).is_some()
}

/// Asks until `question` has an answer or `within` has passed.
#[must_use = "a wait that ended by its deadline is a failure"]
pub fn wait_for<T>(within: Duration, mut question: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + within;
    loop {
        let too_late = Instant::now() >= deadline;
        let answer = question();
        if answer.is_some() || too_late {
            return answer;
        }
        thread::sleep(BETWEEN_QUESTIONS);
    }
}

/// [`wait_until`] for an asynchronous test, on tokio's clock.
pub async fn wait_until_async(within: Duration, mut condition: impl AsyncFnMut() -> bool) -> bool {
    let deadline = tokio::time::Instant::now() + within;
    loop {
        let too_late = tokio::time::Instant::now() >= deadline;
        let holds = condition().await;
        if holds || too_late {
            return holds;
        }
        tokio::time::sleep(BETWEEN_QUESTIONS).await;
    }
}

/// Runs a test on a runtime of its own, of one thread.
///
/// # Panics
/// If the test takes longer than that, or the system gives no runtime.
#[track_caller]
pub fn run_within<T>(within: Duration, test: impl Future<Output = T>) -> T {
    run_on(Builder::new_current_thread().enable_all(), within, test)
}

/// The same on a runtime of the caller's choice.
///
/// # Panics
/// As [`run_within`].
#[track_caller]
pub fn run_on<T>(runtime: &mut Builder, within: Duration, test: impl Future<Output = T>) -> T {
    let runtime = runtime.build().expect("the system has room for a runtime");
    let ended = runtime.block_on(async { tokio::time::timeout(within, test).await });
    ended.unwrap_or_else(|_| panic!("the test has not ended within {within:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_when_the_condition_holds() {
        let mut asked = 0;
        assert!(wait_until(Duration::from_secs(60), || {
            asked += 1;
            asked == 3
        }));
        assert_eq!(asked, 3);
    }

    #[test]
    fn asks_at_least_once_and_ends_at_the_deadline() {
        let mut asked = 0;
        assert!(!wait_until(Duration::ZERO, || {
            asked += 1;
            false
        }));
        assert_eq!(asked, 1);
    }

    #[test]
    fn hands_out_the_answer() {
        assert_eq!(wait_for(Duration::ZERO, || Some(7)), Some(7));
    }

    #[tokio::test(start_paused = true)]
    async fn asynchronous_wait_uses_the_test_clock() {
        let started = tokio::time::Instant::now();
        assert!(!wait_until_async(Duration::from_secs(3600), async || false).await);
        assert!(started.elapsed() >= Duration::from_secs(3600));
        assert!(wait_until_async(Duration::ZERO, async || true).await);
    }
}
