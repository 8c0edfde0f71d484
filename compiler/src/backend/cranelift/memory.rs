//! Loads and stores, also of part of a vector: memory outside of the part is never touched.

use cranelift_codegen::cursor::{Cursor, FuncCursor};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{self, InstBuilder, types};

use super::address::Address;
use super::control::{Emitter, block_args, clif_type, ins, plain};
use crate::loops::{Access, Elem, Type, Value};

impl Emitter<'_> {
    /// What memory holds, in a value of type `ty`.
    pub(super) fn load(&mut self, access: &Access, ty: Type) -> ir::Value {
        let at = self.address(access);
        let elem = self.func.buffers[access.buffer].elem;
        if ty.lanes == 1 {
            return self.load_lane(at, elem);
        }
        if !self.is_dense(access) {
            return self.load_by_lanes(access, at, elem, ty);
        }
        self.load_dense(access, at, elem, ty)
    }

    /// Lanes that are neighbours in memory.
    pub(super) fn load_dense(&mut self, access: &Access, at: Address, elem: Elem, ty: Type) -> ir::Value {
        match self.active(access, ty) {
            Active::All => self.load_whole(at, elem, ty),
            Active::Some(active) if elem.bytes() < 4 => self.load_copied(at, elem, ty, active),
            Active::Some(active) => self.load_part(at, elem, ty, active),
        }
    }

    /// Writes a value to memory.
    pub(super) fn store(&mut self, access: &Access, value: Value) {
        let ty = self.func.values[value];
        let at = self.address(access);
        let elem = self.func.buffers[access.buffer].elem;
        if ty.lanes == 1 {
            let value = self.value(value);
            match elem {
                Elem::F16 | Elem::BF16 => _ = ins!(self).istore16(plain(), value, at.base, at.offset),
                Elem::I8 | Elem::U8 => _ = ins!(self).istore8(plain(), value, at.base, at.offset),
                Elem::F32 | Elem::F64 | Elem::I32 | Elem::I64 | Elem::Bool => self.store_lane(at, value),
            }
            return;
        }
        let dense = self.is_dense(access);
        let active = self.active(access, ty);
        let value = self.value(value);
        match active {
            Active::All if dense => self.store_whole(at, value, elem, ty),
            Active::Some(active) if dense && elem.bytes() >= 4 => {
                self.store_part(at, value, elem, ty, active);
            }
            active => self.store_copied(access, at, value, ty, active),
        }
    }

    /// How many lanes take part.
    pub(super) fn active(&mut self, access: &Access, ty: Type) -> Active {
        match access.active {
            None => Active::All,
            Some(active) if self.facts.constant(active) == Some(u64::from(ty.lanes)) => Active::All,
            Some(active) => Active::Some(self.value(active)),
        }
    }

    /// Whether the lanes are neighbours in memory.
    pub(super) fn is_dense(&self, access: &Access) -> bool {
        let axis = access.lane_axis.expect("accesses of several lanes have a lane axis") as usize;
        let bytes = i64::from(self.func.buffers[access.buffer].elem.bytes());
        self.axis_scale(access.buffer, axis) == super::address::Scale::Known(bytes)
    }

    /// One element.
    pub(super) fn load_lane(&mut self, at: Address, elem: Elem) -> ir::Value {
        load_element(&mut FuncCursor::new(&mut self.clif).at_bottom(self.block), elem, at.base, at.offset)
    }

    fn store_lane(&mut self, at: Address, value: ir::Value) {
        ins!(self).store(plain(), value, at.base, at.offset);
    }

    pub(super) fn load_whole(&mut self, at: Address, elem: Elem, ty: Type) -> ir::Value {
        match (elem, ty.lanes) {
            (Elem::F16 | Elem::BF16, 4) => ins!(self).uload16x4(plain(), at.base, at.offset),
            (Elem::F16 | Elem::BF16, _) => {
                let low = self.load_low(at, types::I32);
                let halves = self.bitcast(types::I16X8, low);
                ins!(self).uwiden_low(halves)
            }
            (Elem::I8 | Elem::U8, _) => {
                let low = self.load_low(at, if ty.lanes == 4 { types::I32 } else { types::I16 });
                let bytes = self.bitcast(types::I8X16, low);
                if elem == Elem::I8 {
                    let halves = ins!(self).swiden_low(bytes);
                    return ins!(self).swiden_low(halves);
                }
                let halves = ins!(self).uwiden_low(bytes);
                ins!(self).uwiden_low(halves)
            }
            (Elem::Bool, _) => {
                let bytes = self.load_low(at, if ty.lanes == 4 { types::I32 } else { types::I16 });
                self.mask_of_bytes(bytes, ty)
            }
            (Elem::F32 | Elem::I32, 2) => {
                let low = self.load_low(at, types::F64);
                self.bitcast(clif_type(ty), low)
            }
            _ => ins!(self).load(clif_type(ty), plain(), at.base, at.offset),
        }
    }

    fn store_whole(&mut self, at: Address, value: ir::Value, elem: Elem, ty: Type) {
        match (elem, ty.lanes) {
            // Nothing saturates: what is stored is in the range of the type.
            (Elem::F16 | Elem::BF16, lanes) => {
                let halves = ins!(self).unarrow(value, value);
                let words = if lanes == 4 { types::F64X2 } else { types::F32X4 };
                self.store_low(at, halves, words, 0);
            }
            (Elem::I8 | Elem::U8, lanes) => {
                let halves = ins!(self).snarrow(value, value);
                let bytes = if elem == Elem::I8 {
                    ins!(self).snarrow(halves, halves)
                } else {
                    ins!(self).unarrow(halves, halves)
                };
                let words = self.bitcast(types::I32X4, bytes);
                let low = ins!(self).extractlane(words, 0);
                let low = if lanes == 4 { low } else { ins!(self).ireduce(types::I16, low) };
                self.store_lane(at, low);
            }
            (Elem::Bool, _) => {
                let bytes = self.bytes_of_mask(value, ty);
                let low = ins!(self).extractlane(bytes, 0);
                let low = if ty.lanes == 4 { low } else { ins!(self).ireduce(types::I16, low) };
                self.store_lane(at, low);
            }
            (Elem::F32 | Elem::I32, 2) => self.store_low(at, value, types::F64X2, 0),
            _ => self.store_lane(at, value),
        }
    }

    /// A number in lane 0 of a vector, zeros in the others.
    fn load_low(&mut self, at: Address, ty: ir::Type) -> ir::Value {
        let vector = match ty {
            types::F64 => types::F64X2,
            types::I16 => {
                let low = ins!(self).uload16(types::I32, plain(), at.base, at.offset);
                return ins!(self).scalar_to_vector(types::I32X4, low);
            }
            _ => ty.by(4).expect("four words are a vector"),
        };
        let low = ins!(self).load(ty, plain(), at.base, at.offset);
        ins!(self).scalar_to_vector(vector, low)
    }

    /// Writes one lane of a value seen as `vector`.
    fn store_low(&mut self, at: Address, value: ir::Value, vector: ir::Type, lane: u8) {
        let value = self.bitcast(vector, value);
        let low = ins!(self).extractlane(value, lane);
        self.store_lane(at, low);
    }

    /// The low bytes of a vector as masks.
    fn mask_of_bytes(&mut self, vector: ir::Value, ty: Type) -> ir::Value {
        let bytes = self.bitcast(types::I8X16, vector);
        let zero = self.constant(Type { elem: Elem::I32, lanes: 4 }, 0);
        let zero = self.bitcast(types::I8X16, zero);
        let mut mask = ins!(self).icmp(IntCC::NotEqual, bytes, zero);
        while self.clif.dfg.value_type(mask) != clif_type(ty) {
            mask = ins!(self).swiden_low(mask);
        }
        mask
    }

    /// Masks as zeros and ones in the low bytes of a vector of words.
    fn bytes_of_mask(&mut self, mask: ir::Value, ty: Type) -> ir::Value {
        let words = self.bitcast(types::I32X4, mask);
        let words = if ty.lanes == 2 { self.shuffle_pairs(words) } else { words };
        let halves = ins!(self).snarrow(words, words);
        let bytes = ins!(self).snarrow(halves, halves);
        let one = self.constant(Type { elem: Elem::I32, lanes: 4 }, 0x0101_0101);
        let bytes = self.bitcast(types::I32X4, bytes);
        ins!(self).band(bytes, one)
    }

    /// The first `active` lanes, zeros in the others.
    fn load_part(&mut self, at: Address, elem: Elem, ty: Type, active: ir::Value) -> ir::Value {
        let vector = clif_type(ty);
        let done = self.clif.dfg.make_block();
        let result = self.clif.dfg.append_block_param(done, vector);
        self.branch_if(active, i64::from(ty.lanes));
        let whole = self.load_whole(at, elem, ty);
        self.jump_on(done, whole);
        if ty.lanes == 4 {
            self.branch_if(active, 1);
        }
        if ty.lanes == 4 {
            let one = self.load_low(at, types::F32);
            let one = self.bitcast(vector, one);
            self.jump_on(done, one);
            let two = self.load_low(at, types::F64);
            let two = self.bitcast(types::F32X4, two);
            self.branch_if(active, 2);
            let result = self.bitcast(vector, two);
            self.jump_on(done, result);
            let third = at.plus(8);
            let third = ins!(self).load(types::F32, plain(), third.base, third.offset);
            let three = ins!(self).insertlane(two, third, 2);
            let three = self.bitcast(vector, three);
            self.jump_to(done, three);
        } else {
            let one = self.load_low(at, if ty.elem.bytes() == 4 { types::F32 } else { types::F64 });
            let one = self.bitcast(vector, one);
            self.jump_to(done, one);
        }
        self.start(done);
        result
    }

    /// Writes the first `active` lanes.
    fn store_part(&mut self, at: Address, value: ir::Value, elem: Elem, ty: Type, active: ir::Value) {
        let done = self.clif.dfg.make_block();
        self.branch_if(active, i64::from(ty.lanes));
        self.store_whole(at, value, elem, ty);
        self.end_part(done);
        let low = if ty.elem.bytes() == 4 { types::F32X4 } else { types::F64X2 };
        if ty.lanes == 4 {
            self.branch_if(active, 1);
            self.store_low(at, value, low, 0);
            self.end_part(done);
            self.store_low(at, value, types::F64X2, 0);
            self.branch_if(active, 2);
            self.end_part(done);
            self.store_low(at.plus(8), value, low, 2);
        } else {
            self.store_low(at, value, low, 0);
        }
        ins!(self).jump(done, &[]);
        self.start(done);
    }

    /// Goes on where `active == count`; [`Emitter::jump_on`] or [`Emitter::end_part`] goes to where it isn't.
    fn branch_if(&mut self, active: ir::Value, count: i64) {
        let (then, otherwise) = (self.clif.dfg.make_block(), self.clif.dfg.make_block());
        let equal = ins!(self).icmp_imm_s(IntCC::Equal, active, count);
        ins!(self).brif(equal, then, &[], otherwise, &[]);
        self.pending.push(otherwise);
        self.start(then);
    }

    fn jump_to(&mut self, done: ir::Block, value: ir::Value) {
        ins!(self).jump(done, &block_args(&[value]));
    }

    fn jump_on(&mut self, done: ir::Block, value: ir::Value) {
        self.jump_to(done, value);
        let otherwise = self.pending.pop().expect("a branch was made");
        self.start(otherwise);
    }

    fn end_part(&mut self, done: ir::Block) {
        ins!(self).jump(done, &[]);
        let otherwise = self.pending.pop().expect("a branch was made");
        self.start(otherwise);
    }

    /// Lanes that are apart in memory.
    fn load_by_lanes(&mut self, access: &Access, at: Address, elem: Elem, ty: Type) -> ir::Value {
        let step = self.lane_step(access);
        match self.active(access, ty) {
            Active::Some(active) => self.load_copied_by(at, elem, ty, (active, step)),
            Active::All => {
                let count = ins!(self).iconst(types::I64, i64::from(ty.lanes));
                self.load_copied_by(at, elem, ty, (count, step))
            }
        }
    }

    /// Bytes from lane to lane.
    pub(super) fn lane_step(&mut self, access: &Access) -> ir::Value {
        let axis = access.lane_axis.expect("accesses of several lanes have a lane axis") as usize;
        let scale = self.axis_scale(access.buffer, axis);
        self.scale(scale)
    }

    fn load_copied(&mut self, at: Address, elem: Elem, ty: Type, active: ir::Value) -> ir::Value {
        let step = ins!(self).iconst(types::I64, i64::from(elem.bytes()));
        self.load_copied_by(at, elem, ty, (active, step))
    }

    /// Copies the active lanes to the stack, one after another, and loads them from there.
    pub(super) fn load_copied_by(
        &mut self,
        at: Address,
        elem: Elem,
        ty: Type,
        (active, step): (ir::Value, ir::Value),
    ) -> ir::Value {
        let slot = self.spare_slot();
        let zero = self.constant(Type { elem: Elem::I32, lanes: 4 }, 0);
        let spare = ins!(self).stack_addr(types::I64, slot, 0);
        ins!(self).store(plain(), zero, spare, 0);
        let from = ins!(self).iadd_imm_s(at.base, i64::from(at.offset));
        let width = ins!(self).iconst(types::I64, i64::from(elem.bytes()));
        self.copy_lanes(elem, active, (from, step), (spare, width));
        self.load_whole(Address { base: spare, offset: 0 }, elem, ty)
    }

    /// Stores the lanes to the stack and copies the active ones from there, one after another.
    fn store_copied(&mut self, access: &Access, at: Address, value: ir::Value, ty: Type, active: Active) {
        let slot = self.spare_slot();
        let elem = self.func.buffers[access.buffer].elem;
        let spare = ins!(self).stack_addr(types::I64, slot, 0);
        self.store_whole(Address { base: spare, offset: 0 }, value, elem, ty);
        let step = self.lane_step(access);
        let to = ins!(self).iadd_imm_s(at.base, i64::from(at.offset));
        let width = ins!(self).iconst(types::I64, i64::from(elem.bytes()));
        let active = match active {
            Active::Some(active) => active,
            Active::All => ins!(self).iconst(types::I64, i64::from(ty.lanes)),
        };
        self.copy_lanes(elem, active, (spare, width), (to, step));
    }

    /// Copies `count` elements (at least one) from one place and step to another.
    fn copy_lanes(
        &mut self,
        elem: Elem,
        count: ir::Value,
        (from, from_step): (ir::Value, ir::Value),
        (to, to_step): (ir::Value, ir::Value),
    ) {
        let body = self.clif.dfg.make_block();
        let done = self.clif.dfg.make_block();
        ins!(self).jump(body, &block_args(&[from, to, count]));
        let [from, to, left] = [(); 3].map(|()| self.clif.dfg.append_block_param(body, types::I64));
        self.start(body);
        let ty = match elem.bytes() {
            1 => types::I8,
            2 => types::I16,
            4 => types::I32,
            _ => types::I64,
        };
        let element = ins!(self).load(ty, plain(), from, 0);
        ins!(self).store(plain(), element, to, 0);
        let from = ins!(self).iadd(from, from_step);
        let to = ins!(self).iadd(to, to_step);
        let left = ins!(self).iadd_imm_s(left, -1);
        ins!(self).brif(left, body, &block_args(&[from, to, left]), done, &[]);
        self.start(done);
    }

    pub(super) fn spare_slot(&mut self) -> ir::StackSlot {
        if let Some(slot) = self.spare {
            return slot;
        }
        let slot = self.make_slot(16);
        self.spare = Some(slot);
        slot
    }
}

/// One element, as the value that a load gives.
pub(super) fn load_element(at: &mut FuncCursor<'_>, elem: Elem, base: ir::Value, offset: i32) -> ir::Value {
    match elem {
        Elem::F16 | Elem::BF16 => at.ins().uload16(types::I32, plain(), base, offset),
        Elem::I8 => at.ins().sload8(types::I32, plain(), base, offset),
        Elem::U8 => at.ins().uload8(types::I32, plain(), base, offset),
        // In memory anything but zero is true.
        Elem::Bool => {
            let value = at.ins().load(types::I8, plain(), base, offset);
            at.ins().icmp_imm_s(IntCC::NotEqual, value, 0)
        }
        Elem::F32 | Elem::F64 | Elem::I32 | Elem::I64 => {
            at.ins().load(clif_type(Type::scalar(elem)), plain(), base, offset)
        }
    }
}

/// How many lanes of an access take part.
#[derive(Clone, Copy)]
pub(super) enum Active {
    All,
    Some(ir::Value),
}
