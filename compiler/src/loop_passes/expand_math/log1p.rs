//! `log1p`.
//!
//! Formula: e is the exponent of u = 1 + x, rounded; 2^-e (1 + x) - 1 is then formed from x itself, as
//! x 2^-e + (2^-e - 1), so that nothing of a small x is lost and no correction term is needed. Then as in `log`.
//! x 2^-e is taken on the bits; that is right wherever e is not 0, since x is then a normal number.
//! The sign of x is put back last, for -0.
//! Measured, f32 and f64: `log1p` 1.53 and 1.80 ulp. (f32 at every 61st of all numbers; f64 at some 10^6 of all
//! exponents and in the range where it changes.)

use super::core::Core;
use super::log::{exponent_field_ln, exponent_units, ln_reduced, one_bits, special_log};
use super::parts::CoreExt;

/// ln(1 + x).
pub(super) fn log1p<C: Core>(c: &mut C, x: C::F) -> C::F {
    let u = c.add_k(x, 1.0);
    let bits = c.bits(u);
    let field = exponent_field_ln(c, bits);
    let x_bits = c.bits(x);
    let scaled = c.isub(x_bits, field);
    let scaled = c.float_from_bits(scaled);
    // 4 2^-e, which is a normal number also for the largest e.
    let one = one_bits(c);
    let four = c.int(one + (2 << c.fraction_bits()));
    let power = c.isub(four, field);
    let power = c.float_from_bits(power);
    let rest = c.fma_kk(power, 0.25, -1.0);
    let f = c.add(scaled, rest);
    let e = exponent_units(c, field);
    let value = ln_reduced(c, e, f);
    let value = special_log(c, u, x, value);
    let sign = c.sign_bit(x);
    c.with_sign(value, sign)
}
