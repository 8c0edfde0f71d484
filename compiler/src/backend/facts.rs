//! What the selectors of all back ends ask about the values of a phase: which are constants, which negations cost nothing, and
//! which constants an innermost loop keeps in registers.
//!
//! An innermost loop keeps as many constants in registers as its values leave free, the ones that save most first.

use cranelift_entity::SecondaryMap;
use rustc_hash::{FxHashMap, FxHashSet};

use super::layout::{Layout, Number};
use crate::loops::{Block, Elem, For, Func, Inst, Stmt, Type, Value};
use crate::ops::Prim;

/// The bytes of a vector of 128 bits; wider ones repeat them.
pub(super) type Pattern = [u8; 16];

/// The vector with a constant in every lane.
pub(super) fn splat(elem: Elem, bits: u64) -> Pattern {
    let bits = match elem {
        Elem::F32 | Elem::I32 => {
            let low = bits & 0xFFFF_FFFF;
            low | low << 32
        }
        Elem::F64 | Elem::I64 => bits,
        Elem::F16 | Elem::BF16 | Elem::I8 | Elem::U8 => unreachable!("no value is of it"),
        Elem::Bool => {
            if bits == 0 {
                0
            } else {
                u64::MAX
            }
        }
    };
    (u128::from(bits) | u128::from(bits) << 64).to_le_bytes()
}

/// Which bit of a float is its sign.
pub(super) fn sign_bit(elem: Elem) -> u64 {
    if elem.bytes() == 4 { 1 << 31 } else { 1 << 63 }
}

/// How many sums deep a position is taken apart.
const MAX_DEPTH: u32 = 8;

/// What is known about the values of a phase before code is made.
pub(super) struct Facts<'a> {
    layout: &'a Layout,
    /// How a value is defined, if by a statement.
    pub(super) defs: SecondaryMap<Value, Option<&'a Inst>>,
    /// The negations that are needed other than as operands of fma (which negates by itself).
    pub(super) needed: FxHashSet<Value>,
    /// How often a value is an operand in the code, counting no further than it matters.
    uses: SecondaryMap<Value, u32>,
}

impl<'a> Facts<'a> {
    /// Looks at the statements of a phase.
    pub(super) fn new(stmts: &'a [Stmt], layout: &'a Layout) -> Facts<'a> {
        let mut facts = Facts {
            layout,
            defs: SecondaryMap::new(),
            needed: FxHashSet::default(),
            uses: SecondaryMap::new(),
        };
        facts.define(stmts);
        facts.use_all(stmts);
        facts
    }

    /// The constant that a value is.
    pub(super) fn constant(&self, value: Value) -> Option<u64> {
        match self.defs[value] {
            Some(Inst::Const(bits)) => Some(*bits),
            Some(Inst::Size(size)) => match self.layout.size(*size) {
                Number::Known(size) => Some(size as u64),
                Number::Size(_) => None,
            },
            _ => None,
        }
    }

    /// Whether a value is an operand more than once.
    pub(super) fn is_shared(&self, value: Value) -> bool {
        self.uses[value] > 1
    }

    /// Whether a value is the negative of a float that every fma that takes it negates by itself.
    pub(super) fn is_folded_negation(&self, func: &Func, value: Value) -> bool {
        func.values[value].elem.is_float() && self.negated(value).is_some() && !self.needed.contains(&value)
    }

    /// The value that this one is the negative of.
    pub(super) fn negated(&self, value: Value) -> Option<Value> {
        match self.defs[value] {
            Some(Inst::Prim(Prim::Neg, operands)) => Some(operands[0]),
            _ => None,
        }
    }

    fn define(&mut self, stmts: &'a [Stmt]) {
        for stmt in stmts {
            match stmt {
                Stmt::Let(value, inst) => self.defs[*value] = Some(inst),
                Stmt::Store(..) => {}
                Stmt::For(each) => self.define(&each.body.stmts),
                Stmt::If(choice) => {
                    self.define(&choice.then.stmts);
                    self.define(&choice.otherwise.stmts);
                }
                Stmt::Reduce(_) => unreachable!("there are no reductions in verified functions"),
            }
        }
    }

    fn use_all(&mut self, stmts: &[Stmt]) {
        for stmt in stmts {
            if let Stmt::Let(_, inst) = stmt {
                // A comparison and a selection.
                let times = if matches!(inst, Inst::Prim(Prim::SelMax | Prim::SelMin, _)) { 2 } else { 1 };
                each_operand(inst, &mut |value| self.uses[value] += times);
            }
            match stmt {
                Stmt::Let(_, Inst::Prim(Prim::Fma, _)) => {}
                Stmt::Let(_, inst) => {
                    let needed = &mut self.needed;
                    each_operand(inst, &mut |value| {
                        needed.insert(value);
                    });
                }
                Stmt::Store(_, value) => {
                    self.needed.insert(*value);
                    self.uses[*value] += 1;
                }
                Stmt::For(each) => {
                    self.needed.extend(each.carry.iter().map(|carry| carry.init));
                    self.use_block(&each.body);
                }
                Stmt::If(choice) => {
                    self.use_block(&choice.then);
                    self.use_block(&choice.otherwise);
                }
                Stmt::Reduce(_) => unreachable!("there are no reductions in verified functions"),
            }
        }
    }

    fn use_block(&mut self, block: &Block) {
        self.use_all(&block.stmts);
        self.needed.extend(&block.yields);
        for value in &block.yields {
            self.uses[*value] += 1;
        }
    }

    /// Takes a position apart into values times counts, and a number.
    pub(super) fn take_apart(
        &self,
        position: Value,
        count: i64,
        parts: &mut Vec<(Value, i64)>,
        constant: &mut i64,
    ) {
        self.part(position, count, MAX_DEPTH, parts, constant);
    }

    fn part(
        &self,
        position: Value,
        count: i64,
        depth: u32,
        parts: &mut Vec<(Value, i64)>,
        constant: &mut i64,
    ) {
        if let Some(bits) = self.constant(position) {
            *constant = constant.wrapping_add((bits as i64).wrapping_mul(count));
            return;
        }
        let Some(Inst::Prim(prim, operands)) = self.defs[position].filter(|_| depth > 0) else {
            return parts.push((position, count));
        };
        let mut go_on = |value, count| self.part(value, count, depth - 1, parts, constant);
        let number = operands.get(1).and_then(|&operand| self.constant(operand)).map(|bits| bits as i64);
        match (prim, number) {
            (Prim::Add, _) => {
                go_on(operands[0], count);
                go_on(operands[1], count);
            }
            (Prim::Sub, Some(number)) => {
                go_on(operands[0], count);
                *constant = constant.wrapping_sub(number.wrapping_mul(count));
            }
            (Prim::Mul, Some(number)) => go_on(operands[0], count.wrapping_mul(number)),
            (Prim::Shl, Some(number)) if (0..32).contains(&number) => go_on(operands[0], count << number),
            _ => parts.push((position, count)),
        }
    }

    /// Whether each lane of an integer is that of the lane before plus 1, by how it is made.
    pub(super) fn is_consecutive(&self, mut value: Value) -> bool {
        let uniform = |value: Value| matches!(self.defs[value], Some(Inst::Splat(_) | Inst::Const(_)));
        loop {
            value = match self.defs[value] {
                Some(Inst::Iota(_)) => return true,
                Some(Inst::Prim(Prim::Add | Prim::Sub, args)) if uniform(args[1]) => args[0],
                Some(Inst::Prim(Prim::Add, args)) if uniform(args[0]) => args[1],
                _ => return false,
            }
        }
    }
}

/// Calls `f` with every operand that is a number of the computation (not a position).
pub(super) fn each_operand(inst: &Inst, f: &mut impl FnMut(Value)) {
    match inst {
        Inst::Const(_) | Inst::Scalar(_) | Inst::Size(_) | Inst::Load(_) => {}
        Inst::Prim(_, operands) => operands.iter().copied().for_each(f),
        Inst::Shift(before, value, _) => [*before, *value].into_iter().for_each(f),
        // Positions that are computed are numbers like others.
        Inst::Gather(access) => access.index.iter().copied().for_each(f),
        Inst::Convert(value)
        | Inst::Bitcast(value)
        | Inst::Splat(value)
        | Inst::Iota(value)
        | Inst::Fold(_, value) => f(*value),
    }
}

/// Whether values of this type are in vector registers.
pub(super) fn in_vector_register(ty: Type) -> bool {
    ty.lanes > 1 || ty.elem.is_float()
}

/// The constants that an innermost loop keeps in registers, of `registers` that the machine has.
pub(super) fn residents(func: &Func, facts: &Facts<'_>, each: &For, registers: u32) -> Vec<Pattern> {
    // One register is left for a constant that is loaded for its use only.
    let free = registers.saturating_sub(Pressure::of_loop(func, facts, each) + 1) as usize;
    let mut savings: Vec<(Pattern, u32)> = Vec::new();
    let mut index: FxHashMap<Pattern, usize> = FxHashMap::default();
    each_constant(func, facts, &each.body, &mut |pattern, saving| {
        let at = *index.entry(pattern).or_insert_with(|| {
            savings.push((pattern, 0));
            savings.len() - 1
        });
        savings[at].1 += saving;
    });
    savings.sort_by_key(|(_, saving)| std::cmp::Reverse(*saving));
    savings.truncate(free);
    savings.into_iter().map(|(pattern, _)| pattern).collect()
}

/// Calls `f` with each use of a vector constant and what a register for it would save there.
fn each_constant(func: &Func, facts: &Facts<'_>, block: &Block, f: &mut impl FnMut(Pattern, u32)) {
    for stmt in &block.stmts {
        match stmt {
            Stmt::Let(value, inst) => constants_of(func, facts, *value, inst, f),
            Stmt::If(choice) => {
                each_constant(func, facts, &choice.then, f);
                each_constant(func, facts, &choice.otherwise, f);
            }
            Stmt::Store(..) | Stmt::For(_) | Stmt::Reduce(_) => {}
        }
    }
}

fn constants_of(func: &Func, facts: &Facts<'_>, value: Value, inst: &Inst, f: &mut impl FnMut(Pattern, u32)) {
    let ty = func.values[value];
    match inst {
        Inst::Prim(Prim::Shl | Prim::ShrU | Prim::ShrS, _) => {}
        Inst::Prim(Prim::Neg, _) if ty.lanes > 1 && ty.elem.is_float() && facts.needed.contains(&value) => {
            f(splat(ty.elem, sign_bit(ty.elem)), 1);
        }
        Inst::Prim(Prim::Abs | Prim::CopySign, _) if ty.lanes > 1 && ty.elem.is_float() => {
            f(splat(ty.elem, sign_bit(ty.elem) - 1), 1);
        }
        Inst::Prim(prim, operands) => {
            // What needs the operand twice, or in a register, cannot have it in memory.
            let saving = match prim {
                Prim::SelMax | Prim::SelMin | Prim::Select => 3,
                _ => 2,
            };
            for &operand in operands {
                let ty = func.values[operand];
                if let Some(bits) = facts.constant(operand)
                    && ty.lanes > 1
                {
                    f(splat(ty.elem, bits), saving);
                }
            }
        }
        _ => {}
    }
}

/// How many vector registers a loop's values take.
struct Pressure<'a> {
    func: &'a Func,
    facts: &'a Facts<'a>,
    most: usize,
}

impl Pressure<'_> {
    fn of_loop(func: &Func, facts: &Facts<'_>, each: &For) -> u32 {
        let mut pressure = Pressure { func, facts, most: 0 };
        // What the body takes from outside is live in all of it; what it defines is not.
        let mut live = FxHashSet::default();
        pressure.walk_block(&each.body, &mut live);
        for carry in &each.carry {
            live.remove(&carry.var);
        }
        pressure.most = 0;
        pressure.walk_block(&each.body, &mut live);
        pressure.most as u32
    }

    /// From the end of a block to its start.
    fn walk_block(&mut self, block: &Block, live: &mut FxHashSet<Value>) {
        for value in &block.yields {
            self.read(*value, live);
        }
        for stmt in block.stmts.iter().rev() {
            self.walk(stmt, live);
            self.most = self.most.max(live.len());
        }
    }

    fn walk(&mut self, stmt: &Stmt, live: &mut FxHashSet<Value>) {
        match stmt {
            Stmt::Let(value, inst) => {
                live.remove(value);
                each_operand(inst, &mut |operand| self.read(operand, live));
            }
            Stmt::Store(_, value) => self.read(*value, live),
            Stmt::If(choice) => {
                for result in &choice.results {
                    live.remove(result);
                }
                let mut otherwise = live.clone();
                self.walk_block(&choice.otherwise, &mut otherwise);
                self.walk_block(&choice.then, live);
                live.extend(otherwise);
            }
            Stmt::For(_) | Stmt::Reduce(_) => {}
        }
    }

    fn read(&self, value: Value, live: &mut FxHashSet<Value>) {
        let value = match self.facts.negated(value) {
            Some(operand) if !self.facts.needed.contains(&value) => operand,
            _ => value,
        };
        if in_vector_register(self.func.values[value]) && self.facts.constant(value).is_none() {
            live.insert(value);
        }
    }
}
