//! Moves what a loop computes anew each time, with the same outcome, in front of it.
//!
//! Needs `vectorize`. Constants move too; which of them live in registers is the back end's choice. Layout: moves whole
//! instructions, never takes one apart, and so changes no bit. Loads are moved only from parameters, which no store changes where they don't
//! depend on the loop (a kernel that runs in place writes an element after its last read); a moved load is inside its array even if the loop
//! runs zero times, since its position is made of the variables of the loops around.

use rustc_hash::FxHashSet;

use crate::loops::{BufferKind, Func, Inst, Stmt, Value};
use crate::target::Target;

/// Runs the pass.
pub fn run(func: &mut Func, _target: &Target) {
    for phase in 0..func.phases.len() {
        let mut body = std::mem::take(&mut func.phases[phase].body);
        hoist(func, &mut body);
        func.phases[phase].body = body;
    }
}

/// Hoists out of every loop in `stmts`, from the inside out.
fn hoist(func: &Func, stmts: &mut Vec<Stmt>) {
    let mut out = Vec::with_capacity(stmts.len());
    for mut stmt in stmts.drain(..) {
        for body in stmt.bodies_mut() {
            hoist(func, body);
        }
        if let Stmt::For(node) = &mut stmt {
            let mut inside = FxHashSet::from_iter([node.var]);
            inside.extend(node.carry.iter().map(|carry| carry.var));
            let mut stay = Vec::with_capacity(node.body.stmts.len());
            for stmt in node.body.stmts.drain(..) {
                if invariant(func, &stmt, &inside) {
                    out.push(stmt);
                } else {
                    stmt.results(&mut |value| {
                        inside.insert(*value);
                    });
                    stay.push(stmt);
                }
            }
            node.body.stmts = stay;
        }
        out.push(stmt);
    }
    *stmts = out;
}

fn invariant(func: &Func, stmt: &Stmt, inside: &FxHashSet<Value>) -> bool {
    let Stmt::Let(_, inst) = stmt else { return false };
    let movable = match inst {
        Inst::Load(access) | Inst::Gather(access) => {
            matches!(func.buffers[access.buffer].kind, BufferKind::Param(_))
        }
        Inst::Const(_)
        | Inst::Scalar(_)
        | Inst::Size(_)
        | Inst::Prim(..)
        | Inst::Convert(_)
        | Inst::Bitcast(_)
        | Inst::Splat(_)
        | Inst::Iota(_)
        | Inst::Shift(..)
        | Inst::Fold(..) => true,
    };
    let mut outside = true;
    inst.operands(&mut |arg| outside &= !inside.contains(arg));
    movable && outside
}
