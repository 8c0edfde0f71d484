//! Rules 1 to 3: the parallel dimensions, which of them carries the lanes, and dimensions that become one group.
//!
//! Needs a graph after `PASSES`, and the loops that it has; decides nothing about regions.

use rustc_hash::FxHashSet;

use super::{reduces, repeat};
use crate::graph::regions::{Group, Regions};
use crate::graph::repeats::Nesting;
use crate::graph::{Form, Graph, NodeId, Op};
use crate::types::{DimId, DimSet};

/// Dimensions that have become positions.
pub(super) fn unrolled_dims(graph: &Graph) -> DimSet {
    let dims = graph.nodes.values().filter_map(|node| match node.op {
        Op::Slice { dim, .. } | Op::Stack { dim, .. } => Some(dim),
        _ => None,
    });
    dims.collect()
}

/// Rules 1 and 2: the parallel dimensions, and whether the last one carries the lanes.
pub(super) fn parallel_dims(graph: &Graph, unrolled: DimSet, nesting: &Nesting) -> (DimSet, bool) {
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
pub(super) fn groups(graph: &Graph, unrolled: DimSet, parallel: DimSet) -> Vec<Vec<DimId>> {
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

/// How many of the last groups of an operand are reduced: a run.
pub(super) fn trailing(operand: &[Group], reduced: &[Group]) -> usize {
    operand.iter().rev().take_while(|group| reduced.contains(group)).count()
}

/// Results that have all dimensions of a run of several groups, but not as one line of memory: in another order, or with others
/// between them.
pub(super) fn crossed(graph: &Graph, regions: &Regions) -> FxHashSet<usize> {
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
