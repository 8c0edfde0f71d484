//! Conversions from and to what memory holds and nothing is computed in: floats of 16 bits, integers of 8.
//!
//! In the loop IR a value of such a dtype is an `i32`: the bits of a float, an integer itself
//! ([`Elem::loaded`]). So reading an integer converts nothing, and narrowing one clamps it.

use super::Lower;
use crate::graph::Constant;
use crate::loops::{Elem, Inst, Value};
use crate::ops::Prim;
use crate::types::DType;

/// A value of dtype `from` as one of dtype `to`, as [`crate::graph::Op::Convert`] says.
pub(super) fn convert(lower: &mut Lower<'_>, value: Value, from: DType, to: DType) -> Value {
    let ty = lower.func.values[value];
    let of = |prim| Inst::Prim(prim, vec![value]);
    match (from, to) {
        (DType::F16, _) => lower.push(ty.with_elem(Elem::F32), of(Prim::OfF16)),
        (DType::BF16, _) => lower.push(ty.with_elem(Elem::F32), of(Prim::OfBf16)),
        (DType::I8 | DType::U8, _) => value,
        (_, DType::F16) => lower.push(ty.with_elem(Elem::I32), of(Prim::ToF16)),
        (_, DType::BF16) => lower.push(ty.with_elem(Elem::I32), of(Prim::ToBf16)),
        (_, DType::I8) => clamped(lower, value, i32::from(i8::MIN), i32::from(i8::MAX)),
        (_, DType::U8) => clamped(lower, value, 0, i32::from(u8::MAX)),
        _ => lower.push(ty.with_elem(super::elem(to)), Inst::Convert(value)),
    }
}

/// A number as an `i32` between two others.
fn clamped(lower: &mut Lower<'_>, value: Value, least: i32, most: i32) -> Value {
    let ty = lower.func.values[value].with_elem(Elem::I32);
    let whole = if lower.func.values[value] == ty { value } else { lower.push(ty, Inst::Convert(value)) };
    let least = lower.push(ty, Inst::Const(u64::from(least as u32)));
    let most = lower.push(ty, Inst::Const(u64::from(most as u32)));
    let capped = lower.prim(ty, Prim::SelMin, &[whole, most]);
    lower.prim(ty, Prim::SelMax, &[capped, least])
}

/// The bits of the value that a constant is.
pub(super) fn constant_bits(constant: Constant) -> u64 {
    match constant.dtype {
        DType::I8 => u64::from(i32::from(constant.bits as i8) as u32),
        DType::F32 | DType::F64 | DType::F16 | DType::BF16 | DType::I32 | DType::U8 | DType::Bool => {
            constant.bits
        }
    }
}
