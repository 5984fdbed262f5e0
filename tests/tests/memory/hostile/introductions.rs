//! Tokens that are forged, stolen, late or used already: shown by one who introduces by hand.

use std::time::Duration;

use proto::{
    DeviceId, Handle, ObjectId,
    frame::{Call, Extensions, Frame, Grant, Introduction, Status, Token},
    message::feature,
};
use softbus::rpc::{IntroductionError, limits, parcel::PassObjectError, session::PeerFault};
use testkit::{
    scenarios::{
        Pair, SERVICE, for_all,
        introductions::{Came, INBOX, code, give, inbox, trio},
        next, pair,
        workbench::reverse,
    },
    world::{
        Device, World,
        memory::MemoryWorld,
        raw::{CALLS, PARTY, RawPeer},
    },
};
use tokio::sync::mpsc;

use super::fault_of;
use crate::run_in;

/// What the system ability manager is asked.
const INTRODUCE: u32 = 0x2_0000;
const REDEEM: u32 = 0x2_0001;

/// A service on `b`, an inbox on `c`, and one who has a session with both.
struct Stage {
    pair: Pair,
    c: std::sync::Arc<dyn Device>,
    came: mpsc::UnboundedReceiver<Came>,
    at_b: RawPeer,
    at_c: RawPeer,
    inbox: Handle,
    /// `b`'s service, as the one by hand holds it.
    service: Handle,
    object: ObjectId,
}

async fn stage(world: &mut MemoryWorld) -> Stage {
    let pair = pair(world).await;
    let c = world.device().await;
    let (stub, came) = inbox();
    c.add(INBOX, &stub, for_all()).unwrap();
    let bus = |id: &DeviceId| world.bus_of(id).unwrap();
    let (mut at_b, _) = RawPeer::introducing(&bus(&pair.b.id())).await;
    let (mut at_c, _) = RawPeer::introducing(&bus(&c.id())).await;
    let inbox = at_c.get(INBOX.get()).await;
    let (service, object) = at_b.get_object(SERVICE.get()).await;
    Stage {
        pair,
        c,
        came,
        at_b,
        at_c,
        inbox,
        service,
        object,
    }
}

/// Whether an object may be passed to a device: the device itself, and none of its processes.
fn question(receiver: DeviceId, handle: Handle) -> Vec<u8> {
    let mut body = receiver.as_bytes().to_vec();
    body.extend(0_u64.to_le_bytes());
    body.extend(1_i32.to_le_bytes());
    body.extend(handle.raw().to_le_bytes());
    body
}

impl Stage {
    /// What `b` says about passing its service to a device: its answer, and a token if it is yes.
    async fn ask(&mut self, receiver: DeviceId, handle: Handle) -> (i32, Option<Token>) {
        let body = question(receiver, handle);
        let call = self.at_b.call(Handle::SAMGR, INTRODUCE, &body);
        self.at_b.send(CALLS, &Frame::Call(call)).await;
        let reply = self.at_b.receive_reply().await;
        assert_eq!(reply.status, Status::Ok);
        let (answer, token) = reply.body.split_first_chunk::<4>().unwrap();
        let token = token.first_chunk().copied().map(Token::from_bytes);
        let answer = i32::from_le_bytes(*answer);
        (answer, token.filter(|_| answer == 0))
    }

    async fn token_for_c(&mut self) -> Token {
        let (answer, token) = self.ask(self.c.id(), self.service).await;
        assert_eq!(answer, 0);
        token.unwrap()
    }

    /// Introduces what `b` is said to have given this token for.
    async fn introduce(&mut self, token: Token) -> Came {
        let home = self.pair.b.id();
        self.introduce_of(home, token).await
    }

    async fn introduce_of(&mut self, home: DeviceId, token: Token) -> Came {
        let call = introducing(&mut self.at_c, self.inbox, home, token, self.object);
        assert_eq!(self.at_c.status_of(call).await, Status::Ok);
        next(&mut self.came).await
    }
}

fn introducing(
    by: &mut RawPeer,
    to: Handle,
    home: DeviceId,
    token: Token,
    object: ObjectId,
) -> Call {
    let slot = [0x534f_4c54_u32, 0];
    let body = [1_u32, slot[0], slot[1], 7, 4].map(u32::to_le_bytes);
    let mut call = by.call(to, code::TAKE, &body.concat());
    call.grants = [Grant::Introduced { entry: 0, object }]
        .into_iter()
        .collect();
    let introduction = Introduction {
        home,
        process: 0,
        token,
    };
    call.extensions = Extensions::default().introducing(&[introduction]);
    call
}

#[test]
fn a_token_is_for_one_use_by_one_device_and_thirty_seconds() {
    run_in(async |world| {
        let mut stage = stage(world).await;
        let token = stage.token_for_c().await;
        let introduced = stage.introduce(token).await.object();
        assert_eq!(reverse(&introduced, 2019).await, Ok(9102));
        // Replayed.
        assert_eq!(
            stage.introduce(token).await.missing(),
            IntroductionError::Used
        );
        // Late.
        let token = stage.token_for_c().await;
        tokio::time::sleep(limits::INTRODUCTION_TIME).await;
        assert_eq!(
            stage.introduce(token).await.missing(),
            IntroductionError::Expired
        );
        // Another device's.
        let (_, token) = stage.ask(stage.pair.a.id(), stage.service).await;
        assert_eq!(
            stage.introduce(token.unwrap()).await.missing(),
            IntroductionError::Unknown
        );
        let counts = world.bus_of(&stage.pair.b.id()).unwrap().introductions();
        assert_eq!((counts.made, counts.redeemed, counts.expired), (3, 1, 1));
        assert_eq!((counts.late, counts.wrong, counts.live), (2, 1, 1));
    });
}

#[test]
fn a_token_holds_its_object_until_it_expires() {
    run_in(async |world| {
        let mut stage = stage(world).await;
        stage.token_for_c().await;
        stage.pair.b.remove(SERVICE).unwrap();
        let bench = stage.pair.bench.clone();
        drop(stage.pair.stub);
        drop(stage.pair.proxy);
        stage.at_b.hang_up();
        tokio::time::sleep(limits::INTRODUCTION_TIME - Duration::from_secs(1)).await;
        assert_eq!(*bench.destroyed.borrow(), 0);
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(*bench.destroyed.borrow(), 1);
    });
}

#[test]
fn a_service_that_is_removed_on_the_way_arrives_dead() {
    run_in(async |world| {
        let mut stage = stage(world).await;
        let token = stage.token_for_c().await;
        stage.pair.b.remove(SERVICE).unwrap();
        let missing = stage.introduce(token).await.missing();
        assert_eq!(missing, IntroductionError::DeadObject);
    });
}

#[test]
fn who_forges_tokens_introduces_nothing_for_a_while_and_keeps_its_session() {
    run_in(async |world| {
        let mut stage = stage(world).await;
        for guess in 0..limits::MAX_WRONG_TOKENS {
            let token = Token::from_bytes([guess as u8; 32]);
            let missing = stage.introduce(token).await.missing();
            assert_eq!(missing, IntroductionError::Unknown);
        }
        let token = stage.token_for_c().await;
        let missing = stage.introduce(token).await.missing();
        assert_eq!(missing, IntroductionError::TooMany);
        // Its victim, who presented them, pays less.
        tokio::time::sleep(limits::WRONG_TOKENS_PENALTY).await;
        give_by_a(&mut stage, world).await;
        tokio::time::sleep(limits::WRONG_INTRODUCTIONS_PENALTY).await;
        let token = stage.token_for_c().await;
        stage.introduce(token).await.object();
    });
}

/// An honest device introduces.
async fn give_by_a(stage: &mut Stage, _: &mut MemoryWorld) {
    let inbox = stage.pair.a.get(INBOX, &stage.c.id()).await.unwrap();
    give(&inbox, &[&stage.pair.proxy]).await.unwrap();
    next(&mut stage.came).await.object();
}

#[test]
fn who_presents_wrong_tokens_is_not_listened_to_for_a_while() {
    run_in(async |world| {
        let mut stage = stage(world).await;
        let (answer, token) = stage.ask(stage.c.id(), stage.service).await;
        assert_eq!(answer, 0);
        let present = async |stage: &mut Stage, token: &[u8]| {
            let mut body = 1_u32.to_le_bytes().to_vec();
            body.extend(token);
            let call = stage.at_b.call(Handle::SAMGR, REDEEM, &body);
            stage.at_b.send(CALLS, &Frame::Call(call)).await;
            let reply = stage.at_b.receive_reply().await;
            assert_eq!(reply.status, Status::Ok);
            reply.body[0]
        };
        // A guess, and twice what another device was given.
        let stolen = *token.unwrap().as_bytes();
        assert_eq!(present(&mut stage, &[9; 32]).await, 1);
        assert_eq!(present(&mut stage, &stolen).await, 1);
        assert_eq!(present(&mut stage, &stolen).await, 1);
        assert_eq!(present(&mut stage, &stolen).await, 6);
        // It was not used up by that.
        let introduced = stage.introduce(token.unwrap()).await.object();
        assert_eq!(reverse(&introduced, 2019).await, Ok(9102));
    });
}

#[test]
fn an_introduction_to_something_else_than_was_said_is_none() {
    run_in(async |world| {
        let mut stage = stage(world).await;
        stage.object.number += 1;
        let token = stage.token_for_c().await;
        let missing = stage.introduce(token).await.missing();
        assert_eq!(missing, IntroductionError::Unknown);
        // Nor is one whose home is who gets it, or who sends it.
        let token = Token::from_bytes([1; 32]);
        for home in [stage.c.id(), PARTY.device] {
            let missing = stage.introduce_of(home, token).await.missing();
            assert_eq!(missing, IntroductionError::Unknown);
        }
        let nobody = DeviceId::from_bytes([0xee; 32]);
        let missing = stage.introduce_of(nobody, token).await.missing();
        assert_eq!(missing, IntroductionError::Unreachable);
    });
}

#[test]
fn only_what_one_holds_can_be_introduced() {
    run_in(async |world| {
        let mut stage = stage(world).await;
        let c = stage.c.id();
        assert_eq!(stage.ask(c, Handle::SAMGR).await.0, 1);
        let b = stage.pair.b.id();
        for receiver in [b, PARTY.device] {
            assert_eq!(stage.ask(receiver, stage.service).await.0, 3);
        }
        for tag in 1..3 {
            let guess = Handle::new(stage.service.index(), tag);
            assert_eq!(stage.ask(c, guess).await.0, 1);
        }
        // The third wrong tag of a session is its end, wherever it stands.
        let body = question(c, Handle::new(stage.service.index(), 3));
        let call = stage.at_b.call(Handle::SAMGR, INTRODUCE, &body);
        stage.at_b.send(CALLS, &Frame::Call(call)).await;
        stage.at_b.closed().await;
    });
}

#[test]
fn a_flood_of_questions_is_bounded() {
    run_in(async |world| {
        let mut stage = stage(world).await;
        let c = stage.c.id();
        for _ in 0..limits::MAX_INTRODUCTIONS_PER_DEVICE {
            assert_eq!(stage.ask(c, stage.service).await.0, 0);
        }
        assert_eq!(stage.ask(c, stage.service).await.0, 6);
        // Others are served.
        give_by_a(&mut stage, world).await;
        tokio::time::sleep(limits::INTRODUCTION_TIME).await;
        assert_eq!(stage.ask(c, stage.service).await.0, 0);
    });
}

#[test]
fn an_introduction_that_was_not_agreed_on_ends_the_session() {
    run_in(async |world| {
        let mut stage = stage(world).await;
        let bus = world.bus_of(&stage.c.id()).unwrap();
        let (mut old, session) = RawPeer::in_session(&bus).await;
        let inbox = old.get(INBOX.get()).await;
        let (home, token) = (stage.pair.b.id(), stage.token_for_c().await);
        let call = introducing(&mut old, inbox, home, token, stage.object);
        old.send(CALLS, &Frame::Call(call)).await;
        assert_eq!(fault_of(&session).await, PeerFault::UnexpectedIntroduction);
        // It is not answered either.
        let bus = world.bus_of(&stage.pair.b.id()).unwrap();
        let (mut old, _) = RawPeer::in_session(&bus).await;
        let call = old.call(Handle::SAMGR, REDEEM, &[]);
        assert_eq!(old.status_of(call).await, Status::UnknownMethod);
    });
}

#[test]
fn an_older_device_refuses_third_parties_as_before() {
    run_in(async |world| {
        let pair = pair(world).await;
        let old = world.older_device();
        let (stub, mut came) = inbox();
        old.add(INBOX, &stub, for_all()).unwrap();
        let inbox = pair.a.get(INBOX, &old.id()).await.unwrap();
        let sent = give(&inbox, &[&pair.proxy]).await;
        let reason = PassObjectError::ThirdParty;
        assert_eq!(
            sent,
            Err(softbus::SendRequestError::Pass { index: 0, reason })
        );
        assert!(came.try_recv().is_err(), "nothing was sent");
    });
}

#[test]
fn a_home_that_is_gone_before_the_token_comes_is_unreachable() {
    run_in(async |world| {
        let mut trio = trio(world).await;
        world.hold_redemptions(true);
        let give = tokio::spawn({
            let (inbox, proxy) = (trio.inbox.clone(), trio.pair.proxy.clone());
            async move { give(&inbox, &[&proxy]).await }
        });
        let bus = world.bus_of(&trio.pair.b.id()).unwrap();
        let asked = testkit::wait::wait_until_async(Duration::from_secs(20), async || {
            bus.introductions().live == 1
        });
        assert!(asked.await);
        trio.pair.b.vanish().await;
        world.hold_redemptions(false);
        let missing = next(&mut trio.came).await.missing();
        assert_eq!(missing, IntroductionError::Unreachable);
        assert_eq!(give.await.unwrap(), Ok(()));
        // There is nobody to ask any more.
        let reason = PassObjectError::DeadObject;
        let sent = testkit::scenarios::introductions::give(&trio.inbox, &[&trio.pair.proxy]).await;
        assert_eq!(
            sent,
            Err(softbus::SendRequestError::Pass { index: 0, reason })
        );
    });
}

#[test]
fn a_home_that_does_not_answer_leaves_time_for_the_rest() {
    run_in(async |world| {
        let mut trio = trio(world).await;
        world.hold_redemptions(true);
        let began = tokio::time::Instant::now();
        give(&trio.inbox, &[&trio.pair.proxy]).await.unwrap();
        let missing = next(&mut trio.came).await.missing();
        assert_eq!(missing, IntroductionError::Unreachable);
        let took = began.elapsed();
        assert!(
            (limits::REDEEM_TIME - Duration::from_millis(10)..limits::DEFAULT_WAIT).contains(&took),
            "{took:?}"
        );
    });
}

#[test]
fn the_feature_is_agreed_on() {
    run_in(async |world| {
        let device = world.device().await;
        let bus = world.bus_of(&device.id()).unwrap();
        let (peer, _) = RawPeer::introducing(&bus).await;
        assert_eq!(peer.welcome.unwrap().features, feature::INTRODUCTIONS);
        let (peer, _) = RawPeer::in_session(&bus).await;
        assert_eq!(peer.welcome.unwrap().features, 0);
    });
}
