//! Writes elementary functions out in core operations: the pass, and the loop IR's form of [`Core`].
//!
//! Needs nothing; runs at any number of lanes. Leaves only core functions. Numeric: what it writes is exact to the bit and sees no target.

use rustc_hash::FxHashMap;

use super::super::build::Builder;
use super::{Core, FloatTy, expand, storage};
use crate::loops::{Elem, FoldDecl, Func, Inst, Stmt, Type, Value};
use crate::ops::{Class, Prim, Typing};

/// Runs the pass.
pub fn run(func: &mut Func) {
    for phase in 0..func.phases.len() {
        let body = std::mem::take(&mut func.phases[phase].body);
        func.phases[phase].body = rewrite(func, body);
    }
    let mut folds = std::mem::take(&mut func.folds);
    for part in folds.values_mut().flat_map(FoldDecl::parts_mut) {
        let stmts = std::mem::take(&mut part.block.stmts);
        part.block.stmts = rewrite(func, stmts);
    }
    func.folds = folds;
}

fn rewrite(func: &mut Func, stmts: Vec<Stmt>) -> Vec<Stmt> {
    let mut out = Vec::with_capacity(stmts.len());
    // Constants of the expansions in this block, each once.
    let mut constants = FxHashMap::default();
    for mut stmt in stmts {
        for body in stmt.bodies_mut() {
            let inside = std::mem::take(body);
            *body = rewrite(func, inside);
        }
        match stmt {
            Stmt::Let(value, Inst::Prim(prim, args))
                if matches!(prim.class(), Class::Expanded | Class::Storage) =>
            {
                let ty =
                    if prim.typing() == Typing::Encode { func.values[args[0]] } else { func.values[value] };
                let mut emit = Emit { builder: Builder::new(func), ty, constants: &mut constants };
                let result = match (prim, &args[..]) {
                    (Prim::ToF16 | Prim::ToBf16, &[x]) => emit.encode(prim, x),
                    (Prim::OfF16, &[bits]) => storage::of_f16(&mut emit, bits),
                    (Prim::OfBf16, &[bits]) => storage::of_bf16(&mut emit, bits),
                    _ => expand(&mut emit, prim, &args),
                };
                let mut stmts = emit.builder.stmts;
                // The last operation of an expansion makes its result, which is the value itself.
                match stmts.last_mut() {
                    Some(Stmt::Let(last, _)) if *last == result => *last = value,
                    _ => panic!("the expansion of `{prim}` does not end with its result"),
                }
                out.extend(stmts);
            }
            stmt => out.push(stmt),
        }
    }
    out
}

/// The integer type of the same width.
fn int_of(ty: Type) -> Type {
    ty.with_elem(if ty.elem == Elem::F64 { Elem::I64 } else { Elem::I32 })
}

struct Emit<'f, 'c> {
    builder: Builder<'f>,
    ty: Type,
    constants: &'c mut FxHashMap<(Type, u64), Value>,
}

impl Emit<'_, '_> {
    fn constant(&mut self, ty: Type, bits: u64) -> Value {
        if let Some(&value) = self.constants.get(&(ty, bits)) {
            return value;
        }
        let value = self.builder.push(ty, Inst::Const(bits));
        self.constants.insert((ty, bits), value);
        value
    }

    fn float_prim(&mut self, prim: Prim, args: &[Value]) -> Value {
        self.builder.push(self.ty, Inst::Prim(prim, args.to_vec()))
    }

    fn int_prim(&mut self, prim: Prim, args: &[Value]) -> Value {
        self.builder.push(int_of(self.ty), Inst::Prim(prim, args.to_vec()))
    }

    fn mask_prim(&mut self, prim: Prim, args: &[Value]) -> Value {
        self.builder.push(self.ty.with_elem(Elem::Bool), Inst::Prim(prim, args.to_vec()))
    }

    /// The bits of a float of 16 bits; of an `f64` by way of an `f32`.
    fn encode(&mut self, prim: Prim, x: Value) -> Value {
        let narrow = if self.ty.elem == Elem::F64 { self.rounded_to_odd(x) } else { x };
        self.ty = self.ty.with_elem(Elem::F32);
        if prim == Prim::ToF16 { storage::to_f16(self, narrow) } else { storage::to_bf16(self, narrow) }
    }

    /// An `f64` as an `f32`, rounded to odd. To nearest it goes wrong only where the last bit is 0: then by one number, back
    /// to where it came from.
    fn rounded_to_odd(&mut self, x: Value) -> Value {
        let wide = self.ty;
        let (float, int) = (wide.with_elem(Elem::F32), wide.with_elem(Elem::I32));
        let near = self.builder.push(float, Inst::Convert(x));
        let back = self.builder.push(wide, Inst::Convert(near));
        let (size, back_size) = (self.abs(x), self.abs(back));
        let (above, below) = (self.lt(size, back_size), self.lt(back_size, size));
        let bits = self.builder.push(int, Inst::Bitcast(near));
        let [zero, one, minus] = [0, 1, u64::from(u32::MAX)].map(|bits| self.constant(int, bits));
        let odd = self.builder.push(int, Inst::Prim(Prim::IAnd, vec![bits, one]));
        let even = self.builder.compare(Prim::Eq, odd, zero);
        let up = self.builder.select(below, one, zero);
        let step = self.builder.select(above, minus, up);
        let step = self.builder.select(even, step, zero);
        let moved = self.builder.prim(Prim::Add, &[bits, step]);
        self.builder.push(float, Inst::Bitcast(moved))
    }

    fn shift(&mut self, prim: Prim, a: Value, n: u32) -> Value {
        let n = self.int(i64::from(n));
        self.int_prim(prim, &[a, n])
    }
}

macro_rules! core_functions {
    ($helper:ident: $($method:ident($($arg:ident),*) -> $prim:ident;)*) => {
        $(fn $method(&mut self, $($arg: Value),*) -> Value {
            self.$helper(Prim::$prim, &[$($arg),*])
        })*
    };
}

impl Core for Emit<'_, '_> {
    type F = Value;
    type I = Value;
    type M = Value;

    fn ty(&self) -> FloatTy {
        if self.ty.elem == Elem::F64 { FloatTy::F64 } else { FloatTy::F32 }
    }

    fn float(&mut self, c: f64) -> Value {
        let bits = if self.ty.elem == Elem::F64 { c.to_bits() } else { u64::from((c as f32).to_bits()) };
        self.constant(self.ty, bits)
    }

    fn int(&mut self, c: i64) -> Value {
        let ty = int_of(self.ty);
        let bits = if ty.elem == Elem::I64 { c as u64 } else { u64::from(c as i32 as u32) };
        self.constant(ty, bits)
    }

    core_functions! {
        float_prim:
        add(a, b) -> Add; sub(a, b) -> Sub; mul(a, b) -> Mul; div(a, b) -> Div; fma(a, b, c) -> Fma;
        neg(a) -> Neg; abs(a) -> Abs; sqrt(a) -> Sqrt;
        floor(a) -> Floor; ceil(a) -> Ceil; trunc(a) -> Trunc; round_even(a) -> Round;
        max(a, b) -> SelMax; min(a, b) -> SelMin; select(m, a, b) -> Select;
    }
    core_functions! {
        mask_prim:
        lt(a, b) -> Lt; le(a, b) -> Le; gt(a, b) -> Gt; ge(a, b) -> Ge; eq(a, b) -> Eq; ne(a, b) -> Ne;
        mask_and(a, b) -> And; mask_or(a, b) -> Or; mask_not(a) -> Not; ilt(a, b) -> Lt; ieq(a, b) -> Eq;
    }
    core_functions! {
        int_prim:
        select_int(m, a, b) -> Select;
        iadd(a, b) -> Add; isub(a, b) -> Sub; iand(a, b) -> IAnd; ior(a, b) -> IOr; ixor(a, b) -> IXor;
    }

    fn is_nan(&mut self, a: Value) -> Value {
        self.mask_prim(Prim::Ne, &[a, a])
    }

    fn bits(&mut self, a: Value) -> Value {
        self.builder.push(int_of(self.ty), Inst::Bitcast(a))
    }

    fn float_from_bits(&mut self, a: Value) -> Value {
        self.builder.push(self.ty, Inst::Bitcast(a))
    }

    fn shl(&mut self, a: Value, n: u32) -> Value {
        self.shift(Prim::Shl, a, n)
    }

    fn shr_u(&mut self, a: Value, n: u32) -> Value {
        self.shift(Prim::ShrU, a, n)
    }

    fn shr_s(&mut self, a: Value, n: u32) -> Value {
        self.shift(Prim::ShrS, a, n)
    }

    fn to_float(&mut self, a: Value) -> Value {
        self.builder.push(self.ty, Inst::Convert(a))
    }
}
