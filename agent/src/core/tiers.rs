//! Which domain controllers are in use: those of the best tier that has one that can be.
//!
//! A tier is a place and a priority. The site's domain controllers come before the domain's others, and within a place
//! RFC 2782 says that those of a lower priority number are to be used while any of them can be reached. The tiers
//! behind the one in use are left alone altogether: a domain may have hundreds of domain controllers, many of them
//! behind slow lines and firewalls, and nobody wants them asked for their health every few seconds. They wake up when
//! every domain controller before them was tried and cannot be used.

use super::slots::connections_of;

/// The order of preference; less is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Tier {
    /// Found in the domain's list only, although a site is configured.
    pub(crate) elsewhere: bool,
    /// The SRV record's priority.
    pub(crate) priority: u16,
}

/// What is known of a domain controller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Not connected to yet, or left alone since.
    Untried,
    /// It answers.
    Up,
    /// It answers its health check and leaves binds unanswered.
    Suspect,
    /// It cannot be used.
    Down,
}

/// One domain controller among all.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seat {
    pub(crate) tier: Tier,
    /// Its part of the binds relative to the others of its tier.
    pub(crate) weight: u16,
    pub(crate) standing: Standing,
}

/// Whether to find out about number `index` and to go on doing so.
pub(crate) fn awake(seats: &[Seat], index: usize) -> bool {
    let Some(own) = seats.get(index) else {
        return false;
    };
    // One that is in use goes on while a better one that has just appeared is still to be tried.
    seats
        .iter()
        .filter(|seat| seat.tier < own.tier)
        .all(|better| match better.standing {
            Standing::Up => false,
            Standing::Untried => own.standing != Standing::Untried,
            Standing::Suspect | Standing::Down => true,
        })
}

/// How many of `connections` number `index` should have.
pub(crate) fn wanted(seats: &[Seat], connections: u32, index: usize) -> u32 {
    let answers = |seat: &Seat| matches!(seat.standing, Standing::Up | Standing::Suspect);
    let best = |standing| {
        let of_it = seats.iter().filter(|seat| seat.standing == standing);
        of_it.map(|seat| seat.tier).min()
    };
    let Some(used) = best(Standing::Up).or_else(|| best(Standing::Suspect)) else {
        return 0;
    };
    let Some(own) = seats.get(index).filter(|seat| answers(seat) && seat.tier <= used) else {
        return 0;
    };
    if own.tier < used {
        // A suspect: nothing but a bind now and then shows that it is well again.
        return 1;
    }
    let peers = |seats: &[Seat]| -> Vec<u16> {
        let of_it = seats.iter().filter(|seat| seat.tier == used && answers(seat));
        of_it.map(|seat| seat.weight).collect()
    };
    connections_of(connections, &peers(seats), peers(&seats[..index]).len())
}

#[cfg(test)]
mod tests {
    use super::Standing::{Down, Suspect, Untried, Up};
    use super::*;

    const SITE: Tier = Tier {
        elsewhere: false,
        priority: 0,
    };
    const SITE_LATER: Tier = Tier {
        elsewhere: false,
        priority: 10,
    };
    const DOMAIN: Tier = Tier {
        elsewhere: true,
        priority: 0,
    };

    fn plan(seats: &[(Tier, Standing)]) -> Vec<(bool, u32)> {
        let seats: Vec<Seat> = seats
            .iter()
            .map(|&(tier, standing)| Seat {
                tier,
                weight: 100,
                standing,
            })
            .collect();
        (0..seats.len())
            .map(|index| (awake(&seats, index), wanted(&seats, 8, index)))
            .collect()
    }

    #[test]
    fn only_the_best_tier_is_tried_at_first() {
        assert_eq!(
            plan(&[(SITE, Untried), (SITE_LATER, Untried), (DOMAIN, Untried)]),
            [(true, 0), (false, 0), (false, 0)]
        );
    }

    #[test]
    fn one_of_the_site_that_can_be_used_keeps_all_behind_it_out_of_use() {
        assert_eq!(
            plan(&[(SITE, Up), (SITE, Down), (SITE_LATER, Untried), (DOMAIN, Untried)]),
            [(true, 8), (true, 0), (false, 0), (false, 0)]
        );
    }

    #[test]
    fn the_next_tier_wakes_when_every_one_before_it_was_tried_in_vain_and_sleeps_again_after() {
        assert_eq!(
            plan(&[(SITE, Down), (SITE, Untried), (DOMAIN, Untried)]),
            [(true, 0), (true, 0), (false, 0)]
        );
        assert_eq!(
            plan(&[(SITE, Down), (SITE, Down), (DOMAIN, Untried)]),
            [(true, 0), (true, 0), (true, 0)]
        );
        assert_eq!(
            plan(&[(SITE, Down), (SITE, Down), (DOMAIN, Up)]),
            [(true, 0), (true, 0), (true, 8)]
        );
        assert_eq!(
            plan(&[(SITE, Up), (SITE, Down), (DOMAIN, Up)]),
            [(true, 8), (true, 0), (false, 0)]
        );
    }

    #[test]
    fn a_better_one_that_has_just_appeared_takes_nothing_away_before_it_was_tried() {
        assert_eq!(plan(&[(SITE, Untried), (DOMAIN, Up)]), [(true, 0), (true, 8)]);
    }

    #[test]
    fn suspects_alone_keep_their_part_until_others_can_be_used_and_one_connection_then() {
        assert_eq!(
            plan(&[(SITE, Suspect), (SITE, Suspect), (DOMAIN, Untried)]),
            [(true, 4), (true, 4), (true, 0)]
        );
        assert_eq!(
            plan(&[(SITE, Suspect), (SITE, Suspect), (DOMAIN, Up)]),
            [(true, 1), (true, 1), (true, 8)]
        );
        assert_eq!(plan(&[(SITE, Suspect), (SITE, Up)]), [(true, 4), (true, 4)]);
    }
}
