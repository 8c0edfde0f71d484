//! `tanh`.
//!
//! Formula: with a whole n near 2|x| / ln 2, s = 2^n, r = |x| - n ln 2 / 2 and t = tanh r, the addition theorem gives
//! tanh|x| = ((s - 1) + t (s + 1)) / ((s + 1) + t (s - 1)): two fma and one division. The divisor is what is divided and
//! 2 (1 - t), so that an error of the first is in both and hardly counts near 1. For n = 0 the quotient is 2t / 2, so small x
//! keep the accuracy of t. The sign is put back last; |x| is clamped where the result has become 1.
//! f32: n = 0 up to |x| = atanh(1/2), beyond which the result's last place is 2^-24: just below it the roundings of a
//! quotient with n = 1 would count twice as much (1.72 ulp). So r is in [0.204, 0.551] for n > 0. One fma reduces r: its ln 2
//! is good to 2^-29, and the result is insensitive where n is large. f64: n is rounded from |x| - 0.09 and may be 0 or
//! more; two fma.
//! Polynomial: t = r + r^3 p(r^2), p of degree 3 (f32, r < 0.551), 7 (f64, |r| < 0.265), minimax for the relative error of t,
//! coefficients rounded from the lowest on and made by `tests/minimax`: 2^-24.7, 2^-63.5.
//! Error budget (f32, in ulp): division 0.5, divisor 0.5, what is divided and the gap 0.2 together, t 0.2.
//! Measured: see `tests/it/accuracy.rs`.

use super::core::{Core, FloatTy};
use super::exp::{LOG2_E, power_of_two, reduce_short, round_scaled};
use super::parts::{CoreExt, horner};

/// p with tanh r = r + r^3 p(r^2).
const TANH_F32: [f64; 4] =
    [-0.333329439163208, 0.1332065612077713, -0.05266712233424187, 0.01642824523150921];
const TANH_F64: [f64; 8] = [
    -0.33333333333333326,
    0.13333333333329386,
    -0.05396825396156415,
    0.02186948800225513,
    -0.008863212235263655,
    0.003591538665142968,
    -0.0014471810161430538,
    0.0005210789250679626,
];

/// The hyperbolic tangent.
pub(super) fn tanh<C: Core>(c: &mut C, x: C::F) -> C::F {
    let sign = c.sign_bit(x);
    let size = c.abs(x);
    let size = c.at_most(size, c.by_type(10.0, 20.0));
    let shifted = c.add_k(size, -c.by_type(0.377, 0.09));
    let shifted = if c.ty() == FloatTy::F32 { c.at_least(shifted, 0.0) } else { shifted };
    let (biased, n) = round_scaled(c, shifted, 2.0 * LOG2_E, c.bias());
    let r = reduce_short(c, size, n, 0.5);
    let coefficients: &[f64] = c.by_type(&TANH_F32, &TANH_F64);
    let r2 = c.mul(r, r);
    let p = horner(c, r2, coefficients);
    let r3 = c.mul(r2, r);
    let t = c.fma(r3, p, r);
    let power = power_of_two(c, biased);
    let less = c.add_k(power, -1.0);
    let more = c.add_k(power, 1.0);
    let above = c.fma(t, more, less);
    let gap = c.fma_kk(t, -2.0, 2.0);
    let below = c.add(above, gap);
    let value = c.div(above, below);
    c.with_sign(value, sign)
}
