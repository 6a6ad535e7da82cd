//! The `.env` file: lines `NAME=value`, read with `dotenvy`.
//!
//! The same parser reads `./.env`, the file of `--env-file`, and thereby the settings of the systemd unit.
//! Errors and warnings name the line. They never quote a line, because it may contain a password.

mod line;

pub(super) use line::describe;

use std::cell::Cell;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::Problem;
use super::settings::{self, Kind, Setting};
use crate::tls::secret_file;

/// The contents of a `.env` file.
#[derive(Clone, Debug)]
pub struct EnvFile {
    /// Path of the file.
    pub path: PathBuf,
    /// Its variables, in the order of the file.
    pub variables: Vec<FileVariable>,
    /// Properties of the whole file that do not prevent its use.
    pub warnings: Vec<Problem>,
}

/// One variable of a `.env` file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileVariable {
    /// Name as written.
    pub name: String,
    /// Value without quotes, escapes and comments.
    pub value: String,
    /// Number of the line that sets it, from 1.
    pub line: usize,
    /// Number of the line in which the value ends.
    pub last_line: usize,
    /// What the syntax of the file does with the text, if that may not be intended.
    pub doubts: Vec<Doubt>,
}

impl FileVariable {
    /// Whether the value is a secret, or a URL with a password.
    fn has_secret(&self) -> bool {
        let setting = settings::find(&self.name.to_ascii_uppercase()).filter(|setting| setting.is_secret());
        let is_secret = |setting: &Setting| match setting.kind {
            Kind::Url => {
                let credentials = self.value.split_once("://").and_then(|(_, rest)| rest.rsplit_once('@'));
                credentials.is_some_and(|(credentials, _)| credentials.contains(':'))
                    || self.value.contains("password=")
            }
            _ => !self.value.trim().is_empty(),
        };
        setting.is_some_and(is_secret)
    }
}

/// A part of a value that the syntax of the file interprets, although it may be meant literally.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// `$` begins a reference to a variable that is set.
    Reference,
    /// `$` begins a reference to a variable that is not set.
    ReferenceToNothing,
    /// `#` after white space begins a comment.
    Comment,
    /// `#` directly after the equals sign begins a comment, so that the value is empty.
    EmptyBeforeComment,
}

/// The byte order mark of UTF-8.
const BYTE_ORDER_MARK: &[u8] = &[0xef, 0xbb, 0xbf];

/// Reads and parses a file. All wrong lines are reported together.
pub(super) fn read(path: &Path) -> Result<EnvFile, Vec<Problem>> {
    let unreadable = |error: io::Error| vec![problem(path, None, cannot_read(&error))];
    let mut opened = File::open(path).map_err(unreadable)?;
    let open_mode = opened.metadata().map_or(None, |metadata| secret_file::open_mode(path, &metadata));
    let mut bytes = Vec::new();
    opened.read_to_end(&mut bytes).map_err(unreadable)?;
    let mut file = EnvFile::parse(path, &bytes)?;
    if let Some((mode, variable)) =
        open_mode.zip(file.variables.iter().find(|variable| variable.has_secret()))
    {
        let (name, line) = (&variable.name, variable.line);
        let message = format!(
            "is accessible to other users (mode {mode:04o}), and contains a secret ({name}, line {line}): \
             set mode 0600, or 0640 if root owns it"
        );
        file.warnings.push(problem(path, None, message));
    }
    Ok(file)
}

fn cannot_read(error: &io::Error) -> String {
    format!("cannot be read: {error}; expected a file of NAME=value lines that this user may read")
}

fn problem(path: &Path, line: Option<usize>, message: impl Into<String>) -> Problem {
    Problem::new(location(path, line), message)
}

/// A line of a file, as messages name it.
pub(super) fn location(path: &Path, line: Option<usize>) -> String {
    match line {
        Some(line) => format!("{} line {line}", path.display()),
        None => path.display().to_string(),
    }
}

impl EnvFile {
    /// Parses the contents of a file. `path` is for messages.
    ///
    /// # Errors
    /// Returns all wrong lines.
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<Self, Vec<Problem>> {
        let mut file = Self { path: path.to_owned(), variables: Vec::new(), warnings: Vec::new() };
        let text = match bytes.strip_prefix(BYTE_ORDER_MARK) {
            Some(rest) => {
                file.warnings.push(problem(path, Some(1), "begins with a byte order mark, which is ignored"));
                rest
            }
            None => bytes,
        };
        let text = utf8(text).map_err(|(line, message)| vec![problem(path, line, message)])?;
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        let consumed = Cell::new(0);
        let mut problems = Vec::new();
        let prepared = prepared(&lines);
        let mut pairs = dotenvy::from_read_iter(Lines { lines: &prepared, consumed: &consumed, given: 0 });
        loop {
            let first = first_line(&lines, consumed.get());
            let Some(pair) = pairs.next() else { break };
            let raw = lines.get(first..consumed.get()).unwrap_or_default().concat();
            match pair {
                Ok((name, value)) => {
                    let is_set = |name: &str| {
                        let mut before = file.variables.iter();
                        std::env::var_os(name).is_some() || before.any(|variable| variable.name == name)
                    };
                    let doubts = line::doubts(&raw, is_set);
                    let (line, last_line) = (first + 1, consumed.get());
                    file.variables.push(FileVariable { name, value, line, last_line, doubts });
                }
                Err(dotenvy::Error::LineParse(..)) => {
                    problems.push(problem(path, Some(first + 1), line::explain(&raw)));
                }
                // No other error can occur, because the text is in memory.
                Err(error) => problems.push(problem(path, Some(first + 1), error.to_string())),
            }
        }
        if problems.is_empty() { Ok(file) } else { Err(problems) }
    }
}

/// The text of a file, or the line that is not UTF-8 and a message.
fn utf8(bytes: &[u8]) -> Result<&str, (Option<usize>, &'static str)> {
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err((None, "begins with a byte order mark of UTF-16; expected UTF-8: convert the file"));
    }
    std::str::from_utf8(bytes).map_err(|error| {
        let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        (Some(line), "is not valid UTF-8: convert the file")
    })
}

/// Index of the first line from `from` on that is neither empty nor a comment.
fn first_line(lines: &[&str], from: usize) -> usize {
    let is_value = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with('#');
    from + lines.iter().skip(from).take_while(|line| !is_value(line)).count()
}

/// The lines as dotenvy needs them: without comments behind values, and each with a line break at its end,
/// because dotenvy rejects white space at the end of a last line without one.
fn prepared(lines: &[&str]) -> Vec<String> {
    let mut open = String::new();
    let prepare = |line: &&str| {
        let is_continued = !open.is_empty();
        open.push_str(line);
        let is_comment = line.trim_start().starts_with('#');
        if !line::continues(&open) || (is_comment && !is_continued) {
            open.clear();
        }
        let text = if is_continued || is_comment { line } else { line::without_comment(line) };
        if text.ends_with('\n') { text.to_owned() } else { format!("{text}\n") }
    };
    lines.iter().map(prepare).collect()
}

/// A reader that returns at most one line per call, so that `consumed` is the number of lines that the parser
/// has read.
struct Lines<'a> {
    lines: &'a [String],
    /// Number of lines of which all bytes, or some, have been read.
    consumed: &'a Cell<usize>,
    /// Number of bytes of the last line that have been read; 0 if it has been read to its end.
    given: usize,
}

impl Read for Lines<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.given == 0 {
            self.consumed.set(self.consumed.get() + 1);
        }
        let Some(line) = self.lines.get(self.consumed.get() - 1) else {
            self.consumed.set(self.lines.len());
            return Ok(0);
        };
        let rest = line.as_bytes().get(self.given..).unwrap_or_default();
        let length = rest.len().min(buffer.len());
        for (to, from) in buffer.iter_mut().zip(rest) {
            *to = *from;
        }
        self.given = if length == rest.len() { 0 } else { self.given + length };
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines_of(text: &str) -> Vec<(String, usize, usize)> {
        let file = EnvFile::parse(Path::new("x"), text.as_bytes()).unwrap();
        file.variables.into_iter().map(|found| (found.name, found.line, found.last_line)).collect()
    }

    #[test]
    fn every_variable_has_its_lines() {
        let text = "# c\n\nA=1\n  # c\nB='x\ny'\n\nC=\"z\"  # c\r\nD=";
        let expected = [("A", 3, 3), ("B", 5, 6), ("C", 8, 8), ("D", 9, 9)];
        assert_eq!(lines_of(text), expected.map(|(name, first, last)| (name.to_owned(), first, last)));
        assert_eq!(lines_of(""), []);
        // Longer than the buffer of the reader.
        let long = format!("A={}\nB=1", "x".repeat(100_000));
        assert_eq!(lines_of(&long), [("A".to_owned(), 1, 1), ("B".to_owned(), 2, 2)]);
    }

    #[test]
    fn every_wrong_line_is_reported() {
        let problems = EnvFile::parse(Path::new("x"), b"A 1\nB=2\nB=2 3\n").unwrap_err();
        let names: Vec<&str> = problems.iter().map(|problem| problem.name.as_str()).collect();
        assert_eq!(names, ["x line 1", "x line 3"]);
    }
}
