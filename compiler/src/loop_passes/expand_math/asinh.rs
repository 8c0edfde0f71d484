//! `asinh`, `acosh`, `atanh`.
//!
//! Formulas: asinh |x| = ln(|x| + sqrt(x² + 1)), acosh x = ln(x + sqrt(x² - 1)), atanh |x| = ln(1 + 2|x| / (1 - |x|)) / 2.
//! The argument of the logarithm is formed as a pair: x² is exact by fma, the root and the quotient get their remainder. What
//! is near 1 so keeps its distance from it, and one logarithm of a pair (see `log`) is all that follows.
//! From 2^14 (f64: 2^30) on the root is |x|, and the logarithm of 2|x| that of |x| with one more power of two.
//! Very small x are returned as they are by `asinh` and `atanh`.
//! Domain: acosh x < 1, atanh |x| > 1 and NaN give NaN, atanh ±1 = ±inf, asinh ±inf = ±inf, acosh inf = inf.
//! Measured: see `tests/it/accuracy.rs`.

use super::core::Core;
use super::log::ln_pair;
use super::pair::{Pair, ordered_sum, product, quotient_rest, sqrt, sum};
use super::parts::CoreExt;

/// |x| below which x³ does not reach the result.
fn tiny<C: Core>(c: &C) -> f64 {
    c.by_type(2f64.powi(-13), 2f64.powi(-28))
}

/// |x| from which on 1 does not reach x².
fn huge<C: Core>(c: &C) -> f64 {
    c.by_type(2f64.powi(14), 2f64.powi(30))
}

/// ln(x + root), or ln 2x where `x` is huge.
fn ln_with_root<C: Core>(c: &mut C, x: C::F, head: Pair<C::F>) -> C::F {
    let is_huge = c.gt_k(x, huge(c));
    let hi = c.select(is_huge, x, head.hi);
    let lo = c.select_k(is_huge, 0.0, head.lo);
    let value = ln_pair(c, Pair { hi, lo }, Some(is_huge));
    let finite = c.lt_k(x, f64::INFINITY);
    c.select(finite, value, x)
}

/// The inverse hyperbolic sine.
pub(super) fn asinh<C: Core>(c: &mut C, x: C::F) -> C::F {
    let sign = c.sign_bit(x);
    let size = c.abs(x);
    let square = product(c, size, size);
    let one = c.float(1.0);
    let whole = sum(c, square.hi, one);
    let lo = c.add(whole.lo, square.lo);
    let root = sqrt(c, Pair { hi: whole.hi, lo });
    let head = ordered_sum(c, root.hi, size);
    let lo = c.add(head.lo, root.lo);
    let value = ln_with_root(c, size, Pair { hi: head.hi, lo });
    let is_tiny = c.lt_k(size, tiny(c));
    let value = c.select(is_tiny, size, value);
    c.with_sign(value, sign)
}

/// The inverse hyperbolic cosine.
pub(super) fn acosh<C: Core>(c: &mut C, x: C::F) -> C::F {
    let square = product(c, x, x);
    let minus_one = c.float(-1.0);
    let whole = ordered_sum(c, square.hi, minus_one);
    let lo = c.add(whole.lo, square.lo);
    // x = 1 has no root to divide by; its logarithm is exact.
    let hi = c.at_least(whole.hi, 2f64.powi(-60));
    let root = sqrt(c, Pair { hi, lo });
    let head = ordered_sum(c, x, root.hi);
    let lo = c.add(head.lo, root.lo);
    let value = ln_with_root(c, x, Pair { hi: head.hi, lo });
    let above = c.gt_k(x, 1.0);
    let one = c.eq_k(x, 1.0);
    let outside = c.select_kk(one, 0.0, f64::NAN);
    c.select(above, value, outside)
}

/// The inverse hyperbolic tangent.
pub(super) fn atanh<C: Core>(c: &mut C, x: C::F) -> C::F {
    let sign = c.sign_bit(x);
    let size = c.abs(x);
    let one = c.float(1.0);
    let minus = c.neg(size);
    let below = ordered_sum(c, one, minus);
    let inverse = c.k_div(1.0, below.hi);
    let zero = c.float(0.0);
    let above = Pair { hi: c.add(size, size), lo: zero };
    let quotient = c.mul(above.hi, inverse);
    let rest = quotient_rest(c, above, below, quotient, inverse);
    let head = sum(c, one, quotient);
    let lo = c.add(head.lo, rest);
    let value = ln_pair(c, Pair { hi: head.hi, lo }, None);
    let value = c.mul_k(value, 0.5);
    let is_tiny = c.lt_k(size, tiny(c));
    let value = c.select(is_tiny, size, value);
    let at_end = c.eq_k(size, 1.0);
    let outside = c.select_kk(at_end, f64::INFINITY, f64::NAN);
    let inside = c.lt_k(size, 1.0);
    let value = c.select(inside, value, outside);
    c.with_sign(value, sign)
}
