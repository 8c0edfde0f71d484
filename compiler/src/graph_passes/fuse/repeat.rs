//! Loops: a loop of the graph becomes one step of its place, with steps of its own that are planned as those of the body are.
//!
//! Needs regions under way, and all reductions and loops planned that this loop takes something from. What is the same in every
//! step is computed before, unless that costs less than reading it. Parts of the state that are the same all over a
//! place are values; the others have an array each, which a map region fills before the loop and another one at
//! the end of each step.
//!
//! That region reads each array at the place where it writes it, and nothing else of it, so one array will do. Where there are
//! arrays over different dimensions, or one is read along other names, all new values are put in scratch before the first array is written.

use std::collections::{BTreeMap, BTreeSet};

use cranelift_entity::SecondaryMap;
use rustc_hash::{FxHashMap, FxHashSet};

use super::{Fuser, RECOMPUTE, cost, leaf};
use crate::graph::regions::{Place, Repeat, State, Step};
use crate::graph::repeats::Nesting;
use crate::graph::{Graph, NodeId, Op, RepeatId};
use crate::types::DimSet;

/// The nodes that take something from a loop which has one of the parallel dimensions in it, or belong to one.
pub(super) fn from_parallel_loops(
    graph: &Graph,
    nesting: &Nesting,
    parallel: DimSet,
) -> SecondaryMap<NodeId, bool> {
    let mut found: SecondaryMap<NodeId, bool> = SecondaryMap::with_capacity(graph.nodes.len());
    let mut loops: FxHashSet<RepeatId> = FxHashSet::default();
    if nesting.repeats.is_empty() {
        return found;
    }
    loop {
        let before = loops.len();
        for (id, node) in &graph.nodes {
            found[id] = match &node.op {
                Op::Carry { repeat, .. } | Op::Step(repeat) if loops.contains(repeat) => true,
                op => op.args().iter().any(|&arg| found[arg]),
            };
        }
        for (&id, repeat) in &nesting.repeats {
            let touches = |&node: &NodeId| {
                let node = &graph.nodes[node];
                let dims = graph.operand_dims(node.op.args()).union(node.dims);
                !dims.intersection(parallel).is_empty()
            };
            if repeat.nodes.iter().any(|&node| found[node] || touches(&node)) {
                loops.insert(id);
            }
        }
        if loops.len() == before {
            return found;
        }
    }
}

impl Fuser<'_> {
    /// A loop, and before it what it begins with and what is the same in all its steps.
    pub(super) fn repeat(&mut self, id: RepeatId, levels: &FxHashMap<NodeId, u32>, steps: &mut Vec<Step>) {
        let repeat = self.nesting.repeats[&id].clone();
        let inside: FxHashSet<NodeId> = repeat.nodes.iter().copied().collect();
        let begins = |node: NodeId| match self.graph.nodes[node].op {
            Op::Carry { repeat, init, .. } if repeat == id => Some(init),
            _ => None,
        };
        let computed = repeat.nodes.iter().filter(|&&node| begins(node).is_none());
        let args = computed.flat_map(|&node| self.graph.nodes[node].op.args());
        let outside: BTreeSet<NodeId> =
            args.chain(&repeat.nexts).copied().filter(|arg| !inside.contains(arg)).collect();
        self.prepare(&outside, steps);
        let states: Vec<State> = repeat
            .carries
            .iter()
            .zip(&repeat.nexts)
            .map(|(&carry, &next)| State {
                carry,
                init: begins(carry).expect("a carried value has a first one"),
                next,
                ends: self.ends_of(&repeat.finals, carry),
                array: !self.is_uniform(carry),
            })
            .collect();
        let (arrays, values): (Vec<&State>, Vec<&State>) = states.iter().partition(|state| state.array);
        let inits: Vec<NodeId> = values.iter().map(|state| state.init).collect();
        self.needed(&inits, steps);
        self.fill(arrays.iter().map(|state| (state.init, Place::State(state.carry))), steps);
        let known = (self.memory.clone(), self.uniform.clone(), self.packed.clone());
        self.repeats += 1;
        self.hold(&states, |state| vec![state.carry]);
        let numbers = repeat.nodes.iter().filter(|&&node| self.graph.nodes[node].op == Op::Step(id));
        self.uniform.extend(numbers);
        let steps_inside = self.step(id, levels, &arrays, &values);
        self.repeats -= 1;
        (self.memory, self.uniform, self.packed) = known;
        self.hold(&states, |state| state.ends.clone());
        steps.push(Step::Repeat(Repeat { id, states, steps: steps_inside }));
    }

    /// What is done in each step of a loop.
    fn step(
        &mut self,
        id: RepeatId,
        levels: &FxHashMap<NodeId, u32>,
        arrays: &[&State],
        values: &[&State],
    ) -> Vec<Step> {
        let mut steps = Vec::new();
        let nodes = self.nesting.repeats[&id].nodes.clone();
        let own = |node: &NodeId| {
            self.graph.nodes[*node].op.runs_over().is_some() && self.nesting.innermost(*node) == Some(id)
        };
        let reduces: Vec<NodeId> = nodes.iter().copied().filter(own).collect();
        let children = self.nesting.children(Some(id));
        let at: BTreeSet<u32> = reduces
            .iter()
            .map(|node| levels[node])
            .chain(children.iter().map(|&child| self.level_of_repeat(child, levels)))
            .collect();
        for level in at {
            self.reduce_level(reduces.iter().copied().filter(|node| levels[node] == level), &mut steps);
            for &child in &children {
                if self.level_of_repeat(child, levels) == level {
                    self.repeat(child, levels, &mut steps);
                }
            }
        }
        let nexts: Vec<NodeId> = values.iter().map(|state| state.next).collect();
        self.needed(&nexts, &mut steps);
        let shapes: BTreeSet<DimSet> =
            arrays.iter().map(|state| self.graph.nodes[state.carry].dims).collect();
        let across = nodes.iter().any(|&node| {
            let reads = |value: NodeId| arrays.iter().any(|state| state.carry == value);
            matches!(self.graph.nodes[node].op, Op::Rename { value, .. } if reads(value))
        });
        if shapes.len() > 1 || across {
            let apart: BTreeSet<NodeId> = arrays
                .iter()
                .map(|state| state.next)
                .filter(|next| !self.memory.contains_key(next) && leaf(self.graph, *next).is_none())
                .collect();
            self.fill(apart.iter().map(|&next| (next, Place::Scratch)), &mut steps);
            self.memory.extend(apart.iter().map(|&next| (next, Some(Place::Scratch))));
        }
        self.fill(arrays.iter().map(|state| (state.next, Place::State(state.carry))), &mut steps);
        steps
    }

    /// The level at which a loop is run.
    pub(super) fn level_of_repeat(&self, id: RepeatId, levels: &FxHashMap<NodeId, u32>) -> u32 {
        levels[&self.nesting.repeats[&id].finals[0]]
    }

    /// The ends of the loop that are the last of a part of the state.
    fn ends_of(&self, finals: &[NodeId], carry: NodeId) -> Vec<NodeId> {
        let is_of = |&end: &NodeId| match &self.graph.nodes[end].op {
            Op::Final { index, values, .. } => values[*index as usize] == carry,
            _ => false,
        };
        finals.iter().copied().filter(is_of).collect()
    }

    /// Remembers where values of the state are found.
    fn hold(&mut self, states: &[State], nodes: impl Fn(&State) -> Vec<NodeId>) {
        for state in states {
            for node in nodes(state) {
                if state.array {
                    self.memory.insert(node, Some(Place::State(state.carry)));
                } else {
                    self.uniform.insert(node);
                }
            }
        }
    }

    /// Map regions that put values where they shall be, one for each set of dimensions.
    fn fill(&mut self, keeps: impl Iterator<Item = (NodeId, Place)>, steps: &mut Vec<Step>) {
        let mut shapes: BTreeMap<DimSet, Vec<(NodeId, Place)>> = BTreeMap::new();
        for (node, place) in keeps {
            shapes.entry(self.loop_dims(node)).or_default().push((node, place));
        }
        for (dims, keeps) in shapes {
            self.map_region(dims, keeps, steps);
        }
    }

    /// Computes what is the same in every step of a loop.
    fn prepare(&mut self, outside: &BTreeSet<NodeId>, steps: &mut Vec<Step>) {
        let (uniform, wide): (Vec<NodeId>, Vec<NodeId>) =
            outside.iter().copied().partition(|&node| self.is_uniform(node));
        self.needed(&uniform, steps);
        let dear = |node: &NodeId| {
            !self.memory.contains_key(node)
                && leaf(self.graph, *node).is_none()
                && self.price_from_memory(*node) > RECOMPUTE
        };
        let dear: Vec<NodeId> = wide.into_iter().filter(dear).collect();
        for &node in &dear {
            self.regions
                .notes
                .push(format!("{node} is kept in scratch: it is the same in every step of a loop"));
        }
        self.fill(dear.iter().map(|&node| (node, Place::Scratch)), steps);
        self.memory.extend(dear.iter().map(|&node| (node, Some(Place::Scratch))));
    }

    /// What it costs to compute a node from what is there.
    fn price_from_memory(&self, root: NodeId) -> u32 {
        let (mut seen, mut todo, mut price) = (FxHashSet::default(), vec![root], 0);
        while let Some(node) = todo.pop() {
            if !self.is_there(node) && seen.insert(node) {
                price += cost(self.graph, node);
                todo.extend(self.graph.nodes[node].op.args());
            }
        }
        price
    }
}
