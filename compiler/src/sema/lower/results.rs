//! What a kernel returns, held against what it declares.

use std::rc::Rc;

use rustc_hash::FxHashMap;

use super::super::dims::Dims;
use super::super::number::Number;
use super::super::{list, suggest};
use super::kernel::fits;
use super::{Lowerer, Operand, Value};
use crate::diag::{Diagnostic, Span, codes};
use crate::graph::{Decl, NodeId};
use crate::syntax::ast;
use crate::types::{DType, DimId, DimKind, DimSet};

/// A result while its value is sought.
pub(super) struct ResultDecl {
    decl: Decl,
    ty: Span,
    /// Whether its dtype is known.
    known: bool,
}

impl<'a> Lowerer<'_, 'a> {
    /// The declarations of the results with the place of their types; a dtype that is not known poisons.
    pub(super) fn result_decls(&mut self, kernel: &'a ast::Kernel, dims: &Dims<'a>) -> Vec<ResultDecl> {
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

    pub(super) fn one_result(&mut self, body: Value<'a>, span: Span, results: Vec<ResultDecl>) {
        let Some(result) = results.into_iter().next() else { return };
        if let Value::Tuple(fields) = &body {
            let names: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
            let error = Diagnostic::error(
                codes::RESULT_FIELDS,
                span,
                "the body is a tuple, but the kernel has one result",
            )
            .with_other(result.ty, "the result")
            .with_note(format!("the tuple has the fields {}", list(names.into_iter())));
            self.report(error);
            return;
        }
        self.result(Operand { value: body, span }, result);
    }

    pub(super) fn named_results(&mut self, body: Value<'a>, span: Span, results: Vec<ResultDecl>) {
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
                    .with_note(format!("its results are {}", list(names.into_iter())));
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
}

fn plural(dims: DimSet) -> &'static str {
    if dims.len() == 1 { "" } else { "s" }
}
