//! Interfaces as arguments and results.

use std::sync::Mutex;

use softbus_rpc::{Caller, RemoteObject, SendRequestError, remote_interface, typed::Proxy};
use tokio::sync::mpsc;

use crate::pair::{offer, offer_locally};

#[remote_interface(descriptor = "org.example.Listener", crate = crate::facade)]
trait Listener {
    async fn heard(&self, caller: &Caller, text: &str) -> bool;
}

#[remote_interface(descriptor = "org.example.Radio", crate = ::softbus_rpc)]
trait Radio {
    async fn tune(&self, listener: ListenerProxy);
    async fn say(&self, text: &str) -> Result<bool, String>;
    async fn listener(&self) -> Option<ListenerProxy>;
    async fn is_tuned(&self, listener: &ListenerProxy) -> bool;
    async fn anything(&self, objects: &[RemoteObject]) -> u32;
}

struct Ear(mpsc::UnboundedSender<(bool, String)>);

impl Listener for Ear {
    async fn heard(&self, caller: &Caller, text: &str) -> bool {
        self.0.send((caller.is_local(), text.to_owned())).unwrap();
        text.len() > 3
    }
}

#[derive(Default)]
struct MyRadio {
    listener: Mutex<Option<ListenerProxy>>,
}

impl Radio for MyRadio {
    async fn tune(&self, listener: ListenerProxy) {
        *self.listener.lock().unwrap() = Some(listener);
    }

    async fn say(&self, text: &str) -> Result<bool, String> {
        let listener = self
            .listener
            .lock()
            .unwrap()
            .clone()
            .ok_or("nobody listens")?;
        listener
            .heard(text)
            .await
            .map_err(|error| error.to_string())
    }

    async fn listener(&self) -> Option<ListenerProxy> {
        self.listener.lock().unwrap().clone()
    }

    async fn is_tuned(&self, listener: &ListenerProxy) -> bool {
        self.listener.lock().unwrap().as_ref() == Some(listener)
    }

    async fn anything(&self, objects: &[RemoteObject]) -> u32 {
        objects
            .iter()
            .filter(|object| object.device().is_some())
            .count() as u32
    }
}

#[tokio::test]
async fn a_callback_is_called() {
    let pair = offer(RadioStub::new(MyRadio::default())).await;
    let radio = RadioProxy::new(pair.remote.clone());
    let (heard, mut ear) = mpsc::unbounded_channel();
    let listener: ListenerProxy = ListenerStub::new(Ear(heard)).into();
    assert_eq!(
        radio.say("hello").await.unwrap_err().app().unwrap(),
        "nobody listens"
    );
    assert_eq!(radio.listener().await.unwrap(), None);

    radio.tune(listener.clone()).await.unwrap();
    assert!(radio.say("hello").await.unwrap());
    assert!(!radio.say("hi").await.unwrap());
    assert!(radio.is_tuned(&listener).await.unwrap());
    assert_eq!(ear.recv().await.unwrap(), (false, "hello".to_owned()));
    assert_eq!(ear.recv().await.unwrap(), (false, "hi".to_owned()));
    // Between devices no proxy goes back to where its stub is.
    let error = radio.listener().await.unwrap_err();
    assert_eq!(
        error.send_error(),
        Some(&SendRequestError::ReplyPassRefused)
    );
}

#[tokio::test]
async fn a_callback_that_comes_home_is_called_directly() {
    let pair = offer_locally(RadioStub::new(MyRadio::default())).await;
    let radio = RadioProxy::new(pair.remote.clone());
    let (heard, mut ear) = mpsc::unbounded_channel();
    let listener = ListenerStub::new(Ear(heard)).into_proxy();
    radio.tune(listener.clone()).await.unwrap();
    let home = radio.listener().await.unwrap().unwrap();
    assert_eq!(home, listener);
    assert!(
        home.as_object().as_proxy().is_none(),
        "it is the stub itself"
    );
    assert!(home.heard("myself").await.unwrap());
    assert_eq!(ear.recv().await.unwrap(), (true, "myself".to_owned()));
}

#[tokio::test]
async fn objects_of_any_interface_are_arguments() {
    let pair = offer(RadioStub::new(MyRadio::default())).await;
    let radio = RadioProxy::from(pair.remote.clone());
    let ear = || Ear(mpsc::unbounded_channel().0);
    let objects = [
        RemoteObject::from(ListenerStub::new(ear())),
        ListenerStub::new(ear()).into_object(),
    ];
    assert_eq!(radio.anything(&objects).await.unwrap(), 2);
}

#[tokio::test]
async fn an_object_of_another_interface_refuses_the_first_call() {
    async fn typed<P: Proxy>(object: &RemoteObject) -> P {
        let descriptor = object.descriptor().await.unwrap();
        assert_ne!(descriptor, P::DESCRIPTOR);
        P::from(object.clone())
    }
    let local = RadioStub::new(MyRadio::default()).into_object();
    let pair = offer(local.clone()).await;
    for object in [&pair.remote, &local] {
        let error = typed::<ListenerProxy>(object)
            .await
            .heard("?")
            .await
            .unwrap_err();
        assert_eq!(
            SendRequestError::from(error),
            SendRequestError::InterfaceMismatch
        );
    }
}
