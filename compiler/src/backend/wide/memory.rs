//! Loads and stores, also of part of a vector: memory outside of the part is never touched. Elements of 4 and 8 bytes have
//! instructions for it; shorter ones are copied one by one.

use iced_x86::Code;

use super::codes::{self, Int, Shape};
use super::control::{Emitter, Key, in_vector};
use super::insts::{shape, size};
use super::vcode::{Base, Mem, Operand, Reg, Size};
use crate::loops::{Access, Elem, Type, Value};

/// How many lanes of an access take part.
#[derive(Clone, Copy)]
pub(super) enum Active {
    /// All.
    All,
    /// The first, as many as the value says.
    Some(Value),
}

impl Emitter<'_> {
    /// Whether a load is one instruction that gives the value as it is in memory.
    pub(super) fn is_plain_load(&self, value: Value, access: &Access) -> bool {
        let ty = self.func.values[value];
        let elem = self.func.buffers[access.buffer].elem;
        let whole = elem == ty.elem && elem != Elem::Bool;
        whole && (ty.lanes == 1 || access.active.is_none() && self.is_dense(access))
    }

    /// Loads a value for which [`Emitter::is_plain_load`] holds.
    pub(super) fn load_now(&mut self, value: Value, mem: Mem) -> Reg {
        let ty = self.func.values[value];
        if in_vector(ty) {
            let shape = shape(ty);
            return self.make(codes::load(shape), size(shape), &[Operand::Mem(mem)]);
        }
        self.load_element(mem, ty.elem)
    }

    /// What memory holds, in a value of type `ty`.
    pub(super) fn load(&mut self, access: &Access, ty: Type) -> Reg {
        let at = self.address(access);
        let elem = self.func.buffers[access.buffer].elem;
        if ty.lanes == 1 {
            return self.load_element(at, elem);
        }
        let active = self.active(access, ty);
        match active {
            _ if !self.is_dense(access) => self.load_apart(access, at, ty, active),
            Active::All => self.load_whole(at, elem, ty),
            Active::Some(active) if elem.bytes() >= 4 => {
                let mask = self.lane_mask(active, ty);
                let code = match shape(ty) {
                    Shape::Ypd => Code::VEX_Vmaskmovpd_ymm_ymm_m256,
                    _ => Code::VEX_Vmaskmovps_ymm_ymm_m256,
                };
                self.make(code, Size::Y, &[Operand::Use(mask, Size::Y), Operand::Mem(at)])
            }
            Active::Some(active) => {
                let count = self.reg(active);
                let step = self.integer(i64::from(elem.bytes()));
                self.load_copied(at, elem, ty, (count, step))
            }
        }
    }

    /// Writes a value to memory.
    pub(super) fn store(&mut self, access: &Access, value: Value) {
        let ty = self.func.values[value];
        let elem = self.func.buffers[access.buffer].elem;
        let at = self.address(access);
        let value = self.reg(value);
        self.before_store();
        if ty.lanes == 1 {
            return self.store_element(at, value, elem);
        }
        match self.active(access, ty) {
            active if !self.is_dense(access) => self.store_apart(access, at, value, ty, active),
            Active::All => self.store_whole(at, value, elem, ty),
            Active::Some(active) if elem.bytes() >= 4 => {
                let mask = self.lane_mask(active, ty);
                let code = match shape(ty) {
                    Shape::Ypd => Code::VEX_Vmaskmovpd_m256_ymm_ymm,
                    _ => Code::VEX_Vmaskmovps_m256_ymm_ymm,
                };
                // A masked store takes several times as long as one of a whole vector.
                let count = self.reg(active);
                self.if_equal(
                    count,
                    i64::from(ty.lanes),
                    &[],
                    |emitter| {
                        emitter.store_whole(at, value, elem, ty);
                        Vec::new()
                    },
                    |emitter| {
                        let operands =
                            [Operand::Mem(at), Operand::Use(mask, Size::Y), Operand::Use(value, Size::Y)];
                        emitter.op(code, &operands);
                        Vec::new()
                    },
                );
            }
            Active::Some(active) => {
                let count = self.reg(active);
                let step = self.integer(i64::from(elem.bytes()));
                self.store_copied(at, value, elem, ty, (count, step));
            }
        }
    }

    /// How many lanes take part.
    pub(super) fn active(&self, access: &Access, ty: Type) -> Active {
        match access.active {
            None => Active::All,
            Some(active) if self.facts.constant(active) == Some(u64::from(ty.lanes)) => Active::All,
            Some(active) => Active::Some(active),
        }
    }

    /// Whether the lanes are neighbours in memory.
    pub(super) fn is_dense(&self, access: &Access) -> bool {
        let axis = access.lane_axis.expect("accesses of several lanes have a lane axis") as usize;
        let bytes = i64::from(self.func.buffers[access.buffer].elem.bytes());
        self.axis_scale(access.buffer, axis) == super::address::Scale::Known(bytes)
    }

    /// The mask of the lanes below a number.
    pub(super) fn lane_mask(&mut self, active: Value, ty: Type) -> Reg {
        let double = shape(ty) == Shape::Ypd;
        let count = self.reg(active);
        let key = Key::Mask(active, if double { 8 } else { 4 });
        self.cached(self.depth_of(active), key, |emitter| {
            let numbers = Operand::Mem(emitter.lane_numbers(if double { Elem::I64 } else { Elem::I32 }));
            let count = emitter.spread(count, double);
            emitter.int(Int::CmpGt, if double { Shape::Ypd } else { Shape::Yps }, count, numbers)
        })
    }

    /// One element, as the value that a load gives.
    pub(super) fn load_element(&mut self, at: Mem, elem: Elem) -> Reg {
        let from = Operand::Mem(at);
        match elem {
            Elem::F32 => self.make(Code::VEX_Vmovss_xmm_m32, Size::X, &[from]),
            Elem::F64 => self.make(Code::VEX_Vmovsd_xmm_m64, Size::X, &[from]),
            Elem::I32 => self.make_general(Code::Mov_r32_rm32, Size::D, &[from]),
            Elem::I64 => self.make_general(Code::Mov_r64_rm64, Size::Q, &[from]),
            Elem::F16 | Elem::BF16 => self.make_general(Code::Movzx_r32_rm16, Size::D, &[from]),
            Elem::I8 => self.make_general(Code::Movsx_r32_rm8, Size::D, &[from]),
            Elem::U8 => self.make_general(Code::Movzx_r32_rm8, Size::D, &[from]),
            // In memory anything but zero is true.
            Elem::Bool => {
                let byte = self.make_general(Code::Movzx_r32_rm8, Size::D, &[from]);
                self.op(Code::Test_rm32_r32, &[Operand::Use(byte, Size::D), Operand::Use(byte, Size::D)]);
                self.bool_of(codes::Cond::Ne)
            }
        }
    }

    /// Writes one element.
    fn store_element(&mut self, at: Mem, value: Reg, elem: Elem) {
        let (code, size) = match elem {
            Elem::F32 => (Code::VEX_Vmovss_m32_xmm, Size::X),
            Elem::F64 => (Code::VEX_Vmovsd_m64_xmm, Size::X),
            Elem::I64 => (Code::Mov_rm64_r64, Size::Q),
            Elem::I32 => (Code::Mov_rm32_r32, Size::D),
            Elem::F16 | Elem::BF16 => return self.store_general(at, value, 2),
            Elem::I8 | Elem::U8 | Elem::Bool => return self.store_general(at, value, 1),
        };
        self.op(code, &[Operand::Mem(at), Operand::Use(value, size)]);
    }

    /// Writes the low bytes of a general register.
    fn store_general(&mut self, at: Mem, value: Reg, bytes: u32) {
        let (code, size) = match bytes {
            1 => (Code::Mov_rm8_r8, Size::B),
            2 => (Code::Mov_rm16_r16, Size::W),
            4 => (Code::Mov_rm32_r32, Size::D),
            _ => (Code::Mov_rm64_r64, Size::Q),
        };
        self.op(code, &[Operand::Mem(at), Operand::Use(value, size)]);
    }

    /// The bytes of an element in a general register, with zeros above them.
    pub(super) fn load_general(&mut self, at: Mem, bytes: u32) -> Reg {
        let (code, size) = match bytes {
            1 => (Code::Movzx_r32_rm8, Size::D),
            2 => (Code::Movzx_r32_rm16, Size::D),
            4 => (Code::Mov_r32_rm32, Size::D),
            _ => (Code::Mov_r64_rm64, Size::Q),
        };
        self.make_general(code, size, &[Operand::Mem(at)])
    }

    pub(super) fn load_whole(&mut self, at: Mem, elem: Elem, ty: Type) -> Reg {
        let (from, four) = (Operand::Mem(at), ty.lanes == 4);
        match elem {
            Elem::F16 | Elem::BF16 => self.make(Code::VEX_Vpmovzxwd_ymm_xmmm128, Size::Y, &[from]),
            Elem::I8 => self.make(Code::VEX_Vpmovsxbd_ymm_xmmm64, Size::Y, &[from]),
            Elem::U8 => self.make(Code::VEX_Vpmovzxbd_ymm_xmmm64, Size::Y, &[from]),
            Elem::Bool => {
                let code = if four { Code::VEX_Vpmovzxbq_ymm_xmmm32 } else { Code::VEX_Vpmovzxbd_ymm_xmmm64 };
                let bytes = self.make(code, Size::Y, &[from]);
                let zero = self.zeros();
                self.int(Int::CmpGt, shape(ty), bytes, Operand::Use(zero, Size::Y))
            }
            Elem::F32 | Elem::F64 | Elem::I32 | Elem::I64 => {
                self.make(codes::load(shape(ty)), Size::Y, &[from])
            }
        }
    }

    fn store_whole(&mut self, at: Mem, value: Reg, elem: Elem, ty: Type) {
        let to = Operand::Mem(at);
        // Nothing saturates: what is stored is in the range of the type.
        match elem {
            Elem::F16 | Elem::BF16 => {
                let halves = self.narrow(Code::VEX_Vpackusdw_ymm_ymm_ymmm256, value);
                self.op(Code::VEX_Vmovups_xmmm128_xmm, &[to, Operand::Use(halves, Size::X)]);
            }
            Elem::I8 | Elem::U8 => {
                let halves = self.narrow(Code::VEX_Vpackssdw_ymm_ymm_ymmm256, value);
                let code = match elem {
                    Elem::I8 => Code::VEX_Vpacksswb_xmm_xmm_xmmm128,
                    _ => Code::VEX_Vpackuswb_xmm_xmm_xmmm128,
                };
                let bytes = self.make(code, Size::X, &[Operand::Use(halves, Size::X); 2]);
                self.op(Code::VEX_Vmovq_xmmm64_xmm, &[to, Operand::Use(bytes, Size::X)]);
            }
            Elem::Bool => {
                let halves = if ty.lanes == 4 {
                    let upper = self.upper_half(value);
                    let operands =
                        [Operand::Use(value, Size::X), Operand::Use(upper, Size::X), Operand::Imm(0x88)];
                    let words = self.make(Code::VEX_Vshufps_xmm_xmm_xmmm128_imm8, Size::X, &operands);
                    let words = [Operand::Use(words, Size::X); 2];
                    self.make(Code::VEX_Vpackssdw_xmm_xmm_xmmm128, Size::X, &words)
                } else {
                    self.narrow(Code::VEX_Vpackssdw_ymm_ymm_ymmm256, value)
                };
                let bytes = [Operand::Use(halves, Size::X); 2];
                let bytes = self.make(Code::VEX_Vpacksswb_xmm_xmm_xmmm128, Size::X, &bytes);
                let ones = self.pattern_operand([1; 16], Size::X);
                let bytes = self.int(Int::And, Shape::Xps, bytes, ones);
                let code = if ty.lanes == 4 { Code::VEX_Vmovd_rm32_xmm } else { Code::VEX_Vmovq_xmmm64_xmm };
                self.op(code, &[to, Operand::Use(bytes, Size::X)]);
            }
            Elem::F32 | Elem::F64 | Elem::I32 | Elem::I64 => {
                self.op(codes::store(shape(ty)), &[to, Operand::Use(value, Size::Y)]);
            }
        }
    }

    /// Eight lanes of 32 bits as eight of 16 bits in an xmm register.
    fn narrow(&mut self, code: Code, value: Reg) -> Reg {
        let halves = self.make(code, Size::Y, &[Operand::Use(value, Size::Y); 2]);
        let operands = [Operand::Use(halves, Size::Y), Operand::Imm(0b1000)];
        self.make(Code::VEX_Vpermq_ymm_ymmm256_imm8, Size::Y, &operands)
    }

    // ---- lanes that are apart in memory ----

    /// Bytes from lane to lane.
    pub(super) fn lane_step(&mut self, access: &Access) -> Reg {
        let axis = access.lane_axis.expect("accesses of several lanes have a lane axis") as usize;
        let scale = self.axis_scale(access.buffer, axis);
        self.scale(scale)
    }

    fn load_apart(&mut self, access: &Access, at: Mem, ty: Type, active: Active) -> Reg {
        let elem = self.func.buffers[access.buffer].elem;
        let step = self.lane_step(access);
        match active {
            Active::Some(active) => {
                let count = self.reg(active);
                self.load_copied(at, elem, ty, (count, step))
            }
            Active::All => match self.of_pair(access, ty) {
                Some(half) => self.load_half(at, half, step, elem, ty),
                None => self.load_lanes(at, elem, ty, step),
            },
        }
    }

    /// Loads each lane by itself.
    pub(super) fn load_lanes(&mut self, at: Mem, elem: Elem, ty: Type, step: Reg) -> Reg {
        let places = self.places(at, step, ty.lanes);
        let lanes: Vec<Reg> =
            places.into_iter().map(|place| self.load_general(place, elem.bytes())).collect();
        self.join(&lanes, elem, ty)
    }

    /// Where the lanes are.
    fn places(&mut self, at: Mem, step: Reg, lanes: u32) -> Vec<Mem> {
        let mut place = self.address_register(at);
        let mut places = vec![Mem::at(Base::Reg(place))];
        while places.len() < lanes as usize {
            if places.len() % 3 == 0 {
                // The three before are up to two steps away.
                let last = Mem { base: Base::Reg(place), index: Some((step, 2)), disp: 0 };
                let last = self.lea(last);
                place = self.lea(Mem { base: Base::Reg(last), index: Some((step, 1)), disp: 0 });
                places.push(Mem::at(Base::Reg(place)));
                continue;
            }
            let scale = (places.len() % 3) as u32;
            places.push(Mem { base: Base::Reg(place), index: Some((step, scale)), disp: 0 });
        }
        places
    }

    /// Elements, as they are in memory, as a vector.
    pub(super) fn join(&mut self, lanes: &[Reg], elem: Elem, ty: Type) -> Reg {
        if elem.bytes() < 4 {
            // By way of memory, where there are instructions to widen them.
            let spare = self.spare_slot();
            for (lane, &value) in lanes.iter().enumerate() {
                let to = Mem::at(Base::Slot(spare)).plus((lane as u32 * elem.bytes()) as i32);
                self.store_general(to, value, elem.bytes());
            }
            return self.load_whole(Mem::at(Base::Slot(spare)), elem, ty);
        }
        let halves = [0, 1].map(|half| {
            let lanes = &lanes[half * lanes.len() / 2..(half + 1) * lanes.len() / 2];
            if let [low, high] = *lanes {
                return self.join_quads([low, high]);
            }
            let mut value = self.make(Code::VEX_Vmovd_xmm_rm32, Size::X, &[Operand::Use(lanes[0], Size::D)]);
            for (number, &lane) in lanes.iter().enumerate().skip(1) {
                let operands =
                    [Operand::Use(value, Size::X), Operand::Use(lane, Size::D), Operand::Imm(number as i64)];
                value = self.make(Code::VEX_Vpinsrd_xmm_xmm_rm32_imm8, Size::X, &operands);
            }
            value
        });
        self.join_halves(halves)
    }

    fn store_apart(&mut self, access: &Access, at: Mem, value: Reg, ty: Type, active: Active) {
        let elem = self.func.buffers[access.buffer].elem;
        let step = self.lane_step(access);
        let count = match active {
            Active::Some(active) => self.reg(active),
            Active::All => self.integer(i64::from(ty.lanes)),
        };
        self.store_copied(at, value, elem, ty, (count, step));
    }

    /// Copies the active lanes to the stack, one after another, and loads them from there.
    pub(super) fn load_copied(&mut self, at: Mem, elem: Elem, ty: Type, (count, step): (Reg, Reg)) -> Reg {
        let spare = Mem::at(Base::Slot(self.spare_slot()));
        let zero = self.zeros();
        self.op(Code::VEX_Vmovups_ymmm256_ymm, &[Operand::Mem(spare), Operand::Use(zero, Size::Y)]);
        let (from, to) = (self.lea(at), self.lea(spare));
        let width = self.integer(i64::from(elem.bytes()));
        self.copy_lanes(elem, count, (from, step), (to, width));
        self.load_whole(spare, elem, ty)
    }

    /// Stores the lanes to the stack and copies the active ones from there, one after another.
    pub(super) fn store_copied(
        &mut self,
        at: Mem,
        value: Reg,
        elem: Elem,
        ty: Type,
        (count, step): (Reg, Reg),
    ) {
        let spare = Mem::at(Base::Slot(self.spare_slot()));
        self.store_whole(spare, value, elem, ty);
        let (from, to) = (self.lea(spare), self.lea(at));
        let width = self.integer(i64::from(elem.bytes()));
        self.copy_lanes(elem, count, (from, width), (to, step));
    }

    /// Copies `count` elements (at least one) from one place and step to another.
    fn copy_lanes(
        &mut self,
        elem: Elem,
        count: Reg,
        (from, from_step): (Reg, Reg),
        (to, to_step): (Reg, Reg),
    ) {
        self.repeat(count, &[from, to], |emitter, places| {
            let [from, to] = [places[0], places[1]].map(|place| Mem::at(Base::Reg(place)));
            let element = emitter.load_general(from, elem.bytes());
            emitter.store_general(to, element, elem.bytes());
            let further = |mem, step| Mem { index: Some((step, 1)), ..mem };
            vec![emitter.lea(further(from, from_step)), emitter.lea(further(to, to_step))]
        });
    }

    /// Memory for one vector.
    pub(super) fn spare_slot(&mut self) -> u32 {
        if let Some(slot) = self.spare {
            return slot;
        }
        let slot = self.make_slot(32);
        self.spare = Some(slot);
        slot
    }
}
