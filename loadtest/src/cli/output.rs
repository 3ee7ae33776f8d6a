//! Where results go.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;

use super::made::Made;
use crate::report;

/// What can be typed about them.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "What is written")]
pub(super) struct Outputs {
    /// Everything, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// A page that needs nothing beside it, with charts
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// A summary for a pull request
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Nothing on standard output and error but what is wrong
    #[arg(long)]
    quiet: bool,
}

impl Outputs {
    /// Whether nobody wants to see how it goes.
    pub(super) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Makes sure that all of it can be written.
    ///
    /// # Errors
    /// What cannot.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        for path in [&self.json, &self.html, &self.markdown].into_iter().flatten() {
            let existed = path.exists();
            let opened = OpenOptions::new().create(true).append(true).open(path);
            opened.with_context(|| format!("cannot write {}", path.display()))?;
            if !existed {
                // Nobody should take an empty file for a result.
                let _ = fs::remove_file(path);
            }
        }
        Ok(())
    }

    /// Writes what was asked for. What cannot be written keeps nothing else from being.
    ///
    /// # Errors
    /// The first that could not be written.
    pub(super) fn write(&self, made: &Made) -> anyhow::Result<()> {
        if !self.quiet {
            // Whoever reads it may have gone; the files and the exit code tell all the same.
            let _ = std::io::stdout().write_all(made.text().as_bytes());
        }
        let mut written = Ok(());
        if let Some(path) = &self.html {
            written = written.and(replace(path, &report::html(&made.runs())));
        }
        if let Some(path) = &self.markdown {
            written = written.and(replace(path, &report::markdown(&made.runs())));
        }
        if let Some(path) = &self.json {
            let text = made.json().context("the results").map(|text| text + "\n");
            written = written.and(text.and_then(|text| replace(path, &text)));
        }
        written
    }
}

/// Whole or not at all: a full disk leaves what was there before.
fn replace(path: &Path, text: &str) -> anyhow::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".part");
    let beside = PathBuf::from(beside);
    let written = fs::write(&beside, text).and_then(|()| fs::rename(&beside, path));
    written.with_context(|| {
        let _ = fs::remove_file(&beside);
        format!("cannot write {}", path.display())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::Results;

    fn outputs(json: &str) -> Outputs {
        Outputs {
            json: Some(json.into()),
            html: None,
            markdown: None,
            quiet: true,
        }
    }

    #[test]
    fn what_cannot_be_written_is_told_before_the_run_and_nothing_is_left_of_the_question() {
        let error = outputs("/nowhere/x.json").check().unwrap_err();
        assert!(format!("{error:#}").starts_with("cannot write /nowhere/x.json: "));
        let path = std::env::temp_dir().join(format!("postern-loadtest-{}.json", std::process::id()));
        let outputs = outputs(path.to_str().unwrap());
        outputs.check().unwrap();
        assert!(!path.exists());
        outputs.write(&Made::Run(Box::default())).unwrap();
        let read: Results = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!(read, Results::default());
        fs::remove_file(path).unwrap();
    }

    #[test]
    fn what_cannot_be_written_after_all_is_told_by_its_name() {
        let error = replace(Path::new("/dev/full/x"), "text").unwrap_err();
        assert!(
            format!("{error:#}").starts_with("cannot write /dev/full/x"),
            "{error:#}"
        );
    }
}
