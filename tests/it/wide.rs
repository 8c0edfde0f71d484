//! The wide back end by itself: its bytes are instructions that every machine of the level has, it says what it cannot do, and
//! then Cranelift makes the code.

use act::backend::{BackendError, Engine, MachineCode};
use act::emit::CompiledKernel;
use act::pipeline::{self, Blind, Options};
use act::target::Target;
use iced_x86::{Code, CpuidFeature, Decoder, DecoderOptions, Encoder, FlowControl, Instruction};

use crate::inputs;
use crate::subject::graphs;

fn target(name: &str) -> Target {
    let level = Target::named(name).expect("a level of the table");
    level.on_platform("x86_64-unknown-linux-gnu").expect("its architecture")
}

fn compiled(input: &inputs::Input, options: &Options) -> Vec<Result<CompiledKernel, BackendError>> {
    let graphs = graphs(&input.path.to_string_lossy(), &input.text);
    graphs.into_iter().map(|graph| pipeline::compile_graph(graph, options, &mut Blind)).collect()
}

/// The instructions of a function, up to its return.
fn instructions(bytes: &[u8]) -> Vec<Instruction> {
    let mut decoder = Decoder::new(64, bytes, DecoderOptions::NONE);
    let mut all = Vec::new();
    loop {
        let instruction = decoder.decode();
        assert!(!instruction.is_invalid(), "no instruction at {:#x}", instruction.ip());
        all.push(instruction);
        if instruction.code() == Code::Retnq {
            return all;
        }
    }
}

fn check(name: &str, code: &MachineCode) {
    for function in &code.functions {
        let all = instructions(&function.bytes);
        let end = all.last().expect("it returns").next_ip();
        let mut encoder = Encoder::new(64);
        for instruction in &all {
            let features = instruction.cpuid_features();
            let has = |feature: &CpuidFeature| !format!("{feature:?}").starts_with("AVX512");
            assert!(features.iter().all(has), "{name}: {:?} needs {features:?}", instruction.code());
            // What is read as an instruction is written as the same bytes, but for the lengths of jumps.
            encoder.encode(instruction, instruction.ip()).expect("it has been encoded before");
            let written = encoder.take_buffer();
            let read = &function.bytes[instruction.ip() as usize..instruction.next_ip() as usize];
            let jumps = instruction.flow_control() != FlowControl::Next;
            assert!(jumps || written == read, "{name}: {:?}: {written:x?}, {read:x?}", instruction.code());
            if jumps && instruction.code() != Code::Retnq {
                let to = instruction.near_branch_target();
                assert!(all.iter().any(|other| other.ip() == to), "{name}: a jump to {to:#x}");
            }
        }
        let constants = &function.bytes[end as usize..];
        assert!(constants.is_empty() || constants.len() >= 32, "{name}: {} bytes behind", constants.len());
    }
}

/// No kernel falls back, and the bytes of each are instructions of the lowest level.
#[test]
fn bytes_are_instructions() {
    let options = Options { target: target("v3"), engine: Engine::Wide, ..Options::default() };
    for input in inputs::kernels() {
        for kernel in compiled(&input, &options) {
            let kernel = kernel.unwrap_or_else(|error| panic!("{}: {error}", input.name));
            kernel.variants.iter().for_each(|code| check(&input.name, code));
        }
    }
}

#[test]
fn other_platforms_take_cranelift() {
    let input = inputs::examples().into_iter().find(|input| input.name == "softmax").expect("an example");
    let windows = target("v3").on_platform("x86_64-pc-windows-msvc").expect("its architecture");
    let options = |engine| Options { target: windows.clone(), engine, ..Options::default() };
    for kernel in compiled(&input, &options(Engine::Auto)) {
        kernel.expect("by Cranelift");
    }
    for kernel in compiled(&input, &options(Engine::Wide)) {
        let error = kernel.expect_err("there is no wide code for it");
        assert!(error.message.contains("Windows"), "{error}");
    }
}
