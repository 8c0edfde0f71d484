//! What the loop passes make new statements with.

use crate::loops::{Block, Carry, For, Func, If, Inst, LoopKind, Stmt, Type, Value};
use crate::ops::{Prim, Reduction};

/// Appends statements to a list, for values of a function.
pub struct Builder<'f> {
    /// The function that owns the values.
    pub func: &'f mut Func,
    /// The statements made so far.
    pub stmts: Vec<Stmt>,
}

impl<'f> Builder<'f> {
    /// An empty list.
    pub fn new(func: &'f mut Func) -> Builder<'f> {
        Builder { func, stmts: Vec::new() }
    }

    /// A new value defined by an instruction.
    pub fn push(&mut self, ty: Type, inst: Inst) -> Value {
        let value = self.func.value(ty);
        self.stmts.push(Stmt::Let(value, inst));
        value
    }

    /// A position.
    pub fn index(&mut self, value: i64) -> Value {
        self.push(Type::INDEX, Inst::Const(value as u64))
    }

    /// A function of positions.
    pub fn on_index(&mut self, prim: Prim, a: Value, b: Value) -> Value {
        self.push(Type::INDEX, Inst::Prim(prim, vec![a, b]))
    }

    /// A function of a position and a number.
    pub fn with_const(&mut self, prim: Prim, a: Value, b: i64) -> Value {
        let b = self.index(b);
        self.on_index(prim, a, b)
    }

    /// A function whose result has the type of its first operand.
    pub fn prim(&mut self, prim: Prim, args: &[Value]) -> Value {
        let ty = self.func.values[args[0]];
        self.push(ty, Inst::Prim(prim, args.to_vec()))
    }

    /// A comparison.
    pub fn compare(&mut self, prim: Prim, a: Value, b: Value) -> Value {
        let ty = self.func.values[a].with_elem(crate::loops::Elem::Bool);
        self.push(ty, Inst::Prim(prim, vec![a, b]))
    }

    /// `first ? a : b`.
    pub fn select(&mut self, mask: Value, a: Value, b: Value) -> Value {
        let ty = self.func.values[a];
        self.push(ty, Inst::Prim(Prim::Select, vec![mask, a, b]))
    }

    /// `combine(element, state)` of a reduction, in core functions.
    pub fn combine(&mut self, reduction: Reduction, element: Value, state: Value) -> Value {
        let float = self.func.values[state].elem.is_float();
        let sticky = |builder: &mut Self, prim| {
            let plain = builder.prim(prim, &[element, state]);
            if !float {
                return plain;
            }
            let nan = builder.compare(Prim::Ne, element, element);
            builder.select(nan, element, plain)
        };
        match reduction.combine() {
            Prim::Max => sticky(self, Prim::SelMax),
            Prim::Min => sticky(self, Prim::SelMin),
            prim => self.prim(prim, &[element, state]),
        }
    }

    /// Statements made by `body` instead of being appended, and what it returns.
    pub fn nested<T>(&mut self, body: impl FnOnce(&mut Builder<'_>) -> T) -> (Vec<Stmt>, T) {
        let mut inner = Builder::new(self.func);
        let result = body(&mut inner);
        (inner.stmts, result)
    }

    /// A sequential loop from `lo` to `hi` that carries `init`; the body gets the loop variable and the carried values and returns the next ones.
    pub fn seq(
        &mut self,
        lo: Value,
        hi: Value,
        init: &[Value],
        body: impl FnOnce(&mut Builder<'_>, Value, &[Value]) -> Vec<Value>,
    ) -> Vec<Value> {
        self.counted(lo, hi, 1, LoopKind::Seq, init, body)
    }

    /// A loop of any kind.
    pub fn counted(
        &mut self,
        lo: Value,
        hi: Value,
        step: i64,
        kind: LoopKind,
        init: &[Value],
        body: impl FnOnce(&mut Builder<'_>, Value, &[Value]) -> Vec<Value>,
    ) -> Vec<Value> {
        let var = self.func.value(Type::INDEX);
        let vars: Vec<Value> = init.iter().map(|&init| self.func.value(self.func.values[init])).collect();
        let (stmts, yields) = self.nested(|builder| body(builder, var, &vars));
        let results: Vec<Value> = init.iter().map(|&init| self.func.value(self.func.values[init])).collect();
        let carry = vars.iter().zip(init).zip(&results);
        let carry = carry.map(|((&var, &init), &result)| Carry { var, init, result }).collect();
        let body = Block { stmts, yields };
        self.stmts.push(Stmt::For(Box::new(For { var, lo, hi, step, kind, unroll: 1, carry, body })));
        results
    }

    /// A choice; both blocks return values of the same types.
    pub fn choose(
        &mut self,
        cond: Value,
        then: impl FnOnce(&mut Builder<'_>) -> Vec<Value>,
        otherwise: impl FnOnce(&mut Builder<'_>) -> Vec<Value>,
    ) -> Vec<Value> {
        let (then_stmts, then_yields) = self.nested(then);
        let (else_stmts, else_yields) = self.nested(otherwise);
        let results: Vec<Value> =
            then_yields.iter().map(|&value| self.func.value(self.func.values[value])).collect();
        let then = Block { stmts: then_stmts, yields: then_yields };
        let otherwise = Block { stmts: else_stmts, yields: else_yields };
        self.stmts.push(Stmt::If(Box::new(If { cond, then, otherwise, results: results.clone() })));
        results
    }
}
