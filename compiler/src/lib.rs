//! The compiler of the actlang kernel language.

pub mod loop_passes;
pub mod types;
