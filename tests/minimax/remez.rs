//! Minimax polynomials by the exchange algorithm of Remez, on a grid, in double-double arithmetic.
//!
//! A polynomial is fitted to a function on an interval so that the largest weighted error is as small as it can be; then its
//! lowest coefficient is rounded to the float type, the others are fitted again to what is left, and so on. Grid and
//! arithmetic are the same on every machine, so the coefficients are.

use act::graph::wide::Wide;

/// What coefficients are rounded to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounding {
    /// `f32`.
    F32,
    /// `f64`.
    F64,
    /// Multiples of 2^-9.
    Fixed,
}

impl Rounding {
    /// The nearest number of the type.
    pub fn round(self, x: Wide) -> f64 {
        match self {
            Rounding::F32 => f64::from(x.to_f32()),
            Rounding::F64 => x.to_f64(),
            Rounding::Fixed => (x.to_f64() * 512.0).round_ties_even() / 512.0,
        }
    }
}

/// What a polynomial shall be near to: `weight(v) * (p(v) - target(v))` is to be small for v from `from` to `to`.
pub struct Fit<'a> {
    /// Lower end of the interval.
    pub from: f64,
    /// Upper end of the interval.
    pub to: f64,
    /// How many coefficients.
    pub count: usize,
    /// What they are rounded to.
    pub rounding: Rounding,
    /// The function.
    pub target: &'a dyn Fn(Wide) -> Wide,
    /// What an error is multiplied with.
    pub weight: &'a dyn Fn(Wide) -> Wide,
}

/// A point of the grid.
#[derive(Clone, Copy)]
struct Point {
    v: Wide,
    /// What remains of the function after the coefficients that are rounded.
    rest: Wide,
    weight: Wide,
}

/// Points for each coefficient.
const DENSITY: usize = 48;

/// Exchanges without a better polynomial after which the best one is taken.
const PATIENCE: usize = 14;

/// The grid: even steps of the angle whose cosine is the place in the interval.
fn grid(fit: &Fit<'_>) -> Vec<Point> {
    let steps = DENSITY * (fit.count + 1);
    let (middle, half) = ((fit.to + fit.from) / 2.0, (fit.to - fit.from) / 2.0);
    let mut points = Vec::with_capacity(steps + 1);
    for step in 0..=steps {
        let angle = std::f64::consts::PI * step as f64 / steps as f64;
        let v = Wide::from(middle - half * Wide::from(angle).cos().to_f64());
        // At zero there may be nothing to divide by, and there is nothing to see.
        if v.to_f64().abs() > half * 2f64.powi(-24) {
            points.push(Point { v, rest: (fit.target)(v), weight: (fit.weight)(v).abs() });
        }
    }
    points
}

/// c[0] + c[1] v + …
pub fn value(coefficients: &[Wide], v: Wide) -> Wide {
    coefficients.iter().rev().fold(Wide::ZERO, |sum, &c| sum * v + c)
}

/// The coefficients from v^`first` on that leave the same error with changing sign at all points of the reference.
fn solve(points: &[Point], reference: &[usize], first: usize) -> Vec<Wide> {
    let size = reference.len();
    let mut rows: Vec<Vec<Wide>> = Vec::with_capacity(size);
    for (number, &at) in reference.iter().enumerate() {
        let point = points[at];
        let mut row = Vec::with_capacity(size + 1);
        let mut power = (0..first).fold(point.weight, |power, _| power * point.v);
        let negative = power.is_negative();
        for _ in 0..size - 1 {
            row.push(power);
            power = power * point.v;
        }
        row.push(if (number % 2 == 0) == negative { -Wide::ONE } else { Wide::ONE });
        row.push(point.weight * point.rest);
        rows.push(row);
    }
    for column in 0..size {
        let scale = |row: &[Wide]| row[column..size].iter().fold(Wide::ZERO, |most, k| most.max(k.abs()));
        let pivot = (column..size).fold(column, |best, row| {
            let better =
                rows[row][column].abs() / scale(&rows[row]) > rows[best][column].abs() / scale(&rows[best]);
            if better { row } else { best }
        });
        rows.swap(column, pivot);
        let (above, below) = rows.split_at_mut(column + 1);
        let above = &above[column];
        for row in below {
            let factor = row[column] / above[column];
            for (entry, &other) in row.iter_mut().zip(above).skip(column) {
                *entry = *entry - factor * other;
            }
        }
    }
    let mut solution = vec![Wide::ZERO; size];
    for row in (0..size).rev() {
        let known = (row + 1..size).fold(rows[row][size], |sum, k| sum - rows[row][k] * solution[k]);
        solution[row] = known / rows[row][row];
    }
    solution.pop();
    solution
}

/// Where the error is largest between its changes of sign, `wanted` places with changing sign.
fn extrema(errors: &[Wide], wanted: usize) -> Option<Vec<usize>> {
    let mut places: Vec<usize> = Vec::new();
    for (at, error) in errors.iter().enumerate() {
        match places.last_mut() {
            Some(last) if errors[*last].is_negative() == error.is_negative() => {
                if error.abs() > errors[*last].abs() {
                    *last = at;
                }
            }
            _ => places.push(at),
        }
    }
    while places.len() > wanted {
        let size = |at: usize| errors[places[at]].abs();
        let end = places.len() - 1;
        if places.len() == wanted + 1 {
            places.remove(if size(0) < size(end) { 0 } else { end });
        } else {
            let gap = (0..end).min_by(|&a, &b| {
                let (a, b) = (size(a).max(size(a + 1)), size(b).max(size(b + 1)));
                a.partial_cmp(&b).expect("errors are numbers")
            });
            let gap = gap.expect("there are several places");
            places.drain(gap..gap + 2);
        }
    }
    (places.len() == wanted).then_some(places)
}

/// The weighted errors of a polynomial that starts at v^`first`, and the largest; the sign is that beside |v|^first.
fn errors(points: &[Point], first: usize, coefficients: &[Wide]) -> (Vec<Wide>, Wide) {
    let error = |point: &Point| {
        let power = (0..first).fold(point.weight, |power, _| power * point.v.abs());
        let wanted = (0..first).fold(point.rest, |rest, _| rest / point.v);
        power * (value(coefficients, point.v) - wanted)
    };
    let errors: Vec<Wide> = points.iter().map(error).collect();
    let most = errors.iter().fold(Wide::ZERO, |most, error| most.max(error.abs()));
    (errors, most)
}

/// The coefficients from v^`first` on for what is left of the function, not rounded. `start` is a polynomial to do better
/// than, `reference` where to start from; it becomes where the error is largest.
fn exchange(points: &[Point], first: usize, start: Vec<Wide>, reference: &mut Vec<usize>) -> Vec<Wide> {
    let (_, most) = errors(points, first, &start);
    let (mut best, mut least) = (start, most);
    let mut since = 0;
    while since < PATIENCE {
        let coefficients = solve(points, reference, first);
        let (errors, most) = errors(points, first, &coefficients);
        since += 1;
        if most < least {
            (best, least) = (coefficients, most);
            since = 0;
        }
        let reached = reference.iter().fold(most, |least, &at| least.min(errors[at].abs()));
        let Some(next) = extrema(&errors, reference.len()) else { break };
        if next == *reference || most < reached * Wide::from(1.0 + 2f64.powi(-10)) {
            break;
        }
        *reference = next;
    }
    best
}

/// One place of the grid more than there are coefficients, from end to end.
fn spread(points: &[Point], count: usize) -> Vec<usize> {
    (0..=count).map(|k| k * (points.len() - 1) / count).collect()
}

/// The coefficients, rounded from the lowest on, and the largest weighted error.
pub fn fit(fit: &Fit<'_>) -> (Vec<f64>, f64) {
    let mut points = grid(fit);
    let mut rounded = Vec::with_capacity(fit.count);
    let mut reference = spread(&points, fit.count);
    let mut coefficients = vec![Wide::ZERO; fit.count];
    for first in 0..fit.count {
        coefficients = exchange(&points, first, coefficients, &mut reference);
        let lowest = fit.rounding.round(coefficients.remove(0));
        rounded.push(lowest);
        for point in &mut points {
            let term = (0..first).fold(Wide::from(lowest), |term, _| term * point.v);
            point.rest = point.rest - term;
        }
        // One place less; what is nearest to zero has least to say in what follows.
        let nearest = reference.iter().enumerate().min_by(|a, b| {
            let (a, b) = (points[*a.1].v.abs(), points[*b.1].v.abs());
            a.partial_cmp(&b).expect("places are numbers")
        });
        let nearest = nearest.expect("there are at least two places").0;
        reference.remove(nearest);
    }
    let worst = points.iter().fold(Wide::ZERO, |most, point| most.max((point.weight * point.rest).abs()));
    (rounded, worst.to_f64())
}

/// The lowest coefficient before it is rounded.
pub fn first(fit: &Fit<'_>) -> Wide {
    let points = grid(fit);
    let mut reference = spread(&points, fit.count);
    exchange(&points, 0, vec![Wide::ZERO; fit.count], &mut reference)[0]
}
