//! The bits of a float: its mantissa and exponent, a power of two times it, and its neighbour.
//!
//! All of them are exact (but for the one rounding of a subnormal result of `ldexp`), so there is no error to measure.
//! `frexp_mantissa`, `frexp_exponent`: x = m 2^n with |m| in [1/2, 1). A subnormal number is first multiplied by 2^24
//! (f64: 2^54). Of 0 and infinity the mantissa is x itself and the exponent 0; of NaN both are NaN.
//! `ldexp`: x 2^n, n rounded to a whole number. In three factors: two that bring n into the range of exponents of normal
//! numbers, each of which leaves a product that is exact or whose result is 0 anyway, and one for the rest.
//! `next_up`: the bits as an integer go up above 0 and down below it.

use super::core::Core;
use super::exp::{magic, power_of_two};
use super::parts::CoreExt;

/// Whether x is neither 0, nor infinite, nor NaN.
fn is_ordinary<C: Core>(c: &mut C, x: C::F) -> C::M {
    let size = c.abs(x);
    let above = c.gt_k(size, 0.0);
    let below = c.lt_k(size, f64::INFINITY);
    c.mask_and(above, below)
}

/// x, or a multiple of it if it is subnormal; and whether it is.
fn normal<C: Core>(c: &mut C, x: C::F) -> (C::F, C::M) {
    let (least, factor) = c.by_type((f64::from(f32::MIN_POSITIVE), 24), (f64::MIN_POSITIVE, 54));
    let size = c.abs(x);
    let subnormal = c.lt_k(size, least);
    let scaled = c.mul_k(x, 2f64.powi(factor));
    (c.select(subnormal, scaled, x), subnormal)
}

/// The m of x = m 2^n.
pub(super) fn frexp_mantissa<C: Core>(c: &mut C, x: C::F) -> C::F {
    let ordinary = is_ordinary(c, x);
    let (y, _) = normal(c, x);
    let sign = c.sign_bit(y);
    let bits = c.bits(y);
    let fraction = c.iand_k(bits, (1i64 << c.fraction_bits()) - 1);
    let half = c.float(0.5);
    let half = c.bits(half);
    let bits = c.ior(fraction, half);
    let size = c.float_from_bits(bits);
    let mantissa = c.with_sign(size, sign);
    c.select(ordinary, mantissa, x)
}

/// The n of x = m 2^n.
pub(super) fn frexp_exponent<C: Core>(c: &mut C, x: C::F) -> C::F {
    let ordinary = is_ordinary(c, x);
    let (y, subnormal) = normal(c, x);
    let size = c.abs(y);
    let bits = c.bits(size);
    let field = c.shr_u(bits, c.fraction_bits());
    // The field in the low bits of a number whose last place is 1.
    let whole = c.by_type(8_388_608.0, 4_503_599_627_370_496.0);
    let base = c.float(whole);
    let base = c.bits(base);
    let bits = c.ior(field, base);
    let field = c.float_from_bits(bits);
    let down = c.by_type(24.0, 54.0);
    let offset = whole + c.bias() as f64 - 1.0;
    let offset = c.select_kk(subnormal, offset + down, offset);
    let exponent = c.sub(field, offset);
    let nan = c.is_nan(x);
    let other = c.select_or_k(nan, x, 0.0);
    c.select(ordinary, exponent, other)
}

/// x 2^n.
pub(super) fn ldexp<C: Core>(c: &mut C, x: C::F, n: C::F) -> C::F {
    let (up, down, least) = c.by_type((127.0, -102.0, -126.0), (1023.0, -969.0, -1022.0));
    let whole = c.round_even(n);
    let whole = c.at_least(whole, least + 2.0 * down);
    let mut rest = c.at_most(whole, 3.0 * up);
    let mut scaled = x;
    for _ in 0..2 {
        let high = c.gt_k(rest, up);
        let low = c.lt_k(rest, least);
        let factor = c.select_kk(low, libm::pow(2.0, down), 1.0);
        let factor = c.select_k(high, libm::pow(2.0, up), factor);
        let step = c.select_kk(low, down, 0.0);
        let step = c.select_k(high, up, step);
        scaled = c.mul(scaled, factor);
        rest = c.sub(rest, step);
    }
    let magic = magic(c, c.bias());
    let biased = c.add_k(rest, magic);
    let power = power_of_two(c, biased);
    let finite = c.mul(scaled, power);
    // An infinite n is a limit: 0 times infinity is NaN.
    let size = c.abs(n);
    let endless = c.eq_k(size, f64::INFINITY);
    let positive = c.gt_k(n, 0.0);
    let limit = c.select_kk(positive, f64::INFINITY, 0.0);
    let limit = c.mul(x, limit);
    let nan = c.is_nan(n);
    let result = c.select(endless, limit, finite);
    c.select(nan, n, result)
}

/// The smallest number above x.
pub(super) fn next_up<C: Core>(c: &mut C, x: C::F) -> C::F {
    let bits = c.bits(x);
    let above = c.iadd_k(bits, 1);
    let below = c.iadd_k(bits, -1);
    let negative = c.lt_k(x, 0.0);
    let next = c.select_int(negative, below, above);
    let zero = c.eq_k(x, 0.0);
    let least = c.int(1);
    let next = c.select_int(zero, least, next);
    let next = c.float_from_bits(next);
    // Infinity and NaN stay.
    let moves = c.lt_k(x, f64::INFINITY);
    c.select(moves, next, x)
}
