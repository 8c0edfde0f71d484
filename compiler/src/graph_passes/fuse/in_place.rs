//! Which results may share the array of a parameter, once the regions are made.

use rustc_hash::FxHashSet;

use super::{leaf, result_parts};
use crate::graph::regions::{Place, RegionKind, Regions, Step};
use crate::graph::{Graph, NodeId, Op};
use crate::types::DimId;

/// Pairs of a parameter and a result of the same type that may be one array: no step after the first that writes the result
/// reads the parameter, and what is written at a position of an unrolled dimension comes from that position. A parameter that
/// nothing reads is no array of the code.
pub(super) fn in_place(graph: &Graph, regions: &Regions) -> Vec<(u32, u32)> {
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
    graph
        .nodes
        .keys()
        .filter_map(|node| leaf(graph, node))
        .any(|leaf| leaf.param == param && leaf.names.iter().any(|(from, _)| parallel(from)))
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
