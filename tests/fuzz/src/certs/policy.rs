//! The file in which an owner says who may call what.

use proto::{DeviceId, ServiceId};
use softbus_certs::{MemberName, Policy, Principal};

/// Those that a rule can tell apart from their neighbours.
const NUMBERS: [u32; 8] = [1, 2, 3, 7, 8, 1401, 0x00ff_fffe, 0x00ff_ffff];

/// All bytes are the file.
pub fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    check_lines(&text);
    let Ok(policy) = Policy::parse(&text) else {
        return;
    };
    assert!(policy.rule_count() <= Policy::MAX_RULES);
    assert!(policy.denial_count() <= Policy::MAX_RULES);
    assert!(policy.registration_count() <= Policy::MAX_RULES);
    let denied = denied(&text);
    for who in callers() {
        for service in NUMBERS.into_iter().filter_map(ServiceId::new) {
            let access = policy.access(&who, service);
            for method in NUMBERS {
                let explained = policy.explain(&who, service, method);
                let (allowed, why) = (explained.allowed(), explained.to_string());
                assert_eq!(access.admits(method), allowed, "one answer: {why}");
                assert!(!allowed || !explained.rules().is_empty(), "by some rule");
                if let Some(denied) = &denied {
                    let all_the_same = denied.access(&who, service).admits(method);
                    assert!(!all_the_same, "a denial takes all away");
                }
            }
        }
        if let Some(denied) = &denied {
            assert_eq!(denied.denial_count(), policy.denial_count() + 1);
        }
    }
    check_registrations(&policy);
}

/// The file says the same a line further down, faults included.
fn check_lines(text: &str) {
    let moved = format!("#\n{text}");
    if moved.len() > Policy::MAX_FILE_LEN || text.starts_with('\u{feff}') {
        return;
    }
    match (Policy::parse(text), Policy::parse(&moved)) {
        (Ok(here), Ok(there)) => assert_eq!(here.rule_count(), there.rule_count()),
        (Err(here), Err(there)) => {
            assert_eq!(here.fault, there.fault);
            // What is missing is missing in the whole of it, which begins with its first line.
            let moved = here.line.map(|line| line + 1);
            assert!(
                there.line == moved || (here.line, there.line) == (Some(1), Some(1)),
                "{here}"
            );
            let lines = 1 + text.bytes().filter(|byte| *byte == b'\n').count();
            assert!(here.line.is_none_or(|line| line <= lines), "{here}");
        }
        (here, there) => panic!("{here:?} above {there:?}"),
    }
}

/// The same with a denial of everything, unless it has tests that then fail, or no room.
fn denied(text: &str) -> Option<Policy> {
    let denial = "\n[[deny]]\nid = \"nobody-at-all\"\nfrom = [\"trusted\"]\n";
    Policy::parse(&format!("{text}{denial}")).ok()
}

fn callers() -> [Principal; 4] {
    let member = |path| Principal {
        device: DeviceId::from_bytes([1; 32]),
        member: MemberName::new("prod", path).ok(),
    };
    [
        Principal::device(DeviceId::from_bytes([0; 32])),
        Principal::device(DeviceId::from_bytes([7; 32])),
        member("kiosk/7"),
        member("kiosk"),
    ]
}

/// Who may register for other devices may do so for this one.
fn check_registrations(policy: &Policy) {
    for service in NUMBERS.into_iter().filter_map(ServiceId::new) {
        for user in [0, 1000, u32::MAX] {
            let far = policy.may_register(service, user, true);
            assert!(!far || policy.may_register(service, user, false));
        }
    }
}
