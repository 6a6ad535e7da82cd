//! The help and the menu of columns, drawn over the present screen.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Line;
use ratatui::widgets::{Block, Clear};

use super::super::state::State;
use super::{Theme, put};
use crate::num::to_usize;

/// The keys and what they do.
const KEYS: [(&str, &str); 14] = [
    ("q, Ctrl-C", "quit"),
    ("1 to 6, Tab", "open a screen"),
    ("↑ ↓, k j", "select a row, or scroll"),
    ("← →, PgUp PgDn", "page up or down; also Ctrl-B, Ctrl-F"),
    ("Home End, g G", "first row without a selection, last row"),
    ("Enter", "peers of the router, families of the peer"),
    ("Esc", "back: filter, peer, router, selection"),
    ("/, f, F4", "filter: words that a row contains"),
    ("s, F6", "sort by a column"),
    ("r, F7", "reverse the order"),
    ("?, F1", "this help"),
    ("Ctrl-L", "draw the screen again"),
    ("", "Queue: bytes received and not read yet"),
    ("", "Backlog: bytes in the log, not delivered"),
];

pub(super) fn help(frame: &mut Frame<'_>, area: Rect, theme: &Theme) {
    let lines = KEYS.map(|(key, text)| (format!(" {key:<16}{text}"), Style::new()));
    boxed(frame, area, theme, "Keys", &lines, 0);
}

/// The menu of the columns to sort by. The first entry is the order by seriousness.
pub(super) fn sort_menu(frame: &mut Frame<'_>, area: Rect, state: &State, theme: &Theme, entry: usize) {
    let columns = state.tab.kind().map_or(&[][..], |kind| kind.columns());
    let titles = std::iter::once("worst first").chain(columns.iter().map(|column| column.title));
    let lines: Vec<(String, Style)> = titles
        .enumerate()
        .map(|(index, title)| {
            let style = if index == entry { theme.selected() } else { Style::new() };
            (format!(" {title} "), style)
        })
        .collect();
    boxed(frame, area, theme, "Sort by", &lines, entry);
}

/// Draws lines in a box in the middle of an area. Line `wanted` is among those that fit.
fn boxed(
    frame: &mut Frame<'_>,
    area: Rect,
    theme: &Theme,
    title: &'static str,
    lines: &[(String, Style)],
    wanted: usize,
) {
    let longest = lines.iter().map(|(line, _)| line.chars().count()).max().unwrap_or_default();
    let width = u16::try_from(longest.max(title.len()) + 3).unwrap_or(u16::MAX).min(area.width);
    let height = u16::try_from(lines.len() + 2).unwrap_or(u16::MAX).min(area.height);
    let x = area.x + (area.width - width) / 2;
    let y = area.y + (area.height - height) / 2;
    let outer = Rect { x, y, width, height };
    let block = Block::bordered().title(title).title_style(theme.heading());
    let mut inner = block.inner(outer);
    frame.render_widget(Clear, outer);
    frame.render_widget(block, outer);
    let skipped = (wanted + 1).saturating_sub(to_usize(u64::from(inner.height)));
    for (line, style) in lines.iter().skip(skipped) {
        put(frame, &mut inner, &Line::styled(line.as_str(), *style));
    }
}
