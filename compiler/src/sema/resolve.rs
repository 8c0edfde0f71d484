//! Checks every name of the user's text, whether a kernel reaches it or not: values, functions, their arguments, a
//! function's dimensions, recursion. Warns of names that nobody uses, and says what is not supported yet. The prelude
//! is taken to be right (the tests check it here, too).

mod reductions;

use rustc_hash::{FxHashMap, FxHashSet};

use super::builtin::{self, Builtin};
use super::calls::{Callee, callee};
use super::items::{Items, not_yet};
use super::{list, order, prelude, suggest};
use crate::diag::{Diagnostic, Diagnostics, Span, codes};
use crate::syntax::ast::{
    self, AxisKind, Count, DimArg, Expr, ExprKind, GenericKind, ItemKind, Keep, SizeKind, StmtKind,
};
use crate::types::DType;

/// Checks all items of a file.
pub(super) fn check(file: &ast::File, items: &Items<'_>, diagnostics: &mut Diagnostics) {
    for item in &file.items {
        let mut checker = Checker::new(items, diagnostics);
        match &item.kind {
            ItemKind::Kernel(kernel) => checker.kernel(kernel),
            ItemKind::Fn(function) => checker.function(function),
            ItemKind::Const(constant) => checker.constant(constant),
            ItemKind::Reduction(reduction) => checker.reduction(reduction),
            ItemKind::Derived(_) | ItemKind::Schedule(_) | ItemKind::Use(_) => {}
            ItemKind::Example(example) => {
                let values = example.lines.iter().flat_map(|line| [Some(&line.value), line.within.as_ref()]);
                values.flatten().for_each(|value| checker.example_value(value));
            }
        }
    }
    check_recursion(file, items, diagnostics);
}

/// A name in scope.
struct Binding<'a> {
    name: &'a str,
    span: Span,
    is_param: bool,
    used: bool,
}

/// Where dimensions come from.
enum DimScope<'a> {
    /// A kernel's types: `lower` looks at them.
    Kernel,
    /// A function's brackets.
    Function(&'a ast::FnDecl),
    /// There are none: a part of a reduction.
    Part(&'a ast::ReductionPart),
    /// There are none.
    Const,
}

struct Checker<'c, 'a> {
    items: &'c Items<'a>,
    diagnostics: &'c mut Diagnostics,
    dims: DimScope<'a>,
    /// Dimensions that a kernel declares, for better messages.
    kernel_dims: FxHashSet<&'a str>,
    /// Local dimensions in scope, innermost last.
    local_dims: Vec<Binding<'a>>,
    bindings: Vec<Binding<'a>>,
    /// For each name its bindings, innermost last.
    by_name: FxHashMap<&'a str, Vec<usize>>,
}

impl<'c, 'a> Checker<'c, 'a> {
    fn new(items: &'c Items<'a>, diagnostics: &'c mut Diagnostics) -> Checker<'c, 'a> {
        let (kernel_dims, by_name) = Default::default();
        let (local_dims, bindings) = (Vec::new(), Vec::new());
        Checker { items, diagnostics, dims: DimScope::Const, kernel_dims, local_dims, bindings, by_name }
    }

    fn error(&mut self, code: &'static str, span: Span, message: String) {
        self.diagnostics.push(Diagnostic::error(code, span, message));
    }

    /// Whether a suggestion is still worth its time.
    fn may_suggest(&self) -> bool {
        self.diagnostics.error_count() < Diagnostics::LIMIT
    }

    // Items

    fn kernel(&mut self, kernel: &'a ast::Kernel) {
        self.dims = DimScope::Kernel;
        self.dtype_params(kernel);
        self.collect_dims(kernel);
        for param in &kernel.params {
            if let Some(range) = &param.range {
                self.const_expr(&range.low);
                self.const_expr(&range.high);
            }
            if let Some(default) = &param.default {
                self.const_expr(default);
            }
            self.bind(&param.name, true);
        }
        self.block(&kernel.body);
        self.unbind(0);
    }

    /// The names and classes of `<T: float = f32>`.
    fn dtype_params(&mut self, kernel: &'a ast::Kernel) {
        let mut seen: FxHashMap<&str, Span> = FxHashMap::default();
        for generic in &kernel.generics {
            let GenericKind::DType { class, .. } = &generic.kind else { continue };
            let name = generic.name.as_str();
            if class.name != "float" {
                let message = format!("there is no class of dtypes `{}`", class.name);
                let error = Diagnostic::error(codes::UNKNOWN_DTYPE, class.span, message).with_fix(
                    "a dtype parameter stands for a float: `f32`, `f64`, `f16` or `bf16`",
                    class.span,
                    "float",
                );
                self.diagnostics.push(error);
            }
            if DType::from_name(name).is_some() {
                let message = format!("`{name}` is a dtype already");
                let error = Diagnostic::error(codes::DUPLICATE_PARAM, generic.name.span, message);
                self.diagnostics.push(error.with_help("give the parameter another name, such as `T`"));
            }
            if let Some(first) = seen.insert(name, generic.name.span) {
                let message = format!("there are two dtype parameters `{name}`");
                let error = Diagnostic::error(codes::DUPLICATE_PARAM, generic.name.span, message);
                self.diagnostics.push(error.with_other(first, "the first one"));
            }
        }
    }

    fn collect_dims(&mut self, kernel: &'a ast::Kernel) {
        let results: Vec<&'a ast::Type> = match &kernel.results {
            ast::Results::One(ty) => vec![ty],
            ast::Results::Named(results) => results.iter().map(|result| &result.ty).collect(),
        };
        let types = kernel.params.iter().map(|param| &param.ty).chain(results);
        for axis in types.flat_map(|ty| ty.axes.iter().flatten()) {
            match &axis.kind {
                AxisKind::Rest => {}
                AxisKind::Dim(name) | AxisKind::Sized(name, _) => {
                    self.kernel_dims.insert(name.as_str());
                }
                AxisKind::Group(parts) => {
                    self.kernel_dims.extend(parts.iter().map(|part| part.name.as_str()))
                }
            }
        }
        let dims = kernel.generics.iter().filter(|generic| matches!(generic.kind, GenericKind::Dim { .. }));
        self.kernel_dims.extend(dims.map(|generic| generic.name.as_str()));
    }

    fn function(&mut self, function: &'a ast::FnDecl) {
        self.dims = DimScope::Function(function);
        self.check_unique("dimension", &function.name, function.dims.iter());
        self.check_unique("parameter", &function.name, function.params.iter().map(|param| &param.name));
        for param in &function.params {
            if let Some(default) = &param.default {
                self.expr(default);
            }
            self.bind(&param.name, true);
        }
        match &function.body {
            ast::Body::Block(block) => self.block(block),
            ast::Body::Expr(expr) => self.expr(expr),
        }
        self.unbind(0);
    }

    fn check_unique(&mut self, what: &str, owner: &ast::Ident, names: impl Iterator<Item = &'a ast::Ident>) {
        let mut seen: FxHashMap<&str, Span> = FxHashMap::default();
        for name in names {
            if let Some(first) = seen.insert(name.as_str(), name.span) {
                let message = format!("function `{}` has two {what}s `{}`", owner.name, name.name);
                let error = Diagnostic::error(codes::DUPLICATE_PARAM, name.span, message);
                self.diagnostics.push(error.with_other(first, "the first one"));
            }
        }
    }

    fn constant(&mut self, constant: &'a ast::Const) {
        self.const_expr(&constant.value);
    }

    /// A value in an example: constants only, in lists or not; or the name of a dtype.
    fn example_value(&mut self, value: &'a Expr) {
        match &value.kind {
            ExprKind::Array(elements) => elements.iter().for_each(|element| self.example_value(element)),
            ExprKind::Name(name) if DType::from_name(name.as_str()).is_some() => {}
            _ => self.const_expr(value),
        }
    }

    /// An expression that sees constants only.
    fn const_expr(&mut self, expr: &'a Expr) {
        let dims = std::mem::replace(&mut self.dims, DimScope::Const);
        let (bindings, by_name) = (std::mem::take(&mut self.bindings), std::mem::take(&mut self.by_name));
        let local_dims = std::mem::take(&mut self.local_dims);
        self.expr(expr);
        (self.dims, self.bindings, self.by_name) = (dims, bindings, by_name);
        self.local_dims = local_dims;
    }

    // Scopes

    fn bind(&mut self, name: &'a ast::Ident, is_param: bool) {
        if let Some(&first) =
            self.by_name.get(name.as_str()).and_then(|places| places.last()).filter(|_| is_param)
        {
            // Two parameters of one name: there is an error, and nothing to be said about the use of the first one.
            self.bindings[first].used = true;
        }
        let binding = Binding { name: name.as_str(), span: name.span, is_param, used: false };
        self.by_name.entry(name.as_str()).or_default().push(self.bindings.len());
        self.bindings.push(binding);
    }

    /// Ends the scope of all bindings from the mark on, in the order of the text.
    fn unbind(&mut self, mark: usize) {
        for Binding { name, span, is_param, used } in self.bindings.drain(mark..) {
            if let Some(places) = self.by_name.get_mut(name) {
                places.pop();
            }
            if used || name.starts_with('_') {
                continue;
            }
            let (code, message) = if is_param {
                (codes::UNUSED_PARAM, format!("the parameter `{name}` is never used"))
            } else {
                (codes::UNUSED_LET, format!("the value `{name}` is never used"))
            };
            let warning = Diagnostic::warning(code, span, message).with_fix(
                "if that is intended, let its name begin with `_`",
                span,
                format!("_{name}"),
            );
            self.diagnostics.push(warning);
        }
    }

    fn block(&mut self, block: &'a ast::Block) {
        let (mark, dims_mark) = (self.bindings.len(), self.local_dims.len());
        for stmt in &block.stmts {
            match &stmt.kind {
                StmtKind::Let(name, value) => {
                    self.expr(value);
                    self.bind(name, false);
                }
                StmtKind::Dim(name, size) => self.local_dim(name, size),
            }
        }
        self.expr(&block.value);
        self.unbind(mark);
        for Binding { name, span, used, .. } in self.local_dims.drain(dims_mark..) {
            if !used && !name.starts_with('_') {
                let message = format!("the dimension `{name}` is never used");
                self.diagnostics.push(Diagnostic::warning(codes::UNUSED_LET, span, message));
            }
        }
    }

    /// `dim t = j + 1;`
    fn local_dim(&mut self, name: &'a ast::Ident, size: &'a ast::SizeExpr) {
        self.size(size);
        let text = name.as_str();
        let first = self.local_dims.iter().find(|dim| dim.name == text).map(|dim| dim.span);
        let declared = match self.dims {
            DimScope::Kernel => self.kernel_dims.contains(text),
            DimScope::Function(function) => function.dims.iter().any(|dim| dim.name == *text),
            DimScope::Part(_) | DimScope::Const => false,
        };
        if declared || first.is_some() {
            let message = format!("there is a dimension `{text}` already");
            let mut error = Diagnostic::error(codes::REPEATED_DIM, name.span, message)
                .with_help("give the new one another name");
            if let Some(first) = first {
                error = error.with_other(first, "the first one");
            }
            self.diagnostics.push(error);
        }
        self.local_dims.push(Binding { name: text, span: name.span, is_param: false, used: false });
    }

    /// The names in the size of a local dimension.
    fn size(&mut self, size: &'a ast::SizeExpr) {
        match &size.kind {
            SizeKind::Int(_) => {}
            SizeKind::Name(name) if self.is_const(name) && !self.has_dim(name) => {}
            SizeKind::Name(name) => self.dim(name),
            SizeKind::Binary(_, left, right) => {
                self.size(left);
                self.size(right);
            }
        }
    }

    fn is_const(&self, name: &ast::Ident) -> bool {
        self.items.consts.contains_key(name.as_str()) || prelude::constant(name.as_str()).is_some()
    }

    /// Whether a dimension of that name is declared.
    fn has_dim(&self, name: &ast::Ident) -> bool {
        let text = name.as_str();
        self.local_dims.iter().any(|dim| dim.name == text)
            || match self.dims {
                DimScope::Kernel => self.kernel_dims.contains(text),
                DimScope::Function(function) => function.dims.iter().any(|dim| dim.name == *text),
                DimScope::Part(_) | DimScope::Const => false,
            }
    }

    // Expressions

    fn expr(&mut self, expr: &'a Expr) {
        match &expr.kind {
            ExprKind::Number(_) | ExprKind::Constant(_) | ExprKind::Bool(_) => {}
            ExprKind::Name(name) => self.name(name),
            ExprKind::Unary(_, operand) => self.expr(operand),
            ExprKind::Binary(_, binary) => {
                self.expr(&binary.lhs);
                self.expr(&binary.rhs);
            }
            ExprKind::If(selection) => {
                for branch in &selection.branches {
                    self.expr(&branch.cond);
                    self.block(&branch.body);
                }
                self.block(&selection.otherwise);
            }
            ExprKind::Call(call) => self.call(call, expr.span),
            ExprKind::Index(index) => {
                self.expr(&index.base);
                for entry in &index.entries {
                    self.dim(&entry.dim);
                    self.expr(&entry.position);
                    entry.otherwise.iter().for_each(|value| self.expr(value));
                }
            }
            ExprKind::Field(base, _) => self.expr(base),
            ExprKind::Tuple(fields) => self.tuple(fields),
            ExprKind::Array(_) => self.array_literal(expr.span),
            ExprKind::Iterate(iterate) => self.iterate(iterate),
        }
    }

    fn tuple(&mut self, fields: &'a [ast::TupleField]) {
        let mut seen: FxHashMap<&str, Span> = FxHashMap::default();
        for field in fields {
            if let Some(first) = seen.insert(field.name.as_str(), field.name.span) {
                let message = format!("this tuple has two fields `{}`", field.name.name);
                let error = Diagnostic::error(codes::DUPLICATE_FIELD, field.name.span, message);
                self.diagnostics.push(error.with_other(first, "the first one"));
            }
            self.expr(&field.value);
        }
    }

    fn iterate(&mut self, iterate: &'a ast::Iterate) {
        match &iterate.count {
            Count::Int(..) if iterate.keep == Keep::All => {
                let error = Diagnostic::error(
                    codes::NOT_A_DIM,
                    iterate.count.span(),
                    "`unfold` needs a dimension: that along which it keeps the states",
                );
                self.diagnostics.push(
                    error.with_help(
                        "let a type name it, such as `-> f32[.., j=4]`, or declare it: `dim j = 4;`",
                    ),
                );
            }
            Count::Int(..) => {}
            Count::Name(name) if iterate.keep == Keep::Last && self.is_const(name) && !self.has_dim(name) => {
            }
            Count::Name(name) => self.dim(name),
        }
        let mark = self.bindings.len();
        self.tuple(&iterate.state);
        for field in &iterate.state {
            self.bind(&field.name, false);
            self.bindings.last_mut().expect("it was just bound").used = true;
        }
        self.block(&iterate.body);
        self.unbind(mark);
    }

    fn name(&mut self, name: &'a ast::Ident) {
        if let Some(&place) = self.by_name.get(name.as_str()).and_then(|places| places.last()) {
            self.bindings[place].used = true;
            return;
        }
        let known =
            self.items.consts.contains_key(name.as_str()) || prelude::constant(name.as_str()).is_some();
        if !known {
            self.unknown_name(name);
        }
    }

    fn unknown_name(&mut self, name: &ast::Ident) {
        let text = name.as_str();
        let mut error =
            Diagnostic::error(codes::UNKNOWN_NAME, name.span, format!("there is no value `{text}`"));
        let near = if self.may_suggest() {
            let values = self.by_name.iter().filter(|(_, places)| !places.is_empty()).map(|(name, _)| *name);
            let mut candidates: Vec<&str> = values.chain(self.items.consts.keys().copied()).collect();
            candidates.sort_unstable();
            suggest::nearest(text, candidates).map(str::to_owned)
        } else {
            None
        };
        let function = [false, true].map(|dims| callee(self.items, false, text, dims).is_some());
        error = if let Some(near) = near {
            error.with_fix(format!("did you mean `{near}`?"), name.span, near)
        } else if self.kernel_dims.contains(text) {
            error.with_note(format!("`{text}` is a dimension; `size({text})` and `index({text})` are values"))
        } else if function[0] {
            error.with_note(format!("`{text}` is a function; call it: `{text}(x)`"))
        } else if function[1] {
            error.with_note(format!("`{text}` is a function of dimensions; call it: `{text}[d](x)`"))
        } else if text == "e" {
            error.with_help("e to the power x is `exp(x)`, the number itself `exp(1)`")
        } else if matches!(self.dims, DimScope::Const) && !self.bindings.is_empty() {
            error.with_note("only constants are known here")
        } else {
            error
        };
        self.diagnostics.push(error);
    }

    // Dimensions

    fn dim(&mut self, name: &'a ast::Ident) {
        let text = &name.name;
        if let Some(dim) = self.local_dims.iter_mut().rfind(|dim| dim.name == *text) {
            dim.used = true;
            return;
        }
        match self.dims {
            DimScope::Kernel => {}
            DimScope::Function(function) => {
                if function.dims.iter().any(|dim| dim.name == *text) {
                    return;
                }
                let message =
                    format!("`{text}` is not among the dimensions of the function `{}`", function.name.name);
                let mut error = Diagnostic::error(codes::FN_DIM, name.span, message)
                    .with_note("a function names only the dimensions in its brackets");
                let names: Vec<&str> = function.dims.iter().map(|dim| dim.as_str()).collect();
                error = match suggest::nearest(text, names.iter().copied()) {
                    Some(near) => error.with_fix(format!("did you mean `{near}`?"), name.span, near),
                    None => {
                        let all: Vec<&str> = names.into_iter().chain([text.as_str()]).collect();
                        error.with_help(format!(
                            "declare it: `fn {}[{}](…)`",
                            function.name.name,
                            all.join(", ")
                        ))
                    }
                };
                self.diagnostics.push(error);
            }
            DimScope::Part(part) => self.dim_in_part(part, text, name.span),
            DimScope::Const => {
                let message = format!("there is no dimension `{text}` here");
                self.error(codes::UNKNOWN_DIM, name.span, message);
            }
        }
    }

    fn call_dims(&mut self, dims: &'a ast::CallDims) {
        for dim in &dims.dims {
            match dim {
                DimArg::Dim(name) => self.dim(name),
                DimArg::Rest(span) => {
                    if !matches!(self.dims, DimScope::Kernel) {
                        let error = Diagnostic::error(codes::FN_DIM, *span, "`..` has no meaning here")
                            .with_note("a function names only the dimensions in its brackets; `..` may be given to it: `f[..](x)`");
                        self.diagnostics.push(error);
                    }
                }
            }
        }
        dims.filter.iter().for_each(|filter| self.expr(filter));
    }

    /// `where` goes with reductions alone.
    fn check_filter(&mut self, call: &ast::Call, found: Callee<'_>) {
        let Some(filter) = call.dims.as_ref().and_then(|dims| dims.filter.as_ref()) else { return };
        let name = call.callee.as_str();
        let is_user = match found {
            Callee::Builtin(Builtin::Reduce(_) | Builtin::NotYet) | Callee::Reduction(..) => return,
            Callee::Function(_, true) if prelude::takes_filter(name) => return,
            Callee::Function(_, in_prelude) => !in_prelude,
            Callee::Builtin(_) => false,
        };
        let message = format!("`{name}` is not a reduction, so it takes no `where`");
        let mut error = Diagnostic::error(codes::FILTER, filter.span, message);
        if is_user {
            error = error.with_help("write the condition at the reductions inside the function");
        }
        let mut names: Vec<&str> = builtin::reductions().chain(prelude::filtered_names()).collect();
        names.sort_unstable();
        self.diagnostics.push(error.with_note(format!("these take it: `{}`", names.join(" "))));
    }

    // Calls

    fn call(&mut self, call: &'a ast::Call, span: Span) {
        call.dims.iter().for_each(|dims| self.call_dims(dims));
        let found = callee(self.items, false, &call.callee.name, call.dims.is_some());
        if let Some(Callee::Builtin(builtin @ (Builtin::Index | Builtin::Size))) = found {
            self.builtin_args(builtin, call);
            call.args.iter().for_each(|arg| self.dim_arg(&arg.value, &call.callee));
            return;
        }
        if let Some(found) = found {
            self.check_filter(call, found);
        }
        match found {
            None => self.unknown_function(call, span),
            Some(Callee::Builtin(Builtin::NotYet)) => {
                self.diagnostics.push(not_yet(&format!("`{}`", call.callee.name), call.callee.span));
            }
            Some(Callee::Builtin(builtin)) => {
                self.builtin_args(builtin, call);
                if builtin == Builtin::PolyList {
                    self.check_list(call);
                }
            }
            Some(Callee::Function(function, _)) => self.function_args(function, call),
            Some(Callee::Reduction(reduction, _)) => self.reduction_args(reduction, call),
        }
        for (at, arg) in call.args.iter().enumerate() {
            match &arg.value.kind {
                ExprKind::Array(elements) => {
                    if at != 1 || !matches!(found, Some(Callee::Builtin(Builtin::PolyList))) {
                        self.array_literal(arg.value.span);
                    } else if elements.is_empty() {
                        let error = "a polynomial has at least one coefficient".to_owned();
                        self.error(codes::ARGUMENT_COUNT, arg.value.span, error);
                    }
                    elements.iter().for_each(|element| self.expr(element));
                }
                _ => self.expr(&arg.value),
            }
        }
    }

    fn array_literal(&mut self, span: Span) {
        let error =
            Diagnostic::error(codes::ARRAY_LITERAL, span, "a list stands only in `poly(x, [1, 0.5])`");
        self.diagnostics.push(error.with_note("arrays are parameters of the kernel, or made by `stack`"));
    }

    /// `poly(x, a)`, where `a` is no list.
    fn check_list(&mut self, call: &ast::Call) {
        if let [x, list] = &call.args[..]
            && !matches!(list.value.kind, ExprKind::Array(_))
        {
            let message = "`poly` without a dimension takes a list of coefficients";
            let error = Diagnostic::error(codes::ARRAY_LITERAL, list.value.span, message);
            let names = [&x.value, &list.value].map(|arg| match &arg.kind {
                ExprKind::Name(name) => name.as_str(),
                _ => "…",
            });
            self.diagnostics.push(error.with_help(format!(
                "give the dimension of an array of coefficients in brackets: `poly[i]({}, {})`",
                names[0], names[1]
            )));
        }
    }

    /// The argument of `size` and `index`.
    fn dim_arg(&mut self, arg: &'a Expr, callee: &ast::Ident) {
        match &arg.kind {
            ExprKind::Name(name) => self.dim(name),
            _ => {
                let message = format!("`{}` takes the name of a dimension", callee.name);
                self.error(codes::NOT_A_DIM, arg.span, message);
            }
        }
    }

    fn builtin_args(&mut self, builtin: Builtin, call: &ast::Call) {
        if let Builtin::Scan(_) = builtin {
            self.diagnostics.extend(order::wrong_flag(call));
            return;
        }
        let name = &call.callee.name;
        if let Some(named) = call.args.iter().find_map(|arg| arg.name.as_ref()) {
            let message = format!("the arguments of `{name}` have no names");
            let mut error = Diagnostic::error(codes::UNKNOWN_ARGUMENT, named.span, message)
                .with_note("it is built in, and takes them by place");
            if named.name == "where" && matches!(builtin, Builtin::Reduce(_)) {
                error =
                    error.with_help(format!("a condition stands in the brackets: `{name}[d where c](x)`"));
            }
            self.diagnostics.push(error);
        }
        let (least, most) = builtin.arity();
        if !(least..=most).contains(&call.args.len()) {
            let wanted = if most > least { format!("at least {}", count(least)) } else { count(least) };
            let message = format!("`{name}` takes {wanted}, but is given {}", call.args.len());
            self.error(codes::ARGUMENT_COUNT, call.callee.span, message);
        }
    }

    fn function_args(&mut self, function: &ast::FnDecl, call: &ast::Call) {
        let name = &function.name.name;
        let mut given: FxHashMap<&str, Span> = FxHashMap::default();
        for (at, arg) in call.args.iter().enumerate() {
            let (param, span) = match &arg.name {
                Some(written) => {
                    if function.params.iter().all(|param| param.name.name != written.name) {
                        self.unknown_argument(function, written);
                        continue;
                    }
                    (written.as_str(), written.span)
                }
                None => match function.params.get(at) {
                    Some(param) => (param.name.as_str(), arg.value.span),
                    None => {
                        let message = format!(
                            "`{name}` takes {}, but is given {}",
                            count(function.params.len()),
                            call.args.len()
                        );
                        self.error(codes::ARGUMENT_COUNT, arg.value.span, message);
                        break;
                    }
                },
            };
            if let Some(first) = given.insert(param, span) {
                let message = format!("the parameter `{param}` of `{name}` is given twice");
                let error = Diagnostic::error(codes::DUPLICATE_ARGUMENT, span, message);
                self.diagnostics.push(error.with_other(first, "the first time"));
            }
        }
        let missing = function
            .params
            .iter()
            .filter(|param| param.default.is_none() && !given.contains_key(param.name.as_str()));
        let missing: Vec<&str> = missing.map(|param| param.name.as_str()).collect();
        if !missing.is_empty() {
            let which = list(missing.into_iter());
            let error = Diagnostic::error(
                codes::MISSING_ARGUMENT,
                call.callee.span,
                format!("`{name}` is not given {which}"),
            );
            self.diagnostics.push(error.with_help(format!("it is `{}`", signature(function))));
        }
    }

    fn unknown_argument(&mut self, function: &ast::FnDecl, written: &ast::Ident) {
        let message = format!("`{}` has no parameter `{}`", function.name.name, written.name);
        let names: Vec<&str> = function.params.iter().map(|param| param.name.as_str()).collect();
        let error = Diagnostic::error(codes::UNKNOWN_ARGUMENT, written.span, message);
        let error = match suggest::nearest(&written.name, names.iter().copied()) {
            Some(near) => error.with_fix(format!("did you mean `{near}`?"), written.span, near),
            None => error.with_help(format!("it is `{}`", signature(function))),
        };
        self.diagnostics.push(error);
    }

    fn unknown_function(&mut self, call: &ast::Call, span: Span) {
        let (name, with_dims) = (call.callee.as_str(), call.dims.is_some());
        if let Some(other) = callee(self.items, false, name, !with_dims) {
            self.wrong_brackets(call, other);
            return;
        }
        let mut error = Diagnostic::error(
            codes::UNKNOWN_FUNCTION,
            call.callee.span,
            format!("there is no function `{name}`"),
        );
        if self.items.kernels.iter().any(|(_, kernel)| kernel.name.name == name) {
            error = Diagnostic::error(
                codes::KERNEL_CALL,
                span,
                format!("`{name}` is a kernel, and kernels can't be called"),
            )
            .with_help("move what they share into a `fn`");
        } else if let Some((_, advice)) = FOREIGN.iter().find(|(foreign, _)| *foreign == name) {
            error = error.with_help(format!("it is written {advice}"));
        } else if self.may_suggest() {
            let mut candidates: Vec<&str> = self.items.functions.keys().map(|(name, _)| *name).collect();
            candidates.extend(self.items.reductions.keys());
            for dims in [with_dims, !with_dims] {
                let known = prelude::function_names(dims).chain(builtin::names(dims));
                candidates.extend(known.map(|name| -> &str { name }));
            }
            candidates.sort_unstable();
            if let Some(near) = suggest::nearest(name, candidates) {
                error = error.with_fix(format!("did you mean `{near}`?"), call.callee.span, near);
            }
        }
        self.diagnostics.push(error);
    }

    /// The function exists, but only with, or only without, dimensions in brackets.
    fn wrong_brackets(&mut self, call: &ast::Call, other: Callee<'_>) {
        let name = &call.callee.name;
        let error = match &call.dims {
            Some(dims) => {
                let message = format!("`{name}` takes no dimensions in brackets");
                Diagnostic::error(codes::BRACKETS, dims.span, message).with_fix(
                    "leave them out",
                    dims.span,
                    "",
                )
            }
            None => {
                let only = match self.dims {
                    DimScope::Kernel if self.kernel_dims.len() == 1 => self.kernel_dims.iter().next(),
                    _ => None,
                };
                let dims = match (only, other) {
                    (Some(dim), _) => dim.to_string(),
                    (None, Callee::Function(function, _)) => {
                        let names: Vec<&str> = function.dims.iter().map(|dim| dim.as_str()).collect();
                        names.join(", ")
                    }
                    (None, Callee::Builtin(_) | Callee::Reduction(..)) => "d".to_owned(),
                };
                let message = format!("`{name}` needs its dimensions in brackets");
                Diagnostic::error(codes::BRACKETS, call.callee.span, message)
                    .with_help(format!("write them before the arguments: `{name}[{dims}](…)`"))
            }
        };
        self.diagnostics.push(error);
    }
}

/// Functions of other languages, and how they are written here.
const FOREIGN: [(&str, &str); 14] = [
    ("where", "`if c { a } else { b }`"),
    ("select", "`if c { a } else { b }`"),
    ("ln", "`log(x)`"),
    ("power", "`x ^ y`"),
    ("square", "`x^2`"),
    ("fabs", "`abs(x)`"),
    ("maximum", "`max(a, b)`"),
    ("minimum", "`min(a, b)`"),
    ("fmax", "`max(a, b)`"),
    ("fmin", "`min(a, b)`"),
    ("average", "`mean[d](x)`"),
    ("variance", "`var[d](x)`"),
    ("concat", "`stack[half](a, b)`, with a result such as `f32[.., (half=2 d)]`"),
    ("norm", "`norm2[d](x)`"),
];

fn count(arguments: usize) -> String {
    match arguments {
        1 => "1 argument".to_owned(),
        more => format!("{more} arguments"),
    }
}

/// How a function is declared, in one line.
fn signature(function: &ast::FnDecl) -> String {
    let dims: Vec<&str> = function.dims.iter().map(|dim| dim.as_str()).collect();
    let brackets = if dims.is_empty() { String::new() } else { format!("[{}]", dims.join(", ")) };
    let param = |param: &ast::FnParam| match param.default {
        Some(_) => format!("{} = …", param.name.name),
        None => param.name.name.clone(),
    };
    let params: Vec<String> = function.params.iter().map(param).collect();
    format!("{}{brackets}({})", function.name.name, params.join(", "))
}

/// Reports every function that calls itself, perhaps through others.
fn check_recursion(file: &ast::File, items: &Items<'_>, diagnostics: &mut Diagnostics) {
    let functions: Vec<&ast::FnDecl> = file
        .items
        .iter()
        .filter_map(|item| match &item.kind {
            ItemKind::Fn(function) => Some(function),
            _ => None,
        })
        .collect();
    let place: FxHashMap<*const ast::FnDecl, usize> =
        functions.iter().enumerate().map(|(at, function)| (std::ptr::from_ref(*function), at)).collect();
    let calls: Vec<Vec<(usize, Span)>> =
        functions.iter().map(|function| user_calls(function, items, &place)).collect();
    // Depth first, with a stack of our own: a file may have very many functions.
    let mut state = vec![Visit::New; functions.len()];
    for start in 0..functions.len() {
        let mut stack: Vec<(usize, usize)> = vec![(start, 0)];
        while let Some((function, next)) = stack.pop() {
            if next == 0 {
                if state[function] != Visit::New {
                    continue;
                }
                state[function] = Visit::Active;
            }
            let Some(&(target, span)) = calls[function].get(next) else {
                state[function] = Visit::Done;
                continue;
            };
            stack.push((function, next + 1));
            match state[target] {
                Visit::New => stack.push((target, 0)),
                Visit::Active => diagnostics.push(recursion(&functions, target, &stack, span)),
                Visit::Done => {}
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Visit {
    New,
    Active,
    Done,
}

fn recursion(functions: &[&ast::FnDecl], target: usize, stack: &[(usize, usize)], span: Span) -> Diagnostic {
    let name = &functions[target].name;
    let start = stack.iter().position(|(function, _)| *function == target).unwrap_or(0);
    let through: Vec<&str> =
        stack[start..].iter().skip(1).map(|(function, _)| functions[*function].name.as_str()).collect();
    let message = format!("the function `{}` calls itself", name.name);
    let error = Diagnostic::error(codes::RECURSION, span, message)
        .with_other(name.span, "declared here")
        .with_note("functions are inlined, so they can't be recursive");
    if through.is_empty() {
        error
    } else {
        error.with_note(format!("it does so through {}", list(through.into_iter())))
    }
}

/// The user's functions that a function calls, each once.
fn user_calls(
    function: &ast::FnDecl,
    items: &Items<'_>,
    place: &FxHashMap<*const ast::FnDecl, usize>,
) -> Vec<(usize, Span)> {
    let mut seen: FxHashSet<usize> = FxHashSet::default();
    let mut found = Vec::new();
    let mut visit = |call: &ast::Call| {
        if let Some(Callee::Function(target, false)) =
            callee(items, false, &call.callee.name, call.dims.is_some())
            && let Some(&target) = place.get(&std::ptr::from_ref(target))
            && seen.insert(target)
        {
            found.push((target, call.callee.span));
        }
    };
    match &function.body {
        ast::Body::Block(block) => block_calls(block, &mut visit),
        ast::Body::Expr(expr) => expr_calls(expr, &mut visit),
    }
    for default in function.params.iter().filter_map(|param| param.default.as_ref()) {
        expr_calls(default, &mut visit);
    }
    found
}

fn block_calls(block: &ast::Block, visit: &mut dyn FnMut(&ast::Call)) {
    for stmt in &block.stmts {
        if let StmtKind::Let(_, value) = &stmt.kind {
            expr_calls(value, visit);
        }
    }
    expr_calls(&block.value, visit);
}

fn expr_calls(expr: &Expr, visit: &mut dyn FnMut(&ast::Call)) {
    match &expr.kind {
        ExprKind::Number(_) | ExprKind::Constant(_) | ExprKind::Bool(_) | ExprKind::Name(_) => {}
        ExprKind::Unary(_, operand) | ExprKind::Field(operand, _) => expr_calls(operand, visit),
        ExprKind::Binary(_, binary) => {
            expr_calls(&binary.lhs, visit);
            expr_calls(&binary.rhs, visit);
        }
        ExprKind::If(selection) => {
            for branch in &selection.branches {
                expr_calls(&branch.cond, visit);
                block_calls(&branch.body, visit);
            }
            block_calls(&selection.otherwise, visit);
        }
        ExprKind::Call(call) => {
            visit(call);
            call.args.iter().for_each(|arg| expr_calls(&arg.value, visit));
        }
        ExprKind::Index(index) => {
            expr_calls(&index.base, visit);
            for entry in &index.entries {
                expr_calls(&entry.position, visit);
                entry.otherwise.iter().for_each(|value| expr_calls(value, visit));
            }
        }
        ExprKind::Tuple(fields) => fields.iter().for_each(|field| expr_calls(&field.value, visit)),
        ExprKind::Array(elements) => elements.iter().for_each(|element| expr_calls(element, visit)),
        ExprKind::Iterate(iterate) => {
            iterate.state.iter().for_each(|field| expr_calls(&field.value, visit));
            block_calls(&iterate.body, visit);
        }
    }
}
