//! The minimum level of log lines, which a reload can change.

use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing::{Level, Metadata};
use tracing_subscriber::layer::{Context, Filter};

/// Admits the events of a level and above, and every span: a session outlives a change of the level, and its
/// span has the address of the router for the lines of any level.
#[derive(Clone, Copy, Debug)]
pub(super) struct EventLevel(pub(super) Level);

impl EventLevel {
    fn admits(self, metadata: &Metadata<'_>) -> bool {
        metadata.is_span() || *metadata.level() <= self.0
    }
}

impl<S> Filter<S> for EventLevel {
    fn enabled(&self, metadata: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        self.admits(metadata)
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.admits(metadata) { Interest::always() } else { Interest::never() }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        // The spans have the level INFO.
        Some(LevelFilter::from_level(self.0.max(Level::INFO)))
    }
}
