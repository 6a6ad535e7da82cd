//! AS4_PATH and AS4_AGGREGATOR: four-octet AS numbers carried past a two-octet speaker (RFC 6793).

use super::as_path;
use crate::route::{Aggregator, AsPath, Attributes, Segment, SegmentKind};

/// Stands in a two-octet field for an AS number that needs four.
const AS_TRANS: u32 = 23_456;

/// The most AS numbers that one segment can have on the wire.
const SEGMENT_ASNS_MAX: u16 = 255;

/// Decodes AS4_PATH. It has at least one segment; confederation segments are invalid in it and left out, the rest counts
/// (RFC 6793 section 6).
pub(super) fn path(value: &[u8]) -> Result<AsPath, String> {
    let path = as_path::decode(value, true)?;
    if path.segments.is_empty() {
        return Err("empty".to_owned());
    }
    let mut kept = AsPath::default();
    path.iter()
        .filter(|(kind, _)| !is_confederation(*kind))
        .for_each(|(kind, asns)| push(&mut kept, kind, asns));
    Ok(kept)
}

/// RFC 6793 section 4.2.3. What the RFC says to ignore is told in `discarded`.
pub(super) fn merge(out: &mut Attributes, path: Option<AsPath>, aggregator: Option<Aggregator>) {
    if let (Some(old), Some(new)) = (out.aggregator, aggregator) {
        // An AGGREGATOR that is not AS_TRANS voids AS4_AGGREGATOR and AS4_PATH: someone on the way aggregated who did
        // not know them.
        if old.asn != AS_TRANS {
            out.discarded.push(format!("AS4_PATH and AS4_AGGREGATOR: AGGREGATOR is AS {}", old.asn));
            return;
        }
        out.aggregator = Some(new);
    } else if aggregator.is_some() {
        out.discarded.push("AS4_AGGREGATOR: there is no AGGREGATOR".to_owned());
    }
    let Some(new) = path else { return };
    match out.as_path.as_ref().map(|old| merge_paths(old, &new)) {
        Some(Some(merged)) => out.as_path = Some(merged),
        Some(None) => out.discarded.push("AS4_PATH: longer than AS_PATH".to_owned()),
        None => out.discarded.push("AS4_PATH: there is no AS_PATH".to_owned()),
    }
}

const fn is_confederation(kind: SegmentKind) -> bool {
    matches!(kind, SegmentKind::ConfedSequence | SegmentKind::ConfedSet)
}

/// The length of a path: a set is one, confederation segments are none (RFC 4271 section 9.1.2.2, RFC 5065 section
/// 5.3).
fn length(path: &AsPath) -> usize {
    path.iter()
        .map(|(kind, asns)| match kind {
            SegmentKind::Sequence => asns.len(),
            SegmentKind::Set => 1,
            SegmentKind::ConfedSequence | SegmentKind::ConfedSet => 0,
        })
        .sum()
}

/// As much of the head of `old` as `new` is shorter, then `new`. `None` when `new` is longer.
fn merge_paths(old: &AsPath, new: &AsPath) -> Option<AsPath> {
    let mut wanted = length(old).checked_sub(length(new))?;
    let mut merged = AsPath::default();
    for (kind, asns) in old.iter() {
        match kind {
            // Kept when they lead, or stand next to a segment that is kept whole.
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

/// Puts a segment behind the others.
fn push(path: &mut AsPath, kind: SegmentKind, asns: &[u32]) {
    path.asns.extend_from_slice(asns);
    path.segments.push(Segment { kind, count: u16::try_from(asns.len()).unwrap_or(u16::MAX) });
}

/// Puts `new` behind `path`. Two sequences that meet become one, as they were before a two-octet speaker came between.
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
