//! All tests.

mod graph;
mod loops;
mod passes;
mod roundtrip;
mod syntax;
