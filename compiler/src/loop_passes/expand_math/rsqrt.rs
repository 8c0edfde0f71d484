//! `rsqrt`: 1 / sqrt x, by the two operations that the formula names, each correctly rounded.
//!
//! Error bound: 0.5 ulp of the quotient, and what the root's half ulp becomes in it: at most 1 ulp, just below 1.
//! Special values come out of the operations: ±0 gives ±inf, +inf gives 0, x < 0 NaN. Subnormal x need nothing.
//! Measured: see `tests/it/accuracy.rs`.

use super::core::Core;
use super::parts::CoreExt;

/// 1 / sqrt x.
pub(super) fn rsqrt<C: Core>(c: &mut C, x: C::F) -> C::F {
    let root = c.sqrt(x);
    c.k_div(1.0, root)
}
