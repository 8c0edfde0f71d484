//! Elementary functions as sequences of core operations: `exp`, `log`, `tanh` and their relatives, for f32 and f64.
//!
//! Each function is written once over [`Core`]; the header of its file states formula, range reduction, approximation, how
//! its coefficients were made, and the error measured. Everything is branch-free, and no operation depends on the target.

pub mod core;
mod erf;
mod exp;
mod expm1;
mod log;
mod log1p;
mod one_plus_erf;
mod parts;
mod sigmoid;
mod tanh;

pub use self::core::{Core, FloatTy, Scalar32, Scalar64};

macro_rules! elementary {
    ($($variant:ident $args:tt $path:path, $doc:literal;)*) => {
        /// A function that [`expand`] writes out.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Elementary {
            $(#[doc = $doc] $variant,)*
        }

        impl Elementary {
            /// All of them, in order.
            pub const ALL: &[Elementary] = &[$(Elementary::$variant,)*];

            /// Number of arguments.
            pub fn arity(self) -> usize {
                match self {
                    $(Elementary::$variant => $args,)*
                }
            }
        }

        /// Writes `f(args)` as core operations.
        ///
        /// # Panics
        /// If the number of arguments is not that of the function.
        pub fn expand<C: Core>(c: &mut C, f: Elementary, args: &[C::F]) -> C::F {
            assert_eq!(args.len(), f.arity(), "arguments of {f:?}");
            match f {
                $(Elementary::$variant => elementary!(@call $args $path, c, args),)*
            }
        }
    };
    (@call 1 $path:path, $c:ident, $x:ident) => { $path($c, $x[0]) };
    (@call 2 $path:path, $c:ident, $x:ident) => { $path($c, $x[0], $x[1]) };
}

elementary! {
    Exp 1 exp::exp, "e to the power x.";
    ExpNonpos 1 exp::exp_nonpos, "e to the power x for x <= 0, 0 where that is below the normal range.";
    Exp2 1 exp::exp2, "2 to the power x.";
    Expm1 1 expm1::expm1, "e to the power x, minus 1.";
    Log 1 log::log, "Natural logarithm.";
    Log2 1 log::log2, "Logarithm to base 2.";
    Log10 1 log::log10, "Logarithm to base 10.";
    Log1p 1 log1p::log1p, "Natural logarithm of 1 + x.";
    Sigmoid 1 sigmoid::sigmoid, "1 / (1 + e^-x).";
    Tanh 1 tanh::tanh, "Hyperbolic tangent.";
    Erf 1 erf::erf, "Error function.";
    OnePlusErf 1 one_plus_erf::one_plus_erf, "1 + erf x.";
}
