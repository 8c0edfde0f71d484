//! Runs a [`Func`] lane by lane, in the declared precision: what a function means, and the oracle for passes and
//! back ends. Takes well-formed functions of core functions, before and after the passes `lanes` and `vectorize`.
//!
//! It is also an oracle for memory: an access outside a buffer, a read of what has not been written, of what
//! another range of the same phase has written, or of an input whose place a result took, and a result that is
//! not complete at the end, are panics that name the buffer.

mod folds;
mod lane;
mod memory;

use cranelift_entity::EntityRef;

pub use lane::same_bits;
pub use memory::Array;

use folds::FoldTree;
use lane::Slots;
use memory::{FIRST_RANGE, Memory, Now, View};

use super::{
    Access, BLOCK_STEPS, Block, BufferKind, Elem, For, Func, If, Inst, Lift, LoopKind, Order, Phase, Reduce,
    Stmt, Value,
};
use crate::types::SizeExpr;

/// An argument: one for each parameter of the kernel.
#[derive(Clone, Debug)]
pub enum Arg {
    /// An array, dense.
    Array(Array),
    /// A number: its bits, zero-extended.
    Scalar(u64),
}

impl From<f32> for Arg {
    fn from(value: f32) -> Arg {
        Arg::Scalar(u64::from(value.to_bits()))
    }
}

impl From<f64> for Arg {
    fn from(value: f64) -> Arg {
        Arg::Scalar(value.to_bits())
    }
}

impl<T> From<Vec<T>> for Arg
where
    Array: From<Vec<T>>,
{
    fn from(values: Vec<T>) -> Arg {
        Arg::Array(Array::from(values))
    }
}

/// How to run, where that must not make a difference.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options<'a> {
    /// Units at which the phases are cut into ranges (rounded down to the grain; those outside don't count).
    pub cuts: &'a [i64],
    /// Whether the last range runs first.
    pub backwards: bool,
    /// Pairs (parameter, result) that are the same memory in this call.
    pub in_place: &'a [(u32, u32)],
}

/// Runs all phases of `func`. `sizes` are those of the dimensions, by their numbers; `args` those of the kernel's
/// parameters. Gives the kernel's results, dense.
pub fn run(func: &Func, sizes: &[i64], args: &[Arg]) -> Vec<Array> {
    run_with(func, sizes, args, &Options::default())
}

/// [`run`], in a certain way.
pub fn run_with(func: &Func, sizes: &[i64], args: &[Arg], options: &Options<'_>) -> Vec<Array> {
    let mut machine = Machine::new(func, sizes, args, options);
    for phase in &func.phases {
        machine.phase(phase, sizes, options);
    }
    machine.results()
}

/// The value of a size.
fn size_of(func: &Func, expr: &SizeExpr, sizes: &[i64]) -> i64 {
    let size = expr.eval(sizes).filter(|size| *size >= 0);
    size.unwrap_or_else(|| panic!("{}: the size {expr:?} has no value for {sizes:?}", func.name))
}

/// Where the lanes of a value are.
#[derive(Clone, Copy)]
struct Slot {
    at: usize,
    lanes: usize,
    elem: Elem,
}

struct Machine<'a> {
    func: &'a Func,
    sizes: Vec<i64>,
    scalars: Vec<u64>,
    /// One word for each lane of each value.
    regs: Vec<u64>,
    /// By value.
    slots: Vec<Slot>,
    /// By buffer.
    views: Vec<View>,
    memory: Vec<Memory>,
    /// By result: which memory.
    results: Vec<Option<usize>>,
    now: Now,
    next_range: u32,
    /// Lanes of the lane loop around, and how many of them are active; 1 outside of lane loops.
    lanes: usize,
    active: usize,
    /// For handing several values on at once.
    moving: Vec<u64>,
    index: Vec<i64>,
}

impl<'a> Machine<'a> {
    fn new(func: &'a Func, sizes: &[i64], args: &[Arg], options: &Options<'_>) -> Machine<'a> {
        let mut end = 0;
        let slots = func.values.values().map(|ty| {
            let at = end;
            end += ty.lanes as usize;
            Slot { at, lanes: ty.lanes as usize, elem: ty.elem }
        });
        let slots: Vec<Slot> = slots.collect();
        let scalars = func.scalars.values().map(|decl| match args.get(decl.param as usize) {
            Some(Arg::Scalar(bits)) => *bits,
            Some(Arg::Array(_)) | None => panic!("parameter {} is a number", decl.param),
        });
        let mut machine = Machine {
            func,
            sizes: func.sizes.values().map(|expr| size_of(func, expr, sizes)).collect(),
            scalars: scalars.collect(),
            regs: vec![0; end],
            slots,
            views: Vec::new(),
            memory: Vec::new(),
            results: Vec::new(),
            now: Now { range: FIRST_RANGE, phase: FIRST_RANGE },
            next_range: FIRST_RANGE,
            lanes: 1,
            active: 1,
            moving: Vec::new(),
            index: Vec::new(),
        };
        machine.allocate(sizes, args, options);
        machine
    }

    /// Gives every buffer its memory.
    fn allocate(&mut self, sizes: &[i64], args: &[Arg], options: &Options<'_>) {
        let mut params: Vec<Option<usize>> = vec![None; args.len()];
        for (number, arg) in args.iter().enumerate() {
            if let Arg::Array(array) = arg {
                params[number] = Some(self.memory.len());
                self.memory.push(Memory::of_caller(array.clone()));
            }
        }
        for decl in self.func.buffers.values() {
            let (mut view, len) = View::new(self.func, decl, sizes, self.memory.len());
            let known = match decl.kind {
                BufferKind::Param(number) => {
                    let memory = params.get(number as usize).copied().flatten();
                    Some(memory.unwrap_or_else(|| panic!("parameter {number} is an array")))
                }
                BufferKind::Result(number) => {
                    let place = number as usize;
                    if self.results.len() <= place {
                        self.results.resize(place + 1, None);
                    }
                    let shared = options.in_place.iter().find(|(_, result)| *result == number);
                    let known = self.results[place].or(shared.and_then(|(param, _)| params[*param as usize]));
                    self.results[place] = known.or(Some(self.memory.len()));
                    known
                }
                BufferKind::Shared | BufferKind::Scratch | BufferKind::Local => None,
            };
            match known {
                Some(memory) => view.memory = memory,
                None => self.memory.push(Memory::new(decl.elem, len)),
            }
            let memory = &self.memory[view.memory];
            let fits = memory.elem == decl.elem && memory.len() == len;
            assert!(
                fits,
                "{} holds {len} {}, not {} {}",
                view.name,
                decl.elem.name(),
                memory.len(),
                memory.elem.name()
            );
            self.views.push(view);
        }
        let allowed = options.in_place.iter().all(|pair| self.func.in_place.contains(pair));
        assert!(allowed, "{} may not run in place as {:?}", self.func.name, options.in_place);
    }

    fn results(self) -> Vec<Array> {
        let func = self.func;
        let mut memory: Vec<Option<Memory>> = self.memory.into_iter().map(Some).collect();
        let results = self.results.iter().enumerate().map(|(number, place)| {
            let named = func.buffers.values().find(|decl| decl.kind == BufferKind::Result(number as u32));
            let (Some(place), Some(decl)) = (place, named) else {
                panic!("{} has no buffer for result {number}", func.name);
            };
            memory[*place].take().expect("a result has memory of its own").into_result(&decl.name)
        });
        results.collect()
    }

    // -------------------------------------------------------------------------------------------- phases

    fn phase(&mut self, phase: &'a Phase, sizes: &[i64], options: &Options<'_>) {
        let extent = size_of(self.func, &phase.extent, sizes);
        let mut borders: Vec<i64> = options.cuts.iter().map(|cut| cut / phase.grain * phase.grain).collect();
        borders.retain(|cut| 0 < *cut && *cut < extent);
        borders.extend([0, extent]);
        borders.sort_unstable();
        borders.dedup();
        let mut ranges: Vec<(i64, i64)> = borders.windows(2).map(|pair| (pair[0], pair[1])).collect();
        if options.backwards {
            ranges.reverse();
        }
        self.now.phase = self.next_range;
        for (lo, hi) in ranges {
            self.range(phase, lo, hi);
        }
    }

    fn range(&mut self, phase: &'a Phase, lo: i64, hi: i64) {
        self.now.range = self.next_range;
        self.next_range += 1;
        for view in &self.views {
            if matches!(view.kind, BufferKind::Scratch | BufferKind::Local) {
                self.memory[view.memory].clear();
            }
        }
        self.set_index(phase.lo, lo);
        self.set_index(phase.hi, hi);
        self.body(&phase.body);
    }

    // -------------------------------------------------------------------------------------------- values

    fn slot(&self, value: Value) -> Slot {
        self.slots[value.index()]
    }

    fn scalar(&self, value: Value) -> u64 {
        self.regs[self.slot(value).at]
    }

    fn index(&self, value: Value) -> i64 {
        self.scalar(value) as i64
    }

    fn set_index(&mut self, value: Value, index: i64) {
        let at = self.slot(value).at;
        self.regs[at] = index as u64;
    }

    fn fill(&mut self, value: Value, bits: u64) {
        let Slot { at, lanes, .. } = self.slot(value);
        self.regs[at..at + lanes].fill(bits);
    }

    fn copy(&mut self, from: Value, to: Value) {
        let Slot { at, lanes, .. } = self.slot(from);
        let to = self.slot(to).at;
        self.regs.copy_within(at..at + lanes, to);
    }

    // -------------------------------------------------------------------------------------------- statements

    fn body(&mut self, stmts: &'a [Stmt]) {
        for stmt in stmts {
            match stmt {
                Stmt::Let(value, inst) => self.inst(*value, inst),
                Stmt::Store(access, value) => self.store(access, *value),
                Stmt::For(node) => self.for_loop(node),
                Stmt::If(node) => self.choice(node),
                Stmt::Reduce(node) => self.reduce(node),
            }
        }
    }

    fn inst(&mut self, value: Value, inst: &Inst) {
        match inst {
            Inst::Const(bits) => self.fill(value, *bits),
            Inst::Scalar(scalar) => {
                let elem = self.func.scalars[*scalar].elem;
                self.fill(value, lane::loaded(elem, self.scalars[scalar.index()]));
            }
            Inst::Size(size) => self.set_index(value, self.sizes[size.index()]),
            Inst::Prim(prim, args) => {
                let mut starts = [0; 3];
                for (start, arg) in starts.iter_mut().zip(args) {
                    *start = self.slot(*arg).at;
                }
                let Slot { at, lanes, .. } = self.slot(value);
                let elem = args.last().map_or(Elem::Bool, |arg| self.slot(*arg).elem);
                lane::prim(*prim, elem, Slots { regs: &mut self.regs, out: at, args: starts, lanes });
            }
            Inst::Convert(arg) => {
                let (from, to) = (self.slot(*arg), self.slot(value));
                for lane in 0..to.lanes {
                    self.regs[to.at + lane] = lane::convert(from.elem, to.elem, self.regs[from.at + lane]);
                }
            }
            Inst::Bitcast(arg) => self.copy(*arg, value),
            Inst::Splat(arg) => self.fill(value, self.scalar(*arg)),
            Inst::Iota(arg) => {
                let (start, to) = (self.index(*arg), self.slot(value));
                for lane in 0..to.lanes {
                    self.regs[to.at + lane] = lane::iota(to.elem, start, lane);
                }
            }
            Inst::Load(access) => self.load(value, access),
            Inst::Shift(before, value_of, by) => {
                let (first, second, to) = (self.slot(*before), self.slot(*value_of), self.slot(value));
                let both =
                    [first, second].map(|slot| self.regs[slot.at..slot.at + slot.lanes].to_vec()).concat();
                let start = to.lanes - *by as usize;
                self.regs[to.at..to.at + to.lanes].copy_from_slice(&both[start..start + to.lanes]);
            }
            Inst::Gather(access) => self.gather(value, access),
            Inst::Fold(reduction, arg) => {
                let Slot { at, lanes, elem } = self.slot(*arg);
                let folded = fold(lane::combine(*reduction, elem), &mut self.regs[at..at + lanes].to_vec());
                self.fill(value, folded);
            }
        }
    }

    /// How many lanes of an access take part, and how many are active in the loop around.
    fn taking_part(&self, access: &Access, lanes: usize) -> (usize, usize) {
        let wanted = access.active.map_or(lanes as i64, |active| self.index(active));
        let name = &self.views[access.buffer.index()].name;
        assert!(
            1 <= wanted && wanted <= lanes as i64,
            "{wanted} of {lanes} lanes take part in an access to {name}"
        );
        let active = if lanes == self.lanes { self.active } else { lanes };
        (wanted as usize, active)
    }

    fn positions(&mut self, access: &Access) {
        let mut index = std::mem::take(&mut self.index);
        index.clear();
        index.extend(access.index.iter().map(|value| self.index(*value)));
        self.index = index;
    }

    fn load(&mut self, value: Value, access: &Access) {
        let Slot { at, lanes, elem } = self.slot(value);
        let (wanted, active) = self.taking_part(access, lanes);
        self.positions(access);
        let view = &self.views[access.buffer.index()];
        let span = view.span(&self.index, access.lane_axis, wanted.min(active));
        let out = &mut self.regs[at..at + lanes];
        view.read(&self.memory[view.memory], self.now, &span, out);
        out[wanted.min(active)..].fill(0);
        out[active..].fill(lane::garbage(elem));
    }

    fn gather(&mut self, value: Value, access: &Access) {
        let Slot { at, lanes, elem } = self.slot(value);
        let (wanted, active) = self.taking_part(access, lanes);
        let view = &self.views[access.buffer.index()];
        for lane in 0..lanes {
            let mut element = [if lane < active { 0 } else { lane::garbage(elem) }];
            let mut inside = lane < wanted.min(active);
            let mut index = Vec::with_capacity(access.index.len());
            for (axis, position) in access.index.iter().enumerate() {
                let slot = self.slot(*position);
                if slot.elem == Elem::I32 {
                    let bits = self.regs[slot.at + if slot.lanes == 1 { 0 } else { lane }];
                    index.push(i64::from(bits as u32 as i32));
                    inside &= view.has(axis, index[axis]);
                } else {
                    let further = if access.lane_axis == Some(axis as u32) { lane as i64 } else { 0 };
                    index.push(self.index(*position) + further);
                }
            }
            if inside {
                let span = view.span(&index, None, 1);
                view.read(&self.memory[view.memory], self.now, &span, &mut element);
            }
            self.regs[at + lane] = element[0];
        }
    }

    fn store(&mut self, access: &Access, value: Value) {
        let Slot { at, lanes, .. } = self.slot(value);
        let (wanted, active) = self.taking_part(access, lanes);
        self.positions(access);
        let view = &self.views[access.buffer.index()];
        let span = view.span(&self.index, access.lane_axis, wanted.min(active));
        view.write(&mut self.memory[view.memory], self.now, &span, &self.regs[at..at + lanes]);
    }

    fn for_loop(&mut self, node: &'a For) {
        let around = (self.lanes, self.active);
        for carry in &node.carry {
            self.copy(carry.init, carry.var);
        }
        let (mut place, hi) = (self.index(node.lo), self.index(node.hi));
        while place < hi {
            self.set_index(node.var, place);
            if let LoopKind::Lanes(lanes) = node.kind {
                self.lanes = lanes as usize;
                self.active = hi.abs_diff(place).min(u64::from(lanes)) as usize;
            }
            self.body(&node.body.stmts);
            self.carry_on(node);
            let Some(next) = place.checked_add(node.step) else { break };
            place = next;
        }
        (self.lanes, self.active) = around;
        for carry in &node.carry {
            self.copy(carry.var, carry.result);
        }
    }

    /// Hands what the body yields to the carried variables, all at once; inactive lanes keep what they hold.
    fn carry_on(&mut self, node: &For) {
        self.moving.clear();
        for value in &node.body.yields {
            let Slot { at, lanes, .. } = self.slots[value.index()];
            self.moving.extend_from_slice(&self.regs[at..at + lanes]);
        }
        let lane_loop = node.kind != LoopKind::Seq;
        let mut start = 0;
        for carry in &node.carry {
            let Slot { at, lanes, .. } = self.slots[carry.var.index()];
            let active = if lane_loop && lanes == self.lanes { self.active } else { lanes };
            self.regs[at..at + active].copy_from_slice(&self.moving[start..start + active]);
            start += lanes;
        }
    }

    fn choice(&mut self, node: &'a If) {
        let Block { stmts, yields } = if self.scalar(node.cond) != 0 { &node.then } else { &node.otherwise };
        self.body(stmts);
        for (value, result) in yields.iter().zip(&node.results) {
            self.copy(*value, *result);
        }
    }

    // -------------------------------------------------------------------------------------------- reductions

    fn reduce(&mut self, node: &'a Reduce) {
        let around = (self.lanes, self.active);
        let mut trees: Vec<Tree> = (0..node.states.len()).map(|state| self.tree(node, state)).collect();
        let mut folds = self.fold_trees(node);
        let sizes: Vec<i64> = node.outer.iter().map(|(_, size)| self.sizes[size.index()]).collect();
        let mut places = vec![0; sizes.len()];
        let mut left = !sizes.contains(&0);
        while left {
            for ((var, _), place) in node.outer.iter().zip(&places) {
                self.set_index(*var, *place);
            }
            self.reduce_run(node, &mut trees, &mut folds);
            left = advance(&mut places, &sizes);
        }
        (self.lanes, self.active) = around;
        for (tree, result) in trees.into_iter().zip(&node.results) {
            let Slot { at, lanes, .. } = self.slot(*result);
            self.regs[at..at + lanes].copy_from_slice(&tree.finish());
        }
        for tree in folds {
            self.end_fold(tree);
        }
    }

    fn tree(&self, node: &Reduce, state: usize) -> Tree {
        let (Lift::Value(lifted) | Lift::Product(lifted, _)) = node.lifts[state];
        let Slot { lanes, elem, .. } = self.slot(lifted);
        let reduction = node.states[state];
        let identity = lane::identity(reduction, elem);
        Tree {
            row: node.order != Order::Column,
            elem,
            combine: lane::combine(reduction, elem),
            identity,
            state: vec![identity; lanes],
            steps: 0,
            blocks: 0,
            stack: Vec::new(),
        }
    }

    /// One run along the inner dimension.
    fn reduce_run(&mut self, node: &'a Reduce, trees: &mut [Tree], folds: &mut [FoldTree<'a>]) {
        let (var, size) = node.inner;
        let size = self.sizes[size.index()];
        let step = match node.order {
            Order::Row(lanes) => lanes as usize,
            Order::Column => 1,
        };
        for place in (0..size).step_by(step) {
            self.set_index(var, place);
            if node.order != Order::Column {
                self.lanes = step;
                self.active = step.min((size - place) as usize);
            }
            self.body(&node.body);
            for (tree, lift) in trees.iter_mut().zip(&node.lifts) {
                let active = if tree.row { self.active } else { tree.state.len() };
                tree.step(&self.regs, &self.slots, lift, active);
            }
            for tree in folds.iter_mut() {
                self.fold_step(tree);
            }
        }
    }
}

/// The next place in the order of a loop nest; whether there is one.
fn advance(places: &mut [i64], sizes: &[i64]) -> bool {
    for (place, size) in places.iter_mut().zip(sizes).rev() {
        *place += 1;
        if *place < *size {
            return true;
        }
        *place = 0;
    }
    false
}

/// The lanes combined by halves, into the first.
fn fold(combine: lane::Combine, lanes: &mut [u64]) -> u64 {
    let mut half = lanes.len() / 2;
    while half > 0 {
        for lane in 0..half {
            lanes[lane] = combine(lanes[lane + half], lanes[lane]);
        }
        half /= 2;
    }
    lanes[0]
}

/// One state of a reduction and the blocks before it.
struct Tree {
    row: bool,
    elem: Elem,
    combine: lane::Combine,
    identity: u64,
    /// The lanes of the running block.
    state: Vec<u64>,
    /// Steps in the running block.
    steps: i64,
    /// Blocks that have ended.
    blocks: u64,
    stack: Vec<Vec<u64>>,
}

impl Tree {
    fn step(&mut self, regs: &[u64], slots: &[Slot], lift: &Lift, active: usize) {
        let start = |value: Value| slots[value.index()].at;
        match *lift {
            Lift::Value(value) => {
                let at = start(value);
                for (lane, state) in self.state[..active].iter_mut().enumerate() {
                    *state = (self.combine)(regs[at + lane], *state);
                }
            }
            Lift::Product(a, b) => {
                let (a, b) = (start(a), start(b));
                for (lane, state) in self.state[..active].iter_mut().enumerate() {
                    *state = lane::fma(self.elem, regs[a + lane], regs[b + lane], *state);
                }
            }
        }
        self.steps += 1;
        if self.steps == BLOCK_STEPS {
            self.end_block();
        }
    }

    fn end_block(&mut self) {
        let fresh = vec![self.identity; self.state.len()];
        let mut block = std::mem::replace(&mut self.state, fresh);
        if self.row {
            block = vec![fold(self.combine, &mut block)];
        }
        for _ in 0..self.blocks.trailing_ones() {
            let top = self.stack.pop().expect("one entry for each one bit of the count");
            block = both(self.combine, &block, &top);
        }
        self.stack.push(block);
        self.blocks += 1;
        self.steps = 0;
    }

    /// The value of the whole reduction.
    fn finish(mut self) -> Vec<u64> {
        if self.steps > 0 {
            self.end_block();
        }
        let whole = self.stack.iter().rev().cloned().reduce(|top, below| both(self.combine, &top, &below));
        whole.unwrap_or_else(|| vec![self.identity; if self.row { 1 } else { self.state.len() }])
    }
}

fn both(combine: lane::Combine, a: &[u64], b: &[u64]) -> Vec<u64> {
    a.iter().zip(b).map(|(a, b)| combine(*a, *b)).collect()
}
