//! How the doctor's findings are told: a line for each to people, or one object to scripts.

use std::io::Write;

use serde::Serialize;

use super::report::{Status, Step};

/// A step in a line, and what to do about it in a second one.
pub(super) fn line(step: &Step) -> String {
    let status = match step.status {
        Status::Ok => "ok",
        Status::Warning => "WARNING",
        Status::Failed => "FAILED",
        Status::Skipped => "skipped",
    };
    let name = serde_json::to_value(step.name).unwrap_or_default();
    let name = name.as_str().unwrap_or_default();
    let mut line = format!(
        "{status:<8} {name:<26} {}: {}\n",
        readable(&step.target),
        readable(&step.detail)
    );
    if !step.advice.is_empty() {
        line.push_str(&format!("         what to do: {}\n", readable(&step.advice)));
    }
    line
}

/// Whether all is well, in a line.
pub(super) fn summary(steps: &[Step]) -> String {
    let count = |status| steps.iter().filter(|step| step.status == status).count();
    match (count(Status::Failed), count(Status::Warning), count(Status::Skipped)) {
        (0, 0, 0) => "All is well.\n".to_owned(),
        (0, warnings, 0) => format!("It works, with {warnings} to look at.\n"),
        (0, warnings, skipped) => format!("It works, with {warnings} to look at; {skipped} skipped.\n"),
        (failed, _, 0) => format!("{failed} failed.\n"),
        (failed, _, skipped) => format!("{failed} failed, {skipped} skipped.\n"),
    }
}

/// Everything in one line of JSON.
pub(super) fn json(ok: bool, steps: &[Step]) -> String {
    #[derive(Serialize)]
    struct Whole<'a> {
        ok: bool,
        steps: &'a [Step],
    }
    // Texts and closed sets: there is nothing that could not be written.
    let text = serde_json::to_string(&Whole { ok, steps }).unwrap_or_default();
    text + "\n"
}

/// Writes to standard output. Nothing can be done about one that is closed.
pub(super) fn print(text: &str) {
    let _ = std::io::stdout().write_all(text.as_bytes());
}

/// What others said, fit for a terminal and for one line.
fn readable(text: &str) -> String {
    let unfit = |c: char| c.is_control();
    text.replace('\n', " ").replace(unfit, "")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::report::Name;

    #[test]
    fn a_step_is_one_line_and_one_more_for_what_to_do_whatever_others_said() {
        let failed = Step::failed(
            Name::DirectoryTls,
            "dc-1",
            "bad\n\u{1b}[2Jname",
            "set directory.anchors",
        );
        assert_eq!(
            line(&failed),
            "FAILED   directory.tls              dc-1: bad [2Jname\n         what to do: set directory.anchors\n"
        );
        let ok = Step::ok(Name::RelayUdp, "relay:7011", "answers");
        assert_eq!(line(&ok), "ok       relay.udp                  relay:7011: answers\n");
    }

    #[test]
    fn json_has_the_documented_members() {
        let steps = [Step::skipped(Name::DirectoryServiceAccount, "dc-1", "not asked")];
        assert_eq!(
            json(true, &steps),
            "{\"ok\":true,\"steps\":[{\"step\":\"directory.service-account\",\"target\":\"dc-1\",\"status\":\"skipped\",\
             \"detail\":\"not asked\",\"advice\":\"\"}]}\n"
        );
    }
}
