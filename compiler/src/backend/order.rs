//! Puts straight-line statements in an order that needs few registers.
//!
//! - A load goes right before what uses it first, where instruction selection can make a memory operand of it.
//! - What is made of a parameter's elements and constants alone, for one use, goes right before that use: an element can be
//!   loaded again (see `Emitter::value`), which is cheaper than a register for the time between.
//!
//! No load passes a store that might write what it reads: stores to local memory pass loads of other memory, everything
//! else stays in order.

use cranelift_entity::SecondaryMap;
use rustc_hash::{FxHashMap, FxHashSet};

use super::facts::each_operand;
use crate::loops::{Buffer, BufferKind, Func, Inst, Stmt, Value};
use crate::ops::Prim;

/// The statements of a phase in the order in which they are emitted.
pub(super) fn in_order(func: &Func, stmts: &[Stmt]) -> Vec<Stmt> {
    let mut uses = SecondaryMap::new();
    count(stmts, &mut uses);
    order(func, &uses, stmts)
}

/// How often each value is an operand of a computation, stored, carried or yielded.
fn count(stmts: &[Stmt], uses: &mut SecondaryMap<Value, u32>) {
    for stmt in stmts {
        stmt.operands(&mut |value| uses[*value] += 1);
        stmt.yields(&mut |value| uses[*value] += 1);
        for body in stmt.bodies() {
            count(body, uses);
        }
    }
}

fn order(func: &Func, uses: &SecondaryMap<Value, u32>, stmts: &[Stmt]) -> Vec<Stmt> {
    let mut order = Order::default();
    for stmt in stmts {
        match stmt {
            Stmt::Let(value, Inst::Load(access)) if access.active.is_none() => {
                if matches!(func.buffers[access.buffer].kind, BufferKind::Param(_)) {
                    order.elements.insert(*value);
                }
                order.wait(*value, stmt);
            }
            Stmt::Let(value, inst) => {
                order.made.insert(*value);
                if func.values[*value].lanes > 1 && uses[*value] == 1 && order.is_made_of_elements(inst) {
                    order.wait(*value, stmt);
                    continue;
                }
                each_operand(inst, &mut |value| order.fetch(value));
                // Positions count, too.
                if let Inst::Load(_) | Inst::Gather(_) = inst {
                    order.flush_all();
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
                order.flush_all();
                let mut stmt = stmt.clone();
                for body in stmt.bodies_mut() {
                    *body = self::order(func, uses, body);
                }
                order.out.push(stmt);
            }
        }
    }
    order.flush_all();
    order.out
}

#[derive(Default)]
struct Order {
    /// Statements that nothing has used so far, numbered.
    waiting: FxHashMap<Value, (usize, Stmt)>,
    waited: usize,
    /// Elements of parameters, loaded here.
    elements: FxHashSet<Value>,
    /// What is computed here.
    made: FxHashSet<Value>,
    out: Vec<Stmt>,
}

impl Order {
    fn wait(&mut self, value: Value, stmt: &Stmt) {
        self.waiting.insert(value, (self.waited, stmt.clone()));
        self.waited += 1;
    }

    /// Whether an instruction is a cheap function of elements of parameters and of values from outside.
    fn is_made_of_elements(&self, inst: &Inst) -> bool {
        let Inst::Prim(Prim::Add | Prim::Sub | Prim::Mul | Prim::Fma | Prim::Neg | Prim::Abs, args) = inst
        else {
            return false;
        };
        let outside = |value| !self.made.contains(value) && !self.waiting.contains_key(value);
        args.iter().any(|value| self.elements.contains(value))
            && args.iter().all(|value| self.elements.contains(value) || outside(value))
    }

    /// Puts out the statement that makes a value, if it waits, and before it those that it needs.
    fn fetch(&mut self, value: Value) {
        let Some((_, stmt)) = self.waiting.remove(&value) else { return };
        if let Stmt::Let(_, inst) = &stmt {
            each_operand(inst, &mut |value| self.fetch(value));
        }
        self.out.push(stmt);
    }

    /// Puts out what waits and reads the buffers in question, in its order; what is only computed from it waits on.
    fn flush(&mut self, concerned: impl Fn(Buffer) -> bool) {
        self.flush_if(|stmt| match stmt {
            Stmt::Let(_, Inst::Load(access)) => concerned(access.buffer),
            _ => false,
        });
    }

    /// Puts out all that waits.
    fn flush_all(&mut self) {
        self.flush_if(|_| true);
    }

    fn flush_if(&mut self, wanted: impl Fn(&Stmt) -> bool) {
        let waiting = self.waiting.iter().filter(|(_, (_, stmt))| wanted(stmt));
        let mut found: Vec<(usize, Value)> = waiting.map(|(&value, &(at, _))| (at, value)).collect();
        found.sort_unstable();
        for (_, value) in found {
            self.fetch(value);
        }
    }
}
