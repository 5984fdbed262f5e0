//! The wait after codes that were wrong.

use std::time::SystemTime;

use quinn::{RecvStream, SendStream};
use softbus::{
    DeviceId,
    certs::{
        AuditEvent, CloseCode,
        pairing::{Initiator, PairingChannel, PairingFreeze, Step},
    },
};

use super::{middle::dial, *};

#[tokio::test]
async fn wrong_codes_close_the_window_and_the_wait_survives_a_restart() {
    let temp = tempfile::tempdir().unwrap();
    let home = temp.path().join("tv");
    let (phone, tv) = (stranger().await, kept_in(&home).await);
    let mut audit = tv.audit();
    let mut window = tv.open_pairing(PairingOptions::code()).await.unwrap();
    let code = window.code().unwrap();
    for left in [2, 1, 0] {
        let error = try_pair(&phone, tv.local_addr().unwrap(), &wrong(&code)).await;
        assert_eq!(error, PairError::WrongCode);
        let PairingEvent::Failed {
            device,
            error,
            attempts_left,
        } = next(&mut window).await
        else {
            panic!("an attempt is told of");
        };
        assert_eq!(device, phone.device_id());
        assert_eq!((error, attempts_left), (PairError::WrongCode, left));
    }
    let closed = next(&mut window).await;
    assert!(matches!(closed, PairingEvent::Closed(WindowEnd::Failed)));
    assert!(window.next().await.is_none());
    let too_late = try_pair(&phone, tv.local_addr().unwrap(), &code).await;
    assert_eq!(
        too_late,
        PairError::NotOpen,
        "the right code comes too late"
    );
    let opened = audit.next().await.unwrap().event;
    assert_eq!(opened, AuditEvent::PairingOpened);
    let (device, why) = (phone.device_id(), CloseCode::WrongCode);
    let failed = audit.next().await.unwrap().event;
    assert_eq!(failed, AuditEvent::PairingFailed { device, why });

    drop(window);
    let frozen = tv.open_pairing(PairingOptions::code()).await.unwrap_err();
    assert!(
        matches!(frozen, OpenPairingError::Frozen { .. }),
        "{frozen}"
    );
    tv.shutdown().await;
    drop(tv);
    let tv = kept_in(&home).await;
    let frozen = tv.open_pairing(PairingOptions::code()).await.unwrap_err();
    let OpenPairingError::Frozen { left } = frozen else {
        panic!("{frozen}");
    };
    assert!(left <= Duration::from_secs(60) && left > Duration::from_secs(30));
    let despite = PairingOptions::code().despite_failures();
    assert!(tv.open_pairing(despite).await.is_ok());
    assert!(
        phone.trust().unwrap().entries().is_empty() && tv.trust().unwrap().entries().is_empty()
    );
}

#[tokio::test]
async fn a_full_disk_does_not_let_anybody_guess_on() {
    let temp = tempfile::tempdir().unwrap();
    let home = temp.path().join("tv");
    let (phone, tv) = (stranger().await, kept_in(&home).await);
    std::fs::create_dir_all(home.join(".pairing.toml.new/in the way")).unwrap();
    let mut window = tv.open_pairing(PairingOptions::code()).await.unwrap();
    let code = window.code().unwrap();
    for _ in 0..3 {
        let error = try_pair(&phone, tv.local_addr().unwrap(), &wrong(&code)).await;
        assert_eq!(error, PairError::WrongCode);
        next(&mut window).await;
    }
    let closed = next(&mut window).await;
    assert!(matches!(closed, PairingEvent::Closed(WindowEnd::Failed)));
    drop(window);
    let frozen = tv.open_pairing(PairingOptions::code()).await.unwrap_err();
    assert!(
        matches!(frozen, OpenPairingError::Frozen { .. }),
        "{frozen}"
    );
}

/// Who guesses, from an address of its own. After its guess was answered it does nothing, and keeps the connection.
struct Guess {
    connection: quinn::Connection,
    send: SendStream,
    receive: RecvStream,
}

impl Guess {
    async fn arrives(from: u8, tv: SocketAddr, tv_id: DeviceId, code: &PairingCode) -> Self {
        let endpoint = quinn::Endpoint::client((Ipv4Addr::new(127, 0, 0, from), 0).into()).unwrap();
        let identity = Identity::generate().unwrap();
        let connection = dial(&endpoint, &identity, tv).await;
        let mut exporter = [0; 32];
        let label = PairingChannel::EXPORTER_LABEL;
        connection
            .export_keying_material(&mut exporter, label, &[])
            .unwrap();
        let channel = PairingChannel::new(*identity.device_id(), tv_id, exporter);
        let (mut machine, hello) = Initiator::by_code(channel, "", code).unwrap();
        let (send, receive) = connection.open_bi().await.unwrap();
        let mut guess = Self {
            connection,
            send,
            receive,
        };
        guess.send(&hello).await;
        let steps = machine.receive(&guess.receive().await).unwrap();
        let [Step::Send(exchange)] = &steps[..] else {
            panic!("{steps:?}");
        };
        guess.send(exchange).await;
        guess.receive().await;
        guess
    }

    async fn send(&mut self, message: &[u8]) {
        let len = u16::try_from(message.len()).unwrap().to_be_bytes();
        self.send.write_all(&len).await.unwrap();
        self.send.write_all(message).await.unwrap();
    }

    async fn receive(&mut self) -> Vec<u8> {
        let mut len = [0; 2];
        self.receive.read_exact(&mut len).await.unwrap();
        let mut message = vec![0; u16::from_be_bytes(len).into()];
        self.receive.read_exact(&mut message).await.unwrap();
        message
    }
}

fn is_frozen(home: &Path) -> bool {
    let freeze = PairingFreeze::open(home).unwrap();
    freeze.left(SystemTime::now()).is_some()
}

#[tokio::test]
async fn the_last_attempt_is_on_disk_before_it_is_answered_and_no_end_of_the_window_takes_it_back()
{
    let temp = tempfile::tempdir().unwrap();
    let home = temp.path().join("tv");
    let tv = kept_in(&home).await;
    let mut window = tv.open_pairing(PairingOptions::code()).await.unwrap();
    let code = wrong(&window.code().unwrap());
    let at = tv.local_addr().unwrap();
    for from in [11, 12] {
        let guess = Guess::arrives(from, at, tv.device_id(), &code).await;
        guess.connection.close(0u8.into(), b"");
        assert!(matches!(
            next(&mut window).await,
            PairingEvent::Failed { .. }
        ));
        assert!(!is_frozen(&home), "there are attempts left");
    }
    let last = Guess::arrives(13, at, tv.device_id(), &code).await;
    assert!(
        is_frozen(&home),
        "a process that is killed now has written it"
    );

    drop(window);
    let again = tv.open_pairing(PairingOptions::code()).await.unwrap_err();
    assert!(matches!(again, OpenPairingError::Frozen { .. }), "{again}");
    drop(last);
    tv.shutdown().await;
    drop(tv);
    let again = kept_in(&home)
        .await
        .open_pairing(PairingOptions::code())
        .await;
    assert!(
        matches!(again, Err(OpenPairingError::Frozen { .. })),
        "{again:?}"
    );
}

#[tokio::test]
async fn a_last_attempt_that_is_right_leaves_no_wait() {
    let temp = tempfile::tempdir().unwrap();
    let home = temp.path().join("tv");
    let (phone, tv) = (stranger().await, kept_in(&home).await);
    let options = PairingOptions::code().without_asking();
    let mut window = tv.open_pairing(options.clone()).await.unwrap();
    let (code, at) = (window.code().unwrap(), tv.local_addr().unwrap());
    for from in [14, 15] {
        let guess = Guess::arrives(from, at, tv.device_id(), &wrong(&code)).await;
        guess.connection.close(0u8.into(), b"");
        next(&mut window).await;
    }
    phone.pair(PairWith::code([at], code)).await.unwrap();
    assert!(matches!(next(&mut window).await, PairingEvent::Paired(_)));
    drop(window);
    assert!(!is_frozen(&home));
    assert!(tv.open_pairing(options).await.is_ok());
}
