//! Stabilisation: quotients, products, powers and logarithms of exponentials are computed from shifted ones, so that nothing overflows
//! where the result is a number.
//!
//! What a value is made of, the analysis [`scale`](super::scale) says. Where a form has no free degree left, that is where it is divided by a sum of
//! exponentials or its logarithm is taken, each sum is replaced by `exp(m) * sum(weight * exp(u - m))` with `m` the maximum of all its `u`
//! (0 where that is `-inf`, if it could show), and the `m` are added up in exponents. A summand that has the value 1 counts as `exp(0)`, a weight that may be 0 as
//! `u = -inf` there. The terms of a dividend that are those of the divisor share its `m`. A sum that has less dimensions than another term keeps an `m` of its own.
//!
//! | text | becomes |
//! |---|---|
//! | `exp(x) / sum(exp(x))` | `exp(x - m) / sum(exp(x - m))` |
//! | `log(sum(exp(x)))` | `m + log(sum(exp(x - m)))`; `inf` where `m` is |
//! | `log(1 + exp(x))` | `max(x, 0) + log1p(exp(-abs(x)))` |
//! | `log(exp(a) + exp(b))` | `max(a, b) + log1p(exp(-abs(a - b)))` |
//! | `log(1 - exp(x))` | `log(-expm1(x))`, below `-log 2` `log1p(-exp(x))` |
//! | `exp(a) / (exp(a) + exp(b))` | `sigmoid(a - b)` |
//! | `(exp(a) - exp(b)) / (exp(a) + exp(b))` | `tanh((a - b) / 2)` |
//! | `exp(x) - 1`, `1 - erf(x)`, `1 - sigmoid(x)` … | `expm1(x)`, `erfc(x)`, `sigmoid(-x)`: nothing cancels |
//! | `sum(exp(x)) ^ p` | `exp(p m) * sum(exp(x - m)) ^ p`; by the logarithm if `p` is no constant |
//! | `sum(exp(x)) > 0` | of the shifted sum |
//! | `tanh(log(1 + exp(x)))` | a quotient of `exp(-abs(x))` |
//! | `sqrt(sum(x^2))` | `m * sqrt(sum((x / m)^2))` with `m` the maximum of `abs(x)` |
//! | `log(sigmoid(x))`, `log(cosh(x))` | as `log` of what they stand for |
//!
//! Where a quotient or a logarithm can't be made safe there is a [`Doubt`].
//!
//! Needs fold and cse (a number is a constant, the same expression one node); runs before `unroll`, while a reduction is still one. Leaves what it replaced
//! unused (dce), and nodes that cse joins.

use std::rc::Rc;

use rustc_hash::FxHashMap;

use super::rewrite::{constant, rebuild, spread};
use super::scale::{Atom, Factor, Form, Lin, Scale, Scales, Term, Weight, add_atom, lin_dims, weight_dims};
use crate::diag::Span;
use crate::graph::{Constant, Graph, NodeId, Op};
use crate::ops::{Prim, Reduction};
use crate::types::{DType, DimSet};

/// A place that may give NaN or infinity where the formula has a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// The text.
    pub span: Span,
    /// Why, in one sentence without a full stop.
    pub why: &'static str,
}

/// A rewrite that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rewrite {
    /// The text.
    pub span: Span,
    /// What was done, in one phrase.
    pub what: &'static str,
}

/// What the pass did, and could not do.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// What was rewritten, in order.
    pub rewrites: Vec<Rewrite>,
    /// What remains in doubt.
    pub doubts: Vec<Doubt>,
}

impl Report {
    /// Whether anything was done to exponentials or norms over a dimension.
    pub fn shifts_reductions(&self) -> bool {
        self.rewrites.iter().any(|rewrite| [SHIFTED, IN_LOG, SCALED].contains(&rewrite.what))
    }
}

/// The pass.
pub fn run(graph: &mut Graph) {
    stabilise(graph);
}

/// The pass, with a report.
pub fn stabilise(graph: &mut Graph) -> Report {
    let mut report = Report::default();
    let mut scales = Scales::default();
    let mut logs = FxHashMap::default();
    let counts = graph.use_counts();
    let mut uses = FxHashMap::default();
    rebuild(graph, |graph, old, node| {
        let (dims, span) = (node.dims, node.span);
        let naive = graph.nodes.push(node);
        uses.insert(naive, counts[old]);
        scales.extend(graph);
        let dtype = operand_dtype(graph, naive);
        let mut site = Site { graph, scales: &scales, logs: &logs, uses: &uses, dtype, span };
        let Some((what, value)) = site.safe(naive) else {
            if let Some(why) = site.doubt(naive) {
                report.doubts.push(Doubt { span, why });
            }
            return naive;
        };
        report.rewrites.push(Rewrite { span, what });
        let value = spread(graph, value, dims, span);
        uses.insert(value, counts[old]);
        scales.extend(graph);
        if let Op::Prim(Prim::Log, args) = &graph.nodes[naive].op
            && let Some(form) = scales.form(args[0])
        {
            logs.insert(value, form.clone());
        }
        if value > naive
            && let Some(form) = scales.form(naive)
        {
            scales.set(value, Scale::Form(form.clone()));
        }
        value
    });
    report
}

/// What the pass would do to a graph as `sema` made it. Runs the passes before it on a copy.
pub fn report(graph: &Graph) -> Report {
    let mut graph = graph.clone();
    for pass in super::PASSES.iter().take_while(|pass| pass.name != "stabilise") {
        (pass.run)(&mut graph);
    }
    stabilise(&mut graph)
}

const SHIFTED: &str = "exponentials are shifted by their maximum";
const IN_LOG: &str = "the logarithm is taken of exponentials shifted by their maximum";
const TWO_SIDED: &str = "the form that overflows on neither side";
const CANCELS: &str = "a form that does not cancel";
const SCALED: &str = "a norm of elements divided by the largest";

/// The exponent and the weight of a term, the node that is the exponent or, where the weight is 0, `-inf`; how many times it counts.
type Mask = (Lin, Weight, NodeId, f64);

/// A sum of exponentials, taken apart.
struct Frozen {
    /// The largest exponent, over `times`.
    max: NodeId,
    /// What is subtracted: that, or 0 where it is `-inf` and that could show.
    shift: NodeId,
    /// How often it is subtracted: exponents are so many times what `max` is the largest of.
    times: f64,
    /// The sum is this times `exp(times * shift)`.
    rest: NodeId,
    /// That sum without a term that is 1.
    without_one: Option<NodeId>,
    /// Exponents that are `-inf` where their weight is 0.
    masks: Vec<Mask>,
}

/// A term of a sum that is taken apart.
struct Part {
    /// Its exponent; 0 if there is none.
    exponent: Option<NodeId>,
    /// Its factor.
    factor: Option<NodeId>,
    negative: bool,
    over: DimSet,
}

/// Where a node is rewritten.
struct Site<'a> {
    graph: &'a mut Graph,
    /// Of the nodes that were there before.
    scales: &'a Scales,
    /// Of what values are the logarithm.
    logs: &'a FxHashMap<NodeId, Rc<Form>>,
    /// How many nodes use each.
    uses: &'a FxHashMap<NodeId, u32>,
    dtype: DType,
    span: Span,
}

/// The dtype in which a node's operands are computed.
fn operand_dtype(graph: &Graph, node: NodeId) -> DType {
    let node = &graph.nodes[node];
    node.op.args().last().map_or(node.dtype, |&arg| graph.nodes[arg].dtype)
}

impl Site<'_> {
    /// What computes the same as a node and is safe, if the node is not.
    fn safe(&mut self, node: NodeId) -> Option<(&'static str, NodeId)> {
        if !self.dtype.is_float() {
            return None;
        }
        let Op::Prim(prim, args) = self.graph.nodes[node].op.clone() else { return None };
        match (prim, &args[..]) {
            (Prim::Div, &[a, b]) => self.quotient(node, a, b),
            (Prim::Mul, &[a, b]) => {
                let form = self.scales.form(node)?.clone();
                let settled = |arg: NodeId| self.scales.form(arg).is_some_and(|form| form.is_settled());
                let open = |arg: NodeId| self.scales.form(arg).is_some_and(|form| !form.is_settled());
                let meet = (settled(a) && open(b)) || (settled(b) && open(a));
                let mut divisors = form.sums.iter().filter(|(_, power)| *power < 0.0);
                let covered = meet && divisors.all(|(terms, _)| self.is_covered(&form, terms));
                if covered { Some((SHIFTED, self.value(&form)?)) } else { None }
            }
            (Prim::Log, &[a]) => Some((IN_LOG, self.log_of_node(a)?)),
            (Prim::Log2 | Prim::Log10, &[a]) => {
                self.scales.form(a)?;
                let log = self.log_of_node(a)?;
                let unit =
                    if prim == Prim::Log2 { std::f64::consts::LOG2_E } else { std::f64::consts::LOG10_E };
                let unit = self.number(unit);
                Some((IN_LOG, self.prim(Prim::Mul, &[log, unit])))
            }
            (Prim::Log1p, &[a]) => {
                let form = self.scales.form(a).filter(|form| !form.is_settled())?.clone();
                let one = Term { lin: Lin::new(), weight: Weight::default(), over: DimSet::EMPTY };
                let mut terms = vec![one];
                match &form.sums[..] {
                    [] => terms.push(Term {
                        lin: form.lin.clone(),
                        weight: form.weight.clone(),
                        over: DimSet::EMPTY,
                    }),
                    [(more, 1.0)] if form.lin.is_empty() && form.weight.is_one() => {
                        terms.extend(more.iter().cloned())
                    }
                    _ => return None,
                }
                Some((IN_LOG, self.log_of(&Form::sum(terms))?))
            }
            (Prim::Sqrt, &[a]) if self.scales.form(a).is_none() => Some((SCALED, self.norm(a)?)),
            (Prim::Sqrt | Prim::Rsqrt, &[a]) => self.power(node, a),
            (Prim::Tanh, &[a]) => Some((TWO_SIDED, self.tanh_of_softplus(a)?)),
            (Prim::Pow, &[a, p]) if constant(self.graph, p).is_some() => self.power(node, a),
            (Prim::Pow, &[a, p]) => {
                let form = self.scales.form(a).filter(|form| !form.is_settled())?;
                // A whole power of a negative number is one, and has no logarithm.
                if self.may_be_negative(&form.weight)
                    || form.sums.iter().any(|(terms, _)| self.sum_may_be_negative(terms))
                {
                    return None;
                }
                let log = self.log_of_node(a)?;
                // Powers of 1, and with the exponent 0, are 1.
                let zero = self.number(0.0);
                let (of_one, no_power) = (self.prim(Prim::Eq, &[log, zero]), self.prim(Prim::Eq, &[p, zero]));
                let one = self.prim(Prim::Or, &[of_one, no_power]);
                let exponent = self.prim(Prim::Mul, &[p, log]);
                let exponent = self.prim(Prim::Select, &[one, zero, exponent]);
                Some((SHIFTED, self.prim(Prim::Exp, &[exponent])))
            }
            (Prim::Sub, &[a, b]) if self.is(b, 1.0) => {
                let exponent = self.pure_exponent(a)?;
                Some((CANCELS, self.prim(Prim::Expm1, &[exponent])))
            }
            (Prim::Sub, &[a, b]) if self.is(a, 1.0) => {
                if let Some(value) = self.one_minus(b) {
                    return Some((CANCELS, value));
                }
                let exponent = self.pure_exponent(b)?;
                let minus = self.prim(Prim::Expm1, &[exponent]);
                Some((CANCELS, self.prim(Prim::Neg, &[minus])))
            }
            (Prim::Add, &[a, b]) if self.is(b, -1.0) => {
                let exponent = self.pure_exponent(a)?;
                Some((CANCELS, self.prim(Prim::Expm1, &[exponent])))
            }
            (Prim::Gt, &[a, b]) if self.is(b, 0.0) => Some((SHIFTED, self.above_zero(a)?)),
            (Prim::Lt, &[b, a]) if self.is(b, 0.0) => Some((SHIFTED, self.above_zero(a)?)),
            _ => None,
        }
    }

    /// Why a node that was left as it is may not be safe.
    fn doubt(&self, node: NodeId) -> Option<&'static str> {
        let Op::Prim(prim, args) = &self.graph.nodes[node].op else { return None };
        let open = |arg: NodeId| self.scales.form(arg).is_some_and(|form| !form.is_settled());
        let sums = |arg: NodeId| {
            self.scales.form(arg).is_some_and(|form| !form.is_settled() && !form.sums.is_empty())
        };
        let lost = |arg: NodeId| self.scales.lost(arg).is_some();
        match prim {
            Prim::Div if lost(args[1]) => Some(
                "the divisor is made of exponentials in a way that has no common factor to shift out; it may overflow, or become 0",
            ),
            Prim::Div if sums(args[1]) || (open(args[1]) && open(args[0])) => Some(
                "the exponents of the divisor are sums of values with different dimensions; exponentials of them may overflow, or become 0",
            ),
            Prim::Log | Prim::Log2 | Prim::Log10 if lost(args[0]) => Some(
                "the logarithm is taken of exponentials without a common factor to shift out; they may overflow, or become 0",
            ),
            Prim::Log | Prim::Log2 | Prim::Log10 if open(args[0]) => Some(
                "the exponents of what the logarithm is taken of are sums of values with different dimensions; exponentials of them may overflow, or become 0",
            ),
            _ => None,
        }
    }

    // ---- what is rewritten ----

    fn quotient(&mut self, node: NodeId, a: NodeId, b: NodeId) -> Option<(&'static str, NodeId)> {
        if let Op::Prim(Prim::Select, sides) = self.graph.nodes[b].op.clone() {
            return self.quotient_by_choice(a, sides[0], sides[1], sides[2]);
        }
        let form = self.scales.form(node)?.clone();
        let divisor = self.scales.form(b)?;
        let has_sum = divisor.sums.iter().any(|(_, power)| *power > 0.0);
        if !has_sum && (divisor.is_settled() || self.scales.form(a).is_none_or(|form| form.is_settled())) {
            // Of one exponential an ordinary number is divided: as safe as the inverse.
            return None;
        }
        let what = if form.lin.is_empty() && self.scales.form(a).is_some() { SHIFTED } else { TWO_SIDED };
        let what = if form.sums.iter().any(|(terms, _)| terms.iter().any(|term| !term.over.is_empty())) {
            SHIFTED
        } else {
            what
        };
        Some((what, self.value(&form)?))
    }

    /// A quotient whose divisor is a sum of exponentials by a condition, and a number else.
    fn quotient_by_choice(
        &mut self,
        a: NodeId,
        test: NodeId,
        yes: NodeId,
        no: NodeId,
    ) -> Option<(&'static str, NodeId)> {
        let has_sum = |site: &Self, id: NodeId| {
            site.scales.form(id).is_some_and(|form| !form.is_settled() && !form.sums.is_empty())
        };
        let (sum, other) = match (has_sum(self, yes), has_sum(self, no)) {
            (true, false) => (yes, no),
            (false, true) => (no, yes),
            _ => return None,
        };
        if self.scales.form(other).is_some() || self.scales.lost(other).is_some() {
            return None;
        }
        let form = self.scales.as_form(self.graph, a)?.times(&self.scales.as_form(self.graph, sum)?, true);
        let safe = self.value(&form)?;
        let plain = self.prim(Prim::Div, &[a, other]);
        let sides = if sum == yes { [test, safe, plain] } else { [test, plain, safe] };
        Some((SHIFTED, self.prim(Prim::Select, &sides)))
    }

    fn power(&mut self, node: NodeId, a: NodeId) -> Option<(&'static str, NodeId)> {
        let of = self.scales.form(a)?;
        let root = matches!(self.graph.nodes[node].op, Op::Prim(Prim::Sqrt, _)) && !of.lin.is_empty();
        if of.is_settled() && !root {
            return None;
        }
        let form = self.scales.form(node)?.clone();
        Some((SHIFTED, self.value(&form)?))
    }

    fn log_of_node(&mut self, a: NodeId) -> Option<NodeId> {
        match self.graph.nodes[a].op.clone() {
            Op::Prim(Prim::Sigmoid, args) => {
                let lin = vec![(Atom::Node(args[0]), -1.0)];
                return self.minus_softplus(&lin);
            }
            Op::Prim(Prim::Sub, args) if self.is(args[0], 1.0) => {
                if let Op::Prim(Prim::Sigmoid, inner) = self.graph.nodes[args[1]].op.clone() {
                    let lin = vec![(Atom::Node(inner[0]), 1.0)];
                    return self.minus_softplus(&lin);
                }
            }
            Op::Prim(Prim::Cosh, args) => {
                // |x| + log1p(exp(-2|x|)) - log 2.
                let size = self.prim(Prim::Abs, &[args[0]]);
                let minus_two = self.number(-2.0);
                let exponent = self.prim(Prim::Mul, &[minus_two, size]);
                let exp = self.prim(Prim::Exp, &[exponent]);
                let log = self.prim(Prim::Log1p, &[exp]);
                let sum = self.prim(Prim::Add, &[size, log]);
                let log_two = self.number(std::f64::consts::LN_2);
                return Some(self.prim(Prim::Sub, &[sum, log_two]));
            }
            _ => {}
        }
        let form = self.scales.form(a)?.clone();
        self.log_of(&form)
    }

    /// The exponent of a node that is an exponential and nothing else.
    fn pure_exponent(&mut self, node: NodeId) -> Option<NodeId> {
        let form = self.scales.form(node)?.clone();
        let pure = form.sums.is_empty() && form.weight.is_one() && !form.lin.is_empty();
        let exponential = matches!(self.graph.nodes[node].op, Op::Prim(Prim::Exp, _));
        if pure && exponential { self.exponent(&form.lin) } else { None }
    }

    /// 1 less a function, if nothing else needs that function.
    fn one_minus(&mut self, of: NodeId) -> Option<NodeId> {
        if self.uses.get(&of) != Some(&1) {
            return None;
        }
        let Op::Prim(prim, args) = self.graph.nodes[of].op.clone() else { return None };
        match prim {
            Prim::Erf => Some(self.prim(Prim::Erfc, &args)),
            Prim::Sigmoid => {
                let minus = self.prim(Prim::Neg, &args);
                Some(self.prim(Prim::Sigmoid, &[minus]))
            }
            Prim::Tanh => {
                let (two, minus_two) = (self.number(2.0), self.number(-2.0));
                let twice = self.prim(Prim::Mul, &[args[0], minus_two]);
                let sigmoid = self.prim(Prim::Sigmoid, &[twice]);
                Some(self.prim(Prim::Mul, &[sigmoid, two]))
            }
            _ => None,
        }
    }

    /// Whether a sum of exponentials is above 0. Where the maximum is infinite, it is.
    fn above_zero(&mut self, node: NodeId) -> Option<NodeId> {
        let form = self.scales.form(node)?.clone();
        let [(terms, 1.0)] = &form.sums[..] else { return None };
        if !form.lin.is_empty() || !form.weight.is_one() {
            return None;
        }
        let frozen = self.freeze(terms, false)?;
        let zero = self.number(0.0);
        let infinity = self.number(f64::INFINITY);
        let above = self.prim(Prim::Gt, &[frozen.rest, zero]);
        let infinite = self.prim(Prim::Eq, &[frozen.max, infinity]);
        Some(self.prim(Prim::Or, &[above, infinite]))
    }

    /// The root of the sum of squares.
    fn norm(&mut self, sum: NodeId) -> Option<NodeId> {
        let Op::Reduce { reduction: Reduction::Sum, args, dims } = self.graph.nodes[sum].op.clone() else {
            return None;
        };
        let [square] = args[..] else { return None };
        let x = self.squared(square)?;
        if is_of_f16(self.graph, x) {
            return None;
        }
        let size = self.prim(Prim::Abs, &[x]);
        let largest = self.reduce(Reduction::Max, size, dims)?;
        let zero = self.number(0.0);
        let infinity = self.number(f64::INFINITY);
        let m = self.prim(Prim::Max, &[largest, zero]);
        let is_zero = self.prim(Prim::Eq, &[m, zero]);
        let is_infinite = self.prim(Prim::Eq, &[m, infinity]);
        let either = self.prim(Prim::Or, &[is_zero, is_infinite]);
        let scaled = self.prim(Prim::Div, &[x, m]);
        let square = self.prim(Prim::Mul, &[scaled, scaled]);
        let sum = self.reduce(Reduction::Sum, square, dims)?;
        let root = self.prim(Prim::Sqrt, &[sum]);
        let norm = self.prim(Prim::Mul, &[m, root]);
        Some(self.prim(Prim::Select, &[either, m, norm]))
    }

    /// What a node is the square of; of a square here and 0 elsewhere, that or 0.
    fn squared(&mut self, square: NodeId) -> Option<NodeId> {
        match self.graph.nodes[square].op.clone() {
            Op::Prim(Prim::Mul, args) if args[0] == args[1] => Some(args[0]),
            Op::Prim(Prim::Pow, args) if self.is(args[1], 2.0) => Some(args[0]),
            Op::Prim(Prim::Select, args) => {
                let sides = match (self.is(args[1], 0.0), self.is(args[2], 0.0)) {
                    (false, true) => [args[0], self.squared(args[1])?, args[2]],
                    (true, false) => [args[0], args[1], self.squared(args[2])?],
                    _ => return None,
                };
                let nested = matches!(self.graph.nodes[sides[1].max(sides[2])].op, Op::Prim(Prim::Select, _));
                if nested { None } else { Some(self.prim(Prim::Select, &sides)) }
            }
            _ => None,
        }
    }

    /// `tanh(log(1 + exp(u)))`, from `t = exp(-abs(u))`: `t (t + 2) / (t (t + 2) + 2)` below zero, `(1 + 2t) / (1 + 2t + 2t^2)` above.
    fn tanh_of_softplus(&mut self, log: NodeId) -> Option<NodeId> {
        let form = self.logs.get(&log)?.clone();
        let [(terms, 1.0)] = &form.sums[..] else { return None };
        let [a, b] = self.two_terms(terms, false)?;
        let lin = match (a.is_empty(), b.is_empty()) {
            _ if !form.lin.is_empty() || !form.weight.is_one() => return None,
            (true, false) => b,
            (false, true) => a,
            _ => return None,
        };
        let u = self.exponent(&lin)?;
        let (zero, one, two) = (self.number(0.0), self.number(1.0), self.number(2.0));
        let size = self.prim(Prim::Abs, &[u]);
        let minus = self.prim(Prim::Neg, &[size]);
        let t = self.prim(Prim::Exp, &[minus]);
        let below = self.prim(Prim::Lt, &[u, zero]);
        let more = self.prim(Prim::Add, &[t, two]);
        let low = self.prim(Prim::Mul, &[t, more]);
        let twice = self.prim(Prim::Mul, &[two, t]);
        let high = self.prim(Prim::Add, &[one, twice]);
        let p = self.prim(Prim::Select, &[below, low, high]);
        let square = self.prim(Prim::Mul, &[twice, t]);
        let q = self.prim(Prim::Select, &[below, two, square]);
        let sum = self.prim(Prim::Add, &[p, q]);
        Some(self.prim(Prim::Div, &[p, sum]))
    }

    // ---- forms ----

    /// The value of a form.
    fn value(&mut self, form: &Form) -> Option<NodeId> {
        let form = &self.unshifted(form);
        if let Some(value) = self.two_sided(form) {
            return self.assembled(Some(value), &form.weight, &[]);
        }
        let mut lin = form.lin.clone();
        let mut powers = Vec::new();
        let mut shifts: Vec<(Rc<Vec<Term>>, NodeId, f64)> = Vec::new();
        let mut masks = Vec::new();
        for (terms, power) in form.sums.iter().filter(|(_, power)| *power < 0.0) {
            let frozen = self.freeze(terms, !self.is_covered(form, terms))?;
            add_atom(&mut lin, &Atom::Node(frozen.shift), *power * frozen.times);
            powers.push((frozen.rest, *power));
            shifts.push((terms.clone(), frozen.shift, frozen.times));
            masks.extend(frozen.masks);
        }
        let mut above = Vec::new();
        for (terms, power) in form.sums.iter().filter(|(_, power)| *power > 0.0) {
            let shared = shifts.iter().find(|(divisor, shift, times)| {
                let dims = self.graph.nodes[*shift].dims;
                terms.iter().all(|term| {
                    term.over.intersection(dims).is_empty()
                        && self.covers(divisor, &term.lin, &term.weight)
                        && term.lin.iter().all(|(_, count)| count.abs() == *times)
                })
            });
            let (shift, times, rest) = match shared {
                Some(&(_, shift, times)) => (shift, times, self.shifted(terms, shift, times, &masks)?),
                None => {
                    let frozen = self.freeze(terms, true)?;
                    (frozen.shift, frozen.times, frozen.rest)
                }
            };
            add_atom(&mut lin, &Atom::Node(shift), *power * times);
            above.push((rest, *power));
        }
        above.extend(powers);
        let masked =
            masks.iter().find(|(own, weight, ..)| *own == form.lin && contains(&form.weight, weight));
        if let Some((own, _, node, times)) = masked {
            own.iter().for_each(|(atom, count)| add_atom(&mut lin, atom, -count));
            lin.insert(0, (Atom::Node(*node), *times));
        }
        let exponential = match lin.is_empty() {
            true => None,
            false => {
                let exponent = self.exponent(&lin)?;
                Some(self.prim(Prim::Exp, &[exponent]))
            }
        };
        self.assembled(exponential, &form.weight, &above)
    }

    /// A form without what is subtracted in all exponents, where that cancels: a shift that the text has. What is subtracted
    /// then is the maximum itself, and if that was the text's, it is the same node.
    fn unshifted(&self, form: &Form) -> Form {
        let divisors = form.sums.iter().filter(|(_, power)| *power < 0.0);
        for term in divisors.flat_map(|(terms, _)| terms.iter()) {
            let Some(shift) = self.subtracted(&term.lin) else { continue };
            let atom = Atom::Node(shift);
            let mut out = form.clone();
            out.lin = self.split(&out.lin, shift);
            for (terms, power) in &mut out.sums {
                let pulled: Option<Vec<Term>> = terms.iter().map(|term| self.pulled(term, shift)).collect();
                if let Some(pulled) = pulled {
                    *terms = Rc::new(pulled);
                    add_atom(&mut out.lin, &atom, -*power);
                }
            }
            if out.lin.iter().all(|(own, _)| *own != atom) {
                return out;
            }
        }
        form.clone()
    }

    /// What is subtracted in an exponent and lacks dimensions of it.
    fn subtracted(&self, lin: &Lin) -> Option<NodeId> {
        lin.iter().find_map(|(atom, _)| match atom {
            Atom::Node(node) => match &self.graph.nodes[*node].op {
                Op::Prim(Prim::Sub, args) => {
                    let [of, shift] = [args[0], args[1]].map(|arg| self.graph.nodes[arg].dims);
                    (shift.is_subset(of) && shift != of).then_some(args[1])
                }
                _ => None,
            },
            Atom::Choice { yes, no, .. } => {
                [yes, no].into_iter().flatten().find_map(|side| self.subtracted(side))
            }
        })
    }

    /// An exponent with differences from `shift` taken apart.
    fn split(&self, lin: &Lin, shift: NodeId) -> Lin {
        let mut out = Lin::new();
        for (atom, count) in lin {
            match atom {
                Atom::Node(node) => match &self.graph.nodes[*node].op {
                    Op::Prim(Prim::Sub, args) if args[1] == shift => {
                        add_atom(&mut out, &Atom::Node(args[0]), *count);
                        add_atom(&mut out, &Atom::Node(shift), -count);
                    }
                    _ => add_atom(&mut out, atom, *count),
                },
                Atom::Choice { test, yes, no, depth } => {
                    let side = |side: &Option<Rc<Lin>>| match side {
                        Some(lin) => self.without(lin, shift).map(|lin| Some(Rc::new(lin))),
                        None => Some(None),
                    };
                    match (side(yes), side(no)) {
                        (Some(yes), Some(no)) => {
                            let choice = Atom::Choice { test: *test, yes, no, depth: *depth };
                            add_atom(&mut out, &choice, *count);
                            add_atom(&mut out, &Atom::Node(shift), -count);
                        }
                        _ => add_atom(&mut out, atom, *count),
                    }
                }
            }
        }
        out
    }

    /// An exponent to which `shift` is added, if it is subtracted in it once.
    fn without(&self, lin: &Lin, shift: NodeId) -> Option<Lin> {
        let mut lin = self.split(lin, shift);
        let at = lin.iter().position(|(atom, count)| *atom == Atom::Node(shift) && *count == -1.0)?;
        lin.remove(at);
        Some(lin)
    }

    /// A term whose factor `exp(-shift)` is taken out.
    fn pulled(&self, term: &Term, shift: NodeId) -> Option<Term> {
        let along = self.graph.nodes[shift].dims.intersection(term.over);
        let lin = self.without(&term.lin, shift).filter(|_| along.is_empty())?;
        Some(Term { lin, weight: term.weight.clone(), over: term.over })
    }

    /// The product of an exponential, a weight and powers; what divides comes last.
    fn assembled(
        &mut self,
        exponential: Option<NodeId>,
        weight: &Weight,
        powers: &[(NodeId, f64)],
    ) -> Option<NodeId> {
        let mut above: Vec<NodeId> = exponential.into_iter().collect();
        let mut below = Vec::new();
        for (factor, divides) in &weight.factors {
            let factor = self.factor(factor)?;
            if *divides { below.push(factor) } else { above.push(factor) }
        }
        for &(node, power) in powers {
            let value = self.constant_power(node, power.abs());
            if power < 0.0 { below.push(value) } else { above.push(value) }
        }
        let mut value = match above.split_first() {
            Some((&first, more)) => {
                more.iter().fold(first, |product, &factor| self.prim(Prim::Mul, &[product, factor]))
            }
            None => self.number(1.0),
        };
        for divisor in below {
            value = self.prim(Prim::Div, &[value, divisor]);
        }
        Some(if weight.negative { self.prim(Prim::Neg, &[value]) } else { value })
    }

    /// The functions that quotients of two exponentials are, of one value at a time.
    fn two_sided(&mut self, form: &Form) -> Option<NodeId> {
        match &form.sums[..] {
            [(terms, -1.0)] => {
                let [a, b] = self.two_terms(terms, false)?;
                let (own, other) = if form.lin == a {
                    (a, b)
                } else if form.lin == b {
                    (b, a)
                } else {
                    return None;
                };
                let exponent = self.exponent(&difference(&own, &other))?;
                Some(self.prim(Prim::Sigmoid, &[exponent]))
            }
            [(above, 1.0), (below, -1.0)] | [(below, -1.0), (above, 1.0)] if form.lin.is_empty() => {
                let [a, b] = self.two_terms(below, false)?;
                let [first, second] = &above[..] else { return None };
                let (plus, minus) = if second.weight.negative { (first, second) } else { (second, first) };
                let minus_one = Weight { negative: true, factors: Vec::new() };
                let simple = plus.weight.is_one() && minus.weight == minus_one;
                let same = (plus.lin == a && minus.lin == b) || (plus.lin == b && minus.lin == a);
                if !simple || !same || !plus.over.is_empty() || !minus.over.is_empty() {
                    return None;
                }
                let half: Lin =
                    difference(&plus.lin, &minus.lin).into_iter().map(|(atom, n)| (atom, n * 0.5)).collect();
                let exponent = self.exponent(&half)?;
                Some(self.prim(Prim::Tanh, &[exponent]))
            }
            _ => None,
        }
    }

    /// The exponents of a sum of two exponentials without weights. A sum over dimensions that the other term lacks not is
    /// the exponential of its logarithm, where that is allowed.
    fn two_terms(&mut self, terms: &[Term], logarithms: bool) -> Option<[Lin; 2]> {
        let [a, b] = terms else { return None };
        if !a.weight.is_one() || !b.weight.is_one() {
            return None;
        }
        let kept = |site: &Self, term: &Term| lin_dims(site.graph, &term.lin).difference(term.over);
        let all = kept(self, a).union(kept(self, b));
        let mut lin = |term: &Term| {
            if term.over.is_empty() {
                return Some(term.lin.clone());
            }
            if !logarithms || kept(self, term) == all {
                return None;
            }
            let log = self.log_of_sum(std::slice::from_ref(term))?;
            Some(vec![(Atom::Node(log), 1.0)])
        };
        Some([lin(a)?, lin(b)?])
    }

    /// Whether the dividend of a form is 0 wherever this sum, a divisor, is.
    fn is_covered(&self, form: &Form, divisor: &[Term]) -> bool {
        let mut sums = form.sums.iter().filter(|(_, power)| *power > 0.0).peekable();
        let any = !form.lin.is_empty() || sums.peek().is_some();
        any && (form.lin.is_empty() || self.covers(divisor, &form.lin, &form.weight))
            && sums.all(|(terms, _)| terms.iter().all(|term| self.covers(divisor, &term.lin, &term.weight)))
    }

    /// Whether an exponential is one of those in a sum, or 0.
    fn covers(&self, divisor: &[Term], lin: &Lin, weight: &Weight) -> bool {
        divisor.iter().any(|term| {
            let may_be_masked = !term.weight.factors.is_empty();
            self.is_part_of(lin, term)
                && !term.lin.is_empty()
                && (!may_be_masked || contains(weight, &term.weight))
        })
    }

    /// Whether an exponent is that of a term, some times, or at some places `-inf` instead, or that of another place of the term's row.
    fn is_part_of(&self, lin: &Lin, term: &Term) -> bool {
        match (&lin[..], &term.lin[..]) {
            ([(Atom::Choice { yes, no, .. }, 1.0)], of) if !lin_is(lin, of) => {
                [yes, no].into_iter().all(|side| side.as_ref().is_none_or(|side| self.is_part_of(side, term)))
            }
            (&[(Atom::Node(own), count)], &[(Atom::Node(of), times)]) => {
                let elsewhere = match &self.graph.nodes[own].op {
                    Op::Gather { dims, args } => {
                        args[0] == of && dims.iter().all(|&dim| term.over.contains(dim))
                    }
                    _ => false,
                };
                (own == of || elsewhere) && count * times > 0.0
            }
            (_, of) => lin_is(lin, of),
        }
    }

    /// Takes a sum apart. `guard`: where all exponents are `-inf` the sum is 0 and not NaN.
    fn freeze(&mut self, terms: &[Term], guard: bool) -> Option<Frozen> {
        // A number that may be 0 has the exponent 0 or `-inf`, place by place.
        let exponent_dims = |site: &Self, term: &Term| match term.lin.is_empty() {
            true => weight_dims(site.graph, &term.weight),
            false => lin_dims(site.graph, &term.lin),
        };
        let kept = |site: &Self, term: &Term| exponent_dims(site, term).difference(term.over);
        let all = terms.iter().fold(DimSet::EMPTY, |dims, term| dims.union(kept(self, term)));
        let mut parts = Vec::new();
        let mut masks = Vec::new();
        let apart = |term: &Term| terms.len() > 1 && !term.over.is_empty() && kept(self, term) != all;
        let times = if terms.iter().any(apart) { 1.0 } else { common_count(terms) };
        for term in terms {
            if terms.len() > 1 && !term.over.is_empty() && kept(self, term) != all {
                let inner = self.freeze(std::slice::from_ref(term), true)?;
                let exponent = self.multiple(inner.max, inner.times);
                let part = Part {
                    exponent: Some(exponent),
                    factor: Some(inner.rest),
                    negative: false,
                    over: DimSet::EMPTY,
                };
                parts.push(part);
                continue;
            }
            let factor = self.weight(&term.weight)?;
            let exponent = self.term_exponent(term, factor, times, &mut masks)?;
            parts.push(Part { exponent, factor, negative: term.weight.negative, over: term.over });
        }
        let maximum = self.maximum(&parts)?;
        // What is taken out of a sum is the same all along it.
        let varies = |part: &Part| !part.over.intersection(self.graph.nodes[maximum].dims).is_empty();
        if parts.iter().any(varies) {
            return None;
        }
        let has_zero = parts.iter().any(|part| part.exponent.is_none());
        let shift = if guard && !has_zero {
            let least = self.number(f64::NEG_INFINITY);
            let zero = self.number(0.0);
            let none = self.prim(Prim::Eq, &[maximum, least]);
            self.prim(Prim::Select, &[none, zero, maximum])
        } else {
            maximum
        };
        let rest = self.sum_of_parts(&parts, shift, times)?;
        let one =
            parts.iter().position(|part| part.exponent.is_none() && part.factor.is_none() && !part.negative);
        let without_one = match one {
            Some(at) if parts.len() > 1 => {
                parts.remove(at);
                Some(self.sum_of_parts(&parts, shift, times)?)
            }
            _ => None,
        };
        Some(Frozen { max: maximum, shift, times, rest, without_one, masks })
    }

    /// The exponent of a term over `times`; none if it is 0. `-inf` where its weight may be, and is, 0.
    fn term_exponent(
        &mut self,
        term: &Term,
        factor: Option<NodeId>,
        times: f64,
        masks: &mut Vec<Mask>,
    ) -> Option<Option<NodeId>> {
        let exponent = if term.lin.is_empty() { None } else { Some(self.exponent(&over(&term.lin, times))?) };
        let Some(factor) = factor.filter(|_| term.weight.factors.iter().any(|(_, divides)| !divides)) else {
            return Some(exponent);
        };
        let node = &self.graph.nodes[factor];
        let fits = exponent.is_none_or(|exponent| node.dims.is_subset(self.graph.nodes[exponent].dims));
        if !fits || self.is_never_zero(factor) {
            return Some(exponent);
        }
        let zero = self.number(0.0);
        let least = self.number(f64::NEG_INFINITY);
        let counts = self.prim(Prim::Ne, &[factor, zero]);
        let masked = self.prim(Prim::Select, &[counts, exponent.unwrap_or(zero), least]);
        masks.push((term.lin.clone(), term.weight.clone(), masked, times));
        Some(Some(masked))
    }

    fn is_never_zero(&self, node: NodeId) -> bool {
        if constant(self.graph, node).is_some_and(|number| number.value() != 0.0) {
            return true;
        }
        if self.scales.knows(node) {
            let range = self.scales.ranges()[node];
            return !range.zero && (range.lo > 0.0 || range.hi < 0.0);
        }
        false
    }

    /// The largest exponent of all, over all places.
    fn maximum(&mut self, parts: &[Part]) -> Option<NodeId> {
        let mut maximum = None;
        // Numbers come last.
        let is_number = |site: &Self, part: &Part| {
            part.exponent
                .is_none_or(|exponent| site.graph.nodes[exponent].dims.is_empty() && part.over.is_empty())
        };
        for numbers in [false, true] {
            for part in parts {
                if is_number(self, part) != numbers {
                    continue;
                }
                let exponent = part.exponent.unwrap_or_else(|| self.number(0.0));
                let over = part.over.intersection(self.graph.nodes[exponent].dims);
                let largest =
                    if over.is_empty() { exponent } else { self.reduce(Reduction::Max, exponent, over)? };
                maximum = Some(match maximum {
                    Some(maximum) => self.prim(Prim::Max, &[maximum, largest]),
                    None => largest,
                });
            }
        }
        maximum
    }

    /// The sum of shifted terms.
    fn sum_of_parts(&mut self, parts: &[Part], shift: NodeId, times: f64) -> Option<NodeId> {
        let mut sum = None;
        for part in parts {
            let exponent = match part.exponent {
                Some(exponent) => self.prim(Prim::Sub, &[exponent, shift]),
                None => self.prim(Prim::Neg, &[shift]),
            };
            let exponent = self.multiple(exponent, times);
            let mut value = self.prim(Prim::Exp, &[exponent]);
            if let Some(factor) = part.factor {
                value = self.prim(Prim::Mul, &[value, factor]);
            }
            if !part.over.is_empty() {
                value = self.reduce(Reduction::Sum, value, part.over)?;
            }
            sum = Some(match (sum, part.negative) {
                (Some(sum), false) => self.prim(Prim::Add, &[sum, value]),
                (Some(sum), true) => self.prim(Prim::Sub, &[sum, value]),
                (None, false) => value,
                (None, true) => self.prim(Prim::Neg, &[value]),
            });
        }
        sum
    }

    /// A sum, with the shift of another one.
    fn shifted(&mut self, terms: &[Term], shift: NodeId, times: f64, masks: &[Mask]) -> Option<NodeId> {
        let mut parts = Vec::new();
        for term in terms {
            let factor = self.weight(&term.weight)?;
            let masked =
                masks.iter().find(|(lin, weight, ..)| *lin == term.lin && contains(&term.weight, weight));
            let exponent = match masked {
                Some(&(_, _, node, _)) => Some(node),
                None if term.lin.is_empty() => None,
                None => Some(self.exponent(&over(&term.lin, times))?),
            };
            parts.push(Part { exponent, factor, negative: term.weight.negative, over: term.over });
        }
        self.sum_of_parts(&parts, shift, times)
    }

    // ---- logarithms ----

    /// The logarithm of a form.
    fn log_of(&mut self, form: &Form) -> Option<NodeId> {
        if form.weight.negative {
            return None;
        }
        if let [(terms, -1.0)] = &form.sums[..]
            && form.weight.is_one()
            && let Some([a, b]) = self.two_terms(terms, true)
            && (form.lin == a || form.lin == b)
        {
            let (own, other) = if form.lin == a { (a, b) } else { (b, a) };
            return self.minus_softplus(&difference(&other, &own));
        }
        let mut signs = self.signs_of(form);
        let mut lin = form.lin.clone();
        let mut logs = Vec::new();
        for (terms, power) in &form.sums {
            if signs.is_some() && self.sum_may_be_negative(terms) && power.fract() == 0.0 {
                let frozen = self.freeze(terms, true)?;
                add_atom(&mut lin, &Atom::Node(frozen.shift), power * frozen.times);
                let size = self.prim(Prim::Abs, &[frozen.rest]);
                logs.push((self.prim(Prim::Log, &[size]), *power));
                if power % 2.0 != 0.0 {
                    signs.iter_mut().for_each(|signs| signs.push(frozen.rest));
                }
            } else if *power == -1.0 && self.is_covered(form, terms) && form.sums.len() == 1 {
                let frozen = self.freeze(terms, false)?;
                add_atom(&mut lin, &Atom::Node(frozen.shift), -frozen.times);
                logs.push((self.prim(Prim::Log, &[frozen.rest]), -1.0));
            } else {
                logs.push((self.log_of_sum(terms)?, *power));
            }
        }
        let mut value = if lin.is_empty() { None } else { Some(self.exponent(&lin)?) };
        if !form.weight.factors.is_empty() {
            let divides = form.weight.factors.iter().all(|(_, divides)| *divides);
            let flipped = Weight {
                negative: false,
                factors: form.weight.factors.iter().map(|(factor, _)| (factor.clone(), false)).collect(),
            };
            let weight = if divides { &flipped } else { &form.weight };
            let mut weight = self.weight(weight)?.expect("it has factors");
            if let Some(signs) = &mut signs {
                signs.push(weight);
                weight = self.prim(Prim::Abs, &[weight]);
            }
            let log = self.prim(Prim::Log, &[weight]);
            logs.push((log, if divides { -1.0 } else { 1.0 }));
        }
        for (log, power) in logs {
            let log = match power.abs() {
                1.0 => log,
                times => {
                    let times = self.number(times);
                    self.prim(Prim::Mul, &[times, log])
                }
            };
            value = Some(match (value, power < 0.0) {
                (Some(value), false) => self.prim(Prim::Add, &[value, log]),
                (Some(value), true) => self.prim(Prim::Sub, &[value, log]),
                (None, false) => log,
                (None, true) => self.prim(Prim::Neg, &[log]),
            });
        }
        match signs {
            Some(signs) => Some(self.nan_where_negative(&signs, value?)),
            None => value,
        }
    }

    /// A list for the factors of a form that have a sign, if its logarithm can't be that of every factor: two may be negative, or an even
    /// power of one is taken.
    fn signs_of(&self, form: &Form) -> Option<Vec<NodeId>> {
        let sums =
            form.sums.iter().filter(|(terms, power)| power.fract() == 0.0 && self.sum_may_be_negative(terms));
        let even = sums.clone().any(|(_, power)| power % 2.0 == 0.0);
        let weight = usize::from(self.may_be_negative(&form.weight));
        (even || sums.count() + weight > 1).then(Vec::new)
    }

    /// A value, and NaN where the product of some numbers is negative.
    fn nan_where_negative(&mut self, numbers: &[NodeId], value: NodeId) -> NodeId {
        let zero = self.number(0.0);
        let (one, minus_one) = (self.number(1.0), self.number(-1.0));
        let mut product = None;
        for &number in numbers {
            let below = self.prim(Prim::Lt, &[number, zero]);
            let sign = self.prim(Prim::Select, &[below, minus_one, one]);
            product = Some(product.map_or(sign, |product| self.prim(Prim::Mul, &[product, sign])));
        }
        let Some(product) = product else { return value };
        let below = self.prim(Prim::Lt, &[product, zero]);
        let nan = self.number(f64::NAN);
        self.prim(Prim::Select, &[below, nan, value])
    }

    fn sum_may_be_negative(&self, terms: &[Term]) -> bool {
        terms.iter().any(|term| self.may_be_negative(&term.weight))
    }

    fn may_be_negative(&self, weight: &Weight) -> bool {
        weight.negative
            || weight.factors.iter().any(|(factor, _)| match factor {
                Factor::Node(node) => {
                    let of_constant = constant(self.graph, *node).map(|number| number.value() < 0.0);
                    let unknown = || !self.scales.knows(*node) || self.scales.ranges()[*node].lo < 0.0;
                    of_constant.unwrap_or_else(unknown)
                }
                Factor::Choice { yes, no, .. } => self.may_be_negative(yes) || self.may_be_negative(no),
            })
    }

    /// The logarithm of a sum of exponentials.
    fn log_of_sum(&mut self, terms: &[Term]) -> Option<NodeId> {
        if let Some([a, b]) = self.two_terms(terms, true) {
            return match (a.is_empty(), b.is_empty()) {
                (true, _) => self.softplus(&b),
                (_, true) => self.softplus(&a),
                _ => self.log_add_exp(&a, &b),
            };
        }
        if let Some(exponent) = self.one_minus_exp(terms) {
            return Some(self.log_one_minus_exp(exponent));
        }
        let frozen = self.freeze(terms, true)?;
        let log = self.prim(Prim::Log, &[frozen.rest]);
        let shift = self.multiple(frozen.shift, frozen.times);
        let mut log = self.prim(Prim::Add, &[shift, log]);
        if let Some(rest) = frozen.without_one {
            // The largest exponent is 0 or above; where it is 0, the 1 need not be added.
            let zero = self.number(0.0);
            let above = self.prim(Prim::Gt, &[frozen.max, zero]);
            let small = self.prim(Prim::Log1p, &[rest]);
            log = self.prim(Prim::Select, &[above, log, small]);
        }
        let infinity = self.number(f64::INFINITY);
        let infinite = self.prim(Prim::Eq, &[frozen.max, infinity]);
        Some(self.prim(Prim::Select, &[infinite, frozen.max, log]))
    }

    /// `log(1 + exp(u))`.
    fn softplus(&mut self, lin: &Lin) -> Option<NodeId> {
        let u = self.exponent(lin)?;
        let zero = self.number(0.0);
        let linear = self.prim(Prim::Max, &[u, zero]);
        let rest = self.log_one_plus_exp_minus_abs(u);
        Some(self.prim(Prim::Add, &[linear, rest]))
    }

    /// `-log(1 + exp(u))`.
    fn minus_softplus(&mut self, lin: &Lin) -> Option<NodeId> {
        let minus: Lin = lin.iter().map(|(atom, count)| (atom.clone(), -count)).collect();
        let minus = self.exponent(&minus)?;
        let zero = self.number(0.0);
        let linear = self.prim(Prim::Min, &[minus, zero]);
        let rest = self.log_one_plus_exp_minus_abs(minus);
        Some(self.prim(Prim::Sub, &[linear, rest]))
    }

    fn log_one_plus_exp_minus_abs(&mut self, u: NodeId) -> NodeId {
        let size = self.prim(Prim::Abs, &[u]);
        let minus = self.prim(Prim::Neg, &[size]);
        let exp = self.prim(Prim::Exp, &[minus]);
        self.prim(Prim::Log1p, &[exp])
    }

    fn log_add_exp(&mut self, a: &Lin, b: &Lin) -> Option<NodeId> {
        let (a, b) = (self.exponent(a)?, self.exponent(b)?);
        let largest = self.prim(Prim::Max, &[a, b]);
        let apart = self.prim(Prim::Sub, &[a, b]);
        let rest = self.log_one_plus_exp_minus_abs(apart);
        let far = self.prim(Prim::Add, &[largest, rest]);
        let equal = self.prim(Prim::Eq, &[a, b]);
        let log_two = self.number(std::f64::consts::LN_2);
        let double = self.prim(Prim::Add, &[a, log_two]);
        Some(self.prim(Prim::Select, &[equal, double, far]))
    }

    /// The exponent, if the terms are 1 and minus one exponential.
    fn one_minus_exp(&mut self, terms: &[Term]) -> Option<NodeId> {
        let [one, exp] = terms else { return None };
        let minus_one = Weight { negative: true, factors: Vec::new() };
        let is_one = one.lin.is_empty() && one.weight.is_one() && one.over.is_empty();
        let is_minus_exp = !exp.lin.is_empty() && exp.weight == minus_one && exp.over.is_empty();
        if is_one && is_minus_exp { self.exponent(&exp.lin) } else { None }
    }

    fn log_one_minus_exp(&mut self, u: NodeId) -> NodeId {
        let edge = self.number(-std::f64::consts::LN_2);
        let near = self.prim(Prim::Gt, &[u, edge]);
        let expm1 = self.prim(Prim::Expm1, &[u]);
        let small = self.prim(Prim::Neg, &[expm1]);
        let small = self.prim(Prim::Log, &[small]);
        let exp = self.prim(Prim::Exp, &[u]);
        let minus = self.prim(Prim::Neg, &[exp]);
        let large = self.prim(Prim::Log1p, &[minus]);
        self.prim(Prim::Select, &[near, small, large])
    }

    // ---- nodes ----

    fn prim(&mut self, prim: Prim, args: &[NodeId]) -> NodeId {
        use crate::ops::Typing;
        let dtype =
            if matches!(prim.typing(), Typing::Compare | Typing::Logic) { DType::Bool } else { self.dtype };
        self.graph.add(Op::Prim(prim, args.to_vec()), dtype, self.span)
    }

    fn reduce(&mut self, reduction: Reduction, of: NodeId, dims: DimSet) -> Option<NodeId> {
        if !dims.is_subset(self.graph.nodes[of].dims) {
            return None;
        }
        Some(self.graph.add(Op::Reduce { reduction, args: vec![of], dims }, self.dtype, self.span))
    }

    fn number(&mut self, value: f64) -> NodeId {
        self.graph.add(Op::Const(Constant::new(self.dtype, value)), self.dtype, self.span)
    }

    fn is(&self, node: NodeId, value: f64) -> bool {
        constant(self.graph, node).is_some_and(|number| number.value() == value)
    }

    fn constant_power(&mut self, node: NodeId, power: f64) -> NodeId {
        if power == 1.0 {
            return node;
        }
        if power == 0.5 {
            return self.prim(Prim::Sqrt, &[node]);
        }
        let power = self.number(power);
        self.prim(Prim::Pow, &[node, power])
    }

    /// The node of an exponent. Refused where no part has all dimensions: exponentials of the parts are fewer than those of
    /// the sum. Parts that count the same are added before they are multiplied: `3 (x - m)` is exactly 0 at the maximum.
    fn exponent(&mut self, lin: &Lin) -> Option<NodeId> {
        let all = lin_dims(self.graph, lin);
        let mut nodes = Vec::new();
        for (atom, count) in lin {
            nodes.push((self.atom(atom)?, *count));
        }
        if !nodes.is_empty() && nodes.iter().all(|&(node, _)| self.graph.nodes[node].dims != all) {
            return None;
        }
        let mut value = None;
        while let Some(&(_, first)) = nodes.first() {
            let times = first.abs();
            let (group, rest) = nodes.into_iter().partition::<Vec<_>, _>(|(_, count)| count.abs() == times);
            nodes = rest;
            // What is added comes first, and if nothing is, the whole is subtracted.
            let positive = group.iter().any(|&(_, count)| count > 0.0);
            let (plus, minus): (Vec<_>, Vec<_>) =
                group.into_iter().partition(|&(_, count)| (count > 0.0) == positive);
            let mut sum = None;
            for (prim, part) in [(Prim::Add, plus), (Prim::Sub, minus)] {
                for (node, _) in part {
                    sum = Some(sum.map_or(node, |sum| self.prim(prim, &[sum, node])));
                }
            }
            let mut sum = sum.expect("a group has parts");
            sum = self.multiple(sum, times);
            value = Some(match (value, positive) {
                (None, true) => sum,
                (None, false) => self.prim(Prim::Neg, &[sum]),
                (Some(value), true) => self.prim(Prim::Add, &[value, sum]),
                (Some(value), false) => self.prim(Prim::Sub, &[value, sum]),
            });
        }
        Some(value.unwrap_or_else(|| self.number(0.0)))
    }

    /// A node some times.
    fn multiple(&mut self, node: NodeId, times: f64) -> NodeId {
        if times == 1.0 {
            return node;
        }
        let times = self.number(times);
        self.prim(Prim::Mul, &[node, times])
    }

    fn atom(&mut self, atom: &Atom) -> Option<NodeId> {
        match atom {
            Atom::Node(node) => Some(*node),
            Atom::Choice { test, yes, no, .. } => {
                let mut side = |lin: &Option<Rc<Lin>>| match lin {
                    Some(lin) => self.exponent(lin),
                    None => Some(self.number(f64::NEG_INFINITY)),
                };
                let (yes, no) = (side(yes)?, side(no)?);
                Some(self.prim(Prim::Select, &[*test, yes, no]))
            }
        }
    }

    /// The node of a weight but for its sign; none if that is 1.
    fn weight(&mut self, weight: &Weight) -> Option<Option<NodeId>> {
        if weight.factors.is_empty() {
            return Some(None);
        }
        let bare = Weight { negative: false, factors: weight.factors.clone() };
        self.assembled(None, &bare, &[]).map(Some)
    }

    fn factor(&mut self, factor: &Factor) -> Option<NodeId> {
        match factor {
            Factor::Node(node) => Some(*node),
            Factor::Choice { test, yes, no, .. } => {
                let yes = self.assembled(None, yes, &[])?;
                let no = self.assembled(None, no, &[])?;
                Some(self.prim(Prim::Select, &[*test, yes, no]))
            }
        }
    }
}

/// Whether squares of a value, and sums of them, are numbers: it comes from an `f16`.
fn is_of_f16(graph: &Graph, node: NodeId) -> bool {
    match graph.nodes[node].op {
        Op::Convert(value) => graph.nodes[value].dtype == DType::F16,
        _ => false,
    }
}

/// `a - b`.
fn difference(a: &Lin, b: &Lin) -> Lin {
    let mut out = a.clone();
    b.iter().for_each(|(atom, count)| add_atom(&mut out, atom, -count));
    out
}

/// How many times every part of all exponents counts, if that is the same: `exp(2 x)` has the maximum of `x` taken.
fn common_count(terms: &[Term]) -> f64 {
    let mut counts = terms.iter().flat_map(|term| term.lin.iter().map(|(_, count)| count.abs()));
    match counts.next() {
        Some(first) if counts.all(|count| count == first) => first,
        _ => 1.0,
    }
}

/// An exponent over a number.
fn over(lin: &Lin, times: f64) -> Lin {
    lin.iter().map(|(atom, count)| (atom.clone(), count / times)).collect()
}

/// Whether every factor of one weight is one of another.
fn contains(weight: &Weight, part: &Weight) -> bool {
    part.factors.iter().all(|factor| weight.factors.contains(factor))
}

/// Whether an exponent is another one, some times.
fn lin_is(lin: &Lin, of: &[(Atom, f64)]) -> bool {
    let times = match (lin.first(), of.first()) {
        (Some((_, own)), Some((_, other))) => own / other,
        _ => 1.0,
    };
    let same = |((a, n), (b, m)): (&(Atom, f64), &(Atom, f64))| a == b && *n == times * m;
    times > 0.0 && lin.len() == of.len() && lin.iter().zip(of).all(same)
}
