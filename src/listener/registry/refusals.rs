//! Counts of refused connections, by reason and by source.

use std::collections::BTreeMap;

use super::source::Source;

/// Maximum number of sources that are counted. Beyond it, the source with the fewest refusals is dropped.
const SOURCES_MAX: usize = 1_024;

/// Maximum number of sources in a report.
const REPORTED_MAX: usize = 5;

/// The limits that refuse connections: settings, where there is one.
pub const REFUSAL_LIMITS: [&str; 4] =
    ["BMP_ALLOW", "BMP_MAX_CONNECTIONS", "BMP_MAX_CONNECTIONS_PER_ADDRESS", "PROXY headers awaited"];

/// Why a connection was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::listener) enum RefusalReason {
    /// The address is not in BMP_ALLOW.
    NotAllowed,
    /// All connections are in use or reserved.
    Connections,
    /// The source has its maximum number of connections.
    PerAddress,
    /// Too many connections of proxies have sent no header yet.
    ProxyHeaders,
}

impl RefusalReason {
    /// The limit that refuses the connection, a setting if there is one.
    pub(in crate::listener) const fn setting(self) -> &'static str {
        let [allow, connections, per_address, headers] = REFUSAL_LIMITS;
        match self {
            Self::NotAllowed => allow,
            Self::Connections => connections,
            Self::PerAddress => per_address,
            Self::ProxyHeaders => headers,
        }
    }
}

/// Refused connections since the start.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    by_reason: BTreeMap<&'static str, u64>,
    by_source: BTreeMap<Source, u64>,
    configured: u64,
}

/// Refused connections since the start, for operators.
#[derive(Clone, Debug, Default)]
pub struct RefusalReport {
    /// Number by the setting that refused them.
    pub by_reason: BTreeMap<&'static str, u64>,
    /// Number of those from configured routers.
    pub configured: u64,
    /// The sources with the most refusals, most first.
    pub sources: Vec<SourceReport>,
}

/// Connections of one source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceReport {
    /// The source.
    pub source: Source,
    /// Open connections.
    pub connections: usize,
    /// Connections refused since the start.
    pub refused: u64,
}

impl Refusals {
    /// Counts a refused connection.
    pub(super) fn note(&mut self, reason: RefusalReason, source: Source, is_configured: bool) {
        *self.by_reason.entry(reason.setting()).or_default() += 1;
        self.configured += u64::from(is_configured);
        if !self.by_source.contains_key(&source) && self.by_source.len() >= SOURCES_MAX {
            let fewest = self.by_source.iter().min_by_key(|(_, count)| **count).map(|(source, _)| *source);
            if let Some(fewest) = fewest {
                self.by_source.remove(&fewest);
            }
        }
        *self.by_source.entry(source).or_default() += 1;
    }

    /// The counts; `connections` returns the number of open connections of a source.
    pub(super) fn report(&self, connections: impl Fn(&Source) -> usize) -> RefusalReport {
        let mut sources: Vec<_> = self.by_source.iter().collect();
        sources.sort_by_key(|(_, refused)| std::cmp::Reverse(**refused));
        let report = |(source, refused): (&Source, &u64)| SourceReport {
            source: *source,
            connections: connections(source),
            refused: *refused,
        };
        RefusalReport {
            by_reason: self.by_reason.clone(),
            configured: self.configured,
            sources: sources.into_iter().take(REPORTED_MAX).map(report).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    #[test]
    fn the_heaviest_source_is_reported_whatever_the_number_of_others() {
        let mut refusals = Refusals::default();
        let source = |number: u32| Source::Address(IpAddr::from(number.to_be_bytes()));
        for number in 0..2_000 {
            refusals.note(RefusalReason::Connections, source(number), false);
            refusals.note(RefusalReason::PerAddress, source(77), number % 2 == 0);
        }
        let report = refusals.report(|_| 3);
        assert_eq!(report.sources.len(), REPORTED_MAX);
        let heaviest = report.sources[0];
        assert_eq!((heaviest.source, heaviest.connections), (source(77), 3));
        assert_eq!(heaviest.refused, 2_001);
        assert_eq!(refusals.by_source.len(), SOURCES_MAX);
        assert_eq!(report.configured, 1_000);
        assert_eq!(report.by_reason.values().sum::<u64>(), 4_000);
    }
}
