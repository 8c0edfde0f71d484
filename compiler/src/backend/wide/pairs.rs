//! Arrays of pairs: complex numbers, the halves of a gate that alternate, `(d k=2)` in general. One half of eight neighbouring pairs is
//! taken from, or put into, two whole vectors.
//!
//! Needs accesses whose lanes lie along the axis before the last, and a last axis of size 2 with a known position. How far
//! the pairs are apart is known at the call only: where they are no neighbours, each lane is accessed by itself.

use iced_x86::Code;

use super::codes::{self, Shape};
use super::control::Emitter;
use super::memory::Active;
use super::vcode::{Mem, Operand, Reg, Size};
use crate::loops::{Access, Elem, Inst, Stmt, Type, Value};
use crate::types::SizeExpr;

/// Elements of a pair.
const PAIR: i64 = 2;

impl Emitter<'_> {
    /// Which half of pairs an access of a whole vector is to, if it is to one.
    pub(super) fn of_pair(&self, access: &Access, ty: Type) -> Option<i64> {
        let decl = &self.func.buffers[access.buffer];
        let before_last = decl.axes.len().checked_sub(2)? as u32;
        let last = self.facts.constant(*access.index.last()?)? as i64;
        let fits = matches!(decl.elem, Elem::F32 | Elem::I32)
            && decl.elem == ty.elem
            && access.lane_axis == Some(before_last)
            && decl.axes.last() == Some(&SizeExpr::Const(PAIR))
            && (0..PAIR).contains(&last)
            && matches!(self.active(access, ty), Active::All);
        (fits && !self.is_dense(access)).then_some(last)
    }

    /// A half of eight pairs, the first of which is at `at`.
    pub(super) fn load_half(&mut self, at: Mem, half: i64, step: Reg, elem: Elem, ty: Type) -> Reg {
        let bytes = i64::from(elem.bytes());
        let pairs = at.plus(-(half * bytes) as i32);
        let loaded = self.if_equal(
            step,
            PAIR * bytes,
            &[ty],
            |emitter| {
                let first = emitter.make(codes::load(Shape::Yps), Size::Y, &[Operand::Mem(pairs)]);
                let picked = Operand::Imm(if half == 0 { 0b10_00_10_00 } else { 0b11_01_11_01 });
                let operands = [Operand::Use(first, Size::Y), Operand::Mem(pairs.plus(32)), picked];
                let halves = emitter.make(Code::VEX_Vshufps_ymm_ymm_ymmm256_imm8, Size::Y, &operands);
                let operands = [Operand::Use(halves, Size::Y), Operand::Imm(0b11_01_10_00)];
                vec![emitter.make(Code::VEX_Vpermpd_ymm_ymmm256_imm8, Size::Y, &operands)]
            },
            |emitter| vec![emitter.load_lanes(at, elem, ty, step)],
        );
        loaded[0]
    }

    /// The store among those that follow that writes the other halves of the same pairs, if nothing is read before it.
    pub(super) fn other_half(&self, access: &Access, value: Value, after: &[Stmt]) -> Option<usize> {
        let half = self.of_pair(access, self.func.values[value])?;
        let positions = |access: &Access| access.index[..access.index.len() - 1].to_vec();
        for (number, stmt) in after.iter().enumerate() {
            match stmt {
                Stmt::Let(_, Inst::Load(_) | Inst::Gather(_)) => return None,
                Stmt::Let(..) => {}
                Stmt::Store(other, value) => {
                    let same = other.buffer == access.buffer && positions(other) == positions(access);
                    if same {
                        let other = self.of_pair(other, self.func.values[*value]);
                        return (other == Some(1 - half)).then_some(number);
                    }
                }
                Stmt::For(_) | Stmt::If(_) | Stmt::Reduce(_) => return None,
            }
        }
        None
    }

    /// Writes both halves of eight pairs.
    pub(super) fn store_pairs(&mut self, mut stores: [(&Access, Value); 2]) {
        let ty = self.func.values[stores[0].1];
        stores.sort_by_key(|(access, _)| self.of_pair(access, ty));
        let elem = self.func.buffers[stores[0].0.buffer].elem;
        let places = stores.map(|(access, _)| self.address(access));
        let values = stores.map(|(_, value)| self.reg(value));
        self.before_store();
        let step = self.lane_step(stores[0].0);
        self.if_equal(
            step,
            PAIR * i64::from(elem.bytes()),
            &[],
            |emitter| {
                let both = values.map(|value| Operand::Use(value, Size::Y));
                let low = emitter.make(Code::VEX_Vunpcklps_ymm_ymm_ymmm256, Size::Y, &both);
                let high = emitter.make(Code::VEX_Vunpckhps_ymm_ymm_ymmm256, Size::Y, &both);
                for (number, picked) in [0x20, 0x31].into_iter().enumerate() {
                    let operands =
                        [Operand::Use(low, Size::Y), Operand::Use(high, Size::Y), Operand::Imm(picked)];
                    let code = Code::VEX_Vperm2f128_ymm_ymm_ymmm256_imm8;
                    let pairs = emitter.make(code, Size::Y, &operands);
                    let to = Operand::Mem(places[0].plus(32 * number as i32));
                    emitter.op(codes::store(Shape::Yps), &[to, Operand::Use(pairs, Size::Y)]);
                }
                Vec::new()
            },
            |emitter| {
                for (at, value) in places.into_iter().zip(values) {
                    let count = emitter.integer(i64::from(ty.lanes));
                    emitter.store_copied(at, value, elem, ty, (count, step));
                }
                Vec::new()
            },
        );
    }
}
