//! Draws the state on the terminal.
//!
//! From the top: the health, totals and conditions; the names of the screens; the present screen; the keys.
//! Where lines are few, the table comes first; where columns are few, the least important ones are left out.

mod header;
mod overlay;
mod rows;
mod text;
mod theme;

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Line;

use super::state::{Mode, State, Tab};
use crate::route::Timestamp;
use crate::telemetry::printable;
use crate::telemetry::status::format::cut;
pub(super) use theme::Theme;

/// Lines that the table has at least, with its title and its head, before the totals are left out.
const BODY_MIN: u16 = 5;

/// Draws the whole screen. `now` is the wall clock.
pub(super) fn draw(frame: &mut Frame<'_>, state: &mut State, theme: &Theme, now: Timestamp) {
    let area = frame.area();
    let lines_max = area.height.saturating_sub(BODY_MIN + 2);
    let header = header::lines(state, theme, (area.width, area.height), now);
    let header = header.get(..usize::from(lines_max)).unwrap_or(&header);
    let mut rest = area;
    for line in header {
        put(frame, &mut rest, line);
    }
    if rest.height > 1 {
        put(frame, &mut rest, &tabs(state, theme, area.width));
    }
    let mut foot = Rect { y: rest.bottom().saturating_sub(1), height: rest.height.min(1), ..rest };
    let body = Rect { height: rest.height.saturating_sub(1), ..rest };
    match state.tab.kind() {
        Some(kind) => rows::draw(frame, body, state, theme, kind),
        None => text::draw(frame, body, state, theme),
    }
    put(frame, &mut foot, &keys(state, theme));
    let above_keys = Rect { height: area.height.saturating_sub(1), ..area };
    match state.mode {
        Mode::Help => overlay::help(frame, above_keys, theme),
        Mode::Sort(entry) => overlay::sort_menu(frame, above_keys, state, theme, entry),
        Mode::Normal | Mode::Filter => {}
    }
}

/// Writes a line into the first line of an area, which becomes one line shorter.
fn put(frame: &mut Frame<'_>, area: &mut Rect, line: &Line<'_>) {
    if area.height > 0 {
        frame.buffer_mut().set_line(area.x, area.y, line, area.width);
        area.y += 1;
        area.height -= 1;
    }
}

/// The names of the screens; their digits open them.
fn tabs(state: &State, theme: &Theme, width: u16) -> Line<'static> {
    let problems = state.sample.as_ref().map_or(0, |sample| sample.document.reasons.len());
    let titles = Tab::ALL.into_iter().zip(1..).map(|(tab, digit)| {
        let count = match (tab, problems) {
            (Tab::Problems, 1..) => format!(" {problems}"),
            _ => String::new(),
        };
        (tab == state.tab, format!(" {digit} {}{count} ", tab.title()))
    });
    let titles: Vec<(bool, String)> = titles.collect();
    let length: usize = titles.iter().map(|(_, title)| title.chars().count()).sum();
    // Without the spaces around them, all names fit into 60 columns.
    let is_narrow = length > usize::from(width);
    let spans = titles.into_iter().map(|(is_open, title)| {
        let style = if is_open { theme.selected() } else { Style::new() };
        let title = if is_narrow { format!("{} ", title.trim()) } else { title };
        ratatui::text::Span::styled(title, style)
    });
    Line::from_iter(spans)
}

/// The last line: the filter while it is typed, or the keys.
fn keys(state: &State, theme: &Theme) -> Line<'static> {
    let keys = match state.mode {
        Mode::Filter => {
            let filter = printable(&state.filter);
            return Line::styled(format!("filter: {filter}▏  Enter: keep  Esc: clear"), theme.selected());
        }
        Mode::Sort(_) => "↑↓ choose  Enter: sort  r reverse  Esc: close",
        Mode::Help => "Esc: close  q quit",
        Mode::Normal => match state.tab {
            Tab::Routers => "q quit  ? help  / filter  s sort  r reverse  ↑↓ select  Enter: peers",
            Tab::Peers => "q quit  ? help  / filter  s sort  r reverse  Enter: families  Esc: back",
            Tab::Families | Tab::Lanes => "q quit  ? help  / filter  s sort  r reverse  Esc: back",
            Tab::Log | Tab::Problems => "q quit  ? help  ↑↓ scroll  1–6 screens",
        },
    };
    Line::styled(keys, theme.dim())
}

/// A line that ends at the last column, with `…` if it is cut.
fn line(text: &str, width: u16, style: Style) -> Line<'static> {
    Line::styled(cut(&printable(text), usize::from(width)), style)
}

/// An age in seconds, or that it is unknown.
fn lag(seconds: Option<f64>) -> String {
    seconds.map_or_else(|| "unknown".to_owned(), |seconds| format!("{seconds:.1} s"))
}
