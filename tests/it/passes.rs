//! Graph passes: `suite/passes/<pass>/*.graph` are read, that one pass is run, and what it leaves is a snapshot. What
//! it leaves must also be valid and compute the same; so must what all passes leave of random graphs.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use act::graph::eval::{all_sizes, eval};
use act::graph::wide::Wide;
use act::graph::{Constant, Decl, Fold, FoldId, Graph, NodeId, Op, parse, verify};
use act::graph_passes::{self, PASSES, ranges::Ranges};
use act::ops::{Prim, Reduction, Scan};
use act::types::{DType, Dim, DimId, DimKind, DimSet};
use arbtest::arbitrary::{self, Unstructured};
use cranelift_entity::PrimaryMap;

use crate::random::budgeted;
use crate::subject::graphs;

/// The folder `tests`.
fn tests_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests")
}

/// The inputs of a folder below `suite/passes`: name and text, sorted.
fn inputs(folder: &str) -> Vec<(String, String)> {
    let folder = tests_folder().join("suite/passes").join(folder);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut inputs: Vec<(String, String)> = entries
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "graph"))
        .map(|path| {
            let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
            (name, std::fs::read_to_string(&path).expect("a readable input"))
        })
        .collect();
    inputs.sort();
    assert!(!inputs.is_empty(), "no inputs in {}", folder.display());
    inputs
}

fn graph(text: &str) -> Graph {
    let graph = parse(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    verify(&graph).unwrap_or_else(|report| panic!("{report}"));
    graph
}

fn snapshot(folder: &str, name: &str, input: &str, output: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(tests_folder().join("snapshots/passes"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.set_description(input);
    settings.set_input_file(format!("tests/suite/passes/{folder}/{name}.graph"));
    settings.bind(|| insta::assert_snapshot!(format!("{folder}-{name}"), output));
}

#[test]
fn every_pass_leaves_what_it_should() {
    for pass in PASSES {
        for (name, text) in inputs(pass.name) {
            println!("suite/passes/{}/{name}.graph", pass.name);
            let before = graph(&text);
            let mut after = before.clone();
            (pass.run)(&mut after);
            verify(&after).unwrap_or_else(|report| panic!("{} of {name}:\n{report}", pass.name));
            snapshot(pass.name, &name, &text, &after.to_string());
            computes_the_same(&before, &after, &format!("{} of {name}", pass.name));
        }
    }
}

#[test]
fn ranges_are_known() {
    for (name, text) in inputs("ranges") {
        let graph = graph(&text);
        snapshot("ranges", &name, &text, &Ranges::new(&graph).print(&graph));
    }
}

#[test]
fn passes_have_names_that_find_them() {
    for pass in PASSES {
        assert!(graph_passes::find(pass.name).is_some_and(|found| found.doc == pass.doc), "{}", pass.name);
    }
    assert!(graph_passes::find("fuse all").is_none());
}

/// A graph that would grow beyond the limit is left as it is where that is possible.
#[test]
fn unrolling_is_bounded() {
    let text = "graph f(%0 x: f32[i, j, k]) -> (y: f32[i, k] = %2)\n  dims i = 64, j = 64, k = 64\n  \
                %1 = exp %0 : f32[i, j, k]\n  %2 = sum %1 over j : f32[i, k]\n";
    let before = graph(text);
    let mut after = before.clone();
    graph_passes::unroll::run(&mut after);
    assert!(after.nodes.len() < 20_000);
    verify(&after).unwrap_or_else(|report| panic!("{report}"));
    let text = "graph f(%0 x: f32[i, j, k]) -> (y: f32 = %4)\n  dims i = 64, j = 64, k = 64\n  \
                %1 = exp %0 : f32[i, j, k]\n  %2 = slice %1 i=0 : f32[j, k]\n  %3 = slice %2 j=0 : f32[k]\n  \
                %4 = slice %3 k=0 : f32\n";
    let before = graph(text);
    let mut after = before.clone();
    graph_passes::unroll::run(&mut after);
    assert_eq!(before, after);
}

/// Neither many nodes nor a long chain make a pass slow or its stack deep.
#[test]
fn long_graphs_are_no_burden() {
    let mut text =
        String::from("graph f(%0 x: f32[n, d]) -> (y: f32[n, d] = %20000)\n  dims n = free, d = free\n");
    for id in 1..=20_000 {
        let line = match id % 4 {
            0 => format!("  %{id} = add %{}, %{} : f32[n, d]\n", id - 1, id - 2),
            1 => format!("  %{id} = mul %{}, %0 : f32[n, d]\n", id - 1),
            2 => format!("  %{id} = max %{} over d : f32[n]\n", id - 1),
            _ => format!("  %{id} = sub %{}, %{} : f32[n, d]\n", id - 2, id - 1),
        };
        text.push_str(&line);
    }
    let mut graph = graph(&text);
    for pass in PASSES {
        (pass.run)(&mut graph);
    }
    verify(&graph).unwrap_or_else(|report| panic!("{report}"));
}

/// A small generator of numbers.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }

    /// A number of a dtype; now and then, if `special`, NaN, an infinity or a zero.
    fn of(&mut self, dtype: DType, special: bool) -> f64 {
        match (dtype, self.next(if special { 12 } else { 1 << 32 })) {
            (_, 1) if dtype.is_float() => f64::NAN,
            (_, 2) if dtype.is_float() => f64::INFINITY,
            (_, 3 | 4) if dtype.is_float() => f64::NEG_INFINITY,
            (_, 5) if dtype.is_float() => 0.0,
            (DType::F32 | DType::F64, _) => (self.next(1 << 20) as f64 - 524_288.0) / 131_072.0,
            (DType::F16 | DType::BF16, _) => (self.next(1 << 8) as f64 - 128.0) / 32.0,
            (DType::I8, _) => self.next(256) as f64 - 128.0,
            (DType::U8, _) => self.next(256) as f64,
            (DType::I32, _) => self.next(1000) as f64 - 500.0,
            (DType::Bool, _) => self.next(2) as f64,
        }
    }
}

/// Sizes to run a graph with; every dimension that is not known gets one of these.
const SIZES: [[i64; 4]; 4] = [[2, 3, 1, 2], [1, 1, 1, 1], [3, 5, 2, 3], [2, 0, 2, 1]];

/// Evaluates both graphs on numbers, ordinary and special.
fn computes_the_same(before: &Graph, after: &Graph, what: &str) {
    let mut numbers = Numbers(7);
    for (round, sizes) in SIZES.iter().cycle().take(40).enumerate() {
        let known: Vec<(&str, i64)> = before
            .dims
            .values()
            .zip(sizes.iter().cycle())
            .map(|(dim, &size)| (dim.name.as_str(), size))
            .collect();
        let sizes = all_sizes(before, &known).expect("sizes");
        let inputs: Vec<Vec<f64>> = before
            .params
            .iter()
            .map(|decl| {
                let count: i64 = decl.dim_list().map(|dim| sizes[dim.as_u32() as usize]).product();
                // What infinite logits are after shifting, `stable.rs` shows.
                let special = round % 2 == 1 && !what.starts_with("stabilise");
                (0..count).map(|_| numbers.of(decl.dtype, special)).collect()
            })
            .collect();
        let inputs: Vec<&[f64]> = inputs.iter().map(Vec::as_slice).collect();
        let (expected, found) = (eval(before, &sizes, &inputs), eval(after, &sizes, &inputs));
        for (i, (expected, found)) in expected.iter().zip(&found).enumerate() {
            for (at, (&expected, &found)) in expected.iter().zip(found).enumerate() {
                let (name, e, f) = (&before.results[i].0.name, expected.to_f64(), found.to_f64());
                assert!(
                    is_close(expected, found),
                    "{what}: {name}[{at}] is {f:e}, not {e:e}, for {inputs:?}\n{before}\n{after}"
                );
            }
        }
    }
}

/// Equal but for the rounding of constants to f32, and for results below the normal numbers.
fn is_close(expected: Wide, found: Wide) -> bool {
    if expected.is_nan() || found.is_nan() {
        return expected.is_nan() && found.is_nan();
    }
    if expected.is_infinite() || found.is_infinite() || expected.is_zero() || found.is_zero() {
        return expected == found || (expected - found).abs().to_f64() < f64::from(f32::MIN_POSITIVE);
    }
    let error = ((found - expected) / expected).abs().to_f64();
    error < 1e-6 || (expected - found).abs().to_f64() < f64::from(f32::MIN_POSITIVE)
}

#[test]
fn random_graphs_keep_their_meaning() {
    budgeted(|u| {
        let before = random_graph(u, false)?;
        verify(&before).unwrap_or_else(|report| panic!("the generator is wrong: {report}"));
        let mut after = before.clone();
        let mut safe = before.clone();
        for pass in PASSES {
            (pass.run)(&mut after);
            verify(&after).unwrap_or_else(|report| panic!("{}:\n{report}\nof\n{before}", pass.name));
            if pass.name == "stabilise" {
                safe = after.clone();
            }
        }
        has_the_promised_form(&after);
        computes_the_same(&before, &safe, "stabilise of a random graph");
        computes_the_same(&safe, &after, "all other passes");
        Ok(())
    });
}

/// What later stages rely on.
fn has_the_promised_form(graph: &Graph) {
    let on_param = |mut id: NodeId| {
        while let Op::Slice { value, .. } | Op::Rename { value, .. } = graph.nodes[id].op {
            id = value;
        }
        matches!(graph.nodes[id].op, Op::Param(_))
    };
    let is_stack = |id: NodeId| matches!(graph.nodes[id].op, Op::Stack { .. });
    for (id, node) in &graph.nodes {
        match &node.op {
            Op::Slice { .. } => assert!(on_param(id), "a slice of a value: {id} in\n{graph}"),
            Op::Prim(prim, _) => assert!(!matches!(prim, Prim::Max | Prim::Min), "{id} in\n{graph}"),
            _ => {}
        }
        if !is_stack(id) {
            assert!(!node.op.args().iter().any(|&arg| is_stack(arg)), "a stack is used: {id} in\n{graph}");
        }
    }
}

/// Makes a graph whose numbers stay exact in the evaluator (small whole inputs, few products) but for some functions,
/// whose values are then only multiplied: so neither a sum in another order nor an fma can be told from what it was.
struct Maker {
    graph: Graph,
    /// How many factors a value has; none for one that is not exact.
    degree: Vec<Option<u32>>,
    /// Whether values need not be exact.
    inexact: bool,
}

/// A random graph, which [`verify`] accepts; its numbers stay exact unless `inexact`.
pub fn random_graph(u: &mut Unstructured<'_>, inexact: bool) -> arbitrary::Result<Graph> {
    let kinds = [
        ("n", DimKind::Free),
        ("d", DimKind::Free),
        ("p", DimKind::Fixed(2)),
        ("q", DimKind::Fixed(3)),
        ("m", DimKind::Free),
    ];
    let dims = kinds.map(|(name, kind)| Dim { name: name.to_owned(), kind });
    let mut graph = Graph { dims: dims.into_iter().collect(), ..Graph::new("random") };
    let types: [(DType, &[u32]); 8] = [
        (DType::F32, &[0, 1]),
        (DType::F32, &[1]),
        (DType::F32, &[0, 2]),
        (DType::I32, &[1, 3]),
        (DType::F32, &[]),
        (DType::F32, &[4, 0]),
        (DType::F32, &[0, 4, 1]),
        (DType::F64, &[4, 1]),
    ];
    for (i, (dtype, axes)) in types.into_iter().enumerate() {
        let dtype = if inexact && u.ratio(1, 3)? { storage(u, dtype)? } else { dtype };
        let axes: Vec<Vec<DimId>> = axes.iter().map(|&dim| vec![DimId::from_u32(dim)]).collect();
        graph.params.push(decl(format!("x{i}"), dtype, axes));
        graph.add(Op::Param(i as u32), dtype, act::diag::Span::NONE);
    }
    graph.folds = folds().clone();
    let mut maker = Maker { degree: vec![Some(1); graph.nodes.len()], graph, inexact };
    for param in 0..types.len() as u32 {
        maker.widen(NodeId::from_u32(param));
    }
    for _ in 0..u.int_in_range(3..=25)? {
        maker.node(u)?;
        if inexact && u.ratio(1, 6)? {
            maker.round(u)?;
        }
    }
    let mut graph = maker.graph;
    let last = graph.nodes.len() - 1;
    let results: Vec<NodeId> = graph.nodes.keys().rev().take(1 + last % 3).collect();
    for (i, mut id) in results.into_iter().enumerate() {
        if inexact && u.ratio(1, 3)? {
            let (from, to) = (graph.nodes[id].dtype, storage(u, graph.nodes[id].dtype)?);
            id = if from == to { id } else { graph.add(Op::Convert(id), to, act::diag::Span::NONE) };
        }
        let node = &graph.nodes[id];
        let axes = node.dims.iter().map(|dim| vec![dim]).collect();
        graph.results.push((decl(format!("y{i}"), node.dtype, axes), id));
    }
    Ok(graph)
}

/// Reductions of the text that random graphs may use: of integers, of one operand and of two, of f64.
fn folds() -> &'static PrimaryMap<FoldId, Fold> {
    static FOLDS: OnceLock<PrimaryMap<FoldId, Fold>> = OnceLock::new();
    let text = "
        reduction extent {
            empty = (lo = 2147483647, hi = -2147483648);
            lift(k) = (lo = k, hi = k);
            merge(a, b) = (lo = min(a.lo, b.lo), hi = max(a.hi, b.hi));
        }
        reduction ends {
            empty = (most = -inf, s = 0);
            lift(x) = (most = x, s = x);
            merge(a, b) = (most = max(a.most, b.most), s = a.s + b.s);
            step(a, x) = (most = max(a.most, x), s = a.s + x);
        }
        reduction weighted {
            empty = (s = 0, n = 0);
            lift(x, w) = (s = x * w, n = if w == 0 { 0 } else { 1 });
            merge(a, b) = (s = a.s + b.s, n = a.n + b.n);
        }
        kernel all(k: i32[n], x: f32[n], w: f32[n], z: f64[n]) -> (a: i32, b: f32, c: f32, d: f64) {
            (a = extent[n](k).lo, b = ends[n](x).s, c = weighted[n](x, w).s, d = ends[n](z).most)
        }";
    FOLDS.get_or_init(|| graphs("folds", text).remove(0).folds)
}

/// A dtype of memory for values of a dtype; that dtype itself where there is none.
fn storage(u: &mut Unstructured<'_>, dtype: DType) -> arbitrary::Result<DType> {
    Ok(match dtype {
        DType::F32 | DType::F64 => *u.choose(&[DType::F16, DType::BF16])?,
        DType::I32 => *u.choose(&[DType::I8, DType::U8])?,
        other => other,
    })
}

fn decl(name: String, dtype: DType, axes: Vec<Vec<DimId>>) -> Decl {
    let axes = (!axes.is_empty()).then_some(axes);
    Decl { name, dtype, axes, default: None, range: None, doc: String::new() }
}

impl Maker {
    /// A node of a dtype; only exact ones, if asked for.
    fn pick(&self, u: &mut Unstructured<'_>, dtype: DType, exact: bool) -> arbitrary::Result<Option<NodeId>> {
        let fits = |id: &NodeId| {
            self.graph.nodes[*id].dtype == dtype
                && (!exact || self.inexact || self.degree[id.as_u32() as usize].is_some())
        };
        let all: Vec<NodeId> = self.graph.nodes.keys().filter(fits).collect();
        if all.is_empty() { Ok(None) } else { Ok(Some(*u.choose(&all)?)) }
    }

    fn push(&mut self, op: Op, dtype: DType, dims: DimSet, degree: Option<u32>) {
        self.graph.add_with_dims(op, dtype, dims, act::diag::Span::NONE);
        self.degree.push(degree);
    }

    fn add(&mut self, op: Op, dtype: DType, degree: Option<u32>) {
        let dims = self.graph.natural_dims(&op);
        self.push(op, dtype, dims, degree);
    }

    fn degree_of(&self, args: &[NodeId], sum: bool) -> Option<u32> {
        let degrees = args.iter().map(|arg| self.degree[arg.as_u32() as usize]);
        degrees.reduce(|a, b| Some(if sum { a? + b? } else { a?.max(b?) })).flatten()
    }

    /// A value of a dtype of memory as one to compute with.
    fn widen(&mut self, id: NodeId) {
        let dtype = self.graph.nodes[id].dtype;
        if dtype.is_storage() {
            self.add(Op::Convert(id), dtype.arithmetic(), None);
        }
    }

    /// The last value, rounded to a dtype of memory.
    fn round(&mut self, u: &mut Unstructured<'_>) -> arbitrary::Result<()> {
        let last = NodeId::from_u32(self.graph.nodes.len() as u32 - 1);
        let (from, to) = (self.graph.nodes[last].dtype, storage(u, self.graph.nodes[last].dtype)?);
        if from != to && !from.is_storage() {
            self.add(Op::Convert(last), to, None);
            self.widen(NodeId::from_u32(last.as_u32() + 1));
        }
        Ok(())
    }

    /// A parameter at computed positions along some of its dimensions.
    fn gather(&mut self, u: &mut Unstructured<'_>) -> arbitrary::Result<()> {
        let params = self.graph.params.len() as u32;
        let leaf = NodeId::from_u32(u.int_in_range(0..=params - 1)?);
        let node = self.graph.nodes[leaf].clone();
        let (mut dims, mut args) = (Vec::new(), vec![leaf]);
        for dim in node.dims.iter() {
            if !u.ratio(2, 3)? {
                continue;
            }
            // Positions are often inside: along a dimension, or one of few numbers.
            if u.ratio(1, 2)? {
                let along = DimId::from_u32(u.int_in_range(0..=4)?);
                self.add(Op::Index(along), DType::I32, Some(1));
            }
            if let Some(index) = self.pick(u, DType::I32, true)? {
                dims.push(dim);
                args.push(index);
            }
        }
        if !dims.is_empty() {
            let degree = self.degree[leaf.as_u32() as usize];
            self.add(Op::Gather { dims, args }, node.dtype, degree);
        }
        Ok(())
    }

    /// Adds a node, or not, if what was drawn doesn't fit.
    fn node(&mut self, u: &mut Unstructured<'_>) -> arbitrary::Result<()> {
        let float = *u.choose(&[DType::F32, DType::F32, DType::F32, DType::F64])?;
        match u.int_in_range(0..=17)? {
            0 => {
                let value = *u.choose(&[0.0, -0.0, 1.0, -1.0, 2.0, 0.5, 3.0, -4.0])?;
                self.add(Op::Const(Constant::new(float, value)), float, Some(1));
            }
            1 | 2 => {
                let prim = *u.choose(&[Prim::Add, Prim::Sub, Prim::Max, Prim::Min, Prim::Add, Prim::Sub])?;
                let dtype = *u.choose(&[float, float, DType::I32])?;
                self.function(u, prim, dtype, &[dtype, dtype], dtype)?;
            }
            3 | 4 => self.product(u, float)?,
            5 => {
                let prim =
                    *u.choose(&[Prim::Neg, Prim::Abs, Prim::Floor, Prim::Round, Prim::Ceil, Prim::Trunc])?;
                self.function(u, prim, float, &[float], float)?;
            }
            6 => {
                let prims = [
                    Prim::Exp,
                    Prim::Exp2,
                    Prim::Log,
                    Prim::Tanh,
                    Prim::Erf,
                    Prim::Sqrt,
                    Prim::Sigmoid,
                    Prim::Cos,
                    Prim::Rsqrt,
                ];
                let prim = *u.choose(&prims)?;
                if let Some(a) = self.pick(u, float, true)? {
                    self.add(Op::Prim(prim, vec![a]), float, None);
                }
            }
            7 => {
                if let (Some(a), Some(b)) = (self.pick(u, float, false)?, self.pick(u, float, true)?) {
                    self.add(Op::Prim(Prim::Div, vec![a, b]), float, None);
                }
            }
            8 => {
                let prim = *u.choose(&[Prim::Eq, Prim::Ne, Prim::Lt, Prim::Ge])?;
                self.function(u, prim, DType::Bool, &[float, float], float)?;
            }
            9 => {
                let prim = *u.choose(&[Prim::And, Prim::Or])?;
                self.function(u, prim, DType::Bool, &[DType::Bool, DType::Bool], DType::Bool)?;
                self.function(u, Prim::Not, DType::Bool, &[DType::Bool], DType::Bool)?;
            }
            10 => self.function(u, Prim::Select, float, &[DType::Bool, float, float], float)?,
            11 | 12 if u.ratio(1, 4)? => self.scan(u)?,
            11 | 12 if u.ratio(1, 4)? => self.fold(u)?,
            11 | 12 => self.reduction(u)?,
            13 => self.fixed(u)?,
            15 | 16 => self.gather(u)?,
            14 => {
                let (from, to) = *u.choose(&[
                    (DType::I32, float),
                    (DType::Bool, float),
                    (float, DType::I32),
                    (DType::F32, DType::F64),
                    (DType::F64, DType::F32),
                ])?;
                self.function_of(u, &[from], |args| Op::Convert(args[0]), to)?;
            }
            _ => self.repeated(u)?,
        }
        Ok(())
    }

    fn function(
        &mut self,
        u: &mut Unstructured<'_>,
        prim: Prim,
        dtype: DType,
        types: &[DType],
        _of: DType,
    ) -> arbitrary::Result<()> {
        self.function_of(u, types, |args| Op::Prim(prim, args), dtype)
    }

    /// A function of exact operands that is exact.
    fn function_of(
        &mut self,
        u: &mut Unstructured<'_>,
        types: &[DType],
        op: impl FnOnce(Vec<NodeId>) -> Op,
        dtype: DType,
    ) -> arbitrary::Result<()> {
        let args = types
            .iter()
            .map(|&dtype| self.pick(u, dtype, true))
            .collect::<arbitrary::Result<Option<Vec<_>>>>()?;
        if let Some(args) = args {
            let degree = self.degree_of(&args, false);
            self.add(op(args), dtype, degree);
        }
        Ok(())
    }

    fn product(&mut self, u: &mut Unstructured<'_>, float: DType) -> arbitrary::Result<()> {
        let (Some(a), Some(b)) = (self.pick(u, float, false)?, self.pick(u, float, false)?) else {
            return Ok(());
        };
        let degree = self.degree_of(&[a, b], true);
        if self.inexact || degree.is_none_or(|degree| degree <= 3) {
            self.add(Op::Prim(Prim::Mul, vec![a, b]), float, degree);
        }
        Ok(())
    }

    fn reduction(&mut self, u: &mut Unstructured<'_>) -> arbitrary::Result<()> {
        let dtype = *u.choose(&[DType::F32, DType::F32, DType::I32, DType::F64])?;
        let Some(arg) = self.pick(u, dtype, true)? else { return Ok(()) };
        let dims: DimSet =
            self.graph.nodes[arg].dims.iter().filter(|_| u.arbitrary().unwrap_or(true)).collect();
        if !dims.is_empty() {
            let reduction = *u.choose(&[Reduction::Sum, Reduction::Max, Reduction::Min])?;
            let degree = self.degree_of(&[arg], false);
            self.add(Op::Reduce { reduction, args: vec![arg], dims }, dtype, degree);
        }
        Ok(())
    }

    /// A number of the state of a fold, of all elements or of those where a condition holds.
    fn fold(&mut self, u: &mut Unstructured<'_>) -> arbitrary::Result<()> {
        let ids: Vec<FoldId> = self.graph.folds.keys().collect();
        let fold = *u.choose(&ids)?;
        let dtypes: Vec<DType> = self.graph.folds[fold].operands().collect();
        let mut args = Vec::new();
        for dtype in dtypes {
            let Some(arg) = self.pick(u, dtype, true)? else { return Ok(()) };
            args.push(arg);
        }
        let degree = self.degree_of(&args, true);
        if !self.inexact && degree.is_none_or(|degree| degree > 3) {
            return Ok(());
        }
        if u.ratio(1, 3)? {
            args.extend(self.pick(u, DType::Bool, true)?);
        }
        let all = self.graph.operand_dims(&args);
        let dims: DimSet = all.iter().filter(|_| u.arbitrary().unwrap_or(true)).collect();
        if !dims.is_empty() {
            // As in texts: an operand that has some of the dimensions that are reduced has them all.
            for arg in &mut args {
                let (node, value) = (&self.graph.nodes[*arg], *arg);
                let own = node.dims.intersection(dims);
                if !own.is_empty() && own != dims {
                    let (dtype, all) = (node.dtype, node.dims.union(dims));
                    self.push(Op::Broadcast(value), dtype, all, degree);
                    *arg = self.graph.nodes.last().expect("just added").0;
                }
            }
            let state = u.int_in_range(0..=self.graph.folds[fold].empty.len() - 1)?;
            let dtype = self.graph.folds[fold].empty[state].dtype;
            self.add(Op::Fold { fold, state: state as u32, args, dims }, dtype, degree);
        }
        Ok(())
    }

    /// A scan, or a k-th largest along a dimension that is not unrolled.
    fn scan(&mut self, u: &mut Unstructured<'_>) -> arbitrary::Result<()> {
        let dtype = *u.choose(&[DType::F32, DType::F32, DType::I32, DType::F64])?;
        let Some(value) = self.pick(u, dtype, true)? else { return Ok(()) };
        let dims: Vec<DimId> = self.graph.nodes[value].dims.iter().collect();
        if dims.is_empty() {
            return Ok(());
        }
        let dim = *u.choose(&dims)?;
        let degree = self.degree_of(&[value], false);
        if self.graph.dims[dim].fixed().is_none() && u.ratio(1, 3)? {
            let k = Op::Const(Constant::new(DType::I32, f64::from(u.int_in_range(0..=5)?)));
            self.add(k, DType::I32, Some(1));
            let k = self.graph.nodes.last().expect("it was added").0;
            self.add(Op::KthLargest { args: [value, k], dim }, dtype, degree);
            return Ok(());
        }
        let reduction = *u.choose(&[Reduction::Sum, Reduction::Max])?;
        let scan = Scan { reduction, reverse: u.arbitrary()?, exclusive: u.arbitrary()? };
        self.add(Op::Scan { scan, value, dim }, dtype, degree);
        Ok(())
    }

    /// A slice or a stack.
    fn fixed(&mut self, u: &mut Unstructured<'_>) -> arbitrary::Result<()> {
        let dtype = *u.choose(&[DType::F32, DType::F32, DType::I32])?;
        let Some(value) = self.pick(u, dtype, false)? else { return Ok(()) };
        let dim = DimId::from_u32(u.int_in_range(2..=3)?);
        let size = dim.as_u32();
        if self.graph.nodes[value].dims.contains(dim) {
            let at = u.int_in_range(0..=size - 1)?;
            let degree = self.degree_of(&[value], false);
            self.add(Op::Slice { value, dim, at }, dtype, degree);
            return Ok(());
        }
        let mut values = vec![value];
        for _ in 1..size {
            values.extend(self.pick(u, dtype, false)?);
        }
        let free = values.iter().all(|&value| !self.graph.nodes[value].dims.contains(dim));
        if free && values.len() == size as usize {
            let degree = self.degree_of(&values, false);
            self.add(Op::Stack { dim, values }, dtype, degree);
        }
        Ok(())
    }

    /// An index, or a broadcast.
    fn repeated(&mut self, u: &mut Unstructured<'_>) -> arbitrary::Result<()> {
        let dim = DimId::from_u32(u.int_in_range(0..=4)?);
        if u.arbitrary()? {
            self.add(Op::Index(dim), DType::I32, Some(1));
            return Ok(());
        }
        let Some(value) = self.pick(u, DType::F32, false)? else { return Ok(()) };
        let dims = self.graph.nodes[value].dims;
        if !dims.contains(dim) {
            let degree = self.degree_of(&[value], false);
            self.push(Op::Broadcast(value), DType::F32, dims.with(dim), degree);
        }
        Ok(())
    }
}
