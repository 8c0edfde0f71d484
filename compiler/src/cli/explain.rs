//! `actc explain`: how a kernel is computed, in words.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::PathBuf;

use act::diag::{Sources, Span};
use act::directives::{Accuracy, Normalizer};
use act::emit::CompiledKernel;
use act::graph::regions::{Place, Region, RegionKind, Regions, Step};
use act::graph::{Decl, FoldId, Form, Graph, NodeId, Op};
use act::graph_passes;
use act::graph_passes::decompose::{self, Choice, Found};
use act::graph_passes::fuse::leaf;
use act::graph_passes::ranges::{Ranges, is_shifted_exp_sum};
use act::graph_passes::stabilise;
use act::loops::{BLOCK_STEPS, BufferKind, Func, Inst, LoopKind, Stmt, Verified};
use act::ops::{Class, Prim, Reduction};
use act::pipeline::{self, Observer, Stage};
use act::types::{DType, DimSet};
use act::{Options, Signature, schedule};
use act_runtime::SizeText;
use serde_json::{Value, json};

use super::inputs::{Sizes, binder};
use super::source::Text;
use super::{Compile, Failure, Outcome, Session, words};

/// What may be given to `actc explain`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  actc explain softmax.act
  actc explain softmax.act --shape ..=64,d=1024      with the bytes and the error bounds of that size")]
pub struct Args {
    /// A file of kernels; `-` is standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    compile: Compile,
    /// Sizes of dimensions, n=4,d=8
    #[arg(long, value_name = "SIZES")]
    shape: Option<Sizes>,
    /// One JSON object per kernel and line
    #[arg(long)]
    json: bool,
}

/// Explains every kernel of the file, or the one chosen.
pub fn run(args: &Args, session: &mut Session<'_>) -> Outcome {
    let text = Text::read(&args.file)?;
    let options = args.compile.options();
    for (index, graph) in text.graphs(&options, session)?.into_iter().enumerate() {
        let sizes =
            args.shape.as_ref().map(|sizes| bound(&pipeline::signature(&graph), sizes)).transpose()?;
        let stability = stability(&graph, &text.sources);
        let report = Report::new(graph, &options, sizes, stability)?;
        if args.json {
            writeln!(session.out, "{}", report.object())?;
        } else {
            let gap = if index == 0 { "" } else { "\n" };
            write!(session.out, "{gap}{}", report.text())?;
        }
    }
    Ok(())
}

/// The size of every dimension.
fn bound(signature: &Signature, sizes: &Sizes) -> Outcome<Vec<i64>> {
    let binder = binder(signature)?;
    let mut bind = binder.bind();
    for (name, size) in &sizes.dims {
        bind = bind.dim(name, *size);
    }
    if let Some(leading) = &sizes.leading {
        bind = bind.leading(leading);
    }
    match bind.shapes() {
        Ok(shapes) => Ok(shapes.dims),
        Err(act_runtime::Error::Unbound { dims }) => {
            let verb = if dims.len() == 1 { "is" } else { "are" };
            Err(Failure::Message(format!("--shape must give all sizes; {} {verb} missing", dims.join(", "))))
        }
        Err(error) => Err(error.into()),
    }
}

/// What is done about overflow, with the text that it is done to, and where nothing could be done.
fn stability(graph: &Graph, sources: &Sources) -> Vec<String> {
    let place = |span: Span| {
        let text = sources.snippet(span).split_whitespace().collect::<Vec<_>>().join(" ");
        match sources.locate(span) {
            Some(place) => format!("{}:{}: `{text}`", place.file, place.line),
            None => "the kernel".to_owned(),
        }
    };
    let report = stabilise::report(graph);
    let made = report.rewrites.iter().map(|rewrite| format!("{}: {}", place(rewrite.span), rewrite.what));
    let doubts = report.doubts.iter().map(|doubt| format!("{}: not safe: {}", place(doubt.span), doubt.why));
    let mut out: Vec<String> = made.collect();
    out.dedup();
    out.extend(doubts);
    out
}

/// Collects what the stages make.
#[derive(Default)]
struct Story {
    last: String,
    changes: Vec<(&'static str, usize, usize)>,
    graph: Option<Graph>,
    numeric: Option<Func>,
}

impl Observer for Story {
    fn stage(&mut self, stage: Stage, _kernel: &str, text: &dyn Display) {
        if stage == Stage::Graph {
            self.last = text.to_string();
        }
    }

    fn pass(&mut self, name: &'static str, _kernel: &str, text: &dyn Display) {
        if self.graph.is_some() {
            return;
        }
        let text = text.to_string();
        if text != self.last {
            self.changes.push((name, nodes(&self.last), nodes(&text)));
            self.last = text;
        }
    }

    fn graph(&mut self, graph: &Graph) {
        self.graph = Some(graph.clone());
    }

    fn funcs(&mut self, numeric: &Func, _layout: &Verified) {
        self.numeric = Some(numeric.clone());
    }
}

/// How many nodes a graph's text has, besides its parameters.
fn nodes(text: &str) -> usize {
    text.lines().filter(|line| line.starts_with("  %")).count()
}

/// All that is said about a kernel.
struct Report {
    signature: Signature,
    graph: Graph,
    /// How maxima and means with what they shift are computed, and why.
    normalizers: Vec<String>,
    regions: Regions,
    schedule: String,
    changes: Vec<(&'static str, usize, usize)>,
    passes: Vec<Pass>,
    operations: Vec<Operations>,
    /// The code, or why there is none.
    code: Result<CompiledKernel, String>,
    frame: i64,
    sizes: Option<Vec<i64>>,
    /// What was made safe, and what could not be.
    stability: Vec<String>,
}

/// One region's reads and writes of arrays.
struct Pass {
    region: usize,
    reads: Vec<String>,
    writes: Vec<String>,
    /// Bytes for each element of the arrays that have all dimensions.
    bytes: usize,
}

/// What an innermost loop does for one element.
#[derive(Default)]
struct Operations {
    loads: usize,
    stores: usize,
    functions: BTreeMap<&'static str, usize>,
}

impl Report {
    fn new(
        graph: Graph,
        options: &Options,
        sizes: Option<Vec<i64>>,
        stability: Vec<String>,
    ) -> Outcome<Report> {
        let signature = pipeline::signature(&graph);
        let asked: Vec<String> = graph.directives.texts().collect();
        let options = &options.with(&graph.directives);
        let mut story = Story::default();
        let code = pipeline::compile_graph(graph, options, &mut story).map_err(|error| error.to_string());
        let (Some(graph), Some(numeric)) = (story.graph, story.numeric) else {
            return Err(Failure::Message(code.err().unwrap_or_default()));
        };
        let found = Found::of(&graph);
        let choice = decompose::choose(&graph, &found, options.normalizer, options.long_row);
        let normalizers = normalizers(&graph, &found, &choice, options);
        let (graph, regions) = pipeline::first_form(graph, options);
        let plan = schedule::plan(&graph, &regions, &options.layout_target());
        let mut schedule = plan.display(&graph, &regions).to_string();
        if !asked.is_empty() {
            schedule.push_str(&format!("  asked for in the text: {}\n", asked.join(", ")));
        }
        if options.accuracy == Accuracy::Strict {
            schedule.push_str(
                "  accuracy strict: functions of single places are computed in f64 and rounded once\n",
            );
        }
        let mut operations = Vec::new();
        numeric.phases.iter().for_each(|phase| innermost(&phase.body, &mut operations));
        let locals = numeric.buffers.values().filter(|buffer| buffer.kind == BufferKind::Local);
        let frame = locals.map(|buffer| {
            let elements = buffer.axes.iter().filter_map(|axis| axis.eval(&[])).product::<i64>();
            elements * i64::from(buffer.elem.bytes())
        });
        Ok(Report {
            passes: memory_passes(&graph, &regions),
            frame: frame.sum(),
            signature,
            graph,
            normalizers,
            regions,
            schedule,
            changes: story.changes,
            operations,
            code,
            sizes,
            stability,
        })
    }

    fn text(&self) -> String {
        let mut out = format!("{}\n", words::heading(&self.signature));
        lines(&mut out, self.signature.doc.lines());
        section(&mut out, "Dimensions", words::dims(&self.signature));
        let described = self.signature.params.iter().chain(&self.signature.results);
        let described = described.filter(|param| !param.doc.is_empty());
        let described = described.map(|param| format!("{}: {}", param.name, param.doc.replace('\n', " ")));
        section(&mut out, "Parameters and results", described);
        section(&mut out, "Rewrites", self.rewrites());
        section(&mut out, "Stability", self.stability.iter().cloned());
        section(&mut out, "Normalisers", self.normalizers.clone());
        section(&mut out, "Loop nests", self.loop_nests());
        section(&mut out, "Passes over memory", self.memory());
        let operations = self.operations.iter().enumerate();
        let operations = operations.map(|(index, loop_)| format!("loop {index}: {}", loop_.text()));
        section(&mut out, "Operations for each element, by innermost loop", operations);
        section(&mut out, "Ranges proven", self.ranges());
        section(&mut out, "Accuracy", self.accuracy());
        section(&mut out, "Schedule", self.schedule.lines().skip(1).map(|line| line.trim().to_owned()));
        section(&mut out, "Code", self.code_lines());
        out
    }

    fn object(&self) -> Value {
        let changes = self.changes.iter().map(
            |(name, before, after)| json!({ "pass": name, "nodes_before": before, "nodes_after": after }),
        );
        let passes = self.passes.iter().map(
            |pass| json!({ "region": pass.region, "reads": pass.reads, "writes": pass.writes, "bytes": pass.bytes }),
        );
        let operations = self.operations.iter().map(|loop_| {
            json!({
                "loads": loop_.loads, "stores": loop_.stores, "functions": loop_.functions,
                "total": loop_.total(),
            })
        });
        let bytes = self.code.as_ref().ok().map(code_bytes);
        json!({
            "kernel": self.signature.name,
            "signature": words::heading(&self.signature),
            "rewrites": changes.collect::<Vec<_>>(),
            "stability": self.stability,
            "normalizers": self.normalizers,
            "notes": self.regions.notes,
            "passes": passes.collect::<Vec<_>>(),
            "bytes_per_element": self.moved(),
            "least_bytes_per_element": self.least(),
            "loops": operations.collect::<Vec<_>>(),
            "ranges": self.ranges(),
            "accuracy": self.accuracy(),
            "schedule": self.schedule,
            "code_bytes": bytes,
            "frame_bytes": self.frame,
        })
    }

    fn rewrites(&self) -> Vec<String> {
        let line = |(name, before, after): &(&str, usize, usize)| {
            let doc = graph_passes::find(name).map_or("", |pass| pass.doc);
            let count =
                if before == after { format!("{after} nodes") } else { format!("{before} -> {after} nodes") };
            format!("{name}: {count}. {doc}")
        };
        match self.changes.is_empty() {
            true => vec!["none: the graph is computed as written".to_owned()],
            false => self.changes.iter().map(line).collect(),
        }
    }

    fn loop_nests(&self) -> Vec<String> {
        let text = self.regions.display(&self.graph).to_string();
        text.lines().skip(1).map(|line| line.strip_prefix("  ").unwrap_or(line).to_owned()).collect()
    }

    /// Bytes moved for each element.
    fn moved(&self) -> usize {
        self.passes.iter().map(|pass| pass.bytes).sum()
    }

    /// Bytes that must be moved: every input read once, every result written once.
    fn least(&self) -> usize {
        let full = full_dims(&self.graph);
        arrays(&self.graph)
            .filter(|decl| is_full(&self.graph, decl, full))
            .map(|decl| decl.dtype.bytes())
            .sum()
    }

    fn memory(&self) -> Vec<String> {
        let list = |names: &[String]| names.join(", ");
        let mut out: Vec<String> = Vec::new();
        for pass in &self.passes {
            let mut parts = Vec::new();
            if !pass.reads.is_empty() {
                parts.push(format!("reads {}", list(&pass.reads)));
            }
            if !pass.writes.is_empty() {
                parts.push(format!("writes {}", list(&pass.writes)));
            }
            out.push(format!("region{}: {}", pass.region, parts.join(", ")));
        }
        let names = full_names(&self.graph);
        out.push(format!(
            "{} bytes for each element of {}; the least possible is {}",
            self.moved(),
            names.join(", "),
            self.least()
        ));
        if self.moved() > self.least() && !self.regions.parallel.is_empty() && !self.regions.lanes {
            out.push(
                "what is left of a place of the parallel loop is read again from the cache, if it fits there"
                    .to_owned(),
            );
        }
        if let Some(sizes) = &self.sizes {
            let count =
                |decl: &Decl| decl.dim_list().map(|dim| sizes[dim.as_u32() as usize]).product::<i64>();
            let bytes = arrays(&self.graph).map(|decl| count(decl) * decl.dtype.bytes() as i64).sum::<i64>();
            out.push(format!("at this size all arrays together have {bytes} bytes"));
        }
        out
    }

    /// Nodes of which more is known than their dtype says.
    fn ranges(&self) -> Vec<String> {
        let text = Ranges::new(&self.graph).print(&self.graph);
        let mut out = Vec::new();
        let mut node = "";
        for line in text.lines().map(str::trim) {
            let Some(note) = line.strip_prefix("# ") else {
                node = line;
                continue;
            };
            let trivial = ["const ", "index ", "size "].iter().any(|op| node.contains(&format!("= {op}")));
            if let (false, Some((_, range))) = (trivial, note.split_once(": ")) {
                out.push(format!("{node}   {range}"));
            }
        }
        out
    }

    fn accuracy(&self) -> Vec<String> {
        let mut out = vec!["+ - * / sqrt fma and conversions: correctly rounded".to_owned()];
        let mut names: Vec<&str> = Vec::new();
        let parts = self.graph.folds.values().flat_map(|fold| fold.parts());
        let nodes = parts.flat_map(|(_, part)| part.nodes.values());
        for node in self.graph.nodes.values().chain(nodes) {
            if let Op::Prim(prim, _) = node.op
                && prim.class() == Class::Expanded
                && !names.contains(&prim.name())
            {
                names.push(prim.name());
            }
        }
        if !names.is_empty() {
            out.push(format!("{}: at most 2 ulp", names.join(", ")));
        }
        if names.contains(&Prim::ExpNonpos.name()) {
            out.push("where exp_nonpos is below the smallest normal number it is 0".to_owned());
        }
        for (id, node) in &self.graph.nodes {
            if let Op::Fold { fold, state, args, dims } = &node.op {
                out.push(self.fold(id, (*fold, *state), args, *dims));
            }
            if let Op::Reduce { reduction: Reduction::Sum, args, dims } = &node.op
                && node.dtype.is_float()
            {
                out.push(self.sum(id, args, *dims, node.dtype));
                if is_shifted_exp_sum(&self.graph, &node.op) {
                    let unit = unit(node.dtype);
                    out.push(format!(
                        "exp(u - max u) / {id}, a softmax of u: at most (S + 6 + |u - max u|) {unit} of itself"
                    ));
                }
            }
        }
        out
    }

    /// How often the parts of a reduction of the text are applied.
    fn fold(&self, id: NodeId, (fold, state): (FoldId, u32), args: &[NodeId], dims: DimSet) -> String {
        let fold = &self.graph.folds[fold];
        let names = dims.iter().map(|dim| self.graph.dims[dim].name.as_str()).collect::<Vec<_>>().join(", ");
        let steps = match (self.graph.form(args, dims), fold.is_wide()) {
            (Form::Column, _) => "n",
            (Form::Row, true) => "ceil(n / 16)",
            (Form::Row, false) => "ceil(n / 32)",
        };
        format!(
            "{id}, `{}` of `{}` over [{names}]: with n elements, one goes through at most min({steps}, {BLOCK_STEPS}) steps and ceil(log2 n) merges, each rounded as its operations are",
            fold.state_name(state as usize),
            fold.name
        )
    }

    /// The bound of a sum.
    fn sum(&self, id: NodeId, args: &[NodeId], dims: DimSet, dtype: DType) -> String {
        let names = dims.iter().map(|dim| self.graph.dims[dim].name.as_str()).collect::<Vec<_>>().join(", ");
        let unit = unit(dtype);
        let lanes = match self.graph.form(args, dims) {
            Form::Row => i64::from(Reduction::Sum.lanes()) * 4 / dtype.bytes() as i64,
            Form::Column => 1,
        };
        let steps = if lanes == 1 { "n".to_owned() } else { format!("ceil(n / {lanes})") };
        let at = self.sizes.as_ref().map(|sizes| {
            let n = dims.iter().map(|dim| sizes[dim.as_u32() as usize]).product::<i64>().max(1);
            let bound = (n + lanes - 1) / lanes;
            let s = bound.min(BLOCK_STEPS) + i64::from(u64::BITS - (n as u64 - 1).leading_zeros());
            format!(" (here S = {s})")
        });
        format!(
            "{id}, the sum over [{names}]: with n terms and S = min({steps}, {BLOCK_STEPS}) + ceil(log2 n){}, the error is at most (S + 2) {unit} times the sum of the terms' sizes",
            at.unwrap_or_default()
        )
    }

    fn code_lines(&self) -> Vec<String> {
        let code = match &self.code {
            Ok(code) => code,
            Err(why) => return vec![format!("none: {why}")],
        };
        let dims = &self.signature.dims;
        let mut out = vec![format!("{} bytes, with the constants", code_bytes(code))];
        out.push(format!("{} bytes of arrays on the stack", self.frame));
        for variant in &code.variants {
            for (index, phase) in variant.variant.phases.iter().enumerate() {
                let extent = SizeText { size: &phase.extent, dims };
                let scratch = SizeText { size: &phase.scratch, dims };
                out.push(format!(
                    "phase {index}: {extent} units, split over threads at multiples of {}; {scratch} bytes of scratch memory",
                    phase.grain
                ));
            }
        }
        out
    }
}

/// How what can be decomposed is computed.
fn normalizers(graph: &Graph, found: &Found, choice: &Choice, options: &Options) -> Vec<String> {
    if found.is_empty() {
        return Vec::new();
    }
    let names =
        |dims: DimSet| dims.iter().map(|dim| graph.dims[dim].name.as_str()).collect::<Vec<_>>().join(", ");
    let over = |node: NodeId| graph.nodes[node].op.runs_over().map_or(DimSet::EMPTY, |(_, dims)| dims);
    let shifted = found.shifted.iter().map(|&max| {
        format!("{max}, a maximum over [{}], with sums of exponentials that it shifts", names(over(max)))
    });
    let moments = found.moments.iter().map(|&sum| {
        format!("{sum}, a sum over [{}], with squared distances from its mean", names(over(sum)))
    });
    let way = |way: Normalizer| way.row().map_or(String::new(), |row| format!("{}: {}", way.name(), row.doc));
    let asked = if options.normalizer == Normalizer::Auto { "for this size" } else { "as asked for" };
    let mut out: Vec<String> = shifted.chain(moments).collect();
    match choice {
        Choice::One(one) => out.push(format!("{}, {asked}", way(*one))),
        Choice::BySize(short, long, (_, most)) => {
            let dims = names(found.dims);
            out.push(format!("where [{dims}] has at most {most} elements, {}", way(*short)));
            out.push(format!("where it has more, {}", way(*long)));
        }
    }
    if !found.moments.is_empty() {
        out.push("reload and recompute look twice at what a mean is taken of, the others once".to_owned());
    }
    out
}

/// Half a unit in the last place of 1.
fn unit(dtype: DType) -> &'static str {
    if dtype == DType::F64 { "2^-53" } else { "2^-24" }
}

fn code_bytes(code: &CompiledKernel) -> usize {
    code.variants.iter().flat_map(|variant| &variant.functions).map(|function| function.bytes.len()).sum()
}

fn section(out: &mut String, heading: &str, body: impl IntoIterator<Item = String>) {
    let body: Vec<String> = body.into_iter().collect();
    if !body.is_empty() {
        out.push_str(&format!("\n{heading}\n"));
        lines(out, body.iter().map(String::as_str));
    }
}

fn lines<'a>(out: &mut String, lines: impl Iterator<Item = &'a str>) {
    for line in lines {
        out.push_str(&format!("  {line}\n"));
    }
}

// ---- memory ----

/// Arrays of the caller.
fn arrays(graph: &Graph) -> impl Iterator<Item = &Decl> {
    let all = graph.params.iter().chain(graph.results.iter().map(|(decl, _)| decl));
    all.filter(|decl| decl.axes.is_some())
}

/// The dimensions of a declaration whose size is not fixed.
fn open_dims(graph: &Graph, decl: &Decl) -> DimSet {
    decl.dim_list().filter(|&dim| graph.dims[dim].fixed().is_none()).collect()
}

/// The dimensions of the arrays with the most of them.
fn full_dims(graph: &Graph) -> DimSet {
    let dims = arrays(graph).map(|decl| open_dims(graph, decl));
    dims.fold(DimSet::EMPTY, |most, dims| if dims.len() > most.len() { dims } else { most })
}

fn is_full(graph: &Graph, decl: &Decl, full: DimSet) -> bool {
    open_dims(graph, decl) == full
}

fn full_names(graph: &Graph) -> Vec<String> {
    let full = full_dims(graph);
    arrays(graph).filter(|decl| is_full(graph, decl, full)).map(|decl| decl.name.clone()).collect()
}

/// What each region reads and writes.
fn memory_passes(graph: &Graph, regions: &Regions) -> Vec<Pass> {
    let full = full_dims(graph);
    let mut kept: BTreeMap<NodeId, Place> = BTreeMap::new();
    let mut passes: Vec<Pass> = Vec::new();
    // What is the same all over a place stays in registers.
    let mut values: Vec<NodeId> = Vec::new();
    // What values take is told with the region that follows them.
    let mut read_by_values: Vec<NodeId> = Vec::new();
    let mut steps = Step::flat(&regions.prologue);
    steps.extend(Step::flat(&regions.body));
    for step in steps {
        let step = match step {
            Step::Repeat(repeat) => {
                for state in &repeat.states {
                    let nodes = state.ends.iter().chain([&state.carry]);
                    if state.array {
                        kept.extend(nodes.map(|&node| (node, Place::State(state.carry))));
                    } else {
                        values.extend(nodes);
                    }
                }
                continue;
            }
            Step::Region(region) => region,
            Step::Values(nodes) => {
                values.extend(nodes);
                read_by_values
                    .extend(nodes.iter().flat_map(|&node| graph.nodes[node].op.args().iter().copied()));
                continue;
            }
        };
        let region = passes.len();
        let mut pass = Pass { region, reads: Vec::new(), writes: Vec::new(), bytes: 0 };
        let mut read = |name: &str, bytes: usize| {
            if !pass.reads.iter().any(|known| known == name) {
                pass.reads.push(name.to_owned());
                pass.bytes += bytes;
            }
        };
        let early = std::mem::take(&mut read_by_values);
        for node in early.iter().copied().chain(uses(graph, step)) {
            let size = |decl: &Decl| if is_full(graph, decl, full) { decl.dtype.bytes() } else { 0 };
            if step.nodes.contains(&node) || values.contains(&node) {
                continue;
            }
            if let Some(place) = kept.get(&node) {
                let (name, bytes) = place_of(graph, node, *place, full);
                read(&name, bytes);
            } else if let Some(leaf) = leaf(graph, node) {
                let decl = &graph.params[leaf.param as usize];
                if decl.axes.is_some() {
                    read(&decl.name, size(decl));
                }
            }
        }
        for &(node, place) in &step.keeps {
            let (name, bytes) = place_of(graph, node, place, full);
            pass.writes.push(name);
            pass.bytes += bytes;
            kept.insert(node, place);
        }
        passes.push(pass);
    }
    passes
}

/// What a region takes from outside or from itself.
fn uses(graph: &Graph, region: &Region) -> Vec<NodeId> {
    let reduces = match &region.kind {
        RegionKind::Reduce { reduces, .. } => reduces.as_slice(),
        RegionKind::Scan { node, .. } => std::slice::from_ref(node),
        RegionKind::Map => &[],
    };
    let nodes = region.nodes.iter().chain(reduces);
    let args = nodes.flat_map(|&node| graph.nodes[node].op.args().iter().copied());
    args.chain(region.keeps.iter().map(|&(node, _)| node)).collect()
}

/// The name of a place, and its bytes for each element.
fn place_of(graph: &Graph, node: NodeId, place: Place, full: DimSet) -> (String, usize) {
    match place {
        Place::Result(index) | Place::Borrow(index) => {
            let (decl, _) = &graph.results[index];
            let bytes = if is_full(graph, decl, full) { decl.dtype.bytes() } else { 0 };
            (decl.name.clone(), bytes)
        }
        Place::Scratch => (format!("{node} in scratch memory"), graph.nodes[node].dtype.bytes()),
        Place::State(carry) => (format!("the state {carry} of a loop"), graph.nodes[node].dtype.bytes()),
        Place::Packed(_) => (format!("a copy of {node}"), graph.nodes[node].dtype.bytes()),
    }
}

// ---- operations ----

/// The innermost loops over lanes.
fn innermost(stmts: &[Stmt], found: &mut Vec<Operations>) {
    for stmt in stmts {
        if let Stmt::For(node) = stmt
            && node.kind != LoopKind::Seq
            && !has_loop(&node.body.stmts)
        {
            let mut operations = Operations::default();
            operations.count(&node.body.stmts);
            found.push(operations);
            continue;
        }
        stmt.bodies().into_iter().for_each(|body| innermost(body, found));
    }
}

fn has_loop(stmts: &[Stmt]) -> bool {
    stmts
        .iter()
        .any(|stmt| matches!(stmt, Stmt::For(_)) || stmt.bodies().into_iter().any(|body| has_loop(body)))
}

impl Operations {
    fn count(&mut self, stmts: &[Stmt]) {
        for stmt in stmts {
            match stmt {
                Stmt::Let(_, Inst::Prim(prim, _)) => *self.functions.entry(prim.name()).or_default() += 1,
                Stmt::Let(_, Inst::Convert(_)) => *self.functions.entry("convert").or_default() += 1,
                Stmt::Let(_, Inst::Load(_) | Inst::Gather(_)) => self.loads += 1,
                Stmt::Store(..) => self.stores += 1,
                Stmt::Let(..) | Stmt::For(_) | Stmt::If(_) | Stmt::Reduce(_) => {}
            }
            stmt.bodies().into_iter().for_each(|body| self.count(body));
        }
    }

    fn total(&self) -> usize {
        self.functions.values().sum()
    }

    fn text(&self) -> String {
        let functions = self.functions.iter().map(|(name, count)| format!("{count} {name}"));
        let functions: Vec<String> = functions.collect();
        let functions =
            if functions.is_empty() { String::new() } else { format!(" ({})", functions.join(", ")) };
        let count = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
        format!(
            "{}{functions}, {}, {}",
            count(self.total(), "operation"),
            count(self.loads, "load"),
            count(self.stores, "store")
        )
    }
}
