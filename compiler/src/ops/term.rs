//! What a look at all elements of a block makes of them: a reduction of one number, or a sum of products.

use super::Reduction;

/// A reduction of the elements of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Term {
    /// Of one number.
    Of(Reduction),
    /// The sum of products of two, each added by one fma.
    Products,
}

impl Term {
    /// How many numbers of an element it takes.
    pub fn factors(self) -> usize {
        match self {
            Term::Of(_) => 1,
            Term::Products => 2,
        }
    }

    /// What combines.
    pub fn reduction(self) -> Reduction {
        match self {
            Term::Of(reduction) => reduction,
            Term::Products => Reduction::Sum,
        }
    }

    /// Its name in the text forms of both IRs.
    pub fn name(self) -> &'static str {
        match self {
            Term::Of(reduction) => reduction.name(),
            Term::Products => "products",
        }
    }

    /// The term of that name.
    pub fn from_name(name: &str) -> Option<Term> {
        if name == "products" { Some(Term::Products) } else { Reduction::from_name(name).map(Term::Of) }
    }
}
