//! `erf`.
//!
//! Formula: erf|x| = 1 - e^-u with u(x) = -ln erfc(x) = x + x p(x), a smooth function that a polynomial follows over the
//! whole range where the result is below 1. 1 - e^-u is taken as in `expm1`, so that small x keep their digits; no
//! division. The sign is put back last.
//! Measured, f32 and f64: `erf` 1.67 and 1.58 ulp. (f32 at every 61st of all numbers; f64 at some 10^6 of all
//! exponents and in the range where it changes.)

use super::core::{Core, FloatTy};
use super::exp::{LOG2_E, power_of_two, reduce_short, round_scaled};
use super::expm1::{falling_polynomial, one_minus_exp_reduced};
use super::parts::{CoreExt, horner};

/// p with -ln erfc(x) = x + x p(x).
const LOG_ERFC_F32: [f64; 9] = [
    0.12837916612625122,
    0.6366195678710938,
    0.10277629643678665,
    -0.019147779792547226,
    -0.00016959678032435477,
    0.0016757722478359938,
    -0.0006374137010425329,
    0.00011887402069987729,
    -9.389182196173351e-06,
];
const LOG_ERFC_F64: [f64; 26] = [
    0.1283791670955126,
    0.6366197723675763,
    0.10277260330228022,
    -0.01912844701807705,
    -0.00020919451306690776,
    0.00169620483302083,
    -0.0005901167135027455,
    2.5843101378838514e-05,
    6.459657811637873e-05,
    -2.9957611677749617e-05,
    3.809924471158862e-06,
    2.2897009337914013e-06,
    -1.1538529195960502e-06,
    -1.7176906257464327e-07,
    4.918011819013191e-07,
    -3.4214244137299094e-07,
    1.5744863368001913e-07,
    -5.488298523760892e-08,
    1.5076922212714095e-08,
    -3.290983274731163e-09,
    5.661737680760391e-10,
    -7.517341766770462e-11,
    7.428734819147517e-12,
    -5.138940660472952e-13,
    2.2176732634546306e-14,
    -4.487524071812381e-16,
];

/// The error function.
pub(super) fn erf<C: Core>(c: &mut C, x: C::F) -> C::F {
    let sign = c.sign_bit(x);
    let size = c.abs(x);
    let size = c.at_most(size, c.by_type(3.93, 5.95));
    let coefficients: &[f64] = c.by_type(&LOG_ERFC_F32, &LOG_ERFC_F64);
    let p = horner(c, size, coefficients);
    let u = c.fma(size, p, size);
    let (biased, n) = round_scaled(c, u, -LOG2_E, c.bias());
    let e = match c.ty() {
        FloatTy::F32 => {
            let base = reduce_short(c, size, n, -1.0);
            let r = c.fma(size, p, base);
            let q = falling_polynomial(c, r);
            let r2 = c.mul(r, r);
            let minus = c.neg(r2);
            let e = c.fma(minus, q, base);
            c.fma(size, p, e)
        }
        FloatTy::F64 => {
            let r = reduce_short(c, u, n, -1.0);
            one_minus_exp_reduced(c, r)
        }
    };
    let power = power_of_two(c, biased);
    let rest = c.k_sub(1.0, power);
    let value = c.fma(power, e, rest);
    c.with_sign(value, sign)
}
