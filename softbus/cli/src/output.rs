//! Printing: for people, or one JSON object a line for programs.

use std::{
    io::{self, IsTerminal, Write},
    process::ExitCode,
};

use serde_json::{Value, json};

use crate::failure::{Failure, Kind};

/// Colours, on a terminal only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Style {
    #[default]
    Plain,
    Bold,
    Dim,
    Good,
    Bad,
    Unsure,
}

impl Style {
    const fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Bold => "1",
            Self::Dim => "2",
            Self::Bad => "31",
            Self::Good => "32",
            Self::Unsure => "33",
        }
    }
}

/// Where a command prints.
#[derive(Debug)]
pub(crate) struct Output {
    json: bool,
    colours: bool,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        let colours = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self {
            json,
            colours: colours && io::stdout().is_terminal(),
        }
    }

    /// Whether programs read it.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Prints a line.
    pub(crate) fn line(&self, text: &str) -> Result<(), Failure> {
        writeln!(io::stdout().lock(), "{text}").map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::new(Kind::OutputClosed, "nobody reads"),
            _ => Failure::failed(format!("cannot print: {error}")),
        })
    }

    /// Prints an object as one line.
    pub(crate) fn object(&self, object: &Value) -> Result<(), Failure> {
        self.line(&ascii(&object.to_string()))
    }

    /// Prints the object or the text, as the user wishes.
    pub(crate) fn either(
        &self,
        object: &Value,
        text: impl FnOnce() -> String,
    ) -> Result<(), Failure> {
        if self.json {
            self.object(object)
        } else {
            self.line(&text())
        }
    }

    /// Tells people something that is not the result.
    pub(crate) fn note(&self, text: &str) {
        if !self.json {
            let _ = writeln!(io::stderr().lock(), "{text}");
        }
    }

    /// Whether somebody sees what happens on the standard error meanwhile.
    pub(crate) fn shows_progress(&self) -> bool {
        !self.json && io::stderr().is_terminal()
    }

    /// Replaces the line the cursor is in.
    pub(crate) fn progress(&self, text: &str) {
        let _ = write!(io::stderr().lock(), "\r\x1b[K{text}");
    }

    pub(crate) fn paint(&self, style: Style, text: &str) -> String {
        if self.colours && style != Style::Plain {
            format!("\x1b[{}m{text}\x1b[0m", style.code())
        } else {
            text.to_owned()
        }
    }

    /// Says why the command failed; the code to exit with.
    pub(crate) fn failure(&self, failure: &Failure) -> ExitCode {
        let Failure {
            kind,
            message,
            hint,
        } = failure;
        let exit_code = kind.exit_code();
        let mut stderr = io::stderr().lock();
        if *kind == Kind::OutputClosed {
            // Not even that would be read.
        } else if self.json {
            let object = json!({
                "error": message, "kind": kind.name(), "exit_code": exit_code, "hint": hint,
            });
            let _ = writeln!(stderr, "{}", ascii(&object.to_string()));
        } else {
            let _ = writeln!(stderr, "error: {message}");
            if let Some(hint) = hint {
                let _ = writeln!(stderr, "       {hint}");
            }
        }
        ExitCode::from(exit_code)
    }
}

/// The same JSON with nothing in it that a terminal acts upon or that turns the reading direction: peers wrote some of it.
fn ascii(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for character in json.chars() {
        if character.is_ascii() && !character.is_ascii_control() {
            escaped.push(character);
        } else {
            for unit in character.encode_utf16(&mut [0; 2]) {
                escaped.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    escaped
}

/// Rows whose columns align.
#[derive(Debug)]
pub(crate) struct Table {
    rows: Vec<Vec<(String, Style)>>,
}

impl Table {
    pub(crate) fn new<const N: usize>(header: [&str; N]) -> Self {
        Self {
            rows: vec![header.map(|name| (name.to_owned(), Style::Dim)).into()],
        }
    }

    pub(crate) fn row<const N: usize>(&mut self, cells: [(String, Style); N]) {
        self.rows.push(cells.into());
    }

    pub(crate) fn print(&self, output: &Output) -> Result<(), Failure> {
        let columns = self.rows[0].len();
        let width = |column: usize| {
            self.rows
                .iter()
                .map(|row| row[column].0.chars().count())
                .max()
        };
        let widths: Vec<_> = (0..columns)
            .map(|column| width(column).unwrap_or(0))
            .collect();
        for row in &self.rows {
            let mut line = String::new();
            for (index, ((text, style), width)) in row.iter().zip(&widths).enumerate() {
                line.push_str(&output.paint(*style, text));
                if index + 1 < columns {
                    line.push_str(&" ".repeat(width - text.chars().count() + 2));
                }
            }
            output.line(line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_printable_and_means_the_same() {
        let value = json!({ "name": "K\u{fc}che \u{202e}\x1b[2J\x7f\u{1f600}\n" });
        let line = ascii(&value.to_string());
        assert!(
            line.chars().all(|c| c.is_ascii_graphic() || c == ' '),
            "{line}"
        );
        assert_eq!(serde_json::from_str::<Value>(&line).unwrap(), value);
    }
}
