//! Formats with `%{public}` and `%{private}`.

/// Bytes of the longest message; longer ones are cut off.
pub(super) const LONGEST: usize = 4096;
/// What is shown instead of what is private.
const PRIVATE: &[u8] = b"<private>";

/// What stands around private arguments between formatting and hiding them. No argument can know it.
pub(super) struct Marks {
    begin: Vec<u8>,
    end: Vec<u8>,
}

impl Marks {
    pub(super) fn new() -> Self {
        let mut nonce = [0; 8];
        // Without random bytes the marks are still none that occur in a text.
        let _ = getrandom::fill(&mut nonce);
        let nonce = format!("{:016x}", u64::from_ne_bytes(nonce));
        Self {
            begin: format!("\x02{nonce}").into_bytes(),
            end: format!("\x03{nonce}").into_bytes(),
        }
    }

    /// A format that `vsnprintf` understands.
    pub(super) fn plain_format(&self, format: &[u8]) -> Vec<u8> {
        let mut plain = Vec::with_capacity(format.len() + 64);
        let mut rest = format;
        while let Some(at) = rest.iter().position(|byte| *byte == b'%') {
            plain.extend_from_slice(&rest[..at]);
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix(b"%") {
                plain.extend_from_slice(b"%%");
                rest = after;
            } else if let Some(after) = rest.strip_prefix(b"{private}") {
                let (conversion, after) = after.split_at(conversion_len(after));
                plain.extend_from_slice(&self.begin);
                plain.push(b'%');
                plain.extend_from_slice(conversion);
                plain.extend_from_slice(&self.end);
                rest = after;
            } else {
                plain.push(b'%');
                rest = rest.strip_prefix(b"{public}").unwrap_or(rest);
            }
        }
        plain.extend_from_slice(rest);
        plain
    }

    /// The formatted text without what is private.
    pub(super) fn hide_private(&self, text: &[u8]) -> Vec<u8> {
        let mut shown = Vec::with_capacity(text.len());
        let mut rest = text;
        while let Some(begin) = find(rest, &self.begin) {
            shown.extend_from_slice(&rest[..begin]);
            shown.extend_from_slice(PRIVATE);
            rest = &rest[begin + self.begin.len()..];
            // Where the text was cut off in the middle of it, all that is left is private.
            rest = find(rest, &self.end).map_or(&[], |end| &rest[end + self.end.len()..]);
        }
        // Half of a mark, where the text was cut off.
        let cut = rest.iter().position(|byte| *byte == self.begin[0]);
        let cut =
            cut.filter(|at| text.len() + 1 >= LONGEST && self.begin.starts_with(&rest[*at..]));
        shown.extend_from_slice(&rest[..cut.unwrap_or(rest.len())]);
        shown
    }
}

/// How long flags, width, precision, length and the letter of a conversion are.
fn conversion_len(format: &[u8]) -> usize {
    let letter = |byte: &u8| byte.is_ascii_alphabetic() && !b"hljztqL".contains(byte);
    format
        .iter()
        .position(letter)
        .map_or(format.len(), |at| at + 1)
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|here| here == wanted)
}

/// The month and day of a day since 1970, both from 1.
pub(super) fn month_and_day(days: u64) -> (u64, u64) {
    // Howard Hinnant's `civil_from_days`: years begin in March, so that a leap day is their last.
    let day_of_era = (days + 719_468) % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    ((month + 2) % 12 + 1, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(format: &str) -> String {
        let marks = Marks {
            begin: b"<".to_vec(),
            end: b">".to_vec(),
        };
        String::from_utf8(marks.plain_format(format.as_bytes())).unwrap()
    }

    #[test]
    fn marks_of_openharmony_are_taken_out() {
        assert_eq!(plain("a %{public}d b %{private}s c %d"), "a %d b <%s> c %d");
        assert_eq!(plain("%{private}-5.3llx!"), "<%-5.3llx>!");
        assert_eq!(plain("100%% %{public}p%"), "100%% %p%");
        assert_eq!(plain("%{private}"), "<%>");
    }

    #[test]
    fn what_is_private_is_not_shown() {
        let marks = Marks::new();
        let private = |text: &str| {
            let mut whole = b"a ".to_vec();
            whole.extend_from_slice(&marks.begin);
            whole.extend_from_slice(text.as_bytes());
            whole.extend_from_slice(&marks.end);
            whole.extend_from_slice(b" b");
            whole
        };
        let shown = |text: &[u8]| String::from_utf8(marks.hide_private(text)).unwrap();
        assert_eq!(shown(&private("secret")), "a <private> b");
        assert_eq!(shown(&private("\x03 secret")), "a <private> b");
        assert_eq!(shown(b"nothing \x02 private"), "nothing \x02 private");
        let whole = private("secret");
        assert_eq!(shown(&whole[..whole.len() - 5]), "a <private>");
        let mut long = vec![b'x'; LONGEST - 5];
        long.extend_from_slice(&marks.begin[..4]);
        assert_eq!(shown(&long).len(), LONGEST - 5);
    }

    #[test]
    fn days_have_dates() {
        for (days, date) in [
            (0, (1, 1)),
            (58, (2, 28)),
            (59, (3, 1)),
            (11_016, (2, 29)),
            (20_778, (11, 21)),
        ] {
            assert_eq!(month_and_day(days), date, "{days}");
        }
    }
}
