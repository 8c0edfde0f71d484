//! Double-double arithmetic: a number as an unevaluated sum of two `f64`, about 106 bits.
//!
//! What `Wide` computes its mantissas with, and what the series of the elementary functions run in. No exponent of its
//! own: the caller keeps values far from the ends of `f64`'s range. Error bounds are those of Joldes, Muller and
//! Popescu, "Tight and rigorous error bounds for basic building blocks of double-word arithmetic" (2017), with
//! u = 2^-53.

use std::ops::{Add, Div, Mul, Neg, Sub};

/// The sum `hi + lo`, where `hi` is that sum rounded to `f64`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Dd {
    pub hi: f64,
    pub lo: f64,
}

/// `a + b` exactly (Knuth's TwoSum).
pub(super) fn two_sum(a: f64, b: f64) -> Dd {
    let hi = a + b;
    let back = hi - a;
    Dd { hi, lo: (a - (hi - back)) + (b - back) }
}

/// `a + b` exactly, if `a` is zero or |a| >= |b| (Dekker's Fast2Sum).
pub(super) fn quick_two_sum(a: f64, b: f64) -> Dd {
    let hi = a + b;
    Dd { hi, lo: b - (hi - a) }
}

/// `a * b` exactly.
pub(super) fn two_prod(a: f64, b: f64) -> Dd {
    let hi = a * b;
    Dd { hi, lo: a.mul_add(b, -hi) }
}

/// The sum of up to 16 terms, rounded once to about 2^-105 of itself whatever cancels (Shewchuk's expansions).
pub(super) fn exact_sum(terms: &[f64]) -> Dd {
    let mut parts = [0.0; 16];
    let mut count = 0;
    for &term in terms {
        let mut carried = term;
        for part in &mut parts[..count] {
            let sum = two_sum(carried, *part);
            *part = sum.lo;
            carried = sum.hi;
        }
        parts[count] = carried;
        count += 1;
    }
    // The parts do not overlap and grow in magnitude; zeros may stand between them.
    parts[..count].iter().rev().fold(Dd::ZERO, |sum, &part| sum.plus(part))
}

/// Σ `coefficients[i]`·x^i by Horner. The terms from `plain` on are computed in `f64` alone: where they are below 2^-53 of
/// the whole, their rounding does not show.
pub(super) fn poly(x: Dd, coefficients: &[Dd], plain: usize) -> Dd {
    let (leading, rest) = coefficients.split_at(plain.min(coefficients.len()));
    let tail = rest.iter().rev().fold(0.0, |sum: f64, c| sum.mul_add(x.hi, c.hi));
    leading.iter().rev().fold(Dd::from(tail), |sum, &c| sum * x + c)
}

impl Dd {
    pub const ZERO: Dd = Dd { hi: 0.0, lo: 0.0 };
    pub const ONE: Dd = Dd { hi: 1.0, lo: 0.0 };

    pub const fn new(hi: f64, lo: f64) -> Dd {
        Dd { hi, lo }
    }

    /// `self + b`; relative error at most 2u^2.
    pub fn plus(self, b: f64) -> Dd {
        let s = two_sum(self.hi, b);
        quick_two_sum(s.hi, s.lo + self.lo)
    }

    /// `self * b`; relative error at most 2u^2.
    pub fn times(self, b: f64) -> Dd {
        let p = two_prod(self.hi, b);
        quick_two_sum(p.hi, self.lo.mul_add(b, p.lo))
    }

    /// `self * factor`, where `factor` is a power of two.
    pub fn scale(self, factor: f64) -> Dd {
        Dd { hi: self.hi * factor, lo: self.lo * factor }
    }

    pub fn square(self) -> Dd {
        self * self
    }
}

impl From<f64> for Dd {
    fn from(hi: f64) -> Dd {
        Dd { hi, lo: 0.0 }
    }
}

impl Neg for Dd {
    type Output = Dd;

    fn neg(self) -> Dd {
        Dd { hi: -self.hi, lo: -self.lo }
    }
}

impl Add for Dd {
    type Output = Dd;

    /// Relative error at most 3u^2 + 13u^3, also where the leading parts cancel.
    fn add(self, b: Dd) -> Dd {
        let s = two_sum(self.hi, b.hi);
        let t = two_sum(self.lo, b.lo);
        let v = quick_two_sum(s.hi, s.lo + t.hi);
        quick_two_sum(v.hi, t.lo + v.lo)
    }
}

impl Sub for Dd {
    type Output = Dd;

    fn sub(self, b: Dd) -> Dd {
        self + -b
    }
}

impl Mul for Dd {
    type Output = Dd;

    /// Relative error at most 4u^2.
    fn mul(self, b: Dd) -> Dd {
        let p = two_prod(self.hi, b.hi);
        let low = self.lo * b.lo;
        let cross = self.hi.mul_add(b.lo, low);
        quick_two_sum(p.hi, p.lo + self.lo.mul_add(b.hi, cross))
    }
}

impl Div for Dd {
    type Output = Dd;

    /// Long division with three quotient digits.
    fn div(self, b: Dd) -> Dd {
        let first = self.hi / b.hi;
        let rest = self - b.times(first);
        let second = rest.hi / b.hi;
        let rest = rest - b.times(second);
        let third = rest.hi / b.hi;
        quick_two_sum(first, second).plus(third)
    }
}
