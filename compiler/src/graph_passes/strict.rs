//! The accuracy class `strict`: what a kernel of `f32` computes place by place with elementary functions is computed in `f64`
//! and rounded once, so that the last digits are right where the result is far smaller than its input, too.
//!
//! Nodes of `f32` that are functions of their operands place by place hang together where one is an operand of another. Such
//! a part becomes `f64` if an elementary function is among it (the reciprocal square root, which is as good as a quotient,
//! aside); what enters is converted, exactly, and what leaves is rounded. `1 + erf(x)` becomes `erfc(-x)`, in kernels of `f64`
//! as well: nothing else of the library's functions cancels for good.
//!
//! A constant that is the `f32` nearest to the square root of 1/2, to pi and the like becomes the `f64` nearest to it: see
//! [`meant`]. Other constants stay the `f32` that the text means by them.
//!
//! What runs over places (reductions, scans, loops, computed positions) stays what it is, and its operands stay `f32`: a value
//! that is such an operand and also part of what becomes `f64` is computed twice. Where `stabilise` shifts exponentials of a reduction, or divides a
//! norm's elements by the largest, all that a value depending on a reduction is made of stays as well: that pass sees such
//! forms in one dtype.
//!
//! Runs before all other passes, so that constants are `f64` when they are folded; only where the options or the text ask for
//! it. Leaves conversions that nothing uses (dce). Numeric: sees no target.

use cranelift_entity::SecondaryMap;
use rustc_hash::FxHashMap;

use super::rewrite::{constant, rebuild};
use super::stabilise;
use crate::graph::{Constant, Graph, Node, NodeId, Op};
use crate::ops::{Class, Prim, Typing};
use crate::types::DType;

/// The pass.
pub fn run(graph: &mut Graph) {
    let (wide, narrow) = (wide(graph), feeding(graph));
    // For each value that is rounded, the one that is not; and exact conversions of others.
    let mut exact: FxHashMap<NodeId, NodeId> = FxHashMap::default();
    rebuild(graph, |graph, old, mut node| {
        let Node { dtype, dims, span, .. } = node;
        if !wide[old] {
            return push(graph, node);
        }
        let as_it_was = narrow[old].then(|| graph.nodes.push(node.clone()));
        for arg in node.op.args_mut() {
            *arg = widened(graph, *arg, &mut exact);
        }
        if dtype != DType::F32 {
            return as_it_was.unwrap_or_else(|| graph.nodes.push(node));
        }
        node.dtype = DType::F64;
        let value = push(graph, node);
        let rounded =
            as_it_was.unwrap_or_else(|| graph.add_with_dims(Op::Convert(value), DType::F32, dims, span));
        exact.insert(rounded, value);
        rounded
    });
}

/// Adds a node; `1 + erf(x)` of `f64` as `erfc(-x)`.
fn push(graph: &mut Graph, mut node: Node) -> NodeId {
    if let Some(x) = one_plus_erf(graph, &node) {
        let minus = graph.add(Op::Prim(Prim::Neg, vec![x]), node.dtype, node.span);
        node.op = Op::Prim(Prim::Erfc, vec![minus]);
    }
    graph.nodes.push(node)
}

/// A value of `f32` as `f64`; others as they are.
fn widened(graph: &mut Graph, value: NodeId, exact: &mut FxHashMap<NodeId, NodeId>) -> NodeId {
    let Node { dtype, dims, span, .. } = graph.nodes[value];
    if dtype != DType::F32 {
        return value;
    }
    if let Some(&known) = exact.get(&value) {
        return known;
    }
    let op = match constant(graph, value) {
        Some(number) => Op::Const(Constant::new(DType::F64, meant(number))),
        None => Op::Convert(value),
    };
    let wide = graph.add_with_dims(op, DType::F64, dims, span);
    exact.insert(value, wide);
    wide
}

/// What a constant of `f32` stands for: one of a few irrational numbers, rounded to `f64` instead, or itself.
pub fn meant(number: Constant) -> f64 {
    use std::f64::consts::{FRAC_1_PI, FRAC_1_SQRT_2, FRAC_2_SQRT_PI, FRAC_PI_2, LN_2, LOG2_E, PI, SQRT_2};
    let value = number.value();
    let known = [
        FRAC_1_SQRT_2,
        SQRT_2,
        FRAC_2_SQRT_PI * FRAC_1_SQRT_2,
        FRAC_2_SQRT_PI * SQRT_2,
        PI,
        FRAC_PI_2,
        FRAC_1_PI,
        LN_2,
        LOG2_E,
    ];
    let is_f32 = number.dtype == DType::F32;
    known.into_iter().find(|&exact| is_f32 && f64::from(exact as f32) == value).unwrap_or(value)
}

/// The x of `1 + erf(x)` in `f64`, where both have the same dimensions.
fn one_plus_erf(graph: &Graph, node: &Node) -> Option<NodeId> {
    let Op::Prim(Prim::Add, args) = &node.op else { return None };
    let erf = |value: NodeId| match &graph.nodes[value].op {
        Op::Prim(Prim::Erf, args) if graph.nodes[value].dims == node.dims => Some(args[0]),
        _ => None,
    };
    let is_one = |value: NodeId| {
        let value = if let Op::Broadcast(repeated) = graph.nodes[value].op { repeated } else { value };
        constant(graph, value).is_some_and(|number| number.value() == 1.0)
    };
    let pair = |a: NodeId, b: NodeId| erf(a).filter(|_| is_one(b));
    if node.dtype != DType::F64 {
        return None;
    }
    pair(args[0], args[1]).or_else(|| pair(args[1], args[0]))
}

/// Which nodes are computed in `f64`.
fn wide(graph: &Graph) -> SecondaryMap<NodeId, bool> {
    let kept = kept(graph);
    let belongs = |id: NodeId| is_pointwise(graph, &graph.nodes[id]) && !kept[id];
    let mut leader: SecondaryMap<NodeId, Option<NodeId>> = SecondaryMap::new();
    let mut calls: SecondaryMap<NodeId, bool> = SecondaryMap::new();
    for (id, node) in graph.nodes.iter().filter(|(id, _)| belongs(*id)) {
        for &arg in node.op.args().iter().filter(|arg| belongs(**arg)) {
            let (own, other) = (first(&leader, id), first(&leader, arg));
            if own != other {
                leader[own] = Some(other);
                calls[other] |= calls[own];
            }
        }
        calls[first(&leader, id)] |= matches!(node.op, Op::Prim(prim, _) if counts(prim));
    }
    let mut wide = SecondaryMap::new();
    for id in graph.nodes.keys().filter(|id| belongs(*id)) {
        wide[id] = calls[first(&leader, id)];
    }
    wide
}

/// The node that stands for a part.
fn first(leader: &SecondaryMap<NodeId, Option<NodeId>>, mut id: NodeId) -> NodeId {
    while let Some(next) = leader[id] {
        id = next;
    }
    id
}

/// Whether an elementary function asks for more digits.
fn counts(prim: Prim) -> bool {
    prim.class() == Class::Expanded && prim != Prim::Rsqrt
}

/// Whether a node is a function of its operands place by place, computes in `f32`, and is no less that in `f64`.
fn is_pointwise(graph: &Graph, node: &Node) -> bool {
    let is_f32 = |id: &NodeId| graph.nodes[*id].dtype == DType::F32;
    match &node.op {
        Op::Broadcast(value) => is_f32(value),
        Op::Prim(Prim::NextUp, _) => false,
        Op::Prim(prim, args) => match prim.typing() {
            Typing::Compare => args.iter().all(is_f32),
            _ => node.dtype == DType::F32 && args.iter().any(is_f32),
        },
        _ => false,
    }
}

/// What the operands of all that runs over places are made of.
fn feeding(graph: &Graph) -> SecondaryMap<NodeId, bool> {
    let mut feeding = SecondaryMap::new();
    for (id, node) in graph.nodes.iter().rev() {
        let runs = match node.op {
            Op::Reduce { .. }
            | Op::Fold { .. }
            | Op::Scan { .. }
            | Op::KthLargest { .. }
            | Op::Carry { .. }
            | Op::Final { .. }
            | Op::Rename { .. }
            | Op::Gather { .. } => true,
            Op::Param(_)
            | Op::Const(_)
            | Op::Index(_)
            | Op::Size(_)
            | Op::Prim(..)
            | Op::Convert(_)
            | Op::Slice { .. }
            | Op::Stack { .. }
            | Op::Broadcast(_)
            | Op::Step(_) => false,
        };
        if runs || feeding[id] {
            node.op.args().iter().for_each(|&arg| feeding[arg] = true);
        }
    }
    feeding
}

/// What stays, whatever it is part of: in a kernel whose exponentials are shifted, all that a value is made of that depends
/// on a reduction.
fn kept(graph: &Graph) -> SecondaryMap<NodeId, bool> {
    let mut kept = SecondaryMap::new();
    if !stabilise::report(graph).shifts_reductions() {
        return kept;
    }
    for (id, node) in &graph.nodes {
        kept[id] = node.op.runs_over().is_some() || node.op.args().iter().any(|&arg| kept[arg]);
    }
    for (id, node) in graph.nodes.iter().rev().filter(|(_, node)| !matches!(node.op, Op::Param(_))) {
        if kept[id] {
            node.op.args().iter().for_each(|&arg| kept[arg] = true);
        }
    }
    kept
}
