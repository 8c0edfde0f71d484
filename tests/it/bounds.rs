//! Between which numbers the results of a kernel lie when every function keeps its promise: a running error analysis of
//! the graph that is compiled, in intervals, independent of the loop IR and of machine code.
//!
//! Takes a graph after its passes. The interval of a node holds both what the formula gives for it in real numbers
//! and whatever a computation in the node's dtype may give:
//! - arithmetic, conversions and square root are correctly rounded: the interval of the exact results, rounded outwards;
//! - elementary functions are within [`ULPS`] of that;
//! - a sum is within (S + 2) roundings of the sum of magnitudes, S the additions that one element goes through
//!   (numerics, section 2): steps of a block, folds of the lanes, and pairs of blocks.
//!
//! Beyond the largest number lies infinity; a sum whose terms reach it may become infinite on the way.

mod folds;

use act::graph::eval::{apply, convert};
use act::graph::repeats::Nesting;
use act::graph::wide::Wide;
use act::graph::{Constant, Form, Graph, NodeId, Op, RepeatId, Steps};
use act::loops::BLOCK_STEPS;
use act::ops::{Class, Prim, Reduction, Scan};
use act::types::{DType, DimId, DimSet};
use rustc_hash::FxHashMap;

/// What an elementary function may be off, in units of the last place.
const ULPS: f64 = 2.0;

/// The numbers that a value may be, and whether it may be NaN. `lo > hi`: no number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    /// Smallest number.
    pub lo: f64,
    /// Largest number.
    pub hi: f64,
    /// Whether it may be NaN.
    pub nan: bool,
}

const NAN: Range = Range { lo: f64::INFINITY, hi: f64::NEG_INFINITY, nan: true };
const FALSE: Range = point(0.0);
const TRUE: Range = point(1.0);

const fn point(x: f64) -> Range {
    Range { lo: x, hi: x, nan: false }
}

impl Range {
    fn of(x: f64) -> Range {
        if x.is_nan() { NAN } else { point(x) }
    }

    /// Whether it is no number, whatever happens.
    fn is_nan(self) -> bool {
        self.lo > self.hi
    }

    /// Whether it holds a number, or NaN.
    pub fn holds(self, x: f64) -> bool {
        if x.is_nan() { self.nan } else { self.lo <= x && x <= self.hi }
    }

    fn has(self, x: f64) -> bool {
        self.lo <= x && x <= self.hi
    }

    fn or(self, other: Range) -> Range {
        Range { lo: self.lo.min(other.lo), hi: self.hi.max(other.hi), nan: self.nan || other.nan }
    }

    fn or_nan(self, nan: bool) -> Range {
        Range { nan: self.nan || nan, ..self }
    }

    /// The largest magnitude.
    fn magnitude(self) -> f64 {
        self.lo.abs().max(self.hi.abs())
    }

    fn ends(self) -> [f64; 2] {
        [self.lo, self.hi]
    }
}

/// The neighbour of a number of a dtype, upwards.
fn up(x: f64, dtype: DType) -> f64 {
    match dtype {
        DType::F32 => f64::from((x as f32).next_up()),
        DType::F64 => x.next_up(),
        DType::F16 | DType::BF16 => up_in_storage(x, dtype),
        DType::I32 | DType::I8 | DType::U8 | DType::Bool => x,
    }
}

fn nearest(x: Wide, dtype: DType) -> f64 {
    match dtype {
        DType::F32 => f64::from(x.to_f32()),
        DType::F16 => x.to_f16(),
        DType::BF16 => x.to_bf16(),
        DType::F64 | DType::I32 | DType::I8 | DType::U8 | DType::Bool => x.to_f64(),
    }
}

/// The neighbour of a float of 16 bits, upwards: the next one in the order of the bits.
fn up_in_storage(x: f64, dtype: DType) -> f64 {
    let bits = Constant::new(dtype, x).bits;
    let above = match () {
        () if x == f64::INFINITY => bits,
        () if x == 0.0 => 1,
        () if x > 0.0 => bits + 1,
        () => bits - 1,
    };
    Constant { dtype, bits: above }.value()
}

/// The largest number of the dtype that is not above `x`.
fn down_to(x: Wide, dtype: DType) -> f64 {
    let near = nearest(x, dtype);
    if Wide::from(near) > x { -up(-near, dtype) } else { near }
}

/// The smallest number of the dtype that is not below `x`.
fn up_to(x: Wide, dtype: DType) -> f64 {
    -down_to(-x, dtype)
}

/// The unit of the last place of a number, exact.
fn ulp(x: Wide, dtype: DType) -> Wide {
    let near = nearest(x, dtype).abs();
    if near.is_infinite() {
        return x.abs().scale2(if dtype == DType::F64 { -52 } else { -23 });
    }
    Wide::from(up(near, dtype)) - Wide::from(near)
}

/// What lies between the results at the ends, rounded outwards and widened by `ulps`. NaN results: no number.
fn hull(results: impl IntoIterator<Item = Wide>, ulps: f64, dtype: DType) -> Range {
    let mut range = Range { nan: false, ..NAN };
    for x in results {
        if x.is_nan() {
            range.nan = true;
            continue;
        }
        let off = if x.is_finite() && ulps > 0.0 { ulp(x, dtype) * Wide::from(ulps) } else { Wide::ZERO };
        range.lo = range.lo.min(down_to(x - off, dtype));
        range.hi = range.hi.max(up_to(x + off, dtype));
    }
    range
}

/// A function that rises or falls from one end of its domain to the other.
struct Monotone {
    domain: (f64, f64),
    image: (f64, f64),
}

fn monotone(prim: Prim) -> Option<Monotone> {
    const ALL: (f64, f64) = (f64::NEG_INFINITY, f64::INFINITY);
    const POSITIVE: (f64, f64) = (0.0, f64::INFINITY);
    let (domain, image) = match prim {
        Prim::Neg | Prim::Floor | Prim::Ceil | Prim::Trunc | Prim::Round => (ALL, ALL),
        Prim::Sqrt | Prim::Rsqrt => (POSITIVE, POSITIVE),
        Prim::Exp | Prim::Exp2 | Prim::ExpNonpos => (ALL, POSITIVE),
        Prim::Expm1 => (ALL, (-1.0, f64::INFINITY)),
        Prim::Log | Prim::Log2 | Prim::Log10 => (POSITIVE, ALL),
        Prim::Log1p => ((-1.0, f64::INFINITY), ALL),
        Prim::Cbrt | Prim::Sinh | Prim::Asinh => (ALL, ALL),
        Prim::Tanh | Prim::Erf => (ALL, (-1.0, 1.0)),
        Prim::Sigmoid => (ALL, (0.0, 1.0)),
        Prim::Erfc | Prim::OnePlusErf => (ALL, (0.0, 2.0)),
        Prim::Atan => (ALL, (-2.0, 2.0)),
        Prim::Asin => ((-1.0, 1.0), (-2.0, 2.0)),
        Prim::Acos => ((-1.0, 1.0), (0.0, 4.0)),
        Prim::Acosh => ((1.0, f64::INFINITY), POSITIVE),
        Prim::Atanh => ((-1.0, 1.0), ALL),
        _ => return None,
    };
    Some(Monotone { domain, image })
}

/// A function of one operand.
fn unary(prim: Prim, x: Range, dtype: DType) -> Range {
    // What is flushed to zero is what the formula gives, or zero.
    let exact = if prim == Prim::ExpNonpos { Prim::Exp } else { prim };
    let at = |x: f64| apply(exact, dtype, &[Wide::from(x)]);
    let ulps = if prim.class() == Class::Expanded { ULPS } else { 0.0 };
    if let Some(Monotone { domain, image }) = monotone(prim) {
        let outside = x.lo < domain.0 || x.hi > domain.1;
        let inside = Range { lo: x.lo.max(domain.0), hi: x.hi.min(domain.1), nan: x.nan || outside };
        if inside.is_nan() {
            return NAN;
        }
        // Measured as 7.02 units of 2^-24, in f32.
        let off =
            Wide::from(if prim == Prim::OnePlusErf { 7.1 * f64::from(f32::EPSILON) / 2.0 } else { 0.0 });
        let mut range = hull([at(inside.lo) - off, at(inside.hi) + off], ulps, dtype).or_nan(inside.nan);
        range.lo = range.lo.max(image.0);
        range.hi = range.hi.min(image.1);
        if prim == Prim::ExpNonpos && range.lo < smallest_normal(dtype) {
            range.lo = 0.0;
        }
        // Which zero it is, the interval does not say.
        if prim == Prim::Rsqrt && inside.has(0.0) {
            range.hi = f64::INFINITY;
            range.lo = range.lo.min(if inside.lo == 0.0 { f64::NEG_INFINITY } else { range.lo });
        }
        return range;
    }
    match prim {
        Prim::Abs if x.has(0.0) => Range { lo: 0.0, hi: x.magnitude(), nan: x.nan },
        Prim::Abs => Range { lo: x.lo.abs().min(x.hi.abs()), hi: x.magnitude(), nan: x.nan },
        Prim::Cosh if x.has(0.0) => hull([at(0.0), at(x.magnitude())], ulps, dtype).or_nan(x.nan),
        Prim::Cosh => hull(x.ends().map(at), ulps, dtype).or_nan(x.nan),
        Prim::Gelu => {
            // Falls to its least value, then rises; -inf gives NaN. Measured as 1.94 units of 2^-24 of the operand.
            let (at_least, least) = (-0.751_791_6, -0.169_971_207_48);
            let mut values = vec![at(x.lo.max(f64::MIN)), at(x.hi)];
            if x.has(at_least) {
                values.push(Wide::from(least));
            }
            let nan = x.nan || x.lo == f64::NEG_INFINITY;
            if !x.magnitude().is_finite() && x.hi != f64::INFINITY {
                return Range { lo: least * 1.01, hi: 0.0, nan };
            }
            let off = Wide::from(1.95 * 2f64.powi(-24) * x.magnitude().min(f64::from(f32::MAX)));
            hull(values.iter().flat_map(|&value| [value - off, value + off]), ulps, dtype).or_nan(nan)
        }
        Prim::Sin | Prim::Cos if x.lo == x.hi => hull([at(x.lo)], ulps, dtype).or_nan(x.nan),
        Prim::Sin | Prim::Cos => {
            // No steeper than 1.
            let (mid, half) = (0.5 * x.lo + 0.5 * x.hi, Wide::from(x.hi) - Wide::from(x.lo));
            if !mid.is_finite() {
                return Range { lo: -1.0, hi: 1.0, nan: true };
            }
            let range = hull([at(mid) - half, at(mid) + half], ulps, dtype).or_nan(x.nan);
            Range { lo: range.lo.max(-1.0), hi: range.hi.min(1.0), ..range }
        }
        _ if x.lo == x.hi => hull([at(x.lo)], ulps, dtype).or_nan(x.nan),
        _ => Range { lo: f64::NEG_INFINITY, hi: f64::INFINITY, nan: true },
    }
}

fn smallest_normal(dtype: DType) -> f64 {
    if dtype == DType::F64 { f64::MIN_POSITIVE } else { f64::from(f32::MIN_POSITIVE) }
}

/// The exact products of the ends; what may be NaN.
fn products(a: Range, b: Range, square: bool) -> (Vec<Wide>, bool) {
    if square {
        let (least, most) = (if a.has(0.0) { 0.0 } else { a.lo.abs().min(a.hi.abs()) }, a.magnitude());
        return (vec![Wide::from(least) * Wide::from(least), Wide::from(most) * Wide::from(most)], a.nan);
    }
    let endless = |x: Range| x.magnitude().is_infinite();
    let nan = a.nan || b.nan || a.has(0.0) && endless(b) || b.has(0.0) && endless(a);
    let mut ends = Vec::new();
    for x in a.ends() {
        ends.extend(b.ends().map(|y| Wide::from(x) * Wide::from(y)).into_iter().filter(|x| !x.is_nan()));
    }
    if a.has(0.0) || b.has(0.0) {
        ends.push(Wide::ZERO);
    }
    (ends, nan)
}

/// The sum of two lists of ends.
fn sums(a: &[Wide], b: &[Wide], dtype: DType) -> Range {
    let sums = a.iter().flat_map(|&x| b.iter().map(move |&y| x + y));
    // Infinities that cancel: what lies between them is left to the other ends.
    let range = hull(sums, 0.0, dtype);
    if range.nan { Range { lo: f64::NEG_INFINITY, hi: f64::INFINITY, nan: true } } else { range }
}

fn wides(x: Range) -> [Wide; 2] {
    x.ends().map(Wide::from)
}

fn quotient(a: Range, b: Range, dtype: DType) -> Range {
    if b.has(0.0) {
        let nan = a.nan || b.nan || a.has(0.0) || endless(a) && endless(b);
        return Range { lo: f64::NEG_INFINITY, hi: f64::INFINITY, nan };
    }
    let ends = a.ends().into_iter().flat_map(|x| b.ends().map(|y| Wide::from(x) / Wide::from(y)));
    let ends: Vec<Wide> = ends.collect();
    let numbers = ends.iter().copied().filter(|x| !x.is_nan());
    let zero = endless(b).then_some(Wide::ZERO);
    hull(numbers.chain(zero), 0.0, dtype).or_nan(a.nan || b.nan || endless(a) && endless(b))
}

fn endless(x: Range) -> bool {
    x.magnitude().is_infinite()
}

/// A function of several operands, none of which is no number at all.
fn several(prim: Prim, x: &[Range], same: bool, dtype: DType) -> Range {
    let nan = x.iter().any(|x| x.nan);
    match prim {
        Prim::Add => sums(&wides(x[0]), &wides(x[1]), dtype).or_nan(nan),
        Prim::Sub => sums(&wides(x[0]), &wides(x[1]).map(|x| -x), dtype).or_nan(nan),
        Prim::Mul => {
            let (ends, nan) = products(x[0], x[1], same);
            hull(ends, 0.0, dtype).or_nan(nan)
        }
        Prim::Fma => {
            let (ends, nan) = products(x[0], x[1], same);
            sums(&ends, &wides(x[2]), dtype).or_nan(nan || x[2].nan)
        }
        Prim::Div => quotient(x[0], x[1], dtype),
        Prim::Max => Range { lo: x[0].lo.max(x[1].lo), hi: x[0].hi.max(x[1].hi), nan },
        Prim::Min => Range { lo: x[0].lo.min(x[1].lo), hi: x[0].hi.min(x[1].hi), nan },
        Prim::CopySign => {
            let size = unary(Prim::Abs, x[0], dtype);
            let (minus, plus) = (Range { lo: -size.hi, hi: -size.lo, nan: size.nan }, size);
            match (x[1].lo <= 0.0, x[1].hi >= 0.0) {
                (true, true) => minus.or(plus),
                (true, false) => minus,
                _ => plus,
            }
            .or_nan(nan)
        }
        // Monotone in either operand, for one sign of the first.
        Prim::Ldexp => {
            let at = |x: f64, n: f64| apply(prim, dtype, &[Wide::from(x), Wide::from(n)]);
            let ends = x[0].ends().into_iter().flat_map(|a| x[1].ends().map(|n| at(a, n)));
            let zero = x[0].has(0.0).then_some(Wide::ZERO);
            hull(ends.chain(zero), 0.0, dtype).or_nan(nan || x[0].has(0.0) && endless(x[1]))
        }
        _ if x.iter().all(|x| x.lo == x.hi) => {
            let point: Vec<Wide> = x.iter().map(|x| Wide::from(x.lo)).collect();
            hull([apply(prim, dtype, &point)], ULPS, dtype).or_nan(nan)
        }
        _ => Range { lo: f64::NEG_INFINITY, hi: f64::INFINITY, nan: true },
    }
}

/// `a > b ? a : b` or, with the signs of all turned, `a < b ? a : b`.
fn sel_max(a: Range, b: Range) -> Range {
    let both = Range { lo: a.lo.max(b.lo), hi: a.hi.max(b.hi), nan: b.nan };
    match (a.is_nan(), b.is_nan()) {
        (true, _) => b,
        (_, true) => NAN,
        _ if a.nan => both.or(b),
        _ => both,
    }
}

fn turned(x: Range) -> Range {
    Range { lo: -x.hi, hi: -x.lo, nan: x.nan }
}

fn compare(prim: Prim, a: Range, b: Range) -> Range {
    if a.is_nan() || b.is_nan() {
        return if prim == Prim::Ne { TRUE } else { FALSE };
    }
    let nan = a.nan || b.nan;
    // Whether it always, and whether it ever, holds among the numbers.
    let (always, ever) = match prim {
        Prim::Lt => (a.hi < b.lo, a.lo < b.hi),
        Prim::Le => (a.hi <= b.lo, a.lo <= b.hi),
        Prim::Gt => (a.lo > b.hi, a.hi > b.lo),
        Prim::Ge => (a.lo >= b.hi, a.hi >= b.lo),
        Prim::Eq | Prim::Ne => {
            let (always, ever) = (a.lo == a.hi && b.lo == b.hi && a.lo == b.lo, a.lo <= b.hi && b.lo <= a.hi);
            if prim == Prim::Eq { (always, ever) } else { (!ever, !always || nan) }
        }
        _ => unreachable!("`{prim}` compares nothing"),
    };
    match (always && (!nan || prim == Prim::Ne), ever) {
        (true, _) => TRUE,
        (_, false) => FALSE,
        _ => FALSE.or(TRUE),
    }
}

fn prim(prim: Prim, x: &[Range], same: bool, dtype: DType) -> Range {
    match prim {
        // A number equals itself, whichever of the range it is.
        Prim::Eq if same && !x[0].nan => return TRUE,
        Prim::Ne if same && !x[0].nan => return FALSE,
        Prim::Eq | Prim::Ne | Prim::Lt | Prim::Le | Prim::Gt | Prim::Ge => return compare(prim, x[0], x[1]),
        Prim::And => return Range { lo: x[0].lo.min(x[1].lo), hi: x[0].hi.min(x[1].hi), nan: false },
        Prim::Or => return Range { lo: x[0].lo.max(x[1].lo), hi: x[0].hi.max(x[1].hi), nan: false },
        Prim::Not => return Range { lo: 1.0 - x[0].hi, hi: 1.0 - x[0].lo, nan: false },
        Prim::Select => {
            return match x[0].ends() {
                [0.0, 0.0] => x[2],
                [1.0, 1.0] => x[1],
                _ => x[1].or(x[2]),
            };
        }
        Prim::SelMax => return sel_max(x[0], x[1]),
        Prim::SelMin => return turned(sel_max(turned(x[0]), turned(x[1]))),
        _ => {}
    }
    if x.iter().any(|x| x.is_nan()) {
        return NAN;
    }
    let range = if let [x] = x { unary(prim, *x, dtype) } else { several(prim, x, same, dtype) };
    if dtype == DType::I32 { wrapped(prim, x, range) } else { range }
}

/// Integers wrap: the exact one where there is nothing to doubt, and anything where there is.
fn wrapped(prim: Prim, x: &[Range], range: Range) -> Range {
    let inside = range.lo >= f64::from(i32::MIN) && range.hi <= f64::from(i32::MAX);
    if x.iter().all(|x| x.lo == x.hi) {
        let x: Vec<Wide> = x.iter().map(|x| Wide::from(x.lo)).collect();
        return Range::of(apply(prim, DType::I32, &x).to_f64());
    }
    if inside { range } else { Range { lo: f64::from(i32::MIN), hi: f64::from(i32::MAX), nan: false } }
}

fn converted(x: Range, to: DType) -> Range {
    if x.is_nan() {
        return match to {
            DType::I32 | DType::I8 | DType::U8 => point(0.0),
            DType::Bool => TRUE,
            DType::F32 | DType::F64 | DType::F16 | DType::BF16 => NAN,
        };
    }
    match to {
        DType::F32 | DType::F64 => hull(wides(x), 0.0, to).or_nan(x.nan),
        // Rounded to nearest, as the formula says, and so monotone: nothing lies outside of the rounded ends.
        DType::F16 | DType::BF16 => {
            let [lo, hi] = x.ends().map(|x| nearest(Wide::from(x), to));
            Range { lo, hi, nan: x.nan }
        }
        DType::I32 | DType::I8 | DType::U8 => {
            let ends = x.ends().map(|x| convert(Wide::from(x), to).to_f64());
            let range = Range { lo: ends[0], hi: ends[1], nan: false };
            if x.nan { range.or(point(0.0)) } else { range }
        }
        DType::Bool => match (x.has(0.0), x.lo == x.hi && !x.nan) {
            (false, _) => TRUE,
            (true, true) => FALSE,
            (true, false) => FALSE.or(TRUE),
        },
    }
}

/// A reduction on the way.
#[derive(Clone)]
struct Total {
    reduction: Reduction,
    dtype: DType,
    range: Range,
    // Of a sum: the sums of the ends, of what may be added above and below zero, and how many products there are.
    lo: Wide,
    hi: Wide,
    above: Wide,
    below: Wide,
    products: u64,
    /// Of a product: the largest and the smallest magnitude that a part of it may have.
    most: Wide,
    least: Wide,
    count: u64,
}

impl Total {
    fn new(reduction: Reduction, dtype: DType) -> Total {
        let range = point(Constant::new(dtype, reduction.identity()).value());
        let (lo, hi, above, below) = (Wide::ZERO, Wide::ZERO, Wide::ZERO, Wide::ZERO);
        let (most, least) = (Wide::ONE, Wide::ONE);
        Total { reduction, dtype, range, lo, hi, above, below, products: 0, most, least, count: 0 }
    }

    fn add(&mut self, x: Range) {
        self.count += 1;
        if self.reduction == Reduction::Sum {
            self.range.nan |= x.nan;
            if x.is_nan() {
                self.range = NAN;
                return;
            }
            self.add_ends(Wide::from(x.lo), Wide::from(x.hi));
            return;
        }
        if self.reduction == Reduction::Prod {
            let size = unary(Prim::Abs, x, self.dtype);
            self.most = self.most * Wide::from(size.hi).max(Wide::ONE);
            self.least = self.least * Wide::from(size.lo).min(Wide::ONE);
        }
        self.range = match self.reduction {
            Reduction::Sum => unreachable!("sums are added up exactly"),
            // In f64, with a wide exponent only at the end.
            Reduction::Prod => prim(Prim::Mul, &[x, self.range], false, self.dtype),
            Reduction::Max => prim(Prim::Max, &[x, self.range], false, self.dtype),
            Reduction::Min => prim(Prim::Min, &[x, self.range], false, self.dtype),
            Reduction::SelMax => sel_max(x, self.range),
            Reduction::SelMin => turned(sel_max(turned(x), turned(self.range))),
        };
    }

    fn add_product(&mut self, a: Range, b: Range, square: bool) {
        self.products += 1;
        if a.is_nan() || b.is_nan() {
            self.range = NAN;
            return;
        }
        let (ends, nan) = products(a, b, square);
        self.range.nan |= nan;
        let lo = ends.iter().copied().reduce(Wide::min).expect("products have ends");
        let hi = ends.iter().copied().reduce(Wide::max).expect("products have ends");
        self.add_ends(lo, hi);
    }

    fn add_ends(&mut self, lo: Wide, hi: Wide) {
        self.lo = self.lo + lo;
        self.hi = self.hi + hi;
        self.above = self.above + hi.max(Wide::ZERO);
        self.below = self.below + (-lo).max(Wide::ZERO);
    }

    /// `depth` is the number of additions that one element goes through.
    fn finish(self, depth: f64) -> Range {
        let dtype = self.dtype;
        if self.range.is_nan() {
            return NAN;
        }
        let (unit, largest, smallest) = match dtype {
            DType::F64 => (f64::EPSILON / 2.0, f64::MAX, 5e-324),
            _ => (f64::from(f32::EPSILON) / 2.0, f64::from(f32::MAX), f64::from(f32::from_bits(1))),
        };
        match self.reduction {
            Reduction::Sum if dtype == DType::I32 => {
                let exact = (self.lo == self.hi).then(|| f64::from(self.lo.to_i64() as i32));
                let all = Range { lo: f64::from(i32::MIN), hi: f64::from(i32::MAX), nan: false };
                exact.map_or(all, point)
            }
            Reduction::Sum => {
                let off = (self.above + self.below) * Wide::from((depth + 2.0) * unit)
                    + Wide::from(smallest) * Wide::from(self.products as i64);
                let off = if off.is_finite() { off } else { Wide::ZERO };
                let over = |sum: Wide| sum + off > Wide::from(largest);
                let nan = self.range.nan || over(self.above) && over(self.below);
                let mut range = Range { lo: f64::NEG_INFINITY, hi: f64::INFINITY, nan };
                if !over(self.above) {
                    range.hi = up_to(self.hi + off, dtype);
                }
                if !over(self.below) {
                    range.lo = down_to(self.lo - off, dtype);
                }
                range
            }
            Reduction::Prod if self.most > Wide::from(largest) => {
                Range { lo: f64::NEG_INFINITY, hi: f64::INFINITY, nan: true }
            }
            Reduction::Prod if self.least < Wide::from(smallest_normal(dtype)) => {
                let off = self.most * Wide::from(smallest) * Wide::from(self.count as i64)
                    + self.most * Wide::from(self.count as f64 * 2.0 * unit);
                hull([Wide::from(self.range.lo) - off, Wide::from(self.range.hi) + off], 0.0, dtype)
                    .or_nan(self.range.nan)
            }
            Reduction::Prod => {
                // Either order of the factors is off by less than twice the number of roundings.
                let off = Wide::from(self.range.magnitude()) * Wide::from(2.0 * self.count as f64 * unit);
                hull([Wide::from(self.range.lo) - off, Wide::from(self.range.hi) + off], 0.0, dtype)
                    .or_nan(self.range.nan)
            }
            Reduction::Max | Reduction::Min | Reduction::SelMax | Reduction::SelMin => self.range,
        }
    }
}

/// What the text says that does not depend on inputs: the dtype of each such value, and between which numbers it lies in real
/// numbers and however it is folded.
pub type Known = Vec<(DType, Range)>;

/// The constants of a graph, and what is made of them alone.
pub fn constants(graph: &Graph) -> Known {
    let mut known = Known::new();
    constants_of(graph, &mut known);
    for (_, part) in graph.folds.values().flat_map(|fold| fold.parts()) {
        constants_of(part, &mut known);
    }
    known
}

fn constants_of(graph: &Graph, known: &mut Known) {
    let mut values: FxHashMap<NodeId, Range> = FxHashMap::default();
    for (id, node) in &graph.nodes {
        let args = node.op.args();
        let operands: Option<Vec<Range>> = args.iter().map(|arg| values.get(arg).copied()).collect();
        let range = match (&node.op, operands.as_deref()) {
            (Op::Const(constant), _) => Range::of(constant.value()),
            (Op::Size(dims), _) => {
                let sizes: Option<Vec<i64>> = dims.iter().map(|dim| graph.dims[dim].fixed()).collect();
                let Some(sizes) = sizes else { continue };
                converted(point(sizes.iter().product::<i64>() as f64), node.dtype)
            }
            (Op::Prim(function, _), Some(operands)) => {
                let same = args.len() >= 2 && args[0] == args[1];
                prim(*function, operands, same, node.dtype)
            }
            (Op::Convert(_), Some(&[operand])) => converted(operand, node.dtype),
            (Op::Broadcast(_), Some(&[operand])) => operand,
            _ => continue,
        };
        values.insert(id, range);
        known.push((node.dtype, range));
    }
}

/// The ranges of the results of a graph, each in the order of its declaration. Its constants are those that are `given`, or
/// were folded, and rounded.
pub fn results(graph: &Graph, given: &Known, sizes: &[i64], inputs: &[Vec<f64>]) -> Vec<Vec<Range>> {
    let nesting = Nesting::of(graph);
    let values = vec![Vec::new(); graph.nodes.len()];
    let mut run = Run { graph, sizes, given, nesting: &nesting, values };
    let mut uses = graph.use_counts();
    for (id, node) in &graph.nodes {
        if !nesting.open(id).is_empty() {
            continue;
        }
        if uses[id] > 0 {
            run.compute(id, inputs);
        }
        for &arg in node.op.args() {
            uses[arg] -= 1;
            if uses[arg] == 0 {
                run.values[arg.as_u32() as usize] = Vec::new();
            }
        }
    }
    let result = |(decl, id): &(act::graph::Decl, NodeId)| {
        let order: Vec<DimId> = decl.dim_list().collect();
        let from = run.offsets(graph.nodes[*id].dims, &order);
        from.into_iter().map(|at| run.of(*id)[at]).collect()
    };
    graph.results.iter().map(result).collect()
}

struct Run<'a> {
    graph: &'a Graph,
    sizes: &'a [i64],
    /// What its constants may stand for.
    given: &'a Known,
    nesting: &'a Nesting,
    /// Row-major over the node's dimensions in canonical order.
    values: Vec<Vec<Range>>,
}

impl Run<'_> {
    /// Computes a node; an end of a loop by its steps.
    fn compute(&mut self, id: NodeId, inputs: &[Vec<f64>]) {
        let value = match self.graph.nodes[id].op {
            Op::Final { repeat, index, .. } => self.repeat(repeat, inputs).swap_remove(index as usize),
            _ => self.node(id, inputs),
        };
        self.values[id.as_u32() as usize] = value;
    }

    /// The state after the last step of a loop.
    fn repeat(&mut self, id: RepeatId, inputs: &[Vec<f64>]) -> Vec<Vec<Range>> {
        let repeat = &self.nesting.repeats[&id];
        let steps = match self.graph.repeats[id] {
            Steps::Number(steps) => steps as usize,
            Steps::Size(dim) => self.size(dim),
        };
        let inits =
            repeat.carries.iter().map(|&carry| self.of(self.graph.nodes[carry].op.args()[0]).to_vec());
        let mut state: Vec<Vec<Range>> = inits.collect();
        for step in 0..steps {
            for (&carry, value) in repeat.carries.iter().zip(state) {
                self.values[carry.as_u32() as usize] = value;
            }
            for &node in &repeat.nodes {
                match self.graph.nodes[node].op {
                    Op::Carry { repeat, .. } if repeat == id => {}
                    Op::Step(repeat) if repeat == id => {
                        self.values[node.as_u32() as usize] = vec![point(step as f64)];
                    }
                    _ if self.nesting.innermost(node) == Some(id) => self.compute(node, inputs),
                    _ => {}
                }
            }
            state = repeat.nexts.iter().map(|&next| self.of(next).to_vec()).collect();
        }
        state
    }

    fn of(&self, id: NodeId) -> &[Range] {
        &self.values[id.as_u32() as usize]
    }

    fn size(&self, dim: DimId) -> usize {
        self.sizes[dim.as_u32() as usize] as usize
    }

    /// For each place of an array over `order`, which element of an array over `dims` belongs to it.
    fn offsets(&self, dims: DimSet, order: &[DimId]) -> Vec<usize> {
        self.offsets_in(&dims.iter().collect::<Vec<_>>(), order)
    }

    fn offsets_in(&self, from: &[DimId], order: &[DimId]) -> Vec<usize> {
        let stride = |dim: DimId| {
            let place = from.iter().position(|&own| own == dim);
            place.map_or(0, |place| from[place + 1..].iter().map(|&dim| self.size(dim)).product())
        };
        let mut offsets = vec![0];
        for &dim in order {
            let stride: usize = stride(dim);
            let size = self.size(dim);
            offsets =
                offsets.into_iter().flat_map(|at| (0..size).map(move |place| at + place * stride)).collect();
        }
        offsets
    }

    fn node(&self, id: NodeId, inputs: &[Vec<f64>]) -> Vec<Range> {
        let node = &self.graph.nodes[id];
        let order: Vec<DimId> = node.dims.iter().collect();
        let offsets = |arg: NodeId| self.offsets(self.graph.nodes[arg].dims, &order);
        let repeated =
            |arg: NodeId| -> Vec<Range> { offsets(arg).into_iter().map(|at| self.of(arg)[at]).collect() };
        match &node.op {
            Op::Param(param) => {
                let declared: Vec<DimId> = self.graph.params[*param as usize].dim_list().collect();
                let input = &inputs[*param as usize];
                self.offsets_in(&declared, &order).into_iter().map(|at| Range::of(input[at])).collect()
            }
            Op::Const(constant) => vec![self.constant(*constant)],
            Op::Index(dim) => (0..self.size(*dim)).map(|place| point(place as f64)).collect(),
            Op::Size(dims) => {
                let size: i64 = dims.iter().map(|dim| self.size(dim) as i64).product();
                vec![converted(point(size as f64), node.dtype)]
            }
            Op::Prim(function, args) => {
                let same = args.len() >= 2 && args[0] == args[1];
                let args: Vec<Vec<Range>> = args.iter().map(|&arg| repeated(arg)).collect();
                let count = args[0].len();
                let operands = |at: usize| args.iter().map(|arg| arg[at]).collect::<Vec<_>>();
                (0..count).map(|at| prim(*function, &operands(at), same, node.dtype)).collect()
            }
            Op::Convert(value) => self.of(*value).iter().map(|&x| converted(x, node.dtype)).collect(),
            Op::Reduce { reduction, args, dims } => self.reduce(*reduction, args, *dims, id),
            Op::Fold { fold, state, args, dims } => {
                self.fold(&self.graph.folds[*fold], *state as usize, args, *dims, id)
            }
            Op::Scan { scan, value, dim } => self.scan(*scan, *value, *dim, id),
            Op::KthLargest { args: [value, k], dim } => self.kth_largest(*value, *k, *dim, id),
            Op::Carry { .. } | Op::Step(_) | Op::Final { .. } => unreachable!("loops are run as a whole"),
            Op::Slice { value, dim, at } => {
                let own: Vec<DimId> = self.graph.nodes[*value].dims.iter().collect();
                let start = own.iter().position(|own| own == dim).expect("it has the dimension");
                let stride: usize = own[start + 1..].iter().map(|&dim| self.size(dim)).product();
                offsets(*value)
                    .into_iter()
                    .map(|offset| self.of(*value)[offset + *at as usize * stride])
                    .collect()
            }
            Op::Stack { dim, values } => {
                let place = order.iter().position(|own| own == dim).expect("it has the dimension");
                let inner: usize = order[place + 1..].iter().map(|&dim| self.size(dim)).product();
                let parts: Vec<Vec<Range>> = values.iter().map(|&value| repeated(value)).collect();
                let count = parts[0].len();
                (0..count).map(|at| parts[at / inner.max(1) % values.len()][at]).collect()
            }
            Op::Broadcast(value) => repeated(*value),
            Op::Gather { dims, args } => self.gather(dims, args, &order),
            Op::Rename { value, names } => {
                let new = |dim: DimId| names.iter().find(|(from, _)| *from == dim).map_or(dim, |(_, to)| *to);
                let from: Vec<DimId> = self.graph.nodes[*value].dims.iter().map(new).collect();
                self.offsets_in(&from, &order).into_iter().map(|at| self.of(*value)[at]).collect()
            }
        }
    }

    /// What stands at any position that an index may be.
    fn gather(&self, dims: &[DimId], args: &[NodeId], order: &[DimId]) -> Vec<Range> {
        let own: Vec<DimId> = self.graph.nodes[args[0]].dims.iter().collect();
        let stride = |dim: DimId| {
            let place = own.iter().position(|&own| own == dim).expect("the leaf has the dimension");
            own[place + 1..].iter().map(|&dim| self.size(dim)).product::<usize>()
        };
        // Along what is gathered the place does not count.
        let strides: Vec<usize> = dims.iter().map(|&dim| stride(dim)).collect();
        let indices: Vec<Vec<usize>> =
            args[1..].iter().map(|&index| self.offsets(self.graph.nodes[index].dims, order)).collect();
        let places = self.places(order);
        let at = |number: usize, place: &[usize]| {
            let kept = own.iter().filter(|dim| !dims.contains(dim));
            let start: usize = kept
                .map(|&dim| {
                    let along = order.iter().position(|&other| other == dim).expect("it is kept");
                    place[along] * stride(dim)
                })
                .sum();
            let (mut offsets, mut outside) = (vec![start], false);
            for (axis, &dim) in dims.iter().enumerate() {
                let position = self.of(args[axis + 1])[indices[axis][number]];
                let last = self.size(dim) as f64 - 1.0;
                outside |= position.lo < 0.0 || position.hi > last;
                let any = position.lo <= last && position.hi >= 0.0;
                let inside = position.lo.max(0.0) as usize..=position.hi.min(last).max(0.0) as usize;
                let inside: Vec<usize> = if any { inside.collect() } else { Vec::new() };
                offsets = offsets
                    .iter()
                    .flat_map(|&at| inside.iter().map(move |position| (at, position)))
                    .map(|(at, position)| at + position * strides[axis])
                    .collect();
            }
            let found = offsets.into_iter().map(|at| self.of(args[0])[at]).reduce(Range::or);
            match found {
                Some(found) if outside => found.or(FALSE),
                Some(found) => found,
                None => FALSE,
            }
        };
        places.iter().enumerate().map(|(number, place)| at(number, place)).collect()
    }

    /// Every place along `order`, the last dimension running fastest.
    fn places(&self, order: &[DimId]) -> Vec<Vec<usize>> {
        let mut places = vec![Vec::new()];
        for &dim in order {
            let size = self.size(dim);
            let longer = |place: Vec<usize>| (0..size).map(move |at| [place.as_slice(), &[at]].concat());
            places = places.into_iter().flat_map(longer).collect();
        }
        places
    }

    /// What a constant stands for: everything in the text that may have become it.
    fn constant(&self, constant: Constant) -> Range {
        let (value, dtype) = (constant.value(), constant.dtype);
        let given = || self.given.iter().filter(|(given, _)| *given == dtype).map(|(_, range)| *range);
        if let Some(range) = given().filter(|range| range.holds(value)).reduce(Range::or) {
            return range;
        }
        // A division by a power of two became a product with its inverse.
        let inverse = given().any(|range| range.lo == range.hi && range.lo * value == 1.0);
        if inverse || value == 0.0 || !value.is_finite() || !dtype.is_float() {
            return Range::of(value);
        }
        // A constant of f32, converted, is as far off as it was before.
        let from_f32 = f64::from(value as f32) == value;
        hull([Wide::from(value)], ULPS, if from_f32 { DType::F32 } else { dtype })
    }

    fn reduce(&self, reduction: Reduction, args: &[NodeId], dims: DimSet, id: NodeId) -> Vec<Range> {
        let dtype = self.graph.nodes[id].dtype;
        let order: Vec<DimId> = self.graph.operand_dims(args).iter().collect();
        let to = self.offsets(self.graph.nodes[id].dims, &order);
        let from: Vec<Vec<usize>> =
            args.iter().map(|&arg| self.offsets(self.graph.nodes[arg].dims, &order)).collect();
        let count = self.graph.nodes[id].dims.iter().map(|dim| self.size(dim)).product();
        let mut totals: Vec<Total> = (0..count).map(|_| Total::new(reduction, dtype)).collect();
        for (at, &to) in to.iter().enumerate() {
            match *args {
                [arg] => totals[to].add(self.of(arg)[from[0][at]]),
                [a, b] => totals[to].add_product(self.of(a)[from[0][at]], self.of(b)[from[1][at]], a == b),
                _ => unreachable!("one operand or two"),
            }
        }
        let depth = self.depth(reduction, args, dims, dtype);
        totals.into_iter().map(|total| total.finish(depth)).collect()
    }

    /// The elements of a value along a dimension, for each place along the others: where they are.
    fn lines(&self, value: NodeId, dim: DimId) -> Vec<Vec<usize>> {
        let dims = self.graph.nodes[value].dims;
        let rest: Vec<DimId> = dims.without(dim).iter().collect();
        let along = self.offsets(dims, &[dim]);
        let starts = self.offsets(dims, &rest);
        starts.into_iter().map(|start| along.iter().map(|at| start + at).collect()).collect()
    }

    fn scan(&self, scan: Scan, value: NodeId, dim: DimId, id: NodeId) -> Vec<Range> {
        let dtype = self.graph.nodes[id].dtype;
        let mut out = self.of(value).to_vec();
        let (group, depth) = match self.graph.form(&[value], DimSet::one(dim)) {
            Form::Row => (Scan::GROUP as usize * 4 / dtype.bytes().max(4), 4.0),
            Form::Column => (1, 0.0),
        };
        let first = point(Constant::new(dtype, scan.reduction.identity()).value());
        for mut line in self.lines(value, dim) {
            if scan.reverse {
                line.reverse();
            }
            let (mut state, mut carry) = (first, first);
            for places in line.chunks(group) {
                // The shifts inside a group, then the carry.
                let mut total = Total::new(scan.reduction, dtype);
                for &at in places {
                    total.add(self.of(value)[at]);
                    let inside = total.clone().finish(depth);
                    let next = prim(scan.reduction.combine(), &[carry, inside], false, dtype);
                    out[at] = if scan.exclusive { state } else { next };
                    state = next;
                }
                carry = state;
            }
        }
        out
    }

    fn kth_largest(&self, value: NodeId, k: NodeId, dim: DimId, id: NodeId) -> Vec<Range> {
        let k = self.of(k)[0].lo;
        let line = |line: Vec<usize>| {
            let k = k.clamp(1.0, line.len().max(1) as f64) as usize;
            let all: Vec<Range> = line.into_iter().map(|at| self.of(value)[at]).collect();
            if all.is_empty() {
                let least = point(f64::from(i32::MIN));
                return if self.graph.nodes[id].dtype == DType::I32 { least } else { NAN };
            }
            if all.iter().filter(|x| x.is_nan()).count() >= k {
                return NAN;
            }
            // A NaN counts as the largest.
            let kth = |mut ends: Vec<f64>| {
                ends.sort_by(|a, b| b.total_cmp(a));
                ends[k - 1]
            };
            let lo = kth(all.iter().map(|x| if x.is_nan() { f64::INFINITY } else { x.lo }).collect());
            let hi = kth(all.iter().map(|x| if x.nan { f64::INFINITY } else { x.hi }).collect());
            Range { lo, hi, nan: all.iter().filter(|x| x.nan).count() >= k }
        };
        self.lines(value, dim).into_iter().map(line).collect()
    }

    /// How many additions one element goes through.
    fn depth(&self, reduction: Reduction, args: &[NodeId], dims: DimSet, dtype: DType) -> f64 {
        let order: Vec<DimId> = self.graph.operand_dims(args).iter().collect();
        let count: usize = dims.iter().map(|dim| self.size(dim)).product();
        let lanes = reduction.lanes() as usize * 4 / dtype.bytes();
        let (steps, folds) = match self.graph.form(args, dims) {
            Form::Row => {
                let trailing = order.iter().rev().take_while(|dim| dims.contains(**dim));
                let run: usize = trailing.map(|&dim| self.size(dim)).product();
                (count / run.max(1) * run.div_ceil(lanes), lanes.ilog2())
            }
            Form::Column => (count, 0),
        };
        let blocks = steps.div_ceil(BLOCK_STEPS as usize).max(1);
        (steps.min(BLOCK_STEPS as usize) + folds as usize) as f64 + libm::log2(blocks as f64).ceil()
    }
}
