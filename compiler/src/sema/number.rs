//! Numbers without a type: literals, constants and sizes that are known while compiling.
//!
//! Integers are exact in 64 bits and an overflow is the user's error; everything else is computed in `f64` by
//! portable functions, so that the bits are the same on every host. A number is rounded once, when it meets a dtype:
//! a literal keeps its rounding to `f32` beside that to `f64`.

use crate::graph::Constant;
use crate::ops::Prim;
use crate::syntax::ast;
use crate::types::DType;

/// A number without a type.
#[derive(Clone, Copy, Debug)]
pub(super) enum Number {
    /// Exact.
    Int(i64),
    /// Rounded to nearest: `wide` from the text or from the operation, `narrow` from the text where it is a literal.
    Float {
        /// In `f64`.
        wide: f64,
        /// In `f32`.
        narrow: f32,
    },
}

/// An integer operation left 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Overflow;

impl Number {
    /// The number `value`, computed in `f64`.
    pub(super) fn float(value: f64) -> Number {
        Number::Float { wide: value, narrow: value as f32 }
    }

    /// The literal as written.
    pub(super) fn literal(number: &ast::Number) -> Number {
        match number.value {
            ast::NumberValue::Int(value) => Number::Int(i64::try_from(value).unwrap_or(i64::MAX)),
            ast::NumberValue::Float(wide) => {
                let plain: String = number.text.chars().filter(|c| *c != '_').collect();
                Number::Float { wide, narrow: plain.parse().unwrap_or(wide as f32) }
            }
        }
    }

    /// Its value in `f64`.
    pub(super) fn value(self) -> f64 {
        match self {
            Number::Int(value) => value as f64,
            Number::Float { wide, .. } => wide,
        }
    }

    /// The integer that it is, also if it was computed in `f64`.
    pub(super) fn whole(self) -> Option<i64> {
        match self {
            Number::Int(value) => Some(value),
            Number::Float { wide, .. } => (wide.fract() == 0.0 && wide.abs() < 9e15).then_some(wide as i64),
        }
    }

    /// Rounded to a dtype.
    pub(super) fn constant(self, dtype: DType) -> Constant {
        match (self, dtype) {
            (Number::Int(value), DType::F32) => Constant::new(dtype, f64::from(value as f32)),
            (Number::Float { narrow, .. }, DType::F32) => Constant::new(dtype, f64::from(narrow)),
            _ => Constant::new(dtype, self.value()),
        }
    }
}

/// The comparison `prim` of two numbers; none if it is not a comparison.
pub(super) fn compare(prim: Prim, a: Number, b: Number) -> Option<bool> {
    let order = match (a, b) {
        (Number::Int(a), Number::Int(b)) => Some(a.cmp(&b)),
        _ => a.value().partial_cmp(&b.value()),
    };
    match prim {
        Prim::Eq => Some(order.is_some_and(|order| order.is_eq())),
        Prim::Ne => Some(order.is_none_or(|order| order.is_ne())),
        Prim::Lt => Some(order.is_some_and(|order| order.is_lt())),
        Prim::Le => Some(order.is_some_and(|order| order.is_le())),
        Prim::Gt => Some(order.is_some_and(|order| order.is_gt())),
        Prim::Ge => Some(order.is_some_and(|order| order.is_ge())),
        _ => None,
    }
}

/// The function `prim` of numbers; none if it is not one of numbers.
pub(super) fn fold(prim: Prim, args: &[Number]) -> Result<Option<Number>, Overflow> {
    if let Some(exact) = fold_integers(prim, args)? {
        return Ok(Some(exact));
    }
    let values: Vec<f64> = args.iter().map(|arg| arg.value()).collect();
    Ok(match values[..] {
        [a] => fold_unary(prim, a, args[0]),
        [a, b] => fold_binary(prim, a, b),
        [a, b, c] if prim == Prim::Fma => Some(Number::float(libm::fma(a, b, c))),
        _ => None,
    })
}

/// What stays an integer.
fn fold_integers(prim: Prim, args: &[Number]) -> Result<Option<Number>, Overflow> {
    let result = match (prim, args) {
        (Prim::Add, [Number::Int(a), Number::Int(b)]) => a.checked_add(*b),
        (Prim::Sub, [Number::Int(a), Number::Int(b)]) => a.checked_sub(*b),
        (Prim::Mul, [Number::Int(a), Number::Int(b)]) => a.checked_mul(*b),
        (Prim::Max, [Number::Int(a), Number::Int(b)]) => Some(*a.max(b)),
        (Prim::Min, [Number::Int(a), Number::Int(b)]) => Some(*a.min(b)),
        (Prim::Neg, [Number::Int(a)]) => a.checked_neg(),
        (Prim::Abs, [Number::Int(a)]) => a.checked_abs(),
        (Prim::Floor | Prim::Ceil | Prim::Trunc | Prim::Round, [Number::Int(a)]) => Some(*a),
        (Prim::Pow, [Number::Int(a), Number::Int(b)]) if *b >= 0 => {
            u32::try_from(*b).ok().and_then(|b| a.checked_pow(b))
        }
        _ => return Ok(None),
    };
    result.map(|value| Some(Number::Int(value))).ok_or(Overflow)
}

fn fold_unary(prim: Prim, x: f64, original: Number) -> Option<Number> {
    let value = match prim {
        Prim::Neg => match original {
            Number::Float { wide, narrow } => return Some(Number::Float { wide: -wide, narrow: -narrow }),
            Number::Int(_) => -x,
        },
        Prim::Abs => match original {
            Number::Float { wide, narrow } => {
                return Some(Number::Float { wide: wide.abs(), narrow: narrow.abs() });
            }
            Number::Int(_) => x.abs(),
        },
        Prim::Sqrt => x.sqrt(),
        Prim::Floor => x.floor(),
        Prim::Ceil => x.ceil(),
        Prim::Trunc => x.trunc(),
        Prim::Round => x.round_ties_even(),
        Prim::Exp => libm::exp(x),
        Prim::Exp2 => libm::exp2(x),
        Prim::Expm1 => libm::expm1(x),
        Prim::Log => libm::log(x),
        Prim::Log2 => libm::log2(x),
        Prim::Log10 => libm::log10(x),
        Prim::Log1p => libm::log1p(x),
        Prim::Cbrt => libm::cbrt(x),
        Prim::Rsqrt => 1.0 / x.sqrt(),
        Prim::Tanh => libm::tanh(x),
        Prim::Sigmoid => 1.0 / (1.0 + libm::exp(-x)),
        Prim::Erf => libm::erf(x),
        Prim::Erfc => libm::erfc(x),
        Prim::Sin => libm::sin(x),
        Prim::Cos => libm::cos(x),
        Prim::Tan => libm::tan(x),
        Prim::Asin => libm::asin(x),
        Prim::Acos => libm::acos(x),
        Prim::Atan => libm::atan(x),
        Prim::Sinh => libm::sinh(x),
        Prim::Cosh => libm::cosh(x),
        Prim::Asinh => libm::asinh(x),
        Prim::Acosh => libm::acosh(x),
        Prim::Atanh => libm::atanh(x),
        _ => return None,
    };
    Some(Number::float(value))
}

fn fold_binary(prim: Prim, a: f64, b: f64) -> Option<Number> {
    let value = match prim {
        Prim::Add => a + b,
        Prim::Sub => a - b,
        Prim::Mul => a * b,
        Prim::Div => a / b,
        Prim::Max if a.is_nan() || b.is_nan() => f64::NAN,
        Prim::Min if a.is_nan() || b.is_nan() => f64::NAN,
        Prim::Max => a.max(b),
        Prim::Min => a.min(b),
        Prim::Pow => libm::pow(a, b),
        Prim::Atan2 => libm::atan2(a, b),
        Prim::Hypot => libm::hypot(a, b),
        Prim::CopySign => a.copysign(b),
        _ => return None,
    };
    Some(Number::float(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_exact_and_overflow() {
        let big = Number::Int(i64::MAX);
        assert_eq!(fold(Prim::Add, &[big, Number::Int(1)]).err(), Some(Overflow));
        let half = fold(Prim::Div, &[Number::Int(1), Number::Int(2)]).unwrap().unwrap();
        assert_eq!(half.value(), 0.5);
        let power = fold(Prim::Pow, &[Number::Int(2), Number::Int(-1)]).unwrap().unwrap();
        assert_eq!(power.value(), 0.5);
    }

    #[test]
    fn a_literal_is_rounded_once() {
        // Just above the middle of two f32 numbers: through f64 it would fall on the middle and round down.
        let text = "1.00000005960464477540";
        let number = ast::Number { text: text.into(), value: ast::NumberValue::Float(text.parse().unwrap()) };
        assert_eq!(
            Number::literal(&number).constant(DType::F32).value(),
            f64::from(text.parse::<f32>().unwrap())
        );
    }
}
