//! Copies of the factors of contractions: `sum[e](q * k)` with `k: f32[t, e]` has lanes along `t`, along which `k` does not lie in
//! memory. Read as it is, each vector takes a load for each lane, again for each place of `q`; a copy with `t` innermost takes
//! that once.
//!
//! Needs regions under way, and what the factor is made of computed by then; leaves a map region that makes the copy, and says
//! in the region of the contraction that it reads it. Bits don't change: a copy holds what was computed.

use rustc_hash::FxHashSet;

use super::{Fuser, leaf};
use crate::graph::regions::{Group, Place, Region, RegionKind, Step};
use crate::graph::{Form, NodeId, Op};
use crate::types::{DimId, DimSet};

impl Fuser<'_> {
    /// What the regions of these reductions, which are computed in the parallel loop, may have copied before it: factors made
    /// of nothing that is computed inside.
    pub(super) fn packable_before(&self, reduces: &[NodeId]) -> Vec<(NodeId, Group)> {
        let inside = |&(factor, _): &(NodeId, Group)| {
            self.is_packable(factor)
                && !self.looped[factor]
                && !reduces.iter().any(|&reduce| self.depends(factor, reduce))
        };
        let mut copies: Vec<(NodeId, Group)> =
            reduces.iter().flat_map(|&reduce| self.wanted_copies(reduce)).filter(inside).collect();
        copies.sort_unstable();
        copies.dedup();
        copies
    }

    /// The copies that the region of some reductions reads. Where there is no parallel loop they are made now.
    pub(super) fn packed_for(&mut self, reduces: &[NodeId], steps: &mut Vec<Step>) -> Vec<(NodeId, Group)> {
        let mut copies: Vec<(NodeId, Group)> =
            reduces.iter().flat_map(|&reduce| self.wanted_copies(reduce)).collect();
        copies.sort_unstable();
        copies.dedup();
        copies.retain(|&(factor, group)| {
            if self.parallel.is_empty() && self.is_packable(factor) {
                self.pack(factor, group, steps);
            }
            self.packed.contains(&(factor, group))
        });
        copies
    }

    /// Makes a copy, if there is none.
    pub(super) fn pack(&mut self, factor: NodeId, last: Group, steps: &mut Vec<Step>) {
        if !self.packed.insert((factor, last)) {
            return;
        }
        let nodes = self.needed(&[factor], steps);
        let mut kept = self.regions.groups_of(self.graph.nodes[factor].dims);
        kept.retain(|&group| group != last);
        kept.push(last);
        let keeps = vec![(factor, Place::Packed(last))];
        steps.push(Step::Region(Region { kept, kind: RegionKind::Map, nodes, keeps, packed: Vec::new() }));
        self.packed.insert((factor, last));
        self.regions
            .notes
            .push(format!("{factor} is copied so that it lies along the lanes of a contraction"));
    }

    /// The factors of a contraction that are better copied, and the group along which the lanes lie.
    fn wanted_copies(&self, reduce: NodeId) -> Vec<(NodeId, Group)> {
        let Op::Reduce { args, dims, .. } = &self.graph.nodes[reduce].op else { return Vec::new() };
        if args.len() < 2 || self.graph.form(args, *dims) == Form::Row {
            return Vec::new();
        }
        let kept = self.graph.operand_dims(args).difference(*dims);
        let Some(last) = kept.last() else { return Vec::new() };
        let Some(group) = self.regions.group_of(last) else { return Vec::new() };
        let lies_across = |&&factor: &&NodeId| {
            let own = self.graph.nodes[factor].dims;
            own.contains(last) && !kept.is_subset(own) && self.lies_across(factor, last)
        };
        args.iter().filter(lies_across).map(|&factor| (factor, group)).collect()
    }

    /// Whether something that a value is read from has the dimension, but not as the innermost one.
    fn lies_across(&self, factor: NodeId, last: DimId) -> bool {
        let across = |node: NodeId| match leaf(self.graph, node) {
            Some(leaf) => {
                let list: Vec<DimId> =
                    self.graph.params[leaf.param as usize].dim_list().map(|dim| leaf.along(dim)).collect();
                list.contains(&last) && list.last() != Some(&last)
            }
            None if matches!(self.graph.nodes[node].op, Op::Rename { .. }) => {
                self.state_dims(node).last() != Some(&last)
            }
            None => {
                let in_memory = self.memory.get(&node).is_some_and(Option::is_some);
                in_memory && self.graph.nodes[node].dims.last() != Some(last)
            }
        };
        self.below(factor).any(|node| self.graph.nodes[node].dims.contains(last) && across(node))
    }

    /// The dimensions of a carried value along other names, as its array has them.
    fn state_dims(&self, node: NodeId) -> Vec<DimId> {
        let Op::Rename { value, names } = &self.graph.nodes[node].op else { return Vec::new() };
        let now = |dim: DimId| names.iter().find(|(from, _)| *from == dim).map_or(dim, |(_, to)| *to);
        self.graph.nodes[*value].dims.iter().map(now).collect()
    }

    /// Whether all that a value needs is there, and all its dimensions are looped over.
    fn is_packable(&self, factor: NodeId) -> bool {
        let dims = self.graph.nodes[factor].dims;
        let grouped: DimSet = self.regions.groups.iter().flatten().copied().collect();
        dims.is_subset(grouped)
    }

    /// A value and what it is computed from, down to leaves, reductions and what is in memory.
    fn below(&self, root: NodeId) -> impl Iterator<Item = NodeId> {
        let (mut todo, mut seen) = (vec![root], FxHashSet::default());
        while let Some(node) = todo.pop() {
            let ends = leaf(self.graph, node).is_some()
                || self.memory.contains_key(&node)
                || self.graph.nodes[node].op.runs_over().is_some()
                || matches!(
                    self.graph.nodes[node].op,
                    Op::Carry { .. } | Op::Final { .. } | Op::Rename { .. }
                );
            if seen.insert(node) && !ends {
                todo.extend(self.graph.nodes[node].op.args());
            }
        }
        seen.into_iter()
    }
}
