//! `one_plus_erf`: 1 + erf x, what gelu multiplies with.
//!
//! Formula (f32): with E = erfc|x| = e^-u, u(x) = -ln erfc x = x + x p(x) by a polynomial, it is E for x < 0 and 2 - E
//! elsewhere; the exponential as in `exp`. |x| is clamped, and what E is there is taken off, so that beyond the result is
//! exactly 0 and 2.
//! Polynomial: p of degree 8, minimax for the absolute error of E on [0, 4.2] (see `tests/minimax`), coefficients rounded
//! from the lowest on.
//! f64: the sum of 1 and `erf`.
//! Measured (f32): absolute error at most 2.20 * 2^-24, at |x| = 0.3685; see the test. x * (1 + erf(x)) / 2 so has 1.1 * 2^-24 of |x| before its own rounding; the
//! quotient of two polynomials that stood here before had 3.6 * 2^-24.

use super::core::{Core, FloatTy};
use super::erf::erf;
use super::exp::{LOG2_E, exp_reduced, power_of_two, reduce_short, round_scaled};
use super::parts::{CoreExt, horner};

/// Where |x| is clamped.
const CLAMP: f64 = 4.2;
/// What E is there, as it is computed.
const LEAST: f64 = 2.533739662524681e-9;

/// p with -ln erfc x = x + x p(x).
const LOG_ERFC_F32: [f64; 8] = [
    0.12838025391101837,
    0.6365976929664612,
    0.10291983932256699,
    -0.019584540277719498,
    0.0005376943154260516,
    0.0010318818967789412,
    -0.00030862929997965693,
    3.141853085253388e-5,
];

/// 1 + erf x.
pub(super) fn one_plus_erf<C: Core>(c: &mut C, x: C::F) -> C::F {
    if c.ty() == FloatTy::F64 {
        let erf = erf(c, x);
        return c.add_k(erf, 1.0);
    }
    let size = c.abs(x);
    let size = c.at_most(size, CLAMP);
    let p = horner(c, size, &LOG_ERFC_F32);
    let u = c.fma(size, p, size);
    let (biased, n) = round_scaled(c, u, -LOG2_E, c.bias());
    let r = reduce_short(c, u, n, -1.0);
    let minus = c.neg(r);
    let e = exp_reduced(c, minus);
    let power = power_of_two(c, biased);
    let below = c.fma_add_k(power, e, -LEAST);
    let above = c.k_sub(2.0, below);
    let negative = c.lt_k(x, 0.0);
    c.select(negative, below, above)
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
        let dense = (0.35f32.to_bits()..0.38f32.to_bits()).map(f32::from_bits);
        let worst = coarse.chain(dense).map(error).fold(0.0, f64::max);
        assert!((2.19..=2.20).contains(&worst), "{worst} * 2^-24");
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
