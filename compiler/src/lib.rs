//! The compiler of the actlang kernel language.

pub mod diag;
pub mod graph;
pub mod loop_passes;
pub mod loops;
pub mod ops;
pub mod syntax;
pub mod target;
pub mod types;
