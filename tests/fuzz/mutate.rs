//! A seeded random number generator, and the mutations.

/// SplitMix64: small, seeded by one number, good enough to choose bytes.
pub(crate) struct Rng(pub(crate) u64);

impl Rng {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number less than `bound`, which must not be 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(bound).unwrap()).unwrap()
    }

    pub(crate) fn byte(&mut self) -> u8 {
        self.next().to_be_bytes()[0]
    }

    pub(crate) fn is_one_in(&mut self, bound: usize) -> bool {
        self.below(bound) == 0
    }

    pub(crate) fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.byte()).collect()
    }
}

/// Boundary values of lengths and counts.
const EDGES: [u8; 12] = [0, 1, 2, 3, 4, 16, 32, 33, 127, 128, 254, 255];

/// Applies up to four mutations; one time in eight none, so that valid input stays in the mix.
pub(crate) fn mutate(bytes: &mut Vec<u8>, rng: &mut Rng) {
    if rng.is_one_in(8) {
        return;
    }
    for _ in 0..=rng.below(4) {
        let place = rng.below(bytes.len() + 1);
        let length = rng.below(9).min(bytes.len() - place);
        match rng.below(8) {
            0 => bytes.truncate(place),
            1 => drop(bytes.drain(place..place + length)),
            2 => {
                let insert = rng.bytes(length + 1);
                drop(bytes.splice(place..place, insert));
            }
            3 => {
                let copy = bytes[place..place + length].to_vec();
                drop(bytes.splice(place..place, copy));
            }
            kind => {
                let Some(byte) = bytes.get_mut(place) else { continue };
                *byte = match kind {
                    4 => rng.byte(),
                    5 => *byte ^ (1 << rng.below(8)),
                    6 => EDGES[rng.below(EDGES.len())],
                    _ => byte.wrapping_add(rng.byte() % 3).wrapping_sub(1),
                };
            }
        }
    }
}
