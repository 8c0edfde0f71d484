//! All tests.

mod diagnostics;
mod graph;
mod loops;
mod passes;
mod roundtrip;
mod syntax;
