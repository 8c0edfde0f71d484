//! Puts straight-line statements in an order that needs few registers: a load goes right before what uses it first, where
//! instruction selection can make a memory operand of it.
//!
//! No load passes a store that might write what it reads: stores to local memory pass loads of other memory, everything
//! else stays in order.

use rustc_hash::FxHashMap;

use super::constants::each_operand;
use crate::loops::{BufferKind, Func, Inst, Stmt, Value};

/// The statements of a phase in the order in which they are emitted.
pub(super) fn in_order(func: &Func, stmts: &[Stmt]) -> Vec<Stmt> {
    let mut order = Order::default();
    for stmt in stmts {
        match stmt {
            Stmt::Let(value, Inst::Load(access)) if access.active.is_none() => {
                order.waiting.insert(*value, (order.loads, stmt.clone()));
                order.loads += 1;
            }
            Stmt::Let(_, inst) => {
                each_operand(inst, &mut |value| order.fetch(value));
                // Positions count, too.
                if let Inst::Load(_) = inst {
                    order.flush(|_| true);
                }
                order.out.push(stmt.clone());
            }
            Stmt::Store(access, value) => {
                order.fetch(*value);
                let local = func.buffers[access.buffer].kind == BufferKind::Local;
                order.flush(|read| {
                    let reads_local = func.buffers[read].kind == BufferKind::Local;
                    if local { read == access.buffer } else { !reads_local }
                });
                order.out.push(stmt.clone());
            }
            Stmt::For(_) | Stmt::If(_) | Stmt::Reduce(_) => {
                order.flush(|_| true);
                let mut stmt = stmt.clone();
                for body in stmt.bodies_mut() {
                    *body = in_order(func, body);
                }
                order.out.push(stmt);
            }
        }
    }
    order.flush(|_| true);
    order.out
}

#[derive(Default)]
struct Order {
    /// Loads that nothing has used so far, numbered.
    waiting: FxHashMap<Value, (usize, Stmt)>,
    loads: usize,
    out: Vec<Stmt>,
}

impl Order {
    /// Puts out the load of a value, if it waits.
    fn fetch(&mut self, value: Value) {
        if let Some((_, load)) = self.waiting.remove(&value) {
            self.out.push(load);
        }
    }

    /// Puts out the loads from the buffers in question, in their order.
    fn flush(&mut self, concerned: impl Fn(crate::loops::Buffer) -> bool) {
        let reads = |stmt: &Stmt| match stmt {
            Stmt::Let(_, Inst::Load(access)) => concerned(access.buffer),
            _ => false,
        };
        let mut loads: Vec<(usize, Value)> = self
            .waiting
            .iter()
            .filter(|(_, (_, stmt))| reads(stmt))
            .map(|(&value, &(at, _))| (at, value))
            .collect();
        loads.sort_unstable();
        for (_, value) in loads {
            self.fetch(value);
        }
    }
}
