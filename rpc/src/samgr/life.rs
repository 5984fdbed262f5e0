//! The life of a service that is started on demand: OpenHarmony's five states, and the only ways from one to another.

/// Where a service that is started on demand stands (OpenHarmony `ability_schedule`: the same five).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ServiceState {
    /// It can be started and is not.
    NotLoaded,
    /// Its starter runs.
    Loading,
    /// It is there.
    Loaded,
    /// It is there, and will be unloaded unless somebody wants it before.
    Unloadable,
    /// It is about to go: nobody gets it any more, and who wants it waits for the next start.
    Unloading,
}

/// What happens to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Somebody wants it and it is not there.
    Load,
    /// Its starter has yielded an object.
    Started,
    /// Its starter has not, or not in time.
    StartFailed,
    /// Its owner wants it unloaded later.
    UnloadLater,
    /// Its owner wants it unloaded now, or later has come.
    Unload,
    /// Its owner has changed its mind, or somebody wants it.
    Keep,
    /// It has been stopped, or did not stop in time.
    Unloaded,
    /// Its stub was revoked.
    Died,
}

impl ServiceState {
    /// Where a step leads; `None` if it cannot be taken from here.
    pub(super) const fn after(self, step: Step) -> Option<Self> {
        use ServiceState::{Loaded, Loading, NotLoaded, Unloadable, Unloading};
        Some(match (self, step) {
            (NotLoaded, Step::Load) => Loading,
            (Loading, Step::Started) => Loaded,
            (Loading, Step::StartFailed) => NotLoaded,
            (Loaded | Unloadable, Step::UnloadLater) => Unloadable,
            (Loaded | Unloadable, Step::Unload) => Unloading,
            (Unloadable, Step::Keep) => Loaded,
            (Unloading, Step::Unloaded) => NotLoaded,
            // While it is being stopped, that it is dead changes nothing: the stop is waited for.
            (Unloading, Step::Died) => Unloading,
            (Loaded | Unloadable, Step::Died) => NotLoaded,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{ServiceState::*, Step::*, *};

    const STATES: [ServiceState; 5] = [NotLoaded, Loading, Loaded, Unloadable, Unloading];
    const STEPS: [Step; 8] = [
        Load,
        Started,
        StartFailed,
        UnloadLater,
        Unload,
        Keep,
        Unloaded,
        Died,
    ];

    /// Row 141: every step from every state, the legal ones and all others.
    #[test]
    fn only_legal_transitions_are_taken() {
        let legal = [
            (NotLoaded, Load, Loading),
            (Loading, Started, Loaded),
            (Loading, StartFailed, NotLoaded),
            (Loaded, UnloadLater, Unloadable),
            (Loaded, Unload, Unloading),
            (Loaded, Died, NotLoaded),
            (Unloadable, UnloadLater, Unloadable),
            (Unloadable, Unload, Unloading),
            (Unloadable, Keep, Loaded),
            (Unloadable, Died, NotLoaded),
            (Unloading, Unloaded, NotLoaded),
            (Unloading, Died, Unloading),
        ];
        for state in STATES {
            for step in STEPS {
                let expected = legal
                    .iter()
                    .find(|(from, by, _)| (*from, *by) == (state, step));
                let expected = expected.map(|(_, _, to)| *to);
                assert_eq!(state.after(step), expected, "{state:?} {step:?}");
            }
        }
    }
}
