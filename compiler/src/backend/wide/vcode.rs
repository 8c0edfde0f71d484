//! Instructions of the machine on registers without number ("VCode"): what selection makes and registers are assigned to.
//!
//! A [`Function`] is blocks of [`Inst`]s in SSA form: every register is defined once, by an instruction or as a block's
//! parameter; a [`Target`] hands values to the parameters. An instruction is one of the machine's, as iced names it, with its
//! [`Operand`]s. Flags are written by one instruction and read by one right behind it: what is put between them, moves of the
//! register allocator, leaves flags alone.
//!
//! In the text form (`Display`) an operand `v7=v3` is the register of the result `v7` and of the operand `v3`, and
//! `v7:rax` one that must be in `rax`.

use std::fmt;

use iced_x86::Code;
use regalloc2::{PReg, RegClass, VReg};

use super::codes::Cond;
use super::encode::{GPR_NAMES, register_class_letter};

/// A register of the code.
pub(super) type Reg = VReg;

/// A block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Block(pub(super) u32);

/// How much of a register an instruction names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Size {
    /// 8 bits of a general register.
    B,
    /// 16 bits of a general register.
    W,
    /// 32 bits of a general register.
    D,
    /// 64 bits of a general register.
    Q,
    /// 128 bits of a vector register.
    X,
    /// 256 bits of a vector register.
    Y,
}

/// Where memory begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Base {
    /// At the address in a register.
    Reg(Reg),
    /// So many bytes into the function's own memory on the stack.
    Slot(u32),
    /// So many bytes into the constants.
    Pool(u32),
}

/// A place in memory: base + index * scale + number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mem {
    pub(super) base: Base,
    pub(super) index: Option<(Reg, u32)>,
    pub(super) disp: i32,
}

impl Mem {
    /// At a base.
    pub(super) fn at(base: Base) -> Mem {
        Mem { base, index: None, disp: 0 }
    }

    /// So many bytes further.
    pub(super) fn plus(self, bytes: i32) -> Mem {
        Mem { disp: self.disp + bytes, ..self }
    }
}

/// An operand of an instruction.
#[derive(Clone, Copy, Debug)]
pub(super) enum Operand {
    /// The result.
    Def(Reg, Size),
    /// An operand in a register.
    Use(Reg, Size),
    /// The result (first), in the register of an operand (second).
    Mod(Reg, Reg, Size),
    /// The register of the first operand again, of which nothing is read.
    Again(Size),
    /// Memory.
    Mem(Mem),
    /// A number.
    Imm(i64),
    /// A result in a fixed register that the instruction doesn't name.
    FixedDef(Reg, PReg),
    /// An operand in a fixed register that the instruction doesn't name.
    FixedUse(Reg, PReg),
}

/// An instruction; [`Code::INVALID`] stands for no code at all, where only the operands count.
#[derive(Clone, Debug)]
pub(super) struct Inst {
    pub(super) code: Code,
    pub(super) operands: Operands,
}

impl Inst {
    /// The registers that it reads.
    pub(super) fn uses(&self, visit: &mut dyn FnMut(Reg)) {
        for operand in self.operands.iter() {
            match *operand {
                Operand::Use(reg, _) | Operand::Mod(_, reg, _) | Operand::FixedUse(reg, _) => visit(reg),
                Operand::Mem(mem) => {
                    if let Base::Reg(reg) = mem.base {
                        visit(reg);
                    }
                    if let Some((reg, _)) = mem.index {
                        visit(reg);
                    }
                }
                Operand::Def(..) | Operand::FixedDef(..) | Operand::Again(_) | Operand::Imm(_) => {}
            }
        }
    }
}

/// The operands of an instruction.
#[derive(Clone, Copy, Debug)]
pub(super) struct Operands {
    array: [Operand; 5],
    len: u8,
}

impl Operands {
    pub(super) fn new(operands: &[Operand]) -> Operands {
        let mut array = [Operand::Imm(0); 5];
        array[..operands.len()].copy_from_slice(operands);
        Operands { array, len: operands.len() as u8 }
    }

    pub(super) fn iter(&self) -> std::slice::Iter<'_, Operand> {
        self.array[..self.len as usize].iter()
    }
}

/// Where a jump goes, and what it hands to the block's parameters.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) block: Block,
    pub(super) args: Vec<Reg>,
}

impl Target {
    pub(super) fn new(block: Block, args: Vec<Reg>) -> Target {
        Target { block, args }
    }
}

/// The end of a block.
#[derive(Clone, Debug)]
pub(super) enum End {
    /// Not there yet.
    Open,
    /// Goes to a block.
    Jump(Target),
    /// Goes to the first where a condition holds, else to the second.
    Branch(Cond, Target, Target),
    /// Returns.
    Return,
}

/// A block of instructions.
#[derive(Clone, Debug)]
pub(super) struct BlockData {
    pub(super) params: Vec<Reg>,
    pub(super) insts: Vec<Inst>,
    /// What makes the flags of the branch at the end: other code of the block goes before it.
    pub(super) flags: Option<Inst>,
    pub(super) end: End,
}

/// The code of a phase.
#[derive(Clone, Debug)]
pub(super) struct Function {
    pub(super) blocks: Vec<BlockData>,
    /// Blocks in the order of their code.
    pub(super) order: Vec<Block>,
    /// How many registers there are.
    pub(super) registers: usize,
    /// Bytes of the function's own memory.
    pub(super) slots: u32,
    /// Constants, of 32 bytes each.
    pub(super) pool: Vec<[u8; 32]>,
}

impl Function {
    pub(super) fn new() -> Function {
        Function { blocks: Vec::new(), order: Vec::new(), registers: 0, slots: 0, pool: Vec::new() }
    }

    /// A new register.
    pub(super) fn register(&mut self, class: RegClass) -> Reg {
        self.registers += 1;
        VReg::new(self.registers - 1, class)
    }

    /// A new block, not in the order yet.
    pub(super) fn block(&mut self) -> Block {
        let data = BlockData { params: Vec::new(), insts: Vec::new(), flags: None, end: End::Open };
        self.blocks.push(data);
        Block(self.blocks.len() as u32 - 1)
    }

    /// How many instructions there are.
    pub(super) fn len(&self) -> usize {
        self.blocks.iter().map(|block| block.insts.len() + 2).sum()
    }

    /// Takes out what only makes results that nobody uses.
    pub(super) fn remove_dead(&mut self) {
        let mut uses = vec![0u32; self.registers];
        for block in &self.blocks {
            let args = match &block.end {
                End::Jump(target) => [Some(target), None],
                End::Branch(_, then, otherwise) => [Some(then), Some(otherwise)],
                End::Open | End::Return => [None, None],
            };
            for arg in args.into_iter().flatten().flat_map(|target| &target.args) {
                uses[arg.vreg()] += 1;
            }
            for inst in block.insts.iter().chain(&block.flags) {
                inst.uses(&mut |reg| uses[reg.vreg()] += 1);
            }
        }
        // What a block uses is defined in it or in one before it.
        for block in self.order.iter().rev() {
            let insts = &mut self.blocks[block.0 as usize].insts;
            let mut kept = Vec::with_capacity(insts.len());
            while let Some(inst) = insts.pop() {
                match inst.operands.array[0] {
                    Operand::Def(to, _) | Operand::Mod(to, ..) if uses[to.vreg()] == 0 => {
                        inst.uses(&mut |reg| uses[reg.vreg()] -= 1);
                    }
                    _ => kept.push(inst),
                }
            }
            kept.reverse();
            *insts = kept;
        }
    }

    /// How many bytes into the constants one is; added if it is new.
    pub(super) fn constant(&mut self, pattern: [u8; 32]) -> u32 {
        let known = self.pool.iter().position(|known| *known == pattern);
        let index = known.unwrap_or_else(|| {
            self.pool.push(pattern);
            self.pool.len() - 1
        });
        u32::try_from(index * 32).expect("fewer than 2^27 constants")
    }
}

impl fmt::Display for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Base::Reg(reg) => write!(f, "{}", Named(*reg)),
            Base::Slot(bytes) => write!(f, "stack+{bytes:#x}"),
            Base::Pool(bytes) => write!(f, "pool+{bytes:#x}"),
        }
    }
}

impl fmt::Display for Mem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}", self.base)?;
        if let Some((index, scale)) = self.index {
            write!(f, "+{}*{scale}", Named(index))?;
        }
        match self.disp {
            0 => {}
            disp if disp < 0 => write!(f, "-{:#x}", disp.unsigned_abs())?,
            disp => write!(f, "+{disp:#x}")?,
        }
        f.write_str("]")
    }
}

/// A register with its class: `g3` or `v3`.
struct Named(Reg);

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", register_class_letter(self.0.class()), self.0.vreg())
    }
}

fn sized(reg: Reg, size: Size) -> String {
    let suffix = match size {
        Size::B => ".b",
        Size::W => ".w",
        Size::D => ".d",
        Size::X => ".x",
        Size::Q | Size::Y => "",
    };
    format!("{}{suffix}", Named(reg))
}

impl fmt::Display for Operand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Operand::Def(reg, size) | Operand::Use(reg, size) => f.write_str(&sized(*reg, *size)),
            Operand::Mod(to, from, size) => write!(f, "{}={}", sized(*to, *size), Named(*from)),
            Operand::Again(_) => f.write_str("_"),
            Operand::Mem(mem) => mem.fmt(f),
            Operand::Imm(number) if (-9..10).contains(number) => write!(f, "{number}"),
            Operand::Imm(number) => write!(f, "{number:#x}"),
            Operand::FixedDef(reg, place) | Operand::FixedUse(reg, place) => {
                write!(f, "{}:{}", Named(*reg), GPR_NAMES[place.hw_enc()])
            }
        }
    }
}

impl fmt::Display for Inst {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.code == Code::INVALID {
            f.write_str("args")?;
        } else {
            f.write_str(&format!("{:?}", self.code.mnemonic()).to_lowercase())?;
        }
        for (number, operand) in self.operands.iter().enumerate() {
            write!(f, "{}{operand}", if number == 0 { " " } else { ", " })?;
        }
        Ok(())
    }
}

/// Values in parentheses, if there are any.
fn list(f: &mut fmt::Formatter<'_>, values: &[Reg]) -> fmt::Result {
    for (number, value) in values.iter().enumerate() {
        write!(f, "{}{}", if number == 0 { "(" } else { ", " }, Named(*value))?;
    }
    if values.is_empty() { Ok(()) } else { f.write_str(")") }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "block{}", self.block.0)?;
        list(f, &self.args)
    }
}

impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, pattern) in self.pool.iter().enumerate() {
            write!(f, "  constant {:#06x}:", index * pattern.len())?;
            let words: Vec<u32> =
                pattern.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word)).collect();
            let period = [1, 2, 4].into_iter().find(|&n| words.iter().zip(&words[n..]).all(|(a, b)| a == b));
            for word in &words[..period.unwrap_or(words.len())] {
                write!(f, " {word:08x}")?;
            }
            writeln!(f)?;
        }
        for &block in &self.order {
            let data = &self.blocks[block.0 as usize];
            write!(f, "block{}", block.0)?;
            list(f, &data.params)?;
            writeln!(f, ":")?;
            for inst in data.insts.iter().chain(&data.flags) {
                writeln!(f, "  {inst}")?;
            }
            match &data.end {
                End::Open => writeln!(f, "  (open)")?,
                End::Jump(target) => writeln!(f, "  jump {target}")?,
                End::Branch(cond, then, otherwise) => {
                    let cond = format!("{cond:?}").to_lowercase();
                    writeln!(f, "  if {cond} {then} else {otherwise}")?;
                }
                End::Return => writeln!(f, "  return")?,
            }
        }
        Ok(())
    }
}
