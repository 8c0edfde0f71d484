//! Rule 7, for reductions: a run of several groups is walked as one line, so what it reads must lie so.
//!
//! Needs the groups, and the region that reads not yet made; puts what does not lie so into scratch, by a map region before it.

use rustc_hash::FxHashSet;

use super::{Fuser, leaf};
use crate::graph::regions::{Group, Place, Region, RegionKind, Step};
use crate::graph::{NodeId, Op};
use crate::types::{DimId, DimSet};

impl Fuser<'_> {
    /// A run of several groups is one line of memory for the reduction. Operands that are not such a line are put into scratch.
    pub(super) fn flatten_operands(&mut self, roots: &[NodeId], inner: &[Group], steps: &mut Vec<Step>) {
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
}
