//! Where identity and trust store are kept.

use std::{env, path::PathBuf};

use crate::failure::{Failure, Kind};

/// The directory: what was said on the command line, or where such things belong.
pub(crate) fn choose(given: Option<PathBuf>) -> Result<PathBuf, Failure> {
    let found = given
        .or_else(|| variable("SOFTBUS_DIR"))
        .or_else(|| data().map(|data| data.join("softbus")));
    found.ok_or_else(|| {
        Failure::new(
            Kind::Usage,
            "no directory for the identity: neither $HOME nor $XDG_DATA_HOME is set",
        )
        .hint("say where to keep it: --dir DIR")
    })
}

/// The user's data directory.
fn data() -> Option<PathBuf> {
    if cfg!(windows) {
        return variable("LOCALAPPDATA");
    }
    // A relative one is invalid by the specification, and to be ignored.
    let data = variable("XDG_DATA_HOME").filter(|path| path.is_absolute());
    data.or_else(|| variable("HOME").map(|home| home.join(".local").join("share")))
}

fn variable(name: &str) -> Option<PathBuf> {
    env::var_os(name)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
}
