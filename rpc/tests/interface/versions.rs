//! Two ends that were not built from the same trait.

use softbus_rpc::{
    CallError, RemoteObject, SendRequestError, Streaming, interface::method_hash, typed::Proxy,
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

mod unchanged {
    /// The same trait in another module of the same package.
    #[softbus_rpc::remote_interface]
    pub(super) trait Named {
        async fn hello(&self);
    }
}

mod renamed {
    #[softbus_rpc::remote_interface]
    pub(super) trait Called {
        async fn hello(&self);
    }
}

impl Named for Service {
    async fn hello(&self) {}
}

#[tokio::test]
async fn default_descriptors_meet_unless_the_trait_is_renamed() {
    both_ways(NamedStub::new(Service).into_object(), async |object| {
        let same = unchanged::NamedProxy::new(object.clone());
        assert_eq!(same.hello().await, Ok(()));
        assert_eq!(
            renamed::CalledProxy::new(object).hello().await,
            Err(CallError::Send(SendRequestError::InterfaceMismatch))
        );
    })
    .await;
}

/// An interface with types of its own and streams, as it was.
mod before {
    use softbus_rpc::{Parcelable, Streaming, remote_interface};

    #[derive(Clone, Debug, PartialEq, Parcelable)]
    pub(super) struct Line {
        pub(super) text: String,
    }

    #[remote_interface(descriptor = "org.example.Journal")]
    pub(super) trait Journal {
        async fn last(&self) -> Option<Line>;
        async fn lines(&self) -> Streaming<Line>;
        async fn append(&self, lines: Streaming<String>) -> u32;
        async fn remove(&self, number: u32) -> bool;
        async fn count(&self) -> u32;
        async fn numbers(&self) -> Streaming<u32>;
        async fn close(&self);
    }
}

/// `Line` has a field more, `append` takes others, `remove` is gone, `close` has another name, `sum` is new.
mod after {
    use softbus_rpc::{Parcelable, Streaming, remote_interface};

    #[derive(Clone, Debug, PartialEq, Parcelable)]
    pub(super) struct Line {
        pub(super) text: String,
        pub(super) number: u32,
    }

    #[remote_interface(descriptor = "org.example.Journal")]
    pub(super) trait Journal {
        async fn last(&self) -> Option<Line>;
        async fn lines(&self) -> Streaming<Line>;
        async fn append(&self, lines: Streaming<u32>) -> u32;
        #[code(5)]
        async fn count(&self) -> u32;
        #[code(6)]
        async fn numbers(&self) -> Streaming<u32>;
        #[code(7)]
        async fn shut(&self);
        #[code(8)]
        async fn sum(&self, numbers: Streaming<u32>) -> u32;
    }
}

impl before::Journal for Service {
    async fn last(&self) -> Option<before::Line> {
        None
    }
    async fn lines(&self) -> Streaming<before::Line> {
        Streaming::iter([])
    }
    async fn append(&self, _: Streaming<String>) -> u32 {
        0
    }
    async fn remove(&self, _: u32) -> bool {
        false
    }
    async fn count(&self) -> u32 {
        12
    }
    async fn numbers(&self) -> Streaming<u32> {
        Streaming::iter([1, 2, 3])
    }
    async fn close(&self) {}
}

impl after::Journal for Service {
    async fn last(&self) -> Option<after::Line> {
        None
    }
    async fn lines(&self) -> Streaming<after::Line> {
        Streaming::iter([])
    }
    async fn append(&self, _: Streaming<u32>) -> u32 {
        0
    }
    async fn count(&self) -> u32 {
        13
    }
    async fn numbers(&self) -> Streaming<u32> {
        Streaming::iter([1, 2, 3])
    }
    async fn shut(&self) {}
    async fn sum(&self, _: Streaming<u32>) -> u32 {
        0
    }
}

/// What a call of a method that is not the same at both ends comes to.
fn differs<T: std::fmt::Debug>(result: Result<T, CallError>) {
    let error = SendRequestError::from(result.unwrap_err());
    assert_eq!(error, SendRequestError::InterfaceMismatch);
}

async fn all(mut numbers: Streaming<u32>) -> Vec<u32> {
    let mut all = Vec::new();
    while let Some(number) = numbers.next().await {
        all.push(number.unwrap());
    }
    all
}

#[tokio::test]
async fn an_old_client_keeps_what_has_the_same_types() {
    let service = after::JournalStub::new(Service).into_object();
    both_ways(service, async |object| {
        let journal = before::JournalProxy::new(object);
        differs(journal.last().await);
        differs(journal.lines().await);
        differs(journal.append(Streaming::iter(["a".to_owned()])).await);
        differs(journal.close().await);
        assert_eq!(
            journal.remove(1).await,
            Err(CallError::Send(SendRequestError::UnknownMethod { code: 4 }))
        );
        assert_eq!(journal.count().await, Ok(13));
        assert_eq!(all(journal.numbers().await.unwrap()).await, [1, 2, 3]);
    })
    .await;
}

#[tokio::test]
async fn a_new_client_keeps_what_has_the_same_types() {
    let service = before::JournalStub::new(Service).into_object();
    both_ways(service, async |object| {
        let journal = after::JournalProxy::new(object);
        differs(journal.last().await);
        differs(journal.lines().await);
        differs(journal.append(Streaming::iter([1])).await);
        differs(journal.shut().await);
        assert_eq!(
            journal.sum(Streaming::iter([1])).await,
            Err(CallError::Send(SendRequestError::UnknownMethod { code: 8 }))
        );
        assert_eq!(journal.count().await, Ok(12));
        assert_eq!(all(journal.numbers().await.unwrap()).await, [1, 2, 3]);
    })
    .await;
}

#[test]
fn the_item_of_a_stream_is_part_of_the_fingerprint() {
    let hash = |item: &str| method_hash("lines", &[], &format!("Stream<{item}>"));
    let (old, new) = (
        before::JournalProxy::interface().methods[1].hash,
        after::JournalProxy::interface().methods[1].hash,
    );
    assert_eq!(old, hash("Line{text: String}"));
    assert_eq!(new, hash("Line{text: String, number: u32}"));
}
