//! Expressions → nodes: blocks, selection, indexing. `kernel` does what stands around them, `results` what a kernel returns, and
//! `frame` is about names.

mod frame;
mod kernel;
mod results;

use std::rc::Rc;

use rustc_hash::FxHashMap;

use super::dims;
use super::filter::Filter;
use super::number::Number;
use super::reductions::Made;
use super::repeat::Along;
use super::{KernelItem, MAX_NESTING, MAX_STEPS, MAX_UNROLLED_SIZE, Options, Session, prelude, suggest};
use crate::diag::{Diagnostic, Span, codes};
use crate::graph::{Graph, NodeId, Op};
use crate::ops::Prim;
use crate::syntax::ast::{self, Expr, ExprKind, UnaryOp};
use crate::types::{DType, DimId, DimSet};
pub(super) use frame::{DimBinding, Frame};

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
    let graph = std::mem::replace(&mut lowerer.graph, Graph::new(String::new()));
    (session.diagnostics.error_count() == before).then_some(graph)
}

/// The lines of a documentation comment as one text.
pub(super) fn doc_text(lines: &[ast::DocLine]) -> String {
    let lines: Vec<&str> = lines.iter().map(|line| line.text.as_str()).collect();
    lines.join("\n")
}

impl<'s, 'a> Lowerer<'s, 'a> {
    fn new(session: &'s mut Session<'a>, name: String) -> Lowerer<'s, 'a> {
        Lowerer {
            session,
            graph: Graph::new(name),
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

fn named_number(constant: ast::Constant) -> Number {
    Number::float(match constant {
        ast::Constant::Inf => f64::INFINITY,
        ast::Constant::Nan => f64::NAN,
        ast::Constant::Pi => std::f64::consts::PI,
    })
}
