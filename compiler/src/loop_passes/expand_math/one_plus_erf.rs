//! `one_plus_erf`: 1 + erf x, what gelu multiplies with.
//!
//! Formula (f32): 1 + c P(c^2) / Q(c^2), where c is x brought into [-L, L]. L is where the quotient, as computed, is exactly
//! 1, so that the sum is exactly 0 and 2 beyond.
//! P, Q: degree 5 each, Q(0) = 1, by iteratively weighted least squares for the absolute error, Q rounded to f32, P refitted
//! to it by linear programming and rounded from the lowest coefficient on; error of the quotient 2^-25.
//! f64: the sum of 1 and `erf`.
//! Measured (f32, all x of 2^-4 and more): absolute error at most 7.02 * 2^-24, at |x| = 3.39, most of it the rounding of P and Q
//! near |x| = 3; the sum of 1 and a correctly rounded erf has 2^-23.6. x * (1 + erf(x)) / 2 so has 3.6 * 2^-24 of |x| before its
//! own rounding. See the test.

use super::core::{Core, FloatTy};
use super::erf::erf;
use super::parts::{CoreExt, horner};

/// The least number whose quotient is 1.
const L: f64 = 3.638270616531372;
const P: [f64; 6] = [
    1.128379225730896,
    0.18750889599323273,
    0.05245325341820717,
    0.0036640730686485767,
    0.0002867019211407751,
    2.127343350366573e-06,
];
const Q: [f64; 6] = [
    1.0,
    0.49950844049453735,
    0.11299104243516922,
    0.014763999730348587,
    0.001145448419265449,
    3.8985221181064844e-05,
];

/// 1 + erf x.
pub(super) fn one_plus_erf<C: Core>(c: &mut C, x: C::F) -> C::F {
    if c.ty() == FloatTy::F64 {
        let erf = erf(c, x);
        return c.add_k(erf, 1.0);
    }
    let x = c.at_least(x, -L);
    let x = c.at_most(x, L);
    let z = c.mul(x, x);
    let p = horner(c, z, &P);
    let p = c.mul(p, x);
    let q = horner(c, z, &Q);
    let erf = c.div(p, q);
    c.add_k(erf, 1.0)
}

#[cfg(test)]
mod tests {
    use super::super::{Core, Scalar32};
    use super::one_plus_erf;

    /// Over all x in steps of a few hundred numbers, and over all where the error is largest: against libm's erfc in f64.
    #[test]
    fn errors_are_as_stated() {
        let error = |x: f32| {
            let y = one_plus_erf(&mut Scalar32, x);
            assert!((0.0..=2.0).contains(&y), "{x}: {y}");
            (f64::from(y) - libm::erfc(-f64::from(x))).abs() * 2f64.powi(24)
        };
        let coarse = (0..=0xFF7F_FFFFu32).step_by(211).map(f32::from_bits).filter(|x| !x.is_nan());
        let dense = (3.35f32.to_bits()..3.45f32.to_bits()).map(f32::from_bits);
        let worst = coarse.chain(dense).map(error).fold(0.0, f64::max);
        assert!((7.01..=7.02).contains(&worst), "{worst} * 2^-24");
    }

    #[test]
    fn special_values() {
        let f = |x: f32| one_plus_erf(&mut Scalar32, x);
        assert_eq!(f(0.0), 1.0);
        assert_eq!(f(-0.0), 1.0);
        assert_eq!(f(f32::INFINITY), 2.0);
        assert_eq!(f(f32::NEG_INFINITY), 0.0);
        assert_eq!(f(-40.0), 0.0);
        assert_eq!(f(40.0), 2.0);
        assert!(f(f32::NAN).is_nan());
        assert_eq!(Scalar32.ty(), super::FloatTy::F32);
    }
}
