//! Reports of runs, for people: a page to look at, a summary for a pull request, and one for a terminal.
//!
//! All are made of [`Results`] alone, so that a report can be made of any that was written down. What comes from outside,
//! names and commands and errors, is escaped wherever it is written. A page needs nothing but itself: no network, no
//! fonts, no scripts of others.

mod agents;
mod answers;
mod arms;
mod charts;
mod faults;
mod figures;
mod group;
mod html;
mod markdown;
mod markup;
mod measures;
mod numbers;
mod plot;
mod processes;
mod scale;
mod svg;
mod tables;
#[cfg(test)]
mod tests;
mod text;
mod verdict;

pub use group::Group;
pub use html::html;
pub use markdown::markdown;
pub use text::text;

use answers::Answers;
use faults::Fault;
use numbers::seconds;
use plot::ReadOut;
use scale::Scale;
use svg::Field;

use crate::results::Results;

/// A run, and what its charts and tables have in common.
struct View<'a> {
    run: &'a Results,
    /// From 1 on, in one page.
    number: usize,
    answers: Answers,
    faults: Vec<Fault<'a>>,
}

impl<'a> View<'a> {
    fn of(run: &'a Results, number: usize) -> Self {
        Self {
            run,
            number,
            answers: Answers::of(run),
            faults: faults::of(run),
        }
    }

    /// Seconds that its charts show: up to the last of what is known.
    fn length(&self) -> f64 {
        let slices = self.run.timeline.iter().map(|slice| slice.from_s + slice.lasts_s);
        let marks = self.run.marks.iter().map(|mark| mark.ordered_s);
        let length = slices.chain(marks).fold(0.0, f64::max);
        if length > 0.0 { length } else { self.run.about.planned_s }
    }

    fn time(&self) -> Scale {
        Scale::between(0.0, self.length())
    }

    /// Slices of time as places of a chart.
    fn places(&self, field: &Field) -> ReadOut {
        let mut read_out = ReadOut::default();
        for slice in &self.run.timeline {
            let (from, to) = (slice.from_s, slice.from_s + slice.lasts_s);
            let place = format!("{} to {}", seconds(from), seconds(to));
            read_out.add_place(field.x.at(f64::midpoint(from, to)), place);
        }
        read_out
    }
}

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
