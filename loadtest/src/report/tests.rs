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
    runs.iter().map(|runs| html(runs)).collect()
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
    let page = html(&[sample::failover()]);
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
    let page = html(&[sample::disaster()]);
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
    let page = html(&sample::arms());
    assert!(page.contains("3 arms compared") && page.contains("id=\"run-3\""));
    assert!(page.contains("24.1 ms<small>× 7.51 worse</small>"), "{page}");
    let text = markdown(&sample::arms());
    assert!(text.contains("24.1 ms (× 7.51) **worse**"), "{text}");
}

#[test]
fn parts_that_there_are_not_are_left_out_or_said() {
    let page = html(&[Results::default()]);
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
    let page = html(&[run]);
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
    let page = html(&[sample::huge()]);
    assert!(page.len() < 1_500_000, "{} bytes", page.len());
    assert!(page.contains("93 others") && page.contains("80 others") && page.contains("other failures"));
}

#[test]
fn a_summary_for_a_pull_request_has_the_essentials_and_no_markup_from_outside() {
    let text = markdown(&[sample::failover()]);
    for part in [
        "### ❌ agent-killed: Missed: 1 of 6 thresholds not kept",
        "| `failed<0.1%` | 0.213 % | **missed** |",
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
        std::fs::write(directory.join(name).with_extension("html"), html(&runs)).unwrap();
        std::fs::write(directory.join(name).with_extension("md"), markdown(&runs)).unwrap();
        let texts: Vec<String> = runs.iter().map(text).collect();
        std::fs::write(directory.join(name).with_extension("txt"), texts.concat()).unwrap();
    }
}
