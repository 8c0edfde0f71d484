//! Cases of kernels: arrays and parameters that go in, results that shall come out, and running a kernel of the zoo on them with
//! every engine.
//!
//! Needs kernels of the zoo, and cases from golden vectors or tables; leaves what is wrong with each, as [`Wrong`].

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use act::TensorView;
use act::diag::{Source, Sources, render};
use act::graph::{Constant, Decl};
use act::loops::interp;
use act::pipeline::{self, Blind, Options};
use serde_json::{Map, Value as Json};

use crate::golden::Bound;
use crate::inputs::root;
use crate::subject::{self, Data, How, Subject, assert_same, elem, value};
use crate::zoo::{self, Entry, Variant, Zoo};

/// Numbers with their shape.
#[derive(Clone, Debug, Default)]
pub struct Array {
    /// Sizes of the axes.
    pub shape: Vec<usize>,
    /// The elements in order.
    pub values: Vec<f64>,
}

/// How results are compared with those wanted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Compare {
    /// Each element by itself.
    Close,
    /// Two results m and n stand for m 2^n: log(m) + n log(2) is compared.
    Scaled,
    /// Each element by itself, or it is the other end of a step of which the element of `x` is the middle.
    Grid,
}

/// One case of one id.
#[derive(Clone, Debug)]
pub struct Case {
    /// The id.
    pub id: String,
    /// What the case is called.
    pub name: String,
    /// The paper.
    pub paper: String,
    /// Parameters by their names in the manifest.
    pub params: Map<String, Json>,
    /// Arrays by their names in the manifest.
    pub inputs: BTreeMap<String, Array>,
    /// What shall come out.
    pub outputs: BTreeMap<String, Array>,
    /// How the two are compared.
    pub compare: Compare,
    /// Relative tolerance.
    pub rtol: f64,
    /// Absolute tolerance.
    pub atol: f64,
    /// Whether the formula in real numbers keeps a narrower tolerance, since all that it rounds are its constants.
    pub narrow: bool,
}

/// Something that is wrong with a case.
#[derive(Clone, Debug)]
pub struct Wrong {
    /// The paper.
    pub paper: String,
    /// Id and case.
    pub case: String,
    /// Who gives the wrong result.
    pub engine: String,
    /// The worst error as a multiple of the tolerance.
    pub error: f64,
    /// All of it in words.
    pub what: String,
}

/// A table of what is wrong, by paper.
pub fn table(wrong: &[Wrong]) -> String {
    let mut rows: Vec<&Wrong> = wrong.iter().collect();
    rows.sort_by_key(|row| (&row.paper, &row.case));
    let width = |of: fn(&Wrong) -> &str| rows.iter().map(|row| of(row).chars().count()).max().unwrap_or(0);
    let (paper, case) = (width(|row| &row.paper).min(60), width(|row| &row.case));
    let mut text = format!("{:paper$}  {:case$}  {:10}  error\n", "paper", "case", "engine");
    for row in rows {
        let short: String = row.paper.chars().take(60).collect();
        text += &format!(
            "{short:paper$}  {:case$}  {:10}  {:<9.3}  {}\n",
            row.case, row.engine, row.error, row.what
        );
    }
    text
}

/// A kernel's name, and the sizes of its dimension parameters.
type Key = (String, Vec<(String, i64)>);

/// Compiled kernels.
#[derive(Default)]
struct Compiled(Mutex<BTreeMap<Key, Arc<Subject>>>);

/// Runs cases on two threads; what is wrong, in the order of the cases.
pub fn run_all(zoo: &Zoo, cases: &[Case]) -> Vec<Wrong> {
    let (compiled, next) = (Compiled::default(), AtomicUsize::new(0));
    let found = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let wrong = run_one(zoo, &compiled, case);
                    found.lock().expect("nobody panics with it").extend(wrong);
                }
            });
        }
    });
    found.into_inner().expect("nobody panics with it")
}

/// One case; a panic of an engine is something wrong with it.
fn run_one(zoo: &Zoo, compiled: &Compiled, case: &Case) -> Vec<Wrong> {
    let run = AssertUnwindSafe(|| {
        let entry = zoo.entry(&case.id).expect("somebody answers for it");
        if entry.program.is_some() {
            return crate::programs::run(case);
        }
        let variant = entry.variant(&case.params);
        let variant = variant.unwrap_or_else(|| panic!("no kernel is for {:?}", case.params));
        Run { zoo, case, entry: &entry, variant }.run(compiled)
    });
    catch_unwind(run).unwrap_or_else(|panic| {
        let message = panic.downcast_ref::<String>().map(String::as_str);
        let message = message.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic");
        vec![case.wrong("all", f64::INFINITY, message.to_owned())]
    })
}

impl Case {
    fn wrong(&self, engine: &str, error: f64, what: String) -> Wrong {
        let case = format!("{}.{}", self.id, self.name);
        Wrong { paper: self.paper.clone(), case, engine: engine.to_owned(), error, what }
    }

    /// Compares results, by their names in the manifest, with those wanted.
    pub fn compare(
        &self,
        engine: &str,
        is: &BTreeMap<String, Array>,
        tolerance: &dyn Fn(f64) -> f64,
    ) -> Vec<Wrong> {
        let mut wrong = Vec::new();
        for (name, wants) in &self.outputs {
            let Some(is) = is.get(name) else { panic!("there is no result {name}") };
            if is.shape != wants.shape {
                let what = format!("{name} has the shape {:?}, not {:?}", is.shape, wants.shape);
                wrong.push(self.wrong(engine, f64::INFINITY, what));
            }
        }
        if !wrong.is_empty() {
            return wrong;
        }
        if self.compare == Compare::Scaled {
            let logs = |of: &BTreeMap<String, Array>| -> Vec<f64> {
                let (m, n) = (&of["y0"].values, &of["y1"].values);
                m.iter().zip(n).map(|(m, n)| libm::log(*m) + n * std::f64::consts::LN_2).collect()
            };
            return Vec::from_iter(self.worst(
                engine,
                "log(y0) + y1 log(2)",
                &logs(is),
                &logs(&self.outputs),
                tolerance,
            ));
        }
        let each = |(name, wants): (&String, &Array)| {
            self.worst(engine, name, &is[name].values, &wants.values, tolerance)
        };
        self.outputs.iter().filter_map(each).collect()
    }

    /// The worst place where two arrays differ by more than `tolerance` of the value wanted.
    fn worst(
        &self,
        engine: &str,
        result: &str,
        is: &[f64],
        wants: &[f64],
        tolerance: &dyn Fn(f64) -> f64,
    ) -> Option<Wrong> {
        let mut worst = (1.0, None);
        for (at, (&is, &wants)) in is.iter().zip(wants).enumerate() {
            let excess = (is - wants).abs() / tolerance(wants);
            if is == wants || is.is_nan() && wants.is_nan() || excess <= worst.0 || self.is_tie(at, is, wants)
            {
                continue;
            }
            let excess = if excess.is_nan() { f64::INFINITY } else { excess };
            if excess > worst.0 {
                worst = (excess, Some((at, is, wants)));
            }
        }
        let (at, is, wants) = worst.1?;
        Some(self.wrong(engine, worst.0, format!("{result}[{at}] is {is:e}, not {wants:e}")))
    }

    /// Whether two ends of a step are as far from what was rounded to one of them.
    fn is_tie(&self, at: usize, is: f64, wants: f64) -> bool {
        let middle = || (self.inputs["x"].values[at] - (is + wants) / 2.0).abs();
        self.compare == Compare::Grid && middle() <= self.rtol * wants.abs().max(is.abs())
    }
}

/// How far the formula, whose constants and numbers are rounded to `f32` and nothing else, may be from the golden
/// result.
fn formula_tolerance(y: f64) -> f64 {
    8.0 * f64::from(f32::EPSILON) * y.abs().max(1.0)
}

/// A case with the kernel that it is for.
struct Run<'a> {
    zoo: &'a Zoo,
    case: &'a Case,
    entry: &'a Entry,
    variant: &'a Variant,
}

impl Run<'_> {
    /// The kernel's name for a name of the manifest, where `known` says what the kernel has.
    fn name<'b>(&'b self, name: &'b str, known: impl Fn(&str) -> bool) -> Option<&'b str> {
        let renamed = self.entry.rename.get(name).map(String::as_str);
        renamed.filter(|name| known(name)).or_else(|| known(name).then_some(name))
    }

    /// The name of the manifest for a name of the kernel, among those given.
    fn manifest_name<'b, T>(&'b self, name: &'b str, given: &'b BTreeMap<String, T>) -> Option<&'b String> {
        let renamed = self.entry.rename.iter().find(|(from, to)| *to == name && given.contains_key(*from));
        renamed.map(|(from, _)| from).or_else(|| given.keys().find(|given| **given == name))
    }

    /// The sizes of dimension parameters, by their names in the kernel.
    fn dims(&self) -> Vec<(String, i64)> {
        let kernel = &self.zoo.kernels[&self.variant.kernel];
        let size = |(name, value): (&String, &Json)| {
            let dim = self.entry.dims.get(name).unwrap_or(name);
            Some((dim.clone(), kernel.dims.contains(dim).then(|| value.as_i64())??))
        };
        self.case.params.iter().filter_map(size).collect()
    }

    fn compile(&self) -> Subject {
        let path = root().join(&self.zoo.kernels[&self.variant.kernel].path);
        let kernel = Some(self.variant.kernel.clone());
        let options = Options { dims: self.dims(), kernel, ..Options::default() };
        let mut sources = Sources::new();
        let file = sources.add(Source::new(path.display().to_string(), zoo::read(&path)));
        let mut lowered = pipeline::front(&sources, file, &options, &mut Blind)
            .unwrap_or_else(|errors| panic!("{}", render(&errors, &sources, false)));
        assert!(lowered.warnings.is_empty(), "{}", render(&lowered.warnings, &sources, false));
        subject::subject(&path.display().to_string(), lowered.graphs.remove(0))
            .expect("this machine can be served")
    }

    /// A parameter of the kernel as a number, where the case has one.
    fn number(&self, decl: &Decl) -> Option<f64> {
        let params: BTreeMap<String, Json> = self.case.params.clone().into_iter().collect();
        if let Some(name) = self.manifest_name(&decl.name, &params) {
            let value = &params[name];
            let number = value.as_f64().or_else(|| value.as_bool().map(|value| f64::from(u8::from(value))));
            return Some(number.unwrap_or_else(|| panic!("{name} is {value}")));
        }
        let array = &self.case.inputs[self.manifest_name(&decl.name, &self.case.inputs)?];
        assert_eq!(array.values.len(), 1, "{} is one number", decl.name);
        Some(array.values[0])
    }

    /// Everything that the manifest gives is known to the kernel.
    fn check_names(&self, subject: &Subject) {
        let graph = &subject.source;
        let dims = &self.zoo.kernels[&self.variant.kernel].dims;
        let param = |name: &str| graph.params.iter().any(|decl| decl.name == name);
        let dim = |name: &String| dims.contains(self.entry.dims.get(name).unwrap_or(name));
        for name in self.case.inputs.keys() {
            assert!(self.name(name, param).is_some(), "the kernel has no parameter {name}");
        }
        for name in self.case.params.keys() {
            let known = self.name(name, param).is_some() || dim(name) || self.variant.when.contains_key(name);
            assert!(known, "the kernel has no parameter {name}");
        }
        let result = |name: &str| graph.results.iter().any(|(decl, _)| decl.name == name);
        for name in self.case.outputs.keys() {
            assert!(self.name(name, result).is_some(), "the kernel has no result {name}");
        }
    }

    fn run(&self, compiled: &Compiled) -> Vec<Wrong> {
        let key = (self.variant.kernel.clone(), self.dims());
        let known = compiled.0.lock().expect("nobody panics with it").get(&key).cloned();
        let subject = known.unwrap_or_else(|| Arc::new(self.compile()));
        compiled.0.lock().expect("nobody panics with it").insert(key, subject.clone());
        self.check_names(&subject);

        let given: Vec<Option<&Array>> = subject
            .source
            .params
            .iter()
            .map(|decl| decl.axes.as_ref().and_then(|_| self.manifest_name(&decl.name, &self.case.inputs)))
            .map(|name| name.map(|name| &self.case.inputs[name]))
            .collect();
        let shapes = shapes(&subject, &given);
        let args =
            subject.source.params.iter().zip(&given).zip(&shapes.params).map(|((decl, array), shape)| {
                let default = || act::graph::eval::default_input(decl);
                let values = match (array, shape) {
                    (Some(array), _) => array.values.clone(),
                    (None, Some(shape)) => vec![default().expect("a default"); shape.iter().product()],
                    (None, None) => {
                        vec![self.number(decl).or_else(default).unwrap_or_else(|| panic!("no {}", decl.name))]
                    }
                };
                let bits = values.iter().map(|&value| Constant::new(decl.dtype, value).bits).collect();
                interp::Array { elem: elem(decl.dtype), bits }
            });
        let data = Data { args: args.collect(), sizes: shapes.dims.clone() };

        // By their names in the manifest.
        let outputs = |values: Vec<Vec<f64>>| -> BTreeMap<String, Array> {
            let shaped = subject.source.results.iter().zip(values).zip(&shapes.results);
            let named = shaped.filter_map(|(((decl, _), values), shape)| {
                let name = self.manifest_name(&decl.name, &self.case.outputs)?;
                Some((name.clone(), Array { shape: shape.clone(), values }))
            });
            named.collect()
        };
        let exact = subject.exact(&data).into_iter().map(|one| one.iter().map(|y| y.to_f64()).collect());
        let exact = outputs(exact.collect());
        let numeric = subject.interpret(&subject.numeric, &data, &interp::Options::default());
        let layout = subject.interpret(&subject.layout, &data, &interp::Options::default());
        let machine = subject.execute(&data, &How::PLAIN);
        assert_same(&subject, &data, "layout passes", &numeric, &layout);
        assert_same(&subject, &data, "machine code", &numeric, &machine);
        let numbers = subject.source.results.iter().zip(&machine);
        let machine = numbers
            .map(|((decl, _), array)| array.bits.iter().map(|&bits| value(decl.dtype, bits)).collect());
        let machine = outputs(machine.collect());

        let case = self.case;
        let tolerance = |y: f64| case.atol + case.rtol * y.abs();
        let narrow = |y: f64| tolerance(y).min(formula_tolerance(y));
        let mut wrong = case.compare("formula", &exact, if case.narrow { &narrow } else { &tolerance });
        wrong.extend(case.compare("code", &machine, &tolerance));
        if let Some(bound) = &self.entry.bound {
            let (error, what) = Bound::named(bound).worst(&case.inputs["x"], &machine, &exact);
            wrong.extend((error > 1.0).then(|| case.wrong("promise", error, what)));
        }
        wrong
    }
}

/// The shapes of all arrays of a call, from those of the arrays that are given.
fn shapes(subject: &Subject, given: &[Option<&Array>]) -> act_runtime::Shapes {
    // Only shapes are looked at: one place in memory is enough for all arrays.
    let longest = given.iter().flatten().map(|array| array.values.len()).max().unwrap_or(0);
    let memory = vec![0u64; longest + 1];
    let mut bind = subject.kernel.bind();
    for (decl, array) in subject.source.params.iter().zip(given) {
        let Some(array) = array else { continue };
        let mut strides = vec![1; array.shape.len()];
        for axis in (1..array.shape.len()).rev() {
            strides[axis - 1] = strides[axis] * array.shape[axis] as isize;
        }
        let start = memory.as_ptr().cast::<u8>();
        // SAFETY: `memory` has a word of 8 bytes for every element and outlives the call; any bytes are an element.
        let view = unsafe { TensorView::from_raw(decl.dtype, start, &array.shape, &strides) };
        bind = bind.input(&decl.name, view);
    }
    bind.shapes().unwrap_or_else(|error| panic!("{error}"))
}
