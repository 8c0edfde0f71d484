//! The table of reductions: associative and commutative operations with an identity. Reductions made of others
//! (mean, var, logsumexp …) are functions of the prelude.
//!
//! What combines is one core function, or `max` or `min`: lanes are folded after the elementary functions have been
//! expanded. What an element passes through first (the absolute value, for a largest absolute value) stands in the
//! operand: `max[d](abs(x))`.

use super::Prim;

macro_rules! reductions {
    ($($name:ident $text:literal $identity:expr, $combine:ident $lanes:literal $doc:literal;)*) => {
        /// A reduction over one or several dimensions.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Reduction {
            $(#[doc = $doc] $name,)*
        }

        impl Reduction {
            /// Every reduction, in the order of the table.
            pub const ALL: &[Reduction] = &[$(Reduction::$name),*];

            /// Its name in the text forms of both IRs.
            pub const fn name(self) -> &'static str {
                match self { $(Reduction::$name => $text,)* }
            }

            /// What it gives over nothing, and what its accumulators start with. (Integers: saturated.)
            pub const fn identity(self) -> f64 {
                match self { $(Reduction::$name => $identity,)* }
            }

            /// The function that combines an element (first operand) with an accumulator (second), and two
            /// accumulators, the one of the higher lane or later block first. For [`Reduction::Max`] and
            /// [`Reduction::Min`] a NaN sticks: see `loops`.
            pub const fn combine(self) -> Prim {
                match self { $(Reduction::$name => Prim::$combine,)* }
            }

            /// Number of virtual lanes in row form for 32-bit elements; half of it for 64-bit ones.
            pub const fn lanes(self) -> u32 {
                match self { $(Reduction::$name => $lanes,)* }
            }

            /// One sentence on its meaning.
            pub const fn doc(self) -> &'static str {
                match self { $(Reduction::$name => $doc,)* }
            }

            /// The reduction of that name in the text forms.
            pub fn from_name(name: &str) -> Option<Reduction> {
                Reduction::ALL.iter().copied().find(|reduction| reduction.name() == name)
            }
        }
    };
}

reductions! {
//  row     text     identity           combine lanes meaning
    Sum     "sum"    0.0,               Add     32    "Sum; 0 over nothing.";
    Prod    "prod"   1.0,               Mul     32    "Product; 1 over nothing.";
    Max     "max"    f64::NEG_INFINITY, Max     32    "Largest; NaN if any is; -inf over nothing.";
    Min     "min"    f64::INFINITY,     Min     32    "Smallest; NaN if any is; +inf over nothing.";
    SelMax  "selmax" f64::NEG_INFINITY, SelMax  32    "Largest where no element is NaN; a NaN may be passed over.";
    SelMin  "selmin" f64::INFINITY,     SelMin  32    "Smallest where no element is NaN; a NaN may be passed over.";
}

impl std::fmt::Display for Reduction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
