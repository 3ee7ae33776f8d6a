//! What every report must have, must never have, and copes with.

use super::*;

pub(crate) mod sample;

const NASTY: &str = "\"><script>alert('1')</script>&|`_*@all`[x](y)\u{202e}\n";

/// Everything that comes from outside is markup, if it is let be.
fn nasty() -> Results {
    let mut run = sample::disaster();
    let about = &mut run.about;
    for text in [
        &mut about.version,
        &mut about.began_at,
        &mut about.name,
        &mut about.load,
        &mut about.mix,
        &mut about.command,
    ] {
        *text = NASTY.to_owned();
    }
    run.about.targets = vec![NASTY.to_owned()];
    run.invalid_because = vec![NASTY.to_owned()];
    run.ended_early = Some(NASTY.to_owned());
    run.thresholds[0].expr = NASTY.to_owned();
    run.kinds[0].kind = NASTY.to_owned();
    run.kinds[0].expected = NASTY.to_owned();
    run.kinds[0].actual.insert(NASTY.to_owned(), 7);
    run.outcomes.insert(NASTY.to_owned(), 7);
    run.timeline[3].outcomes.insert(NASTY.to_owned(), 7);
    run.marks[0].what = NASTY.to_owned();
    run.marks[0].error = Some(NASTY.to_owned());
    run.agents[0].name = NASTY.to_owned();
    run.processes[0].name = NASTY.to_owned();
    run
}

#[test]
fn a_summary_for_a_pull_request_has_the_essentials_and_no_markup_from_outside() {
    let text = markdown(&[sample::failover()]);
    for part in [
        "### ❌ agent-killed: Missed: 1 of 6 thresholds not kept",
        "| `failed<0.1%` | 0.21 % | **missed** |",
        "p99.9 912 ms",
        "| wrong | invalid\\_credentials |  | ✓ 4,498 |",
        "Faults: 10 s `kill agent-2`, 20 s `restart agent-2`",
    ] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
    let text = markdown(&[nasty()]);
    assert!(
        !text.contains("<script") || text.matches("<script").count() == text.matches("``").count() / 2,
        "{text}"
    );
    for line in text.lines().filter(|line| line.starts_with('|')) {
        assert!(line.ends_with('|'), "{line}");
    }
    assert!(!markdown(&[Results::default()]).is_empty() && markdown(&[]).is_empty());
}

#[test]
fn a_terminal_has_the_essentials_in_100_columns_and_the_verdict_last() {
    for run in [
        sample::failover(),
        sample::disaster(),
        sample::huge(),
        nasty(),
        Results::default(),
    ] {
        let text = text(&run);
        for line in text.lines() {
            assert!(line.chars().count() <= 100, "{line}");
        }
        assert!(text.lines().last().unwrap().starts_with("  =>"), "{text}");
    }
    let text = text(&sample::failover());
    assert!(
        text.contains("  MISSED        failed<0.1%                   0.21 %"),
        "{text}"
    );
    assert!(text.ends_with("=> MISSED: 1 OF 6 THRESHOLDS NOT KEPT\n"), "{text}");
}
