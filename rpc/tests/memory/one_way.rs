//! One-way calls of one object: many run in one task, and each is still a call of its own.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use proto::ServiceId;
use softbus_rpc::{
    Allow, Bus, CallOption, Caller, Execution, HandlerError, Parcel, Peer, RemoteObject,
    RemoteStub, SendRequestError, ServiceOptions, StubOptions, async_trait,
};
use tokio::sync::Notify;

use crate::pair::{bus, pair};

const NOTE: u32 = 1;
const PANIC: u32 = 2;
const WAIT: u32 = 3;

/// Writes down which calls ended.
#[derive(Clone, Default)]
struct Book {
    ended: Arc<Mutex<Vec<i32>>>,
    go_on: Arc<Notify>,
    news: Arc<Notify>,
}

struct Notary(Book, Execution);

#[async_trait]
impl RemoteStub for Notary {
    fn descriptor(&self) -> &str {
        "org.example.Notary"
    }

    fn options(&self) -> StubOptions {
        StubOptions::execution(self.1)
    }

    async fn on_remote_request(
        &self,
        _caller: &Caller,
        code: u32,
        data: &mut Parcel,
        _reply: &mut Parcel,
    ) -> Result<(), HandlerError> {
        let number = data.read_i32()?;
        match code {
            PANIC => panic!("as it was told"),
            WAIT => self.0.go_on.notified().await,
            _ => {}
        }
        self.0.ended.lock().unwrap().push(number);
        self.0.news.notify_one();
        Ok(())
    }
}

type Alive = (Arc<Bus>, Arc<Bus>, Peer, Peer);

/// A notary on another device, and what keeps it there.
async fn notary(execution: Execution) -> (RemoteObject, Book, Alive) {
    let (a, b) = (bus(1), bus(2));
    let (at_a, at_b) = pair(&a, &b).await;
    let book = Book::default();
    let service = ServiceId::new(7).unwrap();
    let object = RemoteObject::new(Notary(book.clone(), execution));
    let options = ServiceOptions::distributed(Allow::trusted());
    b.samgr().add(service, &object, options).unwrap();
    let notary = at_a.get_service(service, Duration::from_secs(5)).await;
    (notary.unwrap(), book, (a, b, at_a, at_b))
}

async fn send(to: &RemoteObject, code: u32, number: i32, option: CallOption) {
    let mut data = Parcel::new();
    data.write_i32(number).unwrap();
    to.send_request(code, &data, option).await.unwrap();
}

async fn ended(book: &Book, calls: usize) -> Vec<i32> {
    let all = async {
        loop {
            let ended = book.ended.lock().unwrap().clone();
            if ended.len() >= calls {
                return ended;
            }
            book.news.notified().await;
        }
    };
    let all = tokio::time::timeout(Duration::from_secs(10), all).await;
    all.expect("the calls end")
}

const BOTH: [Execution; 2] = [Execution::Inline, Execution::Concurrent];

#[tokio::test]
async fn thousands_keep_their_order() {
    for execution in BOTH {
        let (notary, book, _alive) = notary(execution).await;
        for number in 0..5000 {
            send(&notary, NOTE, number, CallOption::one_way()).await;
        }
        assert!(ended(&book, 5000).await.into_iter().eq(0..5000));
    }
}

#[tokio::test]
async fn one_that_panics_takes_no_other_with_it() {
    for execution in BOTH {
        let (notary, book, _alive) = notary(execution).await;
        for number in 0..6 {
            let code = if number % 3 == 1 { PANIC } else { NOTE };
            send(&notary, code, number, CallOption::one_way()).await;
        }
        assert_eq!(ended(&book, 4).await, [0, 2, 3, 5]);
    }
}

#[tokio::test]
async fn one_that_waits_holds_up_those_behind_it_and_no_two_way_call() {
    for execution in BOTH {
        let (notary, book, _alive) = notary(execution).await;
        for number in 0..3 {
            let code = if number == 1 { WAIT } else { NOTE };
            send(&notary, code, number, CallOption::one_way()).await;
        }
        send(&notary, NOTE, 9, CallOption::two_way()).await;
        assert_eq!(ended(&book, 2).await, [0, 9]);
        book.go_on.notify_one();
        assert_eq!(ended(&book, 4).await, [0, 9, 1, 2]);
    }
}

#[tokio::test(start_paused = true)]
async fn one_whose_deadline_passes_is_dropped_and_the_next_ones_run() {
    for execution in BOTH {
        let (notary, book, _alive) = notary(execution).await;
        let short = CallOption::one_way().wait(Duration::from_secs(1));
        send(&notary, WAIT, 1, short).await;
        send(
            &notary,
            NOTE,
            2,
            CallOption::one_way().wait(Duration::from_secs(5)),
        )
        .await;
        // It expires while it waits for its turn.
        send(&notary, NOTE, 3, short).await;
        send(
            &notary,
            NOTE,
            4,
            CallOption::one_way().wait(Duration::from_secs(5)),
        )
        .await;
        assert_eq!(ended(&book, 2).await, [2, 4]);
    }
}

#[tokio::test]
async fn what_waits_when_the_session_ends_never_runs() {
    for execution in BOTH {
        let (notary, book, alive) = notary(execution).await;
        send(&notary, WAIT, 1, CallOption::one_way()).await;
        send(&notary, NOTE, 2, CallOption::one_way()).await;
        notary.ping(CallOption::two_way()).await.unwrap();
        drop(alive.2);
        alive
            .3
            .close(softbus_rpc::DeathReason::DeviceUnreachable, 1, "over");
        book.go_on.notify_one();
        while alive.3.usage().serving > 0 {
            tokio::task::yield_now().await;
        }
        assert!(book.ended.lock().unwrap().is_empty());
    }
}

#[tokio::test]
async fn answers_that_are_given_together_are_each_callers_own() {
    let (notary, book, _alive) = notary(Execution::Inline).await;
    let call = |code: u32, number: i32| {
        let notary = notary.clone();
        async move {
            let mut data = Parcel::new();
            data.write_i32(number).unwrap();
            notary
                .send_request(code, &data, CallOption::two_way())
                .await
        }
    };
    let (first, second, third, fourth) =
        tokio::join!(call(NOTE, 1), call(PANIC, 2), call(WAIT, 3), async {
            let answer = call(NOTE, 4).await;
            book.go_on.notify_one();
            answer
        });
    assert!(first.is_ok() && third.is_ok() && fourth.is_ok());
    assert_eq!(second.unwrap_err(), SendRequestError::Panicked);
    assert_eq!(ended(&book, 3).await, [1, 4, 3]);
}
