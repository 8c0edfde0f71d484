//! `one_plus_erf`: 1 + erf x, what gelu multiplies with.
//!
//! Formula (f32): with a = |x|, erfc a = 2^q(a), and 1 + erf x is erfc a for x < 0 and 2 - erfc a otherwise. q is a polynomial
//! without constant term, so that erfc 0 is exactly 1; the power of two is taken as in `exp2`. Nothing cancels, also
//! where erf is near -1, and there is no division.
//! q: degree 8, minimax on [0, 4] for the absolute error of 2^q (2^-24.9), and for 0.7 % of it where it is small; made by
//! linear programming, coefficients rounded to f32 from the lowest on and the rest refitted. Beyond 4 it goes on falling, faster
//! than erfc does; below 2^-126 the result is 0.
//! 2^r: degree 5 on [-1/2, 1/2], constant term exactly 1, minimax, error 2^-23.3.
//! f64: the sum of 1 and `erf`.
//! Measured (f32): absolute error at most 2^-22.9 over all x, see the test; for x < 0 relative to 1 + erf x at most 3 ulp from -1/2 on, 1 % down to -4.

use super::core::{Core, FloatTy};
use super::erf::erf;
use super::exp::{magic, power_of_two};
use super::parts::{CoreExt, horner};

/// log2(erfc a) / a.
const LOG2_ERFC: [f64; 8] = [
    -1.6279098987579346,
    -0.9183933734893799,
    -0.14861208200454712,
    0.02858823537826538,
    -0.0012140109902247787,
    -0.001184823689982295,
    0.00034009592491202056,
    -3.109620956820436e-05,
];

/// 2^r.
const EXP2: [f64; 6] = [
    1.0,
    0.6931470036506653,
    0.24022243916988373,
    0.0555071085691452,
    0.00967149157077074,
    0.0013269871706143022,
];

/// 1 + erf x.
pub(super) fn one_plus_erf<C: Core>(c: &mut C, x: C::F) -> C::F {
    if c.ty() == FloatTy::F64 {
        let erf = erf(c, x);
        return c.add_k(erf, 1.0);
    }
    let a = c.abs(x);
    let slope = horner(c, a, &LOG2_ERFC);
    let q = c.mul(a, slope);
    // 2^-127 has the exponent field 0.
    let q = c.at_least(q, -127.0);
    let magic = magic(c, c.bias());
    let biased = c.add_k(q, magic);
    let n = c.add_k(biased, -magic);
    let r = c.sub(q, n);
    let p = horner(c, r, &EXP2);
    let power = power_of_two(c, biased);
    let erfc = c.mul(p, power);
    let above = c.k_sub(2.0, erfc);
    let negative = c.lt_k(x, 0.0);
    c.select(negative, erfc, above)
}

#[cfg(test)]
mod tests {
    use super::super::{Core, Scalar32};
    use super::one_plus_erf;

    /// Over all x in steps of a few hundred numbers: the error against libm's erfc in f64.
    #[test]
    fn errors_are_as_stated() {
        let (mut absolute, mut near, mut down) = (0.0f64, 0.0f64, 0.0f64);
        for bits in (0..=0xFF7F_FFFFu32).step_by(211) {
            let x = f32::from_bits(bits);
            if x.is_nan() {
                continue;
            }
            let y = f64::from(one_plus_erf(&mut Scalar32, x));
            let exact = libm::erfc(-f64::from(x));
            let error = (y - exact).abs();
            absolute = absolute.max(error);
            if (-0.5..0.0).contains(&x) {
                near = near.max(error / exact);
            }
            if (-4.0..0.0).contains(&x) {
                down = down.max(error / exact);
            }
        }
        let unit = 2f64.powi(-24);
        println!("absolute 2^{:.2}, near {:.2} * 2^-24, down to -4: {down:.4}", absolute.log2(), near / unit);
        assert!(absolute <= 2f64.powf(-22.9), "2^{}", absolute.log2());
        assert!(near <= 6.0 * unit, "{}", near / unit);
        assert!(down <= 0.01, "{down}");
    }

    #[test]
    fn special_values() {
        let f = |x: f32| one_plus_erf(&mut Scalar32, x);
        assert_eq!(f(0.0), 1.0);
        assert_eq!(f(-0.0), 1.0);
        assert_eq!(f(f32::INFINITY), 2.0);
        assert_eq!(f(f32::NEG_INFINITY), 0.0);
        assert_eq!(f(-40.0), 0.0);
        assert!(f(f32::NAN).is_nan());
        assert_eq!(Scalar32.ty(), super::FloatTy::F32);
    }
}
