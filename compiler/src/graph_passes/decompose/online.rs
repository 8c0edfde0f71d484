//! The online normaliser: the maximum so far and the sums for it, block by block.
//!
//! A block is looked at twice, for its maximum and for the sums that are shifted by it; the second time it comes from a cache.
//! Blocks are put together by
//!
//! ```text
//! m = max(a.m, b.m);  s = a.s exp(a.m - m) + b.s exp(b.m - m)
//! ```
//!
//! so that nothing is rescaled inside of a block, and no result depends on where in a block the maximum grows. Where a maximum is
//! `-inf`, 0 is subtracted, and the sums are 0. (Milakov and Gimelshein, "Online normalizer calculation for softmax", 2018.)

use super::part::Part;
use super::shifted::Terms;
use crate::graph::folds::{Fold, Stage, inline};
use crate::graph::{Constant, Graph, NodeId};
use crate::ops::{Prim, Term};

/// Numbers of the state before the sums: the maximum.
pub(super) const NUMBERS: usize = 1;

/// The sums are those for the maximum.
pub(super) fn finish(_: &mut Graph, _: &[NodeId], sum: NodeId) -> NodeId {
    sum
}

/// The fold.
pub(super) fn fold(terms: &Terms<'_>) -> Fold {
    let (lift, merge) = (lift(terms), merge(terms));
    let zeros = std::iter::repeat_n(0.0, terms.len());
    let empty = std::iter::once(f64::NEG_INFINITY).chain(zeros);
    Fold {
        name: "online".to_owned(),
        empty: empty.map(|value| Constant::new(terms.dtype, value)).collect(),
        step: step(terms, &lift, &merge, &["m"]),
        lift,
        merge,
        stages: stages(terms),
    }
}

/// `merge(a, lift(x))`.
pub(super) fn step(terms: &Terms<'_>, lift: &Graph, merge: &Graph, names: &[&str]) -> Graph {
    let (state, operands) = (terms.state("a.", names), terms.operands());
    let mut part = Part::new("step", &[&state[..], &operands].concat(), terms.dtype);
    let own: Vec<NodeId> = (0..state.len()).map(|at| part.param(at)).collect();
    let element: Vec<NodeId> = (0..operands.len()).map(|at| part.param(state.len() + at)).collect();
    let span = crate::diag::Span::default();
    let lifted = inline(&mut part.graph, lift, &element, span);
    let merged = inline(&mut part.graph, merge, &[own, lifted].concat(), span);
    part.finish(&terms.state("", names), &merged)
}

fn lift(terms: &Terms<'_>) -> Graph {
    let mut part = Part::new("lift", &terms.operands(), terms.dtype);
    let u = part.param(0);
    let shift = part.unless_minus_infinity(u, u, 0.0);
    let less = part.prim(Prim::Sub, &[u, shift]);
    let exp = part.prim(Prim::ExpNonpos, &[less]);
    let sums = terms.values(&mut part, 0, exp);
    part.finish(&terms.state("", &["m"]), &[&[u][..], &sums].concat())
}

fn merge(terms: &Terms<'_>) -> Graph {
    let params = [terms.state("a.", &["m"]), terms.state("b.", &["m"])].concat();
    let mut part = Part::new("merge", &params, terms.dtype);
    let late = 1 + terms.len();
    let (a, b) = (part.param(0), part.param(late));
    let max = part.larger(terms.reduction(), a, b);
    let shift = part.unless_minus_infinity(max, max, 0.0);
    let factor = |part: &mut Part, max: NodeId| {
        let less = part.prim(Prim::Sub, &[max, shift]);
        part.prim(Prim::ExpNonpos, &[less])
    };
    let (of_a, of_b) = (factor(&mut part, a), factor(&mut part, b));
    let mut state = vec![max];
    for at in 1..=terms.len() {
        let (a, b) = (part.param(at), part.param(late + at));
        let b = part.prim(Prim::Mul, &[b, of_b]);
        state.push(part.prim(Prim::Fma, &[a, of_a, b]));
    }
    part.finish(&terms.state("", &["m"]), &state)
}

fn stages(terms: &Terms<'_>) -> Vec<Stage> {
    let operands = terms.operands();
    let closed = terms.floats(["m", "z"]);
    let each = Part::new("each", &operands, terms.dtype);
    let u = each.param(0);
    let each = each.finish(&terms.floats(["u"]), &[u]);
    let mut close = Part::new("close", &terms.floats(["count", "m"]), terms.dtype);
    let max = close.param(1);
    let shift = close.unless_minus_infinity(max, max, 0.0);
    let close = close.finish(&closed, &[max, shift]);
    let first = Stage { terms: vec![Term::Of(terms.reduction())], each, close };

    let mut each = Part::new("each", &[&operands[..], &closed].concat(), terms.dtype);
    let (u, shift) = (each.param(0), each.param(operands.len() + 1));
    let less = each.prim(Prim::Sub, &[u, shift]);
    let exp = each.prim(Prim::ExpNonpos, &[less]);
    let factors = terms.factors(&mut each, 0, exp).concat();
    let names = terms.floats((0..factors.len()).map(|at| format!("t{at}")));
    let each = each.finish(&names, &factors);
    let sums = terms.floats((0..terms.len()).map(|at| format!("s{at}")));
    let count = terms.floats(["count"]);
    let close = Part::new("close", &[&count[..], &closed, &sums].concat(), terms.dtype);
    let state: Vec<NodeId> =
        std::iter::once(close.param(1)).chain((0..terms.len()).map(|at| close.param(3 + at))).collect();
    let close = close.finish(&terms.state("", &["m"]), &state);
    vec![first, Stage { terms: terms.kinds(), each, close }]
}
