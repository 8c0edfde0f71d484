//! The core functions on constants, in the declared precision, as the machine computes them; NaN is always the same
//! NaN. Used to fold constants and to move the ends of intervals.

use crate::graph::Constant;
use crate::ops::Prim;
use crate::types::DType;

/// The function of constants, or `None`: no core function of numbers (`select` looks at its first operand alone: see
/// `fold`).
pub fn core(prim: Prim, args: &[Constant]) -> Option<Constant> {
    let dtype = args.first()?.dtype;
    let values: Vec<f64> = args.iter().map(|arg| arg.value()).collect();
    if let [a, b] = values[..]
        && let Some(holds) = compared(prim, a, b)
    {
        return Some(Constant { dtype: DType::Bool, bits: u64::from(holds) });
    }
    match dtype {
        // Nothing is computed in what memory holds.
        DType::F16 | DType::BF16 | DType::I8 | DType::U8 => None,
        DType::F32 => {
            let args: Vec<f32> = values.iter().map(|&value| value as f32).collect();
            f32_core(prim, &args).map(|value| number(dtype, f64::from(value)))
        }
        DType::F64 => f64_core(prim, &values).map(|value| number(dtype, value)),
        DType::I32 => {
            let args: Vec<i32> = values.iter().map(|&value| value as i32).collect();
            i32_core(prim, &args).map(|value| number(dtype, f64::from(value)))
        }
        DType::Bool => {
            let args: Vec<bool> = values.iter().map(|&value| value != 0.0).collect();
            bool_core(prim, &args).map(|value| Constant { dtype, bits: u64::from(value) })
        }
    }
}

/// The function of numbers that are representable in `dtype`.
pub fn on(prim: Prim, dtype: DType, args: &[f64]) -> Option<f64> {
    let args: Vec<Constant> = args.iter().map(|&value| Constant::new(dtype, value)).collect();
    core(prim, &args).map(Constant::value)
}

/// A constant converted: correctly rounded; to an integer to nearest even, saturated, NaN gives 0.
pub fn convert(constant: Constant, dtype: DType) -> Constant {
    let value = constant.value();
    let integer = matches!(dtype, DType::I32 | DType::I8 | DType::U8);
    number(dtype, if integer { value.round_ties_even() } else { value })
}

/// A constant of a dtype; every NaN has the same bits.
pub fn number(dtype: DType, value: f64) -> Constant {
    match dtype {
        DType::F32 if value.is_nan() => Constant { dtype, bits: 0x7fc0_0000 },
        DType::F64 if value.is_nan() => Constant { dtype, bits: 0x7ff8_0000_0000_0000 },
        _ => Constant::new(dtype, value),
    }
}

fn compared(prim: Prim, a: f64, b: f64) -> Option<bool> {
    Some(match prim {
        Prim::Eq => a == b,
        Prim::Ne => a != b,
        Prim::Lt => a < b,
        Prim::Le => a <= b,
        Prim::Gt => a > b,
        Prim::Ge => a >= b,
        _ => return None,
    })
}

macro_rules! float_core {
    ($name:ident, $float:ty, $fma:path, $sqrt:path) => {
        fn $name(prim: Prim, args: &[$float]) -> Option<$float> {
            Some(match (prim, args) {
                (Prim::Add, &[a, b]) => a + b,
                (Prim::Sub, &[a, b]) => a - b,
                (Prim::Mul, &[a, b]) => a * b,
                (Prim::Div, &[a, b]) => a / b,
                (Prim::Fma, &[a, b, c]) => $fma(a, b, c),
                (Prim::Neg, &[a]) => -a,
                (Prim::Abs, &[a]) => a.abs(),
                (Prim::Sqrt, &[a]) => $sqrt(a),
                (Prim::Floor, &[a]) => a.floor(),
                (Prim::Ceil, &[a]) => a.ceil(),
                (Prim::Trunc, &[a]) => a.trunc(),
                (Prim::Round, &[a]) => a.round_ties_even(),
                // The sign of a NaN must not show.
                (Prim::CopySign, &[_, b]) if b.is_nan() => b,
                (Prim::CopySign, &[a, b]) => a.copysign(b),
                (Prim::SelMax, &[a, b]) => {
                    if a > b {
                        a
                    } else {
                        b
                    }
                }
                (Prim::SelMin, &[a, b]) => {
                    if a < b {
                        a
                    } else {
                        b
                    }
                }
                (Prim::Max | Prim::Min, &[a, _]) if a.is_nan() => a,
                (Prim::Max, &[a, b]) => {
                    if a > b {
                        a
                    } else {
                        b
                    }
                }
                (Prim::Min, &[a, b]) => {
                    if a < b {
                        a
                    } else {
                        b
                    }
                }
                _ => return None,
            })
        }
    };
}

float_core!(f32_core, f32, libm::fmaf, libm::sqrtf);
float_core!(f64_core, f64, libm::fma, libm::sqrt);

fn i32_core(prim: Prim, args: &[i32]) -> Option<i32> {
    Some(match (prim, args) {
        (Prim::Add, &[a, b]) => a.wrapping_add(b),
        (Prim::Sub, &[a, b]) => a.wrapping_sub(b),
        (Prim::Mul, &[a, b]) => a.wrapping_mul(b),
        (Prim::Neg, &[a]) => a.wrapping_neg(),
        (Prim::Abs, &[a]) => a.wrapping_abs(),
        (Prim::Max | Prim::SelMax, &[a, b]) => a.max(b),
        (Prim::Min | Prim::SelMin, &[a, b]) => a.min(b),
        _ => return None,
    })
}

fn bool_core(prim: Prim, args: &[bool]) -> Option<bool> {
    Some(match (prim, args) {
        (Prim::And, &[a, b]) => a && b,
        (Prim::Or, &[a, b]) => a || b,
        (Prim::Not, &[a]) => !a,
        _ => return None,
    })
}
