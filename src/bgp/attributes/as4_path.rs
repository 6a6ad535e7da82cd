//! AS4_PATH and AS4_AGGREGATOR: four-octet AS numbers on sessions with two-octet AS numbers (RFC 6793).

use super::as_path;
use crate::route::{Aggregator, AsPath, AsPathSegment, Attributes, SegmentKind};

/// AS_TRANS (RFC 6793 section 9): stands for a four-octet AS number in a two-octet field.
const AS_TRANS: u32 = 23_456;

/// Maximum number of AS numbers in one segment on the wire.
const SEGMENT_ASNS_MAX: u16 = 255;

/// Decodes AS4_PATH, which has at least one segment. Confederation segments are invalid and left out (RFC
/// 6793 section 6).
pub(super) fn decode(value: &[u8]) -> Result<AsPath, String> {
    let path = as_path::decode(value, true)?;
    if path.segments.is_empty() {
        return Err("no segments".to_owned());
    }
    as_path::refuse_as_0(&path)?;
    let mut kept = AsPath::default();
    path.iter()
        .filter(|(kind, _)| !is_confederation(*kind))
        .for_each(|(kind, asns)| push(&mut kept, kind, asns));
    Ok(kept)
}

/// Merges AS4_PATH and AS4_AGGREGATOR into AS_PATH and AGGREGATOR (RFC 6793 section 4.2.3). Ignored
/// attributes are reported in [`Attributes::discarded`].
pub(super) fn merge(out: &mut Attributes, path: Option<AsPath>, aggregator: Option<Aggregator>) {
    if let (Some(old), Some(new)) = (out.aggregator, aggregator) {
        // With another AS number than AS_TRANS, a speaker without four-octet support has aggregated since:
        // both AS4 attributes are obsolete.
        if old.asn != AS_TRANS {
            out.discarded
                .push(format!("AS4_PATH and AS4_AGGREGATOR ignored: AGGREGATOR has AS number {}", old.asn));
            return;
        }
        out.aggregator = Some(new);
    } else if aggregator.is_some() {
        out.discarded.push("AS4_AGGREGATOR ignored: no AGGREGATOR".to_owned());
    }
    let Some(new) = path else { return };
    match out.as_path.as_ref().map(|old| merge_paths(old, &new)) {
        Some(Some(merged)) => out.as_path = Some(merged),
        Some(None) => out.discarded.push("AS4_PATH ignored: longer than AS_PATH".to_owned()),
        None => out.discarded.push("AS4_PATH ignored: no AS_PATH".to_owned()),
    }
}

const fn is_confederation(kind: SegmentKind) -> bool {
    matches!(kind, SegmentKind::ConfedSequence | SegmentKind::ConfedSet)
}

/// The length of a path: a set counts as one, confederation segments as zero (RFC 4271 section 9.1.2.2, RFC
/// 5065 section 5.3).
fn length(path: &AsPath) -> usize {
    path.iter()
        .map(|(kind, asns)| match kind {
            SegmentKind::Sequence => asns.len(),
            SegmentKind::Set => 1,
            SegmentKind::ConfedSequence | SegmentKind::ConfedSet => 0,
        })
        .sum()
}

/// The leading AS numbers of `old` by which it is longer than `new`, followed by `new`. `None` if `new` is
/// longer.
fn merge_paths(old: &AsPath, new: &AsPath) -> Option<AsPath> {
    let mut wanted = length(old).checked_sub(length(new))?;
    let mut merged = AsPath::default();
    for (kind, asns) in old.iter() {
        match kind {
            // Confederation segments are kept if they lead, or adjoin a segment that is kept.
            SegmentKind::ConfedSequence | SegmentKind::ConfedSet => push(&mut merged, kind, asns),
            _ if wanted == 0 => break,
            SegmentKind::Set => {
                push(&mut merged, kind, asns);
                wanted -= 1;
            }
            SegmentKind::Sequence => {
                let (head, tail) = asns.split_at_checked(wanted).unwrap_or((asns, &[]));
                push(&mut merged, kind, head);
                wanted -= head.len();
                if !tail.is_empty() {
                    break;
                }
            }
        }
    }
    join(&mut merged, new);
    Some(merged)
}

/// Appends a segment.
fn push(path: &mut AsPath, kind: SegmentKind, asns: &[u32]) {
    path.asns.extend_from_slice(asns);
    path.segments.push(AsPathSegment { kind, count: u16::try_from(asns.len()).unwrap_or(u16::MAX) });
}

/// Appends `new` to `path`. Two adjoining AS_SEQUENCEs become one, as in the original path.
fn join(path: &mut AsPath, new: &AsPath) {
    let mut segments = new.segments.iter().copied().peekable();
    if let (Some(last), Some(first)) = (path.segments.last_mut(), segments.peek())
        && (last.kind, first.kind) == (SegmentKind::Sequence, SegmentKind::Sequence)
        && last.count.saturating_add(first.count) <= SEGMENT_ASNS_MAX
    {
        last.count += first.count;
        segments.next();
    }
    path.segments.extend(segments);
    path.asns.extend_from_slice(&new.asns);
}
