//! The two questions an origin is asked about introductions, and its answers: their bytes, and what two devices make of them
//! that have sessions with it.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use proto::{BootId, DeviceId, Handle, ServiceId, frame::Token, openharmony::samgr as code};
use softbus_rpc::{
    Allow, Bus, BusConfig, CallOption, Caller, DeathReason, GetServiceError, HandlerError,
    MemoryLink, Neighbours, Parcel, Peer, RemoteObject, RemoteStub, ServiceOptions, StubOptions,
    async_trait,
    fuzzing::{
        a_stub, handle_of, read_answer, read_question, read_tokens, received, root_of,
        write_answer, write_question, write_tokens,
    },
    limits::{INTRODUCTION_TIME, MAX_INTRODUCTIONS_PER_DEVICE},
    opening::{self, Incoming, Remote},
    parcel::MAX_OBJECTS,
    session::passing_rules::Party,
};
use tokio::time::Instant;

use super::Input;

const STEPS: usize = 48;
const SOON: Duration = Duration::from_secs(5);
/// The origin's answer that is followed by what was asked for.
const YES: i32 = 0;

/// Which reader and its bytes, or what two devices do.
pub fn run(data: &[u8]) {
    let mut input = Input(data);
    match input.u8() {
        0..=0x1f => question(input.0),
        0x20..=0x3f => tokens(input.0),
        0x40..=0x5f => {
            let count = 1 + input.below(MAX_OBJECTS);
            answer(input.0, count);
        }
        _ => asked(&mut input),
    }
}

fn arrived(body: &[u8]) -> Option<Parcel> {
    received(Bytes::copy_from_slice(body), Vec::new(), None).ok()
}

/// As many as are allowed, each of which came, and no room for many more.
fn bounded<T>(items: &Vec<T>, came: usize) {
    assert!(items.len() <= MAX_OBJECTS);
    assert!(size_of_val(items.as_slice()) <= came);
    let room = items.capacity() * size_of::<T>();
    assert!(
        room <= 2 * came + 4 * size_of::<T>(),
        "{room} bytes of {came}"
    );
}

fn question(body: &[u8]) {
    let Some(mut parcel) = arrived(body) else {
        return;
    };
    let Ok((receiver, handles)) = read_question(&mut parcel) else {
        return;
    };
    bounded(&handles, body.len());
    assert!(!handles.is_empty());
    let mut written = write_question(receiver, &handles).expect("there is room");
    assert_eq!(written.data_size(), parcel.read_position());
    assert_eq!(read_question(&mut written), Ok((receiver, handles)));
    assert_eq!(written.readable_bytes(), 0);
}

fn tokens(body: &[u8]) {
    let Some(mut parcel) = arrived(body) else {
        return;
    };
    let Ok(tokens) = read_tokens(&mut parcel) else {
        return;
    };
    bounded(&tokens, body.len());
    assert!(!tokens.is_empty());
    let mut written = write_tokens(&tokens).expect("there is room");
    assert_eq!(written.data_size(), parcel.read_position());
    assert_eq!(read_tokens(&mut written), Ok(tokens));
    assert_eq!(written.readable_bytes(), 0);
}

fn answer(body: &[u8], count: usize) {
    let Some(mut parcel) = arrived(body) else {
        return;
    };
    let Ok(answer) = read_answer(&mut parcel, count) else {
        return;
    };
    match &answer {
        Ok(tokens) => {
            bounded(tokens, body.len());
            assert_eq!(tokens.len(), count, "one for each that was asked for");
        }
        Err((index, no)) => assert!(*index < count && *no != YES),
    }
    let mut written = write_answer(&answer).expect("there is room");
    assert_eq!(written.data_size(), parcel.read_position());
    assert_eq!(read_answer(&mut written, count), Ok(answer));
    assert_eq!(written.readable_bytes(), 0);
}

fn asked(input: &mut Input<'_>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let mut stage = Stage::begin().await;
        for _ in 0..STEPS {
            if input.is_empty() {
                break;
            }
            stage.step(input).await;
            stage.settles().await;
        }
        stage.ends().await;
    });
}

/// What the origin has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A service for every device.
    ForAll,
    /// A service for the first of the two.
    ForOne,
    /// Passed to both, who may pass it on.
    Passed,
    /// Passed to both, who may not pass it on.
    Kept,
}

const FOR_ALL: u32 = 1;
const FOR_ONE: u32 = 2;
const GIVE_PASSED: u32 = 1;
const GIVE_KEPT: u32 = 2;

/// The service for every device, which hands out what is none.
struct Gives {
    passed: RemoteObject,
    kept: RemoteObject,
}

#[async_trait]
impl RemoteStub for Gives {
    fn descriptor(&self) -> &str {
        "Gives"
    }

    async fn on_remote_request(
        &self,
        _: &Caller,
        code: u32,
        _: &mut Parcel,
        reply: &mut Parcel,
    ) -> Result<(), HandlerError> {
        let object = match code {
            GIVE_PASSED => &self.passed,
            GIVE_KEPT => &self.kept,
            _ => return Err(HandlerError::UnknownMethod),
        };
        reply.write_remote_object(object)?;
        Ok(())
    }
}

/// What may be passed on.
struct MayGo;

#[async_trait]
impl RemoteStub for MayGo {
    fn descriptor(&self) -> &str {
        "MayGo"
    }

    fn options(&self) -> StubOptions {
        StubOptions::default().re_exportable()
    }

    async fn on_remote_request(
        &self,
        _: &Caller,
        _: u32,
        _: &mut Parcel,
        _: &mut Parcel,
    ) -> Result<(), HandlerError> {
        Err(HandlerError::UnknownMethod)
    }
}

/// The three trust each other and nobody else.
struct Three;

#[async_trait]
impl Neighbours for Three {
    fn is_trusted(&self, device: &DeviceId) -> bool {
        [ORIGIN, GUESTS[0], GUESTS[1]].contains(device)
    }

    async fn session(&self, _: Party, _: std::time::Instant) -> Result<Peer, GetServiceError> {
        Err(GetServiceError::DeviceNotTrusted)
    }
}

const ORIGIN: DeviceId = DeviceId::from_bytes([1; 32]);
const GUESTS: [DeviceId; 2] = [DeviceId::from_bytes([2; 32]), DeviceId::from_bytes([3; 32])];
const STRANGER: DeviceId = DeviceId::from_bytes([9; 32]);

struct Stage {
    origin: Arc<Bus>,
    neighbours: Arc<dyn Neighbours>,
    guests: Vec<Guest>,
    /// All that the origin has ever given.
    given: Vec<Given>,
}

struct Guest {
    to_origin: Peer,
    at_origin: Peer,
    held: Vec<(Kind, RemoteObject)>,
}

struct Given {
    token: Token,
    /// Which of the two asked, and whose it is.
    asker: usize,
    receiver: usize,
    kind: Kind,
    when: Instant,
    used: bool,
}

impl Given {
    fn is_good(&self) -> bool {
        !self.used && self.when.elapsed() < INTRODUCTION_TIME
    }
}

fn bus(device: DeviceId, neighbours: &Arc<dyn Neighbours>) -> Arc<Bus> {
    let boot = BootId {
        epoch: 1,
        random: device.as_bytes()[0].into(),
    };
    let bus = Bus::new(BusConfig::new(Party::host_of(device), boot));
    assert!(bus.set_neighbours(Arc::downgrade(neighbours)));
    bus
}

fn id(number: u32) -> ServiceId {
    ServiceId::new(number).expect("not zero")
}

impl Guest {
    async fn begin(origin: &Arc<Bus>, neighbours: &Arc<dyn Neighbours>, index: usize) -> Self {
        let bus = bus(GUESTS[index], neighbours);
        let (near, far) = MemoryLink::pair();
        let device = |device| Remote::device(Party::host_of(device));
        let (to_origin, at_origin) = tokio::join!(
            opening::connect(&bus, Arc::new(near), device(ORIGIN), 0),
            async {
                let guest = device(GUESTS[index]);
                let incoming = Incoming::accept(origin, Arc::new(far), guest).await;
                incoming.expect("it says hello").welcome(origin).await
            }
        );
        let to_origin = to_origin.expect("a session");
        let for_all = to_origin.get_service(id(FOR_ALL), SOON).await;
        let for_all = for_all.expect("it is for all");
        let mut held = Vec::new();
        for (kind, code) in [(Kind::Passed, GIVE_PASSED), (Kind::Kept, GIVE_KEPT)] {
            let option = CallOption::two_way().wait(SOON);
            let given = for_all.send_request(code, &Parcel::new(), option).await;
            let object = given.expect("an answer").read_remote_object();
            held.push((kind, object.expect("an object")));
        }
        held.push((Kind::ForAll, for_all));
        let for_one = to_origin.get_service(id(FOR_ONE), SOON).await;
        assert_eq!(for_one.is_ok(), index == 0);
        held.extend(for_one.ok().map(|object| (Kind::ForOne, object)));
        Self {
            to_origin,
            at_origin: at_origin.expect("a session"),
            held,
        }
    }

    /// One that it holds, or a guess.
    fn handle(&self, input: &mut Input<'_>) -> Handle {
        match input.u8() {
            0xff => Handle::from_raw(input.number()),
            index => {
                let (_, object) = &self.held[usize::from(index) % self.held.len()];
                handle_of(object).unwrap_or(Handle::SAMGR)
            }
        }
    }

    fn kind_of(&self, handle: Handle) -> Option<Kind> {
        let mut held = self.held.iter();
        let found = held.find(|(_, object)| handle_of(object) == Some(handle));
        found.map(|(kind, _)| *kind)
    }

    async fn asks(&self, code: u32, body: &Parcel) -> Option<Parcel> {
        let option = CallOption::two_way().wait(SOON);
        let root = root_of(&self.to_origin);
        root.send_request(code, body, option).await.ok()
    }
}

impl Stage {
    async fn begin() -> Self {
        let neighbours: Arc<dyn Neighbours> = Arc::new(Three);
        let origin = bus(ORIGIN, &neighbours);
        let gives = Gives {
            passed: RemoteObject::new(MayGo),
            kept: a_stub(),
        };
        for (number, stub, allow) in [
            (FOR_ALL, RemoteObject::new(gives), Allow::trusted()),
            (FOR_ONE, a_stub(), Allow::devices([GUESTS[0]])),
        ] {
            let options = ServiceOptions::distributed(allow);
            let added = origin.samgr().add(id(number), &stub, options);
            added.expect("there is room");
        }
        let mut guests = Vec::new();
        for index in 0..2 {
            guests.push(Guest::begin(&origin, &neighbours, index).await);
        }
        Self {
            origin,
            neighbours,
            guests,
            given: Vec::new(),
        }
    }

    async fn step(&mut self, input: &mut Input<'_>) {
        let who = input.below(2);
        match input.u8() % 16 {
            0..=5 => {
                let body = self.a_question(who, input);
                self.introduces(who, body).await;
            }
            6..=11 => {
                let body = self.some_tokens(input);
                self.redeems(who, body).await;
            }
            12 | 13 => {
                let introduces = input.bool();
                let len = input.u8().into();
                let mut body = Parcel::new();
                let written = body.write_buffer(input.bytes(len));
                written.expect("there is room");
                if introduces {
                    self.introduces(who, body).await;
                } else {
                    self.redeems(who, body).await;
                }
            }
            14 => {
                // Up to what a token lives and is remembered, and a little more.
                let ms = u64::from(input.u16());
                tokio::time::sleep(Duration::from_millis(ms)).await;
            }
            _ => {
                let reason = DeathReason::ProcessDied;
                self.guests[who].to_origin.close(reason, 0, "");
            }
        }
    }

    fn a_question(&self, who: usize, input: &mut Input<'_>) -> Parcel {
        let device = match input.u8() {
            0xfc => ORIGIN,
            0xfd => GUESTS[who],
            0xfe => STRANGER,
            _ => GUESTS[1 - who],
        };
        let process = match input.u8() {
            0xff => input.number(),
            _ => Party::HOST,
        };
        let count = match input.u8() {
            few @ 0..=0xef => usize::from(few % 4),
            many => usize::from(many - 0xf0) * 5,
        };
        let handles: Vec<_> = (0..count).map(|_| self.guests[who].handle(input)).collect();
        write_question(Party { device, process }, &handles).expect("there is room")
    }

    fn some_tokens(&self, input: &mut Input<'_>) -> Parcel {
        let count = match input.u8() {
            few @ 0..=0xef => usize::from(few % 4),
            many => usize::from(many - 0xf0) * 5,
        };
        let token = |_| match input.u8() {
            forged @ 0xf8.. => Token::from_bytes([forged; Token::LEN]),
            // Of late ones rather than of the first.
            back => match self.given.iter().rev().nth(back.into()) {
                Some(given) => given.token,
                None => Token::from_bytes([0; Token::LEN]),
            },
        };
        let tokens: Vec<_> = (0..count).map(token).collect();
        write_tokens(&tokens).expect("there is room")
    }

    /// Tokens are given for what may be passed on, to one who may have it.
    async fn introduces(&mut self, asker: usize, body: Parcel) {
        let guest = &self.guests[asker];
        let Some(mut reply) = guest.asks(code::INTRODUCE, &body).await else {
            return;
        };
        let asked = read_question(&mut body.clone());
        let (to, handles) = asked.expect("what cannot be read is not answered");
        assert_eq!(reply.object_count(), 0);
        let answer = read_answer(&mut reply, handles.len()).expect("an answer of an origin");
        assert_eq!(reply.readable_bytes(), 0);
        let Ok(tokens) = answer else { return };
        let receiver = 1 - asker;
        assert_eq!(to.device, GUESTS[receiver], "the third of three");
        for (token, handle) in tokens.into_iter().zip(handles) {
            let kind = guest.kind_of(handle).expect("it holds what it passes on");
            assert!(
                matches!(kind, Kind::ForAll | Kind::Passed),
                "{kind:?} goes to no third"
            );
            let known = self.given.iter().any(|given| given.token == token);
            assert!(!known, "each is new");
            self.given.push(Given {
                token,
                asker,
                // Of a device, no process of it has a session with the origin.
                receiver: if to.process == Party::HOST {
                    receiver
                } else {
                    GUESTS.len()
                },
                kind,
                when: Instant::now(),
                used: false,
            });
        }
    }

    /// Objects are given for tokens, to whom they are for, in their time and once.
    async fn redeems(&mut self, presenter: usize, body: Parcel) {
        let guest = &self.guests[presenter];
        let Some(mut reply) = guest.asks(code::REDEEM, &body).await else {
            return;
        };
        let presented = read_tokens(&mut body.clone());
        let presented = presented.expect("what cannot be read is not answered");
        assert!(reply.object_count() <= presented.len());
        for token in presented {
            if reply.read_i32() != Ok(YES) {
                continue;
            }
            let object = reply.read_remote_object().expect("what was asked for");
            let mut given = self.given.iter_mut();
            let given = given.find(|given| given.token == token && given.is_good());
            let given = given.expect("it was made, and not used");
            assert_eq!(given.receiver, presenter);
            let held = guest.held.iter().find(|(_, held)| *held == object);
            assert_eq!(held.map(|(kind, _)| *kind), Some(given.kind));
            given.used = true;
        }
        assert_eq!(reply.readable_bytes(), 0, "an answer for each");
    }

    /// Nobody holds more than agreed, and a session that is over begins again.
    async fn settles(&mut self) {
        tokio::time::sleep(Duration::from_millis(1)).await;
        // A token that expires this very moment is taken away by who has woken with us.
        tokio::task::yield_now().await;
        let counts = self.origin.introductions();
        assert_eq!(counts.made, self.given.len() as u64, "all of them arrived");
        let used = self.given.iter().filter(|given| given.used).count();
        assert_eq!(counts.redeemed, used as u64);
        let good = self.given.iter().filter(|given| given.is_good());
        assert_eq!(counts.live, good.count());
        for index in 0..GUESTS.len() {
            let of = |given: &&Given| given.asker == index && given.is_good();
            let asked = self.given.iter().filter(of).count();
            assert!(asked <= MAX_INTRODUCTIONS_PER_DEVICE);
            let guest = &self.guests[index];
            if guest.to_origin.end().is_some() || guest.at_origin.end().is_some() {
                let (origin, neighbours) = (&self.origin, &self.neighbours);
                self.guests[index] = Guest::begin(origin, neighbours, index).await;
            }
        }
    }

    /// What nobody came for is let go, and nothing is left of the sessions.
    async fn ends(self) {
        for guest in self.guests {
            guest.to_origin.close(DeathReason::ProcessDied, 0, "");
        }
        tokio::time::sleep(INTRODUCTION_TIME + SOON).await;
        assert_eq!(self.origin.introductions().live, 0);
        assert!(self.origin.usage().is_empty());
    }
}
