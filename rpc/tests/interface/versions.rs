//! Two ends that were not built from the same trait.

use softbus_rpc::{
    CallError, RemoteObject, SendRequestError, interface::method_hash, typed::Proxy,
};

use crate::pair::offer;

/// The interface as it was.
mod old {
    #[softbus_rpc::remote_interface(descriptor = "org.example.Store")]
    pub(super) trait Store {
        async fn get(&self, key: &str) -> Option<String>;
        async fn size(&self) -> u32 {
            3
        }
        #[code(7)]
        async fn clear(&self) {}
    }
}

/// The interface as it is: `get` fails, `size` is gone, `keys` is new, `clear` has moved.
mod new {
    #[softbus_rpc::remote_interface(descriptor = "org.example.Store")]
    pub(super) trait Store {
        async fn get(&self, key: &str) -> Result<String, u32>;
        #[code(0x00ff_ffff)]
        async fn keys(&self) -> Vec<String> {
            vec!["a".into()]
        }
        #[code(7)]
        async fn clear(&self) {}
        async fn fourth(&self) {}
    }
}

struct Service;

impl old::Store for Service {
    async fn get(&self, key: &str) -> Option<String> {
        Some(key.to_owned())
    }
}

impl new::Store for Service {
    async fn get(&self, key: &str) -> Result<String, u32> {
        Ok(key.to_owned())
    }
}

/// As another device has it, and as this one has.
async fn both_ways(object: RemoteObject, check: impl AsyncFn(RemoteObject)) {
    let pair = offer(object.clone()).await;
    check(pair.remote.clone()).await;
    check(object).await;
}

#[tokio::test]
async fn an_old_client_of_a_new_service_is_refused_what_has_changed() {
    both_ways(new::StoreStub::new(Service).into_object(), async |object| {
        let store = old::StoreProxy::new(object);
        assert_eq!(
            store.get("a").await,
            Err(CallError::Send(SendRequestError::InterfaceMismatch))
        );
        assert_eq!(
            store.size().await,
            Err(CallError::Send(SendRequestError::UnknownMethod { code: 2 }))
        );
        assert_eq!(store.clear().await, Ok(()));
    })
    .await;
}

#[tokio::test]
async fn a_new_client_of_an_old_service_is_refused_what_is_missing() {
    both_ways(old::StoreStub::new(Service).into_object(), async |object| {
        let store = new::StoreProxy::new(object);
        let unknown = SendRequestError::UnknownMethod { code: 0x00ff_ffff };
        assert_eq!(store.keys().await, Err(CallError::Send(unknown)));
        assert_eq!(
            store.get("a").await,
            Err(CallError::Send(SendRequestError::InterfaceMismatch))
        );
        assert_eq!(store.clear().await, Ok(()));
    })
    .await;
}

#[test]
fn codes_count_from_one_unless_given() {
    assert_eq!(
        (
            old::StoreProxy::GET,
            old::StoreProxy::SIZE,
            old::StoreProxy::CLEAR
        ),
        (1, 2, 7)
    );
    let codes: Vec<u32> = new::StoreProxy::interface()
        .methods
        .iter()
        .map(|method| method.code)
        .collect();
    assert_eq!(codes, [1, 0x00ff_ffff, 7, 4]);
}

#[test]
fn the_fingerprint_is_that_of_names_and_types() {
    let interface = old::StoreProxy::interface();
    assert_eq!(interface.descriptor, "org.example.Store");
    assert_eq!(
        interface.methods[0].hash,
        method_hash("get", &["String".into()], "Option<String>")
    );
    assert_eq!(interface.methods[2].hash, method_hash("clear", &[], "()"));
    let result = method_hash("get", &["String".into()], "Result<String, u32>");
    assert_eq!(new::StoreProxy::interface().methods[0].hash, result);
}

/// What the macro makes of a trait that names no descriptor.
#[softbus_rpc::remote_interface]
trait Named {
    async fn hello(&self);
}

#[test]
fn the_descriptor_is_package_and_trait_unless_given() {
    assert_eq!(NamedProxy::DESCRIPTOR, "softbus-rpc.Named");
}
