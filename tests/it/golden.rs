//! Golden vectors: what the formulas of the papers give, computed in `f64` by other code from inputs in `f32`. Every kernel
//! of the zoo runs on them: as a formula in real numbers, in the interpreter before and after the layout passes, and as
//! machine code, whose bits are those of the interpreter.
//!
//! The folder is `tests/golden`, or what the environment variable `ACT_GOLDEN` names: `manifest.json` says for each id
//! the paper, the shapes, the parameters and the tolerance of its cases; `<family>/<id>.npz` holds the arrays,
//! `<case>.in.<name>` and `<case>.out.<name>`. `crate::zoo` knows which kernel an id is for.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value as Json;

use crate::inputs::root;
use crate::vectors::{Array, Case, Compare, run_all, table};
use crate::zoo::{Zoo, read_json};

/// Half a unit in the last place of 1, in `f32`.
const ROUND: f64 = 1.0 / (1 << 24) as f64;

/// What is promised of a kernel's results in `f32`, beside the tolerance of its golden vectors. For rows of `n`,
/// S = min(⌈n/32⌉, 256) + ⌈log2 n⌉.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    /// Of one number: the error is at most 3·2^-24·max(|x|, |y|).
    Scaled,
    /// A softmax: at most (S + 6 + |x - max|)·2^-24 of the result.
    Softmax,
    /// Logarithms of sums of exponentials: at most (S + 6)·2^-24·max(1, max|x|).
    Logarithm,
}

impl Bound {
    /// The bound that an index calls so.
    pub fn named(name: &str) -> Bound {
        match name {
            "scaled" => Bound::Scaled,
            "softmax" => Bound::Softmax,
            "logarithm" => Bound::Logarithm,
            other => panic!("no bound is called {other}"),
        }
    }

    /// The worst error of the one result, as a multiple of what is promised, and where it is.
    pub fn worst(
        self,
        x: &Array,
        is: &BTreeMap<String, Array>,
        exact: &BTreeMap<String, Array>,
    ) -> (f64, String) {
        let mut worst = (0.0, String::new());
        for (name, exact) in exact {
            for (at, (&is, &y)) in is[name].values.iter().zip(&exact.values).enumerate() {
                let error = (is - y).abs() / self.at(x, y, at, exact);
                if is != y && !(is.is_nan() && y.is_nan()) && error > worst.0 {
                    worst = (error, format!("{name}[{at}] is {is:e}, not {y:e}"));
                }
            }
        }
        worst
    }

    /// The largest error of the result `y` at a place that the language's numerics allow.
    fn at(self, x: &Array, y: f64, at: usize, result: &Array) -> f64 {
        // A result below the normal numbers has no relative bound.
        let least = f64::from(f32::MIN_POSITIVE);
        if self == Bound::Scaled {
            return 3.0 * ROUND * x.values[at].abs().max(y.abs()) + least;
        }
        let n = *x.shape.last().expect("rows");
        let row = if result.shape.len() == x.shape.len() { at / n } else { at };
        let row = &x.values[row * n..][..n];
        let s = n.div_ceil(32).min(256) as f64 + libm::log2(n as f64).ceil();
        if self == Bound::Softmax {
            let max = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            return (s + 6.0 + (x.values[at] - max).abs()) * ROUND * y.abs() + least;
        }
        let largest = row.iter().filter(|x| x.is_finite()).fold(1.0, |most: f64, x| most.max(x.abs()));
        (s + 6.0) * ROUND * largest
    }
}

type Archive = npyz::npz::NpzArchive<std::io::BufReader<std::fs::File>>;

fn read_array(archive: &mut Archive, name: &str) -> Array {
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

/// All cases of an id.
fn cases(folder: &Path, id: &str, golden: &Json, narrow: bool) -> Vec<Case> {
    let text = |key: &str| golden[key].as_str().unwrap_or_else(|| panic!("{id}: no {key}"));
    let number = |key: &str| golden[key].as_f64().unwrap_or_else(|| panic!("{id}: no {key}"));
    let (compare, rtol, atol) = match text("compare") {
        "allclose" => (Compare::Close, number("rtol"), number("atol")),
        "ldexp" => (Compare::Scaled, number("rtol"), number("atol")),
        "grid" => (Compare::Grid, number("rtol"), number("atol")),
        "exact" => (Compare::Close, 0.0, 0.0),
        other => panic!("{id}: no way to compare is called {other}"),
    };
    let path = folder.join(text("family")).join(format!("{id}.npz"));
    let mut archive = Archive::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut cases = Vec::new();
    for (name, case) in golden["cases"].as_object().expect("cases") {
        let mut arrays = |side: &str, key: &str| -> BTreeMap<String, Array> {
            let names = case[key].as_object().expect("names").keys();
            let mut array = |array: &String| read_array(&mut archive, &format!("{name}.{side}.{array}"));
            names.map(|name| (name.clone(), array(name))).collect()
        };
        cases.push(Case {
            id: id.to_owned(),
            name: name.clone(),
            paper: text("seed").to_owned(),
            inputs: arrays("in", "inputs"),
            outputs: arrays("out", "outputs"),
            params: case["params"].as_object().expect("params").clone(),
            compare,
            rtol,
            atol,
            narrow: narrow && compare == Compare::Close && atol > 0.0,
        });
    }
    cases
}

#[test]
fn formulas_are_those_of_the_papers() {
    let other = std::env::var_os("ACT_GOLDEN");
    // Other vectors may be as ill-conditioned as their inputs are.
    let narrow = other.is_none();
    let folder = other.map_or_else(|| root().join("tests/golden"), PathBuf::from);
    let zoo = Zoo::read();
    let manifest = read_json(&folder.join("manifest.json"));
    let manifest = manifest.as_object().expect("an object");
    let (known, unknown): (Vec<_>, Vec<_>) = manifest.iter().partition(|(id, _)| zoo.entry(id).is_some());
    let cases: Vec<Case> = known.iter().flat_map(|(id, golden)| cases(&folder, id, golden, narrow)).collect();
    let wrong = run_all(&zoo, &cases);
    let unknown: Vec<&String> = unknown.into_iter().map(|(id, _)| id).collect();
    println!("{} cases of {} ids; no kernel for {unknown:?}", cases.len(), known.len());
    assert!(wrong.is_empty(), "{} of {} cases are wrong\n{}", wrong.len(), cases.len(), table(&wrong));
    assert!(!cases.is_empty(), "no golden vectors in {}", folder.display());
}
