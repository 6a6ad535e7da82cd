//! Screens drawn to a buffer, compared with those in tests/golden/top. `UPDATE=1` writes them.

use std::path::PathBuf;
use std::time::Duration;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent};
use ratatui::style::Color;

use super::fixtures::{database_away, document, idle, later, loaded, many, router};
use super::screen::{self, Theme};
use super::state::State;
use crate::route::Timestamp;
use crate::telemetry::status::{Document, Router};

/// 2026-08-11T09:30:03Z.
const NOW: Timestamp = Timestamp(1_786_440_603_000_000);

/// The sizes of the terminals: the usual one, a narrow one, a large one.
const SIZES: [(u16, u16); 3] = [(80, 24), (60, 20), (200, 50)];

/// The state after a document, and after two more seconds of work.
fn state(document: Document, keys: &str) -> State {
    let mut state = State::new(Duration::from_secs(1));
    state.received(Ok(document.clone()), Timestamp(NOW.0 - 2_000_000));
    state.received(Ok(later(document)), NOW);
    press(&mut state, keys);
    state
}

fn press(state: &mut State, keys: &str) {
    for key in keys.chars() {
        state.key(KeyEvent::from(if key == '\n' { KeyCode::Enter } else { KeyCode::Char(key) }));
    }
}

fn drawn(state: &mut State, (width, height): (u16, u16), theme: Theme, now: Timestamp) -> TestBackend {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| screen::draw(frame, state, &theme, now)).unwrap();
    terminal.backend().clone()
}

/// The lines of a screen without spaces at their ends.
fn text(backend: &TestBackend) -> String {
    let buffer = backend.buffer();
    let rows = buffer.content().chunks(usize::from(buffer.area.width));
    rows.map(|row| row.iter().map(|cell| cell.symbol()).collect::<String>().trim_end().to_owned() + "\n")
        .collect()
}

fn check(name: &str, state: &mut State, size: (u16, u16)) {
    let screen = text(&drawn(state, size, Theme::new(true), NOW));
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/top/{name}.txt"));
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &screen).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(screen, golden, "{} differs; UPDATE=1 writes it:\n{screen}", path.display());
}

#[test]
fn the_routers_are_shown_on_terminals_of_all_sizes() {
    for (name, document) in
        [("idle", idle()), ("loaded", loaded()), ("database-away", database_away()), ("many", many())]
    {
        let mut state = state(document, "");
        for (width, height) in SIZES {
            check(&format!("{name}-{width}x{height}"), &mut state, (width, height));
        }
    }
}

#[test]
fn the_other_screens_are_shown() {
    for (name, keys) in [
        ("peers", "2"),
        ("families", "3"),
        ("lanes", "4"),
        ("log", "5"),
        ("problems", "6"),
        ("help", "?"),
        ("sort-menu", "sjjj"),
        ("sorted", "sjjjj\nr"),
        ("filter", "/edge paused"),
        ("peers-of-a-router", "/long\nj\n"),
    ] {
        check(name, &mut state(loaded(), keys), (80, 24));
    }
    check("peers-60x20", &mut state(loaded(), "2"), (60, 20));
    check("log-database-away", &mut state(database_away(), "5"), (60, 20));
    check("lanes-database-away", &mut state(database_away(), "4"), (60, 20));
}

#[test]
fn a_daemon_that_does_not_answer_is_named_with_the_time() {
    let mut silent = State::new(Duration::from_secs(1));
    silent.received(Err("no daemon answers on status.sock".to_owned()), Timestamp(NOW.0 - 5_000_000));
    check("no-daemon", &mut silent, (80, 24));
    let mut state = state(idle(), "");
    check("answered", &mut state, (80, 24));
    let late = text(&drawn(&mut state, (80, 24), Theme::new(true), Timestamp(NOW.0 + 4_000_000)));
    assert!(late.starts_with("NO ANSWER for 4 s; the values are of 09:30:03 UTC\n"), "{late}");
    state.received(Err("no daemon answers on status.sock".to_owned()), NOW);
    let away = text(&drawn(&mut state, (80, 24), Theme::new(true), Timestamp(NOW.0 + 65_000_000)));
    let first = "NO ANSWER since 09:30:03 UTC (1 min 5 s); the values are of 09:30:03 UTC: no da…\n";
    assert!(away.starts_with(first) && away.contains("edge1"), "{away}");
}

#[test]
fn no_colour_is_used_where_none_is_wanted() {
    for keys in ["", "2", "3", "4", "5", "6", "?", "s", "jj"] {
        let mut state = state(loaded(), keys);
        let colours = |backend: &TestBackend| {
            let cells = backend.buffer().content().iter();
            cells.filter(|cell| cell.fg != Color::Reset || cell.bg != Color::Reset).count()
        };
        assert!(colours(&drawn(&mut state, (80, 24), Theme::new(true), NOW)) > 0);
        assert_eq!(colours(&drawn(&mut state, (80, 24), Theme::new(false), NOW)), 0, "{keys}");
    }
}

#[test]
fn a_terminal_of_any_size_can_be_drawn() {
    for keys in ["", "2", "5", "6", "?", "s", "/x", "G"] {
        let mut state = state(loaded(), keys);
        for width in [0, 1, 2, 7, 20, 39, 300] {
            for height in [0, 1, 2, 3, 5, 8, 11, 100] {
                drawn(&mut state, (width, height), Theme::new(true), NOW);
            }
        }
    }
}

#[test]
fn routers_that_are_slowed_or_paused_are_marked_and_come_first() {
    let mut slowed = router("edge2");
    (slowed.transport.slowed, slowed.transport.slowed_s) = (true, 3.0);
    let paused = Router { log_paused_s: Some(34.0), ..router("edge3") };
    let document = document(vec![router("edge1"), slowed, paused]);
    // The first two columns of each row.
    let shown = |keys: &str, size| -> Vec<String> {
        let screen = text(&drawn(&mut state(document.clone(), keys), size, Theme::new(true), NOW));
        let rows = screen.lines().filter(|line| line.starts_with("edge"));
        rows.map(|row| {
            let cells = row.split("  ").map(str::trim).filter(|cell| !cell.is_empty());
            cells.take(2).collect::<Vec<_>>().join(": ")
        })
        .collect()
    };
    let all = ["edge3: paused for 34 s", "edge2: slowed: new peers", "edge1: connected"];
    for size in SIZES {
        assert_eq!(shown("", size), all, "{size:?}");
    }
    assert_eq!(shown("/slowed", SIZES[0]), all[1..2]);
}

#[test]
fn an_unknown_value_is_named() {
    let mut state = State::default();
    state.received(Ok(document(vec![router("edge1")])), NOW);
    let screen = text(&drawn(&mut state, (80, 24), Theme::new(true), NOW));
    let row = screen.lines().find(|line| line.starts_with("edge1")).unwrap();
    assert!(row.contains(" unknown "), "the rate after one document: {row}");
    assert!(screen.contains("records unknown"), "{screen}");
}
