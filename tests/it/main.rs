//! All tests.

mod aot;
mod bounds;
mod diagnostics;
mod engines;
mod graph;
mod guard;
mod inputs;
mod loops;
mod passes;
mod random;
mod roundtrip;
mod subject;
mod syntax;
