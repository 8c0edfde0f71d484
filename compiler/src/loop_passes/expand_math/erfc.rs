//! `erfc`.
//!
//! Formula: erfc|x| = e^(-x²) R(|x|), R = P(q) / (1 + 2|x|) with q = (|x| - k) / (|x| + k), k = 3 (f64: 4); for x < 0 it
//! is 2 - erfc|x|. q, P and
//! R are pairs: P(q + d) is P(q) + d P'(q), with P' by a polynomial of degree 3; the last step of P keeps its rounding. x² is exact by one fma; its exponential is
//! taken as 2^n (1 - M) with M = 1 - e^-r as in `erf`, and R - R M is rounded once before 2^n is applied as in `exp`.
//! P: degree 10 (f32), 22 (f64), minimax for the relative error on [0, 10.2], [0, 27.3] by Remez exchange, coefficients rounded
//! from the lowest on: 2^-27.7, 2^-56.0.
//! |x| is clamped to where the result has become 0 or 2.
//! Measured, f32 and f64: `erfc` 1.53 and 1.51 ulp. (f32 at every 61st of all numbers; f64 at some 10^6 of all
//! exponents and in the range where it changes.)

use super::core::Core;
use super::exp::{LOG2_E, ln2_parts, round_scaled, scale};
use super::expm1::one_minus_exp_reduced;
use super::pair::{Pair, ordered_sum, product, quotient_rest};
use super::parts::{CoreExt, horner};

/// P with erfc x = e^(-x²) P(q) / (1 + 2x), without its constant term.
const ERFC_F32: [f64; 10] = [
    -0.13562114536762238,
    -0.047562409192323685,
    0.129646435379982,
    -0.11927080154418945,
    0.06829572468996048,
    -0.023798517882823944,
    0.002566671697422862,
    0.0020033568143844604,
    -0.0007752705714665353,
    -0.0002672677510417998,
];
const ERFC_F64: [f64; 22] = [
    -0.13962111684056286,
    0.01537965210262014,
    0.06809705425473356,
    -0.10103906603632362,
    0.09373283499691422,
    -0.06633036581203759,
    0.03716751556070547,
    -0.01619773405473401,
    0.005031969770577332,
    -0.0007577733613480521,
    -0.00019925557936730423,
    0.00015062228988181963,
    -2.440295448814053e-05,
    -1.1224820907100647e-05,
    5.7174999700411146e-06,
    3.012727103670556e-07,
    -8.347681830536333e-07,
    6.288829274924159e-08,
    1.1516198922225027e-07,
    -7.841567826457643e-09,
    -1.3650586864029485e-08,
    -1.8004377476268475e-09,
];
/// The constant terms of P, as pairs.
const CONSTANT_F32: (f64, f64) = (1.2530080080032349, 5.1209397611273744e-08);
const CONSTANT_F64: (f64, f64) = (1.2329951186255526, -4.650905787726936e-17);

/// P'(q), roughly.
const SLOPE_F32: [f64; 4] = [-0.140625, 0.0234375, 0.466796875, -0.98046875];
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
    let r = c.fma_k(n, low, r);
    let r = c.add(r, square.lo);
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
