//! The polynomials of `expand_math`: which function each follows, where, and which error counts.

use std::f64::consts::{FRAC_PI_4, LN_2, SQRT_2};

use act::graph::wide::Wide;

use super::remez::{Fit, Rounding, first, fit};

/// A table of coefficients as it stands in a file of `compiler/src/loop_passes/expand_math`.
#[derive(Clone, Debug)]
pub struct Table {
    /// The file.
    pub file: &'static str,
    /// The constant.
    pub name: &'static str,
    /// The coefficients, lowest first.
    pub values: Vec<f64>,
    /// The largest error, weighted.
    pub error: f64,
}

type Function = fn(Wide) -> Wide;

/// A number.
fn w(x: f64) -> Wide {
    Wide::from(x)
}

/// A polynomial for both types.
struct Row {
    file: &'static str,
    /// The constant's name without `_F32`, `_F64`.
    name: &'static str,
    from: f64,
    to: f64,
    /// How many coefficients in f32 and in f64, 0 for none.
    counts: (usize, usize),
    target: Function,
    weight: Function,
}

/// A little more than the interval of a reduced argument, for the rounding of the reduction.
const MORE: f64 = 1.003;

/// The factor of both sides of the fraction in `sigmoid`.
const SIGMOID: f64 = 0.75;

/// For x - tanh x and the like, whose arguments are squares.
fn of_root(z: Wide, function: impl Fn(Wide) -> Wide) -> Wide {
    function(z.sqrt())
}

/// (f(x) - x) / x^3 with z = x^2.
fn odd_rest(z: Wide, f: Function) -> Wide {
    of_root(z, |x| (f(x) - x) / (x * z))
}

/// What an error of [`odd_rest`] is of f(x).
fn odd_weight(z: Wide, f: Function) -> Wide {
    of_root(z, |x| x * z / f(x))
}

/// Polynomials that need nothing but a function and a weight.
const ROWS: &[Row] = &[
    Row {
        file: "exp.rs",
        name: "EXP",
        from: -LN_2 / 2.0 * MORE,
        to: LN_2 / 2.0 * MORE,
        counts: (6, 11),
        target: |r| r.expm1() / r,
        weight: |r| r / r.exp(),
    },
    Row {
        file: "exp.rs",
        name: "EXP2",
        from: -0.5,
        to: 0.5,
        counts: (6, 12),
        target: |r| (r * w(2.0).log()).expm1() / r,
        weight: |r| r / r.exp2(),
    },
    Row {
        file: "expm1.rs",
        name: "EXPM1",
        from: -LN_2 / 2.0 * MORE,
        to: LN_2 / 2.0 * MORE,
        counts: (5, 11),
        target: |r| (r.expm1() - r) / (r * r),
        weight: |r| r * r / r.expm1(),
    },
    // From ln(3/4) to ln(3/2). Where r > 0 the result may be as small as e^r - 1, or smaller.
    Row {
        file: "expm1.rs",
        name: "SHIFTED",
        from: -0.2887,
        to: 0.4066,
        counts: (5, 11),
        target: |r| (r.expm1() - r) / (r * r),
        weight: |r| r * r / r.expm1() * (Wide::ONE + r * w(1.25)),
    },
    // 1 - e^-r, in -r. Where r < 0 what it is part of is 1 - e^-r / 2 or more.
    Row {
        file: "expm1.rs",
        name: "FALLING",
        from: -LN_2 / 2.0 * MORE,
        to: LN_2 / 2.0 * MORE,
        counts: (5, 0),
        target: |v| (v.expm1() - v) / (v * v),
        weight: |v| {
            if v.is_negative() { v * v / v.expm1() } else { v * v / (w(2.0) - v.exp()) }
        },
    },
    Row {
        file: "log.rs",
        name: "LN",
        from: -0.25,
        to: 0.5,
        counts: (9, 0),
        target: |f| (f.log1p() - f) / (f * f),
        weight: |f| f * f / f.log1p(),
    },
    Row {
        file: "log.rs",
        name: "LN",
        from: 0.0,
        to: 0.0401,
        counts: (0, 7),
        target: |z| of_root(z, |s| (w(2.0) * s.atanh() / s - w(2.0)) / z),
        weight: |z| z * w(0.5),
    },
    Row {
        file: "log.rs",
        name: "LOG2",
        from: SQRT_2 / 2.0 - 1.0,
        to: SQRT_2 - 1.0,
        counts: (10, 0),
        target: |f| f.log1p() / w(2.0).log() / f - w(1.442_695_021_629_333_5),
        weight: |f| f / (f.log1p() / w(2.0).log()),
    },
    Row {
        file: "log.rs",
        name: "LOG10",
        from: SQRT_2 / 2.0 - 1.0,
        to: SQRT_2 - 1.0,
        counts: (10, 0),
        target: |f| f.log1p() / w(10.0).log() / f - w(0.434_294_492_006_301_9),
        weight: |f| f / (f.log1p() / w(10.0).log()),
    },
    Row {
        file: "sigmoid.rs",
        name: "EXP",
        from: -LN_2 / 2.0 * MORE,
        to: LN_2 / 2.0 * MORE,
        counts: (6, 11),
        target: |r| (-r).expm1() * w(SIGMOID) / r,
        weight: |r| r / (w(SIGMOID) * (-r).exp()),
    },
    Row {
        file: "tanh.rs",
        name: "TANH",
        from: 0.0,
        to: 0.5506 * 0.5506,
        counts: (4, 0),
        target: |z| odd_rest(z, Wide::tanh),
        weight: |z| odd_weight(z, Wide::tanh),
    },
    Row {
        file: "tanh.rs",
        name: "TANH",
        from: 0.0,
        to: 0.2645 * 0.2645,
        counts: (0, 8),
        target: |z| odd_rest(z, Wide::tanh),
        weight: |z| odd_weight(z, Wide::tanh),
    },
    Row {
        file: "erf.rs",
        name: "LOG_ERFC",
        from: 0.0,
        to: 3.93,
        counts: (9, 0),
        target: |x| -x.erfc().log() / x - Wide::ONE,
        weight: |x| x * x.erfc() / x.erf(),
    },
    Row {
        file: "erf.rs",
        name: "LOG_ERFC",
        from: 0.0,
        to: 5.95,
        counts: (0, 26),
        target: |x| -x.erfc().log() / x - Wide::ONE,
        weight: |x| x * x.erfc() / x.erf(),
    },
    // The absolute error of erfc.
    Row {
        file: "one_plus_erf.rs",
        name: "LOG_ERFC",
        from: 0.0,
        to: 4.2,
        counts: (8, 0),
        target: |x| -x.erfc().log() / x - Wide::ONE,
        weight: |x| x * x.erfc(),
    },
    Row {
        file: "gelu.rs",
        name: "LOG_TAIL",
        from: 0.0,
        to: 5.6,
        counts: (7, 0),
        target: |x| (x * w(0.5).sqrt()).erfc().log() / w(2.0).log() / x,
        weight: |x| x * w(LN_2) * (x * w(0.5).sqrt()).erfc(),
    },
    Row {
        file: "gelu.rs",
        name: "EXP2",
        from: -0.5,
        to: 0.5,
        counts: (5, 0),
        target: |r| (r * w(2.0).log()).expm1() / r,
        weight: |r| r / r.exp2(),
    },
    Row {
        file: "sinh.rs",
        name: "SINH",
        from: 0.0,
        to: 1.0,
        counts: (4, 7),
        target: |z| odd_rest(z, Wide::sinh),
        weight: |z| odd_weight(z, Wide::sinh),
    },
    Row {
        file: "asin.rs",
        name: "ASIN",
        from: 0.0,
        to: 0.25,
        counts: (5, 12),
        target: |z| odd_rest(z, Wide::asin),
        weight: |z| odd_weight(z, Wide::asin),
    },
    Row {
        file: "atan.rs",
        name: "ATAN",
        from: 0.0,
        to: 0.25,
        counts: (5, 12),
        target: |z| odd_rest(z, Wide::atan),
        weight: |z| odd_weight(z, Wide::atan),
    },
    // What follows 1/3 in g with atanh s = s + s z g(z), f64: what follows 1/3 + z/5.
    Row {
        file: "pow.rs",
        name: "ATANH",
        from: 0.0,
        to: 0.171_573 * 0.171_573,
        counts: (3, 0),
        target: |z| (odd_rest(z, Wide::atanh) - Wide::ONE / w(3.0)) / z,
        weight: |z| odd_weight(z, Wide::atanh) * z,
    },
    Row {
        file: "pow.rs",
        name: "ATANH",
        from: 0.0,
        to: 0.171_573 * 0.171_573,
        counts: (0, 7),
        target: |z| (odd_rest(z, Wide::atanh) - Wide::ONE / w(3.0) - z / w(5.0)) / (z * z),
        weight: |z| odd_weight(z, Wide::atanh) * z * z,
    },
    Row {
        file: "cbrt.rs",
        name: "CBRT",
        from: SQRT_2 / 2.0,
        to: SQRT_2,
        counts: (3, 6),
        target: Wide::cbrt,
        weight: |m| Wide::ONE / m.cbrt(),
    },
    Row {
        file: "trig.rs",
        name: "SIN",
        from: 0.0,
        to: 1.02 * 1.02 * FRAC_PI_4 * FRAC_PI_4,
        counts: (3, 6),
        target: |z| odd_rest(z, Wide::sin),
        weight: |z| odd_weight(z, Wide::sin),
    },
    Row {
        file: "trig.rs",
        name: "COS",
        from: 0.0,
        to: 1.02 * 1.02 * FRAC_PI_4 * FRAC_PI_4,
        counts: (3, 6),
        target: |z| of_root(z, |r| (r.cos() - Wide::ONE + z * w(0.5)) / (z * z)),
        weight: |z| of_root(z, |r| z * z / r.cos()),
    },
];

/// Polynomials whose constant term stands before the table: it is 1.
const AFTER_ONE: [(&str, &str); 2] = [("exp.rs", "EXP"), ("exp.rs", "EXP2")];

/// A constant's name with its type.
fn typed(name: &str, rounding: Rounding) -> &'static str {
    let ty = if rounding == Rounding::F64 { "F64" } else { "F32" };
    String::leak(format!("{name}_{ty}"))
}

/// P with erfc x = e^(-x²) P(q) / (1 + 2x), q = (x - k) / (x + k), at q.
fn scaled_erfc(q: Wide, k: f64) -> Wide {
    let x = w(k) * (Wide::ONE + q) / (Wide::ONE - q);
    (x * x).exp() * x.erfc() * (Wide::ONE + w(2.0) * x)
}

/// The constants of `erfc`: the constant term as a pair, the other coefficients, roughly the derivative.
fn erfc(rounding: Rounding, k: f64, end: f64, count: usize) -> [Table; 3] {
    let (from, to) = (-1.0 + 2f64.powi(-40), (end - k) / (end + k));
    let target = |q: Wide| scaled_erfc(q, k);
    let weight = |q: Wide| Wide::ONE / scaled_erfc(q, k);
    let whole = Fit { from, to, count: count + 1, rounding, target: &target, weight: &weight };
    let constant = first(&whole);
    let high = rounding.round(constant);
    let low = rounding.round(constant - w(high));
    let target = |q: Wide| (scaled_erfc(q, k) - w(high) - w(low)) / q;
    let weight = |q: Wide| q / scaled_erfc(q, k);
    let (values, error) = fit(&Fit { from, to, count, rounding, target: &target, weight: &weight });
    let slope = |q: Wide| {
        let term =
            |(power, &c): (usize, &f64)| (0..power).fold(w(c * (power + 1) as f64), |term, _| term * q);
        values.iter().enumerate().map(term).fold(Wide::ZERO, |sum, term| sum + term)
    };
    let one = |_: Wide| Wide::ONE;
    let fixed = Fit { from, to, count: 4, rounding: Rounding::Fixed, target: &slope, weight: &one };
    let (slopes, slope_error) = fit(&fixed);
    let file = "erfc.rs";
    [
        Table { file, name: typed("CONSTANT", rounding), values: vec![high, low], error },
        Table { file, name: typed("ERFC", rounding), values, error },
        Table { file, name: typed("SLOPE", rounding), values: slopes, error: slope_error },
    ]
}

/// The coefficients that stand in a file, in order, and where they do; `None` if there is no such constant.
///
/// An array stands as `const NAME: [f64; N] = [ … ];`, a pair as `const NAME: (f64, f64) = ( … );`.
pub fn find(text: &str, name: &str) -> Option<(std::ops::Range<usize>, Vec<f64>)> {
    let start = text.find(&format!("const {name}: "))?;
    let equals = start + text[start..].find('=')?;
    let end = equals + text[equals..].find(';')?;
    let inside = text[equals + 1..end].trim().trim_matches(['[', ']', '(', ')']);
    let number = |number: &str| match number {
        "LN_2" | "std::f64::consts::LN_2" => Some(LN_2),
        number => number.replace('_', "").parse().ok(),
    };
    let words = inside.split(',').map(str::trim).filter(|word| !word.is_empty());
    let values = words.map(number).collect::<Option<Vec<f64>>>()?;
    Some((start + format!("const {name}:").len()..end, values))
}

/// The constant as it is to stand in the file, after the name: its type and its values.
pub fn written(table: &Table) -> String {
    let values: Vec<String> = table.values.iter().map(|value| format!("{value:?}")).collect();
    let values = values.join(", ");
    if table.name.starts_with("CONSTANT") {
        format!(" (f64, f64) = ({values})")
    } else {
        format!(" [f64; {}] = [{values}]", table.values.len())
    }
}

/// All tables, made anew.
pub fn tables() -> Vec<Table> {
    let mut tables = Vec::new();
    for row in ROWS {
        for (rounding, count) in [(Rounding::F32, row.counts.0), (Rounding::F64, row.counts.1)] {
            if count == 0 {
                continue;
            }
            let &Row { file, name, from, to, target, weight, .. } = row;
            let (mut values, error) =
                fit(&Fit { from, to, count, rounding, target: &target, weight: &weight });
            if AFTER_ONE.contains(&(file, name)) {
                values.insert(0, 1.0);
            }
            tables.push(Table { file, name: typed(name, rounding), values, error });
        }
    }
    tables.extend(erfc(Rounding::F32, 3.0, 10.2, 10));
    tables.extend(erfc(Rounding::F64, 4.0, 27.3, 22));
    tables
}
