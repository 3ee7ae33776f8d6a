//! Reports of runs, for people: a summary for a pull request, and one for a terminal.
//!
//! All are made of [`Results`] alone, so that a report can be made of any that was written down. What comes from outside,
//! names and commands and errors, is made harmless wherever it is written.

#[cfg_attr(not(test), expect(dead_code, reason = "for the page, which is not there yet"))]
mod answers;
#[cfg_attr(not(test), expect(dead_code, reason = "for the page, which is not there yet"))]
mod faults;
#[expect(dead_code, reason = "for the page, which is not there yet")]
mod figures;
mod markdown;
mod measures;
mod numbers;
#[cfg(test)]
mod tests;
mod text;
#[expect(dead_code, reason = "for the page, which is not there yet")]
mod verdict;

pub use markdown::markdown;
pub use text::text;

use crate::results::Results;

/// What no report has a place for: what would do something to a terminal or turn the direction of what follows.
fn is_unfit(c: char) -> bool {
    let turns = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    turns || (c.is_control() && !c.is_whitespace())
}

/// What a run is called.
fn name_of(run: &Results, number: usize) -> String {
    match run.about.name.trim() {
        "" => format!("run {number}"),
        name => name.to_owned(),
    }
}
