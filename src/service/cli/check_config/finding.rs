//! The results of the checks, and their text.

use std::io::{self, Write};

/// Result of one check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// As it should be.
    Good,
    /// The check was not made.
    Skipped,
    /// Holdfast works, but not as well as it could.
    Warning,
    /// Holdfast does not start, or delivers nothing.
    Failed,
}

/// One check: what was found, and what to do about it.
#[derive(Debug)]
pub(super) struct Finding {
    verdict: Verdict,
    subject: &'static str,
    text: String,
    advice: String,
}

impl Finding {
    pub(super) fn good(subject: &'static str, text: impl Into<String>) -> Self {
        Self { verdict: Verdict::Good, subject, text: text.into(), advice: String::new() }
    }

    pub(super) fn skipped(subject: &'static str, text: impl Into<String>) -> Self {
        Self { verdict: Verdict::Skipped, subject, text: text.into(), advice: String::new() }
    }

    pub(super) fn warning(subject: &'static str, text: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { verdict: Verdict::Warning, subject, text: text.into(), advice: advice.into() }
    }

    pub(super) fn failed(subject: &'static str, text: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { verdict: Verdict::Failed, subject, text: text.into(), advice: advice.into() }
    }
}

/// Prints the findings and their number. Returns whether none failed.
pub(super) fn print(findings: &[Finding], out: &mut impl Write) -> io::Result<bool> {
    for Finding { verdict, subject, text, advice } in findings {
        let verdict = match verdict {
            Verdict::Good => "ok",
            Verdict::Skipped => "-",
            Verdict::Warning => "WARNING",
            Verdict::Failed => "FAILED",
        };
        writeln!(out, "{verdict:8} {subject:10} {text}")?;
        if !advice.is_empty() {
            writeln!(out, "{:19} do: {advice}", "")?;
        }
    }
    let count = |wanted| findings.iter().filter(|finding| finding.verdict == wanted).count();
    let failed = count(Verdict::Failed);
    let (warnings, skipped) = (count(Verdict::Warning), count(Verdict::Skipped));
    writeln!(out, "{failed} failed, {warnings} warnings, {skipped} not checked")?;
    Ok(failed == 0)
}
