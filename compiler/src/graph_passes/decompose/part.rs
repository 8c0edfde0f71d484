//! Writes the parts of folds: graphs of numbers.

use rustc_hash::FxHashMap;

use crate::diag::Span;
use crate::graph::folds::{number, part};
use crate::graph::{Constant, Graph, Node, NodeId, Op};
use crate::ops::{Prim, Reduction};
use crate::types::DType;

/// A part on the way.
pub(super) struct Part {
    /// The graph so far.
    pub graph: Graph,
    /// The dtype of all its floats.
    pub dtype: DType,
}

impl Part {
    /// A part with parameters of these names and dtypes.
    pub fn new(name: &str, params: &[(String, DType)], dtype: DType) -> Part {
        let mut graph = part(name);
        for (index, (name, dtype)) in params.iter().enumerate() {
            graph.params.push(number(name.clone(), *dtype));
            graph.add(Op::Param(index as u32), *dtype, Span::default());
        }
        Part { graph, dtype }
    }

    /// A parameter.
    pub fn param(&self, index: usize) -> NodeId {
        NodeId::from_u32(index as u32)
    }

    /// A number.
    pub fn number(&mut self, value: f64) -> NodeId {
        self.graph.add(Op::Const(Constant::new(self.dtype, value)), self.dtype, Span::default())
    }

    /// A function of floats.
    pub fn prim(&mut self, prim: Prim, args: &[NodeId]) -> NodeId {
        self.graph.add(Op::Prim(prim, args.to_vec()), self.dtype, Span::default())
    }

    /// A comparison.
    pub fn compare(&mut self, prim: Prim, a: NodeId, b: NodeId) -> NodeId {
        self.graph.add(Op::Prim(prim, vec![a, b]), DType::Bool, Span::default())
    }

    /// `value`, or another number where it is `-inf`.
    pub fn unless_minus_infinity(&mut self, value: NodeId, test: NodeId, otherwise: f64) -> NodeId {
        let none = self.number(f64::NEG_INFINITY);
        let is = self.compare(Prim::Eq, test, none);
        let otherwise = self.number(otherwise);
        self.prim(Prim::Select, &[is, otherwise, value])
    }

    /// `value`, or another one where it is NaN.
    pub fn unless_nan(&mut self, value: NodeId, otherwise: NodeId) -> NodeId {
        let is = self.compare(Prim::Ne, value, value);
        self.prim(Prim::Select, &[is, otherwise, value])
    }

    /// The larger of two, as a reduction combines its state `a` with `b`, which comes later.
    pub fn larger(&mut self, reduction: Reduction, a: NodeId, b: NodeId) -> NodeId {
        let larger = self.prim(Prim::SelMax, &[b, a]);
        if reduction == Reduction::SelMax {
            return larger;
        }
        let is = self.compare(Prim::Ne, b, b);
        self.prim(Prim::Select, &[is, b, larger])
    }

    /// A node of another graph, some of whose nodes are known here; constants are copied.
    pub fn copy(&mut self, from: &Graph, node: NodeId, known: &FxHashMap<NodeId, NodeId>) -> NodeId {
        if let Some(&here) = known.get(&node) {
            return here;
        }
        let Node { op, dtype, .. } = &from.nodes[node];
        match op {
            Op::Const(constant) => self.graph.add(Op::Const(*constant), *dtype, Span::default()),
            Op::Prim(prim, args) => {
                let args = args.iter().map(|&arg| self.copy(from, arg, known)).collect();
                self.graph.add(Op::Prim(*prim, args), *dtype, Span::default())
            }
            op => unreachable!("{op:?} is no part of a term: {from}"),
        }
    }

    /// The part with these results.
    pub fn finish(mut self, names: &[(String, DType)], values: &[NodeId]) -> Graph {
        debug_assert_eq!(names.len(), values.len());
        self.graph.results = names
            .iter()
            .zip(values)
            .map(|((name, dtype), &value)| (number(name.clone(), *dtype), value))
            .collect();
        self.graph
    }
}
