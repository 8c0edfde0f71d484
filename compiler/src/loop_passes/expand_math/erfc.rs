//! `erfc`.
//!
//! Formula: erfc|x| = e^(-x²) R(|x|), R = P(q) / (1 + 2|x|) with q = (|x| - k) / (|x| + k), k = 2 (f64: 4); for x < 0 it
//! is 2 - erfc|x|. R is a pair: the division keeps its remainder and that of its divisor. x² is exact by one fma; its exponential is
//! taken as 2^n (1 - M) with M = 1 - e^-r as in `erf`, and R - R M is rounded once before 2^n is applied as in `exp`.
//! P: degree 11 (f32), 23 (f64), minimax for the relative error on [0, 10.2], [0, 27.3] by Remez exchange, coefficients rounded
//! from the lowest on: 2^-26.4, 2^-54.2.
//! |x| is clamped to where the result has become 0 or 2.
//! Measured: MEASURED

use super::core::Core;
use super::exp::{LOG2_E, ln2_parts, round_scaled, scale};
use super::expm1::one_minus_exp_reduced;
use super::pair::{Pair, product, quotient_rest};
use super::parts::{CoreExt, horner};

/// P with erfc x = e^(-x²) P(q) / (1 + 2x).
const ERFC_F32: [f64; 12] = [
    1.2769783735275269,
    -0.09276371449232101,
    -0.16602970659732819,
    0.1640482246875763,
    -0.05423027649521828,
    -0.008012616075575352,
    0.008779600262641907,
    0.0012203025398775935,
    -0.0015908925561234355,
    -0.00042559264693409204,
    0.0003168271214235574,
    0.00015733041800558567,
];
const ERFC_F64: [f64; 24] = [
    1.2329951186255526,
    -0.13962111684056253,
    0.01537965210261966,
    0.06809705425469545,
    -0.10103906603629997,
    0.09373283499825048,
    -0.06633036581230978,
    0.03716751553910052,
    -0.016197734056761004,
    0.005031969963478841,
    -0.0007577732959460191,
    -0.00019925661609973533,
    0.000150621712882269,
    -2.4399480892183328e-05,
    -1.1222168736952024e-05,
    5.710294089178263e-06,
    2.941751530129535e-07,
    -8.261104922904934e-07,
    7.403027016751843e-08,
    1.1044132162081856e-07,
    -1.737073338632889e-08,
    -1.4090714878965868e-08,
    1.6314915808088587e-09,
    1.1850076243665543e-09,
];

/// 1 - erf(x).
pub(super) fn erfc<C: Core>(c: &mut C, x: C::F) -> C::F {
    let (clamp, k) = c.by_type((10.2, 2.0), (27.3, 4.0));
    let size = c.abs(x);
    let size = c.at_most(size, clamp);
    let less = c.add_k(size, -k);
    let more = c.add_k(size, k);
    let q = c.div(less, more);
    let coefficients: &[f64] = c.by_type(&ERFC_F32, &ERFC_F64);
    let p = horner(c, q, coefficients);
    let below = c.fma_kk(size, 2.0, 1.0);
    let lost = c.k_sub(1.0, below);
    let below = Pair { hi: below, lo: c.fma_k(size, 2.0, lost) };
    let inverse = c.k_div(1.0, below.hi);
    let factor = c.mul(p, inverse);
    let above = Pair { hi: p, lo: c.float(0.0) };
    let rest = quotient_rest(c, above, below, factor, inverse);

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
