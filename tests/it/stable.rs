//! Texts written as in the textbook are safe: whatever the logits, no NaN where the formula has a number, and the number that it has.
//!
//! Every text runs as machine code and is compared with the formula in real numbers with an exponent range without bound. Where even
//! that has an end (logits of 1e30) a softmax is compared with the one of logits less their maximum, which is the same.

use act::graph::wide::Wide;
use act::graph_passes::stabilise;
use act::loops::Elem;
use act::loops::interp::Array;
use act::types::DimKind;

use crate::inputs::root;
use crate::subject::{Data, How, Numbers, Subject, graphs, subject, value};

/// Elements in a row.
const ROW: usize = 37;

/// How a text depends on its logits.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    /// The same for logits that are all moved by a number.
    Invariant,
    /// Place by place or not, but finite for finite logits.
    Finite,
    /// Of the size of the logits.
    Logarithm,
    /// May overflow.
    Open,
}

use Class::{Finite, Invariant, Logarithm, Open};

/// Texts over `x: f32[n, d]`, `m: bool[n, d]`, `v: f32[n, d]`.
const TEXTS: &[(&str, Class)] = &[
    ("exp(x) / sum[d](exp(x))", Invariant),
    ("softmax[d](x)", Invariant),
    ("exp(x) * (1 / sum[d](exp(x)))", Invariant),
    ("exp(x / 2) / sum[d](exp(x / 2))", Invariant),
    ("exp(x)^2 / sum[d](exp(x)^2)", Invariant),
    ("exp(x)^3 / sum[d](exp(x)^3)", Invariant),
    ("sqrt(exp(x) / sum[d](exp(x)))", Invariant),
    ("exp(x) / sqrt(sum[d](exp(x)^2))", Invariant),
    ("exp(x) / mean[d](exp(x))", Invariant),
    ("exp(-x) / sum[d](exp(-x))", Invariant),
    ("(if m { exp(x) } else { 0 }) / sum[d](if m { exp(x) } else { 0 })", Invariant),
    ("(if m { exp(x) } else { 0 }) / sum[d where m](exp(x))", Invariant),
    ("masked_softmax[d](x, m)", Invariant),
    ("v * exp(x) / sum[d](v * exp(x))", Open),
    ("f32(m) * exp(x) / sum[d](f32(m) * exp(x))", Invariant),
    ("x - x + sum[d](exp(x) * v) / sum[d](exp(x))", Invariant),
    ("x - x + sum[d where m](exp(x) * v) / sum[d](exp(x))", Invariant),
    ("exp(x) / (exp(x) + sum[d where m](exp(x)))", Invariant),
    ("log(exp(x) / (exp(x) + sum[d where m](exp(x))))", Logarithm),
    ("x - x + sum[d where m](exp(x)) / sum[d](exp(x))", Invariant),
    ("x - x + log(sum[d where m](exp(x)) / sum[d](exp(x)))", Logarithm),
    ("x - x + log(sum[d where m](exp(x) / sum[d](exp(x))))", Logarithm),
    ("(if m { softmax[d](x) } else { 0 }) / sum[d where m](softmax[d](x))", Invariant),
    ("x - x + log(sum[d](exp(x)))", Logarithm),
    ("x - x + log(mean[d](exp(x)))", Logarithm),
    ("x - x + log2(sum[d](exp(x)))", Logarithm),
    ("x - x + 2 * log(sum[d](exp(x / 2)))", Logarithm),
    ("log(exp(x) / sum[d](exp(x)))", Logarithm),
    ("log(softmax[d](x))", Logarithm),
    ("exp(x) / (1 + sum[d](exp(x)))", Finite),
    ("exp(x) / (sum[d](exp(x)) + 0.001)", Finite),
    ("exp(x) / (sum[d](exp(x)) + f32(m))", Finite),
    ("x - x + f32(m) / (sum[d](exp(x)) + f32(m))", Finite),
    ("log(sum[d](exp(x)) + f32(m))", Logarithm),
    ("exp(x) / (f32(m) + sum[d where m](exp(x)))", Open),
    ("x - x + 1 / (1 + sum[d](exp(x)))", Finite),
    ("x - x + log(1 + sum[d](exp(x)))", Logarithm),
    ("x - x + log1p(sum[d](exp(x)))", Logarithm),
    ("x - x + log(1 + sum[d where m](exp(x)))", Logarithm),
    ("x - x + sum[d](exp(x))^0.125", Open),
    ("1 / (1 + exp(-x))", Finite),
    ("exp(x) / (1 + exp(x))", Finite),
    ("exp(x) / (exp(x) + exp(v))", Finite),
    ("x * exp(x) / (1 + exp(x))", Logarithm),
    ("(exp(x) - exp(-x)) / (exp(x) + exp(-x))", Finite),
    ("(exp(2 * x) - 1) / (exp(2 * x) + 1)", Finite),
    ("(1 - exp(-2 * x)) / (1 + exp(-2 * x))", Finite),
    ("log(1 + exp(x))", Logarithm),
    ("log1p(exp(x))", Logarithm),
    ("log(exp(x) + exp(v))", Logarithm),
    ("log(1 / (1 + exp(-x)))", Logarithm),
    ("log(sigmoid(x))", Logarithm),
    ("log(1 - sigmoid(x))", Logarithm),
    ("log(cosh(x))", Logarithm),
    ("log(1 - exp(-abs(x)))", Logarithm),
    ("x * tanh(log(1 + exp(x)))", Logarithm),
    ("log(exp(x))", Logarithm),
    ("exp(x) - 1", Open),
    ("1 - exp(-abs(x))", Finite),
    ("1 - erf(x)", Finite),
    ("1 - tanh(x)", Finite),
    ("x - x + sqrt(sum[d](x^2))", Open),
    ("x / sqrt(sum[d](x^2))", Open),
];

fn text(formula: &str) -> String {
    let unused = |name: &str| if formula.contains(name) { "" } else { "_" };
    let (m, v) = (unused("m"), unused("v"));
    format!("kernel k(x: f32[n, d], {m}m: bool[n, d], {v}v: f32[n, d]) -> f32[n, d] {{ {formula} }}")
}

/// Finite logits that are hard.
fn finite_rows(numbers: &mut Numbers) -> Vec<Vec<f32>> {
    let mut unit = |scale: f32| (numbers.below(2001) as f32 / 1000.0 - 1.0) * scale;
    let mut rows: Vec<Vec<f32>> = vec![];
    for scale in [1.0, 10.0, 90.0, 200.0, 1e4, 1e30, 3.4e38] {
        rows.push((0..ROW).map(|_| unit(scale)).collect());
    }
    for same in [0.0, 88.9, -104.0, 1e4, -1e4, 1e30, -1e30, 3.4e38, -3.4e38] {
        rows.push(vec![same; ROW]);
    }
    for (large, rest) in [(1e30, 0.0), (100.0, 0.0), (3.4e38, -3.4e38), (0.0, -1e30), (5e3, -5e3)] {
        let mut row = vec![rest; ROW];
        row[ROW - 3] = large;
        rows.push(row.clone());
        row[1] = large;
        rows.push(row);
    }
    rows.push((0..ROW).map(|at| if at % 2 == 0 { 1e30 } else { -1e30 }).collect());
    rows.push((0..ROW).map(|at| at as f32 * 20.0 - 400.0).collect());
    rows
}

/// The same with infinities; NaN.
fn other_rows(numbers: &mut Numbers) -> Vec<Vec<f32>> {
    let inf = f32::INFINITY;
    let mut rows: Vec<Vec<f32>> = finite_rows(numbers).into_iter().take(4).collect();
    for row in &mut rows {
        row.iter_mut().step_by(3).for_each(|x| *x = -inf);
    }
    let mut one = vec![-inf; ROW];
    one[5] = 2.0;
    rows.push(one);
    rows.push(vec![-inf; ROW]);
    for hard in [inf, f32::NAN] {
        let mut row = vec![1.0; ROW];
        row[7] = hard;
        rows.push(row);
    }
    rows
}

/// A call: the mask has every value in every row, but the last row has none.
fn data(subject: &Subject, rows: &[Vec<f32>], numbers: &mut Numbers) -> Data {
    let bits = |x: f32| u64::from(x.to_bits());
    let x = rows.iter().flatten().map(|&x| bits(x)).collect();
    let m = (0..rows.len() * ROW).map(|at| u64::from(at % 3 != 1)).collect();
    let v = (0..rows.len() * ROW).map(|_| bits(numbers.below(100) as f32 / 50.0 - 1.0)).collect();
    let args = vec![
        Array { elem: Elem::F32, bits: x },
        Array { elem: Elem::Bool, bits: m },
        Array { elem: Elem::F32, bits: v },
    ];
    let sizes = subject.sizes(&[("n", rows.len() as i64), ("d", ROW as i64)]).expect("sizes");
    Data { sizes, args }
}

fn floats(array: &Array) -> Vec<f32> {
    array.bits.iter().map(|&bits| f32::from_bits(bits as u32)).collect()
}

/// The same logits less the maximum of their row (for `exp(-x)`: the minimum), none beyond 1e6: of the same softmax.
fn moved(data: &Data, row: usize, of_minus: bool) -> Data {
    let mut moved = data.clone();
    let x = floats(&data.args[0]);
    for (row, out) in x.chunks(row).zip(moved.args[0].bits.chunks_mut(row)) {
        let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let least = row.iter().copied().fold(f32::INFINITY, f32::min);
        let from = if of_minus { least } else { largest };
        for (&x, out) in row.iter().zip(out) {
            *out = u64::from((x - from).clamp(-1e6, 1e6).to_bits());
        }
    }
    moved
}

/// Whether a result is what it should be, for logits up to `size`.
fn near(is: f32, wants: Wide, size: f64) -> bool {
    let wants = wants.to_f64();
    let rounded = wants as f32;
    if is.to_bits() == rounded.to_bits() || is == rounded || (is.is_nan() && wants.is_nan()) {
        return true;
    }
    let relative = (40.0 + 4.0 * size.min(300.0)) / f64::from(1 << 24);
    let absolute = f64::from(f32::MIN_POSITIVE) * 64.0;
    (f64::from(is) - wants).abs() <= relative * wants.abs() + absolute
}

#[test]
fn naive_texts_are_numbers_for_finite_logits() {
    for &(formula, class) in TEXTS {
        let subject = compiled(formula);
        let mut numbers = Numbers::new(11);
        let rows = finite_rows(&mut numbers);
        let data = data(&subject, &rows, &mut numbers);
        let found = floats(&subject.execute(&data, &How::PLAIN)[0]);
        let exact = subject.exact(&data).remove(0);
        let from_moved = subject.exact(&moved(&data, ROW, formula.contains("exp(-"))).remove(0);
        for (at, &is) in found.iter().enumerate() {
            let row = &rows[at / ROW];
            let size = row.iter().fold(0.0f64, |most, &x| most.max(f64::from(x.abs())));
            let what = || format!("{formula}: [{at}] is {is:e} of {:e} in {row:?}", row[at % ROW]);
            // Beyond 1e8 the real numbers of the evaluator end, too.
            let is_known = size < 1e8;
            if class != Open || is_known {
                assert!(!is.is_nan() || (is_known && exact[at].is_nan()), "{}", what());
            }
            // The maximum of what a mask leaves is another one.
            let masked = ["where m", "if m", "f32(m)", "x, m"].iter().any(|part| formula.contains(part));
            let wants = match (is_known, class) {
                (true, _) => exact[at],
                (false, Invariant) if !masked => from_moved[at],
                (false, _) => continue,
            };
            // A logarithm is off by a part of the logits.
            let close = match class {
                Logarithm => {
                    (f64::from(is) - wants.to_f64()).abs() <= 40.0 * size.max(1.0) / f64::from(1 << 24)
                }
                _ => false,
            };
            // The evaluator has 100 bits of a tanh, and less of its distance from 1.
            let close =
                close || (formula.starts_with("1 -") && (f64::from(is) - wants.to_f64()).abs() < 1e-30);
            assert!(close || near(is, wants, size), "{}, not {:e}", what(), wants.to_f64());
        }
    }
}

#[test]
fn infinities_and_nan_act_as_the_reference_says() {
    for &(formula, class) in TEXTS {
        let subject = compiled(formula);
        let mut numbers = Numbers::new(12);
        let rows = other_rows(&mut numbers);
        let data = data(&subject, &rows, &mut numbers);
        let found = floats(&subject.execute(&data, &How::PLAIN)[0]);
        let exact = subject.exact(&data).remove(0);
        for (at, (&is, &wants)) in found.iter().zip(&exact).enumerate() {
            let row = &rows[at / ROW];
            let has_inf =
                row.contains(&f32::INFINITY) || (formula.contains("exp(-") && row.contains(&-f32::INFINITY));
            let what = || format!("{formula}: [{at}] is {is:e}, not {:e}, in {row:?}", wants.to_f64());
            if has_inf {
                // A row with inf may be NaN as a whole; a quotient of two has its limit there.
                assert!(is.is_nan() || wants.is_nan() || near(is, wants, 300.0), "{}", what());
                continue;
            }
            assert!(is.is_nan() == wants.is_nan(), "{}", what());
            let close = class == Logarithm && (f64::from(is) - wants.to_f64()).abs() <= 1e-3;
            assert!(close || near(is, wants, 300.0), "{}", what());
        }
    }
}

fn compiled(formula: &str) -> Subject {
    let mut graphs = graphs(formula, &text(formula));
    let doubts = stabilise::report(&graphs[0]).doubts;
    assert!(doubts.is_empty(), "{formula}: {doubts:?}");
    subject(formula, graphs.remove(0)).expect("this machine is served")
}

/// Kernels of the zoo, each with the parameters that are logits.
const ZOO: &[(&str, &str, &[&str])] = &[
    ("softmax.act", "softmax", &["x"]),
    ("softmax_axis.act", "softmax_axis", &["x"]),
    ("log_softmax.act", "log_softmax", &["x"]),
    ("logsumexp.act", "logsumexp", &["x"]),
    ("softmax/masked.act", "softmax_masked", &["x"]),
    ("softmax/temperature.act", "softmax_temperature", &["x"]),
    ("softmax/online.act", "softmax_online", &["x"]),
    ("softmax/clipped.act", "clipped_softmax", &["x"]),
    ("softmax/utility.act", "utility_probability", &["u"]),
    ("softmax/phi_l1.act", "phi_l1_normalize_exp", &["x"]),
    ("softmax/phi_l1.act", "phi_l1_normalize_elu1", &["x"]),
    ("softmax/stablemax.act", "stablemax", &["x"]),
    ("loss/cross_entropy.act", "cross_entropy", &["x"]),
    ("loss/cross_entropy.act", "comp_sum_loss", &["h"]),
    ("loss/decoupled.act", "decoupled_softmax_loss", &["s"]),
    ("loss/distillation.act", "soft_label_cross_entropy", &["x"]),
    ("loss/distillation.act", "distill_kl", &["x", "t"]),
];

#[test]
fn the_zoo_gives_numbers_for_finite_logits() {
    for &(file, kernel, logits) in ZOO {
        let path = root().join("examples/kernels").join(file);
        let text =
            std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let graph = graphs(file, &text).into_iter().find(|graph| graph.name == kernel);
        let subject =
            subject(file, graph.unwrap_or_else(|| panic!("no {kernel}"))).expect("this machine is served");
        let mut numbers = Numbers::new(5);
        let rows = finite_rows(&mut numbers);
        let free = |kind: &DimKind| matches!(kind, DimKind::Free | DimKind::Leading);
        let axis =
            subject.source.params.iter().find(|decl| logits.contains(&decl.name.as_str())).expect("logits");
        let last = axis.dim_list().last().expect("a row");
        for row in &rows {
            let dims = subject.source.dims.iter().filter(|(_, dim)| free(&dim.kind));
            let known: Vec<(&str, i64)> =
                dims.map(|(id, dim)| (dim.name.as_str(), if id == last { ROW as i64 } else { 2 })).collect();
            let sizes = subject.sizes(&known).expect("sizes");
            let mut data = subject.data_with_defaults(sizes, crate::subject::Kind::Ordinary, 3);
            for (decl, array) in subject.source.params.iter().zip(&mut data.args) {
                if logits.contains(&decl.name.as_str()) {
                    let cycle = row.iter().cycle();
                    array.bits.iter_mut().zip(cycle).for_each(|(bits, x)| *bits = u64::from(x.to_bits()));
                } else if array.elem == Elem::I32 {
                    array.bits.iter_mut().for_each(|bits| *bits %= 2);
                } else if array.elem == Elem::F32 {
                    array.bits.iter_mut().for_each(|bits| *bits &= 0x7fff_ffff);
                }
            }
            for (result, (decl, _)) in subject.execute(&data, &How::PLAIN).iter().zip(&subject.source.results)
            {
                for &bits in &result.bits {
                    let is = value(decl.dtype, bits);
                    assert!(!is.is_nan(), "{kernel}: {} is NaN for {row:?}", decl.name);
                }
            }
        }
    }
}

/// Of the text `formula` over one row; the first result.
fn of_row(formula: &str, row: &[f32]) -> Vec<f32> {
    let text = format!("kernel k(x: f32[n, d]) -> f32[n, d] {{ {formula} }}");
    let mut graphs = graphs(formula, &text);
    let subject = subject(formula, graphs.remove(0)).expect("this machine is served");
    let sizes = subject.sizes(&[("n", 1), ("d", row.len() as i64)]).expect("sizes");
    let bits = row.iter().map(|&x| u64::from(x.to_bits())).collect();
    floats(&subject.execute(&Data { sizes, args: vec![Array { elem: Elem::F32, bits }] }, &How::PLAIN)[0])
}

/// pytorch#100775, jax#37234, openxla/xla#44738: `x * c` was computed in the pass for the maximum and again in the one for the
/// exponentials, where it was contracted into an fma: `x * c - max` was not 0 at the maximum, and of large logits `inf` or NaN.
#[test]
fn a_scaled_softmax_of_large_logits_is_finite() {
    let row: Vec<f32> = (0..100).map(|at| 1e30 * (1.0 + at as f32 / 300.0)).collect();
    for formula in [
        "exp(x * 0.1) / sum[d](exp(x * 0.1))",
        "softmax[d](x * 0.1)",
        "exp(x * 0.1 - max[d](x * 0.1)) / sum[d](exp(x * 0.1 - max[d](x * 0.1)))",
        "exp(x * 0.1 + 0.3) / sum[d](exp(x * 0.1 + 0.3))",
        "exp(x * 0.1)^3 / sum[d](exp(x * 0.1)^3)",
        "exp(x * 0.1)^3 / sum[d](exp(x * 0.1))^3",
    ] {
        let y = of_row(formula, &row);
        assert_eq!((y[99], &y[..99]), (1.0, &[0.0; 99][..]), "{formula}");
    }
}

/// pytorch#25110, #55056, #41508, burn#4697: rows that are masked as a whole.
#[test]
fn masked_rows_are_zero_where_the_text_says_so() {
    let row = [-f32::INFINITY; 40];
    assert!(of_row("exp(x) / sum[d](exp(x))", &row).iter().all(|y| y.is_nan()));
    assert_eq!(of_row("masked_softmax[d](x, x > -inf)", &row), [0.0; 40]);
    let guarded = "let s = sum[d](exp(x)); if s > 0 { exp(x) / s } else { 0 }";
    assert_eq!(of_row(guarded, &row), [0.0; 40]);
    let mut row = [-2000.0f32; 40];
    row[3] = -f32::INFINITY;
    let y = of_row(guarded, &row);
    assert_eq!((y[3], y[4]), (0.0, 1.0 / 39.0));
}

/// pytorch#6864, NNlib#206, torch-xpu-ops#5022, tt-metal#56056: an infinite logit is NaN, and a NaN is never hidden.
#[test]
fn nan_is_not_hidden() {
    for hard in [f32::NAN, f32::INFINITY] {
        let mut row = [0.5f32; 50];
        row[49] = hard;
        for formula in [
            "exp(x) / sum[d](exp(x))",
            "let s = sum[d](exp(x)); if s > 0 || s != s { exp(x) / s } else { 0 }",
            "log(exp(x) / sum[d](exp(x)))",
            "x - x + sum[d](exp(x) * x) / sum[d](exp(x))",
        ] {
            let y = of_row(formula, &row);
            assert!(y[49].is_nan(), "{formula} of {hard}: {y:?}");
            assert!(!hard.is_nan() || y.iter().all(|y| y.is_nan()), "{formula} of {hard}: {y:?}");
        }
    }
    // jax#276, #469.
    assert_eq!(
        of_row("if isnan(x) { 1 } else { exp(x) }", &[f32::NAN, 100.0, 0.0]),
        [1.0, f32::INFINITY, 1.0]
    );
}

/// What can't be made safe is said, with its place.
#[test]
fn what_is_not_safe_is_said() {
    for (formula, of) in [
        (
            "sum[d](exp(x) * exp(w)) / sum[d, m](exp(x) * exp(w))",
            "sum[d](exp(x) * exp(w)) / sum[d, m](exp(x) * exp(w))",
        ),
        ("log(cumsum[d](exp(x)) + 0 * w) * max[d](x)", "log(cumsum[d](exp(x)) + 0 * w)"),
    ] {
        let text =
            format!("kernel k(x: f32[n, d], w: f32[m, d]) -> f32[n, m, d] {{ x * w * 0 + {formula} }}");
        let graph = graphs(formula, &text).remove(0);
        let doubts = stabilise::report(&graph).doubts;
        let places: Vec<&str> =
            doubts.iter().map(|doubt| &text[doubt.span.start as usize..doubt.span.end as usize]).collect();
        assert_eq!(places, [of], "{doubts:?}");
    }
}

/// What holds for positive numbers only is not taken to hold for differences of exponentials.
#[test]
fn differences_of_exponentials_keep_their_sign() {
    let row = [-3.0, -1.0, 0.5, 1.5, 2.0, 4.0];
    let y = |x: f32| libm::exp(f64::from(x)) - 2.0;
    let half = |x: f32| f64::from(x) - 1.0;
    let cases: [(&str, &dyn Fn(f32) -> f64); 11] = [
        ("sqrt((exp(x) - 2)^2)", &|x| y(x).abs()),
        ("1 / sqrt((exp(x) - 2)^2)", &|x| 1.0 / y(x).abs()),
        ("rsqrt((exp(x) - 2)^2)", &|x| 1.0 / y(x).abs()),
        ("((exp(x) - 2)^2)^1.5", &|x| y(x).abs().powi(3)),
        ("((exp(x) - 2)^3)^0.5", &|x| y(x).powi(3).sqrt()),
        ("log((exp(x) - 2)^2)", &|x| 2.0 * libm::log(y(x).abs())),
        ("log((exp(x) - 2) * (x - 1))", &|x| libm::log(y(x) * half(x))),
        ("log((x - 1) / (exp(x) - 2))", &|x| libm::log(half(x) / y(x))),
        ("log((exp(x) - 2) / (exp(2 * x) - 3))", &|x| {
            libm::log(y(x) / (libm::exp(2.0 * f64::from(x)) - 3.0))
        }),
        ("log((exp(x) - 2) * -exp(x))", &|x| libm::log(-y(x)) + f64::from(x)),
        ("(exp(x) - 2)^round(x)", &|x| libm::pow(y(x), f64::from(x).round_ties_even())),
    ];
    for (formula, exact) in cases {
        for (is, x) in of_row(formula, &row).into_iter().zip(row) {
            let wants = exact(x);
            let close = (f64::from(is) - wants).abs() <= 4e-6 * wants.abs().max(1.0);
            assert!(close || (is.is_nan() && wants.is_nan()), "{formula} at {x}: {is}, not {wants}");
        }
    }
}
