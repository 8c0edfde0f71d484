//! All tests.

mod accuracy;
mod aot;
mod bounds;
mod cli;
mod diagnostics;
mod documents;
mod engines;
mod examples;
mod golden;
mod graph;
mod guard;
mod hostile;
mod inputs;
mod language;
mod library;
mod loops;
mod passes;
mod random;
mod reference;
mod roundtrip;
mod stages;
mod subject;
mod syntax;
mod tidy;
mod uses;
