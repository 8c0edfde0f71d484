//! Numbers of 16 and 8 bits: their values, and numbers rounded to them. What compiled code does with arrays of them, here
//! for single numbers: defaults, numbers of the caller, constants.
//!
//! Needs nothing. Rounding is to nearest, ties to even, once, from the `f64` that is given; what is too large becomes an
//! infinity, subnormals are kept, a NaN is one NaN.

use crate::abi::DType;

/// The bits of `value` rounded to `f16`.
pub fn f16_bits(value: f64) -> u16 {
    float_bits(value, 10, 15)
}

/// The bits of `value` rounded to `bf16`.
pub fn bf16_bits(value: f64) -> u16 {
    float_bits(value, 7, 127)
}

/// The value of an `f16`.
pub fn f16_value(bits: u16) -> f64 {
    float_value(bits, 10, 15)
}

/// The value of a `bf16`.
pub fn bf16_value(bits: u16) -> f64 {
    float_value(bits, 7, 127)
}

/// Rounds to a format of 16 bits with so many bits behind the point and that bias.
fn float_bits(value: f64, fraction: u32, bias: i32) -> u16 {
    let infinity = (0x7FFF >> fraction) << fraction;
    if value.is_nan() {
        return infinity | 1 << (fraction - 1);
    }
    let sign = ((value.to_bits() >> 63) as u16) << 15;
    let size = value.abs();
    // In units of the last place of the format; both products are exact, or so small that the result is 0 anyway.
    let exponent = ((size.to_bits() >> 52) as i32 - 1023).max(1 - bias);
    if exponent > bias {
        return sign | infinity;
    }
    let units = scaled(size, fraction as i32 - exponent).round_ties_even() as u32;
    // The bit before the point counts as one of the exponent's: where rounding carries, it does so into it.
    let above = (exponent + bias - 1) as u32;
    let bits = (above << fraction) + units;
    sign | (bits as u16).min(infinity)
}

fn float_value(bits: u16, fraction: u32, bias: i32) -> f64 {
    let mantissa = f64::from(bits & ((1 << fraction) - 1));
    let exponent = i32::from((bits & 0x7FFF) >> fraction);
    let size = match exponent {
        0 => scaled(mantissa, 1 - bias - fraction as i32),
        _ if exponent == 2 * bias + 1 => {
            if mantissa == 0.0 {
                f64::INFINITY
            } else {
                f64::NAN
            }
        }
        _ => scaled(mantissa + f64::from(1u32 << fraction), exponent - bias - fraction as i32),
    };
    if bits >> 15 == 1 { -size } else { size }
}

/// `value` times a power of two, each of whose halves is a normal number.
fn scaled(value: f64, exponent: i32) -> f64 {
    let power = |exponent: i32| f64::from_bits(((exponent + 1023) as u64) << 52);
    value * power(exponent / 2) * power(exponent - exponent / 2)
}

/// The bits of an element that is this number, in the low bytes: a float is rounded; an integer or bool must be
/// exactly it, else there is none.
pub fn element_bits(dtype: DType, value: f64) -> Option<u64> {
    match dtype {
        DType::F32 => Some(u64::from((value as f32).to_bits())),
        DType::F64 => Some(value.to_bits()),
        DType::F16 => Some(u64::from(f16_bits(value))),
        DType::BF16 => Some(u64::from(bf16_bits(value))),
        DType::I32 => (f64::from(value as i32) == value).then_some(u64::from(value as i32 as u32)),
        DType::I8 => (f64::from(value as i8) == value).then_some(u64::from(value as i8 as u8)),
        DType::U8 => (f64::from(value as u8) == value).then_some(u64::from(value as u8)),
        DType::Bool => (value == 0.0 || value == 1.0).then_some(u64::from(value != 0.0)),
    }
}

/// The number that an element is, by its bits.
pub fn element_value(dtype: DType, bits: u64) -> f64 {
    match dtype {
        DType::F32 => f64::from(f32::from_bits(bits as u32)),
        DType::F64 => f64::from_bits(bits),
        DType::F16 => f16_value(bits as u16),
        DType::BF16 => bf16_value(bits as u16),
        DType::I32 => f64::from(bits as i32),
        DType::I8 => f64::from(bits as i8),
        DType::U8 => f64::from(bits as u8),
        DType::Bool => f64::from(u8::from(bits as u8 != 0)),
    }
}

#[cfg(test)]
mod tests {
    use super::{bf16_bits, bf16_value, f16_bits, f16_value};

    #[test]
    fn every_value_is_that_of_another_implementation_and_rounds_to_itself() {
        for bits in 0..=u16::MAX {
            let cases = [
                (f16_value(bits), f64::from(half::f16::from_bits(bits)), f16_bits as fn(f64) -> u16),
                (bf16_value(bits), f64::from(half::bf16::from_bits(bits)), bf16_bits),
            ];
            for (ours, theirs, round) in cases {
                assert!(ours == theirs || ours.is_nan() && theirs.is_nan(), "{bits:#x}: {ours} {theirs}");
                if ours.is_nan() {
                    assert_eq!(round(ours), round(f64::NAN));
                } else {
                    assert_eq!(round(ours), bits, "{ours}");
                }
            }
        }
    }

    /// Halfway between neighbours, and a little to either side.
    #[test]
    fn what_lies_between_is_rounded_once() {
        type Format = (fn(u16) -> f64, fn(f64) -> u16, u16);
        let formats: [Format; 2] = [(f16_value, f16_bits, 0x7C00), (bf16_value, bf16_bits, 0x7F80)];
        for (value, round, infinity) in formats {
            for low in 0..infinity {
                let high = low + 1;
                // Above the largest number lies what would be the next one.
                let step = if low == 0 { value(1) } else { value(low) - value(low - 1) };
                let (below, above) =
                    (value(low), if high == infinity { value(low) + step } else { value(high) });
                let middle = below / 2.0 + above / 2.0;
                let even = if low % 2 == 0 { low } else { high };
                assert_eq!(round(middle), even, "{middle:e}");
                assert_eq!(round(f64::from_bits(middle.to_bits() - 1)), low, "{middle:e}");
                assert_eq!(round(f64::from_bits(middle.to_bits() + 1)), high, "{middle:e}");
                assert_eq!(round(-middle), even | 0x8000, "{middle:e}");
            }
            assert_eq!(round(f64::INFINITY), infinity);
            assert_eq!(round(f64::MAX), infinity);
            assert_eq!(round(f64::NEG_INFINITY), infinity | 0x8000);
            assert_eq!(round(f64::from_bits(1)), 0);
            assert_eq!(round(-f64::from_bits(1)), 0x8000);
        }
    }
}
