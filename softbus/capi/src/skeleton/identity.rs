//! Who calls, on the thread of a request callback: OpenHarmony's shape of what in Rust is an argument.

use std::{cell::Cell, fmt};

use softbus::{Caller, DeviceId};

/// Decimal digits of a token and of a process number in the text of an identity.
const NUMBER: usize = 20;
/// Digits of a device id there.
const DEVICE: usize = 64;

/// A caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    /// The device, if it is another one.
    pub(crate) device: Option<DeviceId>,
    pub(crate) pid: i32,
    pub(crate) uid: i32,
    pub(crate) token: u64,
}

thread_local! {
    /// Whose request the callback on this thread answers; none outside of one.
    static CALLER: Cell<Option<Identity>> = const { Cell::new(None) };
}

impl Identity {
    /// This process.
    pub(crate) fn own() -> Self {
        let uid = rustix::process::getuid().as_raw();
        Self::local(std::process::id(), uid)
    }

    /// A process of this device. Without a token the user stands in.
    fn local(pid: u32, uid: u32) -> Self {
        Self {
            device: None,
            pid: pid.cast_signed(),
            uid: uid.cast_signed(),
            token: uid.into(),
        }
    }

    /// Another device. Its processes and users are its own affair.
    fn remote(device: DeviceId) -> Self {
        Self {
            device: Some(device),
            pid: -1,
            uid: -1,
            token: 0,
        }
    }

    fn of(caller: &Caller) -> Self {
        if !caller.is_local() {
            return Self::remote(caller.device());
        }
        let own = Self::own();
        match (caller.pid(), caller.uid()) {
            (Some(pid), Some(uid)) => Self::local(pid, uid),
            // A call within this process.
            _ => own,
        }
    }

    /// What [`Display`](fmt::Display) has written, and nothing else.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if !text.is_ascii() {
            return None;
        }
        let (local, rest) = match text.strip_prefix('<') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (token, rest) = rest.split_at_checked(NUMBER)?;
        let token: u64 = number(token)?;
        let (middle, rest) = rest.split_at_checked(if local { NUMBER } else { DEVICE })?;
        let both: u64 = number(rest)?;
        let (uid, pid) = ((both >> 32) as i32, both as i32);
        let device = if local {
            (number(middle)? == u64::from(pid.cast_unsigned())).then_some(None)?
        } else {
            Some(device(middle)?)
        };
        Some(Self {
            device,
            pid,
            uid,
            token,
        })
    }
}

/// Digits and nothing else, not even a sign.
fn number(text: &str) -> Option<u64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok())?
}

fn device(text: &str) -> Option<DeviceId> {
    let mut bytes = [0; DEVICE / 2];
    for (byte, at) in bytes.iter_mut().zip((0..).step_by(2)) {
        let digits = text.get(at..at + 2)?;
        if digits.starts_with('+') {
            return None;
        }
        *byte = u8::from_str_radix(digits, 16).ok()?;
    }
    Some(DeviceId::from_bytes(bytes))
}

/// OpenHarmony's text: for this device `<`, token and process in 20 digits each; for another one the token and 64 digits of
/// the device; and then user and process in one number.
impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pid = self.pid.cast_unsigned();
        let both = u64::from(self.uid.cast_unsigned()) << 32 | u64::from(pid);
        match self.device {
            None => write!(f, "<{:020}{pid:020}{both}", self.token),
            Some(device) => {
                write!(f, "{:020}", self.token)?;
                for byte in device.as_bytes() {
                    write!(f, "{byte:02x}")?;
                }
                write!(f, "{both}")
            }
        }
    }
}

/// Runs a callback for a caller. The one of an outer callback on this thread is put back afterwards.
pub(crate) fn within<R>(caller: &Caller, run: impl FnOnce() -> R) -> R {
    struct Restore(Option<Identity>);
    impl Drop for Restore {
        fn drop(&mut self) {
            CALLER.set(self.0);
        }
    }
    let _restore = Restore(CALLER.replace(Some(Identity::of(caller))));
    run()
}

/// Whether a callback runs on this thread.
pub(crate) fn is_handling() -> bool {
    CALLER.get().is_some()
}

/// Who calls; this process outside of a callback.
pub(crate) fn caller() -> Identity {
    CALLER.get().unwrap_or_else(Identity::own)
}

/// Makes somebody else the caller of the callback that runs.
pub(crate) fn set(identity: Identity) {
    if is_handling() {
        CALLER.set(Some(identity));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let device = DeviceId::from_bytes([0xa7; 32]);
        for identity in [
            Identity::own(),
            Identity::local(1, 0),
            Identity::local(4_000_000, u32::MAX - 1),
            Identity::remote(device),
        ] {
            let text = identity.to_string();
            assert_eq!(Identity::parse(&text), Some(identity), "{text}");
        }
    }

    #[test]
    fn anything_else_is_refused() {
        let good = Identity::local(77, 5).to_string();
        let remote = Identity::remote(DeviceId::from_bytes([0xa7; 32])).to_string();
        for bad in [
            "",
            "<",
            "hello, world.",
            &good[1..],
            &good[..good.len() - 1],
            &good[..41],
            &format!("{good} "),
            &format!("{good}x"),
            &good.replacen("77", "78", 1),
            &remote[1..],
            &remote[..84],
            &remote.replace("a7", "g7"),
            &remote.replace("a7", "+7"),
            "ä",
        ] {
            assert_eq!(Identity::parse(bad), None, "{bad}");
        }
    }
}
