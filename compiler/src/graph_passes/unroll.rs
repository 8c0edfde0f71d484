//! Unrolling: after it, no node is over a dimension that some node reduces, scans, slices or stacks, if its size is
//! known and small.
//!
//! Which dimensions: those of fixed size, 1 to [`MAX_POSITIONS`], over which some node is a `Reduce`, `Scan`, `Slice`
//! or `Stack`. (One that is only kept, as `g` in a group norm, stays; so does one of more positions: a loop of known size.)
//! If a node would become more than [`MAX_COPIES`] nodes or the graph grow beyond [`MAX_NODES`], the largest of the
//! dimensions that are only reduced are left as they are. Those that are sliced or stacked have to go, for which there may
//! be [`MAX_NEEDED`] nodes; a graph that would become still larger is left as it is.
//!
//! How: every node over such dimensions becomes one node for each choice of positions along them, in canonical order.
//!
//! - A `Param` becomes slices of it, dimension after dimension in canonical order; `Index` becomes a constant.
//! - A `Reduce` over them becomes a chain in the order of positions that begins with the first element: `((s0 + s1) +
//!   s2) + …`. Where other dimensions are reduced together with them, these are reduced first, for each position: fixed
//!   sizes come last.
//! - A `Fold` over them is written out in the same way: see `folds`.
//! - A `Scan` along one of them becomes such a chain, too; at each position it is the chain up to there.
//! - A `Rename` goes along what stays; its two dimensions are unrolled together, or neither.
//! - A part of a loop's state becomes one part for each place.
//! - A `Gather` keeps its leaf along what it is gathered along, and takes slices of it along what else goes.
//! - A `Slice` becomes the value at its position, a `Stack` its values.
//! - A result over them becomes `Stack`s, the first dimension in canonical order outermost.
//!
//! Needs nothing. Leaves `Slice` only on parameters, their renamings and slices, `Stack` only at results; nodes unused (dce).

mod folds;

use cranelift_entity::{PrimaryMap, SecondaryMap};
use rustc_hash::FxHashMap;

use super::rewrite::spread;
use crate::graph::{Constant, FoldId, Graph, Node, NodeId, Op, RepeatId};
use crate::ops::{Prim, Reduction, Scan};
use crate::types::{DType, DimId, DimSet, MAX_DIMS};

/// A dimension of more positions is looped over.
pub const MAX_POSITIONS: i64 = 64;

/// A node doesn't become more nodes, if its dimensions need not go.
pub const MAX_COPIES: u64 = 128;

/// The graph doesn't grow beyond it, if its dimensions need not go.
pub const MAX_NODES: u64 = 20_000;

/// The graph doesn't grow beyond it at all: sema has refused what would (it counts more, up to the same number).
pub const MAX_NEEDED: u64 = 100_000;

/// The pass.
pub fn run(graph: &mut Graph) {
    let dims = unrolled_dims(graph);
    if dims.is_empty() {
        return;
    }
    let sizes = sizes(graph);
    let old = std::mem::take(&mut graph.nodes);
    let results: Vec<NodeId> = graph.results.iter().map(|&(_, value)| value).collect();
    let (values, parts, chains) = (SecondaryMap::new(), FxHashMap::default(), FxHashMap::default());
    let mut unroll = Unroll { graph, old, dims, sizes, values, parts, chains };
    unroll.count_parts();
    unroll.params();
    for id in unroll.old.keys().skip(unroll.graph.params.len()) {
        unroll.node(id);
    }
    for (number, value) in results.into_iter().enumerate() {
        unroll.graph.results[number].1 = unroll.stacked(value);
    }
}

/// The dimensions that go; empty if the graph would become too large.
fn unrolled_dims(graph: &Graph) -> DimSet {
    let (mut reduced, mut picked, mut pairs) = (DimSet::EMPTY, DimSet::EMPTY, Vec::new());
    for node in graph.nodes.values() {
        match node.op {
            Op::Reduce { dims, .. } | Op::Fold { dims, .. } => reduced = reduced.union(dims),
            Op::Scan { dim, .. } => reduced = reduced.with(dim),
            Op::Slice { dim, .. } | Op::Stack { dim, .. } => picked = picked.with(dim),
            Op::Rename { ref names, .. } => pairs.extend(names),
            Op::Param(_)
            | Op::Const(_)
            | Op::Index(_)
            | Op::Size(_)
            | Op::Prim(..)
            | Op::Convert(_)
            | Op::KthLargest { .. }
            | Op::Broadcast(_)
            | Op::Carry { .. }
            | Op::Step(_)
            | Op::Final { .. }
            | Op::Gather { .. } => {}
        }
    }
    // A parameter is sliced along the one dimension of a pair as along the other.
    for _ in 0..pairs.len() {
        for &(from, to) in &pairs {
            for dims in [&mut reduced, &mut picked] {
                if dims.contains(from) || dims.contains(to) {
                    *dims = dims.with(from).with(to);
                }
            }
        }
    }
    let size = |dim: DimId| graph.dims[dim].fixed().unwrap_or(0);
    let mut dims: DimSet =
        reduced.union(picked).iter().filter(|&dim| (1..=MAX_POSITIONS).contains(&size(dim))).collect();
    loop {
        let (most, all) = nodes_after(graph, dims);
        if most <= MAX_COPIES && all <= MAX_NODES {
            return dims;
        }
        match dims.difference(picked).iter().max_by_key(|&dim| size(dim)) {
            Some(largest) => {
                dims = dims.without(largest);
                let with = |dims: DimSet, other: DimId| {
                    pairs.iter().any(|&(from, to)| {
                        from == other && !dims.contains(to) || to == other && !dims.contains(from)
                    })
                };
                while let Some(left) = dims.iter().find(|&dim| with(dims, dim)) {
                    dims = dims.without(left);
                }
            }
            None if all <= MAX_NODES || nodes_made(graph, dims) <= MAX_NEEDED => return dims,
            None => return DimSet::EMPTY,
        }
    }
}

/// How many nodes are made at most. Slices and stacks are values that are there.
fn nodes_made(graph: &Graph, unrolled: DimSet) -> u64 {
    let sizes = sizes(graph);
    let count = |node: &Node| {
        let reduced = match &node.op {
            Op::Slice { dim, .. } | Op::Stack { dim, .. } if unrolled.contains(*dim) => return 0,
            Op::Reduce { dims, .. } | Op::Fold { dims, .. } => *dims,
            _ => DimSet::EMPTY,
        };
        let over = node.dims.union(reduced).intersection(unrolled);
        let own = match &node.op {
            Op::Fold { fold, .. } if !over.is_empty() => graph.folds[*fold].step.nodes.len() as u64,
            _ => 1,
        };
        over.iter().fold(own, |copies, dim| copies.saturating_mul(u64::from(sizes[dim.as_u32() as usize])))
    };
    graph.nodes.values().map(count).fold(0, u64::saturating_add)
}

/// About how many nodes a node would become at most, and how many the graph would have.
fn nodes_after(graph: &Graph, unrolled: DimSet) -> (u64, u64) {
    let sizes = sizes(graph);
    let count = |node: &Node| {
        let over = node.dims.union(graph.operand_dims(node.op.args())).intersection(unrolled);
        // A fold is written out, with all its nodes, at every position.
        let own: u64 = match &node.op {
            Op::Fold { fold, .. } if !over.is_empty() => graph.folds[*fold].step.nodes.len().max(1) as u64,
            _ => 1,
        };
        let copies = over
            .iter()
            .fold(1u64, |copies, dim| copies.saturating_mul(u64::from(sizes[dim.as_u32() as usize])));
        (copies, copies.saturating_mul(own))
    };
    let add = |(most, sum): (u64, u64), node| {
        let (copies, nodes) = count(node);
        (most.max(copies), sum.saturating_add(nodes))
    };
    graph.nodes.values().fold((0, 0), add)
}

/// Size of each dimension, where it can be unrolled; else 0.
fn sizes(graph: &Graph) -> [u32; MAX_DIMS] {
    let mut sizes = [0; MAX_DIMS];
    for (id, dim) in &graph.dims {
        sizes[id.as_u32() as usize] =
            dim.fixed().filter(|size| (1..=MAX_POSITIONS).contains(size)).unwrap_or(0) as u32;
    }
    sizes
}

/// A position along each dimension (0 where it doesn't matter).
type Place = [u32; MAX_DIMS];

struct Unroll<'a> {
    /// The graph that is made.
    graph: &'a mut Graph,
    /// The nodes as they were.
    old: PrimaryMap<NodeId, Node>,
    /// The dimensions that go.
    dims: DimSet,
    sizes: [u32; MAX_DIMS],
    /// What each old node became: one node for each place along its dimensions that go, the last one running fastest.
    values: SecondaryMap<NodeId, Vec<NodeId>>,
    /// The states of folds that are written out, by definition, old operands, dimensions and place.
    chains: FxHashMap<(FoldId, Vec<NodeId>, DimSet, Place), Vec<NodeId>>,
    /// The first number of what each part of a loop's state becomes.
    parts: FxHashMap<(RepeatId, u32), u32>,
}

impl Unroll<'_> {
    fn size(&self, dim: DimId) -> u32 {
        self.sizes[dim.as_u32() as usize]
    }

    /// `place` moved, along `dims`, to the place of that number.
    fn place(&self, mut place: Place, dims: DimSet, mut number: u32) -> Place {
        for dim in dims.iter().rev() {
            place[dim.as_u32() as usize] = number % self.size(dim);
            number /= self.size(dim);
        }
        place
    }

    /// How many places there are along `dims`.
    fn places(&self, dims: DimSet) -> u32 {
        dims.iter().map(|dim| self.size(dim)).product()
    }

    /// What an old node became at a place.
    fn at(&self, node: NodeId, place: &Place) -> NodeId {
        let over = self.old[node].dims.intersection(self.dims);
        self.values[node][self.number(over, place)]
    }

    /// The number of a place among those along some dimensions.
    fn number(&self, over: DimSet, place: &Place) -> usize {
        over.iter()
            .fold(0, |number, dim| number * self.size(dim) as usize + place[dim.as_u32() as usize] as usize)
    }

    /// Numbers the parts of the states of loops. Dead parts get none.
    fn count_parts(&mut self) {
        for node in self.old.values() {
            let Op::Final { repeat, values, .. } = &node.op else { continue };
            let mut next = 0;
            for (index, &carry) in values[..values.len() / 2].iter().enumerate() {
                self.parts.insert((*repeat, index as u32), next);
                next += self.places(self.old[carry].dims.intersection(self.dims));
            }
        }
    }

    /// The number of a place of a part of a loop's state.
    fn part(&self, repeat: RepeatId, index: u32, dims: DimSet, place: &Place) -> u32 {
        let over = dims.intersection(self.dims);
        let first = self.parts.get(&(repeat, index)).copied().unwrap_or(0);
        first + over.iter().fold(0, |number, dim| number * self.size(dim) + place[dim.as_u32() as usize])
    }

    /// The parameters, which must stay the first nodes, and after all of them their slices.
    fn params(&mut self) {
        for id in self.old.keys().take(self.graph.params.len()) {
            let copy = self.graph.nodes.push(self.old[id].clone());
            debug_assert_eq!(copy, id, "parameters are the first nodes");
        }
        for id in self.old.keys().take(self.graph.params.len()) {
            let Node { dtype, dims, span, .. } = self.old[id];
            let mut values = vec![id];
            for dim in dims.intersection(self.dims).iter() {
                let size = self.size(dim);
                let slices =
                    values.iter().flat_map(|&value| (0..size).map(move |at| Op::Slice { value, dim, at }));
                values = slices.map(|op| self.graph.add(op, dtype, span)).collect();
            }
            self.values[id] = values;
        }
    }

    /// Every place of a node that is no parameter.
    fn node(&mut self, id: NodeId) {
        let node = self.old[id].clone();
        if let Op::Scan { scan, value, dim } = node.op
            && self.dims.contains(dim)
        {
            self.values[id] = self.running(scan, value, dim, &node);
            return;
        }
        let over = node.dims.intersection(self.dims);
        let values = (0..self.places(over)).map(|number| {
            let place = self.place([0; MAX_DIMS], over, number);
            self.one(&node, &place)
        });
        self.values[id] = values.collect();
    }

    /// A node at a place.
    fn one(&mut self, node: &Node, place: &Place) -> NodeId {
        let rest = node.dims.difference(self.dims);
        match node.op {
            Op::Index(dim) if self.dims.contains(dim) => {
                let at = Constant::new(DType::I32, f64::from(place[dim.as_u32() as usize]));
                self.graph.add(Op::Const(at), node.dtype, node.span)
            }
            Op::Slice { value, dim, at } if self.dims.contains(dim) => {
                let mut place = *place;
                place[dim.as_u32() as usize] = at;
                self.at(value, &place)
            }
            Op::Stack { dim, ref values } if self.dims.contains(dim) => {
                let value = self.at(values[place[dim.as_u32() as usize] as usize], place);
                spread(self.graph, value, rest, node.span)
            }
            Op::Reduce { reduction, ref args, dims } if !dims.intersection(self.dims).is_empty() => {
                self.chain(reduction, args, dims, node, place)
            }
            Op::Fold { fold, state, ref args, dims } if !dims.intersection(self.dims).is_empty() => {
                let key = (fold, args.clone(), dims, *place);
                let states = match self.chains.get(&key) {
                    Some(states) => states.clone(),
                    None => self.fold_chain(fold, args, dims, node, place),
                };
                let value = states[state as usize];
                self.chains.insert(key, states);
                spread(self.graph, value, rest, node.span)
            }
            Op::Rename { value, ref names } if matches!(self.old[value].op, Op::Carry { .. }) => {
                self.renamed_state(value, names, node, place)
            }
            Op::Rename { value, ref names } if !node.dims.intersection(self.dims).is_empty() => {
                self.renamed(value, names, node, place)
            }
            Op::Carry { repeat, index, init } => {
                let (index, init) = (self.part(repeat, index, node.dims, place), self.at(init, place));
                self.graph.add_with_dims(Op::Carry { repeat, index, init }, node.dtype, rest, node.span)
            }
            Op::Final { repeat, index, ref values } => {
                let values = values.iter().flat_map(|&value| self.values[value].clone()).collect();
                let index = self.part(repeat, index, node.dims, place);
                self.graph.add_with_dims(Op::Final { repeat, index, values }, node.dtype, rest, node.span)
            }
            Op::Gather { ref dims, ref args } if !self.is_kept(dims, args) => {
                self.gathered(dims, args, node, place)
            }
            Op::Broadcast(value) => {
                let value = self.at(value, place);
                spread(self.graph, value, rest, node.span)
            }
            _ => {
                let mut op = node.op.clone();
                for arg in op.args_mut() {
                    *arg = self.at(*arg, place);
                }
                self.graph.add_with_dims(op, node.dtype, rest, node.span)
            }
        }
    }

    /// A renamed parameter: renamed along what stays, then its slices along what goes.
    fn renamed(&mut self, param: NodeId, names: &[(DimId, DimId)], node: &Node, place: &Place) -> NodeId {
        let (dims, span) = (self.old[param].dims, node.span);
        let now = |dim: DimId| names.iter().find(|(from, _)| *from == dim).map_or(dim, |(_, to)| *to);
        let names: Vec<(DimId, DimId)> =
            names.iter().copied().filter(|(from, _)| !self.dims.contains(*from)).collect();
        let mut value = param;
        if !names.is_empty() {
            value = self.graph.add(Op::Rename { value, names }, node.dtype, span);
        }
        for dim in dims.intersection(self.dims).iter() {
            let at = place[now(dim).as_u32() as usize];
            value = self.graph.add(Op::Slice { value, dim, at }, node.dtype, span);
        }
        value
    }

    /// A carried value at the place of the dimensions that go, renamed along what stays.
    fn renamed_state(
        &mut self,
        value: NodeId,
        names: &[(DimId, DimId)],
        node: &Node,
        place: &Place,
    ) -> NodeId {
        let mut own = *place;
        for (from, to) in names {
            own[from.as_u32() as usize] = place[to.as_u32() as usize];
        }
        let value = self.at(value, &own);
        let names: Vec<(DimId, DimId)> =
            names.iter().copied().filter(|(from, _)| !self.dims.contains(*from)).collect();
        if names.is_empty() {
            return value;
        }
        self.graph.add(Op::Rename { value, names }, node.dtype, node.span)
    }

    /// A scan along a dimension that goes: at every place the elements up to there, one after another.
    fn running(&mut self, scan: Scan, value: NodeId, dim: DimId, node: &Node) -> Vec<NodeId> {
        let over = node.dims.intersection(self.dims);
        let (others, rest) = (over.without(dim), node.dims.difference(self.dims));
        let mut values = vec![value; self.places(over) as usize];
        for line in 0..self.places(others) {
            let mut place = self.place([0; MAX_DIMS], others, line);
            let mut state = scan.exclusive.then(|| {
                let start = Constant::new(node.dtype, scan.reduction.identity());
                let start = self.graph.add(Op::Const(start), node.dtype, node.span);
                spread(self.graph, start, rest, node.span)
            });
            for number in 0..self.size(dim) {
                let at = if scan.reverse { self.size(dim) - 1 - number } else { number };
                place[dim.as_u32() as usize] = at;
                let element = self.at(value, &place);
                let next = match state {
                    Some(state) => {
                        let op = Op::Prim(scan.reduction.combine(), vec![state, element]);
                        self.graph.add(op, node.dtype, node.span)
                    }
                    None => element,
                };
                let here = self.number(over, &place);
                values[here] = if scan.exclusive { state.unwrap_or(next) } else { next };
                state = Some(next);
            }
        }
        values
    }

    /// Whether a gathered leaf has no dimension that goes.
    fn is_kept(&self, dims: &[DimId], args: &[NodeId]) -> bool {
        let gathered: DimSet = dims.iter().copied().collect();
        self.old[args[0]].dims.union(gathered).intersection(self.dims).is_empty()
    }

    /// A gathered leaf: along what goes it is sliced, but where it is gathered.
    fn gathered(&mut self, dims: &[DimId], args: &[NodeId], node: &Node, place: &Place) -> NodeId {
        let (mut value, mut names, mut slices) = (args[0], Vec::new(), Vec::new());
        loop {
            match &self.old[value].op {
                Op::Slice { value: of, dim, at } => {
                    slices.push((*dim, *at));
                    value = *of;
                }
                Op::Rename { value: of, names: pairs } => {
                    names.clone_from(pairs);
                    value = *of;
                }
                _ => break,
            }
        }
        let own = |dim: DimId| names.iter().find(|(_, to)| *to == dim).map_or(dim, |(from, _)| *from);
        let now = |dim: DimId| names.iter().find(|(from, _)| *from == dim).map_or(dim, |(_, to)| *to);
        // The names of dimensions that go are the parameter's own from here on.
        let goes = self.dims;
        let here = |dim: DimId| if goes.contains(dim) { own(dim) } else { dim };
        let kept: Vec<(DimId, DimId)> =
            names.iter().copied().filter(|(from, _)| !goes.contains(*from)).collect();
        let over = self.old[value].dims.intersection(goes);
        if !kept.is_empty() {
            value = self.graph.add(Op::Rename { value, names: kept }, node.dtype, node.span);
        }
        for (dim, at) in slices.iter().rev() {
            let op = Op::Slice { value, dim: here(*dim), at: *at };
            value = self.graph.add(op, node.dtype, node.span);
        }
        for dim in over.iter() {
            let picked = dims.contains(&now(dim)) || slices.iter().any(|(sliced, _)| here(*sliced) == dim);
            if !picked {
                let at = place[now(dim).as_u32() as usize];
                value = self.graph.add(Op::Slice { value, dim, at }, node.dtype, node.span);
            }
        }
        let mut pairs: Vec<(DimId, NodeId)> =
            dims.iter().zip(&args[1..]).map(|(dim, index)| (here(*dim), self.at(*index, place))).collect();
        pairs.sort_unstable();
        let dims = pairs.iter().map(|(dim, _)| *dim).collect();
        let args = std::iter::once(value).chain(pairs.into_iter().map(|(_, index)| index)).collect();
        self.graph.add(Op::Gather { dims, args }, node.dtype, node.span)
    }

    /// A reduction over dimensions that go, and maybe others: its elements one after another.
    fn chain(
        &mut self,
        reduction: Reduction,
        args: &[NodeId],
        dims: DimSet,
        node: &Node,
        place: &Place,
    ) -> NodeId {
        let over = dims.intersection(self.dims);
        let first = self.element(reduction, args, dims, node, &self.place(*place, over, 0));
        (1..self.places(over)).fold(first, |state, number| {
            let element = self.element(reduction, args, dims, node, &self.place(*place, over, number));
            // The machine's max and min give their second operand where they can't tell: the state, as in a loop.
            let args = match reduction {
                Reduction::SelMax | Reduction::SelMin => vec![element, state],
                Reduction::Sum | Reduction::Prod | Reduction::Max | Reduction::Min => vec![state, element],
            };
            self.graph.add(Op::Prim(reduction.combine(), args), node.dtype, node.span)
        })
    }

    /// One element of a chain: the operand at a place, reduced over what dimensions remain.
    fn element(
        &mut self,
        reduction: Reduction,
        args: &[NodeId],
        dims: DimSet,
        node: &Node,
        place: &Place,
    ) -> NodeId {
        let args: Vec<NodeId> = args.iter().map(|&arg| self.at(arg, place)).collect();
        let rest = dims.difference(self.dims);
        let op = match args[..] {
            [arg] if rest.is_empty() => return arg,
            [a, b] if rest.is_empty() => Op::Prim(Prim::Mul, vec![a, b]),
            _ => Op::Reduce { reduction, args, dims: rest },
        };
        self.graph.add(op, node.dtype, node.span)
    }

    /// What a result is made of, with its dimensions again.
    fn stacked(&mut self, value: NodeId) -> NodeId {
        let Node { dtype, dims, span, .. } = self.old[value];
        let mut values = self.values[value].clone();
        for dim in dims.intersection(self.dims).iter().rev() {
            let stacks: Vec<Op> = values
                .chunks(self.size(dim) as usize)
                .map(|values| Op::Stack { dim, values: values.to_vec() })
                .collect();
            values = stacks.into_iter().map(|op| self.graph.add(op, dtype, span)).collect();
        }
        values[0]
    }
}
