//! Health by component, for `/health` and `/readyz`.

use serde::Serialize;

use crate::telemetry::status::{ConditionKind, Document, Health};

/// Severity of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Severity {
    /// Nothing needs attention.
    Ok,
    /// The component works; a condition needs attention.
    Warning,
    /// The component does not do its work.
    Error,
}

/// The health of all components.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// The worst severity of all components.
    pub(super) state: Severity,
    /// The components, in the order of the data.
    pub(super) components: Vec<Component>,
}

/// The health of one component.
#[derive(Debug, Serialize)]
pub(super) struct Component {
    /// Name of the component.
    pub(super) name: &'static str,
    /// The worst severity of its conditions.
    pub(super) state: Severity,
    /// Conditions of the component; empty if nothing needs attention.
    pub(super) reasons: Vec<String>,
}

/// Names of the components, in the order of the data.
const COMPONENTS: [&str; 7] = ["listener", "routers", "log", "delivery", "clock", "log_output", "settings"];

impl Report {
    pub(super) fn new(document: &Document) -> Self {
        let mut components: Vec<Component> = COMPONENTS
            .iter()
            .map(|name| Component { name, state: Severity::Ok, reasons: Vec::new() })
            .collect();
        for (kind, reason) in document.conditions.iter().zip(&document.reasons) {
            let (name, severity) = classify(*kind);
            if let Some(component) = components.iter_mut().find(|component| component.name == name) {
                component.state = component.state.max(severity);
                component.reasons.push(reason.clone());
            }
        }
        let worst = components.iter().map(|component| component.state).max();
        Self { state: worst.unwrap_or(Severity::Ok), components }
    }
}

/// The component that a condition concerns, and its severity. An error means that routes are not received,
/// not logged, or not delivered, or were lost.
const fn classify(kind: ConditionKind) -> (&'static str, Severity) {
    use ConditionKind as Kind;
    match kind {
        Kind::HeldOff | Kind::ConnectionsFull | Kind::ConfiguredRefused => ("listener", Severity::Error),
        Kind::ConnectionsRefused | Kind::TlsFiles => ("listener", Severity::Warning),
        Kind::RoutersPaused => ("routers", Severity::Error),
        Kind::RouterSlowed
        | Kind::RoutersNotConnected
        | Kind::RemotesNotConnected
        | Kind::NameReserved
        | Kind::RouterMoved
        | Kind::NameConflict
        | Kind::PeerLimit => ("routers", Severity::Warning),
        Kind::LogFailed
        | Kind::Stopping
        | Kind::IngestPaused
        | Kind::NotSynced
        | Kind::LogDamage
        | Kind::BatchesLost => ("log", Severity::Error),
        Kind::LogFilling | Kind::SegmentAbandoned => ("log", Severity::Warning),
        Kind::Lane
        | Kind::DatabaseNotReached
        | Kind::DeliveryNotStarted
        | Kind::Rejected
        | Kind::Quarantine => ("delivery", Severity::Error),
        Kind::DeliveryLag | Kind::HistoryAsRows => ("delivery", Severity::Warning),
        Kind::ClockTrouble => ("clock", Severity::Warning),
        Kind::LogOutput | Kind::LogSuppressed => ("log_output", Severity::Warning),
        Kind::ReloadFailed => ("settings", Severity::Warning),
    }
}

/// Why no route can be collected now, or `None` if the daemon is ready: it listens, and the log is writable.
/// The database does not matter.
pub(super) fn not_ready(document: &Document) -> Option<String> {
    if document.state == Health::Down {
        return Some(document.reasons.join("; "));
    }
    if let Some(reason) = &document.wal.paused {
        return Some(format!("the log is not writable: {reason}"));
    }
    if !document.listener.listening {
        return Some("the BMP listener is not started yet".to_owned());
    }
    let held_off = "new connections of unknown routers wait until log usage is below 50 %";
    document.listener.held_off.then(|| held_off.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::status::{Listener, Wal};

    fn document(conditions: &[ConditionKind]) -> Document {
        Document {
            conditions: conditions.to_vec(),
            reasons: conditions.iter().map(|kind| format!("{kind:?}")).collect(),
            listener: Listener { listening: true, ..Listener::default() },
            ..Document::default()
        }
    }

    #[test]
    fn the_worst_component_decides_and_each_has_its_own_reasons() {
        let report = Report::new(&document(&[]));
        assert_eq!(report.state, Severity::Ok);
        let report = Report::new(&document(&[ConditionKind::Lane, ConditionKind::NameConflict]));
        assert_eq!(report.state, Severity::Error);
        let of = |name| report.components.iter().find(|component| component.name == name).unwrap();
        assert_eq!(
            (of("delivery").state, of("delivery").reasons.as_slice()),
            (Severity::Error, &["Lane".to_owned()][..])
        );
        assert_eq!(of("routers").state, Severity::Warning);
        assert_eq!(of("log").state, Severity::Ok);
    }

    #[test]
    fn readiness_depends_on_the_log_and_the_listener_and_not_on_the_database() {
        assert_eq!(not_ready(&document(&[ConditionKind::DatabaseNotReached])), None);
        let paused = Wal { paused: Some("no space".to_owned()), ..Wal::default() };
        let reason = not_ready(&Document { wal: paused, ..document(&[]) });
        assert_eq!(reason.as_deref(), Some("the log is not writable: no space"));
        let deaf = not_ready(&Document { listener: Listener::default(), ..document(&[]) });
        assert_eq!(deaf.as_deref(), Some("the BMP listener is not started yet"));
        let held_off = Listener { held_off: true, listening: true, ..Listener::default() };
        assert!(not_ready(&Document { listener: held_off, ..document(&[]) }).is_some());
        let down = Document { state: Health::Down, ..document(&[ConditionKind::Stopping]) };
        assert_eq!(not_ready(&down).as_deref(), Some("Stopping"));
    }
}
