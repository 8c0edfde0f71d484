//! `gelu`: x Phi(x), that is x/2 (1 + erf(x / sqrt 2)), in f32.
//!
//! Formula: with T(s) = erfc(s / sqrt 2) / 2, the normal distribution's tail above s = |x|, it is max(x, 0) - |x| T(|x|): one fma, no
//! division, no select, and no rounding of x / sqrt 2. T = 2^(t - 1), t(s) = log2 erfc(s / sqrt 2) = s p(s) by a polynomial; the
//! exponential as in `exp2`. Computed is with -|x|, which is the factor as well; it is clamped, and what T is there is taken off, so
//! that T is exactly 0 beyond. The factor is x itself where x < 0, so that -inf gives NaN, as the formula does.
//! Polynomials: p of degree 6, minimax for the absolute error of T on [0, 5.6]: 2^-24.6; 2^r of degree 5, less than in `exp2`, 2^-23.4 of T;
//! coefficients rounded from the lowest on and made by `tests/minimax`.
//! Error budget, in 2^-24 of |x|: last fma 1 (half an ulp), p 0.65, 2^r 0.5, t 0.3.
//! Measured: 1.94 * 2^-24 of |x|, at x = 0.3255 (all x); see the test. By `one_plus_erf` it is 1.68 and takes 1.5 times as long; the
//! quotient of two polynomials that stood here first had 3.8 and takes 0.86 times as long.
//! f64: by `erf`.

use super::core::{Core, FloatTy};
use super::erf::erf;
use super::exp::{magic, power_of_two};
use super::parts::{CoreExt, horner, horner_neg};

/// Where |x| is clamped.
const CLAMP: f64 = 5.9;
/// What T is there, as it is computed.
const LEAST: f64 = 2.12484696504589e-9;

/// p with log2 erfc(s / sqrt 2) = s p(s).
const LOG_TAIL_F32: [f64; 7] = [
    -1.1511088609695435,
    -0.4591640830039978,
    -0.05266742780804634,
    0.00736434618011117,
    -0.0004078533092979342,
    -5.7403733080718666e-5,
    8.821456503937952e-6,
];

/// q with 2^r = 1 + r q(r) for |r| <= 1/2.
const EXP2_F32: [f64; 5] =
    [0.6931470036506653, 0.24022246897220612, 0.0555071160197258, 0.009671295061707497, 0.001326921978034079];

/// x/2 (1 + erf(x / sqrt 2)).
pub(super) fn gelu<C: Core>(c: &mut C, x: C::F) -> C::F {
    if c.ty() == FloatTy::F64 {
        let scaled = c.mul_k(x, std::f64::consts::FRAC_1_SQRT_2);
        let erf = erf(c, scaled);
        let wide = c.add_k(erf, 1.0);
        let half = c.mul_k(x, 0.5);
        return c.mul(half, wide);
    }
    let (bits, sign) = (c.bits(x), c.float(-0.0));
    let sign = c.bits(sign);
    let minus = c.ior(bits, sign);
    let minus = c.float_from_bits(minus);
    let minus = c.at_least(minus, -CLAMP);
    let p = horner_neg(c, minus, &LOG_TAIL_F32.map(|k| -k));
    let t = c.mul(minus, p);
    let magic = magic(c, c.bias() - 1);
    let biased = c.add_k(t, magic);
    let n = c.add_k(biased, -magic);
    let r = c.sub(t, n);
    let q = horner(c, r, &EXP2_F32);
    let e = c.fma_add_k(q, r, 1.0);
    let power = power_of_two(c, biased);
    let tail = c.fma_add_k(power, e, -LEAST);
    let factor = c.min(x, minus);
    // -0 for x < 0, which is the sign where the tail is 0.
    let above = c.at_least(x, -0.0);
    c.fma(factor, tail, above)
}

#[cfg(test)]
mod tests {
    use super::super::Scalar32;
    use super::gelu;

    /// Over all x in steps of a few hundred numbers, and over all where the error is largest: against libm's erfc in f64.
    #[test]
    fn errors_are_as_stated() {
        let error = |x: f32| {
            let wide = f64::from(x);
            let off = f64::from(gelu(&mut Scalar32, x)) - 0.5 * wide * libm::erfc(-wide * 0.5f64.sqrt());
            off.abs() / wide.abs().max(2f64.powi(-126)) * 2f64.powi(24)
        };
        let coarse = (0..=0xFF7F_FFFFu32).step_by(211).map(f32::from_bits).filter(|x| x.is_finite());
        let dense = (0.31f32.to_bits()..0.34f32.to_bits()).map(f32::from_bits);
        let worst = coarse.chain(dense).map(error).fold(0.0, f64::max);
        assert!((1.93..=1.94).contains(&worst), "{worst} * 2^-24");
    }

    #[test]
    fn special_values() {
        let f = |x: f32| gelu(&mut Scalar32, x);
        assert_eq!(f(0.0).to_bits(), 0.0f32.to_bits());
        assert_eq!(f(-0.0).to_bits(), (-0.0f32).to_bits());
        assert_eq!(f(f32::INFINITY), f32::INFINITY);
        assert!(f(f32::NEG_INFINITY).is_nan());
        assert!(f(f32::NAN).is_nan());
        assert_eq!(f(f32::MAX), f32::MAX);
        for x in [-5.9f32, -6.0, -7.5, -40.0, f32::MIN] {
            assert_eq!(f(x).to_bits(), (-0.0f32).to_bits(), "{x}");
            assert_eq!(f(-x), -x, "{x}");
        }
    }
}
