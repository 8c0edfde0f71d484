//! From the graph and its regions to the loop IR: the only stage that sees both.
//!
//! Needs a verified graph, the [`Regions`] that `fuse` made of it, and their [`Schedule`]. What it leaves is exact in order and
//! rounding; of the schedule it only notes, at the loops, how many vectors an iteration takes. Reductions are [`Reduce`] statements, elementary functions are single instructions; the
//! loop passes write both out.

mod folds;
mod gather;
mod scan;
mod storage;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::graph::regions::{Group, Place, Region, RegionKind, Regions, Step};
use crate::graph::{FoldId, Form, Graph, NodeId, Op, RepeatId};
use crate::graph_passes::fuse::{Leaf, Part, leaf, result_parts};
use crate::loops::{
    Access, Block, Buffer, BufferDecl, BufferKind, Elem, Fold, For, Func, Inst, Lift, LoopKind, Order, Phase,
    Reduce, Scalar, ScalarDecl, Stmt, Type, Value,
};
use crate::ops::{Prim, Reduction};
use crate::schedule::Schedule;
use crate::types::{DType, DimId, SizeExpr};
use storage::constant_bits;

mod repeat;

/// Lanes of a lane loop that carries nothing; the layout passes choose how many really run at a time.
pub const MAP_LANES: u32 = 32;

/// Virtual lanes of a reduction in row form over 32-bit elements; half of it over 64-bit ones.
const LANES: u32 = Reduction::Sum.lanes();

/// Ranges of a phase whose units are lanes begin at multiples of this many elements.
const LANE_GRAIN: i64 = 256;

/// Lowers one kernel.
pub fn lower(graph: &Graph, regions: &Regions, schedule: &Schedule) -> Func {
    let mut lower = Lower {
        graph,
        regions,
        schedule,
        next_region: 0,
        unroll: schedule.parallel.map_or(1, |plan| plan.unroll),
        parts: result_parts(graph),
        func: Func { name: graph.name.clone(), in_place: regions.in_place.clone(), ..Func::default() },
        buffers: FxHashMap::default(),
        folds: FxHashMap::default(),
        scalars: FxHashMap::default(),
        across: repeat::read_across(graph),
        numbers: FxHashMap::default(),
        kept: FxHashMap::default(),
        scope: Scope { positions: vec![None; regions.groups.len()], ..Scope::default() },
        stmts: Vec::new(),
    };
    lower.phase();
    lower.func
}

/// The element type of a dtype, in memory. Values have its [`Elem::loaded`].
pub fn elem(dtype: DType) -> Elem {
    match dtype {
        DType::F32 => Elem::F32,
        DType::F64 => Elem::F64,
        DType::F16 => Elem::F16,
        DType::BF16 => Elem::BF16,
        DType::I32 => Elem::I32,
        DType::I8 => Elem::I8,
        DType::U8 => Elem::U8,
        DType::Bool => Elem::Bool,
    }
}

/// What is known at the place that is being lowered.
#[derive(Clone, Default)]
struct Scope {
    /// The loop variable of each group.
    positions: Vec<Option<Value>>,
    /// Several groups walked as one line: they and the loop variable.
    line: Option<(Vec<Group>, Value)>,
    /// The groups along which lanes lie (one, or a line), and how many there are.
    lanes: Option<(Vec<Group>, u32)>,
    /// Values of nodes.
    values: FxHashMap<NodeId, Value>,
    /// One-lane values as lanes.
    splats: FxHashMap<Value, Value>,
}

/// An array as the buffers know it.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Source {
    Param(u32),
    Result(u32),
    Scratch(NodeId),
    Packed(NodeId),
}

/// One axis of a buffer.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Axis {
    Groups(Vec<Group>),
    Unrolled(DimId),
}

struct Lower<'g> {
    graph: &'g Graph,
    regions: &'g Regions,
    schedule: &'g Schedule,
    /// How many regions are lowered.
    next_region: usize,
    /// Vectors in one iteration of the next lane loop.
    unroll: u32,
    parts: Vec<Vec<Part>>,
    func: Func,
    buffers: FxHashMap<(Source, Vec<Axis>), Buffer>,
    folds: FxHashMap<FoldId, Fold>,
    scalars: FxHashMap<u32, Scalar>,
    /// Carried values that are read along other names: no line of several groups.
    across: FxHashSet<NodeId>,
    /// The numbers of the steps of loops.
    numbers: FxHashMap<RepeatId, Value>,
    /// Where kept values are.
    kept: FxHashMap<NodeId, Place>,
    scope: Scope,
    stmts: Vec<Stmt>,
}

impl Lower<'_> {
    // ---- sizes and positions ----

    fn group_size(&self, group: Group) -> SizeExpr {
        SizeExpr::product(self.regions.groups[group].iter().map(|dim| dim.as_u32()))
    }

    fn size_of(&self, groups: &[Group]) -> SizeExpr {
        SizeExpr::product(
            groups.iter().flat_map(|&group| &self.regions.groups[group]).map(|dim| dim.as_u32()),
        )
    }

    fn size(&mut self, expr: &SizeExpr) -> Value {
        if let SizeExpr::Const(value) = expr {
            return self.index(*value);
        }
        let size = self.func.size(expr);
        self.push(Type::INDEX, Inst::Size(size))
    }

    fn index(&mut self, value: i64) -> Value {
        self.push(Type::INDEX, Inst::Const(value as u64))
    }

    fn push(&mut self, ty: Type, inst: Inst) -> Value {
        let value = self.func.value(ty);
        self.stmts.push(Stmt::Let(value, inst));
        value
    }

    fn prim(&mut self, ty: Type, prim: Prim, args: &[Value]) -> Value {
        self.push(ty, Inst::Prim(prim, args.to_vec()))
    }

    // ---- structure ----

    fn phase(&mut self) {
        let (lo, hi) = (self.func.value(Type::INDEX), self.func.value(Type::INDEX));
        let regions = self.regions;
        self.steps(&regions.prologue);
        self.unroll = self.schedule.parallel.map_or(1, |plan| plan.unroll);
        let (units, lane) = match regions.parallel.split_last() {
            Some((&last, rest)) if regions.lanes => (rest.to_vec(), Some(last)),
            _ => (regions.parallel.clone(), None),
        };
        let (extent, grain) = match lane {
            Some(last) if units.is_empty() => {
                self.lane_loop(vec![last], MAP_LANES, lo, hi, |lower| lower.steps(&regions.body));
                (self.group_size(last), LANE_GRAIN)
            }
            _ => {
                self.seq_loop(lo, hi, |lower, unit| {
                    lower.decode(unit, &units);
                    match lane {
                        None => lower.steps(&regions.body),
                        Some(last) => {
                            let (zero, end) = (lower.index(0), lower.group_size(last));
                            let end = lower.size(&end);
                            lower.lane_loop(vec![last], MAP_LANES, zero, end, |lower| {
                                lower.steps(&regions.body)
                            });
                        }
                    }
                });
                (self.size_of(&units), 1)
            }
        };
        let across = if units.is_empty() { lane } else { None };
        let shared = |group: &Group| units.contains(group) || across == Some(*group);
        let inside: Vec<Group> = (0..regions.groups.len()).filter(|group| !shared(group)).collect();
        let work = self.size_of(&inside);
        let body = std::mem::take(&mut self.stmts);
        let cost = i64::from(self.schedule.cost.max(1));
        self.func.phases.push(Phase { lo, hi, extent, grain, work, cost, body });
    }

    /// The positions of groups from the number of a place among all of theirs.
    fn decode(&mut self, unit: Value, groups: &[Group]) {
        let mut rest = unit;
        for (at, &group) in groups.iter().enumerate().rev() {
            if at == 0 {
                self.scope.positions[group] = Some(rest);
            } else {
                let size = self.group_size(group);
                let size = self.size(&size);
                self.scope.positions[group] = Some(self.prim(Type::INDEX, Prim::IRem, &[rest, size]));
                rest = self.prim(Type::INDEX, Prim::IDiv, &[rest, size]);
            }
        }
    }

    /// Runs `body` in a scope of its own and returns the statements it makes.
    fn nested(&mut self, body: impl FnOnce(&mut Self)) -> Vec<Stmt> {
        let outside = (self.scope.clone(), std::mem::take(&mut self.stmts));
        body(self);
        self.scope = outside.0;
        std::mem::replace(&mut self.stmts, outside.1)
    }

    fn seq_loop(&mut self, lo: Value, hi: Value, body: impl FnOnce(&mut Self, Value)) {
        let var = self.func.value(Type::INDEX);
        let stmts = self.nested(|lower| body(lower, var));
        let body = Block { stmts, yields: Vec::new() };
        let carry = Vec::new();
        self.stmts.push(Stmt::For(Box::new(For {
            var,
            lo,
            hi,
            step: 1,
            kind: LoopKind::Seq,
            unroll: 1,
            carry,
            body,
        })));
    }

    fn lane_loop(
        &mut self,
        groups: Vec<Group>,
        lanes: u32,
        lo: Value,
        hi: Value,
        body: impl FnOnce(&mut Self),
    ) {
        let var = self.func.value(Type::INDEX);
        let stmts = self.nested(|lower| {
            lower.enter_lanes(groups, lanes, var);
            body(lower);
        });
        let body = Block { stmts, yields: Vec::new() };
        let (kind, carry) = (LoopKind::Lanes(lanes), Vec::new());
        self.stmts.push(Stmt::For(Box::new(For {
            var,
            lo,
            hi,
            step: i64::from(lanes),
            kind,
            unroll: self.unroll,
            carry,
            body,
        })));
    }

    fn enter_lanes(&mut self, groups: Vec<Group>, lanes: u32, var: Value) {
        match groups[..] {
            [group] => self.scope.positions[group] = Some(var),
            _ => self.scope.line = Some((groups.clone(), var)),
        }
        self.scope.lanes = Some((groups, lanes));
        // What was splat before has other lanes, or none.
        self.scope.splats.clear();
    }

    /// Loops over groups one inside the other; the last one with lanes if asked.
    fn loops(&mut self, groups: &[Group], lanes: bool, body: &mut dyn FnMut(&mut Self)) {
        let Some((&group, rest)) = groups.split_first() else { return body(self) };
        let size = self.group_size(group);
        let (lo, hi) = (self.index(0), self.size(&size));
        if rest.is_empty() && lanes {
            self.lane_loop(vec![group], MAP_LANES, lo, hi, |lower| body(lower));
        } else {
            self.seq_loop(lo, hi, |lower, var| {
                lower.scope.positions[group] = Some(var);
                lower.loops(rest, lanes, body);
            });
        }
    }

    fn steps(&mut self, steps: &[Step]) {
        for step in steps {
            match step {
                Step::Values(nodes) => self.compute(nodes),
                Step::Region(region) => self.region(region),
                Step::Repeat(repeat) => self.repeat(repeat),
            }
        }
    }

    fn region(&mut self, region: &Region) {
        let outside = self.scope.lanes.is_some();
        self.unroll = self.schedule.regions[self.next_region].unroll;
        self.next_region += 1;
        let packed = |&(node, group)| (node, self.kept.insert(node, Place::Packed(group)));
        let elsewhere: Vec<(NodeId, Option<Place>)> = region.packed.iter().map(packed).collect();
        match &region.kind {
            RegionKind::Map => self.loops(&region.kept, !outside, &mut |lower| {
                lower.compute(&region.nodes);
                lower.store_keeps(region);
            }),
            RegionKind::Scan { form, along, node } => self.scan_region(region, *form, *along, *node),
            RegionKind::Reduce { form, outer, inner, reduces } => {
                let lanes = *form == Form::Column && !outside;
                // Without kept groups its results are values of the place.
                self.loops(&region.kept, lanes, &mut |lower| {
                    lower.reduce(region, *form, outer, inner, reduces)
                });
            }
        }
        for (node, place) in elsewhere {
            self.kept.remove(&node);
            self.kept.extend(place.map(|place| (node, place)));
        }
        for &(node, place) in &region.keeps {
            // A parameter is read where it is, also after it was stored as a result.
            let read_there = |i: usize| self.parts[i].len() == 1 && leaf(self.graph, node).is_none();
            match place {
                Place::Packed(_) | Place::State(_) => {}
                Place::Result(i) if !read_there(i) => {}
                Place::Result(_) | Place::Borrow(_) | Place::Scratch => {
                    self.kept.insert(node, place);
                }
            }
        }
    }

    fn reduce(&mut self, region: &Region, form: Form, outer: &[Group], inner: &[Group], reduces: &[NodeId]) {
        let sizes: Vec<SizeExpr> = outer.iter().map(|&group| self.group_size(group)).collect();
        let sizes: Vec<_> = sizes.iter().map(|size| self.func.size(size)).collect();
        let outer_vars: Vec<Value> = outer.iter().map(|_| self.func.value(Type::INDEX)).collect();
        let inner_size = self.size_of(inner);
        let inner_size = self.func.size(&inner_size);
        let inner_var = self.func.value(Type::INDEX);
        let wide = |node: &NodeId| match &self.graph.nodes[*node].op {
            Op::Fold { fold, .. } => self.graph.folds[*fold].is_wide(),
            op => op.args().iter().any(|&arg| self.graph.nodes[arg].dtype == DType::F64),
        };
        let order = match form {
            Form::Row if reduces.iter().any(wide) => Order::Row(LANES / 2),
            Form::Row => Order::Row(LANES),
            Form::Column => Order::Column,
        };
        let folds = self.folds_among(reduces);
        let plain: Vec<NodeId> = reduces.iter().copied().filter(|&node| self.is_plain(node)).collect();
        let (mut lifts, mut uses) = (Vec::new(), Vec::new());
        let body = self.nested(|lower| {
            for (&group, &var) in outer.iter().zip(&outer_vars) {
                lower.scope.positions[group] = Some(var);
            }
            match order {
                Order::Row(lanes) => lower.enter_lanes(inner.to_vec(), lanes, inner_var),
                Order::Column => lower.scope.positions[inner[0]] = Some(inner_var),
            }
            lower.compute(&region.nodes);
            for &reduce in &plain {
                let args = lower.graph.nodes[reduce].op.args().to_vec();
                let lanes = match order {
                    Order::Row(lanes) => lanes,
                    Order::Column => lower.lanes_of(reduce),
                };
                let args: Vec<Value> = args.iter().map(|&arg| lower.operand(arg, lanes)).collect();
                lifts.push(match args[..] {
                    [value] => Lift::Value(value),
                    [a, b] => Lift::Product(a, b),
                    _ => unreachable!("a reduction has one or two operands"),
                });
            }
            for fold in &folds {
                let lanes = match order {
                    Order::Row(lanes) => lanes,
                    Order::Column => lower.fold_lanes(fold),
                };
                uses.push(lower.fold_operands(fold, lanes));
            }
            lower.store_keeps_of(region, |node| !reduces.contains(&node));
        });
        let states = plain.iter().map(|&reduce| self.reduction(reduce)).collect();
        let results: Vec<Value> = plain
            .iter()
            .map(|&reduce| {
                let ty = Type::scalar(elem(self.graph.nodes[reduce].dtype));
                let lanes = if form == Form::Row { 1 } else { self.lanes_of(reduce) };
                self.func.value(ty.with_lanes(lanes))
            })
            .collect();
        self.scope.values.extend(plain.iter().copied().zip(results.iter().copied()));
        for (used, fold) in uses.iter_mut().zip(&folds) {
            let lanes = if form == Form::Row { 1 } else { self.fold_lanes(fold) };
            used.results = self.fold_results(fold, lanes);
        }
        let outer = outer_vars.into_iter().zip(sizes).collect();
        let inner = (inner_var, inner_size);
        let folds = uses;
        let reduce = Reduce { order, outer, inner, states, body, lifts, results, folds };
        self.stmts.push(Stmt::Reduce(Box::new(reduce)));
        self.store_keeps_of(region, |node| reduces.contains(&node));
    }

    /// Whether a reduction has one number as its state.
    fn is_plain(&self, node: NodeId) -> bool {
        !matches!(self.graph.nodes[node].op, Op::Fold { .. })
    }

    fn reduction(&self, node: NodeId) -> Reduction {
        match &self.graph.nodes[node].op {
            Op::Reduce { reduction, .. } => *reduction,
            op => unreachable!("{node} is {op:?}, not a reduction"),
        }
    }

    // ---- values ----

    /// How many lanes a node's value has here.
    fn lanes_of(&self, node: NodeId) -> u32 {
        match &self.scope.lanes {
            Some((groups, lanes)) => {
                let varies = groups
                    .iter()
                    .any(|&group| self.graph.nodes[node].dims.contains(self.regions.groups[group][0]));
                if varies { *lanes } else { 1 }
            }
            None => 1,
        }
    }

    fn compute(&mut self, nodes: &[NodeId]) {
        for &node in nodes {
            if !self.scope.values.contains_key(&node) {
                let value = self.node(node);
                self.scope.values.insert(node, value);
            }
        }
    }

    /// The value of a node with so many lanes.
    fn operand(&mut self, node: NodeId, lanes: u32) -> Value {
        let value = self.value(node);
        let ty = self.func.values[value];
        if ty.lanes == lanes {
            return value;
        }
        assert_eq!(ty.lanes, 1, "{node} has lanes where {lanes} are wanted");
        if let Some(&splat) = self.scope.splats.get(&value) {
            return splat;
        }
        let splat = self.push(ty.with_lanes(lanes), Inst::Splat(value));
        self.scope.splats.insert(value, splat);
        splat
    }

    fn value(&mut self, node: NodeId) -> Value {
        if let Some(&value) = self.scope.values.get(&node) {
            return value;
        }
        let value = if let Some(place) = self.kept.get(&node).copied() {
            self.load_kept(node, place)
        } else if let Some(leaf) = leaf(self.graph, node) {
            self.load_param(node, &leaf)
        } else {
            self.node(node)
        };
        self.scope.values.insert(node, value);
        value
    }

    fn node(&mut self, node: NodeId) -> Value {
        let graph = self.graph;
        let data = &graph.nodes[node];
        let lanes = self.lanes_of(node);
        let ty = Type { elem: elem(data.dtype).loaded(), lanes };
        match &data.op {
            Op::Const(constant) => self.push(ty, Inst::Const(constant_bits(*constant))),
            Op::Index(dim) => self.position(*dim, ty),
            Op::Size(dims) => {
                let size = self.size(&SizeExpr::product(dims.iter().map(|dim| dim.as_u32())));
                self.push(ty, Inst::Convert(size))
            }
            Op::Prim(prim, args) => {
                let args: Vec<Value> = args.iter().map(|&arg| self.operand(arg, lanes)).collect();
                self.function(ty, *prim, args)
            }
            Op::Convert(value) => match graph.nodes[*value].op {
                // Straight into the float: exact where the vector of i32 would be, and of the float's own width.
                Op::Index(dim) if data.dtype == DType::F64 => self.position(dim, ty),
                _ => {
                    let from = graph.nodes[*value].dtype;
                    let value = self.operand(*value, lanes);
                    storage::convert(self, value, from, data.dtype)
                }
            },
            Op::Broadcast(value) => self.operand(*value, lanes),
            Op::Rename { value, names } if self.kept.contains_key(value) => {
                self.load_state(*value, names, ty)
            }
            Op::Param(_) | Op::Slice { .. } | Op::Rename { .. } => {
                let leaf = leaf(graph, node).expect("after `unroll` only parameters are sliced");
                self.load_param(node, &leaf)
            }
            Op::Gather { dims, args } => self.gather(node, dims, args),
            Op::Step(repeat) => {
                let number = self.numbers[repeat];
                self.push(ty, Inst::Convert(number))
            }
            Op::Reduce { .. }
            | Op::Fold { .. }
            | Op::Scan { .. }
            | Op::KthLargest { .. }
            | Op::Stack { .. }
            | Op::Carry { .. }
            | Op::Final { .. } => {
                panic!("{node} is not computed where it is needed:\n{graph:?}")
            }
        }
    }

    /// A function of values.
    fn function(&mut self, ty: Type, prim: Prim, args: Vec<Value>) -> Value {
        let value = self.push(ty, Inst::Prim(prim, args.clone()));
        if prim != Prim::CopySign {
            return value;
        }
        // The sign of a NaN must not show: it differs from machine to machine.
        let is_nan = self.prim(ty.with_elem(Elem::Bool), Prim::Ne, &[args[1], args[1]]);
        self.prim(ty, Prim::Select, &[is_nan, args[1], value])
    }

    /// The position along a dimension.
    fn position(&mut self, dim: DimId, ty: Type) -> Value {
        let group = self.regions.group_of(dim).expect("the dimension is looped over");
        let position = self.scope.positions[group].expect("inside the loop over the dimension");
        if ty.lanes > 1 {
            return self.push(ty, Inst::Iota(position));
        }
        self.push(ty, Inst::Convert(position))
    }

    // ---- memory ----

    fn load_param(&mut self, node: NodeId, leaf: &Leaf) -> Value {
        let param = leaf.param;
        let decl = &self.graph.params[param as usize];
        let ty = Type::scalar(elem(decl.dtype).loaded());
        if decl.axes.is_none() {
            let next = ScalarDecl { param, elem: elem(decl.dtype) };
            let scalar = match self.scalars.get(&param) {
                Some(&scalar) => scalar,
                None => self.func.scalars.push(next),
            };
            self.scalars.insert(param, scalar);
            return self.push(ty, Inst::Scalar(scalar));
        }
        let ty = ty.with_lanes(self.lanes_of(node));
        // The loops are those over the names; the buffer has the parameter's own dimensions.
        let axes = self.param_axes(decl.dim_list().map(|dim| leaf.along(dim)).collect());
        let own = axes.iter().map(|axis| self.own_axis(axis, leaf)).collect();
        let buffer = self.buffer(&Source::Param(param), own);
        let access = self.access(buffer, axes, &leaf.at, ty.lanes);
        self.push(ty, Inst::Load(access))
    }

    /// An axis that is read along other names, as the parameter has it. No renamed dimension shares its group.
    fn own_axis(&self, axis: &Axis, leaf: &Leaf) -> Axis {
        let own = |dim: DimId| leaf.names.iter().find(|(_, to)| *to == dim).map_or(dim, |(from, _)| *from);
        match axis {
            Axis::Unrolled(dim) => match self.regions.group_of(own(*dim)) {
                Some(group) => Axis::Groups(vec![group]),
                None => Axis::Unrolled(own(*dim)),
            },
            Axis::Groups(groups) => {
                let group = |&group: &Group| {
                    let dim = own(self.regions.groups[group][0]);
                    self.regions.group_of(dim).expect("a parameter's dimension is looped over")
                };
                Axis::Groups(groups.iter().map(group).collect())
            }
        }
    }

    fn load_kept(&mut self, node: NodeId, place: Place) -> Value {
        let ty = Type { elem: elem(self.graph.nodes[node].dtype).loaded(), lanes: self.lanes_of(node) };
        let access = self.place(node, place, &[], ty.lanes);
        self.push(ty, Inst::Load(access))
    }

    fn store_keeps(&mut self, region: &Region) {
        self.store_keeps_of(region, |_| true);
    }

    /// Stores what a region keeps. All values are there before the first store: in place, a result may take the place of a
    /// parameter that another one is.
    fn store_keeps_of(&mut self, region: &Region, wanted: impl Fn(NodeId) -> bool) {
        let keeps: Vec<(NodeId, Place)> =
            region.keeps.iter().filter(|keep| wanted(keep.0)).copied().collect();
        let values: Vec<Value> =
            keeps.iter().map(|&(node, _)| self.operand(node, self.lanes_of(node))).collect();
        for ((node, place), value) in keeps.into_iter().zip(values) {
            let lanes = self.lanes_of(node);
            let positions: Vec<Vec<(DimId, u32)>> = match place {
                Place::Result(result) => self.parts[result]
                    .iter()
                    .filter(|part| part.1 == node)
                    .map(|part| part.0.clone())
                    .collect(),
                Place::Borrow(_) | Place::Scratch | Place::Packed(_) | Place::State(_) => vec![Vec::new()],
            };
            for at in positions {
                let access = self.place(node, place, &at, lanes);
                self.stmts.push(Stmt::Store(access, value));
            }
        }
    }

    fn place(&mut self, node: NodeId, place: Place, at: &[(DimId, u32)], lanes: u32) -> Access {
        match place {
            Place::Result(result) | Place::Borrow(result) => {
                let dims = self.graph.results[result].0.dim_list();
                let axes = self.written_axes(self.group_axes(dims.collect()));
                let buffer = self.buffer(&Source::Result(result as u32), axes.clone());
                self.access(buffer, axes, at, lanes)
            }
            Place::Scratch | Place::State(_) => {
                let node = if let Place::State(carry) = place { carry } else { node };
                let axes = self.own_scratch_axes(node);
                let buffer = self.buffer(&Source::Scratch(node), axes.clone());
                self.access(buffer, axes, at, lanes)
            }
            Place::Packed(last) => {
                let mut groups = self.regions.groups_of(self.graph.nodes[node].dims);
                groups.retain(|&group| group != last);
                groups.push(last);
                let axes: Vec<Axis> = groups.into_iter().map(|group| Axis::Groups(vec![group])).collect();
                let buffer = self.buffer(&Source::Packed(node), axes.clone());
                self.access(buffer, axes, at, lanes)
            }
        }
    }

    /// The axes of a value's scratch array.
    fn own_scratch_axes(&self, node: NodeId) -> Vec<Axis> {
        let mut groups = self.regions.groups_of(self.graph.nodes[node].dims);
        groups.retain(|group| !self.regions.parallel.contains(group));
        let laned = self
            .lane_group()
            .is_some_and(|group| self.graph.nodes[node].dims.contains(self.regions.groups[group][0]));
        if self.across.contains(&node) {
            let lanes = laned.then(|| Axis::Groups(Vec::new()));
            return groups.into_iter().map(|group| Axis::Groups(vec![group])).chain(lanes).collect();
        }
        self.scratch_axes(&groups, laned)
    }

    /// The axes of a parameter with these dimensions, seen from here: a line that is walked as one is one axis.
    fn param_axes(&self, dims: Vec<DimId>) -> Vec<Axis> {
        let mut axes = self.group_axes(dims);
        if let Some((line, _)) = &self.scope.line {
            let single = |axis: &Axis| matches!(axis, Axis::Groups(groups) if groups[0] == line[0]);
            if let Some(first) = axes.iter().position(single) {
                axes.splice(first..first + line.len(), [Axis::Groups(line.clone())]);
            }
        }
        axes
    }

    /// One axis for each group and each unrolled dimension.
    fn group_axes(&self, dims: Vec<DimId>) -> Vec<Axis> {
        let mut axes: Vec<Axis> = Vec::new();
        for dim in dims {
            match self.regions.group_of(dim) {
                None => axes.push(Axis::Unrolled(dim)),
                Some(group) if self.regions.groups[group][0] == dim => axes.push(Axis::Groups(vec![group])),
                Some(_) => {}
            }
        }
        axes
    }

    /// The axes of memory that regions write and others read: the same for all of them, so that it is one array however each
    /// walks it. Groups that any region walks as one line are one axis everywhere.
    fn written_axes(&self, axes: Vec<Axis>) -> Vec<Axis> {
        let mut joined: Vec<Axis> = Vec::new();
        for axis in axes {
            match (joined.last_mut(), axis) {
                (Some(Axis::Groups(before)), Axis::Groups(after)) if self.is_line(before, &after) => {
                    before.extend(after);
                }
                (_, axis) => joined.push(axis),
            }
        }
        joined
    }

    /// Whether some region walks the last of some groups and the first of others as parts of one line.
    fn is_line(&self, before: &[Group], after: &[Group]) -> bool {
        let pair = [before[before.len() - 1], after[0]];
        self.regions.all().any(|region| match &region.kind {
            RegionKind::Reduce { form: Form::Row, inner, .. } => inner.windows(2).any(|line| line == pair),
            RegionKind::Reduce { .. } | RegionKind::Scan { .. } | RegionKind::Map => false,
        })
    }

    /// The axes of a scratch array. The last axis are the lanes, for a value that has the parallel dimension that carries them.
    fn scratch_axes(&self, groups: &[Group], lanes: bool) -> Vec<Axis> {
        let mut axes = self.written_axes(groups.iter().map(|&group| Axis::Groups(vec![group])).collect());
        if lanes {
            axes.push(Axis::Groups(Vec::new()));
        }
        axes
    }

    /// The parallel group that carries the lanes, if one does.
    fn lane_group(&self) -> Option<Group> {
        if self.regions.lanes { self.regions.parallel.last().copied() } else { None }
    }

    fn access(&mut self, buffer: Buffer, axes: Vec<Axis>, at: &[(DimId, u32)], lanes: u32) -> Access {
        let mut index = Vec::new();
        let mut lane_axis = None;
        for (axis, spec) in axes.iter().enumerate() {
            index.push(match spec {
                Axis::Unrolled(dim) => {
                    let &(_, position) = at
                        .iter()
                        .find(|(fixed, _)| fixed == dim)
                        .expect("a position for every unrolled dimension");
                    self.index(i64::from(position))
                }
                // The lanes themselves.
                Axis::Groups(groups) if groups.is_empty() => {
                    lane_axis = Some(axis as u32);
                    self.index(0)
                }
                Axis::Groups(groups) => {
                    let along = self.scope.lanes.as_ref().is_some_and(|(along, _)| groups.ends_with(along));
                    lane_axis = if along { Some(axis as u32) } else { lane_axis };
                    self.axis_position(groups)
                }
            });
        }
        assert!(
            lanes == 1 || lane_axis.is_some(),
            "{}: lanes lie along no axis of the buffer",
            self.graph.name
        );
        Access { buffer, index, lane_axis: lane_axis.filter(|_| lanes > 1), active: None }
    }

    /// The position on an axis made of several groups.
    fn axis_position(&mut self, groups: &[Group]) -> Value {
        let line = self.scope.line.clone();
        let (head, mut tail) = match &line {
            Some((line, var)) if groups.ends_with(line) => {
                (&groups[..groups.len() - line.len()], vec![(line.clone(), *var)])
            }
            _ => (groups, Vec::new()),
        };
        let known = |lower: &Self, group: Group| {
            lower.scope.positions[group].expect("inside the loop over the group")
        };
        let mut parts: Vec<(Vec<Group>, Value)> =
            head.iter().map(|&group| (vec![group], known(self, group))).collect();
        parts.append(&mut tail);
        let mut parts = parts.into_iter();
        let (_, mut position) = parts.next().expect("an axis has a group");
        for (groups, var) in parts {
            let size = self.size_of(&groups);
            let size = self.size(&size);
            let scaled = self.prim(Type::INDEX, Prim::Mul, &[position, size]);
            position = self.prim(Type::INDEX, Prim::Add, &[scaled, var]);
        }
        position
    }

    fn buffer(&mut self, source: &Source, axes: Vec<Axis>) -> Buffer {
        let key = (source.clone(), axes.clone());
        if let Some(&buffer) = self.buffers.get(&key) {
            return buffer;
        }
        let (name, kind, dtype) = match source {
            Source::Param(param) => {
                let decl = &self.graph.params[*param as usize];
                (decl.name.clone(), BufferKind::Param(*param), decl.dtype)
            }
            Source::Result(result) => {
                let decl = &self.graph.results[*result as usize].0;
                (decl.name.clone(), BufferKind::Result(*result), decl.dtype)
            }
            Source::Scratch(node) => {
                (format!("n{}", node.as_u32()), BufferKind::Scratch, self.graph.nodes[*node].dtype)
            }
            Source::Packed(node) => {
                (format!("packed{}", node.as_u32()), BufferKind::Scratch, self.graph.nodes[*node].dtype)
            }
        };
        let dims: Vec<Vec<DimId>> = axes
            .iter()
            .map(|axis| match axis {
                Axis::Unrolled(dim) => vec![*dim],
                Axis::Groups(groups) => {
                    groups.iter().flat_map(|&group| self.regions.groups[group].clone()).collect()
                }
            })
            .collect();
        let sizes = axes.iter().zip(&dims).map(|(axis, dims)| match axis {
            Axis::Groups(groups) if groups.is_empty() => SizeExpr::Const(i64::from(MAP_LANES)),
            Axis::Unrolled(dim) if let Some(size) = self.graph.dims[*dim].fixed() => SizeExpr::Const(size),
            _ => SizeExpr::product(dims.iter().map(|dim| dim.as_u32())),
        });
        let axes = sizes.collect();
        let groups = match kind {
            BufferKind::Param(_) | BufferKind::Result(_) => {
                dims.iter().map(|dims| dims.iter().map(|dim| dim.as_u32()).collect()).collect()
            }
            BufferKind::Shared | BufferKind::Scratch | BufferKind::Local => Vec::new(),
        };
        let buffer = self.func.buffers.push(BufferDecl { name, kind, elem: elem(dtype), axes, groups });
        self.buffers.insert(key, buffer);
        buffer
    }
}
