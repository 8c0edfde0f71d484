//! Decides which nodes share a loop nest, and what is kept in memory between nests: [`Regions`].
//!
//! Needs a graph after `PASSES` (fixed-size dimensions unrolled, dead nodes gone). Leaves the graph as it is. Sees no target: how
//! many states a loop carries and what is read again decides nothing about bits, but it must be the same everywhere.
//!
//! The rules, in the order in which they apply:
//! 1. *Parallel dimensions* are those that every result has, that no reduction removes, and that every reduction which depends on
//!    any of them has. Reductions that depend on none run once, in the prologue.
//! 2. If all reductions are in column form along the last parallel dimension, or there are none, that dimension carries the lanes.
//! 3. Dimensions that are neighbours wherever they occur become one group.
//! 4. Reductions of the same level (depth of reductions below it) over the same dimensions share a region; results are
//!    stored by the first region that computes them anyway, else by a map region at their level.
//! 5. A value that several regions need is computed again, unless that costs more than [`RECOMPUTE`] operations: then the first region keeps it, in
//!    the memory of a result that is written later anyway, else in a scratch array.
//! 6. A factor of a contraction that does not lie along the lanes, and is the same for many results, is copied so that it does
//!    (`pack`).
//! 7. A run of several groups is walked as one line. What it reads lies so, or is put in scratch first; a result that lies otherwise
//!    is stored by a map region of its own.

mod dims;
mod flat;
mod in_place;
mod keep;
mod pack;
mod questions;
mod repeat;
mod scan;

use cranelift_entity::SecondaryMap;
use rustc_hash::{FxHashMap, FxHashSet};

use crate::graph::regions::{Group, Place, Region, RegionKind, Regions, Step};
use crate::graph::repeats::Nesting;
use crate::graph::{FoldId, Form, Graph, NodeId, Op, RepeatId};
use crate::types::{DType, DimSet};
use dims::{crossed, groups, parallel_dims, trailing, unrolled_dims};
use in_place::in_place;
pub use questions::{Leaf, Part, cost, leaf, result_parts};

/// A value whose computation costs more core operations than this is kept rather than computed again.
pub const RECOMPUTE: u32 = 10;

/// Groups the nodes of `graph` into loop nests.
pub fn fuse(graph: &Graph) -> Regions {
    fuse_again(graph, &[])
}

/// The same, with values that no region keeps for a later one.
pub fn fuse_again(graph: &Graph, again: &[NodeId]) -> Regions {
    let unrolled = unrolled_dims(graph);
    let nesting = Nesting::of(graph);
    let (parallel, lanes) = parallel_dims(graph, unrolled, &nesting);
    let mut fuser = Fuser {
        graph,
        unrolled,
        parallel,
        looped: repeat::from_parallel_loops(graph, &nesting, parallel),
        nesting,
        repeats: 0,
        again: again.iter().copied().collect(),
        parts: result_parts(graph),
        regions: Regions { lanes, ..Regions::default() },
        memory: FxHashMap::default(),
        stored: FxHashSet::default(),
        uniform: FxHashSet::default(),
        packed: FxHashSet::default(),
        borrowed: FxHashSet::default(),
        crossed: FxHashSet::default(),
    };
    fuser.regions.groups = groups(graph, unrolled, parallel);
    fuser.regions.parallel = fuser.regions.groups_of(parallel);
    fuser.crossed = crossed(graph, &fuser.regions);
    fuser.plan();
    fuser.regions.in_place = in_place(graph, &fuser.regions);
    fuser.regions
}

/// Reductions, scans and k-th largest: all that needs a loop of its own.
fn reduces(graph: &Graph) -> impl Iterator<Item = (NodeId, &[NodeId], DimSet)> {
    graph.nodes.iter().filter_map(|(id, node)| node.op.runs_over().map(|(args, dims)| (id, args, dims)))
}

struct Fuser<'g> {
    graph: &'g Graph,
    unrolled: DimSet,
    parallel: DimSet,
    parts: Vec<Vec<Part>>,
    regions: Regions,
    /// Values that an earlier region keeps in memory, or holds for the parallel place.
    memory: FxHashMap<NodeId, Option<Place>>,
    /// Parts of results that are stored.
    stored: FxHashSet<(usize, usize)>,
    /// Uniform values computed so far.
    uniform: FxHashSet<NodeId>,
    /// Copies that are made.
    packed: FxHashSet<(NodeId, Group)>,
    /// The loops of the graph.
    nesting: Nesting,
    /// Nodes of loops in the parallel loop, and what comes after them.
    looped: SecondaryMap<NodeId, bool>,
    /// Values that are not kept, however dear.
    again: FxHashSet<NodeId>,
    /// How many loops of the graph are being planned, one in the other.
    repeats: u32,
    /// Results whose memory holds a kept value.
    borrowed: FxHashSet<usize>,
    /// Results whose memory is not the line that some region walks: no place for what such a region may read or store.
    crossed: FxHashSet<usize>,
}

/// What makes reductions share a region.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Nest {
    form: Form,
    operand: DimSet,
    dims: DimSet,
    wide: bool,
    /// A fold with stages, which shares its loop with nothing else.
    alone: Option<FoldId>,
}

impl Fuser<'_> {
    fn plan(&mut self) {
        let levels = self.levels();
        let every: Vec<NodeId> = reduces(self.graph).map(|(id, ..)| id).collect();
        let (all_main, once): (Vec<NodeId>, Vec<NodeId>) =
            every.into_iter().partition(|&id| self.parallel.is_empty() || self.is_parallel(id));
        let outside = |&id: &NodeId| self.nesting.open(id).is_empty();
        let once: Vec<NodeId> = once.into_iter().filter(outside).collect();
        let main: Vec<NodeId> = all_main.iter().copied().filter(outside).collect();
        let (main_loops, once_loops): (Vec<RepeatId>, Vec<RepeatId>) = self
            .nesting
            .children(None)
            .into_iter()
            .partition(|id| self.parallel.is_empty() || self.looped[self.nesting.repeats[id].finals[0]]);
        let packable = if self.parallel.is_empty() { Vec::new() } else { self.packable_before(&all_main) };
        // What the prologue computes must not look parallel to it.
        let parallel = std::mem::take(&mut self.parallel);
        let lanes = std::mem::take(&mut self.regions.lanes);
        let mut prologue = Vec::new();
        self.levels_of(&once, &once_loops, &levels, &mut prologue);
        for (factor, group) in packable {
            self.pack(factor, group, &mut prologue);
        }
        (self.parallel, self.regions.lanes) = (parallel, lanes);
        let mut body = Vec::new();
        self.share_levels(&main, &main_loops, &levels, &mut body);
        self.regions.prologue = prologue;
        self.regions.body = body;
        self.name_recomputed();
    }

    /// How many reductions lie one above another below each node, itself included.
    fn levels(&self) -> FxHashMap<NodeId, u32> {
        let mut levels = FxHashMap::default();
        for (id, node) in &self.graph.nodes {
            let below = node.op.args().iter().map(|arg| levels[arg]).max().unwrap_or(0);
            let deeper = node.op.runs_over().is_some() || matches!(node.op, Op::Final { .. });
            levels.insert(id, below + u32::from(deeper));
        }
        levels
    }

    /// Whether a reduction is done in the parallel loop.
    fn is_parallel(&self, reduce: NodeId) -> bool {
        let dims = self.graph.operand_dims(self.graph.nodes[reduce].op.args());
        self.looped[reduce] || !dims.intersection(self.parallel).is_empty()
    }

    /// The highest level of some reductions and loops.
    fn deepest(&self, reduces: &[NodeId], loops: &[RepeatId], levels: &FxHashMap<NodeId, u32>) -> u32 {
        let loops = loops.iter().map(|&id| self.level_of_repeat(id, levels));
        reduces.iter().map(|node| levels[node]).chain(loops).max().unwrap_or(0)
    }

    /// The reductions and loops of a level.
    fn level(
        &mut self,
        level: u32,
        reduces: &[NodeId],
        loops: &[RepeatId],
        levels: &FxHashMap<NodeId, u32>,
        steps: &mut Vec<Step>,
    ) {
        self.reduce_level(reduces.iter().copied().filter(|node| levels[node] == level), steps);
        for &id in loops {
            if self.level_of_repeat(id, levels) == level {
                self.repeat(id, levels, steps);
            }
        }
    }

    fn nest(&self, reduce: NodeId) -> Nest {
        let op = &self.graph.nodes[reduce].op;
        let (args, dims) = op.runs_over().expect("it is a reduction");
        let alone = match op {
            Op::Fold { fold, .. } => (!self.graph.folds[*fold].stages.is_empty()).then_some(*fold),
            _ => None,
        };
        let wide = match op {
            Op::Fold { fold, .. } => self.graph.folds[*fold].is_wide(),
            _ => args.iter().any(|&arg| self.graph.nodes[arg].dtype == DType::F64),
        };
        Nest { form: self.graph.form(args, dims), operand: self.graph.operand_dims(args), dims, wide, alone }
    }

    fn levels_of(
        &mut self,
        reduces: &[NodeId],
        loops: &[RepeatId],
        levels: &FxHashMap<NodeId, u32>,
        steps: &mut Vec<Step>,
    ) {
        for level in 1..=self.deepest(reduces, loops, levels) {
            self.level(level, reduces, loops, levels, steps);
        }
    }

    /// Rule 4: reductions level by level, with the results that can be stored after each.
    fn share_levels(
        &mut self,
        main: &[NodeId],
        loops: &[RepeatId],
        levels: &FxHashMap<NodeId, u32>,
        steps: &mut Vec<Step>,
    ) {
        let mut ready: FxHashMap<DimSet, u32> = FxHashMap::default();
        for parts in &self.parts {
            for (_, node) in parts {
                let level = ready.entry(self.loop_dims(*node)).or_default();
                *level = (*level).max(levels[node]);
            }
        }
        let last = self.deepest(main, loops, levels).max(ready.values().copied().max().unwrap_or(0));
        for level in 0..=last + 1 {
            // First the reductions: one of them may compute, and so store, a result that was ready before.
            self.level(level, main, loops, levels, steps);
            let due = ready.iter().filter(|&(_, &at)| at + 1 == level).map(|(dims, _)| *dims);
            let mut due: Vec<DimSet> = due.collect();
            due.sort_unstable();
            for dims in due {
                self.store_results(dims, steps);
            }
        }
    }

    /// The dimensions that a value is computed over.
    fn loop_dims(&self, node: NodeId) -> DimSet {
        self.graph.nodes[node].dims.difference(self.unrolled)
    }

    fn is_uniform(&self, node: NodeId) -> bool {
        self.loop_dims(node).is_subset(self.parallel)
    }

    fn reduce_level(&mut self, reduces: impl Iterator<Item = NodeId>, steps: &mut Vec<Step>) {
        let mut nests: Vec<(Nest, Vec<NodeId>)> = Vec::new();
        let mut scans = Vec::new();
        for reduce in reduces {
            if !matches!(self.graph.nodes[reduce].op, Op::Reduce { .. } | Op::Fold { .. }) {
                scans.push(reduce);
                continue;
            }
            let nest = self.nest(reduce);
            match nests.iter_mut().find(|(known, _)| *known == nest) {
                Some((_, members)) => members.push(reduce),
                None => nests.push((nest, vec![reduce])),
            }
        }
        for (nest, members) in nests {
            self.reduce_region(&nest, members, steps);
        }
        for scan in scans {
            self.scan_region(scan, steps);
        }
    }

    fn reduce_region(&mut self, nest: &Nest, members: Vec<NodeId>, steps: &mut Vec<Step>) {
        let reduced = self.regions.groups_of(nest.dims);
        let operand = self.regions.groups_of(nest.operand);
        let run = if nest.form == Form::Row { trailing(&operand, &reduced) } else { 1 };
        let split = reduced.len().saturating_sub(run);
        let (outer, inner) = (reduced[..split].to_vec(), reduced[split..].to_vec());
        let roots: Vec<NodeId> =
            members.iter().flat_map(|&reduce| self.graph.nodes[reduce].op.args().to_vec()).collect();
        if nest.form == Form::Row && inner.len() > 1 {
            self.flatten_operands(&roots, &inner, steps);
        }
        let kept: Vec<Group> =
            self.regions.groups_of(nest.operand.difference(nest.dims).difference(self.parallel));
        let packed = self.packed_for(&members, steps);
        let nodes = self.needed_beside(&roots, &packed, steps);
        let mut keeps = self.stores_on_the_way(nest.operand, &nodes);
        for &reduce in &members {
            let place = if kept.is_empty() { None } else { Some(self.place_of_reduction(reduce)) };
            keeps.extend(place.map(|place| (reduce, place)));
            self.memory.insert(reduce, place);
        }
        let kind = RegionKind::Reduce { form: nest.form, outer, inner, reduces: members };
        steps.push(Step::Region(Region { kept, kind, nodes, keeps, packed }));
        self.keep_for_later(steps);
    }

    /// A reduction that is itself a result goes where the result is.
    fn place_of_reduction(&mut self, reduce: NodeId) -> Place {
        for (result, parts) in self.parts.iter().enumerate() {
            if self.repeats == 0
                && parts.len() == 1
                && parts[0].1 == reduce
                && !self.crossed.contains(&result)
                && parts[0].0.is_empty()
                && self.stored.insert((result, 0))
            {
                return Place::Result(result);
            }
        }
        Place::Scratch
    }

    /// Results that a region computes anyway.
    fn stores_on_the_way(&mut self, dims: DimSet, nodes: &[NodeId]) -> Vec<(NodeId, Place)> {
        let mut keeps = Vec::new();
        for (result, parts) in self.parts.iter().enumerate() {
            let whole = parts.len() == 1 && parts[0].0.is_empty();
            let node = parts[0].1;
            if self.repeats == 0
                && whole
                && !self.crossed.contains(&result)
                && nodes.contains(&node)
                && self.loop_dims(node) == dims
                && self.stored.insert((result, 0))
            {
                keeps.push((node, Place::Result(result)));
                self.memory.insert(node, Some(Place::Result(result)));
            }
        }
        keeps
    }

    /// What a region with these roots has to compute, operands first. Uniform values among it become a step before it.
    fn needed(&mut self, roots: &[NodeId], steps: &mut Vec<Step>) -> Vec<NodeId> {
        self.needed_beside(roots, &[], steps)
    }

    /// The same for a region that reads some values from copies.
    fn needed_beside(
        &mut self,
        roots: &[NodeId],
        packed: &[(NodeId, Group)],
        steps: &mut Vec<Step>,
    ) -> Vec<NodeId> {
        let (mut nodes, mut uniform) = (Vec::new(), Vec::new());
        let mut seen: FxHashSet<NodeId> = packed.iter().map(|(node, _)| *node).collect();
        for &root in roots {
            self.visit(root, &mut seen, &mut nodes, &mut uniform);
        }
        if !uniform.is_empty() {
            steps.push(Step::Values(uniform));
        }
        nodes
    }

    /// Depth first in the order of the graph: operands come before their users there, so a sorted list of what is reached will do.
    fn visit(
        &mut self,
        root: NodeId,
        seen: &mut FxHashSet<NodeId>,
        nodes: &mut Vec<NodeId>,
        uniform: &mut Vec<NodeId>,
    ) {
        let mut todo = vec![root];
        while let Some(node) = todo.pop() {
            if self.is_there(node) {
                continue;
            }
            if !seen.insert(node) {
                continue;
            }
            if self.is_uniform(node) {
                uniform.push(node);
            } else {
                nodes.push(node);
            }
            todo.extend(self.graph.nodes[node].op.args());
        }
        nodes.sort_unstable();
        uniform.sort_unstable();
        self.uniform.extend(uniform.iter());
    }

    /// A map region for the results over `dims` that are not stored yet.
    fn store_results(&mut self, dims: DimSet, steps: &mut Vec<Step>) {
        let mut keeps = Vec::new();
        for (result, parts) in self.parts.iter().enumerate() {
            for (part, (_, node)) in parts.iter().enumerate() {
                let keep = (*node, Place::Result(result));
                let here = self.graph.nodes[*node].dims.difference(self.unrolled) == dims;
                if here && self.stored.insert((result, part)) && !keeps.contains(&keep) {
                    keeps.push(keep);
                }
            }
        }
        if keeps.is_empty() {
            return;
        }
        self.map_region(dims, keeps, steps);
    }

    /// Whether a value need not be computed any more: it is kept, a value of the place, or a parameter.
    fn is_there(&self, node: NodeId) -> bool {
        self.memory.contains_key(&node) || self.uniform.contains(&node) || leaf(self.graph, node).is_some()
    }

    /// A map region that stores values over `dims`.
    fn map_region(&mut self, dims: DimSet, keeps: Vec<(NodeId, Place)>, steps: &mut Vec<Step>) {
        let roots: Vec<NodeId> = keeps.iter().map(|&(node, _)| node).collect();
        let nodes = self.needed(&roots, steps);
        let kept = self.regions.groups_of(dims.difference(self.parallel));
        let (kind, packed) = (RegionKind::Map, Vec::new());
        steps.push(Step::Region(Region { kept, kind, nodes, keeps, packed }));
        self.keep_for_later(steps);
    }
}
