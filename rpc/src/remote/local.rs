//! Stubs of this process.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicU64, Ordering},
};

use proto::{BootId, DeviceId, ObjectId, ServiceId, message::DeathReason};

use super::{RemoteStub, SharedHolders, StubOptions};
use crate::{
    access::Permission,
    dispatch::Gate,
    interface::MethodHash,
    registry::{Allow, Describe, ServiceOptions},
    relay::{Origin, Relay},
    session::{Reference, passing_rules::Party},
};

/// A stub with what the bus has to know of it. One per stub: it is the stub's identity.
pub(crate) struct StubCell {
    runs: Runs,
    /// Never used again in this process, so that no export is taken for another.
    number: u64,
    // Asked once: a session must not run the stub's code.
    descriptor: String,
    methods: Vec<MethodHash>,
    options: StubOptions,
    pub(crate) gate: Gate,
    dead: OnceLock<DeathReason>,
    holders: SharedHolders,
    /// The bus it was first offered on.
    home: OnceLock<Party>,
}

/// What answers requests.
enum Runs {
    Stub(Arc<dyn RemoteStub>),
    Relay(Relay),
}

impl StubCell {
    pub(super) fn new(stub: Arc<dyn RemoteStub>) -> Self {
        Self::numbered(stub, Self::next_number())
    }

    /// An object that forwards.
    pub(crate) fn relay(relay: Relay) -> Self {
        let options = relay.options();
        Self {
            number: Self::next_number(),
            descriptor: String::new(),
            methods: Vec::new(),
            gate: Gate::new(&options),
            options,
            dead: OnceLock::new(),
            holders: SharedHolders::default(),
            home: OnceLock::new(),
            runs: Runs::Relay(relay),
        }
    }

    pub(crate) fn next_number() -> u64 {
        static NUMBERS: AtomicU64 = AtomicU64::new(LocalObject::ROOT + 1);
        NUMBERS.fetch_add(1, Ordering::Relaxed)
    }

    /// A bus's system ability manager.
    pub(crate) fn root(stub: Arc<dyn RemoteStub>) -> Self {
        Self::numbered(stub, LocalObject::ROOT)
    }

    fn numbered(stub: Arc<dyn RemoteStub>, number: u64) -> Self {
        let options = stub.options();
        Self {
            number,
            descriptor: stub.descriptor().to_owned(),
            methods: stub.methods(),
            gate: Gate::new(&options),
            options,
            dead: OnceLock::new(),
            holders: SharedHolders::default(),
            home: OnceLock::new(),
            runs: Runs::Stub(stub),
        }
    }

    /// The stub itself; a relay has none.
    pub(crate) fn stub(&self) -> Option<&Arc<dyn RemoteStub>> {
        match &self.runs {
            Runs::Stub(stub) => Some(stub),
            Runs::Relay(_) => None,
        }
    }

    /// What it forwards to, if that is all it does.
    pub(crate) fn as_relay(&self) -> Option<&Relay> {
        match &self.runs {
            Runs::Stub(_) => None,
            Runs::Relay(relay) => Some(relay),
        }
    }

    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    pub(crate) fn descriptor(&self) -> &str {
        &self.descriptor
    }

    pub(crate) fn options(&self) -> &StubOptions {
        &self.options
    }

    pub(crate) fn holders(&self) -> &SharedHolders {
        &self.holders
    }

    pub(crate) fn death(&self) -> Option<DeathReason> {
        self.dead.get().copied()
    }

    /// Why it is dead for those who hold it as this registration.
    pub(crate) fn death_of(&self, registration: Option<&Registration>) -> Option<DeathReason> {
        self.death().or_else(|| {
            let removed = registration?.removed.get();
            removed.map(|()| DeathReason::ServiceRemoved)
        })
    }

    pub(crate) fn set_home(&self, party: Party) {
        let _ = self.home.set(party);
    }

    /// Who calls when this process calls it: nobody in particular while it was never offered on a bus.
    pub(crate) fn home(&self) -> Party {
        let nobody = Party {
            device: DeviceId::from_bytes([0; 32]),
            process: 0,
        };
        self.home.get().copied().unwrap_or(nobody)
    }

    /// Whether it was alive until now.
    pub(crate) fn die(&self, reason: DeathReason) -> bool {
        self.dead.set(reason).is_ok()
    }
}

impl std::fmt::Debug for StubCell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stub")
            .field("number", &self.number)
            .field("descriptor", &self.descriptor)
            .finish_non_exhaustive()
    }
}

/// A registration of a stub with the system ability manager: an identity of its own beside the stub's.
#[derive(Debug)]
pub(crate) struct Registration {
    pub(crate) service: ServiceId,
    /// Never used again in this process.
    pub(crate) number: u64,
    pub(crate) allow: Option<Allow>,
    describe: Describe,
    removed: OnceLock<()>,
}

impl Registration {
    pub(crate) fn new(
        service: ServiceId,
        number: u64,
        allow: Option<Allow>,
        describe: Describe,
    ) -> Self {
        Self {
            service,
            number,
            allow,
            describe,
            removed: OnceLock::new(),
        }
    }

    /// How it was made.
    pub(crate) fn options(&self) -> ServiceOptions {
        ServiceOptions {
            allow: self.allow.clone(),
            describe: self.describe.clone(),
        }
    }

    /// Whether a device that may call may ask what the service looks like.
    pub(crate) fn describes(&self, device: DeviceId) -> bool {
        self.describe.admits(device)
    }

    /// The service is no longer registered. Said before the sessions are told, so that a look-up that was quicker
    /// cannot grant it as alive afterwards.
    pub(crate) fn remove(&self) {
        let _ = self.removed.set(());
    }

    /// Whether it is for other devices at all.
    pub(crate) fn is_distributed(&self) -> bool {
        self.allow.is_some()
    }

    /// Whether a device may call some method; `ruled` is what the policy says, if there is one. Processes of this device always may
    /// and are not asked about.
    pub(crate) fn admits(&self, device: DeviceId, ruled: Option<&Permission>) -> bool {
        self.allow
            .as_ref()
            .is_some_and(|allow| allow.admits(device, ruled))
    }
}

/// What a session exports: a stub, anonymous or as one registration of it.
#[derive(Clone, Debug)]
pub struct LocalObject {
    pub(crate) stub: Arc<StubCell>,
    pub(crate) registration: Option<Arc<Registration>>,
}

/// Tells exports apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct LocalObjectKey {
    stub: u64,
    registration: u64,
}

impl LocalObject {
    /// The number of a bus's system ability manager.
    pub(crate) const ROOT: u64 = 0;

    pub(crate) fn anonymous(stub: Arc<StubCell>) -> Self {
        Self {
            stub,
            registration: None,
        }
    }

    pub(crate) fn key(&self) -> LocalObjectKey {
        LocalObjectKey {
            stub: self.stub.number,
            registration: self.registration_number(),
        }
    }

    /// Whether all it does is to forward.
    pub(crate) fn is_relay(&self) -> bool {
        self.stub.as_relay().is_some()
    }

    /// Whether it is told how long its handlers take.
    pub(crate) fn is_watched(&self) -> bool {
        !self.stub.options.long_poll
    }

    /// Whether its owner lets others hand it to other devices, whatever the policy is. One that is registered is for the
    /// policy alone.
    pub(crate) fn is_re_exportable(&self) -> bool {
        self.registration.is_none() && self.stub.options().re_exportable
    }

    /// What it is on the device that it relays.
    pub(crate) fn origin(&self) -> Option<&Origin> {
        self.stub.as_relay()?.origin()
    }

    /// Which object it is to other devices. Relays of one stub have one.
    pub(crate) fn id(&self, boot: BootId) -> ObjectId {
        let relayed = self.stub.as_relay().and_then(Relay::number);
        ObjectId {
            boot,
            number: relayed.unwrap_or(self.stub.number),
        }
    }

    /// Why it is dead, if it is.
    pub(crate) fn death(&self) -> Option<DeathReason> {
        self.stub.death_of(self.registration.as_deref())
    }

    /// What tells who holds it.
    pub(crate) fn reference(&self) -> Reference {
        Reference(Arc::clone(self.stub.holders()))
    }

    pub(crate) fn registration(&self) -> Option<ServiceId> {
        self.registration
            .as_ref()
            .map(|registration| registration.service)
    }

    /// The number of its registration, 0 if it is anonymous.
    pub(crate) fn registration_number(&self) -> u64 {
        self.registration
            .as_ref()
            .map_or(0, |registration| registration.number)
    }

    pub(crate) fn descriptor(&self) -> &str {
        &self.stub.descriptor
    }

    pub(crate) fn methods(&self) -> &[MethodHash] {
        &self.stub.methods
    }
}
