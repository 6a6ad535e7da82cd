//! Manual pages and shell completions of the programs, generated from the definitions of their command lines.
//!
//! The end of a command's help text (`after_help`) has a fixed form: paragraphs, the heading `Examples:` or
//! `Example:`, and the heading `Exit codes:`. The headings become sections of the page.

use std::io;
use std::path::{Path, PathBuf};

use clap::Command;
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

/// The shells that completions are written for.
const SHELLS: [Shell; 3] = [Shell::Bash, Shell::Zsh, Shell::Fish];

/// Hidden commands, the same in each program, that write its pages and completions for a package.
#[derive(Debug, clap::Subcommand)]
pub enum Documents {
    /// Write the manual pages into a directory
    #[command(hide = true)]
    Man {
        /// Output directory, created if missing
        #[arg(value_name = "DIR")]
        directory: PathBuf,
    },
    /// Write the completions of bash, zsh and fish into a directory
    #[command(hide = true)]
    Completions {
        /// Output directory, created if missing
        #[arg(value_name = "DIR")]
        directory: PathBuf,
    },
}

impl Documents {
    /// Writes the documents of a program.
    ///
    /// # Errors
    ///
    /// A file cannot be written.
    pub fn write(&self, mut command: Command, other_pages: &[Page]) -> io::Result<()> {
        match self {
            Self::Man { directory } => {
                std::fs::create_dir_all(directory)?;
                command.build();
                write_pages(&command, directory)?;
                other_pages.iter().try_for_each(|page| page.write(directory))
            }
            Self::Completions { directory } => {
                std::fs::create_dir_all(directory)?;
                let name = command.get_name().to_owned();
                for shell in SHELLS {
                    clap_complete::generate_to(shell, &mut command, &name, directory)?;
                }
                Ok(())
            }
        }
    }
}

/// A page that describes no command: a file format, or an overview.
#[derive(Debug)]
pub struct Page {
    name: &'static str,
    section: char,
    roff: Roff,
}

impl Page {
    /// A page with its NAME section. `section` is `5` for a file format and `7` for an overview.
    #[must_use]
    pub fn new(name: &'static str, section: char, about: &str) -> Self {
        let mut roff = Roff::new();
        roff.control("TH", [name, &section.to_string(), "", &source()]);
        let mut page = Self { name, section, roff };
        page.heading("NAME");
        page.text(&format!("{name} - {about}"));
        page
    }

    /// Begins a section.
    pub fn heading(&mut self, title: &str) {
        self.roff.control("SH", [title]);
    }

    /// Begins a part of a section.
    pub fn subheading(&mut self, title: &str) {
        self.roff.control("SS", [title]);
    }

    /// Adds a paragraph.
    pub fn text(&mut self, text: &str) {
        self.roff.text([roman(text)]);
    }

    /// Adds an entry of a list: a term, and an indented paragraph or more.
    pub fn entry(&mut self, term: &str, paragraphs: &[String]) {
        entry(&mut self.roff, term, paragraphs);
    }

    /// Adds lines that are printed as they are.
    pub fn lines<'a>(&mut self, lines: impl IntoIterator<Item = &'a str>) {
        verbatim(&mut self.roff, lines);
    }

    fn write(&self, directory: &Path) -> io::Result<()> {
        std::fs::write(directory.join(format!("{}.{}", self.name, self.section)), self.roff.to_roff())
    }
}

/// Writes the page of a command that has been built, and those of its visible commands.
fn write_pages(command: &Command, directory: &Path) -> io::Result<()> {
    let visible: Vec<_> = command.get_subcommands().filter(|command| !command.is_hide_set()).collect();
    visible.iter().try_for_each(|command| write_pages(command, directory))?;
    let page = Man::new(command.clone()).date("").source(source());
    let mut bytes = Vec::new();
    page.render_title(&mut bytes)?;
    page.render_name_section(&mut bytes)?;
    page.render_synopsis_section(&mut bytes)?;
    page.render_description_section(&mut bytes)?;
    let end = End::from_help(&command.get_after_help().map(ToString::to_string).unwrap_or_default());
    end.notes().to_writer(&mut bytes)?;
    page.render_options_section(&mut bytes)?;
    if !visible.is_empty() {
        page.render_subcommands_section(&mut bytes)?;
    }
    end.sections().to_writer(&mut bytes)?;
    std::fs::write(directory.join(page.get_filename()), bytes)
}

/// The end of a help text, by heading. Each is a list of lines.
#[derive(Default)]
struct End {
    notes: Vec<String>,
    examples: Vec<String>,
    exit_codes: Vec<String>,
}

impl End {
    fn from_help(help: &str) -> Self {
        let mut end = Self::default();
        for paragraph in help.split("\n\n") {
            let (first, rest) = paragraph.split_once('\n').unwrap_or((paragraph, ""));
            let (lines, text) = match first {
                "Examples:" | "Example:" => (&mut end.examples, rest),
                "Exit codes:" => (&mut end.exit_codes, rest),
                _ => (&mut end.notes, paragraph),
            };
            if !lines.is_empty() {
                lines.push(String::new());
            }
            lines.extend(text.lines().map(str::to_owned));
        }
        end
    }

    /// Paragraphs that continue the description.
    fn notes(&self) -> Roff {
        let mut roff = Roff::new();
        if self.notes.iter().any(|line| !line.is_empty()) {
            roff.control("PP", []);
        }
        for line in &self.notes {
            match line.is_empty() {
                true => drop(roff.control("PP", [])),
                false => drop(roff.text([roman(line)])),
            }
        }
        roff
    }

    /// The sections of exit codes and examples.
    fn sections(&self) -> Roff {
        let mut roff = Roff::new();
        if !self.exit_codes.is_empty() {
            roff.control("SH", ["EXIT STATUS"]);
        }
        // A line `  CODE  MEANING`, and lines that continue the meaning.
        let mut codes: Vec<(String, String)> = Vec::new();
        for line in &self.exit_codes {
            let text = line.trim();
            match text.split_once(' ').filter(|(code, _)| code.parse::<u8>().is_ok()) {
                Some((code, meaning)) => codes.push((code.to_owned(), meaning.trim().to_owned())),
                None => {
                    if let Some((_, meaning)) = codes.last_mut() {
                        meaning.push(' ');
                        meaning.push_str(text);
                    }
                }
            }
        }
        for (code, meaning) in codes {
            entry(&mut roff, &code, &[meaning]);
        }
        if !self.examples.is_empty() {
            roff.control("SH", ["EXAMPLES"]);
            verbatim(&mut roff, self.examples.iter().map(String::as_str));
        }
        roff
    }
}

/// Name and version of the package, for the foot of each page.
fn source() -> String {
    format!("holdfast {}", env!("CARGO_PKG_VERSION"))
}

fn entry(roff: &mut Roff, term: &str, paragraphs: &[String]) {
    roff.control("TP", []);
    roff.text([bold(term)]);
    for (index, paragraph) in paragraphs.iter().enumerate() {
        if index > 0 {
            roff.control("br", []);
        }
        roff.text([roman(paragraph)]);
    }
}

fn verbatim<'a>(roff: &mut Roff, lines: impl IntoIterator<Item = &'a str>) {
    roff.control("PP", []);
    roff.control("nf", []);
    for line in lines {
        roff.text([roman(line)]);
    }
    roff.control("fi", []);
}
