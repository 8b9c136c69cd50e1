//! Pseudo-random numbers, which a seed reproduces.

#[derive(Debug)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        // The state must not be 0.
        Self(seed.wrapping_mul(2).wrapping_add(1))
    }

    /// Marsaglia's xorshift64, with a multiplication that improves its low bits.
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16
    }

    pub fn between(&mut self, least: u64, limit: u64) -> u64 {
        least + self.next() % (limit - least)
    }

    pub fn below(&mut self, limit: usize) -> usize {
        let limit = u64::try_from(limit).expect("a length");
        usize::try_from(self.between(0, limit)).expect("less than a length")
    }

    pub fn shuffle<T>(&mut self, values: &mut [T]) {
        for last in (1..values.len()).rev() {
            values.swap(last, self.below(last + 1));
        }
    }
}
