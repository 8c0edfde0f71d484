//! `sinh`, `cosh`.
//!
//! Formula: (e^|x| ∓ e^-|x|) / 2. e^|x| is reduced as in `exp` and kept as a pair, (1 + r) and the rest; e^-|x| is one over
//! it. Half the value is computed and doubled, so that the power of two stays in range up to the point of overflow.
//! `sinh` takes a polynomial for |x| < 1: x + x^3 p(x^2), p of degree 3 (f32), 6 (f64), minimax for the relative error
//!  coefficients rounded from the lowest on: 2^-31.6, 2^-61.8.
//! Measured: see `tests/it/accuracy.rs`.

use super::core::Core;
use super::exp::{LOG2_E, power_of_two, reduce, round_scaled};
use super::expm1::exp_tail;
use super::pair::{Pair, ordered_sum};
use super::parts::{CoreExt, horner};

/// p with sinh x = x + x^3 p(x^2).
const SINH_F32: [f64; 4] =
    [0.1666666716337204, 0.00833331048488617, 0.00019842895562760532, 2.7822131869470468e-6];
const SINH_F64: [f64; 7] = [
    0.16666666666666669,
    0.008333333333332912,
    0.000198412698415934,
    2.755731910676478e-6,
    2.505213099657535e-8,
    1.6056659407350925e-10,
    7.776590571573834e-13,
];

/// e^size / 4, and e^-size / 4.
fn quarters<C: Core>(c: &mut C, size: C::F) -> (Pair<C::F>, C::F) {
    let size = c.at_most(size, c.by_type(89.5, 710.6));
    let (biased, n) = round_scaled(c, size, LOG2_E, c.bias() - 2);
    let r = reduce(c, size, n);
    let tail = exp_tail(c, r);
    let one = c.float(1.0);
    let head = ordered_sum(c, one, r);
    let tail = c.add(head.lo, tail);
    let power = power_of_two(c, biased);
    let hi = c.mul(head.hi, power);
    let lo = c.mul(tail, power);
    let whole = c.add(hi, lo);
    let falling = c.k_div(0.0625, whole);
    (Pair { hi, lo }, falling)
}

/// The hyperbolic sine.
pub(super) fn sinh<C: Core>(c: &mut C, x: C::F) -> C::F {
    let sign = c.sign_bit(x);
    let size = c.abs(x);
    let (rising, falling) = quarters(c, size);
    let rest = c.sub(rising.lo, falling);
    let half = c.add(rising.hi, rest);
    let outer = c.add(half, half);
    let z = c.mul(size, size);
    let coefficients: &[f64] = c.by_type(&SINH_F32, &SINH_F64);
    let p = horner(c, z, coefficients);
    let cube = c.mul(z, size);
    let inner = c.fma(cube, p, size);
    let small = c.lt_k(size, 1.0);
    let value = c.select(small, inner, outer);
    c.with_sign(value, sign)
}

/// The hyperbolic cosine.
pub(super) fn cosh<C: Core>(c: &mut C, x: C::F) -> C::F {
    let size = c.abs(x);
    let (rising, falling) = quarters(c, size);
    let rest = c.add(rising.lo, falling);
    let half = c.add(rising.hi, rest);
    c.add(half, half)
}
