//! Writes the tree of every reduction out: blocks, lanes, folds and the stack that combines blocks pairwise, as
//! [`crate::loops`] defines them.
//!
//! Needs nothing. Leaves no `Reduce`. Numeric: it fixes the order of every sum, and sees no target.

use super::build::Builder;
use crate::loops::{
    Access, BLOCK_STEPS, Buffer, BufferDecl, BufferKind, Func, Inst, Lift, LoopKind, Order, Reduce, Size,
    Stmt, TREE_DEPTH, Type, Value,
};
use crate::ops::{Prim, Reduction};
use crate::types::SizeExpr;

/// Runs the pass.
pub fn run(func: &mut Func) {
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

/// The type of a state while it is accumulated.
fn state_type(func: &Func, reduce: &Reduce, state: usize) -> Type {
    let result = func.values[reduce.results[state]];
    match reduce.order {
        Order::Row(lanes) => result.with_lanes(lanes),
        Order::Column => result,
    }
}

/// The bits of a reduction's identity.
fn identity(reduction: Reduction, ty: Type) -> u64 {
    use crate::loops::Elem;
    let value = reduction.identity();
    match ty.elem {
        Elem::F32 => u64::from((value as f32).to_bits()),
        Elem::F64 => value.to_bits(),
        Elem::I32 => u64::from(value as i32 as u32),
        Elem::I64 => value as i64 as u64,
        Elem::F16 | Elem::BF16 | Elem::I8 | Elem::U8 => unreachable!("no value is of it"),
        Elem::Bool => unreachable!("no reduction of bool"),
    }
}

fn expand(func: &mut Func, mut reduce: Reduce) -> Vec<Stmt> {
    let types: Vec<Type> = (0..reduce.states.len()).map(|state| state_type(func, &reduce, state)).collect();
    let results = std::mem::take(&mut reduce.results);
    let block_types: Vec<Type> = results.iter().map(|&result| func.values[result]).collect();
    let stacks: Vec<Buffer> = block_types.iter().map(|&ty| stack(func, ty)).collect();
    let states = reduce.states.clone();
    let mut builder = Builder::new(func);
    let b = &mut builder;

    let step = step(reduce.order);
    let n = b.push(Type::INDEX, Inst::Size(reduce.inner.1));
    let run_steps = ceil_div(b, n, step);
    let outer = outer_count(b, &reduce.outer);
    let steps = match outer {
        Some(outer) => b.on_index(Prim::Mul, run_steps, outer),
        None => run_steps,
    };
    let blocks = ceil_div(b, steps, BLOCK_STEPS);
    let one = b.index(1);
    let several = b.compare(Prim::Gt, blocks, one);
    let zero = b.index(0);
    let start: Vec<Value> = block_types
        .iter()
        .zip(&states)
        .map(|(&ty, &reduction)| b.push(ty, Inst::Const(identity(reduction, ty))))
        .collect();
    let lane_start: Vec<Value> = types
        .iter()
        .zip(&states)
        .map(|(&ty, &reduction)| b.push(ty, Inst::Const(identity(reduction, ty))))
        .collect();

    let last = b.seq(zero, blocks, &start, |b, block, _| {
        let block_steps = b.with_const(Prim::Mul, block, BLOCK_STEPS);
        let end = b.with_const(Prim::Add, block_steps, BLOCK_STEPS);
        let lanes = match outer {
            None => {
                // One run: the block's steps are its places.
                let lo = b.with_const(Prim::Mul, block_steps, step);
                let end = b.with_const(Prim::Mul, end, step);
                let hi = b.on_index(Prim::SelMin, end, n);
                one_run(b, &mut reduce, lo, hi, &lane_start)
            }
            Some(_) => {
                let end = b.on_index(Prim::SelMin, end, steps);
                runs(b, &mut reduce, Span { from: block_steps, to: end, run_steps, n }, &lane_start)
            }
        };
        let folded: Vec<Value> = lanes
            .iter()
            .zip(&states)
            .map(|(&lanes, &reduction)| match reduce.order {
                Order::Row(_) => {
                    let ty = b.func.values[lanes].with_lanes(1);
                    b.push(ty, Inst::Fold(reduction, lanes))
                }
                Order::Column => lanes,
            })
            .collect();
        b.choose(
            several,
            |b| {
                push(b, &states, &stacks, block, &folded);
                folded.clone()
            },
            |_| folded.clone(),
        )
    });
    let all = b.choose(several, |b| pop(b, &states, &stacks, &block_types, blocks), |_| last.clone());
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

/// The places `lo..hi` of one run; returns the states.
fn one_run(b: &mut Builder<'_>, reduce: &mut Reduce, lo: Value, hi: Value, init: &[Value]) -> Vec<Value> {
    let kind = match reduce.order {
        Order::Row(lanes) => LoopKind::Lanes(lanes),
        Order::Column => LoopKind::Seq,
    };
    let states = reduce.states.clone();
    let body = std::mem::take(&mut reduce.body);
    let (lifts, var) = (reduce.lifts.clone(), reduce.inner.0);
    let results = b.counted(lo, hi, step(reduce.order), kind, init, |b, _, carried| {
        b.stmts = body;
        let next = lifts.iter().zip(&states).zip(carried);
        next.map(|((&lift, &reduction), &state)| match lift {
            Lift::Value(value) => b.combine(reduction, value, state),
            Lift::Product(x, y) => b.prim(Prim::Fma, &[x, y, state]),
        })
        .collect()
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
fn runs(b: &mut Builder<'_>, reduce: &mut Reduce, span: Span, init: &[Value]) -> Vec<Value> {
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
        one_run(b, reduce, lo, hi, carried)
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
fn push(b: &mut Builder<'_>, states: &[Reduction], stacks: &[Buffer], block: Value, values: &[Value]) {
    let next = b.with_const(Prim::Add, block, 1);
    let full = b.prim(Prim::Ctz, &[next]);
    let zero = b.index(0);
    let merged = b.seq(zero, full, values, |b, level, carried| {
        let mut merged = Vec::new();
        for ((&reduction, &stack), &value) in states.iter().zip(stacks).zip(carried) {
            let top = stack_access(b, stack, level);
            let ty = b.func.values[value];
            let top = b.push(ty, Inst::Load(top));
            merged.push(b.combine(reduction, value, top));
        }
        merged
    });
    for (&stack, &value) in stacks.iter().zip(&merged) {
        let top = stack_access(b, stack, full);
        b.stmts.push(Stmt::Store(top, value));
    }
}

/// Combines what is left on the stacks, from the top down. There are two blocks at least.
fn pop(
    b: &mut Builder<'_>,
    states: &[Reduction],
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
            |b| {
                let mut merged = Vec::new();
                for (((&reduction, &stack), &ty), &value) in
                    states.iter().zip(stacks).zip(types).zip(&carried)
                {
                    let next = load(b, stack, ty, level);
                    merged.push(b.combine(reduction, value, next));
                }
                merged
            },
            |_| carried.clone(),
        )
    })
}
