//! Golden vectors: what the formulas of the papers give, computed in `f64` by other code from inputs in `f32`. Every kernel
//! that an index names runs twice on them: compiled, and as a formula in the evaluator.
//!
//! The folder is `tests/golden`, or what the environment variable `ACT_GOLDEN` names: `manifest.json` says for each id
//! the shapes, the parameters and the tolerance of its cases; `<family>/<id>.npz` holds the arrays, `<case>.in.<name>` and
//! `<case>.out.<name>`. The indices, `examples/kernels/index.json` and `tests/suite/library/index.json`, say for an id
//!
//! - `file`, `kernel`: which kernel it is;
//! - `dims`: the names of parameters that are dimension parameters of the kernel;
//! - `requires`: parameters that are not the kernel's, with the values for which the kernel is the one that is meant;
//! - `bound`: which promise of the language's numerics holds for it (see [`Bound`]), beside the manifest's tolerance.
//!
//! Ids without a kernel are listed as skipped.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use act::diag::{Source, Sources, render};
use act::graph::{Graph, eval};
use act::pipeline::{self, Blind};
use act::{Kernel, Options, Tensor};
use act_runtime::abi::{DType, ParamKind};
use serde_json::Value as Json;

/// Half a unit in the last place of 1, in `f32`.
const ROUND: f64 = 1.0 / (1 << 24) as f64;

/// What is promised of a kernel's results in `f32`, beside the tolerance of its golden vectors. For rows of `n`,
/// S = min(⌈n/32⌉, 256) + ⌈log2 n⌉.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Bound {
    /// Of one number: the error is at most 3·2^-24·max(|x|, |y|).
    Scaled,
    /// A softmax: at most (S + 6 + |x - max|)·2^-24 of the result.
    Softmax,
    /// Logarithms of sums of exponentials: at most (S + 6)·2^-24·max(1, max|x|).
    Logarithm,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("compiler/ lies in the workspace").to_owned()
}

fn read_json(path: &Path) -> Json {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The kernel that an id means.
struct Entry {
    file: PathBuf,
    kernel: String,
    /// The name of the id's parameter for each dimension parameter of the kernel.
    dims: BTreeMap<String, String>,
    requires: BTreeMap<String, Json>,
    bound: Option<Bound>,
}

/// All ids that have a kernel.
fn index() -> BTreeMap<String, Entry> {
    let mut index = BTreeMap::new();
    for folder in ["examples/kernels", "tests/suite/library"] {
        let folder = root().join(folder);
        for (id, entry) in read_json(&folder.join("index.json")).as_object().expect("an object") {
            let text = |key: &str| entry[key].as_str().unwrap_or_else(|| panic!("{id}: no {key}")).to_owned();
            let map = |key: &str| entry.get(key).and_then(Json::as_object).cloned().unwrap_or_default();
            let bound = entry.get("bound").and_then(Json::as_str).map(|bound| match bound {
                "scaled" => Bound::Scaled,
                "softmax" => Bound::Softmax,
                "logarithm" => Bound::Logarithm,
                other => panic!("{id}: no bound is called {other}"),
            });
            let dims =
                map("dims").into_iter().map(|(name, dim)| (name, dim.as_str().expect("a name").to_owned()));
            let entry = Entry {
                file: folder.join(text("file")),
                kernel: text("kernel"),
                dims: dims.collect(),
                requires: map("requires").into_iter().collect(),
                bound,
            };
            assert!(index.insert(id.clone(), entry).is_none(), "{id} stands in two indices");
        }
    }
    index
}

/// Arrays as numbers, with their shapes.
struct Array {
    shape: Vec<usize>,
    values: Vec<f64>,
}

fn read_array(archive: &mut npyz::npz::NpzArchive<std::io::BufReader<std::fs::File>>, name: &str) -> Array {
    let npy = archive.by_name(name).expect("a readable archive").unwrap_or_else(|| panic!("no array {name}"));
    let shape = npy.shape().iter().map(|&size| size as usize).collect();
    let values = match npy.dtype().descr().as_str() {
        "'<f4'" => npy.into_vec::<f32>().expect(name).into_iter().map(f64::from).collect(),
        "'<f8'" => npy.into_vec::<f64>().expect(name),
        "'<i4'" => npy.into_vec::<i32>().expect(name).into_iter().map(f64::from).collect(),
        other => panic!("{name} has the dtype {other}"),
    };
    Array { shape, values }
}

fn tensor(array: &Array, dtype: DType) -> Tensor {
    let values = array.values.iter();
    let tensor = match dtype {
        DType::F32 => Tensor::from_vec::<f32>(values.map(|&x| x as f32).collect(), &array.shape),
        DType::F64 => Tensor::from_vec::<f64>(values.copied().collect(), &array.shape),
        DType::I32 => Tensor::from_vec::<i32>(values.map(|&x| x as i32).collect(), &array.shape),
        DType::F16 | DType::BF16 | DType::I8 | DType::U8 => panic!("no golden vectors are {dtype}"),
        DType::Bool => Tensor::from_vec::<bool>(values.map(|&x| x != 0.0).collect(), &array.shape),
    };
    tensor.expect("as many elements as the shape says")
}

fn numbers(tensor: &Tensor) -> Vec<f64> {
    match tensor.data() {
        act::Data::F32(values) => values.iter().map(|&x| f64::from(x)).collect(),
        act::Data::F64(values) => values.clone(),
        act::Data::F16(values) => values.iter().map(|&x| f64::from(x)).collect(),
        act::Data::BF16(values) => values.iter().map(|&x| f64::from(x)).collect(),
        act::Data::I32(values) => values.iter().map(|&x| f64::from(x)).collect(),
        act::Data::I8(values) => values.iter().map(|&x| f64::from(x)).collect(),
        act::Data::U8(values) => values.iter().map(|&x| f64::from(x)).collect(),
        act::Data::Bool(values) => values.iter().map(|&x| f64::from(u8::from(x))).collect(),
    }
}

/// One case of one id.
struct Case<'a> {
    id: &'a str,
    name: &'a str,
    entry: &'a Entry,
    params: &'a serde_json::Map<String, Json>,
    inputs: BTreeMap<String, Array>,
    outputs: BTreeMap<String, Array>,
    rtol: f64,
    atol: f64,
}

impl Case<'_> {
    /// Why the kernel is not the one that this case means, if it is not.
    fn other_kernel(&self) -> Option<String> {
        let mut differs =
            self.entry.requires.iter().filter(|(name, value)| self.params.get(*name) != Some(value));
        differs.next().map(|(name, value)| format!("{name} is not {value}"))
    }

    fn compile(&self) -> (Kernel, Graph) {
        let path = &self.entry.file;
        let text =
            std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let size = |name: &str| self.params[name].as_i64().expect("a size");
        let options = Options {
            dims: self.entry.dims.iter().map(|(name, dim)| (dim.clone(), size(name))).collect(),
            kernel: Some(self.entry.kernel.clone()),
            ..Options::default()
        };
        let mut sources = Sources::new();
        let file = sources.add(Source::new(path.display().to_string(), text.clone()));
        let mut lowered = pipeline::front(&sources, file, &options, &mut Blind)
            .unwrap_or_else(|errors| panic!("{}", render(&errors, &sources, false)));
        let module =
            act::compile_with(&text, &options).unwrap_or_else(|error| panic!("{}: {error}", self.id));
        (module.kernel(&self.entry.kernel).expect("the kernel"), lowered.graphs.remove(0))
    }

    /// The value of a number parameter, from the manifest or from an array of one element; none for its default.
    fn number(&self, name: &str) -> Option<f64> {
        match (self.params.get(name), self.inputs.get(name)) {
            (Some(value), _) => {
                Some(value.as_f64().unwrap_or_else(|| panic!("{}: {name} is {value}", self.id)))
            }
            (None, Some(array)) => {
                assert_eq!(array.values.len(), 1, "{}: {name} is one number", self.id);
                Some(array.values[0])
            }
            (None, None) => None,
        }
    }

    /// Runs the case both ways; what is wrong, in sentences.
    fn run(&self) -> Vec<String> {
        let (kernel, graph) = self.compile();
        let signature = kernel.signature().clone();
        let mut used = Vec::new();
        let mut tensors = Vec::new();
        for param in &signature.params {
            used.push(param.name.as_str());
            if matches!(param.kind, ParamKind::Array { .. })
                && let Some(array) = self.inputs.get(&param.name)
            {
                tensors.push((param.name.as_str(), tensor(array, param.dtype)));
            }
        }
        let mut bind = kernel.bind();
        for (name, tensor) in &tensors {
            bind = bind.input(name, tensor.view());
        }
        for param in signature.params.iter().filter(|param| matches!(param.kind, ParamKind::Scalar { .. })) {
            if let Some(value) = self.number(&param.name) {
                bind = bind.set(&param.name, value);
            }
        }
        let given = self.inputs.keys().chain(self.params.keys());
        let ignored =
            |name: &str| self.entry.dims.contains_key(name) || self.entry.requires.contains_key(name);
        for name in given {
            assert!(used.contains(&name.as_str()) || ignored(name), "{}: the kernel has no {name}", self.id);
        }
        let sizes = bind.shapes().unwrap_or_else(|error| panic!("{} {}: {error}", self.id, self.name)).dims;
        let results = bind.run_alloc().unwrap_or_else(|error| panic!("{} {}: {error}", self.id, self.name));

        let inputs: Vec<Vec<f64>> = graph
            .params
            .iter()
            .map(|decl| {
                let array =
                    tensors.iter().find(|(name, _)| *name == decl.name).map(|(_, tensor)| numbers(tensor));
                let number = || self.number(&decl.name).map(|value| f64::from(value as f32));
                let value =
                    array.or_else(|| number().or_else(|| eval::default_input(decl)).map(|value| vec![value]));
                value.unwrap_or_else(|| panic!("{}: no value for {}", self.id, decl.name))
            })
            .collect();
        let inputs: Vec<&[f64]> = inputs.iter().map(Vec::as_slice).collect();
        let exact = eval(&graph, &sizes, &inputs);

        let mut wrong = Vec::new();
        for ((decl, result), exact) in signature.results.iter().zip(&results).zip(&exact) {
            let Some(golden) = self.outputs.get(&decl.name) else { continue };
            if result.shape() != golden.shape {
                let (is, wants) = (result.shape(), &golden.shape);
                wrong.push(format!("{} {}.{}: shape {is:?}, not {wants:?}", self.id, self.name, decl.name));
                continue;
            }
            let exact: Vec<f64> = exact.iter().map(|value| value.to_f64()).collect();
            let compiled = numbers(result);
            wrong.extend(self.compare(&decl.name, "formula", &exact, golden, |y, _| formula_tolerance(y)));
            wrong.extend(
                self.compare(&decl.name, "kernel", &compiled, golden, |y, _| self.atol + self.rtol * y.abs()),
            );
            if let Some(bound) = self.entry.bound {
                let exact = Array { shape: golden.shape.clone(), values: exact };
                let limit = |y: f64, at: usize| self.promised(bound, y, at, &exact);
                wrong.extend(self.compare(&decl.name, "kernel, promised", &compiled, &exact, limit));
            }
        }
        for name in self.outputs.keys() {
            let known = signature.results.iter().any(|result| result.name == *name);
            assert!(known, "{}: the kernel has no result {name}", self.id);
        }
        wrong
    }

    /// The largest error of the result `y` at a place that the language's numerics allow.
    fn promised(&self, bound: Bound, y: f64, at: usize, result: &Array) -> f64 {
        let x = &self.inputs["x"];
        // A result below the normal numbers has no relative bound.
        let least = f64::from(f32::MIN_POSITIVE);
        if bound == Bound::Scaled {
            return 3.0 * ROUND * x.values[at].abs().max(y.abs()) + least;
        }
        let n = *x.shape.last().expect("rows");
        let row = if result.shape.len() == x.shape.len() { at / n } else { at };
        let row = &x.values[row * n..][..n];
        let s = n.div_ceil(32).min(256) as f64 + libm::log2(n as f64).ceil();
        if bound == Bound::Softmax {
            let max = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            return (s + 6.0 + (x.values[at] - max).abs()) * ROUND * y.abs() + least;
        }
        let largest = row.iter().filter(|x| x.is_finite()).fold(1.0, |most: f64, x| most.max(x.abs()));
        (s + 6.0) * ROUND * largest
    }

    /// The worst place where two arrays differ by more than `tolerance` of the value wanted.
    fn compare(
        &self,
        result: &str,
        engine: &str,
        is: &[f64],
        wants: &Array,
        tolerance: impl Fn(f64, usize) -> f64,
    ) -> Option<String> {
        let mut worst = (1.0, None);
        for (at, (&is, &wants)) in is.iter().zip(&wants.values).enumerate() {
            let same = is == wants || (is.is_nan() && wants.is_nan());
            let excess = (is - wants).abs() / tolerance(wants, at);
            if !same && (excess.is_nan() || excess > worst.0) {
                worst = (if excess.is_nan() { f64::INFINITY } else { excess }, Some((at, is, wants)));
            }
        }
        let (at, is, wants) = worst.1?;
        let what = format!("{} {}.{result}[{at}]", self.id, self.name);
        Some(format!("{what}: the {engine} gives {is:e}, not {wants:e} ({:.1} times the tolerance)", worst.0))
    }
}

/// How far the formula, whose constants and numbers are rounded to `f32` and nothing else, may be from the golden
/// result.
fn formula_tolerance(y: f64) -> f64 {
    16.0 * ROUND * y.abs().max(1.0)
}

#[test]
fn formulas_are_those_of_the_papers() {
    let folder = std::env::var_os("ACT_GOLDEN").map_or_else(|| root().join("tests/golden"), PathBuf::from);
    let index = index();
    let (mut wrong, mut skipped, mut cases_run) = (Vec::new(), Vec::new(), 0);
    let manifest = read_json(&folder.join("manifest.json"));
    for (id, golden) in manifest.as_object().expect("an object") {
        let Some(entry) = index.get(id) else {
            skipped.push(id.clone());
            continue;
        };
        let text = |key: &str| golden[key].as_str().unwrap_or_else(|| panic!("{id}: no {key}"));
        let number = |key: &str| golden[key].as_f64().unwrap_or_else(|| panic!("{id}: no {key}"));
        assert_eq!(text("compare"), "allclose", "{id}");
        let path = folder.join(text("family")).join(format!("{id}.npz"));
        let mut archive =
            npyz::npz::NpzArchive::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        for (name, case) in golden["cases"].as_object().expect("cases") {
            let mut arrays = |side: &str, key: &str| -> BTreeMap<String, Array> {
                let names = case[key].as_object().expect("names").keys();
                names
                    .map(|array| (array.clone(), read_array(&mut archive, &format!("{name}.{side}.{array}"))))
                    .collect()
            };
            let case = Case {
                id,
                name,
                entry,
                inputs: arrays("in", "inputs"),
                outputs: arrays("out", "outputs"),
                params: case["params"].as_object().expect("params"),
                rtol: number("rtol"),
                atol: number("atol"),
            };
            if let Some(reason) = case.other_kernel() {
                skipped.push(format!("{id}.{name} ({reason})"));
                continue;
            }
            wrong.extend(case.run());
            cases_run += 1;
        }
    }
    println!("{cases_run} cases; skipped: {}", skipped.join(", "));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(cases_run > 0, "no golden vectors in {}", folder.display());
}
