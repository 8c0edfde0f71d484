//! What the loops of a reduction carry, as one list of values, and how two such lists are combined.
//!
//! A reduction of one number has one entry. A fold has one for each number of its state, and where it is not known otherwise
//! which lanes hold a state, one more that tells: 1 where an element has counted, else 0. It is of the width of the state's
//! numbers, as far as they have one.

use cranelift_entity::SecondaryMap;

use super::super::build::Builder;
use crate::loops::{
    Access, Buffer, BufferDecl, BufferKind, Elem, FoldDecl, FoldUse, Func, Inst, Lift, Part, Stmt, Type,
    Value,
};
use crate::ops::{Prim, Reduction};
use crate::types::SizeExpr;

/// Lanes that are folded together at least: those of the widest vector. What those beyond the ones that count hold, nobody looks at.
const FOLDED: u32 = 8;

/// A reduction among those of one loop.
pub(super) enum Member {
    /// Of one number.
    Plain(Reduction, Lift),
    /// Of several.
    Fold(Box<Folded>),
}

/// A fold among the reductions of one loop.
pub(super) struct Folded {
    decl: FoldDecl,
    used: FoldUse,
    /// The type of the entry that tells whether an element has counted; none where the place tells.
    seen: Option<Elem>,
}

impl Folded {
    /// `known`: which lanes hold a state follows from the place, as long as every element counts.
    pub(super) fn new(func: &Func, used: &FoldUse, known: bool) -> Folded {
        let decl = func.folds[used.fold].clone();
        let mut fold = Folded { decl, used: used.clone(), seen: None };
        // A block that is made at once has an element.
        let staged = !fold.decl.stages.is_empty();
        fold.seen = (!staged && (!known || used.cond.is_some())).then_some(fold.flag());
        fold
    }

    /// The type of an entry that tells whether an element has counted.
    fn flag(&self) -> Elem {
        let wide = self.decl.states.iter().any(|(elem, _)| elem.bytes() == 8);
        if wide { Elem::F64 } else { Elem::I32 }
    }
}

impl Member {
    /// How many entries it has.
    fn len(&self) -> usize {
        match self {
            Member::Plain(..) => 1,
            Member::Fold(fold) => fold.decl.states.len() + usize::from(fold.seen.is_some()),
        }
    }

    /// The same of other elements.
    pub(super) fn renamed(&self, names: &SecondaryMap<Value, Option<Value>>) -> Member {
        let new = |value: Value| names[value].unwrap_or(value);
        match self {
            Member::Plain(reduction, Lift::Value(value)) => {
                Member::Plain(*reduction, Lift::Value(new(*value)))
            }
            Member::Plain(reduction, Lift::Product(x, y)) => {
                Member::Plain(*reduction, Lift::Product(new(*x), new(*y)))
            }
            Member::Fold(fold) => {
                let args = fold.used.args.iter().map(|&arg| new(arg)).collect();
                let used = FoldUse { args, cond: fold.used.cond.map(new), ..fold.used.clone() };
                Member::Fold(Box::new(Folded { decl: fold.decl.clone(), used, seen: fold.seen }))
            }
        }
    }

    /// The fold, if the state of a block is made at once.
    pub(super) fn staged(&self) -> Option<(&FoldDecl, &FoldUse)> {
        match self {
            Member::Fold(fold) if !fold.decl.stages.is_empty() => Some((&fold.decl, &fold.used)),
            Member::Fold(_) | Member::Plain(..) => None,
        }
    }

    /// Whether its first element is treated apart.
    pub(super) fn begins_apart(&self) -> bool {
        matches!(self, Member::Fold(fold) if fold.seen.is_none())
    }
}

/// What the entries begin with, as bits. `types` are those of the entries.
pub(super) fn first(members: &[Member], types: &[Type]) -> Vec<u64> {
    let mut first = Vec::with_capacity(types.len());
    for member in members {
        match member {
            Member::Plain(reduction, _) => first.push(identity(*reduction, types[first.len()])),
            Member::Fold(fold) => {
                first.extend(fold.decl.states.iter().map(|&(_, bits)| bits));
                // The bits of 0 are those of 0.0, too.
                first.extend(fold.seen.map(|_| 0));
            }
        }
    }
    first
}

/// The values at the end in the order of the entries: `plain` are those of the reductions of one number. There are new ones for
/// entries that nobody wants.
pub(super) fn results(func: &mut Func, members: &[Member], plain: &[Value]) -> Vec<Value> {
    let mut results = Vec::new();
    let mut plain = plain.iter();
    for member in members {
        match member {
            Member::Plain(..) => results.extend(plain.next()),
            Member::Fold(fold) => {
                results.extend(&fold.used.results);
                let like = func.values[fold.used.results[0]];
                results.extend(fold.seen.map(|elem| func.value(like.with_elem(elem))));
            }
        }
    }
    results
}

/// The bits of a reduction's identity.
fn identity(reduction: Reduction, ty: Type) -> u64 {
    let value = reduction.identity();
    match ty.elem {
        Elem::F32 => u64::from((value as f32).to_bits()),
        Elem::F64 => value.to_bits(),
        Elem::I32 => u64::from(value as i32 as u32),
        Elem::I64 => value as i64 as u64,
        Elem::F16 | Elem::BF16 | Elem::I8 | Elem::U8 | Elem::Bool => unreachable!("no reduction of it"),
    }
}

/// The entries after one more element. `first`: no lane has had one before.
pub(super) fn next(b: &mut Builder<'_>, members: &[Member], carried: &[Value], first: bool) -> Vec<Value> {
    let mut rest = carried;
    let mut next = Vec::with_capacity(carried.len());
    for member in members {
        let (own, after) = rest.split_at(member.len());
        rest = after;
        match member {
            Member::Plain(reduction, Lift::Value(value)) => next.push(b.combine(*reduction, *value, own[0])),
            Member::Plain(_, Lift::Product(x, y)) => next.push(b.prim(Prim::Fma, &[*x, *y, own[0]])),
            Member::Fold(fold) => next.extend(next_state(b, fold, own, first)),
        }
    }
    next
}

fn next_state(b: &mut Builder<'_>, fold: &Folded, own: &[Value], first: bool) -> Vec<Value> {
    let lanes = b.func.values[own[0]].lanes;
    let args = &fold.used.args;
    let Some(flag) = fold.seen else {
        return match first {
            true => written(b, &fold.decl.lift, lanes, args),
            false => written(b, &fold.decl.step, lanes, &[own, args].concat()),
        };
    };
    let (state, seen) = own.split_at(fold.decl.states.len());
    let has = is_set(b, seen[0]);
    let lifted = written(b, &fold.decl.lift, lanes, args);
    let stepped = written(b, &fold.decl.step, lanes, &[state, args].concat());
    let mut next: Vec<Value> =
        stepped.iter().zip(&lifted).map(|(&stepped, &lifted)| b.select(has, stepped, lifted)).collect();
    next.push(set(b, Type { elem: flag, lanes }));
    match fold.used.cond {
        None => next,
        Some(cond) => next.iter().zip(own).map(|(&next, &old)| b.select(cond, next, old)).collect(),
    }
}

/// The entries of two states as one: `late` is that of a later block, and `early` fetches an entry of the earlier one.
pub(super) fn combine(
    b: &mut Builder<'_>,
    members: &[Member],
    late: &[Value],
    early: impl Fn(&mut Builder<'_>, usize) -> Value,
) -> Vec<Value> {
    let mut at = 0;
    let mut combined = Vec::with_capacity(late.len());
    for member in members {
        let own = at..at + member.len();
        at = own.end;
        let before: Vec<Value> = own.clone().map(|entry| early(b, entry)).collect();
        match member {
            Member::Plain(reduction, _) => combined.push(b.combine(*reduction, late[own.start], before[0])),
            Member::Fold(fold) => combined.extend(merged(b, fold, &late[own], &before)),
        }
    }
    combined
}

/// Two states of a fold as one; with a further entry each, that without an element takes no part.
fn merged(b: &mut Builder<'_>, fold: &Folded, late: &[Value], early: &[Value]) -> Vec<Value> {
    let lanes = b.func.values[early[0]].lanes;
    let count = fold.decl.states.len();
    let both = written(b, &fold.decl.merge, lanes, &[&early[..count], &late[..count]].concat());
    let (Some(&late_seen), Some(&early_seen)) = (late.get(count), early.get(count)) else { return both };
    let (has_late, has_early) = (is_set(b, late_seen), is_set(b, early_seen));
    let mut merged = Vec::with_capacity(late.len());
    for (at, &both) in both.iter().enumerate() {
        let with_late = b.select(has_early, both, late[at]);
        merged.push(b.select(has_late, with_late, early[at]));
    }
    merged.push(b.select(has_late, late_seen, early_seen));
    merged
}

/// The lanes of a block folded into one. `places`: how many places a block has that lies in one run; of others the entries
/// tell which lanes hold a state.
pub(super) fn fold_lanes(
    b: &mut Builder<'_>,
    members: &[Member],
    lanes: &[Value],
    places: Option<Value>,
) -> Vec<Value> {
    let mut rest = lanes;
    let mut folded = Vec::with_capacity(lanes.len());
    for member in members {
        let (own, after) = rest.split_at(member.len());
        rest = after;
        match member {
            Member::Plain(reduction, _) => {
                let ty = b.func.values[own[0]].with_lanes(1);
                folded.push(b.push(ty, Inst::Fold(*reduction, own[0])));
            }
            Member::Fold(fold) => folded.extend(fold_states(b, fold, own, places)),
        }
    }
    folded
}

/// The lanes of a fold: through memory, where the upper half meets the lower one.
fn fold_states(b: &mut Builder<'_>, fold: &Folded, lanes: &[Value], places: Option<Value>) -> Vec<Value> {
    let count = b.func.values[lanes[0]].lanes;
    let mut all = lanes.to_vec();
    if fold.seen.is_none() {
        let places = places.expect("where nothing tells which lanes hold a state, the place does");
        all.push(lanes_below(b, fold.flag(), count, places));
    }
    let memory: Vec<Buffer> = all.iter().map(|&value| memory(b.func, value)).collect();
    let at = |b: &mut Builder<'_>, buffer: Buffer, lane: i64, lanes: u32| {
        let lane = b.index(lane);
        Access { buffer, index: vec![lane], lane_axis: (lanes > 1).then_some(0), active: None }
    };
    let load = |b: &mut Builder<'_>, buffer: Buffer, lane: i64, lanes: u32| {
        let access = at(b, buffer, lane, lanes);
        let ty = Type { elem: b.func.buffers[buffer].elem, lanes };
        b.push(ty, Inst::Load(access))
    };
    for (&buffer, &value) in memory.iter().zip(&all) {
        let access = at(b, buffer, 0, count);
        b.stmts.push(Stmt::Store(access, value));
    }
    let mut half = count / 2;
    while half > 0 {
        let together = half.max(FOLDED);
        let late: Vec<Value> =
            memory.iter().map(|&buffer| load(b, buffer, i64::from(half), together)).collect();
        let early: Vec<Value> = memory.iter().map(|&buffer| load(b, buffer, 0, together)).collect();
        let merged = merged(b, fold, &late, &early);
        for (&buffer, &value) in memory.iter().zip(&merged) {
            let access = at(b, buffer, 0, together);
            b.stmts.push(Stmt::Store(access, value));
        }
        half /= 2;
    }
    memory[..lanes.len()].iter().map(|&buffer| load(b, buffer, 0, 1)).collect()
}

/// 1 in the lanes below a number, 0 in the others.
fn lanes_below(b: &mut Builder<'_>, elem: Elem, lanes: u32, below: Value) -> Value {
    let ty = Type { elem, lanes };
    let zero = b.index(0);
    let lane = b.push(ty, Inst::Iota(zero));
    let most = b.with_const(Prim::SelMin, below, i64::from(lanes));
    let most = b.push(Type::scalar(elem), Inst::Convert(most));
    let most = b.push(ty, Inst::Splat(most));
    let inside = b.compare(Prim::Lt, lane, most);
    let (yes, no) = (set(b, ty), b.push(ty, Inst::Const(0)));
    b.select(inside, yes, no)
}

/// What tells that an element has counted.
fn set(b: &mut Builder<'_>, ty: Type) -> Value {
    let bits = if ty.elem == Elem::F64 { 1f64.to_bits() } else { 1 };
    b.push(ty, Inst::Const(bits))
}

fn is_set(b: &mut Builder<'_>, seen: Value) -> Value {
    let none = b.push(b.func.values[seen], Inst::Const(0));
    b.compare(Prim::Ne, seen, none)
}

/// A part of a definition, written out.
fn written(b: &mut Builder<'_>, part: &Part, lanes: u32, args: &[Value]) -> Vec<Value> {
    part.at(b.func, lanes, args, &mut b.stmts)
}

/// Local memory for the lanes of a value.
fn memory(func: &mut Func, value: Value) -> Buffer {
    let ty = func.values[value];
    let axes = vec![SizeExpr::Const(i64::from(ty.lanes))];
    let name = format!("lanes{}", func.buffers.len());
    func.buffers.push(BufferDecl { name, kind: BufferKind::Local, elem: ty.elem, axes, groups: Vec::new() })
}
