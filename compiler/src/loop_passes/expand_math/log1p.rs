//! `log1p`.
//!
//! Formula: e is the exponent of u = 1 + x, rounded; f = 2^-e (1 + x) - 1 is then formed from x itself, as
//! x 2^-e + (2^-e - 1). With 1 + f in [3/4, 3/2) that sum is exact wherever it counts: x 2^-e is then a number between 1/4 and
//! 2 (e > 0), or -1/4 or less (e < 0), and a multiple of the last place of f. (With 1 + f down to sqrt(1/2) it is not for x
//! between sqrt 2 - 1 and 1/2, and the error is 1.53 ulp.) Then as in `log`.
//! u may have been rounded to 3/2 or to 3/4, where x is just beside 1/2 or -1/4: both then count as e = 0, by the sign of x.
//! (Two operations; without them the number next to 1/2 has 1.27 ulp.)
//! x 2^-e is taken on the bits; that is right wherever e is not 0, since x is then a normal number.
//! x = -1 gives -inf, x < -1 NaN, +inf and NaN themselves. The sign of x is put back last, for -0.
//! Measured: see `tests/it/accuracy.rs`.

use super::core::Core;
use super::log::{exponent_field_ln_by, exponent_units, ln_reduced, one_bits};
use super::parts::CoreExt;

/// ln(1 + x).
pub(super) fn log1p<C: Core>(c: &mut C, x: C::F) -> C::F {
    let u = c.add_k(x, 1.0);
    let bits = c.bits(u);
    let x_bits = c.bits(x);
    let negative = c.shr_u(x_bits, c.by_type(31, 63));
    let field = exponent_field_ln_by(c, bits, negative);
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
    let finite = c.lt_k(x, f64::INFINITY);
    let value = c.select(finite, value, x);
    let pole = c.eq_k(x, -1.0);
    let outside = c.select_kk(pole, f64::NEG_INFINITY, f64::NAN);
    let inside = c.gt_k(x, -1.0);
    let value = c.select(inside, value, outside);
    let sign = c.sign_bit(x);
    c.with_sign(value, sign)
}
