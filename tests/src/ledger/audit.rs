//! What callers were told, compared with what was done.

use std::{
    collections::{BTreeMap, HashMap},
    fmt, fs, io,
    path::Path,
};

use super::{calls_of, entries_of};

/// How the calls of all devices ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Calls with an answer.
    pub answered: usize,
    /// Calls whose caller was told that their fate is unknown, and how many of them were done.
    pub unknown: (usize, usize),
    /// Calls whose caller was told that they were not done.
    pub not_done: usize,
    /// Calls whose caller was killed while they were under way.
    pub orphaned: usize,
    /// Calls that were done more than once, as they may be.
    pub repeated: usize,
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unknown, done) = self.unknown;
        write!(
            f,
            "{} calls answered, {unknown} of unknown fate ({done} were done), {} told as not done, {} of killed callers, {} repeated",
            self.answered, self.not_done, self.orphaned, self.repeated
        )
    }
}

/// A call as its caller's file has it.
#[derive(Debug)]
struct Made<'a> {
    whom: &'a str,
    end: Option<&'a str>,
    /// Its caller was killed before it ended.
    orphaned: bool,
}

/// Compares the files of all devices, by their id: each call has one end, what was answered was done once, what was told as
/// not done was not, and nothing was done that nobody asked for. All have to rest.
///
/// # Errors
/// What is wrong, or that a file cannot be read.
pub fn audit<'a>(
    homes: impl IntoIterator<Item = (String, &'a Path)>,
) -> io::Result<Result<Totals, Vec<String>>> {
    let mut texts = BTreeMap::new();
    for (id, home) in homes {
        let calls = fs::read_to_string(calls_of(home))?;
        texts.insert(id, (calls, fs::read_to_string(entries_of(home))?));
    }
    let mut faults = Vec::new();
    let mut made = HashMap::new();
    for (id, (calls, _)) in &texts {
        read(id, calls, &mut made, &mut faults);
    }
    let mut done: HashMap<&str, usize> = HashMap::new();
    for (id, (_, entries)) in &texts {
        for name in entries.lines() {
            match made.get(name) {
                Some(call) if call.whom == id => *done.entry(name).or_default() += 1,
                Some(_) => faults.push(format!("done by another device than was asked: {name}")),
                None => faults.push(format!("done, and nobody asked for it: {name}")),
            }
        }
    }
    let mut totals = Totals::default();
    for (name, call) in &made {
        let times = done.get(name).copied().unwrap_or_default();
        if let Err(fault) = totals.count(name, call, times) {
            faults.push(format!("{fault}, done {times} times: {name}"));
        }
    }
    Ok(match faults.is_empty() {
        true => Ok(totals),
        false => Err(faults),
    })
}

impl Totals {
    fn count(&mut self, name: &str, call: &Made<'_>, times: usize) -> Result<(), &'static str> {
        let once = name.starts_with("once ");
        if once && times > 1 {
            return Err("doubled");
        }
        self.repeated += usize::from(times > 1);
        match (call.end, times) {
            (Some("answered"), 0) => return Err("answered and lost"),
            (Some("answered"), _) => self.answered += 1,
            (Some("unknown"), _) => {
                self.unknown.0 += 1;
                self.unknown.1 += times;
            }
            (Some("not-done"), 0) => self.not_done += 1,
            (Some("not-done"), _) => return Err("done, and told as not done"),
            (Some(_), _) => return Err("a wrong answer"),
            (None, _) if call.orphaned => self.orphaned += 1,
            (None, _) => return Err("lost silently: it has no end"),
        }
        Ok(())
    }
}

/// Reads what a device called.
fn read<'a>(
    id: &str,
    calls: &'a str,
    made: &mut HashMap<&'a str, Made<'a>>,
    faults: &mut Vec<String>,
) {
    let mut under_way: Vec<&str> = Vec::new();
    let mut rests = true;
    for line in calls.lines() {
        match line.split_once(' ').unwrap_or((line, "")) {
            ("start", _) => {
                rests = false;
                for name in under_way.drain(..) {
                    made.entry(name).and_modify(|call| call.orphaned = true);
                }
            }
            ("rest", _) => {
                rests = true;
                // Those that are left have no end.
                under_way.clear();
            }
            ("begin", rest) => {
                let Some((name, whom)) = rest.rsplit_once(' ') else {
                    continue;
                };
                under_way.push(name);
                let call = Made {
                    whom,
                    end: None,
                    orphaned: false,
                };
                if made.insert(name, call).is_some() {
                    faults.push(format!("begun twice: {name}"));
                }
            }
            ("end", rest) => {
                let Some((name, end)) = rest.rsplit_once(' ') else {
                    continue;
                };
                under_way.retain(|open| *open != name);
                let before = made.get_mut(name).map(|call| call.end.replace(end));
                if before != Some(None) {
                    faults.push(format!("ended twice, or never begun: {name}"));
                }
            }
            _ => faults.push(line.to_owned()),
        }
    }
    if !rests {
        faults.push(format!("{id} does not rest"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two devices, of which the first calls and the second serves.
    fn of(calls: &str, entries: &str) -> Result<Totals, Vec<String>> {
        let homes = tempfile::tempdir().unwrap();
        let [a, b] = ["a", "b"].map(|id| homes.path().join(id));
        for (home, calls, entries) in [(&a, calls, ""), (&b, "", entries)] {
            fs::create_dir(home).unwrap();
            fs::write(calls_of(home), calls).unwrap();
            fs::write(entries_of(home), entries).unwrap();
        }
        audit([("a".to_owned(), &*a), ("b".to_owned(), &*b)]).unwrap()
    }

    #[test]
    fn what_was_told_is_what_was_done() {
        let calls = "start\nbegin once a 1 0 b\nbegin repeated a 1 1 b\nend once a 1 0 answered\n\
                     begin once a 1 2 b\nstart\nbegin once a 2 0 b\nbegin once a 2 1 b\nend once a 2 1 unknown\n\
                     end once a 2 0 not-done\nrest\n";
        let done = "once a 1 0\nrepeated a 1 1\nrepeated a 1 1\nonce a 2 1\n";
        let totals = Totals {
            answered: 1,
            unknown: (1, 1),
            not_done: 1,
            orphaned: 2,
            repeated: 1,
        };
        assert_eq!(of(calls, done), Ok(totals));
    }

    #[test]
    fn each_fault_is_found() {
        let begun = "start\nbegin once a 1 0 b\n";
        for (then, done, fault) in [
            ("rest\n", "", "lost silently"),
            ("", "", "a does not rest"),
            ("end once a 1 0 answered\nrest\n", "", "answered and lost"),
            (
                "end once a 1 0 answered\nrest\n",
                "once a 1 0\nonce a 1 0\n",
                "doubled",
            ),
            (
                "end once a 1 0 not-done\nrest\n",
                "once a 1 0\n",
                "told as not done",
            ),
            ("end once a 1 0 wrong\nrest\n", "", "a wrong answer"),
            (
                "end once a 1 0 unknown\nend once a 1 0 unknown\nrest\n",
                "",
                "ended twice",
            ),
            (
                "end once a 1 0 unknown\nrest\n",
                "once a 9 9\n",
                "nobody asked",
            ),
        ] {
            let faults = of(&format!("{begun}{then}"), done).unwrap_err();
            assert!(
                faults.iter().any(|found| found.contains(fault)),
                "{faults:?}"
            );
        }
    }
}
