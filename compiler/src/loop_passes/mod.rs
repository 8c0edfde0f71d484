//! Passes over the loop IR, of two kinds: numeric ones, which see no target, and layout ones, which do and may not change
//! a bit.

pub mod build;
pub mod expand_math;
mod hoist;
mod lanes;
mod number;
mod vectorize;

pub use lanes::split;

use crate::loops::Func;
use crate::target::Target;

/// A pass that fixes what is computed, to the bit.
pub struct NumericPass {
    /// Its name on the command line.
    pub name: &'static str,
    /// Runs it.
    pub run: fn(&mut Func),
}

/// A pass that fits the code to a machine and changes no bit.
pub struct LayoutPass {
    /// Its name on the command line.
    pub name: &'static str,
    /// Runs it.
    pub run: fn(&mut Func, &Target),
}

/// The numeric passes, in order.
pub const NUMERIC: &[NumericPass] = &[
    NumericPass { name: "lanes", run: lanes::run },
    NumericPass { name: "expand_math", run: expand_math::run },
];

/// A further numeric pass, before the others, for calls that have fewer places than threads: more phases, the same bits.
pub const SPLIT: NumericPass = NumericPass { name: "split", run: split::run };

/// The layout passes, in order.
pub const LAYOUT: &[LayoutPass] = &[
    LayoutPass { name: "vectorize", run: vectorize::run },
    LayoutPass { name: "hoist", run: hoist::run },
    LayoutPass { name: "number", run: number::run },
];
