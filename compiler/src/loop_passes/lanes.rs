//! Writes the tree of every reduction out: blocks, lanes, folds and the stack that combines blocks pairwise, as
//! [`crate::loops`] defines them.
//!
//! Needs nothing. Leaves no `Reduce` and no definitions of folds. Numeric: it fixes the order of every sum, and sees no target.
//!
//! The first element of a lane begins the state of a fold. Where a block lies in one run, and every element counts, that is
//! the first step, which is written out before the loop over the others. Elsewhere the loop carries along whether an element has
//! counted: see `states`.

pub mod split;
mod stages;
mod states;

use cranelift_entity::SecondaryMap;

use self::states::{Folded, Member, combine, fold_lanes};
use super::build::Builder;
use crate::loops::{
    Access, BLOCK_STEPS, Buffer, BufferDecl, BufferKind, Func, Inst, LoopKind, Order, Reduce, Size, Stmt,
    TREE_DEPTH, Type, Value,
};
use crate::ops::Prim;
use crate::types::SizeExpr;

/// Runs the pass.
pub fn run(func: &mut Func) {
    expand_all(func);
    func.folds.clear();
}

fn expand_all(func: &mut Func) {
    for phase in 0..func.phases.len() {
        let body = std::mem::take(&mut func.phases[phase].body);
        func.phases[phase].body = rewrite(func, body);
    }
}

fn rewrite(func: &mut Func, stmts: Vec<Stmt>) -> Vec<Stmt> {
    let mut out = Vec::new();
    for mut stmt in stmts {
        for body in stmt.bodies_mut() {
            let inside = std::mem::take(body);
            *body = rewrite(func, inside);
        }
        match stmt {
            Stmt::Reduce(reduce) => out.extend(expand(func, *reduce)),
            stmt => out.push(stmt),
        }
    }
    out
}

/// How far one step goes along the innermost dimension.
fn step(order: Order) -> i64 {
    match order {
        Order::Row(lanes) => i64::from(lanes),
        Order::Column => 1,
    }
}

fn expand(func: &mut Func, mut reduce: Reduce) -> Vec<Stmt> {
    let members = members(func, &mut reduce);
    let results = states::results(func, &members, &std::mem::take(&mut reduce.results));
    let types = Types::new(func, &members, &results, reduce.order);
    let stacks: Vec<Buffer> = types.block.iter().map(|&ty| stack(func, ty)).collect();
    let mut builder = Builder::new(func);
    let b = &mut builder;

    let walk = Walk::new(b, &reduce);
    let blocks = ceil_div(b, walk.steps, BLOCK_STEPS);
    let tree = Tree::new(b, &members, &stacks, &types, blocks);
    let lane_start = constants(b, &types.lanes, &types.first);
    let all = tree.run(b, |b, block| block_value(b, &mut reduce, &members, &walk, block, &lane_start));
    let mut stmts = builder.stmts;
    // The choice defines the reduction's own values.
    match stmts.last_mut() {
        Some(Stmt::If(choice)) => {
            debug_assert_eq!(choice.results, all);
            choice.results = results;
        }
        _ => unreachable!("the expansion ends with a choice"),
    }
    stmts
}

/// The types of the entries of the states, and what they hold at first.
struct Types {
    /// Of blocks.
    block: Vec<Type>,
    /// Of the lanes of a block.
    lanes: Vec<Type>,
    /// The bits of what they hold at first.
    first: Vec<u64>,
}

impl Types {
    fn new(func: &Func, members: &[Member], results: &[Value], order: Order) -> Types {
        let block: Vec<Type> = results.iter().map(|&result| func.values[result]).collect();
        let lanes = match order {
            Order::Row(lanes) => block.iter().map(|ty| ty.with_lanes(lanes)).collect(),
            Order::Column => block.clone(),
        };
        let first = states::first(members, &block);
        Types { block, lanes, first }
    }
}

fn constants(b: &mut Builder<'_>, types: &[Type], bits: &[u64]) -> Vec<Value> {
    types.iter().zip(bits).map(|(&ty, &bits)| b.push(ty, Inst::Const(bits))).collect()
}

/// The places of a reduction in numbers: `n` of them to a run, which has `run_steps` steps; `steps` in all.
struct Walk {
    step: i64,
    n: Value,
    run_steps: Value,
    outer: Option<Value>,
    steps: Value,
}

impl Walk {
    fn new(b: &mut Builder<'_>, reduce: &Reduce) -> Walk {
        let step = step(reduce.order);
        let n = b.push(Type::INDEX, Inst::Size(reduce.inner.1));
        let run_steps = ceil_div(b, n, step);
        let outer = outer_count(b, &reduce.outer);
        let steps = match outer {
            Some(outer) => b.on_index(Prim::Mul, run_steps, outer),
            None => run_steps,
        };
        Walk { step, n, run_steps, outer, steps }
    }

    /// How many places a block has.
    fn places(&self, b: &mut Builder<'_>, block: Value) -> Value {
        let from = b.with_const(Prim::Mul, block, BLOCK_STEPS);
        let to = b.with_const(Prim::Add, from, BLOCK_STEPS);
        let to = b.on_index(Prim::SelMin, to, self.steps);
        let before = |b: &mut Builder<'_>, steps: Value| {
            let (runs, rest) = match self.outer {
                None => (None, steps),
                Some(_) => {
                    let runs = b.on_index(Prim::IDiv, steps, self.run_steps);
                    (Some(runs), b.on_index(Prim::IRem, steps, self.run_steps))
                }
            };
            let rest = b.with_const(Prim::Mul, rest, self.step);
            let rest = b.on_index(Prim::SelMin, rest, self.n);
            let Some(runs) = runs else { return rest };
            let runs = b.on_index(Prim::Mul, runs, self.n);
            b.on_index(Prim::Add, runs, rest)
        };
        let (to, from) = (before(b, to), before(b, from));
        b.on_index(Prim::Sub, to, from)
    }
}

/// The state of a block, of which there is one place at least. Takes the reduction's body.
fn block_value(
    b: &mut Builder<'_>,
    reduce: &mut Reduce,
    members: &[Member],
    walk: &Walk,
    block: Value,
    lane_start: &[Value],
) -> Vec<Value> {
    if let [member] = members
        && let Some((decl, used)) = member.staged()
    {
        return stages::block_value(b, reduce, (decl, used), walk, block);
    }
    elementwise(b, reduce, members, walk, block, lane_start)
}

/// The same, made element by element.
fn elementwise(
    b: &mut Builder<'_>,
    reduce: &mut Reduce,
    members: &[Member],
    walk: &Walk,
    block: Value,
    lane_start: &[Value],
) -> Vec<Value> {
    let block_steps = b.with_const(Prim::Mul, block, BLOCK_STEPS);
    let end = b.with_const(Prim::Add, block_steps, BLOCK_STEPS);
    let (lanes, run) = match walk.outer {
        None => {
            // One run: the block's steps are its places.
            let lo = b.with_const(Prim::Mul, block_steps, walk.step);
            let end = b.with_const(Prim::Mul, end, walk.step);
            let hi = b.on_index(Prim::SelMin, end, walk.n);
            (whole_block(b, reduce, members, (lo, hi), lane_start), Some((lo, hi)))
        }
        Some(_) => {
            let end = b.on_index(Prim::SelMin, end, walk.steps);
            let span = Span { from: block_steps, to: end, run_steps: walk.run_steps, n: walk.n };
            (runs(b, reduce, members, span, lane_start), None)
        }
    };
    match reduce.order {
        Order::Row(_) => {
            let apart = members.iter().any(Member::begins_apart);
            let places = run.filter(|_| apart).map(|(lo, hi)| b.on_index(Prim::Sub, hi, lo));
            fold_lanes(b, members, &lanes, places)
        }
        Order::Column => lanes,
    }
}

/// The combination of blocks, as a binary counter counts.
struct Tree<'t> {
    members: &'t [Member],
    stacks: &'t [Buffer],
    types: &'t Types,
    blocks: Value,
    several: Value,
    zero: Value,
    start: Vec<Value>,
}

impl<'t> Tree<'t> {
    fn new(
        b: &mut Builder<'_>,
        members: &'t [Member],
        stacks: &'t [Buffer],
        types: &'t Types,
        blocks: Value,
    ) -> Tree<'t> {
        let one = b.index(1);
        let several = b.compare(Prim::Gt, blocks, one);
        let zero = b.index(0);
        let start = constants(b, &types.block, &types.first);
        Tree { members, stacks, types, blocks, several, zero, start }
    }

    /// Combines what `value` gives for each block; the last statement made is a choice with the outcome as its results.
    fn run(
        self,
        b: &mut Builder<'_>,
        value: impl FnOnce(&mut Builder<'_>, Value) -> Vec<Value>,
    ) -> Vec<Value> {
        let Tree { members, stacks, types, blocks, several, zero, start } = self;
        let last = b.seq(zero, blocks, &start, |b, block, _| {
            let folded = value(b, block);
            b.choose(
                several,
                |b| {
                    push(b, members, stacks, block, &folded);
                    folded.clone()
                },
                |_| folded.clone(),
            )
        });
        b.choose(several, |b| pop(b, members, stacks, &types.block, blocks), |_| last.clone())
    }
}

/// The reductions of a loop.
fn members(func: &Func, reduce: &mut Reduce) -> Vec<Member> {
    let lifts = std::mem::take(&mut reduce.lifts);
    let one_run = reduce.outer.is_empty();
    let plain = reduce.states.iter().zip(lifts).map(|(&reduction, lift)| Member::Plain(reduction, lift));
    let folds = reduce.folds.iter().map(|used| Member::Fold(Box::new(Folded::new(func, used, one_run))));
    plain.chain(folds).collect()
}

/// The stack on which blocks wait: one entry for each level of the binary counter.
fn stack(func: &mut Func, ty: Type) -> Buffer {
    let mut axes = vec![SizeExpr::Const(TREE_DEPTH)];
    if ty.lanes > 1 {
        axes.push(SizeExpr::Const(i64::from(ty.lanes)));
    }
    let name = format!("blocks{}", func.buffers.len());
    func.buffers.push(BufferDecl { name, kind: BufferKind::Local, elem: ty.elem, axes, groups: Vec::new() })
}

fn stack_access(b: &mut Builder<'_>, stack: Buffer, level: Value) -> Access {
    if b.func.buffers[stack].axes.len() == 1 {
        return Access { buffer: stack, index: vec![level], lane_axis: None, active: None };
    }
    let lane = b.index(0);
    Access { buffer: stack, index: vec![level, lane], lane_axis: Some(1), active: None }
}

fn ceil_div(b: &mut Builder<'_>, value: Value, by: i64) -> Value {
    if by == 1 {
        return value;
    }
    let up = b.with_const(Prim::Add, value, by - 1);
    b.with_const(Prim::ShrU, up, i64::from(by.trailing_zeros()))
}

/// How many runs there are; `None` if always one.
fn outer_count(b: &mut Builder<'_>, outer: &[(Value, Size)]) -> Option<Value> {
    let mut count = None;
    for &(_, size) in outer {
        let size = b.push(Type::INDEX, Inst::Size(size));
        count = Some(match count {
            None => size,
            Some(count) => b.on_index(Prim::Mul, count, size),
        });
    }
    count
}

/// A block that lies in one run, the places `lo..hi`, of which there is one at least; returns the states.
fn whole_block(
    b: &mut Builder<'_>,
    reduce: &mut Reduce,
    members: &[Member],
    (lo, hi): (Value, Value),
    init: &[Value],
) -> Vec<Value> {
    if !members.iter().any(Member::begins_apart) {
        return one_run(b, reduce, members, (lo, hi), init);
    }
    let rest = b.with_const(Prim::Add, lo, step(reduce.order));
    let begun = first_step(b, reduce, members, (lo, rest, hi), init);
    one_run(b, reduce, members, (rest, hi), &begun)
}

/// The step that begins the states: the places `lo..hi` as far as they are below `rest`. It has a copy of the body.
fn first_step(
    b: &mut Builder<'_>,
    reduce: &Reduce,
    members: &[Member],
    (lo, rest, hi): (Value, Value, Value),
    init: &[Value],
) -> Vec<Value> {
    let mut names = SecondaryMap::new();
    match reduce.order {
        Order::Column => {
            names[reduce.inner.0] = Some(lo);
            let body = b.func.copy(&reduce.body, &mut names);
            b.stmts.extend(body);
            let members: Vec<Member> = members.iter().map(|member| member.renamed(&names)).collect();
            states::next(b, &members, init, true)
        }
        Order::Row(lanes) => {
            let end = b.on_index(Prim::SelMin, rest, hi);
            b.counted(lo, end, i64::from(lanes), LoopKind::Lanes(lanes), init, |b, var, carried| {
                names[reduce.inner.0] = Some(var);
                b.stmts = b.func.copy(&reduce.body, &mut names);
                let members: Vec<Member> = members.iter().map(|member| member.renamed(&names)).collect();
                states::next(b, &members, carried, true)
            })
        }
    }
}

/// The places `lo..hi` of one run; returns the states.
fn one_run(
    b: &mut Builder<'_>,
    reduce: &mut Reduce,
    members: &[Member],
    (lo, hi): (Value, Value),
    init: &[Value],
) -> Vec<Value> {
    let kind = match reduce.order {
        Order::Row(lanes) => LoopKind::Lanes(lanes),
        Order::Column => LoopKind::Seq,
    };
    let body = std::mem::take(&mut reduce.body);
    let var = reduce.inner.0;
    let results = b.counted(lo, hi, step(reduce.order), kind, init, |b, _, carried| {
        b.stmts = body;
        states::next(b, members, carried, false)
    });
    // The body was made for the reduction's own variable.
    if let Some(Stmt::For(made)) = b.stmts.last_mut() {
        made.var = var;
    }
    results
}

/// Steps `from..to` of all runs, each of which has `run_steps` steps and `n` places.
struct Span {
    from: Value,
    to: Value,
    run_steps: Value,
    n: Value,
}

/// A block that may lie in several runs.
fn runs(
    b: &mut Builder<'_>,
    reduce: &mut Reduce,
    members: &[Member],
    span: Span,
    init: &[Value],
) -> Vec<Value> {
    let step = step(reduce.order);
    let first = b.on_index(Prim::IDiv, span.from, span.run_steps);
    let up = b.on_index(Prim::Add, span.to, span.run_steps);
    let up = b.with_const(Prim::Sub, up, 1);
    let end = b.on_index(Prim::IDiv, up, span.run_steps);
    b.seq(first, end, init, |b, number, carried| {
        decode(b, number, &reduce.outer);
        let start = b.on_index(Prim::Mul, number, span.run_steps);
        let lo = b.on_index(Prim::Sub, span.from, start);
        let zero = b.index(0);
        let lo = b.on_index(Prim::SelMax, lo, zero);
        let lo = b.with_const(Prim::Mul, lo, step);
        let hi = b.on_index(Prim::Sub, span.to, start);
        let hi = b.with_const(Prim::Mul, hi, step);
        let hi = b.on_index(Prim::SelMin, hi, span.n);
        one_run(b, reduce, members, (lo, hi), carried)
    })
}

/// Defines the variables of the outer dimensions from the number of a run.
fn decode(b: &mut Builder<'_>, number: Value, outer: &[(Value, Size)]) {
    let mut rest = number;
    for (at, &(var, size)) in outer.iter().enumerate().rev() {
        if at == 0 {
            let zero = b.index(0);
            b.stmts.push(Stmt::Let(var, Inst::Prim(Prim::Add, vec![rest, zero])));
        } else {
            let size = b.push(Type::INDEX, Inst::Size(size));
            b.stmts.push(Stmt::Let(var, Inst::Prim(Prim::IRem, vec![rest, size])));
            rest = b.on_index(Prim::IDiv, rest, size);
        }
    }
}

/// Puts block number `block` on the stacks: as often as the number ends in a one, the top is combined with it first.
fn push(b: &mut Builder<'_>, members: &[Member], stacks: &[Buffer], block: Value, values: &[Value]) {
    let next = b.with_const(Prim::Add, block, 1);
    let full = b.prim(Prim::Ctz, &[next]);
    let zero = b.index(0);
    let merged = b.seq(zero, full, values, |b, level, carried| {
        combine(b, members, carried, |b, entry| {
            let top = stack_access(b, stacks[entry], level);
            let ty = b.func.values[carried[entry]];
            b.push(ty, Inst::Load(top))
        })
    });
    for (&stack, &value) in stacks.iter().zip(&merged) {
        let top = stack_access(b, stack, full);
        b.stmts.push(Stmt::Store(top, value));
    }
}

/// Combines what is left on the stacks, from the top down. There are two blocks at least.
fn pop(
    b: &mut Builder<'_>,
    members: &[Member],
    stacks: &[Buffer],
    types: &[Type],
    blocks: Value,
) -> Vec<Value> {
    let top = b.prim(Prim::Ctz, &[blocks]);
    let zeros = b.prim(Prim::Clz, &[blocks]);
    let width = b.index(64);
    let end = b.on_index(Prim::Sub, width, zeros);
    let load = |b: &mut Builder<'_>, stack, ty, level| {
        let access = stack_access(b, stack, level);
        b.push(ty, Inst::Load(access))
    };
    let init: Vec<Value> = stacks.iter().zip(types).map(|(&stack, &ty)| load(b, stack, ty, top)).collect();
    let below = b.with_const(Prim::Add, top, 1);
    b.seq(below, end, &init, |b, level, carried| {
        let bit = b.on_index(Prim::ShrU, blocks, level);
        let one = b.index(1);
        let bit = b.on_index(Prim::IAnd, bit, one);
        let waits = b.compare(Prim::Eq, bit, one);
        let carried = carried.to_vec();
        b.choose(
            waits,
            |b| combine(b, members, &carried, |b, entry| load(b, stacks[entry], types[entry], level)),
            |_| carried.clone(),
        )
    })
}
