//! From VCode with registers to bytes.

use iced_x86::{Code, Encoder, Instruction, MemoryOperand, OpKind, Register};
use regalloc2::{Allocation, Edit, InstOrEdit, Output, PReg, RegClass};

use super::allocate::{CALLEE_SAVED, Flat, placed};
use super::codes::Cond;
use super::vcode::{Base, Block, End, Inst, Mem, Operand, Size};

/// Names of the general registers.
pub(super) const GPR_NAMES: [&str; 16] = [
    "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14",
    "r15",
];

/// Registers spill to and move between places of so many bytes.
const WORD: u32 = 8;

/// The frame starts at a multiple of this many bytes, and so does the pool.
pub(super) const ALIGNMENT: u32 = 32;

/// Frames of more bytes touch every page on the way down, so that a full stack ends in the guard page.
const PAGE: u32 = 4096;

/// The letter of a class of registers in texts.
pub(super) fn register_class_letter(class: RegClass) -> char {
    if class == RegClass::Int { 'g' } else { 'v' }
}

/// A jump whose distance is still to be written.
struct Fixup {
    /// Where the four bytes are.
    at: usize,
    target: Block,
}

/// A constant whose distance is still to be written.
struct Constant {
    /// Where the four bytes are.
    at: usize,
    /// Where the instruction ends.
    end: usize,
    /// How many bytes into the pool it is.
    offset: u32,
}

struct Writer<'a> {
    flat: &'a Flat<'a>,
    output: &'a Output,
    encoder: Encoder,
    /// How many bytes have been written.
    at: usize,
    /// Which blocks have no code but their end.
    empty: Vec<bool>,
    /// Where each block's code starts, once it is written.
    starts: Vec<Option<usize>>,
    fixups: Vec<Fixup>,
    constants: Vec<Constant>,
    /// Bytes of the places that registers are spilled to.
    spills: u32,
    saved: Vec<usize>,
    frame: u32,
}

/// The bytes of a function, with its constants behind.
pub(super) fn encode(flat: &Flat<'_>, output: &Output) -> Vec<u8> {
    let spills = (output.num_spillslots as u32 * WORD).next_multiple_of(ALIGNMENT);
    let saved = CALLEE_SAVED.into_iter().filter(|&number| is_used(output, number)).collect();
    let mut writer = Writer {
        flat,
        output,
        encoder: Encoder::try_with_capacity(64, flat.insts.len() * 8).expect("64 is a number of bits"),
        at: 0,
        empty: empty_blocks(flat, output),
        starts: vec![None; flat.function.blocks.len()],
        fixups: Vec::new(),
        constants: Vec::new(),
        spills,
        saved,
        frame: (spills + flat.function.slots).next_multiple_of(ALIGNMENT),
    };
    writer.prologue();
    for at in 0..flat.function.order.len() {
        writer.block(at);
    }
    writer.finish()
}

/// Which blocks have no code but their end.
fn empty_blocks(flat: &Flat<'_>, output: &Output) -> Vec<bool> {
    let mut empty = vec![false; flat.function.blocks.len()];
    for (number, block) in flat.function.order.iter().enumerate() {
        let data = &flat.function.blocks[block.0 as usize];
        let mut items = output.block_insts_and_edits(flat, regalloc2::Block::new(number));
        empty[block.0 as usize] = data.insts.is_empty()
            && data.flags.is_none()
            && items.all(|item| match item {
                InstOrEdit::Inst(_) => true,
                InstOrEdit::Edit(Edit::Move { from, to }) => from == to,
            });
    }
    empty
}

/// Whether any instruction or move uses a general register.
fn is_used(output: &Output, number: usize) -> bool {
    let is = |allocation: &Allocation| {
        allocation.as_reg().is_some_and(|reg| reg.class() == RegClass::Int && reg.hw_enc() == number)
    };
    output.allocs.iter().any(is) || output.edits.iter().any(|(_, Edit::Move { from, to })| is(from) || is(to))
}

impl Writer<'_> {
    fn put(&mut self, instruction: &Instruction) {
        match self.encoder.encode(instruction, 0) {
            Ok(length) => self.at += length,
            Err(error) => panic!("{:?}: {error}\n{}", instruction.code(), self.flat.function),
        }
    }

    fn bytes(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.encoder.write_u8(byte));
        self.at += bytes.len();
    }

    fn op2(&mut self, code: Code, to: Register, from: Register) {
        self.put(&Instruction::with2(code, to, from).expect("two registers"));
    }

    fn op_imm(&mut self, code: Code, to: Register, number: i32) {
        self.put(&Instruction::with2(code, to, number).expect("a register and a number"));
    }

    fn push(&mut self, register: Register) {
        self.put(&Instruction::with1(Code::Push_r64, register).expect("one register"));
    }

    fn pop(&mut self, register: Register) {
        self.put(&Instruction::with1(Code::Pop_r64, register).expect("one register"));
    }

    fn prologue(&mut self) {
        if self.frame > 0 {
            self.push(Register::RBP);
            self.op2(Code::Mov_r64_rm64, Register::RBP, Register::RSP);
        }
        for number in self.saved.clone() {
            self.push(general(number, Size::Q));
        }
        if self.frame == 0 {
            return;
        }
        if self.frame > PAGE {
            self.probe();
        }
        self.op_imm(Code::Sub_rm64_imm32, Register::RSP, self.frame as i32);
        self.op_imm(Code::And_rm64_imm8, Register::RSP, -(ALIGNMENT as i32));
    }

    /// Touches the pages of the frame from the top down, in `rax`, which nothing is in yet.
    fn probe(&mut self) {
        self.op2(Code::Mov_r64_rm64, Register::RAX, Register::RSP);
        let bottom = MemoryOperand::with_base_displ(Register::RSP, -i64::from(self.frame + ALIGNMENT));
        self.put(&Instruction::with2(Code::Lea_r64_m, Register::R11, bottom).expect("lea"));
        let start = self.at;
        self.op_imm(Code::Sub_rm64_imm32, Register::RAX, PAGE as i32);
        let touched = MemoryOperand::with_base(Register::RAX);
        self.put(&Instruction::with2(Code::Test_rm32_r32, touched, Register::EAX).expect("test"));
        self.op2(Code::Cmp_r64_rm64, Register::RAX, Register::R11);
        // ja start
        self.bytes(&[0x77, (start as i64 - self.at as i64 - 2) as u8]);
    }

    fn epilogue(&mut self) {
        if self.frame > 0 {
            let saved = -(i64::from(WORD) * self.saved.len() as i64);
            let at = MemoryOperand::with_base_displ(Register::RBP, saved);
            self.put(&Instruction::with2(Code::Lea_r64_m, Register::RSP, at).expect("lea"));
        }
        for number in self.saved.clone().into_iter().rev() {
            self.pop(general(number, Size::Q));
        }
        if self.frame > 0 {
            self.pop(Register::RBP);
        }
        self.put(&Instruction::with(Code::VEX_Vzeroupper));
        self.put(&Instruction::with(Code::Retnq));
    }

    /// The block that a jump really leads to: not one that only jumps on.
    fn resolved(&self, mut block: Block) -> Block {
        for _ in 0..self.flat.function.blocks.len() {
            match (&self.flat.function.blocks[block.0 as usize].end, self.empty[block.0 as usize]) {
                (End::Jump(target), true) => block = target.block,
                _ => break,
            }
        }
        block
    }

    /// The next block with code, from a place in the order on.
    fn next(&self, at: usize) -> Option<Block> {
        let mut rest = self.flat.function.order[at..].iter().copied();
        rest.find(|&block| self.resolved(block) == block)
    }

    fn block(&mut self, at: usize) {
        let block = self.flat.function.order[at];
        if at > 0 && self.resolved(block) != block {
            return;
        }
        self.starts[block.0 as usize] = Some(self.at);
        let (flat, output) = (self.flat, self.output);
        for item in output.block_insts_and_edits(flat, regalloc2::Block::new(at)) {
            match item {
                InstOrEdit::Edit(Edit::Move { from, to }) => self.transfer(*from, *to),
                InstOrEdit::Inst(index) => {
                    if let Some(inst) = flat.insts[index.index()] {
                        self.inst(inst, output.inst_allocs(index));
                    }
                }
            }
        }
        let next = self.next(at + 1);
        match &flat.function.blocks[block.0 as usize].end {
            End::Jump(target) => self.jump(None, target.block, next),
            End::Branch(cond, then, otherwise) => {
                let (then, otherwise) = (self.resolved(then.block), self.resolved(otherwise.block));
                if Some(then) == next {
                    self.jump(Some(cond.not()), otherwise, next);
                } else {
                    self.jump(Some(*cond), then, None);
                    self.jump(None, otherwise, next);
                }
            }
            End::Return => self.epilogue(),
            End::Open => unreachable!("a block has an end"),
        }
    }

    /// A jump, unless it leads to what comes next.
    fn jump(&mut self, cond: Option<Cond>, target: Block, next: Option<Block>) {
        let target = self.resolved(target);
        if Some(target) == next {
            return;
        }
        if let Some(start) = self.starts[target.0 as usize] {
            let distance = start as i64 - (self.at as i64 + 2);
            if distance >= -128 {
                let opcode = match cond {
                    None => 0xEB,
                    Some(cond) => 0x70 | condition(cond),
                };
                self.bytes(&[opcode, distance as i8 as u8]);
                return;
            }
        }
        match cond {
            None => self.bytes(&[0xE9]),
            Some(cond) => self.bytes(&[0x0F, 0x80 | condition(cond)]),
        }
        self.fixups.push(Fixup { at: self.at, target });
        self.bytes(&[0; 4]);
    }

    /// A move that the allocator wants.
    fn transfer(&mut self, from: Allocation, to: Allocation) {
        if from == to {
            return;
        }
        match (from.as_reg(), to.as_reg()) {
            (Some(from), Some(to)) if to.class() == RegClass::Int => {
                self.op2(Code::Mov_r64_rm64, general(to.hw_enc(), Size::Q), general(from.hw_enc(), Size::Q));
            }
            (Some(from), Some(to)) => {
                self.op2(Code::VEX_Vmovaps_ymm_ymmm256, vector(to, Size::Y), vector(from, Size::Y));
            }
            (Some(from), None) => {
                let memory = self.spill(to);
                let (code, from) = match from.class() {
                    RegClass::Int => (Code::Mov_rm64_r64, general(from.hw_enc(), Size::Q)),
                    _ => (Code::VEX_Vmovups_ymmm256_ymm, vector(from, Size::Y)),
                };
                self.put(&Instruction::with2(code, memory, from).expect("a store"));
            }
            (None, Some(to)) => {
                let memory = self.spill(from);
                let (code, to) = match to.class() {
                    RegClass::Int => (Code::Mov_r64_rm64, general(to.hw_enc(), Size::Q)),
                    _ => (Code::VEX_Vmovups_ymm_ymmm256, vector(to, Size::Y)),
                };
                self.put(&Instruction::with2(code, to, memory).expect("a load"));
            }
            (None, None) => unreachable!("the allocator moves nothing from memory to memory"),
        }
    }

    fn spill(&self, slot: Allocation) -> MemoryOperand {
        let slot = slot.as_stack().expect("neither in a register").index() as u32;
        MemoryOperand::with_base_displ(Register::RSP, i64::from(slot * WORD))
    }

    fn inst(&mut self, inst: &Inst, allocations: &[Allocation]) {
        if inst.code == Code::INVALID {
            return;
        }
        let mut allocations = allocations.iter().copied();
        let mut next = || placed(allocations.next().expect("an allocation for each operand"));
        let mut instruction = Instruction::default();
        instruction.set_code(inst.code);
        let (mut number, mut first, mut pool) = (0, None, None);
        for operand in inst.operands.iter() {
            match *operand {
                Operand::Def(_, size) | Operand::Use(_, size) => {
                    let place = next();
                    first.get_or_insert(place);
                    set_register(&mut instruction, number, named(place, size));
                }
                Operand::Mod(_, _, size) => {
                    next();
                    let place = next();
                    first.get_or_insert(place);
                    set_register(&mut instruction, number, named(place, size));
                }
                Operand::Again(size) => {
                    let place = first.expect("there is a first operand");
                    set_register(&mut instruction, number, named(place, size));
                }
                Operand::Mem(mem) => {
                    let base = matches!(mem.base, Base::Reg(_)).then(&mut next);
                    let index = mem.index.is_some().then(&mut next);
                    pool = self.memory(&mut instruction, number, &mem, base, index);
                }
                Operand::Imm(value) => set_number(&mut instruction, number, value),
                Operand::FixedDef(..) | Operand::FixedUse(..) => {
                    next();
                    continue;
                }
            }
            number += 1;
        }
        let start = self.at;
        self.put(&instruction);
        if let Some(offset) = pool {
            let at = start + self.encoder.get_constant_offsets().displacement_offset();
            self.constants.push(Constant { at, end: self.at, offset });
        }
    }

    /// Sets an operand in memory; for a constant gives how many bytes into the pool it is.
    fn memory(
        &self,
        instruction: &mut Instruction,
        number: u32,
        mem: &Mem,
        base: Option<PReg>,
        index: Option<PReg>,
    ) -> Option<u32> {
        instruction.set_op_kind(number, OpKind::Memory);
        if let Some(index) = index {
            let (_, scale) = mem.index.expect("there is an index");
            instruction.set_memory_index(general(index.hw_enc(), Size::Q));
            instruction.set_memory_index_scale(scale);
        }
        let (register, disp, pool) = match mem.base {
            Base::Reg(_) => (general(base.expect("there is a base").hw_enc(), Size::Q), mem.disp, None),
            Base::Slot(start) => (Register::RSP, mem.disp + (self.spills + start) as i32, None),
            Base::Pool(offset) => {
                let offset = offset.checked_add_signed(mem.disp).expect("a place in the pool");
                (Register::RIP, 0, Some(offset))
            }
        };
        instruction.set_memory_base(register);
        instruction.set_memory_displacement64(i64::from(disp) as u64);
        let size = match (pool, disp) {
            (None, 0) => 0,
            (None, -128..=127) => 1,
            _ => 8,
        };
        instruction.set_memory_displ_size(size);
        pool
    }

    fn finish(mut self) -> Vec<u8> {
        let mut bytes = self.encoder.take_buffer();
        for fixup in &self.fixups {
            let target = self.starts[fixup.target.0 as usize].expect("every block has been written");
            write_distance(&mut bytes, fixup.at, fixup.at + 4, target);
        }
        let pool = &self.flat.function.pool;
        if pool.is_empty() {
            return bytes;
        }
        bytes.resize(bytes.len().next_multiple_of(ALIGNMENT as usize), 0);
        let start = bytes.len();
        for constant in &self.constants {
            write_distance(&mut bytes, constant.at, constant.end, start + constant.offset as usize);
        }
        bytes.extend(pool.iter().flatten());
        bytes
    }
}

/// Writes four bytes: how far it is from the end of an instruction to a place.
fn write_distance(bytes: &mut [u8], at: usize, end: usize, target: usize) {
    let distance = i32::try_from(target as i64 - end as i64).expect("a function is smaller than 2 GiB");
    bytes[at..at + 4].copy_from_slice(&distance.to_le_bytes());
}

/// The four bits by which jumps name a condition.
fn condition(cond: Cond) -> u8 {
    match cond {
        Cond::Below => 2,
        Cond::NotBelow => 3,
        Cond::Eq => 4,
        Cond::Ne => 5,
        Cond::Negative => 8,
        Cond::NotNegative => 9,
        Cond::Lt => 12,
        Cond::Ge => 13,
        Cond::Le => 14,
        Cond::Gt => 15,
    }
}

fn set_register(instruction: &mut Instruction, number: u32, register: Register) {
    if number < 4 {
        instruction.set_op_kind(number, OpKind::Register);
    }
    instruction.set_op_register(number, register);
}

/// Sets an operand that is a number, in the form that the instruction has for it.
fn set_number(instruction: &mut Instruction, number: u32, value: i64) {
    let kind = match instruction.code() {
        Code::Mov_r64_imm64 => OpKind::Immediate64,
        Code::Mov_r32_imm32 => OpKind::Immediate32,
        Code::Add_rm64_imm8 | Code::And_rm64_imm8 | Code::Cmp_rm64_imm8 | Code::Imul_r64_rm64_imm8 => {
            OpKind::Immediate8to64
        }
        Code::Mov_rm64_imm32
        | Code::Add_rm64_imm32
        | Code::Sub_rm64_imm32
        | Code::And_rm64_imm32
        | Code::Or_rm64_imm32
        | Code::Xor_rm64_imm32
        | Code::Cmp_rm64_imm32
        | Code::Imul_r64_rm64_imm32 => OpKind::Immediate32to64,
        Code::Add_rm32_imm32
        | Code::Sub_rm32_imm32
        | Code::And_rm32_imm32
        | Code::Or_rm32_imm32
        | Code::Xor_rm32_imm32
        | Code::Cmp_rm32_imm32
        | Code::Imul_r32_rm32_imm32 => OpKind::Immediate32,
        _ => OpKind::Immediate8,
    };
    instruction.set_op_kind(number, kind);
    if kind == OpKind::Immediate32 {
        instruction.set_immediate32(value as u32);
    } else {
        instruction.set_immediate_i64(number, value);
    }
}

/// A register by the part of it that is named.
fn named(place: PReg, size: Size) -> Register {
    match size {
        Size::X | Size::Y => vector(place, size),
        Size::B | Size::W | Size::D | Size::Q => general(place.hw_enc(), size),
    }
}

fn vector(place: PReg, size: Size) -> Register {
    let first = if size == Size::Y { Register::YMM0 } else { Register::XMM0 };
    first + place.hw_enc() as u32
}

fn general(number: usize, size: Size) -> Register {
    const BYTES: [Register; 16] = [
        Register::AL,
        Register::CL,
        Register::DL,
        Register::BL,
        Register::SPL,
        Register::BPL,
        Register::SIL,
        Register::DIL,
        Register::R8L,
        Register::R9L,
        Register::R10L,
        Register::R11L,
        Register::R12L,
        Register::R13L,
        Register::R14L,
        Register::R15L,
    ];
    match size {
        Size::B => BYTES[number],
        Size::W => Register::AX + number as u32,
        Size::D => Register::EAX + number as u32,
        Size::Q | Size::X | Size::Y => Register::RAX + number as u32,
    }
}
