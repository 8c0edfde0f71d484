//! All tests.

mod diagnostics;
mod graph;
mod loops;
mod roundtrip;
mod syntax;
