//! OpenHarmony's numbers: the one place that knows them, and that turns our errors into them.

use std::ffi::c_int;

use softbus::{HandlerError, SendRequestError};

use crate::log::{Level, log};

pub(crate) const SUCCESS: c_int = 0;
pub(crate) const CHECK_PARAM: c_int = 1_901_000;
pub(crate) const PARCEL_WRITE: c_int = 1_901_001;
pub(crate) const PARCEL_READ: c_int = 1_901_002;
pub(crate) const MEM_ALLOCATOR: c_int = 1_901_003;
pub(crate) const CODE_OUT_OF_RANGE: c_int = 1_901_004;
pub(crate) const DEAD_REMOTE_OBJECT: c_int = 1_901_005;
pub(crate) const INVALID_USER_ERROR_CODE: c_int = 1_901_006;
pub(crate) const INNER: c_int = 1_901_007;

const USER_MIN: c_int = 1_909_000;
const USER_MAX: c_int = 1_909_999;

/// Whether a request callback may answer this.
fn is_legal(code: c_int) -> bool {
    matches!(code, CHECK_PARAM..=INNER | USER_MIN..=USER_MAX)
}

/// What a request callback has returned, as the bus carries it.
pub(crate) fn from_callback(code: c_int) -> Result<(), HandlerError> {
    match code {
        SUCCESS => Ok(()),
        code if is_legal(code) => Err(HandlerError::Code(code)),
        _ => {
            log(Level::Error, &format!("a request callback returned {code}"));
            Err(HandlerError::Code(INVALID_USER_ERROR_CODE))
        }
    }
}

/// What a request that failed is to its caller. Never 0: a service that is written in another language may answer any
/// number of its own.
pub(crate) fn of_request(error: &SendRequestError) -> c_int {
    let Some(number) = number_of(error) else {
        return inner(error);
    };
    remember(error);
    number
}

/// The number of its own that such an error has, if it has one.
pub(crate) fn number_of(error: &SendRequestError) -> Option<c_int> {
    match error {
        SendRequestError::Service(code) if is_legal(*code) => Some(*code),
        SendRequestError::InvalidCode { .. } => Some(CODE_OUT_OF_RANGE),
        // Whether it ran is not known, but who would have answered is gone: as the kernel's binder has it.
        SendRequestError::DeadObject { .. } | SendRequestError::Indeterminate => {
            Some(DEAD_REMOTE_OBJECT)
        }
        _ => None,
    }
}

/// An argument that is none: for `CHECK_PARAM`, and for functions that return no number.
pub(crate) fn invalid() {
    say("an argument is NULL, destroyed, empty, too long or out of range");
}

/// That, with its number.
pub(crate) fn check_param() -> c_int {
    invalid();
    CHECK_PARAM
}

/// An error that has no number of its own. What it was is in the log and for `SoftBus_LastError`.
pub(crate) fn inner(error: &dyn std::error::Error) -> c_int {
    explain(&text_of(error));
    INNER
}

/// Says what an error was to whoever reads the log or asks.
pub(crate) fn explain(what: &str) {
    log(Level::Warn, what);
    say(what);
}

/// Says what an error was to whoever asks: one that its number explains well enough for the log.
pub(crate) fn remember(error: &dyn std::error::Error) {
    crate::boundary::set_last_error(text_of(error));
}

/// Words for who asks, where no error has them.
pub(crate) fn say(what: &str) {
    crate::boundary::set_last_error(what.to_owned());
}

/// What an error was, with what it came from.
pub(crate) fn text_of(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text += &format!(": {cause}");
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use softbus::DeathReason;

    use super::*;

    // Rows 10 and 11.
    #[test]
    fn what_a_callback_may_answer_arrives_unchanged() {
        for code in [CHECK_PARAM, INNER, USER_MIN, USER_MIN + 1, USER_MAX] {
            assert_eq!(from_callback(code), Err(HandlerError::Code(code)));
            assert_eq!(of_request(&SendRequestError::Service(code)), code);
        }
        assert_eq!(from_callback(0), Ok(()));
        for code in [
            1,
            -1,
            CHECK_PARAM - 1,
            INNER + 1,
            USER_MIN - 1,
            USER_MAX + 1,
        ] {
            let invalid = HandlerError::Code(INVALID_USER_ERROR_CODE);
            assert_eq!(from_callback(code), Err(invalid), "{code}");
        }
    }

    // Rows 12 and 13.
    #[test]
    fn failures_are_never_success() {
        let reason = DeathReason::ProcessDied;
        let after = Duration::ZERO;
        for (error, code) in [
            (SendRequestError::DeadObject { reason }, DEAD_REMOTE_OBJECT),
            (SendRequestError::Indeterminate, DEAD_REMOTE_OBJECT),
            (SendRequestError::InvalidCode { code: 0 }, CODE_OUT_OF_RANGE),
            (SendRequestError::Service(0), INNER),
            (SendRequestError::Service(-7), INNER),
            (SendRequestError::Refused, INNER),
            (SendRequestError::Panicked, INNER),
            (SendRequestError::UnknownMethod { code: 3 }, INNER),
            (SendRequestError::MalformedReply, INNER),
            (SendRequestError::TimedOut { after }, INNER),
            (SendRequestError::Internal(String::new()), INNER),
        ] {
            assert_eq!(of_request(&error), code, "{error:?}");
        }
    }
}
