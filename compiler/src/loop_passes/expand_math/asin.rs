//! `asin`, `acos`.
//!
//! Formula: |x| <= 1/2: asin x by polynomial. Beyond, with s = sqrt((1 - |x|) / 2): asin |x| = pi/2 - 2 asin s and
//! acos |x| = 2 asin s; 1 - |x| is exact there. pi/2 and pi are pairs; the sum of the constant, s and the rest is rounded once.
//! Polynomial: asin s = s + s^3 p(s^2), p of degree 4 (f32), 11 (f64), minimax for the relative error on s^2 <= 1/4
//! coefficients rounded from the lowest on: 2^-27.6, 2^-55.9.
//! |x| > 1 and NaN give NaN, out of the root.
//! Measured: see `tests/it/accuracy.rs`.

use super::core::Core;
use super::pair::ordered_sum;
use super::parts::{CoreExt, horner, pi};

/// p with asin s = s + s^3 p(s^2).
const ASIN_F32: [f64; 5] =
    [0.16666752099990845, 0.074953094124794, 0.04546915367245674, 0.02418474294245243, 0.04215838760137558];
const ASIN_F64: [f64; 12] = [
    0.16666666666665408,
    0.07500000000337098,
    0.04464285682827539,
    0.03038195913873138,
    0.022371758015009603,
    0.017359705220561353,
    0.01388523155195182,
    0.012169234083116477,
    0.006527889979615844,
    0.019528471483426055,
    -0.016224540287602732,
    0.031912445553763484,
];

/// Where the inverse sine is taken.
struct Reduced<C: Core> {
    /// Whether |x| > 1/2.
    outer: C::M,
    /// |x|, or sqrt((1 - |x|) / 2).
    s: C::F,
    /// asin s - s.
    rest: C::F,
}

fn reduce<C: Core>(c: &mut C, size: C::F) -> Reduced<C> {
    let outer = c.gt_k(size, 0.5);
    let square = c.mul(size, size);
    let gap = c.fma_kk(size, -0.5, 0.5);
    let z = c.select(outer, gap, square);
    let root = c.sqrt(z);
    let s = c.select(outer, root, size);
    let coefficients: &[f64] = c.by_type(&ASIN_F32, &ASIN_F64);
    let p = horner(c, z, coefficients);
    let sz = c.mul(s, z);
    let rest = c.mul(sz, p);
    Reduced { outer, s, rest }
}

/// base + factor asin s.
fn combine<C: Core>(c: &mut C, base_hi: C::F, base_lo: C::F, factor: C::F, at: &Reduced<C>) -> C::F {
    let s = c.mul(at.s, factor);
    let head = ordered_sum(c, base_hi, s);
    let tail = c.fma(at.rest, factor, base_lo);
    let tail = c.add(head.lo, tail);
    c.add(head.hi, tail)
}

/// The inverse sine.
pub(super) fn asin<C: Core>(c: &mut C, x: C::F) -> C::F {
    let sign = c.sign_bit(x);
    let size = c.abs(x);
    let at = reduce(c, size);
    let quarter = pi(c, 0.5);
    let base_hi = c.select_kk(at.outer, quarter.0, 0.0);
    let base_lo = c.select_kk(at.outer, quarter.1, 0.0);
    let factor = c.select_kk(at.outer, -2.0, 1.0);
    let value = combine(c, base_hi, base_lo, factor, &at);
    c.with_sign(value, sign)
}

/// The inverse cosine.
pub(super) fn acos<C: Core>(c: &mut C, x: C::F) -> C::F {
    let sign = c.sign_bit(x);
    let size = c.abs(x);
    let at = reduce(c, size);
    let (quarter, half) = (pi(c, 0.5), pi(c, 1.0));
    let left = c.lt_k(x, 0.0);
    let end_hi = c.select_kk(left, half.0, 0.0);
    let end_lo = c.select_kk(left, half.1, 0.0);
    let (quarter_hi, quarter_lo) = (c.float(quarter.0), c.float(quarter.1));
    let base_hi = c.select(at.outer, end_hi, quarter_hi);
    let base_lo = c.select(at.outer, end_lo, quarter_lo);
    let factor = c.select_kk(at.outer, 2.0, -1.0);
    let factor = c.flip_sign(factor, sign);
    combine(c, base_hi, base_lo, factor, &at)
}
