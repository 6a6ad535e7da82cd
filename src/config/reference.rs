//! The settings in the words of the references: docs/CONFIGURATION.md and the manual page holdfast.env(5).

use super::settings::{Effect, SECTIONS, Setting};

/// What holds for all settings, for the top of `.env.example` and of the references.
pub const INTRODUCTION: &str = "\
    The same names are accepted as environment variables, which take precedence. Unknown names \
    and invalid values are reported with their lines and prevent the start; `holdfast check-config` \
    prints the effective configuration, and warnings. An empty value counts as unset. Enclose a value \
    that contains `$`, `#`, quotes or spaces in single quotes. A setting with a line `Reload` can be changed \
    while Holdfast runs (`systemctl reload holdfast`, SIGHUP); all others need a restart.";

impl Setting {
    /// Description, accepted values, aliases, default and time of effect, one paragraph each.
    #[must_use]
    pub fn paragraphs(&self) -> Vec<String> {
        let mut paragraphs =
            vec![self.description.to_owned(), format!("Accepted: {}.", self.kind.expected())];
        let aliases = self.aliases.join(", ");
        match self.aliases.len() {
            0 => {}
            1 => paragraphs.push(format!("Alias: {aliases}.")),
            _ => paragraphs.push(format!("Aliases: {aliases}.")),
        }
        if !self.derived.is_empty() {
            paragraphs.push(format!("Default: {}.", self.derived));
        } else if !self.default.is_empty() {
            paragraphs.push(format!("Default: {}", self.default));
        }
        match self.effect {
            Effect::Restart => {}
            Effect::Reload => paragraphs.push("Reload: at once.".to_owned()),
            Effect::NewConnections => paragraphs.push("Reload: for new connections.".to_owned()),
        }
        paragraphs
    }
}

/// The text of docs/CONFIGURATION.md: every setting, by section.
#[must_use]
pub fn reference() -> String {
    let mut out = String::from(
        "# Configuration reference\n\n\
         A file of settings has lines `NAME=value`: `/etc/holdfast/holdfast.env` of the packaged \
         service, `.env` in\nthe working directory, or the file of `--env-file`. The manual page \
         holdfast.env(5) and `.env.example` are\nthe same reference.\n\n",
    );
    out.push_str(&wrapped(INTRODUCTION, ""));
    for section in SECTIONS {
        out.push_str(&format!("\n## {}\n", section.title));
        if !section.note.is_empty() {
            out.push_str(&format!("\n{}", wrapped(section.note, "")));
        }
        out.push('\n');
        for setting in section.settings {
            out.push_str(&format!("- **`{}`**\n", setting.name));
            let mut paragraphs = setting.paragraphs().into_iter();
            out.extend(paragraphs.next().map(|description| wrapped(&description, "  ")));
            out.extend(paragraphs.map(|paragraph| wrapped(&format!("- {paragraph}"), "  ")));
        }
    }
    out
}

/// Columns of a page.
const WIDTH: usize = 110;

/// The text in lines of at most [`WIDTH`] columns, each after `indent`.
fn wrapped(text: &str, indent: &str) -> String {
    let mut out = String::new();
    let mut line = indent.to_owned();
    for word in text.split(' ') {
        if line.len() > indent.len() {
            if line.chars().count() + 1 + word.chars().count() > WIDTH {
                out.push_str(&line);
                out.push('\n');
                indent.clone_into(&mut line);
            } else {
                line.push(' ');
            }
        }
        line.push_str(word);
    }
    out.push_str(&line);
    out.push('\n');
    out
}
