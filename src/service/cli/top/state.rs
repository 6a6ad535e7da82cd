//! What `holdfast top` shows, and how documents and keys change it. Pure.

use std::time::Duration;

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::sample::Sample;
use super::table::{Order, Row, SortBy, arranged};
use super::tables::{Kind, Scope};
use crate::num::u32_to_usize;
use crate::route::Timestamp;
use crate::telemetry::status::Document;

/// A screen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Tab {
    #[default]
    Routers,
    Peers,
    Families,
    Lanes,
    Log,
    Problems,
}

impl Tab {
    /// All screens, in the order of their digits.
    pub(super) const ALL: [Self; 6] =
        [Self::Routers, Self::Peers, Self::Families, Self::Lanes, Self::Log, Self::Problems];

    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Routers => "Routers",
            Self::Peers => "Peers",
            Self::Families => "Families",
            Self::Lanes => "Lanes",
            Self::Log => "Log",
            Self::Problems => "Problems",
        }
    }

    /// The table of the screen; `None` for a screen of text.
    pub(super) const fn kind(self) -> Option<Kind> {
        match self {
            Self::Routers => Some(Kind::Routers),
            Self::Peers => Some(Kind::Peers),
            Self::Families => Some(Kind::Families),
            Self::Lanes => Some(Kind::Lanes),
            Self::Log | Self::Problems => None,
        }
    }

    /// Whether the screen is restricted to the chosen router.
    pub(super) const fn is_scoped(self) -> bool {
        matches!(self, Self::Peers | Self::Families)
    }

    const fn index(self) -> usize {
        self as usize
    }

    /// The screen that is `steps` further.
    fn further(self, steps: usize) -> Self {
        Self::ALL.into_iter().cycle().nth(self.index() + steps).unwrap_or_default()
    }
}

/// What the keys act on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Mode {
    /// The screen.
    #[default]
    Normal,
    /// The text of the filter.
    Filter,
    /// The menu of the columns to sort by, and the index of the selected entry.
    Sort(usize),
    /// The help.
    Help,
}

/// Whether the daemon answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Link {
    /// There was no answer yet.
    #[default]
    Connecting,
    /// The last document was received at this time.
    Up(Timestamp),
    /// The daemon has not answered since a time, which is that of its last answer; with the last error.
    Away { since: Timestamp, error: String },
}

/// What the program does after a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    Continue,
    /// Draw the whole screen again, whatever another program has written to it.
    Redraw,
    Quit,
}

/// The position in a screen.
#[derive(Clone, Debug, Default)]
pub(super) struct Position {
    pub(super) order: Order,
    /// Key of the selected row. The selection stays on its row when the order changes; without one, the first
    /// rows are shown.
    pub(super) selected: Option<String>,
    /// Index of the first row or line that is shown.
    pub(super) offset: usize,
}

/// The state of the program.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) tab: Tab,
    pub(super) mode: Mode,
    pub(super) scope: Scope,
    pub(super) filter: String,
    pub(super) link: Link,
    /// Time between two reads of the status.
    pub(super) interval: Duration,
    pub(super) sample: Option<Sample>,
    pub(super) rows: Vec<Row>,
    /// Indices of the rows that match the filter, in their order.
    pub(super) shown: Vec<usize>,
    /// Rows or lines that the screen has for the table or the text. Set by drawing.
    pub(super) height: usize,
    positions: [Position; Tab::ALL.len()],
}

impl State {
    pub(super) fn new(interval: Duration) -> Self {
        Self { interval, ..Self::default() }
    }

    /// A new document of the daemon, or the reason why there is none.
    pub(super) fn received(&mut self, answer: Result<Document, String>, now: Timestamp) {
        match answer {
            Ok(document) => {
                self.sample = Some(Sample::new(document, self.sample.take()));
                self.link = Link::Up(now);
                self.load();
            }
            Err(error) => {
                let since = match self.link {
                    Link::Away { since, .. } | Link::Up(since) => since,
                    Link::Connecting => now,
                };
                self.link = Link::Away { since, error };
            }
        }
    }

    /// The position in the present screen.
    pub(super) fn position(&self) -> Position {
        self.positions.get(self.tab.index()).cloned().unwrap_or_default()
    }

    fn set_position(&mut self, position: Position) {
        if let Some(old) = self.positions.get_mut(self.tab.index()) {
            *old = position;
        }
    }

    /// Index of the selected row among the shown ones.
    pub(super) fn selected(&self) -> Option<usize> {
        let key = self.position().selected?;
        self.shown.iter().position(|index| self.rows.get(*index).is_some_and(|row| row.key == key))
    }

    /// Makes the rows of the present screen.
    fn load(&mut self) {
        self.rows = match (&self.sample, self.tab.kind()) {
            (Some(sample), Some(kind)) => kind.rows(sample, &self.scope),
            _ => Vec::new(),
        };
        self.arrange();
    }

    /// Filters and sorts the rows.
    fn arrange(&mut self) {
        let columns = self.tab.kind().map_or(&[][..], Kind::columns);
        self.shown = arranged(columns, &self.rows, &self.filter, self.position().order);
    }

    /// Moves the offset so that the selected row is among the `height` shown ones, and no line is empty
    /// without need. `length` is the number of rows or lines.
    pub(super) fn scroll_into_view(&mut self, length: usize, height: usize) -> usize {
        self.height = height.max(1);
        let mut position = self.position();
        let last = length.saturating_sub(self.height);
        position.offset = match (self.selected(), self.tab.kind()) {
            (Some(selected), _) => {
                position.offset.clamp(selected.saturating_sub(self.height - 1), selected).min(last)
            }
            (None, Some(_)) => 0,
            (None, None) => position.offset.min(last),
        };
        let offset = position.offset;
        self.set_position(position);
        offset
    }

    /// A key was pressed.
    pub(super) fn key(&mut self, key: KeyEvent) -> Flow {
        let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
        match (self.mode, key.code) {
            (_, KeyCode::Char('c')) if is_control => return Flow::Quit,
            (_, KeyCode::Char('l')) if is_control => return Flow::Redraw,
            (Mode::Filter, code) if !is_control => self.filter_key(code),
            (Mode::Sort(entry), code) if !is_control => return self.sort_key(entry, code),
            (Mode::Help, KeyCode::Esc | KeyCode::Enter | KeyCode::Char('?') | KeyCode::F(1)) => {
                self.mode = Mode::Normal;
            }
            (Mode::Normal | Mode::Help, KeyCode::Char('q')) => return Flow::Quit,
            (Mode::Normal, code) => self.screen_key(code, is_control),
            _ => {}
        }
        Flow::Continue
    }

    fn screen_key(&mut self, code: KeyCode, is_control: bool) {
        let page = self.height.max(1);
        match code {
            KeyCode::Char('f') if is_control => self.down(page),
            KeyCode::Char('b') if is_control => self.up(page),
            KeyCode::Char(_) if is_control => {}
            KeyCode::PageDown | KeyCode::Right => self.down(page),
            KeyCode::PageUp | KeyCode::Left => self.up(page),
            KeyCode::Down | KeyCode::Char('j') => self.down(1),
            KeyCode::Up | KeyCode::Char('k') => self.up(1),
            KeyCode::Home | KeyCode::Char('g') => self.top(),
            KeyCode::End | KeyCode::Char('G') => self.down(usize::MAX),
            KeyCode::Tab => self.open(self.tab.further(1)),
            KeyCode::BackTab => self.open(self.tab.further(Tab::ALL.len() - 1)),
            KeyCode::Char(digit @ '1'..='6') => {
                let index = digit.to_digit(10).map_or(0, u32_to_usize);
                self.open(Tab::default().further(index.saturating_sub(1)));
            }
            KeyCode::Enter => self.enter(),
            KeyCode::Esc => self.back(),
            KeyCode::Char('?') | KeyCode::F(1) => self.mode = Mode::Help,
            KeyCode::Char('/' | 'f') | KeyCode::F(4) if self.tab.kind().is_some() => {
                self.mode = Mode::Filter;
            }
            KeyCode::Char('s') | KeyCode::F(6) if self.tab.kind().is_some() => self.open_sort_menu(),
            KeyCode::Char('r') | KeyCode::F(7) => self.reverse(),
            _ => {}
        }
    }

    fn filter_key(&mut self, code: KeyCode) {
        match code {
            KeyCode::Char(letter) => self.filter.push(letter),
            KeyCode::Backspace => {
                self.filter.pop();
            }
            KeyCode::Enter => self.mode = Mode::Normal,
            KeyCode::Esc => {
                self.mode = Mode::Normal;
                self.filter.clear();
            }
            KeyCode::Down => self.down(1),
            KeyCode::Up => self.up(1),
            _ => {}
        }
        self.arrange();
    }

    /// A key in the menu of columns. Its first entry is [`SortBy::Worst`].
    fn sort_key(&mut self, entry: usize, code: KeyCode) -> Flow {
        let last = self.tab.kind().map_or(0, |kind| kind.columns().len());
        match code {
            KeyCode::Char('q') => return Flow::Quit,
            KeyCode::Esc => self.mode = Mode::Normal,
            KeyCode::Down | KeyCode::Tab | KeyCode::Char('j') => {
                self.mode = Mode::Sort(if entry == last { 0 } else { entry + 1 });
            }
            KeyCode::Up | KeyCode::BackTab | KeyCode::Char('k') => {
                self.mode = Mode::Sort(entry.checked_sub(1).unwrap_or(last));
            }
            KeyCode::Char('r') | KeyCode::F(7) => self.reverse(),
            KeyCode::Enter => {
                self.mode = Mode::Normal;
                let by = entry.checked_sub(1).map_or(SortBy::Worst, SortBy::Column);
                self.sort(Order { by, reversed: false });
            }
            _ => {}
        }
        Flow::Continue
    }

    fn open_sort_menu(&mut self) {
        self.mode = Mode::Sort(match self.position().order.by {
            SortBy::Worst => 0,
            SortBy::Column(column) => column + 1,
        });
    }

    fn sort(&mut self, order: Order) {
        self.set_position(Position { order, ..self.position() });
        self.arrange();
    }

    fn reverse(&mut self) {
        let order = self.position().order;
        self.sort(Order { reversed: !order.reversed, ..order });
    }

    fn open(&mut self, tab: Tab) {
        self.tab = tab;
        self.load();
    }

    fn top(&mut self) {
        self.set_position(Position { selected: None, offset: 0, ..self.position() });
    }

    fn down(&mut self, steps: usize) {
        let mut position = self.position();
        if self.tab.kind().is_none() {
            // Drawing limits the offset to the length of the text.
            position.offset = position.offset.saturating_add(steps);
            return self.set_position(position);
        }
        let next = match self.selected() {
            Some(selected) => selected.saturating_add(steps),
            None => steps.saturating_sub(1),
        };
        self.select(next);
    }

    fn up(&mut self, steps: usize) {
        let mut position = self.position();
        position.offset = position.offset.saturating_sub(if self.tab.kind().is_none() { steps } else { 0 });
        self.set_position(position);
        if let Some(selected) = self.selected() {
            self.select(selected.saturating_sub(steps));
        }
    }

    /// Selects a shown row by its index, or the last one.
    fn select(&mut self, index: usize) {
        let index = index.min(self.shown.len().saturating_sub(1));
        let row = self.shown.get(index).and_then(|index| self.rows.get(*index));
        let selected = row.map(|row| row.key.clone());
        self.set_position(Position { selected, ..self.position() });
    }

    /// Opens the peers of the selected router, or the families of the selected peer.
    fn enter(&mut self) {
        let row = self.selected().and_then(|index| self.rows.get(*self.shown.get(index)?));
        let Some(row) = row else { return };
        let (router, peer) = (Some(row.router.clone()), row.peer.clone());
        let name = row.cells.get(1).map(|cell| cell.text.clone()).unwrap_or_default();
        let (tab, scope) = match self.tab {
            Tab::Routers => (Tab::Peers, Scope { router, peer: None }),
            Tab::Peers => (Tab::Families, Scope { router, peer: Some((peer, name)) }),
            Tab::Families | Tab::Lanes | Tab::Log | Tab::Problems => return,
        };
        // The filter has chosen the row, and need not match what is opened.
        self.filter.clear();
        self.scope = scope;
        self.open(tab);
        self.top();
    }

    /// Undoes the last restriction: the filter, the peer, the router, the selection.
    fn back(&mut self) {
        if !self.filter.is_empty() {
            self.filter.clear();
        } else if self.scope.peer.take().is_some() {
            self.tab = if self.tab == Tab::Families { Tab::Peers } else { self.tab };
        } else if self.scope.router.take().is_some() {
            self.tab = if self.tab == Tab::Peers { Tab::Routers } else { self.tab };
        } else {
            self.top();
        }
        self.load();
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixtures::{document, loaded, peer, router};
    use super::*;
    use crate::telemetry::status::Router;

    fn press(state: &mut State, keys: &str) -> Flow {
        let mut flow = Flow::Continue;
        for key in keys.chars() {
            let code = match key {
                '\n' => KeyCode::Enter,
                '\u{1b}' => KeyCode::Esc,
                '\t' => KeyCode::Tab,
                '\u{8}' => KeyCode::Backspace,
                letter => KeyCode::Char(letter),
            };
            flow = state.key(KeyEvent::from(code));
        }
        flow
    }

    fn with(document: Document) -> State {
        let mut state = State::default();
        state.received(Ok(document), Timestamp(0));
        state.scroll_into_view(state.shown.len(), 10);
        state
    }

    fn names(state: &State) -> Vec<&str> {
        state.shown.iter().map(|index| state.rows[*index].key.as_str()).collect()
    }

    fn three() -> State {
        with(document(["b", "a", "c"].map(router).to_vec()))
    }

    #[test]
    fn a_selection_stays_on_its_row_when_the_order_changes() {
        let mut state = three();
        assert_eq!((names(&state), state.selected()), (vec!["a", "b", "c"], None));
        press(&mut state, "jj");
        assert_eq!(state.selected(), Some(1));
        let mut routers = ["b", "a", "c"].map(router).to_vec();
        routers[2].errors = 1;
        state.received(Ok(document(routers)), Timestamp(1));
        assert_eq!((names(&state), state.selected()), (vec!["c", "a", "b"], Some(2)));
        press(&mut state, "g");
        assert_eq!(state.selected(), None);
    }

    #[test]
    fn the_order_is_chosen_in_the_menu_and_reversed() {
        let mut state = three();
        press(&mut state, "sj\n");
        assert_eq!(state.position().order, Order { by: SortBy::Column(0), reversed: false });
        press(&mut state, "r");
        assert_eq!(names(&state), ["c", "b", "a"]);
        assert_eq!(press(&mut state, "sq"), Flow::Quit);
        press(&mut state, "\u{1b}");
        assert_eq!((state.mode, names(&state)), (Mode::Normal, vec!["c", "b", "a"]));
    }

    #[test]
    fn the_filter_is_typed_and_cleared() {
        let mut state = with(document(["b1", "a1", "c1"].map(router).to_vec()));
        assert_eq!(press(&mut state, "/qb\u{8}"), Flow::Continue);
        assert_eq!((state.filter.as_str(), names(&state).len()), ("q", 0));
        press(&mut state, "\u{8}C1\n");
        assert_eq!((state.mode, names(&state)), (Mode::Normal, vec!["c1"]));
        press(&mut state, "\u{1b}");
        assert_eq!(names(&state).len(), 3);
        press(&mut state, "fx\u{1b}");
        assert_eq!((state.mode, names(&state).len()), (Mode::Normal, 3));
    }

    #[test]
    fn a_router_opens_its_peers_and_a_peer_its_families() {
        let mut state = with(loaded());
        press(&mut state, "j/edge3\n");
        press(&mut state, "j\n");
        assert_eq!((state.tab, state.filter.as_str()), (Tab::Peers, ""));
        assert_eq!(state.scope.router.as_deref(), Some("edge3"));
        assert!(!state.rows.is_empty() && state.rows.iter().all(|row| row.router == "edge3"));
        let peers = state.rows.len();
        press(&mut state, "j\n");
        assert_eq!(state.tab, Tab::Families);
        assert!(!state.rows.is_empty() && state.rows.iter().all(|row| row.peer == state.rows[0].peer));
        press(&mut state, "\u{1b}");
        assert_eq!((state.tab, state.rows.len()), (Tab::Peers, peers));
        press(&mut state, "\u{1b}");
        assert_eq!((state.tab, &state.scope), (Tab::Routers, &Scope::default()));
    }

    #[test]
    fn screens_have_digits_and_follow_each_other() {
        let mut state = three();
        for (digit, tab) in ('1'..='6').zip(Tab::ALL) {
            press(&mut state, &digit.to_string());
            assert_eq!(state.tab, tab);
        }
        press(&mut state, "\t");
        assert_eq!(state.tab, Tab::Routers);
        state.key(KeyEvent::from(KeyCode::BackTab));
        assert_eq!(state.tab, Tab::Problems);
        assert_eq!((press(&mut state, "?"), state.mode), (Flow::Continue, Mode::Help));
        assert_eq!((press(&mut state, "?"), state.mode), (Flow::Continue, Mode::Normal));
        assert_eq!(press(&mut state, "q"), Flow::Quit);
        let control = |letter| KeyEvent::new(KeyCode::Char(letter), KeyModifiers::CONTROL);
        press(&mut state, "1/");
        assert_eq!((state.key(control('l')), state.key(control('c'))), (Flow::Redraw, Flow::Quit));
    }

    #[test]
    fn the_selected_row_is_always_shown() {
        let routers = (0..100).map(|number| router(&format!("{number:03}"))).collect();
        let mut state = with(document(routers));
        press(&mut state, "G");
        assert_eq!((state.selected(), state.scroll_into_view(100, 10)), (Some(99), 90));
        state.key(KeyEvent::from(KeyCode::PageUp));
        assert_eq!((state.selected(), state.scroll_into_view(100, 10)), (Some(89), 89));
        press(&mut state, "k");
        assert_eq!(state.scroll_into_view(100, 10), 88);
        assert_eq!(state.scroll_into_view(100, 200), 0, "a larger terminal has no empty lines");
        press(&mut state, "1g");
        state.key(KeyEvent::new(KeyCode::Char('f'), KeyModifiers::CONTROL));
        assert_eq!((state.mode, state.selected()), (Mode::Normal, Some(99)));
    }

    #[test]
    fn the_time_since_which_the_daemon_is_away_stays() {
        let mut state = State::default();
        state.received(Err("refused".to_owned()), Timestamp(5));
        state.received(Err("missing".to_owned()), Timestamp(6));
        assert_eq!(state.link, Link::Away { since: Timestamp(5), error: "missing".to_owned() });
        let peers = vec![peer(1)];
        state.received(Ok(document(vec![Router { peers, ..router("a") }])), Timestamp(7));
        assert_eq!((state.link.clone(), state.rows.len()), (Link::Up(Timestamp(7)), 1));
        state.received(Err("refused".to_owned()), Timestamp(8));
        assert_eq!(state.link, Link::Away { since: Timestamp(7), error: "refused".to_owned() });
        assert_eq!(state.rows.len(), 1, "the last document remains");
    }
}
