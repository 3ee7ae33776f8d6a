//! What every report must have, must never have, and copes with.

use super::*;
use crate::arms::{Arm, Comparison};
use crate::find_max::{Found, Step};
use crate::results::About;
use std::time::Duration;

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

fn page_of(runs: &[Results]) -> String {
    html(&Group::of_runs(runs))
}

fn summary_of(runs: &[Results]) -> String {
    markdown(&Group::of_runs(runs))
}

fn pages() -> Vec<String> {
    let runs = [
        vec![sample::failover()],
        sample::arms(),
        vec![sample::disaster()],
        vec![sample::huge()],
        vec![Results::default()],
        vec![Results::default(), sample::failover()],
        vec![nasty()],
        vec![nasty(), nasty()],
        Vec::new(),
    ];
    runs.iter().map(|runs| page_of(runs)).collect()
}

/// Names of all elements in order, after making sure that each that is opened is closed in its turn.
fn elements(html: &str) -> Vec<String> {
    const VOID: [&str; 3] = ["meta", "wbr", "br"];
    let (mut open, mut all) = (Vec::new(), Vec::new());
    let mut rest = html.strip_prefix("<!doctype html>").unwrap();
    while let Some(at) = rest.find('<') {
        let (text, tag) = rest.split_at(at);
        assert!(!text.contains('>'), "stray > in {text}");
        let (tag, after) = tag[1..].split_once('>').expect("a tag ends");
        rest = after;
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(
                open.pop().as_deref(),
                Some(name),
                "closed out of turn before {:.80}",
                after
            );
            continue;
        }
        assert_eq!(tag.matches('"').count() % 2, 0, "a quote is open in <{tag}>");
        let name = tag.split([' ', '/']).next().unwrap().to_owned();
        all.push(name.clone());
        if tag.ends_with('/') || VOID.contains(&name.as_str()) {
            continue;
        }
        if name == "script" || name == "style" {
            let end = rest.find(&format!("</{name}")).expect("it ends");
            assert!(!rest[..end].contains("<!--"), "a comment in a script");
            rest = &rest[end..];
        }
        open.push(name);
    }
    assert!(open.is_empty(), "left open: {open:?}");
    all
}

#[test]
fn every_page_is_well_formed_with_no_scripts_but_its_own() {
    for page in pages() {
        let all = elements(&page);
        let scripts = all.iter().filter(|name| *name == "script").count();
        let data = page.matches("<script type=\"application/json\">").count();
        assert_eq!(scripts, data + 1);
        assert!(!page.contains("<script>alert"), "markup from outside");
        assert!(!page.contains('\u{202e}'));
    }
}

#[test]
fn no_page_loads_anything() {
    for page in pages() {
        let names = elements(&page);
        for loading in [
            "img", "link", "iframe", "object", "embed", "base", "form", "image", "use", "audio",
        ] {
            assert!(!names.iter().any(|name| name == loading), "<{loading}>");
        }
        for loading in [" src=", "@import", "srcset", "xlink:", "fetch(", "import("] {
            assert!(!page.contains(loading), "{loading}");
        }
        let addresses = page.split("href=\"").skip(1).chain(page.split("url(").skip(1));
        assert!(addresses.clone().all(|address| address.starts_with('#')));
        assert!(page.contains("default-src 'none'"));
    }
}

#[test]
fn what_scripts_read_is_json_whatever_things_are_called() {
    for page in pages() {
        for data in page.split("<script type=\"application/json\">").skip(1) {
            let data: serde_json::Value = serde_json::from_str(data.split("</script>").next().unwrap()).unwrap();
            let places = data["at"].as_array().unwrap().len();
            assert_eq!(data["place"].as_array().unwrap().len(), places);
            for row in data["rows"].as_array().unwrap() {
                assert_eq!(row[1].as_array().unwrap().len(), places, "{}", row[0]);
            }
        }
    }
}

#[test]
fn a_page_has_the_verdict_first_and_all_parts_of_a_failover() {
    let page = page_of(&[sample::failover()]);
    let places = [
        "Missed: 1 of 6 thresholds not kept",
        "15,000 sign-ins in 30 s: 99.79 % right, 32 failed, none wrong.",
        "✗ missed</b> <code>failed&lt;0.1%</code> <span class=\"seen\">0.213 %</span>",
        "Key figures",
        "Latency over time",
        ">2</span> restart agent-2 ",
        "Answers over time",
        "Only what was not right",
        "p99.9<i> 912 ms</i></span>",
        "<td class=\"right\" title=\"right: what was expected\"><span>✓</span> 10,470<small>99.73 %</small></td>",
        "agent-3",
        "mock-dc",
        "done after",
        "--fault &#39;10s kill agent-2&#39;",
        "no coordinated omission",
    ];
    let mut rest = page.as_str();
    for place in places.into_iter() {
        let at = rest
            .find(place)
            .unwrap_or_else(|| panic!("{place} is not there, or not in its place"));
        rest = &rest[at..];
    }
    assert!(page.contains("<i class=\"failed\">△</i> failed: no verdict"));
}

#[test]
fn false_successes_and_what_is_not_valid_come_before_any_figure() {
    let page = page_of(&[sample::disaster()]);
    let figures = page.find(">Key figures<").unwrap();
    for first in [
        "3 FALSE SUCCESSES",
        "Not valid: 41 sign-ins",
        "Ended early: more than 10 %",
        "117 sign-ins were told",
    ] {
        assert!(page.find(first).is_some_and(|at| at < figures), "{first}");
    }
    assert!(page.contains("<td class=\"false\""));
    assert!(page.contains("✗ not done: connection refused"));
}

#[test]
fn arms_are_compared_with_the_first() {
    let page = page_of(&sample::arms());
    assert!(page.contains("3 arms compared") && page.contains("id=\"run-3\""));
    assert!(page.contains("24.1 ms<small>× 7.51 worse</small>"), "{page}");
    let text = summary_of(&sample::arms());
    assert!(text.contains("24.1 ms (× 7.51) **worse**"), "{text}");
}

#[test]
fn parts_that_there_are_not_are_left_out_or_said() {
    let page = page_of(&[Results::default()]);
    assert!(page.contains("Nothing was sent"));
    for absent in ["Latency over time", "Share of each agent", "NaN", "inf"] {
        assert!(!page.contains(&format!(">{absent}")), "{absent}");
    }
    let mut run = sample::failover();
    run.timeline.clear();
    run.marks.clear();
    run.processes.clear();
    run.agents.clear();
    run.binds = None;
    run.binds_per_signin = None;
    let page = page_of(&[run]);
    assert!(page.contains("Nothing was kept over time"));
    for absent in [
        "Latency over time",
        "Processors and memory",
        "Directory",
        "Faults, and what came of them",
    ] {
        assert!(!page.contains(&format!(">{absent}<")), "{absent}");
    }
}

#[test]
fn a_huge_run_makes_a_page_that_a_browser_takes() {
    let page = page_of(&[sample::huge()]);
    assert!(page.len() < 1_500_000, "{} bytes", page.len());
    assert!(page.contains("93 others") && page.contains("80 others") && page.contains("other failures"));
}

#[test]
fn a_summary_for_a_pull_request_has_the_essentials_and_no_markup_from_outside() {
    let text = summary_of(&[sample::failover()]);
    for part in [
        "### ❌ agent-killed: Missed: 1 of 6 thresholds not kept",
        "| `failed<0.1%` | 0.213 % | **missed** |",
        "p99.9 912 ms",
        "| wrong | invalid\\_credentials |  | ✓ 4,498 |",
        "Faults: 10 s `kill agent-2`, 20 s `restart agent-2`",
    ] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
    let text = summary_of(&[nasty()]);
    assert!(
        !text.contains("<script") || text.matches("<script").count() == text.matches("``").count() / 2,
        "{text}"
    );
    for line in text.lines().filter(|line| line.starts_with('|')) {
        assert!(line.ends_with('|'), "{line}");
    }
    assert!(!summary_of(&[Results::default()]).is_empty() && summary_of(&[]).is_empty());
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
        text.contains("  MISSED        failed<0.1%                  0.213 %"),
        "{text}"
    );
    assert!(text.ends_with("=> MISSED: 1 OF 6 THRESHOLDS NOT KEPT\n"), "{text}");
}

/// For looking at: `REPORTS=directory cargo test --workspace --lib reports_to_look_at`.
#[test]
fn reports_to_look_at_are_written_where_somebody_wants_them() {
    let Some(directory) = std::env::var_os("REPORTS").map(std::path::PathBuf::from) else {
        return;
    };
    let samples = [
        ("failover", vec![sample::failover()]),
        ("arms", sample::arms()),
        ("disaster", vec![sample::disaster()]),
        ("empty", vec![Results::default()]),
        ("huge", vec![sample::huge()]),
        ("nasty", vec![nasty()]),
    ];
    std::fs::create_dir_all(&directory).unwrap();
    for (name, runs) in samples {
        std::fs::write(directory.join(name).with_extension("html"), page_of(&runs)).unwrap();
        std::fs::write(directory.join(name).with_extension("md"), summary_of(&runs)).unwrap();
        let texts: Vec<String> = runs.iter().map(text).collect();
        std::fs::write(directory.join(name).with_extension("txt"), texts.concat()).unwrap();
    }
}

#[test]
fn arms_are_compared_round_by_round_and_not_by_the_run_that_is_shown() {
    let run = |name: &str, p50: u64| {
        let mut run = sample::failover();
        run.about.name = name.to_owned();
        run.latency_ms.p50 = Duration::from_millis(p50);
        run
    };
    let arm = |name: &str, p50s: [u64; 3]| Arm {
        name: name.to_owned(),
        runs: p50s.map(|p50| run(name, p50)).into(),
    };
    // Every round is twice as slow as that of the first arm, whatever the machine did meanwhile.
    let comparison = Comparison {
        arms: vec![arm("old", [10, 40, 20]), arm("new", [20, 80, 40])],
        ..Comparison::default()
    };
    let group = Group::of_comparison(&comparison);
    let text = markdown(&group);
    let p50 = text.lines().find(|line| line.starts_with("| p50")).unwrap();
    assert_eq!(p50, "| p50 | 20.0 ms | 40.0 ms (× 2.00, 2.00 to 2.00) **worse** |");
    assert!(text.contains("Played 3 times each"), "{text}");
    assert!(html(&group).contains("× 2.00, 2.00 to 2.00"));
}

#[test]
fn a_search_names_its_answer_and_shows_rates_in_their_order() {
    let step = |rate: f64, ok| Step {
        rate,
        goodput: rate,
        p50_ms: 1.0,
        p99_ms: 5.0,
        failed: 0,
        wrong: 0,
        cpu_us_per_signin: None,
        ok,
        valid: true,
    };
    let run = |name: &str| Results {
        about: About {
            name: name.to_owned(),
            ..About::default()
        },
        ..sample::failover()
    };
    let found = Found {
        rate: Some(700.0),
        is_whole: true,
        ended_by: "at 1400/s something that is required does not hold".to_owned(),
        steps: vec![step(1_400.0, false), step(700.0, true)],
    };
    let group = Group::of_search(&found, &[run("1400/s"), run("700/s")]);
    let (page, text) = (html(&group), markdown(&group));
    assert!(page.contains("<h1>Load test: 700/s is the highest rate that holds</h1>"));
    assert!(text.starts_with("### Load test: 700/s is the highest rate that holds\n\n2 rates were tried; at 1400/s"));
    assert!(text.find("| 700/s | 1400/s |").is_some(), "{text}");
    let none = Group::of_search(&Found { rate: None, ..found }, &[]);
    assert!(none.heading.contains("no rate held"));
}
