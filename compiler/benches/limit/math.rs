//! Elementary functions on eight numbers, with the error of the compiler's own: `exp` below 1 ulp, the others below 2.

use std::arch::x86_64::*;

use super::vector::{V, splat};

/// The number whose addition rounds to a whole number.
const MAGIC: f32 = 12_582_912.0;
const LOG2_E: f32 = std::f32::consts::LOG2_E;
const LN2_HIGH: f32 = std::f32::consts::LN_2;
const LN2_LOW: f32 = -1.904_654_2e-9;
const EXP: [f32; 7] = [1.0, 1.0, 0.499_999_94, 0.166_665_14, 0.041_668_06, 0.008_369_551, 0.001_384_377_6];

/// The polynomial of these coefficients, lowest first.
#[target_feature(enable = "avx2,fma")]
#[inline]
fn horner<const N: usize>(x: V, c: [f32; N]) -> V {
    let mut value = splat(c[N - 1]);
    for &c in c[..N - 1].iter().rev() {
        value = _mm256_fmadd_ps(value, x, splat(c));
    }
    value
}

/// n = round(x / ln 2) with a bias in the low bits of a float, and e^(x - n ln 2).
#[target_feature(enable = "avx2,fma")]
#[inline]
pub fn exp_parts(x: V, bias: f32) -> (V, V, V) {
    let magic = splat(MAGIC + bias);
    let biased = _mm256_fmadd_ps(x, splat(LOG2_E), magic);
    let n = _mm256_sub_ps(biased, magic);
    let r = _mm256_fnmadd_ps(n, splat(LN2_HIGH), x);
    let r = _mm256_fnmadd_ps(n, splat(LN2_LOW), r);
    (biased, n, horner(r, EXP))
}

/// The float whose exponent field is the low bits of `biased`.
#[target_feature(enable = "avx2,fma")]
#[inline]
fn power(biased: V) -> V {
    _mm256_castsi256_ps(_mm256_slli_epi32::<23>(_mm256_castps_si256(biased)))
}

/// e^x, subnormal results and NaN included.
#[target_feature(enable = "avx2,fma")]
#[inline]
pub fn exp(x: V) -> V {
    // The second operand is the result where either is NaN.
    let x = _mm256_min_ps(splat(89.0), _mm256_max_ps(splat(-104.0), x));
    let (biased, _, p) = exp_parts(x, 254.0);
    let both = _mm256_castps_si256(biased);
    let half = _mm256_srli_epi32::<1>(both);
    let rest = _mm256_sub_epi32(both, half);
    let half = _mm256_castsi256_ps(_mm256_slli_epi32::<23>(half));
    let rest = _mm256_castsi256_ps(_mm256_slli_epi32::<23>(rest));
    _mm256_mul_ps(_mm256_mul_ps(p, half), rest)
}

/// e^x for x <= 0, 0 where it is below the normal numbers.
#[target_feature(enable = "avx2,fma")]
#[inline]
pub fn exp_nonpos(x: V) -> V {
    let (biased, _, p) = exp_parts(_mm256_max_ps(splat(-88.0), x), 127.0);
    _mm256_mul_ps(p, power(biased))
}

/// 2^n for whole n <= 0; 0 below -126.
#[target_feature(enable = "avx2,fma")]
#[inline]
pub fn exp2_whole_nonpos(n: V) -> V {
    power(_mm256_add_ps(_mm256_max_ps(n, splat(-127.0)), splat(MAGIC + 127.0)))
}

/// 1 / (1 + e^-x).
#[target_feature(enable = "avx2,fma")]
#[inline]
pub fn sigmoid(x: V) -> V {
    let q = [-0.75, 0.374_999_05, -0.124_999_054, 0.031_275_358, -0.006_275_201_7, 0.000_893_943_07];
    let x = _mm256_min_ps(splat(20.0), _mm256_max_ps(splat(-104.0), x));
    let magic = splat(MAGIC + 151.0);
    let biased = _mm256_fmadd_ps(x, splat(LOG2_E), magic);
    let n = _mm256_sub_ps(biased, magic);
    let r = _mm256_fnmadd_ps(n, splat(LN2_HIGH), x);
    let r = _mm256_fnmadd_ps(n, splat(LN2_LOW), r);
    let power = power(biased);
    let weight = splat(0.75 / 16_777_216.0);
    let below = _mm256_fmadd_ps(horner(r, q), r, _mm256_fmadd_ps(power, weight, splat(0.75)));
    _mm256_div_ps(_mm256_mul_ps(power, weight), below)
}

/// x/2 (1 + erf(x / sqrt 2)): an error of at most 1.94 * 2^-24 of |x|. Minus infinity gives 0.
#[target_feature(enable = "avx2,fma")]
#[inline]
pub fn gelu(x: V) -> V {
    let p = [
        1.151_108_9,
        -0.459_164_08,
        0.052_667_428,
        0.007_364_346,
        0.000_407_853_3,
        -5.740_373_3e-5,
        -8.821_456_5e-6,
    ];
    #[expect(clippy::approx_constant, reason = "a coefficient, near ln 2 and not it")]
    let q = [1.0, 0.693_147, 0.240_222_47, 0.055_507_116, 0.009_671_295, 0.001_326_922];
    let minus = _mm256_max_ps(splat(-5.9), _mm256_or_ps(x, splat(-0.0)));
    let t = _mm256_mul_ps(minus, horner(minus, p));
    let magic = splat(MAGIC + 126.0);
    let biased = _mm256_add_ps(t, magic);
    let r = _mm256_sub_ps(t, _mm256_sub_ps(biased, magic));
    let tail = _mm256_fmsub_ps(power(biased), horner(r, q), splat(2.124_847e-9));
    _mm256_fmadd_ps(minus, tail, _mm256_max_ps(splat(-0.0), x))
}

/// tanh x, within 1.5 ulp.
#[target_feature(enable = "avx2,fma")]
#[inline]
pub fn tanh(x: V) -> V {
    let sign = _mm256_and_ps(x, splat(-0.0));
    let size = _mm256_min_ps(splat(10.0), _mm256_andnot_ps(splat(-0.0), x));
    let magic = splat(MAGIC + 127.0);
    let shifted = _mm256_max_ps(splat(0.0), _mm256_sub_ps(size, splat(0.377)));
    let biased = _mm256_fmadd_ps(shifted, splat(2.0 * LOG2_E), magic);
    let n = _mm256_sub_ps(biased, magic);
    let r = _mm256_fnmadd_ps(n, splat(0.5 * LN2_HIGH), size);
    let r2 = _mm256_mul_ps(r, r);
    let p = horner(r2, [-0.333_329_44, 0.133_206_56, -0.052_667_122, 0.016_428_245]);
    let t = _mm256_fmadd_ps(_mm256_mul_ps(r2, r), p, r);
    let power = power(biased);
    let less = _mm256_sub_ps(power, splat(1.0));
    let more = _mm256_add_ps(power, splat(1.0));
    let above = _mm256_fmadd_ps(t, more, less);
    let below = _mm256_add_ps(above, _mm256_fmadd_ps(t, splat(-2.0), splat(2.0)));
    _mm256_or_ps(_mm256_div_ps(above, below), sign)
}
