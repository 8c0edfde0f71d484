//! Puts statements in order for the registers.

use crate::loops::{Func, Stmt};

/// The statements of a phase in the order in which they are emitted.
pub(super) fn in_order(_func: &Func, stmts: &[Stmt]) -> Vec<Stmt> {
    stmts.to_vec()
}
