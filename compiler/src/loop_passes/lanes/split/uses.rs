//! What statements use of the values and arrays around them, and which iterations have nothing to do with one another.

use rustc_hash::{FxHashMap, FxHashSet};

use crate::loops::{Access, Buffer, For, Inst, LoopKind, Reduce, Stmt, Value};

/// The values that statements use and don't define.
pub(super) fn used(stmts: &[Stmt]) -> Vec<Value> {
    let (mut uses, mut inside) = (Vec::new(), FxHashSet::default());
    visit(stmts, &mut uses, &mut inside);
    uses.retain(|value| !inside.contains(value));
    uses
}

fn visit(stmts: &[Stmt], uses: &mut Vec<Value>, inside: &mut FxHashSet<Value>) {
    for stmt in stmts {
        stmt.operands(&mut |value| uses.push(*value));
        stmt.yields(&mut |value| uses.push(*value));
        stmt.results(&mut |value| {
            inside.insert(*value);
        });
        stmt.variables(&mut |value| {
            inside.insert(*value);
        });
        for body in stmt.bodies() {
            visit(body, uses, inside);
        }
    }
}

pub(super) fn used_by_reduce(reduce: &Reduce) -> Vec<Value> {
    used(&[Stmt::Reduce(Box::new(reduce.clone()))])
}

/// What the body of a loop uses, apart from the loop's variable.
pub(super) fn used_by_body(node: &For) -> Vec<Value> {
    let mut uses = used(&node.body.stmts);
    uses.retain(|value| *value != node.var);
    uses
}

pub(super) fn accesses(stmts: &[Stmt], see: &mut dyn FnMut(&Access)) {
    for stmt in stmts {
        match stmt {
            Stmt::Let(_, Inst::Load(access) | Inst::Gather(access)) | Stmt::Store(access, _) => see(access),
            _ => {}
        }
        for body in stmt.bodies() {
            accesses(body, see);
        }
    }
}

pub(super) fn accesses_mut(stmts: &mut [Stmt], see: &mut dyn FnMut(&mut Access)) {
    for stmt in stmts {
        match stmt {
            Stmt::Let(_, Inst::Load(access) | Inst::Gather(access)) | Stmt::Store(access, _) => see(access),
            _ => {}
        }
        for body in stmt.bodies_mut() {
            accesses_mut(body, see);
        }
    }
}

/// The values that are 0.
pub(super) fn find_zeros(stmts: &[Stmt], zeros: &mut FxHashSet<Value>) {
    for stmt in stmts {
        if let Stmt::Let(value, Inst::Const(0)) = stmt {
            zeros.insert(*value);
        }
        for body in stmt.bodies() {
            find_zeros(body, zeros);
        }
    }
}

/// Every array that is written, and all accesses to it.
fn written(stmts: &[Stmt]) -> FxHashMap<Buffer, Vec<Access>> {
    let mut stores = FxHashSet::default();
    fn find(stmts: &[Stmt], stores: &mut FxHashSet<Buffer>) {
        for stmt in stmts {
            if let Stmt::Store(access, _) = stmt {
                stores.insert(access.buffer);
            }
            for body in stmt.bodies() {
                find(body, stores);
            }
        }
    }
    find(stmts, &mut stores);
    let mut all: FxHashMap<Buffer, Vec<Access>> = FxHashMap::default();
    accesses(stmts, &mut |access| {
        if stores.contains(&access.buffer) {
            all.entry(access.buffer).or_default().push(access.clone());
        }
    });
    all
}

/// Whether the iterations of a loop have nothing to do with one another: each has its own place in what is written.
pub(super) fn runs_apart(node: &For) -> bool {
    if !node.carry.is_empty() || node.step != 1 && node.kind == LoopKind::Seq {
        return false;
    }
    let depending = depending(&node.body.stmts, node.var);
    written(&node.body.stmts).values().all(|accesses| match node.kind {
        LoopKind::Seq => (0..accesses[0].index.len())
            .any(|axis| accesses.iter().all(|access| access.index[axis] == node.var)),
        // By what a lane loop means, its places don't meet.
        LoopKind::Lanes(_) => {
            accesses.iter().all(|access| access.index.iter().any(|position| depending.contains(position)))
        }
    })
}

/// Whether each place of a reduction has its own place in what is written on the way, which nobody reads there.
pub(super) fn reduces_apart(reduce: &Reduce) -> bool {
    let written = written(&reduce.body);
    if written.is_empty() {
        return true;
    }
    let vars = reduce.outer.iter().map(|(var, _)| *var).chain([reduce.inner.0]);
    let by_var: Vec<_> = vars.map(|var| depending(&reduce.body, var)).collect();
    written.values().all(|accesses| {
        let apart = |access: &Access| {
            by_var.iter().all(|depending| access.index.iter().any(|position| depending.contains(position)))
        };
        accesses.len() == 1 && apart(&accesses[0])
    })
}

/// The values of a body that are made of a variable, and the variable.
fn depending(stmts: &[Stmt], var: Value) -> FxHashSet<Value> {
    fn add(stmts: &[Stmt], found: &mut FxHashSet<Value>) {
        for stmt in stmts {
            if let Stmt::Let(value, inst) = stmt {
                let mut depends = false;
                inst.operands(&mut |operand| depends |= found.contains(operand));
                if depends {
                    found.insert(*value);
                }
            }
            for body in stmt.bodies() {
                add(body, found);
            }
        }
    }
    let mut found = FxHashSet::from_iter([var]);
    add(stmts, &mut found);
    found
}
