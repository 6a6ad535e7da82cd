//! The terminal: its width, and the pager through which a table is shown.

use std::env;
use std::io::{self, BufWriter, IsTerminal as _, Write};
use std::process::{Child, ChildStdin, Command, Stdio};

use super::Failure;

/// Options of `less` unless the environment has others: quit if the output fits the screen, show colors,
/// cut long lines, and leave the output on the screen.
const LESS: &str = "FRSX";

/// Width of the terminal that standard output is; `None` if it is none.
pub(super) fn terminal_width() -> Option<usize> {
    let out = io::stdout();
    if !out.is_terminal() {
        return None;
    }
    let width = rustix::termios::tcgetwinsize(&out).map_or(0, |size| size.ws_col);
    Some(if width == 0 { 80 } else { usize::from(width) })
}

/// A pager that shows what is written to it.
pub(super) struct Pager {
    child: Child,
    input: BufWriter<ChildStdin>,
}

impl Pager {
    /// Starts the pager; `None` if there is none.
    pub(super) fn start() -> Result<Option<Self>, Failure> {
        let variable = |name| env::var(name).ok();
        let (mut command, is_default) = match chosen(variable("HOLDFAST_PAGER"), variable("PAGER")) {
            Chosen::Off => return Ok(None),
            Chosen::Default => (Command::new("less"), true),
            Chosen::Shell(line) => {
                let mut shell = Command::new("sh");
                shell.args(["-c", &line]);
                (shell, false)
            }
        };
        if env::var_os("LESS").is_none() {
            command.env("LESS", LESS);
        }
        let mut child = match command.stdin(Stdio::piped()).spawn() {
            Ok(child) => child,
            Err(error) if is_default && error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Failure::Other(format!("cannot start the pager: {error}"), 1)),
        };
        Ok(child.stdin.take().map(|input| Self { child, input: BufWriter::new(input) }))
    }

    /// Waits until the user has left the pager.
    pub(super) fn finish(self) -> Result<(), Failure> {
        let Self { mut child, input } = self;
        // The pager may have been left before the end.
        drop(input.into_inner());
        let status = child.wait()?;
        // What a shell reports if it finds no such program.
        if status.code() == Some(127) {
            let message =
                "the pager was not found: set HOLDFAST_PAGER or PAGER to another, or use --no-pager";
            return Err(Failure::Other(message.to_owned(), 1));
        }
        Ok(())
    }
}

impl Write for Pager {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.input.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.input.flush()
    }
}

/// The pager by the environment.
#[derive(Debug, PartialEq, Eq)]
enum Chosen {
    /// No pager.
    Off,
    /// `less`, if it is installed.
    Default,
    /// A command line for the shell.
    Shell(String),
}

/// An empty variable, and `cat`, stand for no pager.
fn chosen(own: Option<String>, general: Option<String>) -> Chosen {
    match own.or(general) {
        None => Chosen::Default,
        Some(line) if line.trim().is_empty() || line.trim() == "cat" => Chosen::Off,
        Some(line) => Chosen::Shell(line),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_variable_takes_precedence_and_an_empty_one_is_no_pager() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(chosen(None, None), Chosen::Default);
        assert_eq!(chosen(some("more"), some("less")), Chosen::Shell("more".to_owned()));
        assert_eq!(chosen(None, some("less -S")), Chosen::Shell("less -S".to_owned()));
        assert_eq!(chosen(some(""), some("less")), Chosen::Off);
        assert_eq!(chosen(None, some("cat")), Chosen::Off);
    }
}
