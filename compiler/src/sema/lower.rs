//! Expressions → nodes: kernels, blocks, selection, indexing, and what a kernel returns.

use std::rc::Rc;

use cranelift_entity::PrimaryMap;
use rustc_hash::FxHashMap;

use super::dims::{self, Dims};
use super::filter::Filter;
use super::number::Number;
use super::reductions::Made;
use super::repeat::Along;
use super::{
    KernelItem, MAX_NESTING, MAX_STEPS, MAX_UNROLLED, MAX_UNROLLED_SIZE, Options, Session, prelude, suggest,
};
use crate::diag::{Diagnostic, Span, codes};
use crate::graph::{Decl, Graph, NodeId, Op};
use crate::ops::Prim;
use crate::syntax::ast::{self, Expr, ExprKind, UnaryOp};
use crate::types::{DType, DimId, DimKind, DimSet};

/// What an expression stands for.
#[derive(Clone, Debug)]
pub(super) enum Value<'a> {
    /// A number without a type.
    Number(Number),
    /// A truth value that is known while compiling.
    Bool(bool),
    /// An array or a number that is known when the kernel runs.
    Node(NodeId),
    /// Values with names.
    Tuple(Rc<Vec<(&'a str, Value<'a>)>>),
    /// A mistake that has its message.
    Poison,
}

/// A value and the text that it comes from.
#[derive(Clone, Debug)]
pub(super) struct Operand<'a> {
    pub(super) value: Value<'a>,
    pub(super) span: Span,
}

/// What a name of a dimension stands for.
#[derive(Clone, Debug)]
pub(super) enum DimBinding<'a> {
    /// One dimension or, in a function, the list that the caller gave.
    Dims(Rc<[DimId]>),
    /// A name that the kernel does not have; `stack` may make it.
    Unknown(&'a ast::Ident),
    /// A local dimension whose size is a mistake that has its message.
    Poison,
}

/// The names that a piece of text sees: those of a kernel, of one inlining of a function, or of a constant.
pub(super) struct Frame<'a> {
    /// The function that is inlined.
    pub(super) function: Option<&'a ast::FnDecl>,
    /// Whether names are those of the prelude alone.
    pub(super) in_prelude: bool,
    /// Whether it is a part of a reduction, which sees no dimensions.
    pub(super) is_part: bool,
    /// Where it is called.
    pub(super) call: Span,
    /// A function's dimensions, and those that a block declares.
    pub(super) dims: FxHashMap<&'a str, DimBinding<'a>>,
    /// The filter that a reduction of the prelude is called with.
    pub(super) filter: Option<Filter>,
    values: FxHashMap<&'a str, Value<'a>>,
    undo: Vec<Undo<'a>>,
}

/// What a name stood for before it was bound.
enum Undo<'a> {
    Value(&'a str, Option<Value<'a>>),
    Dim(&'a str, Option<DimBinding<'a>>),
}

impl<'a> Frame<'a> {
    pub(super) fn new(function: Option<&'a ast::FnDecl>, in_prelude: bool, call: Span) -> Frame<'a> {
        let (dims, values) = Default::default();
        let (is_part, filter, undo) = (false, None, Vec::new());
        Frame { function, in_prelude, is_part, call, dims, filter, values, undo }
    }

    /// For a part of a reduction.
    pub(super) fn part(in_prelude: bool, call: Span) -> Frame<'a> {
        Frame { is_part: true, ..Frame::new(None, in_prelude, call) }
    }

    pub(super) fn bind(&mut self, name: &'a str, value: Value<'a>) {
        let old = self.values.insert(name, value);
        self.undo.push(Undo::Value(name, old));
    }

    pub(super) fn bind_dim(&mut self, name: &'a str, dim: DimBinding<'a>) {
        let old = self.dims.insert(name, dim);
        self.undo.push(Undo::Dim(name, old));
    }

    /// What is bound from here on can be forgotten by `unbind`.
    pub(super) fn mark(&self) -> usize {
        self.undo.len()
    }

    /// Forgets what was bound after the mark.
    pub(super) fn unbind(&mut self, mark: usize) {
        while self.undo.len() > mark {
            match self.undo.pop() {
                Some(Undo::Value(name, Some(value))) => drop(self.values.insert(name, value)),
                Some(Undo::Value(name, None)) => drop(self.values.remove(name)),
                Some(Undo::Dim(name, Some(dim))) => drop(self.dims.insert(name, dim)),
                Some(Undo::Dim(name, None)) => drop(self.dims.remove(name)),
                None => return,
            }
        }
    }
}

/// Lowers one kernel, or the constants of a file.
pub(super) struct Lowerer<'s, 'a> {
    pub(super) session: &'s mut Session<'a>,
    pub(super) graph: Graph,
    pub(super) dim_names: FxHashMap<&'a str, DimId>,
    /// The kernel's dtype parameters; none for a mistake that has its message.
    dtypes: FxHashMap<&'a str, Option<DType>>,
    /// All dimensions, in canonical order; their numbers follow it in the end.
    pub(super) order: Vec<DimId>,
    /// The kernel, then functions, innermost last.
    pub(super) frames: Vec<Frame<'a>>,
    /// Steps along dimensions that are under way, innermost last: the dimension, and where they are.
    pub(super) steps: Vec<(DimId, Along)>,
    /// Carried values of loops that are under way, and a copy of each to be read along other dimensions.
    pub(super) twins: FxHashMap<NodeId, NodeId>,
    /// What an integer becomes where a float is needed and none is at hand.
    pub(super) arithmetic: DType,
    /// How many expressions around must be known while compiling.
    pub(super) constants: u32,
    /// The definitions of reductions, by item and the dtypes of operands.
    pub(super) folds: FxHashMap<(*const ast::ReductionDecl, Vec<DType>), Made<'a>>,
    /// Constants that are being evaluated.
    active_consts: Vec<&'a str>,
    depth: usize,
    /// A limit was hit: everything is poison.
    pub(super) stopped: bool,
}

/// Evaluates the constants of the file, so that sizes may use them and mistakes show.
pub(super) fn evaluate_consts(session: &mut Session<'_>) {
    if session.items.const_list.is_empty() {
        return;
    }
    let constants = session.items.const_list.clone();
    let mut lowerer = Lowerer::new(session, String::new());
    for constant in constants {
        lowerer.user_const(constant);
    }
}

/// The value of an expression in an example, which sees constants only; poison if there is a message about it.
pub(super) fn example_value<'a>(session: &mut Session<'a>, expr: &'a Expr) -> Value<'a> {
    Lowerer::new(session, String::new()).const_expr(expr, "a value of an example")
}

/// Lowers one kernel; none if it has mistakes.
pub(super) fn lower_kernel<'a>(
    session: &mut Session<'a>,
    (item, kernel): KernelItem<'a>,
    options: &Options,
) -> Option<Graph> {
    let before = session.diagnostics.error_count();
    let dims = dims::declare(session, kernel, options)?;
    let mut lowerer = Lowerer::new(session, kernel.name.name.clone());
    lowerer.graph.doc = doc_text(&item.docs);
    lowerer.dtype_params(kernel, options);
    lowerer.kernel(kernel, dims);
    let graph = std::mem::replace(&mut lowerer.graph, empty_graph(String::new()));
    (session.diagnostics.error_count() == before).then_some(graph)
}

/// The lines of a documentation comment as one text.
pub(super) fn doc_text(lines: &[ast::DocLine]) -> String {
    let lines: Vec<&str> = lines.iter().map(|line| line.text.as_str()).collect();
    lines.join("\n")
}

fn empty_graph(name: String) -> Graph {
    Graph {
        name,
        doc: String::new(),
        dims: PrimaryMap::new(),
        dim_params: Vec::new(),
        params: Vec::new(),
        folds: PrimaryMap::new(),
        repeats: PrimaryMap::new(),
        nodes: PrimaryMap::new(),
        results: Vec::new(),
    }
}

impl<'s, 'a> Lowerer<'s, 'a> {
    fn new(session: &'s mut Session<'a>, name: String) -> Lowerer<'s, 'a> {
        Lowerer {
            session,
            graph: empty_graph(name),
            dim_names: FxHashMap::default(),
            dtypes: FxHashMap::default(),
            order: Vec::new(),
            frames: Vec::new(),
            steps: Vec::new(),
            twins: FxHashMap::default(),
            arithmetic: DType::F32,
            constants: 0,
            folds: FxHashMap::default(),
            active_consts: Vec::new(),
            depth: 0,
            stopped: false,
        }
    }

    // Kernels

    fn kernel(&mut self, kernel: &'a ast::Kernel, dims: Dims<'a>) {
        self.frames.push(Frame::new(None, false, Span::NONE));
        self.params(kernel, &dims);
        let results = self.result_decls(kernel, &dims);
        self.order = dims.dims.keys().collect();
        self.graph.dims = dims.dims;
        self.graph.dim_params = dims.params;
        self.dim_names = dims.names;
        let body = self.block(&kernel.body);
        let span = kernel.body.value.span;
        match &kernel.results {
            ast::Results::One(_) => self.one_result(body, span, results),
            ast::Results::Named(_) => self.named_results(body, span, results),
        }
        self.check_unrolled(kernel.name.span);
        self.order_dims();
    }

    fn params(&mut self, kernel: &'a ast::Kernel, dims: &Dims<'a>) {
        let mut seen: FxHashMap<&str, Span> = FxHashMap::default();
        let mut values = Vec::new();
        for (at, param) in kernel.params.iter().enumerate() {
            let name = param.name.as_str();
            if let Some(first) = seen.insert(name, param.name.span) {
                let message = format!("kernel `{}` has two parameters `{name}`", kernel.name.name);
                let error = Diagnostic::error(codes::DUPLICATE_PARAM, param.name.span, message);
                self.report(error.with_other(first, "the first one"));
            }
            let dtype = self.dtype(&param.ty.dtype);
            let default = param.default.as_ref().and_then(|value| self.default_value(value, dtype));
            let range = param.range.as_ref().and_then(|range| self.value_range(param, range, dtype));
            self.check_default(param, range, default);
            let decl = Decl {
                name: name.to_owned(),
                dtype: dtype.unwrap_or(DType::F32),
                axes: dims.axes(&param.ty),
                default,
                range,
                doc: String::new(),
            };
            if decl.dtype == DType::F64 {
                self.arithmetic = DType::F64;
            }
            let (dtype_known, set, decl_dtype) = (dtype.is_some(), decl.dims(), decl.dtype);
            self.graph.params.push(decl);
            let node = self.graph.add_with_dims(Op::Param(at as u32), decl_dtype, set, param.span);
            values.push((name, if dtype_known { Value::Node(node) } else { Value::Poison }));
        }
        for (name, value) in values {
            self.frame().bind(name, value);
        }
    }

    /// Reads `<T: float = f32>`.
    fn dtype_params(&mut self, kernel: &'a ast::Kernel, options: &Options) {
        for generic in &kernel.generics {
            let ast::GenericKind::DType { class, default } = &generic.kind else { continue };
            let name = generic.name.as_str();
            let chosen = options.dtypes.iter().rfind(|(option, _)| option == name).map(|(_, dtype)| *dtype);
            let place = default.as_ref().map_or(generic.name.span, |default| default.span);
            let dtype = match (chosen, default) {
                (Some(dtype), _) => Some(dtype),
                (None, Some(default)) => self.dtype(default),
                (None, None) => {
                    let message = format!("the dtype parameter `{name}` has no dtype");
                    let error = Diagnostic::error(codes::UNKNOWN_DTYPE, generic.span, message).with_help(
                        format!("give it one with the option `--dtype {name}=f32`, or a default: `<{name}: float = f32>`"),
                    );
                    self.report(error);
                    None
                }
            };
            let dtype = dtype.filter(|dtype| {
                let fits = dtype.is_float() || class.name != "float";
                if !fits {
                    let message = format!("`{name}` is a float, and `{dtype}` is none");
                    let error = Diagnostic::error(codes::UNKNOWN_DTYPE, place, message);
                    self.report(error.with_note("there are `f32`, `f64`, `f16` and `bf16`"));
                }
                fits
            });
            self.dtypes.insert(name, dtype);
        }
    }

    /// A dtype as written; the message about an unknown one is given.
    fn dtype(&mut self, name: &ast::Ident) -> Option<DType> {
        if let Some(dtype) = self.dtypes.get(name.as_str()) {
            return *dtype;
        }
        if let Some(dtype) = DType::from_name(&name.name) {
            return Some(dtype);
        }
        let mut error =
            Diagnostic::error(codes::UNKNOWN_DTYPE, name.span, format!("there is no dtype `{}`", name.name))
                .with_note(format!("there are {}", super::list(DType::ALL.iter().map(|dtype| dtype.name()))));
        let alias = match name.name.to_lowercase().as_str() {
            "float" | "float32" | "single" => Some("f32"),
            "double" | "float64" => Some("f64"),
            "half" | "float16" => Some("f16"),
            "bfloat" | "bfloat16" => Some("bf16"),
            "int8" | "char" | "byte" => Some("i8"),
            "uint8" | "uchar" | "ubyte" => Some("u8"),
            "int" | "int32" | "i64" | "int64" => Some("i32"),
            "boolean" => Some("bool"),
            other => suggest::nearest(other, DType::ALL.map(DType::name)),
        };
        if let Some(near) = alias {
            error = error.with_fix(format!("did you mean `{near}`?"), name.span, near);
        }
        self.report(error);
        None
    }

    /// The default of a parameter, rounded to its dtype.
    fn default_value(&mut self, expr: &'a Expr, dtype: Option<DType>) -> Option<f64> {
        let value = self.const_expr(expr, "the default of a parameter");
        let dtype = dtype?;
        match (value, dtype) {
            (Value::Number(number), _) if dtype.is_float() => Some(number.constant(dtype).value()),
            (Value::Number(Number::Int(value)), _) if dtype != DType::Bool && fits(value, dtype) => {
                Some(value as f64)
            }
            (Value::Bool(value), DType::Bool) => Some(f64::from(u8::from(value))),
            (Value::Poison, _) => None,
            (Value::Number(_) | Value::Bool(_) | Value::Node(_) | Value::Tuple(_), _) => {
                let message = format!("the default is not a number of the dtype `{dtype}`");
                self.report(Diagnostic::error(codes::BAD_DEFAULT, expr.span, message));
                None
            }
        }
    }

    /// The ends of `in 1e-6..1e6`, rounded to the dtype of the parameter.
    fn value_range(
        &mut self,
        param: &'a ast::Param,
        range: &'a ast::ValueRange,
        dtype: Option<DType>,
    ) -> Option<(f64, f64)> {
        let ends = [&range.low, &range.high].map(|end| (self.const_expr(end, "an end of a range"), end));
        let dtype = dtype?;
        let refused = |message: String| Diagnostic::error(codes::BAD_RANGE, range.span, message);
        if param.ty.axes.is_some() || dtype == DType::Bool {
            let error = refused(format!("`{}` is not a number, so it has no range", param.name.name));
            self.report(error.with_other(param.ty.span, "its type"));
            return None;
        }
        if dtype.is_storage() {
            let error = refused(format!("a number of the dtype `{dtype}` has no range"));
            let help = format!("declare it `{}`, in which it is used anyway", dtype.arithmetic());
            self.report(error.with_other(param.ty.span, "its type").with_help(help));
            return None;
        }
        let mut numbers = [0.0; 2];
        for ((value, end), out) in ends.into_iter().zip(&mut numbers) {
            *out = match value {
                Value::Poison => return None,
                Value::Number(number) if dtype.is_float() || number.whole().is_some() => {
                    number.constant(dtype).value()
                }
                Value::Number(_) | Value::Bool(_) | Value::Node(_) | Value::Tuple(_) => {
                    let message = format!("an end of this range is not a number of the dtype `{dtype}`");
                    self.report(Diagnostic::error(codes::BAD_RANGE, end.span, message));
                    return None;
                }
            };
        }
        let [low, high] = numbers;
        if low <= high {
            return Some((low, high));
        }
        self.report(refused("this range holds no number".to_owned()).with_help("the lower end stands first"));
        None
    }

    /// A default must lie in the range.
    fn check_default(&mut self, param: &ast::Param, range: Option<(f64, f64)>, default: Option<f64>) {
        if let (Some((low, high)), Some(value), Some(written)) = (range, default, &param.default)
            && !(low <= value && value <= high)
        {
            let message = format!("the default of `{}` lies outside of its range", param.name.name);
            let error = Diagnostic::error(codes::BAD_RANGE, written.span, message);
            let ends = param.range.as_ref().map_or(Span::NONE, |range| range.span);
            self.report(error.with_other(ends, "the range"));
        }
    }

    /// The declarations of the results with the place of their types; a dtype that is not known poisons.
    fn result_decls(&mut self, kernel: &'a ast::Kernel, dims: &Dims<'a>) -> Vec<ResultDecl> {
        let written: Vec<(&str, Span, &ast::Type)> = match &kernel.results {
            ast::Results::One(ty) => vec![("y", ty.span, ty)],
            ast::Results::Named(list) => list.iter().map(|r| (r.name.as_str(), r.name.span, &r.ty)).collect(),
        };
        let mut seen: FxHashMap<&str, Span> = FxHashMap::default();
        let mut decls = Vec::new();
        for (name, span, ty) in written {
            if let Some(first) = seen.insert(name, span) {
                let message = format!("kernel `{}` has two results `{name}`", kernel.name.name);
                let error = Diagnostic::error(codes::DUPLICATE_PARAM, span, message);
                self.report(error.with_other(first, "the first one"));
                continue;
            }
            let dtype = self.dtype(&ty.dtype);
            let axes = Some(dims.axes(ty).unwrap_or_default());
            let dtype_or = dtype.unwrap_or(DType::F32);
            let decl = Decl {
                name: name.to_owned(),
                dtype: dtype_or,
                axes,
                default: None,
                range: None,
                doc: String::new(),
            };
            decls.push(ResultDecl { decl, ty: ty.span, known: dtype.is_some() });
        }
        decls
    }

    fn one_result(&mut self, body: Value<'a>, span: Span, results: Vec<ResultDecl>) {
        let Some(result) = results.into_iter().next() else { return };
        if let Value::Tuple(fields) = &body {
            let names: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
            let error = Diagnostic::error(
                codes::RESULT_FIELDS,
                span,
                "the body is a tuple, but the kernel has one result",
            )
            .with_other(result.ty, "the result")
            .with_note(format!("the tuple has the fields {}", super::list(names.into_iter())));
            self.report(error);
            return;
        }
        self.result(Operand { value: body, span }, result);
    }

    fn named_results(&mut self, body: Value<'a>, span: Span, results: Vec<ResultDecl>) {
        let fields = match &body {
            Value::Poison => return,
            Value::Tuple(fields) => Rc::clone(fields),
            Value::Number(_) | Value::Bool(_) | Value::Node(_) => {
                let fields: Vec<String> = results.iter().map(|r| format!("{0} = …", r.decl.name)).collect();
                let error = Diagnostic::error(
                    codes::RESULT_FIELDS,
                    span,
                    "the kernel has named results, but the body is one value",
                )
                .with_help(format!("give each result by name: `({})`", fields.join(", ")));
                self.report(error);
                return;
            }
        };
        for (name, _) in fields.iter() {
            if results.iter().all(|result| result.decl.name != *name) {
                let message = format!("the kernel has no result `{name}`");
                let names: Vec<&str> = results.iter().map(|result| result.decl.name.as_str()).collect();
                let error = Diagnostic::error(codes::RESULT_FIELDS, span, message)
                    .with_note(format!("its results are {}", super::list(names.into_iter())));
                self.report(error);
            }
        }
        for result in results {
            match fields.iter().find(|(name, _)| *name == result.decl.name) {
                Some((_, value)) => self.result(Operand { value: value.clone(), span }, result),
                None => {
                    let message = format!("the body gives no value for the result `{}`", result.decl.name);
                    let error = Diagnostic::error(codes::RESULT_FIELDS, span, message);
                    self.report(error.with_other(result.ty, "declared here"));
                }
            }
        }
    }

    /// Checks a result against its declaration and puts it into the graph.
    fn result(&mut self, body: Operand<'a>, result: ResultDecl) {
        if !result.known {
            return;
        }
        let Some(node) = self.typed_result(&body, &result) else { return };
        let (has, wants) = (self.graph.nodes[node].dims, result.decl.dims());
        let (missing, extra) = (wants.difference(has), has.difference(wants));
        if !extra.is_empty() {
            self.report_extra_dims(&body, &result, extra, wants);
        } else if !missing.is_empty() {
            self.report_missing_dims(&body, &result, missing);
        } else {
            self.graph.results.push((result.decl, node));
        }
    }

    /// The body's value in the result's dtype: integers become floats, floats widen, and f32 is rounded to a result of 16 bits;
    /// nothing else is converted.
    fn typed_result(&mut self, body: &Operand<'a>, result: &ResultDecl) -> Option<NodeId> {
        let dtype = result.decl.dtype;
        let found = match &body.value {
            Value::Poison => return None,
            Value::Number(Number::Int(value)) if dtype != DType::Bool && !fits(*value, dtype) => {
                self.report_does_not_fit(dtype, body.span);
                return None;
            }
            Value::Number(Number::Int(_)) if dtype != DType::Bool => return self.materialize(body, dtype),
            Value::Number(Number::Float { .. }) if dtype.is_float() => return self.materialize(body, dtype),
            Value::Bool(_) if dtype == DType::Bool => return self.materialize(body, dtype),
            Value::Tuple(_) => {
                self.report(Diagnostic::error(codes::TUPLE, body.span, "a result is a tuple"));
                return None;
            }
            Value::Number(_) => self.arithmetic,
            Value::Bool(_) => DType::Bool,
            Value::Node(node) => self.graph.nodes[*node].dtype,
        };
        // What is computed in f32 becomes a float of 16 bits where it is stored.
        let widens = match found.arithmetic() {
            DType::I32 => dtype.is_float() || dtype == DType::I32,
            DType::F32 => dtype.is_float(),
            DType::F64 => dtype == DType::F64,
            _ => false,
        };
        if found == dtype || widens {
            return self.materialize(body, dtype);
        }
        let message = format!("the result `{}` is {dtype}, but its value is {found}", result.decl.name);
        let text = self.session.sources.snippet(body.span).to_owned();
        let mut error =
            Diagnostic::error(codes::RESULT_TYPE, body.span, message).with_other(result.ty, "declared here");
        if !text.contains('\n') && !text.starts_with('(') {
            error = error.with_fix("write the conversion", body.span, format!("{dtype}({text})"));
        }
        self.report(error);
        None
    }

    fn report_extra_dims(&mut self, body: &Operand<'a>, result: &ResultDecl, extra: DimSet, wants: DimSet) {
        let names = self.dim_list(extra);
        let body_type = self.type_text(&body.value);
        let message = format!("the body has the dimension{} {names}, which the result lacks", plural(extra));
        let mut error = Diagnostic::error(codes::RESULT_LACKS_DIM, result.ty, message)
            .with_other(body.span, format!("this is `{body_type}`"));
        let near = extra.iter().find_map(|dim| {
            let missing = wants.iter().map(|other| self.graph.dims[other].name.as_str());
            suggest::nearest(&self.graph.dims[dim].name, missing).map(str::to_owned)
        });
        let one_position = extra.iter().find(|dim| self.graph.dims[*dim].fixed() == Some(1));
        if let Some(dim) = one_position {
            let name = &self.graph.dims[dim].name;
            error = error.with_help(format!(
                "`{name}` has one position; pick it where the value is used: `[{name}=0]`"
            ));
        } else if let Some(near) = near {
            error = error.with_help(format!("did you mean `{near}`?"));
        } else {
            let dims: Vec<&str> = extra.iter().map(|dim| self.graph.dims[dim].name.as_str()).collect();
            error = error.with_help(format!(
                "reduce over it, e.g. `sum[{}](…)`, or add it to the result",
                dims.join(", ")
            ));
        }
        self.report(error);
    }

    /// Dimensions that no parameter has, and whose sizes are therefore not known, have had their message.
    fn report_missing_dims(&mut self, body: &Operand<'a>, result: &ResultDecl, missing: DimSet) {
        let in_params = self.graph.params.iter().fold(DimSet::EMPTY, |all, decl| all.union(decl.dims()));
        let has_size = |dim: &DimId| match self.graph.dims[*dim].kind {
            DimKind::Free | DimKind::Leading => in_params.contains(*dim),
            DimKind::Fixed(_) | DimKind::Computed(_) => true,
        };
        let missing: DimSet = missing.iter().filter(has_size).collect();
        if missing.is_empty() {
            return;
        }
        let names = self.dim_list(missing);
        let body_type = self.type_text(&body.value);
        let message =
            format!("the result has the dimension{} {names}, which the body lacks", plural(missing));
        let mut error = Diagnostic::error(codes::RESULT_EXTRA_DIM, result.ty, message)
            .with_other(body.span, format!("this is `{body_type}`"));
        let text = self.session.sources.snippet(body.span).to_owned();
        let dims: Vec<&str> = missing.iter().map(|dim| self.graph.dims[dim].name.as_str()).collect();
        let broadcast = format!("broadcast[{}]", dims.join(", "));
        if text.contains('\n') || text.starts_with('(') {
            error = error.with_help(format!("repeat the value along it with `{broadcast}(…)`"));
        } else {
            error = error.with_fix("repeat the value along it", body.span, format!("{broadcast}({text})"));
        }
        self.report(error);
    }

    /// The size of the graph once every fixed-size dimension that must be is unrolled.
    fn check_unrolled(&mut self, span: Span) {
        let mut unrolled = DimSet::EMPTY;
        for node in self.graph.nodes.values() {
            match &node.op {
                Op::Reduce { dims, .. } | Op::Fold { dims, .. } => unrolled = unrolled.union(*dims),
                Op::Slice { dim, .. } | Op::Stack { dim, .. } | Op::Scan { dim, .. } => {
                    unrolled = unrolled.with(*dim);
                }
                // Either dimension of a pair is unrolled with the other.
                Op::Rename { names, .. } => {
                    unrolled = names.iter().fold(unrolled, |dims, (from, to)| dims.with(*from).with(*to));
                }
                Op::Param(_)
                | Op::Const(_)
                | Op::Index(_)
                | Op::Size(_)
                | Op::Prim(..)
                | Op::Convert(_)
                | Op::Broadcast(_)
                | Op::KthLargest { .. }
                | Op::Carry { .. }
                | Op::Step(_)
                | Op::Final { .. }
                | Op::Gather { .. } => {}
            }
        }
        let size = |dim: DimId| match self.graph.dims[dim].kind {
            DimKind::Fixed(size) if size <= MAX_UNROLLED_SIZE => size as u64,
            _ => 1,
        };
        let copies = |dims: DimSet| dims.iter().map(size).fold(1u64, u64::saturating_mul);
        let total = self.graph.nodes.values().fold(0u64, |total, node| {
            let reduced = match &node.op {
                Op::Reduce { dims, .. } | Op::Fold { dims, .. } => *dims,
                _ => DimSet::EMPTY,
            };
            let over = node.dims.union(reduced).intersection(unrolled);
            // A fold is written out at each position.
            let own = match &node.op {
                Op::Fold { fold, .. } if !over.is_empty() => self.graph.folds[*fold].step.nodes.len() as u64,
                _ => 1,
            };
            total.saturating_add(copies(over).saturating_mul(own))
        });
        if total > MAX_UNROLLED {
            let message = format!(
                "unrolling the fixed-size dimensions of kernel `{}` makes {total} values; at most {MAX_UNROLLED} are allowed",
                self.graph.name
            );
            let error = Diagnostic::error(codes::UNROLLED_TOO_LARGE, span, message).with_note(
                "a fixed-size dimension that is reduced, indexed or stacked is unrolled position by position",
            );
            self.report(error);
        }
    }

    // Names

    /// The innermost frame.
    pub(super) fn frame(&mut self) -> &mut Frame<'a> {
        self.frames.last_mut().expect("text is lowered inside a frame")
    }

    /// Whether the text at hand is the prelude's.
    pub(super) fn in_prelude(&self) -> bool {
        self.frames.last().is_some_and(|frame| frame.in_prelude)
    }

    /// The value of a name. What is not known has its message from `resolve`.
    fn name(&mut self, name: &'a ast::Ident) -> Value<'a> {
        let frame = self.frame();
        if let Some(value) = frame.values.get(name.as_str()) {
            return value.clone();
        }
        self.find_constant(name).unwrap_or(Value::Poison)
    }

    /// The value of a constant; none if there is none of that name.
    pub(super) fn find_constant(&mut self, name: &'a ast::Ident) -> Option<Value<'a>> {
        let user =
            if self.in_prelude() { None } else { self.session.items.consts.get(name.as_str()).copied() };
        match user {
            Some(constant) => Some(self.user_const(constant)),
            None => prelude::constant(name.as_str()).map(|_| self.prelude_const(name)),
        }
    }

    fn user_const(&mut self, constant: &'a ast::Const) -> Value<'a> {
        let name = constant.name.as_str();
        if let Some(value) = self.session.consts.get(name) {
            return value.clone();
        }
        if self.active_consts.contains(&name) {
            let message = format!("the constant `{name}` is made of itself");
            self.report(Diagnostic::error(codes::RECURSION, constant.name.span, message));
            return Value::Poison;
        }
        self.active_consts.push(name);
        let value = self.const_expr(&constant.value, "a constant");
        self.active_consts.pop();
        self.session.consts.insert(name, value.clone());
        value
    }

    fn prelude_const(&mut self, name: &'a ast::Ident) -> Value<'a> {
        let Some(constant) = prelude::constant(name.as_str()) else { return Value::Poison };
        self.frames.push(Frame::new(None, true, name.span));
        let value = self.expr(&constant.value);
        self.frames.pop();
        value
    }

    /// The value of an expression that must be known while compiling.
    fn const_expr(&mut self, expr: &'a Expr, what: &str) -> Value<'a> {
        self.frames.push(Frame::new(None, false, expr.span));
        self.constants += 1;
        let value = self.expr(expr);
        self.constants -= 1;
        self.frames.pop();
        match value {
            Value::Number(_) | Value::Bool(_) | Value::Poison => value,
            Value::Node(_) | Value::Tuple(_) => {
                let message = format!("{what} is not a number that is known while compiling");
                self.report(Diagnostic::error(codes::NOT_CONSTANT, expr.span, message));
                Value::Poison
            }
        }
    }

    // Expressions

    /// The value of a block; what it binds ends with it.
    pub(super) fn block(&mut self, block: &'a ast::Block) -> Value<'a> {
        let mark = self.frame().mark();
        let mut own = DimSet::EMPTY;
        for stmt in &block.stmts {
            match &stmt.kind {
                ast::StmtKind::Let(name, value) => {
                    let value = self.expr(value);
                    self.frame().bind(name.as_str(), value);
                }
                ast::StmtKind::Dim(name, size) => match self.local_dim(name, size) {
                    Some(dim) => own = own.with(dim),
                    None => self.frame().bind_dim(name.as_str(), DimBinding::Poison),
                },
            }
        }
        let value = self.expr(&block.value);
        self.frame().unbind(mark);
        self.leave_dims(value, own, block.value.span)
    }

    /// The value of an expression.
    pub(super) fn expr(&mut self, expr: &'a Expr) -> Value<'a> {
        if !self.enter(expr.span) {
            return Value::Poison;
        }
        let value = match &expr.kind {
            ExprKind::Number(number) => Value::Number(Number::literal(number)),
            ExprKind::Constant(constant) => Value::Number(named_number(*constant)),
            ExprKind::Bool(value) => Value::Bool(*value),
            ExprKind::Name(name) => {
                let value = self.name(name);
                self.at_step(value, DimSet::EMPTY, expr.span)
            }
            ExprKind::Unary(op, operand) => self.unary(*op, operand, expr.span),
            ExprKind::Binary(op, binary) => {
                let (lhs, rhs) = (self.operand(&binary.lhs), self.operand(&binary.rhs));
                self.binary(*op, lhs, rhs, expr.span)
            }
            ExprKind::If(selection) => self.selection(selection, expr.span),
            ExprKind::Call(call) => self.call(call, expr.span),
            ExprKind::Index(index) => self.index(index, expr.span),
            ExprKind::Field(base, name) => self.field(base, name),
            ExprKind::Tuple(fields) => self.tuple(fields),
            ExprKind::Iterate(repeat) => self.repeat(repeat, expr.span),
            // Not here: `resolve` has said so.
            ExprKind::Array(_) => Value::Poison,
        };
        self.depth -= 1;
        value
    }

    /// An expression's value with its place.
    pub(super) fn operand(&mut self, expr: &'a Expr) -> Operand<'a> {
        Operand { value: self.expr(expr), span: expr.span }
    }

    /// Counts an expression in; false if a limit is hit.
    fn enter(&mut self, span: Span) -> bool {
        if self.stopped {
            return false;
        }
        self.session.steps += 1;
        let error = if self.depth >= MAX_NESTING {
            let message = format!(
                "expressions nest more than {MAX_NESTING} deep, with the functions inlined into them"
            );
            Diagnostic::error(codes::NESTED_TOO_DEEP, span, message)
        } else if self.session.steps > MAX_STEPS {
            let message = format!("with all functions inlined there are more than {MAX_STEPS} expressions");
            Diagnostic::error(codes::TOO_LARGE, span, message)
        } else {
            self.depth += 1;
            return true;
        };
        self.stop(error);
        false
    }

    /// A limit was hit: reports it and gives up on the kernel.
    pub(super) fn stop(&mut self, error: Diagnostic) {
        self.stopped = true;
        self.report(error);
    }

    fn unary(&mut self, op: UnaryOp, operand: &'a Expr, span: Span) -> Value<'a> {
        let operand = self.operand(operand);
        match op {
            UnaryOp::Neg => self.apply(Prim::Neg, vec![operand], span),
            UnaryOp::Not => self.apply(Prim::Not, vec![operand], span),
        }
    }

    fn selection(&mut self, selection: &'a ast::If, span: Span) -> Value<'a> {
        let mut branches = Vec::new();
        for branch in &selection.branches {
            let cond = self.operand(&branch.cond);
            let body = Operand { value: self.block(&branch.body), span: branch.body.value.span };
            branches.push((cond, body));
        }
        let value = self.block(&selection.otherwise);
        let mut result = Operand { value, span: selection.otherwise.value.span };
        for (cond, body) in branches.into_iter().rev() {
            let value = self.select(cond, body, result, span);
            result = Operand { value, span };
        }
        result.value
    }

    fn tuple(&mut self, fields: &'a [ast::TupleField]) -> Value<'a> {
        let mut values: Vec<(&'a str, Value<'a>)> = Vec::with_capacity(fields.len());
        for field in fields {
            let value = self.expr(&field.value);
            values.push((field.name.as_str(), value));
        }
        Value::Tuple(Rc::new(values))
    }

    fn field(&mut self, base: &'a Expr, name: &'a ast::Ident) -> Value<'a> {
        let base = self.operand(base);
        match &base.value {
            Value::Poison => Value::Poison,
            Value::Tuple(fields) => match fields.iter().find(|(field, _)| *field == name.name) {
                Some((_, value)) => value.clone(),
                None => {
                    let names: Vec<&str> = fields.iter().map(|(field, _)| *field).collect();
                    let message = format!("this tuple has no field `{}`", name.name);
                    let mut error = Diagnostic::error(codes::UNKNOWN_FIELD, name.span, message);
                    error = match suggest::nearest(&name.name, names.iter().copied()) {
                        Some(near) => error.with_fix(format!("did you mean `{near}`?"), name.span, near),
                        None => error.with_note(format!("its fields are {}", super::list(names.into_iter()))),
                    };
                    self.report(error);
                    Value::Poison
                }
            },
            Value::Number(_) | Value::Bool(_) | Value::Node(_) => {
                let message = format!("`.{}` needs a tuple, but this is {}", name.name, self.describe(&base));
                self.report(Diagnostic::error(codes::FIELD_OF_VALUE, name.span, message));
                Value::Poison
            }
        }
    }

    /// `x[half=0]`, `x[d = label else 0]`: the value at positions along some of its dimensions.
    fn index(&mut self, index: &'a ast::Index, span: Span) -> Value<'a> {
        let mut value = match &index.base.kind {
            // A dimension that is indexed here is not read at the step.
            ExprKind::Name(name) if !self.steps.is_empty() => {
                let mut indexed = DimSet::EMPTY;
                for entry in &index.entries {
                    if self.knows_dim(&entry.dim) {
                        indexed = indexed.union(self.one_dim(&entry.dim, "an index").into_iter().collect());
                    }
                }
                let value = self.name(name);
                Operand { value: self.at_step(value, indexed, index.base.span), span: index.base.span }
            }
            _ => self.operand(&index.base),
        };
        let positions: Vec<Value<'a>> =
            index.entries.iter().map(|entry| self.expr(&entry.position)).collect();
        let (apart, dims) = self.indexed_apart(value, &index.entries, &positions);
        value = apart;
        for ((entry, position), dim) in index.entries.iter().zip(positions).zip(dims) {
            value = Operand { value: self.index_entry(value, entry, dim, position), span };
        }
        value.value
    }

    fn index_entry(
        &mut self,
        base: Operand<'a>,
        entry: &'a ast::IndexEntry,
        dim: Option<DimId>,
        position: Value<'a>,
    ) -> Value<'a> {
        let Some(dim) = dim.or_else(|| self.one_dim(&entry.dim, "an index")) else { return Value::Poison };
        if matches!(base.value, Value::Poison) || matches!(position, Value::Poison) {
            return Value::Poison;
        }
        let Some(node) = self.array_with(&base, DimSet::one(dim), &[entry.dim.span]) else {
            return Value::Poison;
        };
        let otherwise = entry.otherwise.as_ref().map(|value| self.operand(value));
        if otherwise.as_ref().is_some_and(|value| matches!(value.value, Value::Poison)) {
            return Value::Poison;
        }
        if otherwise.as_ref().is_some_and(|value| !self.check_else(entry, dim, &position, value)) {
            return Value::Poison;
        }
        if let Some(to) = self.renaming(node, dim, &position) {
            return if to == dim { base.value } else { self.along(&base, node, dim, to) };
        }
        let constant = if let Value::Number(number) = position { number.whole() } else { None };
        let size = self.graph.dims[dim].fixed();
        if let (Value::Node(position), Some(size)) = (&position, size)
            && let Some(value) = self.static_index(&base, (dim, size), *position, otherwise.as_ref())
        {
            return value;
        }
        let position = Operand { value: position, span: entry.position.span };
        let (Some(at), Some(size)) = (constant, size) else {
            return self.computed_index(&base, (node, dim), &position, otherwise.as_ref());
        };
        if let (false, Some(otherwise)) = ((0..size).contains(&at), &otherwise) {
            return otherwise.value.clone();
        }
        if !(0..size).contains(&at) {
            let name = &entry.dim.name;
            let message =
                format!("position {at} lies outside of `{name}`, whose positions are 0 to {}", size - 1);
            self.report(Diagnostic::error(codes::POSITION, entry.position.span, message));
            return Value::Poison;
        }
        let is_param = matches!(self.graph.nodes[node].op, Op::Param(_));
        if size > MAX_UNROLLED_SIZE && !is_param {
            return self.computed_index(&base, (node, dim), &position, otherwise.as_ref());
        }
        let dtype = self.graph.nodes[node].dtype;
        self.node(Op::Slice { value: node, dim, at: at as u32 }, dtype, entry.span)
    }

    /// The dimension along which an index reads a value: the position is that along another dimension of the same size.
    fn renaming(&self, node: NodeId, dim: DimId, position: &Value<'a>) -> Option<DimId> {
        let Value::Node(position) = position else { return None };
        let Op::Index(to) = self.graph.nodes[*position].op else { return None };
        let free = to == dim || !self.graph.nodes[node].dims.contains(to);
        (free && self.same_size(dim, to)).then_some(to)
    }
}

/// A result while its value is sought.
struct ResultDecl {
    decl: Decl,
    ty: Span,
    /// Whether its dtype is known.
    known: bool,
}

/// Whether an integer is one of an integer dtype; of the others all are near enough.
fn fits(value: i64, dtype: DType) -> bool {
    match dtype {
        DType::I32 => i32::try_from(value).is_ok(),
        DType::I8 => i8::try_from(value).is_ok(),
        DType::U8 => u8::try_from(value).is_ok(),
        DType::F32 | DType::F64 | DType::F16 | DType::BF16 | DType::Bool => true,
    }
}

fn plural(dims: DimSet) -> &'static str {
    if dims.len() == 1 { "" } else { "s" }
}

fn named_number(constant: ast::Constant) -> Number {
    Number::float(match constant {
        ast::Constant::Inf => f64::INFINITY,
        ast::Constant::Nan => f64::NAN,
        ast::Constant::Pi => std::f64::consts::PI,
    })
}
