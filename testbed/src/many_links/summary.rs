//! What it came to: figures from readings, as JSON for scripts and as text for people.

use std::fmt;

use serde::Serialize;

use super::board::Reading;

/// The summary. A figure that is not known is `null`.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Summary {
    /// Links that were asked for.
    pub(super) links: u32,
    /// Those in session at the end.
    pub(super) up: usize,
    /// Sessions that ended before the end.
    pub(super) lost: u64,
    /// Dials that came to no session.
    pub(super) failed: u64,
    /// Why the first of those was lost or failed.
    pub(super) first_trouble: Option<String>,
    /// From the first dial until all links were up.
    pub(super) dialled_s: Option<f64>,
    /// The relay's memory before the first link, and with all of them idle.
    pub(super) relay_bytes_before: Option<u64>,
    pub(super) relay_bytes_idle: Option<u64>,
    /// The difference, for each link.
    pub(super) relay_bytes_per_link: Option<f64>,
    /// While nobody signed in.
    pub(super) idle_bytes_per_link_s: Option<f64>,
    /// The time that was counted. What follows is of it.
    pub(super) seconds: Option<f64>,
    /// Answered.
    pub(super) sign_ins: u64,
    /// By the links, in session.
    pub(super) bytes_sent: u64,
    pub(super) bytes_received: u64,
    /// Both ways, without what the links cost when idle.
    pub(super) bytes_per_sign_in: Option<f64>,
}

/// What an idle link costs in a second: from two readings between which nobody signed in and no link was lost.
pub(super) fn idle_cost(from: &Reading, to: &Reading) -> Option<f64> {
    let undisturbed = from.sign_ins == to.sign_ins && from.lost == to.lost;
    let link_seconds = to.link_seconds - from.link_seconds;
    (undisturbed && link_seconds > 0.0).then(|| number((to.traffic - from.traffic).total()) / link_seconds)
}

impl Summary {
    /// Memory of the relay, before the links and with them.
    pub(super) fn memory(&mut self, before: Option<u64>, idle: Option<u64>) {
        self.relay_bytes_before = before;
        self.relay_bytes_idle = idle;
        self.relay_bytes_per_link = before
            .zip(idle)
            .map(|(before, idle)| (number(idle) - number(before)) / f64::from(self.links));
    }

    /// What was counted, from one reading to another.
    pub(super) fn counted(&mut self, from: &Reading, to: &Reading) {
        let traffic = to.traffic - from.traffic;
        self.seconds = Some(to.at.duration_since(from.at).as_secs_f64());
        self.sign_ins = to.sign_ins - from.sign_ins;
        self.bytes_sent = traffic.sent;
        self.bytes_received = traffic.received;
        let idle = self
            .idle_bytes_per_link_s
            .map(|cost| cost * (to.link_seconds - from.link_seconds));
        self.bytes_per_sign_in = idle
            .filter(|_| self.sign_ins > 0)
            .map(|idle| (number(traffic.total()) - idle) / number(self.sign_ins));
    }
}

/// For people.
impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "links              {} of {} up; {} lost, {} dials failed",
            self.up, self.links, self.lost, self.failed
        )?;
        if let Some(trouble) = &self.first_trouble {
            writeln!(f, "first trouble      {trouble}")?;
        }
        writeln!(f, "all up after       {}", told(self.dialled_s, 1, "s"))?;
        writeln!(
            f,
            "relay's memory     {} a link",
            told(self.relay_bytes_per_link, 0, "bytes")
        )?;
        writeln!(
            f,
            "idle               {} a link and second",
            told(self.idle_bytes_per_link_s, 0, "bytes")
        )?;
        writeln!(
            f,
            "counted            {}, {} sign-ins, {} bytes sent, {} received",
            told(self.seconds, 1, "s"),
            self.sign_ins,
            self.bytes_sent,
            self.bytes_received
        )?;
        writeln!(
            f,
            "a sign-in          {} beside what is idle",
            told(self.bytes_per_sign_in, 0, "bytes")
        )
    }
}

fn told(figure: Option<f64>, digits: usize, unit: &str) -> String {
    figure.map_or_else(|| "not known".to_owned(), |figure| format!("{figure:.digits$} {unit}"))
}

fn number(count: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "bytes and sign-ins, far below 2^53")]
    let number = count as f64;
    number
}

#[cfg(test)]
mod tests {
    use super::super::board::Traffic;
    use super::*;
    use std::time::Duration;
    use tokio::time::Instant;

    fn readings() -> [Reading; 3] {
        let began = Instant::now();
        let reading = |seconds: u32, sign_ins, sent, received| Reading {
            at: began + Duration::from_secs(seconds.into()),
            up: 10,
            sign_ins,
            traffic: Traffic { sent, received },
            link_seconds: f64::from(seconds * 10),
            lost: 0,
            failed: 0,
        };
        // 10 links for 3 s, then for 10 s with 20 sign-ins.
        [
            reading(0, 5, 1_000, 1_000),
            reading(3, 5, 4_000, 7_000),
            reading(13, 25, 20_000, 37_000),
        ]
    }

    #[test]
    fn a_sign_in_costs_what_was_sent_beyond_what_idle_links_cost() {
        let [before, idle, after] = readings();
        let mut summary = Summary {
            idle_bytes_per_link_s: idle_cost(&before, &idle),
            ..Summary::default()
        };
        assert_eq!(summary.idle_bytes_per_link_s, Some(300.0));
        summary.counted(&idle, &after);
        assert_eq!((summary.sign_ins, summary.seconds), (20, Some(10.0)));
        // 46,000 bytes, of which 30,000 would have been sent anyway.
        assert_eq!(summary.bytes_per_sign_in, Some(800.0));
    }

    #[test]
    fn what_is_not_known_is_not_guessed() {
        let [before, idle, after] = readings();
        assert_eq!(idle_cost(&idle, &after), None, "somebody signed in");
        let lost = Reading { lost: 1, ..idle };
        assert_eq!(idle_cost(&before, &lost), None, "a link was lost");
        let mut summary = Summary::default();
        summary.counted(&idle, &after);
        assert_eq!(summary.bytes_per_sign_in, None, "no idle cost");
        summary.idle_bytes_per_link_s = Some(1.0);
        summary.counted(&before, &idle);
        assert_eq!(summary.bytes_per_sign_in, None, "no sign-in");
        assert!(
            summary.to_string().contains("relay's memory     not known"),
            "{summary}"
        );
    }
}
