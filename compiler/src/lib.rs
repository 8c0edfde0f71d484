//! The compiler of the actlang kernel language.

pub mod types;
