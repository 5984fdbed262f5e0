//! A session attacked from all sides: two of them with a wire between, on which the tests decide what moves when.

mod calls;
mod death;
#[cfg(unix)]
mod descriptors;
mod hostile;
mod interleavings;
mod introductions;
mod pair;
mod passing;
