//! The table of hostile inputs in `docs/security.md`: each input is there, with a test that would run.

use super::{Test, table};

/// How many inputs there are.
const INPUTS: u32 = 66;
const HEADER: &str = "| input | expected | test |";

/// What is wrong with the table, given the tests that there are.
pub(crate) fn untrue_inputs(text: &str, tests: &[Test]) -> Vec<String> {
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
        let cells = table::cells(row).and_then(|[input, expected, shown]| {
            let input = input.strip_prefix(&format!("{number}: "))?;
            (!input.is_empty() && !expected.is_empty()).then_some(shown)
        });
        match cells {
            Some(shown) => {
                let wrong = shown
                    .split(", ")
                    .filter_map(|name| table::wrong_name(name, tests));
                offences.extend(wrong.map(|what| format!("input {number}: {what}")));
            }
            None => offences.push(format!("`{row}` is not input {number} of three cells")),
        }
    }
    if rows.len() != INPUTS as usize {
        offences.push(format!("{} inputs and not {INPUTS}", rows.len()));
    }
    offences
}

mod tests {
    use super::*;

    fn offences(wrong: u32, line: &str) -> Vec<String> {
        let one = Test {
            path: vec!["rpc".to_owned(), "one".to_owned()],
            ignored: false,
        };
        let mut text = format!("{HEADER}\n|---|---|---|\n");
        for number in 1..=INPUTS {
            let right = format!("| {number}: this | that | `one` |");
            text += if number == wrong { line } else { &right };
            text += "\n";
        }
        untrue_inputs(&text, &[one])
    }

    #[test]
    fn each_input_has_its_row_and_each_row_its_test() {
        assert!(offences(0, "").is_empty());
        assert!(offences(7, "| 7: x | y | `one`, `rpc::one` |").is_empty());
        for line in [
            "| 8: x | y | `one` |",
            "| 7 | y | `one` |",
            "| 7: x | y |",
            "| 7:  | y | `one` |",
            "| 7: x |  | `one` |",
            "| 7: x | y | `two` |",
            "| 7: x | y | one |",
            "| 7: x | y |  |",
        ] {
            assert_eq!(offences(7, line).len(), 1, "{line}");
        }
        assert_eq!(untrue_inputs("", &[]).len(), 1);
        let short = format!("{HEADER}\n|---|---|---|\n");
        assert_eq!(untrue_inputs(&short, &[]), ["0 inputs and not 66"]);
    }
}
