//! A kernel as a whole: its parameters, their dtypes, defaults and ranges, and how large it is once unrolled.

use rustc_hash::FxHashMap;

use super::super::dims::Dims;
use super::super::number::Number;
use super::super::{MAX_UNROLLED, MAX_UNROLLED_SIZE, Options, list, suggest};
use super::{Frame, Lowerer, Value};
use crate::diag::{Diagnostic, Span, codes};
use crate::graph::{Decl, Op};
use crate::syntax::ast::{self, Expr};
use crate::types::{DType, DimId, DimKind, DimSet};

impl<'a> Lowerer<'_, 'a> {
    pub(super) fn kernel(&mut self, kernel: &'a ast::Kernel, dims: Dims<'a>) {
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
    pub(super) fn dtype_params(&mut self, kernel: &'a ast::Kernel, options: &Options) {
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
    pub(super) fn dtype(&mut self, name: &ast::Ident) -> Option<DType> {
        if let Some(dtype) = self.dtypes.get(name.as_str()) {
            return *dtype;
        }
        if let Some(dtype) = DType::from_name(&name.name) {
            return Some(dtype);
        }
        let mut error =
            Diagnostic::error(codes::UNKNOWN_DTYPE, name.span, format!("there is no dtype `{}`", name.name))
                .with_note(format!("there are {}", list(DType::ALL.iter().map(|dtype| dtype.name()))));
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
            if out.is_nan() {
                self.report(Diagnostic::error(codes::BAD_RANGE, end.span, "an end of a range can't be NaN"));
                return None;
            }
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
}

/// Whether an integer is one of an integer dtype; of the others all are near enough.
pub(super) fn fits(value: i64, dtype: DType) -> bool {
    match dtype {
        DType::I32 => i32::try_from(value).is_ok(),
        DType::I8 => i8::try_from(value).is_ok(),
        DType::U8 => u8::try_from(value).is_ok(),
        DType::F32 | DType::F64 | DType::F16 | DType::BF16 | DType::Bool => true,
    }
}
