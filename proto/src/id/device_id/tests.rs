use proptest::prelude::*;

use super::*;

/// Made with an implementation of its own in another language.
const VECTORS: [([u8; 32], &str); 5] = [
    (
        [0; 32],
        "AAAAAAA-AAAAAAA-AAAAAAA-AAAAAAA-AAAAAAA-AAAAAAA-AAAAAAA-AAAAAAA",
    ),
    (
        [0xff; 32],
        "7777777-777777N-7777777-777777N-7777777-777777N-7777777-77777QL",
    ),
    (
        [
            0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d,
            0x0e, 0x0f, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 0x19, 0x1a, 0x1b,
            0x1c, 0x1d, 0x1e, 0x1f,
        ],
        "AAAQEAY-EAUDAO5-CAJBIFQ-YDIOB4X-IBCEQTC-QKRMFYM-YDENBWH-A5DYPQS",
    ),
    // SHA-256 of nothing
    (
        [
            0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f,
            0xb9, 0x24, 0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b,
            0x78, 0x52, 0xb8, 0x55,
        ],
        "4OYMIQU-Y7QOBJ5-GX36TEJ-S35ZEQN-T24QPEM-SNZGTFO-ESWMRW6-CSXBKQM",
    ),
    // SHA-256 of "softbus"
    (
        [
            0x98, 0xe0, 0xdb, 0x10, 0x9a, 0x0b, 0x76, 0xd9, 0xdb, 0x21, 0x50, 0xfc, 0xcc, 0x14,
            0x0f, 0x5e, 0xbb, 0x06, 0x6c, 0x98, 0x3d, 0x9b, 0x5f, 0x28, 0x45, 0xb0, 0x2e, 0xe1,
            0xd0, 0xc2, 0x43, 0x0a,
        ],
        "TDQNWEE-2BN3NT3-WZBKD6M-YFAPL2S-5QM3EYH-WNV6KCE-FWAXODU-GCIMFAS",
    ),
];

#[test]
fn vectors_both_ways() {
    for (bytes, text) in VECTORS {
        let id = DeviceId::from_bytes(bytes);
        assert_eq!(id.to_string(), text);
        assert_eq!(text.parse(), Ok(id));
    }
    assert_eq!(DeviceId::from_spki(b"softbus").as_bytes(), &VECTORS[4].0);
}

#[test]
fn shown_short_in_logs() {
    let id = DeviceId::from_spki(b"softbus");
    assert_eq!(id.short().to_string(), "TDQNWEE");
    assert_eq!(format!("{id:?}"), "DeviceId(TDQNWEE)");
    assert_eq!(format!("{:>9}|", id.short()), "  TDQNWEE|");
}

#[test]
fn harmless_spellings_are_read() {
    let (bytes, text) = VECTORS[3];
    let id = Ok(DeviceId::from_bytes(bytes));
    assert_eq!(text.to_lowercase().parse(), id);
    assert_eq!(text.replace('-', "").parse(), id);
    assert_eq!(text.replace('-', " - ").parse(), id);
    assert_eq!(
        text.replace('O', "0")
            .replace('I', "1")
            .replace('B', "8")
            .parse(),
        id
    );
}

#[test]
fn all_56_characters_are_required() {
    let (_, text) = VECTORS[3];
    let plain = text.replace('-', "");
    let unchecked: String = plain
        .chars()
        .enumerate()
        .filter(|(i, _)| i % 14 != 13)
        .map(|(_, c)| c)
        .collect();
    assert_eq!(
        unchecked.parse::<DeviceId>(),
        Err(ParseDeviceIdError::Length { found: 52 })
    );
    assert_eq!(
        "".parse::<DeviceId>(),
        Err(ParseDeviceIdError::Length { found: 0 })
    );
    let long = format!("{plain}A");
    assert_eq!(
        long.parse::<DeviceId>(),
        Err(ParseDeviceIdError::Length { found: 57 })
    );
}

#[test]
fn wrong_characters_are_named_with_their_group() {
    for (index, group) in [(0, 1), (6, 1), (7, 2), (48, 7), (55, 8)] {
        let mut text: Vec<char> = VECTORS[3].1.replace('-', "").chars().collect();
        text[index] = 'é';
        assert_eq!(
            text.iter().collect::<String>().parse::<DeviceId>(),
            Err(ParseDeviceIdError::Character {
                character: 'é',
                group
            }),
        );
    }
}

#[test]
fn every_single_mistake_is_found_in_its_groups() {
    for (_, text) in VECTORS {
        let plain = text.replace('-', "").into_bytes();
        for index in 0..plain.len() {
            for other in ALPHABET.iter().filter(|c| **c != plain[index]) {
                let mut wrong = plain.clone();
                wrong[index] = *other;
                let first_group = group_of(index / 14 * 14);
                assert_eq!(
                    str::from_utf8(&wrong).unwrap().parse::<DeviceId>(),
                    Err(ParseDeviceIdError::Check { first_group }),
                );
            }
        }
    }
}

#[test]
fn swap_with_the_check_character_is_found() {
    // Between a doubled and a plain value only 0 and 31 can be swapped unseen.
    let (_, text) = VECTORS[4];
    let plain = text.replace('-', "").into_bytes();
    for check in [13, 27, 41, 55] {
        let mut wrong = plain.clone();
        assert_ne!(wrong[check], wrong[check - 1]);
        wrong.swap(check, check - 1);
        let first_group = group_of(check - 13);
        assert_eq!(
            str::from_utf8(&wrong).unwrap().parse::<DeviceId>(),
            Err(ParseDeviceIdError::Check { first_group }),
        );
    }
}

#[test]
fn a_device_has_one_spelling() {
    let (_, text) = VECTORS[0];
    let mut plain = text.replace('-', "").into_bytes();
    for last in ALPHABET {
        plain[54] = *last;
        plain[55] = check_character(&plain[42..55]);
        let parsed = str::from_utf8(&plain).unwrap().parse::<DeviceId>();
        match last {
            // the two values whose four low bits are zero
            b'A' | b'Q' => assert!(parsed.is_ok()),
            _ => assert_eq!(parsed, Err(ParseDeviceIdError::TrailingBits)),
        }
    }
}

#[test]
fn errors_say_where() {
    assert_eq!(
        ParseDeviceIdError::Check { first_group: 3 }.to_string(),
        "mistyped device id: group 3 or 4",
    );
    assert_eq!(
        ParseDeviceIdError::Character {
            character: '!',
            group: 2
        }
        .to_string(),
        "character '!' in group 2 of the device id",
    );
}

proptest! {
    #[test]
    fn text_round_trips(bytes: [u8; 32]) {
        let id = DeviceId::from_bytes(bytes);
        prop_assert_eq!(id.to_string().parse(), Ok(id));
    }

    #[test]
    fn any_text_is_read_without_panic(text in ".{0,80}") {
        let _ = text.parse::<DeviceId>();
    }
}
