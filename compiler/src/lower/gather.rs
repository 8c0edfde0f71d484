//! Loads of parameters at computed positions.

use super::{Axis, Lower, elem};
use crate::graph::NodeId;
use crate::graph_passes::fuse::leaf;
use crate::loops::{Access, Inst, Type, Value};
use crate::types::DimId;

impl Lower<'_> {
    /// The leaf at the positions that the other operands give along `dims`.
    pub(super) fn gather(&mut self, node: NodeId, dims: &[DimId], args: &[NodeId]) -> Value {
        let leaf = leaf(self.graph, args[0]).expect("only leaves are gathered from");
        let decl = &self.graph.params[leaf.param as usize];
        let ty = Type { elem: elem(decl.dtype).loaded(), lanes: self.lanes_of(node) };
        // The axes as the loops see them, and the positions of those that are gathered along.
        let (mut axes, mut computed): (Vec<Axis>, Vec<Option<NodeId>>) = Default::default();
        let (mut own_axes, mut waiting) = (Vec::new(), Vec::new());
        for dim in decl.dim_list() {
            let along = leaf.along(dim);
            let Some(at) = dims.iter().position(|gathered| *gathered == along) else {
                waiting.push(along);
                continue;
            };
            self.put_axes(&mut waiting, &leaf, &mut axes, &mut own_axes);
            computed.resize(axes.len(), None);
            let axis = |dim| match self.regions.group_of(dim) {
                Some(group) => Axis::Groups(vec![group]),
                None => Axis::Unrolled(dim),
            };
            own_axes.push(axis(dim));
            axes.push(axis(along));
            computed.push(Some(args[at + 1]));
        }
        self.put_axes(&mut waiting, &leaf, &mut axes, &mut own_axes);
        computed.resize(axes.len(), None);

        let buffer = self.buffer(&super::Source::Param(leaf.param), own_axes);
        let (mut index, mut lane_axis) = (Vec::new(), None);
        for (axis, (spec, position)) in axes.iter().zip(computed).enumerate() {
            let Some(position) = position else {
                let place = self.access(buffer, vec![spec.clone()], &leaf.at, 1);
                index.extend(place.index);
                lane_axis = if self.has_lanes(spec) { Some(axis as u32) } else { lane_axis };
                continue;
            };
            index.push(self.value(position));
            let size = self.func.buffers[buffer].axes[axis].clone();
            self.func.size(&size);
        }
        let lane_axis = lane_axis.filter(|_| ty.lanes > 1);
        self.push(ty, Inst::Gather(Access { buffer, index, lane_axis, active: None }))
    }

    /// The axes of dimensions that are read along the loops, as those name them and as the parameter has them.
    fn put_axes(
        &self,
        dims: &mut Vec<DimId>,
        leaf: &crate::graph_passes::fuse::Leaf,
        axes: &mut Vec<Axis>,
        own_axes: &mut Vec<Axis>,
    ) {
        let next = self.param_axes(std::mem::take(dims));
        own_axes.extend(next.iter().map(|axis| self.own_axis(axis, leaf)));
        axes.extend(next);
    }

    /// Whether the lanes lie along an axis.
    fn has_lanes(&self, axis: &Axis) -> bool {
        match (axis, &self.scope.lanes) {
            (Axis::Groups(groups), Some((along, _))) => groups.ends_with(along),
            _ => false,
        }
    }
}
