//! Reductions that the text defines, `reduction name { empty lift merge step }`: a state of several numbers, and how
//! elements and states are put together.
//!
//! A [`Fold`] is a definition for operands of certain dtypes. Its parts are graphs without dimensions: their parameters are
//! numbers, their nodes `Const`, `Prim` and `Convert`, their results the numbers of the state. An [`Op::Fold`] node uses
//! a definition; one node stands for one number of the state, and the nodes of the others have the same operands.
//!
//! **Meaning.** The first element that counts becomes a state by `lift`; each further one is added by `step`; the states of
//! lanes and blocks that have an element are put together by `merge`, which is associative and commutative, so that the
//! order is not part of the meaning. `empty` is the result where no element counts, and nothing else.

use cranelift_entity::{PrimaryMap, entity_impl};

use super::{Constant, Decl, Graph, NodeId, Op};
use crate::diag::Span;
use crate::ops::Term;
use crate::types::DType;

/// A definition in [`Graph::folds`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FoldId(u32);
entity_impl!(FoldId, "fold");

/// A reduction of the text.
#[derive(Clone, Debug, PartialEq)]
pub struct Fold {
    /// Its name in the text.
    pub name: String,
    /// The result over nothing, one constant for each number of the state.
    pub empty: Vec<Constant>,
    /// The state of one element. Parameters: the element's operands.
    pub lift: Graph,
    /// A state with one element more. Parameters: the state, then the element's operands.
    pub step: Graph,
    /// Two states as one. Parameters: the state of what comes first, then that of what comes later.
    pub merge: Graph,
    /// How the state of a whole block is made, if not element by element: see [`Stage`].
    pub stages: Vec<Stage>,
}

/// One of several looks at all elements of a block, from which its state is made at once. It is what `lift` and `step` give
/// but for rounding; a block is small enough to be read again from a cache.
#[derive(Clone, Debug, PartialEq)]
pub struct Stage {
    /// What is made of all elements: [`Term`]s, each with the next ones of what `each` gives.
    pub terms: Vec<Term>,
    /// What the terms take of an element. Parameters: the element's operands, then what the stage before has closed with.
    pub each: Graph,
    /// What the next stage gets, or the state if there is none. Parameters: how many elements there are, as a number of the first
    /// state's dtype, what the stage before has closed with, then the terms.
    pub close: Graph,
}

impl Fold {
    /// The dtypes of the operands.
    pub fn operands(&self) -> impl ExactSizeIterator<Item = DType> + '_ {
        self.lift.params.iter().map(|param| param.dtype)
    }

    /// The dtypes of the state's numbers.
    pub fn states(&self) -> impl ExactSizeIterator<Item = DType> + '_ {
        self.empty.iter().map(|constant| constant.dtype)
    }

    /// The name of a number of the state.
    pub fn state_name(&self, state: usize) -> &str {
        self.lift.results.get(state).map_or("?", |(decl, _)| decl.name.as_str())
    }

    /// The parts with their names in the text form.
    pub fn parts(&self) -> Vec<(&'static str, &Graph)> {
        let mut parts = vec![("lift", &self.lift), ("step", &self.step), ("merge", &self.merge)];
        parts.extend(self.stages.iter().flat_map(|stage| [("each", &stage.each), ("close", &stage.close)]));
        parts
    }

    /// The parts, to be changed.
    pub fn parts_mut(&mut self) -> Vec<&mut Graph> {
        let mut parts = vec![&mut self.lift, &mut self.step, &mut self.merge];
        parts.extend(self.stages.iter_mut().flat_map(|stage| [&mut stage.each, &mut stage.close]));
        parts
    }

    /// Whether a number of 64 bits occurs among operands or states.
    pub fn is_wide(&self) -> bool {
        self.operands().chain(self.states()).any(|dtype| dtype == DType::F64)
    }
}

/// A graph without dimensions and nodes: a part of a fold, to be filled.
pub fn part(name: &str) -> Graph {
    Graph::new(name)
}

/// The declaration of a number in a part.
pub fn number(name: String, dtype: DType) -> Decl {
    Decl { name, dtype, axes: None, default: None, range: None, doc: String::new() }
}

/// Writes a part out in `graph` for some operands; gives its results. Their dimensions follow from the operands.
pub fn inline(graph: &mut Graph, part: &Graph, args: &[NodeId], span: Span) -> Vec<NodeId> {
    let mut names: PrimaryMap<NodeId, NodeId> = PrimaryMap::with_capacity(part.nodes.len());
    for node in part.nodes.values() {
        let here = match &node.op {
            Op::Param(param) => args[*param as usize],
            op => {
                let mut op = op.clone();
                for arg in op.args_mut() {
                    *arg = names[*arg];
                }
                graph.add(op, node.dtype, span)
            }
        };
        names.push(here);
    }
    part.results.iter().map(|&(_, value)| names[value]).collect()
}

/// The operands of a fold without its condition, and the condition if it has one: the operand that the definition does
/// not have.
pub fn split_condition<'a>(fold: &Fold, args: &'a [NodeId]) -> (&'a [NodeId], Option<NodeId>) {
    let (elements, cond) = args.split_at(fold.operands().len().min(args.len()));
    (elements, cond.first().copied())
}
