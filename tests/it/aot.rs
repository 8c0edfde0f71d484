//! Kernels compiled ahead of time: the object file called from C, the texts beside it, and what it refers to.
//!
//! `tests/suite/aot/main.c` makes the calls; its results are compared with those of the same kernels in memory.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use act::emit::{self, CompiledKernel, ObjectOptions};
use act::{Kernel, Module, Options, Target, TensorView, view};
use act_runtime::abi::SizeExpr;
use object::read::{File, Object, ObjectSymbol};

const ROWS: usize = 5;
const D: usize = 1003;
const K: usize = 3;
const H: usize = 6;

pub fn suite(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/suite/aot").join(name)
}

fn text() -> String {
    fs::read_to_string(suite("kernels.act")).expect("readable")
}

/// The level that the tests are compiled for, on a platform that is the same everywhere unless it must run here.
fn linux() -> Target {
    let target = Target::named("v3").expect("a level").on_platform("x86_64-unknown-linux-gnu");
    target.expect("a platform")
}

pub fn compiled(text: &str, target: Target) -> Vec<CompiledKernel> {
    let options = Options { target, ..Options::default() };
    let kernels = act::compile_kernels("kernels.act", text, &options);
    guard(kernels.unwrap_or_else(|error| panic!("{error}")))
}

/// Makes one kernel of `guarded` and `long_rows`: the former for rows of at most 8 elements.
fn guard(mut kernels: Vec<CompiledKernel>) -> Vec<CompiledKernel> {
    let Some(at) = kernels.iter().position(|kernel| kernel.signature.name == "long_rows") else {
        return kernels;
    };
    let mut long = kernels.remove(at).variants.remove(0);
    let CompiledKernel { signature, mut variants, .. } = kernels.remove(at - 1);
    let mut short = variants.remove(0);
    short.variant.guard = Some((SizeExpr::Dim(1), 8));
    long.kernel.clone_from(&short.kernel);
    kernels.push(CompiledKernel::new(signature, vec![short, long]));
    kernels
}

/// Compares with the snapshot of that name.
pub fn snapshot(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../snapshots/aot");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

/// Numbers between -1 and 1, always the same; a few far below, whose exponentials are subnormal.
fn numbers(count: usize) -> Vec<f32> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let x = (state >> 40) as f32 / (1 << 23) as f32 - 1.0;
        if state & 31 == 0 { x - 92.0 } else { x }
    };
    (0..count).map(|_| next()).collect()
}

fn bytes_of(numbers: &[f32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

#[test]
fn c_program() {
    let host = Target::named("v3").expect("a level");
    if !host.runs_here() {
        println!("skipped aot::c_program: this machine is not x86-64-v3");
        return;
    }
    let kernels = compiled(&text(), host);
    let input = numbers(ROWS * D + 2 * D);
    let Some((returned, results)) = run(&kernels, &input, ObjectOptions::default()) else {
        println!("skipped aot::c_program: there is no C compiler `cc` on this machine");
        return;
    };
    snapshot("returned", &returned);
    let module = emit::jit::load(kernels.clone()).expect("code for this machine");
    let mut at = 0;
    for (what, wanted) in wanted(&module, &input) {
        assert!(results[at..].starts_with(&wanted), "{what}");
        at += wanted.len();
    }
    assert_eq!(at, results.len());

    // Another mode of the caller would show, were it not set aside. It is that of the last results.
    let other = run(&kernels, &input, ObjectOptions { assume_default_fp: true }).expect("as before").1;
    let last = results.len() - 4 * ROWS * D;
    assert!(other[..last] == results[..last] && other[last..] != results[last..]);
}

/// What the C program prints and what it writes; nothing if there is no C compiler.
fn run(kernels: &[CompiledKernel], input: &[f32], options: ObjectOptions) -> Option<(String, Vec<u8>)> {
    let dir = tempfile::tempdir().expect("a folder");
    let path = |name: &str| dir.path().join(name);
    fs::write(path("kernels.o"), emit::object(kernels, &options).expect("an object file")).expect("written");
    fs::write(path("kernels.h"), emit::header(kernels, &options)).expect("written");
    if !build(dir.path(), &suite("main.c")) {
        return None;
    }
    fs::write(path("in"), bytes_of(input)).expect("written");
    let output = Command::new(path("main")).args(["in", "out"]).current_dir(dir.path()).output();
    let output = output.expect("the program runs");
    assert!(output.status.success(), "{output:?}");
    Some((String::from_utf8_lossy(&output.stdout).into_owned(), fs::read(path("out")).expect("readable")))
}

/// Compiles a C program and links it with `kernels.o`; false if there is no C compiler.
pub fn build(dir: &Path, program: &Path) -> bool {
    let mut cc = Command::new("cc");
    cc.args(["-std=c11", "-Wall", "-Wextra", "-pedantic", "-Werror", "-O1", "-o", "main", "-I", "."]);
    if cfg!(target_os = "linux") {
        cc.arg("-Wl,--fatal-warnings");
    }
    let output = match cc.arg(program).arg("kernels.o").current_dir(dir).output() {
        Ok(output) => output,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return false,
        Err(error) => panic!("cc: {error}"),
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    true
}

/// What the C program writes, in order.
fn wanted(module: &Module, input: &[f32]) -> Vec<(&'static str, Vec<u8>)> {
    let kernel = |name: &str| module.kernel(name).expect("it was compiled");
    let (x, rest) = input.split_at(ROWS * D);
    let (gamma, beta) = rest.split_at(D);
    let rows = || view(x, [ROWS, D]);
    let wide = |numbers: &[f32]| numbers.iter().copied().map(f64::from).collect::<Vec<f64>>();
    let (pairs_x, pairs_w) = (wide(&x[..2 * K * H]), wide(&beta[..H / 2]));
    let pairs = |double| {
        let inputs = [view(&pairs_x, [2 * K, H]), view(&pairs_w, [H / 2])];
        results(&kernel("pairs"), &inputs, &[double])
    };
    let softmax = results(&kernel("softmax"), &[rows()], &[]).concat();
    let norm =
        results(&kernel("layer_norm"), &[rows(), view(gamma, [D]), view(beta, [D])], &[f64::from(1e-3_f32)]);
    let plain = results(&kernel("layer_norm"), &[rows(), TensorView::absent(), TensorView::absent()], &[]);
    let part = |d: usize| results(&kernel("guarded"), &[view(&x[..ROWS * d], [ROWS, d])], &[]).concat();
    let by_hand =
        |d: usize, more: f32| bytes_of(&x[..ROWS * d].iter().map(|x| x + more).collect::<Vec<f32>>());
    assert!(part(8) == by_hand(8, 1.0) && part(9) == by_hand(9, 2.0));
    vec![
        ("softmax", softmax.clone()),
        ("layer_norm", norm.concat()),
        ("layer_norm with defaults", plain[0].clone()),
        ("pairs", pairs(0.0).concat()),
        ("pairs doubled", pairs(1.0)[0].clone()),
        ("spread", results(&kernel("spread"), &[rows()], &[]).concat()),
        ("guarded, short rows", part(8)),
        ("guarded, long rows", part(9)),
        ("softmax in place", softmax.clone()),
        ("softmax in another mode", softmax),
    ]
}

/// The bytes of a kernel's results.
fn results(kernel: &Kernel, inputs: &[TensorView<'_>], numbers: &[f64]) -> Vec<Vec<u8>> {
    let tensors = kernel.run_alloc(inputs, numbers).expect("a good call");
    let bytes = tensors.iter().map(|tensor| match tensor.as_slice::<f32>() {
        Some(numbers) => bytes_of(numbers),
        None => {
            let numbers = tensor.as_slice::<f64>().expect("the suite has only floats");
            numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
        }
    });
    bytes.collect()
}

#[test]
fn texts_beside_the_object() {
    let kernels = compiled(&text(), linux());
    snapshot("kernels.h", &emit::header(&kernels, &ObjectOptions::default()));
    snapshot("kernels.rs", &emit::rust_stub(&kernels));
}

#[test]
fn listing() {
    let kernels = compiled("kernel f(x: f32[..]) -> f32[..] { if x > 0 { x * 3 } else { 0.25 } }", linux());
    let mut code = kernels[0].variants[0].clone();
    let whole = emit::listing(&code);
    assert!(whole.starts_with("; act.f.0.0 for x86-64-v3\n") && !whole.contains("(bad)"), "{whole}");
    assert!(whole.contains("C0:\n    .long 0x") && whole.contains("[C0]"), "{whole}");

    // The jumps and the constant by hand; an offset that is no place although it has a place's number.
    let mut bytes = vec![0x31, 0xc0]; // xor eax, eax
    bytes.extend([0xc5, 0xf8, 0x10, 0x05, 0x16, 0, 0, 0]); // vmovups xmm0, [rip + 22]
    bytes.extend([0x85, 0xc0]); // test eax, eax
    bytes.extend([0x74, 0x07]); // je, 7 bytes on
    bytes.extend([0x48, 0x8b, 0x44, 0x24, 0x02]); // mov rax, [rsp + 2]
    bytes.extend([0xeb, 0xed]); // jmp, 19 bytes back
    bytes.push(0xc3); // ret
    bytes.resize(32, 0);
    bytes.extend(1..=16);
    code.functions[0].bytes = bytes;
    snapshot("listing", &emit::listing(&code));
}

#[test]
fn objects_need_nothing_else() {
    let kernels = compiled(&text(), linux());
    for assume_default_fp in [false, true] {
        let options = ObjectOptions { assume_default_fp };
        let bytes = emit::object(&kernels, &options).expect("an object file");
        assert_eq!(emit::object(&kernels, &options).as_ref(), Ok(&bytes), "the same file every time");
        let file = File::parse(&*bytes).expect("an ELF file");
        let undefined: Vec<_> = file.symbols().filter(|symbol| symbol.is_undefined()).collect();
        let undefined: Vec<_> = undefined.iter().filter(|symbol| symbol.name() != Ok("")).collect();
        assert!(undefined.is_empty(), "{undefined:?}");
        let globals =
            file.symbols().filter(|symbol| symbol.is_global()).filter_map(|symbol| symbol.name().ok());
        let mut globals: Vec<&str> = globals.collect();
        globals.sort_unstable();
        snapshot("symbols", &globals.join("\n"));
        let control = file.symbols().filter(|symbol| symbol.name() == Ok("act.mxcsr.set")).count();
        assert_eq!(control, usize::from(!assume_default_fp));
    }
}

#[test]
fn other_platforms() {
    for platform in ["x86_64-pc-windows-msvc", "x86_64-apple-darwin", "x86_64-unknown-freebsd"] {
        for level in ["v3", "v4"] {
            let target = Target::named(level).expect("a level").on_platform(platform).expect("a platform");
            let bytes = emit::object(&compiled(&text(), target), &ObjectOptions::default());
            assert!(bytes.expect(platform).len() > 1000);
        }
    }
}

#[test]
fn refused() {
    let message = |kernels: &[CompiledKernel]| {
        emit::object(kernels, &ObjectOptions::default()).expect_err("it is refused").to_string()
    };
    assert_eq!(message(&[]), "there are no kernels to put into an object file");
    let twice = "kernel a(x: f32[..]) -> f32[..] { x }\nkernel a_workspace(x: f32[..]) -> f32[..] { x }\n";
    assert_eq!(
        message(&compiled(twice, linux())),
        "two functions of the object file would be called `act_a_workspace`; rename kernel `a_workspace`"
    );
}

/// Names of the text that mean something in C or in Rust.
#[test]
fn names() {
    let text = "\
/// Ends a comment: */ and begins one: /*
kernel match(int: f32[.., leading, d], d: f32, self: f32[n, workspace]) -> (for: f32[.., leading, d], x: f32[n]) {
    (for = int * d, x = sum[workspace](self))
}
kernel self(x: f32[n], NULL: f32 = inf) -> f32 { sum[n](x) + NULL }
";
    let kernels = compiled(text, linux());
    emit::object(&kernels, &ObjectOptions::default()).expect("an object file");
    snapshot(
        "names.h",
        emit::header(&kernels, &ObjectOptions::default()).split_once("\nextern").expect("there is one").1,
    );
    let stub = emit::rust_stub(&kernels);
    assert!(stub.contains("pub fn r#match()") && stub.contains("pub fn self_()"), "{stub}");
}

/// What `checks.c` prints: positions outside give NaN, or what stands instead; numbers out of range are refused, and nothing is
/// written then. The range of an `f32` has the ends that it is declared with, in `f32`.
const CHECKED: &str = "\
picked: 0
labels: 0
0 0
5 5
nan -7
nan -7
nan -7
nan -7
19 19
no columns: 0
nan
nan
nan
nan
nan
nan
nan
tempered: 0, 2 -6
tempered: 0, 0.25 -0.75
tempered: 0, 1 -3
tempered: -8, 99 99
tempered: -8, 99 99
tempered: -8, 99 99
tempered: -8, 99 99
tempered: -8, 99 99
tempered: -8, 99 99
tempered: -8, 99 99
wide: 0, 10 -30
wide: 0, 0.1 -0.3
wide: -8, 99 99
wide: -8, 99 99
wide: -8, 99 99
";

#[test]
fn positions_and_ranges_are_checked() {
    let host = Target::named("v3").expect("a level");
    if !host.runs_here() {
        println!("skipped aot::positions_and_ranges_are_checked: this machine is not x86-64-v3");
        return;
    }
    let kernels = compiled(&fs::read_to_string(suite("checks.act")).expect("readable"), host);
    for assume_default_fp in [false, true] {
        let (dir, options) = (tempfile::tempdir().expect("a folder"), ObjectOptions { assume_default_fp });
        let object = emit::object(&kernels, &options).expect("an object file");
        fs::write(dir.path().join("kernels.o"), object).expect("written");
        fs::write(dir.path().join("kernels.h"), emit::header(&kernels, &options)).expect("written");
        if !build(dir.path(), &suite("checks.c")) {
            println!(
                "skipped aot::positions_and_ranges_are_checked: there is no C compiler `cc` on this machine"
            );
            return;
        }
        let output = Command::new(dir.path().join("main")).output().expect("the program runs");
        assert!(output.status.success(), "{output:?}");
        assert_eq!(String::from_utf8_lossy(&output.stdout), CHECKED);
    }
}

const EXAMPLE_PRINTS: &str = "0.090031 0.244728 0.665241\n0.333333 0.333333 0.333333\n";

fn example_file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../examples/aot").join(name)
}

/// The example as its README says, from C.
#[test]
fn example_in_c() {
    let host = Target::named("v3").expect("a level");
    if !host.runs_here() {
        println!("skipped aot::example_in_c: this machine is not x86-64-v3");
        return;
    }
    let kernels = compiled(&fs::read_to_string(example_file("softmax.act")).expect("readable"), host);
    let dir = tempfile::tempdir().expect("a folder");
    let options = ObjectOptions::default();
    let object = emit::object(&kernels, &options).expect("an object file");
    fs::write(dir.path().join("kernels.o"), object).expect("written");
    fs::write(dir.path().join("softmax.h"), emit::header(&kernels, &options)).expect("written");
    if !build(dir.path(), &example_file("main.c")) {
        println!("skipped aot::example_in_c: there is no C compiler `cc` on this machine");
        return;
    }
    let output = Command::new(dir.path().join("main")).output().expect("the program runs");
    assert_eq!(String::from_utf8_lossy(&output.stdout), EXAMPLE_PRINTS);
}

/// The example as its README says, from Rust: without the compiler in the program.
#[test]
#[ignore = "builds the compiler once more, as a build dependency; minutes"]
fn example_in_rust() {
    if !Target::named("v3").expect("a level").runs_here() {
        println!("skipped aot::example_in_rust: this machine is not x86-64-v3");
        return;
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["run", "--quiet", "--manifest-path"])
        .arg(example_file("Cargo.toml"))
        .output();
    let output = output.expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8_lossy(&output.stdout), EXAMPLE_PRINTS);
}
