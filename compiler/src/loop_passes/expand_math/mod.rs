//! Elementary functions as sequences of core operations: `exp`, `log`, `tanh` and their relatives, for f32 and f64.
//!
//! Each function is written once over [`Core`]; the header of its file states formula, range reduction, approximation, how
//! its coefficients were made, and the error measured. Everything is branch-free, and no operation depends on the target.
//!
//! The conversions of [`storage`] are written out with them.
//!
//! A new function is a row in `ops::prim`, a file here (or a place in the file of the function whose reduction and
//! polynomial it shares), a line in the table below and its meaning in `graph::eval`; `tests/it/accuracy.rs` asks for its
//! bound.

mod asin;
mod asinh;
mod atan;
mod cbrt;
pub mod core;
mod emit;
mod erf;
mod erfc;
mod exp;
mod expm1;
mod gelu;
mod hypot;
mod log;
mod log1p;
mod one_plus_erf;
mod pair;
mod parts;
mod pow;
mod rsqrt;
mod scale;
mod sigmoid;
mod sinh;
pub mod storage;
mod tanh;
mod trig;

pub use self::core::{Core, FloatTy, Scalar32, Scalar64};
pub(super) use self::emit::run;

use crate::ops::Prim;

macro_rules! expansions {
    ($($prim:ident($($arg:ident),*) => $module:ident::$function:ident;)*) => {
        /// Writes a function of class [`Expanded`](crate::ops::Class::Expanded) as core operations.
        ///
        /// The last operation makes the result.
        ///
        /// # Panics
        /// If the function is of another class, or has another number of arguments.
        pub fn expand<C: Core>(c: &mut C, prim: Prim, args: &[C::F]) -> C::F {
            match (prim, args) {
                $((Prim::$prim, &[$($arg),*]) => $module::$function(c, $($arg),*),)*
                _ => panic!("`{prim}` of {} arguments has no expansion", args.len()),
            }
        }
    };
}

expansions! {
    Exp(x) => exp::exp;
    ExpNonpos(x) => exp::exp_nonpos;
    Exp2(x) => exp::exp2;
    Expm1(x) => expm1::expm1;
    Log(x) => log::log;
    Log2(x) => log::log2;
    Log10(x) => log::log10;
    Log1p(x) => log1p::log1p;
    Pow(x, y) => pow::pow;
    Cbrt(x) => cbrt::cbrt;
    Rsqrt(x) => rsqrt::rsqrt;
    Tanh(x) => tanh::tanh;
    Sigmoid(x) => sigmoid::sigmoid;
    Erf(x) => erf::erf;
    Erfc(x) => erfc::erfc;
    OnePlusErf(x) => one_plus_erf::one_plus_erf;
    Gelu(x) => gelu::gelu;
    Sin(x) => trig::sin;
    Cos(x) => trig::cos;
    Tan(x) => trig::tan;
    Asin(x) => asin::asin;
    Acos(x) => asin::acos;
    Atan(x) => atan::atan;
    Atan2(y, x) => atan::atan2;
    Sinh(x) => sinh::sinh;
    Cosh(x) => sinh::cosh;
    Asinh(x) => asinh::asinh;
    Acosh(x) => asinh::acosh;
    Atanh(x) => asinh::atanh;
    FrexpMantissa(x) => scale::frexp_mantissa;
    FrexpExponent(x) => scale::frexp_exponent;
    Ldexp(x, n) => scale::ldexp;
    NextUp(x) => scale::next_up;
    Hypot(x, y) => hypot::hypot;
}
