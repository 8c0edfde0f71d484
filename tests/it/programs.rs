//! Programs below `examples` that answer for an id of the golden vectors where no single kernel does.

use crate::vectors::{Case, Wrong};

/// Runs the program that answers for a case.
pub fn run(case: &Case) -> Vec<Wrong> {
    panic!("no program answers for {}", case.id)
}
