//! `expm1`, and the difference e^r - 1 near zero that `sinh`, `cosh`, `erf` and `erfc` use too.
//!
//! Formula: e^x - 1 = 2^n t + (2^n - 1) with t = e^r - 1 and r = x - n ln 2, joined by one fma. n = round(x / ln 2 - 0.08496), so
//! that r is in [ln 3/4, ln 3/2]: where n is 1 the result is 1/2 or more, where n is -1 it is -1/4 or less, and the rounding
//! of t counts no more than 1/4 ulp. (With n rounded to nearest it is a whole ulp just above ln 2 / 2: 1.29 ulp in all.)
//! Half the value is computed and doubled, so that n = 128 (1024) needs no second factor.
//! 2^n - 1 is exact up to n = 24; what n = 25 loses is half an ulp. f32 adds it: three operations, without which the error is
//! 1.29 ulp for x from 17.04 to 17.33 and the same elsewhere. f64 does without (n = 54).
//! Polynomial: t = r + r^2 q(r), q of degree 4 (f32), 10 (f64), minimax for the relative error of t, weighted with 1 + 5r/4,
//! coefficients rounded from the lowest on and made by `tests/minimax`: 2^-26.3, 2^-61.4. The symmetric one for `sinh` and
//! `cosh`: 2^-26.1, 2^-61.5.
//! Error budget (f32, in ulp): last addition 0.5, t 0.25, r^2 q(r) 0.2 where t is the result.
//! Tiny x, subnormals and zeros with their sign are returned as they are.
//! For `erf` and `erfc`, 1 - e^-r has f32 coefficients of its own: weighted as r < 0 enters there, from 1/2 on, 2^-27.1.
//! Measured: see `tests/it/accuracy.rs`.

use super::core::{Core, FloatTy};
use super::exp::{LOG2_E, magic, power_of_two, reduce};
use super::parts::{CoreExt, horner, horner_neg};

/// q with e^r - 1 = r + r^2 q(r).
const EXPM1_F32: [f64; 5] = [
    0.4999999701976776,
    0.1666654497385025,
    0.04166743904352188,
    0.008366451598703861,
    0.0013870596885681152,
];
const EXPM1_F64: [f64; 11] = [
    0.5,
    0.16666666666666677,
    0.041666666666666574,
    0.008333333333321143,
    0.00138888888889428,
    0.0001984126988787852,
    2.4801587202529228e-5,
    2.75572420232392e-6,
    2.7557379165065065e-7,
    2.510992322746755e-8,
    2.088265153661665e-9,
];

/// The same on the interval of `expm1`.
const SHIFTED_F32: [f64; 5] = [
    0.5000001788139343,
    0.16666613519191742,
    0.041657667607069016,
    0.008354704827070236,
    0.0014761799247935414,
];
const SHIFTED_F64: [f64; 11] = [
    0.5,
    0.1666666666666666,
    0.04166666666666737,
    0.008333333333340619,
    0.0013888888888224646,
    0.00019841269818894028,
    2.4801589399180292e-5,
    2.755733711201189e-6,
    2.75545800917489e-7,
    2.5064977353318412e-8,
    2.2157300612683487e-9,
];

/// The same for e^-r, where the error for r < 0 counts less.
const FALLING_F32: [f64; 5] = [
    0.4999998211860657,
    0.16666515171527863,
    0.041670672595500946,
    0.008369284681975842,
    0.001370412646792829,
];

/// (r - 1 + e^-r) / r^2 for |r| <= ln 2 / 2.
pub(super) fn falling_polynomial<C: Core>(c: &mut C, r: C::F) -> C::F {
    let coefficients: &[f64] = c.by_type(&FALLING_F32, &EXPM1_F64);
    horner_neg(c, r, coefficients)
}

/// 1 - e^-r for |r| <= ln 2 / 2; small results are the more accurate ones.
pub(super) fn one_minus_exp_reduced<C: Core>(c: &mut C, r: C::F) -> C::F {
    let q = falling_polynomial(c, r);
    let r2 = c.mul(r, r);
    let minus = c.neg(r2);
    c.fma(minus, q, r)
}

/// e^r - 1 - r for |r| <= ln 2 / 2.
pub(super) fn exp_tail<C: Core>(c: &mut C, r: C::F) -> C::F {
    let coefficients: &[f64] = c.by_type(&EXPM1_F32, &EXPM1_F64);
    let q = horner(c, r, coefficients);
    let r2 = c.mul(r, r);
    c.mul(r2, q)
}

/// e^x - 1.
pub(super) fn expm1<C: Core>(c: &mut C, x: C::F) -> C::F {
    let (low, high) = c.by_type((-40.0, 89.0), (-80.0, 710.0));
    let y = c.at_least(x, low);
    let y = c.at_most(y, high);
    let magic = magic(c, c.bias() - 1);
    // A little less than 1 / ln 2: for n = 0 r may go beyond both ends, for the others not.
    let shifted = c.fma_kk(y, LOG2_E * (1.0 - 2f64.powi(-21)), -0.084_962_5);
    let biased = c.add_k(shifted, magic);
    let n = c.add_k(biased, -magic);
    let r = reduce(c, y, n);
    let coefficients: &[f64] = c.by_type(&SHIFTED_F32, &SHIFTED_F64);
    let q = horner(c, r, coefficients);
    let power = power_of_two(c, biased);
    let rest = c.add_k(power, -0.5);
    let r2 = c.mul(r, r);
    let t = c.fma(r2, q, r);
    let half = match c.ty() {
        FloatTy::F32 => {
            let lost = c.sub(power, rest);
            let lost = c.add_k(lost, -0.5);
            let part = c.fma(power, t, lost);
            c.add(part, rest)
        }
        FloatTy::F64 => c.fma(power, t, rest),
    };
    let whole = c.add(half, half);
    let size = c.abs(x);
    let tiny = c.lt_k(size, c.by_type(1e-10, 1e-20));
    c.select(tiny, x, whole)
}
