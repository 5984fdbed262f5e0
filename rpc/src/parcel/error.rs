use crate::introduction::IntroductionError;

/// Why an object may not be sent to the receiver of a parcel.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PassObjectError {
    /// A proxy would go back to the device its stub lives on. Let the receiver use its own stub.
    #[error("passed back to its origin device")]
    BackToOrigin,
    /// A proxy of another device's stub would go to a second process of this device. Let that process get the service
    /// itself.
    #[error("second pass on the local device")]
    SecondLocalPass,
    /// A proxy of one device's stub would go to another device, and one of the two is of an older version that knows no
    /// introductions. Offer a stub of your own that forwards.
    #[error("third party")]
    ThirdParty,
    /// The policy of the object's device does not let the receiver have it, or us pass it on. Ask its owner.
    #[error("refused by the object's device")]
    OriginRefused,
    /// The object's device does not trust the receiver. The two have to be paired.
    #[error("receiver not trusted by the object's device")]
    ReceiverNotTrusted,
    /// The object is no registered service, and its owner did not mark it
    /// ([`StubOptions::re_exportable`](crate::StubOptions::re_exportable)). Offer a stub of your own that forwards.
    #[error("anonymous object not marked re-exportable")]
    NotReExportable,
    /// The object's device could not be asked. Get the object again.
    #[error("object's device is unreachable")]
    OriginUnreachable,
    /// The object's device did not answer within the call's wait.
    #[error("object's device did not answer in time")]
    OriginTimedOut,
    /// Too many introductions that we asked the object's device for wait to be redeemed: 256 for each device that asks.
    /// They expire after 30 s.
    #[error("object's device has no room for introductions")]
    OriginBusy,
    /// The proxy's stub is gone. Get the service again.
    #[error("dead object")]
    DeadObject,
    /// A file descriptor, or shared memory, would go to another device, or over a link that carries none. Send what is in it,
    /// as raw data.
    #[error("file descriptors stay on their device")]
    Descriptor,
}

impl PassObjectError {
    /// As a relay tells it to who made the call.
    pub(crate) const fn to_wire(&self) -> u8 {
        match self {
            Self::BackToOrigin => 1,
            Self::SecondLocalPass => 2,
            Self::ThirdParty => 3,
            Self::DeadObject => 4,
            Self::OriginUnreachable => 5,
            Self::OriginTimedOut => 6,
            Self::OriginBusy => 7,
            Self::OriginRefused => 8,
            Self::ReceiverNotTrusted => 9,
            Self::NotReExportable => 10,
            Self::Descriptor => 11,
        }
    }

    /// Rules of later versions are refusals.
    pub(crate) const fn from_wire(rule: u8) -> Self {
        match rule {
            1 => Self::BackToOrigin,
            2 => Self::SecondLocalPass,
            3 => Self::ThirdParty,
            4 => Self::DeadObject,
            5 => Self::OriginUnreachable,
            6 => Self::OriginTimedOut,
            7 => Self::OriginBusy,
            9 => Self::ReceiverNotTrusted,
            10 => Self::NotReExportable,
            11 => Self::Descriptor,
            _ => Self::OriginRefused,
        }
    }
}

/// Why something was not written to a [`Parcel`](crate::Parcel). The parcel is as it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WriteParcelError {
    /// The data would pass the parcel's capacity. [`raise_capacity`](crate::Parcel::raise_capacity) up to 1 MiB, or
    /// hand over large blocks as raw data, which does not count.
    #[error("parcel of {size} bytes, limit {limit}")]
    CapacityExceeded {
        /// The capacity, in bytes.
        limit: usize,
        /// What the parcel would hold, in bytes.
        size: usize,
    },
    /// A capacity can only be raised. Make a new parcel if a smaller one is wanted.
    #[error("capacity lowered from {current} to {wanted}")]
    CapacityLowered {
        /// The present capacity, in bytes.
        current: usize,
        /// The capacity asked for, in bytes.
        wanted: usize,
    },
    /// The parcel came from a peer. Write a new one; [`append`](crate::Parcel::append) copies this one into it.
    #[error("received parcel is read-only")]
    ReadOnly,
    /// The parcel carries as many objects as it may. Send the others with another call.
    #[error("more than {limit} objects")]
    TooManyObjects {
        /// [`MAX_OBJECTS`](super::MAX_OBJECTS).
        limit: usize,
    },
    /// The parcel carries as many file descriptors as it may. Send the others with another call.
    #[error("more than {limit} file descriptors")]
    TooManyDescriptors {
        /// [`MAX_DESCRIPTORS`](super::MAX_DESCRIPTORS).
        limit: usize,
    },
    /// A file descriptor could not be duplicated, and what the system says: this process may have no room for more.
    #[error("file descriptor: {}", std::io::Error::from_raw_os_error(*.0))]
    Descriptor(i32),
    /// Shared memory cannot be shared.
    #[cfg(target_os = "linux")]
    #[error("shared memory")]
    SharedMemory(#[from] crate::ashmem::AshmemError),
    /// Raw data is empty or too long. Send it in pieces, or as a stream.
    #[error("raw data of {size} bytes, limit {limit}")]
    RawDataSize {
        /// The bytes that were to be written; 0 is refused as well.
        size: usize,
        /// [`MAX_RAW_DATA`](super::MAX_RAW_DATA), in bytes.
        limit: usize,
    },
    /// The parcel has raw data above 32 KiB already. Send the second block with another call.
    #[error("second large raw data")]
    SecondRawData,
    /// An interface token is empty or too long.
    #[error("interface token of {len} bytes, limit {limit}")]
    TokenLength {
        /// Its length in bytes of UTF-8; 0 is refused as well.
        len: usize,
        /// [`MAX_TOKEN_LEN`](super::MAX_TOKEN_LEN), in bytes.
        limit: usize,
    },
    /// A C string ends at its first NUL. Use [`write_string`](crate::Parcel::write_string), which has a length.
    #[error("nul byte at {position}")]
    InteriorNul {
        /// Where in the string, in bytes.
        position: usize,
    },
    /// 0 is the code of *no exception*. Use another code.
    #[error("exception code 0")]
    ExceptionCode,
    /// The value nests deeper than any receiver reads. Send it flat.
    #[error("nested deeper than {limit}")]
    TooDeep {
        /// [`MAX_DEPTH`](super::MAX_DEPTH).
        limit: usize,
    },
    /// A rewind to behind the end. Use a position that the parcel has given.
    #[error("position {position} of {size} bytes")]
    Position {
        /// The position asked for.
        position: usize,
        /// The data size, in bytes.
        size: usize,
    },
    /// A rewind to where no item begins. Use a position that the parcel has given.
    #[error("position {position} is not a multiple of 4")]
    Misaligned {
        /// The position asked for.
        position: usize,
    },
    /// A value that its type allows and the wire does not, as an implementation of [`Marshal`](super::Marshal) says.
    #[error("{0} cannot be written")]
    InvalidValue(&'static str),
    /// The receiver, known because this is a reply, may not have the object.
    #[error("object not passed")]
    Pass(#[from] PassObjectError),
}

/// Why something was not read from a [`Parcel`](crate::Parcel). The cursor has not moved (except for
/// [`BrokenObject`](Self::BrokenObject) and [`Introduction`](Self::Introduction)), so another type can be tried.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadParcelError {
    /// The data ends before the value does: less was written than is read, or a length in it is forged.
    #[error("{wanted} bytes wanted, {left} left")]
    Truncated {
        /// What the value needs, in bytes.
        wanted: usize,
        /// What there is, in bytes.
        left: usize,
    },
    /// A length or count is negative: something else was written here.
    #[error("invalid length {length}")]
    InvalidLength {
        /// The length found.
        length: i32,
    },
    /// A null string or value where one must be. Read the nullable form.
    #[error("unexpected null")]
    UnexpectedNull,
    /// A string without the NUL behind it: something else was written here.
    #[error("missing terminator")]
    MissingTerminator,
    /// A string that is not UTF-8. Read it as a buffer.
    #[error("invalid UTF-8")]
    InvalidUtf8,
    /// A string16 that is not UTF-16.
    #[error("invalid UTF-16")]
    InvalidUtf16,
    /// A `bool` that is neither 0 nor 1: something else was written here.
    #[error("invalid bool {value}")]
    InvalidBool {
        /// The number found.
        value: u32,
    },
    /// A `char` that is no Unicode scalar value: something else was written here.
    #[error("invalid char {value:#x}")]
    InvalidChar {
        /// The number found.
        value: u32,
    },
    /// A small integer that does not fit its type. Read the wider one.
    #[error("{value} out of range")]
    OutOfRange {
        /// The number found.
        value: i64,
    },
    /// The number that tells null from present, or one variant from another, is none of those known.
    #[error("invalid tag {value}")]
    InvalidTag {
        /// The number found.
        value: i32,
    },
    /// A value that the bytes allow and its type does not, as an implementation of
    /// [`Parcelable`](super::Parcelable) says.
    #[error("invalid {0}")]
    InvalidValue(&'static str),
    /// Plain data was read where an object is. Read the object first, with
    /// [`read_remote_object`](crate::Parcel::read_remote_object).
    #[error("object at {offset}")]
    ObjectInTheWay {
        /// Where the object is, in bytes from the start.
        offset: usize,
    },
    /// An object was read where plain data is, or a file descriptor.
    #[error("no object here")]
    NotAnObject,
    /// A file descriptor was read where plain data is, or an object.
    #[error("no file descriptor here")]
    NotADescriptor,
    /// A file descriptor could not be duplicated, and what the system says: this process may have no room for more.
    #[error("file descriptor: {}", std::io::Error::from_raw_os_error(*.0))]
    Descriptor(i32),
    /// The shared memory that was written here is not sealed, or not what it claims to be.
    #[cfg(target_os = "linux")]
    #[error("shared memory: {0}")]
    SharedMemory(crate::ashmem::AshmemError),
    /// The object that was written here could not be passed to us. The cursor is behind it and the rest of the parcel
    /// is readable.
    #[error("broken object")]
    BrokenObject,
    /// The object that was written here lives on a third device, which did not give it to us. The cursor is behind it
    /// and the rest of the parcel is readable.
    #[error("object of a third device: {0}")]
    Introduction(IntroductionError),
    /// Raw data of another size was written here. Read as many bytes as were written.
    #[error("raw data of {actual} bytes, {expected} wanted")]
    RawDataSize {
        /// The bytes asked for.
        expected: usize,
        /// The bytes that were written.
        actual: usize,
    },
    /// The parcel says that raw data travels beside it, and none came, or it says so in a second place: a forged parcel.
    #[error("raw data is missing")]
    RawDataMissing,
    /// No interface token was written here.
    #[error("not an interface token")]
    NotAToken,
    /// The value nests deeper than any honest one: nothing of it was kept.
    #[error("nested deeper than {limit}")]
    TooDeep {
        /// [`MAX_DEPTH`](super::MAX_DEPTH).
        limit: usize,
    },
    /// A rewind to behind the end. Use a position that the parcel has given.
    #[error("position {position} of {size} bytes")]
    Position {
        /// The position asked for.
        position: usize,
        /// The data size, in bytes.
        size: usize,
    },
}

/// Why the body of a message is no parcel: its table of objects is wrong. The peer broke the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed parcel: {0}")]
pub struct MalformedParcel(pub(super) &'static str);
