//! Regions of what runs along one dimension: scans and k-th largest elements.
//!
//! Each is a region of its own. A scan's elements are in memory afterwards, in that of a result if they are one, and whoever needs
//! them reads them there; a k-th largest is kept as a reduction is.

use super::Fuser;
use crate::graph::regions::{Group, Region, RegionKind, Step};
use crate::graph::{NodeId, Op};

impl Fuser<'_> {
    /// The region of a scan or a k-th largest.
    pub(super) fn scan_region(&mut self, node: NodeId, steps: &mut Vec<Step>) {
        let op = &self.graph.nodes[node].op;
        let (args, dims) = op.runs_over().expect("a scan runs along a dimension");
        let (form, operand) = (self.graph.form(args, dims), self.graph.operand_dims(args));
        let along = self.regions.groups_of(dims);
        let [along] = along[..] else { unreachable!("{node} runs along one dimension, a group of its own") };
        let roots = op.args().to_vec();
        let goes = matches!(op, Op::KthLargest { .. });
        let kept: Vec<Group> = self.regions.groups_of(operand.difference(dims).difference(self.parallel));
        let nodes = self.needed(&roots, steps);
        let mut keeps = self.stores_on_the_way(operand, &nodes);
        let place = if goes && kept.is_empty() { None } else { Some(self.place_of_reduction(node)) };
        keeps.extend(place.map(|place| (node, place)));
        self.memory.insert(node, place);
        let kind = RegionKind::Scan { form, along, node };
        steps.push(Step::Region(Region { kept, kind, nodes, keeps, packed: Vec::new() }));
        self.keep_for_later(steps);
    }
}
