//! Floats of 16 bits: their bits from an f32, and an f32 from their bits. All exact but for the one rounding, to nearest,
//! ties to even; nothing depends on a rounding mode, and a NaN becomes one NaN (an infinity never one).
//!
//! *bf16* is the upper half of an f32. Rounding adds 0x7FFF, and one more if the last bit that is kept is set: what carries out
//! of the half below moves to the next number, and from the largest to infinity.
//!
//! *f16* rounds in the same way after its exponent has been moved; what is below its normal numbers is instead added to 0.5, whose
//! last place is the smallest subnormal, 2^-24: the hardware's addition rounds there as it should. What is 2^16 or more is as
//! good as that, an infinity. The way back: the bits below the sign, moved to an f32's place, are the number times 2^-112,
//! subnormal or not, so a product mends it; exponent 31 is put right by itself.
//!
//! *f64* is rounded to f32 first, to odd: if it lies between two f32, then to the one whose last bit is set. That is never a
//! middle of the shorter format, nor a number of it, so the second rounding sees what the first has cut off.
//!
//! Cost on vectors of four, in core operations that become instructions: `of_bf16` 1, `to_bf16` 7, `of_f16` 9, `to_f16` 16; f64
//! takes 12 more.

use super::core::Core;

/// The bits of a bf16, from an f32.
pub fn to_bf16<C: Core>(c: &mut C, x: C::F) -> C::I {
    let bits = c.bits(x);
    let (one, half, nan) = (c.int(1), c.int(0x7FFF), c.int(0x7FC0));
    let upper = c.shr_u(bits, 16);
    let odd = c.iand(upper, one);
    let rounding = c.iadd(odd, half);
    let moved = c.iadd(bits, rounding);
    let rounded = c.shr_u(moved, 16);
    let is_nan = c.is_nan(x);
    c.select_int(is_nan, nan, rounded)
}

/// The value of a bf16, from its bits.
pub fn of_bf16<C: Core>(c: &mut C, bits: C::I) -> C::F {
    let bits = c.shl(bits, 16);
    c.float_from_bits(bits)
}

/// The bits of an f16, from an f32.
pub fn to_f16<C: Core>(c: &mut C, x: C::F) -> C::I {
    let size = c.abs(x);
    // A NaN becomes the limit here; it is put in at the end.
    let limit = c.float(65536.0);
    let size = c.min(size, limit);
    let size_bits = c.bits(size);
    // 2^-14 and above: the exponent moves from 127 to 15.
    let (one, rounding) = (c.int(1), c.int(0xFFF - ((127 - 15) << 23)));
    let kept = c.shr_u(size_bits, 13);
    let odd = c.iand(kept, one);
    let moved = c.iadd(size_bits, rounding);
    let moved = c.iadd(moved, odd);
    let normal = c.shr_u(moved, 13);
    // Below it: units of 2^-24.
    let half = c.float(0.5);
    let (sum, half_bits) = (c.add(size, half), c.bits(half));
    let sum = c.bits(sum);
    let small = c.isub(sum, half_bits);
    let least = c.float(f64::from_bits((1023 - 14) << 52));
    let is_small = c.lt(size, least);
    let number = c.select_int(is_small, small, normal);
    let (nan, is_nan) = (c.int(0x7E00), c.is_nan(x));
    let number = c.select_int(is_nan, nan, number);
    let (bits, mask) = (c.bits(x), c.int(0x8000));
    let sign = c.shr_u(bits, 16);
    let sign = c.iand(sign, mask);
    c.ior(number, sign)
}

/// The value of an f16, from its bits.
pub fn of_f16<C: Core>(c: &mut C, bits: C::I) -> C::F {
    let (below, sign_bit) = (c.int(0x7FFF), c.int(0x8000));
    let (size, sign) = (c.iand(bits, below), c.iand(bits, sign_bit));
    let (moved, sign) = (c.shl(size, 13), c.shl(sign, 16));
    let small = c.float_from_bits(moved);
    let scale = c.float(f64::from_bits((1023 + 112) << 52));
    let number = c.mul(small, scale);
    let number = c.bits(number);
    // Infinity and NaN have all bits of the exponent.
    let (last, exponent) = (c.int(0x7BFF), c.int(0x7F80_0000));
    let special = c.ior(moved, exponent);
    let is_special = c.ilt(last, size);
    let number = c.select_int(is_special, special, number);
    let number = c.ior(number, sign);
    c.float_from_bits(number)
}

#[cfg(test)]
mod tests {
    use super::{of_bf16, of_f16, to_bf16, to_f16};
    use crate::loop_passes::expand_math::Scalar32;
    use crate::types::small;

    /// The bits of x as f16 and bf16 against those of the exact functions; only NaN may be another NaN.
    fn check(x: f32) {
        let c = &mut Scalar32;
        let pairs = [
            (to_f16(c, x), small::f16_bits(f64::from(x)), 0x7C00),
            (to_bf16(c, x), small::bf16_bits(f64::from(x)), 0x7F80),
        ];
        for (ours, exact, infinity) in pairs {
            let ours = u16::try_from(ours).expect("16 bits");
            if x.is_nan() {
                assert!(ours & 0x7FFF > infinity, "{x:e}: {ours:#x}");
            } else {
                assert!(ours == exact, "{x:e}: {ours:#x}, {exact:#x}");
            }
        }
    }

    #[test]
    fn all_values_come_back() {
        for bits in 0..=u16::MAX {
            let c = &mut Scalar32;
            let values = [
                (of_f16(c, i32::from(bits)), small::f16_value(bits)),
                (of_bf16(c, i32::from(bits)), small::bf16_value(bits)),
            ];
            for (ours, exact) in values {
                let same = ours.to_bits() == (exact as f32).to_bits();
                assert!(same || ours.is_nan() && exact.is_nan(), "{bits:#x}: {ours:e}, {exact:e}");
                check(ours);
            }
        }
    }

    /// Numbers of both formats, the middles above them, and what lies beside either.
    #[test]
    fn ties_subnormals_overflow_and_nan() {
        for bits in 0..=u16::MAX {
            for value in [small::f16_value(bits), small::bf16_value(bits)] {
                let f16_step = 2f32.powi(-24).max((value as f32).abs() / 4096.0);
                for x in [value as f32, value as f32 + f16_step / 2.0, value as f32 * (1.0 + 2f32.powi(-9))] {
                    for beside in [-1i32, 0, 1] {
                        check(f32::from_bits(x.to_bits().wrapping_add_signed(beside)));
                    }
                }
            }
            // The upper half with each way in which the lower one can lie.
            for low in [0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF] {
                check(f32::from_bits(u32::from(bits) << 16 | low));
            }
        }
    }

    #[test]
    fn one_in_many_of_all_numbers() {
        for bits in (0..=u32::MAX).step_by(997) {
            check(f32::from_bits(bits));
        }
    }
}
