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

mod pack;
mod repeat;
mod scan;

use cranelift_entity::SecondaryMap;
use rustc_hash::{FxHashMap, FxHashSet};

use crate::graph::regions::{Group, Place, Region, RegionKind, Regions, Step};
use crate::graph::repeats::Nesting;
use crate::graph::{Form, Graph, NodeId, Op, RepeatId};
use crate::ops::{Class, Prim};
use crate::types::{DType, DimId, DimSet};

/// A value whose computation costs more core operations than this is kept rather than computed again.
pub const RECOMPUTE: u32 = 10;

/// Groups the nodes of `graph` into loop nests.
pub fn fuse(graph: &Graph) -> Regions {
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

/// How many of the last groups of an operand are reduced: a run.
fn trailing(operand: &[Group], reduced: &[Group]) -> usize {
    operand.iter().rev().take_while(|group| reduced.contains(group)).count()
}

/// Results that have all dimensions of a run of several groups, but not as one line of memory: in another order, or with others
/// between them.
fn crossed(graph: &Graph, regions: &Regions) -> FxHashSet<usize> {
    let rows = reduces(graph).filter(|(_, args, dims)| graph.form(args, *dims) == Form::Row);
    let runs: Vec<Vec<DimId>> = rows
        .map(|(_, args, dims)| {
            let mut run = regions.groups_of(graph.operand_dims(args));
            run.drain(..run.len() - trailing(&run, &regions.groups_of(dims)));
            run.iter().flat_map(|&group| regions.groups[group].iter().copied()).collect()
        })
        .filter(|run: &Vec<DimId>| !run.is_empty())
        .collect();
    let crosses = |list: &[DimId]| {
        let in_line = |run: &Vec<DimId>| list.windows(run.len()).any(|window| window == run);
        runs.iter().any(|run| run.iter().all(|dim| list.contains(dim)) && !in_line(run))
    };
    let lists = graph.results.iter().map(|(decl, _)| decl.dim_list().collect::<Vec<_>>());
    lists.enumerate().filter(|(_, list)| crosses(list)).map(|(result, _)| result).collect()
}

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

/// Dimensions that have become positions.
fn unrolled_dims(graph: &Graph) -> DimSet {
    let dims = graph.nodes.values().filter_map(|node| match node.op {
        Op::Slice { dim, .. } | Op::Stack { dim, .. } => Some(dim),
        _ => None,
    });
    dims.collect()
}

/// Reductions, scans and k-th largest: all that needs a loop of its own.
fn reduces(graph: &Graph) -> impl Iterator<Item = (NodeId, &[NodeId], DimSet)> {
    graph.nodes.iter().filter_map(|(id, node)| node.op.runs_over().map(|(args, dims)| (id, args, dims)))
}

/// Rules 1 and 2: the parallel dimensions, and whether the last one carries the lanes.
fn parallel_dims(graph: &Graph, unrolled: DimSet, nesting: &Nesting) -> (DimSet, bool) {
    let results: Vec<DimSet> =
        graph.results.iter().map(|(decl, _)| decl.dims().difference(unrolled)).collect();
    let common = results.iter().copied().reduce(DimSet::intersection).unwrap_or_default();
    let reduced = reduces(graph).fold(DimSet::EMPTY, |all, (_, _, dims)| all.union(dims));
    // Each place has a state of its own, so another place can't read it.
    let read_across = graph.nodes.values().filter_map(|node| match &node.op {
        Op::Rename { value, names } if matches!(graph.nodes[*value].op, Op::Carry { .. }) => Some(names),
        _ => None,
    });
    let across: DimSet = read_across.flatten().flat_map(|&(from, to)| [from, to]).collect();
    let mut parallel = common.difference(reduced).difference(across);
    loop {
        let before = parallel;
        let looped = repeat::from_parallel_loops(graph, nesting, parallel);
        for (id, args, _) in reduces(graph) {
            let operand = graph.operand_dims(args);
            if looped[id] || !operand.intersection(parallel).is_empty() {
                parallel = parallel.intersection(operand);
            }
        }
        if parallel == before {
            break;
        }
    }
    let dependent =
        || reduces(graph).filter(|(_, args, _)| !graph.operand_dims(args).intersection(parallel).is_empty());
    let column = |args: &[NodeId], dims| graph.form(args, dims) == Form::Column;
    // The dimension that carries the lanes of a reduction in column form.
    let lane_dim = |args: &[NodeId], dims| graph.operand_dims(args).difference(dims).last();
    let lanes = match parallel.last() {
        None => false,
        Some(last) if dependent().next().is_some() => {
            dependent().all(|(_, args, dims)| column(args, dims) && lane_dim(args, dims) == Some(last))
        }
        Some(_) => results.iter().all(|&dims| dims == parallel),
    };
    if !lanes {
        let taken = dependent().filter(|(_, args, dims)| column(args, *dims));
        let taken: DimSet = taken.filter_map(|(_, args, dims)| lane_dim(args, dims)).collect();
        parallel = parallel.difference(taken);
    }
    (parallel, lanes)
}

/// Rule 3.
fn groups(graph: &Graph, unrolled: DimSet, parallel: DimSet) -> Vec<Vec<DimId>> {
    let together = |a: DimId, b: DimId| {
        let both = |dims: DimSet| dims.contains(a) == dims.contains(b);
        let adjacent = |list: Vec<DimId>| match list.iter().position(|&dim| dim == a) {
            Some(at) => list.get(at + 1) == Some(&b),
            None => !list.contains(&b),
        };
        let decls = graph.params.iter().chain(graph.results.iter().map(|(decl, _)| decl));
        both(parallel)
            && graph.nodes.values().all(|node| {
                both(node.dims)
                    && match node.op {
                        Op::Reduce { dims, .. } | Op::Fold { dims, .. } => both(dims),
                        Op::Index(dim) | Op::Scan { dim, .. } | Op::KthLargest { dim, .. } => {
                            dim != a && dim != b
                        }
                        Op::Rename { ref names, .. } => names
                            .iter()
                            .all(|&(from, to)| ![from, to].contains(&a) && ![from, to].contains(&b)),
                        Op::Gather { ref dims, .. } => !dims.contains(&a) && !dims.contains(&b),
                        _ => true,
                    }
            })
            && decls.into_iter().all(|decl| adjacent(decl.dim_list().collect()))
    };
    let used = graph.nodes.values().fold(DimSet::EMPTY, |all, node| all.union(node.dims));
    let used = graph.results.iter().fold(used, |all, (decl, _)| all.union(decl.dims()));
    let mut groups: Vec<Vec<DimId>> = Vec::new();
    for dim in used.difference(unrolled).iter() {
        match groups.last_mut() {
            Some(group) if together(group[group.len() - 1], dim) => group.push(dim),
            _ => groups.push(vec![dim]),
        }
    }
    groups
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
        let wide = match op {
            Op::Fold { fold, .. } => self.graph.folds[*fold].is_wide(),
            _ => args.iter().any(|&arg| self.graph.nodes[arg].dtype == DType::F64),
        };
        Nest { form: self.graph.form(args, dims), operand: self.graph.operand_dims(args), dims, wide }
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

    /// A run of several groups is one line of memory for the reduction. Operands that are not such a line are put into scratch.
    fn flatten_operands(&mut self, roots: &[NodeId], inner: &[Group], steps: &mut Vec<Step>) {
        let run: DimSet = inner.iter().flat_map(|&group| self.regions.groups[group].clone()).collect();
        let mut offenders = Vec::new();
        for &root in roots {
            if !self.is_flat(root, run) && !offenders.contains(&root) {
                offenders.push(root);
            }
        }
        if offenders.is_empty() {
            return;
        }
        for root in offenders {
            if self.memory.contains_key(&root) {
                continue;
            }
            // All of the run must be there, so that the scratch array is a line.
            let dims = self.loop_dims(root);
            assert!(
                run.is_subset(dims),
                "{root}: a factor that lacks part of a run should have been multiplied out"
            );
            let nodes = self.needed(&[root], steps);
            let kept = self.regions.groups_of(dims.difference(self.parallel));
            self.memory.insert(root, Some(Place::Scratch));
            self.regions.notes.push(format!(
                "{root} is put in scratch: the run it is reduced over is not one line of memory"
            ));
            steps.push(Step::Region(Region {
                kept,
                kind: RegionKind::Map,
                nodes,
                keeps: vec![(root, Place::Scratch)],
                packed: Vec::new(),
            }));
        }
    }

    /// Whether everything that `root` is computed from is one line of memory along `run`, or the same all along it.
    fn is_flat(&self, root: NodeId, run: DimSet) -> bool {
        let mut todo = vec![root];
        let mut seen = FxHashSet::default();
        while let Some(node) = todo.pop() {
            if !seen.insert(node) {
                continue;
            }
            let here = self.graph.nodes[node].dims.intersection(run);
            if here.is_empty() {
                continue;
            }
            if here != run {
                return false;
            }
            if self.memory.get(&node).is_some_and(Option::is_some) {
                continue;
            }
            match leaf(self.graph, node) {
                None if matches!(self.graph.nodes[node].op, Op::Gather { .. }) => {
                    let Op::Gather { args, .. } = &self.graph.nodes[node].op else { continue };
                    // The lanes may differ in computed positions only.
                    if !self.graph.nodes[args[0]].dims.intersection(run).is_empty() {
                        return false;
                    }
                    todo.extend(&args[1..]);
                }
                Some(leaf) => {
                    let decl = &self.graph.params[leaf.param as usize];
                    let list: Vec<DimId> = decl.dim_list().map(|dim| leaf.along(dim)).collect();
                    let wanted: Vec<DimId> = run.iter().collect();
                    if !list.windows(wanted.len()).any(|window| window == wanted) {
                        return false;
                    }
                }
                // A carried value along other names: its array may be another line.
                None if matches!(self.graph.nodes[node].op, Op::Rename { .. }) => return false,
                None => todo.extend(self.graph.nodes[node].op.args()),
            }
        }
        true
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

    /// Rule 5, for the region that has just been made: what it computes and an earlier one computed too is kept there, if it is dear.
    fn keep_for_later(&mut self, steps: &mut [Step]) {
        let Some((Step::Region(last), before)) = steps.split_last_mut() else { return };
        let earlier = before.iter_mut().filter_map(|step| match step {
            Step::Region(region) => Some(region),
            Step::Values(_) | Step::Repeat(_) => None,
        });
        for region in earlier {
            let shared: Vec<NodeId> =
                last.nodes.iter().copied().filter(|node| region.nodes.contains(node)).collect();
            for node in self.frontier(&shared, last) {
                let dims = self.loop_dims(node);
                let computed_over = self.region_dims(region);
                if dims != computed_over || self.price(node, &shared) <= RECOMPUTE {
                    continue;
                }
                let place = self.place_for(node, last);
                region.keeps.push((node, place));
                self.memory.insert(node, Some(place));
                if let Place::Borrow(result) = place {
                    self.borrowed.insert(result);
                }
            }
            self.drop_available(last);
        }
    }

    fn region_dims(&self, region: &Region) -> DimSet {
        let mut groups = region.kept.clone();
        match &region.kind {
            RegionKind::Reduce { outer, inner, .. } => groups.extend(outer.iter().chain(inner)),
            RegionKind::Scan { along, .. } => groups.push(*along),
            RegionKind::Map => {}
        }
        groups
            .iter()
            .flat_map(|&group| self.regions.groups[group].iter().copied())
            .collect::<DimSet>()
            .union(self.parallel)
    }

    /// The shared values that the region uses directly: in something that is not shared.
    fn frontier(&self, shared: &[NodeId], region: &Region) -> Vec<NodeId> {
        let roots: Vec<NodeId> = match &region.kind {
            RegionKind::Reduce { reduces, .. } => {
                reduces.iter().flat_map(|&reduce| self.graph.nodes[reduce].op.args().to_vec()).collect()
            }
            RegionKind::Scan { node, .. } => self.graph.nodes[*node].op.args().to_vec(),
            RegionKind::Map => region.keeps.iter().map(|&(node, _)| node).collect(),
        };
        let used = |node: &NodeId| {
            roots.contains(node)
                || region
                    .nodes
                    .iter()
                    .any(|user| !shared.contains(user) && self.graph.nodes[*user].op.args().contains(node))
        };
        shared.iter().copied().filter(used).collect()
    }

    /// What it costs to compute a node from what is not shared.
    fn price(&self, root: NodeId, shared: &[NodeId]) -> u32 {
        let mut seen = FxHashSet::default();
        let mut todo = vec![root];
        let mut price = 0;
        while let Some(node) = todo.pop() {
            if shared.contains(&node) && seen.insert(node) {
                price += cost(self.graph, node);
                todo.extend(self.graph.nodes[node].op.args());
            }
        }
        price
    }

    /// The memory of a result of the same dimensions and dtype that the last region to need the node will overwrite; else scratch.
    fn place_for(&self, node: NodeId, last: &Region) -> Place {
        let value = &self.graph.nodes[node];
        for (result, (decl, _)) in self.graph.results.iter().enumerate() {
            let same =
                decl.dtype == value.dtype && decl.dims() == value.dims && self.parts[result].len() == 1;
            let written =
                last.kind == RegionKind::Map && last.keeps.iter().any(|keep| keep.1 == Place::Result(result));
            let open = !self.stored.contains(&(result, 0));
            if self.repeats > 0
                || !same
                || self.borrowed.contains(&result)
                || self.crossed.contains(&result)
                || !(written || open)
            {
                continue;
            }
            // Whoever else needs the node must be done by the time the result is stored: results over the same dimensions
            // are stored together, and after the reductions below them.
            let others = self.open_users(node, last);
            if others.into_iter().all(|user| open && self.loop_dims(user) == self.loop_dims(node)) {
                return Place::Borrow(result);
            }
        }
        Place::Scratch
    }

    /// Values of results not stored so far (nor by `last`) that depend on a node.
    fn open_users(&self, node: NodeId, last: &Region) -> Vec<NodeId> {
        let mut users = Vec::new();
        for (result, parts) in self.parts.iter().enumerate() {
            for (part, &(_, value)) in parts.iter().enumerate() {
                let stored =
                    self.stored.contains(&(result, part)) || last.keeps.iter().any(|keep| keep.0 == value);
                if !stored && self.depends(value, node) {
                    users.push(value);
                }
            }
        }
        users
    }

    fn depends(&self, value: NodeId, on: NodeId) -> bool {
        let mut todo = vec![value];
        let mut seen = FxHashSet::default();
        while let Some(next) = todo.pop() {
            if next == on {
                return true;
            }
            if seen.insert(next) {
                todo.extend(self.graph.nodes[next].op.args());
            }
        }
        false
    }

    /// Takes what is in memory by now, and what only served it, out of a region.
    fn drop_available(&self, region: &mut Region) {
        let roots: Vec<NodeId> = match &region.kind {
            RegionKind::Reduce { reduces, .. } => {
                reduces.iter().flat_map(|&reduce| self.graph.nodes[reduce].op.args().to_vec()).collect()
            }
            RegionKind::Scan { node, .. } => self.graph.nodes[*node].op.args().to_vec(),
            RegionKind::Map => Vec::new(),
        };
        let mut todo: Vec<NodeId> =
            roots.into_iter().chain(region.keeps.iter().map(|&(node, _)| node)).collect();
        let mut live = FxHashSet::default();
        while let Some(node) = todo.pop() {
            let own = region.nodes.contains(&node)
                && !self.memory.get(&node).is_some_and(|place| {
                    place.is_some()
                        && !region.keeps.iter().any(|keep| keep.0 == node && Some(keep.1) == *place)
                });
            if own && live.insert(node) {
                todo.extend(self.graph.nodes[node].op.args());
            }
        }
        region.nodes.retain(|node| live.contains(node));
    }

    fn name_recomputed(&mut self) {
        let mut notes = Vec::new();
        for step in self.regions.body.iter() {
            let Step::Region(region) = step else { continue };
            for (node, place) in &region.keeps {
                match place {
                    Place::Borrow(result) => notes.push(format!(
                        "{node} is kept in the memory of {} and read again: cheaper than computing it twice",
                        self.graph.results[*result].0.name
                    )),
                    Place::Scratch if self.graph.nodes[*node].op.runs_over().is_none() => {
                        notes.push(format!("{node} is kept in scratch: cheaper than computing it twice"));
                    }
                    Place::Scratch | Place::Result(_) | Place::Packed(_) | Place::State(_) => {}
                }
            }
        }
        let mut computed = FxHashSet::default();
        for region in self.regions.all() {
            for &node in &region.nodes {
                if !computed.insert(node) && cost(self.graph, node) > 1 {
                    notes.push(format!("{node} is computed again where it is needed again"));
                }
            }
        }
        for note in notes {
            if !self.regions.notes.contains(&note) {
                self.regions.notes.push(note);
            }
        }
    }
}

/// Pairs of a parameter and a result of the same type that may be one array: no step after the first that writes the result
/// reads the parameter, and what is written at a position of an unrolled dimension comes from that position. A parameter that
/// nothing reads is no array of the code.
fn in_place(graph: &Graph, regions: &Regions) -> Vec<(u32, u32)> {
    let mut pairs = Vec::new();
    let steps: Vec<&Step> = regions.prologue.iter().chain(&regions.body).collect();
    // What each range reads of all places must not be what another one has written.
    let shared = if regions.parallel.is_empty() { 0 } else { regions.prologue.len() };
    for (result, (decl, _)) in graph.results.iter().enumerate() {
        let writes = |step: &&Step| match step {
            // Loops write to arrays of their own.
            Step::Values(_) | Step::Repeat(_) => false,
            Step::Region(region) => region
                .keeps
                .iter()
                .any(|&(_, place)| place == Place::Result(result) || place == Place::Borrow(result)),
        };
        let Some(first) = steps.iter().position(writes) else { continue };
        for (param, other) in graph.params.iter().enumerate() {
            let alike = other.axes.is_some() && other.axes == decl.axes && other.dtype == decl.dtype;
            let read = |steps: &[&Step]| steps.iter().any(|step| reads(graph, step, param as u32));
            let apart = || stays_in_its_part(graph, param as u32, result);
            let across = || is_gathered(graph, param as u32) || is_read_across(graph, regions, param as u32);
            let open = alike && !read(&steps[..shared]) && !across();
            if open && read(&steps[..=first]) && !read(&steps[first + 1..]) && apart() {
                pairs.push((param as u32, result as u32));
            }
        }
    }
    pairs
}

/// Whether a parameter is read at computed places: maybe where a result is written already.
fn is_gathered(graph: &Graph, param: u32) -> bool {
    graph.nodes.values().any(|node| match &node.op {
        Op::Gather { args, .. } => leaf(graph, args[0]).is_some_and(|leaf| leaf.param == param),
        _ => false,
    })
}

/// Whether a place reads what a parameter has at other parallel places, along another name: maybe where a result is written
/// already.
fn is_read_across(graph: &Graph, regions: &Regions, param: u32) -> bool {
    let parallel = |dim: &DimId| regions.parallel.iter().any(|&group| regions.groups[group].contains(dim));
    graph.nodes.keys().filter_map(|node| leaf(graph, node)).any(|leaf| {
        leaf.param == param && leaf.names.iter().any(|(from, _)| parallel(from))
    })
}

/// Whether each part of a result reads the parameter at its own fixed positions only, if at any.
fn stays_in_its_part(graph: &Graph, param: u32, result: usize) -> bool {
    let parts = &result_parts(graph)[result];
    parts.iter().all(|(place, node)| {
        let mut place = place.clone();
        place.sort_unstable();
        let mut seen = FxHashSet::default();
        let mut open = vec![*node];
        while let Some(node) = open.pop() {
            if !seen.insert(node) {
                continue;
            }
            match leaf(graph, node) {
                Some(mut leaf) if leaf.param == param => {
                    leaf.at.sort_unstable();
                    if leaf.at != place || !leaf.names.is_empty() {
                        return false;
                    }
                }
                Some(_) => {}
                None => open.extend(graph.nodes[node].op.args()),
            }
        }
        true
    })
}

/// Whether a step loads from a parameter.
fn reads(graph: &Graph, step: &Step, param: u32) -> bool {
    let is = |node: NodeId| leaf(graph, node).is_some_and(|leaf| leaf.param == param);
    let uses = |node: &NodeId| graph.nodes[*node].op.args().iter().any(|&arg| is(arg));
    match step {
        Step::Values(nodes) => nodes.iter().any(uses),
        Step::Repeat(repeat) => {
            let states = || repeat.states.iter().filter(|state| !state.array);
            states().any(|state| is(state.init) || is(state.next))
                || repeat.steps.iter().any(|step| reads(graph, step, param))
        }
        Step::Region(region) => {
            let reduced = match &region.kind {
                RegionKind::Reduce { reduces, .. } => reduces.iter().any(uses),
                RegionKind::Scan { node, .. } => uses(node),
                RegionKind::Map => false,
            };
            reduced || region.nodes.iter().any(uses) || region.keeps.iter().any(|&(node, _)| is(node))
        }
    }
}
