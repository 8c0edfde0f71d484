//! Value numbering: an instruction that was computed before, in this block or one around it, is not computed again; what nothing uses
//! goes; additions of a constant to a position plus a constant become one.
//!
//! Needs nothing. Layout: the same instruction on the same operands gives the same bits. Loads are left alone.

use rustc_hash::{FxHashMap, FxHashSet};

use crate::loops::{Func, Inst, Stmt, Type, Value};
use crate::ops::Prim;
use crate::target::Target;

/// Runs the pass.
pub fn run(func: &mut Func, _target: &Target) {
    for phase in 0..func.phases.len() {
        let mut body = std::mem::take(&mut func.phases[phase].body);
        let mut scope = Scope::default();
        scope.block(func, &mut body);
        let mut live = FxHashSet::default();
        sweep(&mut body, &mut live);
        func.phases[phase].body = body;
    }
    func.renumber();
}

type Key = (Type, InstKey);

/// What makes two instructions equal.
#[derive(Clone, PartialEq, Eq, Hash)]
enum InstKey {
    Const(u64),
    Scalar(crate::loops::Scalar),
    Size(crate::loops::Size),
    Prim(Prim, Vec<Value>),
    Convert(Value),
    Bitcast(Value),
    Splat(Value),
    Iota(Value),
}

fn key(inst: &Inst) -> Option<InstKey> {
    Some(match inst {
        Inst::Const(bits) => InstKey::Const(*bits),
        Inst::Scalar(scalar) => InstKey::Scalar(*scalar),
        Inst::Size(size) => InstKey::Size(*size),
        Inst::Prim(prim, args) => InstKey::Prim(*prim, args.clone()),
        Inst::Convert(arg) => InstKey::Convert(*arg),
        Inst::Bitcast(arg) => InstKey::Bitcast(*arg),
        Inst::Splat(arg) => InstKey::Splat(*arg),
        Inst::Iota(arg) => InstKey::Iota(*arg),
        Inst::Load(_) | Inst::Gather(_) | Inst::Fold(..) | Inst::Shift(..) => return None,
    })
}

#[derive(Default)]
struct Scope {
    known: FxHashMap<Key, Value>,
    /// What to say for a value.
    same: FxHashMap<Value, Value>,
    /// Positions that are constants, or another position plus a constant.
    constants: FxHashMap<Value, i64>,
    sums: FxHashMap<Value, (Value, i64)>,
}

impl Scope {
    fn name(&self, value: &mut Value) {
        if let Some(&same) = self.same.get(value) {
            *value = same;
        }
    }

    fn block(&mut self, func: &mut Func, stmts: &mut Vec<Stmt>) {
        let mut added = Vec::new();
        let mut out = Vec::with_capacity(stmts.len());
        for mut stmt in stmts.drain(..) {
            stmt.operands_mut(&mut |value| self.name(value));
            if let Stmt::Let(value, inst) = &mut stmt {
                let ty = func.values[*value];
                if ty == Type::INDEX && self.position(func, *value, inst, &mut out, &mut added) {
                    continue;
                }
                if let Some(key) = key(inst) {
                    let key = (ty, key);
                    if let Some(&known) = self.known.get(&key) {
                        self.same.insert(*value, known);
                        continue;
                    }
                    self.known.insert(key.clone(), *value);
                    added.push(key);
                }
            }
            for body in stmt.bodies_mut() {
                self.block(func, body);
            }
            stmt.yields_mut(&mut |value| self.name(value));
            out.push(stmt);
        }
        for key in added {
            self.known.remove(&key);
        }
        *stmts = out;
    }

    /// Integer arithmetic on positions, which may be rearranged freely. True if the statement is not needed.
    fn position(
        &mut self,
        func: &mut Func,
        value: Value,
        inst: &mut Inst,
        out: &mut Vec<Stmt>,
        added: &mut Vec<Key>,
    ) -> bool {
        match inst {
            Inst::Const(bits) => {
                self.constants.insert(value, *bits as i64);
            }
            Inst::Prim(prim @ (Prim::Add | Prim::Sub), args) => {
                let constant = |arg| self.constants.get(&arg).copied();
                let (base, offset) = match (constant(args[0]), constant(args[1])) {
                    (_, Some(offset)) if *prim == Prim::Add => (args[0], offset),
                    (_, Some(offset)) => (args[0], offset.wrapping_neg()),
                    (Some(offset), None) if *prim == Prim::Add => (args[1], offset),
                    _ => return false,
                };
                let (base, offset) = match self.sums.get(&base) {
                    Some(&(below, more)) => (below, offset.wrapping_add(more)),
                    None => (base, offset),
                };
                if offset == 0 {
                    self.same.insert(value, base);
                    return true;
                }
                let constant = self.constant(func, offset, out, added);
                self.sums.insert(value, (base, offset));
                *inst = Inst::Prim(Prim::Add, vec![base, constant]);
            }
            Inst::Prim(Prim::Mul, args) => {
                for (one, other) in [(0, 1), (1, 0)] {
                    if self.constants.get(&args[one]) == Some(&1) {
                        self.same.insert(value, args[other]);
                        return true;
                    }
                }
            }
            _ => {}
        }
        false
    }

    fn constant(&mut self, func: &mut Func, number: i64, out: &mut Vec<Stmt>, added: &mut Vec<Key>) -> Value {
        let key = (Type::INDEX, InstKey::Const(number as u64));
        if let Some(&known) = self.known.get(&key) {
            return known;
        }
        let value = func.value(Type::INDEX);
        out.push(Stmt::Let(value, Inst::Const(number as u64)));
        self.constants.insert(value, number);
        self.known.insert(key.clone(), value);
        added.push(key);
        value
    }
}

/// Drops what nothing uses, from the end to the beginning.
fn sweep(stmts: &mut Vec<Stmt>, live: &mut FxHashSet<Value>) {
    let mut kept = Vec::with_capacity(stmts.len());
    while let Some(mut stmt) = stmts.pop() {
        if let Stmt::Let(value, _) = &stmt
            && !live.contains(value)
        {
            continue;
        }
        if is_empty(&stmt, live) {
            continue;
        }
        stmt.yields(&mut |value| {
            live.insert(*value);
        });
        for body in stmt.bodies_mut() {
            sweep(body, live);
        }
        if is_empty(&stmt, live) {
            continue;
        }
        stmt.operands(&mut |value| {
            live.insert(*value);
        });
        kept.push(stmt);
    }
    kept.reverse();
    *stmts = kept;
}

/// Whether a loop or choice does nothing and gives nothing that is used.
fn is_empty(stmt: &Stmt, live: &FxHashSet<Value>) -> bool {
    let mut used = matches!(stmt, Stmt::Let(..) | Stmt::Store(..) | Stmt::Reduce(_));
    stmt.results(&mut |value| used |= live.contains(value));
    !used && stmt.bodies().iter().all(|body| !writes(body))
}

fn writes(stmts: &[Stmt]) -> bool {
    stmts.iter().any(|stmt| matches!(stmt, Stmt::Store(..)) || stmt.bodies().iter().any(|body| writes(body)))
}
