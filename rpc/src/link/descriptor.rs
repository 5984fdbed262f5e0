//! File descriptors between processes of one device.

use std::sync::Arc;

use crate::quotas::Counted;

/// Where there are none, there is nothing to hold.
#[cfg(unix)]
type Held = std::os::fd::OwnedFd;
#[cfg(not(unix))]
type Held = std::convert::Infallible;

/// A file descriptor of this process that is on its way, or has come. Clones are the same one; it is closed with the last.
#[derive(Clone, Debug)]
pub struct Descriptor {
    #[cfg_attr(not(unix), expect(dead_code, reason = "never made"))]
    held: Arc<Held>,
    /// Its place among those that came.
    counted: Option<Arc<Counted>>,
}

impl Descriptor {
    /// The same one, which has its place as long as it is open.
    pub(crate) fn counted(mut self, place: Counted) -> Self {
        self.counted = Some(Arc::new(place));
        self
    }
}

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
            Self {
                held: Arc::new(descriptor),
                counted: None,
            }
        }
    }

    impl AsFd for Descriptor {
        fn as_fd(&self) -> BorrowedFd<'_> {
            self.held.as_fd()
        }
    }
}
