//! The true value of a formula of one variable, fast: in `f64` with a bound of the error, and in double-double only where
//! that is not enough.
//!
//! Constants are what they stand for: that nearest to the square root of 1/2 is the root, as [`strict::meant`] says.
//!
//! A value is computed by the correctly rounded functions of `core-math`, with a running bound of what the roundings
//! before it, and its own, may have made of it. Where the bound of the result is more than a millionth of its last place in
//! `f32`, or something could not be bounded (cancellation, an undecided comparison, overflow), the formula is computed again by
//! the oracle's own arithmetic, [`eval::apply`].
//!
//! `log(1 + exp(x))` is bounded as a whole: step by step it has nothing but the 1 for most numbers, and leaves every range for others.

use act::DType;
use act::graph::wide::Wide;
use act::graph::{Constant, Graph, Op, eval};
use act::graph_passes::strict;
use act::ops::Prim;

/// A node of the formula; operands are earlier nodes.
enum Step {
    Input,
    Number(f64),
    Prim(Prim, DType, Vec<usize>),
    Convert(DType, usize),
    Same(usize),
}

/// A kernel whose result at a place is a function of its one input there.
pub struct Formula {
    steps: Vec<Step>,
    /// For a step that is `log(1 + exp(x))`, which one is `x`.
    softplus: Vec<Option<usize>>,
    result: usize,
}

/// Space for the values of the nodes.
#[derive(Default)]
pub struct Scratch {
    near: Vec<Near>,
    wide: Vec<Wide>,
}

/// A true value.
pub struct True {
    /// The nearest `f64`, or one near enough to it.
    pub value: f64,
    /// What it lacks.
    pub low: f64,
    /// Whether double-double was needed.
    pub wide: bool,
    /// Whether a step before the last one left even the range of double-double with its wide exponent: then `value` says nothing.
    pub beyond: bool,
}

/// A number, and how far it may be from the true one.
#[derive(Clone, Copy)]
struct Near {
    value: f64,
    off: f64,
}

/// Half a last place, relative.
const HALF: f64 = 1.0 / (1u64 << 53) as f64;

/// Half the smallest `f64`, and more.
const LEAST: f64 = 5e-324;

impl Formula {
    /// The formula of a graph, if it computes every place by itself.
    pub fn new(graph: &Graph) -> Option<Formula> {
        let index = |node: &act::graph::NodeId| node.as_u32() as usize;
        let mut steps = Vec::new();
        for node in graph.nodes.values() {
            steps.push(match &node.op {
                Op::Param(param) => {
                    let decl = &graph.params[*param as usize];
                    match (&decl.axes, decl.default) {
                        (Some(_), _) => Step::Input,
                        (None, Some(value)) => Step::Number(Constant::new(decl.dtype, value).value()),
                        (None, None) => return None,
                    }
                }
                Op::Const(constant) => Step::Number(strict::meant(*constant)),
                Op::Prim(prim, args) => Step::Prim(*prim, node.dtype, args.iter().map(index).collect()),
                Op::Convert(value) => Step::Convert(node.dtype, index(value)),
                Op::Broadcast(value) => Step::Same(index(value)),
                _ => return None,
            });
        }
        let result = graph.results.first().map(|(_, value)| index(value))?;
        let softplus = (0..steps.len()).map(|at| softplus_of(&steps, at)).collect();
        Some(Formula { steps, softplus, result })
    }

    /// Space for [`Formula::value`].
    pub fn scratch(&self) -> Scratch {
        Scratch::default()
    }

    /// The true value at `x`.
    pub fn value(&self, x: f32, scratch: &mut Scratch) -> True {
        let near = self.near(f64::from(x), &mut scratch.near);
        let exponent = (((near.value.to_bits() >> 52) & 0x7ff) as i32 - 1023).max(-126);
        let enough = 2f64.powi(exponent - 23 - 20);
        if near.value.is_finite() && near.off <= enough {
            return True { value: near.value, low: 0.0, wide: false, beyond: false };
        }
        let (value, beyond) = self.wide(x, &mut scratch.wide);
        let nearest = value.to_f64();
        let low = if nearest.is_finite() { (value - Wide::from(nearest)).to_f64() } else { 0.0 };
        True { value: nearest, low, wide: true, beyond }
    }

    fn near(&self, x: f64, values: &mut Vec<Near>) -> Near {
        let exact = |value: f64| Near { value, off: 0.0 };
        values.clear();
        for (step, softplus) in self.steps.iter().zip(&self.softplus) {
            if let Some(operand) = softplus {
                values.push(estimate_softplus(values[*operand]));
                continue;
            }
            values.push(match step {
                Step::Input => exact(x),
                Step::Number(value) => exact(*value),
                Step::Prim(prim, dtype, args) => {
                    let mut operands = [exact(0.0); 3];
                    for (operand, &arg) in operands.iter_mut().zip(args) {
                        *operand = values[arg];
                    }
                    if *dtype == DType::I32 { UNKNOWN } else { estimate(*prim, operands) }
                }
                Step::Convert(dtype, value) => match (dtype, values[*value]) {
                    (DType::F64, value) => value,
                    (DType::F32, Near { value, off: 0.0 }) => exact(f64::from(value as f32)),
                    _ => UNKNOWN,
                },
                Step::Same(value) => values[*value],
            });
        }
        values[self.result]
    }

    fn wide(&self, x: f32, values: &mut Vec<Wide>) -> (Wide, bool) {
        let (mut beyond, mut vanished) = (false, false);
        values.clear();
        let mut operands = Vec::with_capacity(3);
        for step in &self.steps {
            let value = match step {
                Step::Input => Wide::from(x),
                Step::Number(value) => Wide::from(*value),
                Step::Prim(prim, dtype, args) => {
                    operands.clear();
                    operands.extend(args.iter().map(|&arg| values[arg]));
                    let value = eval::apply(*prim, *dtype, &operands);
                    if operands[0].is_finite() && values.len() != self.result {
                        beyond |= value.is_infinite()
                            && matches!(prim, Prim::Exp | Prim::Exp2 | Prim::Expm1 | Prim::Sinh | Prim::Cosh);
                        vanished |= value.is_zero()
                            && matches!(prim, Prim::Exp | Prim::Exp2 | Prim::Sigmoid | Prim::Erfc);
                    }
                    value
                }
                Step::Convert(dtype, value) => eval::convert(values[*value], *dtype),
                Step::Same(value) => values[*value],
            };
            values.push(value);
        }
        let result = values[self.result];
        // What became zero matters where it is divided by, or its logarithm taken.
        (result, beyond || vanished && result.is_infinite())
    }
}

/// The step that `log(1 + exp(x))` at `at` has as `x`.
fn softplus_of(steps: &[Step], at: usize) -> Option<usize> {
    let through = |mut at: usize| {
        while let Step::Same(value) = steps[at] {
            at = value;
        }
        at
    };
    let only = |at: usize, wanted: Prim| match &steps[through(at)] {
        Step::Prim(prim, _, args) if *prim == wanted => Some(args),
        _ => None,
    };
    let is_one = |at: usize| matches!(steps[through(at)], Step::Number(1.0));
    if let Some(args) = only(at, Prim::Log1p) {
        return Some(only(args[0], Prim::Exp)?[0]);
    }
    let sum = only(only(at, Prim::Log)?[0], Prim::Add)?;
    let exp = if is_one(sum[0]) {
        sum[1]
    } else if is_one(sum[1]) {
        sum[0]
    } else {
        return None;
    };
    Some(only(exp, Prim::Exp)?[0])
}

/// `log(1 + exp(x))`.
fn estimate_softplus(a: Near) -> Near {
    let x = a.value;
    // Both ways are within a few roundings: neither cancels.
    let value = if x > 40.0 { x + core_math::exp(-x) } else { core_math::log1p(core_math::exp(x)) };
    let Near { value, off } = smooth(a, value, core_math::exp(x).min(1.0));
    Near { value, off: off + 4.0 * HALF * value }
}

/// A value of which nothing is known.
const UNKNOWN: Near = Near { value: f64::NAN, off: f64::INFINITY };

/// A value whose bound is `off` and the rounding of the value itself.
fn rounded(value: f64, off: f64) -> Near {
    if value.is_finite() { Near { value, off: off + value.abs() * HALF + LEAST } } else { UNKNOWN }
}

/// Whether a number is far enough from the ends of the range for what a product lacks to be a number.
fn is_normal(value: f64) -> bool {
    value == 0.0 || (1e-250..1e250).contains(&value.abs())
}

/// A yes or no, if the operands' difference is larger than what they may be off.
fn decided(a: Near, b: Near, holds: bool) -> Near {
    let sure = (a.value - b.value).abs() > a.off + b.off || a.off + b.off == 0.0;
    if sure { Near { value: f64::from(u8::from(holds)), off: 0.0 } } else { UNKNOWN }
}

/// The chosen one of two.
fn chosen(a: Near, b: Near, first: bool) -> Near {
    if a.value.is_nan() || b.value.is_nan() {
        return UNKNOWN;
    }
    let gap = (a.value - b.value).abs();
    let sure = gap > a.off + b.off || a.off + b.off == 0.0;
    let value = if first { a } else { b };
    if sure { value } else { Near { value: value.value, off: gap + a.off + b.off } }
}

/// A whole number from `a` where both ends of what it may be agree.
fn whole(a: Near, f: fn(f64) -> f64) -> Near {
    let (low, high) = (f(a.value - a.off), f(a.value + a.off));
    let same = low.to_bits() == high.to_bits() && (a.off == 0.0 || f(a.value).to_bits() == low.to_bits());
    if same { Near { value: low, off: 0.0 } } else { UNKNOWN }
}

/// A function of one variable with its slope's size near `a`, good to a factor 2 within what `a` is off (a tenth or less).
fn smooth(a: Near, value: f64, slope: f64) -> Near {
    if a.off == 0.0 {
        rounded(value, 0.0)
    } else if a.off < 0.1 {
        rounded(value, 2.0 * slope * a.off)
    } else {
        UNKNOWN
    }
}

/// As [`smooth`], where the slope is good only if `a` is off by less than half of `room`.
fn smooth_within(a: Near, room: f64, value: f64, slope: f64) -> Near {
    if a.off == 0.0 || 2.0 * a.off < room { smooth(a, value, slope) } else { UNKNOWN }
}

/// A function of operands that may be off.
fn estimate(prim: Prim, [a, b, c]: [Near; 3]) -> Near {
    let (x, y, z) = (a.value, b.value, c.value);
    match prim {
        Prim::Add => rounded(x + y, a.off + b.off),
        Prim::Sub => rounded(x - y, a.off + b.off),
        // Exact: so are all products of two `f32`.
        Prim::Mul if a.off + b.off == 0.0 && is_normal(x * y) && x.mul_add(y, -(x * y)) == 0.0 => {
            Near { value: x * y, off: 0.0 }
        }
        Prim::Div if b.off == 0.0 && y == 1.0 => a,
        Prim::Mul => rounded(x * y, x.abs() * b.off + y.abs() * a.off + a.off * b.off),
        Prim::Div if y.abs() > 2.0 * b.off => {
            let value = x / y;
            rounded(value, (a.off + value.abs() * b.off) / (y.abs() - b.off))
        }
        Prim::Fma => rounded(x.mul_add(y, z), x.abs() * b.off + y.abs() * a.off + a.off * b.off + c.off),
        Prim::Neg => Near { value: -x, off: a.off },
        Prim::Abs => Near { value: x.abs(), off: a.off },
        Prim::Sqrt => smooth_within(a, x, x.sqrt(), 0.5 / x.sqrt()),
        Prim::Floor => whole(a, f64::floor),
        Prim::Ceil => whole(a, f64::ceil),
        Prim::Trunc => whole(a, f64::trunc),
        Prim::Round => whole(a, f64::round_ties_even),
        Prim::CopySign if b.off == 0.0 => Near { value: x.copysign(y), off: a.off },
        Prim::SelMax | Prim::Max => chosen(a, b, x > y),
        Prim::SelMin | Prim::Min => chosen(a, b, x < y),
        Prim::Eq => decided(a, b, x == y),
        Prim::Ne => decided(a, b, x != y),
        Prim::Lt => decided(a, b, x < y),
        Prim::Le => decided(a, b, x <= y),
        Prim::Gt => decided(a, b, x > y),
        Prim::Ge => decided(a, b, x >= y),
        Prim::And if a.off + b.off == 0.0 => decided(a, a, x != 0.0 && y != 0.0),
        Prim::Or if a.off + b.off == 0.0 => decided(a, a, x != 0.0 || y != 0.0),
        Prim::Not if a.off == 0.0 => decided(a, a, x == 0.0),
        Prim::Select if a.off == 0.0 => {
            if x == 0.0 {
                c
            } else {
                b
            }
        }
        Prim::Exp => smooth(a, core_math::exp(x), core_math::exp(x)),
        Prim::Exp2 => smooth(a, core_math::exp2(x), core_math::exp2(x)),
        Prim::Expm1 => smooth(a, core_math::expm1(x), core_math::exp(x)),
        Prim::Log => smooth_within(a, x, core_math::log(x), 1.0 / x),
        Prim::Log2 => smooth_within(a, x, core_math::log2(x), 1.5 / x),
        Prim::Log10 => smooth_within(a, x, core_math::log10(x), 0.5 / x),
        Prim::Log1p => smooth_within(a, 1.0 + x, core_math::log1p(x), 1.0 / (1.0 + x)),
        Prim::Tanh => smooth(a, core_math::tanh(x), 1.0),
        Prim::Sigmoid => {
            let value = if x < -30.0 {
                let e = core_math::exp(x);
                e - e * e
            } else {
                1.0 / (1.0 + core_math::exp(-x))
            };
            let Near { value, off } = smooth(a, value, value);
            Near { value, off: off + 4.0 * HALF * value }
        }
        Prim::Erf => smooth(a, core_math::erf(x), 1.13),
        Prim::Erfc => {
            let value = core_math::erfc(x);
            smooth(a, value, if x > 0.0 { (2.0 * x + 2.0) * value } else { 1.13 })
        }
        Prim::Cbrt => {
            let value = core_math::cbrt(x);
            smooth_within(a, x.abs(), value, (value / x).abs())
        }
        Prim::Rsqrt => smooth_within(a, x, core_math::rsqrt(x), core_math::rsqrt(x) / x),
        Prim::Sin => smooth(a, core_math::sin(x), 1.0),
        Prim::Cos => smooth(a, core_math::cos(x), 1.0),
        Prim::Atan => smooth(a, core_math::atan(x), 1.0),
        Prim::Asinh => smooth(a, core_math::asinh(x), 1.0),
        Prim::Sinh => smooth(a, core_math::sinh(x), core_math::cosh(x)),
        Prim::Cosh => smooth(a, core_math::cosh(x), core_math::cosh(x)),
        Prim::Tan if a.off == 0.0 => rounded(core_math::tan(x), 0.0),
        Prim::Asin if a.off == 0.0 => rounded(core_math::asin(x), 0.0),
        Prim::Acos if a.off == 0.0 => rounded(core_math::acos(x), 0.0),
        Prim::Acosh if a.off == 0.0 => rounded(core_math::acosh(x), 0.0),
        Prim::Atanh if a.off == 0.0 => rounded(core_math::atanh(x), 0.0),
        Prim::Pow if x > 2.0 * a.off && x > 0.0 => {
            let value = core_math::pow(x, y);
            let relative = 2.0 * y.abs() * a.off / x + 2.0 * core_math::log(x).abs() * b.off;
            if relative < 0.1 { rounded(value, 2.0 * value * relative) } else { UNKNOWN }
        }
        Prim::Hypot => rounded(core_math::hypot(x, y), a.off + b.off),
        _ => UNKNOWN,
    }
}
