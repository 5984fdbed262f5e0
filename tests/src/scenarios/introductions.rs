//! Row 107: a device passes an object of a second one to a third, which gets it from the second as itself.

use std::{future::poll_fn, sync::Arc, task::Poll, time::Duration};

use softbus::{
    Allow, CallOption, Caller, DeathReason, HandlerError, Parcel, RemoteObject, RemoteStub,
    SendRequestError, ServiceId, ServiceOptions, async_trait,
    rpc::{
        IntroductionError, StubOptions,
        parcel::{PassObjectError, ReadParcelError},
    },
};
use tokio::sync::mpsc;

use super::{
    Pair, SERVICE, SERVICE_OF_A, for_all, next, obituaries, pair,
    workbench::{
        Bench, anonymous, call, code as bench_code, keep, parcel, reverse, workbench,
        workbench_with,
    },
};
use crate::world::{Device, World};

/// Where the third device has its inbox.
pub const INBOX: ServiceId = ServiceId::new(1402).unwrap();

/// The methods of an inbox.
pub mod code {
    /// Takes a number of objects, the objects, and an `i32` behind them.
    pub const TAKE: u32 = 1;
    /// Takes an `i32`.
    pub const NOTE: u32 = 2;
}

/// What came to an inbox.
#[derive(Debug, PartialEq)]
#[non_exhaustive]
pub enum Came {
    /// Objects, or why there is none, and the number behind them.
    Objects(Vec<Result<RemoteObject, ReadParcelError>>, i32),
    /// A number.
    Note(i32),
}

impl Came {
    /// The one object that came.
    ///
    /// # Panics
    /// When something else came.
    pub fn object(self) -> RemoteObject {
        match self {
            Self::Objects(mut objects, 7) if objects.len() == 1 => {
                objects.remove(0).expect("the object has come")
            }
            other => panic!("{other:?}"),
        }
    }

    /// Why the one object has not come; what stands behind it has.
    ///
    /// # Panics
    /// When something else came.
    pub fn missing(self) -> IntroductionError {
        match self {
            Self::Objects(mut objects, 7) if objects.len() == 1 => match objects.remove(0) {
                Err(ReadParcelError::Introduction(reason)) => reason,
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    }
}

struct Inbox(mpsc::UnboundedSender<Came>);

#[async_trait]
impl RemoteStub for Inbox {
    fn descriptor(&self) -> &str {
        "org.example.Inbox"
    }

    async fn on_remote_request(
        &self,
        _: &Caller,
        code: u32,
        data: &mut Parcel,
        _: &mut Parcel,
    ) -> Result<(), HandlerError> {
        let came = match code {
            code::TAKE => {
                let count = data.read_i32()?;
                let objects = (0..count).map(|_| data.read_remote_object()).collect();
                Came::Objects(objects, data.read_i32()?)
            }
            code::NOTE => Came::Note(data.read_i32()?),
            _ => return Err(HandlerError::UnknownMethod),
        };
        let _ = self.0.send(came);
        Ok(())
    }
}

/// An inbox, and what comes to it.
pub fn inbox() -> (RemoteObject, mpsc::UnboundedReceiver<Came>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    (RemoteObject::new(Inbox(sender)), receiver)
}

/// What [`code::TAKE`] takes.
pub fn these(objects: &[&RemoteObject]) -> Parcel {
    parcel(|data| {
        data.write_i32(objects.len() as i32)?;
        for object in objects {
            data.write_remote_object(object)?;
        }
        data.write_i32(7)
    })
}

/// [`code::TAKE`].
pub async fn give(to: &RemoteObject, objects: &[&RemoteObject]) -> Result<(), SendRequestError> {
    call(to, code::TAKE, &these(objects)).await.map(drop)
}

/// `a` has a proxy of a workbench on `b`, and one of an inbox on `c`.
#[derive(Debug)]
#[non_exhaustive]
pub struct Trio {
    /// Who passes the object on, and whose object it is.
    pub pair: Pair,
    /// Who gets it.
    pub c: Arc<dyn Device>,
    /// `a`'s proxy of the inbox.
    pub inbox: RemoteObject,
    /// What comes to it.
    pub came: mpsc::UnboundedReceiver<Came>,
}

/// Three devices.
pub async fn trio(world: &mut dyn World) -> Trio {
    let pair = pair(world).await;
    let c = world.device().await;
    let (stub, came) = inbox();
    c.add(INBOX, &stub, for_all()).unwrap();
    let inbox = pair.a.get(INBOX, &c.id()).await.unwrap();
    Trio {
        pair,
        c,
        inbox,
        came,
    }
}

/// What a call is refused with whose first object may not be passed.
fn refused(reason: PassObjectError) -> Result<(), SendRequestError> {
    Err(SendRequestError::Pass { index: 0, reason })
}

fn re_exportable() -> (RemoteObject, Arc<Bench>) {
    workbench_with(StubOptions::default().re_exportable())
}

/// What `b` keeps for whoever asks, as `a` gets it.
async fn given_back(pair: &Pair, kept: &[RemoteObject]) -> Vec<RemoteObject> {
    *pair.bench.kept() = kept.to_vec();
    let reply = call(&pair.proxy, bench_code::GIVE_BACK, &Parcel::new()).await;
    let mut reply = reply.unwrap();
    pair.bench.kept().clear();
    let read = |_| reply.read_remote_object().unwrap();
    (0..kept.len()).map(read).collect()
}

/// The third device calls the second as itself, and has what it would have got there.
pub async fn a_third_device_gets_the_object_from_its_home(world: &mut dyn World) {
    let mut trio = trio(world).await;
    give(&trio.inbox, &[&trio.pair.proxy]).await.unwrap();
    let introduced = next(&mut trio.came).await.object();
    assert_eq!(introduced.device(), Some(trio.pair.b.id()));
    let service = introduced.as_proxy().and_then(|proxy| proxy.service());
    assert_eq!(service, Some(SERVICE));
    assert_eq!(reverse(&introduced, 2019).await, Ok(9102));
    let callers = trio.pair.bench.callers();
    assert_eq!(
        callers.last(),
        Some(&(trio.c.party(), world.is_one_device()))
    );
    let own = trio.c.get(SERVICE, &trio.pair.b.id()).await.unwrap();
    assert_eq!(introduced, own);
}

/// A death link on what was introduced is as good as on any proxy of a service.
pub async fn an_introduced_service_can_be_watched(world: &mut dyn World) {
    let mut trio = trio(world).await;
    give(&trio.inbox, &[&trio.pair.proxy]).await.unwrap();
    let introduced = next(&mut trio.came).await.object();
    let (tell, mut told) = obituaries();
    let _link = introduced.link_to_death(tell).unwrap();
    trio.pair.b.remove(SERVICE).unwrap();
    assert_eq!(next(&mut told).await, DeathReason::ServiceRemoved);
    let dead = SendRequestError::DeadObject {
        reason: DeathReason::ServiceRemoved,
    };
    assert_eq!(reverse(&introduced, 1).await, Err(dead));
}

/// Who introduced two others is not needed any more.
pub async fn who_introduced_may_be_gone(world: &mut dyn World) {
    let mut trio = trio(world).await;
    let (stub, bench) = re_exportable();
    let [proxy] = &given_back(&trio.pair, &[stub]).await[..] else {
        panic!("one object was asked for")
    };
    give(&trio.inbox, &[proxy]).await.unwrap();
    let introduced = next(&mut trio.came).await.object();
    trio.pair.a.vanish().await;
    assert_eq!(reverse(&introduced, 2019).await, Ok(9102));
    assert_eq!(*bench.destroyed.borrow(), 0);
    // Nobody but the third device holds it.
    drop(introduced);
    super::reached(&bench.destroyed, 1).await;
}

/// What is registered nowhere is passed on only if its owner said so when it was made.
pub async fn an_anonymous_object_is_introduced_only_if_its_owner_lets_it(world: &mut dyn World) {
    let mut trio = trio(world).await;
    let private = anonymous(&trio.pair.proxy).await.unwrap();
    let sent = give(&trio.inbox, &[&private]).await;
    assert_eq!(sent, refused(PassObjectError::NotReExportable));
    let (stub, bench) = re_exportable();
    let open = given_back(&trio.pair, &[stub]).await.remove(0);
    // One refusal is enough: nothing was sent, and nothing is held for the other object.
    let sent = give(&trio.inbox, &[&open, &private]).await;
    let reason = PassObjectError::NotReExportable;
    assert_eq!(sent, Err(SendRequestError::Pass { index: 1, reason }));
    give(&trio.inbox, &[&open]).await.unwrap();
    let introduced = next(&mut trio.came).await.object();
    assert_eq!(reverse(&introduced, 2019).await, Ok(9102));
    assert_eq!(bench.callers(), [(trio.c.party(), false)]);
    let watched = introduced.link_to_death(|_| {});
    assert_eq!(
        watched.unwrap_err(),
        softbus::rpc::LinkToDeathError::AnonymousStub
    );
}

/// The access rule of a service holds for who it is introduced to.
pub async fn the_policy_of_the_home_decides(world: &mut dyn World) {
    let trio = trio(world).await;
    let (stub, _) = workbench();
    let only_a = ServiceOptions::distributed(Allow::devices([trio.pair.a.id()]));
    let service = ServiceId::new(7).unwrap();
    trio.pair.b.add(service, &stub, only_a).unwrap();
    let proxy = trio.pair.a.get(service, &trio.pair.b.id()).await.unwrap();
    let sent = give(&trio.inbox, &[&proxy]).await;
    assert_eq!(sent, refused(PassObjectError::OriginRefused));
}

/// The home does not let in whom it does not trust, whoever introduces it.
pub async fn a_receiver_that_the_home_does_not_trust_is_refused(world: &mut dyn World) {
    let trio = trio(world).await;
    world.distrust(&trio.pair.b.id(), &trio.c.id());
    let sent = give(&trio.inbox, &[&trio.pair.proxy]).await;
    assert_eq!(sent, refused(PassObjectError::ReceiverNotTrusted));
}

/// A device that does not trust the home gets nothing of it, knows why, and reads the rest.
pub async fn a_home_that_the_receiver_does_not_trust_is_not_asked(world: &mut dyn World) {
    let mut trio = trio(world).await;
    world.distrust(&trio.c.id(), &trio.pair.b.id());
    give(&trio.inbox, &[&trio.pair.proxy]).await.unwrap();
    let reason = next(&mut trio.came).await.missing();
    assert_eq!(reason, IntroductionError::NotTrusted);
}

/// A reply may introduce too: its caller has the object when it has the reply.
pub async fn a_reply_introduces(world: &mut dyn World) {
    let trio = trio(world).await;
    let (stub, bench) = workbench();
    trio.pair.a.add(SERVICE_OF_A, &stub, for_all()).unwrap();
    bench.kept().push(trio.pair.proxy.clone());
    let of_a = trio.c.get(SERVICE_OF_A, &trio.pair.a.id()).await.unwrap();
    let mut reply = call(&of_a, bench_code::GIVE_BACK, &Parcel::new())
        .await
        .unwrap();
    let introduced = reply.read_remote_object().unwrap();
    assert_eq!(introduced.device(), Some(trio.pair.b.id()));
    assert_eq!(reverse(&introduced, 2019).await, Ok(9102));
}

/// What may not be introduced may not stand in a reply.
pub async fn a_reply_does_not_introduce_what_its_owner_keeps(world: &mut dyn World) {
    let trio = trio(world).await;
    let (stub, bench) = workbench();
    trio.pair.a.add(SERVICE_OF_A, &stub, for_all()).unwrap();
    let kept = anonymous(&trio.pair.proxy).await.unwrap();
    bench.kept().push(kept);
    let of_a = trio.c.get(SERVICE_OF_A, &trio.pair.a.id()).await.unwrap();
    let refused = call(&of_a, bench_code::GIVE_BACK, &Parcel::new()).await;
    assert_eq!(refused.unwrap_err(), SendRequestError::ReplyPassRefused);
}

/// One-way calls behind one that introduces wait for it.
pub async fn one_way_calls_keep_their_order_behind_an_introduction(world: &mut dyn World) {
    let mut trio = trio(world).await;
    for round in 0..10 {
        let (one_way, data) = (CallOption::one_way(), these(&[&trio.pair.proxy]));
        let sent = trio.inbox.send_request(code::TAKE, &data, one_way).await;
        assert_eq!(sent.map(drop), Ok(()));
        let note = parcel(|data| data.write_i32(round));
        let sent = trio.inbox.send_request(code::NOTE, &note, one_way).await;
        assert_eq!(sent.map(drop), Ok(()));
    }
    for round in 0..10 {
        next(&mut trio.came).await.object();
        assert_eq!(next(&mut trio.came).await, Came::Note(round));
    }
}

/// A one-way call waits for the one before it that asks for its tokens: those of one proxy run in order.
pub async fn a_one_way_call_does_not_overtake_one_that_introduces(world: &mut dyn World) {
    let mut trio = trio(world).await;
    let (one_way, data) = (CallOption::one_way(), these(&[&trio.pair.proxy]));
    let note = parcel(|data| data.write_i32(1));
    let inbox = trio.inbox.clone();
    // Polled in this order; the first asks the home, the second would have nothing to wait for.
    let (taken, noted) = tokio::join!(
        biased;
        inbox.send_request(code::TAKE, &data, one_way),
        inbox.send_request(code::NOTE, &note, one_way),
    );
    assert_eq!((taken.err(), noted.err()), (None, None));
    next(&mut trio.came).await.object();
    assert_eq!(next(&mut trio.came).await, Came::Note(1));
}

/// A call that is given up while it asks for its tokens holds back nothing any more.
pub async fn an_introduction_that_is_given_up_lets_the_calls_behind_it_go(world: &mut dyn World) {
    let mut trio = trio(world).await;
    let (one_way, data) = (CallOption::one_way(), these(&[&trio.pair.proxy]));
    let note = parcel(|data| data.write_i32(1));
    let inbox = trio.inbox.clone();
    let mut taking = Box::pin(inbox.send_request(code::TAKE, &data, one_way));
    let mut noting = Box::pin(inbox.send_request(code::NOTE, &note, one_way));
    let both_wait = poll_fn(|cx| {
        let taken = taking.as_mut().poll(cx).is_pending();
        Poll::Ready((taken, noting.as_mut().poll(cx).is_pending()))
    });
    assert_eq!(both_wait.await, (true, true));
    // Who asked not to wait is not made to.
    let busy = inbox.send_request(code::NOTE, &note, one_way.no_wait());
    assert!(matches!(
        busy.await,
        Err(SendRequestError::Busy { limit: None, .. })
    ));
    // Nor does one wait longer than its own deadline, of either kind.
    let after = Duration::from_millis(50);
    for option in [one_way, CallOption::two_way()] {
        let late = inbox.send_request(code::NOTE, &note, option.wait(after));
        let late = late.await.map(drop);
        assert_eq!(late, Err(SendRequestError::TimedOut { after }));
    }
    drop(taking);
    assert_eq!(noting.await.map(drop), Ok(()));
    assert_eq!(next(&mut trio.came).await, Came::Note(1));
}

/// As many objects as a parcel carries, one of them twice.
pub async fn a_whole_parcel_of_objects_is_introduced(world: &mut dyn World) {
    let mut trio = trio(world).await;
    let stubs: Vec<_> = (0..63).map(|_| re_exportable().0).collect();
    let proxies = given_back(&trio.pair, &stubs).await;
    let mut objects: Vec<_> = proxies.iter().collect();
    objects.push(&proxies[0]);
    give(&trio.inbox, &objects).await.unwrap();
    let Came::Objects(came, 7) = next(&mut trio.came).await else {
        panic!("objects were sent")
    };
    let came: Vec<_> = came.into_iter().map(Result::unwrap).collect();
    assert_eq!((came.len(), &came[0]), (64, &came[63]));
    for object in &came {
        assert_eq!(reverse(object, 2019).await, Ok(9102));
    }
    assert!((1..63).all(|index| came[index] != came[index - 1]));
}

/// What was introduced is held to the same rules: not back to its home, and on to a fourth only by another introduction.
pub async fn an_introduced_object_is_a_proxy_of_its_home(world: &mut dyn World) {
    let mut trio = trio(world).await;
    give(&trio.inbox, &[&trio.pair.proxy]).await.unwrap();
    let introduced = next(&mut trio.came).await.object();
    let to_b = trio.c.get(SERVICE, &trio.pair.b.id()).await.unwrap();
    let sent = keep(&to_b, &[&introduced]).await;
    assert_eq!(sent, refused(PassObjectError::BackToOrigin));
    // The third device introduces the first one, which knows the object already.
    let (stub, mut came) = inbox();
    trio.pair.a.add(INBOX, &stub, for_all()).unwrap();
    let to_a = trio.c.get(INBOX, &trio.pair.a.id()).await.unwrap();
    give(&to_a, &[&introduced]).await.unwrap();
    assert_eq!(next(&mut came).await.object(), trio.pair.proxy);
}
