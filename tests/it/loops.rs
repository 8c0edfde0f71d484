//! The loop IR's services: its text form both ways, the verifier's reports, and what the interpreter computes,
//! checked against definitions written out here a second time.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use act::loop_passes::{LAYOUT, NUMERIC};
use act::loops::interp::{Arg, Array, Options, run, run_with, same_bits};
use act::loops::{BufferKind, Elem, Func, finish, parse, verify};
use act::ops::{Class, Prim, Typing};
use act::target::Target;

/// Name and text of the functions in a folder of the suite, in alphabetical order.
fn suite(folder: &str) -> Vec<(String, String)> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/suite").join(folder);
    let entries =
        fs::read_dir(&path).expect("the suite is there").map(|entry| entry.expect("readable").path());
    let mut files: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|ext| ext == "loops")).collect();
    files.sort();
    let name = |path: &PathBuf| path.file_stem().expect("a name").to_string_lossy().into_owned();
    files.iter().map(|path| (name(path), fs::read_to_string(path).expect("readable"))).collect()
}

fn func(name: &str) -> Func {
    let (_, text) = suite("loops").into_iter().find(|(known, _)| known == name).expect("it is in the suite");
    parsed(&text)
}

fn parsed(text: &str) -> Func {
    let func = parse(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    verify(&func).unwrap_or_else(|report| panic!("{report}"));
    func
}

/// The message of the panic that `f` ends in.
fn panic_of<T>(f: impl FnOnce() -> T) -> String {
    let Err(payload) = catch_unwind(AssertUnwindSafe(f)) else { panic!("it should have panicked") };
    let text = payload.downcast::<String>().map(|text| *text);
    text.unwrap_or_else(|payload| {
        payload.downcast::<&str>().map_or_else(|_| String::new(), |text| text.to_string())
    })
}

/// Compares with the snapshot of that name.
fn snapshot(folder: &str, name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(format!("../snapshots/{folder}"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

/// Numbers between -1 and 1 of very different magnitude, always the same.
fn numbers(count: usize) -> Vec<f32> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let x = (state >> 40) as f32 / (1 << 23) as f32 - 1.0;
        if state & 3 == 0 { x * 1e-3 } else { x }
    };
    (0..count).map(|_| next()).collect()
}

// ------------------------------------------------------------------------------------------------ text

#[test]
fn text_reads_back() {
    for (name, text) in suite("loops") {
        let first = parsed(&text);
        let canonical: String =
            text.lines().filter(|line| !line.starts_with("//")).map(|line| format!("{line}\n")).collect();
        assert_eq!(first.to_string(), canonical, "{name}");
        assert_eq!(parse(&first.to_string()), Ok(first), "{name}");
    }
}

#[test]
fn renumbering_drops_unused_values() {
    let mut func = func("totals");
    let (sizes, args) = ([11], [Arg::from((1..=11).collect::<Vec<i32>>())]);
    let before = run(&func, &sizes, &args);
    func.renumber();
    verify(&func).unwrap_or_else(|report| panic!("{report}"));
    assert!(func.unused().is_empty());
    assert_eq!(run(&func, &sizes, &args), before);
    assert_eq!(parse(&func.to_string()), Ok(func));
}

#[test]
fn damaged_text_is_refused_or_read() {
    for (_, text) in suite("loops").into_iter().chain(suite("loops/broken")) {
        for place in 0..text.len() {
            let _ = parse(&text[..place]);
            for other in ["", " ", "9", "v", "]", "(", "-", "é"] {
                let damaged = format!("{}{other}{}", &text[..place], &text[place + 1..]);
                if let Ok(func) = parse(&damaged) {
                    let _ = verify(&func).map_err(|report| report.to_string());
                }
            }
        }
    }
}

#[test]
fn parse_errors_name_the_line() {
    let head = "func f\n  phase v0..v1 extent 1 grain 1 work 1\n";
    let deep: String = (2..150).map(|depth| format!("{}if v2\n", "  ".repeat(depth))).collect();
    let nested: String = (2..1000).map(|depth| format!("{}if v2\n", "  ".repeat(depth))).collect();
    let cases = [
        String::new(),
        "\n  func f\n".to_owned(),
        "func f\n    size s0 = 1\n".to_owned(),
        "func f\n   size s0 = 1\n".to_owned(),
        "func f\n  size s1 = 1\n".to_owned(),
        "func f\n  size s0 = 1 +\n".to_owned(),
        format!("func f\n  size s0 = {}1\n", "(".repeat(100_000)),
        format!("func f\n  size s0 = 1{}\n", " + 1".repeat(100_000)),
        "func f\n  buffer b0 = global x : f32[1]\n".to_owned(),
        "func f\n  buffer b0 = local x f32[1]\n".to_owned(),
        "func f\n  unused v4294967295 : f32\n".to_owned(),
        format!("{head}    v2 : f16 = const 1\n"),
        format!("{head}    v2 : f32x4096 = const 1\n"),
        format!("{head}    v2 : f32 = const 1.0 (0x3f800001)\n"),
        format!("{head}    v2 : i32 = const 2147483648\n"),
        format!("{head}    v2 : f32 = frobnicate v0\n"),
        format!("{head}    v2 : f32, v3 : f32 = add v0, v1\n"),
        format!("{head}    v2 : f32 = add v0 v1\n"),
        format!("{head}    v2 : f32 = const 1\n    v2 : f64 = const 1\n"),
        format!("{head}    v5 : f32 = const 1\n"),
        format!("{head}    else\n"),
        format!("{head}    yield v0\n"),
        format!("{head}    v2 : f32 = reduce sum column over v3 in s0\n"),
        format!("{head}    v2 : bool = const true\n{deep}"),
        format!("{head}{nested}"),
    ];
    let mut report = String::new();
    for case in cases {
        let result = parse(&case).map_or_else(|error| error.to_string(), |_| "read".to_owned());
        report.push_str(&format!("{result}\n"));
    }
    snapshot("loops", "parse-errors", &report);
}

// ------------------------------------------------------------------------------------------------ verifier

#[test]
fn reports_of_the_verifier() {
    for (name, text) in suite("loops/broken") {
        let func = parse(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let report = verify(&func).expect_err("it is broken").to_string();
        snapshot("loops/verify", &name, &report);
    }
}

#[test]
fn finish_takes_core_functions_only() {
    let message = panic_of(|| finish(func("row_sum_lanes")));
    assert!(message.contains("^ error, rule 6: a lane loop is left"), "{message}");
    let message = panic_of(|| finish(func("row_sum")));
    assert!(message.contains("^ error, rule 6: a reduction is left"), "{message}");
    let text =
        "func f\n  phase v0..v1 extent 1 grain 1 work 1\n    v2 : f32 = const 1\n    v3 : f32 = exp v2\n";
    let message = panic_of(|| finish(parsed(text)));
    assert!(message.contains("^ error, rule 6: exp is not a core function"), "{message}");
    assert!(finish(func("totals")).func().unused().is_empty());
}

// ------------------------------------------------------------------------------------------------ reductions

type Combine = fn(f32, f32) -> f32;

/// The tree by its definition, on `runs` of elements; a place's element is added by `step`.
fn tree(runs: &[&[f32]], lanes: usize, identity: f32, step: Combine, combine: Combine) -> f32 {
    let mut steps: Vec<Vec<(usize, f32)>> = Vec::new();
    for run in runs {
        for part in run.chunks(lanes) {
            steps.push(part.iter().copied().enumerate().collect());
        }
    }
    let block = |steps: &[Vec<(usize, f32)>]| {
        let mut state = vec![identity; lanes];
        for (lane, element) in steps.iter().flatten() {
            state[*lane] = step(*element, state[*lane]);
        }
        while state.len() > 1 {
            let high = state.split_off(state.len() / 2);
            state.iter_mut().zip(high).for_each(|(low, high)| *low = combine(high, *low));
        }
        state[0]
    };
    let blocks: Vec<f32> = steps.chunks(256).map(block).collect();
    whole(&blocks, combine).unwrap_or(identity)
}

/// Blocks combined as a binary counter does: perfect trees over the powers of two in the number of blocks, then
/// these from the last to the first.
fn whole(blocks: &[f32], combine: Combine) -> Option<f32> {
    fn perfect(blocks: &[f32], combine: Combine) -> f32 {
        if let [block] = blocks {
            return *block;
        }
        let (left, right) = blocks.split_at(blocks.len() / 2);
        combine(perfect(right, combine), perfect(left, combine))
    }
    let mut groups = Vec::new();
    let mut rest = blocks;
    while !rest.is_empty() {
        let (group, after) = rest.split_at(1 << rest.len().ilog2());
        groups.push(perfect(group, combine));
        rest = after;
    }
    groups.into_iter().rev().reduce(combine)
}

fn largest(a: f32, b: f32) -> f32 {
    if a.is_nan() || a > b { a } else { b }
}

fn smallest(a: f32, b: f32) -> f32 {
    if a.is_nan() || a < b { a } else { b }
}

#[test]
fn row_sums_follow_the_tree() {
    let func = func("row_sum");
    for length in [0, 1, 31, 32, 33, 8192, 8193, 3 * 8192 + 5] {
        let rows = 2;
        let x = numbers(rows * length);
        let sums = run(&func, &[rows as i64, length as i64], &[Arg::from(x.clone())]);
        let row = |row: usize| tree(&[&x[row * length..][..length]], 32, 0.0, |a, b| a + b, |a, b| a + b);
        let wanted = Array::from(vec![row(0), row(1)]);
        assert!(sums[0].same_bits(&wanted), "{length}: {sums:?} {wanted:?}");
    }
}

#[test]
fn states_and_runs() {
    let func = func("runs");
    for (outer, inner) in [(0, 5), (5, 0), (1, 1), (3, 33), (300, 7), (1030, 40)] {
        let mut x = numbers(2 * outer * inner);
        if let Some(element) = x.get_mut(outer * inner / 2) {
            *element = f32::NAN;
        }
        let results = run(&func, &[2, outer as i64, inner as i64], &[Arg::from(x.clone())]);
        for row in 0..2 {
            let row_of_x = &x[row * outer * inner..][..outer * inner];
            let runs: Vec<&[f32]> = row_of_x.chunks(inner.max(1)).collect();
            let wanted = [
                tree(&runs, 32, f32::INFINITY, smallest, smallest),
                tree(&runs, 32, f32::NEG_INFINITY, largest, largest),
                tree(&runs, 32, 0.0, |x, state| x.mul_add(x, state), |a, b| a + b),
            ];
            for (result, wanted) in results.iter().zip(wanted) {
                let (found, wanted) = (result.bits[row], u64::from(wanted.to_bits()));
                assert!(same_bits(Elem::F32, found, wanted), "{outer} x {inner}: {found:x} {wanted:x}");
            }
        }
    }
}

#[test]
fn columns_are_summed_in_blocks() {
    let func = func("columns");
    for (rows, columns) in [(0, 3), (1, 4), (256, 5), (257, 9), (1000, 1)] {
        let x: Vec<f64> = numbers(rows * columns).into_iter().map(|x| f64::from(x) / 3.0).collect();
        let args = [Arg::from(x.clone())];
        let sizes = [rows as i64, columns as i64];
        let sums = run(&func, &sizes, &args);
        let column = |column: usize| {
            let column: Vec<f64> = x.iter().skip(column).step_by(columns).copied().collect();
            let blocks: Vec<f64> =
                column.chunks(256).map(|block| block.iter().fold(0.0, |sum, x| x + sum)).collect();
            match blocks[..] {
                [] => 0.0,
                [a] => a,
                [a, b] => b + a,
                [a, b, c, d] => (d + c) + (b + a),
                _ => unreachable!("at most 1000 rows"),
            }
        };
        let wanted: Vec<f64> = (0..columns).map(column).collect();
        assert!(sums[0].same_bits(&Array::from(wanted)), "{rows} x {columns}");
        let options = Options { cuts: &[1, 5, 8], backwards: true, ..Options::default() };
        assert_eq!(run_with(&func, &sizes, &args, &options), sums);
    }
}

// ------------------------------------------------------------------------------------------------ loops

/// Arguments of every parameter, full of numbers.
fn arguments(func: &Func, sizes: &[i64]) -> Vec<Arg> {
    let arrays = func.buffers.values().filter_map(|decl| match decl.kind {
        BufferKind::Param(number) => Some((number, decl)),
        BufferKind::Result(_) | BufferKind::Shared | BufferKind::Scratch | BufferKind::Local => None,
    });
    let arrays = arrays.map(|(number, decl)| {
        let count = decl.axes.iter().map(|axis| axis.eval(sizes).expect("a size") as usize).product();
        let numbers = numbers(count);
        let arg = match decl.elem {
            Elem::F32 => Arg::from(numbers),
            Elem::F64 => Arg::from(numbers.into_iter().map(f64::from).collect::<Vec<f64>>()),
            Elem::I32 => Arg::from(numbers.into_iter().map(|x| (x * 1e6) as i32).collect::<Vec<i32>>()),
            _ => unreachable!("the suite has no such arrays"),
        };
        (number, arg)
    });
    let scalars = func.scalars.values().map(|decl| (decl.param, Arg::from(0.75_f32)));
    let mut args: Vec<(u32, Arg)> = arrays.chain(scalars).collect();
    args.sort_by_key(|(number, _)| *number);
    args.into_iter().map(|(_, arg)| arg).collect()
}

/// On the functions of the suite that have the form `lower` gives: lanes in lane loops only, all of them active.
#[test]
fn passes_keep_the_bits() {
    let sizes: [&[i64]; 10] = [
        &[3, 0, 4],
        &[0, 3, 4],
        &[3, 1, 1],
        &[2, 31, 2],
        &[4, 33, 70],
        &[259, 9, 3],
        &[2, 300, 40],
        &[1000, 5, 1],
        &[1, 8193, 2],
        &[2, 3 * 8192 + 5, 1],
    ];
    for target in ["v3", "aarch64"].map(|name| Target::named(name).expect("a level")) {
        for name in ["row_sum", "row_sum_lanes", "runs", "columns", "centre"] {
            let mut func = func(name);
            let calls: Vec<(&[i64], Vec<Arg>)> = sizes.map(|sizes| (sizes, arguments(&func, sizes))).into();
            let wanted: Vec<Vec<Array>> = calls.iter().map(|(sizes, args)| run(&func, sizes, args)).collect();
            let check = |pass: &str, func: &Func| {
                verify(func).unwrap_or_else(|report| panic!("{name} after {pass}:\n{report}"));
                for ((sizes, args), wanted) in calls.iter().zip(&wanted) {
                    let found = catch_unwind(AssertUnwindSafe(|| run(func, sizes, args)));
                    let same = found.is_ok_and(|found| found.iter().zip(wanted).all(|(a, b)| a.same_bits(b)));
                    assert!(same, "{name} after {pass}, sizes {sizes:?}:\n{func}");
                }
            };
            for pass in NUMERIC {
                (pass.run)(&mut func);
                check(pass.name, &func);
            }
            for pass in LAYOUT {
                (pass.run)(&mut func, &target);
                check(pass.name, &func);
            }
        }
    }
}

#[test]
fn lane_loops_leave_inactive_lanes_alone() {
    let (loops, reduction) = (func("row_sum_lanes"), func("row_sum"));
    for length in [0, 1, 31, 32, 33, 65, 4097] {
        let args = [Arg::from(numbers(3 * length))];
        let sizes = [3, length as i64];
        assert_eq!(run(&loops, &sizes, &args), run(&reduction, &sizes, &args), "{length}");
    }
}

#[test]
fn phases_ranges_and_places() {
    let func = func("centre");
    let x = numbers(4 * 13);
    let args = [Arg::from(x.clone()), Arg::from(0.5_f32)];
    let plain = run(&func, &[4, 13], &args);
    let wanted = x.chunks(13).flat_map(|row| {
        let top = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        row.iter().map(move |x| (x - top) * 0.5)
    });
    assert_eq!(plain[0].f32s(), wanted.collect::<Vec<f32>>());
    let options = Options { cuts: &[1, 3, 99], backwards: true, in_place: &[(0, 0)] };
    assert_eq!(run_with(&func, &[4, 13], &args, &options), plain);
}

#[test]
fn carried_variables_change_all_at_once() {
    let func = func("totals");
    for count in 0..20_i32 {
        let x: Vec<i32> = (1..=count).map(|x| x * x).collect();
        let (mut a, mut b) = (-3, -3);
        for (place, part) in x.chunks(4).enumerate() {
            let sum: i32 = part.iter().sum();
            (a, b) = if place % 2 == 0 { (a + sum, b) } else { (a, b) };
        }
        let result = run_with(
            &func,
            &[i64::from(count)],
            &[Arg::from(x)],
            &Options { cuts: &[3], ..Options::default() },
        );
        assert_eq!(result[0].i32s(), [a - b], "{count}");
    }
}

#[test]
fn constants_and_conversions() {
    let result = run(&func("constants"), &[], &[]);
    assert_eq!(result[0].f32s(), [0.0, 1.0, 4.0, 9.0, 16.0, 25.0, 36.0, 49.0]);
}

// ------------------------------------------------------------------------------------------------ functions

/// Applies an instruction to whole arrays of the type `from`, giving `to`.
fn apply(inst: &str, from: Elem, to: Elem, args: &[Vec<u64>]) -> Vec<u64> {
    let mut text = "func f\n".to_owned();
    for number in 0..args.len() {
        text += &format!("  buffer b{number} = param {number} : {}[dim0] groups (0)\n", from.name());
    }
    text += &format!("  buffer b{} = result 0 : {}[dim0] groups (0)\n", args.len(), to.name());
    text += "  phase v0..v1 extent dim0 grain 4 work 1\n    for v2 in v0..v1 step 4 lanes 4\n";
    let mut operands = Vec::new();
    for number in 0..args.len() {
        text += &format!("      v{} : {}x4 = load b{number}[v2] lanes 0\n", number + 3, from.name());
        operands.push(format!("v{}", number + 3));
    }
    let result = args.len() + 3;
    text += &format!("      v{result} : {}x4 = {inst} {}\n", to.name(), operands.join(", "));
    text += &format!("      store b{}[v2] lanes 0, v{result}\n", args.len());
    let arrays: Vec<Arg> =
        args.iter().map(|bits| Arg::Array(Array { elem: from, bits: bits.clone() })).collect();
    run(&parsed(&text), &[args[0].len() as i64], &arrays).remove(0).bits
}

/// All pairs and triples of a few numbers.
fn grid(values: &[f64], arity: usize) -> Vec<Vec<f64>> {
    let count = values.len().pow(arity as u32);
    let column = |place: usize| {
        (0..count).map(|i| values[i / values.len().pow(place as u32) % values.len()]).collect()
    };
    (0..arity).map(column).collect()
}

const NUMBERS: [f64; 16] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    -1.5,
    2.5,
    3.5,
    1e-310,
    -1e-40,
    1e30,
    -7e300,
    f64::INFINITY,
    f64::NEG_INFINITY,
    f64::NAN,
    8388609.5,
];

/// What a core function on floats means, on f64 (exact there for f32 as well, but for `fma` and rounding).
fn meaning(prim: Prim, x: &[f64]) -> Option<f64> {
    let truth = |holds: bool| Some(f64::from(u8::from(holds)));
    match prim {
        Prim::Add => Some(x[0] + x[1]),
        Prim::Sub => Some(x[0] - x[1]),
        Prim::Mul => Some(x[0] * x[1]),
        Prim::Div => Some(x[0] / x[1]),
        Prim::Fma => Some(x[0].mul_add(x[1], x[2])),
        Prim::Neg => Some(-x[0]),
        Prim::Abs => Some(if x[0] == 0.0 {
            0.0
        } else if x[0] < 0.0 {
            -x[0]
        } else {
            x[0]
        }),
        Prim::Sqrt => Some(x[0].sqrt()),
        Prim::Floor => Some(x[0].floor()),
        Prim::Ceil => Some(x[0].ceil()),
        Prim::Trunc => Some(x[0].trunc()),
        Prim::Round => Some(if x[0].abs() < 1e15 { libm_free_round(x[0]) } else { x[0] }),
        Prim::CopySign => Some(if x[1].is_sign_negative() { -x[0].abs() } else { x[0].abs() }),
        Prim::SelMax => Some(if x[0] > x[1] { x[0] } else { x[1] }),
        Prim::SelMin => Some(if x[0] < x[1] { x[0] } else { x[1] }),
        Prim::Eq => truth(x[0] == x[1]),
        Prim::Ne => truth(x[0] != x[1]),
        Prim::Lt => truth(x[0] < x[1]),
        Prim::Le => truth(x[0] <= x[1]),
        Prim::Gt => truth(x[0] > x[1]),
        Prim::Ge => truth(x[0] >= x[1]),
        _ => None,
    }
}

/// To the nearest whole number, ties to even, by adding and taking off a large number.
fn libm_free_round(x: f64) -> f64 {
    let large = f64::from(2.0_f32).powi(52);
    (if x.abs() >= large { x } else { (x.abs() + large) - large }).copysign(x)
}

#[test]
fn core_functions_on_floats() {
    for prim in Prim::ALL.iter().copied().filter(|prim| prim.class() == Class::Core) {
        let columns = grid(&NUMBERS, prim.arity());
        let args: Vec<Vec<u64>> =
            columns.iter().map(|column| column.iter().map(|x| x.to_bits()).collect()).collect();
        let to = if prim.typing() == Typing::Compare { Elem::Bool } else { Elem::F64 };
        if meaning(prim, &[1.0; 3]).is_none() {
            continue;
        }
        let found = apply(prim.name(), Elem::F64, to, &args);
        for (place, found) in found.into_iter().enumerate() {
            let x: Vec<f64> = columns.iter().map(|column| column[place]).collect();
            let wanted = meaning(prim, &x).expect("it has a meaning");
            let wanted = if to == Elem::Bool { wanted as u64 } else { wanted.to_bits() };
            assert!(same_bits(to, found, wanted), "{prim} {x:?}: {found:#x} {wanted:#x}");
        }
    }
}

#[test]
fn f32_is_rounded_at_every_operation() {
    let bits = |x: f32| vec![u64::from(x.to_bits())];
    let (a, b) = (1.0 + f32::EPSILON, 1.0 - f32::EPSILON);
    let product = apply("mul", Elem::F32, Elem::F32, &[bits(a), bits(b)]);
    assert_eq!(product, bits(1.0));
    let fused = apply("fma", Elem::F32, Elem::F32, &[bits(a), bits(b), bits(-1.0)]);
    assert_eq!(fused, bits(-f32::EPSILON * f32::EPSILON));
    assert_eq!(apply("sqrt", Elem::F32, Elem::F32, &[bits(2.0)]), bits(std::f32::consts::SQRT_2));
}

#[test]
fn integers_wrap_and_shift() {
    let word = |x: i32| vec![u64::from(x as u32)];
    let i32_op = |name: &str, args: &[Vec<u64>]| apply(name, Elem::I32, Elem::I32, args);
    assert_eq!(i32_op("add", &[word(i32::MAX), word(1)]), word(i32::MIN));
    assert_eq!(i32_op("mul", &[word(65_537), word(65_537)]), word(131_073));
    assert_eq!(i32_op("neg", &[word(i32::MIN)]), word(i32::MIN));
    assert_eq!(i32_op("abs", &[word(-5)]), word(5));
    assert_eq!(i32_op("selmax", &[word(-5), word(3)]), word(3));
    assert_eq!(i32_op("iand", &[word(-2), word(7)]), word(6));
    assert_eq!(i32_op("ior", &[word(8), word(1)]), word(9));
    assert_eq!(i32_op("ixor", &[word(-1), word(1)]), word(-2));
    assert_eq!(apply("lt", Elem::I32, Elem::Bool, &[word(-1), word(0)]), [1]);
    let scalar = |inst: &str, x: i64| {
        let text = format!(
            "func f\n  buffer b0 = result 0 y : i32[] \n  phase v0..v1 extent 1 grain 1 work 1\n    v2 : i64 = const {x}\n    \
             v3 : i64 = const 7\n    v4 : i64 = {inst}\n    v5 : i32 = convert v4\n    store b0[], v5\n"
        );
        run(&parsed(&text), &[], &[])[0].i32s()[0]
    };
    assert_eq!(scalar("shl v2, v3", 3), 384);
    assert_eq!(scalar("shru v2, v3", -1), -1);
    assert_eq!(scalar("shrs v2, v3", -512), -4);
    assert_eq!(scalar("idiv v2, v3", 50), 7);
    assert_eq!(scalar("irem v2, v3", 50), 1);
    assert_eq!(scalar("ctz v2", 48), 4);
    assert_eq!(scalar("clz v2", 48), 58);
    assert_eq!(scalar("shl v3, v2", 4), 112);
    assert!(panic_of(|| scalar("idiv v3, v2", -1)).contains("idiv of 7 and -1"));
}

#[test]
fn conversions_round_to_even_and_saturate() {
    let inputs = [0.5, 1.5, -2.5, 2_147_483_647.5, 1e30, f64::NEG_INFINITY, f64::NAN, -0.0];
    let bits: Vec<u64> = inputs.iter().map(|x: &f64| x.to_bits()).collect();
    let ints = apply("convert", Elem::F64, Elem::I32, std::slice::from_ref(&bits));
    let ints: Vec<i32> = ints.into_iter().map(|bits| bits as u32 as i32).collect();
    assert_eq!(ints, [0, 2, -2, i32::MAX, i32::MAX, i32::MIN, 0, 0]);
    let truth = apply("convert", Elem::F64, Elem::Bool, std::slice::from_ref(&bits));
    assert_eq!(truth, [1, 1, 1, 1, 1, 1, 1, 0]);
    let floats = apply("convert", Elem::Bool, Elem::F32, &[vec![0, 1]]);
    assert_eq!(floats, [0, u64::from(1_f32.to_bits())]);
    let floats = apply("convert", Elem::I32, Elem::F32, &[vec![16_777_217, u64::from(-3_i32 as u32)]]);
    assert_eq!(floats, [u64::from(16_777_216_f32.to_bits()), u64::from((-3_f32).to_bits())]);
    let wide = apply("convert", Elem::I32, Elem::I64, &[vec![u64::from(-3_i32 as u32)]]);
    assert_eq!(wide, [-3_i64 as u64]);
    assert_eq!(apply("convert", Elem::I64, Elem::I32, &[vec![(1 << 32) + 5]]), [5]);
}

// ------------------------------------------------------------------------------------------------ memory

/// Statements, cuts of the range, pairs in place.
type Misuse<'a> = (&'a str, &'a [i64], &'a [(u32, u32)]);

/// Runs a function of one phase over four units that stores to `y` and has a few values at hand.
fn misuse((stmts, cuts, in_place): Misuse<'_>) -> String {
    let head = "func f\n  buffer b0 = param 0 x : f32[dim0] groups (0)\n  buffer b1 = result 0 y : f32[dim0] groups (0)\n  \
                buffer b2 = scratch s : f32[dim0]\n  buffer b3 = shared h : f32[dim0]\n  in_place param 0, result 0\n  \
                phase v0..v1 extent dim0 grain 1 work 1\n    v2 : f32 = const 1.0\n    v3 : i64 = const 0\n    \
                v4 : i64 = const 4\n    v5 : f32x4 = const 1.0\n    v6 : i64 = const 1\n    v7 : i64 = const -1\n    \
                v8 : i64 = const 5\n    ";
    let func = parsed(&format!("{head}{}\n", stmts.replace('\n', "\n    ")));
    let options = Options { cuts, backwards: false, in_place };
    panic_of(|| run_with(&func, &[4], &[Arg::from(vec![1_f32; 4])], &options))
}

#[test]
fn misuse_of_memory_is_found() {
    let all = "store b1[v3] lanes 0, v5";
    let cases: [Misuse<'_>; 11] = [
        ("store b1[v3], v2", &[], &[]),
        ("store b1[v4], v2", &[], &[]),
        ("store b1[v7], v2", &[], &[]),
        ("v9 : f32x4 = load b0[v6] lanes 0", &[], &[]),
        ("v9 : f32x4 = load b0[v3] lanes 0 active v8", &[], &[]),
        ("v9 : f32 = load b1[v6]", &[], &[]),
        ("store b2[v3], v2\nv9 : f32 = load b2[v6]", &[], &[]),
        ("for v9 in v0..v1 step 1\n  store b3[v9], v2\nv10 : f32 = load b3[v3]", &[2], &[]),
        ("store b3[v3], v2", &[2], &[]),
        ("for v9 in v0..v1 step 1\n  store b1[v9], v2\n  v10 : f32 = load b0[v9]", &[], &[(0, 0)]),
        ("for v9 in v0..v1 step 1\n  store b1[v9], v2", &[], &[(0, 1)]),
    ];
    let messages = cases.map(misuse);
    snapshot("loops", "misuse-of-memory", &messages.join("\n"));
    let fine = catch_unwind(|| misuse((all, &[], &[])));
    assert!(fine.is_err(), "a correct function runs through");
}
