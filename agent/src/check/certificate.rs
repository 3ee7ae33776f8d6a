//! Certificates and their ends.

use postern_service::tls;

use super::report::{Name, Status, Step};
use crate::config::Config;

/// A certificate that ends sooner is told of: whoever renews by hand needs time, and what renews by itself has failed.
const SOON_DAYS: i64 = 30;

const DAY: i64 = 86_400;

/// This agent's own chain, at this time in seconds since 1970.
pub(super) fn own(config: &Config, now: i64) -> Step {
    let target = config.identity.to_string();
    let advice = "agent.certificate: renew it, or set this machine's clock";
    // Every certificate of the chain must be valid; the first that is not is what is wrong.
    let validities = config.certificate.chain.iter().filter_map(tls::validity);
    let (begin, end) = validities.fold((i64::MIN, i64::MAX), |(begin, end), (from, until)| {
        (begin.max(from), end.min(until))
    });
    if begin > now {
        return Step::failed(Name::Certificate, &target, "it is not valid yet", advice);
    }
    let step = until(Name::Certificate, &target, "it", end, now, advice);
    if config.certificate.key_is_readable_by_all && step.status == Status::Ok {
        let detail = "every user of this machine can read its private key";
        return Step::warning(
            Name::Certificate,
            &target,
            detail,
            "agent.key: take the right to read from others",
        );
    }
    step
}

/// What the end of a certificate means. `what` begins the sentence.
pub(super) fn until(name: Name, target: &str, what: &str, end: i64, now: i64, advice: &str) -> Step {
    let days = end.saturating_sub(now).div_euclid(DAY);
    match days {
        ..0 => Step::failed(
            name,
            target,
            format!("{what} has expired ({} days ago)", -days - 1),
            advice,
        ),
        0..SOON_DAYS => Step::warning(name, target, format!("{what} is valid for {days} more days"), advice),
        _ => Step::ok(name, target, format!("{what} is valid for {days} more days")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_within_thirty_days_is_told_and_one_that_is_past_fails() {
        let status = |end| until(Name::Certificate, "", "it", end, 0, "renew").status;
        assert_eq!(status(30 * DAY), Status::Ok);
        assert_eq!(status(30 * DAY - 1), Status::Warning);
        assert_eq!(status(0), Status::Warning);
        assert_eq!(status(-1), Status::Failed);
        assert_eq!(status(i64::MIN), Status::Failed);
    }
}
