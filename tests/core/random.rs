//! Numbers that look random and are the same in each run.

/// The next one: Marsaglia's xorshift64. The state is never 0.
pub fn next(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}
