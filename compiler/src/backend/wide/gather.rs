//! Loads at computed positions. A lane whose position lies outside of an axis takes its element from some zeros on the
//! stack instead, so that nothing outside of the array is read and no branch is needed. Lanes that are known to be neighbours in
//! memory, as those of `x[t = index(t) - 1]` are, are loaded at once where all of them lie inside.

use iced_x86::Code;

use super::super::layout::Number;
use super::address::Scale;
use super::codes::Cond;
use super::control::{Emitter, Key};
use super::memory::Active;
use super::vcode::{Base, Mem, Operand, Reg, Size};
use crate::loops::{Access, Elem, Type, Value};
use crate::types::SizeExpr;

/// An axis that is gathered along.
#[derive(Clone, Copy)]
struct Along {
    axis: usize,
    position: Value,
    lanes: u32,
}

impl Emitter<'_> {
    /// What memory holds at computed positions.
    pub(super) fn gather(&mut self, access: &Access, ty: Type) -> Reg {
        let at = self.address(access);
        let base = self.address_register(at);
        let positions = access.index.iter().enumerate().map(|(axis, &position)| {
            let Type { elem, lanes } = self.func.values[position];
            (elem, Along { axis, position, lanes })
        });
        let along: Vec<Along> =
            positions.filter(|(elem, _)| *elem == Elem::I32).map(|(_, along)| along).collect();
        let positions: Vec<Reg> = along.iter().map(|along| self.reg(along.position)).collect();
        if along.iter().all(|along| along.lanes == 1) {
            return self.gather_together(access, base, &along, &positions, ty);
        }
        if self.is_shifted(access, &along) {
            return self.gather_shifted(access, base, &along, &positions, ty);
        }
        self.gather_apart(access, base, &along, &positions, ty)
    }

    /// One lane after another.
    fn gather_apart(
        &mut self,
        access: &Access,
        base: Reg,
        along: &[Along],
        positions: &[Reg],
        ty: Type,
    ) -> Reg {
        let elem = self.func.buffers[access.buffer].elem;
        let step = access.lane_axis.map(|_| self.lane_step(access));
        let active = match self.active(access, ty) {
            Active::All => None,
            Active::Some(active) => Some(self.reg(active)),
        };
        let mut lanes = Vec::new();
        let mut lane_base = base;
        for lane in 0..ty.lanes {
            if let Some(step) = step
                && lane > 0
            {
                lane_base = self.lea(Mem { base: Base::Reg(lane_base), index: Some((step, 1)), disp: 0 });
            }
            let single = self.positions_of(along, positions, lane);
            let mut place = self.place_in(access, lane_base, along, &single);
            if let Some(active) = active {
                let zeros = self.gather_zeros();
                let number = [Operand::Use(active, Size::Q), Operand::Imm(i64::from(lane))];
                self.op(Code::Cmp_rm64_imm8, &number);
                place = self.choose(Cond::Gt, place, zeros, true);
            }
            lanes.push(self.load_general(Mem::at(Base::Reg(place)), elem.bytes()));
        }
        self.join(&lanes, elem, ty)
    }

    /// Whether the lanes are known to be neighbours in memory: their positions differ along one axis only, where they follow each
    /// other.
    fn is_shifted(&self, access: &Access, along: &[Along]) -> bool {
        let mut apart = along.iter().filter(|along| along.lanes > 1);
        let (Some(one), None) = (apart.next(), apart.next()) else { return false };
        let elem = self.func.buffers[access.buffer].elem;
        access.lane_axis.is_none()
            && elem != Elem::Bool
            && self.axis_scale(access.buffer, one.axis) == Scale::Known(i64::from(elem.bytes()))
            && self.facts.is_consecutive(one.position)
    }

    /// Lanes that are neighbours in memory: at once if all lie inside and take part.
    fn gather_shifted(
        &mut self,
        access: &Access,
        base: Reg,
        along: &[Along],
        positions: &[Reg],
        ty: Type,
    ) -> Reg {
        let elem = self.func.buffers[access.buffer].elem;
        // What both ways need is made before they part.
        self.gather_zeros();
        let mut place = base;
        let mut tests = Vec::new();
        for (along, &position) in along.iter().zip(positions) {
            let size = self.number(self.extent(access, along.axis));
            let bytes = self.axis_scale(access.buffer, along.axis);
            let bytes = self.scale(bytes);
            // A negative position becomes one that no axis has; so no lane goes over the end of the integers either.
            let first = match along.lanes {
                1 => self.make_general(Code::Mov_r32_rm32, Size::D, &[Operand::Use(position, Size::D)]),
                _ => self.low_double(position),
            };
            let last = self.lea(Mem { base: Base::Reg(first), index: None, disp: along.lanes as i32 - 1 });
            self.op(Code::Cmp_r64_rm64, &[Operand::Use(last, Size::Q), Operand::Use(size, Size::Q)]);
            tests.push(self.bool_of(Cond::Lt));
            let further = self.product(first, bytes);
            place = self.lea(Mem { base: Base::Reg(place), index: Some((further, 1)), disp: 0 });
        }
        if let Active::Some(active) = self.active(access, ty) {
            let active = self.reg(active);
            let all = [Operand::Use(active, Size::Q), Operand::Imm(i64::from(ty.lanes))];
            self.op(Code::Cmp_rm64_imm8, &all);
            tests.push(self.bool_of(Cond::Eq));
        }
        let and = |emitter: &mut Self, a, b| {
            emitter.change(Code::And_r32_rm32, Size::D, a, &[Operand::Use(b, Size::D)])
        };
        let all_inside = tests.into_iter().reduce(|a, b| and(self, a, b)).expect("a gather has a position");
        self.either(
            all_inside,
            ty,
            |emitter| emitter.load_whole(Mem::at(Base::Reg(place)), elem, ty),
            |emitter| emitter.gather_apart(access, base, along, positions, ty),
        )
    }

    /// Lanes that have their positions in common: a load, or zeros.
    fn gather_together(
        &mut self,
        access: &Access,
        base: Reg,
        along: &[Along],
        positions: &[Reg],
        ty: Type,
    ) -> Reg {
        let place = self.place_in(access, base, along, positions);
        let elem = self.func.buffers[access.buffer].elem;
        let at = Mem::at(Base::Reg(place));
        if ty.lanes == 1 {
            return self.load_element(at, elem);
        }
        let step = self.lane_step(access);
        let active = self.active(access, ty);
        if let (Active::All, true) = (active, self.is_dense(access)) {
            return self.load_whole(at, elem, ty);
        }
        // The zeros are as dense as a vector.
        let (zeros, zero) = (self.gather_zeros(), self.integer(0));
        self.op(Code::Cmp_r64_rm64, &[Operand::Use(place, Size::Q), Operand::Use(zeros, Size::Q)]);
        let step = self.choose(Cond::Eq, zero, step, true);
        let count = match active {
            Active::Some(active) => self.reg(active),
            Active::All => self.integer(i64::from(ty.lanes)),
        };
        self.load_copied(at, elem, ty, (count, step))
    }

    /// The positions of one lane.
    fn positions_of(&mut self, along: &[Along], positions: &[Reg], lane: u32) -> Vec<Reg> {
        let mut single = Vec::new();
        for (along, &position) in along.iter().zip(positions) {
            if along.lanes == 1 {
                single.push(position);
                continue;
            }
            let half = if lane < 4 { position } else { self.upper_half(position) };
            let operands = [Operand::Use(half, Size::X), Operand::Imm(i64::from(lane % 4))];
            single.push(self.make_general(Code::VEX_Vpextrd_rm32_xmm_imm8, Size::D, &operands));
        }
        single
    }

    /// Where the element of a lane is; that of some zeros where its positions are not inside of their axes.
    fn place_in(&mut self, access: &Access, base: Reg, along: &[Along], positions: &[Reg]) -> Reg {
        let mut place = base;
        let mut extended = Vec::new();
        for (along, &position) in along.iter().zip(positions) {
            // A negative position becomes one that no axis has.
            let position = self.make_general(Code::Mov_r32_rm32, Size::D, &[Operand::Use(position, Size::D)]);
            let bytes = self.axis_scale(access.buffer, along.axis);
            let bytes = self.scale(bytes);
            let further = self.product(position, bytes);
            place = self.lea(Mem { base: Base::Reg(place), index: Some((further, 1)), disp: 0 });
            extended.push(position);
        }
        let zeros = self.gather_zeros();
        for (along, position) in along.iter().zip(extended) {
            let size = self.number(self.extent(access, along.axis));
            self.op(Code::Cmp_r64_rm64, &[Operand::Use(position, Size::Q), Operand::Use(size, Size::Q)]);
            place = self.choose(Cond::Below, place, zeros, true);
        }
        place
    }

    /// The size of an axis.
    fn extent(&self, access: &Access, axis: usize) -> Number {
        match &self.func.buffers[access.buffer].axes[axis] {
            SizeExpr::Const(size) => Number::Known(*size),
            size => {
                let known = self.func.sizes.iter().find(|(_, known)| *known == size);
                self.layout.size(known.expect("the size of an axis that is gathered along is listed").0)
            }
        }
    }

    /// The address of some zeros.
    fn gather_zeros(&mut self) -> Reg {
        self.cached(0, Key::Zeros, |emitter| {
            let slot = Mem::at(Base::Slot(emitter.make_slot(32)));
            let zero = emitter.load_constant([0; 16]);
            emitter.op(Code::VEX_Vmovups_ymmm256_ymm, &[Operand::Mem(slot), Operand::Use(zero, Size::Y)]);
            emitter.lea(slot)
        })
    }
}
