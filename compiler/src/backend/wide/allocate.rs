//! Registers: VCode as regalloc2 wants to see it, and its answer.
//!
//! Edges that hand values over, and those that lead from a block with several ways out to one with several ways in, get blocks
//! of their own, for the moves; those that stay empty leave no code.

use regalloc2::checker::Checker;
use regalloc2::{
    Algorithm, Allocation, Ctx, Inst as InstIndex, InstRange, MachineEnv, Operand, OperandConstraint,
    OperandKind, OperandPos, Output, PReg, PRegSet, RegClass, RegallocOptions, VReg,
};

use super::vcode::{Base, Block, End, Function, Inst, Operand as Op, Target};

/// Registers that the platform's calling convention lets a function change.
const CALLER_SAVED: [usize; 9] = [0, 1, 2, 6, 7, 8, 9, 10, 11];

/// Those that it has to put back: `rbx` and `r12` to `r15`. (`rsp` and `rbp` hold the frame.)
pub(super) const CALLEE_SAVED: [usize; 5] = [3, 12, 13, 14, 15];

/// Vector registers.
const VECTORS: usize = 16;

/// A general register.
pub(super) fn gpr(number: usize) -> PReg {
    PReg::new(number, RegClass::Int)
}

/// The machine's registers.
fn machine() -> MachineEnv {
    let mut vectors = PRegSet::empty();
    for number in 0..VECTORS {
        vectors.add(PReg::new(number, RegClass::Float));
    }
    let general = |numbers: &[usize]| numbers.iter().map(|&number| gpr(number)).collect();
    MachineEnv {
        preferred_regs_by_class: [general(&CALLER_SAVED), vectors, PRegSet::empty()],
        non_preferred_regs_by_class: [general(&CALLEE_SAVED), PRegSet::empty(), PRegSet::empty()],
        scratch_by_class: [None; 3],
        fixed_stack_slots: Vec::new(),
    }
}

/// Gives edges blocks of their own where moves may be needed.
pub(super) fn split_edges(function: &mut Function) {
    let mut order = Vec::with_capacity(function.order.len());
    for block in std::mem::take(&mut function.order) {
        order.push(block);
        let End::Branch(cond, then, otherwise) = function.blocks[block.0 as usize].end.clone() else {
            continue;
        };
        let mut edge = |target: Target| {
            let between = function.block();
            function.blocks[between.0 as usize].end = End::Jump(target);
            order.push(between);
            Target::new(between, Vec::new())
        };
        // What falls through comes last.
        let (otherwise, then) = (edge(otherwise), edge(then));
        function.blocks[block.0 as usize].end = End::Branch(cond, then, otherwise);
    }
    function.order = order;
}

/// A function in one row, for the allocator. Its blocks are numbered in the order of their code.
pub(super) struct Flat<'a> {
    pub(super) function: &'a Function,
    /// The instructions, without the ends of blocks.
    pub(super) insts: Vec<Option<&'a Inst>>,
    operands: Vec<Operand>,
    ranges: Vec<(u32, u32)>,
    blocks: Vec<InstRange>,
    succs: Vec<Vec<regalloc2::Block>>,
    preds: Vec<Vec<regalloc2::Block>>,
}

impl<'a> Flat<'a> {
    pub(super) fn new(function: &'a Function) -> Flat<'a> {
        let mut numbers = vec![0; function.blocks.len()];
        for (number, block) in function.order.iter().enumerate() {
            numbers[block.0 as usize] = number;
        }
        let mut flat = Flat {
            function,
            insts: Vec::with_capacity(function.len()),
            operands: Vec::new(),
            ranges: Vec::new(),
            blocks: Vec::new(),
            succs: vec![Vec::new(); function.order.len()],
            preds: vec![Vec::new(); function.order.len()],
        };
        for (number, block) in function.order.iter().enumerate() {
            let data = &function.blocks[block.0 as usize];
            let first = InstIndex::new(flat.insts.len());
            for inst in data.insts.iter().chain(&data.flags) {
                flat.push(Some(inst));
            }
            flat.push(None);
            flat.blocks.push(InstRange::new(first, InstIndex::new(flat.insts.len())));
            let mut edge = |target: &Target| {
                let to = numbers[target.block.0 as usize];
                flat.succs[number].push(regalloc2::Block::new(to));
                flat.preds[to].push(regalloc2::Block::new(number));
            };
            match &data.end {
                End::Jump(target) => edge(target),
                End::Branch(_, then, otherwise) => {
                    edge(then);
                    edge(otherwise);
                }
                End::Return => {}
                End::Open => unreachable!("block{} has no end\n{function}", block.0),
            }
        }
        flat
    }

    fn push(&mut self, inst: Option<&'a Inst>) {
        let start = self.operands.len();
        for operand in inst.into_iter().flat_map(|inst| inst.operands.iter()) {
            match *operand {
                Op::Def(reg, _) => self.operands.push(Operand::reg_def(reg)),
                Op::Use(reg, _) => self.operands.push(Operand::reg_use(reg)),
                Op::Mod(to, from, _) => {
                    let at = self.operands.len() - start;
                    self.operands.push(Operand::reg_use(from));
                    let reuse = OperandConstraint::Reuse(at);
                    self.operands.push(Operand::new(to, reuse, OperandKind::Def, OperandPos::Late));
                }
                Op::Mem(mem) => {
                    if let Base::Reg(base) = mem.base {
                        self.operands.push(Operand::reg_use(base));
                    }
                    if let Some((index, _)) = mem.index {
                        self.operands.push(Operand::reg_use(index));
                    }
                }
                Op::FixedDef(reg, place) => self.operands.push(Operand::reg_fixed_def(reg, place)),
                Op::FixedUse(reg, place) => self.operands.push(Operand::reg_fixed_use(reg, place)),
                Op::Again(_) | Op::Imm(_) => {}
            }
        }
        self.ranges.push((start as u32, self.operands.len() as u32));
        self.insts.push(inst);
    }

    fn data(&self, block: regalloc2::Block) -> (Block, &'a End) {
        let block = self.function.order[block.index()];
        (block, &self.function.blocks[block.0 as usize].end)
    }
}

impl regalloc2::Function for Flat<'_> {
    fn num_insts(&self) -> usize {
        self.insts.len()
    }

    fn num_blocks(&self) -> usize {
        self.blocks.len()
    }

    fn entry_block(&self) -> regalloc2::Block {
        regalloc2::Block::new(0)
    }

    fn block_insns(&self, block: regalloc2::Block) -> InstRange {
        self.blocks[block.index()]
    }

    fn block_succs(&self, block: regalloc2::Block) -> &[regalloc2::Block] {
        &self.succs[block.index()]
    }

    fn block_preds(&self, block: regalloc2::Block) -> &[regalloc2::Block] {
        &self.preds[block.index()]
    }

    fn block_params(&self, block: regalloc2::Block) -> &[VReg] {
        &self.function.blocks[self.data(block).0.0 as usize].params
    }

    fn is_ret(&self, inst: InstIndex) -> bool {
        let block = self.blocks.partition_point(|range| range.last() < inst);
        self.insts[inst.index()].is_none() && matches!(self.data(regalloc2::Block::new(block)).1, End::Return)
    }

    fn is_branch(&self, inst: InstIndex) -> bool {
        self.insts[inst.index()].is_none() && !self.is_ret(inst)
    }

    fn branch_blockparams(&self, block: regalloc2::Block, _: InstIndex, succ: usize) -> &[VReg] {
        match (self.data(block).1, succ) {
            (End::Jump(target) | End::Branch(_, target, _), 0) | (End::Branch(_, _, target), _) => {
                &target.args
            }
            (End::Jump(_) | End::Return | End::Open, _) => &[],
        }
    }

    fn inst_operands(&self, inst: InstIndex) -> &[Operand] {
        let (start, end) = self.ranges[inst.index()];
        &self.operands[start as usize..end as usize]
    }

    fn inst_clobbers(&self, _: InstIndex) -> PRegSet {
        PRegSet::empty()
    }

    fn num_vregs(&self) -> usize {
        self.function.registers
    }

    fn spillslot_size(&self, class: RegClass) -> usize {
        if class == RegClass::Float { 4 } else { 1 }
    }
}

/// Assigns registers. `quick`: in one pass.
pub(super) fn allocate(flat: &Flat<'_>, quick: bool, context: &mut Ctx) -> Output {
    let algorithm = if quick { Algorithm::Fastalloc } else { Algorithm::Ion };
    let options = RegallocOptions { verbose_log: false, validate_ssa: cfg!(debug_assertions), algorithm };
    let machine = machine();
    if let Err(error) = regalloc2::run_with_ctx(flat, &machine, &options, context) {
        panic!("no registers: {error:?}\n{}", flat.function);
    }
    let output = std::mem::take(&mut context.output);
    if cfg!(debug_assertions) {
        let mut checker = Checker::new(flat, &machine);
        checker.prepare(&output);
        if let Err(errors) = checker.run() {
            panic!("wrong registers: {errors:?}\n{}", flat.function);
        }
    }
    output
}

/// Where an operand is, which the constraints say is a register.
pub(super) fn placed(allocation: Allocation) -> PReg {
    allocation.as_reg().expect("every operand is in a register")
}
