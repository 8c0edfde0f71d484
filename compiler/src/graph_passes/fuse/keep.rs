//! Rule 5: what is kept because computing it again would be dear, and where.
//!
//! Needs the regions made so far, the one that needs the value last; leaves the value in the list of what an earlier one keeps.

use rustc_hash::FxHashSet;

use super::{Fuser, RECOMPUTE, cost};
use crate::graph::NodeId;
use crate::graph::regions::{Place, Region, RegionKind, Step};
use crate::types::DimSet;

impl Fuser<'_> {
    /// Rule 5, for the region that has just been made: what it computes and an earlier one computed too is kept there, if it is dear.
    pub(super) fn keep_for_later(&mut self, steps: &mut [Step]) {
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
                let cheap = self.again.contains(&node) || self.price(node, &shared) <= RECOMPUTE;
                if dims != computed_over || cheap {
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

    pub(super) fn depends(&self, value: NodeId, on: NodeId) -> bool {
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

    pub(super) fn name_recomputed(&mut self) {
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
