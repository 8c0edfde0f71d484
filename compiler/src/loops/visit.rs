//! Visiting the values and blocks of statements: what a statement uses, what it defines, what is inside it. The
//! only place (besides the text form and the interpreter) that a new kind of statement has to be added to.
//!
//! Every visitor comes twice, to read and to change. A visitor looks at one statement and not at those inside it;
//! [`Stmt::bodies`] leads to them.

use cranelift_entity::{EntityRef, PrimaryMap, SecondaryMap};

use super::{Access, FoldDecl, Func, Inst, Lift, Stmt, Type, Value};

macro_rules! visitors {
    ([$($mutable:tt)?] $operands:ident $results:ident $variables:ident $yields:ident $bodies:ident) => {
        impl Access {
            /// The positions and the number of active lanes.
            pub fn $operands(&$($mutable)? self, visit: &mut dyn FnMut(&$($mutable)? Value)) {
                for value in &$($mutable)? self.index {
                    visit(value);
                }
                if let Some(active) = &$($mutable)? self.active {
                    visit(active);
                }
            }
        }

        impl Inst {
            /// The values that it uses.
            pub fn $operands(&$($mutable)? self, visit: &mut dyn FnMut(&$($mutable)? Value)) {
                match self {
                    Inst::Const(_) | Inst::Scalar(_) | Inst::Size(_) => {}
                    Inst::Prim(_, args) => {
                        for arg in args {
                            visit(arg);
                        }
                    }
                    Inst::Convert(arg)
                    | Inst::Bitcast(arg)
                    | Inst::Splat(arg)
                    | Inst::Iota(arg)
                    | Inst::Fold(_, arg) => visit(arg),
                    Inst::Shift(before, value, _) => {
                        visit(before);
                        visit(value);
                    }
                    Inst::Load(access) | Inst::Gather(access) => access.$operands(visit),
                }
            }
        }

        impl Stmt {
            /// The values that it uses before anything inside it runs.
            pub fn $operands(&$($mutable)? self, visit: &mut dyn FnMut(&$($mutable)? Value)) {
                match self {
                    Stmt::Let(_, inst) => inst.$operands(visit),
                    Stmt::Store(access, value) => {
                        access.$operands(visit);
                        visit(value);
                    }
                    Stmt::For(node) => {
                        visit(&$($mutable)? node.lo);
                        visit(&$($mutable)? node.hi);
                        for carry in &$($mutable)? node.carry {
                            visit(&$($mutable)? carry.init);
                        }
                    }
                    Stmt::If(node) => visit(&$($mutable)? node.cond),
                    Stmt::Reduce(_) => {}
                }
            }

            /// The values that it defines for the statements after it.
            pub fn $results(&$($mutable)? self, visit: &mut dyn FnMut(&$($mutable)? Value)) {
                match self {
                    Stmt::Let(value, _) => visit(value),
                    Stmt::Store(..) => {}
                    Stmt::For(node) => {
                        for carry in &$($mutable)? node.carry {
                            visit(&$($mutable)? carry.result);
                        }
                    }
                    Stmt::If(node) => {
                        for value in &$($mutable)? node.results {
                            visit(value);
                        }
                    }
                    Stmt::Reduce(node) => {
                        for value in &$($mutable)? node.results {
                            visit(value);
                        }
                        for fold in &$($mutable)? node.folds {
                            for value in &$($mutable)? fold.results {
                                visit(value);
                            }
                        }
                    }
                }
            }

            /// The values that it defines for the statements inside it.
            pub fn $variables(&$($mutable)? self, visit: &mut dyn FnMut(&$($mutable)? Value)) {
                match self {
                    Stmt::Let(..) | Stmt::Store(..) | Stmt::If(_) => {}
                    Stmt::For(node) => {
                        visit(&$($mutable)? node.var);
                        for carry in &$($mutable)? node.carry {
                            visit(&$($mutable)? carry.var);
                        }
                    }
                    Stmt::Reduce(node) => {
                        for (value, _) in &$($mutable)? node.outer {
                            visit(value);
                        }
                        visit(&$($mutable)? node.inner.0);
                    }
                }
            }

            /// The values that its bodies hand out at their ends.
            pub fn $yields(&$($mutable)? self, visit: &mut dyn FnMut(&$($mutable)? Value)) {
                match self {
                    Stmt::Let(..) | Stmt::Store(..) => {}
                    Stmt::For(node) => {
                        for value in &$($mutable)? node.body.yields {
                            visit(value);
                        }
                    }
                    Stmt::If(node) => {
                        for value in &$($mutable)? node.then.yields {
                            visit(value);
                        }
                        for value in &$($mutable)? node.otherwise.yields {
                            visit(value);
                        }
                    }
                    Stmt::Reduce(node) => {
                        for lift in &$($mutable)? node.lifts {
                            match lift {
                                Lift::Value(value) => visit(value),
                                Lift::Product(a, b) => {
                                    visit(a);
                                    visit(b);
                                }
                            }
                        }
                        for fold in &$($mutable)? node.folds {
                            for value in &$($mutable)? fold.args {
                                visit(value);
                            }
                            if let Some(value) = &$($mutable)? fold.cond {
                                visit(value);
                            }
                        }
                    }
                }
            }

            /// The lists of statements inside it, in order.
            pub fn $bodies(&$($mutable)? self) -> Vec<&$($mutable)? Vec<Stmt>> {
                match self {
                    Stmt::Let(..) | Stmt::Store(..) => Vec::new(),
                    Stmt::For(node) => vec![&$($mutable)? node.body.stmts],
                    Stmt::If(node) => {
                        vec![&$($mutable)? node.then.stmts, &$($mutable)? node.otherwise.stmts]
                    }
                    Stmt::Reduce(node) => vec![&$($mutable)? node.body],
                }
            }
        }
    };
}

visitors!([] operands results variables yields bodies);
visitors!([mut] operands_mut results_mut variables_mut yields_mut bodies_mut);

impl Func {
    /// Visits the definition of every value, in the order of the text form.
    pub fn definitions(&self, visit: &mut dyn FnMut(Value)) {
        for (_, part) in self.folds.values().flat_map(FoldDecl::parts) {
            part.params.iter().for_each(|value| visit(*value));
            definitions(&part.block.stmts, visit);
        }
        for phase in &self.phases {
            visit(phase.lo);
            visit(phase.hi);
            definitions(&phase.body, visit);
        }
    }

    /// Numbers the values in the order of their definitions and drops those that no statement defines. (Passes
    /// leave such values behind.) The function must be well-formed.
    pub fn renumber(&mut self) {
        let mut new = SecondaryMap::with_capacity(self.values.len());
        let mut values: PrimaryMap<Value, Type> = PrimaryMap::new();
        self.definitions(&mut |old| new[old] = Some(values.push(self.values[old])));
        self.values = values;
        let mut rename = |value: &mut Value| *value = new[*value].expect("every used value is defined");
        for part in self.folds.values_mut().flat_map(FoldDecl::parts_mut) {
            part.params.iter_mut().chain(&mut part.block.yields).for_each(&mut rename);
            rename_all(&mut part.block.stmts, &mut rename);
        }
        for phase in &mut self.phases {
            rename(&mut phase.lo);
            rename(&mut phase.hi);
            rename_all(&mut phase.body, &mut rename);
        }
    }

    /// A copy of statements that defines values of its own; `names` holds what takes the place of values from outside, and
    /// afterwards of those defined inside.
    pub fn copy(&mut self, stmts: &[Stmt], names: &mut SecondaryMap<Value, Option<Value>>) -> Vec<Stmt> {
        let mut stmts = stmts.to_vec();
        definitions(&stmts, &mut |old| names[old] = Some(self.values.push(self.values[old])));
        rename_all(&mut stmts, &mut |value| *value = names[*value].unwrap_or(*value));
        stmts
    }

    /// The values that no statement defines.
    pub fn unused(&self) -> Vec<Value> {
        let mut defined = vec![false; self.values.len()];
        self.definitions(&mut |value| {
            if let Some(known) = defined.get_mut(value.index()) {
                *known = true;
            }
        });
        self.values.keys().filter(|value| !defined[value.index()]).collect()
    }
}

fn definitions(stmts: &[Stmt], visit: &mut dyn FnMut(Value)) {
    for stmt in stmts {
        if let Stmt::For(node) = stmt {
            visit(node.var);
            for carry in &node.carry {
                visit(carry.var);
                visit(carry.result);
            }
        } else {
            stmt.results(&mut |value| visit(*value));
            stmt.variables(&mut |value| visit(*value));
        }
        for body in stmt.bodies() {
            definitions(body, visit);
        }
    }
}

fn rename_all(stmts: &mut [Stmt], rename: &mut dyn FnMut(&mut Value)) {
    for stmt in stmts {
        stmt.operands_mut(rename);
        stmt.results_mut(rename);
        stmt.variables_mut(rename);
        stmt.yields_mut(rename);
        for body in stmt.bodies_mut() {
            rename_all(body, rename);
        }
    }
}
