//! The program: transcripts of its commands in `tests/cli`, and what needs files of its own: arrays, hostile inputs, and
//! that nothing is written when something fails.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use npyz::WriterBuilder;
use tempfile::TempDir;

const SOFTMAX: &str = "kernel softmax(x: f32[.., d]) -> f32[.., d] { softmax[d](x) }\n";

const MOMENTS: &str =
    "kernel moments(x: f64[n, d], t: i32[n], m: bool[n]) -> (a: f64[n], b: i32[n], c: bool[n]) {
    (a = sum[d](x), b = t * 2, c = !m)
}
";

#[test]
fn transcripts() {
    let cases = trycmd::TestCases::new();
    cases.register_bin("actc", Path::new(env!("CARGO_BIN_EXE_actc")));
    cases.env("NO_COLOR", "1").case(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/cli/*.trycmd"));
}

/// A folder with files, in which the program runs.
struct Folder(TempDir);

impl Folder {
    fn new(files: &[(&str, &[u8])]) -> Folder {
        let folder = Folder(tempfile::tempdir().expect("a folder"));
        files.iter().for_each(|(name, bytes)| fs::write(folder.0.path().join(name), bytes).expect("written"));
        folder
    }

    fn run(&self, args: &[&str]) -> Output {
        let program = Command::new(env!("CARGO_BIN_EXE_actc")).args(args).current_dir(self.0.path()).output();
        program.expect("actc runs")
    }

    /// Runs what must succeed; its standard output.
    fn succeeds(&self, args: &[&str]) -> String {
        let output = self.run(args);
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{args:?}\n{out}\n{err}");
        out.into_owned()
    }

    /// Runs what must fail as a mistake of the user, in a sentence that holds `words`, and leave no file behind.
    fn fails(&self, args: &[&str], words: &str) {
        let before = self.names();
        let output = self.run(args);
        let err = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{args:?}\n{err}");
        assert!(err.starts_with("error") && err.contains(words), "{args:?}: no `{words}` in\n{err}");
        assert_eq!(self.names(), before, "{args:?}");
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.path()).expect("readable");
        let names = entries.map(|entry| entry.expect("readable").file_name().to_string_lossy().into_owned());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.0.path().join(name)).expect("it is there")
    }
}

/// A `.npy` as numpy writes it.
fn npy<T: npyz::AutoSerialize + npyz::Serialize + Copy>(shape: &[u64], values: &[T]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let options = npyz::WriteOptions::new().default_dtype().shape(shape).writer(&mut bytes);
    let mut writer = options.begin_nd().expect("written");
    writer.extend(values.iter().copied()).expect("written");
    writer.finish().expect("written");
    bytes
}

fn values<T: npyz::Deserialize>(bytes: &[u8]) -> (Vec<u64>, Vec<T>) {
    let file = npyz::NpyFile::new(bytes).expect("a .npy");
    (file.shape().to_vec(), file.into_vec().expect("its elements"))
}

/// A `.npy` with this header and these bytes.
fn raw_npy(header: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    bytes
}

fn logits() -> Vec<f32> {
    (0..6).map(|i| (i * i) as f32 * 0.37 - 3.0).collect()
}

#[test]
fn arrays_from_and_to_files() {
    let folder = Folder::new(&[("softmax.act", SOFTMAX.as_bytes()), ("x.npy", &npy(&[2, 3], &logits()))]);
    let out = folder.succeeds(&["run", "softmax.act", "--in", "x=x.npy", "--out", "y=y.npy"]);
    assert!(out.contains("y: f32[2, 3]") && out.contains("wrote y to y.npy"), "{out}");
    let (shape, y) = values::<f32>(&folder.read("y.npy"));
    assert_eq!(shape, [2, 3]);
    // The library gives the same bits.
    let kernel = act::compile(SOFTMAX).expect("compiles").kernel("softmax").expect("it is there");
    let x = logits();
    let results = kernel.run_alloc(&[act::view(&x, [2, 3])], &[]).expect("runs");
    assert_eq!(results[0].as_slice::<f32>(), Some(y.as_slice()));
    // So does the interpreter; the evaluator nearly so.
    for (engine, tolerance) in [("interp", 0.0), ("eval", 1e-6), ("cranelift", 0.0)] {
        let args = ["run", "softmax.act", "--in", "x=x.npy", "--out", "y=z.npy", "--engine", engine, "-q"];
        assert_eq!(folder.succeeds(&args), "");
        let (_, z) = values::<f32>(&folder.read("z.npy"));
        assert!(y.iter().zip(&z).all(|(a, b)| (a - b).abs() <= tolerance), "{engine}: {y:?} {z:?}");
    }
}

/// Arrays of 16 and 8 bits come from files and go there as they are; numpy has no bf16 and calls it two bytes.
#[test]
fn small_dtypes_from_and_to_files() {
    let text = "kernel same<T: float = f16>(x: T[n], q: i8[n], u: u8[n]) -> (a: T[n], b: i8[n], c: u8[n]) {
        (a = x * 1, b = i8(q + 0), c = u)
    }";
    let half: Vec<u8> =
        [0x3c00u16, 0x0001, 0x7bff, 0xfc00].iter().flat_map(|bits| bits.to_le_bytes()).collect();
    let half_npy = |descr: &str| {
        raw_npy(&format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': (4,), }}"), &half)
    };
    let files: [(&str, &[u8]); 6] = [
        ("same.act", text.as_bytes()),
        ("half.npy", &half_npy("<f2")),
        ("brain.npy", &half_npy("|V2")),
        ("q.npy", &npy(&[4], &[-128_i8, 127, 0, -1])),
        ("u.npy", &npy(&[4], &[255_u8, 0, 1, 128])),
        ("f.npy", &npy(&[4], &[1.0_f32, 0.1, 1e9, -0.0])),
    ];
    let folder = Folder::new(&files);
    let outs = ["--out", "a=a.npy", "--out", "b=b.npy", "--out", "c=c.npy"];
    for (dtype, file, descr) in [("f16", "half.npy", "<f2"), ("bf16", "brain.npy", "<V2")] {
        for engine in ["cranelift", "interp", "eval"] {
            let (input, dtype) = (format!("x={file}"), format!("T={dtype}"));
            let mut args = vec!["run", "same.act", "--dtype", &dtype, "--in", &input, "--in", "q=q.npy"];
            args.extend(["--in", "u=u.npy", "--engine", engine]);
            args.extend(outs);
            folder.succeeds(&args);
            let a = folder.read("a.npy");
            assert!(a.ends_with(&half) && a.len().is_multiple_of(8), "{engine}: {a:?}");
            assert!(String::from_utf8_lossy(&a).contains(descr), "{engine}: {a:?}");
            assert_eq!(values::<i8>(&folder.read("b.npy")).1, [-128, 127, 0, -1]);
            assert_eq!(values::<u8>(&folder.read("c.npy")).1, [255, 0, 1, 128]);
        }
    }
    let run = |input: &'static str| ["run", "same.act", "--in", input, "--in", "q=q.npy", "--in", "u=u.npy"];
    folder.fails(&run("x=f.npy"), "holds f32; --cast converts");
    folder.fails(&run("x=brain.npy"), "holds bf16; --cast converts");
    let cast: Vec<&str> = run("x=f.npy").into_iter().chain(["--cast", "--out", "a=a.npy", "-q"]).collect();
    folder.succeeds(&cast);
    assert!(folder.read("a.npy").ends_with(&[0x00, 0x3c, 0x66, 0x2e, 0x00, 0x7c, 0x00, 0x80]));
    folder.fails(&["run", "same.act", "--set", "q=[1,2,300,4]"], "300");
}

#[test]
fn archives_orders_and_dtypes() {
    let x = npy(&[2, 3], &[1.0_f64, 2.0, 3.0, 4.0, 5.0, 6.0]);
    // The same array, big-endian and in the order of Fortran.
    let turned: Vec<u8> = [1.0_f64, 4.0, 2.0, 5.0, 3.0, 6.0].iter().flat_map(|x| x.to_be_bytes()).collect();
    let turned = raw_npy("{'descr': '>f8', 'fortran_order': True, 'shape': (2, 3), }\n", &turned);
    let files: [(&str, &[u8]); 5] = [
        ("moments.act", MOMENTS.as_bytes()),
        ("x.npy", &x),
        ("turned.npy", &turned),
        ("t.npy", &npy(&[2], &[7_i32, -1])),
        ("m.npy", &npy(&[2], &[true, false])),
    ];
    let folder = Folder::new(&files);
    let outs = ["--out", "a=all.npz", "--out", "b=all.npz:twice", "--out", "c=c.npy"];
    let run = |x: &str, outs: &[&str]| {
        let x = format!("x={x}");
        let mut args = vec!["run", "moments.act", "--in", &x, "--in", "t=t.npy", "--in", "m=m.npy"];
        args.extend(outs);
        folder.succeeds(&args)
    };
    run("x.npy", &outs);
    let first = folder.read("all.npz");
    let mut archive = npyz::npz::NpzArchive::open(folder.0.path().join("all.npz")).expect("an archive");
    let a: Vec<f64> = archive.by_name("a").expect("readable").expect("it is there").into_vec().expect("f64");
    assert_eq!(a, [6.0, 15.0]);
    let b: Vec<i32> =
        archive.by_name("twice").expect("readable").expect("it is there").into_vec().expect("i32");
    assert_eq!(b, [14, -2]);
    assert_eq!(values::<bool>(&folder.read("c.npy")), (vec![2], vec![false, true]));
    // The archive is written anew, with the same bytes.
    run("turned.npy", &outs);
    assert_eq!(folder.read("all.npz"), first);
    // And read: `twice` holds i32, which is cast to f64 only if that is wanted.
    folder.fails(&["run", "moments.act", "--in", "t=all.npz:none"], "no array `none`; it has a, twice");
    run("x.npy", &["--out", "a=again.npz"]);
    let softmax = "kernel sum(x: f32[n]) -> f32 { sum[n](x) }";
    fs::write(folder.0.path().join("sum.act"), softmax).expect("written");
    folder.fails(
        &["run", "sum.act", "--in", "x=all.npz:a"],
        "`x` is f32, but all.npz:a holds f64; --cast converts",
    );
    let out = folder.succeeds(&["run", "sum.act", "--in", "x=all.npz:twice", "--cast", "--json"]);
    assert!(out.contains("\"mean\":12.0"), "{out}");
}

#[test]
fn bad_arrays() {
    let good = npy(&[2, 3], &logits());
    let header = |descr: &str, shape: &str| {
        raw_npy(&format!("{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n"), &[0; 8])
    };
    let files: [(&str, Vec<u8>, &str); 14] = [
        ("truncated", good[..good.len() - 1].to_vec(), "truncated"),
        ("headless", good[..20].to_vec(), "truncated in its header"),
        ("empty", Vec::new(), "too short"),
        ("longer", [good.clone(), vec![0]].concat(), "longer than its array"),
        ("text", b"1 2 3 4 5 6 7 8 9".to_vec(), "not a .npy file"),
        ("double", npy(&[2, 3], &[0.0_f64; 6]), "holds f64; --cast converts"),
        ("flat", npy::<f32>(&[], &[1.0]), "`x` is `[.., d]`"),
        ("object", header("'|O'", "(2,)"), "Python objects"),
        ("records", header("[('a', '<f4')]", "(2,)"), "records"),
        ("strings", header("'<U3'", "(2,)"), "strings"),
        ("complex", header("'<c8'", "(2,)"), "complex"),
        ("huge", header("'<f4'", "(1000000000, 1000000000)"), "too large"),
        ("large", header("'<f4'", "(1000000, 1000000)"), "truncated"),
        ("nested", raw_npy(&"(".repeat(60_000), &[]), "header that can't be read"),
    ];
    let folder = Folder::new(&[("softmax.act", SOFTMAX.as_bytes()), ("bad.npz", b"PK\x05\x06 no archive")]);
    for (name, bytes, words) in files {
        fs::write(folder.0.path().join(format!("{name}.npy")), bytes).expect("written");
        let file = format!("x={name}.npy");
        folder.fails(&["run", "softmax.act", "--in", &file, "--out", "y=y.npy"], words);
    }
    folder.fails(&["run", "softmax.act", "--in", "x=bad.npz:x", "--out", "y=y.npy"], "not a .npz archive");
    folder.fails(&["run", "softmax.act", "--in", "x=no.npy", "--out", "y=y.npy"], "no.npy: ");
    folder.fails(&["run", "softmax.act", "--out", "y=no/y.npy"], "no: there is no such folder");
    folder.fails(&["run", "softmax.act", "--out", "y=y.npy", "--out", "y=y.npy"], "two results");
}

#[test]
fn bad_shapes_name_both_sides() {
    let kernel = "kernel f(x: f32[n, d], g: f32[d]) -> f32[n, d] { x * g }\n";
    let files: [(&str, &[u8]); 3] = [
        ("f.act", kernel.as_bytes()),
        ("x.npy", &npy(&[2, 3], &logits())),
        ("g.npy", &npy(&[4], &[1.0_f32; 4])),
    ];
    let folder = Folder::new(&files);
    let words = "dimension `d` is 3 in `x` (axis 1) but 4 in `g` (axis 0)";
    for engine in ["cranelift", "interp", "eval"] {
        folder.fails(
            &["run", "f.act", "--in", "x=x.npy", "--in", "g=g.npy", "--out", "y=y.npy", "--engine", engine],
            words,
        );
    }
}

#[test]
fn hostile_texts() {
    let garbage: Vec<u8> = (0..10_000_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let letters = vec![b'('; 10_000_000];
    let nested =
        format!("kernel f(x: f32[n]) -> f32[n] {{ {}x{} }}", "(".repeat(100_000), ")".repeat(100_000));
    let minuses = format!("kernel f(x: f32[n]) -> f32[n] {{ {}x }}", "-".repeat(100_000));
    let files: [(&str, &[u8]); 6] = [
        ("garbage.act", &garbage),
        ("letters.act", &letters),
        ("nested.act", nested.as_bytes()),
        ("minuses.act", minuses.as_bytes()),
        ("zeros.act", &[0; 1000]),
        ("binary.act", &[0x7f, b'E', b'L', b'F', 0xff, 0xfe]),
    ];
    let folder = Folder::new(&files);
    for (name, words) in [
        ("garbage.act", "larger than 1048576 bytes"),
        ("letters.act", "larger than 1048576 bytes"),
        ("nested.act", "nested.act"),
        ("minuses.act", "minuses.act"),
        ("zeros.act", "zeros.act"),
        ("binary.act", "not UTF-8"),
        (".", "directory"),
        ("none.act", "none.act"),
    ] {
        for args in [
            &["check", name][..],
            &["fmt", name],
            &["run", name, "--out", "y=y.npy"],
            &["build", name, "-o", "f.o", "--header"],
            &["dump", name, "--stage", "all"],
            &["explain", name],
            &["bench", name],
        ] {
            // Of a folder these take what is in it.
            if name != "." || !matches!(args[0], "check" | "fmt") {
                folder.fails(args, words);
            }
        }
    }
}

#[test]
fn folders_are_taken_whole() {
    let folder = Folder::new(&[("none.txt", b"")]);
    fs::create_dir_all(folder.0.path().join("a/b")).expect("made");
    let write = |name: &str, text: &str| fs::write(folder.0.path().join(name), text).expect("written");
    write("a/one.act", "kernel f(x:f32[n])->f32[n]{x+1}\n");
    write("a/b/two.act", SOFTMAX);
    assert_eq!(folder.succeeds(&["check", "."]), "");
    let differs = folder.run(&["fmt", "--check", "a"]);
    assert_eq!(
        (differs.status.code(), differs.stdout.as_slice()),
        (Some(1), &b"a/b/two.act\na/one.act\n"[..])
    );
    folder.succeeds(&["fmt", "a"]);
    folder.succeeds(&["fmt", "--check", "."]);
    write("a/b/wrong.act", "kernel f(x: f32[n]) -> f32[n] { y }\n");
    folder.fails(&["check", "a"], "a/b/wrong.act:1:33");
}

#[test]
fn ranges_stand_in_headers() {
    let text = b"kernel f(x: f32[n], tau: f32 in 1e-6..1e6 = 1, k: i32 in -1..8) -> f32[n] { x / tau * k }\n";
    let folder = Folder::new(&[("f.act", text)]);
    folder.succeeds(&["build", "f.act", "-o", "f.o", "--header", "--rust", "f.rs"]);
    let (header, stub) = (folder.read("f.h"), folder.read("f.rs"));
    let (header, stub) = (String::from_utf8_lossy(&header), String::from_utf8_lossy(&stub));
    assert!(header.contains(" *   tau: f32 in 1e-6..1000000.0 = 1.0\n"), "{header}");
    assert!(header.contains(" *   k: i32 in -1..8\n"), "{header}");
    assert!(stub.contains("/// `tau` must be in `1e-6..1000000.0`.\n"), "{stub}");
    let told = folder.succeeds(&["explain", "f.act"]);
    assert!(told.contains("tau: f32 in 1e-6..1e6 = 1, k: i32 in -1..8"), "{told}");
}

#[test]
fn explain_tells_what_values_read() {
    let text =
        b"kernel f(x: f32[n], b: f32[n]) -> (y: f32[n], z: f32[n]) { (y = exp(x), z = sin(b) + cos(x)) }\n";
    let folder = Folder::new(&[("f.act", text)]);
    let told = folder.succeeds(&["explain", "f.act"]);
    assert!(told.contains("region0: reads x, b, writes y, z"), "{told}");
    assert!(told.contains("16 bytes for each element of x, b, y, z; the least possible is 16"), "{told}");
}

#[test]
fn made_up_labels_lie_inside() {
    let text = b"kernel f(x: f32[c, n], l: u8[n], i: i32[n, k], j: i8[n]) -> f32[n, k] {
    x[n = i, c = l] + broadcast[k](x[c = j])
}
";
    let folder = Folder::new(&[("f.act", text)]);
    let shown = folder.succeeds(&["run", "f.act", "--shape", "c=3,n=5,k=4"]);
    assert!(shown.contains("l: u8[5], uniform in 0..3") && shown.contains("i: i32[5, 4], uniform in 0..5"));
    assert!(!shown.contains("NaN"), "{shown}");
}

#[test]
fn layout_is_rewritten_in_place() {
    let text = "kernel f(x:f32[n])->f32[n]{x+  1} // one more\n";
    let folder = Folder::new(&[("f.act", text.as_bytes()), ("wrong.act", b"kernel f(")]);
    folder.fails(&["fmt", "wrong.act", "f.act"], "wrong.act");
    assert_eq!(folder.read("f.act"), text.as_bytes(), "nothing is written if a file is wrong");
    assert_eq!(folder.succeeds(&["fmt", "f.act"]), "");
    let once = String::from_utf8(folder.read("f.act")).expect("text");
    assert!(once.contains("// one more") && once.contains("x: f32[n]"), "{once}");
    assert_eq!(folder.succeeds(&["fmt", "f.act", "--check"]), "");
    assert_eq!(folder.names(), ["f.act", "wrong.act"]);
}

#[test]
fn objects_with_what_belongs_to_them() {
    let folder = Folder::new(&[("softmax.act", SOFTMAX.as_bytes())]);
    let triple = ["--target", "x86_64-unknown-linux-gnu", "--cpu", "v3"];
    let args = ["build", "softmax.act", "-o", "softmax.o", "--header", "--rust", "stub.rs"];
    folder.succeeds(&[&args[..], &triple].concat());
    assert_eq!(folder.names(), ["softmax.act", "softmax.h", "softmax.o", "stub.rs"]);
    assert!(folder.read("softmax.o").starts_with(b"\x7fELF"));
    let header = String::from_utf8(folder.read("softmax.h")).expect("text");
    assert!(header.contains("softmax"), "{header}");
}

#[test]
fn measurements_for_programs() {
    let folder = Folder::new(&[("softmax.act", SOFTMAX.as_bytes())]);
    let shapes = ["--shape", "..=2,d=9", "--shape", "d=0"];
    let args = ["bench", "softmax.act", "--json", "--time", "0"];
    let out = folder.succeeds(&[&args[..], &shapes].concat());
    let keys = "kernel engine threads shape elements bytes runs ns_per_call ns_per_call_min ns_per_element gb_per_s \
                copy_ns_per_element stream_copy_ns_per_element ratio_to_copy";
    assert_eq!(out.lines().count(), 2);
    for line in out.lines() {
        let object: serde_json::Value = serde_json::from_str(line).expect("JSON");
        assert!(keys.split_whitespace().all(|key| object.get(key).is_some()), "{line}");
    }
    let out = folder.succeeds(&["bench", "softmax.act", "--compile", "--json", "--time", "0"]);
    let object: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    assert!(object["ns"]["text to callable"].as_f64().is_some_and(|time| time > 0.0), "{out}");
}
