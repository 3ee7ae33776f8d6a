//! A chart in a page: its legend, its field with axes and marks, and what a pointer reads from it.
//!
//! The field's shapes are stretched to the page's width; text is HTML beside and above it, so that it is read in a narrow
//! window and on paper alike.

use std::fmt::{self, Write as _};

use serde::Serialize;

use super::faults::{self, Fault};
use super::markup::{Text, json};
use super::svg::{Field, WIDTH};

/// More points than these lie so close that lines are drawn thinner.
const MANY: usize = 150;

/// More faults than these are drawn fainter.
const MANY_FAULTS: usize = 20;

/// A chart.
pub(super) struct Plot<'a> {
    /// What it shows, for whoever cannot see it.
    pub(super) label: String,
    /// What the vertical axis is, in a word or two.
    pub(super) unit: &'a str,
    pub(super) field: Field,
    /// Values named on the axes.
    pub(super) x_ticks: Vec<(f64, String)>,
    pub(super) y_ticks: Vec<(f64, String)>,
    /// Paths by their class, the first lowest.
    pub(super) shapes: Vec<(String, String)>,
    /// Keys of the legend: a class, how it is drawn, and a name.
    pub(super) legend: Vec<(String, Key, String)>,
    /// What was done meanwhile; empty where the horizontal axis is not time.
    pub(super) faults: &'a [Fault<'a>],
    /// Values that have a line and a name in the chart.
    pub(super) pointed_out: Vec<(f64, String)>,
    pub(super) read_out: ReadOut,
}

/// How something is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Line,
    Area,
}

/// What is told of the place that is pointed at.
#[derive(Debug, Default, Serialize)]
pub(super) struct ReadOut {
    /// Places, in thousandths of the width.
    pub(super) at: Vec<u32>,
    /// What each is.
    pub(super) place: Vec<String>,
    /// Names, and what is told of them at each place.
    pub(super) rows: Vec<(String, Vec<String>)>,
}

impl ReadOut {
    /// A place on the axis of a field.
    pub(super) fn add_place(&mut self, share: f64, place: String) {
        self.at.push((share * WIDTH).round().clamp(0.0, WIDTH) as u32);
        self.place.push(place);
    }
}

impl Plot<'_> {
    /// Writes it.
    pub(super) fn write(&self, html: &mut String) -> fmt::Result {
        // Dashes and edges would be all that is seen of very many points.
        let many = if self.read_out.at.len() > MANY { " many" } else { "" };
        writeln!(html, "<figure class=\"plot{many}\">")?;
        self.write_legend(html)?;
        let labels = faults::labels(self.faults, |seconds| self.field.x.at(seconds));
        let lanes = labels.iter().map(|label| label.lane + 1).max().unwrap_or(0);
        let places = places_of(&self.pointed_out, &self.field);
        let lanes = places.iter().map(|place| place.lane + 1).fold(lanes, usize::max);
        writeln!(
            html,
            "<div class=\"frame\" style=\"--height:{}px;--lanes:{lanes}\">",
            self.field.height
        )?;
        html.push_str("<div class=\"ys\" aria-hidden=\"true\">");
        for (value, text) in &self.y_ticks {
            let at = self.field.y.at(*value) * 100.0;
            write!(html, "<span style=\"bottom:{at:.1}%\">{}</span>", Text(text))?;
        }
        html.push_str("</div>\n<div class=\"field\">");
        self.write_svg(html)?;
        for label in labels {
            let at = label.at * 100.0;
            write!(
                html,
                "<span class=\"mark\" style=\"left:{at:.2}%;--lane:{}\">{}</span>",
                label.lane, label.text
            )?;
        }
        for ((value, name), place) in self.pointed_out.iter().zip(places) {
            let at = self.field.x.at(*value) * 100.0;
            let side = if place.left { " left" } else { "" };
            let (name, value) = name.split_once(' ').unwrap_or((name, ""));
            write!(
                html,
                "<span class=\"named{side}\" style=\"left:{at:.2}%;--lane:{}\">{}<i> {}</i></span>",
                place.lane,
                Text(name),
                Text(value)
            )?;
        }
        html.push_str("</div>\n<div class=\"xs\" aria-hidden=\"true\">");
        for (value, text) in &self.x_ticks {
            let at = self.field.x.at(*value) * 100.0;
            let end = match at {
                at if at < 1.0 => " class=\"first\"",
                at if at > 97.0 => " class=\"last\"",
                _ => "",
            };
            write!(html, "<span{end} style=\"left:{at:.2}%\">{}</span>", Text(text))?;
        }
        html.push_str("</div>\n</div>\n");
        if !self.read_out.at.is_empty() {
            writeln!(
                html,
                "<script type=\"application/json\">{}</script>",
                json(&self.read_out)
            )?;
        }
        html.write_str("</figure>\n")
    }

    fn write_legend(&self, html: &mut String) -> fmt::Result {
        write!(html, "<figcaption><span class=\"unit\">{}</span>", Text(self.unit))?;
        for (class, key, name) in &self.legend {
            let shape = match key {
                Key::Line => "M1 6H25",
                Key::Area => "M1 1H25V11H1z",
            };
            write!(
                html,
                "<span class=\"key\"><svg viewBox=\"0 0 26 12\" aria-hidden=\"true\"><path class=\"{class}\" \
                 d=\"{shape}\"/></svg>{}</span>",
                Text(name)
            )?;
        }
        html.write_str("</figcaption>\n")
    }

    fn write_svg(&self, html: &mut String) -> fmt::Result {
        let field = &self.field;
        write!(
            html,
            "<svg viewBox=\"0 0 {WIDTH} {}\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"{}\">",
            field.height,
            Text(&self.label)
        )?;
        let lines: String = self.y_ticks.iter().map(|(value, _)| field.across(*value)).collect();
        path(html, "grid", &lines)?;
        let lasting = self.faults.iter().filter_map(|fault| Some((fault, fault.until?)));
        let bands: String = lasting
            .map(|(fault, until)| field.band(fault.mark.ordered_s, until))
            .collect();
        path(html, "band", &bands)?;
        for (class, shape) in &self.shapes {
            path(html, class, shape)?;
        }
        let marks = self.faults.iter().map(|fault| fault.mark.ordered_s);
        path(
            html,
            if self.faults.len() > MANY_FAULTS {
                "marked faint"
            } else {
                "marked"
            },
            &marks.map(|at| field.upright(at)).collect::<String>(),
        )?;
        let named = self.pointed_out.iter().map(|(at, _)| field.upright(*at));
        path(html, "pointed", &named.collect::<String>())?;
        html.write_str("</svg>")
    }
}

fn path(html: &mut String, class: &str, shape: &str) -> fmt::Result {
    if shape.is_empty() {
        return Ok(());
    }
    write!(html, "<path class=\"{class}\" d=\"{shape}\"/>")
}

/// Where a name stands above a chart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Place {
    /// In which row; 0 is the lowest.
    lane: usize,
    /// Whether it is on the left of its line.
    left: bool,
}

/// Where names stand, so that none covers another or its line: what is nearer to the middle is in a higher row. They are
/// of values in order.
fn places_of(named: &[(f64, String)], field: &Field) -> Vec<Place> {
    // As much of a narrow window's width as a name takes.
    const WIDE: f64 = 0.15;
    let at: Vec<f64> = named.iter().map(|(value, _)| field.x.at(*value)).collect();
    let mut places = vec![Place::default(); at.len()];
    // Those at the right edge, and all that would meet them.
    let mut edge = 1.0 + WIDE;
    for (place, at) in places.iter_mut().zip(&at).rev() {
        place.left = *at > 1.0 - WIDE || edge - at < 2.0 * WIDE;
        if place.left {
            edge = *at;
        }
        if !place.left {
            break;
        }
    }
    let first_left = places.iter().position(|place| place.left).unwrap_or(places.len());
    let mut before: Option<(f64, usize)> = None;
    let mut lane = |at: f64| {
        let lane = before
            .filter(|(near, _)| (at - near).abs() < WIDE)
            .map_or(0, |(_, lane)| lane + 1);
        before = Some((at, lane));
        lane
    };
    for (place, at) in places.iter_mut().zip(&at).take(first_left).rev() {
        place.lane = lane(*at);
    }
    for (place, at) in places.iter_mut().zip(&at).skip(first_left) {
        place.lane = lane(*at);
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::scale::Scale;

    #[test]
    fn names_that_are_near_each_other_stand_in_rows_with_none_on_the_line_of_another() {
        let field = Field {
            x: Scale::between(0.0, 1.0),
            y: Scale::between(0.0, 1.0),
            height: 100.0,
        };
        let named = [0.2, 0.25, 0.5, 0.88, 0.95].map(|at| (at, String::new()));
        let places = places_of(&named, &field);
        let place = |lane, left| Place { lane, left };
        let wanted = [(1, false), (0, false), (0, false), (0, true), (1, true)];
        assert_eq!(places, wanted.map(|(lane, left)| place(lane, left)));
    }
}
