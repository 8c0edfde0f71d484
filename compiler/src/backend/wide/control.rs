//! Phases, loops and choices: the frame in which instructions are put.
//!
//! The code is emitted in one walk. What an inner loop needs and an outer place can compute (addresses, sizes) is put there
//! afterwards, before the branch that left that place: see [`Emitter::at`].
//!
//! Nothing is loaded before it is needed: a load with one use waits for it, as a memory operand if the instruction takes
//! one, unless a store or the end of the block comes first. So do comparisons that only choices ask for; they become flags.

use cranelift_entity::SecondaryMap;
use iced_x86::Code;
use regalloc2::RegClass;
use rustc_hash::{FxHashMap, FxHashSet};

use super::super::BackendError;
use super::super::facts::{Facts, Pattern, residents};
use super::super::layout::{Layout, Number, Place, Stride, args};
use super::super::order::in_order;
use super::address::Term;
use super::allocate::gpr;
use super::codes::{self, Cond};
use super::insts::{is_supported, shape, size};
use super::vcode::{Base, Block, End, Function, Inst as Machine, Mem, Operand, Operands, Reg, Size, Target};
use crate::loops::{self, Buffer, BufferKind, Elem, For, Func, If, Inst, Phase, Stmt, Type, Value};
use crate::ops::Prim;

/// Vector registers that may hold constants and values of a loop: all but one, which is for what is loaded for its use.
const REGISTERS: u32 = 15;

/// So many constants that were loaded for their use are taken from the registers if they are needed again soon.
const REMEMBERED: usize = 2;

/// After so many statements without a use, an element of a parameter is loaded again.
const LONG_AGO: u32 = 24;

/// A computation whose result is kept for its scope.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Key {
    /// A number.
    Number(i64),
    /// A field of the arguments.
    Argument(i32),
    /// A word of an array among the arguments: the field, and which.
    Word(i32, u32),
    /// A number of the caller.
    Scalar(u32, Elem),
    /// Where a buffer starts.
    Base(Buffer),
    /// A stride times a factor.
    Stride(Stride, i64),
    /// Part of an address.
    Address(Buffer, Box<[Term]>),
    /// A loop variable times a factor, kept by adding.
    Induction(Term),
    /// The mask of the lanes below a number, for lanes of so many bytes.
    Mask(Value, u32),
    /// The address of some zeros.
    Zeros,
}

/// A place in the nest of loops and choices.
#[derive(Default)]
struct Scope {
    /// The block whose branch entered the scope inside this one.
    exit: Option<Block>,
    /// What is computed here.
    cache: FxHashMap<Key, Reg>,
    /// Constants in registers.
    residents: Vec<(Pattern, Reg)>,
    /// The loop, if it is an innermost one.
    innermost: Option<Innermost>,
}

/// An innermost loop while its body is emitted.
struct Innermost {
    /// Its variable.
    var: Value,
    lo: Reg,
    step: i64,
    header: Block,
    /// Further carried variables, and what is added to them in each iteration.
    inductions: Vec<(Reg, Reg)>,
}

/// Makes the code of one phase.
pub(super) struct Emitter<'a> {
    pub(super) func: &'a Func,
    pub(super) layout: &'a Layout,
    pub(super) facts: Facts<'a>,
    pub(super) code: Function,
    block: Block,
    scopes: Vec<Scope>,
    values: SecondaryMap<Value, Option<Reg>>,
    depths: SecondaryMap<Value, u32>,
    args: Reg,
    pub(super) scratch: Reg,
    slots: SecondaryMap<Buffer, Option<u32>>,
    pub(super) spare: Option<u32>,
    /// Uses of each value that are still to come.
    left: SecondaryMap<Value, u32>,
    /// Comparisons that only flags are made of.
    flags_only: FxHashSet<Value>,
    /// The comparisons that are the mask of the lanes below a number, and the number.
    masks: FxHashMap<Value, Value>,
    /// The constants loaded last in the current scope.
    last_constants: Vec<(Pattern, Reg)>,
    /// Loads that wait for their use, in the order in which they stand.
    waiting: Vec<(Value, Mem)>,
    /// Elements of parameters that were loaded in the current scope and are still in memory: where, and when they were used.
    elements: FxHashMap<Value, (Mem, u32)>,
    /// Counts statements.
    now: u32,
    /// What cannot be selected, if anything.
    pub(super) refused: Option<BackendError>,
}

/// Emits a phase.
pub(super) fn emit_phase(func: &Func, phase: &Phase, layout: &Layout) -> Result<Function, BackendError> {
    let ordered = in_order(func, &phase.body);
    let facts = Facts::new(&ordered, layout);
    let mut code = Function::new();
    let entry = code.block();
    code.order.push(entry);
    // The platform's first four arguments.
    let places = [7, 6, 2, 1].map(gpr);
    let given = places.map(|place| (code.register(RegClass::Int), place));
    let operands = given.map(|(reg, place)| Operand::FixedDef(reg, place));
    code.blocks[0].insts.push(Machine { code: Code::INVALID, operands: Operands::new(&operands) });
    let [args, scratch, lo, hi] = given.map(|(reg, _)| reg);
    if let Some(ty) = unsupported(func, &ordered) {
        return Err(BackendError::new(format!("the wide back end has no registers for {ty}")));
    }
    let mut left = SecondaryMap::new();
    count(func, &facts, &ordered, &mut left);
    let mut masks = FxHashMap::default();
    find_masks(func, &facts, &ordered, &mut left, &mut masks);
    let mut needed = FxHashSet::default();
    needed_as_values(func, &ordered, &mut needed);
    let flags_only = compares(func, &ordered).filter(|value| !needed.contains(value)).collect();
    let mut emitter = Emitter {
        func,
        layout,
        masks,
        facts,
        code,
        block: entry,
        scopes: vec![Scope::default()],
        values: SecondaryMap::new(),
        depths: SecondaryMap::new(),
        args,
        scratch,
        slots: SecondaryMap::new(),
        spare: None,
        left,
        flags_only,
        last_constants: Vec::new(),
        waiting: Vec::new(),
        elements: FxHashMap::default(),
        now: 0,
        refused: None,
    };
    emitter.define(phase.lo, lo);
    emitter.define(phase.hi, hi);
    emitter.stmts(&ordered);
    emitter.end(End::Return);
    match emitter.refused {
        Some(error) => Err(error),
        None => Ok(emitter.code),
    }
}

/// A type of a value that no register holds.
fn unsupported(func: &Func, stmts: &[Stmt]) -> Option<Type> {
    stmts.iter().find_map(|stmt| {
        let mut found = None;
        let mut check = |value: &Value| {
            let ty = func.values[*value];
            if !is_supported(ty) {
                found = Some(ty);
            }
        };
        stmt.results(&mut check);
        stmt.variables(&mut check);
        found.or_else(|| stmt.bodies().into_iter().find_map(|body| unsupported(func, body)))
    })
}

/// How often each value is an operand, as the code will have it: what an fma negates by itself is an operand of the fma.
fn count(func: &Func, facts: &Facts<'_>, stmts: &[Stmt], uses: &mut SecondaryMap<Value, u32>) {
    for stmt in stmts {
        match stmt {
            Stmt::Let(_, Inst::Prim(Prim::Fma, operands)) => {
                for &operand in operands {
                    uses[facts.negated(operand).unwrap_or(operand)] += 1;
                }
            }
            Stmt::Let(value, Inst::Prim(Prim::Neg, _)) if facts.is_folded_negation(func, *value) => {}
            _ => stmt.operands(&mut |value| uses[*value] += 1),
        }
        stmt.yields(&mut |value| uses[*value] += 1);
        for body in stmt.bodies() {
            count(func, facts, body, uses);
        }
    }
}

/// Notes the comparisons of the numbers of the lanes with a number of lanes, whose mask loads and stores of part of a vector use, too.
/// Takes their operands from the uses, so that these are made only if something else needs them.
fn find_masks(
    func: &Func,
    facts: &Facts<'_>,
    stmts: &[Stmt],
    left: &mut SecondaryMap<Value, u32>,
    masks: &mut FxHashMap<Value, Value>,
) {
    for stmt in stmts {
        if let Stmt::Let(mask, Inst::Prim(Prim::Lt, operands)) = stmt
            && let (Some(Inst::Iota(first)), Some(Inst::Splat(count))) =
                (facts.defs[operands[0]], facts.defs[operands[1]])
            && facts.constant(*first) == Some(0)
            && let Some(Inst::Convert(active)) = facts.defs[*count]
            && func.values[*active] == Type::INDEX
        {
            masks.insert(*mask, *active);
            left[operands[0]] -= 1;
            left[operands[1]] -= 1;
            if left[operands[1]] == 0 {
                left[*count] -= 1;
            }
            left[*active] += 1;
        }
        for body in stmt.bodies() {
            find_masks(func, facts, body, left, masks);
        }
    }
}

/// Values that are operands of something else than choices of one lane.
fn needed_as_values(func: &Func, stmts: &[Stmt], needed: &mut FxHashSet<Value>) {
    for stmt in stmts {
        match stmt {
            Stmt::Let(value, Inst::Prim(Prim::Select, operands)) if func.values[*value].lanes == 1 => {
                needed.extend(&operands[1..]);
            }
            Stmt::If(_) => {}
            _ => stmt.operands(&mut |value| _ = needed.insert(*value)),
        }
        stmt.yields(&mut |value| _ = needed.insert(*value));
        for body in stmt.bodies() {
            needed_as_values(func, body, needed);
        }
    }
}

/// The comparisons of one integer.
fn compares<'f>(func: &'f Func, stmts: &'f [Stmt]) -> Box<dyn Iterator<Item = Value> + 'f> {
    Box::new(stmts.iter().flat_map(move |stmt| {
        let inside: Vec<Value> = stmt.bodies().into_iter().flat_map(|body| compares(func, body)).collect();
        let own = match stmt {
            Stmt::Let(value, inst) if integer_compare(func, inst).is_some() => Some(*value),
            _ => None,
        };
        inside.into_iter().chain(own)
    }))
}

/// The condition and operands of a comparison of one integer.
fn integer_compare(func: &Func, inst: &Inst) -> Option<(Cond, Value, Value)> {
    let Inst::Prim(prim, operands) = inst else { return None };
    let cond = match prim {
        Prim::Eq => Cond::Eq,
        Prim::Ne => Cond::Ne,
        Prim::Lt => Cond::Lt,
        Prim::Le => Cond::Le,
        Prim::Gt => Cond::Gt,
        Prim::Ge => Cond::Ge,
        _ => return None,
    };
    let of = func.values[operands[0]];
    let whole = of.lanes == 1 && matches!(of.elem, Elem::I32 | Elem::I64);
    whole.then_some((cond, operands[0], operands[1]))
}

impl Emitter<'_> {
    /// Says that something has no instructions here; the first time counts. What is made from then on is thrown away.
    pub(super) fn refuse(&mut self, what: impl std::fmt::Display) {
        self.refused.get_or_insert_with(|| BackendError::new(format!("the wide back end has no {what}")));
    }

    /// Appends an instruction to the current block.
    pub(super) fn op(&mut self, code: Code, operands: &[Operand]) {
        self.code.blocks[self.block.0 as usize]
            .insts
            .push(Machine { code, operands: Operands::new(operands) });
    }

    /// A new general register.
    pub(super) fn general(&mut self) -> Reg {
        self.code.register(RegClass::Int)
    }

    /// A new vector register.
    pub(super) fn vector(&mut self) -> Reg {
        self.code.register(RegClass::Float)
    }

    /// How deep the current place is in the nest.
    pub(super) fn depth(&self) -> u32 {
        self.scopes.len() as u32 - 1
    }

    /// Emits code of depth `depth`: at the end of the current block, or before the branch that leads inwards.
    fn at<T>(&mut self, depth: u32, build: impl FnOnce(&mut Self) -> T) -> T {
        let place = match self.scopes[depth as usize].exit {
            Some(exit) if depth < self.depth() => exit,
            _ => self.block,
        };
        let here = std::mem::replace(&mut self.block, place);
        let constants = std::mem::take(&mut self.last_constants);
        let built = build(self);
        self.last_constants = constants;
        self.block = here;
        built
    }

    /// What the scope at `depth` keeps under `key`, emitted there if it is new.
    pub(super) fn cached(&mut self, depth: u32, key: Key, build: impl FnOnce(&mut Self) -> Reg) -> Reg {
        if let Some(&value) = self.scopes[depth as usize].cache.get(&key) {
            return value;
        }
        let value = self.at(depth, build);
        self.scopes[depth as usize].cache.insert(key, value);
        value
    }

    /// A field of the arguments.
    pub(super) fn argument(&mut self, field: i32) -> Reg {
        let args = self.args;
        self.cached(0, Key::Argument(field), |emitter| {
            emitter.load_word(Mem { base: Base::Reg(args), index: None, disp: field })
        })
    }

    /// A word of an array among the arguments.
    pub(super) fn word(&mut self, field: i32, index: u32) -> Reg {
        let array = self.argument(field);
        self.cached(0, Key::Word(field, index), |emitter| {
            emitter.load_word(Mem { base: Base::Reg(array), index: None, disp: index as i32 * 8 })
        })
    }

    fn load_word(&mut self, mem: Mem) -> Reg {
        let to = self.general();
        self.op(Code::Mov_r64_rm64, &[Operand::Def(to, Size::Q), Operand::Mem(mem)]);
        to
    }

    /// A number of the layout.
    pub(super) fn number(&mut self, number: Number) -> Reg {
        match number {
            Number::Known(value) => self.integer(value),
            Number::Size(index) => self.word(args::SIZES, index),
        }
    }

    /// Where a local buffer is in the function's memory.
    pub(super) fn slot(&mut self, buffer: Buffer) -> u32 {
        if let Some(slot) = self.slots[buffer] {
            return slot;
        }
        let Place::Stack(bytes) = self.layout.place(buffer) else { panic!("{buffer} is not on the stack") };
        let slot = self.make_slot(bytes);
        self.slots[buffer] = Some(slot);
        slot
    }

    /// New memory of the function.
    pub(super) fn make_slot(&mut self, bytes: u32) -> u32 {
        let slot = self.code.slots;
        match slot.checked_add(bytes.next_multiple_of(32)).filter(|&end| end < i32::MAX as u32 / 2) {
            Some(end) => self.code.slots = end,
            None => self.refuse("frame of that size"),
        }
        slot
    }

    /// The depth of the place where a value is known.
    pub(super) fn depth_of(&self, value: Value) -> u32 {
        self.depths[value]
    }

    /// Whether a value is the variable of the innermost loop at a depth.
    pub(super) fn is_innermost_variable(&self, value: Value, depth: u32) -> bool {
        self.scopes[depth as usize].innermost.as_ref().is_some_and(|innermost| innermost.var == value)
    }

    /// A constant that an innermost loop around keeps in a register.
    pub(super) fn resident(&self, pattern: Pattern) -> Option<Reg> {
        let all = self.scopes.iter().rev().flat_map(|scope| &scope.residents);
        all.into_iter().find(|(known, _)| *known == pattern).map(|(_, reg)| *reg)
    }

    /// A constant that was loaded a little while ago.
    pub(super) fn remembered(&self, pattern: Pattern) -> Option<Reg> {
        self.last_constants.iter().find(|(known, _)| *known == pattern).map(|(_, reg)| *reg)
    }

    /// Keeps a constant that was loaded for its use for the next uses.
    pub(super) fn remember(&mut self, pattern: Pattern, reg: Reg) {
        if self.last_constants.len() == REMEMBERED {
            self.last_constants.remove(0);
        }
        self.last_constants.push((pattern, reg));
    }

    /// Says what a value is in the code.
    fn define(&mut self, value: Value, is: Reg) {
        self.define_at(value, is, self.depth());
    }

    fn define_at(&mut self, value: Value, is: Reg, depth: u32) {
        self.values[value] = Some(is);
        self.depths[value] = depth;
    }

    /// Whether the next use of a value is its last, so that its register may be overwritten.
    pub(super) fn dies(&self, value: Value) -> bool {
        self.left[value] <= 1 && self.depths[value] == self.depth() && self.facts.constant(value).is_none()
    }

    /// A value in a register, for a use; constants are made for it.
    pub(super) fn reg(&mut self, value: Value) -> Reg {
        if let Some(bits) = self.facts.constant(value) {
            return self.constant(self.func.values[value], bits);
        }
        self.left[value] = self.left[value].saturating_sub(1);
        if let Some(mem) = self.take_waiting(value) {
            let is = self.load_now(value, mem);
            self.define(value, is);
            return is;
        }
        if let Some(mem) = self.again(value) {
            let is = self.load_now(value, mem);
            self.values[value] = Some(is);
            return is;
        }
        self.values[value].unwrap_or_else(|| panic!("{value} is used before it is defined"))
    }

    /// A value as the last operand of an instruction on values of its type, which may be in memory.
    pub(super) fn operand(&mut self, value: Value, size: Size) -> Operand {
        if let Some(bits) = self.facts.constant(value) {
            return self.constant_operand(self.func.values[value], bits, size);
        }
        if let Some(mem) = self.take_waiting(value) {
            self.left[value] = self.left[value].saturating_sub(1);
            return Operand::Mem(mem);
        }
        if self.left[value] == 1
            && let Some(mem) = self.again(value)
        {
            self.left[value] = 0;
            return Operand::Mem(mem);
        }
        Operand::Use(self.reg(value), size)
    }

    /// Whether [`Emitter::operand`] would give memory.
    pub(super) fn is_in_memory(&self, value: Value) -> bool {
        match self.facts.constant(value) {
            Some(bits) => self.is_constant_in_memory(self.func.values[value], bits),
            None => {
                self.waiting.iter().any(|(known, _)| *known == value)
                    || self.left[value] == 1
                        && self.elements.get(&value).is_some_and(|(_, used)| self.now - used >= LONG_AGO)
            }
        }
    }

    fn take_waiting(&mut self, value: Value) -> Option<Mem> {
        let at = self.waiting.iter().position(|(known, _)| *known == value)?;
        Some(self.waiting.remove(at).1)
    }

    /// Where an element of a parameter is, if its last use is long ago: to load it again costs less than a register.
    fn again(&mut self, value: Value) -> Option<Mem> {
        let now = self.now;
        let (mem, used) = self.elements.get_mut(&value)?;
        let since = now - std::mem::replace(used, now);
        (since >= LONG_AGO).then_some(*mem)
    }

    /// Loads what waits for its use.
    fn flush(&mut self) {
        for (value, mem) in std::mem::take(&mut self.waiting) {
            let is = self.load_now(value, mem);
            self.define(value, is);
        }
    }

    fn regs(&mut self, values: &[Value]) -> Vec<Reg> {
        values.iter().map(|&value| self.reg(value)).collect()
    }

    fn stmts(&mut self, stmts: &[Stmt]) {
        let mut delayed = FxHashMap::default();
        for (number, stmt) in stmts.iter().enumerate() {
            if self.refused.is_some() {
                return;
            }
            self.now += 1;
            match stmt {
                Stmt::Let(value, inst) => self.define_by(*value, inst),
                Stmt::Store(access, value) => {
                    match (delayed.remove(&number), self.other_half(access, *value, &stmts[number + 1..])) {
                        (Some(first), _) => self.store_pairs([first, (access, *value)]),
                        (None, Some(further)) => {
                            delayed.insert(number + 1 + further, (access, *value));
                            continue;
                        }
                        (None, None) => self.store(access, *value),
                    }
                    // The result may be the parameter, in place.
                    if self.func.buffers[access.buffer].kind != BufferKind::Local {
                        self.elements.clear();
                    }
                }
                Stmt::For(each) => self.for_loop(each),
                Stmt::If(choice) => self.choice(choice),
                Stmt::Reduce(_) => unreachable!("there are no reductions in verified functions"),
            }
        }
    }

    /// Loads what waits, before memory changes.
    pub(super) fn before_store(&mut self) {
        self.flush();
    }

    fn define_by(&mut self, value: Value, inst: &Inst) {
        match inst {
            _ if self.facts.constant(value).is_some() || self.flags_only.contains(&value) => {}
            Inst::Iota(_) | Inst::Splat(_) | Inst::Convert(_) if self.left[value] == 0 => {}
            Inst::Prim(Prim::Lt, operands) if self.masks.contains_key(&value) => {
                let is = self.lane_mask(self.masks[&value], self.func.values[operands[0]]);
                self.define(value, is);
            }
            // What the caller gives is known from the start.
            Inst::Size(size) => {
                let is = self.number(self.layout.size(*size));
                self.define_at(value, is, 0);
            }
            Inst::Scalar(scalar) => {
                let is = self.scalar(scalar.as_u32(), self.func.scalars[*scalar].elem);
                self.define_at(value, is, 0);
            }
            Inst::Prim(Prim::Neg, _) if self.facts.is_folded_negation(self.func, value) => {}
            Inst::Load(access) if self.is_plain_load(value, access) => {
                let mem = self.address(access);
                let of_param = matches!(self.func.buffers[access.buffer].kind, BufferKind::Param(_));
                match self.left[value] {
                    0 => {}
                    1 => {
                        self.depths[value] = self.depth();
                        self.waiting.push((value, mem));
                    }
                    _ => {
                        let is = self.load_now(value, mem);
                        self.define(value, is);
                        if of_param && self.func.values[value].lanes > 1 {
                            self.elements.insert(value, (mem, self.now));
                        }
                    }
                }
            }
            _ => {
                let is = self.inst(self.func.values[value], inst);
                self.define(value, is);
            }
        }
    }

    /// A number of the caller.
    fn scalar(&mut self, index: u32, elem: Elem) -> Reg {
        let array = self.argument(args::SCALARS);
        self.cached(0, Key::Scalar(index, elem), |emitter| {
            emitter.load_element(Mem { base: Base::Reg(array), index: None, disp: index as i32 * 8 }, elem)
        })
    }

    /// A loop, with its test at the bottom and a guard before it.
    fn for_loop(&mut self, each: &For) {
        self.flush();
        let lo = self.reg(each.lo);
        let inits = self.regs(&each.carry.iter().map(|carry| carry.init).collect::<Vec<_>>());
        let (header, exit) = (self.code.block(), self.code.block());
        let mut scope = Scope::default();
        if is_innermost(&each.body) {
            scope.innermost =
                Some(Innermost { var: each.var, lo, step: each.step, header, inductions: Vec::new() });
            let patterns = residents(self.func, &self.facts, each, REGISTERS);
            scope.residents =
                patterns.into_iter().map(|pattern| (pattern, self.load_constant(pattern))).collect();
        }
        let entry_args: Vec<Reg> = std::iter::once(lo).chain(inits.iter().copied()).collect();
        let into = Target::new(header, entry_args);
        let bounds = (self.facts.constant(each.lo), self.facts.constant(each.hi));
        let end = match bounds {
            (Some(first), Some(end)) if (first as i64) < end as i64 => End::Jump(into),
            _ => {
                let flags = self.compare_flags(lo, each.hi);
                self.set_flags(flags);
                End::Branch(Cond::Lt, into, Target::new(exit, inits))
            }
        };
        self.enter(end, scope, header);
        let var = self.parameter(header, Type::INDEX);
        self.define(each.var, var);
        for carry in &each.carry {
            let param = self.parameter(header, self.func.values[carry.var]);
            self.define(carry.var, param);
        }
        self.stmts(&each.body.stmts);
        let yields = self.regs(&each.body.yields);
        self.flush();
        let next = self.general();
        let step = Mem { base: Base::Reg(var), index: None, disp: 0 };
        match i32::try_from(each.step) {
            Ok(disp) => {
                let from = Operand::Mem(Mem { disp, ..step });
                self.op(Code::Lea_r64_m, &[Operand::Def(next, Size::Q), from]);
            }
            Err(_) => self.refuse("step of that size"),
        }
        let mut next_args = vec![next];
        next_args.extend(&yields);
        let scope = self.leave();
        for (param, step) in scope.innermost.into_iter().flat_map(|innermost| innermost.inductions) {
            let sum = Mem { base: Base::Reg(param), index: Some((step, 1)), disp: 0 };
            next_args.push(self.lea(sum));
        }
        let flags = self.compare_flags(next, each.hi);
        self.set_flags(flags);
        self.end(End::Branch(Cond::Lt, Target::new(header, next_args), Target::new(exit, yields)));
        self.start(exit);
        for carry in &each.carry {
            let ty = self.func.values[carry.result];
            let mut param = self.parameter(exit, ty);
            if ty.lanes > 1 && is_innermost(&each.body) {
                // A name of its own: the allocator would else keep variable and result in one place, and put both of them
                // on the stack where the result has to wait there for its use.
                let shape = shape(ty);
                param = self.make(codes::load(shape), size(shape), &[Operand::Use(param, size(shape))]);
            }
            self.define(carry.result, param);
        }
    }

    /// The comparison of a position with a value.
    fn compare_flags(&mut self, a: Reg, b: Value) -> Machine {
        let a = Operand::Use(a, Size::Q);
        let (code, b) = match self.facts.constant(b).map(|bits| i32::try_from(bits as i64)) {
            Some(Ok(number)) if (-128..128).contains(&number) => {
                (Code::Cmp_rm64_imm8, Operand::Imm(number.into()))
            }
            Some(Ok(number)) => (Code::Cmp_rm64_imm32, Operand::Imm(number.into())),
            Some(Err(_)) | None => (Code::Cmp_r64_rm64, Operand::Use(self.reg(b), Size::Q)),
        };
        Machine { code, operands: Operands::new(&[a, b]) }
    }

    /// Says what makes the flags of the branch at the end of the current block.
    fn set_flags(&mut self, flags: Machine) {
        self.code.blocks[self.block.0 as usize].flags = Some(flags);
    }

    /// A new parameter of a block.
    pub(super) fn parameter(&mut self, block: Block, ty: Type) -> Reg {
        let reg = if in_vector(ty) { self.vector() } else { self.general() };
        self.code.blocks[block.0 as usize].params.push(reg);
        reg
    }

    /// A loop variable times a runtime stride or an unhandy factor: a further carried variable of its loop.
    pub(super) fn induction(&mut self, depth: u32, scale: Reg) -> Reg {
        let innermost = self.scopes[depth as usize].innermost.as_ref().expect("an innermost loop");
        let (header, lo, step) = (innermost.header, innermost.lo, innermost.step);
        let (start, by) =
            self.at(depth - 1, |emitter| (emitter.product(lo, scale), emitter.times(scale, step)));
        let param = self.parameter(header, Type::INDEX);
        let guard = self.scopes[depth as usize - 1].exit.expect("the loop has been entered");
        match &mut self.code.blocks[guard.0 as usize].end {
            End::Jump(target) | End::Branch(_, target, _) => target.args.push(start),
            End::Open | End::Return => unreachable!("the loop has been entered"),
        }
        let innermost = self.scopes[depth as usize].innermost.as_mut().expect("an innermost loop");
        innermost.inductions.push((param, by));
        param
    }

    /// A choice.
    fn choice(&mut self, choice: &If) {
        self.flush();
        let (cond, flags) = self.flags(choice.cond);
        self.set_flags(flags);
        let blocks = [self.code.block(), self.code.block()];
        let join = self.code.block();
        let [then, otherwise] = blocks.map(|block| Target::new(block, Vec::new()));
        let end = End::Branch(cond, then, otherwise);
        let guard = self.block;
        self.code.blocks[guard.0 as usize].end = end;
        for (arm, block) in [&choice.then, &choice.otherwise].into_iter().zip(blocks) {
            self.enter_from(guard, Scope::default(), block);
            self.stmts(&arm.stmts);
            let yields = self.regs(&arm.yields);
            self.flush();
            self.leave();
            self.end(End::Jump(Target::new(join, yields)));
        }
        self.start(join);
        for &result in &choice.results {
            let param = self.parameter(join, self.func.values[result]);
            self.define(result, param);
        }
    }

    /// A condition as flags: which, and what makes them.
    pub(super) fn flags(&mut self, cond: Value) -> (Cond, Machine) {
        let compare = self.facts.defs[cond].and_then(|inst| integer_compare(self.func, inst));
        if let Some((condition, a, b)) = compare
            && self.flags_only.contains(&cond)
        {
            let size = self.func.values[a].elem.bytes();
            let (left, right) = (self.reg(a), b);
            // The operands may be needed for other choices, too.
            if size == 8 {
                return (condition, self.compare_flags(left, right));
            }
            let right = self.reg(right);
            let operands = [Operand::Use(left, Size::D), Operand::Use(right, Size::D)];
            return (condition, Machine { code: Code::Cmp_r32_rm32, operands: Operands::new(&operands) });
        }
        let value = self.reg(cond);
        let operands = [Operand::Use(value, Size::D), Operand::Use(value, Size::D)];
        (Cond::Ne, Machine { code: Code::Test_rm32_r32, operands: Operands::new(&operands) })
    }

    /// Whether only flags are made of a comparison.
    pub(super) fn is_flags_only(&self, cond: Value) -> bool {
        self.flags_only.contains(&cond)
    }

    /// Flags for an instruction that comes next.
    pub(super) fn flags_now(&mut self, cond: Value) -> Cond {
        let (cond, flags) = self.flags(cond);
        self.code.blocks[self.block.0 as usize].insts.push(flags);
        cond
    }

    /// Ends the current block and goes into a scope.
    fn enter(&mut self, end: End, scope: Scope, block: Block) {
        let from = self.block;
        self.end(end);
        self.enter_from(from, scope, block);
    }

    fn enter_from(&mut self, from: Block, scope: Scope, block: Block) {
        self.scopes.last_mut().expect("there is an outermost scope").exit = Some(from);
        self.scopes.push(scope);
        self.elements.clear();
        self.last_constants.clear();
        self.start(block);
    }

    /// Goes out of a scope; what is emitted next is still inside of its last block.
    fn leave(&mut self) -> Scope {
        self.elements.clear();
        self.last_constants.clear();
        let scope = self.scopes.pop().expect("there is an outermost scope");
        self.scopes.last_mut().expect("there is an outermost scope").exit = None;
        scope
    }

    /// Ends the current block.
    pub(super) fn end(&mut self, end: End) {
        self.code.blocks[self.block.0 as usize].end = end;
    }

    /// Goes on in a new block.
    pub(super) fn start(&mut self, block: Block) {
        self.code.order.push(block);
        self.block = block;
    }

    /// The first value where a `bool` holds, else the second. What is kept for later is made before.
    pub(super) fn either(
        &mut self,
        cond: Reg,
        ty: Type,
        then: impl FnOnce(&mut Self) -> Reg,
        otherwise: impl FnOnce(&mut Self) -> Reg,
    ) -> Reg {
        let operands = [Operand::Use(cond, Size::D), Operand::Use(cond, Size::D)];
        let test = Machine { code: Code::Test_rm32_r32, operands: Operands::new(&operands) };
        let values = self.branch(
            (Cond::Ne, test),
            &[ty],
            |emitter| vec![then(emitter)],
            |emitter| vec![otherwise(emitter)],
        );
        values[0]
    }

    /// One of two ways to do something, chosen by whether an integer is a number; both give values of the types. What is kept for
    /// later is made before.
    pub(super) fn if_equal(
        &mut self,
        integer: Reg,
        number: i64,
        types: &[Type],
        then: impl FnOnce(&mut Self) -> Vec<Reg>,
        otherwise: impl FnOnce(&mut Self) -> Vec<Reg>,
    ) -> Vec<Reg> {
        let operands = [Operand::Use(integer, Size::Q), Operand::Imm(number)];
        let compare = Machine { code: Code::Cmp_rm64_imm8, operands: Operands::new(&operands) };
        self.branch((Cond::Eq, compare), types, then, otherwise)
    }

    /// The values of one of two ways, by a condition and what makes its flags.
    fn branch(
        &mut self,
        (cond, flags): (Cond, Machine),
        types: &[Type],
        then: impl FnOnce(&mut Self) -> Vec<Reg>,
        otherwise: impl FnOnce(&mut Self) -> Vec<Reg>,
    ) -> Vec<Reg> {
        let [first, second, join] = [(); 3].map(|()| self.code.block());
        self.set_flags(flags);
        let [to_first, to_second] = [first, second].map(|block| Target::new(block, Vec::new()));
        self.end(End::Branch(cond, to_first, to_second));
        let constants = std::mem::take(&mut self.last_constants);
        self.start(first);
        let values = then(self);
        self.end(End::Jump(Target::new(join, values)));
        self.last_constants.clone_from(&constants);
        self.start(second);
        let values = otherwise(self);
        self.end(End::Jump(Target::new(join, values)));
        self.last_constants = constants;
        self.start(join);
        types.iter().map(|&ty| self.parameter(join, ty)).collect()
    }

    /// A loop that runs `count` times, at least once, with further variables: their first values; the body gets them and
    /// gives the next ones.
    pub(super) fn repeat(
        &mut self,
        count: Reg,
        first: &[Reg],
        body: impl FnOnce(&mut Self, &[Reg]) -> Vec<Reg>,
    ) {
        let (header, exit) = (self.code.block(), self.code.block());
        let args = std::iter::once(count).chain(first.iter().copied()).collect();
        self.end(End::Jump(Target::new(header, args)));
        self.start(header);
        let left = self.parameter(header, Type::INDEX);
        let variables: Vec<Reg> = first.iter().map(|_| self.parameter(header, Type::INDEX)).collect();
        let mut next = body(self, &variables);
        let fewer = self.lea(Mem { base: Base::Reg(left), index: None, disp: -1 });
        next.insert(0, fewer);
        let operands = [Operand::Use(fewer, Size::Q), Operand::Use(fewer, Size::Q)];
        self.set_flags(Machine { code: Code::Test_rm64_r64, operands: Operands::new(&operands) });
        self.end(End::Branch(Cond::Ne, Target::new(header, next), Target::new(exit, Vec::new())));
        self.start(exit);
    }
}

/// Whether a loop of that body has no loop inside.
fn is_innermost(body: &loops::Block) -> bool {
    body.stmts.iter().all(|stmt| match stmt {
        Stmt::Let(..) | Stmt::Store(..) => true,
        Stmt::For(_) | Stmt::Reduce(_) => false,
        Stmt::If(choice) => is_innermost(&choice.then) && is_innermost(&choice.otherwise),
    })
}

/// Whether values of this type are in vector registers.
pub(super) fn in_vector(ty: Type) -> bool {
    ty.lanes > 1 || ty.elem.is_float()
}
