//! What is in a stub, written for people: for whoever looks after the processes of a device.
//!
//! A stub that has something to say implements [`RemoteStub::dump`]; one of a typed interface gets it with
//! [`RemoteObject::with_dump`]. Processes of root and of the stub's own user may ask, and no other device.

use std::{
    fs::File,
    io::{self, ErrorKind},
    os::fd::AsFd,
    sync::Arc,
};

use async_trait::async_trait;
pub(crate) use proto::openharmony::code::DUMP_TRANSACTION as CODE;
use tokio::sync::Semaphore;

use crate::{
    CallOption, Caller, Parcel, RemoteObject, RemoteProxy, RemoteStub,
    describe::Description,
    dispatch,
    error::{HandlerError, SendRequestError},
    interface::MethodHash,
    limits,
    parcel::WriteParcelError,
    registry::own_user,
    remote::{Execution, StubOptions},
};

/// Stubs that write at a time wait for others to read, and leave threads to the handlers that block.
static WRITING: Semaphore = Semaphore::const_new(limits::DUMPS);

/// Why nothing was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DumpError {
    /// The stub is on another device, whose own processes may ask it.
    #[error("object of another device")]
    OtherDevice,
    /// This process is neither root's nor of the user of the stub's process.
    #[error("refused: neither root nor the user of the object's process")]
    Refused,
    /// The stub writes nothing.
    #[error("object writes nothing")]
    NotSupported,
    /// Asking failed; what was written until then is written. [`Internal`](SendRequestError::Internal) has the stub's own words.
    #[error(transparent)]
    Call(#[from] SendRequestError),
}

impl RemoteObject {
    /// Has the stub write what is in it, for people, to `output`: an open file, a pipe or a socket, which it gets a duplicate of.
    /// What `arguments` mean is the stub's to say. It has been written when this returns.
    ///
    /// OpenHarmony's `Dump`. The stub has to be on this device, and this process one of root or of the stub's user; a stub of this
    /// process itself can always be asked. At most [`DUMPS`](limits::DUMPS) stubs of a process write at a time, others wait.
    ///
    /// ```
    /// use std::io::Write;
    /// use softbus_rpc::{CallOption, Caller, HandlerError, Parcel, RemoteObject, RemoteStub, async_trait};
    ///
    /// struct Lamp;
    ///
    /// #[async_trait]
    /// impl RemoteStub for Lamp {
    ///     fn descriptor(&self) -> &str {
    ///         "org.example.Lamp"
    ///     }
    ///
    ///     fn dump(&self, output: &mut std::fs::File, _: &[String]) -> std::io::Result<()> {
    ///         writeln!(output, "on since yesterday")
    ///     }
    ///
    ///     async fn on_remote_request(
    ///         &self,
    ///         _: &Caller,
    ///         _: u32,
    ///         _: &mut Parcel,
    ///         _: &mut Parcel,
    ///     ) -> Result<(), HandlerError> {
    ///         Err(HandlerError::UnknownMethod)
    ///     }
    /// }
    ///
    /// # async fn look(lamp: RemoteObject) -> Result<(), softbus_rpc::dump::DumpError> {
    /// lamp.dump(std::io::stderr(), &[], CallOption::two_way()).await
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`DumpError`].
    pub async fn dump(
        &self,
        output: impl AsFd,
        arguments: &[&str],
        option: CallOption,
    ) -> Result<(), DumpError> {
        let elsewhere = |proxy: &RemoteProxy| !proxy.is_on_this_device();
        if self.as_proxy().is_some_and(elsewhere) {
            return Err(DumpError::OtherDevice);
        }
        let data = write(output, arguments).map_err(SendRequestError::Arguments)?;
        let dumped = self.transact(CODE, None, &data, option).await;
        match dumped {
            Ok(_) => Ok(()),
            Err(SendRequestError::Refused) => Err(DumpError::Refused),
            Err(SendRequestError::UnknownMethod { .. }) => Err(DumpError::NotSupported),
            Err(error) => Err(error.into()),
        }
    }

    /// A stub, usually of a typed interface, with something that writes what is in it.
    ///
    /// ```
    /// use std::io::Write;
    /// # use softbus_rpc::{RemoteObject, remote_interface};
    /// # #[remote_interface(descriptor = "org.example.Lamp")]
    /// # trait Lamp { async fn toggle(&self) -> bool; }
    /// # struct Desk;
    /// # impl Lamp for Desk { async fn toggle(&self) -> bool { true } }
    /// let lamp = RemoteObject::with_dump(LampStub::new(Desk), |output, _| writeln!(output, "on"));
    /// ```
    pub fn with_dump(
        stub: impl RemoteStub,
        dump: impl Fn(&mut File, &[String]) -> io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self::new(Dumping { stub, dump })
    }
}

/// Descriptor and arguments, in the order and the forms of OpenHarmony.
fn write(output: impl AsFd, arguments: &[&str]) -> Result<Parcel, WriteParcelError> {
    let mut data = Parcel::new();
    data.write_file_descriptor(output)?;
    data.write_string16_vec(arguments)?;
    Ok(data)
}

/// Whether somebody who is not this process may ask.
pub(crate) fn may_ask(caller: &Caller) -> bool {
    let root = 0;
    let privileged = |user| user == root || user == own_user();
    caller.is_local() && caller.uid().is_some_and(privileged)
}

/// Asks a stub whose turn it is, and which runs its handlers so.
pub(crate) async fn run(
    stub: &Arc<dyn RemoteStub>,
    execution: Execution,
    data: &mut Parcel,
) -> Result<(), HandlerError> {
    let output = data.read_file_descriptor()?;
    let arguments = data.read_string16_vec()?;
    let dump = {
        let stub = Arc::clone(stub);
        move || stub.dump(&mut File::from(output), &arguments)
    };
    let dumped = match execution {
        // A blocking stub is on such a thread already, and waits for no second one.
        Execution::Blocking => dump(),
        _ => {
            // Never closed. Held until the thread is free, whoever has given up waiting.
            let turn = WRITING.acquire().await.ok();
            let dump = move || {
                let _turn = turn;
                dump()
            };
            dispatch::blocking(dump).await
        }
    };
    dumped.map_err(|error| match error.kind() {
        ErrorKind::Unsupported => HandlerError::UnknownMethod,
        _ => HandlerError::Failed(error.to_string()),
    })
}

/// A stub, and what writes what is in it.
struct Dumping<S, D> {
    stub: S,
    dump: D,
}

#[async_trait]
impl<S, D> RemoteStub for Dumping<S, D>
where
    S: RemoteStub,
    D: Fn(&mut File, &[String]) -> io::Result<()> + Send + Sync + 'static,
{
    fn descriptor(&self) -> &str {
        self.stub.descriptor()
    }

    fn methods(&self) -> Vec<MethodHash> {
        self.stub.methods()
    }

    fn options(&self) -> StubOptions {
        self.stub.options()
    }

    fn describe(&self) -> Option<Description> {
        self.stub.describe()
    }

    fn dump(&self, output: &mut File, arguments: &[String]) -> io::Result<()> {
        (self.dump)(output, arguments)
    }

    async fn on_remote_request(
        &self,
        caller: &Caller,
        code: u32,
        data: &mut Parcel,
        reply: &mut Parcel,
    ) -> Result<(), HandlerError> {
        self.stub.on_remote_request(caller, code, data, reply).await
    }
}
