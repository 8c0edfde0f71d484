//! The compiler of the actlang kernel language.

pub mod diag;
pub mod graph;
pub mod loops;
pub mod ops;
pub mod sema;
pub mod syntax;
pub mod types;
