//! Contraction: decides every fused multiply-add, without sight of the target.
//!
//! In `p + c`, `c + p`, `p - c`, `c - p`, where `p` is a product of floats that has this one use in the whole graph
//! (results count), the pair becomes one fma; if both sides are such products, the left one. A sum of such a product
//! becomes the sum of the products of its two factors, each added by fma, unless it is in row form and a factor has some
//! of the dimensions of the run but not all (the product is an array along the run, the factor is none). Nothing else is contracted: an
//! expression that is used twice has the same bits in both places, so `x*c - max(x*c)` is exactly 0 at the maximum.
//!
//! The last pass but for cleaning up. Needs cse and dce (uses are counted); leaves products unused (dce) and
//! negations that may be alike (cse).

use cranelift_entity::SecondaryMap;

use super::rewrite::rebuild;
use crate::graph::{Form, Graph, Node, NodeId, Op};
use crate::ops::{Prim, Reduction};
use crate::types::DimSet;

/// The pass.
pub fn run(graph: &mut Graph) {
    let uses = graph.use_counts();
    let old_args: SecondaryMap<NodeId, Vec<NodeId>> = {
        let mut map = SecondaryMap::with_capacity(graph.nodes.len());
        for (id, node) in &graph.nodes {
            map[id] = node.op.args().to_vec();
        }
        map
    };
    rebuild(graph, |graph, id, mut node| {
        let once = |position: usize| uses[old_args[id][position]] == 1;
        if let Some(op) = contracted(graph, &node, once) {
            node.op = op;
        }
        graph.nodes.push(node)
    });
}

/// What a node becomes; `once` tells whether its operand at a position has no other use.
fn contracted(graph: &mut Graph, node: &Node, once: impl Fn(usize) -> bool) -> Option<Op> {
    if !node.dtype.is_float() {
        return None;
    }
    match node.op {
        Op::Prim(prim @ (Prim::Add | Prim::Sub), ref args) => {
            let [left, right] = args[..] else { return None };
            if let Some((a, b)) = product(graph, left).filter(|_| once(0)) {
                let c = if prim == Prim::Sub { negated(graph, right) } else { right };
                return Some(Op::Prim(Prim::Fma, vec![a, b, c]));
            }
            let (a, b) = product(graph, right).filter(|_| once(1))?;
            let a = if prim == Prim::Sub { negated(graph, a) } else { a };
            Some(Op::Prim(Prim::Fma, vec![a, b, left]))
        }
        Op::Reduce { reduction: Reduction::Sum, ref args, dims } => {
            let [arg] = args[..] else { return None };
            let (a, b) = product(graph, arg).filter(|_| once(0))?;
            if graph.form(&[a, b], dims) == Form::Row {
                let run = trailing(graph.operand_dims(&[a, b]), dims);
                let partly = |factor: NodeId| {
                    let here = graph.nodes[factor].dims.intersection(run);
                    !here.is_empty() && here != run
                };
                if partly(a) || partly(b) {
                    return None;
                }
            }
            Some(Op::Reduce { reduction: Reduction::Sum, args: vec![a, b], dims })
        }
        _ => None,
    }
}

/// The dimensions that a reduction in row form runs along: the last ones of the operand, as far as they are reduced.
fn trailing(operand: DimSet, reduced: DimSet) -> DimSet {
    operand.iter().rev().take_while(|dim| reduced.contains(*dim)).collect()
}

/// The factors, if a node is a product.
fn product(graph: &Graph, node: NodeId) -> Option<(NodeId, NodeId)> {
    match graph.nodes[node].op {
        Op::Prim(Prim::Mul, ref args) => Some((args[0], args[1])),
        _ => None,
    }
}

/// `-value`. A negation of a negation is the value itself.
fn negated(graph: &mut Graph, value: NodeId) -> NodeId {
    let node = &graph.nodes[value];
    if let Op::Prim(Prim::Neg, args) = &node.op {
        return args[0];
    }
    let (dtype, span) = (node.dtype, node.span);
    graph.add(Op::Prim(Prim::Neg, vec![value]), dtype, span)
}
