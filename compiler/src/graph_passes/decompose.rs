//! Decompositions of normalisers: ways to compute a maximum and the sums of exponentials that are shifted by it
//! ([`DECOMPOSITIONS`]), and a mean with the sum of squared distances from it. They are different sums, and may differ in bits.
//!
//! Reload and recompute leave the graph alone: they look at a row three times, and say whether `fuse` keeps exponentials. The others put one
//! fold in the place of the maximum and the sums, so that two looks are enough. Every graph that has a group (`shifted`, `moments`) has all of
//! them: it is the formula that counts, not the name of a function.
//!
//! Which one it is depends on what is asked for and on the sizes of reduced dimensions ([`choose`]), on nothing else: a row that is much
//! larger than a cache is looked at as seldom as possible, any other one is read again.
//!
//! Needs a graph after `PASSES` (max and fma decided). Leaves nodes that nothing uses (dce) and alike (cse).

mod moments;
mod online;
mod part;
mod shifted;
mod two_pass;

use cranelift_entity::{EntityRef, PrimaryMap};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::directives::Normalizer;
use crate::graph::{Fold, Graph, NodeId};
use crate::types::{DimSet, SizeExpr};

use shifted::Terms;

/// A way to compute a maximum and the sums that it shifts.
pub struct Decomposition {
    /// Which it is.
    pub normalizer: Normalizer,
    /// What it does, in one sentence.
    pub doc: &'static str,
    /// Whether exponentials are kept rather than computed again.
    pub keeps: bool,
    /// The fold that takes the place of maximum and sums; none if they stay.
    fold: Option<Folding>,
}

/// How a fold is made, and what is made of it.
struct Folding {
    make: fn(&Terms<'_>) -> Fold,
    /// Numbers of the state before the sums.
    numbers: usize,
    /// The sum for the maximum as shift, from these and what the fold has.
    finish: fn(&mut Graph, &[NodeId], NodeId) -> NodeId,
}

/// All decompositions.
pub static DECOMPOSITIONS: [Decomposition; 4] = [
    Decomposition {
        normalizer: Normalizer::Reload,
        doc: "three looks at a row; the exponentials are kept and read again",
        keeps: true,
        fold: None,
    },
    Decomposition {
        normalizer: Normalizer::Recompute,
        doc: "three looks at a row; the exponentials are computed twice",
        keeps: false,
        fold: None,
    },
    Decomposition {
        normalizer: Normalizer::Online,
        doc: "two looks at a row: maximum and sums in one, rescaled from block to block",
        keeps: true,
        fold: Some(Folding { make: online::fold, numbers: online::NUMBERS, finish: online::finish }),
    },
    Decomposition {
        normalizer: Normalizer::TwoPass,
        doc: "two looks at a row: sums as mantissa and exponent, rescaled by powers of two",
        keeps: true,
        fold: Some(Folding { make: two_pass::fold, numbers: two_pass::NUMBERS, finish: two_pass::finish }),
    },
];

impl Normalizer {
    /// Its row in the table; none of `auto`.
    pub fn row(self) -> Option<&'static Decomposition> {
        DECOMPOSITIONS.iter().find(|row| row.normalizer == self)
    }
}

/// Elements of a row above which exponentials and a maximum are not looked at three times.
pub const LONG: i64 = 1 << 26;

/// So many maxima, and so many sums, of a graph are looked at; each costs a walk over the graph.
const MOST: usize = 64;

/// How many places there are along dimensions, if that is known.
fn fixed_size(graph: &Graph, dims: DimSet) -> Option<i64> {
    dims.iter().try_fold(1i64, |size, dim| Some(size.saturating_mul(graph.dims[dim].fixed()?)))
}

/// What a graph has that can be decomposed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The maxima that have sums of exponentials.
    pub shifted: Vec<NodeId>,
    /// The sums that have sums of squared distances from their mean.
    pub moments: Vec<NodeId>,
    /// The reduced dimensions of the first of them.
    pub dims: DimSet,
}

impl Found {
    /// Looks for all.
    pub fn of(graph: &Graph) -> Found {
        let shifted = shifted::groups(graph);
        let moments = moments::groups(graph);
        let dims =
            shifted.iter().map(|group| group.dims).chain(moments.iter().map(|group| group.dims)).next();
        Found {
            shifted: shifted.iter().map(|group| group.max).collect(),
            moments: moments.iter().map(|group| group.sum).collect(),
            dims: dims.unwrap_or_default(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.shifted.is_empty() && self.moments.is_empty()
    }
}

/// What becomes of a kernel: one form, or two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// One decomposition for all sizes.
    One(Normalizer),
    /// The first one where the size is at most the number, else the second.
    BySize(Normalizer, Normalizer, (SizeExpr, i64)),
}

/// What becomes of a graph with these groups.
pub fn choose(graph: &Graph, found: &Found, asked: Normalizer, long: i64) -> Choice {
    match asked {
        _ if found.is_empty() => Choice::One(Normalizer::Reload),
        Normalizer::Auto => {
            let fixed = fixed_size(graph, found.dims);
            let size = SizeExpr::product(found.dims.iter().map(|dim| dim.as_u32()));
            match fixed {
                Some(size) if size <= long => Choice::One(Normalizer::Reload),
                Some(_) => Choice::One(Normalizer::Online),
                None => Choice::BySize(Normalizer::Reload, Normalizer::Online, (size, long)),
            }
        }
        asked => Choice::One(asked),
    }
}

/// Decomposes every group over these dimensions, or over any. Asks for [`AFTER_DECOMPOSE`](super::AFTER_DECOMPOSE).
pub fn run(graph: &mut Graph, normalizer: Normalizer, over: Option<DimSet>) {
    let Some(row) = normalizer.row() else { return };
    let here = |dims: DimSet| over.is_none_or(|over| over == dims);
    if let Some(folding) = &row.fold {
        // Each makes nodes of others: they are looked for again.
        while let Some(group) = shifted::groups(graph).into_iter().find(|group| here(group.dims)) {
            let fold = (folding.make)(&Terms::new(graph, &group));
            shifted::replace(graph, &group, fold, folding.numbers, folding.finish);
        }
        while let Some(group) = moments::groups(graph).into_iter().find(|group| here(group.dims)) {
            moments::replace(graph, &group);
        }
    }
}

/// The exponentials of a graph that are computed again rather than kept.
pub fn again(graph: &Graph, normalizer: Normalizer) -> Vec<NodeId> {
    if normalizer.row().is_none_or(|row| row.keeps) {
        return Vec::new();
    }
    let groups = shifted::groups(graph);
    groups.iter().flat_map(|group| group.sums.iter().map(|sum| sum.exp)).collect()
}

/// Gives the nodes before `old` other operands, where they have a name here, and the results other values; then sorts the
/// graph, whose new nodes stand at its end.
fn rename(graph: &mut Graph, old: usize, names: &FxHashMap<NodeId, NodeId>) {
    for index in 0..old {
        for arg in graph.nodes[NodeId::new(index)].op.args_mut() {
            *arg = names.get(arg).copied().unwrap_or(*arg);
        }
    }
    for (_, value) in &mut graph.results {
        *value = names.get(value).copied().unwrap_or(*value);
    }
    sort(graph);
}

/// Puts operands before their users, and otherwise leaves the order as it is.
fn sort(graph: &mut Graph) {
    let mut order = Vec::with_capacity(graph.nodes.len());
    let mut done = FxHashSet::default();
    let mut todo: Vec<(NodeId, bool)> = Vec::new();
    for root in graph.nodes.keys() {
        todo.push((root, false));
        while let Some((node, ready)) = todo.pop() {
            if ready {
                order.push(node);
            } else if done.insert(node) {
                todo.push((node, true));
                let args = graph.nodes[node].op.args();
                todo.extend(args.iter().rev().filter(|arg| !done.contains(arg)).map(|&arg| (arg, false)));
            }
        }
    }
    let mut names: PrimaryMap<NodeId, NodeId> = graph.nodes.keys().collect();
    for (place, &node) in order.iter().enumerate() {
        names[node] = NodeId::new(place);
    }
    let mut sorted = PrimaryMap::with_capacity(order.len());
    for node in order {
        let mut node = graph.nodes[node].clone();
        for arg in node.op.args_mut() {
            *arg = names[*arg];
        }
        sorted.push(node);
    }
    graph.nodes = sorted;
    for (_, value) in &mut graph.results {
        *value = names[*value];
    }
}
