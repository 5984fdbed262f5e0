//! What the director and the devices tell each other: one JSON object a line, on the devices' standard input and output.

use std::{
    fmt::{Debug, Display},
    net::SocketAddr,
    time::Duration,
};

use serde::{Deserialize, Serialize};

/// What a device is to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Order {
    /// Say when the other devices came online.
    Meet,
    TypedCall,
    RawCall,
    Callback,
    Burst,
    Transfer,
    List,
    Find,
    NotFound,
    BackToOrigin,
    AnonymousDeath,
    Introduction,
    ThirdParty,
    /// Watch the tablet's service, and leave a call under way there.
    Watch,
    /// Wait for the notice.
    Told,
    /// Check what the death left behind.
    Aftermath,
    FindAgain,
    /// Wait until the tablet has left.
    SeeLeave,
    LocalCall,
    SharedMemory,
    RawData,
    ThroughHost,
    SecondPass,
    /// Take leave of the others and end.
    Leave,
}

/// What a device says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Report {
    /// It is on the bus.
    Ready { address: SocketAddr },
    /// It is a process of a device that is on the bus.
    Attached,
    /// It has moved so many bytes of the transfer.
    Moved { bytes: u64, doing: String },
    /// It has carried out the order, or could not start.
    Answer(Result<Done, Failure>),
}

/// A step did what it should.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Done {
    pub(crate) millis: f64,
    pub(crate) detail: String,
    /// What was measured beside `millis`.
    pub(crate) times: Vec<f64>,
}

impl Done {
    pub(crate) fn new(took: Duration, detail: impl Into<String>) -> Self {
        Self {
            millis: millis(took),
            detail: detail.into(),
            times: Vec::new(),
        }
    }
}

/// A step did something else.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Failure {
    pub(crate) expected: String,
    pub(crate) came: String,
}

impl Failure {
    pub(crate) fn new(expected: impl Into<String>, came: impl Into<String>) -> Self {
        Self {
            expected: expected.into(),
            came: came.into(),
        }
    }
}

/// How a step ended.
pub(crate) type Outcome = Result<Done, Failure>;

pub(crate) fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// An error where something else was expected.
pub(crate) trait OrFail<T> {
    fn or_fail(self, expected: &str) -> Result<T, Failure>;
}

impl<T, E: Display> OrFail<T> for Result<T, E> {
    fn or_fail(self, expected: &str) -> Result<T, Failure> {
        self.map_err(|error| Failure::new(expected, error.to_string()))
    }
}

/// Checks that what came is what was expected.
pub(crate) fn same<T: PartialEq + Debug>(
    what: &str,
    came: &T,
    expected: &T,
) -> Result<(), Failure> {
    if came == expected {
        return Ok(());
    }
    Err(Failure::new(
        format!("{what}: {expected:?}"),
        format!("{came:?}"),
    ))
}

/// Checks that something was refused, and how.
pub(crate) fn refused<T: Debug, E: PartialEq + Debug + Display>(
    what: &str,
    came: Result<T, E>,
    expected: &E,
) -> Result<(), Failure> {
    match came {
        Err(error) if error == *expected => Ok(()),
        Err(error) => Err(Failure::new(
            format!("{what}: {expected}"),
            error.to_string(),
        )),
        Ok(value) => Err(Failure::new(
            format!("{what}: {expected}"),
            format!("success: {value:?}"),
        )),
    }
}

/// Waits, but not for ever.
pub(crate) async fn within<T>(
    limit: Duration,
    what: &str,
    wait: impl Future<Output = T>,
) -> Result<T, Failure> {
    tokio::time::timeout(limit, wait)
        .await
        .map_err(|_| Failure::new(format!("{what} within {limit:?}"), "nothing"))
}
