//! `Wide`: the number type of the reference evaluator.
//!
//! A double-double mantissa with an exponent of its own: (hi + lo)·2^exp with 1 <= |hi| < 2, about 106 bits, and
//! magnitudes from 2^-2^50 to 2^2^50. So `exp(1e6)` is an ordinary number, and the formula of a kernel can be computed
//! as it is written, without overflow, and compared with what a kernel in `f32` or `f64` makes of it.
//!
//! Arithmetic is right to 2^-102 of the result, the exp and log families to 2^-98, all other functions to 2^-90, for
//! operands that are exact. NaN, infinities and the sign of zero are as in IEEE 754; overflow beyond the exponent range
//! gives an infinity, underflow a zero. `rem` takes its operands to 2^-120 relative.
//!
//! Nothing here calls the platform's mathematical library: results are the same on every machine.

mod dd;
mod erf;
mod exp;
mod trig;

#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::fmt;
use std::ops::{Add, Div, Mul, Neg, Rem, Sub};

use dd::{Dd, exact_sum, quick_two_sum, two_prod, two_sum};

/// The largest binary exponent; beyond it lie infinity and zero.
const MAX_EXP: i64 = 1 << 50;

/// Where two operands lie further apart than this, the smaller one does not reach the result.
const APART: i64 = 900;

/// A real number of about 106 bits with a wide exponent, or NaN, or an infinity.
#[derive(Clone, Copy, PartialEq)]
pub struct Wide {
    /// The mantissa rounded to `f64`: 1 <= |hi| < 2. Zeros, infinities and NaN stand here as themselves.
    hi: f64,
    /// What `hi` lacks, at most half a last place of it.
    lo: f64,
    /// The power of two; 0 for zeros, infinities and NaN.
    exp: i64,
}

impl Wide {
    /// Not a number.
    pub const NAN: Wide = Wide::special(f64::NAN);
    /// Positive infinity.
    pub const INFINITY: Wide = Wide::special(f64::INFINITY);
    /// Negative infinity.
    pub const NEG_INFINITY: Wide = Wide::special(f64::NEG_INFINITY);
    /// Positive zero.
    pub const ZERO: Wide = Wide::special(0.0);
    /// One.
    pub const ONE: Wide = Wide { hi: 1.0, lo: 0.0, exp: 0 };
    const TWO: Wide = Wide { hi: 1.0, lo: 0.0, exp: 1 };

    /// A zero, an infinity or NaN.
    const fn special(hi: f64) -> Wide {
        Wide { hi, lo: 0.0, exp: 0 }
    }

    /// (hi + lo)·2^exp, where `hi` is `hi + lo` rounded.
    pub fn from_parts(hi: f64, lo: f64, exp: i64) -> Wide {
        if hi == 0.0 || !hi.is_finite() {
            return Wide::special(hi);
        }
        let (hi, lo, exp) = if hi.abs() < f64::MIN_POSITIVE {
            (hi * pow2(200), lo * pow2(200), exp - 200)
        } else {
            (hi, lo, exp)
        };
        let shift = binary_exponent(hi);
        // In two steps, since 2^-1023 is not a normal number.
        let half = pow2(-shift / 2);
        let rest = pow2(-shift - -shift / 2);
        Wide { hi: hi * half * rest, lo: lo * half * rest, exp: exp + shift }.in_range()
    }

    fn from_dd(value: Dd, exp: i64) -> Wide {
        Wide::from_parts(value.hi, value.lo, exp)
    }

    /// The mantissa and exponent; what `from_parts` takes.
    pub fn to_parts(self) -> (f64, f64, i64) {
        (self.hi, self.lo, self.exp)
    }

    fn in_range(self) -> Wide {
        if self.exp > MAX_EXP {
            Wide::special(f64::INFINITY.copysign(self.hi))
        } else if self.exp < -MAX_EXP {
            Wide::special(0.0f64.copysign(self.hi))
        } else {
            self
        }
    }

    fn mantissa(self) -> Dd {
        Dd { hi: self.hi, lo: self.lo }
    }

    /// The value without an exponent of its own; what is too small for that becomes zero. Needs exp <= 900.
    fn to_dd(self) -> Dd {
        if self.exp < -APART { Dd::ZERO } else { self.mantissa().scale(pow2(self.exp)) }
    }

    /// self·2^by.
    pub fn scale2(self, by: i64) -> Wide {
        if self.is_zero() || !self.is_finite() {
            return self;
        }
        Wide { exp: self.exp.saturating_add(by), ..self }.in_range()
    }

    /// m and n of `self` = m 2^n, |m| in [1/2, 1). Of 0 and infinity the number itself and 0; NaN of NaN.
    pub fn frexp(self) -> (Wide, Wide) {
        if self.is_nan() {
            return (self, self);
        }
        if self.is_zero() || self.is_infinite() {
            return (self, Wide::ZERO);
        }
        // A mantissa of 1 from which something is taken is below 1.
        let below = self.hi.abs() == 1.0 && self.lo * self.hi < 0.0;
        let exponent = self.exp + i64::from(!below);
        (self.scale2(-exponent), Wide::from(exponent))
    }

    /// `self`·2^n for the whole number nearest to `n`.
    pub fn ldexp(self, n: Wide) -> Wide {
        if n.is_nan() || self.is_nan() {
            return Wide::special(f64::NAN);
        }
        if n.is_infinite() {
            return self * if n.is_negative() { Wide::ZERO } else { n };
        }
        let most = Wide::from(2 * MAX_EXP);
        self.scale2(n.round().min(most).max(-most).to_i64())
    }

    /// Whether this is NaN.
    pub fn is_nan(self) -> bool {
        self.hi.is_nan()
    }

    /// Whether this is an infinity.
    pub fn is_infinite(self) -> bool {
        self.hi.is_infinite()
    }

    /// Whether this is neither NaN nor an infinity.
    pub fn is_finite(self) -> bool {
        self.hi.is_finite()
    }

    /// Whether this is a zero of either sign.
    pub fn is_zero(self) -> bool {
        self.hi == 0.0
    }

    /// Whether the sign bit is set.
    pub fn is_negative(self) -> bool {
        self.hi.is_sign_negative()
    }

    /// Whether this is a whole number.
    pub fn is_integer(self) -> bool {
        self.is_finite() && self.trunc() == self
    }

    /// The nearest `f64`, ties to even; correct also for subnormal results.
    pub fn to_f64(self) -> f64 {
        self.round_to(53, -1022, 1023)
    }

    /// The nearest `f32`, ties to even, rounded once.
    pub fn to_f32(self) -> f32 {
        self.round_to(24, -126, 127) as f32
    }

    /// The nearest `f16`, ties to even, rounded once.
    pub fn to_f16(self) -> f64 {
        self.round_to(11, -14, 15)
    }

    /// The nearest `bf16`, ties to even, rounded once.
    pub fn to_bf16(self) -> f64 {
        self.round_to(8, -126, 127)
    }

    /// The nearest number with `bits` bits and a smallest and largest exponent as given; `f64` holds all of them.
    fn round_to(self, bits: i64, min_exp: i64, max_exp: i64) -> f64 {
        if self.is_zero() || !self.is_finite() {
            return self.hi;
        }
        if self.exp > max_exp {
            return f64::INFINITY.copysign(self.hi);
        }
        if self.exp < min_exp - bits - 1 {
            return 0.0f64.copysign(self.hi);
        }
        let quantum = self.exp.max(min_exp) - (bits - 1);
        let scale = pow2(self.exp - quantum);
        let units = round_half_even(self.hi * scale, self.lo * scale);
        // In two steps: the quantum may be a subnormal number, and the sum of units may reach the overflow threshold.
        let value = units * pow2(quantum / 2) * pow2(quantum - quantum / 2);
        let too_large = pow2(max_exp) * 2.0;
        if value.abs() >= too_large { f64::INFINITY.copysign(self.hi) } else { value }
    }

    /// The nearest whole number, ties to even, saturating; NaN gives 0.
    pub fn to_i64(self) -> i64 {
        let whole = self.round();
        if whole.is_nan() || whole.is_zero() {
            return 0;
        }
        if whole.is_infinite() || whole.exp > 63 {
            return if whole.is_negative() { i64::MIN } else { i64::MAX };
        }
        let value = whole.to_dd();
        let sum = value.hi as i128 + value.lo as i128;
        sum.clamp(i64::MIN as i128, i64::MAX as i128) as i64
    }

    /// The magnitude.
    pub fn abs(self) -> Wide {
        if self.is_negative() { -self } else { self }
    }

    /// The magnitude of `self` with the sign of `sign`; NaN if `sign` is.
    pub fn copysign(self, sign: Wide) -> Wide {
        if sign.is_nan() {
            return Wide::NAN;
        }
        if self.is_negative() == sign.is_negative() { self } else { -self }
    }

    /// The larger of the two, and +0 above -0; NaN if either is.
    pub fn max(self, other: Wide) -> Wide {
        match self.partial_cmp(&other) {
            None => Wide::NAN,
            Some(Ordering::Equal) if self.is_negative() => other,
            Some(Ordering::Less) => other,
            Some(Ordering::Equal | Ordering::Greater) => self,
        }
    }

    /// The smaller of the two, and -0 below +0; NaN if either is.
    pub fn min(self, other: Wide) -> Wide {
        match self.partial_cmp(&other) {
            None => Wide::NAN,
            Some(Ordering::Equal) if other.is_negative() => other,
            Some(Ordering::Greater) => other,
            Some(Ordering::Equal | Ordering::Less) => self,
        }
    }

    /// self·b + c, rounded once.
    pub fn fma(self, b: Wide, c: Wide) -> Wide {
        let class = self.hi * b.hi;
        if class == 0.0 || !class.is_finite() || c.is_zero() || !c.is_finite() {
            return self * b + c;
        }
        let product_exp = self.exp + b.exp;
        let exp = product_exp.max(c.exp);
        if product_exp - c.exp > APART {
            return self * b;
        }
        if c.exp - product_exp > APART {
            return c;
        }
        let (down, c_down) = (pow2(product_exp - exp), pow2(c.exp - exp));
        let mut terms = [0.0; 10];
        for (pair, (x, y)) in
            [(self.hi, b.hi), (self.hi, b.lo), (self.lo, b.hi), (self.lo, b.lo)].into_iter().enumerate()
        {
            let product = two_prod(x, y);
            terms[2 * pair] = product.hi * down;
            terms[2 * pair + 1] = product.lo * down;
        }
        terms[8] = c.hi * c_down;
        terms[9] = c.lo * c_down;
        Wide::from_dd(exact_sum(&terms), exp)
    }

    /// One over `self`.
    pub fn recip(self) -> Wide {
        Wide::ONE / self
    }

    /// The square root; NaN below zero.
    pub fn sqrt(self) -> Wide {
        if self.is_zero() || !self.is_finite() || self.is_negative() {
            return Wide::special(self.hi.sqrt());
        }
        let odd = self.exp.rem_euclid(2);
        let value = self.mantissa().scale(pow2(odd));
        let root = value.hi.sqrt();
        // One Newton step; its own error is the square of the first root's.
        let rest = value - two_prod(root, root);
        Wide::from_dd(quick_two_sum(root, rest.hi / (2.0 * root)), (self.exp - odd) / 2)
    }

    /// One over the square root.
    pub fn rsqrt(self) -> Wide {
        self.sqrt().recip()
    }

    /// The cube root.
    pub fn cbrt(self) -> Wide {
        if self.is_zero() || !self.is_finite() {
            return self;
        }
        let by = self.exp.rem_euclid(3);
        let value = self.mantissa().scale(pow2(by));
        let root = libm::cbrt(value.hi);
        let square = two_prod(root, root);
        let rest = value - square.times(root);
        Wide::from_dd(quick_two_sum(root, rest.hi / (3.0 * square.hi)), (self.exp - by) / 3)
    }

    /// The square root of x² + y², an infinity if either is infinite.
    pub fn hypot(self, other: Wide) -> Wide {
        if self.is_infinite() || other.is_infinite() {
            return Wide::INFINITY;
        }
        (self * self + other * other).sqrt()
    }

    /// The largest whole number not above `self`.
    pub fn floor(self) -> Wide {
        if self.is_zero() || !self.is_finite() || self.exp > APART {
            return self;
        }
        // Below 1, only the sign counts.
        let value = self.mantissa().scale(pow2(self.exp.max(-APART)));
        let whole = value.hi.floor();
        let sum = if whole == value.hi { two_sum(whole, value.lo.floor()) } else { Dd::from(whole) };
        if sum.hi == 0.0 { Wide::special(0.0f64.copysign(self.hi)) } else { Wide::from_dd(sum, 0) }
    }

    /// The smallest whole number not below `self`.
    pub fn ceil(self) -> Wide {
        -(-self).floor()
    }

    /// The whole part: rounds towards zero.
    pub fn trunc(self) -> Wide {
        if self.is_negative() { self.ceil() } else { self.floor() }
    }

    /// What `trunc` takes away; it has the sign of `self`.
    pub fn fract(self) -> Wide {
        if self.is_infinite() {
            return Wide::NAN;
        }
        (self - self.trunc()).with_sign_of_zero(self)
    }

    /// The nearest whole number, ties to even.
    pub fn round(self) -> Wide {
        if self.is_zero() || !self.is_finite() {
            return self;
        }
        let below = self.floor();
        let part = self - below;
        let half = Wide { hi: 1.0, lo: 0.0, exp: -1 };
        let up = match part.partial_cmp(&half) {
            Some(Ordering::Greater) => true,
            Some(Ordering::Equal) => !below.scale2(-1).is_integer(),
            Some(Ordering::Less) | None => false,
        };
        let rounded = if up { below + Wide::ONE } else { below };
        rounded.with_sign_of_zero(self)
    }

    fn with_sign_of_zero(self, sign: Wide) -> Wide {
        if self.is_zero() { self.copysign(sign) } else { self }
    }
}

/// The mantissa's magnitude times 2^120, rounded to a whole number.
fn fixed_point(x: Wide) -> u128 {
    let (hi, lo) = if x.hi < 0.0 { (-x.hi, -x.lo) } else { (x.hi, x.lo) };
    ((hi * pow2(120)) as i128 + (lo * pow2(120)).round_ties_even() as i128) as u128
}

/// value·2^by modulo `modulus`, which is below 2^121; `value` is below it.
fn modular_shift(value: u128, by: i64, modulus: u128) -> u128 {
    // For exponents near each other, as they mostly are, shift a few bits at a time.
    if by < 4096 {
        let mut left = by;
        let mut value = value;
        while left > 0 {
            let step = left.min(7);
            value = (value << step) % modulus;
            left -= step;
        }
        return value;
    }
    let mut power = 1 % modulus;
    for bit in (0..63).rev() {
        power = modular_product(power, power, modulus);
        if by >> bit & 1 == 1 {
            power = (power << 1) % modulus;
        }
    }
    modular_product(value, power, modulus)
}

/// a·b modulo `modulus`, which is below 2^127, by doubling.
fn modular_product(a: u128, b: u128, modulus: u128) -> u128 {
    let mut sum = 0;
    for bit in (0..128).rev() {
        sum = (sum << 1) % modulus;
        if b >> bit & 1 == 1 {
            sum = (sum + a) % modulus;
        }
    }
    sum
}

fn from_u128(value: u128) -> Dd {
    // `value` is below 2^127, so the difference of the two fits.
    let hi = value as f64;
    quick_two_sum(hi, (value as i128 - hi as i128) as f64)
}

/// 2^by; below the normal range it rounds to a subnormal number or zero, above to infinity.
fn pow2(by: i64) -> f64 {
    match by {
        -1022..=1023 => f64::from_bits(((by + 1023) as u64) << 52),
        -1074..=-1023 => f64::from_bits(1u64 << (by + 1074)),
        ..=-1075 => 0.0,
        1024.. => f64::INFINITY,
    }
}

/// The exponent of a normal number.
fn binary_exponent(x: f64) -> i64 {
    (x.to_bits() >> 52 & 0x7ff) as i64 - 1023
}

/// `hi + lo` rounded to a whole number, ties to even. Needs |hi| <= 2^53 and |lo| at most half a last place of `hi`.
fn round_half_even(hi: f64, lo: f64) -> f64 {
    let near = hi.round_ties_even();
    let left = hi - near;
    if left.abs() != 0.5 || lo == 0.0 {
        return near;
    }
    if lo > 0.0 { hi.ceil() } else { hi.floor() }
}

impl From<f64> for Wide {
    fn from(value: f64) -> Wide {
        Wide::from_parts(value, 0.0, 0)
    }
}

impl From<f32> for Wide {
    fn from(value: f32) -> Wide {
        Wide::from(f64::from(value))
    }
}

impl From<i64> for Wide {
    fn from(value: i64) -> Wide {
        let hi = value as f64;
        let lo = (i128::from(value) - hi as i128) as f64;
        Wide::from_parts(hi, lo, 0)
    }
}

impl From<bool> for Wide {
    fn from(value: bool) -> Wide {
        if value { Wide::ONE } else { Wide::ZERO }
    }
}

impl Neg for Wide {
    type Output = Wide;

    fn neg(self) -> Wide {
        Wide { hi: -self.hi, lo: -self.lo, exp: self.exp }
    }
}

impl Add for Wide {
    type Output = Wide;

    fn add(self, b: Wide) -> Wide {
        if !self.is_finite() || !b.is_finite() || (self.is_zero() && b.is_zero()) {
            return Wide::special(self.hi + b.hi);
        }
        if self.is_zero() {
            return b;
        }
        if b.is_zero() {
            return self;
        }
        let apart = self.exp - b.exp;
        if apart > APART {
            return self;
        }
        if apart < -APART {
            return b;
        }
        if apart >= 0 {
            Wide::from_dd(self.mantissa() + b.mantissa().scale(pow2(-apart)), self.exp)
        } else {
            Wide::from_dd(self.mantissa().scale(pow2(apart)) + b.mantissa(), b.exp)
        }
    }
}

impl Sub for Wide {
    type Output = Wide;

    fn sub(self, b: Wide) -> Wide {
        self + -b
    }
}

impl Mul for Wide {
    type Output = Wide;

    fn mul(self, b: Wide) -> Wide {
        let class = self.hi * b.hi;
        if class == 0.0 || !class.is_finite() {
            return Wide::special(class);
        }
        Wide::from_dd(self.mantissa() * b.mantissa(), self.exp + b.exp)
    }
}

impl Div for Wide {
    type Output = Wide;

    fn div(self, b: Wide) -> Wide {
        let class = self.hi / b.hi;
        if class == 0.0 || !class.is_finite() {
            return Wide::special(class);
        }
        Wide::from_dd(self.mantissa() / b.mantissa(), self.exp - b.exp)
    }
}

impl Rem for Wide {
    type Output = Wide;

    /// The remainder of x / y with the sign of x, as C's `fmod`.
    fn rem(self, y: Wide) -> Wide {
        if self.is_nan() || y.is_nan() || self.is_infinite() || y.is_zero() {
            return Wide::NAN;
        }
        if self.is_zero() || y.is_infinite() || self.abs() < y.abs() {
            return self;
        }
        // Both as whole numbers times a power of two: x = a·2^(x.exp - 120), y = b·2^(y.exp - 120).
        let (a, b) = (fixed_point(self), fixed_point(y));
        let rest = modular_shift(a % b, self.exp - y.exp, b);
        let magnitude = from_u128(rest);
        Wide::from_dd(magnitude, y.exp - 120).copysign(self)
    }
}

impl PartialOrd for Wide {
    fn partial_cmp(&self, b: &Wide) -> Option<Ordering> {
        // Decided by the leading parts where a sign differs or one is a zero, an infinity or NaN.
        let special = |x: &Wide| x.is_zero() || !x.is_finite();
        if special(self) || special(b) || self.is_negative() != b.is_negative() {
            return self.hi.partial_cmp(&b.hi);
        }
        let by_exp = if self.is_negative() { b.exp.cmp(&self.exp) } else { self.exp.cmp(&b.exp) };
        if by_exp != Ordering::Equal {
            return Some(by_exp);
        }
        match self.hi.partial_cmp(&b.hi) {
            Some(Ordering::Equal) => self.lo.partial_cmp(&b.lo),
            other => other,
        }
    }
}

impl fmt::Display for Wide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let near = self.to_f64();
        if near.is_normal() || self.is_zero() || !self.is_finite() {
            return write!(f, "{near:e}");
        }
        write!(f, "{}*2^{}", self.hi, self.exp)
    }
}

impl fmt::Debug for Wide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({} + {:e})*2^{}", self.hi, self.lo, self.exp)
    }
}
