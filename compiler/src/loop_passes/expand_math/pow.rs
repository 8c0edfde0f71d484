//! `pow`.
//!
//! Formula: |x|^y = 2^(y log2 |x|), the logarithm as a pair. |x| = 2^e m, m in [sqrt(1/2), sqrt 2), as in `log`;
//! log2 m = 2/ln 2 atanh s with s = (m - 1) / (m + 1), and atanh s = s + s z g(z), z = s². s, z and the first terms of g (1/3;
//! f64 also 1/5) are pairs, the rest of g one value, which enters with less than 2^-12 (f64: 2^-18) of the result.
//! The product by y is a pair; its nearest whole number is the exponent, and what is left goes through the polynomial of `exp2`.
//! Polynomial: g's rest, degree 2 (f32), 6 (f64), minimax for the relative error of atanh s on |s| <= tanh(ln 2 / 4)
//! coefficients rounded from the lowest on: 2^-36.7, 2^-72.7.
//! Special values as IEEE 754 has them for pow: x^0 and 1^y are 1, also for NaN; x < 0 needs whole y and takes its parity;
//! zeros and infinities of x by the sign and parity of y; |x| = 1 to an infinite y is 1.
//! Measured: see `tests/it/accuracy.rs`.

use super::core::Core;
use super::exp::{exp2_reduced, magic, scale};
use super::log::{exponent_field, exponent_value};
use super::pair::{Pair, ordered_sum, product, quotient_rest, times};
use super::parts::{CoreExt, horner};

/// What follows the pairs in atanh s / s: coefficients of z^2 (f64: z^3) and up.
const ATANH_F32: [f64; 3] = [0.20000076293945313, 0.14273542165756226, 0.11709949374198914];
const ATANH_F64: [f64; 7] = [
    0.14285714285716572,
    0.11111111110009539,
    0.09090909302212308,
    0.07692286488676801,
    0.06667879933275028,
    0.05842555508110108,
    0.059551895316310076,
];
/// The coefficients that are pairs: 1/3, 1/5.
const ATANH_PAIRS_F32: [(f64, f64); 1] = [(0.3333333432674408, -9.934107758624577e-09)];
const ATANH_PAIRS_F64: [(f64, f64); 2] =
    [(0.3333333333333333, 1.850371707708594e-17), (0.2, -1.1102230246251566e-17)];

/// log2 of a positive normal number, less `steps` as a pair.
fn log2_pair<C: Core>(c: &mut C, x: C::F, steps: C::F) -> Pair<C::F> {
    let bits = c.bits(x);
    let field = exponent_field(c, bits);
    let fraction = c.isub(bits, field);
    let m = c.float_from_bits(fraction);
    let e = exponent_value(c, field);
    let e = c.sub(e, steps);
    let zero = c.float(0.0);
    let one = c.float(1.0);
    let above = Pair { hi: c.add_k(m, -1.0), lo: zero };
    // m is within sqrt 2 of 1: the sum's remainder is right in either order.
    let below = super::pair::sum(c, one, m);
    let inverse = c.k_div(1.0, below.hi);
    let s = c.mul(above.hi, inverse);
    let s_lo = quotient_rest(c, above, below, s, inverse);
    let s = Pair { hi: s, lo: s_lo };
    let z = times(c, s, s);
    let (rest, pairs): (&[f64], &[(f64, f64)]) =
        c.by_type((&ATANH_F32, &ATANH_PAIRS_F32), (&ATANH_F64, &ATANH_PAIRS_F64));
    let rest = horner(c, z.hi, rest);
    let mut g = Pair { hi: c.mul(rest, z.hi), lo: zero };
    for (index, &(high, low)) in pairs.iter().enumerate().rev() {
        if index + 1 < pairs.len() {
            g = times(c, g, z);
        }
        let high = c.float(high);
        let head = ordered_sum(c, high, g.hi);
        let lo = c.add_k(g.lo, low);
        g = Pair { hi: head.hi, lo: c.add(head.lo, lo) };
    }
    let w = times(c, z, g);
    let sw = times(c, s, w);
    let head = ordered_sum(c, s.hi, sw.hi);
    let lo = c.add(s.lo, sw.lo);
    let atanh = Pair { hi: head.hi, lo: c.add(head.lo, lo) };
    let factor =
        c.by_type((2.885390043258667, 3.851926067000022e-08), (2.8853900817779268, 4.0710547481862066e-17));
    let factor = Pair { hi: c.float(factor.0), lo: c.float(factor.1) };
    let log = times(c, atanh, factor);
    let head = ordered_sum(c, e, log.hi);
    Pair { hi: head.hi, lo: c.add(head.lo, log.lo) }
}

/// x to the power y.
pub(super) fn pow<C: Core>(c: &mut C, x: C::F, y: C::F) -> C::F {
    let (smallest, up) = c.by_type((-126, 24), (-1022, 54));
    let (low, high) = c.by_type((-151.0, 129.0), (-1076.0, 1025.0));
    let size = c.abs(x);
    let small = c.lt_k(size, 2f64.powi(smallest));
    let scaled = c.mul_k(size, 2f64.powi(up));
    let normal = c.select(small, scaled, size);
    let steps = c.select_kk(small, f64::from(up), 0.0);
    let log = log2_pair(c, normal, steps);

    let exact = product(c, log.hi, y);
    let rest = c.fma(log.lo, y, exact.lo);
    let whole = c.at_least(exact.hi, low);
    let whole = c.at_most(whole, high);
    // Beyond the range, where the product's parts may be infinite, there is no rest.
    let inside = c.eq(whole, exact.hi);
    let rest = c.select_or_k(inside, rest, 0.0);
    let magic = magic(c, 2 * c.bias());
    let biased = c.add_k(whole, magic);
    let n = c.add_k(biased, -magic);
    let r = c.sub(whole, n);
    let r = c.add(r, rest);
    let p = exp2_reduced(c, r);
    let value = scale(c, p, biased);

    // Sizes that the logarithm is not for.
    let unit = c.eq_k(size, 1.0);
    let value = c.select_k(unit, 1.0, value);
    let zero = c.eq_k(size, 0.0);
    let infinite = c.eq_k(size, f64::INFINITY);
    let falling = c.lt_k(y, 0.0);
    let inverse = c.select_kk(zero, f64::INFINITY, 0.0);
    let end = c.select(falling, inverse, size);
    let ends = c.mask_or(zero, infinite);
    let value = c.select(ends, end, value);

    // Negative x.
    let y_whole = c.trunc(y);
    let is_whole = c.eq(y_whole, y);
    let half = c.mul_k(y, 0.5);
    let half_whole = c.trunc(half);
    let is_halved = c.ne(half_whole, half);
    let odd = c.mask_and(is_whole, is_halved);
    let sign = c.sign_bit(x);
    let none = c.int(0);
    let sign = c.select_int(odd, sign, none);
    let value = c.with_sign(value, sign);
    let negative = c.lt_k(x, 0.0);
    let broken = c.mask_not(is_whole);
    let broken = c.mask_and(broken, negative);
    let finite = c.mask_not(infinite);
    let broken = c.mask_and(broken, finite);
    let value = c.select_k(broken, f64::NAN, value);

    let x_nan = c.is_nan(x);
    let y_nan = c.is_nan(y);
    let nan = c.mask_or(x_nan, y_nan);
    let value = c.select_k(nan, f64::NAN, value);
    let base_one = c.eq_k(x, 1.0);
    let power_zero = c.eq_k(y, 0.0);
    let one = c.mask_or(base_one, power_zero);
    c.select_k(one, 1.0, value)
}
