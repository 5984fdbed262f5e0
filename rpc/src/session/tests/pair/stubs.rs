//! Stubs that nothing ever runs, and what they are registered and described by.

use std::sync::Arc;

use async_trait::async_trait;
use proto::ServiceId;

use crate::{
    Parcel,
    call::Caller,
    error::HandlerError,
    interface::{Interface, MethodHash},
    remote::{LocalObject, Registration, RemoteObject, RemoteStub},
};

pub(super) struct TestStub(pub(super) Vec<MethodHash>);

#[async_trait]
impl RemoteStub for TestStub {
    fn descriptor(&self) -> &str {
        "test.Stub"
    }

    fn methods(&self) -> Vec<MethodHash> {
        self.0.clone()
    }

    async fn on_remote_request(
        &self,
        _: &Caller,
        _: u32,
        _: &mut Parcel,
        _: &mut Parcel,
    ) -> Result<(), HandlerError> {
        Err(HandlerError::UnknownMethod)
    }
}

/// A stub.
pub(in super::super) fn stub() -> LocalObject {
    typed(Vec::new())
}

/// One with a list of methods.
pub(in super::super) fn typed(methods: Vec<MethodHash>) -> LocalObject {
    RemoteObject::new(TestStub(methods))
        .local()
        .unwrap()
        .clone()
}

/// One registered under an id.
pub(in super::super) fn named(service: u32, registration: u64) -> LocalObject {
    register(&stub(), service, registration)
}

/// One more registration of a stub.
pub(in super::super) fn register(object: &LocalObject, service: u32, number: u64) -> LocalObject {
    let service = ServiceId::new(service).unwrap();
    LocalObject {
        stub: Arc::clone(&object.stub),
        registration: Some(Arc::new(Registration::new(
            service,
            number,
            None,
            Default::default(),
        ))),
    }
}

/// An interface that lives as long as a generated one.
pub(in super::super) fn interface(
    descriptor: &'static str,
    methods: Vec<MethodHash>,
) -> &'static Interface {
    Box::leak(Box::new(Interface::new(descriptor, methods)))
}

pub(in super::super) fn same(a: &LocalObject, b: &LocalObject) -> bool {
    a.key() == b.key()
}
