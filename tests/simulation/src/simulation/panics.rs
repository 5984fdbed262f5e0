//! Panics: those that were planned are quiet, and the others are found although tasks swallow them.

use std::{cell::RefCell, panic, sync::Once};

thread_local! {
    /// What panicked on this thread, while somebody wants to know.
    static SEEN: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// What a handler panics with that was told to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Planned;

/// Watches the panics of this thread.
#[derive(Debug)]
#[must_use]
pub(super) struct Watched(());

/// From here on the panics of this thread are not printed but kept.
pub(super) fn watch() -> Watched {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let kept = SEEN.with_borrow_mut(|seen| {
                if let Some(seen) = seen {
                    if !info.payload().is::<Planned>() {
                        seen.push(info.to_string());
                    }
                    return true;
                }
                false
            });
            if !kept {
                before(info);
            }
        }));
    });
    SEEN.set(Some(Vec::new()));
    Watched(())
}

impl Watched {
    /// Those that nobody planned.
    pub(super) fn end(self) -> Vec<String> {
        SEEN.take().unwrap_or_default()
    }
}
