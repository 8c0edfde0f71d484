//! Folds over fixed-size dimensions: their definition written out, element after element.
//!
//! The first element is lifted, each further one is added by `step`. Where other dimensions are reduced together with those
//! that go, these are folded first, for each position, and the states merged in the order of positions. Under a condition,
//! a truth value goes along that tells whether an element has counted yet.

use super::{Place, Unroll};
use crate::graph::folds::{inline, split_condition};
use crate::graph::{Constant, FoldId, Node, NodeId, Op};
use crate::ops::{Prim, Reduction};
use crate::types::{DType, DimSet};

/// The numbers of a state, and whether an element has counted; none: one has.
type State = (Vec<NodeId>, Option<NodeId>);

impl Unroll<'_> {
    /// The state of a fold over dimensions that go, and maybe others, at a place.
    pub(super) fn fold_chain(
        &mut self,
        fold: FoldId,
        args: &[NodeId],
        dims: DimSet,
        node: &Node,
        place: &Place,
    ) -> Vec<NodeId> {
        let over = dims.intersection(self.dims);
        let rest = dims.difference(self.dims);
        let mut state: Option<State> = None;
        for number in 0..self.places(over) {
            let place = self.place(*place, over, number);
            let args: Vec<NodeId> = args.iter().map(|&arg| self.at(arg, &place)).collect();
            let (own, cond) = split_condition(&self.graph.folds[fold], &args);
            let (own, mut cond) = (own.to_vec(), cond);
            let next = if rest.is_empty() {
                let definition = self.graph.folds[fold].clone();
                match &state {
                    None => inline(self.graph, &definition.lift, &own, node.span),
                    Some((before, seen)) => {
                        let operands = [&before[..], &own].concat();
                        let stepped = inline(self.graph, &definition.step, &operands, node.span);
                        match seen {
                            None => stepped,
                            Some(seen) => {
                                let lifted = inline(self.graph, &definition.lift, &own, node.span);
                                self.select_all(*seen, &stepped, &lifted, node)
                            }
                        }
                    }
                }
            } else {
                let element = self.folded(fold, &args, rest, node);
                cond = cond.map(|cond| self.holds_somewhere(cond, &args, rest, node));
                let definition = self.graph.folds[fold].clone();
                match &state {
                    None => element,
                    Some((before, seen)) => {
                        let operands = [&before[..], &element].concat();
                        let merged = inline(self.graph, &definition.merge, &operands, node.span);
                        match seen {
                            None => merged,
                            Some(seen) => self.select_all(*seen, &merged, &element, node),
                        }
                    }
                }
            };
            state = Some(match (state, cond) {
                (_, None) => (next, None),
                (None, Some(cond)) => (self.select_empty(fold, cond, &next, node), Some(cond)),
                (Some((before, seen)), Some(cond)) => {
                    let next = self.select_all(cond, &next, &before, node);
                    let seen = seen.map(|seen| {
                        self.graph.add(Op::Prim(Prim::Or, vec![seen, cond]), DType::Bool, node.span)
                    });
                    (next, seen)
                }
            });
        }
        state.expect("a dimension that goes has a position").0
    }

    /// The numbers of a fold over dimensions that stay.
    fn folded(&mut self, fold: FoldId, args: &[NodeId], dims: DimSet, node: &Node) -> Vec<NodeId> {
        let dtypes: Vec<DType> = self.graph.folds[fold].states().collect();
        let numbers = dtypes.into_iter().enumerate().map(|(state, dtype)| {
            let op = Op::Fold { fold, state: state as u32, args: args.to_vec(), dims };
            self.graph.add(op, dtype, node.span)
        });
        numbers.collect()
    }

    /// Whether a condition holds at one of the places along `dims`, at least.
    fn holds_somewhere(&mut self, cond: NodeId, args: &[NodeId], dims: DimSet, node: &Node) -> NodeId {
        // Counted where the fold has its places: an operand may have dimensions that the condition lacks.
        let all = self.graph.operand_dims(args);
        let mut constant = |bits| {
            let constant = Constant { dtype: DType::I32, bits };
            self.graph.add(Op::Const(constant), DType::I32, node.span)
        };
        let (zero, one) = (constant(0), constant(1));
        let place = self.graph.add(Op::Prim(Prim::Select, vec![cond, one, zero]), DType::I32, node.span);
        let place = match self.graph.nodes[place].dims {
            own if dims.is_subset(own) => place,
            own => {
                let dims = own.union(dims.intersection(all));
                self.graph.add_with_dims(Op::Broadcast(place), DType::I32, dims, node.span)
            }
        };
        let op = Op::Reduce { reduction: Reduction::Max, args: vec![place], dims };
        let most = self.graph.add(op, DType::I32, node.span);
        self.graph.add(Op::Prim(Prim::Eq, vec![most, one]), DType::Bool, node.span)
    }

    fn select_all(&mut self, cond: NodeId, yes: &[NodeId], no: &[NodeId], node: &Node) -> Vec<NodeId> {
        let select = |(&yes, &no): (&NodeId, &NodeId)| {
            let dtype = self.graph.nodes[yes].dtype;
            self.graph.add(Op::Prim(Prim::Select, vec![cond, yes, no]), dtype, node.span)
        };
        yes.iter().zip(no).map(select).collect()
    }

    /// A state where a condition holds, and what the fold is of nothing elsewhere.
    fn select_empty(&mut self, fold: FoldId, cond: NodeId, state: &[NodeId], node: &Node) -> Vec<NodeId> {
        let empty = self.graph.folds[fold].empty.clone();
        let empty: Vec<NodeId> = empty
            .into_iter()
            .map(|constant| self.graph.add(Op::Const(constant), constant.dtype, node.span))
            .collect();
        self.select_all(cond, state, &empty, node)
    }
}
