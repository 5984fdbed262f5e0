//! The stub that every object here has: it does what the script of a call says.

use std::sync::{Arc, Weak};

use rpc::{
    Caller, HandlerError, Parcel, RemoteStub, StubOptions, async_trait,
    parcel::{PassObjectError, WriteParcelError},
};

use super::{
    Application, Held, Script,
    calling::{Returns, raw},
};
use crate::{
    log::{Answer, Event},
    node::number,
    simulation::{Planned, Shared},
};

/// A stub that writes down what is done with it.
#[derive(Debug)]
pub(super) struct Probe {
    number: u32,
    application: Weak<Application>,
    shared: Arc<Shared>,
    options: StubOptions,
}

impl Probe {
    pub(super) const fn new(
        number: u32,
        application: Weak<Application>,
        shared: Arc<Shared>,
        options: StubOptions,
    ) -> Self {
        Self {
            number,
            application,
            shared,
            options,
        }
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.shared.journal.record(Event::Freed(self.number));
    }
}

/// A handler that runs.
struct Running<'a>(&'a Application, u32);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.node.record(Event::Done(self.1));
    }
}

#[async_trait]
impl RemoteStub for Probe {
    fn descriptor(&self) -> &str {
        "simulation.Probe"
    }

    fn options(&self) -> StubOptions {
        self.options
    }

    async fn on_remote_request(
        &self,
        caller: &Caller,
        _: u32,
        data: &mut Parcel,
        reply: &mut Parcel,
    ) -> Result<(), HandlerError> {
        let application = self.application.upgrade().ok_or(HandlerError::Refused)?;
        let call = data.read_u32()?;
        application.node.record(Event::Ran {
            call,
            object: self.number,
        });
        let _running = Running(&application, call);
        let script = self.shared.scripts().remove(&call);
        let script = script.ok_or_else(|| HandlerError::Failed("no script".to_owned()))?;
        data.read_buffer(script.padding)?;
        let given = application.take(call, &script, data);
        if let Some(len) = script.raw
            && data.read_raw_data(len)? != raw(call, len)
        {
            return Err(HandlerError::Failed("raw data differs".to_owned()));
        }
        Application::pause(script.takes).await;
        if let (Some(inner), Some(back)) = (script.inner, given.first()) {
            Box::pin(application.call_back(back, inner, call)).await;
        }
        match script.answer {
            Answer::Panic => std::panic::panic_any(Planned),
            Answer::Code(code) => return Err(HandlerError::Code(code)),
            Answer::Reply => {}
        }
        let object = application.chosen(script.returns, &given, number(&caller.device()));
        if let Some(held) = object {
            application.put_into_reply(call, &held, reply);
        }
        if script.keeps {
            application.keep(given);
        }
        Ok(())
    }
}

impl Application {
    /// What a parcel brought.
    fn take(&self, call: u32, script: &Script, data: &mut Parcel) -> Vec<Held> {
        let mut given = Vec::new();
        for (index, (of, registration)) in script.objects.iter().copied().enumerate() {
            let taken = data.read_remote_object();
            let error = taken.as_ref().err().map(ToString::to_string);
            self.node.record(Event::Took { call, index, error });
            if let Ok(object) = taken {
                given.push(self.hold(object, of, registration));
            }
        }
        given
    }

    /// What a reply is to carry. Of what was given, only what is of the caller: something of a third device would be
    /// introduced, which may end the call in more ways than are foretold here.
    fn chosen(&self, returns: Returns, given: &[Held], caller: u8) -> Option<Held> {
        let is_callers = |held: &&Held| {
            let home = held.object.device();
            home.is_some_and(|home| number(&home) == caller)
        };
        match returns {
            Returns::Nothing => None,
            Returns::Own => self.state().stubs.last().cloned(),
            Returns::Given => given.iter().find(is_callers).cloned(),
        }
    }

    fn put_into_reply(&self, call: u32, held: &Held, reply: &mut Parcel) {
        let refused = match reply.write_remote_object(&held.object) {
            Ok(()) => {
                let mut returned = self.node.shared().returned();
                returned.insert(call, (held.of, held.registration));
                None
            }
            Err(WriteParcelError::Pass(reason)) => Some(reason),
            // There is room for one object.
            Err(_) => Some(PassObjectError::Descriptor),
        };
        let object = held.reference();
        self.node.record(Event::Returns {
            call,
            object,
            refused,
        });
    }
}
