//! A block of a fold with stages: several looks at its elements, each of which is a reduction of its own without blocks.
//!
//! The loop's body is written out once for each stage; what it stores is stored by the last one, so that no other reads
//! what has been overwritten.

use cranelift_entity::SecondaryMap;

use super::states::{self, Member};
use super::{Walk, constants, elementwise};
use crate::loop_passes::build::Builder;
use crate::loops::{FoldDecl, FoldUse, Inst, Lift, Order, Reduce, Stage, Stmt, Type, Value};
use crate::ops::Term;

/// The state of a block, of which there is one place at least.
pub(super) fn block_value(
    b: &mut Builder<'_>,
    reduce: &Reduce,
    (decl, used): (&FoldDecl, &FoldUse),
    walk: &Walk,
    block: Value,
) -> Vec<Value> {
    let lanes = b.func.values[used.args[0]].lanes;
    let whole = if reduce.order == Order::Column { lanes } else { 1 };
    let count = walk.places(b, block);
    let count = b.push(Type::scalar(decl.states[0].0), Inst::Convert(count));
    let count = splat(b, count, whole);
    let mut closed: Vec<Value> = Vec::new();
    for (at, stage) in decl.stages.iter().enumerate() {
        let spread: Vec<Value> = closed.iter().map(|&value| splat(b, value, lanes)).collect();
        let (mut own, args) = copy(b, reduce, used, at + 1 == decl.stages.len());
        let factors = stage.each.at(b.func, lanes, &[&args[..], &spread].concat(), &mut own.body);
        let members = members(stage, &factors);
        let mut types = Vec::new();
        let mut rest = &factors[..];
        for term in &stage.terms {
            types.push(b.func.values[rest[0]]);
            rest = &rest[term.factors()..];
        }
        let start = constants(b, &types, &states::first(&members, &types));
        let terms = elementwise(b, &mut own, &members, walk, block, &start);
        closed = stage.close.at(b.func, whole, &[&[count], &closed[..], &terms].concat(), &mut b.stmts);
    }
    closed
}

/// The loop for one stage, with names of its own, and the operands of the fold in it.
fn copy(b: &mut Builder<'_>, reduce: &Reduce, used: &FoldUse, stores: bool) -> (Reduce, Vec<Value>) {
    let mut names = SecondaryMap::new();
    let mut fresh = |b: &mut Builder<'_>, var: Value| {
        let new = b.func.value(Type::INDEX);
        names[var] = Some(new);
        new
    };
    let outer = reduce.outer.iter().map(|&(var, size)| (fresh(b, var), size)).collect();
    let inner = (fresh(b, reduce.inner.0), reduce.inner.1);
    let mut body = reduce.body.clone();
    if !stores {
        drop_stores(&mut body);
    }
    let body = b.func.copy(&body, &mut names);
    let args = used.args.iter().map(|&arg| names[arg].unwrap_or(arg)).collect();
    let own = Reduce {
        order: reduce.order,
        outer,
        inner,
        states: Vec::new(),
        body,
        lifts: Vec::new(),
        results: Vec::new(),
        folds: Vec::new(),
    };
    (own, args)
}

fn drop_stores(stmts: &mut Vec<Stmt>) {
    stmts.retain(|stmt| !matches!(stmt, Stmt::Store(..)));
    stmts.iter_mut().flat_map(Stmt::bodies_mut).for_each(drop_stores);
}

fn splat(b: &mut Builder<'_>, value: Value, lanes: u32) -> Value {
    let ty = b.func.values[value];
    if ty.lanes == lanes { value } else { b.push(ty.with_lanes(lanes), Inst::Splat(value)) }
}

/// The terms of a stage as reductions of what it takes of an element.
fn members(stage: &Stage, factors: &[Value]) -> Vec<Member> {
    let mut factors = factors.iter().copied();
    let mut next = || factors.next().expect("a stage yields what its terms take");
    let member = |term: &Term| match term {
        Term::Of(reduction) => Member::Plain(*reduction, Lift::Value(next())),
        Term::Products => Member::Plain(term.reduction(), Lift::Product(next(), next())),
    };
    stage.terms.iter().map(member).collect()
}
