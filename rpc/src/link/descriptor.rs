//! File descriptors between processes of one device.

use std::sync::Arc;

/// Where there are none, there is nothing to hold.
#[cfg(unix)]
type Held = std::os::fd::OwnedFd;
#[cfg(not(unix))]
type Held = std::convert::Infallible;

/// A file descriptor of this process that is on its way, or has come. Clones are the same one; it is closed with the last.
#[derive(Clone, Debug)]
pub struct Descriptor(#[cfg_attr(not(unix), expect(dead_code, reason = "never made"))] Arc<Held>);

#[cfg(unix)]
mod unix {
    use std::{
        io,
        os::fd::{AsFd, BorrowedFd, OwnedFd},
        sync::Arc,
    };

    use super::Descriptor;

    impl Descriptor {
        /// One of its own for the same open file, closed when another program is executed.
        ///
        /// # Errors
        /// The system refused; for example, this process has no descriptors left.
        pub fn duplicate(of: BorrowedFd<'_>) -> io::Result<Self> {
            of.try_clone_to_owned().map(Self::from)
        }
    }

    impl From<OwnedFd> for Descriptor {
        fn from(descriptor: OwnedFd) -> Self {
            Self(Arc::new(descriptor))
        }
    }

    impl AsFd for Descriptor {
        fn as_fd(&self) -> BorrowedFd<'_> {
            self.0.as_fd()
        }
    }
}
