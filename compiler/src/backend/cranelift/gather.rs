//! Loads at computed positions. A lane whose position lies outside of an axis takes its element from some zeros on the
//! stack instead, so that nothing outside of the array is read and no branch is needed. Lanes that are known to be neighbours in
//! memory, as those of `x[t = index(t) - 1]` are, are loaded at once where all of them lie inside.

use cranelift_codegen::cursor::{Cursor, FuncCursor};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{self, InstBuilder, types};

use super::super::layout::Number;
use super::address::{Address, Scale};
use super::control::{Emitter, Key, block_args, clif_type, ins, plain};
use super::memory::Active;
use crate::loops::{Access, Elem, Type, Value};
use crate::types::SizeExpr;

/// Bytes of zeros: those of a vector.
const ZEROS: u32 = 16;

/// An axis that is gathered along.
#[derive(Clone, Copy)]
struct Along {
    axis: usize,
    position: Value,
    lanes: u32,
}

impl Emitter<'_> {
    /// What memory holds at computed positions.
    pub(super) fn gather(&mut self, access: &Access, ty: Type) -> ir::Value {
        let at = self.address(access);
        let base =
            if at.offset == 0 { at.base } else { ins!(self).iadd_imm_s(at.base, i64::from(at.offset)) };
        let positions = access.index.iter().enumerate().map(|(axis, &position)| {
            let Type { elem, lanes } = self.func.values[position];
            (elem, Along { axis, position, lanes })
        });
        let along: Vec<Along> =
            positions.filter(|(elem, _)| *elem == Elem::I32).map(|(_, along)| along).collect();
        if along.iter().all(|along| along.lanes == 1) {
            return self.gather_together(access, base, &along, ty);
        }
        if self.is_shifted(access, &along) {
            return self.gather_shifted(access, base, &along, ty);
        }
        self.gather_apart(access, base, &along, ty)
    }

    /// One lane after another.
    fn gather_apart(&mut self, access: &Access, base: ir::Value, along: &[Along], ty: Type) -> ir::Value {
        let step = access.lane_axis.map(|_| self.lane_step(access));
        let active = self.active(access, ty);
        let mut lanes = Vec::new();
        for lane in 0..ty.lanes as u8 {
            let (place, mut inside) = self.place_in(access, base, along, lane);
            let place = match step {
                Some(step) if lane > 0 => {
                    let further = ins!(self).imul_imm_s(step, i64::from(lane));
                    ins!(self).iadd(place, further)
                }
                Some(_) | None => place,
            };
            if let Active::Some(active) = active {
                let takes_part = ins!(self).icmp_imm_s(IntCC::SignedGreaterThan, active, i64::from(lane));
                inside = ins!(self).band(inside, takes_part);
            }
            lanes.push(self.or_zeros(inside, place));
        }
        self.load_lanes(&lanes, self.func.buffers[access.buffer].elem, ty)
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
    fn gather_shifted(&mut self, access: &Access, base: ir::Value, along: &[Along], ty: Type) -> ir::Value {
        let (apart, common): (Vec<Along>, Vec<Along>) = along.iter().partition(|along| along.lanes > 1);
        let elem = self.func.buffers[access.buffer].elem;
        // What both ways need is made before they part.
        self.zeros();
        let (mut place, mut all_inside) = match common.is_empty() {
            true => (base, None),
            false => {
                let (place, inside) = self.place_in(access, base, &common, 0);
                (place, Some(inside))
            }
        };
        let mut tests = Vec::new();
        for &Along { axis, position, .. } in &apart {
            let first = self.value(position);
            let first = ins!(self).extractlane(first, 0);
            // A negative position becomes one that no axis has; so no lane goes over the end of the integers either.
            let first = ins!(self).uextend(types::I64, first);
            let end = ins!(self).iadd_imm_s(first, i64::from(ty.lanes));
            let size = self.number(self.extent(access, axis));
            tests.push(ins!(self).icmp(IntCC::SignedLessThanOrEqual, end, size));
            let bytes = ins!(self).imul_imm_s(first, i64::from(elem.bytes()));
            place = ins!(self).iadd(place, bytes);
        }
        if let Active::Some(active) = self.active(access, ty) {
            tests.push(ins!(self).icmp_imm_s(IntCC::Equal, active, i64::from(ty.lanes)));
        }
        for test in tests {
            all_inside = Some(match all_inside {
                Some(others) => ins!(self).band(others, test),
                None => test,
            });
        }
        let all_inside = all_inside.expect("a gather has a computed position");
        let [inside, border, done] = [(); 3].map(|()| self.clif.dfg.make_block());
        let result = self.clif.dfg.append_block_param(done, clif_type(ty));
        ins!(self).brif(all_inside, inside, &[], border, &[]);
        self.start(inside);
        let whole = self.load_whole(Address { base: place, offset: 0 }, elem, ty);
        ins!(self).jump(done, &block_args(&[whole]));
        self.start(border);
        let lanes = self.gather_apart(access, base, along, ty);
        ins!(self).jump(done, &block_args(&[lanes]));
        self.start(done);
        result
    }

    /// Lanes that have their positions in common: a load, or zeros.
    fn gather_together(&mut self, access: &Access, base: ir::Value, along: &[Along], ty: Type) -> ir::Value {
        let (place, inside) = self.place_in(access, base, along, 0);
        let elem = self.func.buffers[access.buffer].elem;
        let at = Address { base: self.or_zeros(inside, place), offset: 0 };
        if ty.lanes == 1 {
            return self.load_lane(at, elem);
        }
        if self.is_dense(access) {
            return self.load_dense(access, at, elem, ty);
        }
        let (step, zero) = (self.lane_step(access), ins!(self).iconst(types::I64, 0));
        let step = ins!(self).select(inside, step, zero);
        let count = match self.active(access, ty) {
            Active::Some(active) => active,
            Active::All => ins!(self).iconst(types::I64, i64::from(ty.lanes)),
        };
        self.load_copied_by(at, elem, ty, (count, step))
    }

    /// Where the element of a lane is, and whether its positions are inside of their axes.
    fn place_in(
        &mut self,
        access: &Access,
        base: ir::Value,
        along: &[Along],
        lane: u8,
    ) -> (ir::Value, ir::Value) {
        let (mut place, mut all_inside) = (base, None);
        for &Along { axis, position, lanes } in along {
            let mut position = self.value(position);
            if lanes > 1 {
                position = ins!(self).extractlane(position, lane);
            }
            // A negative position becomes one that no axis has.
            let position = ins!(self).uextend(types::I64, position);
            let size = self.number(self.extent(access, axis));
            let inside = ins!(self).icmp(IntCC::UnsignedLessThan, position, size);
            let bytes = self.axis_scale(access.buffer, axis);
            let bytes = self.scale(bytes);
            let further = ins!(self).imul(position, bytes);
            place = ins!(self).iadd(place, further);
            all_inside = Some(match all_inside {
                Some(others) => ins!(self).band(others, inside),
                None => inside,
            });
        }
        (place, all_inside.expect("a gather has a computed position"))
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

    /// An address, or that of zeros.
    fn or_zeros(&mut self, inside: ir::Value, place: ir::Value) -> ir::Value {
        let zeros = self.zeros();
        ins!(self).select(inside, place, zeros)
    }

    /// The address of zeros.
    fn zeros(&mut self) -> ir::Value {
        self.cached(0, Key::Zeros, |emitter, depth| {
            let slot = emitter.make_slot(ZEROS);
            let zeros = emitter.at(depth).ins().stack_addr(types::I64, slot, 0);
            let zero = emitter.at(depth).ins().iconst(types::I64, 0);
            for half in 0..ZEROS as i32 / 8 {
                emitter.at(depth).ins().store(plain(), zero, zeros, 8 * half);
            }
            zeros
        })
    }

    /// One element from each address.
    fn load_lanes(&mut self, places: &[ir::Value], elem: Elem, ty: Type) -> ir::Value {
        if ty.elem == Elem::Bool {
            let slot = self.spare_slot();
            let spare = ins!(self).stack_addr(types::I64, slot, 0);
            for (lane, &place) in places.iter().enumerate() {
                let byte = ins!(self).load(types::I8, plain(), place, 0);
                ins!(self).store(plain(), byte, spare, lane as i32);
            }
            return self.load_whole(Address { base: spare, offset: 0 }, elem, ty);
        }
        let vector = clif_type(ty);
        let mut result = None;
        for (lane, &place) in places.iter().enumerate() {
            let element = self.load_lane(Address { base: place, offset: 0 }, elem);
            result = Some(match result {
                None => ins!(self).scalar_to_vector(vector, element),
                Some(lanes) => ins!(self).insertlane(lanes, element, lane as u8),
            });
        }
        result.expect("a vector has lanes")
    }
}
