//! Interfaces as arguments and results.

use std::sync::Mutex;

use softbus_rpc::{
    Caller, Parcelable, RemoteObject, SendRequestError, remote_interface, typed::Proxy,
};
use tokio::sync::mpsc;

use crate::pair::{Pair, offer, offer_locally};

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

#[derive(Clone, Debug, PartialEq, Parcelable)]
struct Shelf {
    label: String,
    books: Vec<BookProxy>,
}

#[remote_interface(descriptor = "org.example.Book")]
trait Book {
    async fn title(&self) -> String;
}

#[remote_interface(descriptor = "org.example.Library")]
trait Library {
    async fn open(&self, title: &str) -> BookProxy;
    async fn borrow(&self, title: &str) -> Result<BookProxy, String>;
    async fn find(&self, title: &str) -> Option<BookProxy>;
    async fn all(&self) -> Vec<BookProxy>;
    async fn shelf(&self) -> Shelf;
    async fn title_of(&self, book: BookProxy) -> String;
}

/// Tells when nobody has it any more.
struct Volume(String, mpsc::UnboundedSender<String>);

impl Book for Volume {
    async fn title(&self) -> String {
        self.0.clone()
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        let _ = self.1.send(self.0.clone());
    }
}

struct Books(mpsc::UnboundedSender<String>);

impl Books {
    fn book(&self, title: &str) -> BookProxy {
        BookStub::new(Volume(title.to_owned(), self.0.clone())).into()
    }
}

impl Library for Books {
    async fn open(&self, title: &str) -> BookProxy {
        self.book(title)
    }

    async fn borrow(&self, title: &str) -> Result<BookProxy, String> {
        let book = self.book(title);
        if title.is_empty() {
            return Err("no title".to_owned());
        }
        Ok(book)
    }

    async fn find(&self, title: &str) -> Option<BookProxy> {
        (!title.is_empty()).then(|| self.book(title))
    }

    async fn all(&self) -> Vec<BookProxy> {
        ["x", "y", "z"].map(|title| self.book(title)).into()
    }

    async fn shelf(&self) -> Shelf {
        let book = self.book("twice");
        Shelf {
            label: "top".to_owned(),
            books: vec![book.clone(), book],
        }
    }

    async fn title_of(&self, book: BookProxy) -> String {
        book.title().await.unwrap()
    }
}

async fn objects_come_back(pair: Pair, mut gone: mpsc::UnboundedReceiver<String>) {
    let library = LibraryProxy::new(pair.remote.clone());
    let book = library.open("a").await.unwrap();
    assert_eq!(book.title().await.unwrap(), "a");
    assert!(book.as_object().as_proxy().is_some());
    drop(book);
    assert_eq!(gone.recv().await.unwrap(), "a");

    let book = library.borrow("b").await.unwrap();
    assert_eq!(book.title().await.unwrap(), "b");
    let error = library.borrow("").await.unwrap_err();
    assert_eq!(error.app().unwrap(), "no title");
    assert_eq!(gone.recv().await.unwrap(), "", "it was not sent");
    drop(book);
    assert_eq!(gone.recv().await.unwrap(), "b");

    assert_eq!(library.find("").await.unwrap(), None);
    let book = library.find("c").await.unwrap().unwrap();
    assert_eq!(book.title().await.unwrap(), "c");

    let books = library.all().await.unwrap();
    for (book, title) in books.iter().zip(["x", "y", "z"]) {
        assert_eq!(book.title().await.unwrap(), title);
    }
    let shelf = library.shelf().await.unwrap();
    assert_eq!(shelf.books[0], shelf.books[1]);
    assert_ne!(shelf.books[0], books[0]);
    assert_eq!(shelf.books[1].title().await.unwrap(), "twice");

    // The other way round: a stub as an argument.
    let (sender, mut returned) = mpsc::unbounded_channel();
    let mine = BookStub::new(Volume("mine".to_owned(), sender));
    assert_eq!(library.title_of(mine.into()).await.unwrap(), "mine");
    assert_eq!(returned.recv().await.unwrap(), "mine");
}

#[tokio::test]
async fn a_method_returns_objects_of_the_service() {
    let (sender, gone) = mpsc::unbounded_channel();
    objects_come_back(offer(LibraryStub::new(Books(sender))).await, gone).await;
    let (sender, gone) = mpsc::unbounded_channel();
    objects_come_back(offer_locally(LibraryStub::new(Books(sender))).await, gone).await;
}
