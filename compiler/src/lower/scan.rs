//! Scans and k-th largest elements as loops.
//!
//! **Scans in row form** work in an array of their own, with a group of free places before and behind the row. The operand is computed
//! into it; then groups of 16 elements (64 bits: 8) are taken in the scan's order, `reverse` from the last element on:
//! with the shifts 1, 2, 4, 8 each element is combined with the one so far before it, elements that are not there taking no part; then
//! with the carry, which is the last result of the group before. What lies beyond the row in the last group is behind all of its
//! elements and has no influence on them. `exclusive` reads the results one place further on, after the identity.
//!
//! **Scans in column form** carry the state from place to place, a lane for each result.
//!
//! **The k-th largest** is found bit by bit, from the highest: elements become integers in the same order ([`Lower::key`]), and a bit stays
//! set if at least `k` of them are not below the number so far.

use super::{Lower, MAP_LANES, elem};
use crate::graph::regions::{Group, Region};
use crate::graph::{Constant, Form, NodeId, Op};
use crate::loops::{
    Access, Block, Buffer, BufferDecl, BufferKind, Carry, Elem, For, Inst, Lift, LoopKind, Order, Reduce,
    Stmt, Type, Value,
};
use crate::ops::{Prim, Reduction, Scan};
use crate::types::{DType, SizeExpr};

impl Lower<'_> {
    /// The region of a scan or a k-th largest.
    pub(super) fn scan_region(&mut self, region: &Region, form: Form, along: Group, node: NodeId) {
        let lanes = form == Form::Column && self.scope.lanes.is_none();
        let op = self.graph.nodes[node].op.clone();
        self.loops(&region.kept, lanes, &mut |lower| match (&op, form) {
            (Op::Scan { scan, value, .. }, Form::Row) => lower.scan_row(region, along, node, *scan, *value),
            (Op::Scan { scan, value, .. }, Form::Column) => {
                lower.scan_column(region, along, node, *scan, *value);
            }
            (Op::KthLargest { args, .. }, form) => lower.kth_largest(region, form, along, node, *args),
            (op, _) => unreachable!("{node} is no scan but {op:?}"),
        });
    }

    // ---- scans ----

    fn scan_row(&mut self, region: &Region, along: Group, node: NodeId, scan: Scan, value: NodeId) {
        let dtype = self.graph.nodes[node].dtype;
        let ty = Type::scalar(elem(dtype));
        let lanes = Scan::GROUP * 4 / ty.elem.bytes().max(4);
        let (vector, group) = (ty.with_lanes(lanes), i64::from(lanes));
        let room = SizeExpr::Add(Box::new(self.group_size(along)), Box::new(SizeExpr::Const(2 * group)));
        let row = self.own_array(node, ty.elem, vec![room]);
        let (zero, n) = (self.index(0), self.group_size(along));
        let n = self.size(&n);
        let behind = self.offset(n, group);
        let nothing = self.push(vector, Inst::Const(0));
        self.store_at(row, vec![if scan.reverse { zero } else { behind }], nothing);
        self.lane_loop(vec![along], MAP_LANES, zero, n, |lower| {
            lower.compute(&region.nodes);
            let element = lower.operand(value, MAP_LANES);
            let at = lower.row_position(along, group);
            lower.store_at(row, vec![at], element);
            lower.store_keeps_of(region, |kept| kept != node);
        });
        let start = self.number(ty, dtype, scan.start());
        // What changes no element.
        let neutral = self.number(vector, dtype, Scan { exclusive: false, ..scan }.start());
        self.carried_loop(n, group, &[start], |lower, var, carried| {
            let at = match scan.reverse {
                true => lower.prim(Type::INDEX, Prim::Sub, &[n, var]),
                false => lower.offset(var, group),
            };
            let mut elements = lower.load_at(vector, row, vec![at]);
            let mut by = 1;
            while by < lanes {
                let shift = match scan.reverse {
                    true => Inst::Shift(elements, neutral, lanes - by),
                    false => Inst::Shift(neutral, elements, by),
                };
                let earlier = lower.push(vector, shift);
                elements = lower.running(scan, earlier, elements);
                by *= 2;
            }
            let carry = lower.push(vector, Inst::Splat(carried[0]));
            let results = lower.running(scan, carry, elements);
            lower.store_at(row, vec![at], results);
            let last = if scan.reverse { at } else { lower.offset(at, group - 1) };
            vec![lower.load_at(ty, row, vec![last])]
        });
        let shift = match (scan.exclusive, scan.reverse) {
            (false, _) => 0,
            (true, false) => -1,
            (true, true) => 1,
        };
        if scan.exclusive {
            let first = if scan.reverse { behind } else { self.index(group - 1) };
            self.store_at(row, vec![first], start);
        }
        self.lane_loop(vec![along], MAP_LANES, zero, n, |lower| {
            let at = lower.row_position(along, group + shift);
            let result = lower.load_at(ty.with_lanes(MAP_LANES), row, vec![at]);
            lower.scope.values.insert(node, result);
            lower.store_keeps_of(region, |kept| kept == node);
        });
    }

    fn scan_column(&mut self, region: &Region, along: Group, node: NodeId, scan: Scan, value: NodeId) {
        let dtype = self.graph.nodes[node].dtype;
        let ty = Type::scalar(elem(dtype)).with_lanes(self.lanes_of(node));
        let n = self.group_size(along);
        let n = self.size(&n);
        let start = self.number(ty, dtype, scan.start());
        self.carried_loop(n, 1, &[start], |lower, var, carried| {
            let at = match scan.reverse {
                true => {
                    let last = lower.offset(n, -1);
                    lower.prim(Type::INDEX, Prim::Sub, &[last, var])
                }
                false => var,
            };
            lower.scope.positions[along] = Some(at);
            lower.compute(&region.nodes);
            let element = lower.operand(value, ty.lanes);
            let next = lower.running(scan, carried[0], element);
            lower.scope.values.insert(node, if scan.exclusive { carried[0] } else { next });
            lower.store_keeps(region);
            vec![next]
        });
    }

    /// What comes before combined with what comes after it.
    fn running(&mut self, scan: Scan, before: Value, after: Value) -> Value {
        let ty = self.func.values[after];
        match scan.reduction.combine() {
            Prim::Max => {
                let larger = self.prim(ty, Prim::SelMax, &[after, before]);
                if !ty.elem.is_float() {
                    return larger;
                }
                // A NaN before stays as it is what the comparison leaves.
                let is_nan = self.prim(ty.with_elem(Elem::Bool), Prim::Ne, &[after, after]);
                self.prim(ty, Prim::Select, &[is_nan, after, larger])
            }
            combine => self.prim(ty, combine, &[before, after]),
        }
    }

    // ---- k-th largest ----

    fn kth_largest(&mut self, region: &Region, form: Form, along: Group, node: NodeId, args: [NodeId; 2]) {
        let [value, k] = args;
        let dtype = self.graph.nodes[node].dtype;
        let lanes = if form == Form::Column { self.lanes_of(value) } else { 1 };
        let key = Type { elem: if dtype == DType::F64 { Elem::I64 } else { Elem::I32 }, lanes };
        let one_key = key.with_lanes(1);
        let mut axes = vec![self.group_size(along)];
        if lanes > 1 {
            axes.push(SizeExpr::Const(i64::from(lanes)));
        }
        let keys = self.own_array(node, key.elem, axes);
        let (zero, size) = (self.index(0), self.group_size(along));
        let n = self.size(&size);
        let k = self.operand(k, 1);
        let k = self.brought_inside(k, n, one_key);
        let store_key = |lower: &mut Self, lanes: u32| {
            lower.compute(&region.nodes);
            let element = lower.operand(value, lanes);
            let element = lower.key(dtype, element);
            let at = lower.row_position(along, 0);
            let index = if form == Form::Column && lanes > 1 { vec![at, zero] } else { vec![at] };
            lower.store_at(keys, index, element);
            lower.store_keeps_of(region, |kept| kept != node);
        };
        match form {
            Form::Row => self.lane_loop(vec![along], MAP_LANES, zero, n, |lower| store_key(lower, MAP_LANES)),
            Form::Column => self.seq_loop(zero, n, |lower, var| {
                lower.scope.positions[along] = Some(var);
                store_key(lower, lanes);
            }),
        }
        let bits = i64::from(key.elem.bytes()) * 8;
        let lowest = 1u64 << (bits - 1);
        let least = self.push(key, Inst::Const(lowest));
        let bit = self.push(one_key, Inst::Const(lowest));
        let k = self.widened(k, lanes);
        let count = self.index(bits);
        let found = self.carried_loop(count, 1, &[least, bit], |lower, _, carried| {
            let bit = lower.widened(carried[1], lanes);
            let candidate = lower.prim(key, Prim::Add, &[carried[0], bit]);
            let count = lower.count_from(keys, &size, form, candidate);
            let enough = lower.prim(key.with_elem(Elem::Bool), Prim::Ge, &[count, k]);
            let next = lower.prim(key, Prim::Select, &[enough, candidate, carried[0]]);
            let one = lower.push(one_key, Inst::Const(1));
            vec![next, lower.prim(one_key, Prim::ShrU, &[carried[1], one])]
        });
        let result = self.number_of_key(dtype, found[0]);
        self.scope.values.insert(node, result);
        self.store_keeps_of(region, |kept| kept == node);
    }

    /// `k` between 1 and `n`, in the type of keys.
    fn brought_inside(&mut self, k: Value, n: Value, ty: Type) -> Value {
        let i32 = Type::scalar(Elem::I32);
        let n = self.push(i32, Inst::Convert(n));
        let one = self.push(i32, Inst::Const(1));
        let k = self.prim(i32, Prim::SelMin, &[k, n]);
        let k = self.prim(i32, Prim::SelMax, &[k, one]);
        if ty == i32 { k } else { self.push(ty, Inst::Convert(k)) }
    }

    /// How many keys are not below one.
    fn count_from(&mut self, keys: Buffer, size: &SizeExpr, form: Form, least: Value) -> Value {
        let ty = self.func.values[least];
        let lanes = Reduction::Sum.lanes() * 4 / ty.elem.bytes();
        let (order, inside) = match form {
            Form::Row => (Order::Row(lanes), ty.with_lanes(lanes)),
            Form::Column => (Order::Column, ty),
        };
        let inner = (self.func.value(Type::INDEX), self.func.size(size));
        let mut lifts = Vec::new();
        let body = self.nested(|lower| {
            let zero = lower.index(0);
            let index =
                if form == Form::Column && ty.lanes > 1 { vec![inner.0, zero] } else { vec![inner.0] };
            let element = lower.load_at(inside, keys, index);
            let least = lower.widened(least, inside.lanes);
            let counts = lower.prim(inside.with_elem(Elem::Bool), Prim::Ge, &[element, least]);
            lifts.push(Lift::Value(lower.push(inside, Inst::Convert(counts))));
        });
        let result = self.func.value(ty);
        let (outer, states, results) = (Vec::new(), vec![Reduction::Sum], vec![result]);
        self.stmts.push(Stmt::Reduce(Box::new(Reduce {
            order,
            outer,
            inner,
            states,
            body,
            lifts,
            results,
            folds: Vec::new(),
        })));
        result
    }

    /// A number as an integer, in the same order: negative floats are turned round, -0 is +0, every NaN the largest integer.
    fn key(&mut self, dtype: DType, value: Value) -> Value {
        if dtype == DType::I32 {
            return value;
        }
        let ty = self.func.values[value];
        let zero = self.push(ty, Inst::Const(0));
        let number = self.prim(ty, Prim::Add, &[value, zero]);
        let key = self.key_type(ty);
        let bits = self.push(key, Inst::Bitcast(number));
        let ordered = self.turned_below_zero(bits);
        let is_nan = self.prim(ty.with_elem(Elem::Bool), Prim::Ne, &[value, value]);
        let largest = self.largest(key);
        self.prim(key, Prim::Select, &[is_nan, largest, ordered])
    }

    /// The number of a key.
    fn number_of_key(&mut self, dtype: DType, key: Value) -> Value {
        if dtype == DType::I32 {
            return key;
        }
        let bits = self.turned_below_zero(key);
        let ty = self.func.values[key].with_elem(elem(dtype));
        self.push(ty, Inst::Bitcast(bits))
    }

    fn key_type(&self, ty: Type) -> Type {
        ty.with_elem(if ty.elem == Elem::F64 { Elem::I64 } else { Elem::I32 })
    }

    fn largest(&mut self, key: Type) -> Value {
        let bits = if key.elem == Elem::I64 { i64::MAX as u64 } else { i32::MAX as u64 };
        self.push(key, Inst::Const(bits))
    }

    /// All bits but the sign inverted where the sign is set.
    fn turned_below_zero(&mut self, bits: Value) -> Value {
        let ty = self.func.values[bits];
        let (zero, mask) = (self.push(ty, Inst::Const(0)), self.largest(ty));
        let below = self.prim(ty.with_elem(Elem::Bool), Prim::Lt, &[bits, zero]);
        let turned = self.prim(ty, Prim::IXor, &[bits, mask]);
        self.prim(ty, Prim::Select, &[below, turned, bits])
    }

    // ---- parts ----

    /// A loop from 0 below `hi` that carries values; returns what they are at the end.
    fn carried_loop(
        &mut self,
        hi: Value,
        step: i64,
        init: &[Value],
        body: impl FnOnce(&mut Self, Value, &[Value]) -> Vec<Value>,
    ) -> Vec<Value> {
        let lo = self.index(0);
        let var = self.func.value(Type::INDEX);
        let mut another = || init.iter().map(|&init| self.func.value(self.func.values[init])).collect();
        let (vars, results): (Vec<Value>, Vec<Value>) = (another(), another());
        let mut yields = Vec::new();
        let stmts = self.nested(|lower| yields = body(lower, var, &vars));
        let carry = vars.iter().zip(init).zip(&results);
        let carry = carry.map(|((&var, &init), &result)| Carry { var, init, result }).collect();
        let body = Block { stmts, yields };
        let kind = LoopKind::Seq;
        self.stmts.push(Stmt::For(Box::new(For { var, lo, hi, step, kind, unroll: 1, carry, body })));
        results
    }

    /// Memory that only this region uses.
    fn own_array(&mut self, node: NodeId, elem: Elem, axes: Vec<SizeExpr>) -> Buffer {
        let (name, kind) = (format!("row{}", node.as_u32()), BufferKind::Scratch);
        self.func.buffers.push(BufferDecl { name, kind, elem, axes, groups: Vec::new() })
    }

    /// The position along the group, so many places on.
    fn row_position(&mut self, along: Group, by: i64) -> Value {
        let at = self.scope.positions[along].expect("inside the loop along the group");
        self.offset(at, by)
    }

    fn offset(&mut self, position: Value, by: i64) -> Value {
        if by == 0 {
            return position;
        }
        let by = self.index(by);
        self.prim(Type::INDEX, Prim::Add, &[position, by])
    }

    fn own_access(&self, buffer: Buffer, index: Vec<Value>, lanes: u32) -> Access {
        let last = index.len() as u32 - 1;
        Access { buffer, index, lane_axis: (lanes > 1).then_some(last), active: None }
    }

    fn load_at(&mut self, ty: Type, buffer: Buffer, index: Vec<Value>) -> Value {
        let access = self.own_access(buffer, index, ty.lanes);
        self.push(ty, Inst::Load(access))
    }

    fn store_at(&mut self, buffer: Buffer, index: Vec<Value>, value: Value) {
        let access = self.own_access(buffer, index, self.func.values[value].lanes);
        self.stmts.push(Stmt::Store(access, value));
    }

    fn number(&mut self, ty: Type, dtype: DType, value: f64) -> Value {
        self.push(ty, Inst::Const(Constant::new(dtype, value).bits))
    }

    /// One lane in so many.
    fn widened(&mut self, value: Value, lanes: u32) -> Value {
        let ty = self.func.values[value];
        if ty.lanes == lanes { value } else { self.push(ty.with_lanes(lanes), Inst::Splat(value)) }
    }
}
