//! Calls kernels compiled by actlang: tensor views, binding of named dimensions, threads.
//! Needs no compiler: programs that link kernels built ahead of time depend on this crate alone.

pub mod abi;
