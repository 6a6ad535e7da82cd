//! Draws a table: its title, the heads of its columns, and the rows that fit.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use super::super::state::State;
use super::super::table::{Column, SortBy, fitting};
use super::super::tables::Kind;
use super::{Theme, line, put};
use crate::telemetry::status::format::cut;

pub(super) fn draw(frame: &mut Frame<'_>, mut area: Rect, state: &mut State, theme: &Theme, kind: Kind) {
    let columns = kind.columns();
    let height = usize::from(area.height.saturating_sub(2));
    let offset = state.scroll_into_view(state.shown.len(), height);
    let title = title(state, columns, offset, height);
    let title = line(&title, area.width, theme.dim());
    put(frame, &mut area, &title);
    // The first column would repeat the name of the router that the title has.
    let is_of_router = state.tab.is_scoped() && state.scope.router.is_some();
    let fitting = fitting(columns, usize::from(is_of_router), area.width);
    let order = state.position().order;
    let head = |index: usize, column: &Column| {
        let is_sorted = order.by == SortBy::Column(index);
        (column.title.to_owned(), if is_sorted { theme.sorted() } else { theme.heading() })
    };
    cells(frame, area, columns, &fitting, head);
    let selected = state.selected();
    for (shown, index) in state.shown.iter().enumerate().skip(offset).take(height) {
        area.y += 1;
        area.height = area.height.saturating_sub(1);
        let Some(row) = state.rows.get(*index) else { continue };
        let mut style = theme.row(row.rank);
        if selected == Some(shown) {
            style = style.add_modifier(Modifier::REVERSED);
            frame.buffer_mut().set_style(Rect { height: 1, ..area }, style);
        }
        let cell = |index: usize, _: &Column| {
            (row.cells.get(index).map(|cell| cell.text.clone()).unwrap_or_default(), style)
        };
        cells(frame, area, columns, &fitting, cell);
    }
    if state.shown.is_empty() && height > 0 {
        area.y += 1;
        area.height = 1;
        let reason = line(empty(state, kind), area.width, theme.dim());
        put(frame, &mut area, &reason);
    }
}

/// Writes one cell for each column into the first line of the area.
fn cells(
    frame: &mut Frame<'_>,
    area: Rect,
    columns: &[Column],
    fitting: &[(usize, u16)],
    cell: impl Fn(usize, &Column) -> (String, Style),
) {
    if area.height == 0 {
        return;
    }
    let mut x = area.x;
    for (index, width) in fitting {
        let Some(column) = columns.get(*index) else { continue };
        let room = usize::from((*width).min(area.right().saturating_sub(x)));
        let (text, style) = cell(*index, column);
        let text = cut(&text, room);
        let text = if column.is_number { format!("{text:>room$}") } else { text };
        frame.buffer_mut().set_stringn(x, area.y, text, room, style);
        x = x.saturating_add(width + 1).min(area.right());
    }
}

/// The rows that are shown, their order, and why others are not.
fn title(state: &State, columns: &[Column], offset: usize, height: usize) -> String {
    let (shown, all) = (state.shown.len(), state.rows.len());
    let last = shown.min(offset + height);
    let rows = if shown == 0 { "0".to_owned() } else { format!("{}–{last}", offset + 1) };
    let order = state.position().order;
    let (by, direction) = match order.by {
        SortBy::Worst => ("worst first".to_owned(), if order.reversed { ", reversed" } else { "" }),
        SortBy::Column(index) => {
            let column = columns.get(index);
            let is_descending = column.is_some_and(|column| column.is_number) != order.reversed;
            let title = column.map_or("", |column| column.title);
            (format!("by {title}"), if is_descending { ", descending" } else { ", ascending" })
        }
    };
    let scope = match (&state.scope.router, &state.scope.peer) {
        (Some(router), Some((_, peer))) => format!(" · of {router}, peer {peer}"),
        (Some(router), None) => format!(" · of {router}"),
        _ => String::new(),
    };
    let scope = if state.tab.is_scoped() { scope } else { String::new() };
    let filter = if state.filter.is_empty() {
        String::new()
    } else {
        format!(" · filter \"{}\" ({all} rows)", state.filter)
    };
    format!("{} {rows} of {shown}, {by}{direction}{scope}{filter}", state.tab.title())
}

/// Why there are no rows.
fn empty(state: &State, kind: Kind) -> &'static str {
    match &state.sample {
        None => "unknown: the daemon has not answered yet",
        Some(_) if !state.filter.is_empty() => "no row matches the filter",
        Some(sample) if kind == Kind::Lanes && sample.document.delivery.is_none() => {
            "delivery is disabled (store-only mode)"
        }
        Some(sample) if kind == Kind::Lanes => {
            if sample.document.delivery.as_ref().is_some_and(|delivery| delivery.needs_operator) {
                "lanes are unknown: the delivery has not started yet, and needs operator action"
            } else {
                "lanes are unknown: the delivery has not started yet"
            }
        }
        Some(_) => "none",
    }
}
