//! Pairing on 127.0.0.1: what goes wrong, and who tries to make it go wrong.

#![expect(clippy::unwrap_used, reason = "a helper of a test fails the test")]

mod freeze;
mod middle;

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    sync::Arc,
    time::Duration,
};

use quinn::crypto::rustls::QuicClientConfig;
use softbus::{
    Identity, Node,
    certs::tls,
    error::StartNodeError,
    pairing::{
        OpenPairingError, PairError, PairWith, PairingCode, PairingEvent, PairingListener,
        PairingMode, PairingOptions, PairingRequest, WindowEnd,
    },
};

const LOCAL: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
const SOON: Duration = Duration::from_secs(20);
/// A little more than one address has to wait before it is let in again.
const AGAIN: Duration = Duration::from_millis(1100);

async fn stranger() -> Node {
    let builder = Node::builder().identity(Identity::generate().unwrap());
    builder.listen(LOCAL).start().await.unwrap()
}

/// As soon as a node before it has let go of the directory.
async fn kept_in(directory: &Path) -> Node {
    let started = async {
        loop {
            let builder = Node::builder().identity_dir(directory).listen(LOCAL);
            match builder.start().await {
                Ok(node) => return node,
                Err(StartNodeError::Identity(_)) => tokio::task::yield_now().await,
                Err(error) => panic!("{error}"),
            }
        }
    };
    tokio::time::timeout(SOON, started).await.unwrap()
}

fn wrong(code: &PairingCode) -> PairingCode {
    let other = if code.reveal() == "000000" {
        "000001"
    } else {
        "000000"
    };
    other.parse().unwrap()
}

async fn next(window: &mut PairingListener) -> PairingEvent {
    let next = tokio::time::timeout(SOON, window.next()).await;
    next.expect("an event comes in time").expect("not the end")
}

/// One address may try once a second, and is told so; who tries again succeeds in reaching the device.
async fn try_pair(phone: &Node, tv: SocketAddr, code: &PairingCode) -> PairError {
    let deadline = tokio::time::Instant::now() + SOON;
    loop {
        let error = phone
            .pair(PairWith::code([tv], code.clone()))
            .await
            .unwrap_err();
        if error != PairError::Busy || tokio::time::Instant::now() > deadline {
            return error;
        }
        // Not to synchronise: it is the pace that is allowed.
        tokio::time::sleep(AGAIN / 4).await;
    }
}

#[tokio::test]
async fn nobody_is_let_in_where_no_window_is_open() {
    let (phone, tv) = (stranger().await, stranger().await);
    let code: PairingCode = "000000".parse().unwrap();
    let refused = phone.pair(PairWith::code([tv.local_addr().unwrap()], code.clone()));
    assert_eq!(refused.await.unwrap_err(), PairError::NotOpen);
    let window = tv.open_pairing(PairingOptions::compare()).await.unwrap();
    let refused = try_pair(&phone, tv.local_addr().unwrap(), &code).await;
    assert_eq!(refused, PairError::NotOpen, "another way was opened");
    drop(window);
    assert!(
        phone.trust().unwrap().entries().is_empty() && tv.trust().unwrap().entries().is_empty()
    );
}

#[tokio::test]
async fn who_is_refused_is_trusted_by_nobody() {
    let (phone, tv) = (stranger().await, stranger().await);
    let mut window = tv.open_pairing(PairingOptions::code()).await.unwrap();
    let again = tv.open_pairing(PairingOptions::code()).await.unwrap_err();
    assert_eq!(again, OpenPairingError::AlreadyOpen);
    let code = window.code().unwrap();
    let pair = phone.pair(PairWith::code([tv.local_addr().unwrap()], code));
    let (paired, ()) = tokio::join!(pair, async {
        let PairingEvent::Request(request) = next(&mut window).await else {
            panic!("our user is asked");
        };
        assert_eq!(request.device(), phone.device_id());
        assert_eq!(request.digits(), None);
        request.refuse();
    });
    assert_eq!(paired.unwrap_err(), PairError::Declined);
    assert!(
        phone.trust().unwrap().entries().is_empty() && tv.trust().unwrap().entries().is_empty()
    );
    assert_eq!(window.attempts_left(PairingMode::Code), 2);
}

#[tokio::test]
async fn who_is_blocked_is_not_asked_about() {
    let (phone, tv) = (stranger().await, stranger().await);
    tv.trust().unwrap().block(&phone.device_id()).unwrap();
    let window = tv.open_pairing(PairingOptions::code()).await.unwrap();
    let code = window.code().unwrap();
    let error = try_pair(&phone, tv.local_addr().unwrap(), &code).await;
    assert_eq!(error, PairError::BlockedThere);
    assert_eq!(window.attempts_left(PairingMode::Code), 3);
    phone.trust().unwrap().block(&tv.device_id()).unwrap();
    let error = try_pair(&phone, tv.local_addr().unwrap(), &code).await;
    assert_eq!(error, PairError::Blocked);
}

#[tokio::test]
async fn who_expects_another_device_says_nothing() {
    let (phone, tv) = (stranger().await, stranger().await);
    let window = tv.open_pairing(PairingOptions::code()).await.unwrap();
    let with = PairWith::code([tv.local_addr().unwrap()], window.code().unwrap());
    let other = *Identity::generate().unwrap().device_id();
    let error = phone.pair(with.expecting(other)).await.unwrap_err();
    assert_eq!(error, PairError::SomebodyElse);
    let itself = PairWith::code([phone.local_addr().unwrap()], window.code().unwrap());
    assert_eq!(phone.pair(itself).await.unwrap_err(), PairError::Oneself);
}

#[tokio::test]
async fn pairing_again_is_harmless() {
    let (phone, tv) = (stranger().await, stranger().await);
    for again in [false, true] {
        let options = PairingOptions::code().without_asking();
        let window = tv.open_pairing(options).await.unwrap();
        let with = PairWith::code([tv.local_addr().unwrap()], window.code().unwrap());
        let paired = phone.pair(with.named("tv")).await.unwrap();
        assert_eq!(paired.added, !again);
        assert_eq!(tv.trust().unwrap().entries().len(), 1);
        assert_eq!(phone.trust().unwrap().entries().len(), 1);
        assert_eq!(phone.trust().unwrap().entries()[0].name, "tv");
        if !again {
            // The phone lost what it knew; the tv did not.
            phone.trust().unwrap().forget(&tv.device_id()).unwrap();
            phone.trust().unwrap().trust(tv.device_id(), "").unwrap();
        }
        drop(window);
        // Not to synchronise: it is the pace that is allowed.
        tokio::time::sleep(AGAIN).await;
    }
}

#[tokio::test]
async fn the_window_s_time_ends_and_is_told() {
    let tv = stranger().await;
    let options = PairingOptions::code().open_for(Duration::from_millis(50));
    let mut window = tv.open_pairing(options).await.unwrap();
    let closed = next(&mut window).await;
    assert!(matches!(closed, PairingEvent::Closed(WindowEnd::Expired)));
    assert!(window.next().await.is_none());
    let phone = stranger().await;
    let late = try_pair(&phone, tv.local_addr().unwrap(), &window.code().unwrap()).await;
    assert_eq!(late, PairError::CodeExpired);
}

/// Whatever a store writes fails, as on a full disk: what it would write to is a directory that is not empty.
fn spoil(directory: &Path) {
    std::fs::create_dir_all(directory.join(".trust.toml.new/in the way")).unwrap();
}

#[tokio::test]
async fn where_trust_cannot_be_stored_neither_side_trusts() {
    for spoiled in [true, false] {
        let temp = tempfile::tempdir().unwrap();
        let homes = [temp.path().join("phone"), temp.path().join("tv")];
        let (phone, tv) = (kept_in(&homes[0]).await, kept_in(&homes[1]).await);
        spoil(&homes[usize::from(spoiled)]);
        let options = PairingOptions::code().without_asking();
        let mut window = tv.open_pairing(options).await.unwrap();
        let with = PairWith::code([tv.local_addr().unwrap()], window.code().unwrap());
        let at_phone = phone.pair(with).await.unwrap_err();
        let event = next(&mut window).await;
        let PairingEvent::Failed { error: at_tv, .. } = event else {
            panic!("it failed at the phone with {at_phone}, and here {event:?}");
        };
        let (here, there) = if spoiled {
            (at_tv, at_phone)
        } else {
            (at_phone, at_tv)
        };
        assert!(
            matches!(&here, PairError::Store(why) if why.contains("trust.toml")),
            "{here}"
        );
        assert_eq!(there, PairError::FailedThere);
        assert!(!phone.trust().unwrap().is_trusted(&tv.device_id()));
        assert!(!tv.trust().unwrap().is_trusted(&phone.device_id()));
    }
}

#[tokio::test]
async fn names_are_escaped_cut_and_never_stored() {
    let builder = Node::builder().identity(Identity::generate().unwrap());
    let name = format!("\u{202e}\x1b[2J\n\0{}", "x".repeat(10_000));
    let phone = builder.name(&name).listen(LOCAL).start().await.unwrap();
    let tv = stranger().await;
    let mut window = tv.open_pairing(PairingOptions::code()).await.unwrap();
    let with = PairWith::code([tv.local_addr().unwrap()], window.code().unwrap());
    let (paired, ()) = tokio::join!(phone.pair(with), async {
        let PairingEvent::Request(request) = next(&mut window).await else {
            panic!("our user is asked");
        };
        let shown = request.claimed_name();
        assert!(shown.starts_with(r"\u{202e}\u{1b}[2J\n\0xxx"), "{shown}");
        assert!(shown.chars().count() <= 64 && !shown.chars().any(char::is_control));
        request.accept();
    });
    paired.unwrap();
    assert_eq!(
        tv.trust().unwrap().get(&phone.device_id()).unwrap().name,
        ""
    );
}

#[tokio::test]
async fn digits_that_differ_for_one_user_pair_nobody() {
    let (phone, tv) = (stranger().await, stranger().await);
    let mut window = tv.open_pairing(PairingOptions::compare()).await.unwrap();
    for refuses_at_phone in [true, false] {
        let answer = move |request: PairingRequest, refuses: bool| match refuses {
            true => request.refuse(),
            false => request.accept(),
        };
        let with = PairWith::compare([tv.local_addr().unwrap()], move |request| {
            answer(request, refuses_at_phone);
        });
        let (paired, at_tv) = tokio::join!(phone.pair(with), async {
            let PairingEvent::Request(request) = next(&mut window).await else {
                panic!("our user is asked");
            };
            answer(request, !refuses_at_phone);
            let PairingEvent::Failed { error, .. } = next(&mut window).await else {
                panic!("it failed");
            };
            error
        });
        assert_eq!(paired.unwrap_err(), PairError::Declined);
        assert_eq!(at_tv, PairError::Declined);
        // Not to synchronise: it is the pace that is allowed.
        tokio::time::sleep(AGAIN).await;
    }
    assert!(
        phone.trust().unwrap().entries().is_empty() && tv.trust().unwrap().entries().is_empty()
    );
}

#[tokio::test]
async fn a_flood_from_one_address_does_not_keep_another_from_pairing() {
    let (phone, tv) = (stranger().await, stranger().await);
    let options = PairingOptions::code().without_asking();
    let window = tv.open_pairing(options).await.unwrap();
    let identity = Arc::new(Identity::generate().unwrap());
    let elsewhere = quinn::Endpoint::client("127.0.0.9:0".parse().unwrap()).unwrap();
    let mut flood = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let (endpoint, identity) = (elsewhere.clone(), Arc::clone(&identity));
        let at = tv.local_addr().unwrap();
        flood.spawn(async move {
            let (client, _) = tls::pairing_client_config(&identity, None).unwrap();
            let client = QuicClientConfig::try_from(client).unwrap();
            let client = quinn::ClientConfig::new(Arc::new(client));
            let connecting = endpoint.connect_with(client, at, tls::SERVER_NAME).unwrap();
            // Who is let in says nothing; most are not even let in.
            match connecting.await {
                Ok(connection) => connection.closed().await,
                Err(error) => error,
            }
        });
    }
    let with = PairWith::code([tv.local_addr().unwrap()], window.code().unwrap());
    let paired = tokio::time::timeout(SOON, phone.pair(with)).await.unwrap();
    assert_eq!(paired.unwrap().device, tv.device_id());
    assert_eq!(window.attempts_left(PairingMode::Code), 2, "only one tried");
    flood.abort_all();
}
