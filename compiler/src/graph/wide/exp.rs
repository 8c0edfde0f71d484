//! Exponentials, logarithms, powers, and the hyperbolic functions made of them.
//!
//! exp: reduction by multiples of ln 2 held in 160 bits, Taylor series on |r| <= 0.35. log: the series of
//! 2 atanh((m - 1)/(m + 1)) on a mantissa in [sqrt(1/2), sqrt(2)).

use super::Wide;
use super::dd::{Dd, exact_sum, poly, two_prod};

/// From this exponent of the argument on, exp leaves the exponent range.
const EXP_RANGE: i64 = 51;

impl Wide {
    /// e to the power `self`.
    pub fn exp(self) -> Wide {
        if let Some(limit) = self.exp_limit() {
            return limit;
        }
        let x = self.to_dd();
        exp_of_sum(&[x.hi, x.lo])
    }

    /// 2 to the power `self`; exact for whole numbers.
    pub fn exp2(self) -> Wide {
        if let Some(limit) = self.exp_limit() {
            return limit;
        }
        let whole = self.round();
        let part = (self - whole).to_dd();
        let scaled = part * Dd::new(LN_2[0], LN_2[1]);
        exp_of_sum(&[scaled.hi, scaled.lo]).scale2(whole.to_i64())
    }

    /// The value of an exponential where its argument is no ordinary one.
    fn exp_limit(self) -> Option<Wide> {
        if self.is_nan() {
            Some(self)
        } else if self.is_zero() {
            Some(Wide::ONE)
        } else if self.is_infinite() || self.exp > EXP_RANGE {
            Some(if self.is_negative() { Wide::ZERO } else { Wide::INFINITY })
        } else {
            None
        }
    }

    /// e to the power `self`, minus 1.
    pub fn expm1(self) -> Wide {
        if self.is_zero() || self.is_nan() || self.exp < -110 {
            return self;
        }
        if self.exp < -2 {
            return Wide::from_dd(expm1_near_zero(self.to_dd()), 0);
        }
        self.exp() - Wide::ONE
    }

    /// The natural logarithm.
    pub fn log(self) -> Wide {
        let Some((exp, log)) = self.log_parts() else { return self.log_limit() };
        let exp = exp as f64;
        let high = two_prod(exp, LN_2[0]);
        let middle = two_prod(exp, LN_2[1]);
        Wide::from_dd(exact_sum(&[high.hi, high.lo, middle.hi, middle.lo, exp * LN_2[2], log.hi, log.lo]), 0)
    }

    /// The logarithm to base 2; exact for powers of two.
    pub fn log2(self) -> Wide {
        let Some((exp, log)) = self.log_parts() else { return self.log_limit() };
        Wide::from_dd((log * INV_LN_2).plus(exp as f64), 0)
    }

    /// The logarithm to base 10; exact for 1, 10, …, 10^45.
    pub fn log10(self) -> Wide {
        let value = self.log() * Wide::from_dd(INV_LN_10, 0);
        let whole = value.round();
        let power = whole.to_i64();
        if (1..=45).contains(&power) && (0..power).fold(Wide::ONE, |p, _| p * Wide::from(10.0)) == self {
            return whole;
        }
        value
    }

    /// log(1 + x), also for tiny x.
    pub fn log1p(self) -> Wide {
        if self.is_zero() || self.is_nan() || self.exp < -110 {
            return self;
        }
        if self.exp < -3 {
            let x = self.to_dd();
            return Wide::from_dd(twice_atanh(x / x.plus(2.0)), 0);
        }
        (Wide::ONE + self).log()
    }

    /// The logarithm where it is no ordinary one.
    fn log_limit(self) -> Wide {
        if self.is_zero() {
            Wide::NEG_INFINITY
        } else if self.is_negative() {
            Wide::NAN
        } else {
            self
        }
    }

    /// `self` as 2^e·m with m in [sqrt(1/2), sqrt(2)): e and log(m). None unless positive and finite.
    fn log_parts(self) -> Option<(i64, Dd)> {
        if self.is_zero() || !self.is_finite() || self.is_negative() {
            return None;
        }
        let mut exp = self.exp;
        let mut m = self.mantissa();
        if m.hi >= std::f64::consts::SQRT_2 {
            m = m.scale(0.5);
            exp += 1;
        }
        Some((exp, twice_atanh(m.plus(-1.0) / m.plus(1.0))))
    }

    /// `self` to the power `y`, with the special cases of IEEE 754's `pow`.
    pub fn pow(self, y: Wide) -> Wide {
        if y.is_zero() || self == Wide::ONE {
            return Wide::ONE;
        }
        if self.is_nan() || y.is_nan() {
            return Wide::NAN;
        }
        let odd = y.is_integer() && !y.scale2(-1).is_integer();
        let negative = self.is_negative() && odd;
        let base = self.abs();
        let magnitude = if base.is_zero() || base.is_infinite() || y.is_infinite() {
            pow_limit(base, y)
        } else if self.is_negative() && !y.is_integer() {
            return Wide::NAN;
        } else {
            base.pow_ordinary(y)
        };
        if negative { -magnitude } else { magnitude }
    }

    /// The power of a positive finite base to a finite exponent.
    fn pow_ordinary(self, y: Wide) -> Wide {
        if y.is_integer() && y.abs() <= Wide::from(64.0) {
            let power = self.pow_by_squaring(y.abs().to_i64());
            return if y.is_negative() { power.recip() } else { power };
        }
        if y == Wide::from(0.5) {
            return self.sqrt();
        }
        let Some((exp, log)) = self.log_parts() else { return self.log_limit() };
        // The power of two that belongs to the base's exponent is kept apart from the mantissa's, so that its
        // whole part leaves without a rounding.
        let of_exp = y * Wide::from(exp);
        let of_mantissa = y * Wide::from_dd(log * INV_LN_2, 0);
        let sum = of_exp + of_mantissa;
        if sum.exp > EXP_RANGE {
            return if sum.is_negative() { Wide::ZERO } else { Wide::INFINITY };
        }
        let whole = sum.round();
        ((of_exp - whole) + of_mantissa).exp2().scale2(whole.to_i64())
    }

    fn pow_by_squaring(self, exponent: i64) -> Wide {
        let (mut power, mut square, mut left) = (Wide::ONE, self, exponent);
        while left > 0 {
            if left & 1 == 1 {
                power = power * square;
            }
            left >>= 1;
            if left > 0 {
                square = square * square;
            }
        }
        power
    }

    /// 1 / (1 + e^-x).
    pub fn sigmoid(self) -> Wide {
        if self.is_negative() {
            let e = self.exp();
            e / (Wide::ONE + e)
        } else {
            (Wide::ONE + (-self).exp()).recip()
        }
    }

    /// The hyperbolic sine.
    pub fn sinh(self) -> Wide {
        let x = self.abs();
        let sinh = if x.exp > 7 || x.is_infinite() {
            x.exp().scale2(-1)
        } else {
            let e = x.expm1();
            (e + e / (e + Wide::ONE)).scale2(-1)
        };
        sinh.copysign(self)
    }

    /// The hyperbolic cosine.
    pub fn cosh(self) -> Wide {
        let e = self.abs().exp();
        (e + e.recip()).scale2(-1)
    }

    /// The hyperbolic tangent.
    pub fn tanh(self) -> Wide {
        let e = self.abs().scale2(1).expm1();
        let tanh = if e.is_infinite() { Wide::ONE } else { e / (e + Wide::TWO) };
        tanh.copysign(self)
    }

    /// The inverse of `sinh`.
    pub fn asinh(self) -> Wide {
        if self.is_infinite() {
            return self;
        }
        let x = self.abs();
        let root = (x * x + Wide::ONE).sqrt();
        (x + x * x / (root + Wide::ONE)).log1p().copysign(self)
    }

    /// The inverse of `cosh`; NaN below 1.
    pub fn acosh(self) -> Wide {
        let t = self - Wide::ONE;
        (t + (t.scale2(1) + t * t).sqrt()).log1p()
    }

    /// The inverse of `tanh`; NaN beyond 1.
    pub fn atanh(self) -> Wide {
        let x = self.abs();
        (x.scale2(1) / (Wide::ONE - x)).log1p().scale2(-1).copysign(self)
    }
}

/// e to the power of an exact sum of up to eight terms, which is below 2^52 in magnitude.
pub(super) fn exp_of_sum(terms: &[f64]) -> Wide {
    let near: f64 = terms.iter().sum();
    let turns = (near * INV_LN_2.hi).round_ties_even();
    let high = two_prod(turns, LN_2[0]);
    let middle = two_prod(turns, LN_2[1]);
    let reduction = [-high.hi, -high.lo, -middle.hi, -middle.lo, -turns * LN_2[2]];
    let mut all = [0.0; 13];
    all[..terms.len()].copy_from_slice(terms);
    all[terms.len()..terms.len() + reduction.len()].copy_from_slice(&reduction);
    let rest = exact_sum(&all[..terms.len() + reduction.len()]);
    Wide::from_dd(expm1_near_zero(rest).plus(1.0), turns as i64)
}

/// e^x - 1 on |x| <= 0.36 by its Taylor series.
fn expm1_near_zero(x: Dd) -> Dd {
    x + x.square() * poly(x, &INV_FACTORIALS, 13)
}

/// 2 atanh(x) on |x| <= 0.172 by its Taylor series.
fn twice_atanh(x: Dd) -> Dd {
    (x * poly(x.square(), &ATANH_SERIES, 11)).scale(2.0)
}

/// The power where the base is zero or infinite, or the exponent is infinite; `base` >= 0.
fn pow_limit(base: Wide, y: Wide) -> Wide {
    if y.is_infinite() && base == Wide::ONE {
        return Wide::ONE;
    }
    if (base > Wide::ONE) == y.is_negative() { Wide::ZERO } else { Wide::INFINITY }
}

/// ln 2 in three parts, to 2^-160.
#[allow(clippy::approx_constant)] // the leading part of a longer number
const LN_2: [f64; 3] = [0.6931471805599453, 2.3190468138462996e-17, 5.707708438416212e-34];
/// 1 / ln 2.
#[allow(clippy::approx_constant)]
const INV_LN_2: Dd = Dd::new(1.4426950408889634, 2.0355273740931033e-17);
/// 1 / ln 10.
#[allow(clippy::approx_constant)]
const INV_LN_10: Dd = Dd::new(0.4342944819032518, 1.098319650216765e-17);

/// 1/(n + 2)! for the series of expm1.
const INV_FACTORIALS: [Dd; 23] = [
    Dd::new(0.5, 0.0),
    Dd::new(0.16666666666666666, 9.25185853854297e-18),
    Dd::new(0.041666666666666664, 2.3129646346357427e-18),
    Dd::new(0.008333333333333333, 1.1564823173178714e-19),
    Dd::new(0.001388888888888889, -5.300543954373577e-20),
    Dd::new(0.0001984126984126984, 1.7209558293420705e-22),
    Dd::new(2.48015873015873e-05, 2.1511947866775882e-23),
    Dd::new(2.7557319223985893e-06, -1.858393274046472e-22),
    Dd::new(2.755731922398589e-07, 2.3767714622250297e-23),
    Dd::new(2.505210838544172e-08, -1.448814070935912e-24),
    Dd::new(2.08767569878681e-09, -1.20734505911326e-25),
    Dd::new(1.6059043836821613e-10, 1.2585294588752098e-26),
    Dd::new(1.1470745597729725e-11, 2.0655512752830745e-28),
    Dd::new(7.647163731819816e-13, 7.03872877733453e-30),
    Dd::new(4.779477332387385e-14, 4.399205485834081e-31),
    Dd::new(2.8114572543455206e-15, 1.6508842730861433e-31),
    Dd::new(1.5619206968586225e-16, 1.1910679660273754e-32),
    Dd::new(8.22063524662433e-18, 2.2141894119604265e-34),
    Dd::new(4.110317623312165e-19, 1.4412973378659527e-36),
    Dd::new(1.9572941063391263e-20, -1.3643503830087908e-36),
    Dd::new(8.896791392450574e-22, -7.911402614872376e-38),
    Dd::new(3.868170170630684e-23, -8.843177655482344e-40),
    Dd::new(1.6117375710961184e-24, -3.6846573564509766e-41),
];

/// 1/(2n + 1) for the series of atanh.
const ATANH_SERIES: [Dd; 22] = [
    Dd::new(1.0, 0.0),
    Dd::new(0.3333333333333333, 1.850371707708594e-17),
    Dd::new(0.2, -1.1102230246251566e-17),
    Dd::new(0.14285714285714285, 7.93016446160826e-18),
    Dd::new(0.1111111111111111, 6.1679056923619804e-18),
    Dd::new(0.09090909090909091, -2.523234146875356e-18),
    Dd::new(0.07692307692307693, -4.270088556250602e-18),
    Dd::new(0.06666666666666667, 9.251858538542971e-19),
    Dd::new(0.058823529411764705, 8.163404592832033e-19),
    Dd::new(0.05263157894736842, 2.921639538487254e-18),
    Dd::new(0.047619047619047616, 2.64338815386942e-18),
    Dd::new(0.043478260869565216, 1.206764157201257e-18),
    Dd::new(0.04, -8.326672684688674e-19),
    Dd::new(0.037037037037037035, 2.05596856412066e-18),
    Dd::new(0.034482758620689655, 4.785444071660157e-19),
    Dd::new(0.03225806451612903, 8.953411488912552e-19),
    Dd::new(0.030303030303030304, -8.410780489584519e-19),
    Dd::new(0.02857142857142857, 8.921435019309293e-19),
    Dd::new(0.02702702702702703, -1.50030138462859e-18),
    Dd::new(0.02564102564102564, 8.896017825522087e-19),
    Dd::new(0.024390243902439025, -8.46206573647223e-19),
    Dd::new(0.023255813953488372, 3.2273925134452225e-19),
];
