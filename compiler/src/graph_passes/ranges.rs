//! Analysis: between which numbers a node's elements lie, as the machine computes them.
//!
//! Seeded by constants and by functions with a bounded range; parameters may be anything but what their declared range says. It knows three facts about
//! the shape of a formula: `x * x ≥ 0`; `u - max(u) ≤ 0`; and a sum of `exp(u - max(u))` holds a term `exp(0) = 1`,
//! so it is at least 1 (or 0, if there are no terms, or if the maximum is `-inf` and something else was subtracted).
//!
//! What is asked of elementary functions, and shown by their tests: they are monotone in sign (`exp(x) ≤ 1` for
//! `x ≤ 0`, `tanh` between -1 and 1 …) and `exp(0)` is 1.
//!
//! Text form, for dumps: the graph's, with a note for each node of which something is known: `# %5: in [-inf, 0] nan?`.

use std::fmt;

use cranelift_entity::{EntityRef, PrimaryMap};

use super::arith;
use crate::graph::print::print_with_notes;
use crate::graph::{Constant, Graph, Node, NodeId, Op};
use crate::ops::{Prim, Reduction, Scan, Typing};
use crate::types::{DType, DimId, DimSet};

/// More elements than any dimension or array has.
const MOST_ELEMENTS: f64 = (1u64 << 48) as f64;

/// A set of numbers that holds every element of a node: those from `lo` to `hi`, both included (infinity too), maybe 0, maybe
/// NaN.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    /// Not below.
    pub lo: f64,
    /// Not above.
    pub hi: f64,
    /// Or else 0.
    pub zero: bool,
    /// Or else NaN.
    pub nan: bool,
}

impl Range {
    /// From `lo` to `hi`, without NaN.
    pub fn new(lo: f64, hi: f64) -> Range {
        Range { lo, hi, zero: false, nan: false }
    }

    /// Anything of a dtype.
    pub fn any(dtype: DType) -> Range {
        match dtype {
            DType::F32 | DType::F64 | DType::F16 | DType::BF16 => {
                Range::new(f64::NEG_INFINITY, f64::INFINITY).or_nan(true)
            }
            DType::I32 => Range::new(f64::from(i32::MIN), f64::from(i32::MAX)),
            DType::I8 => Range::new(f64::from(i8::MIN), f64::from(i8::MAX)),
            DType::U8 => Range::new(0.0, f64::from(u8::MAX)),
            DType::Bool => Range::new(0.0, 1.0),
        }
    }

    /// The same, or NaN.
    #[must_use]
    pub fn or_nan(self, nan: bool) -> Range {
        Range { nan: self.nan || nan, ..self }
    }

    /// The smallest interval that holds it.
    fn hull(self) -> Range {
        match self.zero {
            true => Range { lo: self.lo.min(0.0), hi: self.hi.max(0.0), zero: false, nan: self.nan },
            false => self,
        }
    }

    /// The smallest interval that holds both.
    fn union(self, other: Range) -> Range {
        let (a, b) = (self.hull(), other.hull());
        Range { lo: a.lo.min(b.lo), hi: a.hi.max(b.hi), zero: false, nan: a.nan || b.nan }
    }

    /// What lies in both.
    fn meet(self, lo: f64, hi: f64) -> Range {
        let hi = self.hi.min(hi);
        // Never empty: an expression that has no value is dead, and any interval right.
        Range { lo: self.lo.max(lo).min(hi), hi, ..self }
    }

    /// Whether an element may be infinite.
    pub fn may_be_infinite(self) -> bool {
        self.lo == f64::NEG_INFINITY || self.hi == f64::INFINITY
    }

    /// Whether every number in it but 0 has an absolute value from `least` to `most`.
    pub fn magnitude_within(self, least: f64, most: f64) -> bool {
        (self.lo >= least && self.hi <= most) || (self.lo >= -most && self.hi <= -least)
    }
}

/// The ranges of a graph's nodes.
#[derive(Clone, Debug, Default)]
pub struct Ranges {
    map: PrimaryMap<NodeId, Range>,
}

impl Ranges {
    /// Of every node.
    pub fn new(graph: &Graph) -> Ranges {
        let mut ranges = Ranges::default();
        ranges.extend(graph);
        ranges
    }

    /// Of the nodes that were added since.
    pub fn extend(&mut self, graph: &Graph) {
        for index in self.map.len()..graph.nodes.len() {
            let node = &graph.nodes[NodeId::new(index)];
            self.map.push(transfer(graph, node, &self.map));
        }
    }

    /// The text form: the graph, with a note below every node of which something is known.
    pub fn print(&self, graph: &Graph) -> String {
        print_with_notes(graph, |id| {
            let known = self.map[id] != Range::any(graph.nodes[id].dtype);
            known.then(|| self.map[id].to_string()).into_iter().collect()
        })
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let zero = if self.zero { " zero?" } else { "" };
        let nan = if self.nan { " nan?" } else { "" };
        write!(f, "in [{}, {}]{zero}{nan}", self.lo, self.hi)
    }
}

impl std::ops::Index<NodeId> for Ranges {
    type Output = Range;

    fn index(&self, node: NodeId) -> &Range {
        &self.map[node]
    }
}

/// Whether an operation is the sum of `exp(u - max(u))` over at least the dimensions of the maximum: at least 1, or
/// NaN, or 0 with every term exactly 0.
pub fn is_shifted_exp_sum(graph: &Graph, op: &Op) -> bool {
    let Op::Reduce { reduction: Reduction::Sum, args, dims } = op else { return false };
    let [exp] = args[..] else { return false };
    let Op::Prim(Prim::Exp | Prim::ExpNonpos, args) = &graph.nodes[exp].op else { return false };
    let Op::Prim(Prim::Sub, args) = &graph.nodes[args[0]].op else { return false };
    maximum_over(graph, args[1], args[0]).is_some_and(|over| over.is_subset(*dims))
}

/// The dimensions over which `m` is the maximum of `u`, if it is; where the maximum is `-inf` it may be another number.
fn maximum_over(graph: &Graph, m: NodeId, u: NodeId) -> Option<DimSet> {
    let m = match &graph.nodes[m].op {
        Op::Prim(Prim::Select, args)
            if is_finite_constant(graph, args[1]) && is_minus_infinity_test(graph, args[0], args[2]) =>
        {
            args[2]
        }
        _ => m,
    };
    match &graph.nodes[m].op {
        // A machine maximum may pass over a NaN: then `u - m` is NaN there, and no other element is above `m`.
        Op::Reduce { reduction: Reduction::Max | Reduction::SelMax, args, dims } => {
            (args[..] == [u]).then_some(*dims)
        }
        _ => None,
    }
}

fn is_finite_constant(graph: &Graph, node: NodeId) -> bool {
    matches!(graph.nodes[node].op, Op::Const(constant) if constant.value().is_finite())
}

/// Whether `test` is `m == -inf`.
fn is_minus_infinity_test(graph: &Graph, test: NodeId, m: NodeId) -> bool {
    let minus_infinity =
        |node: NodeId| matches!(graph.nodes[node].op, Op::Const(c) if c.value() == f64::NEG_INFINITY);
    match &graph.nodes[test].op {
        Op::Prim(Prim::Eq, args) => {
            (args[0] == m && minus_infinity(args[1])) || (args[1] == m && minus_infinity(args[0]))
        }
        _ => false,
    }
}

/// Whether `m` is nowhere below `u`, or the difference is NaN, or both are `-inf` where they should be.
fn is_upper_bound(graph: &Graph, m: NodeId, u: NodeId) -> bool {
    is_upper_bound_within(graph, m, u, 4)
}

/// The same, through so many maxima of two.
fn is_upper_bound_within(graph: &Graph, m: NodeId, u: NodeId, depth: u32) -> bool {
    match &graph.nodes[m].op {
        Op::Prim(Prim::Max, args) if depth > 0 => {
            args.iter().any(|&arg| is_upper_bound_within(graph, arg, u, depth - 1))
        }
        _ => m == u || maximum_over(graph, m, u).is_some(),
    }
}

/// The range of a node from those of its operands.
fn transfer(graph: &Graph, node: &Node, ranges: &PrimaryMap<NodeId, Range>) -> Range {
    match node.op {
        Op::Fold { .. } => Range::any(node.dtype),
        Op::Param(index) => match graph.params[index as usize].range {
            Some((low, high)) => Range::new(low, high),
            None => Range::any(node.dtype),
        },
        Op::Const(constant) => of_constant(constant),
        Op::Index(dim) => {
            let last = graph.dims[dim].fixed().map_or(f64::from(i32::MAX), |size| (size - 1).max(0) as f64);
            Range::new(0.0, last)
        }
        Op::Size(_) if node.dtype == DType::I32 => Range::any(node.dtype),
        Op::Size(_) => Range::new(0.0, MOST_ELEMENTS),
        Op::Prim(prim, ref args) => of_prim(graph, node, prim, args, ranges),
        Op::Convert(value) => of_convert(ranges[value].hull(), node.dtype),
        Op::Reduce { reduction, ref args, dims } => match args[..] {
            [arg] => of_reduce(graph, node, reduction, ranges[arg], dims),
            _ => {
                let product = of_product(args[0], args[1], node.dtype, ranges);
                of_reduce(graph, node, reduction, product, dims)
            }
        },
        Op::Scan { scan, value, dim } => of_scan(graph, node, scan, ranges[value], dim),
        Op::KthLargest { args: [value, _], .. } => {
            let range = ranges[value].hull();
            // -0 becomes +0; over nothing it is NaN, or the smallest integer.
            let nothing = if node.dtype == DType::I32 { Range::any(node.dtype) } else { range.or_nan(true) };
            Range { zero: true, ..nothing }
        }
        Op::Slice { value, .. } | Op::Broadcast(value) | Op::Rename { value, .. } => ranges[value],
        // In a later step it may be anything.
        Op::Carry { .. } | Op::Final { .. } => Range::any(node.dtype),
        Op::Step(_) => Range::new(0.0, f64::from(i32::MAX)),
        Op::Gather { ref args, .. } => ranges[args[0]].union(Range::new(0.0, 0.0)),
        Op::Stack { ref values, .. } => {
            values.iter().map(|&value| ranges[value]).reduce(Range::union).unwrap_or(Range::any(node.dtype))
        }
    }
}

fn of_constant(constant: Constant) -> Range {
    let value = constant.value();
    match value.is_nan() {
        true => Range { zero: true, ..Range::new(0.0, 0.0) }.or_nan(true),
        false => Range::new(value, value),
    }
}

fn of_convert(from: Range, dtype: DType) -> Range {
    let end = |value: f64| arith::convert(Constant::new(DType::F64, value), dtype).value();
    match dtype {
        DType::F32 | DType::F64 | DType::F16 | DType::BF16 => {
            Range { lo: end(from.lo), hi: end(from.hi), ..from }
        }
        DType::I32 | DType::I8 | DType::U8 => {
            let range = Range::new(end(from.lo), end(from.hi));
            if from.nan { range.union(Range::new(0.0, 0.0)) } else { range }
        }
        DType::Bool => Range::any(dtype),
    }
}

/// A reduction of elements in `of` over `dims`.
fn of_reduce(graph: &Graph, node: &Node, reduction: Reduction, of: Range, dims: DimSet) -> Range {
    let of = of.hull();
    let fixed =
        dims.iter().map(|dim| graph.dims[dim].fixed().filter(|&size| size > 0)).collect::<Option<Vec<_>>>();
    let most = match &fixed {
        Some(sizes) => sizes.iter().fold(1.0, |product, &size| product * size as f64),
        None => MOST_ELEMENTS,
    };
    let identity = of_constant(Constant::new(node.dtype, reduction.identity()));
    match reduction {
        Reduction::Sum if node.dtype.is_float() => of_sum(graph, node, of, most),
        Reduction::Prod if node.dtype.is_float() && of.lo >= 0.0 => {
            let hi = if of.hi <= 1.0 { 1.0 } else { f64::INFINITY };
            Range::new(0.0, hi).or_nan(of.nan || of.hi == f64::INFINITY || hi > 1.0)
        }
        Reduction::Sum | Reduction::Prod => Range::any(node.dtype),
        Reduction::Max | Reduction::Min if fixed.is_some() => of,
        Reduction::Max | Reduction::Min => of.union(identity),
        // A NaN may be passed over; if there is nothing else the identity remains.
        Reduction::SelMax | Reduction::SelMin => {
            let range = if fixed.is_some() && !of.nan { of } else { of.union(identity) };
            Range { nan: false, ..range }
        }
    }
}

/// A scan of elements in `of`: what a reduction may be, or its identity.
fn of_scan(graph: &Graph, node: &Node, scan: Scan, of: Range, dim: DimId) -> Range {
    let whole = of_reduce(graph, node, scan.reduction, of, DimSet::one(dim));
    let start = of_constant(Constant::new(node.dtype, scan.reduction.identity()));
    // A part of a sum or product may be what the whole is not: nearer to the start, or an infinity that cancels.
    whole.union(of.hull()).union(start)
}

/// The sum of at most `most` elements in `of`. Rounding is monotone, so a sum of non-negative terms is not below any of
/// them.
fn of_sum(graph: &Graph, node: &Node, of: Range, most: f64) -> Range {
    // Twice: more than all roundings together can add.
    let bound = |end: f64| if end == 0.0 { 0.0 } else { (end * most * 2.0).clamp(-f64::MAX, f64::MAX) };
    let largest = if node.dtype == DType::F32 { f64::from(f32::MAX) } else { f64::MAX };
    let finite = |end: f64| {
        if end.is_finite() && bound(end).abs() < largest { bound(end) } else { end.signum() * f64::INFINITY }
    };
    let lo = if of.lo >= 0.0 { 0.0 } else { finite(of.lo) };
    let hi = if of.hi <= 0.0 { 0.0 } else { finite(of.hi) };
    let range = Range::new(lo, hi).or_nan(of.nan || (lo == f64::NEG_INFINITY && hi == f64::INFINITY));
    match is_shifted_exp_sum(graph, &node.op) {
        true => Range { lo: 1.0, hi: hi.max(1.0), zero: true, nan: range.nan },
        false => range,
    }
}

/// A product, of a number with itself maybe.
fn of_product(a: NodeId, b: NodeId, dtype: DType, ranges: &PrimaryMap<NodeId, Range>) -> Range {
    let range = corners(Prim::Mul, dtype, &[ranges[a].hull(), ranges[b].hull()]);
    if a != b {
        return range;
    }
    // No 0 * inf, and never negative.
    Range { nan: ranges[a].nan, ..range.meet(0.0, f64::INFINITY) }
}

/// A function that is monotone in each operand, from its values where the intervals end. Where one is NaN (0 * inf, inf -
/// inf), the result may be, and nothing is known but the sign of a product.
fn corners(prim: Prim, dtype: DType, args: &[Range]) -> Range {
    let mut range = Range::new(f64::INFINITY, f64::NEG_INFINITY);
    for choice in 0..1u32 << args.len() {
        let ends: Vec<f64> = args
            .iter()
            .enumerate()
            .map(|(i, arg)| if choice >> i & 1 == 0 { arg.lo } else { arg.hi })
            .collect();
        match arith::on(prim, dtype, &ends) {
            Some(end) if !end.is_nan() => {
                range = Range { nan: range.nan, ..range.union(Range::new(end, end)) }
            }
            Some(_) if prim == Prim::Mul => range = range.union(Range::new(0.0, 0.0)).or_nan(true),
            _ => return Range::any(dtype),
        }
    }
    // Inside the intervals there may be a 0 and an infinity although no pair of ends is.
    let infinite = args.iter().any(|arg| arg.may_be_infinite());
    let zero = args.iter().any(|arg| arg.lo <= 0.0 && arg.hi >= 0.0);
    range.or_nan(args.iter().any(|arg| arg.nan) || (prim == Prim::Mul && infinite && zero))
}

fn of_prim(
    graph: &Graph,
    node: &Node,
    prim: Prim,
    args: &[NodeId],
    ranges: &PrimaryMap<NodeId, Range>,
) -> Range {
    let of: Vec<Range> = args.iter().map(|&arg| ranges[arg].hull()).collect();
    let nan = of.iter().any(|range| range.nan);
    let any = Range::any(node.dtype);
    match prim {
        Prim::Select => of[1].union(of[2]),
        Prim::Max | Prim::SelMax => {
            Range::new(of[0].lo.max(of[1].lo), of[0].hi.max(of[1].hi)).or_nan(nan).sel(prim, &of)
        }
        Prim::Min | Prim::SelMin => {
            Range::new(of[0].lo.min(of[1].lo), of[0].hi.min(of[1].hi)).or_nan(nan).sel(prim, &of)
        }
        _ if matches!(prim.typing(), Typing::Compare | Typing::Logic) => any,
        _ if !node.dtype.is_float() => of_integer(prim, &of),
        Prim::Add | Prim::Sub => {
            let range = sum_ends(prim, node.dtype, of[0], of[1]);
            match prim == Prim::Sub && is_upper_bound(graph, args[1], args[0]) {
                true => range.meet(f64::NEG_INFINITY, 0.0),
                false => range,
            }
        }
        Prim::Mul => of_product(args[0], args[1], node.dtype, ranges),
        Prim::Div => of_quotient(node.dtype, of[0], of[1]),
        Prim::Fma => {
            let product = of_product(args[0], args[1], node.dtype, ranges);
            let nan = sum_ends(Prim::Add, node.dtype, product, of[2]).nan;
            match () {
                () if product.lo >= 0.0 && of[2].lo >= 0.0 => Range::new(0.0, f64::INFINITY).or_nan(nan),
                () if product.hi <= 0.0 && of[2].hi <= 0.0 => Range::new(f64::NEG_INFINITY, 0.0).or_nan(nan),
                () => any.or_nan(nan),
            }
        }
        Prim::Neg => Range::new(-of[0].hi, -of[0].lo).or_nan(nan),
        Prim::Abs => of_abs(of[0]),
        Prim::Sqrt => {
            let lo = arith::on(prim, node.dtype, &[of[0].lo.max(0.0)]).unwrap_or(0.0);
            let hi = arith::on(prim, node.dtype, &[of[0].hi.max(0.0)]).unwrap_or(f64::INFINITY);
            Range::new(lo, hi).or_nan(nan || of[0].lo < 0.0)
        }
        Prim::Floor | Prim::Ceil | Prim::Trunc | Prim::Round => corners(prim, node.dtype, &of),
        Prim::CopySign => {
            let most = of_abs(of[0]).hi;
            Range::new(-most, most).or_nan(nan)
        }
        _ => of_elementary(prim, &of, any).or_nan(nan),
    }
}

impl Range {
    /// A machine's maximum or minimum gives the second operand, whatever it is, where the first is NaN.
    fn sel(self, prim: Prim, of: &[Range]) -> Range {
        match prim {
            Prim::SelMax | Prim::SelMin => {
                let range = if of[0].nan { self.union(of[1]) } else { self };
                Range { nan: of[1].nan, ..range }
            }
            _ => self,
        }
    }
}

/// A sum or difference.
fn sum_ends(prim: Prim, dtype: DType, a: Range, b: Range) -> Range {
    let b = if prim == Prim::Sub { Range::new(-b.hi, -b.lo).or_nan(b.nan) } else { b };
    let end = |x: f64, y: f64, else_: f64| {
        arith::on(Prim::Add, dtype, &[x, y]).filter(|end| !end.is_nan()).unwrap_or(else_)
    };
    let opposite = |a: Range, b: Range| a.lo == f64::NEG_INFINITY && b.hi == f64::INFINITY;
    Range::new(end(a.lo, b.lo, f64::NEG_INFINITY), end(a.hi, b.hi, f64::INFINITY))
        .or_nan(a.nan || b.nan || opposite(a, b) || opposite(b, a))
}

fn of_quotient(dtype: DType, a: Range, b: Range) -> Range {
    let infinite = a.may_be_infinite() && b.may_be_infinite();
    let positive = |range: Range| range.lo > 0.0;
    if (positive(b) || b.hi < 0.0) && !infinite {
        return corners(Prim::Div, dtype, &[a, b]);
    }
    match a.lo >= 0.0 && positive(b) {
        true => Range::new(0.0, f64::INFINITY).or_nan(true),
        false => Range::any(dtype),
    }
}

fn of_abs(a: Range) -> Range {
    let lo = if a.lo <= 0.0 && a.hi >= 0.0 { 0.0 } else { a.lo.abs().min(a.hi.abs()) };
    Range::new(lo, a.lo.abs().max(a.hi.abs())).or_nan(a.nan)
}

/// Integers: exact if they don't wrap.
fn of_integer(prim: Prim, of: &[Range]) -> Range {
    let any = Range::any(DType::I32);
    let range = match (prim, of) {
        (Prim::Add | Prim::Sub | Prim::Mul, _) => corners(prim, DType::F64, of),
        (Prim::Neg, &[a]) => Range::new(-a.hi, -a.lo),
        (Prim::Abs, &[a]) => of_abs(a),
        _ => any,
    };
    if range.lo >= any.lo && range.hi <= any.hi { range } else { any }
}

/// What is known of an elementary function; NaN operands aside.
fn of_elementary(prim: Prim, of: &[Range], any: Range) -> Range {
    let a = of[0];
    let inf = f64::INFINITY;
    let known = |lo: f64, hi: f64| Range::new(lo, hi);
    let odd = |most: f64| match () {
        () if a.lo >= 0.0 => known(0.0, most),
        () if a.hi <= 0.0 => known(-most, 0.0),
        () => known(-most, most),
    };
    match prim {
        Prim::Exp | Prim::Exp2 if a.lo >= 0.0 => known(1.0, inf),
        Prim::Exp | Prim::Exp2 | Prim::ExpNonpos => known(0.0, if a.hi <= 0.0 { 1.0 } else { inf }),
        Prim::Expm1 => match () {
            () if a.lo >= 0.0 => known(0.0, inf),
            () => known(-1.0, if a.hi <= 0.0 { 0.0 } else { inf }),
        },
        Prim::Log | Prim::Log2 | Prim::Log10 if a.lo >= 1.0 => known(0.0, inf),
        Prim::Log | Prim::Log2 | Prim::Log10 => {
            known(-inf, if a.hi <= 1.0 { 0.0 } else { inf }).or_nan(a.lo < 0.0)
        }
        Prim::Log1p if a.lo >= 0.0 => known(0.0, inf),
        Prim::Log1p => known(-inf, if a.hi <= 0.0 { 0.0 } else { inf }).or_nan(a.lo < -1.0),
        Prim::Tanh | Prim::Erf => odd(1.0),
        Prim::Cbrt | Prim::Sinh | Prim::Asinh => odd(inf),
        Prim::Atan => odd(2.0),
        Prim::Sigmoid => known(0.0, 1.0),
        Prim::Erfc | Prim::OnePlusErf => known(0.0, 2.0),
        Prim::Gelu => known(-0.5, a.hi.max(0.0)).or_nan(a.lo == -inf),
        Prim::Sin | Prim::Cos => known(-1.0, 1.0).or_nan(a.may_be_infinite()),
        Prim::Cosh => known(1.0, inf),
        Prim::Hypot => known(0.0, inf),
        // 1 / sqrt(-0) is -inf.
        Prim::Rsqrt if a.lo > 0.0 => known(0.0, inf),
        Prim::Pow if a.lo > 0.0 => known(0.0, inf),
        Prim::Asin => known(-2.0, 2.0).or_nan(a.lo < -1.0 || a.hi > 1.0),
        Prim::Acos => known(0.0, 4.0).or_nan(a.lo < -1.0 || a.hi > 1.0),
        _ => any,
    }
}
