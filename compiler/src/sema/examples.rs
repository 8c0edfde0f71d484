//! `example` items: which inputs they give a kernel and what they expect of it, held against the kernel's declaration. A
//! kernel is not run here; what is wrong with shapes shows when it is.

use rustc_hash::FxHashMap;

use super::lower::{self, Value};
use super::number::Number;
use super::{MAX_SIZE, Session, list, suggest};
use crate::diag::{Diagnostic, Span, codes};
use crate::syntax::ast::{self, AxisKind, Expr, ExprKind, GenericKind, NumberValue, Results, UnaryOp};
use crate::types::DType;

pub use crate::syntax::ast::Relation;

/// The unit of a number that is written without a point or an exponent, and of one that is computed.
const WHOLE_UNIT: f64 = 1e-5;

/// An example: a call of a kernel and what it must give.
#[derive(Clone, Debug)]
pub struct Example {
    /// The kernel.
    pub kernel: String,
    /// Its documentation.
    pub doc: String,
    /// Where the kernel's name stands.
    pub span: Span,
    /// Sizes of dimension parameters.
    pub dims: Vec<(String, i64)>,
    /// Dtypes of dtype parameters.
    pub dtypes: Vec<(String, DType)>,
    /// The inputs given; the others have a default.
    pub inputs: Vec<Given>,
    /// What is said of results. At least one.
    pub expected: Vec<Expected>,
}

/// A number or an array.
#[derive(Clone, Debug)]
pub struct Given {
    /// The parameter.
    pub name: String,
    /// The whole value.
    pub span: Span,
    /// The sizes of its axes; none for a number.
    pub shape: Vec<usize>,
    /// The elements in order.
    pub values: Vec<f64>,
}

/// What a result must be.
#[derive(Clone, Debug)]
pub struct Expected {
    /// The result and its elements.
    pub value: Given,
    /// How they are compared: never [`Relation::Given`].
    pub relation: Relation,
    /// Where each element stands.
    pub spans: Vec<Span>,
    /// How far from it each may lie, where they are compared by `~=`.
    pub tolerances: Vec<f64>,
    /// Whether `within` says so; else what the dtype rounds is added.
    pub within: bool,
}

/// Reads all examples of a file; what is wrong is reported, and left out.
pub(super) fn collect(session: &mut Session<'_>) -> Vec<Example> {
    let examples = session.items.examples.clone();
    examples.into_iter().filter_map(|(item, example)| read(session, item, example)).collect()
}

/// A value as written, in a list or not.
#[derive(Default)]
struct Elements {
    shape: Vec<usize>,
    values: Vec<f64>,
    units: Vec<f64>,
    spans: Vec<Span>,
}

/// What a name of an example stands for.
enum Target<'a> {
    Dim,
    DType,
    Param(&'a ast::Type),
    Result(&'a ast::Type),
}

impl Target<'_> {
    fn describe(&self) -> &'static str {
        match self {
            Target::Dim => "a dimension parameter",
            Target::DType => "a dtype parameter",
            Target::Param(_) => "a parameter",
            Target::Result(_) => "a result",
        }
    }
}

fn read<'a>(
    session: &mut Session<'a>,
    item: &'a ast::Item,
    example: &'a ast::ExampleDecl,
) -> Option<Example> {
    let name = example.kernel.as_str();
    let found = session.items.kernels.iter().find(|(_, kernel)| kernel.name.name == name).copied();
    let Some((_, kernel)) = found else {
        session.unknown_kernel_at(name, example.kernel.span);
        return None;
    };
    let before = session.diagnostics.error_count();
    let mut out = Example {
        kernel: name.to_owned(),
        doc: lower::doc_text(&item.docs),
        span: example.kernel.span,
        dims: Vec::new(),
        dtypes: Vec::new(),
        inputs: Vec::new(),
        expected: Vec::new(),
    };
    let mut seen: FxHashMap<(&str, bool), Span> = FxHashMap::default();
    for line in &example.lines {
        let given = line.relation == Relation::Given;
        if let Some(first) = seen.insert((line.name.as_str(), given), line.name.span) {
            let message = format!("`{}` has two values in this example", line.name.name);
            let error = Diagnostic::error(codes::EXAMPLE_NAME, line.name.span, message);
            session.report(error.with_other(first, "the first one"));
            continue;
        }
        read_line(session, kernel, line, &mut out);
    }
    if session.diagnostics.error_count() == before {
        check_complete(session, kernel, example, &seen);
    }
    (session.diagnostics.error_count() == before).then_some(out)
}

/// The results of a kernel with their names.
fn results(kernel: &ast::Kernel) -> Vec<(&str, &ast::Type)> {
    match &kernel.results {
        Results::One(ty) => vec![("y", ty)],
        Results::Named(list) => list.iter().map(|result| (result.name.as_str(), &result.ty)).collect(),
    }
}

/// What the name of a line stands for; `given` says which is meant where a parameter and a result share it.
fn target<'a>(kernel: &'a ast::Kernel, name: &str, given: bool) -> Option<Target<'a>> {
    let generic = kernel.generics.iter().find(|generic| generic.name.as_str() == name);
    let generic = generic.map(|generic| match generic.kind {
        GenericKind::Dim { .. } => Target::Dim,
        GenericKind::DType { .. } => Target::DType,
    });
    let param = kernel.params.iter().find(|param| param.name.as_str() == name);
    let param = param.map(|param| Target::Param(&param.ty));
    let result = results(kernel).into_iter().find(|(result, _)| *result == name);
    let result = result.map(|(_, ty)| Target::Result(ty));
    if given { param.or(generic).or(result) } else { result.or(param).or(generic) }
}

fn read_line<'a>(
    session: &mut Session<'a>,
    kernel: &'a ast::Kernel,
    line: &'a ast::ExampleLine,
    out: &mut Example,
) {
    let (name, given) = (line.name.as_str(), line.relation == Relation::Given);
    let Some(target) = target(kernel, name, given) else { return unknown_name(session, kernel, &line.name) };
    let is_result = matches!(target, Target::Result(_));
    if is_result == given {
        let message = format!("`{name}` is {} of `{}`", target.describe(), kernel.name.name);
        let error = Diagnostic::error(codes::EXAMPLE_NAME, line.relation_span, message);
        session.report(if given {
            error.with_fix("what is expected of a result is said by `~=` or `==`", line.relation_span, "~=")
        } else {
            error.with_fix("what is given is said by `=`", line.relation_span, "=")
        });
        return;
    }
    if let (Some(within), false) = (&line.within, line.relation == Relation::Near) {
        let message = format!("`within` goes with `~=`, not with `{}`", line.relation.symbol());
        session.report(Diagnostic::error(codes::EXAMPLE_VALUE, within.span, message));
        return;
    }
    match target {
        Target::DType => match &line.value.kind {
            ExprKind::Name(dtype) if DType::from_name(dtype.as_str()).is_some_and(DType::is_float) => {
                out.dtypes.extend(DType::from_name(dtype.as_str()).map(|dtype| (name.to_owned(), dtype)));
            }
            _ => bad_value(session, line.value.span, format!("`{name}` needs a dtype, such as `f64`")),
        },
        Target::Dim => {
            let mut elements = Elements::default();
            if !elements.read(session, &line.value, 0, Kind::Whole) {
                return;
            }
            match (elements.shape.as_slice(), elements.values.first()) {
                ([], Some(&size)) if (1.0..=MAX_SIZE as f64).contains(&size) => {
                    out.dims.push((name.to_owned(), size as i64));
                }
                _ => bad_value(
                    session,
                    line.value.span,
                    format!("`{name}` needs a size, from 1 to {MAX_SIZE}"),
                ),
            }
        }
        Target::Param(ty) | Target::Result(ty) => {
            let mut elements = Elements::default();
            if !elements.read(session, &line.value, 0, Kind::of(&ty.dtype)) {
                return;
            }
            if !check_rank(session, line, ty, elements.shape.len()) {
                return;
            }
            let Elements { shape, values, units, spans } = elements;
            let value = Given { name: name.to_owned(), span: line.value.span, shape, values };
            if given {
                out.inputs.push(value);
                return;
            }
            let tolerances = match &line.within {
                None => units,
                Some(within) => match tolerance(session, within) {
                    Some(tolerance) => vec![tolerance; units.len()],
                    None => return,
                },
            };
            let (relation, within) = (line.relation, line.within.is_some());
            out.expected.push(Expected { value, relation, spans, tolerances, within });
        }
    }
}

fn unknown_name(session: &mut Session<'_>, kernel: &ast::Kernel, name: &ast::Ident) {
    let message = format!("`{}` is neither a parameter nor a result of `{}`", name.name, kernel.name.name);
    let generics = kernel.generics.iter().map(|generic| generic.name.as_str());
    let params = kernel.params.iter().map(|param| param.name.as_str());
    let known: Vec<&str> =
        params.chain(generics).chain(results(kernel).into_iter().map(|(name, _)| name)).collect();
    let error = Diagnostic::error(codes::EXAMPLE_NAME, name.span, message);
    session.report(match suggest::nearest(&name.name, known.iter().copied()) {
        Some(near) => error.with_fix(format!("did you mean `{near}`?"), name.span, near),
        None => error.with_note(format!("there are {}", list(known.into_iter()))),
    });
}

fn bad_value(session: &mut Session<'_>, span: Span, message: String) {
    session.report(Diagnostic::error(codes::EXAMPLE_VALUE, span, message));
}

/// What follows `within`: a number that is not negative.
fn tolerance<'a>(session: &mut Session<'a>, within: &'a Expr) -> Option<f64> {
    let mut elements = Elements::default();
    if !elements.read(session, within, 0, Kind::Float) {
        return None;
    }
    match (elements.shape.as_slice(), elements.values.as_slice()) {
        ([], [value]) if *value >= 0.0 => Some(*value),
        _ => {
            bad_value(session, within.span, "`within` needs a number that is not negative".to_owned());
            None
        }
    }
}

/// Whether the value has as many axes as the type.
fn check_rank(session: &mut Session<'_>, line: &ast::ExampleLine, ty: &ast::Type, found: usize) -> bool {
    let axes = ty.axes.as_deref().unwrap_or_default();
    let any = axes.iter().any(|axis| matches!(axis.kind, AxisKind::Rest));
    let least = axes.len() - usize::from(any);
    if found == least || (any && found > least) {
        return true;
    }
    let name = &line.name.name;
    let wanted = match least {
        0 => "a number".to_owned(),
        1 => "a list".to_owned(),
        _ => format!("lists nested {least} deep"),
    };
    let more = if any { " or deeper" } else { "" };
    let is = match found {
        0 => "a number".to_owned(),
        1 => "a list".to_owned(),
        _ => format!("nested {found} deep"),
    };
    let message = format!("`{name}` needs {wanted}{more}, and this is {is}");
    let error = Diagnostic::error(codes::EXAMPLE_VALUE, line.value.span, message);
    session.report(error.with_other(ty.span, "its type"));
    false
}

/// Every parameter without a default has a value, and something is expected.
fn check_complete(
    session: &mut Session<'_>,
    kernel: &ast::Kernel,
    example: &ast::ExampleDecl,
    seen: &FxHashMap<(&str, bool), Span>,
) {
    for param in kernel.params.iter().filter(|param| param.default.is_none()) {
        if !seen.contains_key(&(param.name.as_str(), true)) {
            let message = format!("this example gives no `{}`, which has no default", param.name.name);
            let error = Diagnostic::error(codes::EXAMPLE_INCOMPLETE, example.kernel.span, message);
            session.report(error.with_other(param.span, "the parameter"));
        }
    }
    if !seen.keys().any(|(_, given)| !given) {
        let message = "this example expects nothing";
        let error = Diagnostic::error(codes::EXAMPLE_INCOMPLETE, example.kernel.span, message);
        let (name, _) = results(kernel)[0];
        session.report(error.with_help(format!("say what comes out: `{name} ~= …;` or `{name} == …;`")));
    }
}

/// What numbers may stand somewhere.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Float,
    Whole,
    Bool,
}

impl Kind {
    /// By the dtype as written; a dtype parameter is a float.
    fn of(dtype: &ast::Ident) -> Kind {
        match DType::from_name(dtype.as_str()) {
            Some(DType::Bool) => Kind::Bool,
            Some(dtype) if !dtype.is_float() => Kind::Whole,
            _ => Kind::Float,
        }
    }
}

impl Elements {
    /// Reads a number or a list; false if there is a message about it.
    fn read<'a>(&mut self, session: &mut Session<'a>, value: &'a Expr, depth: usize, kind: Kind) -> bool {
        let ExprKind::Array(elements) = &value.kind else {
            if depth < self.shape.len() {
                bad_value(session, value.span, "a list stands beside this number".to_owned());
                return false;
            }
            return self.number(session, value, kind);
        };
        match self.shape.get(depth) {
            Some(&known) if known != elements.len() => {
                let count = elements.len();
                let noun = if count == 1 { "element" } else { "elements" };
                let message = format!("this list has {count} {noun}, the one before {known}");
                bad_value(session, value.span, message);
                return false;
            }
            Some(_) => {}
            None if !self.values.is_empty() => {
                bad_value(session, value.span, "a number stands beside this list".to_owned());
                return false;
            }
            None if depth == act_runtime::MAX_AXES => {
                let message = format!("an array has at most {} axes", act_runtime::MAX_AXES);
                bad_value(session, value.span, message);
                return false;
            }
            None => self.shape.push(elements.len()),
        }
        elements.iter().all(|element| self.read(session, element, depth + 1, kind))
    }

    fn number<'a>(&mut self, session: &mut Session<'a>, expr: &'a Expr, kind: Kind) -> bool {
        let value = match lower::example_value(session, expr) {
            Value::Poison => return false,
            Value::Number(number) if kind != Kind::Bool => number,
            Value::Bool(value) if kind == Kind::Bool => Number::Int(i64::from(value)),
            _ => {
                let wanted = if kind == Kind::Bool { "`true` or `false`" } else { "a number" };
                bad_value(session, expr.span, format!("{wanted} must stand here"));
                return false;
            }
        };
        if kind == Kind::Whole && value.whole().is_none() {
            bad_value(session, expr.span, "a whole number must stand here".to_owned());
            return false;
        }
        self.values.push(value.value());
        self.units.push(unit(expr));
        self.spans.push(expr.span);
        true
    }
}

/// One in the last digit of a number as it is written.
fn unit(expr: &Expr) -> f64 {
    match &expr.kind {
        ExprKind::Unary(UnaryOp::Neg, operand) => unit(operand),
        ExprKind::Number(number) if matches!(number.value, NumberValue::Float(_)) => {
            let (digits, exponent) = number.text.split_once(['e', 'E']).unwrap_or((&number.text, "0"));
            let places = digits.split_once('.').map_or(0, |(_, behind)| behind.len());
            let exponent = exponent.parse::<i32>().unwrap_or(0);
            format!("1e{}", exponent.saturating_sub(i32::try_from(places).unwrap_or(i32::MAX)))
                .parse()
                .unwrap_or(WHOLE_UNIT)
        }
        _ => WHOLE_UNIT,
    }
}
