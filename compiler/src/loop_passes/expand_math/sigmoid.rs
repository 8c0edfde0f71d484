//! `sigmoid`: 1 / (1 + e^-x).
//!
//! Formula: with n = round(x / ln 2), r = x - n ln 2 and s = 2^n it is s / (s + e^-r). Both sides are taken times w = 3/4:
//! (w s) / ((w s + w) + r q(r)). The inner sum is exact, and the outer, whose rounding is the largest error, is not just
//! above a power of two where the result is just below one.
//! s is made 2^24 (f64: 2^53) too large and scaled back in both sides, so that its exponent field is never negative; only the
//! last few subnormal results see w s rounded. x is clamped to where the result is 0 on the left and 1 on the right.
//! Polynomial: w e^-r = w + r q(r), q of degree 5 (f32), 10 (f64), minimax for the relative error on
//! |r| <= 1.003 ln 2 / 2  coefficients rounded from the lowest on: 2^-28, 2^-55.
//! Measured: 1.88 ulp, between 13.5 and 17.6 from 0 where w s + w is not exact; 1.6 elsewhere. Promised are 2. The sum in the order
//! max(w s, w) + (min(w s, w) + r q) has 1.71 and takes 1.08 times as long, with what the inner sum loses added (five operations more on
//! sixteen) 1.71 and 1.25 times: the rounding of a second sum takes the place of the one that is saved, and 1.5 is not reached. With w from
//! 2/3 to 1 other than 3/4 more of the inner sums are rounded.

use super::core::Core;
use super::exp::{LOG2_E, power_of_two, reduce, round_scaled};
use super::parts::{CoreExt, horner};

/// Factor of both sides of the fraction.
const WEIGHT: f64 = 0.75;

/// q with w e^-r = w + r q(r).
const EXP_F32: [f64; 6] = [
    -0.75,
    0.3749999403953552,
    -0.12499891221523285,
    0.03125150129199028,
    -0.006276507396250963,
    0.0010350882075726986,
];
const EXP_F64: [f64; 11] = [
    -0.75,
    0.37500000000000083,
    -0.12499999999999818,
    0.031249999999894897,
    -0.006250000000117195,
    0.0010416666708452614,
    -0.0001488095213604138,
    1.86011190262238e-5,
    -2.0668184788863134e-6,
    2.072298855776301e-7,
    -1.875168460511491e-8,
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
