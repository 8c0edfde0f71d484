//! The order of the compiler: from source text to machine code, one call after another.
//!
//! Uses every stage; no stage uses it. What a stage makes is shown to an [`Observer`] as text, which is the one seam for `actc
//! dump`, for timing and for the snapshot tests.

use std::fmt::Display;

use act_runtime::abi::{DType, DimDecl, ParamDecl, ParamKind, Signature};

use crate::backend::{self, BackendError, Code, Engine, MachineCode};
use crate::diag::{Diagnostic, Diagnostics, FileId, Sources, codes};
use crate::directives::{Accuracy, Directives, Normalizer};
use crate::emit::{self, CompiledKernel, Later, Split};
use crate::graph::{Decl, Graph, regions};
use crate::graph_passes::decompose::{self, Choice, Found};
use crate::graph_passes::fuse_again;
use crate::loops::{self, Func, Verified};
use crate::sema;
use crate::target::Target;
use crate::types::DimSet;
use crate::{graph, graph_passes, loop_passes, lower, schedule, syntax};

/// What may be chosen from outside.
#[derive(Clone, Debug)]
pub struct Options {
    /// The machine to compile for.
    pub target: Target,
    /// Sizes of dimension parameters, instead of their defaults.
    pub dims: Vec<(String, i64)>,
    /// The dtypes of dtype parameters, instead of their defaults.
    pub dtypes: Vec<(String, DType)>,
    /// Only the kernel of that name.
    pub kernel: Option<String>,
    /// Which back end makes the code.
    pub engine: Engine,
    /// How many threads a call may use.
    pub threads: usize,
    /// How maxima and the sums of exponentials that they shift are computed.
    pub normalizer: Normalizer,
    /// How accurate functions of single places are.
    pub accuracy: Accuracy,
    /// Elements of a row above which [`Normalizer::Auto`] looks at it as seldom as possible.
    pub long_row: i64,
    /// Verify the IR after every pass. Always on in debug builds.
    pub verify: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            target: Target::host(),
            dims: Vec::new(),
            dtypes: Vec::new(),
            kernel: None,
            engine: Engine::Auto,
            threads: 1,
            normalizer: Normalizer::Auto,
            accuracy: Accuracy::Default,
            long_row: decompose::LONG,
            verify: cfg!(debug_assertions),
        }
    }
}

impl Options {
    /// The machine as the schedule sees it: with the vectors of the back end that is tried first.
    pub fn layout_target(&self) -> Target {
        machine(self, self.engine.attempts(&self.target)[0])
    }

    /// The options for a kernel whose `schedule` asks for something: what is chosen here counts more.
    pub fn with(&self, directives: &Directives) -> Options {
        let mut options = self.clone();
        if let (Normalizer::Auto, Some(asked)) = (self.normalizer, directives.normalizer) {
            options.normalizer = asked.value;
        }
        if let (Accuracy::Default, Some(asked)) = (self.accuracy, directives.accuracy) {
            options.accuracy = asked.value;
        }
        options
    }
}

/// A stage whose outcome can be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stage {
    /// The syntax tree.
    Ast,
    /// The graph as `sema` made it.
    Graph,
    /// What the graph's values are made of, before exponentials are shifted.
    Scale,
    /// The graph after its passes.
    Optimized,
    /// Between which numbers its values lie then.
    Ranges,
    /// The loop nests.
    Regions,
    /// How the loop nests are run.
    Schedule,
    /// The loop IR as lowered.
    Lowered,
    /// The loop IR after the numeric passes.
    Numeric,
    /// The loop IR after all passes.
    Loops,
    /// Cranelift's IR, where that back end makes the code.
    Clif,
    /// The wide back end's instructions, where that makes the code.
    Vcode,
    /// Machine code.
    Asm,
}

impl Stage {
    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Stage::Ast => "ast",
            Stage::Graph => "graph",
            Stage::Scale => "scale",
            Stage::Optimized => "optimized",
            Stage::Ranges => "ranges",
            Stage::Regions => "regions",
            Stage::Schedule => "schedule",
            Stage::Lowered => "lowered",
            Stage::Numeric => "numeric",
            Stage::Loops => "loops",
            Stage::Clif => "clif",
            Stage::Vcode => "vcode",
            Stage::Asm => "asm",
        }
    }
}

/// Is shown what the stages make. The texts are only made if they are asked for (by `to_string`).
pub trait Observer {
    /// A stage is done. `kernel` is empty for the stages of a whole file.
    fn stage(&mut self, stage: Stage, kernel: &str, text: &dyn Display) {
        let _ = (stage, kernel, text);
    }

    /// A pass over one of the IRs is done.
    fn pass(&mut self, name: &'static str, kernel: &str, text: &dyn Display) {
        let _ = (name, kernel, text);
    }

    /// The graph of a kernel, after its passes.
    fn graph(&mut self, graph: &Graph) {
        let _ = graph;
    }

    /// The loop IR of a kernel before the layout passes and after them.
    fn funcs(&mut self, numeric: &Func, layout: &Verified) {
        let _ = (numeric, layout);
    }
}

/// Looks at nothing.
pub struct Blind;

impl Observer for Blind {}

/// Why a text does not become code.
#[derive(Debug)]
pub enum CompileError {
    /// Mistakes in the text.
    Text(Diagnostics),
    /// The target can't be served.
    Target(BackendError),
}

impl From<Diagnostics> for CompileError {
    fn from(diagnostics: Diagnostics) -> CompileError {
        CompileError::Text(diagnostics)
    }
}

impl From<BackendError> for CompileError {
    fn from(error: BackendError) -> CompileError {
        CompileError::Target(error)
    }
}

/// Parses and checks a file with those it uses, which [`syntax::uses::load`] has put into `sources`: its kernels as graphs, and what there is to warn of.
pub fn front(
    sources: &Sources,
    file: FileId,
    options: &Options,
    watch: &mut dyn Observer,
) -> Result<sema::Lowered, Diagnostics> {
    let text = sources.get(file).map_or("", |source| source.text.as_str());
    let mut tree = syntax::parse(text, file)?;
    watch.stage(Stage::Ast, "", &Lazy(|| syntax::ast::dump(&tree)));
    syntax::uses::gather(&mut tree, file, sources)?;
    let chosen = sema::Options { dims: options.dims.clone(), dtypes: options.dtypes.clone() };
    let lowered = match &options.kernel {
        Some(name) => sema::lower_kernel(&tree, sources, name, &chosen),
        None => sema::lower(&tree, sources, &chosen),
    }?;
    let mut unmet = Diagnostics::new();
    for graph in &lowered.graphs {
        check_directives(graph, options, &mut unmet);
    }
    if unmet.has_errors() { Err(unmet) } else { Ok(lowered) }
}

/// Says what a `schedule` asks for and the kernel, as `sema` made it, can't be given.
fn check_directives(graph: &Graph, options: &Options, unmet: &mut Diagnostics) {
    let asked = graph.directives.normalizer.filter(|asked| asked.value != Normalizer::Auto);
    let Some(asked) = asked else { return };
    let mut graph = graph.clone();
    let options = options.with(&graph.directives);
    optimize(&mut graph, &options, &mut Blind);
    if Found::of(&graph).is_empty() {
        let message = format!("nothing in `{}` can be computed in this way", graph.name);
        let error = Diagnostic::error(codes::UNMET, asked.span, message)
            .with_note(
                "`normalizer` speaks of a maximum and the sums of exponentials that it shifts, as in a softmax, \
                 and of a mean and its squares, along dimensions that are not unrolled",
            )
            .with_help("take the directive out");
        unmet.push(error);
    }
}

/// The examples of a file; its items are checked, its kernels are not lowered.
pub fn examples(sources: &Sources, file: FileId) -> Result<Vec<sema::Example>, Diagnostics> {
    let text = sources.get(file).map_or("", |source| source.text.as_str());
    let mut tree = syntax::parse(text, file)?;
    syntax::uses::gather(&mut tree, file, sources)?;
    Ok(sema::lower_examples(&tree, sources)?.examples)
}

/// Compiles every kernel of a file. The order of the compiler is the order of this function and of [`compile_graph`].
pub fn compile(
    sources: &Sources,
    file: FileId,
    options: &Options,
    watch: &mut dyn Observer,
) -> Result<(Vec<CompiledKernel>, Diagnostics), CompileError> {
    let lowered = front(sources, file, options, watch)?;
    let mut kernels = Vec::new();
    for graph in lowered.graphs {
        kernels.push(compile_graph(graph, options, watch)?);
    }
    Ok((kernels, lowered.warnings))
}

/// Compiles one kernel.
pub fn compile_graph(
    mut graph: Graph,
    options: &Options,
    watch: &mut dyn Observer,
) -> Result<CompiledKernel, BackendError> {
    let signature = signature(&graph);
    let options = &options.with(&graph.directives);
    let most_threads = graph.directives.threads.map(|asked| asked.value);
    let kernel = graph.name.clone();
    watch.stage(Stage::Graph, &kernel, &graph);
    check_graph(options, "sema", &graph);
    optimize(&mut graph, options, watch);
    watch.stage(Stage::Optimized, &kernel, &graph);
    watch.stage(Stage::Ranges, &kernel, &Lazy(|| graph_passes::ranges::Ranges::new(&graph).print(&graph)));
    watch.graph(&graph);

    let found = Found::of(&graph);
    let compiled = match decompose::choose(&graph, &found, options.normalizer, options.long_row) {
        Choice::One(normalizer) => {
            let graph = decomposed(graph, normalizer, None, options, watch);
            form(&signature, graph, normalizer, options, watch)
        }
        Choice::BySize(short, long, guard) => {
            let over = Some(found.dims);
            let later = decomposed(graph.clone(), long, over, options, &mut Blind);
            let in_place = fuse_again(&later, &decompose::again(&later, long)).in_place;
            let graph = decomposed(graph, short, over, options, watch);
            let first = form(&signature, graph, short, options, watch)?;
            let CompiledKernel { variants, split, .. } = first;
            let mut code = variants.into_iter().next().expect("a form has one variant");
            code.variant.guard = Some(guard);
            code.variant.in_place.retain(|pair| in_place.contains(pair));
            let own = (signature.clone(), options.clone());
            let later = Later::new(move || form(&own.0, later.clone(), long, &own.1, &mut Blind));
            Ok(CompiledKernel { split, ..CompiledKernel::open(signature, code, later) })
        }
    }?;
    Ok(CompiledKernel { most_threads, ..compiled })
}

/// The passes before it is decided how normalisers are computed.
fn optimize(graph: &mut Graph, options: &Options, watch: &mut dyn Observer) {
    if options.accuracy == Accuracy::Strict {
        graph_passes::strict::run(graph);
        check_graph(options, "strict", graph);
        watch.pass("strict", &graph.name, graph);
    }
    for pass in graph_passes::PASSES {
        if pass.name == "stabilise" {
            watch.stage(
                Stage::Scale,
                &graph.name,
                &Lazy(|| graph_passes::scale::Scales::new(graph).print(graph)),
            );
        }
        (pass.run)(graph);
        check_graph(options, pass.name, graph);
        watch.pass(pass.name, &graph.name, graph);
    }
}

/// The graph and the loop nests of the form of a kernel that is compiled at once, from its graph after [`graph_passes::PASSES`].
pub fn first_form(graph: Graph, options: &Options) -> (Graph, regions::Regions) {
    let options = &options.with(&graph.directives);
    let found = Found::of(&graph);
    let (normalizer, over) = match decompose::choose(&graph, &found, options.normalizer, options.long_row) {
        Choice::One(normalizer) => (normalizer, None),
        Choice::BySize(short, ..) => (short, Some(found.dims)),
    };
    let graph = decomposed(graph, normalizer, over, options, &mut Blind);
    let regions = fuse_again(&graph, &decompose::again(&graph, normalizer));
    (graph, regions)
}

/// A graph after a decomposition.
fn decomposed(
    mut graph: Graph,
    normalizer: Normalizer,
    over: Option<DimSet>,
    options: &Options,
    watch: &mut dyn Observer,
) -> Graph {
    let before = graph.nodes.len();
    decompose::run(&mut graph, normalizer, over);
    check_graph(options, "decompose", &graph);
    if graph.nodes.len() == before {
        return graph;
    }
    watch.pass("decompose", &graph.name, &graph);
    for pass in graph_passes::AFTER_DECOMPOSE {
        (pass.run)(&mut graph);
        check_graph(options, pass.name, &graph);
        watch.pass(pass.name, &graph.name, &graph);
    }
    graph
}

/// One form of a kernel.
fn form(
    signature: &Signature,
    graph: Graph,
    normalizer: Normalizer,
    options: &Options,
    watch: &mut dyn Observer,
) -> Result<CompiledKernel, BackendError> {
    let kernel = &graph.name;
    let regions = fuse_again(&graph, &decompose::again(&graph, normalizer));
    if options.verify
        && let Err(error) = regions::verify(&graph, &regions)
    {
        panic!("fuse left a broken plan: {error}\n{graph}\n{}", regions.display(&graph));
    }
    watch.stage(Stage::Regions, kernel, &regions.display(&graph));
    attempt(options, |wide| {
        let target = machine(options, wide);
        let plan = schedule::plan(&graph, &regions, &target);
        watch.stage(Stage::Schedule, kernel, &plan.display(&graph, &regions));

        let func = lower::lower(&graph, &regions, &plan);
        check_func(options, "lower", &func);
        watch.stage(Stage::Lowered, kernel, &func);
        let split = loop_passes::split::applies(&func).then(|| later(signature, &func, options));
        let code = code(func, options, wide, watch)?;
        Ok(CompiledKernel { split, ..CompiledKernel::new(signature.clone(), vec![code]) })
    })
}

/// By one back end after another, until one makes code: `true` is the wide one.
fn attempt<T>(
    options: &Options,
    mut make: impl FnMut(bool) -> Result<T, BackendError>,
) -> Result<T, BackendError> {
    let (last, first) = options.engine.attempts(&options.target).split_last().expect("something is tried");
    for &wide in first {
        if let Ok(made) = make(wide) {
            return Ok(made);
        }
    }
    make(*last)
}

/// The machine as the passes see it that prepare code for a back end.
fn machine(options: &Options, wide: bool) -> Target {
    if wide { options.target.wide() } else { options.target.clone() }
}

/// Machine code from the loop IR, by the wide back end or by Cranelift.
fn code(
    mut func: Func,
    options: &Options,
    wide: bool,
    watch: &mut dyn Observer,
) -> Result<MachineCode, BackendError> {
    let kernel = func.name.clone();
    let target = machine(options, wide);
    for pass in loop_passes::NUMERIC {
        (pass.run)(&mut func);
        check_func(options, pass.name, &func);
        watch.pass(pass.name, &kernel, &func);
    }
    watch.stage(Stage::Numeric, &kernel, &func);
    let numeric = func.clone();
    for pass in loop_passes::LAYOUT {
        (pass.run)(&mut func, &target);
        check_func(options, pass.name, &func);
        watch.pass(pass.name, &kernel, &func);
    }
    let func = loops::finish(func);
    watch.stage(Stage::Loops, &kernel, func.func());
    watch.funcs(&numeric, &func);

    let code = backend::select(&func, &options.target, wide)?;
    let stage = match code {
        Code::Cranelift(_) => Stage::Clif,
        Code::Wide(_) => Stage::Vcode,
    };
    watch.stage(stage, &kernel, &code);
    let code = backend::encode(code)?;
    watch.stage(Stage::Asm, &kernel, &Lazy(|| emit::listing(&code)));
    Ok(code)
}

/// The form of a kernel in which threads share what is in a row.
fn later(signature: &Signature, func: &Func, options: &Options) -> Split {
    let (signature, func, options) = (signature.clone(), func.clone(), options.clone());
    Split::new(move || compile_split(&signature, func.clone(), &options, &mut Blind))
}

/// Compiles a kernel, given as `lower` left it, in the form in which threads share what is in a row. The bits are the same.
pub fn compile_split(
    signature: &Signature,
    mut func: Func,
    options: &Options,
    watch: &mut dyn Observer,
) -> Result<CompiledKernel, BackendError> {
    let pass = loop_passes::SPLIT;
    (pass.run)(&mut func);
    check_func(options, pass.name, &func);
    watch.pass(pass.name, &func.name, &func);
    let code = attempt(options, |wide| code(func.clone(), options, wide, watch))?;
    Ok(CompiledKernel::new(signature.clone(), vec![code]))
}

/// A graph that a pass broke is our mistake.
fn check_graph(options: &Options, after: &str, graph: &Graph) {
    if options.verify
        && let Err(report) = graph::verify(graph)
    {
        panic!("{after} left a broken graph:\n{report}");
    }
}

/// The same for the loop IR.
fn check_func(options: &Options, after: &str, func: &Func) {
    if options.verify
        && let Err(report) = loops::verify(func)
    {
        panic!("{after} left a broken function:\n{report}");
    }
}

/// What a kernel takes and gives, from its graph.
pub fn signature(graph: &Graph) -> Signature {
    let dims = graph.dims.values().map(|dim| DimDecl { name: dim.name.clone(), kind: dim.kind.clone() });
    let param = |decl: &Decl, result: bool| {
        let axes = decl.axes.as_ref().map(|axes| {
            axes.iter().map(|axis| axis.iter().map(|dim| dim.as_u32()).collect()).collect::<Vec<Vec<u32>>>()
        });
        let kind = match axes {
            Some(axes) => ParamKind::Array { axes, default: decl.default },
            None if result => ParamKind::Array { axes: Vec::new(), default: None },
            None => ParamKind::Scalar { default: decl.default },
        };
        ParamDecl {
            name: decl.name.clone(),
            dtype: decl.dtype,
            kind,
            range: decl.range,
            doc: decl.doc.clone(),
        }
    };
    Signature {
        name: graph.name.clone(),
        doc: graph.doc.clone(),
        dims: dims.collect(),
        params: graph.params.iter().map(|decl| param(decl, false)).collect(),
        results: graph.results.iter().map(|(decl, _)| param(decl, true)).collect(),
        dim_params: graph.dim_params.clone(),
    }
}

/// A text that is made when it is asked for.
struct Lazy<F>(F);

impl<F: Fn() -> String> Display for Lazy<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&(self.0)())
    }
}
