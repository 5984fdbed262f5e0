//! Row 71: whoever reads an object, however many do at once, there is one proxy of it.

use std::{sync::Arc, time::Duration};

use proto::ServiceId;
use softbus_rpc::{
    Allow, CallOption, Caller, HandlerError, Parcel, RemoteObject, RemoteStub, ServiceOptions,
    async_trait,
};
use tokio::sync::Barrier;

use crate::pair::{bus, pair};

/// Hands out one object, and takes it back.
struct Shelf(RemoteObject);

#[async_trait]
impl RemoteStub for Shelf {
    fn descriptor(&self) -> &str {
        "org.example.Shelf"
    }

    async fn on_remote_request(
        &self,
        _caller: &Caller,
        _code: u32,
        _data: &mut Parcel,
        reply: &mut Parcel,
    ) -> Result<(), HandlerError> {
        Ok(reply.write_remote_object(&self.0)?)
    }
}

struct Book;

#[async_trait]
impl RemoteStub for Book {
    fn descriptor(&self) -> &str {
        "org.example.Book"
    }

    async fn on_remote_request(
        &self,
        _caller: &Caller,
        _code: u32,
        _data: &mut Parcel,
        _reply: &mut Parcel,
    ) -> Result<(), HandlerError> {
        Ok(())
    }
}

/// On threads, which read and let go of the object at the same time, again and again.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn threads_that_read_one_object_at_once_get_one_proxy() {
    const READERS: usize = 8;
    const ROUNDS: usize = 50;
    let (a, b) = (bus(1), bus(2));
    let (at_a, at_b) = pair(&a, &b).await;
    let book = RemoteObject::new(Book);
    let shelf = RemoteObject::new(Shelf(book.clone()));
    let service = ServiceId::new(7).unwrap();
    let all = ServiceOptions::distributed(Allow::trusted());
    b.samgr().add(service, &shelf, all).unwrap();
    let wait = Duration::from_secs(5);
    let shelf = at_a.get_service(service, wait).await.unwrap();
    let floor = (at_a.usage().imports, at_b.usage().exports);

    let barrier = Arc::new(Barrier::new(READERS));
    let readers = (0..READERS).map(|_| {
        let (shelf, barrier) = (shelf.clone(), Arc::clone(&barrier));
        let (at_a, book) = (at_a.clone(), book.clone());
        tokio::spawn(async move {
            for _ in 0..ROUNDS {
                let nothing = Parcel::new();
                let reply = shelf.send_request(1, &nothing, CallOption::two_way());
                let read = reply.await.unwrap().read_remote_object().unwrap();
                // Everybody has it.
                barrier.wait().await;
                assert_eq!(at_a.usage().imports, floor.0 + 1);
                let holders = book.holders().unwrap();
                assert_eq!((holders.len(), holders[0].references), (1, 1));
                read.ping(CallOption::two_way()).await.unwrap();
                barrier.wait().await;
                // Some let go of it while others ask for it again.
                drop(read);
            }
        })
    });
    for reader in Vec::from_iter(readers) {
        reader.await.unwrap();
    }

    let mut holders = book.watch_holders().unwrap();
    let nobody = async { while holders.next().await != Some(0) {} };
    tokio::time::timeout(wait, nobody).await.unwrap();
    assert_eq!((at_a.usage().imports, at_b.usage().exports), floor);
}
