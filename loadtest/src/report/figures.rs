//! A run's key figures, in the groups and the order in which every report has them.

use std::time::Duration;

use super::numbers::{NOTHING, count, digits, fine, ms, percent, rate};
use super::verdict::Tone;
use crate::results::{Results, per_second};
use crate::text::told;

/// Figures that belong together.
pub(super) struct Group {
    pub(super) name: &'static str,
    pub(super) figures: Vec<Figure>,
}

/// A number with its name.
pub(super) struct Figure {
    pub(super) name: &'static str,
    pub(super) value: String,
    /// What it means, or how much of the whole it is.
    pub(super) note: String,
    pub(super) tone: Tone,
}

fn figure(name: &'static str, value: String, note: impl Into<String>) -> Figure {
    Figure {
        name,
        value,
        note: note.into(),
        tone: Tone::Neutral,
    }
}

/// One that should be 0.
fn unwanted(name: &'static str, number: u64, note: impl Into<String>, tone: Tone) -> Figure {
    Figure {
        tone: if number == 0 { Tone::Neutral } else { tone },
        ..figure(name, count(number), note)
    }
}

/// All of a run.
pub(super) fn groups(run: &Results) -> Vec<Group> {
    let mut groups = vec![answers(run), latency(run)];
    groups.extend(directory(run));
    groups.push(generator(run));
    groups
}

fn answers(run: &Results) -> Group {
    let counts = run.counts;
    let share = |part| percent(part, counts.sent);
    let sent = rate(per_second(run.sent, run.about.sending_s()));
    let mut figures = vec![
        figure("sent", count(run.sent), sent),
        figure("right", count(counts.right), share(counts.right)),
        unwanted("failed", counts.failed, share(counts.failed), Tone::Doubtful),
        unwanted("wrong", counts.wrong, share(counts.wrong), Tone::Bad),
        figure("goodput", rate(run.goodput()), "right answers a second"),
    ];
    if counts.false_successes > 0 {
        let note = "let in who must not be";
        figures.insert(
            4,
            unwanted("false successes", counts.false_successes, note, Tone::Alarming),
        );
    }
    Group {
        name: "Sign-ins",
        figures,
    }
}

fn latency(run: &Results) -> Group {
    let (latency, service) = (run.latency_ms, run.service_ms);
    let time = |time: Duration| match run.sent {
        0 => NOTHING.to_owned(),
        _ => told(time),
    };
    let of = |name, latency, service| figure(name, time(latency), format!("service {}", time(service)));
    Group {
        name: "Latency",
        figures: vec![
            of("p50", latency.p50, service.p50),
            of("p90", latency.p90, service.p90),
            of("p99", latency.p99, service.p99),
            of("p99.9", latency.p999, service.p999),
            of("max", latency.max, service.max),
        ],
    }
}

fn directory(run: &Results) -> Option<Group> {
    let each = run
        .binds_per_signin
        .map(|each| figure("binds each", fine(each), "binds for a sign-in, on average"));
    let mut figures: Vec<Figure> = each.into_iter().collect();
    if let Some(binds) = run.binds {
        let most = format!("at most {} binds for one", count(binds.most_for_one));
        figures.extend([
            figure("binds", count(binds.binds), "at the directory"),
            unwanted("bound twice", binds.users_bound_twice, most, Tone::Doubtful),
            unwanted(
                "extra bad passwords",
                binds.extra_bad_passwords,
                "counted beyond the first",
                Tone::Bad,
            ),
            unwanted("late binds", binds.late_binds, "after the answer", Tone::Doubtful),
        ]);
    }
    (!figures.is_empty()).then_some(Group {
        name: "Directory",
        figures,
    })
}

fn generator(run: &Results) -> Group {
    let generator = run.generator;
    let cpu = match generator.cpu_us_each {
        used if used > 0.0 => format!("{} µs", digits(used)),
        _ => NOTHING.to_owned(),
    };
    let lag = Figure {
        tone: if generator.is_valid() {
            Tone::Neutral
        } else {
            Tone::Doubtful
        },
        ..figure("lag p99", ms(generator.lag_p99_ms), "valid up to 5 ms")
    };
    Group {
        name: "Generator",
        figures: vec![
            figure(
                "sent late",
                count(generator.late),
                format!("{} by over 5 ms", percent(generator.late, run.sent)),
            ),
            unwanted("dropped", generator.dropped, "not sent at all", Tone::Doubtful),
            lag,
            figure("CPU each", cpu, "of its thread, for a sign-in"),
        ],
    }
}
