//! Passes over the loop IR.

pub mod expand_math;
