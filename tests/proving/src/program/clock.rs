//! The one clock that all processes of a machine have.

use std::time::SystemTime;

/// Milliseconds since 1970. Nothing here takes so long that it matters who sets the clock right meanwhile.
pub(crate) fn now() -> f64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0.0, |since| since.as_secs_f64() * 1000.0)
}
