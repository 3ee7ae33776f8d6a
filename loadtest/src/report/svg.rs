//! Shapes of a chart's field as SVG paths. The field is 1,000 wide and as high as it is on paper; it is stretched to the
//! page's width, so nothing but lines and areas is drawn in it: text stands beside it.

use std::fmt::Write as _;

use super::scale::Scale;

/// How wide a field is.
pub(super) const WIDTH: f64 = 1_000.0;

/// A point of a line; one without a value is a gap.
pub(super) type Point = (f64, Option<f64>);

/// A coordinate with the digits that can be seen.
fn short(coordinate: f64) -> String {
    let text = format!("{coordinate:.1}");
    text.strip_suffix(".0").map(str::to_owned).unwrap_or(text)
}

/// Where values lie in a field.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field {
    pub(super) x: Scale,
    pub(super) y: Scale,
    pub(super) height: f64,
}

impl Field {
    fn x(&self, value: f64) -> String {
        short(self.x.at(value) * WIDTH)
    }

    fn y(&self, value: f64) -> String {
        short((1.0 - self.y.at(value)) * self.height)
    }

    /// A line through points, with a gap where there is no value. A point without neighbours is a dot.
    pub(super) fn line(&self, points: &[Point]) -> String {
        let mut path = String::new();
        for run in points.split(|(_, value)| value.is_none()) {
            for (index, (at, value)) in run.iter().enumerate() {
                let command = if index == 0 { 'M' } else { 'L' };
                let _ = write!(path, "{command}{} {}", self.x(*at), self.y(value.unwrap_or_default()));
            }
            if run.len() == 1 {
                path.push_str("h0");
            }
        }
        path
    }

    /// Dots at points, for lines with few of them.
    pub(super) fn dots(&self, points: &[Point]) -> String {
        let mut path = String::new();
        for (at, value) in points {
            if let Some(value) = value {
                let _ = write!(path, "M{} {}h0", self.x(*at), self.y(*value));
            }
        }
        path
    }

    /// A line across the field.
    pub(super) fn across(&self, value: f64) -> String {
        format!("M0 {}H{WIDTH}", self.y(value))
    }

    /// A line from its bottom to its top.
    pub(super) fn upright(&self, value: f64) -> String {
        format!("M{} 0V{}", self.x(value), short(self.height))
    }

    /// An area as high as the field.
    pub(super) fn band(&self, from: f64, to: f64) -> String {
        format!(
            "M{} 0H{}V{}H{}z",
            self.x(from),
            self.x(to),
            short(self.height),
            self.x(from)
        )
    }

    /// Columns from the bottom up, each from one value to another.
    pub(super) fn columns(&self, columns: impl Iterator<Item = (f64, f64, f64)>) -> String {
        let mut path = String::new();
        let floor = short(self.height);
        for (from, to, value) in columns {
            let _ = write!(
                path,
                "M{} {floor}V{}H{}V{floor}z",
                self.x(from),
                self.y(value),
                self.x(to)
            );
        }
        path
    }

    /// Layers on each other: a path for each, over the stretches where it has any height. `steps` are from when to when,
    /// with the layers' values in each.
    pub(super) fn stack(&self, steps: &[(f64, f64, Vec<f64>)]) -> Vec<String> {
        let layers = steps.iter().map(|(.., values)| values.len()).max().unwrap_or(0);
        (0..layers).map(|layer| self.layer(steps, layer)).collect()
    }

    fn layer(&self, steps: &[(f64, f64, Vec<f64>)], layer: usize) -> String {
        let mut path = String::new();
        let height = |(.., values): &(f64, f64, Vec<f64>)| values.get(layer).copied().unwrap_or(0.0);
        let below = |(.., values): &(f64, f64, Vec<f64>)| values.iter().take(layer).sum::<f64>();
        for run in steps.split(|step| height(step) <= 0.0) {
            let Some(first) = run.first() else { continue };
            let _ = write!(path, "M{} {}", self.x(first.0), self.y(below(first) + height(first)));
            for step in run {
                let _ = write!(path, "V{}H{}", self.y(below(step) + height(step)), self.x(step.1));
            }
            for step in run.iter().rev() {
                let _ = write!(path, "V{}H{}", self.y(below(step)), self.x(step.0));
            }
            path.push('z');
        }
        path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELD: fn() -> Field = || Field {
        x: Scale::between(0.0, 10.0),
        y: Scale::between(0.0, 4.0),
        height: 200.0,
    };

    #[test]
    fn a_line_has_a_gap_where_nothing_is_known_and_a_lone_point_is_seen() {
        let points = [(0.0, Some(4.0)), (5.0, Some(2.0)), (6.0, None), (10.0, Some(0.0))];
        assert_eq!(FIELD().line(&points), "M0 0L500 100M1000 200h0");
    }

    #[test]
    fn layers_lie_on_each_other_and_only_where_they_are() {
        let steps = [(0.0, 5.0, vec![2.0, 0.0]), (5.0, 10.0, vec![2.0, 1.0])];
        assert_eq!(
            FIELD().stack(&steps),
            ["M0 100V100H500V100H1000V200H500V200H0z", "M500 50V50H1000V100H500z"]
        );
    }
}
