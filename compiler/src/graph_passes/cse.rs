//! Common subexpressions: nodes that compute the same become one, the first. Needs nothing; leaves nodes unused
//! (dce).
//!
//! Two nodes compute the same if their operation, operands, dtype and dimensions are the same. Operands of functions that
//! commute exactly may stand in either order; which order the first node has decides.

use rustc_hash::FxHashMap;

use super::rewrite::rebuild;
use crate::graph::{Graph, NodeId, Op};
use crate::ops::Prim;
use crate::types::{DType, DimSet};

/// The pass.
pub fn run(graph: &mut Graph) {
    let mut seen: FxHashMap<(Op, DType, DimSet), NodeId> = FxHashMap::default();
    rebuild(graph, |graph, _, node| {
        let key = (canonical(&node.op), node.dtype, node.dims);
        *seen.entry(key).or_insert_with(|| graph.nodes.push(node))
    });
}

/// The operation with the operands that may be exchanged in ascending order.
fn canonical(op: &Op) -> Op {
    let mut op = op.clone();
    match &mut op {
        Op::Prim(Prim::Add | Prim::Mul | Prim::Eq | Prim::Ne | Prim::And | Prim::Or | Prim::Fma, args) => {
            args[..2].sort_unstable();
        }
        // The order of a sum of products is that of the places, whichever factor is named first.
        Op::Reduce { args, .. } => args.sort_unstable(),
        _ => {}
    }
    op
}
