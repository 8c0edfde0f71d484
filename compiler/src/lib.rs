//! The compiler of the actlang kernel language.

pub mod diag;
pub mod syntax;
pub mod types;
