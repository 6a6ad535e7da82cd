//! Path marking: the status of a path within the router, and the reason for it (BMP version 4,
//! draft-ietf-grow-bmp-path-marking-tlv-05).

/// Status and reason that a router reports about a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PathMarking {
    /// Bits of the path status, as received (section 3.1). Unassigned bits are kept.
    pub status: u32,
    /// Reason code, as received (section 3.2); `None` if the router sent none.
    pub reason: Option<u16>,
}

/// The names of the status bits, from the lowest bit (section 3.1, table 1).
const STATUS_NAMES: [&str; 12] = [
    "invalid",
    "best",
    "nonselected",
    "primary",
    "backup",
    "non-installed",
    "best-external",
    "add-path",
    "filtered-inbound",
    "filtered-outbound",
    "stale",
    "suppressed",
];

/// The meaning of a reason code (section 3.2, table 2); `None` if it is not assigned.
#[must_use]
pub const fn path_reason_name(reason: u16) -> Option<&'static str> {
    Some(match reason {
        1 => "invalid: AS loop",
        2 => "invalid: unresolvable next hop",
        3 => "not preferred: LOCAL_PREF",
        4 => "not preferred: AS_PATH length",
        5 => "not preferred: ORIGIN",
        6 => "not preferred: MED",
        7 => "not preferred: peer type",
        8 => "not preferred: IGP cost",
        9 => "not preferred: router ID",
        10 => "not preferred: peer address",
        11 => "not preferred: AIGP",
        _ => return None,
    })
}

impl PathMarking {
    /// The names of the bits that are set, from the lowest bit, then the meaning of the reason code.
    /// Unassigned values are written as `bit 0x1000` and `reason 99`.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let mut names = Vec::new();
        for position in 0..u32::BITS {
            let bit = 1_u32 << position;
            if self.status & bit != 0 {
                let name = usize::try_from(position).ok().and_then(|position| STATUS_NAMES.get(position));
                names.push(name.map_or_else(|| format!("bit {bit:#x}"), |name| (*name).to_owned()));
            }
        }
        let reason = |code| path_reason_name(code).map_or_else(|| format!("reason {code}"), str::to_owned);
        names.extend(self.reason.map(reason));
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bit_and_reason_has_a_name_of_its_own() {
        let all = PathMarking { status: u32::MAX, reason: None }.names();
        assert_eq!(all.len(), 32);
        assert_eq!(all[..12], STATUS_NAMES);
        assert_eq!(all[12], "bit 0x1000");
        let reasons: Vec<u16> = (0..=u16::MAX).filter(|code| path_reason_name(*code).is_some()).collect();
        assert_eq!(reasons, (1..=11).collect::<Vec<_>>());
        let mut distinct = all;
        distinct.extend((0..20).flat_map(|code| PathMarking { status: 0, reason: Some(code) }.names()));
        distinct.sort_unstable();
        let count = distinct.len();
        distinct.dedup();
        assert_eq!((distinct.len(), count), (52, 52));
    }
}
