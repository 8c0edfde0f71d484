//! Lays virtual lanes onto machine vectors: every value with lanes becomes several vectors of the target, every lane loop
//! a loop over whole steps and one over the rest.
//!
//! Needs `lanes` and `expand_math`. Leaves no lane loop; no value has more lanes than a vector of the target. Layout: changes no bit, since
//! lanes don't meet but in folds, whose tree it keeps.
//!
//! *Width.* A loop's vectors have as many lanes as fit its elements: 4 of 32 bits, 2 of 64 bits in 16 bytes; where
//! both sizes meet in one loop, one lane.
//!
//! *Order.* Straight-line code is written out for a few vectors at a time, one statement of each after another: enough to hide the
//! latency of one vector's chain behind the others, few enough for the registers. Short bodies are written out one vector after another,
//! each from its loads to its stores: the processor's own reordering overlaps them. Outside of lane loops, where lanes meet in memory,
//! whatever is written there is written by all vectors before it is read.
//!
//! *Carried variables* stay in registers if all of them and the body fit there; otherwise they lie in local memory, and an iteration
//! fetches those of the vectors that it takes.
//!
//! *Rest.* What is left after the last whole step is done one vector at a time, the last one with fewer active lanes; a short
//! body has a copy of its own for the vectors that are filled. Where
//! the carried variables are in registers and the lanes are few vectors, each of these has its own copy of the body, behind the
//! question whether there is anything left for it ([`rest`]): short rows consist of nothing else. Otherwise carried
//! variables lie in local memory meanwhile, since the vector in question is only known at the call.
//!
//! *Long bodies* are written out once: all their places are done as if they were the rest. What a second copy would save is
//! little beside the body, and it would be compiled for nothing.

mod rest;

use rustc_hash::{FxHashMap, FxHashSet};

use super::build::Builder;
use crate::loops::{
    Access, Block, Buffer, BufferDecl, BufferKind, Carry, Elem, For, Func, If, Inst, LoopKind, Stmt, Type,
    Value,
};
use crate::ops::{Prim, Reduction};
use crate::target::Target;
use crate::types::SizeExpr;

/// As many vectors are written out alternating, one statement for each after another.
const GROUP: usize = 4;

/// Statements from which on the processor can't overlap whole vectors by itself, so that they alternate.
const INTERLEAVED: usize = 8;

/// A body of so many statements is written out once.
const LONG: usize = 80;

/// Carried vectors and statements of a body that the registers hold together; from there on what is carried lies in memory.
const HELD: usize = 14;

/// Runs the pass.
pub fn run(func: &mut Func, target: &Target) {
    for phase in 0..func.phases.len() {
        let body = std::mem::take(&mut func.phases[phase].body);
        let width = width(func, &body, target);
        let mut context = Context { target, width, pieces: 0, values: FxHashMap::default(), lane: None };
        let mut builder = Builder::new(func);
        context.stmts(&mut builder, &body);
        let stmts = builder.stmts;
        func.phases[phase].body = stmts;
    }
}

/// Lanes of a vector for the elements that have lanes in these statements.
fn width(func: &Func, stmts: &[Stmt], target: &Target) -> u32 {
    fn visit(func: &Func, stmts: &[Stmt], sizes: &mut FxHashSet<u32>) {
        for stmt in stmts {
            let mut note = |value: &Value| {
                let ty = func.values[*value];
                if ty.lanes > 1 && ty.elem != Elem::Bool {
                    sizes.insert(ty.elem.bytes());
                }
            };
            stmt.results(&mut note);
            stmt.variables(&mut note);
            for body in stmt.bodies() {
                visit(func, body, sizes);
            }
        }
    }
    let mut sizes = FxHashSet::default();
    visit(func, stmts, &mut sizes);
    let mut sizes = sizes.into_iter();
    match (sizes.next(), sizes.next()) {
        (None, _) => target.lanes(4),
        (Some(bytes), None) => target.lanes(bytes),
        (Some(_), Some(_)) => 1,
    }
}

/// The lane loop that is being laid out.
#[derive(Clone)]
struct Lane {
    /// Its variable, and every position made from it.
    derived: FxHashSet<Value>,
    /// Positions of the vectors, for each value derived from the variable.
    positions: FxHashMap<Value, Vec<Value>>,
    /// How many lanes are active in the one vector; `None`: all are, in every vector.
    active: Option<Value>,
}

/// The places of a loop; see [`Context::places`].
#[derive(Clone, Copy)]
struct Places {
    lo: Value,
    middle: Value,
    end: Value,
}

/// A loop whose carried variables lie in memory.
struct InMemory<'n> {
    node: &'n For,
    /// The lanes of the loop.
    lanes: u32,
    /// Where each carried variable lies, all its lanes.
    buffers: &'n [Buffer],
    /// The loop's first place, which is that of lane 0.
    lo: Value,
}

/// Appends a sequential loop that carries nothing.
fn push_loop(b: &mut Builder<'_>, var: Value, lo: Value, hi: Value, step: i64, body: Block) {
    let (kind, carry) = (LoopKind::Seq, Vec::new());
    b.stmts.push(Stmt::For(Box::new(For { var, lo, hi, step, kind, unroll: 1, carry, body })));
}

/// Whether one of two statements writes memory that the other one reads. Outside of lane loops lanes meet there.
fn meets(a: &Stmt, b: &Stmt) -> bool {
    match (a, b) {
        (Stmt::Store(store, _), Stmt::Let(_, Inst::Load(load)))
        | (Stmt::Let(_, Inst::Load(load)), Stmt::Store(store, _)) => store.buffer == load.buffer,
        _ => false,
    }
}

/// How many statements compute something with lanes, inner loops' and choices' among them.
fn all_vector_statements(func: &Func, stmts: &[Stmt]) -> usize {
    let inner = stmts.iter().flat_map(Stmt::bodies).map(|body| all_vector_statements(func, body));
    vector_statements(func, stmts) + inner.sum::<usize>()
}

/// How many statements compute something with lanes.
fn vector_statements(func: &Func, stmts: &[Stmt]) -> usize {
    let count = |stmt: &Stmt| match stmt {
        Stmt::Let(value, inst) => {
            let computes = !matches!(inst, Inst::Const(_) | Inst::Load(_) | Inst::Splat(_));
            usize::from(computes && func.values[*value].lanes > 1)
        }
        Stmt::Store(..) | Stmt::For(_) | Stmt::If(_) | Stmt::Reduce(_) => 1,
    };
    stmts.iter().map(count).sum()
}

struct Context<'t> {
    target: &'t Target,
    /// Lanes of a vector.
    width: u32,
    /// Vectors that stand for a value with lanes; 0 outside lane loops: as many as its lanes need.
    pieces: usize,
    /// The vectors of a value with lanes, or the one value of one without.
    values: FxHashMap<Value, Vec<Value>>,
    lane: Option<Lane>,
}

impl Context<'_> {
    fn pieces_of(&self, ty: Type) -> usize {
        match (ty.lanes, self.pieces) {
            (1, _) => 1,
            (lanes, 0) => (lanes / self.width) as usize,
            (_, pieces) => pieces,
        }
    }

    fn vector(&self, ty: Type) -> Type {
        if ty.lanes == 1 { ty } else { ty.with_lanes(self.width) }
    }

    /// One vector of a value; one that is the same in every vector stands for all.
    fn piece(&self, value: Value, piece: usize) -> Value {
        if let Some(lane) = &self.lane
            && let Some(positions) = lane.positions.get(&value)
        {
            return positions[piece.min(positions.len() - 1)];
        }
        match self.values.get(&value) {
            Some(pieces) => pieces[piece.min(pieces.len() - 1)],
            // A position or another value without lanes, which keeps its name.
            None => value,
        }
    }

    /// All vectors of a value, written out.
    fn all(&self, value: Value, ty: Type) -> Vec<Value> {
        (0..self.pieces_of(ty)).map(|piece| self.piece(value, piece)).collect()
    }

    fn stmts(&mut self, b: &mut Builder<'_>, stmts: &[Stmt]) {
        let mut rest = stmts;
        while !rest.is_empty() {
            let plain =
                rest.iter().take_while(|stmt| matches!(stmt, Stmt::Let(..) | Stmt::Store(..))).count();
            self.straight(b, &rest[..plain]);
            rest = &rest[plain..];
            let Some((stmt, after)) = rest.split_first() else { break };
            match stmt {
                Stmt::For(node) => self.for_loop(b, node),
                Stmt::If(node) => self.choice(b, node),
                Stmt::Let(..) | Stmt::Store(..) | Stmt::Reduce(_) => unreachable!("written out before"),
            }
            rest = after;
        }
    }

    // ---- straight-line code ----

    /// Statements without inner blocks: what is the same for every vector once, the rest vector by vector.
    fn straight(&mut self, b: &mut Builder<'_>, stmts: &[Stmt]) {
        let mut each: Vec<&Stmt> = Vec::new();
        for stmt in stmts {
            if self.lane.is_none() && each.iter().any(|before| meets(before, stmt)) {
                self.each(b, &mut each);
            }
            match stmt {
                Stmt::Let(value, inst) => {
                    let ty = b.func.values[*value];
                    if self.is_shared(*value, inst, ty) {
                        // What was stored before stays before.
                        if matches!(inst, Inst::Load(_) | Inst::Gather(_))
                            && each.iter().any(|stmt| matches!(stmt, Stmt::Store(..)))
                        {
                            self.each(b, &mut each);
                        }
                        self.shared(b, *value, inst, ty);
                    } else if let Inst::Shift(before, shifted, by) = inst {
                        self.each(b, &mut each);
                        self.shift(b, *value, [*before, *shifted], *by);
                    } else if let Inst::Fold(reduction, lanes) = inst {
                        self.each(b, &mut each);
                        self.fold(b, *value, *reduction, *lanes);
                    } else {
                        each.push(stmt);
                    }
                }
                Stmt::Store(..) => each.push(stmt),
                Stmt::For(_) | Stmt::If(_) | Stmt::Reduce(_) => unreachable!("not straight-line code"),
            }
        }
        self.each(b, &mut each);
    }

    /// How many times a statement is written out that has lanes or depends on where they are.
    fn copies(&self, ty: Type) -> usize {
        if ty.lanes > 1 { self.pieces_of(ty) } else { self.pieces }
    }

    /// Whether one value serves all vectors.
    fn is_shared(&self, value: Value, inst: &Inst, ty: Type) -> bool {
        match inst {
            Inst::Const(_) => true,
            Inst::Splat(arg) => !self.is_derived(*arg),
            Inst::Fold(..) | Inst::Shift(..) => false,
            _ if ty.lanes == 1 => !self.is_derived(value) && !self.uses_derived(inst),
            Inst::Prim(..) | Inst::Convert(_) | Inst::Bitcast(_) => {
                let mut shared = self.pieces_of(ty) > 1;
                inst.operands(&mut |arg| {
                    shared &= self.values.get(arg).is_some_and(|pieces| pieces.len() == 1)
                });
                shared
            }
            Inst::Scalar(_) | Inst::Size(_) | Inst::Iota(_) | Inst::Load(_) | Inst::Gather(_) => false,
        }
    }

    fn is_derived(&self, value: Value) -> bool {
        self.lane.as_ref().is_some_and(|lane| lane.derived.contains(&value))
    }

    fn uses_derived(&self, inst: &Inst) -> bool {
        let mut derived = false;
        inst.operands(&mut |arg| derived |= self.is_derived(*arg));
        derived
    }

    fn shared(&mut self, b: &mut Builder<'_>, value: Value, inst: &Inst, ty: Type) {
        let mut inst = inst.clone();
        inst.operands_mut(&mut |arg| *arg = self.piece(*arg, 0));
        // A vector of one lane is the number itself.
        let inst = match inst {
            Inst::Splat(arg) if self.width == 1 => {
                self.values.insert(value, vec![arg]);
                return;
            }
            inst => inst,
        };
        let made = b.push(self.vector(ty), inst);
        self.values.insert(value, vec![made]);
    }

    /// Writes the waiting statements out, vector by vector.
    fn each(&mut self, b: &mut Builder<'_>, waiting: &mut Vec<&Stmt>) {
        let stmts = std::mem::take(waiting);
        let copies = |stmt: &&Stmt| match stmt {
            Stmt::Let(value, inst) if b.func.values[*value].lanes > 1 || self.uses_derived(inst) => {
                self.copies(b.func.values[*value])
            }
            Stmt::Store(_, value) => self.pieces_of(b.func.values[*value]),
            Stmt::Let(..) | Stmt::For(_) | Stmt::If(_) | Stmt::Reduce(_) => 1,
        };
        let pieces = stmts.iter().map(copies).max().unwrap_or(0);
        let group = if stmts.len() < INTERLEAVED { 1 } else { GROUP };
        for first in (0..pieces).step_by(group) {
            let group = first..(first + group).min(pieces);
            for (stmt, piece) in stmts.iter().flat_map(|stmt| group.clone().map(move |piece| (stmt, piece))) {
                match stmt {
                    Stmt::Let(value, inst) => self.instance(b, *value, inst, piece),
                    Stmt::Store(access, value) => {
                        if piece >= self.pieces_of(b.func.values[*value]) {
                            continue;
                        }
                        let access = self.access(b, access, piece);
                        b.stmts.push(Stmt::Store(access, self.piece(*value, piece)));
                    }
                    Stmt::For(_) | Stmt::If(_) | Stmt::Reduce(_) => unreachable!("not straight-line code"),
                }
            }
        }
    }

    fn instance(&mut self, b: &mut Builder<'_>, value: Value, inst: &Inst, piece: usize) {
        let ty = b.func.values[value];
        let derived = ty == Type::INDEX && self.uses_derived(inst);
        if piece >= self.pieces_of(ty) && !derived {
            return;
        }
        let made_inst = match inst {
            Inst::Load(access) => Inst::Load(self.access(b, access, piece)),
            // Numbers of the lanes themselves: those of this vector.
            Inst::Iota(arg) if piece > 0 && !self.is_derived(*arg) => {
                let offset = (piece * self.width as usize) as i64;
                Inst::Iota(b.with_const(Prim::Add, self.piece(*arg, 0), offset))
            }
            Inst::Gather(access) => Inst::Gather(self.access(b, access, piece)),
            inst => {
                let mut inst = inst.clone();
                inst.operands_mut(&mut |arg| *arg = self.piece(*arg, piece));
                inst
            }
        };
        // `position + l` of the only lane is the position.
        let made_inst = match made_inst {
            Inst::Iota(arg) if self.width == 1 => Inst::Convert(arg),
            Inst::Splat(arg) if self.width == 1 => {
                self.values.entry(value).or_default().push(arg);
                return;
            }
            inst => inst,
        };
        let made = b.push(self.vector(ty), made_inst);
        if derived {
            let lane = self.lane.as_mut().expect("only lane loops have derived positions");
            lane.derived.insert(value);
            lane.positions.entry(value).or_default().push(made);
        } else {
            self.values.entry(value).or_default().push(made);
        }
    }

    fn access(&mut self, b: &mut Builder<'_>, access: &Access, piece: usize) -> Access {
        let mut made = access.clone();
        for index in &mut made.index {
            *index = self.piece(*index, piece);
        }
        let Some(axis) = access.lane_axis else { return made };
        let on_lanes = self.is_derived(access.index[axis as usize]);
        if !on_lanes {
            // Memory of the lanes' own: each vector has its part of it.
            if piece > 0 {
                let offset = (piece * self.width as usize) as i64;
                made.index[axis as usize] = b.with_const(Prim::Add, made.index[axis as usize], offset);
            }
        } else if let Some(lane) = &self.lane {
            made.active = lane.active.filter(|_| self.width > 1);
        }
        if self.width == 1 {
            made.lane_axis = None;
        }
        made
    }

    /// The vectors of a shift: each is one of the operands' vectors, or lies in two of them. It stands outside lane loops, where all
    /// vectors of a value are at hand.
    fn shift(&mut self, b: &mut Builder<'_>, value: Value, operands: [Value; 2], by: u32) {
        let ty = b.func.values[value];
        let width = self.width;
        let both: Vec<Value> = operands.iter().flat_map(|&operand| self.all(operand, ty)).collect();
        let start = ty.lanes - by;
        let pieces = (0..ty.lanes / width).map(|piece| {
            let lane = start + piece * width;
            let (first, inside) = ((lane / width) as usize, lane % width);
            match inside {
                0 => both[first],
                inside => {
                    let shift = Inst::Shift(both[first], both[first + 1], width - inside);
                    b.push(ty.with_lanes(width), shift)
                }
            }
        });
        let pieces: Vec<Value> = pieces.collect();
        self.values.insert(value, pieces);
    }

    /// The tree of a fold: first whole vectors, then inside one.
    fn fold(&mut self, b: &mut Builder<'_>, value: Value, reduction: Reduction, lanes: Value) {
        let ty = b.func.values[lanes];
        let mut vectors = self.all(lanes, ty);
        while vectors.len() > 1 {
            let half = vectors.len() / 2;
            for low in 0..half {
                vectors[low] = b.combine(reduction, vectors[low + half], vectors[low]);
            }
            vectors.truncate(half);
        }
        let folded = match self.width {
            1 => vectors[0],
            _ => b.push(ty.with_lanes(1), Inst::Fold(reduction, vectors[0])),
        };
        self.values.insert(value, vec![folded]);
    }

    // ---- blocks ----

    /// A block in a scope of its own.
    fn block(&mut self, b: &mut Builder<'_>, block: &Block) -> Block {
        let outside = (self.values.clone(), self.lane.clone());
        let (stmts, yields) = b.nested(|b| {
            self.stmts(b, &block.stmts);
            let yields = block.yields.iter().flat_map(|&value| self.all(value, b.func.values[value]));
            yields.collect::<Vec<_>>()
        });
        (self.values, self.lane) = outside;
        Block { stmts, yields }
    }

    /// New values for all vectors of a value.
    fn fresh(&mut self, b: &mut Builder<'_>, value: Value) -> Vec<Value> {
        let ty = b.func.values[value];
        let vectors: Vec<Value> = (0..self.pieces_of(ty)).map(|_| b.func.value(self.vector(ty))).collect();
        self.values.insert(value, vectors.clone());
        vectors
    }

    fn choice(&mut self, b: &mut Builder<'_>, node: &If) {
        let cond = self.piece(node.cond, 0);
        let then = self.block(b, &node.then);
        let otherwise = self.block(b, &node.otherwise);
        let results = node.results.iter().flat_map(|&value| self.fresh(b, value)).collect();
        b.stmts.push(Stmt::If(Box::new(If { cond, then, otherwise, results })));
    }

    fn for_loop(&mut self, b: &mut Builder<'_>, node: &For) {
        match node.kind {
            LoopKind::Seq => self.seq_loop(b, node),
            LoopKind::Lanes(lanes) => self.lane_loop(b, node, lanes),
        }
    }

    fn carries(&mut self, b: &mut Builder<'_>, carry: &[Carry]) -> Vec<Carry> {
        let mut carries = Vec::new();
        for carry in carry {
            let inits = self.all(carry.init, b.func.values[carry.init]);
            let vars = self.fresh(b, carry.var);
            let results = self.fresh(b, carry.result);
            let each = vars.iter().zip(&inits).zip(&results);
            carries.extend(each.map(|((&var, &init), &result)| Carry { var, init, result }));
        }
        carries
    }

    fn seq_loop(&mut self, b: &mut Builder<'_>, node: &For) {
        let (lo, hi) = (self.piece(node.lo, 0), self.piece(node.hi, 0));
        let carry = self.carries(b, &node.carry);
        let var = self.fresh(b, node.var)[0];
        let body = self.block(b, &node.body);
        b.stmts.push(Stmt::For(Box::new(For {
            var,
            lo,
            hi,
            step: node.step,
            kind: LoopKind::Seq,
            unroll: 1,
            carry,
            body,
        })));
    }

    // ---- lane loops ----

    fn lane_loop(&mut self, b: &mut Builder<'_>, node: &For, lanes: u32) {
        assert!(self.lane.is_none(), "lane loops don't nest");
        let outside = (self.pieces, self.width);
        if node.carry.is_empty() {
            self.width = width(b.func, &node.body.stmts, self.target).min(lanes);
            self.pieces = node.unroll.clamp(1, lanes / self.width) as usize;
            self.map_loop(b, node);
        } else {
            // The lanes' meaning reaches beyond the loop: the vectors must be those outside.
            self.pieces = (lanes / self.width) as usize;
            if self.in_registers(b.func, node) {
                self.register_loop(b, node, lanes);
            } else {
                self.memory_loop(b, node, lanes);
            }
        }
        (self.pieces, self.width) = outside;
    }

    /// The places of a loop: their start, the end of those that fill steps of so many, and the end.
    fn places(&self, b: &mut Builder<'_>, node: &For, step: i64) -> Places {
        let (lo, hi) = (self.piece(node.lo, 0), self.piece(node.hi, 0));
        let places = b.on_index(Prim::Sub, hi, lo);
        // An empty range may be given with `hi` below `lo`; then nothing runs.
        let zero = b.index(0);
        let places = b.on_index(Prim::SelMax, places, zero);
        let whole = b.with_const(Prim::IAnd, places, -step);
        let middle = b.on_index(Prim::Add, lo, whole);
        let end = b.on_index(Prim::Add, lo, places);
        Places { lo, middle, end }
    }

    /// The places of a loop none of whose steps counts as whole.
    fn all_rest(&self, b: &mut Builder<'_>, node: &For) -> Places {
        let (lo, hi) = (self.piece(node.lo, 0), self.piece(node.hi, 0));
        let end = b.on_index(Prim::SelMax, hi, lo);
        Places { lo, middle: lo, end }
    }

    /// A loop that carries nothing.
    fn map_loop(&mut self, b: &mut Builder<'_>, node: &For) {
        let statements = all_vector_statements(b.func, &node.body.stmts);
        let once = statements >= LONG;
        let step = i64::from(self.width) * self.pieces as i64;
        let places = if once { self.all_rest(b, node) } else { self.places(b, node, step) };
        if !once {
            let (body, var) = self.lane_body(b, node, self.pieces, None);
            push_loop(b, var, places.lo, places.middle, step, body);
        }
        let (mut from, width) = (places.middle, i64::from(self.width));
        if !once && self.pieces > 1 && self.width > 1 && statements <= INTERLEAVED {
            let filled = self.places(b, node, width);
            let (body, var) = self.lane_body(b, node, 1, None);
            push_loop(b, var, from, filled.middle, width, body);
            from = filled.middle;
        }
        let active = b.func.value(Type::INDEX);
        let (mut body, var) = self.lane_body(b, node, 1, Some(active));
        self.define_active(b, &mut body, var, places.end, active);
        push_loop(b, var, from, places.end, width, body);
    }

    /// A loop whose carried vectors stay in registers over whole steps.
    fn register_loop(&mut self, b: &mut Builder<'_>, node: &For, lanes: u32) {
        let step = i64::from(lanes);
        let places = self.places(b, node, step);
        let carry = self.carries(b, &node.carry);
        let (body, var) = self.lane_body(b, node, self.pieces, None);
        let results: Vec<Value> = carry.iter().map(|carry| carry.result).collect();
        let (lo, hi) = (places.lo, places.middle);
        let kind = LoopKind::Seq;
        b.stmts.push(Stmt::For(Box::new(For { var, lo, hi, step, kind, unroll: 1, carry, body })));
        if self.pieces <= GROUP {
            let results = self.rest_in_registers(b, node, results, places, 0);
            return self.set_results(b, node, results);
        }
        let rest = b.on_index(Prim::Sub, places.end, places.middle);
        let zero = b.index(0);
        let left = b.compare(Prim::Gt, rest, zero);
        let merged = b.choose(
            left,
            |b| {
                let memory = self.put_in_memory(b, node, &results);
                let carried = InMemory { node, lanes, buffers: &memory, lo: places.lo };
                self.rest_in_memory(b, &carried, places);
                self.take_from_memory(b, node, &memory)
            },
            |_| results.clone(),
        );
        self.set_results(b, node, merged);
    }

    /// A loop whose carried vectors lie in memory, where each iteration fetches those of a few vectors.
    fn memory_loop(&mut self, b: &mut Builder<'_>, node: &For, lanes: u32) {
        let once = all_vector_statements(b.func, &node.body.stmts) >= LONG;
        let group = GROUP.min(self.pieces);
        let step = i64::from(self.width) * group as i64;
        let places = if once { self.all_rest(b, node) } else { self.places(b, node, step) };
        let inits: Vec<Value> =
            node.carry.iter().flat_map(|carry| self.all(carry.init, b.func.values[carry.init])).collect();
        let memory = self.put_in_memory(b, node, &inits);
        let carried = InMemory { node, lanes, buffers: &memory, lo: places.lo };
        if !once {
            let (body, var) = self.body_in_memory(b, &carried, group, None);
            push_loop(b, var, places.lo, places.middle, step, body);
        }
        self.rest_in_memory(b, &carried, places);
        let results = self.take_from_memory(b, node, &memory);
        self.set_results(b, node, results);
    }

    /// Says what the vectors of a loop's results are: those of each carried variable after those of the one before.
    fn set_results(&mut self, b: &Builder<'_>, node: &For, values: Vec<Value>) {
        let mut values = values.into_iter();
        for carry in &node.carry {
            let pieces = self.pieces_of(b.func.values[carry.result]);
            self.values.insert(carry.result, values.by_ref().take(pieces).collect());
        }
    }

    /// The body for `pieces` vectors from the loop variable on; returns it and the variable.
    fn lane_body(
        &mut self,
        b: &mut Builder<'_>,
        node: &For,
        pieces: usize,
        active: Option<Value>,
    ) -> (Block, Value) {
        let var = b.func.value(Type::INDEX);
        (self.lane_body_at(b, node, var, pieces, active), var)
    }

    /// The same for a variable that is there already.
    fn lane_body_at(
        &mut self,
        b: &mut Builder<'_>,
        node: &For,
        var: Value,
        pieces: usize,
        active: Option<Value>,
    ) -> Block {
        let outside = (self.values.clone(), self.pieces);
        self.pieces = pieces;
        let (stmts, yields) = b.nested(|b| {
            let mut positions = vec![var];
            for piece in 1..pieces {
                positions.push(b.with_const(Prim::Add, var, piece as i64 * i64::from(self.width)));
            }
            let derived = FxHashSet::from_iter([node.var]);
            let positions = FxHashMap::from_iter([(node.var, positions)]);
            self.lane = Some(Lane { derived, positions, active });
            self.derive(&node.body.stmts);
            self.stmts(b, &node.body.stmts);
            let yields = node.body.yields.iter().flat_map(|&value| self.all(value, b.func.values[value]));
            yields.collect::<Vec<_>>()
        });
        self.lane = None;
        (self.values, self.pieces) = outside;
        Block { stmts, yields }
    }

    /// Notes every position that is made from the loop variable.
    fn derive(&mut self, stmts: &[Stmt]) {
        for stmt in stmts {
            if let Stmt::Let(value, inst) = stmt
                && !matches!(inst, Inst::Load(_) | Inst::Gather(_) | Inst::Iota(_))
                && self.uses_derived(inst)
            {
                self.lane.as_mut().expect("in a lane loop").derived.insert(*value);
            }
            for body in stmt.bodies() {
                self.derive(body);
            }
        }
    }

    /// Puts `active = min(width, end - var)` at the head of a body.
    fn define_active(&self, b: &mut Builder<'_>, body: &mut Block, var: Value, end: Value, active: Value) {
        let (mut head, ()) = b.nested(|b| {
            let left = b.on_index(Prim::Sub, end, var);
            let width = b.index(i64::from(self.width));
            b.stmts.push(Stmt::Let(active, Inst::Prim(Prim::SelMin, vec![left, width])));
        });
        head.append(&mut body.stmts);
        body.stmts = head;
    }

    /// The vectors of carried variables into local memory, one array for each variable.
    fn put_in_memory(&self, b: &mut Builder<'_>, node: &For, held: &[Value]) -> Vec<Buffer> {
        let memory: Vec<Buffer> = node.carry.iter().map(|carry| self.waiting(b, carry.var)).collect();
        for (carry, &buffer) in memory.iter().enumerate() {
            for piece in 0..self.pieces {
                let lane = b.index(piece as i64 * i64::from(self.width));
                let access = self.waiting_at(buffer, lane);
                b.stmts.push(Stmt::Store(access, held[carry * self.pieces + piece]));
            }
        }
        memory
    }

    /// All of them back.
    fn take_from_memory(&self, b: &mut Builder<'_>, node: &For, memory: &[Buffer]) -> Vec<Value> {
        let mut values = Vec::new();
        for (carry, &buffer) in node.carry.iter().zip(memory) {
            for piece in 0..self.pieces {
                let lane = b.index(piece as i64 * i64::from(self.width));
                let ty = self.vector(b.func.values[carry.var]);
                values.push(b.push(ty, Inst::Load(self.waiting_at(buffer, lane))));
            }
        }
        values
    }

    /// The places that fill no step, one vector at a time.
    fn rest_in_memory(&mut self, b: &mut Builder<'_>, carried: &InMemory<'_>, places: Places) {
        let active = b.func.value(Type::INDEX);
        let (mut body, var) = self.body_in_memory(b, carried, 1, Some(active));
        self.define_active(b, &mut body, var, places.end, active);
        push_loop(b, var, places.middle, places.end, i64::from(self.width), body);
    }

    /// The body for `pieces` vectors whose carried variables are fetched from memory and put back, where their
    /// lanes are active.
    fn body_in_memory(
        &mut self,
        b: &mut Builder<'_>,
        carried: &InMemory<'_>,
        pieces: usize,
        active: Option<Value>,
    ) -> (Block, Value) {
        let &InMemory { node, lanes, buffers, lo } = carried;
        let mut old: Vec<Vec<Value>> = Vec::new();
        for carry in &node.carry {
            let ty = self.vector(b.func.values[carry.var]);
            old.push((0..pieces).map(|_| b.func.value(ty)).collect());
        }
        let outside = self.values.clone();
        for (carry, values) in node.carry.iter().zip(&old) {
            self.values.insert(carry.var, values.clone());
        }
        let (mut body, var) = self.lane_body(b, node, pieces, active);
        self.values = outside;
        let (mut head, at) = b.nested(|b| {
            let lane = b.on_index(Prim::Sub, var, lo);
            let lane = b.with_const(Prim::IAnd, lane, i64::from(lanes) - 1);
            let width = i64::from(self.width);
            let at: Vec<Value> =
                (0..pieces as i64).map(|piece| b.with_const(Prim::Add, lane, piece * width)).collect();
            for (values, &buffer) in old.iter().zip(buffers) {
                for (&value, &lane) in values.iter().zip(&at) {
                    let access = self.waiting_at(buffer, lane);
                    b.stmts.push(Stmt::Let(value, Inst::Load(access)));
                }
            }
            at
        });
        let yields = std::mem::take(&mut body.yields);
        let (mut tail, ()) = b.nested(|b| {
            let mask = active.and_then(|active| self.active_mask(b, active, b.func.values[old[0][0]].elem));
            for ((values, &buffer), next) in old.iter().zip(buffers).zip(yields.chunks(pieces)) {
                for ((&value, &lane), &next) in values.iter().zip(&at).zip(next) {
                    let next = match mask {
                        Some(mask) => b.select(mask, next, value),
                        None => next,
                    };
                    b.stmts.push(Stmt::Store(self.waiting_at(buffer, lane), next));
                }
            }
        });
        head.append(&mut body.stmts);
        head.append(&mut tail);
        body.stmts = head;
        (body, var)
    }

    /// A vector in the memory of a carried variable, from a lane on.
    fn waiting_at(&self, buffer: Buffer, lane: Value) -> Access {
        Access { buffer, index: vec![lane], lane_axis: (self.width > 1).then_some(0), active: None }
    }

    /// The lanes below `active`; `None` where a vector has one lane, which is always active.
    fn active_mask(&self, b: &mut Builder<'_>, active: Value, elem: Elem) -> Option<Value> {
        if self.width == 1 {
            return None;
        }
        let zero = b.index(0);
        // Compared in the width of the elements, as masks are.
        let elem = if elem.bytes() == 8 { Elem::F64 } else { Elem::I32 };
        let ty = Type { elem, lanes: self.width };
        let lane = b.push(ty, Inst::Iota(zero));
        let count = b.push(Type::scalar(elem), Inst::Convert(active));
        let count = b.push(ty, Inst::Splat(count));
        Some(b.compare(Prim::Lt, lane, count))
    }

    /// Local memory for all lanes of a carried variable.
    fn waiting(&self, b: &mut Builder<'_>, value: Value) -> Buffer {
        let ty = b.func.values[value];
        let lanes = self.pieces as i64 * i64::from(self.width);
        let axes = vec![SizeExpr::Const(lanes)];
        let name = format!("carried{}", b.func.buffers.len());
        b.func.buffers.push(BufferDecl {
            name,
            kind: BufferKind::Local,
            elem: ty.elem,
            axes,
            groups: Vec::new(),
        })
    }
}
