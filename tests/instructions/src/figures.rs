//! The stored figures: a line for each case, readable in a review.

use std::{collections::BTreeMap, fmt, fs, path::PathBuf, process::Command};

use crate::Failure;

/// How many percent above its stored figure a case may be: as much as compilers and C libraries differ.
pub(crate) const ROOM: u64 = 10;

/// What was counted, by case.
pub(crate) struct Figures {
    pub(crate) compiler: String,
    pub(crate) rows: BTreeMap<String, u64>,
}

/// What a comparison says.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Kept,
    Lost,
}

fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("figures.txt")
}

/// The compiler that made what is counted.
pub(crate) fn compiler() -> Result<String, Failure> {
    let compiler = Command::new("rustc").arg("--version").output()?.stdout;
    let compiler = String::from_utf8(compiler)?;
    let words: Vec<_> = compiler.split_whitespace().take(2).collect();
    Ok(words.join(" "))
}

impl Figures {
    pub(crate) fn read() -> Result<Self, Failure> {
        let path = path();
        let text =
            fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let mut figures = Self {
            compiler: String::new(),
            rows: BTreeMap::new(),
        };
        for line in text.lines() {
            if let Some(comment) = line.strip_prefix('#') {
                if let Some(compiler) = comment.trim().strip_prefix("counted with ") {
                    compiler.clone_into(&mut figures.compiler);
                }
                continue;
            }
            let row = line.split_once(char::is_whitespace);
            let row = row.and_then(|(name, count)| Some((name, count.trim().parse().ok()?)));
            let (name, count) = row.ok_or_else(|| format!("figures.txt: what is `{line}`?"))?;
            figures.rows.insert(name.to_owned(), count);
        }
        Ok(figures)
    }

    pub(crate) fn write(&self) -> Result<(), Failure> {
        Ok(fs::write(path(), self.to_string())?)
    }

    /// A line for people, and whether the case takes no more than it may.
    pub(crate) fn row(&self, name: &str, now: u64) -> (String, Verdict) {
        let Some(&stored) = self.rows.get(name) else {
            return (format!("{name:24} {now:>9}  not stored"), Verdict::Lost);
        };
        let percent = (now as f64 / stored as f64 - 1.0) * 100.0;
        let (word, verdict) = if now * 100 > stored * (100 + ROOM) {
            ("LOST", Verdict::Lost)
        } else if now * (100 + ROOM) < stored * 100 {
            ("won: store it, or it can be lost again", Verdict::Kept)
        } else {
            ("ok", Verdict::Kept)
        };
        let text = format!("{name:24} {now:>9}  stored {stored:>9}  {percent:+6.1} %  {word}");
        (text, verdict)
    }

    /// What is stored and not counted.
    pub(crate) fn unknown<'a>(&'a self, counted: &'a Self) -> impl Iterator<Item = &'a str> {
        let names = self.rows.keys().map(String::as_str);
        names.filter(|name| !counted.rows.contains_key(*name))
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "# instructions of one round; written by `-- update`")?;
        writeln!(f, "# counted with {}", self.compiler)?;
        for (name, count) in &self.rows {
            writeln!(f, "{name:24} {count:>9}")?;
        }
        Ok(())
    }
}
