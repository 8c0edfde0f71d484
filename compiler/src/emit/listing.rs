//! Machine code as text: what the processor runs, the same on every host and wherever the code is put.
//!
//! No addresses: places that are jumped to are `L0`, `L1`, …; constants that are read are `C0`, `C1`, …, and stand
//! behind the instructions in words of four bytes. Takes any code of a back end: what is an instruction and what is
//! a constant is found by following the jumps.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use iced_x86::{
    Decoder, DecoderOptions, FlowControl, Formatter, Instruction, IntelFormatter, SymbolResolver,
    SymbolResult,
};
use target_lexicon::Architecture;

use crate::backend::{MachineCode, MachineFunction};

/// The code of a kernel's variant, function by function.
pub fn listing(code: &MachineCode) -> String {
    let mut text = String::new();
    for (index, function) in code.functions.iter().enumerate() {
        if index > 0 {
            text.push('\n');
        }
        let _ = writeln!(text, "; {} for {}", function.symbol, code.target);
        match code.target.triple().architecture {
            Architecture::X86_64 => text.push_str(&disassemble(function)),
            _ => words(&mut text, &function.bytes),
        }
    }
    text
}

/// The instructions of one function for x86-64, and the constants behind them.
fn disassemble(function: &MachineFunction) -> String {
    let code = Code::of(&function.bytes);
    let labels = code.labels();
    let mut formatter = IntelFormatter::with_options(Some(Box::new(Labels(labels.clone()))), None);
    let options = formatter.options_mut();
    options.set_space_after_operand_separator(true);
    options.set_hex_prefix("0x");
    options.set_hex_suffix("");
    options.set_uppercase_hex(false);
    options.set_branch_leading_zeros(false);
    options.set_displacement_leading_zeros(false);
    options.set_rip_relative_addresses(false);
    options.set_show_branch_size(false);
    let mut text = String::new();
    for instruction in code.instructions.values() {
        if let Some(label) = labels.get(&instruction.ip()) {
            let _ = writeln!(text, "{label}:");
        }
        text.push_str("    ");
        formatter.format(instruction, &mut text);
        text.push('\n');
    }
    for (start, end) in code.constants(function.bytes.len() as u64) {
        let _ = writeln!(text, "{}:", labels[&start]);
        words(&mut text, &function.bytes[start as usize..end as usize]);
    }
    text
}

/// Bytes as little-endian words, four in a line.
fn words(text: &mut String, bytes: &[u8]) {
    for line in bytes.chunks(16) {
        let words = line.chunks(4).map(|word| {
            word.iter().rev().fold("0x".to_owned(), |mut text, byte| {
                let _ = write!(text, "{byte:02x}");
                text
            })
        });
        let _ = writeln!(text, "    .long {}", words.collect::<Vec<_>>().join(", "));
    }
}

/// What there is in a function's bytes, by address from its first byte.
#[derive(Default)]
struct Code {
    /// The instructions that can be reached.
    instructions: BTreeMap<u64, Instruction>,
    /// Where jumps lead.
    targets: BTreeSet<u64>,
    /// Constants that instructions read.
    constants: BTreeSet<u64>,
}

impl Code {
    fn of(bytes: &[u8]) -> Code {
        let mut code = Code::default();
        let mut decoder = Decoder::with_ip(64, bytes, 0, DecoderOptions::NONE);
        let mut starts = vec![0];
        while let Some(start) = starts.pop() {
            let mut at = start;
            while (at as usize) < bytes.len() && !code.instructions.contains_key(&at) {
                decoder.set_position(at as usize).expect("inside of the bytes");
                decoder.set_ip(at);
                let instruction = decoder.decode();
                code.add(instruction, bytes.len() as u64, &mut starts);
                at = match instruction.flow_control() {
                    FlowControl::Return | FlowControl::UnconditionalBranch | FlowControl::Exception => break,
                    _ => instruction.next_ip(),
                };
            }
        }
        code
    }

    fn add(&mut self, instruction: Instruction, end: u64, starts: &mut Vec<u64>) {
        let target = instruction.near_branch_target();
        if jumps(&instruction) && target < end {
            self.targets.insert(target);
            starts.push(target);
        }
        if instruction.is_ip_rel_memory_operand() && instruction.ip_rel_memory_address() < end {
            self.constants.insert(instruction.ip_rel_memory_address());
        }
        self.instructions.insert(instruction.ip(), instruction);
    }

    /// A name for every address that is jumped to or read.
    fn labels(&self) -> BTreeMap<u64, String> {
        let targets = self.targets.iter().enumerate().map(|(index, &at)| (at, format!("L{index}")));
        let constants = self.constants.iter().enumerate().map(|(index, &at)| (at, format!("C{index}")));
        targets.chain(constants).collect()
    }

    /// Where constants begin and end: each goes on until the next one, the last until the end of the bytes.
    fn constants(&self, end: u64) -> impl Iterator<Item = (u64, u64)> {
        let ends = self.constants.iter().copied().skip(1).chain([end]);
        self.constants.iter().copied().zip(ends)
    }
}

/// Whether it leads to another place of the function.
fn jumps(instruction: &Instruction) -> bool {
    matches!(instruction.flow_control(), FlowControl::UnconditionalBranch | FlowControl::ConditionalBranch)
}

/// Writes labels instead of addresses.
struct Labels(BTreeMap<u64, String>);

impl SymbolResolver for Labels {
    fn symbol(
        &mut self,
        instruction: &Instruction,
        _operand: u32,
        _instruction_operand: Option<u32>,
        address: u64,
        _address_size: u32,
    ) -> Option<SymbolResult<'_>> {
        // Immediates and offsets from registers are asked for too.
        let is_place = instruction.is_ip_rel_memory_operand()
            && instruction.ip_rel_memory_address() == address
            || jumps(instruction) && instruction.near_branch_target() == address;
        let label = self.0.get(&address).filter(|_| is_place)?;
        Some(SymbolResult::with_str(address, label))
    }
}
