//! Shares: directory connections among sessions (slots), and connections among domain controllers.

/// Fewer than this and a session could not even overlap the way of one sign-in with the bind of another.
const LEAST_SLOTS: u32 = 2;

/// The slots of session number `index` of `sessions`: its part of the open directory connections, at least
/// [`LEAST_SLOTS`]. The remainder goes to the first sessions.
pub(crate) fn slots(connections: u32, sessions: u32, index: u32) -> u32 {
    share(connections, sessions, index).max(LEAST_SLOTS)
}

/// How many of `connections` number `index` of some domain controllers should have: a part in proportion to its weight
/// (RFC 2782; a weight of 0 counts as 1, the smallest), and at least one, so that every one that answers is in use. What
/// does not divide goes to those that come closest to one more.
pub(crate) fn connections_of(connections: u32, weights: &[u16], index: usize) -> u32 {
    let weights: Vec<u64> = weights.iter().map(|&weight| u64::from(weight.max(1))).collect();
    let sum = weights.iter().sum::<u64>().max(1);
    let whole = |weight: u64| u64::from(connections) * weight / sum;
    let rest = |weight: u64| u64::from(connections) * weight % sum;
    let Some(&own) = weights.get(index) else {
        return 0;
    };
    let left = u64::from(connections) - weights.iter().map(|&weight| whole(weight)).sum::<u64>();
    let before = weights
        .iter()
        .enumerate()
        .filter(|&(other, &weight)| (rest(weight), std::cmp::Reverse(other)) > (rest(own), std::cmp::Reverse(index)))
        .count();
    let extra = u64::try_from(before).is_ok_and(|before| before < left);
    u32::try_from(whole(own) + u64::from(extra)).unwrap_or(u32::MAX).max(1)
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

    #[test]
    fn even_weights_are_even_parts_and_others_are_in_proportion() {
        let all = |connections, weights: &[u16]| -> Vec<u32> {
            (0..weights.len())
                .map(|index| connections_of(connections, weights, index))
                .collect()
        };
        assert_eq!(all(16, &[100, 100, 100]), [6, 5, 5]);
        assert_eq!(all(16, &[300, 100]), [12, 4]);
        assert_eq!(all(16, &[100, 0]), [16, 1]);
        assert_eq!(all(16, &[0, 0]), [8, 8]);
        assert_eq!(all(2, &[1, 1, 1]), [1, 1, 1]);
    }

    proptest! {
        #[test]
        fn the_parts_are_even_and_nothing_is_lost(total in 0u32..1000, parts in 1u32..50) {
            let shares: Vec<u32> = (0..parts).map(|index| share(total, parts, index)).collect();
            prop_assert_eq!(shares.iter().sum::<u32>(), total);
            prop_assert!(shares.iter().max().unwrap() - shares.iter().min().unwrap() <= 1);
        }

        #[test]
        fn connections_are_parted_by_weight_and_every_domain_controller_has_one(
            connections in 1u32..1000, weights in proptest::collection::vec(0u16.., 1..20),
        ) {
            let shares: Vec<u32> = (0..weights.len()).map(|index| connections_of(connections, &weights, index)).collect();
            let sum: u64 = weights.iter().map(|&weight| u64::from(weight.max(1))).sum();
            let mut surplus = 0;
            for (&share, &weight) in shares.iter().zip(&weights) {
                let exact = f64::from(connections) * f64::from(weight.max(1)) / sum as f64;
                prop_assert!(share >= 1 && (f64::from(share) - exact).abs() < 1.0 + 1e-6, "{share} of {exact}");
                surplus += u32::from(exact < 1.0);
            }
            let total: u32 = shares.iter().sum();
            prop_assert!(total >= connections && total <= connections + surplus, "{total} of {connections}");
        }
    }
}
