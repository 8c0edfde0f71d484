//! The two-pass normaliser (Dukhan and Ablavatski, "The Two-Pass Softmax Algorithm", 2020): sums as a mantissa and an
//! exponent, element by element.
//!
//! e^u = p 4^n with `n = round(u / ln 4)` and `p = exp(u - n ln 4)`; the state is the largest `n`, and sums of p 4^(n - N), which
//! are rescaled by exact powers of two. To the base 4 rather than 2 no `n` overflows, and elsewhere it is the paper's. Where `u` is so large
//! that whole numbers are not exact, `u - n ln 4` is what is left of it: then different `u` are far apart, and it is enough that it is
//! held between -60 and 60. The state also has the maximum, and at the end the sums become those for it as
//! shift, by the mantissa of its own exponential.

use super::online;
use super::part::Part;
use super::shifted::Terms;
use crate::graph::folds::{Fold, inline};
use crate::graph::{Constant, Graph, NodeId};
use crate::ops::Prim;
use crate::types::DType;

/// Numbers of the state before the sums: the maximum and the exponent.
pub(super) const NUMBERS: usize = 2;

const NAMES: [&str; 2] = ["m", "n"];

/// `2 ln 2` as a number of the dtype, and what is missing.
fn ln_4(dtype: DType) -> (f64, f64) {
    match dtype {
        DType::F64 => (2.0 * std::f64::consts::LN_2, 2.0 * 2.319_046_813_846_299_6e-17),
        _ => (2.0 * 0.693_147_182_464_599_6, 2.0 * -1.904_654_212_125_933_6e-9),
    }
}

/// `round(u / ln 4)`.
fn exponent(part: &mut Part, u: NodeId) -> NodeId {
    let factor = part.number(std::f64::consts::LOG2_E / 2.0);
    let scaled = part.prim(Prim::Mul, &[u, factor]);
    part.prim(Prim::Round, &[scaled])
}

/// `exp(u - n ln 4)`, and `none` where `u` is `-inf`.
fn mantissa(part: &mut Part, u: NodeId, n: NodeId, none: f64) -> NodeId {
    let (high, low) = ln_4(part.dtype);
    let (high, low) = (part.number(-high), part.number(-low));
    let rest = part.prim(Prim::Fma, &[n, high, u]);
    let rest = part.prim(Prim::Fma, &[n, low, rest]);
    let (most, least) = (part.number(60.0), part.number(-60.0));
    let rest = part.prim(Prim::SelMin, &[most, rest]);
    let rest = part.prim(Prim::SelMax, &[least, rest]);
    let exp = part.prim(Prim::Exp, &[rest]);
    part.unless_minus_infinity(exp, u, none)
}

/// 4^d for a whole `d` that is 0 or less; 0 where there is no difference, since both are `-inf`.
fn power(part: &mut Part, d: NodeId) -> NodeId {
    let least = part.number(if part.dtype == DType::F64 { -600.0 } else { -80.0 });
    let d = part.prim(Prim::SelMax, &[d, least]);
    let twice = part.prim(Prim::Add, &[d, d]);
    part.prim(Prim::Exp2, &[twice])
}

/// The sum for the maximum as shift.
pub(super) fn finish(graph: &mut Graph, numbers: &[NodeId], sum: NodeId) -> NodeId {
    let (dtype, span) = (graph.nodes[sum].dtype, graph.nodes[sum].span);
    let names: Vec<(String, DType)> = ["m", "n", "s"].map(|name| (name.to_owned(), dtype)).into();
    let mut part = Part::new("finish", &names, dtype);
    let (m, n, s) = (part.param(0), part.param(1), part.param(2));
    let own = mantissa(&mut part, m, n, 1.0);
    let quotient = part.prim(Prim::Div, &[s, own]);
    let part = part.finish(&names[2..], &[quotient]);
    inline(graph, &part, &[numbers, &[sum]].concat(), span)[0]
}

/// The fold.
pub(super) fn fold(terms: &Terms<'_>) -> Fold {
    let (lift, merge) = (lift(terms), merge(terms));
    let zeros = std::iter::repeat_n(0.0, terms.len());
    let empty = [f64::NEG_INFINITY; 2].into_iter().chain(zeros);
    Fold {
        name: "two_pass".to_owned(),
        empty: empty.map(|value| Constant::new(terms.dtype, value)).collect(),
        step: online::step(terms, &lift, &merge, &NAMES),
        lift,
        merge,
        stages: Vec::new(),
    }
}

fn lift(terms: &Terms<'_>) -> Graph {
    let mut part = Part::new("lift", &terms.operands(), terms.dtype);
    let u = part.param(0);
    let n = exponent(&mut part, u);
    let own = mantissa(&mut part, u, n, 0.0);
    let sums = terms.values(&mut part, 0, own);
    part.finish(&terms.state("", &NAMES), &[&[u, n][..], &sums].concat())
}

fn merge(terms: &Terms<'_>) -> Graph {
    let params = [terms.state("a.", &NAMES), terms.state("b.", &NAMES)].concat();
    let mut part = Part::new("merge", &params, terms.dtype);
    let late = NUMBERS + terms.len();
    let (a, b) = (part.param(0), part.param(late));
    let max = part.larger(terms.reduction(), a, b);
    let (a, b) = (part.param(1), part.param(late + 1));
    let n = part.prim(Prim::SelMax, &[b, a]);
    let factor = |part: &mut Part, own: NodeId| {
        let less = part.prim(Prim::Sub, &[own, n]);
        power(part, less)
    };
    let (of_a, of_b) = (factor(&mut part, a), factor(&mut part, b));
    let mut state = vec![max, n];
    for at in NUMBERS..late {
        let (a, b) = (part.param(at), part.param(late + at));
        let b = part.prim(Prim::Mul, &[b, of_b]);
        state.push(part.prim(Prim::Fma, &[a, of_a, b]));
    }
    part.finish(&terms.state("", &NAMES), &state)
}
