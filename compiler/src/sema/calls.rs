//! Calls: built-in functions, and functions of the user and of the prelude, which are inlined.

use std::rc::Rc;

use super::builtin::{self, Builtin};
use super::filter::Found;
use super::infer::number_of;
use super::items::Items;
use super::lower::{DimBinding, Frame, Lowerer, Operand, Value};
use super::number::Number;
use super::repeat::Along;
use super::{MAX_UNROLLED_SIZE, dims, prelude, suggest};
use crate::diag::{Diagnostic, Span, codes};
use crate::graph::{NodeId, Op};
use crate::ops::{Prim, Reduction};
use crate::syntax::ast::{self, DimArg, Expr, ExprKind};
use crate::types::{DType, DimId, DimKind, DimSet};

/// The highest degree of a polynomial that is evaluated by Horner's rule; above it, by Estrin's.
const MAX_HORNER: usize = 4;

/// What a call calls.
#[derive(Clone, Copy, Debug)]
pub(super) enum Callee<'a> {
    /// A function, and whether it is the prelude's.
    Function(&'a ast::FnDecl, bool),
    /// A `reduction`, and whether it is the prelude's.
    Reduction(&'a ast::ReductionDecl, bool),
    /// A built-in function.
    Builtin(Builtin),
}

/// The function of that name, with or without dimensions in brackets: the user's before the prelude's before the
/// built-in ones. The prelude does not see the user's.
pub(super) fn callee<'a>(
    items: &Items<'a>,
    in_prelude: bool,
    name: &str,
    with_dims: bool,
) -> Option<Callee<'a>> {
    let user = if in_prelude { None } else { items.functions.get(&(name, with_dims)) };
    if let Some(function) = user {
        return Some(Callee::Function(function, false));
    }
    if with_dims {
        let user = if in_prelude { None } else { items.reductions.get(name) };
        let found = user.map(|reduction| Callee::Reduction(reduction, false));
        // Those of the prelude serve its functions only.
        let found = found.or_else(|| match in_prelude {
            true => prelude::reduction(name).map(|reduction| Callee::Reduction(reduction, true)),
            false => None,
        });
        if found.is_some() {
            return found;
        }
    }
    match prelude::function(name, with_dims) {
        Some(function) => Some(Callee::Function(function, true)),
        None => builtin::find(name, with_dims).map(Callee::Builtin),
    }
}

/// For each parameter of a function, the argument that a call gives it. Mistakes have their message from `resolve`.
pub(super) fn bind_args<'a>(function: &ast::FnDecl, args: &'a [ast::Arg]) -> Vec<Option<&'a Expr>> {
    let mut bound: Vec<Option<&'a Expr>> = vec![None; function.params.len()];
    for (at, arg) in args.iter().enumerate() {
        let place = match &arg.name {
            None => Some(at),
            Some(name) => function.params.iter().position(|param| param.name.name == name.name),
        };
        if let Some(slot) = place.and_then(|place| bound.get_mut(place)) {
            slot.get_or_insert(&arg.value);
        }
    }
    bound
}

impl<'a> Lowerer<'_, 'a> {
    /// The value of a call.
    pub(super) fn call(&mut self, call: &'a ast::Call, span: Span) -> Value<'a> {
        let in_prelude = self.in_prelude();
        match callee(&self.session.items, in_prelude, &call.callee.name, call.dims.is_some()) {
            Some(Callee::Function(function, prelude)) => self.inline(function, prelude, call, span),
            Some(Callee::Reduction(decl, prelude)) => self.reduction_call(decl, prelude, call, span),
            Some(Callee::Builtin(builtin)) => self.builtin(builtin, call, span),
            None => {
                // `resolve` has said so; the arguments may hold further mistakes.
                call.args.iter().for_each(|arg| drop(self.expr(&arg.value)));
                Value::Poison
            }
        }
    }

    // Inlining

    fn inline(
        &mut self,
        function: &'a ast::FnDecl,
        in_prelude: bool,
        call: &'a ast::Call,
        span: Span,
    ) -> Value<'a> {
        let recursive = self
            .frames
            .iter()
            .any(|frame| frame.function.is_some_and(|active| std::ptr::eq(active, function)));
        if recursive {
            return Value::Poison;
        }
        let mut frame = Frame::new(Some(function), in_prelude, span);
        let bound_dims = match &call.dims {
            Some(dims) => self.bind_dims(function, dims, &mut frame),
            None => true,
        };
        let filter = if bound_dims { self.filter_of(call, &frame) } else { Found::None };
        let args = bind_args(function, &call.args);
        let mut values = Vec::with_capacity(args.len());
        for arg in args {
            values.push(arg.map(|arg| self.expr(arg)));
        }
        match filter {
            Found::None if bound_dims => {}
            Found::Some(filter) => frame.filter = Some(filter),
            Found::None | Found::Poison => return Value::Poison,
        }
        self.frames.push(frame);
        for (param, value) in function.params.iter().zip(values) {
            let value = match (value, &param.default) {
                (Some(value), _) => value,
                (None, Some(default)) => self.expr(default),
                (None, None) => Value::Poison,
            };
            self.frame().bind(param.name.as_str(), value);
        }
        let value = match &function.body {
            ast::Body::Block(block) => self.block(block),
            ast::Body::Expr(expr) => self.expr(expr),
        };
        self.frames.pop();
        value
    }

    /// The filter that a function is called with: its own, or that of the function that calls it if it is over the same
    /// dimensions.
    fn filter_of(&mut self, call: &'a ast::Call, frame: &Frame<'a>) -> Found {
        let Some(brackets) = &call.dims else { return Found::None };
        let mut dims = DimSet::EMPTY;
        for binding in frame.dims.values() {
            match binding {
                DimBinding::Dims(list) => dims = dims.union(list.iter().copied().collect()),
                DimBinding::Unknown(_) | DimBinding::Poison => return Found::None,
            }
        }
        if brackets.filter.is_none() {
            return self.active_filter(dims).map_or(Found::None, Found::Some);
        }
        // `resolve` has given the message about a function that takes none.
        if !prelude::takes_filter(call.callee.as_str()) {
            return Found::Poison;
        }
        self.filter(Some(brackets), dims)
    }

    /// Binds a function's dimensions to those in the brackets of a call; the last one takes all that are left.
    fn bind_dims(
        &mut self,
        function: &'a ast::FnDecl,
        given: &'a ast::CallDims,
        frame: &mut Frame<'a>,
    ) -> bool {
        let (wanted, count) = (function.dims.len(), given.dims.len());
        if count < wanted {
            let names: Vec<&str> = function.dims.iter().map(|dim| dim.as_str()).collect();
            let message = format!(
                "`{}` needs {wanted} dimensions, `[{}]`, but is given {count}",
                function.name.name,
                names.join(", ")
            );
            self.report(Diagnostic::error(codes::DIM_COUNT, given.span, message));
            return false;
        }
        let mut whole = true;
        for (at, dim) in function.dims.iter().enumerate() {
            let last = at + 1 == wanted;
            let part = if last { &given.dims[at..] } else { &given.dims[at..=at] };
            let binding = match part {
                [DimArg::Dim(name)] => self.dim_binding(name),
                part => self
                    .dim_args(part)
                    .map(|dims| DimBinding::Dims(dims.iter().map(|(dim, _)| *dim).collect())),
            };
            match binding {
                Some(binding) => drop(frame.dims.insert(dim.as_str(), binding)),
                None => whole = false,
            }
        }
        whole
    }

    // Dimensions

    /// What the name of a dimension stands for here; none where `resolve` has given the message.
    fn dim_binding(&mut self, name: &'a ast::Ident) -> Option<DimBinding<'a>> {
        if let Some(binding) = self.frame().dims.get(name.as_str()) {
            return Some(binding.clone());
        }
        if self.frame().function.is_some() || self.frame().is_part {
            return None;
        }
        Some(match self.dim_names.get(name.as_str()) {
            Some(&dim) => DimBinding::Dims(Rc::from([dim])),
            None => DimBinding::Unknown(name),
        })
    }

    /// Whether a name stands for a dimension here.
    pub(super) fn knows_dim(&mut self, name: &ast::Ident) -> bool {
        let frame = self.frame();
        let in_kernel = frame.function.is_none() && !frame.is_part;
        let known = frame.dims.contains_key(name.as_str());
        known || in_kernel && self.dim_names.contains_key(name.as_str())
    }

    /// The dimensions that a name stands for: one, or the list that a function was given.
    fn dim(&mut self, name: &'a ast::Ident) -> Option<Rc<[DimId]>> {
        match self.dim_binding(name)? {
            DimBinding::Dims(dims) => Some(dims),
            DimBinding::Poison => None,
            DimBinding::Unknown(unknown) => {
                // `stack` may have made it after the function's frame was set up.
                if let Some(&dim) = self.dim_names.get(unknown.as_str()) {
                    return Some(Rc::from([dim]));
                }
                self.report_unknown_dim(unknown);
                None
            }
        }
    }

    fn report_unknown_dim(&mut self, name: &ast::Ident) {
        let message = format!("kernel `{}` has no dimension `{}`", self.graph.name, name.name);
        let mut error = Diagnostic::error(codes::UNKNOWN_DIM, name.span, message);
        let known: Vec<&str> = self
            .graph
            .dims
            .values()
            .map(|dim| dim.name.as_str())
            .filter(|name| *name != dims::REST)
            .collect();
        error = match suggest::nearest(&name.name, known.iter().copied()) {
            Some(near) => error.with_fix(format!("did you mean `{near}`?"), name.span, near),
            None if known.is_empty() => {
                error.with_note("dimensions are named in the types of parameters and results")
            }
            None => error.with_note(format!("its dimensions are {}", super::list(known.into_iter()))),
        };
        self.report(error);
    }

    /// The one dimension that a name stands for.
    pub(super) fn one_dim(&mut self, name: &'a ast::Ident, what: &str) -> Option<DimId> {
        let dims = self.dim(name)?;
        if let [dim] = dims[..] {
            return Some(dim);
        }
        let message = format!(
            "{what} needs one dimension, but `{}` stands for {}",
            name.name,
            self.dim_list(dims.iter().copied().collect())
        );
        self.report(Diagnostic::error(codes::DIM_LIST, name.span, message));
        None
    }

    /// The dimensions in the brackets of a call, each once.
    fn dim_args(&mut self, args: &'a [DimArg]) -> Option<Vec<(DimId, Span)>> {
        let mut dims: Vec<(DimId, Span)> = Vec::new();
        let mut whole = true;
        for arg in args {
            let found = match arg {
                DimArg::Dim(name) => self.dim(name),
                DimArg::Rest(span) => self.rest_dim(*span),
            };
            whole &= found.is_some();
            for &dim in found.iter().flat_map(|dims| dims.iter()) {
                if dims.iter().any(|(other, _)| *other == dim) {
                    let message = format!("the dimension `{}` stands here twice", self.graph.dims[dim].name);
                    self.report(Diagnostic::error(codes::REPEATED_DIM, arg.span(), message));
                    whole = false;
                } else {
                    dims.push((dim, arg.span()));
                }
            }
        }
        whole.then_some(dims)
    }

    fn rest_dim(&mut self, span: Span) -> Option<Rc<[DimId]>> {
        if self.frame().function.is_some() || self.frame().is_part {
            return None;
        }
        let found = self.dim_names.get(dims::REST).copied();
        if found.is_none() {
            let message = format!("kernel `{}` has no leading axes `..`", self.graph.name);
            self.report(Diagnostic::error(codes::UNKNOWN_DIM, span, message));
        }
        found.map(|dim| Rc::from([dim]))
    }

    // Built-in functions

    fn builtin(&mut self, builtin: Builtin, call: &'a ast::Call, span: Span) -> Value<'a> {
        let (least, most) = builtin.arity();
        let filtered = call.dims.as_ref().is_some_and(|dims| dims.filter.is_some());
        let filterless = filtered && !matches!(builtin, Builtin::Reduce(_));
        let wrong =
            call.args.iter().any(|arg| arg.name.is_some()) || !(least..=most).contains(&call.args.len());
        if matches!(builtin, Builtin::Index | Builtin::Size) {
            return if wrong { Value::Poison } else { self.position_or_size(builtin, call, span) };
        }
        if builtin == Builtin::PolyList {
            return if wrong { Value::Poison } else { self.poly_list(call, span) };
        }
        if let Builtin::Scan(reduction) = builtin {
            return self.scan(reduction, call, span);
        }
        let mut args: Vec<Operand<'a>> = Vec::with_capacity(call.args.len());
        for arg in &call.args {
            args.push(self.operand(&arg.value));
        }
        if wrong || filterless {
            return Value::Poison;
        }
        match builtin {
            Builtin::Prim(prim) => self.apply(prim, args, span),
            Builtin::Convert(dtype) => self.conversion(dtype, &args[0], span),
            Builtin::Reduce(reduction) => self.reduction(reduction, call, &args[0], span),
            Builtin::Broadcast => self.broadcast_call(call, &args[0], span),
            Builtin::Stack => self.stack(call, args, span),
            Builtin::Poly => self.poly(call, &args[0], &args[1], span),
            Builtin::KthLargest | Builtin::TopkMask | Builtin::Sort => self.order(builtin, call, &args, span),
            Builtin::Index | Builtin::Size | Builtin::PolyList | Builtin::Scan(_) | Builtin::NotYet => {
                Value::Poison
            }
        }
    }

    pub(super) fn call_dims(&mut self, call: &'a ast::Call) -> Option<Vec<(DimId, Span)>> {
        self.dim_args(&call.dims.as_ref()?.dims)
    }

    fn reduction(
        &mut self,
        reduction: Reduction,
        call: &'a ast::Call,
        value: &Operand<'a>,
        span: Span,
    ) -> Value<'a> {
        match self.call_dims(call) {
            Some(dims) => {
                let set = dims.iter().map(|(dim, _)| *dim).collect();
                let filter = match self.filter(call.dims.as_ref(), set) {
                    Found::None => self.active_filter(set),
                    Found::Some(filter) => Some(filter),
                    Found::Poison => return Value::Poison,
                };
                let value = match filter {
                    Some(filter) => self.filtered(reduction, value.clone(), filter, span),
                    None => value.clone(),
                };
                self.reduce(reduction, &value, &dims, span)
            }
            None => Value::Poison,
        }
    }

    /// `f32(x)`
    fn conversion(&mut self, dtype: DType, arg: &Operand<'a>, span: Span) -> Value<'a> {
        if !self.all_values(std::slice::from_ref(arg)) {
            return Value::Poison;
        }
        let integer = number_of(arg).and_then(Number::whole);
        if dtype == DType::I32 && integer.is_some_and(|value| i32::try_from(value).is_err()) {
            self.report_not_i32(arg.span);
            return Value::Poison;
        }
        // A number that is not of this dtype passes through one that is, so that the conversion's rule holds.
        let exact = match (&arg.value, dtype) {
            (Value::Number(Number::Float { .. }), DType::I32 | DType::I8 | DType::U8 | DType::Bool) => {
                self.arithmetic
            }
            (Value::Number(Number::Int(_)), DType::Bool) => DType::I32,
            (Value::Bool(_), _) => DType::Bool,
            (Value::Node(node), _) => self.graph.nodes[*node].dtype,
            (Value::Number(_) | Value::Tuple(_) | Value::Poison, _) => dtype,
        };
        match self.materialize(arg, exact) {
            Some(node) => self.convert(node, dtype, span),
            None => Value::Poison,
        }
    }

    /// `index(d)`, `size(d, …)`. The arguments look like values and name dimensions.
    fn position_or_size(&mut self, builtin: Builtin, call: &'a ast::Call, span: Span) -> Value<'a> {
        let mut names: Vec<&'a ast::Ident> = Vec::new();
        for arg in &call.args {
            let ExprKind::Name(name) = &arg.value.kind else { return Value::Poison };
            names.push(name);
        }
        if builtin == Builtin::Index {
            return match self.one_dim(names[0], "`index`") {
                Some(dim) => match self.step_along(dim) {
                    Some(Along::Number(step)) => Value::Number(Number::Int(step)),
                    Some(Along::Loop(repeat)) => self.node(Op::Step(repeat), DType::I32, span),
                    None => self.node(Op::Index(dim), DType::I32, span),
                },
                None => Value::Poison,
            };
        }
        let mut set = DimSet::EMPTY;
        for name in names {
            let Some(dims) = self.dim(name) else { return Value::Poison };
            for &dim in dims.iter() {
                if set.contains(dim) {
                    let message = format!("the dimension `{}` stands here twice", self.graph.dims[dim].name);
                    self.report(Diagnostic::error(codes::REPEATED_DIM, name.span, message));
                    return Value::Poison;
                }
                set = set.with(dim);
            }
        }
        match self.active_filter(set) {
            Some(filter) => self.places(filter, span),
            None => self.size(set, span),
        }
    }

    /// The product of sizes: a number as far as they are known while compiling.
    pub(super) fn size(&mut self, dims: DimSet, span: Span) -> Value<'a> {
        let known = |dim: DimId| self.graph.dims[dim].fixed();
        let unknown: DimSet = dims.iter().filter(|dim| known(*dim).is_none()).collect();
        let product = dims.iter().filter_map(known).try_fold(1i64, i64::checked_mul);
        let Some(product) = product else {
            self.report(Diagnostic::error(
                codes::INTEGER_OVERFLOW,
                span,
                "this product of sizes does not fit in 64 bits",
            ));
            return Value::Poison;
        };
        let number = Operand { value: Value::Number(Number::Int(product)), span };
        if unknown.is_empty() {
            return number.value;
        }
        let size = self.node(Op::Size(unknown), DType::I32, span);
        if product == 1 {
            return size;
        }
        self.apply(Prim::Mul, vec![Operand { value: size, span }, number], span)
    }

    /// `broadcast[d](e)`
    fn broadcast_call(&mut self, call: &'a ast::Call, arg: &Operand<'a>, span: Span) -> Value<'a> {
        let Some(dims) = self.call_dims(call) else { return Value::Poison };
        if !self.all_values(std::slice::from_ref(arg)) {
            return Value::Poison;
        }
        let dtype = match &arg.value {
            Value::Number(Number::Int(value)) if i32::try_from(*value).is_ok() => DType::I32,
            Value::Number(_) => self.arithmetic,
            _ => self.dtype_of(arg).unwrap_or(self.arithmetic),
        };
        match self.materialize(arg, dtype) {
            Some(node) => self.broadcast(node, dims.iter().map(|(dim, _)| *dim).collect(), span),
            None => Value::Poison,
        }
    }

    /// `stack[pair](a, b)`: along a dimension of the kernel, or a new one.
    fn stack(&mut self, call: &'a ast::Call, args: Vec<Operand<'a>>, span: Span) -> Value<'a> {
        let Some(brackets) = &call.dims else { return Value::Poison };
        let [DimArg::Dim(name)] = &brackets.dims[..] else {
            let error = Diagnostic::error(codes::DIM_COUNT, brackets.span, "`stack` makes one dimension")
                .with_help("name it in the brackets: `stack[pair](a, b)`");
            self.report(error);
            return Value::Poison;
        };
        let Some(dim) = self.stack_dim(name, args.len()) else { return Value::Poison };
        if !self.all_values(&args) || !self.check_stack(name, dim, &args) {
            return Value::Poison;
        }
        self.stack_values(dim, args, span)
    }

    /// The values, one at each position of a dimension. They are as many as it has positions, and none has it.
    pub(super) fn stack_values(&mut self, dim: DimId, args: Vec<Operand<'a>>, span: Span) -> Value<'a> {
        let bools = args.iter().filter(|arg| self.dtype_of(arg) == Some(DType::Bool)).count();
        let values: Option<(DType, Vec<NodeId>)> = if bools == args.len() {
            let nodes: Option<Vec<NodeId>> =
                args.iter().map(|arg| self.materialize(arg, DType::Bool)).collect();
            nodes.map(|nodes| (DType::Bool, nodes))
        } else if let Some(dtype) = self.same_storage(&args) {
            let nodes: Option<Vec<NodeId>> = args.iter().map(|arg| self.materialize(arg, dtype)).collect();
            nodes.map(|nodes| (dtype, nodes))
        } else if bools > 0 {
            self.report(Diagnostic::error(
                codes::BRANCHES,
                span,
                "conditions and numbers can't be stacked together",
            ));
            None
        } else {
            self.unify(&args, true)
        };
        match values {
            Some((dtype, values)) => self.node(Op::Stack { dim, values }, dtype, span),
            None => Value::Poison,
        }
    }

    /// The dtype of memory that all values have, so that nothing need be computed to put them side by side.
    fn same_storage(&self, args: &[Operand<'a>]) -> Option<DType> {
        let dtype = self.dtype_of(args.first()?).filter(|dtype| dtype.is_storage())?;
        args.iter().all(|arg| self.dtype_of(arg) == Some(dtype)).then_some(dtype)
    }

    /// The dimension that a stack makes: one that the kernel declares, or one that begins here.
    fn stack_dim(&mut self, name: &'a ast::Ident, count: usize) -> Option<DimId> {
        let unknown = match self.dim_binding(name)? {
            DimBinding::Dims(_) => return self.one_dim(name, "`stack`"),
            DimBinding::Poison => return None,
            DimBinding::Unknown(unknown) => unknown,
        };
        if let Some(&dim) = self.dim_names.get(unknown.as_str()) {
            return Some(dim);
        }
        let size = i64::try_from(count).expect("an argument list is short");
        let dim = self.push_dim(unknown.name.clone(), DimKind::Fixed(size), name.span)?;
        self.dim_names.insert(unknown.as_str(), dim);
        Some(dim)
    }

    fn check_stack(&mut self, name: &ast::Ident, dim: DimId, args: &[Operand<'a>]) -> bool {
        let shown = self.graph.dims[dim].name.clone();
        match self.graph.dims[dim].fixed() {
            None => {
                let message = format!("`stack` needs a dimension of fixed size, and `{shown}` is not");
                let error = Diagnostic::error(codes::NOT_FIXED, name.span, message)
                    .with_help(format!("give it a size in the type: `{shown}={}`", args.len()));
                self.report(error);
                return false;
            }
            Some(size) if size != args.len() as i64 => {
                let message = format!(
                    "the dimension `{shown}` has {size} positions, but {} values are stacked",
                    args.len()
                );
                self.report(Diagnostic::error(codes::STACK_COUNT, name.span, message));
                return false;
            }
            Some(size) if size > MAX_UNROLLED_SIZE => {
                let what = format!("stacking more than {MAX_UNROLLED_SIZE} values");
                self.report(super::items::not_yet(&what, name.span));
                return false;
            }
            Some(_) => {}
        }
        for arg in args {
            if let Value::Node(node) = arg.value
                && self.graph.nodes[node].dims.contains(dim)
            {
                let message =
                    format!("this value has the dimension `{shown}` already: {}", self.describe(arg));
                self.report(Diagnostic::error(codes::DIM_PRESENT, arg.span, message));
                return false;
            }
        }
        true
    }

    /// `poly[i](x, a)`: sum of `a` at `i` times `x ^ i`.
    fn poly(
        &mut self,
        call: &'a ast::Call,
        x: &Operand<'a>,
        coefficients: &Operand<'a>,
        span: Span,
    ) -> Value<'a> {
        let Some(dims) = self.call_dims(call) else { return Value::Poison };
        let [(dim, place)] = dims[..] else {
            self.report(Diagnostic::error(
                codes::DIM_COUNT,
                span,
                "`poly` needs one dimension: that of the coefficients",
            ));
            return Value::Poison;
        };
        let Some(array) = self.array_with(coefficients, DimSet::one(dim), &[place]) else {
            return Value::Poison;
        };
        if !self.all_values(std::slice::from_ref(x)) {
            return Value::Poison;
        }
        let name = self.graph.dims[dim].name.clone();
        let Some(size) = self.graph.dims[dim].fixed().filter(|size| *size <= MAX_UNROLLED_SIZE) else {
            let message = format!(
                "`poly` needs a dimension of fixed size, at most {MAX_UNROLLED_SIZE}, and `{name}` is not"
            );
            self.report(Diagnostic::error(codes::NOT_FIXED, place, message));
            return Value::Poison;
        };
        if let Value::Node(node) = x.value
            && self.graph.nodes[node].dims.contains(dim)
        {
            let message = format!("the argument of `poly` has the dimension `{name}` of the coefficients");
            self.report(Diagnostic::error(codes::DIM_PRESENT, x.span, message));
            return Value::Poison;
        }
        let dtype = self.graph.nodes[array].dtype;
        let mut terms = Vec::new();
        for at in 0..size {
            let value = self.node(Op::Slice { value: array, dim, at: at as u32 }, dtype, span);
            terms.push(Operand { value, span });
        }
        self.polynomial(x, terms, span)
    }

    /// `poly(x, [1, 0.5, 0.25])`: the same with a list of coefficients, which may be any values.
    fn poly_list(&mut self, call: &'a ast::Call, span: Span) -> Value<'a> {
        let x = self.operand(&call.args[0].value);
        // `resolve` has given the message where it is no list.
        let ExprKind::Array(elements) = &call.args[1].value.kind else { return Value::Poison };
        let mut terms = Vec::with_capacity(elements.len());
        for element in elements {
            terms.push(self.operand(element));
        }
        if terms.is_empty() || !self.all_values(&terms) || !self.all_values(std::slice::from_ref(&x)) {
            return Value::Poison;
        }
        if let [only] = &terms[..] {
            return self.like(only, &x, span);
        }
        self.polynomial(&x, terms, span)
    }

    /// A value along the dimensions that another has, too.
    fn like(&mut self, value: &Operand<'a>, other: &Operand<'a>, span: Span) -> Value<'a> {
        let Value::Node(node) = other.value else { return value.value.clone() };
        let (dims, dtype) = (self.graph.nodes[node].dims, self.graph.nodes[node].dtype.arithmetic());
        let dtype = if dtype.is_float() { dtype } else { self.arithmetic };
        let dtype = self.dtype_of(value).filter(|dtype| dtype.is_float()).unwrap_or(dtype);
        match self.materialize(value, dtype) {
            Some(node) => self.broadcast(node, dims, span),
            None => Value::Poison,
        }
    }

    fn polynomial(&mut self, x: &Operand<'a>, terms: Vec<Operand<'a>>, span: Span) -> Value<'a> {
        if terms.len() <= MAX_HORNER + 1 {
            self.horner(x, terms, span)
        } else {
            self.estrin(x.clone(), terms, span)
        }
    }

    /// `((a3 * x + a2) * x + a1) * x + a0`
    fn horner(&mut self, x: &Operand<'a>, terms: Vec<Operand<'a>>, span: Span) -> Value<'a> {
        let mut highest_first = terms.into_iter().rev();
        let mut sum = highest_first.next().expect("a dimension has a position");
        for term in highest_first {
            let value = self.multiply_add(sum, x.clone(), term, span);
            sum = Operand { value, span };
        }
        sum.value
    }

    /// Neighbours are combined with `x`, their sums with `x^2`, and so on.
    fn estrin(&mut self, x: Operand<'a>, mut terms: Vec<Operand<'a>>, span: Span) -> Value<'a> {
        let mut power = x;
        while terms.len() > 1 {
            let mut next = Vec::new();
            for pair in terms.chunks(2) {
                next.push(match pair {
                    [low, high] => {
                        let value = self.multiply_add(high.clone(), power.clone(), low.clone(), span);
                        Operand { value, span }
                    }
                    single => single[0].clone(),
                });
            }
            terms = next;
            if terms.len() > 1 {
                let value = self.apply(Prim::Mul, vec![power.clone(), power], span);
                power = Operand { value, span };
            }
        }
        terms.swap_remove(0).value
    }

    fn multiply_add(&mut self, a: Operand<'a>, b: Operand<'a>, c: Operand<'a>, span: Span) -> Value<'a> {
        let product = self.apply(Prim::Mul, vec![a, b], span);
        self.apply(Prim::Add, vec![Operand { value: product, span }, c], span)
    }
}
