//! One text, one input: one result, bit for bit, for every kernel of `examples/kernels`, whatever computes it and however it is
//! called: the engines of [`Engine::all`], any number of threads, alone or in a batch, at every alignment, with strides, in a
//! floating-point environment that the caller has changed.
//!
//! Sizes are modest; `cargo test --release --test it -- --ignored same_bits` takes more of them.

use std::sync::OnceLock;

use act::loops::interp::{self, Array};
use act::{DType, Target};

use crate::engines::{few_choices, in_place, independent_dims, one_of_many};
use crate::inputs::{self, Input, root};
use crate::subject::{Data, How, Kind, Memory, Spacing, Subject, assert_same, subject_for, subjects};
use crate::zoo;

/// What computes a kernel. A new back end is a row of [`Engine::all`].
#[derive(Clone, Debug)]
enum Engine {
    /// The interpreter before the layout passes.
    Numeric,
    /// The interpreter after them, and machine code: for a target, which may have VEX or not.
    For(Target),
}

impl Engine {
    /// All that run here; the first is what the others are compared with.
    fn all() -> Vec<Engine> {
        let targets = Target::names().filter_map(Target::named).filter(Target::runs_here);
        std::iter::once(Engine::Numeric).chain(targets.map(Engine::For)).collect()
    }

    /// What it gives, by its parts; nothing where the kernel can't be had for it (no fused multiply-add).
    fn run(&self, subject: &Subject, data: &Data) -> Vec<(String, Vec<Array>)> {
        let options = interp::Options::default();
        match self {
            Engine::Numeric => {
                vec![("the interpreter".to_owned(), subject.interpret(&subject.numeric, data, &options))]
            }
            Engine::For(target) => {
                let Ok(subject) = subject_for(&subject.name, subject.source.clone(), target) else {
                    return Vec::new();
                };
                vec![
                    (format!("layout for {target}"), subject.interpret(&subject.layout, data, &options)),
                    (format!("Cranelift's code for {target}"), subject.execute(data, &How::NARROW)),
                    (format!("the widest code for {target}"), subject.execute(data, &How::PLAIN)),
                ]
            }
        }
    }
}

/// Every kernel of the examples, compiled once for all tests here.
fn zoo() -> &'static [Subject] {
    static ZOO: OnceLock<Vec<Subject>> = OnceLock::new();
    ZOO.get_or_init(|| {
        let input = |path: std::path::PathBuf| Input {
            name: path.file_stem().expect("a file has a name").to_string_lossy().into_owned(),
            text: zoo::read(&path),
            path: path.strip_prefix(root()).expect("below the root").to_owned(),
        };
        let files = zoo::files(&root().join("examples/kernels"));
        let all: Vec<Subject> = files.into_iter().map(input).flat_map(|input| subjects(&input)).collect();
        assert!(all.len() > 200, "the zoo has only {} kernels", all.len());
        all
    })
}

/// Sizes for a kernel, all dimensions about as long.
fn sizes(subject: &Subject, sizes: &[i64]) -> Option<Vec<i64>> {
    let dims = subject.free_dims();
    let known = dims.iter().zip(sizes.iter().cycle());
    let known: Vec<(&str, i64)> = known.map(|(name, size)| (name.as_str(), *size)).collect();
    subject.sizes(&known)
}

/// Small arrays for every kernel: `visit` gets them with what the interpreter gives.
fn each(most: usize, mut visit: impl FnMut(&Subject, &Data, &[Array])) {
    for subject in zoo() {
        for (number, sizes) in few_choices(subject).into_iter().take(most).enumerate() {
            if subject.largest(&sizes) > 20_000 {
                continue;
            }
            let data = subject.data(sizes, Kind::ALL[number % 3], number as u64);
            let expected = subject.interpret(&subject.numeric, &data, &interp::Options::default());
            visit(subject, &data, &expected);
        }
    }
}

fn engines_agree(most: usize) {
    let engines = Engine::all();
    assert!(engines.len() > 1, "no engine runs here");
    each(most, |subject, data, expected| {
        for engine in &engines[1..] {
            for (what, found) in engine.run(subject, data) {
                assert_same(subject, data, &what, expected, &found);
            }
        }
    });
}

#[test]
fn engines_give_the_same_bits() {
    engines_agree(1);
}

#[test]
#[ignore = "takes minutes"]
fn engines_give_the_same_bits_for_all_sizes() {
    engines_agree(usize::MAX);
}

/// Memory that begins so many bytes after a multiple of 64, as far as elements may: each array elsewhere.
struct Shifted {
    by: usize,
    blocks: Vec<Vec<u64>>,
}

impl Memory for Shifted {
    fn get(&mut self, bytes: usize, align: usize) -> *mut u8 {
        let mut block = vec![0xa5a5_a5a5_a5a5_a5a5_u64; (bytes + 128).div_ceil(8)];
        let start = block.as_mut_ptr().cast::<u8>();
        let by = (self.by + 20 * self.blocks.len()) % 64;
        let start = start.wrapping_add(start.align_offset(64) + by / align * align);
        self.blocks.push(block);
        start
    }
}

#[test]
fn alignment_makes_no_difference() {
    each(2, |subject, data, expected| {
        let narrow = subject.source.params.iter().any(|decl| decl.dtype.bytes() < 4);
        for by in (0..64).step_by(if narrow { 1 } else { 4 }) {
            let mut memory = Shifted { by, blocks: Vec::new() };
            let found = subject.execute_in(data, &How::PLAIN, &mut memory);
            assert_same(subject, data, &format!("{by} bytes on"), expected, &found);
        }
    });
}

#[test]
fn strides_and_place_make_no_difference() {
    each(3, |subject, data, expected| {
        for spacing in [Spacing::Padded, Spacing::Spread, Spacing::Reversed] {
            let how = How { spacing, ..How::PLAIN };
            assert_same(subject, data, &format!("{spacing:?}"), expected, &subject.execute(data, &how));
        }
        for pair in in_place(subject) {
            let how = How { in_place: vec![pair], ..How::PLAIN };
            assert_same(subject, data, "in place", expected, &subject.execute(data, &how));
        }
    });
}

/// Sets MXCSR for a call and puts it back.
#[cfg(target_arch = "x86_64")]
fn with_control_word(word: u32, call: &mut dyn FnMut()) {
    let mut before = 0u32;
    // SAFETY: stmxcsr writes four bytes, ldmxcsr reads four; the words set mask all exceptions and no reserved bit is set.
    unsafe {
        std::arch::asm!("stmxcsr [{}]", in(reg) &mut before, options(nostack));
        std::arch::asm!("ldmxcsr [{}]", in(reg) &word, options(nostack));
    }
    call();
    let mut after = 0u32;
    // SAFETY: as above.
    unsafe {
        std::arch::asm!("stmxcsr [{}]", in(reg) &mut after, options(nostack));
        std::arch::asm!("ldmxcsr [{}]", in(reg) &before, options(nostack));
    }
    assert_eq!(after & !0x3f, word & !0x3f, "the caller's environment is put back");
}

#[test]
#[cfg(target_arch = "x86_64")]
fn the_callers_environment_makes_no_difference() {
    // Subnormals flushed, taken for 0, both; the three other rounding modes; all together.
    let words = [0x8000, 0x0040, 0x8040, 0x2000, 0x4000, 0x6000, 0xe040];
    each(2, |subject, data, expected| {
        for word in words {
            for threads in [1, 3] {
                let how = How { threads, ..How::PLAIN };
                let found = subject.execute_by(data, &how, &|call| with_control_word(0x1f80 | word, call));
                assert_same(subject, data, &format!("MXCSR {word:04x}, {threads} threads"), expected, &found);
            }
        }
    });
}

/// Threads share work only where it is large enough; what one thread gives, the tests above compare with the interpreter.
fn threads_agree(choices: &[&[i64]], threads: &[usize]) {
    for subject in zoo() {
        for (number, choice) in choices.iter().enumerate() {
            let fitting =
                (0..8).map(|halvings| choice.iter().map(|size| (size >> halvings).max(3)).collect());
            let fitting: Vec<Vec<i64>> =
                fitting.filter_map(|choice: Vec<i64>| sizes(subject, &choice)).collect();
            let Some(sizes) = fitting.into_iter().find(|sizes| subject.largest(sizes) < 150_000) else {
                continue;
            };
            let data = subject.data(sizes, Kind::ALL[number % 2], number as u64);
            let expected = subject.execute(&data, &How::PLAIN);
            for &threads in threads {
                let how = How { threads, ..How::PLAIN };
                let found = subject.execute(&data, &how);
                assert_same(subject, &data, &format!("{threads} threads"), &expected, &found);
                if subject.kernel.split().is_some() {
                    let found = subject.execute(&data, &How { split: true, ..how });
                    assert_same(subject, &data, &format!("rows split, {threads} threads"), &expected, &found);
                }
            }
        }
    }
}

#[test]
fn threads_give_the_same_bits() {
    threads_agree(&[&[3, 20_011]], &[2, 16]);
    threads_agree(&[&[1037, 61]], &[3, 7]);
}

#[test]
#[ignore = "takes minutes"]
fn any_number_of_threads_gives_the_same_bits() {
    let all: Vec<usize> = (1..=16).collect();
    threads_agree(&[&[2, 60_013], &[4099, 29], &[5, 24_577], &[1, 100_003]], &all);
}

#[test]
fn a_row_of_the_batch_is_the_row_alone() {
    for subject in zoo() {
        for dim in independent_dims(subject) {
            let varied = &subject.source.dims[dim].name;
            let with = |length: i64, others: i64| {
                let size = |name: &String| if name == varied { length } else { others };
                let dims = subject.free_dims();
                let known: Vec<(&str, i64)> = dims.iter().map(|name| (name.as_str(), size(name))).collect();
                subject.sizes(&known)
            };
            for (length, others) in [(9, 37), (33, 4)] {
                if let (Some(many), Some(one)) = (with(length, others), with(1, others))
                    && subject.largest(&many) < 200_000
                {
                    one_of_many(subject, dim, length, many, one);
                }
            }
        }
    }
}

/// The zoo has arrays of every width that alignment is about.
#[test]
fn the_kernels_here_are_those_of_the_examples() {
    let names: Vec<&str> = zoo().iter().map(|subject| subject.source.name.as_str()).collect();
    for input in inputs::examples() {
        for subject in subjects(&input) {
            assert!(names.contains(&subject.source.name.as_str()), "{} is missing", subject.name);
        }
    }
    let has = |dtype: DType| {
        zoo().iter().any(|subject| subject.source.params.iter().any(|decl| decl.dtype == dtype))
    };
    assert!(has(DType::F32));
}
