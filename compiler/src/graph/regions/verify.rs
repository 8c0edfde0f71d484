//! Checks what [`crate::graph::regions`] says of itself: every region finds the values it needs, loops over groups that
//! exist, once each, and every result is stored.

use rustc_hash::FxHashSet;

use super::{Group, Place, Region, RegionKind, Regions, Repeat, Step};
use crate::graph::{Graph, NodeId, Op};
use crate::types::DimSet;

/// All that is wrong with `regions`, followed by their text form.
pub fn verify(graph: &Graph, regions: &Regions) -> Result<(), String> {
    let (known, packed, arrays) = Default::default();
    let mut check = Check { graph, regions, known, packed, arrays, errors: Vec::new() };
    check.groups();
    // The other rules look groups and dimensions up.
    if check.errors.is_empty() {
        check.steps(&regions.prologue, &[]);
        check.steps(&regions.body, &regions.parallel);
        check.results();
    }
    if check.errors.is_empty() {
        return Ok(());
    }
    Err(format!("{}\n{}", check.errors.join("\n"), regions.display(graph)))
}

struct Check<'a> {
    graph: &'a Graph,
    regions: &'a Regions,
    /// Nodes that a later step may read.
    known: FxHashSet<NodeId>,
    /// Copies that a later region may name.
    packed: FxHashSet<(NodeId, Group)>,
    /// Values that were put into arrays of carried ones.
    arrays: FxHashSet<(NodeId, NodeId)>,
    errors: Vec<String>,
}

impl Check<'_> {
    fn require(&mut self, holds: bool, message: impl FnOnce() -> String) {
        if !holds {
            self.errors.push(message());
        }
    }

    /// Groups hold dimensions of the graph, each at most once, in order; loops run over groups that exist.
    fn groups(&mut self) {
        let regions = self.regions;
        let mut seen = DimSet::EMPTY;
        for (number, group) in regions.groups.iter().enumerate() {
            self.require(!group.is_empty(), || format!("group {number} is empty"));
            self.require(group.is_sorted(), || format!("group {number} is not in canonical order"));
            for &dim in group {
                let exists = (dim.as_u32() as usize) < self.graph.dims.len();
                self.require(exists, || format!("group {number} has an unknown dimension"));
                self.require(!exists || !seen.contains(dim), || format!("{dim} is in two groups"));
                seen = if exists { seen.with(dim) } else { seen };
            }
        }
        let named = regions.all().flat_map(loops).chain(regions.parallel.iter().copied());
        let exist = named.into_iter().all(|group| group < regions.groups.len());
        self.require(exist, || "a loop over a group that does not exist".to_owned());
        self.require(!regions.lanes || !regions.parallel.is_empty(), || {
            "lanes along a parallel group, but there is none".to_owned()
        });
    }

    /// The steps inside loops over `around`.
    fn steps(&mut self, steps: &[Step], around: &[Group]) {
        for step in steps {
            match step {
                Step::Values(nodes) => self.values(nodes, around),
                Step::Region(region) => self.region(region, around),
                Step::Repeat(repeat) => self.repeat(repeat, around),
            }
        }
    }

    fn repeat(&mut self, repeat: &Repeat, around: &[Group]) {
        let none = FxHashSet::default();
        let outside = (self.known.clone(), self.packed.clone());
        for state in &repeat.states {
            let begins = if state.array {
                self.arrays.contains(&(state.init, state.carry))
            } else {
                self.is_known(state.init, &none)
            };
            self.require(begins, || format!("{} is not there before the loop", state.init));
            self.known.insert(state.carry);
        }
        self.steps(&repeat.steps, around);
        for state in &repeat.states {
            let made = if state.array {
                self.arrays.contains(&(state.next, state.carry))
            } else {
                self.is_known(state.next, &none)
            };
            self.require(made, || format!("{} is not there at the end of a step", state.next));
        }
        (self.known, self.packed) = outside;
        self.known.extend(repeat.states.iter().flat_map(|state| &state.ends));
    }

    fn values(&mut self, nodes: &[NodeId], around: &[Group]) {
        let around = self.dims(around);
        for &node in nodes {
            let same = self.graph.nodes[node].dims.is_subset(around);
            self.require(same, || format!("{node} is not the same all over a place"));
            self.operands(node, &FxHashSet::default());
            self.known.insert(node);
        }
    }

    fn region(&mut self, region: &Region, around: &[Group]) {
        let mut all: Vec<Group> = around.iter().copied().chain(loops(region)).collect();
        all.sort_unstable();
        let once = all.windows(2).all(|pair| pair[0] != pair[1]);
        self.require(once, || format!("two loops over one group, around {:?}", region.nodes));
        let around = self.dims(&all);
        let mut inside = FxHashSet::default();
        for copy in &region.packed {
            let made = self.packed.contains(copy);
            self.require(made, || format!("there is no copy of {} along group {}", copy.0, copy.1));
            inside.insert(copy.0);
        }
        for &node in &region.nodes {
            let missing = self.grouped(self.graph.nodes[node].dims).difference(around);
            self.require(missing.is_empty(), || format!("no loop over a dimension of {node}"));
            self.operands(node, &inside);
            inside.insert(node);
        }
        if let RegionKind::Reduce { outer, inner, reduces, .. } = &region.kind {
            let looped = self.dims(outer).union(self.dims(inner));
            for &node in reduces {
                self.reduction(node, looped, &inside);
            }
            self.known.extend(reduces);
        }
        if let RegionKind::Scan { along, node, .. } = &region.kind {
            let over = self.graph.nodes[*node].op.runs_over().map(|(_, dims)| dims);
            let same = over == Some(self.dims(&[*along])) && over.is_some_and(|dims| dims.len() == 1);
            self.require(same, || format!("{node} does not run along what its region does"));
            self.operands(*node, &inside);
            self.known.insert(*node);
        }
        for (node, place) in &region.keeps {
            let computed = self.is_known(*node, &inside);
            self.require(computed, || format!("{node} is stored, but not computed"));
            match place {
                Place::Result(index) | Place::Borrow(index) => {
                    let exists = *index < self.graph.results.len();
                    self.require(exists, || format!("{node} is stored as result {index}"));
                }
                Place::Packed(group) => {
                    self.packed.insert((*node, *group));
                    continue;
                }
                Place::State(carry) => {
                    self.arrays.insert((*node, *carry));
                    continue;
                }
                Place::Scratch => {}
            }
            self.known.insert(*node);
        }
    }

    fn reduction(&mut self, node: NodeId, looped: DimSet, inside: &FxHashSet<NodeId>) {
        match &self.graph.nodes[node].op {
            Op::Reduce { dims, .. } | Op::Fold { dims, .. } => {
                let same = self.grouped(*dims) == looped;
                self.require(same, || format!("{node} does not reduce what its region loops over"));
            }
            op => self.errors.push(format!("{node} is no reduction: {op:?}")),
        }
        self.operands(node, inside);
    }

    fn operands(&mut self, node: NodeId, inside: &FxHashSet<NodeId>) {
        for &arg in self.graph.nodes[node].op.args() {
            let known = self.is_known(arg, inside);
            self.require(known, || format!("{node} needs {arg}, which is not there"));
        }
    }

    /// Parameters, slices of them, and what has no operands are there everywhere.
    fn is_known(&self, node: NodeId, inside: &FxHashSet<NodeId>) -> bool {
        if self.known.contains(&node) || inside.contains(&node) {
            return true;
        }
        match &self.graph.nodes[node].op {
            Op::Param(_) | Op::Const(_) | Op::Index(_) | Op::Size(_) | Op::Step(_) => true,
            Op::Slice { value, .. } | Op::Rename { value, .. } => self.is_known(*value, inside),
            Op::Prim(..)
            | Op::Convert(_)
            | Op::Reduce { .. }
            | Op::Fold { .. }
            | Op::Scan { .. }
            | Op::KthLargest { .. }
            | Op::Stack { .. }
            | Op::Broadcast(_)
            | Op::Carry { .. }
            | Op::Final { .. }
            | Op::Gather { .. } => false,
        }
    }

    fn results(&mut self) {
        for (index, (decl, _)) in self.graph.results.iter().enumerate() {
            let mut places = self.regions.all().flat_map(|region| &region.keeps);
            let stored = places.any(|(_, place)| *place == Place::Result(index));
            self.require(stored, || format!("result `{}` is not stored", decl.name));
        }
    }

    fn dims(&self, groups: &[Group]) -> DimSet {
        groups.iter().flat_map(|&group| self.regions.groups[group].iter().copied()).collect()
    }

    /// Those dimensions that are in a group; the others have size 1 or were unrolled.
    fn grouped(&self, dims: DimSet) -> DimSet {
        dims.iter().filter(|&dim| self.regions.group_of(dim).is_some()).collect()
    }
}

/// The groups that a region loops over.
fn loops(region: &Region) -> Vec<Group> {
    let mut all = region.kept.clone();
    if let RegionKind::Reduce { outer, inner, .. } = &region.kind {
        all.extend(outer);
        all.extend(inner);
    }
    if let RegionKind::Scan { along, .. } = &region.kind {
        all.push(*along);
    }
    all
}
