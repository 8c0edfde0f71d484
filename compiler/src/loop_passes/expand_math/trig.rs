//! `sin`, `cos`, `tan`, for every finite argument.
//!
//! Formula: x = (n + t) pi/2 with whole n and |t| <= 1/2 or a little more; sin and cos of r = t pi/2, exchanged where n is
//! odd, with the sign that n mod 4 says; tan is the quotient, both sides as pairs.
//! Range reduction (Payne and Hanek): x times 2/pi, of which the bits that only add multiples of 4 to the product are
//! left out. What remains is cut into four pieces of as many bits as the type has, so that a product by x is exact as a
//! pair. Which bits, depends on the exponent of x: the pieces are chosen by comparing x with the borders of 7 (f64: 24)
//! ranges. Parts of the products that may be large are taken mod 4; the rest is summed exactly, largest first.
//! t is right to 2^-56 (f64: 2^-118) absolute; no float is nearer than 2^-30 (2^-61) to a multiple of pi/2.
//! Polynomials: sin r = r + r^3 s(r^2), cos r = 1 - r^2/2 + r^4 c(r^2), degree 2 (f32), 5 (f64) each, minimax for the relative
//! error on |r| <= 1.02 pi/4 by Remez exchange, coefficients rounded from the lowest on: 2^-27.7 and 2^-32.6, 2^-57.5 and 2^-63.5.
//! Very small x are the result of `sin` and `tan`. Infinities and NaN give NaN.
//! Measured, f32 and f64: `sin` 1.01 and 0.96 ulp, `cos` 1.02 and 0.93 ulp, `tan` 1.44 and 1.28 ulp. (f32 at every
//! 61st of all numbers; f64 at some 10^6 of all exponents and in the range where it changes.)

use super::core::Core;
use super::pair::{Pair, ordered_sum, product, quotient_rest, sum};
use super::parts::{CoreExt, horner, pi};

/// The bits of 2/pi after the binary point.
const TWO_OVER_PI: [u64; 20] = [
    0xa2f9_836e_4e44_1529,
    0xfc27_57d1_f534_ddc0,
    0xdb62_9599_3c43_9041,
    0xfe51_63ab_debb_c561,
    0xb724_6e3a_424d_d2e0,
    0x0649_2eea_09d1_921c,
    0xfe1d_eb1c_b129_a73e,
    0xe882_35f5_2ebb_4484,
    0xe99c_7026_b45f_7e41,
    0x3991_d639_8353_39f4,
    0x9c84_5f8b_bdf9_283b,
    0x1ff8_97ff_de05_980f,
    0xef2f_118b_5a0a_6d1f,
    0x6d36_7ecf_27cb_09b7,
    0x4f46_3f66_9e5f_ea2d,
    0x7527_bac7_ebe5_f17b,
    0x3d07_39f7_8a52_92ea,
    0x6bfb_5fb1_1f8d_5d08,
    0x5603_3046_fc7b_6bab,
    0xf0cf_bc20_9af4_361d,
];

/// Pieces of 2/pi that x is multiplied by.
const PIECES: usize = 4;

/// s with sin r = r + r^3 s(r^2), and c with cos r = 1 - r^2/2 + r^4 c(r^2).
const SIN_F32: [f64; 3] = [-0.16666653752326965, 0.008332093246281147, -0.00019505145610310137];
const COS_F32: [f64; 3] = [0.04166664183139801, -0.0013887130189687014, 2.441208744130563e-5];
const SIN_F64: [f64; 6] = [
    -0.1666666666666662,
    0.008333333333319702,
    -0.00019841269827607858,
    2.7557312921260895e-6,
    -2.5050636572727733e-8,
    1.5889712467782e-10,
];
const COS_F64: [f64; 6] = [
    0.041666666666666574,
    -0.0013888888888869716,
    2.480158728672711e-5,
    -2.7557313557393445e-7,
    2.087561549043814e-9,
    -1.1354086132326821e-11,
];

/// 2^exp, also where that needs two factors.
fn power(exp: i32) -> f64 {
    2f64.powi(exp / 2) * 2f64.powi(exp - exp / 2)
}

/// The `count` bits of 2/pi from number `first` on (1 is the first after the point), times 2^scale.
fn bits_of_two_over_pi(first: i32, count: i32, scale: i32) -> f64 {
    let bit = |number: i32| {
        let at = usize::try_from(number - 1).expect("bits are counted from 1");
        (TWO_OVER_PI[at / 64] >> (63 - at % 64)) & 1
    };
    let whole = (first..first + count).fold(0u64, |sum, number| 2 * sum + bit(number));
    whole as f64 * power(scale - (first + count - 1))
}

/// The pieces of 2/pi for x, and x, scaled by inverse powers of two.
fn pieces<C: Core>(c: &mut C, x: C::F) -> (C::F, [C::F; PIECES]) {
    // Bits of the type; exponents in a range; the exponent from which on all is scaled, and by how much; the exponent's end.
    let (precision, step, scaled_from, scale, end) =
        c.by_type((24, 15, 55, 64, 128), (53, 40, 294, 512, 1024));
    let values = |first: i32, scale: i32| {
        let piece = |index: i32| bits_of_two_over_pi(first + index * precision, precision, scale);
        [piece(0), piece(1), piece(2), piece(3)]
    };
    let mut pieces = values(1, 0).map(|value| c.float(value));
    let mut from = precision + 1 + step;
    while from < end {
        let by = if from >= scaled_from { scale } else { 0 };
        let above = c.float(power(from));
        let above = c.ge(x, above);
        for (piece, value) in pieces.iter_mut().zip(values(from - precision, by)) {
            *piece = c.select_k(above, value, *piece);
        }
        from += step;
    }
    let border = c.float(power(scaled_from));
    let large = c.ge(x, border);
    let by = c.select_kk(large, power(-scale), 1.0);
    (c.mul(x, by), pieces)
}

/// A value less the nearest multiple of 4.
fn mod_four<C: Core>(c: &mut C, a: C::F) -> C::F {
    let quarter = c.mul_k(a, 0.25);
    let whole = c.round_even(quarter);
    c.fma_k(whole, -4.0, a)
}

/// x as (n + t) pi/2.
struct Reduced<C: Core> {
    /// n, in the lowest bits.
    n: C::I,
    /// t pi/2.
    r: Pair<C::F>,
}

fn reduce<C: Core>(c: &mut C, x: C::F) -> Reduced<C> {
    let (x, pieces) = pieces(c, x);
    let [first, second, third] = [pieces[0], pieces[1], pieces[2]].map(|piece| product(c, x, piece));
    // By size: up to any; 2^17 (f64: 2^42); 2^-7 (2^-11); 2^-31 (2^-64).
    let a = mod_four(c, first.hi);
    let b = sum(c, first.lo, second.hi);
    let b_hi = mod_four(c, b.hi);
    let d = sum(c, second.lo, third.hi);
    let small = c.fma(x, pieces[3], third.lo);
    let whole = sum(c, a, b_hi);
    let magic = super::exp::magic(c, 0);
    let biased = c.add_k(whole.hi, magic);
    let n = c.add_k(biased, -magic);
    let t = c.sub(whole.hi, n);
    let e = sum(c, b.lo, d.hi);
    let t = sum(c, t, e.hi);
    let head = sum(c, t.hi, whole.lo);
    let tail = c.add(e.lo, d.lo);
    let tail = c.add(tail, small);
    let tail = c.add(tail, t.lo);
    let tail = c.add(tail, head.lo);
    let t = ordered_sum(c, head.hi, tail);
    let (high, low) = pi(c, 0.5);
    let high_value = c.float(high);
    let r = product(c, t.hi, high_value);
    let rest = c.fma_k(t.hi, low, r.lo);
    let rest = c.fma_k(t.lo, high, rest);
    Reduced { n: c.bits(biased), r: Pair { hi: r.hi, lo: rest } }
}

/// sin r and cos r as pairs, the low parts not yet added.
fn sin_cos<C: Core>(c: &mut C, r: Pair<C::F>) -> (Pair<C::F>, Pair<C::F>) {
    let z = c.mul(r.hi, r.hi);
    let coefficients: &[f64] = c.by_type(&SIN_F32, &SIN_F64);
    let s = horner(c, z, coefficients);
    let cube = c.mul(z, r.hi);
    let sin_lo = c.fma(cube, s, r.lo);
    let coefficients: &[f64] = c.by_type(&COS_F32, &COS_F64);
    let p = horner(c, z, coefficients);
    let head = c.fma_kk(z, -0.5, 1.0);
    let lost = c.k_sub(1.0, head);
    let lost = c.fma_k(z, -0.5, lost);
    let minus = c.neg(r.hi);
    let cross = c.fma(minus, r.lo, lost);
    let z2 = c.mul(z, z);
    let cos_lo = c.fma(z2, p, cross);
    (Pair { hi: r.hi, lo: sin_lo }, Pair { hi: head, lo: cos_lo })
}

/// Whether the bit of `n` is set.
fn bit<C: Core>(c: &mut C, n: C::I, bit: i64) -> C::M {
    let masked = c.iand_k(n, bit);
    let wanted = c.int(bit);
    c.ieq(masked, wanted)
}

/// Bit 1 of `n` as a sign bit.
fn second_bit_as_sign<C: Core>(c: &mut C, n: C::I) -> C::I {
    let up = c.shl(n, c.by_type(30, 62));
    let mask = c.float(-0.0);
    let mask = c.bits(mask);
    c.iand(up, mask)
}

/// |x| below which x^3 does not reach the result.
fn tiny<C: Core>(c: &C) -> f64 {
    c.by_type(2f64.powi(-13), 2f64.powi(-28))
}

/// The sine.
pub(super) fn sin<C: Core>(c: &mut C, x: C::F) -> C::F {
    let sign = c.sign_bit(x);
    let size = c.abs(x);
    let at = reduce(c, size);
    let (sin, cos) = sin_cos(c, at.r);
    let odd = bit(c, at.n, 1);
    let hi = c.select(odd, cos.hi, sin.hi);
    let lo = c.select(odd, cos.lo, sin.lo);
    let value = c.add(hi, lo);
    let turn = second_bit_as_sign(c, at.n);
    let sign = c.ixor(sign, turn);
    let value = c.flip_sign(value, sign);
    let is_tiny = c.lt_k(size, tiny(c));
    c.select(is_tiny, x, value)
}

/// The cosine.
pub(super) fn cos<C: Core>(c: &mut C, x: C::F) -> C::F {
    let size = c.abs(x);
    let at = reduce(c, size);
    let (sin, cos) = sin_cos(c, at.r);
    let odd = bit(c, at.n, 1);
    let hi = c.select(odd, sin.hi, cos.hi);
    let lo = c.select(odd, sin.lo, cos.lo);
    let value = c.add(hi, lo);
    // Negative for n = 1, 2 mod 4.
    let next = c.iadd_k(at.n, 1);
    let sign = second_bit_as_sign(c, next);
    c.flip_sign(value, sign)
}

/// The tangent.
pub(super) fn tan<C: Core>(c: &mut C, x: C::F) -> C::F {
    let sign = c.sign_bit(x);
    let size = c.abs(x);
    let at = reduce(c, size);
    let (sin, cos) = sin_cos(c, at.r);
    let odd = bit(c, at.n, 1);
    let above = Pair { hi: c.select(odd, cos.hi, sin.hi), lo: c.select(odd, cos.lo, sin.lo) };
    let below = Pair { hi: c.select(odd, sin.hi, cos.hi), lo: c.select(odd, sin.lo, cos.lo) };
    let above = ordered_sum(c, above.hi, above.lo);
    let below = ordered_sum(c, below.hi, below.lo);
    let inverse = c.k_div(1.0, below.hi);
    let quotient = c.mul(above.hi, inverse);
    let rest = quotient_rest(c, above, below, quotient, inverse);
    let value = c.add(quotient, rest);
    // Turned by a right angle where n is odd: minus the cotangent.
    let turn = c.iadd(at.n, at.n);
    let turn = second_bit_as_sign(c, turn);
    let sign = c.ixor(sign, turn);
    let value = c.flip_sign(value, sign);
    let is_tiny = c.lt_k(size, tiny(c));
    c.select(is_tiny, x, value)
}
