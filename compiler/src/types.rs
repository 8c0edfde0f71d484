//! dtypes, named dimensions and sets of them: the words that every stage shares.

use cranelift_entity::entity_impl;

pub use act_runtime::abi::{DType, DimKind, SizeExpr};
pub use act_runtime::small;

/// A dimension of one kernel. Their numbering is the *canonical order* of the kernel: the order of the declared
/// types, outermost first (see [`crate::graph`]).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DimId(u32);
entity_impl!(DimId, "dim");

/// A named dimension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dim {
    /// The name in the text; `..` for the leading axes.
    pub name: String,
    /// Where its size comes from.
    pub kind: DimKind,
}

impl Dim {
    /// Its size, where that is known at compilation.
    pub fn fixed(&self) -> Option<i64> {
        match self.kind {
            DimKind::Fixed(size) => Some(size),
            DimKind::Free | DimKind::Leading | DimKind::Computed(_) => None,
        }
    }
}

/// The largest number of dimensions that one kernel may have (a [`DimSet`] is one word).
pub const MAX_DIMS: usize = 64;

/// A set of dimensions of one kernel; iterates in canonical order.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DimSet(u64);

impl DimSet {
    /// No dimension.
    pub const EMPTY: DimSet = DimSet(0);

    /// The set of one dimension.
    pub fn one(dim: DimId) -> DimSet {
        DimSet(1 << dim.as_u32())
    }

    /// Whether it has no dimension.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// How many dimensions it has.
    pub fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// Whether `dim` is in it.
    pub fn contains(self, dim: DimId) -> bool {
        self.0 >> dim.as_u32() & 1 == 1
    }

    /// With `dim`.
    #[must_use]
    pub fn with(self, dim: DimId) -> DimSet {
        DimSet(self.0 | 1 << dim.as_u32())
    }

    /// Without `dim`.
    #[must_use]
    pub fn without(self, dim: DimId) -> DimSet {
        DimSet(self.0 & !(1 << dim.as_u32()))
    }

    /// In either.
    #[must_use]
    pub fn union(self, other: DimSet) -> DimSet {
        DimSet(self.0 | other.0)
    }

    /// In both.
    #[must_use]
    pub fn intersection(self, other: DimSet) -> DimSet {
        DimSet(self.0 & other.0)
    }

    /// In this one and not in the other.
    #[must_use]
    pub fn difference(self, other: DimSet) -> DimSet {
        DimSet(self.0 & !other.0)
    }

    /// Whether all of it is in `other`.
    pub fn is_subset(self, other: DimSet) -> bool {
        self.0 & !other.0 == 0
    }

    /// Its last dimension in canonical order.
    pub fn last(self) -> Option<DimId> {
        (self.0 != 0).then(|| DimId::from_u32(63 - self.0.leading_zeros()))
    }

    /// Its dimensions, in canonical order.
    pub fn iter(self) -> impl DoubleEndedIterator<Item = DimId> + Clone {
        (0..64).filter(move |bit| self.0 >> bit & 1 == 1).map(DimId::from_u32)
    }
}

impl FromIterator<DimId> for DimSet {
    fn from_iter<I: IntoIterator<Item = DimId>>(dims: I) -> DimSet {
        dims.into_iter().fold(DimSet::EMPTY, DimSet::with)
    }
}

impl std::fmt::Debug for DimSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}
