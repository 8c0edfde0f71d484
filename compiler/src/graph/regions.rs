//! Which nodes of a graph share a loop nest: the decision of the pass `fuse`, as data that can be printed, checked
//! and lowered.
//!
//! # Meaning
//!
//! A kernel runs as one parallel loop over [`Regions::parallel`] (dimensions that no reduction removes and every
//! result has; possibly none). For each place of them, the regions run one after another. Where
//! [`Regions::lanes`] names a parallel dimension (always the last one), places along it are taken many at a time,
//! as lanes of vectors, and everything inside works on vectors.
//!
//! A [`Region`] is one loop nest: sequential loops over its kept dimensions, and inside either one combined
//! reduction loop ([`RegionKind::Reduce`]; several reductions may share it) or a map loop ([`RegionKind::Map`]) that stores results.
//! The values of [`Region::nodes`] are computed inside it, for each place, in order; a node may be computed by
//! several regions, which gives the same bits. A value that a region needs and does not compute is either
//! *uniform* (its dimensions are all parallel or kept further out and it was computed before) or *kept* in memory by
//! an earlier region ([`Region::keeps`]): in a result's own memory, where that is later overwritten by the result,
//! or in a scratch array.

use crate::graph::{Form, NodeId};
use crate::types::{DimId, DimSet};

/// Where a region keeps a node's value for later regions, or puts a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// Result number `i` of the graph, for good.
    Result(u32),
    /// The memory of result `i`, until a later region overwrites it element by element with the result.
    Borrow(u32),
    /// A scratch array over the value's dimensions that are not parallel.
    Scratch,
}

/// What the innermost loops of a region are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RegionKind {
    /// Reductions over the same dimensions.
    Reduce {
        /// In which order.
        form: Form,
        /// The reduced dimensions.
        dims: DimSet,
        /// The reductions.
        reduces: Vec<NodeId>,
    },
    /// Nothing is reduced; values are stored.
    Map,
}

/// One loop nest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Region {
    /// Dimensions looped over sequentially, outermost first; in column form and in maps the last one carries the
    /// lanes, unless a parallel dimension does.
    pub kept: Vec<DimId>,
    /// The loop inside.
    pub kind: RegionKind,
    /// Nodes computed in the innermost loop, operands first. Reductions of this region are not among them.
    pub nodes: Vec<NodeId>,
    /// Values stored: results, and what later regions read.
    pub keeps: Vec<(NodeId, Place)>,
}

/// The loop nests of a kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Regions {
    /// Dimensions of the parallel loop, outermost first.
    pub parallel: Vec<DimId>,
    /// Whether the last parallel dimension is taken as lanes.
    pub lanes: bool,
    /// Neighbouring dimensions that are always together in memory and are looped over as one; every dimension that is not
    /// listed stands alone. Each group is in canonical order.
    pub groups: Vec<Vec<DimId>>,
    /// Scalar nodes computed once for each parallel place, before the region of that number (nodes whose dimensions are
    /// all parallel).
    pub uniform: Vec<Vec<NodeId>>,
    /// The loop nests, in order.
    pub regions: Vec<Region>,
}
