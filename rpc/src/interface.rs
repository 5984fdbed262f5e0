//! What an interface is called and what its methods look like, so that two ends that differ find out.

use std::{borrow::Cow, sync::Arc};

use bytes::Bytes;

pub use proto::frame::MethodHash;

/// An interface as `#[remote_interface]` writes it down.
#[derive(Debug)]
#[non_exhaustive]
pub struct Interface {
    /// Its descriptor, for example `org.example.Echo`.
    pub descriptor: &'static str,
    /// Its methods: code, and a hash of name and types.
    pub methods: Vec<MethodHash>,
}

impl Interface {
    /// An interface with these methods.
    pub const fn new(descriptor: &'static str, methods: Vec<MethodHash>) -> Self {
        Self {
            descriptor,
            methods,
        }
    }

    /// Whether a stub with this descriptor and these methods means something else by `code`. A stub that lists no
    /// methods is written by hand and checks for itself; a method that only one of both has does not differ.
    pub(crate) fn differs(&self, descriptor: &str, methods: &[MethodHash], code: u32) -> bool {
        let hash = |methods: &[MethodHash]| {
            methods
                .iter()
                .find(|method| method.code == code)
                .map(|method| method.hash)
        };
        let differing = || {
            hash(&self.methods)
                .zip(hash(methods))
                .is_some_and(|(ours, theirs)| ours != theirs)
        };
        !methods.is_empty() && (self.descriptor != descriptor || differing())
    }
}

/// An interface that a relayed call speaks, as its caller wrote it down.
#[derive(Debug, PartialEq, Eq)]
pub struct BoundInterface {
    pub(crate) descriptor: Bytes,
    pub(crate) methods: Vec<MethodHash>,
}

/// The interface that a call speaks.
#[derive(Clone, Debug)]
pub enum Spoken {
    /// One of this process.
    Own(&'static Interface),
    /// That of the caller for whom we relay.
    Relayed(Arc<BoundInterface>),
}

impl Spoken {
    pub(crate) fn descriptor(&self) -> Bytes {
        match self {
            Self::Own(interface) => Bytes::from_static(interface.descriptor.as_bytes()),
            Self::Relayed(interface) => interface.descriptor.clone(),
        }
    }

    pub(crate) fn methods(&self) -> &[MethodHash] {
        match self {
            Self::Own(interface) => &interface.methods,
            Self::Relayed(interface) => &interface.methods,
        }
    }
}

impl PartialEq for Spoken {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Own(one), Self::Own(other)) => std::ptr::eq(*one, *other),
            (Self::Relayed(one), Self::Relayed(other)) => one == other,
            _ => false,
        }
    }
}

/// 64 bits over a method's name and its types (FNV-1a): `name(arg,arg)->result`. Two ends that know a method by the
/// same code but with other types get different values.
pub fn method_hash(name: &str, args: &[Cow<'static, str>], result: &str) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut add = |text: &str| {
        for byte in text.bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    };
    add(name);
    add("(");
    for (index, arg) in args.iter().enumerate() {
        if index > 0 {
            add(",");
        }
        add(arg);
    }
    add(")->");
    add(result);
    hash
}
