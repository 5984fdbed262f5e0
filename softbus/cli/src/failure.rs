//! What went wrong, how the process ends for it, and what to do next.

use std::fmt::Display;

use softbus::{DeviceId, GetServiceError, SendRequestError, certs::escape_untrusted};

/// The most characters of a text of a peer in an error.
const MAX_PEER_TEXT: usize = 200;

/// What kind of failure it is: its name for machines, and the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Failed,
    Usage,
    NotFound,
    Refused,
    TimedOut,
    Interrupted,
    /// Nobody reads our output any more, which is no failure of ours.
    OutputClosed,
}

impl Kind {
    pub(crate) const fn exit_code(self) -> u8 {
        match self {
            Self::OutputClosed => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NotFound => 3,
            Self::Refused => 4,
            Self::TimedOut => 5,
            Self::Interrupted => 130,
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::OutputClosed => "output_closed",
            Self::Failed => "failed",
            Self::Usage => "usage",
            Self::NotFound => "not_found",
            Self::Refused => "refused",
            Self::TimedOut => "timed_out",
            Self::Interrupted => "interrupted",
        }
    }
}

/// Why a command did not do what it was asked to.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) kind: Kind,
    pub(crate) message: String,
    /// What to do next.
    pub(crate) hint: Option<String>,
}

impl Failure {
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            hint: None,
        }
    }

    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::new(Kind::Failed, message)
    }

    pub(crate) fn interrupted() -> Self {
        Self::new(Kind::Interrupted, "interrupted")
    }

    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl From<SendRequestError> for Failure {
    fn from(error: SendRequestError) -> Self {
        use SendRequestError as E;
        let (kind, hint) = match &error {
            E::TimedOut { .. } => (Kind::TimedOut, "--wait SECONDS waits longer"),
            E::Refused => (
                Kind::Refused,
                "the program there does not let this device call it",
            ),
            E::DeadObject { .. } => (Kind::NotFound, "the service went away; try again"),
            E::UnknownMethod { .. } => (
                Kind::Failed,
                "check the code against the interface of the service",
            ),
            E::MalformedRequest => (
                Kind::Failed,
                "check types and order of the arguments against the interface of the service",
            ),
            E::Busy { .. } | E::ShuttingDown => (Kind::Failed, "try again"),
            E::Indeterminate => (
                Kind::Failed,
                "the method may have run or not: find out before it is called again",
            ),
            E::RequestTooLarge { .. } => (Kind::Failed, "send less in one call"),
            _ => return Self::failed(peer_text(&error)),
        };
        Self::new(kind, peer_text(&error)).hint(hint)
    }
}

/// Who asked whom: for what to do next.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    /// The device that was asked.
    pub(crate) device: &'a DeviceId,
    /// This one, which the other has to trust.
    pub(crate) us: &'a DeviceId,
    /// How this command is called.
    pub(crate) softbus: &'a str,
}

impl Asked<'_> {
    /// Why there is nothing to be had from the device.
    pub(crate) fn failure(self, what: &str, error: &GetServiceError) -> Failure {
        use GetServiceError as E;
        let Self {
            device,
            us,
            softbus,
        } = self;
        let offers = format!("{softbus} services {device}");
        let (kind, hint) = match error {
            E::Absent => (Kind::NotFound, format!("see what it offers: {offers}")),
            E::Refused => (
                Kind::Refused,
                format!("it is not there or not for this device; see what is: {offers}"),
            ),
            E::NotDistributed => (
                Kind::Refused,
                "the program that offers it has to register it for other devices".to_owned(),
            ),
            E::DeviceNotTrusted => (Kind::Refused, format!("run: {softbus} trust add {device}")),
            E::NotTrustedByDevice => (
                Kind::Refused,
                format!("on the other machine run: softbus trust add {us}"),
            ),
            E::NoCommonVersion { .. } => (
                Kind::Failed,
                "install a newer softbus on the device with the lower versions".to_owned(),
            ),
            E::Unreachable(_) => (
                Kind::NotFound,
                format!(
                    "check that it runs and is on this network, or say where it is: --peer {device}@IP:PORT"
                ),
            ),
            E::TimedOut { .. } => (Kind::TimedOut, "try again".to_owned()),
            E::Busy | E::TooManyLoads { .. } => (Kind::Failed, "try again".to_owned()),
            E::StartFailed(_) => (
                Kind::Failed,
                "the log of the program that offers it says why".to_owned(),
            ),
            E::TooManyRestarts { retry_after, .. } => (
                Kind::Failed,
                format!("try again in {} s", retry_after.as_secs() + 1),
            ),
            E::Call(inner) => return inner.clone().into(),
            _ => return Failure::failed(format!("{what}: {}", peer_text(error))),
        };
        Failure::new(kind, format!("{what}: {}", peer_text(error))).hint(hint)
    }
}

/// Errors carry what a peer said.
fn peer_text(error: &impl Display) -> String {
    escape_untrusted(&error.to_string(), MAX_PEER_TEXT)
}
