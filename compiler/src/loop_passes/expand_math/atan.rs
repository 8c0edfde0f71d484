//! `atan`, `atan2`.
//!
//! Formula: with t = |y| / |x| (`atan`: x = 1) and one division whatever t is: t > 2: atan t = pi/2 + atan(-1/t);
//! t > 1/2: pi/4 + atan((t - 1) / (t + 1)); else atan t. All as quotients of y and x: (y - x) / (y + x), with an exact
//! difference. pi/2 and pi/4 are pairs; the sum is rounded once. `atan2` subtracts from pi where x is negative, and takes the
//! sign of y.
//! Polynomial: atan r = r + r^3 p(r^2), p of degree 4 (f32), 11 (f64), minimax for the relative error on |r| <= 1/2
//! coefficients rounded from the lowest on: 2^-27.5, 2^-57.8.
//! `atan2` divides both by 4 where they might overflow a sum; two zeros, and two infinities, are answered as IEEE 754 says.
//! Measured: see `tests/it/accuracy.rs`.

use super::core::Core;
use super::pair::{Pair, ordered_sum};
use super::parts::{CoreExt, horner, pi};

/// p with atan r = r + r^3 p(r^2).
const ATAN_F32: [f64; 5] = [
    -0.3333323299884796,
    0.19994167983531952,
    -0.14174212515354156,
    0.10155826807022095,
    -0.051251571625471115,
];
const ATAN_F64: [f64; 12] = [
    -0.3333333333333298,
    0.19999999999903104,
    -0.1428571427638497,
    0.11111110659582339,
    -0.09090896243072455,
    0.07692073882371742,
    -0.06663810273144412,
    0.05858296384653004,
    -0.05121993755896085,
    0.04186468631664003,
    -0.027434349652535713,
    0.010116410835480023,
];

/// atan(y / x) as a pair, for y, x >= 0.
fn first_quadrant<C: Core>(c: &mut C, y: C::F, x: C::F) -> Pair<C::F> {
    let low = c.mul_k(x, 0.5);
    let high = c.mul_k(x, 2.0);
    let turned = c.gt(y, low);
    let steep = c.gt(y, high);
    let (less, more) = (c.sub(y, x), c.add(y, x));
    let minus = c.neg(x);
    let above = c.select(turned, less, y);
    let above = c.select(steep, minus, above);
    let below = c.select(turned, more, x);
    let below = c.select(steep, y, below);
    let r = c.div(above, below);
    let (quarter, eighth) = (pi(c, 0.5), pi(c, 0.25));
    let base_hi = c.select_kk(turned, eighth.0, 0.0);
    let base_hi = c.select_k(steep, quarter.0, base_hi);
    let base_lo = c.select_kk(turned, eighth.1, 0.0);
    let base_lo = c.select_k(steep, quarter.1, base_lo);
    let r2 = c.mul(r, r);
    let coefficients: &[f64] = c.by_type(&ATAN_F32, &ATAN_F64);
    let p = horner(c, r2, coefficients);
    let r3 = c.mul(r2, r);
    let tail = c.fma(r3, p, base_lo);
    let head = ordered_sum(c, base_hi, r);
    let lo = c.add(head.lo, tail);
    Pair { hi: head.hi, lo }
}

/// The inverse tangent.
pub(super) fn atan<C: Core>(c: &mut C, x: C::F) -> C::F {
    let sign = c.sign_bit(x);
    let size = c.abs(x);
    let one = c.float(1.0);
    let value = first_quadrant(c, size, one);
    let value = c.add(value.hi, value.lo);
    c.with_sign(value, sign)
}

/// The angle of the point (x, y).
pub(super) fn atan2<C: Core>(c: &mut C, y: C::F, x: C::F) -> C::F {
    let sign = c.sign_bit(y);
    let x_sign = c.sign_bit(x);
    let (y, x_size) = (c.abs(y), c.abs(x));
    // Two infinities are as two ones; two zeros as zero over one.
    let y_infinite = c.eq_k(y, f64::INFINITY);
    let x_infinite = c.eq_k(x_size, f64::INFINITY);
    let both = c.mask_and(y_infinite, x_infinite);
    let large = c.by_type(2f64.powi(124), 2f64.powi(1020));
    let y_large = c.gt_k(y, large);
    let x_large = c.gt_k(x_size, large);
    let either = c.mask_or(y_large, x_large);
    let by = c.select_kk(either, 0.25, 1.0);
    let y_scaled = c.mul(y, by);
    let x_scaled = c.mul(x_size, by);
    let y_used = c.select_k(both, 1.0, y_scaled);
    let x_used = c.select_k(both, 1.0, x_scaled);
    let y_zero = c.eq_k(y_used, 0.0);
    let x_zero = c.eq_k(x_used, 0.0);
    let nothing = c.mask_and(y_zero, x_zero);
    let x_used = c.select_k(nothing, 1.0, x_used);
    let angle = first_quadrant(c, y_used, x_used);
    // The sign of x as 0 or pi, and as a sign for the angle.
    let one = c.float(1.0);
    let one = c.flip_sign(one, x_sign);
    let left = c.lt_k(one, 0.0);
    let half = pi(c, 1.0);
    let base_hi = c.select_kk(left, half.0, 0.0);
    let base_lo = c.select_kk(left, half.1, 0.0);
    let hi = c.flip_sign(angle.hi, x_sign);
    let lo = c.flip_sign(angle.lo, x_sign);
    let head = ordered_sum(c, base_hi, hi);
    let lo = c.add(lo, base_lo);
    let lo = c.add(head.lo, lo);
    let value = c.add(head.hi, lo);
    c.with_sign(value, sign)
}
