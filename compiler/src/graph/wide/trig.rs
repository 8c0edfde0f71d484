//! Circular functions and their inverses.
//!
//! The argument of sin, cos and tan is reduced exactly, as whole numbers against 1280 bits of 2/pi (Payne and Hanek,
//! 1983), for every argument in `f64`'s range; beyond 2^1024 the result is NaN. The inverse functions correct a first
//! value from `libm` by one step with the tangent in double-double.

use super::Wide;
use super::dd::{Dd, exact_sum, poly, quick_two_sum};
use super::from_u128;

impl Wide {
    /// The sine.
    pub fn sin(self) -> Wide {
        if self.is_tiny() {
            return self;
        }
        self.sin_cos().map_or(Wide::NAN, |(sin, _)| Wide::from_dd(sin, 0))
    }

    /// The cosine.
    pub fn cos(self) -> Wide {
        if self.is_tiny() {
            return Wide::ONE;
        }
        self.sin_cos().map_or(Wide::NAN, |(_, cos)| Wide::from_dd(cos, 0))
    }

    /// The tangent.
    pub fn tan(self) -> Wide {
        if self.is_tiny() {
            return self;
        }
        self.sin_cos().map_or(Wide::NAN, |(sin, cos)| Wide::from_dd(sin / cos, 0))
    }

    /// Whether `self`² does not reach 1 any more.
    fn is_tiny(self) -> bool {
        self.is_zero() || self.exp < -110
    }

    /// None where there is no value: for NaN, infinities, and beyond 2^1024.
    fn sin_cos(self) -> Option<(Dd, Dd)> {
        if !self.is_finite() || self.exp > 1023 {
            return None;
        }
        let (quadrant, rest) = if self.exp < -1 { (0, self.to_dd()) } else { quarter_turns(self) };
        let (sin, cos) = (sin_near_zero(rest), cos_near_zero(rest));
        Some(match quadrant {
            0 => (sin, cos),
            1 => (cos, -sin),
            2 => (-sin, -cos),
            _ => (-cos, sin),
        })
    }

    /// The inverse of `tan`.
    pub fn atan(self) -> Wide {
        if self.is_nan() || self.is_tiny() {
            return self;
        }
        self.abs().atan2(Wide::ONE).copysign(self)
    }

    /// The angle of the point (x, y) where `self` is y; the special cases are IEEE 754's.
    pub fn atan2(self, x: Wide) -> Wide {
        if self.is_nan() || x.is_nan() {
            return Wide::NAN;
        }
        let (a, b) = (self.abs(), x.abs());
        let quarter = if a.is_infinite() && b.is_infinite() {
            Wide::from_dd(HALF_PI, -1)
        } else if a.is_zero() && b.is_zero() {
            Wide::ZERO
        } else if a <= b {
            atan_below_one(a / b)
        } else {
            Wide::from_dd(HALF_PI, 0) - atan_below_one(b / a)
        };
        let angle = if x.is_negative() { Wide::from_dd(HALF_PI, 1) - quarter } else { quarter };
        angle.copysign(self)
    }

    /// The inverse of `sin`; NaN beyond 1.
    pub fn asin(self) -> Wide {
        self.atan2(self.other_leg())
    }

    /// The inverse of `cos`; NaN beyond 1.
    pub fn acos(self) -> Wide {
        self.other_leg().atan2(self)
    }

    /// sqrt(1 - x²).
    fn other_leg(self) -> Wide {
        ((Wide::ONE - self) * (Wide::ONE + self)).sqrt()
    }
}

/// atan on [0, 1].
fn atan_below_one(x: Wide) -> Wide {
    if x.is_tiny() {
        return x;
    }
    let x = x.to_dd();
    let near = Dd::from(libm::atan(x.hi));
    let (sin, cos) = (sin_near_zero(near), cos_near_zero(near));
    // tan(atan x - near); the cube of it no longer counts.
    let step = (x * cos - sin).hi / (cos + x * sin).hi;
    Wide::from_dd(quick_two_sum(near.hi, step), 0)
}

/// sin on |x| <= pi/4 by its Taylor series.
fn sin_near_zero(x: Dd) -> Dd {
    let square = x.square();
    x + x * square * poly(square, &SIN_SERIES, 8)
}

/// cos on |x| <= pi/4 by its Taylor series.
fn cos_near_zero(x: Dd) -> Dd {
    let square = x.square();
    let rest = square.square() * poly(square, &COS_SERIES, 8);
    let half = square.scale(-0.5);
    exact_sum(&[1.0, half.hi, half.lo, rest.hi, rest.lo])
}

/// A number modulo 4 with 256 bits after the point, two's complement, lowest word first. The words above the
/// point wrap around.
type Fixed = [u64; 5];

/// x as n quarter turns and a rest: n modulo 4, and the rest within pi/4.
fn quarter_turns(x: Wide) -> (u64, Dd) {
    let turns = add(turns_of(x.hi, x.exp), turns_of(x.lo, x.exp));
    let half = [0, 0, 0, 1 << 63, 0];
    let nearest = add(turns, half)[4];
    let rest = [turns[0], turns[1], turns[2], turns[3], turns[4].wrapping_sub(nearest)];
    (nearest & 3, fixed_to_dd(rest) * HALF_PI)
}

/// part·2^exp·2/pi modulo 4, to 2^-203.
fn turns_of(part: f64, exp: i64) -> Fixed {
    let (mantissa, part_exp) = decode(part);
    let end = exp + part_exp + 256;
    if mantissa == 0 || end < -64 {
        return [0; 5];
    }
    let mut product = [0; 5];
    let mut carry = 0;
    for (i, word) in product.iter_mut().enumerate() {
        let term = u128::from(two_over_pi_until(end - 64 * i as i64)) * u128::from(mantissa) + carry;
        *word = term as u64;
        carry = term >> 64;
    }
    if part < 0.0 { negate(product) } else { product }
}

/// A finite number as mantissa times a power of two; the sign is left out.
fn decode(x: f64) -> (u64, i64) {
    let bits = x.to_bits();
    let fraction = bits & ((1 << 52) - 1);
    match (bits >> 52 & 0x7ff) as i64 {
        0 => (fraction, -1074),
        exp => (fraction | 1 << 52, exp - 1075),
    }
}

/// The 64 bits of 2/pi that end with the one of weight 2^-end.
fn two_over_pi_until(end: i64) -> u64 {
    let start = end - 64;
    let word = |i: i64| usize::try_from(i).ok().and_then(|i| TWO_OVER_PI.get(i)).copied().unwrap_or(0);
    let (index, shift) = (start.div_euclid(64), start.rem_euclid(64));
    if shift == 0 { word(index) } else { word(index) << shift | word(index + 1) >> (64 - shift) }
}

fn add(a: Fixed, b: Fixed) -> Fixed {
    let mut sum = [0; 5];
    let mut carry = false;
    for i in 0..5 {
        (sum[i], carry) = a[i].carrying_add(b[i], carry);
    }
    sum
}

fn negate(a: Fixed) -> Fixed {
    add(a.map(|word| !word), [1, 0, 0, 0, 0])
}

/// The 107 leading bits of a number in [-1/2, 1/2].
fn fixed_to_dd(value: Fixed) -> Dd {
    let negative = value[4] >> 63 == 1;
    let magnitude = if negative { negate(value) } else { value };
    let Some(top) = (0..4).rev().find(|&i| magnitude[i] != 0) else { return Dd::ZERO };
    let word = |i: usize| u128::from(magnitude[i]);
    let below = |by: usize| if top >= by { word(top - by) } else { 0 };
    let lead = magnitude[top].leading_zeros();
    let bits = word(top) << 64 | below(1);
    // 127 bits, so that the two halves of the result fit in an i128.
    let leading = (bits << lead | below(2) >> (64 - lead)) >> 1;
    let unit = 64 * (top as i64 - 5) - i64::from(lead) + 1;
    let result = from_u128(leading).scale(super::pow2(unit));
    if negative { -result } else { result }
}

/// pi / 2.
#[allow(clippy::approx_constant)] // the leading part of a longer number
const HALF_PI: Dd = Dd::new(1.5707963267948966, 6.123233995736766e-17);

/// (-1)^(n+1) / (2n + 3)!, the series of (sin x - x) / x^3 in x^2.
const SIN_SERIES: [Dd; 14] = [
    Dd::new(-0.16666666666666666, -9.25185853854297e-18),
    Dd::new(0.008333333333333333, 1.1564823173178714e-19),
    Dd::new(-0.0001984126984126984, -1.7209558293420705e-22),
    Dd::new(2.7557319223985893e-06, -1.858393274046472e-22),
    Dd::new(-2.505210838544172e-08, 1.448814070935912e-24),
    Dd::new(1.6059043836821613e-10, 1.2585294588752098e-26),
    Dd::new(-7.647163731819816e-13, -7.03872877733453e-30),
    Dd::new(2.8114572543455206e-15, 1.6508842730861433e-31),
    Dd::new(-8.22063524662433e-18, -2.2141894119604265e-34),
    Dd::new(1.9572941063391263e-20, -1.3643503830087908e-36),
    Dd::new(-3.868170170630684e-23, 8.843177655482344e-40),
    Dd::new(6.446950284384474e-26, -1.9330404233703465e-42),
    Dd::new(-9.183689863795546e-29, -1.4303150396787322e-45),
    Dd::new(1.1309962886447716e-31, 1.0498015412959506e-47),
];

/// (-1)^n / (2n + 4)!, the series of (cos x - 1 + x^2/2) / x^4 in x^2.
const COS_SERIES: [Dd; 14] = [
    Dd::new(0.041666666666666664, 2.3129646346357427e-18),
    Dd::new(-0.001388888888888889, 5.300543954373577e-20),
    Dd::new(2.48015873015873e-05, 2.1511947866775882e-23),
    Dd::new(-2.755731922398589e-07, -2.3767714622250297e-23),
    Dd::new(2.08767569878681e-09, -1.20734505911326e-25),
    Dd::new(-1.1470745597729725e-11, -2.0655512752830745e-28),
    Dd::new(4.779477332387385e-14, 4.399205485834081e-31),
    Dd::new(-1.5619206968586225e-16, -1.1910679660273754e-32),
    Dd::new(4.110317623312165e-19, 1.4412973378659527e-36),
    Dd::new(-8.896791392450574e-22, 7.911402614872376e-38),
    Dd::new(1.6117375710961184e-24, -3.6846573564509766e-41),
    Dd::new(-2.4795962632247976e-27, 1.2953730964765229e-43),
    Dd::new(3.279889237069838e-30, 1.5117542744029879e-46),
    Dd::new(-3.7699876288159054e-33, -2.5870347832750324e-49),
];

/// The first 1280 bits of 2/pi after the binary point.
const TWO_OVER_PI: [u64; 20] = [
    0xa2f9_836e_4e44_1529,
    0xfc27_57d1_f534_ddc0,
    0xdb62_9599_3c43_9041,
    0xfe51_63ab_debb_c561,
    0xb724_6e3a_424d_d2e0,
    0x0649_2eea_09d1_921c,
    0xfe1d_eb1c_b129_a73e,
    0xe882_35f5_2ebb_4484,
    0xe99c_7026_b45f_7e41,
    0x3991_d639_8353_39f4,
    0x9c84_5f8b_bdf9_283b,
    0x1ff8_97ff_de05_980f,
    0xef2f_118b_5a0a_6d1f,
    0x6d36_7ecf_27cb_09b7,
    0x4f46_3f66_9e5f_ea2d,
    0x7527_bac7_ebe5_f17b,
    0x3d07_39f7_8a52_92ea,
    0x6bfb_5fb1_1f8d_5d08,
    0x5603_3046_fc7b_6bab,
    0xf0cf_bc20_9af4_361d,
];
