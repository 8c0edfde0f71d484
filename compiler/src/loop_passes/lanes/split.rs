//! Makes several phases of one, so that threads share what is in a row: a reduction becomes a phase over its blocks, each of
//! which leaves its state in shared memory, and a short one that combines them by the tree of [`crate::loops`]; a loop without
//! carried variables becomes a phase over pieces of it. What is neither stays in order, a unit for each place that the phase
//! had already.
//!
//! Needs a function as `lower` leaves it; what is not of that form stays as it is. Leaves the same bits: blocks are what they are in
//! one piece, and they are combined in the same order. Runs before `lanes`, and only where a call has fewer places than threads.
//!
//! Values that one phase makes and another one uses go through shared memory, a place for each unit; those that follow from
//! others by an instruction or two are computed again. So do the thread's own arrays, where more than one phase sees them.

mod uses;

use cranelift_entity::SecondaryMap;
use rustc_hash::{FxHashMap, FxHashSet};

use self::uses::{
    accesses, accesses_mut, find_zeros, reduces_apart, runs_apart, used, used_by_body, used_by_reduce,
};
use super::{Tree, Types, Walk, block_value, constants, members, stack, states, step};
use crate::loop_passes::build::Builder;
use crate::loops::{
    Access, BLOCK_STEPS, Buffer, BufferDecl, BufferKind, For, Func, Inst, LoopKind, Phase, Reduce, Stmt,
    Type, Value,
};
use crate::ops::Prim;
use crate::types::SizeExpr;

/// Elements of a piece of a loop with lanes, and places of one without, if there is no loop inside.
const PIECE: i64 = 4096;

/// Elements of a block, roughly.
const BLOCK_WORK: i64 = 8192;

/// Whether there is anything to split.
pub fn applies(func: &Func) -> bool {
    nests(func).is_some_and(|nests| {
        let inside = |stmt: &Stmt| matches!(stmt, Stmt::Reduce(_) | Stmt::For(_));
        nests.iter().flat_map(|nest| &nest.body).any(inside)
    })
}

/// Runs the pass.
pub fn run(func: &mut Func) {
    let Some(nests) = nests(func) else { return };
    let plan = Plan::new(func, nests);
    if plan.segments.iter().all(|segment| matches!(segment.kind, Kind::Steps(_))) {
        return;
    }
    let in_all = plan.segments.len();
    let (work, cost) = (func.phases[0].work.clone(), func.phases[0].cost);
    let phases = (0..in_all).map(|number| plan.phase(func, number, (&work, cost))).collect();
    func.phases = phases;
}

/// Places, and what is done at each.
struct Nest {
    /// The variable of the loop over units, and how many there are.
    unit: Option<(Value, SizeExpr)>,
    /// The loop inside whose lanes lie across places.
    lanes: Option<Lanes>,
    body: Vec<Stmt>,
}

struct Lanes {
    var: Value,
    lanes: u32,
    size: SizeExpr,
    unroll: u32,
}

impl Nest {
    /// Sizes of what tells its places apart: units, and groups of lanes.
    fn axes(&self) -> Vec<SizeExpr> {
        let units = self.unit.iter().map(|(_, units)| units.clone());
        let groups = self.lanes.iter().map(|lanes| parts(lanes.size.clone(), i64::from(lanes.lanes)));
        units.chain(groups).collect()
    }
}

fn parts(size: SizeExpr, by: i64) -> SizeExpr {
    if by == 1 { size } else { SizeExpr::CeilDiv(Box::new(size), Box::new(SizeExpr::Const(by))) }
}

fn product(sizes: impl IntoIterator<Item = SizeExpr>) -> SizeExpr {
    let sizes = sizes.into_iter().filter(|size| *size != SizeExpr::Const(1));
    sizes.reduce(|a, b| SizeExpr::Mul(Box::new(a), Box::new(b))).unwrap_or(SizeExpr::Const(1))
}

/// What is done once, and what is done for each unit; `None` if the function has another form.
fn nests(func: &Func) -> Option<Vec<Nest>> {
    let [phase] = &func.phases[..] else { return None };
    let (Stmt::For(units), once) = phase.body.split_last()? else { return None };
    if units.lo != phase.lo || units.hi != phase.hi || !units.carry.is_empty() {
        return None;
    }
    let mut nests = vec![Nest { unit: None, lanes: None, body: once.to_vec() }];
    let lanes_over =
        |node: &For, lanes: u32, size: SizeExpr| Lanes { var: node.var, lanes, size, unroll: node.unroll };
    let body = &units.body.stmts;
    nests.push(match units.kind {
        LoopKind::Lanes(lanes) => {
            let lanes = Some(lanes_over(units, lanes, phase.extent.clone()));
            Nest { unit: None, lanes, body: body.clone() }
        }
        LoopKind::Seq => {
            let unit = Some((units.var, phase.extent.clone()));
            match lanes_across(func, body) {
                Some((node, lanes, size)) => {
                    let mut inside = body[..body.len() - 1].to_vec();
                    inside.extend(node.body.stmts.iter().cloned());
                    Nest { unit, lanes: Some(lanes_over(node, lanes, size)), body: inside }
                }
                None => Nest { unit, lanes: None, body: body.clone() },
            }
        }
    });
    Some(nests)
}

/// The one lane loop that a unit consists of, if there are loops inside.
fn lanes_across<'f>(func: &Func, body: &'f [Stmt]) -> Option<(&'f For, u32, SizeExpr)> {
    let (Stmt::For(node), before) = body.split_last()? else { return None };
    let LoopKind::Lanes(lanes) = node.kind else { return None };
    let plain = before.iter().all(|stmt| matches!(stmt, Stmt::Let(_, inst) if repeatable(func, inst)));
    let loops = node.body.stmts.iter().any(|stmt| !stmt.bodies().is_empty());
    let size = whole_extent(func, before, node)?;
    (plain && loops && node.carry.is_empty()).then_some((node, lanes, size))
}

/// How far a loop goes, if it begins at 0.
fn whole_extent(func: &Func, before: &[Stmt], node: &For) -> Option<SizeExpr> {
    let inst = |wanted: Value| {
        before.iter().rev().find_map(|stmt| match stmt {
            Stmt::Let(value, inst) if *value == wanted => Some(inst),
            _ => None,
        })
    };
    match (inst(node.lo)?, inst(node.hi)?) {
        (Inst::Const(0), Inst::Size(size)) => Some(func.sizes[*size].clone()),
        (Inst::Const(0), Inst::Const(size)) => Some(SizeExpr::Const(*size as i64)),
        _ => None,
    }
}

/// Whether an instruction gives the same in every phase.
fn repeatable(func: &Func, inst: &Inst) -> bool {
    match inst {
        Inst::Load(access) | Inst::Gather(access) => match func.buffers[access.buffer].kind {
            BufferKind::Param(param) => func.in_place.iter().all(|pair| pair.0 != param),
            BufferKind::Result(_) | BufferKind::Shared | BufferKind::Scratch | BufferKind::Local => false,
        },
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
    }
}

/// A phase to be.
struct Segment {
    nest: usize,
    kind: Kind,
}

enum Kind {
    /// In order, for each place of the nest.
    Steps(Vec<Item>),
    /// The blocks of a reduction, by its number.
    Blocks(usize),
    /// Pieces of a loop: how far it goes, and how long they are.
    Pieces(Box<For>, SizeExpr, i64),
}

enum Item {
    Stmt(Stmt),
    /// The combination of a reduction's blocks.
    Combine(usize),
}

/// What becomes of the function.
struct Plan {
    nests: Vec<Nest>,
    segments: Vec<Segment>,
    reduces: Vec<Reduce>,
    /// Instructions that every phase makes for itself, with their order.
    lets: FxHashMap<Value, (usize, Inst)>,
    /// In which nest a value that others need is made, and where it is put.
    slots: FxHashMap<Value, (usize, Buffer)>,
    /// Where the states of blocks are put, by reduction.
    states: Vec<Vec<Buffer>>,
    /// Arrays that become shared.
    shared: FxHashMap<Buffer, Shared>,
}

/// What becomes of an array that was the thread's own.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Shared {
    /// It has a part for each place of this nest.
    nest: usize,
    /// Its last axis were the lanes of one vector, and are those of all places now.
    lanes: bool,
}

impl Plan {
    fn new(func: &mut Func, nests: Vec<Nest>) -> Plan {
        let mut plan = Plan {
            nests,
            segments: Vec::new(),
            reduces: Vec::new(),
            lets: FxHashMap::default(),
            slots: FxHashMap::default(),
            states: Vec::new(),
            shared: FxHashMap::default(),
        };
        for nest in 0..plan.nests.len() {
            plan.cut(func, nest);
        }
        plan.share_values(func);
        plan.share_arrays(func);
        plan
    }

    /// Cuts what is done at a place into segments.
    fn cut(&mut self, func: &mut Func, nest: usize) {
        let body = std::mem::take(&mut self.nests[nest].body);
        for (at, stmt) in body.iter().enumerate() {
            match stmt {
                Stmt::Let(value, inst) if repeatable(func, inst) => {
                    self.lets.insert(*value, (self.lets.len(), inst.clone()));
                }
                Stmt::Reduce(reduce) if reduces_apart(reduce) => {
                    let number = self.reduces.len();
                    self.reduces.push((**reduce).clone());
                    let states = self.state_buffers(func, nest, reduce);
                    self.states.push(states);
                    self.segments.push(Segment { nest, kind: Kind::Blocks(number) });
                    let kind = Kind::Steps(vec![Item::Combine(number)]);
                    self.segments.push(Segment { nest, kind });
                }
                Stmt::For(node) if runs_apart(node) && whole_extent(func, &body[..at], node).is_some() => {
                    let size = whole_extent(func, &body[..at], node).expect("just asked for");
                    let loops = node.body.stmts.iter().any(|stmt| !stmt.bodies().is_empty());
                    let piece = match node.kind {
                        LoopKind::Lanes(lanes) if loops => i64::from(lanes),
                        LoopKind::Seq if loops => 1,
                        LoopKind::Seq if self.nests[nest].lanes.is_some() => 256,
                        LoopKind::Lanes(_) | LoopKind::Seq => PIECE,
                    };
                    self.segments.push(Segment { nest, kind: Kind::Pieces(node.clone(), size, piece) });
                }
                stmt => match self.segments.last_mut() {
                    Some(Segment { nest: last, kind: Kind::Steps(items) }) if *last == nest => {
                        items.push(Item::Stmt(stmt.clone()));
                    }
                    _ => {
                        let kind = Kind::Steps(vec![Item::Stmt(stmt.clone())]);
                        self.segments.push(Segment { nest, kind });
                    }
                },
            }
        }
    }

    /// Memory for the states of blocks, one array for each entry.
    fn state_buffers(&self, func: &mut Func, nest: usize, reduce: &Reduce) -> Vec<Buffer> {
        let mut reduce = reduce.clone();
        let members = members(func, &mut reduce);
        let results = states::results(func, &members, &reduce.results);
        let blocks = blocks(func, &reduce);
        let types: Vec<Type> = results.iter().map(|&result| func.values[result]).collect();
        types.into_iter().map(|ty| self.array(func, nest, "states", ty, Some(blocks.clone()))).collect()
    }

    /// Shared memory for a value at each place of a nest, and at each of further places.
    fn array(&self, func: &mut Func, nest: usize, name: &str, ty: Type, more: Option<SizeExpr>) -> Buffer {
        let nest = &self.nests[nest];
        let mut axes = nest.axes();
        let lanes = match &nest.lanes {
            // Each lane has a place of its own.
            Some(lanes) if ty.lanes > 1 => {
                axes.pop();
                Some(lanes.size.clone())
            }
            _ => (ty.lanes > 1).then(|| SizeExpr::Const(i64::from(ty.lanes))),
        };
        axes.extend(more);
        axes.extend(lanes);
        if axes.is_empty() {
            axes.push(SizeExpr::Const(1));
        }
        let name = format!("{name}{}", func.buffers.len());
        let (kind, groups) = (BufferKind::Shared, Vec::new());
        func.buffers.push(BufferDecl { name, kind, elem: ty.elem, axes, groups })
    }

    /// The values that a segment uses and does not make, and those that it makes.
    fn uses(&self, kind: &Kind) -> (Vec<Value>, Vec<Value>) {
        let mut free = Vec::new();
        let mut made = Vec::new();
        match kind {
            Kind::Steps(items) => {
                for item in items {
                    match item {
                        Item::Stmt(stmt) => {
                            free.extend(used(std::slice::from_ref(stmt)));
                            stmt.results(&mut |value| made.push(*value));
                        }
                        Item::Combine(number) => {
                            let reduce = &self.reduces[*number];
                            made.extend(&reduce.results);
                            made.extend(reduce.folds.iter().flat_map(|fold| &fold.results));
                        }
                    }
                }
            }
            Kind::Blocks(number) => free = used_by_reduce(&self.reduces[*number]),
            Kind::Pieces(node, ..) => free = used_by_body(node),
        }
        (free, made)
    }

    /// Finds the values that one phase makes and another one needs.
    fn share_values(&mut self, func: &mut Func) {
        let uses: Vec<_> = self.segments.iter().map(|segment| self.uses(&segment.kind)).collect();
        let mut makers: FxHashMap<Value, usize> = FxHashMap::default();
        for (number, (_, made)) in uses.iter().enumerate() {
            makers.extend(made.iter().map(|&value| (value, number)));
        }
        for (number, (free, _)) in uses.iter().enumerate() {
            for value in self.needs(free.iter().copied(), |_| false) {
                let Some(&maker) = makers.get(&value).filter(|maker| **maker != number) else { continue };
                if !self.slots.contains_key(&value) {
                    let nest = self.segments[maker].nest;
                    let buffer = self.array(func, nest, "value", func.values[value], None);
                    self.slots.insert(value, (nest, buffer));
                }
            }
        }
    }

    /// Values and what they are made of, as far as it is not known: first those that no instruction here makes.
    fn needs(&self, values: impl Iterator<Item = Value>, known: impl Fn(Value) -> bool) -> Vec<Value> {
        let mut open: Vec<Value> = values.collect();
        let mut found = FxHashSet::default();
        while let Some(value) = open.pop() {
            if known(value) || !found.insert(value) {
                continue;
            }
            if let Some((_, inst)) = self.lets.get(&value) {
                inst.operands(&mut |operand| open.push(*operand));
            }
        }
        let mut found: Vec<Value> = found.into_iter().collect();
        found.sort_by_key(|value| (self.lets.get(value).map(|(order, _)| *order), *value));
        found
    }

    /// Makes the thread's own arrays shared, where several phases see them.
    fn share_arrays(&mut self, func: &mut Func) {
        let mut zeros = FxHashSet::default();
        find_zeros(&func.phases[0].body, &mut zeros);
        // By array: the first segment that sees it, whether others do, and whether its last axis are lanes everywhere.
        let mut seen: FxHashMap<Buffer, (usize, bool, bool)> = FxHashMap::default();
        for (number, segment) in self.segments.iter().enumerate() {
            let mut see = |access: &Access| {
                let decl = &func.buffers[access.buffer];
                if decl.kind != BufferKind::Scratch {
                    return;
                }
                let last = decl.axes.len() as u32 - 1;
                let lanes = self.nests[segment.nest].lanes.as_ref().is_some_and(|lanes| {
                    decl.axes[last as usize] == SizeExpr::Const(i64::from(lanes.lanes))
                        && access.lane_axis == Some(last)
                        && zeros.contains(&access.index[last as usize])
                });
                let known = seen.entry(access.buffer).or_insert((number, false, true));
                known.1 |= known.0 != number;
                known.2 &= lanes;
            };
            match &segment.kind {
                Kind::Steps(items) => items.iter().for_each(|item| {
                    if let Item::Stmt(stmt) = item {
                        accesses(std::slice::from_ref(stmt), &mut see);
                    }
                }),
                Kind::Blocks(number) => accesses(&self.reduces[*number].body, &mut see),
                Kind::Pieces(node, ..) => accesses(&node.body.stmts, &mut see),
            }
        }
        for (buffer, (first, several, lanes)) in seen {
            if !several {
                continue;
            }
            let nest = self.segments[first].nest;
            self.shared.insert(buffer, Shared { nest, lanes });
            let (decl, mut axes) = (&mut func.buffers[buffer], self.nests[nest].axes());
            decl.kind = BufferKind::Shared;
            if let Some(size) = self.nests[nest].lanes.as_ref().filter(|_| lanes).map(|over| &over.size) {
                axes.pop();
                *decl.axes.last_mut().expect("it has an axis of lanes") = size.clone();
            }
            decl.axes.splice(0..0, axes);
        }
    }

    // ---- phases ----

    /// The phase of a segment.
    fn phase(&self, func: &mut Func, number: usize, (all_work, cost): (&SizeExpr, i64)) -> Phase {
        let segment = &self.segments[number];
        let nest = &self.nests[segment.nest];
        let (more, work) = match &segment.kind {
            Kind::Steps(items) => {
                let loops = |item: &Item| matches!(item, Item::Stmt(stmt) if !stmt.bodies().is_empty());
                (None, if items.iter().any(loops) { all_work.clone() } else { SizeExpr::Const(64) })
            }
            Kind::Blocks(number) => (Some(blocks(func, &self.reduces[*number])), SizeExpr::Const(BLOCK_WORK)),
            Kind::Pieces(_, size, piece) => {
                let work = if *piece == PIECE { SizeExpr::Const(PIECE) } else { all_work.clone() };
                (Some(parts(size.clone(), *piece)), work)
            }
        };
        let mut axes = nest.axes();
        axes.extend(more.clone());
        let (lo, hi) = (func.value(Type::INDEX), func.value(Type::INDEX));
        let mut builder = Builder::new(func);
        builder.seq(lo, hi, &[], |b, place, _| {
            let mut numbers = decode(b, place, &axes);
            let part = more.is_some().then(|| numbers.pop().expect("the last number is the part's"));
            let mut at = At { numbers, lane: None, names: SecondaryMap::new(), nest: segment.nest };
            if let Some((var, _)) = nest.unit {
                at.names[var] = Some(at.numbers[0]);
            }
            match &nest.lanes {
                None => self.fill(b, segment, part, &mut at),
                Some(lanes) => {
                    let group = *at.numbers.last().expect("groups of lanes have numbers");
                    let (lo, hi) = range(b, group, i64::from(lanes.lanes), &lanes.size);
                    let kind = LoopKind::Lanes(lanes.lanes);
                    b.counted(lo, hi, i64::from(lanes.lanes), kind, &[], |b, var, _| {
                        at.names[lanes.var] = Some(var);
                        at.lane = Some(var);
                        self.fill(b, segment, part, &mut at);
                        Vec::new()
                    });
                    if let Some(Stmt::For(made)) = b.stmts.last_mut() {
                        made.unroll = lanes.unroll;
                    }
                }
            }
            Vec::new()
        });
        let body = builder.stmts;
        Phase { lo, hi, extent: product(axes), grain: 1, work, cost, body }
    }

    /// What a phase does at a place.
    fn fill(&self, b: &mut Builder<'_>, segment: &Segment, part: Option<Value>, at: &mut At) {
        match (&segment.kind, part) {
            (Kind::Steps(items), _) => {
                for item in items {
                    match item {
                        Item::Stmt(stmt) => self.copy(b, at, stmt.clone(), used(std::slice::from_ref(stmt))),
                        Item::Combine(number) => self.combine(b, at, *number),
                    }
                }
                let (_, made) = self.uses(&segment.kind);
                for value in made {
                    if let Some(&(_, buffer)) = self.slots.get(&value) {
                        let value = at.names[value].expect("the segment has made it");
                        let access = at.access(b, buffer, None, b.func.values[value].lanes);
                        b.stmts.push(Stmt::Store(access, value));
                    }
                }
            }
            (Kind::Blocks(number), Some(block)) => self.block(b, at, *number, block),
            (Kind::Pieces(node, size, piece), Some(part)) => {
                let (lo, hi) = range(b, part, *piece, size);
                let free = used_by_body(node);
                self.copy(b, at, Stmt::For(Box::new(For { lo, hi, ..(**node).clone() })), free);
            }
            (Kind::Blocks(_) | Kind::Pieces(..), None) => unreachable!("it has parts"),
        }
    }

    /// A statement, and before it what it needs of the function's values.
    fn copy(&self, b: &mut Builder<'_>, at: &mut At, stmt: Stmt, needed: Vec<Value>) {
        self.fetch(b, at, needed);
        let mut copied = b.func.copy(&[stmt], &mut at.names);
        self.place_arrays(&mut copied, at);
        b.stmts.extend(copied);
    }

    /// Defines values that are made elsewhere.
    fn fetch(&self, b: &mut Builder<'_>, at: &mut At, values: Vec<Value>) {
        for value in self.needs(values.into_iter(), |value| at.names[value].is_some()) {
            let ty = b.func.values[value];
            let inst = match (self.lets.get(&value), self.slots.get(&value)) {
                (Some((_, inst)), _) => {
                    let mut inst = inst.clone();
                    inst.operands_mut(&mut |operand| *operand = at.names[*operand].unwrap_or(*operand));
                    inst
                }
                (None, Some(&(nest, buffer))) => {
                    let access = match nest == at.nest {
                        true => at.access(b, buffer, None, ty.lanes),
                        // What is made once is there once.
                        false => At::nowhere().access(b, buffer, None, ty.lanes),
                    };
                    Inst::Load(access)
                }
                (None, None) => unreachable!("{value} is made nowhere:\n{}", b.func),
            };
            at.names[value] = Some(b.push(ty, inst));
        }
    }

    /// One block of a reduction.
    fn block(&self, b: &mut Builder<'_>, at: &mut At, number: usize, block: Value) {
        let reduce = &self.reduces[number];
        self.fetch(b, at, used_by_reduce(reduce));
        let mut copied = b.func.copy(&[Stmt::Reduce(Box::new(reduce.clone()))], &mut at.names);
        self.place_arrays(&mut copied, at);
        let Some(Stmt::Reduce(mut reduce)) = copied.pop() else { unreachable!("a copy of a reduction") };
        let members = members(b.func, &mut reduce);
        let results = states::results(b.func, &members, &reduce.results);
        let types = Types::new(b.func, &members, &results, reduce.order);
        let walk = Walk::new(b, &reduce);
        let lane_start = constants(b, &types.lanes, &types.first);
        let states = block_value(b, &mut reduce, &members, &walk, block, &lane_start);
        for (&buffer, &state) in self.states[number].iter().zip(&states) {
            let access = at.access(b, buffer, Some(block), b.func.values[state].lanes);
            b.stmts.push(Stmt::Store(access, state));
        }
    }

    /// All blocks of a reduction combined.
    fn combine(&self, b: &mut Builder<'_>, at: &mut At, number: usize) {
        let mut reduce = self.reduces[number].clone();
        let blocks = blocks(b.func, &reduce);
        let blocks = number_of(b, &blocks);
        let members = members(b.func, &mut reduce);
        let results = states::results(b.func, &members, &reduce.results);
        let types = Types::new(b.func, &members, &results, reduce.order);
        let stacks: Vec<Buffer> = types.block.iter().map(|&ty| stack(b.func, ty)).collect();
        let tree = Tree::new(b, &members, &stacks, &types, blocks);
        let all = tree.run(b, |b, block| {
            let arrays = self.states[number].iter().zip(&types.block);
            let load = |(&buffer, &ty): (&Buffer, &Type)| {
                let access = at.access(b, buffer, Some(block), ty.lanes);
                b.push(ty, Inst::Load(access))
            };
            arrays.map(load).collect()
        });
        for (old, new) in results.into_iter().zip(all) {
            at.names[old] = Some(new);
        }
    }

    /// Arrays that were the thread's own have a part for each place.
    fn place_arrays(&self, stmts: &mut [Stmt], at: &At) {
        if self.shared.is_empty() {
            return;
        }
        accesses_mut(stmts, &mut |access| {
            let Some(shared) = self.shared.get(&access.buffer).filter(|shared| shared.nest == at.nest) else {
                return;
            };
            let numbers = at.numbers_for(shared.lanes);
            if let Some(lane) = at.lane.filter(|_| shared.lanes) {
                *access.index.last_mut().expect("it has an axis of lanes") = lane;
            }
            access.index.splice(0..0, numbers.iter().copied());
            access.lane_axis = access.lane_axis.map(|axis| axis + numbers.len() as u32);
        });
    }
}

/// Where a phase is.
struct At {
    /// The unit and the group of lanes.
    numbers: Vec<Value>,
    /// The variable of the loop whose lanes lie across places.
    lane: Option<Value>,
    /// What stands for the function's own values.
    names: SecondaryMap<Value, Option<Value>>,
    nest: usize,
}

impl At {
    fn nowhere() -> At {
        At { numbers: Vec::new(), lane: None, names: SecondaryMap::new(), nest: 0 }
    }

    /// What tells places apart; `lanes`: those of one group by their lanes.
    fn numbers_for(&self, lanes: bool) -> &[Value] {
        let groups = usize::from(lanes && self.lane.is_some());
        &self.numbers[..self.numbers.len() - groups]
    }

    /// The place's own part of an array that [`Plan::array`] made.
    fn access(&self, b: &mut Builder<'_>, buffer: Buffer, more: Option<Value>, lanes: u32) -> Access {
        let numbers = self.numbers_for(lanes > 1);
        let mut index: Vec<Value> = numbers.iter().copied().chain(more).collect();
        match self.lane {
            Some(lane) if lanes > 1 => index.push(lane),
            _ if lanes > 1 || index.is_empty() => index.push(b.index(0)),
            _ => {}
        }
        let lane_axis = (lanes > 1).then(|| index.len() as u32 - 1);
        Access { buffer, index, lane_axis, active: None }
    }
}

/// How many blocks a reduction has.
fn blocks(func: &Func, reduce: &Reduce) -> SizeExpr {
    let run = parts(func.sizes[reduce.inner.1].clone(), step(reduce.order));
    let outer = reduce.outer.iter().map(|(_, size)| func.sizes[*size].clone());
    parts(product(std::iter::once(run).chain(outer)), BLOCK_STEPS)
}

fn number_of(b: &mut Builder<'_>, size: &SizeExpr) -> Value {
    if let SizeExpr::Const(size) = size {
        return b.index(*size);
    }
    let size = b.func.size(size);
    b.push(Type::INDEX, Inst::Size(size))
}

/// The numbers of a place along several axes.
fn decode(b: &mut Builder<'_>, place: Value, axes: &[SizeExpr]) -> Vec<Value> {
    let mut numbers = Vec::with_capacity(axes.len());
    let mut rest = place;
    for (at, axis) in axes.iter().enumerate().rev() {
        if at == 0 {
            numbers.push(rest);
        } else {
            let size = number_of(b, axis);
            numbers.push(b.on_index(Prim::IRem, rest, size));
            rest = b.on_index(Prim::IDiv, rest, size);
        }
    }
    numbers.reverse();
    numbers
}

/// Where a part begins and ends.
fn range(b: &mut Builder<'_>, part: Value, length: i64, size: &SizeExpr) -> (Value, Value) {
    let lo = b.with_const(Prim::Mul, part, length);
    let end = b.with_const(Prim::Add, lo, length);
    let size = number_of(b, size);
    (lo, b.on_index(Prim::SelMin, end, size))
}
