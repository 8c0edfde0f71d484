//! Numbers as unevaluated sums of two values of the type, for the few steps where one value is not enough.

use super::core::Core;

/// The sum of `hi` and a much smaller `lo`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pair<F> {
    /// The sum, rounded or nearly so.
    pub hi: F,
    /// What `hi` lacks.
    pub lo: F,
}

/// `a + b` exactly, where |a| >= |b| or a = 0.
pub(super) fn ordered_sum<C: Core>(c: &mut C, a: C::F, b: C::F) -> Pair<C::F> {
    let hi = c.add(a, b);
    let taken = c.sub(hi, a);
    let lo = c.sub(b, taken);
    Pair { hi, lo }
}

/// `a + b` exactly.
pub(super) fn sum<C: Core>(c: &mut C, a: C::F, b: C::F) -> Pair<C::F> {
    let hi = c.add(a, b);
    let from_b = c.sub(hi, a);
    let from_a = c.sub(hi, from_b);
    let lost_a = c.sub(a, from_a);
    let lost_b = c.sub(b, from_b);
    let lo = c.add(lost_a, lost_b);
    Pair { hi, lo }
}

/// `a * b` exactly (but for underflow).
pub(super) fn product<C: Core>(c: &mut C, a: C::F, b: C::F) -> Pair<C::F> {
    let hi = c.mul(a, b);
    let minus = c.neg(hi);
    let lo = c.fma(a, b, minus);
    Pair { hi, lo }
}

/// `a * b` to twice the precision of the type, less a few bits.
pub(super) fn times<C: Core>(c: &mut C, a: Pair<C::F>, b: Pair<C::F>) -> Pair<C::F> {
    let exact = product(c, a.hi, b.hi);
    let lo = c.fma(a.hi, b.lo, exact.lo);
    let lo = c.fma(a.lo, b.hi, lo);
    Pair { hi: exact.hi, lo }
}

/// What `a / b` lacks of the true quotient of two pairs, where `quotient` is about a / b and `inverse` about 1 / b.
pub(super) fn quotient_rest<C: Core>(
    c: &mut C,
    a: Pair<C::F>,
    b: Pair<C::F>,
    quotient: C::F,
    inverse: C::F,
) -> C::F {
    let minus = c.neg(quotient);
    let rest = c.fma(minus, b.hi, a.hi);
    let rest = c.fma(minus, b.lo, rest);
    let rest = c.add(rest, a.lo);
    c.mul(rest, inverse)
}

/// The square root of a pair; `a.hi` is positive, or the result's low part is not a number.
pub(super) fn sqrt<C: Core>(c: &mut C, a: Pair<C::F>) -> Pair<C::F> {
    let hi = c.sqrt(a.hi);
    let minus = c.neg(hi);
    let rest = c.fma(minus, hi, a.hi);
    let rest = c.add(rest, a.lo);
    let half = c.float(0.5);
    let by = c.div(half, hi);
    let lo = c.mul(rest, by);
    Pair { hi, lo }
}
