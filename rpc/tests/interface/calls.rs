//! Calls of every kind.

use std::sync::Mutex;

use softbus_rpc::{CallError, Caller, SendRequestError, remote_interface};
use tokio::sync::mpsc;

use crate::pair::offer;

/// What a service can do.
#[remote_interface(descriptor = "org.example.Echo")]
pub(crate) trait Echo {
    /// Says it again.
    async fn echo(&self, text: &str) -> String;
    /// Divides.
    async fn divide(&self, a: i32, b: i32) -> Result<i32, String>;
    /// Makes a note.
    #[oneway]
    async fn note(&self, text: String);
    /// Who calls?
    async fn who(&self, caller: &Caller) -> Vec<u8>;
    /// Sums it up, on a thread that may block.
    fn sum(&self, caller: &Caller, numbers: &[u64], bytes: &[u8], name: &String) -> Result<u64, ()>;
    /// Nothing to say.
    #[idempotent]
    #[wait(2.5)]
    async fn nothing(&self) {}
}

struct MyEcho {
    notes: mpsc::UnboundedSender<String>,
    last: Mutex<Option<String>>,
}

impl Echo for MyEcho {
    async fn echo(&self, text: &str) -> String {
        tokio::task::yield_now().await;
        *self.last.lock().unwrap() = Some(text.to_owned());
        text.to_owned()
    }

    async fn divide(&self, a: i32, b: i32) -> Result<i32, String> {
        a.checked_div(b).ok_or_else(|| "by zero".into())
    }

    async fn note(&self, text: String) {
        self.notes.send(text).unwrap();
    }

    async fn who(&self, caller: &Caller) -> Vec<u8> {
        caller.device().as_bytes().to_vec()
    }

    fn sum(&self, _: &Caller, numbers: &[u64], bytes: &[u8], name: &String) -> Result<u64, ()> {
        let bytes = bytes.iter().copied().map(u64::from);
        if name.is_empty() { Err(()) } else { Ok(numbers.iter().copied().chain(bytes).sum()) }
    }
}

fn my_echo() -> (MyEcho, mpsc::UnboundedReceiver<String>) {
    let (notes, noted) = mpsc::unbounded_channel();
    (MyEcho { notes, last: Mutex::new(None) }, noted)
}

#[tokio::test]
async fn a_typed_call_brings_its_result() {
    let stub = EchoStub::new(my_echo().0);
    let pair = offer(stub).await;
    let echo = EchoProxy::new(pair.remote.clone());
    assert_eq!(echo.echo("hello").await.unwrap(), "hello");
    assert_eq!(echo.divide(7, 2).await.unwrap(), 3);
    echo.nothing().await.unwrap();
    assert_eq!(echo.who().await.unwrap(), pair.client.as_bytes());
}

#[tokio::test]
async fn an_error_of_the_service_is_told_from_one_of_the_bus() {
    let pair = offer(EchoStub::new(my_echo().0)).await;
    let echo = EchoProxy::new(pair.remote.clone());
    assert_eq!(echo.divide(1, 0).await, Err(CallError::App("by zero".to_owned())));
    let too_long = "x".repeat(2 << 20);
    let error = echo.echo(&too_long).await.unwrap_err();
    assert!(matches!(error, CallError::Send(SendRequestError::RequestTooLarge { .. })), "{error}");
}
