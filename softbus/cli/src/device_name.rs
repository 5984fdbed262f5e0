//! From what the user calls a device to its id. Only the user's own words count: full ids, and what is in the trust store.

use softbus::{
    DeviceId,
    certs::{TrustEntry, escape_untrusted},
};

use crate::failure::{Failure, Kind};

/// The characters of an id in its text form, separators left out.
const ID_LEN: usize = 56;

/// The device of a full id, or the one among `known` whose id begins like that or that is called so.
pub(crate) fn resolve(given: &str, known: &[TrustEntry]) -> Result<DeviceId, Failure> {
    let malformed = match given.parse::<DeviceId>() {
        Ok(device) => return Ok(device),
        Err(error) => error,
    };
    let prefix = normalise(given);
    let called = |entry: &&TrustEntry| {
        let begins =
            !prefix.is_empty() && normalise(&entry.device.to_string()).starts_with(&prefix);
        begins || (!given.is_empty() && entry.name == given)
    };
    let found: Vec<_> = known.iter().filter(called).collect();
    let shown = escape_untrusted(given, 80);
    match found[..] {
        [entry] => Ok(entry.device),
        [] if prefix.len() == ID_LEN => {
            let message = format!("{shown} is no device id: {malformed}");
            Err(Failure::new(Kind::Usage, message)
                .hint("compare it with `softbus identity show` there"))
        }
        [] => {
            let message =
                format!("no trusted device has the name {shown:?} or an id that begins so");
            Err(Failure::new(Kind::NotFound, message)
                .hint("`softbus trust list` shows those that are trusted; any other is given by its full id"))
        }
        _ => {
            let devices: Vec<_> = found
                .iter()
                .map(|entry| format!("\n  {}", describe(entry)))
                .collect();
            let message = format!("{shown:?} is ambiguous:{}", devices.concat());
            Err(Failure::new(Kind::Usage, message).hint("give more of the id"))
        }
    }
}

fn describe(entry: &TrustEntry) -> String {
    format!("{}  {}", entry.device, escape_untrusted(&entry.name, 64))
        .trim_end()
        .to_owned()
}

/// As ids are read: without separators, in capitals, and with letters for the digits that look like them.
fn normalise(text: &str) -> String {
    let characters = text.chars().filter(|c| !matches!(c, '-' | ' '));
    let characters = characters.map(|c| match c {
        '0' => 'O',
        '1' => 'I',
        '8' => 'B',
        c => c.to_ascii_uppercase(),
    });
    characters.collect()
}

#[cfg(test)]
mod tests {
    use softbus::TrustStore;

    use super::*;

    fn device(byte: u8) -> DeviceId {
        DeviceId::from_bytes([byte; 32])
    }

    fn known(names: &[(u8, &str)]) -> Vec<TrustEntry> {
        let store = TrustStore::in_memory();
        for (byte, name) in names {
            store.trust(device(*byte), name).unwrap();
        }
        store.entries()
    }

    #[test]
    fn by_full_id_beginning_and_name() {
        let known = known(&[(1, "kitchen"), (0xff, "")]);
        let id = device(1).to_string();
        assert_eq!(
            resolve(&id, &[]).unwrap(),
            device(1),
            "a full id needs no trust"
        );
        assert_eq!(
            resolve(&id[..10].to_lowercase(), &known).unwrap(),
            device(1)
        );
        assert_eq!(resolve("kitchen", &known).unwrap(), device(1));
        for nobody in ["Kitchen", "kitche", "", "-", "zz"] {
            assert_eq!(
                resolve(nobody, &known).unwrap_err().kind,
                Kind::NotFound,
                "{nobody:?}"
            );
        }
    }

    #[test]
    fn what_fits_two_is_refused_and_both_are_shown() {
        let twins = known(&[(1, "twin"), (2, "twin")]);
        let failure = resolve("twin", &twins).unwrap_err();
        assert_eq!(failure.kind, Kind::Usage);
        for byte in [1, 2] {
            assert!(
                failure.message.contains(&device(byte).to_string()),
                "{}",
                failure.message
            );
        }
        // A name that is the beginning of another device's id.
        let beginning = &device(1).to_string()[..5];
        let known = known(&[(1, ""), (0xff, beginning)]);
        assert!(
            resolve(beginning, &known)
                .unwrap_err()
                .message
                .contains("ambiguous")
        );
    }

    #[test]
    fn a_mistyped_id_says_where() {
        let mut id = device(1).to_string();
        id.replace_range(0..1, if id.starts_with('A') { "B" } else { "A" });
        let failure = resolve(&id, &[]).unwrap_err();
        assert_eq!(failure.kind, Kind::Usage);
        assert!(failure.message.contains("group"), "{}", failure.message);
    }
}
