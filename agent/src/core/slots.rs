//! Shares: directory connections among sessions (slots), and connections among domain controllers.

/// Fewer than this and a session could not even overlap the way of one sign-in with the bind of another.
const LEAST_SLOTS: u32 = 2;

/// The slots of session number `index` of `sessions`: its part of the open directory connections, at least
/// [`LEAST_SLOTS`]. The remainder goes to the first sessions.
pub(crate) fn slots(connections: u32, sessions: u32, index: u32) -> u32 {
    share(connections, sessions, index).max(LEAST_SLOTS)
}

/// How many of `connections` domain controller number `index` of `up` should have: an even part, so that binds
/// spread, and at least one, so that every one that answers is in use.
pub(crate) fn connections_of(connections: u32, up: u32, index: u32) -> u32 {
    share(connections, up, index).max(1)
}

fn share(total: u32, parts: u32, index: u32) -> u32 {
    let parts = parts.max(1);
    total / parts + u32::from(index < total % parts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_session_has_at_least_two_slots_also_without_a_directory() {
        assert_eq!(slots(0, 5, 0), 2);
        assert_eq!(slots(16, 100, 99), 2);
        assert_eq!(slots(16, 0, 0), 16);
    }

    proptest! {
        #[test]
        fn the_parts_are_even_and_nothing_is_lost(total in 0u32..1000, parts in 1u32..50) {
            let shares: Vec<u32> = (0..parts).map(|index| share(total, parts, index)).collect();
            prop_assert_eq!(shares.iter().sum::<u32>(), total);
            prop_assert!(shares.iter().max().unwrap() - shares.iter().min().unwrap() <= 1);
        }
    }
}
