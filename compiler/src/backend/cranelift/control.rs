//! Phases, loops and choices: the frame in which instructions are put.
//!
//! The code is emitted in one walk. What an inner loop needs and an outer place can compute (addresses, sizes) is put there
//! afterwards, before the branch that left that place: see [`Emitter::at`].

use cranelift_codegen::cursor::{Cursor, FuncCursor};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{
    self, AbiParam, BlockArg, ExternalName, Function, GlobalValue, GlobalValueData, InstBuilder,
    MemFlagsData, Signature, StackSlot, StackSlotData, StackSlotKind, UserExternalName, UserFuncName, types,
};
use cranelift_codegen::isa::{CallConv, TargetIsa};
use cranelift_entity::SecondaryMap;
use rustc_hash::FxHashMap;

use super::super::facts::{Facts, Pattern, residents};
use super::super::layout::args;
use super::super::layout::{Layout, Number, Place};
use super::super::order::in_order;
use super::constants::Pool;
use super::memory::load_element;
use crate::loops::{Block, Buffer, BufferKind, Elem, For, Func, If, Inst, Phase, Stmt, Type, Value};

/// A computation whose result is kept for its scope.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Key {
    /// The address of the constants.
    Pool,
    /// The address of some zeros.
    Zeros,
    /// A field of the arguments.
    Argument(i32),
    /// A word of an array among the arguments: the field, and which.
    Word(i32, u32),
    /// A number of the caller.
    Scalar(u32, Elem),
    /// Where a buffer starts.
    Base(Buffer),
    /// A stride times a factor.
    Stride(super::super::layout::Stride, i64),
    /// Part of an address.
    Address(Buffer, Box<[super::address::Term]>),
    /// A loop variable times a factor, kept by adding.
    Induction(super::address::Term),
}

/// A place in the nest of loops and choices.
#[derive(Default)]
pub(super) struct Scope {
    /// The branch by which the scope inside this one was entered.
    exit: Option<ir::Inst>,
    /// What is computed here.
    pub(super) cache: FxHashMap<Key, ir::Value>,
    /// Constants in registers.
    pub(super) residents: Vec<(Pattern, ir::Value)>,
    /// The loop, if it is an innermost one.
    pub(super) innermost: Option<Innermost>,
}

/// An innermost loop while its body is emitted.
pub(super) struct Innermost {
    /// Its variable.
    pub(super) var: Value,
    lo: ir::Value,
    step: i64,
    header: ir::Block,
    /// Further carried variables, and what is added to them in each iteration.
    inductions: Vec<(ir::Value, ir::Value)>,
}

/// Makes the code of one phase.
pub(super) struct Emitter<'a> {
    pub(super) func: &'a Func,
    pub(super) layout: &'a Layout,
    pub(super) facts: Facts<'a>,
    pub(super) clif: Function,
    pub(super) pool: Pool,
    pool_symbol: GlobalValue,
    pub(super) block: ir::Block,
    pub(super) scopes: Vec<Scope>,
    values: SecondaryMap<Value, Option<ir::Value>>,
    depths: SecondaryMap<Value, u32>,
    args: ir::Value,
    pub(super) scratch: ir::Value,
    slots: SecondaryMap<Buffer, Option<StackSlot>>,
    pub(super) spare: Option<StackSlot>,
    /// Blocks that the code for part of a vector still has to fill.
    pub(super) pending: Vec<ir::Block>,
    registers: u32,
    /// Whether something was loaded in the current scope that might become a memory operand.
    pub(super) foldable: bool,
    /// The constants loaded last in the current scope.
    pub(super) last_constants: Vec<(Pattern, ir::Value)>,
    /// Elements of parameters that were loaded in the current scope and are still in memory.
    elements: FxHashMap<Value, Element>,
    /// Counts statements.
    now: u32,
}

/// An element of a parameter in a register.
struct Element {
    /// When it was used last.
    used: u32,
}

/// After so many statements without a use, an element is loaded again.
const LONG_AGO: u32 = 24;

/// Appends an instruction to the current block.
macro_rules! ins {
    ($emitter:expr) => {
        FuncCursor::new(&mut $emitter.clif).at_bottom($emitter.block).ins()
    };
}
pub(super) use ins;

/// Memory that the code may access, with no promise on alignment.
pub(super) fn plain() -> MemFlagsData {
    MemFlagsData::new().with_notrap()
}

/// Emits a phase: its function, and the constants that it reads.
pub(super) fn emit_phase(
    func: &Func,
    phase: &Phase,
    index: usize,
    layout: &Layout,
    isa: &dyn TargetIsa,
) -> (Function, Pool) {
    let ordered = in_order(func, &phase.body);
    let facts = Facts::new(&ordered, layout);
    let mut signature = Signature::new(CallConv::triple_default(isa.triple()));
    signature.params.extend([AbiParam::new(types::I64); 4]);
    let mut clif = Function::with_name_signature(UserFuncName::user(0, index as u32), signature);
    let entry = clif.dfg.make_block();
    clif.layout.append_block(entry);
    let [args, scratch, lo, hi] = [(); 4].map(|()| clif.dfg.append_block_param(entry, types::I64));
    let name = clif.declare_imported_user_function(UserExternalName { namespace: 1, index: 0 });
    let pool_symbol = clif.create_global_value(GlobalValueData::Symbol {
        name: ExternalName::user(name),
        offset: 0.into(),
        colocated: true,
        tls: false,
    });
    let mut emitter = Emitter {
        func,
        layout,
        facts,
        clif,
        pool: Pool::default(),
        pool_symbol,
        block: entry,
        scopes: vec![Scope::default()],
        values: SecondaryMap::new(),
        depths: SecondaryMap::new(),
        args,
        scratch,
        slots: SecondaryMap::new(),
        spare: None,
        pending: Vec::new(),
        registers: 16,
        foldable: false,
        last_constants: Vec::new(),
        elements: FxHashMap::default(),
        now: 0,
    };
    emitter.define(phase.lo, lo);
    emitter.define(phase.hi, hi);
    emitter.stmts(&ordered);
    ins!(emitter).return_(&[]);
    (emitter.clif, emitter.pool)
}

impl Emitter<'_> {
    /// How deep the current place is in the nest.
    pub(super) fn depth(&self) -> u32 {
        self.scopes.len() as u32 - 1
    }

    /// Where code of depth `depth` goes: the end of the current block, or before the branch that leads inwards.
    pub(super) fn at(&mut self, depth: u32) -> FuncCursor<'_> {
        match self.scopes[depth as usize].exit {
            Some(exit) if depth < self.depth() => FuncCursor::new(&mut self.clif).at_inst(exit),
            _ => FuncCursor::new(&mut self.clif).at_bottom(self.block),
        }
    }

    /// What the scope at `depth` keeps under `key`, emitted there if it is new.
    pub(super) fn cached(
        &mut self,
        depth: u32,
        key: Key,
        build: impl FnOnce(&mut Self, u32) -> ir::Value,
    ) -> ir::Value {
        if let Some(&value) = self.scopes[depth as usize].cache.get(&key) {
            return value;
        }
        let value = build(self, depth);
        self.scopes[depth as usize].cache.insert(key, value);
        value
    }

    /// A field of the arguments.
    pub(super) fn argument(&mut self, field: i32) -> ir::Value {
        let args = self.args;
        self.cached(0, Key::Argument(field), |emitter, depth| {
            emitter.at(depth).ins().load(types::I64, plain(), args, field)
        })
    }

    /// A word of an array among the arguments.
    pub(super) fn word(&mut self, field: i32, index: u32) -> ir::Value {
        let array = self.argument(field);
        self.cached(0, Key::Word(field, index), |emitter, depth| {
            emitter.at(depth).ins().load(types::I64, plain(), array, index as i32 * 8)
        })
    }

    /// The address of the constants.
    pub(super) fn pool_address(&mut self) -> ir::Value {
        let symbol = self.pool_symbol;
        self.cached(0, Key::Pool, |emitter, depth| emitter.at(depth).ins().symbol_value(types::I64, symbol))
    }

    /// A number of the layout.
    pub(super) fn number(&mut self, number: Number) -> ir::Value {
        match number {
            Number::Known(value) => ins!(self).iconst(types::I64, value),
            Number::Size(index) => self.word(args::SIZES, index),
        }
    }

    /// The stack slot of a local buffer.
    pub(super) fn slot(&mut self, buffer: Buffer) -> StackSlot {
        if let Some(slot) = self.slots[buffer] {
            return slot;
        }
        let Place::Stack(bytes) = self.layout.place(buffer) else { panic!("{buffer} is not on the stack") };
        let slot = self.make_slot(bytes);
        self.slots[buffer] = Some(slot);
        slot
    }

    /// A new stack slot.
    pub(super) fn make_slot(&mut self, bytes: u32) -> StackSlot {
        let data = StackSlotData::new(StackSlotKind::ExplicitSlot, bytes, 4);
        self.clif.create_sized_stack_slot(data)
    }

    /// The depth of the place where a value is known.
    pub(super) fn depth_of(&self, value: Value) -> u32 {
        self.depths[value]
    }

    /// Says what a value is in CLIF.
    fn define(&mut self, value: Value, is: ir::Value) {
        self.define_at(value, is, self.depth());
    }

    fn define_at(&mut self, value: Value, is: ir::Value, depth: u32) {
        self.values[value] = Some(is);
        self.depths[value] = depth;
    }

    /// A value in CLIF; constants are made for the use.
    pub(super) fn value(&mut self, value: Value) -> ir::Value {
        if let Some(bits) = self.facts.constant(value) {
            return self.constant(self.func.values[value], bits);
        }
        let is = self.values[value].unwrap_or_else(|| panic!("{value} is used before it is defined"));
        self.again(value).unwrap_or(is)
    }

    /// An element of a parameter, loaded again if its last use is long ago: a load costs less than a register.
    fn again(&mut self, value: Value) -> Option<ir::Value> {
        let now = self.now;
        let element = self.elements.get_mut(&value)?;
        let since = now - std::mem::replace(&mut element.used, now);
        if since < LONG_AGO {
            return None;
        }
        let Some(Inst::Load(access)) = self.facts.defs[value] else { unreachable!("elements are loaded") };
        let is = self.load(access, self.func.values[value]);
        self.values[value] = Some(is);
        self.foldable = true;
        Some(is)
    }

    fn values(&mut self, values: &[Value]) -> Vec<ir::Value> {
        values.iter().map(|&value| self.value(value)).collect()
    }

    fn stmts(&mut self, stmts: &[Stmt]) {
        for stmt in stmts {
            self.now += 1;
            match stmt {
                Stmt::Let(value, inst) => self.define_by(*value, inst),
                Stmt::Store(access, value) => {
                    self.store(access, *value);
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

    fn define_by(&mut self, value: Value, inst: &Inst) {
        match inst {
            _ if self.facts.constant(value).is_some() => {}
            // What the caller gives is known from the start.
            Inst::Size(size) => {
                let is = self.number(self.layout.size(*size));
                self.define_at(value, is, 0);
            }
            Inst::Scalar(scalar) => {
                let is = self.scalar(scalar.as_u32(), self.func.scalars[*scalar].elem);
                self.define_at(value, is, 0);
            }
            Inst::Prim(crate::ops::Prim::Neg, _) if self.is_folded(value) => {}
            _ => {
                let ty = self.func.values[value];
                let is = self.inst(ty, inst);
                let is_load = matches!(inst, Inst::Load(_));
                let shared = ty.lanes > 1 && self.facts.is_shared(value);
                let is = if shared && !is_load && self.foldable { self.fence(is) } else { is };
                self.foldable |= is_load && !shared;
                if ty.lanes > 1
                    && let Inst::Load(access) = inst
                    && access.active.is_none()
                    && matches!(self.func.buffers[access.buffer].kind, BufferKind::Param(_))
                {
                    self.elements.insert(value, Element { used: self.now });
                }
                self.define(value, is);
            }
        }
    }

    /// The same value as the parameter of a new block. Instruction selection takes what a value with several uses is made of
    /// for needed several times too, down to the loads, and then makes no operand of any of them; it does not look
    /// through parameters. The jump falls through and the two are one register.
    fn fence(&mut self, value: ir::Value) -> ir::Value {
        let next = self.clif.dfg.make_block();
        let ty = self.clif.dfg.value_type(value);
        let param = self.clif.dfg.append_block_param(next, ty);
        ins!(self).jump(next, &block_args(&[value]));
        self.start(next);
        param
    }

    /// Whether a negation of floats is done by every fma that takes it.
    fn is_folded(&self, value: Value) -> bool {
        self.func.values[value].elem.is_float() && !self.facts.needed.contains(&value)
    }

    /// A number of the caller.
    fn scalar(&mut self, index: u32, elem: Elem) -> ir::Value {
        let array = self.argument(args::SCALARS);
        self.cached(0, Key::Scalar(index, elem), |emitter, depth| {
            load_element(&mut emitter.at(depth), elem, array, index as i32 * 8)
        })
    }

    /// A loop, with its test at the bottom and a guard before it.
    fn for_loop(&mut self, each: &For) {
        let (lo, hi) = (self.value(each.lo), self.value(each.hi));
        let inits: Vec<ir::Value> = each.carry.iter().map(|carry| self.value(carry.init)).collect();
        let header = self.clif.dfg.make_block();
        let exit = self.clif.dfg.make_block();
        let mut scope = Scope::default();
        if is_innermost(&each.body) {
            scope.innermost =
                Some(Innermost { var: each.var, lo, step: each.step, header, inductions: Vec::new() });
            scope.residents = self.load_residents(each);
        }
        let entry_args: Vec<ir::Value> = std::iter::once(lo).chain(inits.iter().copied()).collect();
        let guard = match (self.facts.constant(each.lo), self.facts.constant(each.hi)) {
            (Some(first), Some(end)) if (first as i64) < end as i64 => {
                ins!(self).jump(header, &block_args(&entry_args))
            }
            _ => {
                let some = ins!(self).icmp(IntCC::SignedLessThan, lo, hi);
                ins!(self).brif(some, header, &block_args(&entry_args), exit, &block_args(&inits))
            }
        };
        self.enter(guard, scope, header);
        let var = self.clif.dfg.append_block_param(header, types::I64);
        self.define(each.var, var);
        for carry in &each.carry {
            let param = self.clif.dfg.append_block_param(header, clif_type(self.func.values[carry.var]));
            self.define(carry.var, param);
        }
        self.stmts(&each.body.stmts);
        let yields = self.values(&each.body.yields);
        let next = ins!(self).iadd_imm_s(var, each.step);
        let mut next_args = vec![next];
        next_args.extend(&yields);
        let scope = self.leave();
        for (param, step) in scope.innermost.into_iter().flat_map(|innermost| innermost.inductions) {
            next_args.push(ins!(self).iadd(param, step));
        }
        let hi = self.value(each.hi);
        let more = ins!(self).icmp(IntCC::SignedLessThan, next, hi);
        ins!(self).brif(more, header, &block_args(&next_args), exit, &block_args(&yields));
        self.start(exit);
        for carry in &each.carry {
            let param = self.clif.dfg.append_block_param(exit, clif_type(self.func.values[carry.result]));
            self.define(carry.result, param);
        }
    }

    /// Loads the constants that an innermost loop keeps in registers.
    fn load_residents(&mut self, each: &For) -> Vec<(Pattern, ir::Value)> {
        let patterns = residents(self.func, &self.facts, each, self.registers);
        patterns.into_iter().map(|pattern| (pattern, self.load_constant(pattern))).collect()
    }

    /// A loop variable times a runtime stride or an unhandy factor: a further carried variable of its loop.
    pub(super) fn induction(&mut self, depth: u32, scale: ir::Value) -> ir::Value {
        let innermost = self.scopes[depth as usize].innermost.as_mut().expect("an innermost loop");
        let (header, lo, step) = (innermost.header, innermost.lo, innermost.step);
        let (start, by) = {
            let mut cursor = self.at(depth - 1);
            let start = cursor.ins().imul(lo, scale);
            (start, cursor.ins().imul_imm_s(scale, step))
        };
        let param = self.clif.dfg.append_block_param(header, types::I64);
        let guard = self.scopes[depth as usize - 1].exit.expect("the loop has been entered");
        let dfg = &mut self.clif.dfg;
        let targets =
            dfg.insts[guard].branch_destination_mut(&mut dfg.jump_tables, &mut dfg.exception_tables);
        targets[0].append_argument(start, &mut dfg.value_lists);
        let innermost = self.scopes[depth as usize].innermost.as_mut().expect("an innermost loop");
        innermost.inductions.push((param, by));
        param
    }

    /// A choice.
    fn choice(&mut self, choice: &If) {
        let cond = self.value(choice.cond);
        let join = self.clif.dfg.make_block();
        // An arm that computes nothing is no block of its own.
        let direct = |emitter: &mut Self, arm: &Block| {
            arm.stmts.is_empty().then(|| block_args(&emitter.values(&arm.yields)))
        };
        let (then_args, else_args) = (direct(self, &choice.then), direct(self, &choice.otherwise));
        let then_block = if then_args.is_some() { join } else { self.clif.dfg.make_block() };
        let else_block = if else_args.is_some() { join } else { self.clif.dfg.make_block() };
        let branch = ins!(self).brif(
            cond,
            then_block,
            then_args.as_deref().unwrap_or_default(),
            else_block,
            else_args.as_deref().unwrap_or_default(),
        );
        for (arm, block) in [(&choice.then, then_block), (&choice.otherwise, else_block)] {
            if block != join {
                self.enter(branch, Scope::default(), block);
                self.stmts(&arm.stmts);
                let yields = self.values(&arm.yields);
                self.leave();
                ins!(self).jump(join, &block_args(&yields));
            }
        }
        self.start(join);
        for &result in &choice.results {
            let param = self.clif.dfg.append_block_param(join, clif_type(self.func.values[result]));
            self.define(result, param);
        }
    }

    /// Goes into a scope that `branch` leads to.
    fn enter(&mut self, branch: ir::Inst, scope: Scope, block: ir::Block) {
        self.scopes.last_mut().expect("there is an outermost scope").exit = Some(branch);
        self.scopes.push(scope);
        self.foldable = false;
        self.last_constants.clear();
        self.elements.clear();
        self.start(block);
    }

    /// Goes out of a scope; what is emitted next is still inside of its last block.
    fn leave(&mut self) -> Scope {
        self.last_constants.clear();
        self.elements.clear();
        let scope = self.scopes.pop().expect("there is an outermost scope");
        self.scopes.last_mut().expect("there is an outermost scope").exit = None;
        scope
    }

    /// Goes on in a new block.
    pub(super) fn start(&mut self, block: ir::Block) {
        self.clif.layout.append_block(block);
        self.block = block;
    }
}

/// Whether a loop of that body has no loop inside.
fn is_innermost(body: &Block) -> bool {
    body.stmts.iter().all(|stmt| match stmt {
        Stmt::Let(..) | Stmt::Store(..) => true,
        Stmt::For(_) | Stmt::Reduce(_) => false,
        Stmt::If(choice) => is_innermost(&choice.then) && is_innermost(&choice.otherwise),
    })
}

/// Values as arguments of a branch.
pub(super) fn block_args(values: &[ir::Value]) -> Vec<BlockArg> {
    values.iter().copied().map(BlockArg::Value).collect()
}

/// The type of values in CLIF. A `bool` is a byte, several are a vector of masks of the width that fills it. Two lanes of 32 bits
/// are the lower half of a vector.
pub(super) fn clif_type(ty: Type) -> ir::Type {
    match (ty.elem, ty.lanes) {
        (Elem::F32, 1) => types::F32,
        (Elem::F64, 1) => types::F64,
        (Elem::I32, 1) => types::I32,
        (Elem::I64, 1) => types::I64,
        (Elem::Bool, 1) => types::I8,
        (Elem::F32, 2 | 4) => types::F32X4,
        (Elem::I32, 2 | 4) | (Elem::Bool, 4) => types::I32X4,
        (Elem::F64, 2) => types::F64X2,
        (Elem::I64 | Elem::Bool, 2) => types::I64X2,
        _ => panic!("no vector of the target is a {ty}"),
    }
}
