//! `hypot`: sqrt(x² + y²).
//!
//! Formula as it stands, the sum by one fma, after both have been multiplied by a power of two where the larger one is very
//! large or very small, so that squares neither overflow nor lose bits. The root halves the error of the sum.
//! An infinity in either operand gives +inf, also beside a NaN; otherwise a NaN stays.
//! Error bound: 0.5 ulp of the root and 0.5 of half the sum's. Where the result is subnormal it is rounded once more.
//! Measured: see `tests/it/accuracy.rs`.

use super::core::Core;
use super::parts::CoreExt;

/// The length of the vector (x, y).
pub(super) fn hypot<C: Core>(c: &mut C, x: C::F, y: C::F) -> C::F {
    let (large, down, small, up) = c.by_type((60, -68, -50, 90), (500, -600, -450, 600));
    let (x, y) = (c.abs(x), c.abs(y));
    // A NaN in either ends up in one of the two.
    let most = c.max(x, y);
    let least = c.min(y, x);
    let is_large = c.gt_k(most, 2f64.powi(large));
    let is_small = c.lt_k(most, 2f64.powi(small));
    let by = c.select_kk(is_large, 2f64.powi(down), 1.0);
    let by = c.select_k(is_small, 2f64.powi(up), by);
    let back = c.select_kk(is_large, 2f64.powi(-down), 1.0);
    let back = c.select_k(is_small, 2f64.powi(-up), back);
    let a = c.mul(most, by);
    let b = c.mul(least, by);
    let squares = c.mul(b, b);
    let squares = c.fma(a, a, squares);
    let root = c.sqrt(squares);
    let value = c.mul(root, back);
    let x_infinite = c.eq_k(x, f64::INFINITY);
    let y_infinite = c.eq_k(y, f64::INFINITY);
    let infinite = c.mask_or(x_infinite, y_infinite);
    c.select_k(infinite, f64::INFINITY, value)
}
