//! Simplification: named rewrite rules, each one direction, one line in [`RULES`].
//!
//! **A rule is exact**: the same number, infinity or signed zero for every operand, NaN where the other is NaN. So there is
//! no rule for `x + 0` (`-0 + 0` is `0`), and none reassociates. The exceptions are those that the language's numerics
//! name: `reciprocal`, `pow-whole`, and identities that avoid a cancellation: `one-plus-erf`, `one-plus-tanh`,
//! `log-one-plus`, and what is left of them, `half-times-double`.
//!
//! A node's operands are simplified before it; what a rule makes is looked at again. Needs nothing, better after fold
//! and cse (operands are compared by name); leaves nodes unused (dce), and constants that fold may join.

use super::arith;
use super::ranges::Ranges;
use super::rewrite::{constant, rebuild, spread};
use crate::diag::Span;
use crate::graph::verify::converts;
use crate::graph::{Constant, Graph, Node, NodeId, Op};
use crate::ops::Prim;
use crate::types::DType;

/// The pass.
pub fn run(graph: &mut Graph) {
    rewrites(graph);
}

/// The pass; the rules that it applied, in order, with the text that each was applied to.
pub fn rewrites(graph: &mut Graph) -> Vec<(&'static Rule, Span)> {
    let mut applied = Vec::new();
    let mut ranges = Ranges::default();
    rebuild(graph, |graph, _, mut node| {
        for _ in 0..MAX_STEPS {
            ranges.extend(graph);
            let mut site = Site { graph, ranges: &ranges, span: node.span };
            let Some((rule, becomes)) = first_match(&mut site, &node) else { break };
            applied.push((rule, node.span));
            match becomes {
                Value(value) => return spread(graph, value, node.dims, node.span),
                Other(op) => node.op = op,
            }
            let dims = graph.natural_dims(&node.op);
            if dims != node.dims && !matches!(node.op, Op::Broadcast(_)) {
                let value = graph.add(node.op, node.dtype, node.span);
                return spread(graph, value, node.dims, node.span);
            }
        }
        graph.nodes.push(node)
    });
    applied
}

/// So many rules are applied to one node, at most.
const MAX_STEPS: usize = 16;

fn first_match(site: &mut Site<'_>, node: &Node) -> Option<(&'static Rule, Becomes)> {
    RULES.iter().find_map(|rule| Some((rule, (rule.apply)(site, node)?)))
}

/// A rewrite rule.
pub struct Rule {
    /// Its name, as `explain` shows it.
    pub name: &'static str,
    /// What it does.
    pub doc: &'static str,
    apply: fn(&mut Site<'_>, &Node) -> Option<Becomes>,
}

impl std::fmt::Debug for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// What takes a node's place.
enum Becomes {
    /// A node that is there, with all or some of the dimensions.
    Value(NodeId),
    /// Another operation.
    Op(Op),
}

use Becomes::{Op as Other, Value};

macro_rules! rules {
    ($($name:literal $doc:literal $apply:expr;)*) => {
        /// The rules, in the order in which they are tried.
        pub const RULES: &[Rule] = &[$(Rule { name: $name, doc: $doc, apply: $apply }),*];
    };
}

rules! {
    "mul-one" "x * 1 = x" |s, n| { let (a, b) = s.either(n, Prim::Mul)?; s.is(b, 1.0).then_some(Value(a)) };
    "mul-minus-one" "x * -1 = -x" |s, n| { let (a, b) = s.either(n, Prim::Mul)?; s.is(b, -1.0).then(|| un(Prim::Neg, a)) };
    "div-one" "x / 1 = x" |s, n| { let (a, b) = two(n, Prim::Div)?; s.is(b, 1.0).then_some(Value(a)) };
    "div-minus-one" "x / -1 = -x" |s, n| { let (a, b) = two(n, Prim::Div)?; s.is(b, -1.0).then(|| un(Prim::Neg, a)) };
    "sub-zero" "x - 0 = x" |s, n| { let (a, b) = two(n, Prim::Sub)?; s.is(b, 0.0).then_some(Value(a)) };
    "add-minus-zero" "x + -0 = x (integers: x + 0)" |s, n| { let (a, b) = s.either(n, Prim::Add)?; s.is(b, s.add_identity(b)).then_some(Value(a)) };
    "add-neg" "a + -b = a - b" |s, n| s.sum_with_negative(n);
    "sub-neg" "a - -b = a + b" |s, n| { let (a, b) = two(n, Prim::Sub)?; Some(bin(Prim::Add, a, s.un(b, Prim::Neg)?)) };
    "mul-neg-neg" "-a * -b = a * b" |s, n| { let (a, b) = two(n, Prim::Mul)?; Some(bin(Prim::Mul, s.un(a, Prim::Neg)?, s.un(b, Prim::Neg)?)) };
    "div-neg-neg" "-a / -b = a / b" |s, n| { let (a, b) = two(n, Prim::Div)?; Some(bin(Prim::Div, s.un(a, Prim::Neg)?, s.un(b, Prim::Neg)?)) };
    "neg-neg" "--x = x" |s, n| Some(Value(s.un(one(n, Prim::Neg)?, Prim::Neg)?));
    "abs-neg" "|-x| = |x|" |s, n| Some(un(Prim::Abs, s.un(one(n, Prim::Abs)?, Prim::Neg)?));
    "abs-abs" "||x|| = |x|" |s, n| { let a = one(n, Prim::Abs)?; s.un(a, Prim::Abs).map(|_| Value(a)) };
    "square-abs" "|x| * |x| = x * x" |s, n| { let (a, b) = two(n, Prim::Mul)?; let x = s.un(a, Prim::Abs)?; (a == b).then(|| bin(Prim::Mul, x, x)) };
    "same" "max(x, x) = x, likewise min, and, or" |_, n| same_operands(n);
    "not-not" "!!x = x" |s, n| Some(Value(s.un(one(n, Prim::Not)?, Prim::Not)?));
    "not-eq" "!(a == b) = (a != b), and the other way round" |s, n| s.negated_equality(one(n, Prim::Not)?);
    "and-const" "x && true = x, x && false = false" |s, n| { let (a, b) = s.either(n, Prim::And)?; let c = s.constant(b)?; Some(Value(if c == 1.0 { a } else { b })) };
    "or-const" "x || false = x, x || true = true" |s, n| { let (a, b) = s.either(n, Prim::Or)?; let c = s.constant(b)?; Some(Value(if c == 0.0 { a } else { b })) };
    "select-same" "select(c, x, x) = x" |_, n| { let [_, a, b] = three(n, Prim::Select)?; (a == b).then_some(Value(a)) };
    "select-not" "select(!c, a, b) = select(c, b, a)" |s, n| { let [c, a, b] = three(n, Prim::Select)?; Some(Other(Op::Prim(Prim::Select, vec![s.un(c, Prim::Not)?, b, a]))) };
    "convert-convert" "the inner of two conversions goes if it is exact" |s, n| s.converted_twice(n);
    "div-power-of-two" "x / 2^k = x * 2^-k" |s, n| { let (a, b) = two(n, Prim::Div)?; Some(bin(Prim::Mul, a, s.exact_reciprocal(b)?)) };
    "reciprocal" "a / b = a * (1 / b) where b lacks a dimension of a and 2^-126 <= |b| <= 2^126 (or b is 0): at most 1.5 ulp" |s, n| s.reciprocal(n);
    "pow-whole" "x^n for whole |n| <= 16 is a product by squaring from the lowest bit, or 1 over it" |s, n| s.whole_power(n);
    "one-plus-erf" "1 + erf(x), one function in f32: nothing cancels, at most 7.1 * 2^-24 from the exact sum" |s, n| { let (a, b) = s.either(n, Prim::Add)?; let x = s.un(a, Prim::Erf)?; (s.is(b, 1.0) && n.dtype == DType::F32).then(|| un(Prim::OnePlusErf, x)) };
    "gelu" "x * 0.5 * (1 + erf(x * sqrt(0.5))), multiplied in any order: one function in f32, at most 1.95 * 2^-24 of |x| from the exact one" |s, n| s.gelu(n);
    "one-plus-tanh" "1 + tanh(x) = 2 * sigmoid(2 * x): nothing cancels" |s, n| s.one_plus_tanh(n);
    "log-one-plus" "log(1 + x) = log1p(x): no digit of a small x is lost" |s, n| { let (x, one) = s.either(s.node(one(n, Prim::Log)?), Prim::Add)?; s.is(one, 1.0).then(|| un(Prim::Log1p, x)) };
    "half-times-double" "(x * 0.5) * (y * 2) = x * y: the same but where the half is subnormal or the double overflows" |s, n| s.half_times_double(n);
    "broadcast-operand" "f(repeated x) = repeated f(x); an operand need not be repeated along dimensions that another one has" |s, n| s.bare_operands(n);
    "broadcast-broadcast" "repeated twice is repeated once" |s, n| match n.op { Op::Broadcast(a) => s.source(a).map(|a| Other(Op::Broadcast(a))), _ => None };
    "slice-stack" "a position of a stack is the value there" |s, n| s.sliced_stack(n);
}

/// The operands of a function of one.
fn one(node: &Node, prim: Prim) -> Option<NodeId> {
    match &node.op {
        Op::Prim(other, args) if *other == prim => Some(args[0]),
        _ => None,
    }
}

/// The operands of a function of two.
fn two(node: &Node, prim: Prim) -> Option<(NodeId, NodeId)> {
    match &node.op {
        Op::Prim(other, args) if *other == prim => Some((args[0], args[1])),
        _ => None,
    }
}

/// The operands of a function of three.
fn three(node: &Node, prim: Prim) -> Option<[NodeId; 3]> {
    match &node.op {
        Op::Prim(other, args) if *other == prim => Some([args[0], args[1], args[2]]),
        _ => None,
    }
}

fn un(prim: Prim, a: NodeId) -> Becomes {
    Other(Op::Prim(prim, vec![a]))
}

fn bin(prim: Prim, a: NodeId, b: NodeId) -> Becomes {
    Other(Op::Prim(prim, vec![a, b]))
}

fn same_operands(node: &Node) -> Option<Becomes> {
    match &node.op {
        Op::Prim(Prim::Max | Prim::Min | Prim::SelMax | Prim::SelMin | Prim::And | Prim::Or, args) => {
            (args[0] == args[1]).then_some(Value(args[0]))
        }
        _ => None,
    }
}

/// What a rule may look at, and add nodes to.
struct Site<'a> {
    graph: &'a mut Graph,
    /// Of the nodes that were there before the rule.
    ranges: &'a Ranges,
    span: Span,
}

impl Site<'_> {
    fn node(&self, id: NodeId) -> &Node {
        &self.graph.nodes[id]
    }

    fn add(&mut self, op: Op, dtype: DType) -> NodeId {
        self.graph.add(op, dtype, self.span)
    }

    /// The operand, if `id` is that function of it.
    fn un(&self, id: NodeId, prim: Prim) -> Option<NodeId> {
        one(self.node(id), prim)
    }

    /// The two operands of a commuting function, a constant second.
    fn either(&self, node: &Node, prim: Prim) -> Option<(NodeId, NodeId)> {
        let (a, b) = two(node, prim)?;
        Some(if self.constant(a).is_some() { (b, a) } else { (a, b) })
    }

    /// The number that a node is, repeated or not.
    fn constant(&self, id: NodeId) -> Option<f64> {
        let id = self.source(id).unwrap_or(id);
        constant(self.graph, id).map(Constant::value)
    }

    /// Whether a node is that number, of that sign if it is zero.
    fn is(&self, id: NodeId, value: f64) -> bool {
        self.constant(id).is_some_and(|own| own.to_bits() == value.to_bits())
    }

    /// What leaves every number of a node's dtype as it is when added.
    fn add_identity(&self, id: NodeId) -> f64 {
        if self.node(id).dtype.is_float() { -0.0 } else { 0.0 }
    }

    /// What a node repeats.
    fn source(&self, id: NodeId) -> Option<NodeId> {
        match self.node(id).op {
            Op::Broadcast(value) => Some(value),
            _ => None,
        }
    }

    fn sum_with_negative(&self, node: &Node) -> Option<Becomes> {
        let (a, b) = two(node, Prim::Add)?;
        match self.un(b, Prim::Neg) {
            Some(b) => Some(bin(Prim::Sub, a, b)),
            None => self.un(a, Prim::Neg).map(|a| bin(Prim::Sub, b, a)),
        }
    }

    fn negated_equality(&self, id: NodeId) -> Option<Becomes> {
        match &self.node(id).op {
            Op::Prim(Prim::Eq, args) => Some(bin(Prim::Ne, args[0], args[1])),
            Op::Prim(Prim::Ne, args) => Some(bin(Prim::Eq, args[0], args[1])),
            _ => None,
        }
    }

    fn converted_twice(&self, node: &Node) -> Option<Becomes> {
        let Op::Convert(middle) = node.op else { return None };
        if self.node(middle).dtype == node.dtype {
            return Some(Value(middle));
        }
        let Op::Convert(inner) = self.node(middle).op else { return None };
        let from = self.node(inner).dtype;
        let exact = match (from, self.node(middle).dtype) {
            (DType::Bool, _) | (DType::F32 | DType::I32, DType::F64) => true,
            // What memory holds, computed with in no way.
            (from, middle) if from.is_storage() => from == node.dtype && middle == from.arithmetic(),
            (from, to) => from == to,
        };
        match exact && (from == node.dtype || converts(from, node.dtype)) {
            true if from == node.dtype => Some(Value(inner)),
            true => Some(Other(Op::Convert(inner))),
            false => None,
        }
    }

    /// 1 over a constant power of two, if both are normal numbers.
    fn exact_reciprocal(&mut self, id: NodeId) -> Option<NodeId> {
        let value = self.constant(id)?;
        let dtype = self.node(id).dtype;
        let reciprocal = arith::on(Prim::Div, dtype, &[1.0, value])?;
        let least = if dtype == DType::F32 { f64::from(f32::MIN_POSITIVE) } else { f64::MIN_POSITIVE };
        let is_power = value.is_normal() && value.to_bits().trailing_zeros() >= 52;
        let both_normal = value.abs() >= least && reciprocal.abs() >= least && reciprocal.is_finite();
        (is_power && both_normal).then(|| self.add(Op::Const(Constant::new(dtype, reciprocal)), dtype))
    }

    /// The divisor is inverted once for all places that share it. Where it is 0 (a sum of nothing), NaN or infinite, both
    /// forms give the same.
    fn reciprocal(&mut self, node: &Node) -> Option<Becomes> {
        let (a, b) = two(node, Prim::Div)?;
        let b = self.source(b).unwrap_or(b);
        let shared = !self.node(a).dims.is_subset(self.node(b).dims);
        let bound = 2f64.powi(126);
        if !shared || !self.ranges[b].magnitude_within(1.0 / bound, bound) {
            return None;
        }
        let one = self.add(Op::Const(Constant::new(node.dtype, 1.0)), node.dtype);
        let inverse = self.add(Op::Prim(Prim::Div, vec![one, b]), node.dtype);
        Some(bin(Prim::Mul, a, inverse))
    }

    fn half_times_double(&mut self, node: &Node) -> Option<Becomes> {
        let (a, b) = two(node, Prim::Mul)?;
        let factor = |site: &Self, id: NodeId, factor: f64| {
            let (x, k) = site.either(site.node(id), Prim::Mul)?;
            site.is(k, factor).then_some(x)
        };
        let pair = |site: &Self, half, double| Some((factor(site, half, 0.5)?, factor(site, double, 2.0)?));
        if let Some((x, y)) = pair(self, a, b) {
            return Some(bin(Prim::Mul, x, y));
        }
        pair(self, b, a).map(|(y, x)| bin(Prim::Mul, x, y))
    }

    /// Also with x / sqrt(2).
    fn gelu(&self, node: &Node) -> Option<Becomes> {
        let (a, b) = self.either(node, Prim::Mul).filter(|_| node.dtype == DType::F32)?;
        let product = |id: NodeId| self.either(self.node(id), Prim::Mul);
        let near = |id: NodeId, root: f64| self.constant(id).is_some_and(|k| (k / root - 1.0).abs() < 1e-7);
        let of = |factors: [NodeId; 3]| {
            let half = factors.iter().position(|&factor| self.is(factor, 0.5))?;
            let (wide, u) = (0..3).find_map(|at| Some((at, self.un(factors[at], Prim::OnePlusErf)?)))?;
            let x = factors[3 - half - wide];
            let scaled = match (product(u), two(self.node(u), Prim::Div)) {
                (Some((y, k)), _) => y == x && near(k, 0.5f64.sqrt()),
                (_, Some((y, k))) => y == x && near(k, 2f64.sqrt()),
                _ => false,
            };
            scaled.then(|| un(Prim::Gelu, x))
        };
        let apart = |(x, y), rest| of([x, y, rest]);
        product(a).and_then(|pair| apart(pair, b)).or_else(|| product(b).and_then(|pair| apart(pair, a)))
    }

    fn one_plus_tanh(&mut self, node: &Node) -> Option<Becomes> {
        let (a, b) = self.either(node, Prim::Add)?;
        let x = self.un(a, Prim::Tanh).filter(|_| self.is(b, 1.0))?;
        let two = self.add(Op::Const(Constant::new(node.dtype, 2.0)), node.dtype);
        let twice = self.add(Op::Prim(Prim::Mul, vec![x, two]), node.dtype);
        let sigmoid = self.add(Op::Prim(Prim::Sigmoid, vec![twice]), node.dtype);
        Some(bin(Prim::Mul, sigmoid, two))
    }

    fn whole_power(&mut self, node: &Node) -> Option<Becomes> {
        let (x, y) = two(node, Prim::Pow)?;
        let n = self.constant(y).filter(|n| n.fract() == 0.0 && n.abs() <= 16.0)?;
        let dtype = node.dtype;
        if n == 0.0 {
            return Some(Value(self.add(Op::Const(Constant::new(dtype, 1.0)), dtype)));
        }
        let power = self.product_by_squaring(x, n.abs() as u32, dtype);
        if n > 0.0 {
            return Some(Value(power));
        }
        let one = self.add(Op::Const(Constant::new(dtype, 1.0)), dtype);
        Some(bin(Prim::Div, one, power))
    }

    /// `x^n`: `x^3` is `x * (x*x)`.
    fn product_by_squaring(&mut self, x: NodeId, n: u32, dtype: DType) -> NodeId {
        let mut square = x;
        let mut power = None;
        for bit in 0..=n.ilog2() {
            if bit > 0 {
                square = self.add(Op::Prim(Prim::Mul, vec![square, square]), dtype);
            }
            if n >> bit & 1 == 1 {
                power = Some(match power {
                    None => square,
                    Some(power) => self.add(Op::Prim(Prim::Mul, vec![power, square]), dtype),
                });
            }
        }
        power.expect("n has a bit")
    }

    /// A function of operands of which some are repeated; if it lacks dimensions without that, its result is repeated.
    fn bare_operands(&self, node: &Node) -> Option<Becomes> {
        let Op::Prim(prim, args) = &node.op else { return None };
        let bare: Vec<NodeId> = args.iter().map(|&arg| self.source(arg).unwrap_or(arg)).collect();
        (bare != *args).then_some(Other(Op::Prim(*prim, bare)))
    }

    fn sliced_stack(&self, node: &Node) -> Option<Becomes> {
        let Op::Slice { value, dim, at } = node.op else { return None };
        match &self.node(value).op {
            Op::Stack { dim: made, values } if *made == dim => Some(Value(values[at as usize])),
            _ => None,
        }
    }
}
