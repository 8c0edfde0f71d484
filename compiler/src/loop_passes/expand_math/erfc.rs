//! `erfc`.
//!
//! Formula: erfc|x| = e^(-x²) R(|x|), R = P(q) / (1 + 2|x|) with q = (|x| - k) / (|x| + k), k = 3 (f64: 4); for x < 0 it
//! is 2 - erfc|x|. q, P and
//! R are pairs: P(q + d) is P(q) + d P'(q), with P' by a polynomial of degree 3; the last step of P keeps its rounding. x² is exact by one fma; its exponential is
//! taken as 2^n (1 - M) with M = 1 - e^-r as in `erf`, and R - R M is rounded once before 2^n is applied as in `exp`.
//! P: degree 10 (f32), 22 (f64), minimax for the relative error on [0, 10.2], [0, 27.3]  coefficients rounded
//! from the lowest on: 2^-27.7, 2^-56.0.
//! |x| is clamped to where the result has become 0 or 2.
//! Measured: see `tests/it/accuracy.rs`.

use super::core::Core;
use super::exp::{LOG2_E, ln2_parts, round_scaled, scale};
use super::expm1::one_minus_exp_reduced;
use super::pair::{Pair, ordered_sum, product, quotient_rest};
use super::parts::{CoreExt, horner};

/// P with erfc x = e^(-x²) P(q) / (1 + 2x), without its constant term.
const ERFC_F32: [f64; 10] = [
    -0.13562114536762238,
    -0.047562405467033386,
    0.12964659929275513,
    -0.11927083879709244,
    0.06829438358545303,
    -0.023798763751983643,
    0.0025706535670906305,
    0.002005386631935835,
    -0.0007789638475514948,
    -0.00026991285267286,
];
const ERFC_F64: [f64; 22] = [
    -0.13962111684056286,
    0.015379652102620139,
    0.06809705425473361,
    -0.10103906603632301,
    0.09373283499691254,
    -0.0663303658120565,
    0.037167515560716825,
    -0.016197734054511245,
    0.0050319697706090565,
    -0.000757773362697364,
    -0.00019925558007555344,
    0.00015062229459090136,
    -2.440295079539678e-5,
    -1.1224830668590043e-5,
    5.717490045886849e-6,
    3.012841862877966e-7,
    -8.347530611098808e-7,
    6.288223473185717e-8,
    1.1514951542954885e-7,
    -7.842160501668364e-9,
    -1.3646232548407061e-8,
    -1.7989614686068228e-9,
];
/// The constant terms of P, as pairs.
const CONSTANT_F32: (f64, f64) = (1.2530080080032349, 5.121225754578518e-8);
const CONSTANT_F64: (f64, f64) = (1.2329951186255526, -4.6502239427070066e-17);

/// P'(q), roughly.
const SLOPE_F32: [f64; 4] = [-0.140625, 0.0234375, 0.478515625, -0.970703125];
const SLOPE_F64: [f64; 4] = [-0.181640625, 0.4453125, 0.6171875, -1.650390625];

/// 1 - erf(x).
pub(super) fn erfc<C: Core>(c: &mut C, x: C::F) -> C::F {
    let (clamp, k) = c.by_type((10.2, 3.0), (27.3, 4.0));
    let size = c.abs(x);
    let size = c.at_most(size, clamp);
    // For |x| > k the low parts are not exact, but P hardly changes there.
    let (minus_k, k) = (c.float(-k), c.float(k));
    let less = ordered_sum(c, minus_k, size);
    let more = ordered_sum(c, k, size);
    let inverse = c.k_div(1.0, more.hi);
    let q = c.mul(less.hi, inverse);
    let q_lo = quotient_rest(c, less, more, q, inverse);
    let coefficients: &[f64] = c.by_type(&ERFC_F32, &ERFC_F64);
    let p = horner(c, q, coefficients);
    let (constant, constant_lo) = c.by_type(CONSTANT_F32, CONSTANT_F64);
    let p_hi = c.fma_add_k(q, p, constant);
    let lost = c.k_sub(constant, p_hi);
    let lost = c.fma(q, p, lost);
    let lost = c.add_k(lost, constant_lo);
    let slope = c.by_type(&SLOPE_F32, &SLOPE_F64);
    let slope = horner(c, q, slope);
    let p = Pair { hi: p_hi, lo: c.fma(slope, q_lo, lost) };
    let below = c.fma_kk(size, 2.0, 1.0);
    let lost = c.k_sub(1.0, below);
    let below = Pair { hi: below, lo: c.fma_k(size, 2.0, lost) };
    let inverse = c.k_div(1.0, below.hi);
    let factor = c.mul(p.hi, inverse);
    let rest = quotient_rest(c, p, below, factor, inverse);

    let square = product(c, size, size);
    let (biased, n) = round_scaled(c, square.hi, -LOG2_E, 2 * c.bias());
    let (high, low) = ln2_parts(c);
    let r = c.fma_k(n, high, square.hi);
    let rest_of_r = c.fma_k(n, low, square.lo);
    let r = c.add(r, rest_of_r);
    let lost = one_minus_exp_reduced(c, r);
    let minus = c.neg(lost);
    let rest = c.fma(minus, rest, rest);
    let rest = c.fma(minus, factor, rest);
    let value = c.add(factor, rest);
    let value = scale(c, value, biased);
    let other = c.k_sub(2.0, value);
    let negative = c.lt_k(x, 0.0);
    c.select(negative, other, value)
}
