//! Loops of a graph: which nodes belong to a step of which, as [`Nesting`].
//!
//! Needs a graph that keeps rules 1 and 7 of [`crate::graph`] (what breaks rule 7 is found here, for
//! [`verify`](mod@super::verify)); changes nothing.

use cranelift_entity::{SecondaryMap, entity_impl};
use rustc_hash::FxHashMap;

use super::{Graph, NodeId, Op};
use crate::types::DimId;

/// A loop of a graph.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RepeatId(u32);
entity_impl!(RepeatId, "r");

/// How many steps a loop has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Steps {
    /// So many.
    Number(u32),
    /// The size of a dimension.
    Size(DimId),
}

/// One loop that some value needs.
#[derive(Clone, Debug)]
pub struct Repeat {
    /// Its state at the beginning of a step.
    pub carries: Vec<NodeId>,
    /// Its state at the end of a step.
    pub nexts: Vec<NodeId>,
    /// Its state after the last step, as far as anything needs it.
    pub finals: Vec<NodeId>,
    /// What is computed in each step, in order, loops inside it included: carried values, the number of the step, and what of
    /// `nexts` depends on them.
    pub nodes: Vec<NodeId>,
    /// The loops around it, in order.
    pub around: Vec<RepeatId>,
}

/// The loops of a graph, and the nodes in them.
#[derive(Clone, Debug, Default)]
pub struct Nesting {
    /// Those that have an end.
    pub repeats: FxHashMap<RepeatId, Repeat>,
    /// The loops that each node depends on and that have not come to their end.
    open: SecondaryMap<NodeId, Vec<RepeatId>>,
}

impl Nesting {
    /// Of a graph. Loops without an end have no entry.
    pub fn of(graph: &Graph) -> Nesting {
        let mut nesting = Nesting::default();
        if graph.repeats.is_empty() {
            return nesting;
        }
        for (id, node) in &graph.nodes {
            let mut open: Vec<RepeatId> = Vec::new();
            for &arg in node.op.args() {
                open.extend(&nesting.open[arg]);
            }
            match &node.op {
                // The initial value may be made in loops around this one, or in none.
                Op::Carry { repeat, .. } | Op::Step(repeat) => open.push(*repeat),
                Op::Final { repeat, values, .. } => {
                    open.retain(|around| around != repeat);
                    let (carries, nexts) = values.split_at(values.len() / 2);
                    let entry = nesting.repeats.entry(*repeat).or_insert_with(|| Repeat {
                        carries: carries.to_vec(),
                        nexts: nexts.to_vec(),
                        finals: Vec::new(),
                        nodes: Vec::new(),
                        around: Vec::new(),
                    });
                    entry.finals.push(id);
                }
                _ => {}
            }
            open.sort_unstable();
            open.dedup();
            nesting.open[id] = open;
        }
        for (&id, repeat) in &mut nesting.repeats {
            let mut seen = rustc_hash::FxHashSet::default();
            let mut todo: Vec<NodeId> = repeat.carries.iter().chain(&repeat.nexts).copied().collect();
            while let Some(node) = todo.pop() {
                if nesting.open[node].contains(&id) && seen.insert(node) {
                    // What begins a loop is needed before it.
                    let begins = matches!(graph.nodes[node].op, Op::Carry { repeat, .. } if repeat == id);
                    todo.extend(graph.nodes[node].op.args().iter().filter(|_| !begins));
                }
            }
            repeat.nodes = seen.into_iter().collect();
            repeat.nodes.sort_unstable();
            repeat.around.clone_from(&nesting.open[repeat.finals[0]]);
        }
        nesting
    }

    /// The loops that a node is in.
    pub fn open(&self, node: NodeId) -> &[RepeatId] {
        &self.open[node]
    }

    /// The innermost loop that a node is in; one without an end counts as outermost.
    pub fn innermost(&self, node: NodeId) -> Option<RepeatId> {
        let depth = |repeat: &RepeatId| self.repeats.get(repeat).map_or(0, |repeat| repeat.around.len());
        self.open[node].iter().copied().max_by_key(depth)
    }

    /// The innermost loop that this one is in.
    pub fn parent(&self, repeat: RepeatId) -> Option<RepeatId> {
        self.innermost(self.repeats[&repeat].finals[0])
    }

    /// The loops directly inside one, or in none, in the order of their ends.
    pub fn children(&self, of: Option<RepeatId>) -> Vec<RepeatId> {
        let mut children: Vec<RepeatId> =
            self.repeats.keys().copied().filter(|&repeat| self.parent(repeat) == of).collect();
        children.sort_unstable_by_key(|repeat| self.repeats[repeat].finals[0]);
        children
    }
}
