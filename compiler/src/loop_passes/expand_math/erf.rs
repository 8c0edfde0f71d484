//! `erf`.
//!
//! Formula: erf|x| = 1 - e^-u with u(x) = -ln erfc(x) = x + x p(x), a smooth function that a polynomial follows over the
//! whole range where the result is below 1. 1 - e^-u is taken as in `expm1`, so that small x keep their digits; no
//! division. The sign is put back last.
//! 1 - e^-r = r - r^2 q(r). In f32 r itself is not rounded there: x - n ln 2, and x p(x) - r^2 q(r) added to it. That is
//! three operations more than with a rounded r, which has 1.67 ulp; with two (the products one after another) it is 1.60.
//! Polynomial: p of degree 8 (f32), 25 (f64), minimax for the relative error of erf on [0, 3.93], [0, 5.95], coefficients
//! rounded from the lowest on and made by `tests/minimax`: 2^-27.8, 2^-56.3.
//! Error budget (f32, in ulp): last fma and 1 - e^-r 0.5 each (for n = 0 only one of them), r^2 q(r) 0.3, p 0.25.
//! Measured: see `tests/it/accuracy.rs`.

use super::core::{Core, FloatTy};
use super::exp::{LOG2_E, power_of_two, reduce_short, round_scaled};
use super::expm1::{falling_polynomial, one_minus_exp_reduced};
use super::parts::{CoreExt, horner};

/// p with -ln erfc(x) = x + x p(x).
const LOG_ERFC_F32: [f64; 9] = [
    0.12837916612625122,
    0.6366195678710938,
    0.10277630388736725,
    -0.01914781890809536,
    -0.0001695198006927967,
    0.0016757003031671047,
    -0.0006373805226758122,
    0.00011886704305652529,
    -9.38867924560327e-6,
];
const LOG_ERFC_F64: [f64; 26] = [
    0.1283791670955126,
    0.6366197723675763,
    0.10277260330228102,
    -0.019128447018084232,
    -0.00020919451393976578,
    0.001696204854943573,
    -0.0005901169409139899,
    2.5844460135860063e-5,
    6.459124408980739e-5,
    -2.9942827051353366e-5,
    3.779657401507161e-6,
    2.3368706620122685e-6,
    -1.2110009372311356e-6,
    -1.1715125278668962e-7,
    4.502153982978974e-7,
    -3.1676609442063097e-7,
    1.4500690198864e-7,
    -4.998606444981538e-8,
    1.3536674670110768e-8,
    -2.907252630929896e-9,
    4.915469279269498e-10,
    -6.410003041471971e-11,
    6.219468562415694e-12,
    -4.2238863865557945e-13,
    1.7895404962521318e-14,
    -3.5553463720069847e-16,
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
            let rest = c.mul(size, p);
            let rest = c.fma(minus, q, rest);
            c.add(base, rest)
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
