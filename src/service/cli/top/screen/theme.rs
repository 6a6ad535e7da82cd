//! Colours and emphasis. Without colours, emphasis and text carry the same information.

use ratatui::style::{Color, Modifier, Style};

use crate::telemetry::status::{Health, is_problem};

/// How the parts of the screen look.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Theme {
    has_colors: bool,
}

impl Theme {
    pub(in super::super) const fn new(has_colors: bool) -> Self {
        Self { has_colors }
    }

    /// Without colours if NO_COLOR is set and not empty (no-color.org).
    pub(in super::super) fn from_environment() -> Self {
        Self::new(std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()))
    }

    const fn color(self, color: Color, otherwise: Modifier) -> Style {
        if self.has_colors { Style::new().fg(color) } else { Style::new().add_modifier(otherwise) }
    }

    pub(super) const fn health(self, health: Health) -> Style {
        let style = match health {
            Health::Healthy => self.color(Color::Green, Modifier::BOLD),
            Health::Degraded => self.color(Color::Yellow, Modifier::REVERSED),
            Health::Down => self.color(Color::Red, Modifier::REVERSED),
        };
        style.add_modifier(Modifier::BOLD)
    }

    /// A message that the values are not those of now.
    pub(super) const fn alarm(self) -> Style {
        self.color(Color::Red, Modifier::BOLD).add_modifier(Modifier::REVERSED)
    }

    /// A condition of the daemon.
    pub(super) const fn condition(self) -> Style {
        self.color(Color::Yellow, Modifier::BOLD)
    }

    /// A row whose worst finding has this rank.
    pub(super) const fn row(self, rank: u8) -> Style {
        if is_problem(rank) {
            self.color(Color::Red, Modifier::BOLD)
        } else if rank > 0 {
            self.color(Color::Yellow, Modifier::empty())
        } else {
            Style::new()
        }
    }

    pub(super) const fn heading(self) -> Style {
        self.color(Color::Cyan, Modifier::empty()).add_modifier(Modifier::BOLD)
    }

    /// The head of the column by which the rows are sorted.
    pub(super) const fn sorted(self) -> Style {
        self.heading().add_modifier(Modifier::UNDERLINED)
    }

    pub(super) const fn selected(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    pub(super) const fn dim(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }
}
