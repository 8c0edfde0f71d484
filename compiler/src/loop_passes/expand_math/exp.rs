//! `exp`, `exp_nonpos`, `exp2`, and the reduction that every function built on e^x uses.
//!
//! Formula: e^x = 2^n e^r with n = round(x / ln 2). n comes from adding 1.5 * 2^23 (f64: 2^52) to x / ln 2, which leaves it in
//! the low bits of the sum; r = x - n ln 2 by two fma, |r| <= ln 2 / 2. The magic number also carries the exponent's bias,
//! so that one shift makes 2^n.
//! Polynomial: degree 6 (f32), 11 (f64), constant term exactly 1, minimax for the relative error on |r| <= 1.003 ln 2 / 2
//!  coefficients rounded to the type from the lowest on and the rest refitted: 2^-28.1, 2^-55.9.
//! Full range: 2^n is applied as two factors, so that overflow and subnormal results come out of one rounded product.
//! `exp_nonpos`: one factor whose exponent field is 0 for n = -127 (-1023): results below about 2^-126.5 are 0.
//! Error budget: polynomial 0.1 ulp, reduction 0.1, last fma 0.5 and the rounding of its factor 0.2.
//! Measured: see `tests/it/accuracy.rs`.

use super::core::{Core, FloatTy};
use super::parts::{CoreExt, horner};

/// 1 / ln 2.
pub(super) const LOG2_E: f64 = std::f64::consts::LOG2_E;

/// ln 2 rounded to f32, and what is missing.
const LN2_F32: (f64, f64) = (0.693_147_182_464_599_6, -1.904_654_212_125_933_6e-9);
/// ln 2 rounded to f64, and what is missing.
const LN2_F64: (f64, f64) = (std::f64::consts::LN_2, 2.319_046_813_846_299_6e-17);

/// e^r for |r| <= ln 2 / 2.
const EXP_F32: [f64; 7] = [
    1.0,
    1.0,
    0.4999999403953552,
    0.1666652113199234,
    0.04166829213500023,
    0.0083687212318182,
    0.001381874200887978,
];
const EXP_F64: [f64; 12] = [
    1.0,
    1.0,
    0.5000000000000011,
    0.16666666666666424,
    0.041666666666526526,
    0.008333333333489592,
    0.0013888888944604274,
    0.00019841269514726188,
    2.4801492034099335e-5,
    2.755757971336031e-6,
    2.7630651718420143e-7,
    2.5002248062410854e-8,
];

/// 2^r for |r| <= 1/2.
const EXP2_F32: [f64; 7] = [
    1.0,
    0.6931471824645996,
    0.24022647738456726,
    0.05550359934568405,
    0.009618505835533142,
    0.0013390806270763278,
    0.00015326471475418657,
];
#[expect(clippy::approx_constant, reason = "coefficients stand as the program prints them")]
const EXP2_F64: [f64; 13] = [
    1.0,
    0.6931471805599453,
    0.2402265069591007,
    0.055504108664823505,
    0.00961812910762988,
    0.0013333558145979941,
    0.000154035303902927,
    1.5252734235537906e-5,
    1.321548959226364e-6,
    1.017789824261577e-7,
    7.0537916764885545e-9,
    4.479068889584404e-10,
    2.7329693183790664e-11,
];

/// ln 2 as a sum of two values of the type.
pub(super) fn ln2_parts<C: Core>(c: &C) -> (f64, f64) {
    c.by_type(LN2_F32, LN2_F64)
}

/// The number whose addition rounds to a whole number, plus `bias`.
pub(super) fn magic<C: Core>(c: &C, bias: i64) -> f64 {
    (1.5 * c.by_type(8_388_608.0, 4_503_599_627_370_496.0)) + bias as f64
}

/// n = round(x * scale): as the low bits of a float that also hold `bias`, and as a float.
pub(super) fn round_scaled<C: Core>(c: &mut C, x: C::F, scale: f64, bias: i64) -> (C::F, C::F) {
    let magic = magic(c, bias);
    let biased = c.fma_kk(x, scale, magic);
    let n = c.add_k(biased, -magic);
    (biased, n)
}

/// x - n ln 2 in two steps.
pub(super) fn reduce<C: Core>(c: &mut C, x: C::F, n: C::F) -> C::F {
    let (high, low) = ln2_parts(c);
    let r = c.fma_k(n, -high, x);
    c.fma_k(n, -low, r)
}

/// x - n ln 2 * `factor` where n is small: f32 has a ln 2 that is good to 2^-29, one step is enough.
pub(super) fn reduce_short<C: Core>(c: &mut C, x: C::F, n: C::F, factor: f64) -> C::F {
    let (high, low) = ln2_parts(c);
    let r = c.fma_k(n, -high * factor, x);
    match c.ty() {
        FloatTy::F32 => r,
        FloatTy::F64 => c.fma_k(n, -low * factor, r),
    }
}

/// e^r for |r| <= ln 2 / 2.
pub(super) fn exp_reduced<C: Core>(c: &mut C, r: C::F) -> C::F {
    let coefficients: &[f64] = c.by_type(&EXP_F32, &EXP_F64);
    horner(c, r, coefficients)
}

/// 2^r for |r| <= 1/2.
pub(super) fn exp2_reduced<C: Core>(c: &mut C, r: C::F) -> C::F {
    let coefficients: &[f64] = c.by_type(&EXP2_F32, &EXP2_F64);
    horner(c, r, coefficients)
}

/// The float whose exponent field is the low bits of `biased`.
pub(super) fn power_of_two<C: Core>(c: &mut C, biased: C::F) -> C::F {
    let bits = c.bits(biased);
    let bits = c.shl(bits, c.fraction_bits());
    c.float_from_bits(bits)
}

/// p 2^n by two factors, where `biased` holds n plus twice the bias; one rounding.
pub(super) fn scale<C: Core>(c: &mut C, p: C::F, biased: C::F) -> C::F {
    let shift = c.fraction_bits();
    let both = c.bits(biased);
    let half = c.shr_u(both, 1);
    let rest = c.isub(both, half);
    let half = c.shl(half, shift);
    let rest = c.shl(rest, shift);
    let half = c.float_from_bits(half);
    let rest = c.float_from_bits(rest);
    let p = c.mul(p, half);
    c.mul(p, rest)
}

/// e^x.
pub(super) fn exp<C: Core>(c: &mut C, x: C::F) -> C::F {
    let (low, high) = c.by_type((-104.0, 89.0), (-746.0, 710.0));
    let x = c.at_least(x, low);
    let x = c.at_most(x, high);
    let (biased, n) = round_scaled(c, x, LOG2_E, 2 * c.bias());
    let r = reduce(c, x, n);
    let p = exp_reduced(c, r);
    scale(c, p, biased)
}

/// e^x for x <= 0, with 0 for results below the normal range.
pub(super) fn exp_nonpos<C: Core>(c: &mut C, x: C::F) -> C::F {
    let low = c.by_type(-88.0, -709.0);
    let x = c.at_least(x, low);
    let (biased, n) = round_scaled(c, x, LOG2_E, c.bias());
    let r = reduce(c, x, n);
    let p = exp_reduced(c, r);
    let power = power_of_two(c, biased);
    c.mul(p, power)
}

/// 2^x. The reduction x - round(x) is exact.
pub(super) fn exp2<C: Core>(c: &mut C, x: C::F) -> C::F {
    let (low, high) = c.by_type((-151.0, 129.0), (-1076.0, 1025.0));
    let x = c.at_least(x, low);
    let x = c.at_most(x, high);
    let magic = magic(c, 2 * c.bias());
    let biased = c.add_k(x, magic);
    let n = c.add_k(biased, -magic);
    let r = c.sub(x, n);
    let p = exp2_reduced(c, r);
    scale(c, p, biased)
}
