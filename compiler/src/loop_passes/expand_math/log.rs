//! `log`, `log2`, `log10`, and the logarithm of 1 + f that `log1p` and the inverse hyperbolic functions use too.
//!
//! Formula: x = 2^e (1 + f), taken apart on the bits; log x = e log 2 + log(1 + f). 1 + f is in [3/4, 3/2) for the natural
//! logarithm (see `log1p`, which shares it), in [sqrt(1/2), sqrt 2) for the others.
//! f32: ln(1 + f) = f + f^2 q(f), q of degree 8, minimax for the relative error (2^-27.6). Bases 2 and 10 use a
//! polynomial of their own: log_b(1 + f) = f C + f g(f) with C = 1 / ln b rounded to f32 and g of degree 9 (2^-27.7).
//! f64: with s = f / (2 + f), ln(1 + f) = f - s (f - s^2 R(s^2)), R of degree 6 (2^-55.9); other bases multiply by 1 / ln b
//! in two parts. Coefficients rounded from the lowest on and made by `tests/minimax`.
//! Error budget (f32, in ulp): last fma 0.5, ln(1 + f) no more than 0.25 but in two short stretches (e = -1 and 1 + f > 1.284,
//! e = 1 and 1 + f < 0.779) 0.5, polynomial 0.1.
//! Subnormal x is scaled by 2^23 (f64: 2^52) first. x = 0 gives -inf, x < 0 NaN, +inf and NaN themselves.
//! Measured: see `tests/it/accuracy.rs`.

use super::core::{Core, FloatTy};
use super::pair::Pair;
use super::parts::{CoreExt, horner};

/// q with ln(1 + f) = f + f^2 q(f).
const LN_F32: [f64; 9] = [
    -0.5,
    0.3333345055580139,
    -0.25000110268592834,
    0.19990848004817963,
    -0.1664687991142273,
    0.1447763592004776,
    -0.1316392570734024,
    0.10472482442855835,
    -0.04515155404806137,
];
/// g with log2(1 + f) = f C + f g(f).
const LOG2_F32: [f64; 10] = [
    1.920163938962105e-8,
    -0.7213473320007324,
    0.4808982312679291,
    -0.3606986999511719,
    0.2885695695877075,
    -0.23956488072872162,
    0.204522043466568,
    -0.1914500743150711,
    0.1868770867586136,
    -0.10983891040086746,
];
/// g with log10(1 + f) = f C + f g(f).
const LOG10_F32: [f64; 10] = [
    -1.0120507099031784e-8,
    -0.21714718639850616,
    0.14476479589939117,
    -0.10858090221881866,
    0.08686767518520355,
    -0.07212173938751221,
    0.06157951429486275,
    -0.05759638175368309,
    0.05615793913602829,
    -0.033033259212970734,
];
/// R with ln((1 + s) / (1 - s)) = 2s + s^3 R(s^2).
const LN_F64: [f64; 7] = [
    0.6666666666667282,
    0.39999999996099495,
    0.2857142940645226,
    0.22222137589693514,
    0.18186393417353733,
    0.15249441318057827,
    0.1537400256857735,
];

/// A base, by its constants in two parts of the type each.
struct Base {
    /// log_b 2, for one exponent unit.
    two: (f64, f64),
    /// 1 / ln b; `None` for the natural logarithm.
    scale: Option<(f64, f64)>,
    /// g of the f32 form; empty for the natural logarithm.
    polynomial: &'static [f64],
}

/// A pair for one exponent unit.
fn per_unit<C: Core>(c: &C, (high, low): (f64, f64)) -> (f64, f64) {
    let step = units_per_step(c);
    (high / step, low / step)
}

/// Base e.
fn base_e<C: Core>(c: &C) -> Base {
    Base { two: per_unit(c, super::exp::ln2_parts(c)), scale: None, polynomial: &[] }
}

/// Base 2.
fn base_2<C: Core>(c: &C) -> Base {
    let scale =
        c.by_type((1.442_695_021_629_333_5, 0.0), (std::f64::consts::LOG2_E, 2.035_527_374_093_103_3e-17));
    Base { two: per_unit(c, (1.0, 0.0)), scale: Some(scale), polynomial: &LOG2_F32 }
}

/// Base 10.
fn base_10<C: Core>(c: &C) -> Base {
    let two = c.by_type(
        (0.301_030_009_984_970_1, -1.432_098_883_924_482e-8),
        (std::f64::consts::LOG10_2, -2.803_728_127_785_170_4e-18),
    );
    let scale =
        c.by_type((0.434_294_492_006_301_9, 0.0), (std::f64::consts::LOG10_E, 1.098_319_650_216_765e-17));
    Base { two: per_unit(c, two), scale: Some(scale), polynomial: &LOG10_F32 }
}

/// log_b(1 + f) + e log_b 2 for 1 + f in [sqrt(1/2), sqrt 2) and e in exponent units; for the natural
/// logarithm, plus a small `rest`.
fn log_reduced<C: Core>(c: &mut C, e: C::F, f: C::F, rest: Option<C::F>, base: &Base) -> C::F {
    match c.ty() {
        FloatTy::F32 => log_reduced_f32(c, e, f, rest, base),
        FloatTy::F64 => log_reduced_f64(c, e, f, rest, base),
    }
}

fn log_reduced_f32<C: Core>(c: &mut C, e: C::F, f: C::F, rest: Option<C::F>, base: &Base) -> C::F {
    let Some((scale, _)) = base.scale else {
        let q = horner(c, f, &LN_F32);
        let f2 = c.mul(f, f);
        let value = match rest {
            Some(rest) => {
                let rest = c.fma(f2, q, rest);
                c.add(f, rest)
            }
            None => c.fma(f2, q, f),
        };
        return c.fma_k(e, base.two.0, value);
    };
    let g = horner(c, f, base.polynomial);
    let value = if base.two.1 == 0.0 {
        c.mul(f, g)
    } else {
        let rest = c.mul_k(e, base.two.1);
        c.fma(f, g, rest)
    };
    let value = c.fma_k(f, scale, value);
    add_exponent(c, e, base, value)
}

fn log_reduced_f64<C: Core>(c: &mut C, e: C::F, f: C::F, rest: Option<C::F>, base: &Base) -> C::F {
    let minus = c.k_sub(-2.0, f);
    let minus_s = c.div(f, minus);
    let z = c.mul(minus_s, minus_s);
    let negated = LN_F64.map(|k| -k);
    let series = horner(c, z, &negated);
    let inner = c.fma(z, series, f);
    match base.scale {
        None => {
            let value = match rest {
                Some(rest) => {
                    let tail = c.fma_k(e, base.two.1, rest);
                    let tail = c.fma(minus_s, inner, tail);
                    c.add(f, tail)
                }
                None => {
                    let tail = c.fma_k(e, base.two.1, f);
                    c.fma(minus_s, inner, tail)
                }
            };
            add_exponent(c, e, base, value)
        }
        Some((high, low)) => {
            let tail = c.mul(minus_s, inner);
            let tail = c.mul_k(tail, high);
            let tail = c.fma_k(f, low, tail);
            let tail = if base.two.1 == 0.0 { tail } else { c.fma_k(e, base.two.1, tail) };
            let value = c.fma_k(f, high, tail);
            add_exponent(c, e, base, value)
        }
    }
}

/// e log_b 2 + value.
fn add_exponent<C: Core>(c: &mut C, e: C::F, base: &Base, value: C::F) -> C::F {
    if base.two.0 == 1.0 { c.add(e, value) } else { c.fma_k(e, base.two.0, value) }
}

/// The bits of 1.
pub(super) fn one_bits<C: Core>(c: &C) -> i64 {
    c.by_type(0x3f80_0000, 0x3ff0_0000_0000_0000)
}

/// The exponent of `x` relative to [sqrt(1/2), sqrt 2), still as a field of bits with nothing beside it, from positive bits.
pub(super) fn exponent_field<C: Core>(c: &mut C, bits: C::I) -> C::I {
    let low = c.by_type(0x3f35_04f3, 0x3fe6_a09e_667f_3bcd);
    field_above(c, bits, low)
}

/// The same relative to [3/4, 3/2).
pub(super) fn exponent_field_ln<C: Core>(c: &mut C, bits: C::I) -> C::I {
    let low = c.by_type(0x3f40_0000, 0x3fe8_0000_0000_0000);
    field_above(c, bits, low)
}

/// The same relative to (3/4, 3/2] where `below` is 0, and to [3/4, 3/2) where it is 1.
pub(super) fn exponent_field_ln_by<C: Core>(c: &mut C, bits: C::I, below: C::I) -> C::I {
    let bits = c.iadd(bits, below);
    let low = c.by_type(0x3f40_0001, 0x3fe8_0000_0000_0001);
    field_above(c, bits, low)
}

fn field_above<C: Core>(c: &mut C, bits: C::I, low: i64) -> C::I {
    let above = c.iadd_k(bits, -low);
    let mask = c.by_type(-0x0080_0000, -0x0010_0000_0000_0000);
    c.iand_k(above, mask)
}

/// What one step of the exponent is in [`exponent_units`].
pub(super) fn units_per_step<C: Core>(c: &C) -> f64 {
    c.by_type(8_388_608.0, 1.0)
}

/// The number whose exponent field is `field`, in units that need no scaling.
pub(super) fn exponent_units<C: Core>(c: &mut C, field: C::I) -> C::F {
    match c.ty() {
        FloatTy::F32 => c.to_float(field),
        // No conversion from i64 lanes on AVX2: the exponent, made positive, goes into the fraction of 2^52.
        FloatTy::F64 => {
            let positive = c.iadd_k(field, 1100 << 52);
            let low = c.shr_u(positive, 52);
            let float = c.int(0x4330_0000_0000_0000);
            let float = c.ior(low, float);
            let float = c.float_from_bits(float);
            c.add_k(float, -(4_503_599_627_370_496.0 + 1100.0))
        }
    }
}

/// The number whose exponent field is `field`.
pub(super) fn exponent_value<C: Core>(c: &mut C, field: C::I) -> C::F {
    let units = exponent_units(c, field);
    match c.ty() {
        FloatTy::F32 => {
            let step = 1.0 / units_per_step(c);
            c.mul_k(units, step)
        }
        FloatTy::F64 => units,
    }
}

/// Logarithm to any base, with all special values.
fn log_base<C: Core>(c: &mut C, x: C::F, base: &Base) -> C::F {
    let (smallest, up, steps) =
        c.by_type((2f64.powi(-126), 8_388_608.0, 23.0), (2f64.powi(-1022), 4_503_599_627_370_496.0, 52.0));
    let small = c.lt_k(x, smallest);
    let scaled = c.mul_k(x, up);
    let normal = c.select(small, scaled, x);
    let bits = c.bits(normal);
    let field = if base.scale.is_none() { exponent_field_ln(c, bits) } else { exponent_field(c, bits) };
    let fraction = c.isub(bits, field);
    let fraction = c.float_from_bits(fraction);
    let f = c.add_k(fraction, -1.0);
    let e = exponent_units(c, field);
    let back = -steps * units_per_step(c);
    let back = c.select_kk(small, back, 0.0);
    let e = c.add(e, back);
    let value = log_reduced(c, e, f, None, base);
    let finite = c.lt_k(x, f64::INFINITY);
    let value = c.select(finite, value, x);
    let zero = c.eq_k(x, 0.0);
    let outside = c.select_kk(zero, f64::NEG_INFINITY, f64::NAN);
    let positive = c.gt_k(x, 0.0);
    c.select(positive, value, outside)
}

/// ln(1 + f) + e ln 2, e in exponent units.
pub(super) fn ln_reduced<C: Core>(c: &mut C, e: C::F, f: C::F) -> C::F {
    let base = base_e(c);
    log_reduced(c, e, f, None, &base)
}

/// ln of a positive normal number as a pair, plus ln 2 where `one_more` holds. Where it is near 1, what is between it and 1 counts in full.
pub(super) fn ln_pair<C: Core>(c: &mut C, x: Pair<C::F>, one_more: Option<C::M>) -> C::F {
    let bits = c.bits(x.hi);
    let field = exponent_field_ln(c, bits);
    let fraction = c.isub(bits, field);
    let fraction = c.float_from_bits(fraction);
    let f = c.add_k(fraction, -1.0);
    // 2^-e in two factors: the exponent may be the largest.
    let one = one_bits(c);
    let four = c.int(one + (2 << c.fraction_bits()));
    let power = c.isub(four, field);
    let power = c.float_from_bits(power);
    let rest = c.mul_k(x.lo, 0.25);
    let rest = c.mul(rest, power);
    // rest / (1 + f), near enough.
    let minus = c.neg(rest);
    let rest = c.fma(minus, f, rest);
    let e = exponent_units(c, field);
    let e = match one_more {
        Some(mask) => {
            let step = units_per_step(c);
            let more = c.select_kk(mask, step, 0.0);
            c.add(e, more)
        }
        None => e,
    };
    let base = base_e(c);
    log_reduced(c, e, f, Some(rest), &base)
}

/// Natural logarithm.
pub(super) fn log<C: Core>(c: &mut C, x: C::F) -> C::F {
    let base = base_e(c);
    log_base(c, x, &base)
}

/// Logarithm to base 2.
pub(super) fn log2<C: Core>(c: &mut C, x: C::F) -> C::F {
    let base = base_2(c);
    log_base(c, x, &base)
}

/// Logarithm to base 10.
pub(super) fn log10<C: Core>(c: &mut C, x: C::F) -> C::F {
    let base = base_10(c);
    log_base(c, x, &base)
}
