//! `cbrt`.
//!
//! Formula: |x| = 2^(3q + r) m with m in [sqrt(1/2), sqrt 2) and r in {-1, 0, 1}; cbrt |x| = 2^q cbrt(2^r m).
//! First approximation of cbrt m by a polynomial of degree 2 (f32), 5 (f64), minimax for the relative error (`tests/minimax`,
//! coefficients rounded to the type): 2^-10.6, 2^-19.6; times 2^(r/3), cut to half the type's bits so that its square is
//! exact. One step of Halley's iteration, y + y (z - y³) / (2y³ + z), cubes its error; z - y³ is one exact fma.
//! Subnormal x is scaled by 2^24 (f64: 2^54) first. Zeros, infinities and NaN are returned as they are.
//! Measured: see `tests/it/accuracy.rs`.

use super::core::Core;
use super::exp::{power_of_two, round_scaled};
use super::log::{exponent_field, exponent_value};
use super::parts::{CoreExt, horner};

const CBRT_F32: [f64; 3] = [0.5537058115005493, 0.5536617040634155, -0.10747678577899933];
const CBRT_F64: [f64; 6] = [
    0.42168929786169607,
    1.0560172962201615,
    -0.8360738112975705,
    0.5109694759485891,
    -0.17955843880308614,
    0.026955193597219713,
];

/// The cube root of 2.
const CBRT_2: f64 = 1.259_921_049_894_873_2;

/// The cube root.
pub(super) fn cbrt<C: Core>(c: &mut C, x: C::F) -> C::F {
    let (smallest, up) = c.by_type((-126, 24), (-1022, 54));
    let sign = c.sign_bit(x);
    let size = c.abs(x);
    let small = c.lt_k(size, 2f64.powi(smallest));
    let scaled = c.mul_k(size, 2f64.powi(up));
    let normal = c.select(small, scaled, size);
    let bits = c.bits(normal);
    let field = exponent_field(c, bits);
    let fraction = c.isub(bits, field);
    let m = c.float_from_bits(fraction);
    let e = exponent_value(c, field);
    let (biased, q) = round_scaled(c, e, 1.0 / 3.0, c.bias());
    let r = c.fma_k(q, -3.0, e);
    let above = c.gt_k(r, 0.5);
    let below = c.lt_k(r, -0.5);
    let factor = c.select_kk(above, 2.0, 1.0);
    let factor = c.select_k(below, 0.5, factor);
    let root = c.select_kk(above, CBRT_2, 1.0);
    let root = c.select_k(below, 1.0 / CBRT_2, root);
    let z = c.mul(m, factor);
    let coefficients: &[f64] = c.by_type(&CBRT_F32, &CBRT_F64);
    let y = horner(c, m, coefficients);
    let y = c.mul(y, root);
    let y = c.bits(y);
    let y = c.iand_k(y, c.by_type(-0x1000, -0x800_0000));
    let y = c.float_from_bits(y);
    let square = c.mul(y, y);
    let minus = c.neg(square);
    let rest = c.fma(minus, y, z);
    let cube = c.mul(square, y);
    let below = c.fma_k(cube, 2.0, z);
    let step = c.div(rest, below);
    let y = c.fma(y, step, y);
    let power = power_of_two(c, biased);
    let back = c.select_kk(small, 2f64.powi(-up / 3), 1.0);
    let power = c.mul(power, back);
    let value = c.mul(y, power);
    let value = c.with_sign(value, sign);
    let finite = c.lt_k(size, f64::INFINITY);
    let value = c.select(finite, value, x);
    let zero = c.eq_k(x, 0.0);
    c.select(zero, x, value)
}
