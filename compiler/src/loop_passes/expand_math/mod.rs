//! Elementary functions as sequences of core operations: `exp`, `log`, `tanh` and their relatives, for f32 and f64.
//!
//! Each function is written once over [`Core`]; the header of its file states formula, range reduction, approximation, how
//! its coefficients were made, and the error measured. Everything is branch-free, and no operation depends on the target.

pub mod core;

pub use self::core::{Core, FloatTy, Scalar32, Scalar64};
