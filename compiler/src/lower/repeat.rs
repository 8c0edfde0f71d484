//! Loops of the graph in the loop IR: an ordinary sequential loop around what a step does.

use rustc_hash::FxHashSet;

use super::{Axis, Lower, Source, elem};
use crate::graph::regions::{Group, Place, Repeat, State};
use crate::graph::{Graph, NodeId, Op, Steps};
use crate::loops::{Block, Carry, For, Inst, LoopKind, Stmt, Type, Value};
use crate::types::{DimId, SizeExpr};

/// What is read along other names and is no parameter.
pub(super) fn read_across(graph: &Graph) -> FxHashSet<NodeId> {
    let values = graph.nodes.values().filter_map(|node| match node.op {
        Op::Rename { value, .. } => Some(value),
        _ => None,
    });
    values.filter(|&value| matches!(graph.nodes[value].op, Op::Carry { .. })).collect()
}

impl Lower<'_> {
    /// A loop of the graph: values of its state are carried, arrays are where the regions inside find them.
    pub(super) fn repeat(&mut self, repeat: &Repeat) {
        let (arrays, carried): (Vec<&State>, Vec<&State>) =
            repeat.states.iter().partition(|state| state.array);
        let inits: Vec<Value> =
            carried.iter().map(|state| self.operand(state.init, self.lanes_of(state.carry))).collect();
        let steps = match self.graph.repeats[repeat.id] {
            Steps::Number(steps) => SizeExpr::Const(i64::from(steps)),
            Steps::Size(dim) => SizeExpr::Dim(dim.as_u32()),
        };
        let (lo, hi) = (self.index(0), self.size(&steps));
        let variable = |lower: &mut Self, state: &&State| {
            let ty = Type::scalar(elem(lower.graph.nodes[state.carry].dtype));
            let lanes = lower.lanes_of(state.carry);
            lower.func.value(ty.with_lanes(lanes))
        };
        let var = self.func.value(Type::INDEX);
        let vars: Vec<Value> = carried.iter().map(|state| variable(self, state)).collect();
        let ends: Vec<Value> = carried.iter().map(|state| variable(self, state)).collect();
        let kept = self.kept.clone();
        let mut yields = Vec::new();
        let stmts = self.nested(|lower| {
            lower.numbers.insert(repeat.id, var);
            for (state, &var) in carried.iter().zip(&vars) {
                lower.scope.values.insert(state.carry, var);
            }
            for state in &arrays {
                lower.kept.insert(state.carry, Place::State(state.carry));
            }
            lower.steps(&repeat.steps);
            for state in &carried {
                yields.push(lower.operand(state.next, lower.lanes_of(state.carry)));
            }
        });
        self.kept = kept;
        for state in arrays {
            self.kept.extend(state.ends.iter().map(|&end| (end, Place::State(state.carry))));
        }
        for (state, &value) in carried.iter().zip(&ends) {
            self.scope.values.extend(state.ends.iter().map(|&end| (end, value)));
        }
        let carry = vars
            .into_iter()
            .zip(inits)
            .zip(ends)
            .map(|((var, init), result)| Carry { var, init, result })
            .collect();
        let (kind, body) = (LoopKind::Seq, Block { stmts, yields });
        self.stmts.push(Stmt::For(Box::new(For { var, lo, hi, step: 1, kind, unroll: 1, carry, body })));
    }

    /// A carried value along other names: its array at their positions.
    pub(super) fn load_state(&mut self, carry: NodeId, names: &[(DimId, DimId)], ty: Type) -> Value {
        let own = self.own_scratch_axes(carry);
        let now = |group: &Group| {
            let dim = self.regions.groups[*group][0];
            let dim = names.iter().find(|(from, _)| *from == dim).map_or(dim, |(_, to)| *to);
            self.regions.group_of(dim).expect("the dimension is looped over")
        };
        let axes = own
            .iter()
            .map(|axis| match axis {
                Axis::Groups(groups) => Axis::Groups(groups.iter().map(now).collect()),
                Axis::Unrolled(dim) => Axis::Unrolled(*dim),
            })
            .collect();
        let buffer = self.buffer(&Source::Scratch(carry), own);
        let access = self.access(buffer, axes, &[], ty.lanes);
        self.push(ty, Inst::Load(access))
    }
}
