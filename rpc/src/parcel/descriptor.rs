use std::{
    borrow::Cow,
    io,
    os::fd::{AsFd, OwnedFd},
};

use super::{
    MAX_DESCRIPTORS, Marshal, Parcel, Parcelable, ReadParcelError, WriteParcelError, object::Item,
};
use crate::link::Descriptor;

/// # File descriptors and shared memory
///
/// An open file, pipe or socket reaches another process of this device as a descriptor of its own for the same thing, and an
/// [`Ashmem`](crate::ashmem::Ashmem) as the same memory: whatever its size, nothing is copied. Neither goes to another
/// device: the call fails, and a reply when it is written.
///
/// A descriptor is duplicated when it is written and when it is read, and the parcel closes its own when it is dropped; none
/// stays open in a program that is executed. What a descriptor leads to is known to its sender alone: what is read from it is
/// as untrusted as any other argument, and reading it or closing it may wait for whoever serves it. Shared memory is checked
/// when it is read.
///
/// ```
/// use std::io::{Read, Write};
/// use softbus_rpc::Parcel;
///
/// let (mut reader, writer) = std::io::pipe()?;
/// let mut parcel = Parcel::new();
/// parcel.write_file_descriptor(&writer)?;
/// drop(writer);
///
/// let mut writer = std::io::PipeWriter::from(parcel.read_file_descriptor()?);
/// drop(parcel);
/// writer.write_all(b"here")?;
/// drop(writer);
/// assert_eq!(std::io::read_to_string(&mut reader)?, "here");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
impl Parcel {
    /// Appends a duplicate of a descriptor: 8 bytes, and at most [`MAX_DESCRIPTORS`] of them.
    ///
    /// # Errors
    /// [`WriteParcelError::TooManyDescriptors`], [`WriteParcelError::Descriptor`] when it cannot be duplicated,
    /// [`WriteParcelError::Pass`] in a reply to another device; else as
    /// [`write_remote_object`](Self::write_remote_object). Nothing is written.
    pub fn write_file_descriptor(&mut self, descriptor: impl AsFd) -> Result<(), WriteParcelError> {
        if self.descriptor_count() >= MAX_DESCRIPTORS {
            let limit = MAX_DESCRIPTORS;
            return Err(WriteParcelError::TooManyDescriptors { limit });
        }
        let descriptor = Descriptor::duplicate(descriptor.as_fd());
        let descriptor = descriptor.map_err(|error| WriteParcelError::Descriptor(code(&error)))?;
        self.write_item(Item::Descriptor(descriptor))
    }

    /// Reads a descriptor: a duplicate, the caller's own.
    ///
    /// # Errors
    /// [`ReadParcelError::NotADescriptor`] or [`ReadParcelError::Truncated`] when none was written here,
    /// [`ReadParcelError::Descriptor`] when it cannot be duplicated; the cursor stays.
    pub fn read_file_descriptor(&mut self) -> Result<OwnedFd, ReadParcelError> {
        let item = self.item_here(ReadParcelError::NotADescriptor)?;
        let Ok(Item::Descriptor(descriptor)) = item else {
            return Err(ReadParcelError::NotADescriptor);
        };
        let own = descriptor.as_fd().try_clone_to_owned();
        let own = own.map_err(|error| ReadParcelError::Descriptor(code(&error)))?;
        self.skip_item();
        Ok(own)
    }

    /// Whether there are descriptors in the parcel; those of shared memory count.
    pub fn has_file_descriptors(&self) -> bool {
        self.descriptor_count() > 0
    }
}

#[cfg(target_os = "linux")]
mod memory {
    use super::{Cow, Marshal, Parcel, Parcelable, ReadParcelError, WriteParcelError};
    use crate::ashmem::Ashmem;

    impl Parcel {
        /// Appends shared memory: its descriptor, and its size as an `i32`. What it promises is fixed from here on: it can no
        /// longer be [frozen](Ashmem::freeze) if it was not before.
        ///
        /// # Errors
        /// [`WriteParcelError::SharedMemory`]; else as [`write_file_descriptor`](Self::write_file_descriptor). Nothing is
        /// written.
        pub fn write_ashmem(&mut self, memory: &Ashmem) -> Result<(), WriteParcelError> {
            self.atomically(|parcel| {
                parcel.write_file_descriptor(memory.share()?)?;
                parcel.write_i32(memory.size() as i32)
            })
        }

        /// Reads shared memory, and checks that nobody can take it away.
        ///
        /// # Errors
        /// [`ReadParcelError::SharedMemory`] when it is not what it has to be; else as
        /// [`read_file_descriptor`](Self::read_file_descriptor). The cursor stays.
        pub fn read_ashmem(&mut self) -> Result<Ashmem, ReadParcelError> {
            let start = self.read_position();
            let read = self.read_file_descriptor().and_then(|descriptor| {
                let size = self.read_i32()?;
                let size = usize::try_from(size)
                    .map_err(|_| ReadParcelError::InvalidLength { length: size })?;
                Ashmem::from_descriptor(descriptor, size).map_err(ReadParcelError::SharedMemory)
            });
            if read.is_err() {
                self.rewind_read(start)?;
            }
            read
        }
    }

    impl Marshal for Ashmem {
        fn marshal(&self, parcel: &mut Parcel) -> Result<(), WriteParcelError> {
            parcel.write_ashmem(self)
        }
    }

    impl Parcelable for Ashmem {
        fn unmarshal(parcel: &mut Parcel) -> Result<Self, ReadParcelError> {
            parcel.read_ashmem()
        }

        fn type_name() -> Cow<'static, str> {
            "Ashmem".into()
        }
    }
}

impl Marshal for OwnedFd {
    fn marshal(&self, parcel: &mut Parcel) -> Result<(), WriteParcelError> {
        parcel.write_file_descriptor(self)
    }
}

impl Parcelable for OwnedFd {
    fn unmarshal(parcel: &mut Parcel) -> Result<Self, ReadParcelError> {
        parcel.read_file_descriptor()
    }

    fn type_name() -> Cow<'static, str> {
        "FileDescriptor".into()
    }
}

/// The system's number of an error, which can be compared.
fn code(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or_default()
}
