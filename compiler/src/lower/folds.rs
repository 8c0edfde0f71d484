//! Folds: definitions become scalar code of the loop IR, their nodes parts of a reduction loop.

use rustc_hash::FxHashMap;

use super::{Lower, elem, storage};
use crate::graph::folds::split_condition;
use crate::graph::{self, FoldId, Graph, NodeId, Op};
use crate::loops::{Elem, Fold, FoldDecl, FoldUse, Inst, Part, Stage, Type, Value};

/// The nodes of one fold: those of the same definition, operands and dimensions, by the number of the state.
pub(super) struct FoldNodes {
    fold: FoldId,
    args: Vec<NodeId>,
    /// The node of each number; none where nothing uses it.
    nodes: Vec<Option<NodeId>>,
}

impl Lower<'_> {
    /// The folds among some reductions, in the order of their first nodes.
    pub(super) fn folds_among(&self, reduces: &[NodeId]) -> Vec<FoldNodes> {
        let mut folds: Vec<FoldNodes> = Vec::new();
        for &node in reduces {
            let Op::Fold { fold, state, args, .. } = &self.graph.nodes[node].op else { continue };
            let known = folds.iter().position(|known| known.fold == *fold && known.args == *args);
            let at = known.unwrap_or_else(|| {
                let nodes = vec![None; self.graph.folds[*fold].empty.len()];
                folds.push(FoldNodes { fold: *fold, args: args.clone(), nodes });
                folds.len() - 1
            });
            folds[at].nodes[*state as usize] = Some(node);
        }
        folds
    }

    /// A fold's operands in the body of a reduction loop, with so many lanes; the results come later.
    pub(super) fn fold_operands(&mut self, nodes: &FoldNodes, lanes: u32) -> FoldUse {
        let fold = self.fold_decl(nodes.fold);
        let (args, cond) = split_condition(&self.graph.folds[nodes.fold], &nodes.args);
        let args = args.iter().map(|&arg| self.operand(arg, lanes)).collect();
        let cond = cond.map(|cond| self.operand(cond, lanes));
        FoldUse { fold, args, cond, results: Vec::new() }
    }

    /// New values for the numbers of a fold's state, known as its nodes.
    pub(super) fn fold_results(&mut self, nodes: &FoldNodes, lanes: u32) -> Vec<Value> {
        let dtypes: Vec<Elem> = self.graph.folds[nodes.fold].states().map(elem).collect();
        let values: Vec<Value> =
            dtypes.into_iter().map(|elem| self.func.value(Type { elem, lanes })).collect();
        let known = nodes.nodes.iter().zip(&values).filter_map(|(node, &value)| Some(((*node)?, value)));
        self.scope.values.extend(known);
        values
    }

    /// The lanes of a fold's results in column form.
    pub(super) fn fold_lanes(&self, nodes: &FoldNodes) -> u32 {
        nodes.nodes.iter().flatten().map(|&node| self.lanes_of(node)).max().unwrap_or(1)
    }

    /// The definition in the loop IR, made when it is first used.
    fn fold_decl(&mut self, id: FoldId) -> Fold {
        if let Some(&known) = self.folds.get(&id) {
            return known;
        }
        let graph::Fold { name, empty, lift, step, merge, stages } = &self.graph.folds[id];
        let states = empty.iter().map(|constant| (elem(constant.dtype), constant.bits)).collect();
        let (lift, step, merge) = (self.part(lift), self.part(step), self.part(merge));
        let stages = stages.iter().map(|stage| {
            let (each, close) = (self.part(&stage.each), self.part(&stage.close));
            Stage { terms: stage.terms.clone(), each, close }
        });
        let stages = stages.collect();
        let fold = self.func.folds.push(FoldDecl { name: name.clone(), states, lift, step, merge, stages });
        self.folds.insert(id, fold);
        fold
    }

    fn part(&mut self, part: &Graph) -> Part {
        let outside = std::mem::take(&mut self.stmts);
        let mut values: FxHashMap<NodeId, Value> = FxHashMap::default();
        let mut made = Part::default();
        for (id, node) in &part.nodes {
            let ty = Type::scalar(elem(node.dtype).loaded());
            let value = match &node.op {
                Op::Param(_) => {
                    let param = self.func.value(ty);
                    made.params.push(param);
                    param
                }
                Op::Const(constant) => self.push(ty, Inst::Const(storage::constant_bits(*constant))),
                Op::Convert(arg) => storage::convert(self, values[arg], part.nodes[*arg].dtype, node.dtype),
                Op::Prim(prim, args) => {
                    let args: Vec<Value> = args.iter().map(|arg| values[arg]).collect();
                    self.function(ty, *prim, args)
                }
                op => unreachable!("{op:?} in a part of a fold"),
            };
            values.insert(id, value);
        }
        made.block.yields = part.results.iter().map(|(_, value)| values[value]).collect();
        made.block.stmts = std::mem::replace(&mut self.stmts, outside);
        made
    }
}
