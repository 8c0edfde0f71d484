//! The compiler.

pub mod loop_passes;
