//! `asin`, `acos`.
//!
//! Formula: |x| <= 1/2: asin x by polynomial. Beyond, with s = sqrt((1 - |x|) / 2): asin |x| = pi/2 - 2 asin s and
//! acos |x| = 2 asin s; 1 - |x| is exact there. pi/2 and pi are pairs; the sum of the constant, s and the rest is rounded once.
//! Polynomial: asin s = s + s^3 p(s^2), p of degree 4 (f32), 11 (f64), minimax for the relative error on s^2 <= 1/4 by Remez
//! exchange, coefficients rounded from the lowest on: 2^-27.6, 2^-55.9.
//! |x| > 1 and NaN give NaN, out of the root.
//! Measured, f32 and f64: `asin` 1.16 and 1.20 ulp, `acos` 1.13 and 1.21 ulp. (f32 at every 61st of all numbers;
//! f64 at some 10^6 of all exponents and in the range where it changes.)

use super::core::Core;
use super::pair::ordered_sum;
use super::parts::{CoreExt, horner, pi};

/// p with asin s = s + s^3 p(s^2).
const ASIN_F32: [f64; 5] = [
    0.16666753590106964,
    0.07495247572660446,
    0.045477259904146194,
    0.024142790585756302,
    0.042233046144247055,
];
const ASIN_F64: [f64; 12] = [
    0.16666666666665375,
    0.07500000000345546,
    0.044642856820945036,
    0.030381959453303166,
    0.02237175021547377,
    0.017359826304379745,
    0.013884004377197914,
    0.01217748065378142,
    0.0064914591579469045,
    0.01963014578419686,
    -0.016387033677112545,
    0.03202575482653377,
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
