//! What the grouping asks of a graph, and later stages ask again: the parts of results, what a leaf reads, what a node costs.

use crate::graph::{Graph, NodeId, Op};
use crate::ops::{Class, Prim};
use crate::types::DimId;

/// A value that is part of a result, and the positions at which it stands there.
pub type Part = (Vec<(DimId, u32)>, NodeId);

/// The values that make up each result: one, or for a `Stack` one for each choice of positions.
pub fn result_parts(graph: &Graph) -> Vec<Vec<Part>> {
    fn collect(graph: &Graph, node: NodeId, at: &mut Vec<(DimId, u32)>, parts: &mut Vec<Part>) {
        let Op::Stack { dim, values } = &graph.nodes[node].op else {
            parts.push((at.clone(), node));
            return;
        };
        for (position, &value) in values.iter().enumerate() {
            at.push((*dim, position as u32));
            collect(graph, value, at, parts);
            at.pop();
        }
    }
    let parts = |&(_, value): &(_, NodeId)| {
        let mut parts = Vec::new();
        collect(graph, value, &mut Vec::new(), &mut parts);
        parts
    };
    graph.results.iter().map(parts).collect()
}

/// What a leaf reads: a parameter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leaf {
    /// Which.
    pub param: u32,
    /// The fixed positions at which it is read.
    pub at: Vec<(DimId, u32)>,
    /// The dimensions along which it is read in place of its own.
    pub names: Vec<(DimId, DimId)>,
}

impl Leaf {
    /// The dimension that takes the place of one of the parameter's.
    pub fn along(&self, dim: DimId) -> DimId {
        self.names.iter().find(|(from, _)| *from == dim).map_or(dim, |(_, to)| *to)
    }
}

/// The parameter that a leaf reads, and how.
pub fn leaf(graph: &Graph, mut node: NodeId) -> Option<Leaf> {
    let mut leaf = Leaf::default();
    loop {
        match &graph.nodes[node].op {
            Op::Param(param) => return Some(Leaf { param: *param, ..leaf }),
            Op::Slice { value, dim, at } => {
                leaf.at.push((*dim, *at));
                node = *value;
            }
            Op::Rename { value, names } => {
                leaf.names.clone_from(names);
                node = *value;
            }
            Op::Const(_)
            | Op::Index(_)
            | Op::Size(_)
            | Op::Prim(..)
            | Op::Convert(_)
            | Op::Reduce { .. }
            | Op::Fold { .. }
            | Op::Scan { .. }
            | Op::KthLargest { .. }
            | Op::Stack { .. }
            | Op::Broadcast(_)
            | Op::Carry { .. }
            | Op::Step(_)
            | Op::Final { .. }
            | Op::Gather { .. } => return None,
        }
    }
}

/// What computing a node costs, roughly, in core operations on one vector.
pub fn cost(graph: &Graph, node: NodeId) -> u32 {
    match &graph.nodes[node].op {
        Op::Prim(prim, _) => match (prim.class(), prim) {
            (Class::Expanded, Prim::ExpNonpos) => 12,
            (Class::Expanded, Prim::Rsqrt) => 8,
            (Class::Expanded, Prim::Cbrt | Prim::Asinh | Prim::Acosh | Prim::Atanh) => 55,
            (Class::Expanded, Prim::Erfc | Prim::Atan2) => 70,
            (Class::Expanded, Prim::Pow | Prim::Sin | Prim::Cos | Prim::Tan) => 125,
            (Class::Expanded, _) => 20,
            (_, Prim::Div | Prim::Sqrt) => 4,
            _ => 1,
        },
        Op::Param(_)
        | Op::Const(_)
        | Op::Index(_)
        | Op::Size(_)
        | Op::Convert(_)
        | Op::Slice { .. }
        | Op::Broadcast(_)
        | Op::Rename { .. }
        | Op::Gather { .. }
        | Op::Reduce { .. }
        | Op::Fold { .. }
        | Op::Carry { .. }
        | Op::Step(_)
        | Op::Final { .. }
        | Op::Scan { .. }
        | Op::KthLargest { .. }
        | Op::Stack { .. } => 1,
    }
}
