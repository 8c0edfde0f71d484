//! dtypes: what a function's operands become, and the nodes that follow.
//!
//! A number takes the dtype of what it meets. An integer (`i32`, `index`, `size`) that meets a float, or a function that has
//! floats only, becomes a float: that of the other operands, or the kernel's arithmetic dtype (`f64` if a parameter is
//! `f64`, else `f32`). An `f32` that meets an `f64` widens. Nothing narrows by itself, and `bool` converts to nothing.
//!
//! A value in `f16`, `bf16`, `i8` or `u8` becomes one of its arithmetic dtype where anything is computed with it, and stays what it
//! is where positions of it are picked.

use std::rc::Rc;

use super::lower::{Lowerer, Operand, Value};
use super::number::{self, Number};
use super::{MAX_NODES, prelude};
use crate::diag::{Diagnostic, Span, codes};
use crate::graph::verify::converts;
use crate::graph::{Constant, NodeId, Op};
use crate::ops::{Prim, Reduction, Typing};
use crate::syntax::ast::BinaryOp;
use crate::types::{DType, DimId, DimSet};

/// The largest whole exponent that becomes products.
const MAX_POWER: i64 = 16;

impl<'a> Lowerer<'_, 'a> {
    // Nodes

    /// Adds a node whose dimensions follow from its operands.
    pub(super) fn node(&mut self, op: Op, dtype: DType, span: Span) -> Value<'a> {
        let dims = self.graph.natural_dims(&op);
        self.node_with_dims(op, dtype, dims, span)
    }

    /// Adds a node; poison above the limit.
    pub(super) fn node_with_dims(&mut self, op: Op, dtype: DType, dims: DimSet, span: Span) -> Value<'a> {
        if self.stopped {
            return Value::Poison;
        }
        if self.graph.nodes.len() >= MAX_NODES {
            let message = format!(
                "kernel `{}` has more than {MAX_NODES} operations, with all functions inlined",
                self.graph.name
            );
            self.stop(Diagnostic::error(codes::TOO_LARGE, span, message));
            return Value::Poison;
        }
        let span = self.user_place(span);
        Value::Node(self.graph.add_with_dims(op, dtype, dims, span))
    }

    fn constant(&mut self, constant: Constant, span: Span) -> Value<'a> {
        self.node(Op::Const(constant), constant.dtype, span)
    }

    /// The node of a value in a dtype that it may have; none for poison.
    pub(super) fn materialize(&mut self, operand: &Operand<'a>, dtype: DType) -> Option<NodeId> {
        let value = match &operand.value {
            Value::Number(number) => self.constant(number.constant(dtype), operand.span),
            Value::Bool(value) => {
                self.constant(Constant::new(DType::Bool, f64::from(u8::from(*value))), operand.span)
            }
            Value::Node(node) => self.convert(*node, dtype, operand.span),
            Value::Tuple(_) | Value::Poison => return None,
        };
        match value {
            Value::Node(node) => Some(node),
            Value::Number(_) | Value::Bool(_) | Value::Tuple(_) | Value::Poison => None,
        }
    }

    /// A node in another dtype. Constants, sizes and selections of constants are made in that dtype at once: they are
    /// numbers without a type, which are rounded when they meet one.
    pub(super) fn convert(&mut self, node: NodeId, dtype: DType, span: Span) -> Value<'a> {
        let source = &self.graph.nodes[node];
        if source.dtype == dtype {
            return Value::Node(node);
        }
        if let Some(between) = between(source.dtype, dtype) {
            return match self.convert(node, between, span) {
                Value::Node(node) => self.convert(node, dtype, span),
                other => other,
            };
        }
        let from_integer = source.dtype == DType::I32 && matches!(dtype, DType::F32 | DType::F64);
        match source.op.clone() {
            Op::Const(constant) if from_integer => {
                self.constant(Constant::new(dtype, constant.value()), span)
            }
            Op::Size(dims) if from_integer => self.node(Op::Size(dims), dtype, span),
            Op::Prim(Prim::Select, args)
                if from_integer && self.is_constant(args[1]) && self.is_constant(args[2]) =>
            {
                let (yes, no) = (self.convert(args[1], dtype, span), self.convert(args[2], dtype, span));
                match (yes, no) {
                    (Value::Node(yes), Value::Node(no)) => {
                        self.node(Op::Prim(Prim::Select, vec![args[0], yes, no]), dtype, span)
                    }
                    _ => Value::Poison,
                }
            }
            _ => {
                self.warn_of_inexact_default(node, dtype);
                self.node(Op::Convert(node), dtype, span)
            }
        }
    }

    fn is_constant(&self, node: NodeId) -> bool {
        matches!(self.graph.nodes[node].op, Op::Const(_))
    }

    /// An `f32` parameter with a default such as 1e-5 is not that number when it widens to `f64`.
    fn warn_of_inexact_default(&mut self, node: NodeId, dtype: DType) {
        let (Op::Param(index), DType::F64) = (&self.graph.nodes[node].op, dtype) else { return };
        let decl = &self.graph.params[*index as usize];
        let (DType::F32, None, Some(default)) = (decl.dtype, &decl.axes, decl.default) else { return };
        // The shortest text of an f32 is what was written; that of the same f64 is longer unless it is exact.
        if (default as f32).to_string() == default.to_string() {
            return;
        }
        let message =
            format!("the default of `{}` is rounded to f32, to {default:e}, and is used in f64", decl.name);
        let warning = Diagnostic::warning(codes::INEXACT_DEFAULT, self.graph.nodes[node].span, message)
            .with_help(format!("declare it as `{}: f64`", decl.name));
        self.report(warning);
    }

    // Functions place by place

    /// A function of values, with what its operands become.
    pub(super) fn apply(&mut self, prim: Prim, args: Vec<Operand<'a>>, span: Span) -> Value<'a> {
        if !self.all_values(&args) {
            return Value::Poison;
        }
        match prim.typing() {
            Typing::Logic => return self.logic(prim, args, span),
            Typing::Number | Typing::Float | Typing::Compare => {}
            Typing::Select | Typing::Integer | Typing::Encode | Typing::Decode => {
                panic!("`{prim}` is not a function of the language")
            }
        }
        if let Some(bad) = args.iter().position(|arg| self.dtype_of(arg) == Some(DType::Bool)) {
            return self.report_bool(prim, &args[bad]);
        }
        if let Some(folded) = self.fold(prim, &args, span) {
            return folded;
        }
        if prim == Prim::Pow {
            return self.power(args, span);
        }
        if let (Prim::Mul, [left, right]) = (prim, &args[..])
            && let Some(size) = self.product_of_sizes(left, right, span)
        {
            return size;
        }
        let keep_integers = prim.typing() != Typing::Float;
        let Some((dtype, nodes)) = self.unify(&args, keep_integers) else { return Value::Poison };
        let result = if prim.typing() == Typing::Compare { DType::Bool } else { dtype };
        self.node(Op::Prim(prim, nodes), result, span)
    }

    /// The function of numbers that are known while compiling.
    fn fold(&mut self, prim: Prim, args: &[Operand<'a>], span: Span) -> Option<Value<'a>> {
        let numbers: Option<Vec<Number>> = args.iter().map(number_of).collect();
        let numbers = numbers?;
        // An exponential that may overflow is kept: there may be another one to divide it by.
        if prim == Prim::Exp && self.constants == 0 && numbers[0].value().abs() > 80.0 {
            return None;
        }
        if let [a, b] = numbers[..]
            && let Some(result) = number::compare(prim, a, b)
        {
            return Some(Value::Bool(result));
        }
        match number::fold(prim, &numbers) {
            Ok(result) => result.map(Value::Number),
            Err(number::Overflow) => {
                let error =
                    Diagnostic::error(codes::INTEGER_OVERFLOW, span, "this integer does not fit in 64 bits")
                        .with_note(
                            "integers are exact; write one of the numbers with a point to compute in f64",
                        );
                self.report(error);
                Some(Value::Poison)
            }
        }
    }

    /// `size(n) * size(h)` is a size, and exact in whatever dtype it meets.
    fn product_of_sizes(&mut self, left: &Operand<'a>, right: &Operand<'a>, span: Span) -> Option<Value<'a>> {
        let size = |operand: &Operand<'a>| match &operand.value {
            Value::Node(node) => match self.graph.nodes[*node].op {
                Op::Size(dims) if self.graph.nodes[*node].dtype == DType::I32 => Some(dims),
                _ => None,
            },
            _ => None,
        };
        let (left, right) = (size(left)?, size(right)?);
        left.intersection(right).is_empty().then(|| self.node(Op::Size(left.union(right)), DType::I32, span))
    }

    /// An operator of the text.
    pub(super) fn binary(
        &mut self,
        op: BinaryOp,
        lhs: Operand<'a>,
        rhs: Operand<'a>,
        span: Span,
    ) -> Value<'a> {
        let prim = match op {
            BinaryOp::Or => Prim::Or,
            BinaryOp::And => Prim::And,
            BinaryOp::Eq => Prim::Eq,
            BinaryOp::Ne => Prim::Ne,
            BinaryOp::Lt => Prim::Lt,
            BinaryOp::Le => Prim::Le,
            BinaryOp::Gt => Prim::Gt,
            BinaryOp::Ge => Prim::Ge,
            BinaryOp::Add => Prim::Add,
            BinaryOp::Sub => Prim::Sub,
            BinaryOp::Mul => Prim::Mul,
            BinaryOp::Div => Prim::Div,
            BinaryOp::Pow => Prim::Pow,
        };
        self.apply(prim, vec![lhs, rhs], span)
    }

    /// `x ^ n`: products for a whole constant exponent, else `pow`.
    fn power(&mut self, args: Vec<Operand<'a>>, span: Span) -> Value<'a> {
        let exponent = number_of(&args[1]);
        let whole = exponent.and_then(Number::whole).filter(|n| n.abs() <= MAX_POWER);
        let half = exponent.is_some_and(|exponent| exponent.value() == 0.5);
        if whole.is_none() && !half {
            let Some((dtype, nodes)) = self.unify(&args, false) else { return Value::Poison };
            return self.node(Op::Prim(Prim::Pow, nodes), dtype, span);
        }
        let Some((dtype, nodes)) = self.unify(&args[..1], false) else { return Value::Poison };
        let base = nodes[0];
        let Some(whole) = whole else { return self.node(Op::Prim(Prim::Sqrt, vec![base]), dtype, span) };
        let Some(product) = self.product(base, whole.unsigned_abs(), dtype, span) else {
            return Value::Poison;
        };
        if whole >= 0 {
            return Value::Node(product);
        }
        let Value::Node(one) = self.constant(Constant::new(dtype, 1.0), span) else { return Value::Poison };
        self.node(Op::Prim(Prim::Div, vec![one, product]), dtype, span)
    }

    /// `base` to a whole power, by squaring from the lowest bit: `x^3 = x * (x * x)`.
    fn product(&mut self, base: NodeId, mut exponent: u64, dtype: DType, span: Span) -> Option<NodeId> {
        let node = |value: Value<'a>| if let Value::Node(node) = value { Some(node) } else { None };
        if exponent == 0 {
            let one = node(self.constant(Constant::new(dtype, 1.0), span))?;
            return node(self.broadcast(one, self.graph.nodes[base].dims, span));
        }
        let (mut square, mut product) = (base, None);
        loop {
            if exponent & 1 == 1 {
                product = Some(match product {
                    None => square,
                    Some(product) => {
                        node(self.node(Op::Prim(Prim::Mul, vec![product, square]), dtype, span))?
                    }
                });
            }
            exponent >>= 1;
            if exponent == 0 {
                return product;
            }
            square = node(self.node(Op::Prim(Prim::Mul, vec![square, square]), dtype, span))?;
        }
    }

    /// A value repeated along dimensions, as far as it lacks them.
    pub(super) fn broadcast(&mut self, node: NodeId, dims: DimSet, span: Span) -> Value<'a> {
        let (has, dtype) = (self.graph.nodes[node].dims, self.graph.nodes[node].dtype);
        if dims.is_subset(has) {
            return Value::Node(node);
        }
        self.node_with_dims(Op::Broadcast(node), dtype, has.union(dims), span)
    }

    /// `&&`, `||`, `!`.
    fn logic(&mut self, prim: Prim, args: Vec<Operand<'a>>, span: Span) -> Value<'a> {
        if let Some(bad) = args.iter().find(|arg| self.dtype_of(arg) != Some(DType::Bool)).cloned() {
            let message = format!("`{}` needs conditions, but this is {}", symbol(prim), self.describe(&bad));
            let error = Diagnostic::error(codes::NOT_A_CONDITION, bad.span, message);
            let error = self.with_comparison_fix(error, &bad, prim == Prim::Not);
            self.report(error);
            return Value::Poison;
        }
        match (prim, &args[..]) {
            (Prim::Not, [Operand { value: Value::Bool(value), .. }]) => return Value::Bool(!value),
            (Prim::And | Prim::Or, [Operand { value: Value::Bool(value), .. }, other])
            | (Prim::And | Prim::Or, [other, Operand { value: Value::Bool(value), .. }]) => {
                // `true && c` and `false || c` are `c`; otherwise the constant decides.
                return if *value == (prim == Prim::And) { other.value.clone() } else { Value::Bool(*value) };
            }
            _ => {}
        }
        let nodes: Option<Vec<NodeId>> = args.iter().map(|arg| self.materialize(arg, DType::Bool)).collect();
        let Some(nodes) = nodes else { return Value::Poison };
        self.node(Op::Prim(prim, nodes), DType::Bool, span)
    }

    /// `if cond { yes } else { no }`.
    pub(super) fn select(
        &mut self,
        cond: Operand<'a>,
        yes: Operand<'a>,
        no: Operand<'a>,
        span: Span,
    ) -> Value<'a> {
        if let Value::Bool(value) = cond.value {
            return if value { yes.value } else { no.value };
        }
        if matches!(cond.value, Value::Poison) || !self.check_condition(&cond) {
            return Value::Poison;
        }
        match (&yes.value, &no.value) {
            (Value::Poison, _) | (_, Value::Poison) => Value::Poison,
            (Value::Tuple(left), Value::Tuple(right)) => {
                self.select_fields(&cond, (&yes, left), (&no, right), span)
            }
            (Value::Tuple(_), _) | (_, Value::Tuple(_)) => {
                let tuple = if matches!(yes.value, Value::Tuple(_)) { &yes } else { &no };
                let error =
                    Diagnostic::error(codes::BRANCHES, tuple.span, "one side is a tuple, the other is not");
                self.report(error);
                Value::Poison
            }
            _ => self.select_values(&cond, yes, no, span),
        }
    }

    pub(super) fn check_condition(&mut self, cond: &Operand<'a>) -> bool {
        if self.dtype_of(cond) == Some(DType::Bool) {
            return true;
        }
        let message = format!("a condition must be true or false, but this is {}", self.describe(cond));
        let error = Diagnostic::error(codes::NOT_A_CONDITION, cond.span, message);
        let error = self.with_comparison_fix(error, cond, false);
        self.report(error);
        false
    }

    /// `tight`: what stands before it binds tighter than a comparison.
    fn with_comparison_fix(&self, error: Diagnostic, value: &Operand<'a>, tight: bool) -> Diagnostic {
        let text = self.session.sources.snippet(value.span);
        if text.is_empty() || text.len() > 40 || matches!(value.value, Value::Tuple(_)) {
            return error;
        }
        let simple = text.chars().all(|c| c.is_alphanumeric() || c == '_');
        let text = if simple || text.ends_with(')') && text.starts_with('(') {
            text.to_owned()
        } else {
            format!("({text})")
        };
        let new = if tight { format!("({text} != 0)") } else { format!("{text} != 0") };
        error.with_fix("compare it with zero", value.span, new)
    }

    fn select_fields(
        &mut self,
        cond: &Operand<'a>,
        (yes, left): (&Operand<'a>, &Rc<Vec<(&'a str, Value<'a>)>>),
        (no, right): (&Operand<'a>, &Rc<Vec<(&'a str, Value<'a>)>>),
        span: Span,
    ) -> Value<'a> {
        let same = left.len() == right.len()
            && left.iter().all(|(name, _)| right.iter().any(|(other, _)| other == name));
        if !same {
            let error =
                Diagnostic::error(codes::BRANCHES, no.span, "the two sides are tuples with different fields")
                    .with_other(yes.span, "the other side");
            self.report(error);
            return Value::Poison;
        }
        let mut fields = Vec::with_capacity(left.len());
        for (name, value) in left.iter() {
            let Some((_, other)) = right.iter().find(|(other, _)| other == name) else { continue };
            let yes = Operand { value: value.clone(), span: yes.span };
            let no = Operand { value: other.clone(), span: no.span };
            fields.push((*name, self.select(cond.clone(), yes, no, span)));
        }
        Value::Tuple(Rc::new(fields))
    }

    fn select_values(
        &mut self,
        cond: &Operand<'a>,
        yes: Operand<'a>,
        no: Operand<'a>,
        span: Span,
    ) -> Value<'a> {
        let bools = [&yes, &no].map(|side| self.dtype_of(side) == Some(DType::Bool));
        let sides = match bools {
            [false, false] => self.unify(&[yes, no], true),
            [true, true] => {
                let (left, right) = (self.materialize(&yes, DType::Bool), self.materialize(&no, DType::Bool));
                left.zip(right).map(|(left, right)| (DType::Bool, vec![left, right]))
            }
            [..] => {
                let (left, right) = (self.type_text(&yes.value), self.type_text(&no.value));
                let message = format!("the two sides have no common dtype: `{left}` and `{right}`");
                let error = Diagnostic::error(codes::BRANCHES, no.span, message)
                    .with_other(yes.span, "the other side");
                self.report(error);
                None
            }
        };
        let (Some((dtype, sides)), Value::Node(cond)) = (sides, &cond.value) else { return Value::Poison };
        self.node(Op::Prim(Prim::Select, vec![*cond, sides[0], sides[1]]), dtype, span)
    }

    /// The one dtype that all operands take, and their nodes in it. The operands are values and not bool.
    pub(super) fn unify(
        &mut self,
        args: &[Operand<'a>],
        keep_integers: bool,
    ) -> Option<(DType, Vec<NodeId>)> {
        let dtypes = args.iter().filter_map(|arg| match &arg.value {
            Value::Node(node) => Some(self.graph.nodes[*node].dtype.arithmetic()),
            _ => None,
        });
        let float = dtypes.filter(|dtype| dtype.is_float()).max();
        let fraction = args.iter().any(|arg| matches!(arg.value, Value::Number(Number::Float { .. })));
        let dtype = match float {
            Some(dtype) => dtype,
            None if keep_integers && !fraction => DType::I32,
            None => self.arithmetic,
        };
        if dtype == DType::I32 {
            let large = |arg: &&Operand<'a>| {
                number_of(arg).and_then(Number::whole).is_some_and(|n| i32::try_from(n).is_err())
            };
            if let Some(large) = args.iter().find(large) {
                self.report_not_i32(large.span);
                return None;
            }
        }
        let nodes: Option<Vec<NodeId>> = args.iter().map(|arg| self.materialize(arg, dtype)).collect();
        nodes.map(|nodes| (dtype, nodes))
    }

    /// `sum[d](x)`.
    pub(super) fn reduce(
        &mut self,
        reduction: Reduction,
        value: &Operand<'a>,
        dims: &[(DimId, Span)],
        span: Span,
    ) -> Value<'a> {
        let set: DimSet = dims.iter().map(|(dim, _)| *dim).collect();
        let spans: Vec<Span> = dims.iter().map(|(_, span)| *span).collect();
        let Some(node) = self.array_with(value, set, &spans) else { return Value::Poison };
        let dtype = self.graph.nodes[node].dtype.arithmetic();
        let Value::Node(node) = self.convert(node, dtype, value.span) else { return Value::Poison };
        if dtype == DType::Bool {
            let message = format!("`{reduction}` needs numbers, but this is {}", self.describe(value));
            let error = Diagnostic::error(codes::BOOL_OPERAND, value.span, message)
                .with_help("`count`, `any` and `all` reduce conditions");
            self.report(error);
            return Value::Poison;
        }
        self.node(Op::Reduce { reduction, args: vec![node], dims: set }, dtype, span)
    }

    /// The node of a value that must have all of these dimensions. `spans` are the places of their names.
    pub(super) fn array_with(&mut self, value: &Operand<'a>, dims: DimSet, spans: &[Span]) -> Option<NodeId> {
        if !self.all_values(std::slice::from_ref(value)) {
            return None;
        }
        let has = match &value.value {
            Value::Node(node) => self.graph.nodes[*node].dims,
            _ => DimSet::EMPTY,
        };
        let missing = dims.difference(has);
        if missing.is_empty() {
            return match &value.value {
                Value::Node(node) => Some(*node),
                _ => None,
            };
        }
        let names = self.dim_list(missing);
        let verb = if missing.len() == 1 { "is not a dimension" } else { "are not dimensions" };
        let message = format!("{names} {verb} of {}", self.describe(value));
        let place = match spans {
            [one] => *one,
            _ => spans.iter().fold(Span::NONE, |all, span| all.to(*span)),
        };
        let mut error =
            Diagnostic::error(codes::NOT_ITS_DIM, place, message).with_other(value.span, "this value");
        error = if has.is_empty() {
            error.with_note("it is one number, without dimensions")
        } else {
            error.with_note(format!("its dimensions are {}", self.dim_list(has)))
        };
        if let Some((dim, _)) = self.steps.iter().find(|(dim, _)| missing.contains(*dim)) {
            let name = &self.graph.dims[*dim].name;
            error = error
                .with_note(format!("the steps go along `{name}`: a value that has it is read at the step"));
        }
        self.report(error);
        None
    }

    // What values are, and how messages call them

    /// Whether all are values; the message about a tuple is given.
    pub(super) fn all_values(&mut self, args: &[Operand<'a>]) -> bool {
        if let Some(tuple) = args.iter().find(|arg| matches!(arg.value, Value::Tuple(_))) {
            let error = Diagnostic::error(codes::TUPLE, tuple.span, "this is a tuple, not a value")
                .with_help("take one of its fields: `t.name`");
            self.report(error);
            return false;
        }
        !args.iter().any(|arg| matches!(arg.value, Value::Poison))
    }

    /// The dtype of a value, if it has one.
    pub(super) fn dtype_of(&self, operand: &Operand<'a>) -> Option<DType> {
        match &operand.value {
            Value::Node(node) => Some(self.graph.nodes[*node].dtype),
            Value::Bool(_) => Some(DType::Bool),
            Value::Number(_) | Value::Tuple(_) | Value::Poison => None,
        }
    }

    fn report_bool(&mut self, prim: Prim, arg: &Operand<'a>) -> Value<'a> {
        let message = format!("`{}` needs numbers, but this is {}", symbol(prim), self.describe(arg));
        let text = self.session.sources.snippet(arg.span);
        let mut error = Diagnostic::error(codes::BOOL_OPERAND, arg.span, message);
        if !text.is_empty() && text.len() <= 40 {
            let inner = text.strip_prefix('(').and_then(|text| text.strip_suffix(')')).unwrap_or(text);
            error = error.with_fix("say which numbers are meant", arg.span, format!("f32({inner})"));
        }
        self.report(error);
        Value::Poison
    }

    /// The message about an integer that meets `i32` values and does not fit.
    pub(super) fn report_not_i32(&mut self, span: Span) {
        let error = Diagnostic::error(codes::INTEGER_OVERFLOW, span, "this integer does not fit in i32")
            .with_note("what is computed with i32, positions too, is between -2^31 and 2^31 - 1")
            .with_help("write it with a point to compute with floats");
        self.report(error);
    }

    /// The message about an integer that is a result and does not fit.
    pub(super) fn report_does_not_fit(&mut self, dtype: DType, span: Span) {
        if dtype == DType::I32 {
            return self.report_not_i32(span);
        }
        let message = format!("this integer does not fit in {dtype}");
        self.report(Diagnostic::error(codes::INTEGER_OVERFLOW, span, message));
    }

    /// A value's type as the text writes it: `f32[n, d]`.
    pub(super) fn type_text(&self, value: &Value<'a>) -> String {
        match value {
            Value::Number(Number::Int(_)) => "an integer".to_owned(),
            Value::Number(Number::Float { .. }) => "a number".to_owned(),
            Value::Bool(_) => "bool".to_owned(),
            Value::Tuple(_) => "a tuple".to_owned(),
            Value::Poison => "unknown".to_owned(),
            Value::Node(node) => {
                let node = &self.graph.nodes[*node];
                let names: Vec<&str> =
                    node.dims.iter().map(|dim| self.graph.dims[dim].name.as_str()).collect();
                if names.is_empty() {
                    node.dtype.to_string()
                } else {
                    format!("{}[{}]", node.dtype, names.join(", "))
                }
            }
        }
    }

    /// A value for a message, with its text where that is short: "`m: f32[n]`".
    pub(super) fn describe(&self, operand: &Operand<'a>) -> String {
        let text = self.session.sources.snippet(operand.span);
        let kind = self.type_text(&operand.value);
        let short = !text.is_empty() && text.len() <= 32 && !text.contains('\n');
        match &operand.value {
            Value::Node(_) | Value::Bool(_) if short => format!("`{text}: {kind}`"),
            Value::Node(_) | Value::Bool(_) => format!("`{kind}`"),
            Value::Number(_) if short => format!("the number `{text}`"),
            Value::Number(_) | Value::Tuple(_) | Value::Poison => kind,
        }
    }

    /// Dimensions for a message: "`n` and `d`".
    pub(super) fn dim_list(&self, dims: DimSet) -> String {
        let names: Vec<&str> = dims.iter().map(|dim| self.graph.dims[dim].name.as_str()).collect();
        super::list(names.into_iter())
    }

    // Messages

    /// The user's text that led to a place: itself, or the call that led into the prelude.
    pub(super) fn user_place(&self, span: Span) -> Span {
        if !prelude::holds(span) {
            return span;
        }
        let calls = self.frames.iter().rev().map(|frame| frame.call);
        calls.into_iter().find(|call| !prelude::holds(*call)).unwrap_or(Span::NONE)
    }

    /// Reports a message. What happens inside the prelude is said of the user's call into it.
    pub(super) fn report(&mut self, mut diagnostic: Diagnostic) {
        let place = self.user_place(diagnostic.span);
        if place != diagnostic.span {
            diagnostic.span = place;
            diagnostic.labels.retain(|label| !prelude::holds(label.span));
            diagnostic.help.retain(|help| help.replacement.is_none());
            if let Some(function) = self.entered_prelude() {
                diagnostic = diagnostic.with_label(format!("inside `{function}` of the prelude"));
            }
        } else if let Some(frame) = self.frames.last().filter(|frame| frame.function.is_some()) {
            let call = self.user_place(frame.call);
            diagnostic = diagnostic.with_other(call, "in this call");
        }
        self.session.report(diagnostic);
    }

    /// The function of the prelude that the user's text calls, if a call into the prelude is under way.
    fn entered_prelude(&self) -> Option<&'a str> {
        let entered = self.frames.iter().find(|frame| frame.in_prelude)?;
        entered.function.map(|function| function.name.as_str())
    }
}

/// The dtype by which a conversion goes, if it takes two steps: what memory holds becomes its arithmetic dtype, and an integer or
/// a condition the arithmetic dtype of what it shall be held as.
fn between(from: DType, to: DType) -> Option<DType> {
    (!converts(from, to)).then(|| if from.is_storage() { from.arithmetic() } else { to.arithmetic() })
}

/// The number that an operand is.
pub(super) fn number_of(operand: &Operand<'_>) -> Option<Number> {
    match operand.value {
        Value::Number(number) => Some(number),
        Value::Bool(_) | Value::Node(_) | Value::Tuple(_) | Value::Poison => None,
    }
}

/// A function as the text writes it.
fn symbol(prim: Prim) -> &'static str {
    let operators = [
        (Prim::Add, "+"),
        (Prim::Sub, "-"),
        (Prim::Mul, "*"),
        (Prim::Div, "/"),
        (Prim::Pow, "^"),
        (Prim::Neg, "-"),
        (Prim::Eq, "=="),
        (Prim::Ne, "!="),
        (Prim::Lt, "<"),
        (Prim::Le, "<="),
        (Prim::Gt, ">"),
        (Prim::Ge, ">="),
        (Prim::And, "&&"),
        (Prim::Or, "||"),
        (Prim::Not, "!"),
    ];
    operators.iter().find(|(operator, _)| *operator == prim).map_or(prim.name(), |(_, symbol)| symbol)
}
