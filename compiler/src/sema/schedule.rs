//! `schedule` items: what they ask for, for which kernel. Whether it can be had, the pipeline says.

use super::{Session, list, suggest};
use crate::diag::{Diagnostic, Span, codes};
use crate::directives::{self, Directives, Row, TABLE, Value, Values};
use crate::syntax::ast::{DirectiveValue, NumberValue, ScheduleDecl};

/// Checks all items, and gives for each its kernel's name and what it asks for.
pub(super) fn collect<'a>(session: &mut Session<'a>) -> Vec<(&'a str, Directives)> {
    let mut found: Vec<(&'a str, Directives)> = Vec::new();
    let schedules = session.items.schedules.clone();
    for (number, schedule) in schedules.iter().enumerate() {
        let (name, span) = (schedule.kernel.as_str(), schedule.kernel.span);
        if !session.items.kernels.iter().any(|(_, kernel)| kernel.name.name == name) {
            session.unknown_kernel_at(name, span);
        }
        if let Some(first) = schedules[..number].iter().find(|first| first.kernel.name == name) {
            let message = format!("there are two schedules of `{name}`");
            let error = Diagnostic::error(codes::DUPLICATE_ITEM, span, message).with_label("the second one");
            session.diagnostics.push(error.with_other(first.kernel.span, "the first one"));
        }
        let directives = read(session, schedule);
        found.push((name, directives));
    }
    found
}

fn read(session: &mut Session<'_>, schedule: &ScheduleDecl) -> Directives {
    let mut directives = Directives::default();
    for (number, directive) in schedule.directives.iter().enumerate() {
        let name = &directive.name;
        let before = schedule.directives[..number].iter().find(|before| before.name.name == name.name);
        if let Some(before) = before {
            let message = format!("`{}` is said twice", name.name);
            let error = Diagnostic::error(codes::DIRECTIVE, name.span, message).with_label("the second time");
            session.diagnostics.push(error.with_other(before.name.span, "the first time"));
            continue;
        }
        let Some(row) = directives::row(&name.name) else {
            session.diagnostics.push(unknown(&name.name, name.span));
            continue;
        };
        let (value, span) = match &directive.value {
            DirectiveValue::Word(word) => (Some(Value::Word(word.as_str())), word.span),
            DirectiveValue::Number(number, span) => {
                let whole = match number.value {
                    NumberValue::Int(value) => u32::try_from(value).ok(),
                    NumberValue::Float(_) => None,
                };
                (whole.map(Value::Number), *span)
            }
        };
        if !value.is_some_and(|value| (row.set)(&mut directives, value, span)) {
            session.diagnostics.push(unfit(row, value, span));
        }
    }
    directives
}

fn unknown(name: &str, span: Span) -> Diagnostic {
    let error = Diagnostic::error(codes::DIRECTIVE, span, format!("a schedule has no `{name}`"));
    match suggest::nearest(name, TABLE.iter().map(|row| row.name)) {
        Some(near) => error.with_fix(format!("did you mean `{near}`?"), span, near),
        None => error.with_note(format!("there are {}", list(TABLE.iter().map(|row| row.name)))),
    }
}

fn unfit(row: &Row, value: Option<Value<'_>>, span: Span) -> Diagnostic {
    let message = format!("`{}` can't be this", row.name);
    let error = Diagnostic::error(codes::DIRECTIVE, span, message);
    match (row.values)() {
        Values::Words(words) => {
            let near = match value {
                Some(Value::Word(word)) => suggest::nearest(word, words.iter().copied()),
                _ => None,
            };
            let error = error.with_note(format!("it is one of {}", list(words.iter().copied())));
            match near {
                Some(near) => error.with_fix(format!("did you mean `{near}`?"), span, near),
                None => error,
            }
        }
        Values::Numbers(least, most) => {
            error.with_note(format!("it is a whole number from {least} to {most}"))
        }
    }
}
