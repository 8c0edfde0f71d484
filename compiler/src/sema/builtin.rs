//! The functions that the language itself has, by the names under which the text calls them. Everything else is in the
//! prelude.

use crate::ops::{Class, Prim, Reduction};
use crate::types::DType;

/// A built-in function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Builtin {
    /// A function of numbers, place by place.
    Prim(Prim),
    /// A conversion, `f32(x)`.
    Convert(DType),
    /// A reduction, `sum[d](x)`.
    Reduce(Reduction),
    /// `index(d)`
    Index,
    /// `size(d, …)`
    Size,
    /// `broadcast[d](e)`
    Broadcast,
    /// `stack[d](a, b)`
    Stack,
    /// `poly[i](x, a)`
    Poly,
    /// `poly(x, [1, 0.5, 0.25])`
    PolyList,
    /// A scan, `cumsum[t](x)`.
    Scan(Reduction),
    /// `kth_largest[d](x, k)`
    KthLargest,
    /// `topk_mask[d](x, k)`
    TopkMask,
    /// `sort[pair](x)`
    Sort,
    /// Part of the language, but not of this version of the compiler.
    NotYet,
}

impl Builtin {
    /// The number of arguments it takes: at least, and at most.
    pub(super) fn arity(self) -> (usize, usize) {
        match self {
            Builtin::Prim(prim) => (prim.arity(), prim.arity()),
            Builtin::Convert(_) | Builtin::Reduce(_) | Builtin::Index | Builtin::Broadcast => (1, 1),
            Builtin::Size | Builtin::Stack => (1, usize::MAX),
            Builtin::Scan(_) | Builtin::Sort => (1, 1),
            Builtin::Poly | Builtin::PolyList | Builtin::KthLargest | Builtin::TopkMask => (2, 2),
            Builtin::NotYet => (0, usize::MAX),
        }
    }
}

/// Core functions that have a name in the language; the others are written as operators, or not at all.
const CORE: [Prim; 11] = [
    Prim::Fma,
    Prim::Abs,
    Prim::Sqrt,
    Prim::Floor,
    Prim::Ceil,
    Prim::Trunc,
    Prim::Round,
    Prim::CopySign,
    Prim::Max,
    Prim::Min,
    Prim::Pow,
];

const WITH_DIMS: [(&str, Builtin); 15] = [
    ("sum", Builtin::Reduce(Reduction::Sum)),
    ("prod", Builtin::Reduce(Reduction::Prod)),
    ("max", Builtin::Reduce(Reduction::Max)),
    ("min", Builtin::Reduce(Reduction::Min)),
    ("broadcast", Builtin::Broadcast),
    ("stack", Builtin::Stack),
    ("poly", Builtin::Poly),
    ("cumsum", Builtin::Scan(Reduction::Sum)),
    ("cumprod", Builtin::Scan(Reduction::Prod)),
    ("cummax", Builtin::Scan(Reduction::Max)),
    ("kth_largest", Builtin::KthLargest),
    ("topk_mask", Builtin::TopkMask),
    ("sort", Builtin::Sort),
    ("sparsemax", Builtin::NotYet),
    ("entmax", Builtin::NotYet),
];

const PLAIN: [(&str, Builtin); 13] = [
    ("index", Builtin::Index),
    ("size", Builtin::Size),
    ("f32", Builtin::Convert(DType::F32)),
    ("f64", Builtin::Convert(DType::F64)),
    ("i32", Builtin::Convert(DType::I32)),
    ("bool", Builtin::Convert(DType::Bool)),
    ("f16", Builtin::Convert(DType::F16)),
    ("bf16", Builtin::Convert(DType::BF16)),
    ("i8", Builtin::Convert(DType::I8)),
    ("u8", Builtin::Convert(DType::U8)),
    ("poly", Builtin::PolyList),
    ("erfcx", Builtin::NotYet),
    ("lgamma", Builtin::NotYet),
];

/// Whether the text may call this function by its name.
fn has_name(prim: Prim) -> bool {
    match prim.class() {
        // These are made by graph passes only.
        Class::Expanded => !matches!(prim, Prim::ExpNonpos | Prim::OnePlusErf | Prim::Gelu),
        Class::Core | Class::Graph | Class::Storage => CORE.contains(&prim),
    }
}

/// The built-in function of that name, with or without dimensions in brackets.
pub(super) fn find(name: &str, with_dims: bool) -> Option<Builtin> {
    let table: &[(&str, Builtin)] = if with_dims { &WITH_DIMS } else { &PLAIN };
    let listed = table.iter().find(|(listed, _)| *listed == name).map(|(_, builtin)| *builtin);
    listed.or_else(|| {
        let prim = Prim::from_name(name).filter(|prim| !with_dims && has_name(*prim))?;
        Some(Builtin::Prim(prim))
    })
}

/// The names of the built-in reductions.
pub(super) fn reductions() -> impl Iterator<Item = &'static str> {
    WITH_DIMS.iter().filter(|(_, builtin)| matches!(builtin, Builtin::Reduce(_))).map(|(name, _)| *name)
}

/// The names of all built-in functions.
pub(super) fn names(with_dims: bool) -> impl Iterator<Item = &'static str> {
    let table: &[(&str, Builtin)] = if with_dims { &WITH_DIMS } else { &PLAIN };
    let prims = Prim::ALL.iter().filter(move |prim| !with_dims && has_name(**prim)).map(|prim| prim.name());
    table.iter().filter(|(_, builtin)| *builtin != Builtin::NotYet).map(|(name, _)| *name).chain(prims)
}
