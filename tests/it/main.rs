//! All tests.

mod graph;
mod loops;
mod roundtrip;
mod syntax;
