//! All tests.

mod aot;
mod cli;
mod diagnostics;
mod graph;
mod loops;
mod passes;
mod roundtrip;
mod syntax;
