//! The compiler of the actlang kernel language.

pub mod loops;
pub mod ops;
pub mod types;
