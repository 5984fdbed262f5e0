//! The table, row by row.

use std::ops::RangeInclusive;

use super::Test;

const ROWS: u32 = 161;
const HEADER: &str = "| row | behaviour | test |";

/// What a row may wait for, by the subject of the issue, and which rows that issue is about.
const OPEN: &[(&str, &[RangeInclusive<u32>])] = &[
    (
        "The C API: OpenHarmony's IPC Kit on the soft-bus",
        &[1..=27],
    ),
    (
        "One device, many processes: local bus and shared memory",
        &[44..=48, 58..=58, 68..=68, 84..=92, 106..=106, 143..=156],
    ),
    (
        "The whole object model: services, references, deadlines, streams, introductions",
        &[28..=161],
    ),
];

/// Rows that are not about us, or not wholly.
const NOT_APPLICABLE: &[u32] = &[52, 53, 135, 136];

/// What is wrong with a table, given the tests that there are.
pub(crate) fn untrue_rows(text: &str, tests: &[Test]) -> Vec<String> {
    let mut lines = text.lines().skip_while(|line| *line != HEADER);
    if lines.next().is_none() {
        return vec![format!("no table with the header `{HEADER}`")];
    }
    let rows: Vec<_> = lines
        .skip(1)
        .take_while(|line| line.starts_with('|'))
        .collect();
    let mut offences = Vec::new();
    for (number, row) in (1..).zip(&rows) {
        match cells(row) {
            Some([first, behaviour, shown]) if first == number.to_string() => {
                if behaviour.is_empty() {
                    offences.push(format!("row {number} says nothing"));
                }
                let wrong = shown
                    .split("; ")
                    .filter_map(|part| wrong_part(number, part, tests));
                offences.extend(wrong.map(|what| format!("row {number}: {what}")));
            }
            _ => offences.push(format!("`{row}` is not row {number} of three cells")),
        }
    }
    if rows.len() != ROWS as usize {
        offences.push(format!("{} rows and not {ROWS}", rows.len()));
    }
    offences
}

pub(super) fn cells(row: &str) -> Option<[&str; 3]> {
    let inside = row.strip_prefix("| ")?.strip_suffix(" |")?;
    let cells: Vec<_> = inside.split(" | ").collect();
    cells.try_into().ok()
}

/// What is wrong with one part of the third cell.
fn wrong_part(row: u32, part: &str, tests: &[Test]) -> Option<String> {
    if let Some(subject) = part.strip_prefix("open: ") {
        let Some((_, rows)) = OPEN.iter().find(|(known, _)| *known == subject) else {
            return Some(format!("no issue is called `{subject}`"));
        };
        let elsewhere = !rows.iter().any(|rows| rows.contains(&row));
        return elsewhere.then(|| format!("`{subject}` is not about it"));
    }
    if let Some(why) = part.strip_prefix("n/a: ") {
        let wrong = why.is_empty() || !NOT_APPLICABLE.contains(&row);
        return wrong.then(|| "it applies".to_owned());
    }
    let wrong: Vec<_> = part
        .split(", ")
        .filter_map(|name| wrong_name(name, tests))
        .collect();
    (!wrong.is_empty()).then(|| wrong.join(", "))
}

pub(super) fn wrong_name(name: &str, tests: &[Test]) -> Option<String> {
    let Some(name) = name
        .strip_prefix('`')
        .and_then(|name| name.strip_suffix('`'))
    else {
        return Some(format!(
            "`{name}` is no test in backticks, `open: ` or `n/a: `"
        ));
    };
    let mut called = tests.iter().filter(|test| test.is_called(name));
    match (called.next(), called.next()) {
        (None, _) => Some(format!("there is no test `{name}`")),
        (Some(_), Some(_)) => Some(format!("there are several tests `{name}`; say whose")),
        (Some(test), None) => test.ignored.then(|| format!("`{name}` is ignored")),
    }
}

mod tests {
    use super::*;

    fn tests() -> Vec<Test> {
        let test = |path: &str, ignored| Test {
            path: path.split("::").map(str::to_owned).collect(),
            ignored,
        };
        vec![
            test("rpc::calls::one", false),
            test("softbus::calls::one", false),
            test("rpc::calls::two", false),
            test("rpc::calls::slow", true),
        ]
    }

    /// A table whose rows are right except those that are given.
    fn table(wrong: &[(u32, &str)]) -> String {
        let mut text = format!("# Title\n\n{HEADER}\n|---|---|---|\n");
        for row in 1..=ROWS {
            let replaced = wrong.iter().find(|(number, _)| *number == row);
            let right = format!("| {row} | it does (C) | `two` |");
            text += replaced.map_or(right.as_str(), |(_, line)| line);
            text += "\n";
        }
        text
    }

    fn offences(row: u32, line: &str) -> Vec<String> {
        untrue_rows(&table(&[(row, line)]), &tests())
    }

    #[test]
    fn a_right_table_is_right() {
        assert!(untrue_rows(&table(&[]), &tests()).is_empty());
        for (row, line) in [
            (7, "| 7 | x | `rpc::calls::one`, `two` |"),
            (
                7,
                "| 7 | x | open: The C API: OpenHarmony's IPC Kit on the soft-bus |",
            ),
            (52, "| 52 | x | n/a: there is none |"),
            (
                44,
                "| 44 | x | `two`; open: One device, many processes: local bus and shared memory |",
            ),
        ] {
            assert!(offences(row, line).is_empty(), "{line}");
        }
    }

    #[test]
    fn a_missing_row_and_a_row_too_many_are_found() {
        let missing = table(&[]).replace("| 161 | it does (C) | `two` |\n", "");
        assert_eq!(untrue_rows(&missing, &tests()), ["160 rows and not 161"]);
        let more = table(&[]) + "| 162 | it does | `two` |\n";
        assert_eq!(untrue_rows(&more, &tests()), ["162 rows and not 161"]);
        let swapped = offences(3, "| 4 | it does | `two` |");
        assert_eq!(
            swapped,
            ["`| 4 | it does | `two` |` is not row 3 of three cells"]
        );
        assert_eq!(untrue_rows("# Title\n", &tests()).len(), 1);
    }

    #[test]
    fn a_row_without_its_cells_is_found() {
        for line in ["| 5 | `two` |", "| 5 | a | b | `two` |", "| 5 | a |  |"] {
            assert_eq!(offences(5, line).len(), 1, "{line}");
        }
        assert_eq!(offences(5, "| 5 |  | `two` |").len(), 1);
    }

    #[test]
    fn a_test_that_would_not_run_is_found() {
        for (cell, said) in [
            ("`three`", "there is no test `three`"),
            ("`wo`", "there is no test `wo`"),
            (
                "`softbus::calls::two`",
                "there is no test `softbus::calls::two`",
            ),
            ("`one`", "there are several tests `one`; say whose"),
            ("`two`, `slow`", "`slow` is ignored"),
            ("two", "`two` is no test in backticks, `open: ` or `n/a: `"),
            ("", "`` is no test in backticks, `open: ` or `n/a: `"),
        ] {
            let found = offences(9, &format!("| 9 | x | {cell} |"));
            assert_eq!(found, [format!("row 9: {said}")], "{cell}");
        }
    }

    #[test]
    fn what_is_open_for_no_issue_or_does_apply_is_found() {
        for line in [
            "| 9 | x | open: later |",
            "| 9 | x | open:  |",
            "| 9 | x | open: Trust: pairing, policy, limits, and a hostile test suite |",
            "| 9 | x | n/a: too hard |",
            "| 9 | x | `two`; n/a: the rest is too hard |",
        ] {
            assert_eq!(offences(9, line).len(), 1, "{line}");
        }
        assert_eq!(offences(52, "| 52 | x | n/a:  |").len(), 1);
    }
}
