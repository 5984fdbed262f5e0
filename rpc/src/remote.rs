//! Objects: stubs of this process, proxies of stubs elsewhere, and references to either.

mod ask;
mod holders;
mod local;
mod options;
mod proxy;
mod rebinding;
mod stats;
mod transact;

pub(crate) use holders::SharedHolders;
pub use holders::{Holder, HolderWatch};
pub use local::LocalObject;
pub(crate) use local::{LocalObjectKey, Registration, StubCell};
pub use options::{Execution, RateLimit, StubOptions};
pub(crate) use proxy::ProxyInner;
pub use proxy::RemoteProxy;
use rebinding::Rebinding;
pub(crate) use rebinding::RebindingLink;
pub use rebinding::{Binder, Binding, Bound};
pub use stats::{Refused, StubStats};
pub(crate) use transact::Transact;

use std::{borrow::Cow, sync::Arc};

use async_trait::async_trait;
use proto::DeviceId;

use crate::{
    Parcel,
    call::{CallOption, Caller},
    death::{DeathLink, DeathReason, DeathRecipient},
    describe::Description,
    error::{HandlerError, LinkToDeathError, SendRequestError},
    interface::{Interface, MethodHash},
};

/// The service side of an object: what runs when somebody calls it.
///
/// Usually written by `#[remote_interface]`; by hand it looks like this:
///
/// ```
/// use softbus_rpc::{Caller, HandlerError, Parcel, RemoteObject, RemoteStub, async_trait};
///
/// struct Adder;
///
/// #[async_trait]
/// impl RemoteStub for Adder {
///     fn descriptor(&self) -> &str {
///         "org.example.Adder"
///     }
///
///     async fn on_remote_request(
///         &self,
///         _caller: &Caller,
///         code: u32,
///         data: &mut Parcel,
///         reply: &mut Parcel,
///     ) -> Result<(), HandlerError> {
///         match code {
///             1 => {
///                 let sum = data.read_i32()? + data.read_i32()?;
///                 reply.write_i32(sum)?;
///                 Ok(())
///             }
///             _ => Err(HandlerError::UnknownMethod),
///         }
///     }
/// }
///
/// let adder = RemoteObject::new(Adder);
/// ```
#[async_trait]
pub trait RemoteStub: Send + Sync + 'static {
    /// The interface descriptor, for example `org.example.Echo`. Asked once.
    fn descriptor(&self) -> &str;

    /// The methods as a generated stub knows them; a stub that lists none is not checked for them. Asked once.
    fn methods(&self) -> Vec<MethodHash> {
        Vec::new()
    }

    /// How requests are run. Asked once.
    fn options(&self) -> StubOptions {
        StubOptions::default()
    }

    /// What the interface looks like, for a client without its source. A generated stub has one; by hand it is made with
    /// [`Description::new`]. Asked each time somebody wants to know, and who may is the service's to say
    /// ([`ServiceOptions::described_to`](crate::ServiceOptions::described_to)).
    fn describe(&self) -> Option<Description> {
        None
    }

    /// Writes what is in it, for people, to a file of who asks ([`RemoteObject::dump`]). Takes its turn as a request does, on a
    /// thread where it may block: the file may be a pipe that nobody reads.
    ///
    /// Only privileged processes of this device get here: those of root, and of the user of this process.
    ///
    /// # Errors
    /// [`Unsupported`](std::io::ErrorKind::Unsupported), as here, says that it writes nothing; the text of any other reaches who
    /// asked.
    #[cfg(unix)]
    fn dump(&self, output: &mut std::fs::File, arguments: &[String]) -> std::io::Result<()> {
        let _ = (output, arguments);
        Err(std::io::ErrorKind::Unsupported.into())
    }

    /// Serves one request. Dropped where it waits when the caller cancels, its deadline passes or it goes away.
    ///
    /// The status always reaches a caller that waits; with an error nothing of `reply` does.
    ///
    /// # Errors
    /// What the caller is told.
    async fn on_remote_request(
        &self,
        caller: &Caller,
        code: u32,
        data: &mut Parcel,
        reply: &mut Parcel,
    ) -> Result<(), HandlerError>;
}

/// A reference to an object: a stub of this process, or a proxy of a stub elsewhere. Calls look the same.
///
/// Equal references are references to the same object, wherever they came from.
///
/// What is dead stays dead. Who wants a service and not one object of it takes a *rebinding* object, which calls whichever proxy of
/// the service there is: `SystemAbilityManager::get_rebinding` of a node has them. Two are equal when they are of the same service.
#[derive(Clone, Debug)]
pub struct RemoteObject(Repr);

#[derive(Clone, Debug)]
enum Repr {
    Local(LocalObject),
    Remote(RemoteProxy),
    Rebinding(Arc<Rebinding>),
}

impl RemoteObject {
    /// A stub, as an object that can be registered, passed and called. Each call makes an object of its own: keep the
    /// reference rather than making it again.
    pub fn new(stub: impl RemoteStub) -> Self {
        Self::from_arc(Arc::new(stub))
    }

    /// As [`new`](Self::new), for a stub that is shared with others.
    pub fn from_arc(stub: Arc<dyn RemoteStub>) -> Self {
        Self(Repr::Local(LocalObject::anonymous(Arc::new(
            StubCell::new(stub),
        ))))
    }

    pub(crate) fn from_local(local: LocalObject) -> Self {
        Self(Repr::Local(local))
    }

    pub(crate) fn local(&self) -> Option<&LocalObject> {
        match &self.0 {
            Repr::Local(local) => Some(local),
            Repr::Remote(_) | Repr::Rebinding(_) => None,
        }
    }

    /// The proxy, if it is one.
    pub fn as_proxy(&self) -> Option<&RemoteProxy> {
        match &self.0 {
            Repr::Local(_) | Repr::Rebinding(_) => None,
            Repr::Remote(proxy) => Some(proxy),
        }
    }

    /// Whether it calls whichever proxy of a service there is.
    pub fn is_rebinding(&self) -> bool {
        matches!(self.0, Repr::Rebinding(_))
    }

    /// The object that is called at this moment: itself, and of a rebinding one the proxy that there is, if there is one.
    pub fn bound(&self) -> Option<Self> {
        match &self.0 {
            Repr::Local(_) | Repr::Remote(_) => Some(self.clone()),
            Repr::Rebinding(rebinding) => rebinding.bound(),
        }
    }

    /// The device of the stub; `None` for a stub of this process.
    pub fn device(&self) -> Option<DeviceId> {
        match &self.0 {
            Repr::Local(_) => None,
            Repr::Remote(proxy) => Some(proxy.device()),
            Repr::Rebinding(rebinding) => Some(rebinding.device),
        }
    }

    /// Whether the object is dead. It stays so. A rebinding one never is.
    pub fn is_dead(&self) -> bool {
        self.death().is_some()
    }

    /// Why the object is dead, if it is.
    pub fn death(&self) -> Option<DeathReason> {
        match &self.0 {
            Repr::Local(local) => local.stub.death(),
            Repr::Remote(proxy) => proxy.death(),
            Repr::Rebinding(_) => None,
        }
    }

    /// What a stub of this process has done and what waits for it; `None` for a proxy.
    pub fn stats(&self) -> Option<StubStats> {
        self.local().map(|local| local.stub.gate.stats())
    }

    /// Sends a request, and waits for its reply unless `option` is one-way (an empty parcel then). The parcel can be
    /// sent again.
    ///
    /// Dropping the future cancels the call: the handler is told, and dropped where it waits.
    ///
    /// # Errors
    /// [`SendRequestError`]; after an error the object can still be called unless the error says that it is dead.
    pub async fn send_request(
        &self,
        code: u32,
        data: &Parcel,
        option: CallOption,
    ) -> Result<Parcel, SendRequestError> {
        if !crate::call::is_method(code) {
            return Err(SendRequestError::InvalidCode { code });
        }
        self.transact(code, None, data, option).await
    }

    /// As [`send_request`](Self::send_request), for a caller that speaks a generated interface: the other side checks
    /// that it is the one the stub has. The check costs nothing but a few bytes before the first call.
    ///
    /// # Errors
    /// [`SendRequestError`], [`InterfaceMismatch`](SendRequestError::InterfaceMismatch) among them.
    pub async fn send_typed(
        &self,
        interface: &'static Interface,
        code: u32,
        data: &Parcel,
        option: CallOption,
    ) -> Result<Parcel, SendRequestError> {
        if !crate::call::is_method(code) {
            return Err(SendRequestError::InvalidCode { code });
        }
        self.transact(code, Some(interface), data, option).await
    }

    /// Asks whether the object answers.
    ///
    /// # Errors
    /// [`SendRequestError`]: it does not.
    pub async fn ping(&self, option: CallOption) -> Result<(), SendRequestError> {
        let code = proto::openharmony::code::PING_TRANSACTION;
        self.transact(code, None, &Parcel::new(), option).await?;
        Ok(())
    }

    /// Asks the stub for its interface descriptor.
    ///
    /// # Errors
    /// [`SendRequestError`].
    pub async fn descriptor(&self) -> Result<String, SendRequestError> {
        let code = proto::openharmony::code::INTERFACE_TRANSACTION;
        let mut reply = self
            .transact(code, None, &Parcel::new(), CallOption::two_way())
            .await?;
        reply
            .read_string16()
            .map_err(|_| SendRequestError::MalformedReply)
    }

    pub(crate) fn transact<'a>(
        &'a self,
        code: u32,
        interface: Option<&'static Interface>,
        data: &'a Parcel,
        option: CallOption,
    ) -> Transact<'a> {
        Transact::new(self, code, interface, Cow::Borrowed(data), option)
    }

    /// Asks to be told, once, when the object dies; with a rebinding object each time a proxy does, one that comes later too.
    ///
    /// # Errors
    /// [`LinkToDeathError`]; over RPC only services registered with their device's system ability manager can be
    /// watched.
    pub fn link_to_death(
        &self,
        recipient: impl DeathRecipient,
    ) -> Result<DeathLink, LinkToDeathError> {
        match &self.0 {
            Repr::Local(_) => Err(LinkToDeathError::LocalStub),
            Repr::Remote(proxy) => proxy.link_to_death(Arc::new(recipient)),
            Repr::Rebinding(rebinding) => {
                let link = rebinding.link_to_death(Arc::new(recipient))?;
                Ok(DeathLink::each(link))
            }
        }
    }
}

impl From<RemoteProxy> for RemoteObject {
    fn from(proxy: RemoteProxy) -> Self {
        Self(Repr::Remote(proxy))
    }
}

impl PartialEq for RemoteObject {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Repr::Local(a), Repr::Local(b)) => a.stub.number() == b.stub.number(),
            (Repr::Remote(a), Repr::Remote(b)) => a == b,
            (Repr::Rebinding(a), Repr::Rebinding(b)) => {
                (a.service, a.device) == (b.service, b.device)
            }
            _ => false,
        }
    }
}

impl Eq for RemoteObject {}
