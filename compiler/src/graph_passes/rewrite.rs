//! What the passes share to rebuild a graph: nodes are visited in order, operands already renamed, and each is
//! kept, changed or replaced.

use cranelift_entity::PrimaryMap;

use crate::diag::Span;
use crate::graph::{Constant, Graph, Node, NodeId, Op};
use crate::types::DimSet;

/// Rebuilds the nodes of `graph`. `visit` gets the graph made so far, the node's old name and the node with its
/// operands renamed; it says which node of the new graph takes its place, which must have the same dimensions and
/// dtype. Parameters stay.
pub fn rebuild(graph: &mut Graph, mut visit: impl FnMut(&mut Graph, NodeId, Node) -> NodeId) {
    let old = std::mem::take(&mut graph.nodes);
    let mut names: PrimaryMap<NodeId, NodeId> = PrimaryMap::with_capacity(old.len());
    for (id, mut node) in old {
        for arg in node.op.args_mut() {
            *arg = names[*arg];
        }
        let new = match node.op {
            Op::Param(_) => graph.nodes.push(node),
            _ => visit(graph, id, node),
        };
        names.push(new);
    }
    for (_, value) in &mut graph.results {
        *value = names[*value];
    }
}

/// `value` with dimensions `dims`: itself, or repeated along those that it lacks.
pub fn spread(graph: &mut Graph, value: NodeId, dims: DimSet, span: Span) -> NodeId {
    let Node { dtype, dims: own, .. } = graph.nodes[value];
    debug_assert!(own.is_subset(dims), "{value} has a dimension that its user lacks");
    if own == dims { value } else { graph.add_with_dims(Op::Broadcast(value), dtype, dims, span) }
}

/// The constant that a node is.
pub fn constant(graph: &Graph, node: NodeId) -> Option<Constant> {
    match graph.nodes[node].op {
        Op::Const(constant) => Some(constant),
        _ => None,
    }
}
