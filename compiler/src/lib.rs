//! The compiler of the actlang kernel language.

pub mod backend;
pub mod diag;
pub mod emit;
pub mod graph;
pub mod graph_passes;
pub mod loop_passes;
pub mod loops;
pub mod lower;
pub mod ops;
pub mod schedule;
pub mod syntax;
pub mod target;
pub mod types;
