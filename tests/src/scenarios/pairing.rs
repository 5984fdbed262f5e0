//! Strangers pair: on one machine and between two.

use std::net::SocketAddr;

use softbus::{
    Node,
    pairing::{
        CompareDigits, PairError, PairWith, PairingCode, PairingEvent, PairingListener,
        PairingOptions,
    },
};
use tokio::sync::mpsc;

use super::{SERVICE, SOON, for_all, next, workbench::reverse, workbench::workbench};

/// Two nodes that do not know each other, and where the second is.
#[derive(Debug)]
pub struct Strangers {
    /// The one that dials.
    pub phone: Node,
    /// The one that opens windows.
    pub tv: Node,
    /// Where it is.
    pub tv_at: SocketAddr,
}

impl Strangers {
    /// Each may call the other, which a moment ago it might not.
    async fn are_friends(&self) {
        assert!(self.phone.trust().unwrap().is_trusted(&self.tv.device_id()));
        assert!(self.tv.trust().unwrap().is_trusted(&self.phone.device_id()));
        let samgr = self.tv.samgr();
        samgr.add(SERVICE, &workbench().0, for_all()).unwrap();
        let proxy = self.phone.samgr().get(SERVICE, &self.tv.device_id()).await;
        assert_eq!(reverse(&proxy.unwrap(), 2019).await, Ok(9102));
    }
}

async fn event(window: &mut PairingListener) -> PairingEvent {
    let event = tokio::time::timeout(SOON, window.next()).await;
    event.expect("an event comes in time").expect("not the end")
}

/// By six digits that are typed; our user is asked, and says yes.
pub async fn by_code(strangers: &Strangers) {
    let Strangers { phone, tv, tv_at } = strangers;
    let mut window = tv.open_pairing(PairingOptions::code()).await.unwrap();
    let typed: PairingCode = window.code().unwrap().reveal().parse().unwrap();
    let pair = phone.pair(PairWith::code([*tv_at], typed).named("tv"));
    let (paired, ()) = tokio::join!(pair, async {
        let PairingEvent::Request(request) = event(&mut window).await else {
            panic!("our user is asked");
        };
        assert_eq!(request.device(), phone.device_id());
        request.accept_as("phone");
    });
    assert_eq!(paired.unwrap().device, tv.device_id());
    assert!(matches!(event(&mut window).await, PairingEvent::Paired(_)));
    assert_eq!(
        tv.trust().unwrap().get(&phone.device_id()).unwrap().name,
        "phone"
    );
    strangers.are_friends().await;
}

/// By the text of a QR code.
pub async fn by_qr(strangers: &Strangers) {
    let Strangers { phone, tv, tv_at } = strangers;
    let options = PairingOptions::qr().without_asking();
    let window = tv.open_pairing(options).await.unwrap();
    let shown = window.invitation([*tv_at]).unwrap().reveal();
    let scanned = shown.parse().unwrap();
    let paired = phone.pair(PairWith::invitation(&scanned)).await.unwrap();
    assert_eq!(paired.device, tv.device_id());
    strangers.are_friends().await;
}

/// By comparing two screens.
pub async fn by_comparing(strangers: &Strangers) {
    let Strangers { phone, tv, tv_at } = strangers;
    let mut window = tv.open_pairing(PairingOptions::compare()).await.unwrap();
    let (show, mut shown) = mpsc::unbounded_channel::<CompareDigits>();
    let at_phone = show.clone();
    let with = PairWith::compare([*tv_at], move |request| {
        let _ = at_phone.send(request.digits().unwrap());
        request.accept();
    });
    let (paired, ()) = tokio::join!(phone.pair(with), async {
        let PairingEvent::Request(request) = event(&mut window).await else {
            panic!("our user is asked");
        };
        show.send(request.digits().unwrap()).unwrap();
        request.accept();
    });
    assert_eq!(paired.unwrap().device, tv.device_id());
    assert_eq!(next(&mut shown).await, next(&mut shown).await);
    strangers.are_friends().await;
}

/// A wrong code is told from a right one, and trusts nobody.
pub async fn by_a_wrong_code(strangers: &Strangers) {
    let Strangers { phone, tv, tv_at } = strangers;
    let options = PairingOptions::code().without_asking();
    let window = tv.open_pairing(options).await.unwrap();
    let code = window.code().unwrap();
    let wrong = if code.reveal() == "000000" {
        "000001"
    } else {
        "000000"
    };
    let with = PairWith::code([*tv_at], wrong.parse().unwrap());
    assert_eq!(phone.pair(with).await.unwrap_err(), PairError::WrongCode);
    assert!(
        phone.trust().unwrap().entries().is_empty() && tv.trust().unwrap().entries().is_empty()
    );
}
