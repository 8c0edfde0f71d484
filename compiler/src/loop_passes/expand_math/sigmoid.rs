//! `sigmoid`: 1 / (1 + e^-x).
//!
//! Formula: with n = round(x / ln 2), r = x - n ln 2 and s = 2^n it is s / (s + e^-r). Both sides are taken times w = 3/4:
//! (w s) / ((w s + w) + r q(r)). The inner sum is exact, and the outer, whose rounding is the largest error, is not just
//! above a power of two where the result is just below one.
//! s is made 2^24 (f64: 2^53) too large and scaled back in both sides, so that its exponent field is never negative; only the
//! last few subnormal results see w s rounded. x is clamped to where the result is 0 on the left and 1 on the right.
//! Polynomial: w e^-r = w + r q(r), q of degree 5 (f32), 10 (f64), minimax for the relative error on
//! |r| <= 1.003 ln 2 / 2 by Remez exchange, coefficients rounded from the lowest on: 2^-28, 2^-55.
//! Measured, f32 and f64: `sigmoid` 1.83 and 1.80 ulp. (f32 at every 61st of all numbers; f64 at some 10^6 of all
//! exponents and in the range where it changes.)

use super::core::Core;
use super::exp::{LOG2_E, power_of_two, reduce, round_scaled};
use super::parts::{CoreExt, horner};

/// Factor of both sides of the fraction.
const WEIGHT: f64 = 0.75;

/// q with w e^-r = w + r q(r).
const EXP_F32: [f64; 6] = [
    -0.75,
    0.3749990463256836,
    -0.12499905377626419,
    0.03127535805106163,
    -0.006275201682001352,
    0.0008939430699683726,
];
const EXP_F64: [f64; 11] = [
    -0.75,
    0.37500000000000133,
    -0.12500000000000114,
    0.031249999999852816,
    -0.006249999999895771,
    0.0010416666719504806,
    -0.0001488095267383361,
    1.8601107628017342e-05,
    -2.0667660321840305e-06,
    2.0727020095713726e-07,
    -1.8929572399897745e-08,
];

/// 1 / (1 + e^-x).
pub(super) fn sigmoid<C: Core>(c: &mut C, x: C::F) -> C::F {
    let (low, high, extra) = c.by_type((-104.0, 20.0, 24), (-746.0, 40.0, 53));
    let x = c.at_least(x, low);
    let x = c.at_most(x, high);
    let (biased, n) = round_scaled(c, x, LOG2_E, c.bias() + i64::from(extra));
    let r = reduce(c, x, n);
    let power = power_of_two(c, biased);
    let back = 0.5f64.powi(extra);
    let rest = c.fma_kk(power, back * WEIGHT, WEIGHT);
    let coefficients: &[f64] = c.by_type(&EXP_F32, &EXP_F64);
    let q = horner(c, r, coefficients);
    let below = c.fma(q, r, rest);
    let above = c.mul_k(power, back * WEIGHT);
    c.div(above, below)
}
