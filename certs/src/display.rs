//! Showing text that somebody else wrote.

/// Makes a text from a peer fit to be shown or logged: at most `max` characters, none of which moves the cursor, changes
/// colours, reverses the line or cannot be seen.
///
/// Everything a device says about itself is untrusted, its name above all. Characters that are not printable become
/// `\n`, `\u{202e}` and the like, a backslash becomes `\\` so that an escape cannot be forged, and a text that was cut
/// ends with `…`. Letters of all scripts stay as they are; that one name may *look* like another is why a device is
/// shown with its short id beside it.
///
/// ```
/// use softbus_certs::escape_untrusted;
///
/// assert_eq!(escape_untrusted("Küche", 20), "Küche");
/// assert_eq!(escape_untrusted("phone\u{202e}\x1b[2J", 40), r"phone\u{202e}\u{1b}[2J");
/// assert_eq!(escape_untrusted("a very long name", 7), "a very…");
/// ```
pub fn escape_untrusted(text: &str, max: usize) -> String {
    let mut shown = String::new();
    let mut left = max;
    // The end of `shown` up to which there is still room for the mark of a cut.
    let mut cut = 0;
    for character in text.chars() {
        let escaped = escape(character);
        let width = escaped.chars().count();
        if width > left {
            shown.truncate(cut);
            if max > 0 {
                shown.push('…');
            }
            return shown;
        }
        shown.push_str(&escaped);
        left -= width;
        if left > 0 {
            cut = shown.len();
        }
    }
    shown
}

fn escape(character: char) -> String {
    match character {
        '\'' | '"' => character.into(),
        // Behind a letter, because on its own a combining mark counts as unprintable, and many scripts need them.
        _ => String::from_iter(['a', character])
            .escape_debug()
            .skip(1)
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_moves_or_hides_is_escaped() {
        assert_eq!(escape_untrusted("a\nb\rc\0d\x7f", 99), r"a\nb\rc\0d\u{7f}");
        assert_eq!(
            escape_untrusted("\u{200b}\u{2028}\u{feff}", 99),
            r"\u{200b}\u{2028}\u{feff}"
        );
        assert_eq!(escape_untrusted(r"\u{202e}", 99), r"\\u{202e}");
        assert_eq!(escape_untrusted("it's \"x\"", 99), "it's \"x\"");
        assert_eq!(escape_untrusted("नमस्ते", 99), "नमस्ते");
    }

    #[test]
    fn cut_between_characters_never_inside_an_escape() {
        assert_eq!(escape_untrusted("abc", 3), "abc");
        assert_eq!(escape_untrusted("abcd", 3), "ab…");
        assert_eq!(escape_untrusted("a\x1b", 5), "a…");
        assert_eq!(escape_untrusted("abc", 0), "");
        assert_eq!(
            escape_untrusted(&"x".repeat(10_000), 64).chars().count(),
            64
        );
    }

    proptest! {
        #[test]
        fn never_longer_than_asked_never_a_control_character(text in any::<String>(), max in 0usize..40) {
            let shown = escape_untrusted(&text, max);
            prop_assert!(shown.chars().count() <= max);
            prop_assert!(!shown.chars().any(char::is_control));
        }
    }
}
