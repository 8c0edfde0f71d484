//! Scans: what a running combination is made of.

use super::Reduction;

/// A scan along one dimension: at every position, the combination of the elements up to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Scan {
    /// What combines: [`Reduction::Sum`], [`Reduction::Prod`] or [`Reduction::Max`] (in which a NaN sticks).
    pub reduction: Reduction,
    /// Whether it runs from the last position to the first.
    pub reverse: bool,
    /// Whether the element at a position takes no part in its own result; the first result is the identity.
    pub exclusive: bool,
}

impl Scan {
    /// The names in the language and in the text form of the graph.
    pub const NAMES: [(&str, Reduction); 3] =
        [("cumsum", Reduction::Sum), ("cumprod", Reduction::Prod), ("cummax", Reduction::Max)];

    /// Elements of a group for 32-bit elements; half of it for 64-bit ones.
    pub const GROUP: u32 = 16;

    /// Its name.
    pub fn name(self) -> &'static str {
        let named = Scan::NAMES.iter().find(|(_, reduction)| *reduction == self.reduction);
        named.map_or("?", |(name, _)| name)
    }

    /// The reduction of a scan's name.
    pub fn from_name(name: &str) -> Option<Reduction> {
        Scan::NAMES.iter().find(|(known, _)| *known == name).map(|(_, reduction)| *reduction)
    }

    /// What it begins with. An inclusive sum begins with -0, which changes no element; every other scan with the
    /// reduction's identity.
    pub fn start(self) -> f64 {
        match self.reduction {
            Reduction::Sum if !self.exclusive => -0.0,
            reduction => reduction.identity(),
        }
    }
}
