//! Calls of every kind.

use softbus_rpc::{CallError, Caller, SendRequestError, remote_interface};
use tokio::sync::mpsc;

use crate::pair::offer;

#[remote_interface(descriptor = "org.example.Echo")]
trait Echo {
    async fn echo(&self, text: &str) -> String;
    async fn divide(&self, a: i32, b: i32) -> Result<i32, String>;
    async fn count(&self, text: &str) -> fallible::Result<u32>;
    #[oneway]
    async fn note(&self, text: String);
    async fn who(&self, caller: &Caller) -> [u8; 32];
    fn sum(&self, caller: &Caller, numbers: &[u64], bytes: &[u8], offset: &Option<u64>) -> u64;
    #[oneway]
    fn note_blocking(&self, text: &str);
    async fn panics(&self) {
        panic!("as it should")
    }
    async fn twice(&self, text: &str) -> String {
        self.echo(text).await.repeat(2)
    }
    async fn r#type(
        &self,
        request: u8,
        data: u8,
        reply: u8,
        code: u8,
        caller: u8,
    ) -> (u8, u8, u8, u8, u8) {
        (request, data, reply, code, caller)
    }
}

mod fallible {
    pub(super) type Result<T> = std::result::Result<T, u64>;
}

struct MyEcho {
    notes: mpsc::UnboundedSender<String>,
}

impl Echo for MyEcho {
    async fn echo(&self, text: &str) -> String {
        tokio::task::yield_now().await;
        text.to_owned()
    }

    async fn divide(&self, a: i32, b: i32) -> Result<i32, String> {
        a.checked_div(b)
            .ok_or_else(|| format!("{a} divided by zero"))
    }

    async fn count(&self, text: &str) -> fallible::Result<u32> {
        u32::try_from(text.len())
            .ok()
            .filter(|len| *len < 10)
            .ok_or(text.len() as u64)
    }

    async fn note(&self, text: String) {
        // The first takes longest: if they did not run one at a time, it would come last.
        for _ in 0..text.len() {
            tokio::task::yield_now().await;
        }
        self.notes.send(text).unwrap();
    }

    async fn who(&self, caller: &Caller) -> [u8; 32] {
        *caller.device().as_bytes()
    }

    fn sum(&self, caller: &Caller, numbers: &[u64], bytes: &[u8], offset: &Option<u64>) -> u64 {
        assert!(!caller.is_local());
        // Refused on a thread that runs the node.
        tokio::runtime::Handle::current().block_on(tokio::task::yield_now());
        numbers
            .iter()
            .copied()
            .chain(bytes.iter().copied().map(u64::from))
            .chain(*offset)
            .sum()
    }

    fn note_blocking(&self, text: &str) {
        self.notes.send(text.to_owned()).unwrap();
    }
}

fn my_echo() -> (EchoStub<MyEcho>, mpsc::UnboundedReceiver<String>) {
    let (notes, noted) = mpsc::unbounded_channel();
    (EchoStub::new(MyEcho { notes }), noted)
}

#[tokio::test]
async fn a_typed_call_brings_its_result() {
    let pair = offer(my_echo().0).await;
    let echo = EchoProxy::new(pair.remote.clone());
    assert_eq!(echo.echo("hello").await.unwrap(), "hello");
    assert_eq!(echo.divide(7, 2).await.unwrap(), 3);
    assert_eq!(echo.r#type(1, 2, 3, 4, 5).await.unwrap(), (1, 2, 3, 4, 5));
}

#[tokio::test]
async fn an_error_of_the_service_is_told_from_one_of_the_bus() {
    let pair = offer(my_echo().0).await;
    let echo = EchoProxy::new(pair.remote.clone());
    let error = echo.divide(1, 0).await.unwrap_err();
    assert_eq!(error.to_string(), "1 divided by zero");
    assert_eq!(error, CallError::App("1 divided by zero".to_owned()));
    let error = echo.panics().await.unwrap_err();
    assert_eq!(error.send_error(), Some(&SendRequestError::Panicked));
    let error = echo.echo(&"x".repeat(2 << 20)).await.unwrap_err();
    assert!(
        matches!(
            error,
            CallError::Send(SendRequestError::RequestTooLarge { .. })
        ),
        "{error}"
    );
}

#[tokio::test]
async fn an_alias_of_result_is_one() {
    let pair = offer(my_echo().0).await;
    let echo = EchoProxy::new(pair.remote.clone());
    assert_eq!(echo.count("abc").await, Ok(3));
    assert_eq!(echo.count("much too long").await, Err(CallError::App(13)));
}

#[tokio::test]
async fn errors_convert_where_a_question_mark_stands() {
    async fn both(echo: &EchoProxy) -> Result<i32, CallError<String>> {
        let text = echo.echo("12").await?;
        echo.note(text.clone()).await?;
        echo.divide(text.len() as i32, 0).await
    }
    async fn plain(echo: &EchoProxy) -> Result<String, SendRequestError> {
        Ok(echo.echo("12").await?)
    }
    async fn boxed(echo: &EchoProxy) -> Result<i32, Box<dyn std::error::Error + Send + Sync>> {
        Ok(echo.divide(1, 0).await?)
    }
    let (stub, _noted) = my_echo();
    let echo = stub.into_proxy();
    assert_eq!(
        both(&echo).await.unwrap_err().app().unwrap(),
        "2 divided by zero"
    );
    assert_eq!(plain(&echo).await.unwrap(), "12");
    assert_eq!(
        boxed(&echo).await.unwrap_err().to_string(),
        "1 divided by zero"
    );
}

#[tokio::test]
async fn one_way_calls_run_in_order() {
    let (stub, mut noted) = my_echo();
    let pair = offer(stub).await;
    let echo = EchoProxy::new(pair.remote.clone());
    for text in ["the longest", "shorter", "s"] {
        echo.note(text.to_owned()).await.unwrap();
    }
    echo.note_blocking("blocking").await.unwrap();
    for text in ["the longest", "shorter", "s", "blocking"] {
        assert_eq!(noted.recv().await.unwrap(), text);
    }
}

#[tokio::test]
async fn a_handler_is_told_who_calls() {
    let pair = offer(my_echo().0).await;
    let echo = EchoProxy::new(pair.remote.clone());
    assert_eq!(&echo.who().await.unwrap(), pair.client.as_bytes());
}

#[tokio::test]
async fn a_blocking_method_may_block_and_is_lent_its_arguments() {
    let pair = offer(my_echo().0).await;
    let echo = EchoProxy::new(pair.remote.clone());
    let sum = echo.sum(&[1 << 40, 2], &[3, 4], &Some(10)).await.unwrap();
    assert_eq!(sum, (1 << 40) + 19);
    assert_eq!(echo.sum(&[], &[1; 300_000], &None).await.unwrap(), 300_000);
}

#[tokio::test]
async fn a_method_may_have_a_body_of_its_own() {
    let pair = offer(my_echo().0).await;
    assert_eq!(
        EchoProxy::new(pair.remote.clone())
            .twice("ab")
            .await
            .unwrap(),
        "abab"
    );
}

#[tokio::test]
async fn a_local_stub_is_called_without_a_transport() {
    let (stub, mut noted) = my_echo();
    let echo = stub.into_proxy();
    assert!(echo.as_object().device().is_none());
    assert_eq!(echo.echo("hello").await.unwrap(), "hello");
    assert_eq!(
        echo.divide(1, 0).await.unwrap_err().app().unwrap(),
        "1 divided by zero"
    );
    echo.note("local".into()).await.unwrap();
    assert_eq!(noted.recv().await.unwrap(), "local");
}

#[tokio::test]
async fn calls_run_in_tasks_too() {
    let (stub, _noted) = my_echo();
    let echo = stub.into_proxy();
    let task = tokio::spawn(async move { echo.echo("from a task").await });
    assert_eq!(task.await.unwrap().unwrap(), "from a task");
}
