//! Says in words why a text is no `.act` file.
//!
//! pest tells the place of the first token that does not fit, and which rules would have. The functions in [`CASES`] look
//! at the tokens around that place, each for one common mistake; the first that recognises its own words the message.
//! If none does, the message is what was expected and what was found.

use actlang_grammar::Rule;
use pest::error::{Error, ErrorVariant, InputLocation};

use super::tokens::{Token, TokenKind, Tokens, Unpaired, closing, too_deep};
use crate::diag::{Diagnostic, Span, codes};

/// Words pest's error as a message to the user.
pub(super) fn explain(error: &Error<Rule>, tokens: &Tokens<'_>) -> Diagnostic {
    let byte = match error.location {
        InputLocation::Pos(at) | InputLocation::Span((at, _)) => at,
    };
    let place = tokens.at(byte);
    let expected = match &error.variant {
        ErrorVariant::ParsingError { positives, .. } => positives.as_slice(),
        // The stack that the caller gave us is nearly used up: pest gives up rather than overflow it.
        ErrorVariant::CustomError { .. } => {
            let end = tokens.text.len();
            return too_deep(
                tokens.list.get(place).map_or(tokens.span(end, end), |token| tokens.span_of(*token)),
            );
        }
    };
    let failure = Failure { tokens, place, expected, partners: tokens.partners() };
    CASES.iter().find_map(|case| case(&failure)).unwrap_or_else(|| something_else(&failure))
}

/// Where the parser stopped, and what it would have taken.
struct Failure<'a> {
    tokens: &'a Tokens<'a>,
    /// The token that does not fit, as its place in the list; its length at the end of the text.
    place: usize,
    expected: &'a [Rule],
    partners: Vec<Option<usize>>,
}

type Case = fn(&Failure<'_>) -> Option<Diagnostic>;

/// In the order in which they are tried: what is wrong in itself, then brackets, then what is wrong here.
const CASES: [Case; 26] = [
    unknown_character,
    stray_doc,
    bad_number,
    unknown_operator,
    brackets,
    size_without_name,
    index_by_place,
    dims_without_call,
    positional_tuple,
    expression_then_semicolon,
    no_value,
    typed_let,
    other_language,
    missing_semicolon,
    equals,
    missing_else,
    whole_expression,
    keyword_as_name,
    bare_block,
    array_literal,
    empty_brackets,
    no_dtype,
    typed_fn_parameter,
    kernel_signature,
    item_keyword,
    missing_comma,
];

impl<'a> Failure<'a> {
    fn token(&self, place: Option<usize>) -> Option<Token> {
        place.and_then(|place| self.tokens.list.get(place)).copied()
    }

    fn found(&self) -> Option<Token> {
        self.token(Some(self.place))
    }

    fn previous(&self) -> Option<Token> {
        self.token(self.back(1))
    }

    /// The place `count` tokens before the one that does not fit.
    fn back(&self, count: usize) -> Option<usize> {
        self.place.checked_sub(count)
    }

    /// The text of the token that does not fit; empty at the end.
    fn text(&self) -> &'a str {
        self.text_at(Some(self.place))
    }

    fn text_at(&self, place: Option<usize>) -> &'a str {
        self.token(place).map_or("", |token| &self.tokens.text[token.start..token.end])
    }

    /// The text of the token before.
    fn before(&self) -> &'a str {
        self.text_at(self.back(1))
    }

    /// The place of the token that does not fit; the end of the text after the last.
    fn span(&self) -> Span {
        match self.found() {
            Some(token) => self.tokens.span_of(token),
            None => self.span_after_previous(),
        }
    }

    fn span_after_previous(&self) -> Span {
        let end = self.previous().map_or(0, |token| token.end);
        self.tokens.span(end, end)
    }

    fn span_at(&self, place: usize) -> Span {
        self.tokens.span_of(self.tokens.list[place])
    }

    fn source(&self, from: usize, to: usize) -> &'a str {
        &self.tokens.text[self.tokens.list[from].start..self.tokens.list[to].end]
    }

    fn expects(&self, rule: Rule) -> bool {
        self.expected.contains(&rule)
    }

    /// Whether the beginning of an expression would have fitted.
    fn expects_value(&self) -> bool {
        self.expected.iter().any(|rule| describe(*rule) == Some("an expression"))
    }

    /// Whether an operator would have fitted: an expression has just ended.
    fn expects_operator(&self) -> bool {
        self.expects(Rule::add)
    }

    fn error(&self, code: &'static str, message: impl Into<String>) -> Diagnostic {
        Diagnostic::error(code, self.span(), message)
    }

    /// The bracket that is open at `place`.
    fn opener(&self, place: usize) -> Option<usize> {
        let mut at = place;
        while let Some(before) = at.checked_sub(1) {
            let token = self.tokens.list[before];
            match token.kind {
                TokenKind::Open => return Some(before),
                TokenKind::Close => at = self.partners[before]?,
                _ => at = before,
            }
        }
        None
    }

    /// The first token of the statement or list element that holds `place`.
    fn start_of_part(&self, place: usize) -> usize {
        let mut at = place;
        while let Some(before) = at.checked_sub(1) {
            let token = self.tokens.list[before];
            match token.kind {
                TokenKind::Open => return at,
                TokenKind::Close => match self.partners[before] {
                    // A block that ends an item or a statement; `if … { } else { }` goes on.
                    Some(_) if self.text_at(Some(before)) == "}" && !self.continues(before) => return at,
                    Some(open) => at = open,
                    None => return at,
                },
                _ if matches!(self.text_at(Some(before)), ";" | ",") || token.kind == TokenKind::Doc => {
                    return at;
                }
                _ => at = before,
            }
        }
        at
    }

    /// Whether the closing brace at `place` is followed by `else`, or by an operator.
    fn continues(&self, brace: usize) -> bool {
        let next = self.token(Some(brace + 1));
        let text = self.text_at(Some(brace + 1));
        text == "else" || next.is_some_and(|token| token.kind == TokenKind::Mark)
    }

    /// Whether what stands before `place` can be called or indexed.
    fn follows_value(&self, place: usize) -> bool {
        self.token(place.checked_sub(1)).is_some_and(|token| {
            token.kind == TokenKind::Word || matches!(&self.tokens.text[token.start..token.end], ")" | "]")
        })
    }
}

/// What a rule is called in messages. Several rules may share a word; rules without one are not listed.
fn describe(rule: Rule) -> Option<&'static str> {
    use Rule::*;
    Some(match rule {
        EOI => "the end of the file",
        item | kernel | function | constant | reduction | schedule | example | import | kw_kernel | kw_fn
        | kw_const | kw_reduction | kw_schedule | kw_example | kw_use => {
            "an item (`kernel`, `fn`, `const` …)"
        }
        file_doc | doc => return None,
        ident => "a name",
        derivation | default | assign => "`=`",
        generics | less => "`<`",
        params | fn_params | open | args | tuple | group | named_results | reduction_names => "`(`",
        arrow => "`->`",
        results | named_result | type_ => "a type",
        block | open_brace => "`{`",
        generic_dtype | generic_dim | param | fn_param | group_part | sized_axis | tuple_field
        | directive | example_line | reduction_part | entry => "a name",
        range | kw_in => "`in`",
        bound => "a number",
        axes | fn_dims | call_dims | open_bracket | index => "`[`",
        axis => "a dimension",
        dim_arg => "a dimension",
        size | size_term => "a size",
        size_op | add | sub | mul | div | or | and | eq | ne | le | ge | lt | gt | pow | infix => {
            "an operator"
        }
        let_stmt | kw_let => "`let`",
        dim_stmt | kw_dim => "`dim`",
        expr | operand | primary | choice | repeat | parens | call | name | number | named_number
        | boolean | neg | not | kw_if | kw_iterate | kw_unfold | arg => "an expression",
        filter | kw_where => "`where`",
        within | kw_within => "`within`",
        array => "`[`",
        field | dot => "`.`",
        int => "a whole number",
        string => "a path in quotes",
        kw_else => "`else`",
        close => "`)`",
        close_bracket => "`]`",
        close_brace => "`}`",
        greater => "`>`",
        comma => "`,`",
        colon => "`:`",
        semi => "`;`",
        near => "`~=`",
        rest => "`..`",
        file | ident_char | keyword | rest_of_line | WHITESPACE | COMMENT => return None,
    })
}

/// The general message: what was expected, what was found.
fn something_else(failure: &Failure<'_>) -> Diagnostic {
    let list = expected_list(failure);
    let found = found_text(failure);
    failure
        .error(codes::UNEXPECTED, format!("expected {list}, found {found}"))
        .with_label(format!("expected {list}"))
}

fn found_text(failure: &Failure<'_>) -> String {
    match failure.found() {
        None => "the end of the file".to_owned(),
        Some(token) if token.kind == TokenKind::Keyword => format!("the keyword `{}`", failure.text()),
        Some(_) => format!("`{}`", shorten(failure.text())),
    }
}

/// At most forty characters of a text, for quoting it.
fn shorten(text: &str) -> String {
    let mut short: String = text.chars().take(40).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

/// The words for what was expected, without repetition; marks first, words for whole classes last.
fn expected_list(failure: &Failure<'_>) -> String {
    let value = failure.expects_value();
    let operator = failure.expects_operator();
    let mut words: Vec<&str> = Vec::new();
    for rule in failure.expected {
        let Some(word) = describe(*rule) else { continue };
        // What can always begin or continue an expression says nothing more than the word for it.
        let implied = (value && matches!(word, "a name" | "`(`" | "a whole number"))
            || (operator && matches!(word, "`.`" | "`[`" | "`(`"));
        if !implied && !words.contains(&word) {
            words.push(word);
        }
    }
    words.sort_by_key(|word| !word.starts_with('`'));
    match words.as_slice() {
        [] => "something else".to_owned(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

// ---------------------------------------------------------------------------------------------- wrong in itself

fn unknown_character(failure: &Failure<'_>) -> Option<Diagnostic> {
    failure.found().filter(|token| token.kind == TokenKind::Unknown)?;
    let text = failure.text();
    if text == "\"" {
        let error = failure.error(codes::UNKNOWN_CHARACTER, "this text has no closing quote");
        return Some(error.with_label("not closed on this line"));
    }
    let character = text.chars().next()?;
    let shown = if character.is_control() || !character.is_ascii() {
        format!("`{}` (U+{:04X})", character.escape_debug(), u32::from(character))
    } else {
        format!("`{character}`")
    };
    let error = failure.error(codes::UNKNOWN_CHARACTER, format!("the character {shown} has no meaning here"));
    let ascii = match character {
        '×' | '·' | '∙' | '⋅' | '∗' => "*",
        '÷' | '∕' => "/",
        '−' | '–' | '—' => "-",
        '≤' => "<=",
        '≥' => ">=",
        '≠' => "!=",
        '→' => "->",
        '∞' => "inf",
        'π' => "pi",
        '…' => "..",
        '\u{a0}' => " ",
        '“' | '”' => "\"",
        '²' => "^2",
        '³' => "^3",
        '∧' => "&&",
        '∨' => "||",
        '¬' => "!",
        'Σ' | '∑' => "sum",
        '√' => "sqrt",
        _ if character.is_alphabetic() => {
            return Some(
                error
                    .with_label("not an ASCII letter")
                    .with_help("names consist of `a`-`z`, `A`-`Z`, `0`-`9` and `_`"),
            );
        }
        _ => return Some(error.with_label("not part of the language")),
    };
    Some(error.with_label("not part of the language").with_fix("it is written", failure.span(), ascii))
}

fn stray_doc(failure: &Failure<'_>) -> Option<Diagnostic> {
    let place = [Some(failure.place), failure.back(1)]
        .into_iter()
        .flatten()
        .find(|place| failure.token(Some(*place)).is_some_and(|token| token.kind == TokenKind::Doc))?;
    let (span, text) = (failure.span_at(place), failure.text_at(Some(place)));
    let marker = Span::new(span.file, span.start, span.start + 3);
    let message = "this documentation belongs to nothing";
    let error = Diagnostic::error(codes::STRAY_DOC, span, message);
    if text.starts_with("//!") {
        let error = error.with_label("`//!` stands at the head of a file");
        return Some(error.with_fix("document the item that follows", marker, "///"));
    }
    let error = error.with_label("`///` stands before an item (`kernel`, `fn`, `const` …)");
    Some(error.with_fix("make it a comment", marker, "//"))
}

fn bad_number(failure: &Failure<'_>) -> Option<Diagnostic> {
    let span = failure.span();
    let text = failure.text();
    let next = failure.token(Some(failure.place + 1));
    // `.5`: a point that follows nothing it could belong to.
    let bare_point = text == "."
        && next.is_some_and(|next| next.kind == TokenKind::Number && next.start == span.end as usize)
        && failure.expects_value();
    if bare_point {
        let span = span.to(failure.span_at(failure.place + 1));
        let digits = failure.text_at(Some(failure.place + 1));
        let error =
            Diagnostic::error(codes::BAD_NUMBER, span, "a number has digits on both sides of its point");
        return Some(error.with_label("no digit before the point").with_fix(
            "write",
            span,
            format!("0.{digits}"),
        ));
    }
    let found = failure.found().filter(|token| token.kind == TokenKind::Number)?;
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    if is_plain || is_number(text) {
        return None;
    }
    let error = failure.error(codes::BAD_NUMBER, format!("`{}` is not a number", shorten(text)));
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (head, tail) = text.split_at(digits);
    let plain = text.replace('_', "");
    let after = failure.tokens.text[found.end..].starts_with(|c: char| c.is_ascii_digit());
    Some(if tail == "." && !after {
        let error = error.with_label("no digit after the point");
        error.with_fix("write", span, format!("{head}.0"))
    } else if text.contains('_') && is_number(&plain) {
        error.with_label("digits are not grouped").with_fix("write", span, plain)
    } else if let Some(value) = hexadecimal(text) {
        error.with_label("numbers are decimal").with_fix("write", span, value.to_string())
    } else if let Some(number) = without_suffix(text) {
        error.with_label("a number has no type of its own").with_fix("write", span, number)
    } else if tail.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && tail.chars().all(super::tokens::is_word)
    {
        let error = error.with_label("a name can't begin with a digit");
        error.with_fix("if a product is meant, write", span, format!("{head} * {tail}"))
    } else {
        error.with_label("numbers look like `1`, `0.5` or `1e-5`")
    })
}

/// Whether a text is a number of the grammar.
fn is_number(text: &str) -> bool {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.strip_prefix(['+', '-']).unwrap_or(exponent)),
        None => (text, "0"),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    digits(whole) && digits(fraction) && digits(exponent)
}

fn hexadecimal(text: &str) -> Option<u64> {
    u64::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}

fn without_suffix(text: &str) -> Option<&str> {
    let number = ["f32", "f64", "f16", "bf16", "i32", "u8", "i8", "f"]
        .iter()
        .find_map(|end| text.strip_suffix(end))?;
    let number = number.trim_end_matches('_');
    is_number(number).then_some(number)
}

fn unknown_operator(failure: &Failure<'_>) -> Option<Diagnostic> {
    failure.found().filter(|token| token.kind == TokenKind::Mark)?;
    let span = failure.span();
    let text = failure.text();
    let error = failure.error(codes::UNKNOWN_OPERATOR, format!("there is no `{text}`"));
    let fix = |error: Diagnostic, label: &str, new: &str| {
        Some(error.with_label(label).with_fix("write", span, new))
    };
    match text {
        "**" => fix(error, "a power is written `^`", "^"),
        "&" => fix(error, "the logical and is written `&&`", "&&"),
        "|" => fix(error, "the logical or is written `||`", "||"),
        "===" => fix(error, "equality is written `==`", "=="),
        "!==" => fix(error, "inequality is written `!=`", "!="),
        "=>" => fix(error, "a comparison is written `>=`, a result type follows `->`", ">="),
        ":=" => fix(error, "a value is named by `let name = …;`", "="),
        "..." => fix(error, "leading axes are written `..`", ".."),
        "%" => {
            Some(error.with_label("not an operator").with_help("the remainder of a division is `rem(a, b)`"))
        }
        "+=" | "-=" | "*=" | "/=" | "^=" | "%=" | "**=" | "++" | "--" => {
            let error = error.with_label("values don't change");
            Some(error.with_help("name a new value with `let`; it may have the old name"))
        }
        "?" | "??" => {
            Some(error.with_label("not an operator").with_help("a choice is written `if c { a } else { b }`"))
        }
        "~" => Some(error.with_label("not an operator").with_help("the logical not is written `!`")),
        "#" => Some(error.with_label("not part of the language").with_help("a comment begins with `//`")),
        "@" | "@@" => {
            let error = error.with_label("not an operator");
            Some(error.with_help("a matrix product is a sum over the shared dimension: `sum[k](a * b)`"))
        }
        "<<" | ">>" | "<=>" | "<-" | "|>" | "::" | "$" | "'" | "`" | "\\" => {
            Some(error.with_label("not part of the language"))
        }
        _ => None,
    }
}

// ---------------------------------------------------------------------------------------------- brackets

fn brackets(failure: &Failure<'_>) -> Option<Diagnostic> {
    let Unpaired { open, close } = failure.tokens.unpaired()?;
    // A mistake before the brackets go wrong is more likely the cause.
    let first = open.or(close)?;
    if failure.place < first {
        return None;
    }
    let close_span = close.map(|place| failure.span_at(place));
    let Some(open) = open else {
        let text = failure.text_at(close);
        let error = Diagnostic::error(codes::BRACKET, close_span?, format!("this `{text}` closes nothing"));
        return Some(error.with_label("no bracket is open here").with_fix("remove it", close_span?, ""));
    };
    // If something else is wrong inside the bracket before its partner is missed, that is for other cases.
    if close.is_some_and(|close| failure.place < close) && !expects_closing(failure, open) {
        return None;
    }
    let (opener, opener_span) = (failure.text_at(Some(open)), failure.span_at(open));
    let wanted = closing(opener);
    let error = Diagnostic::error(codes::BRACKET, opener_span, format!("this `{opener}` is not closed"));
    let error = match close_span {
        Some(span) => {
            error.with_label("opened here").with_other(span, format!("`{wanted}` expected before this"))
        }
        None => error.with_label("opened here, still open at the end of the file"),
    };
    if expects_closing(failure, open) {
        return Some(error.with_fix("close it", failure.span_after_previous(), wanted));
    }
    Some(error)
}

/// Whether the partner of the bracket `open` would have fitted where the parser stopped.
fn expects_closing(failure: &Failure<'_>, open: usize) -> bool {
    let rule = match failure.text_at(Some(open)) {
        "(" => Rule::close,
        "[" => Rule::close_bracket,
        _ => Rule::close_brace,
    };
    failure.expects(rule) || (rule == Rule::close && failure.expects_operator()) || failure.found().is_none()
}

/// `x[0]`: an entry without its dimension.
fn index_by_place(failure: &Failure<'_>) -> Option<Diagnostic> {
    let open = failure.opener(failure.place)?;
    let is_index = failure.text_at(Some(open)) == "[" && failure.follows_value(open);
    let starts_entry = failure.place == open + 1 || failure.before() == ",";
    let value = failure.found().is_some_and(|token| {
        token.kind == TokenKind::Number || matches!(failure.text(), "-" | "(" | "pi" | "inf")
    });
    if !is_index || !starts_entry || !value || in_type(failure, open) {
        return None;
    }
    let text = failure.text();
    // `mean[-1](x)`
    let close = failure.partners[open];
    if close.is_some_and(|close| failure.text_at(Some(close + 1)) == "(") {
        let base = failure.text_at(open.checked_sub(1));
        let error = failure.error(codes::INDEX_WITHOUT_DIM, "dimensions have names, not numbers");
        let error = error.with_label("no dimension");
        return Some(
            error.with_help(format!("write `{base}[d](…)`, where `d` is a dimension of the argument")),
        );
    }
    let error = failure.error(codes::INDEX_WITHOUT_DIM, "an index says which dimension it is for");
    let error = error.with_label("no dimension");
    Some(error.with_fix("name the dimension", failure.span(), format!("d = {text}")))
}

/// `f32[n, 4]`: a size without a name.
fn size_without_name(failure: &Failure<'_>) -> Option<Diagnostic> {
    let open = failure.opener(failure.place)?;
    let size = failure.found().is_some_and(|token| token.kind == TokenKind::Number);
    if failure.text_at(Some(open)) != "[" || !in_type(failure, open) || !size || !failure.expects(Rule::axis)
    {
        return None;
    }
    let text = failure.text();
    let error =
        failure.error(codes::UNEXPECTED, "a dimension of fixed size has a name, too").with_label("no name");
    let taken = |name: &&&str| (0..failure.tokens.list.len()).all(|at| failure.text_at(Some(at)) != **name);
    let Some(name) = ["i", "j", "k", "m", "p", "q"].iter().find(taken) else {
        return Some(error.with_help(format!("write `name={text}`")));
    };
    Some(error.with_fix("name it", failure.span(), format!("{name}={text}")))
}

/// Whether the bracket `open` belongs to a type: `x: f32[…]` or `-> f32[…]`.
fn in_type(failure: &Failure<'_>, open: usize) -> bool {
    matches!(failure.text_at(open.checked_sub(2)), ":" | "->")
}

/// `x[d]`, `x[i + 1]`: brackets without `=` and without a call after them.
fn dims_without_call(failure: &Failure<'_>) -> Option<Diagnostic> {
    let (open, close) =
        if failure.before() == "]" && failure.expects(Rule::args) | failure.expects(Rule::open) {
            let close = failure.back(1)?;
            (failure.partners[close]?, close)
        } else {
            let open = failure.opener(failure.place)?;
            (open, failure.partners[open]?)
        };
    let is_index =
        failure.text_at(Some(open)) == "[" && failure.follows_value(open) && !in_type(failure, open);
    let names = failure.source(open, close);
    if !is_index || names.contains('=') || failure.text() == "=" {
        return None;
    }
    let base = failure.text_at(open.checked_sub(1));
    let span = failure.span_at(open).to(failure.span_at(close));
    let error = Diagnostic::error(codes::INDEX_WITHOUT_DIM, span, "an index says which dimension it is for");
    let error = error.with_label("no `dimension =`");
    if failure.place <= close {
        return Some(error.with_help(format!("write `{base}[d = …]`, where `d` is the dimension that goes")));
    }
    let inner = names[1..names.len() - 1].trim();
    let error = error.with_fix("to take one position", span, format!("[{inner} = 0]"));
    Some(
        error.with_help(format!(
            "to call a function over `{inner}`, its arguments follow: `{base}[{inner}](x)`"
        )),
    )
}

/// `{ a; }`: the value of a block with a semicolon.
fn expression_then_semicolon(failure: &Failure<'_>) -> Option<Diagnostic> {
    if failure.text() != ";" || !failure.expects(Rule::close_brace) || !failure.expects_operator() {
        return None;
    }
    let error = failure.error(codes::NO_VALUE, "the value of a block has no semicolon");
    let error = error.with_label("not here");
    Some(if failure.text_at(Some(failure.place + 1)) == "}" {
        error.with_fix("remove it", failure.span(), "")
    } else {
        error.with_help("a block has one value, its last expression; other values are named with `let`")
    })
}

/// `{ let a = 1; }` or `{ }`: a block without a value.
fn no_value(failure: &Failure<'_>) -> Option<Diagnostic> {
    if failure.text() != "}" || !failure.expects(Rule::let_stmt) && !failure.expects(Rule::kw_let) {
        return None;
    }
    let error = failure.error(codes::NO_VALUE, "this block has no value");
    Some(
        error
            .with_label("an expression is missing before this")
            .with_note("a block ends with the expression it stands for"),
    )
}

/// `(a, b)`, `(y = a, b)`: tuples have named fields.
fn positional_tuple(failure: &Failure<'_>) -> Option<Diagnostic> {
    let open = failure.opener(failure.place)?;
    if failure.text_at(Some(open)) != "(" || failure.follows_value(open) || in_signature(failure, open) {
        return None;
    }
    let named = failure.text_at(Some(open + 2)) == "=";
    let after_value = failure.text() == "," && failure.expects_operator() && !named;
    let unnamed_field = named && failure.expects(Rule::assign) && matches!(failure.text(), "," | ")");
    let not_a_name = named && failure.before() == "," && failure.expects(Rule::tuple_field);
    let kind = failure.found()?.kind;
    let starts_value = matches!(kind, TokenKind::Number | TokenKind::Open | TokenKind::Mark);
    if !(after_value || unnamed_field || not_a_name && starts_value) {
        return None;
    }
    let start = failure.start_of_part(failure.place);
    let end = if after_value || unnamed_field { failure.back(1)? } else { failure.place };
    let span = failure.span_at(start).to(failure.span_at(end));
    let error = Diagnostic::error(codes::POSITIONAL_TUPLE, span, "every field of a tuple has a name");
    Some(error.with_label("no name").with_help("write `(name = value, other = value)`"))
}

/// Whether the parenthesis `open` holds the parameters or results of a declaration.
fn in_signature(failure: &Failure<'_>, open: usize) -> bool {
    matches!(failure.text_at(open.checked_sub(1)), "->" | ">" | "," | "[" | "(")
        && failure.text_at(Some(open + 2)) == ":"
        || failure.text_at(open.checked_sub(1)) == "->"
        || failure.text_at(open.checked_sub(2)) == "fn"
}

// ---------------------------------------------------------------------------------------------- statements

fn missing_semicolon(failure: &Failure<'_>) -> Option<Diagnostic> {
    if !failure.expects(Rule::semi)
        || failure.text() == "="
        || failure.before() == "}" && operator_follows(failure)
    {
        return None;
    }
    let ends_value = failure.previous().is_some_and(|token| {
        let word =
            matches!(token.kind, TokenKind::Word | TokenKind::Number | TokenKind::Close | TokenKind::Text);
        word || matches!(failure.before(), "inf" | "nan" | "pi" | "true" | "false")
    });
    let starts_part = failure.found().is_none_or(|token| match token.kind {
        TokenKind::Word | TokenKind::Keyword | TokenKind::Number => true,
        TokenKind::Open | TokenKind::Close => matches!(failure.text(), "}" | "("),
        TokenKind::Text | TokenKind::Mark | TokenKind::Doc | TokenKind::Unknown => false,
    });
    if !ends_value || !starts_part || failure.text() == "else" {
        return None;
    }
    let span = failure.span_after_previous();
    let start = failure.text_at(Some(failure.start_of_part(failure.back(1)?)));
    let what = match start {
        "let" | "dim" | "const" | "use" => format!("this `{start}` has no semicolon at its end"),
        _ => "a semicolon is missing".to_owned(),
    };
    let place = failure.span_at(failure.back(1)?);
    let error =
        Diagnostic::error(codes::MISSING_SEMICOLON, place, what).with_label("`;` expected after this");
    Some(error.with_fix("add it", span, ";"))
}

fn operator_follows(failure: &Failure<'_>) -> bool {
    failure.found().is_some_and(|token| token.kind == TokenKind::Mark)
}

/// `let x: f32 = …`
fn typed_let(failure: &Failure<'_>) -> Option<Diagnostic> {
    let statement = failure.text_at(failure.back(2));
    if failure.text() != ":" || !matches!(statement, "let" | "const") {
        return None;
    }
    let error = failure.error(codes::BAD_TYPE, format!("a `{statement}` has no type"));
    let error = error.with_label("its type is that of its value");
    Some(error.with_help("convert a value by the name of the type: `f32(x)`"))
}

fn equals(failure: &Failure<'_>) -> Option<Diagnostic> {
    let error = |message: &str| failure.error(codes::EQUALS, message);
    match failure.text() {
        "==" if failure.expects(Rule::assign) => {
            let error = error("`==` compares; a value is given with `=`").with_label("`=` expected");
            Some(error.with_fix("write", failure.span(), "="))
        }
        "=" if failure.expects_operator() => {
            let error = error("`=` gives a value; `==` compares").with_label("`==` expected");
            Some(error.with_fix("write", failure.span(), "=="))
        }
        _ => None,
    }
}

/// Words of other languages that stand where a statement begins or an operator goes.
fn other_language(failure: &Failure<'_>) -> Option<Diagnostic> {
    let place = if failure.expects_operator() { failure.back(1)? } else { failure.place };
    let word = failure.text_at(Some(place));
    let error = |label: &str, help: &str| {
        let message = format!("there is no `{word}` in this language");
        Some(
            Diagnostic::error(codes::UNEXPECTED, failure.span_at(place), message)
                .with_label(label)
                .with_help(help),
        )
    };
    let starts_word =
        |token: Token| matches!(token.kind, TokenKind::Word | TokenKind::Number | TokenKind::Keyword);
    let next = failure.token(Some(place + 1)).filter(|token| starts_word(*token));
    match word {
        "mut" if failure.text_at(place.checked_sub(1)) == "let" => {
            error("values don't change", "leave it out")
        }
        "and" | "or" | "not" if failure.expects_operator() => None,
        "return" if next.is_some() || failure.text() == "(" => {
            error("a block's last expression is its value", "leave it out")
        }
        "for" | "while" | "loop" if next.is_some() => error(
            "formulas hold for all positions",
            "reduce with `sum[d](x)`, or repeat a fixed number of times with `iterate`",
        ),
        // Where an item may stand it is meant for one.
        "def" if failure.place == 0 || failure.expects(Rule::item) || failure.expects(Rule::kw_kernel) => {
            None
        }
        "var" | "val" | "def" | "auto" | "float" | "double" if next.is_some() => {
            error("not a statement", "name a value with `let name = …;`")
        }
        _ if failure.expects_operator() => match failure.text() {
            "and" => word_operator(failure, "&&"),
            "or" => word_operator(failure, "||"),
            _ => None,
        },
        _ => None,
    }
}

fn word_operator(failure: &Failure<'_>, symbol: &str) -> Option<Diagnostic> {
    let message = format!("the operator is written `{symbol}`");
    let error = failure.error(codes::UNKNOWN_OPERATOR, message).with_label("not an operator");
    Some(error.with_fix("write", failure.span(), symbol))
}

// ---------------------------------------------------------------------------------------------- expressions

fn missing_else(failure: &Failure<'_>) -> Option<Diagnostic> {
    if !failure.expects(Rule::kw_else) || failure.before() != "}" {
        return None;
    }
    let brace = failure.back(1)?;
    let start = failure.partners[brace].map_or(brace, |open| failure.start_of_part(open));
    let place = (start..brace).find(|place| failure.text_at(Some(*place)) == "if").unwrap_or(brace);
    let error = Diagnostic::error(codes::MISSING_ELSE, failure.span_at(place), "this `if` has no `else`");
    let error = error.with_label("has no value where its condition does not hold");
    Some(error.with_fix("say what it is there", failure.span_after_previous(), " else { 0 }"))
}

/// `1 + if …`, `if … { } else { } + 1`
fn whole_expression(failure: &Failure<'_>) -> Option<Diagnostic> {
    let word = failure.text();
    let is_word = matches!(word, "if" | "iterate" | "unfold");
    let after_operator = failure.previous().is_some_and(|token| token.kind == TokenKind::Mark);
    if is_word && after_operator && failure.expects_value() {
        let error = failure.error(codes::WHOLE_EXPRESSION, format!("`{word}` can't be an operand"));
        return Some(parenthesise(failure, error.with_label("stands after an operator"), failure.place));
    }
    let is_operator =
        failure.found().is_some_and(|token| token.kind == TokenKind::Mark) || matches!(word, "[" | ".");
    if failure.before() != "}" || !is_operator || matches!(word, ";" | "," | ":" | "=") {
        return None;
    }
    let start = failure.start_of_part(failure.partners[failure.back(1)?]?);
    let first = (start..failure.place)
        .find(|place| matches!(failure.text_at(Some(*place)), "if" | "iterate" | "unfold"))?;
    let message = format!("`{}` can't be an operand", failure.text_at(Some(first)));
    let error = failure.error(codes::WHOLE_EXPRESSION, message).with_label("goes on after its last block");
    Some(parenthesise(failure, error.with_other(failure.span_at(first), "begins here"), first))
}

/// Adds the advice to put what begins at `first` with `if`, `iterate` or `unfold` into parentheses.
fn parenthesise(failure: &Failure<'_>, error: Diagnostic, first: usize) -> Diagnostic {
    let advice = "put it in parentheses, or name its value with `let` first";
    let mut place = first + 1;
    let mut end = None;
    while let Some(token) = failure.token(Some(place)) {
        let text = failure.text_at(Some(place));
        let block_ends = token.kind == TokenKind::Close && text == "}";
        match failure.partners[place] {
            Some(partner) if token.kind == TokenKind::Open => place = partner,
            _ if matches!(text, ";" | ",") || token.kind == TokenKind::Close => break,
            _ => place += 1,
        }
        if failure.text_at(Some(place)) == "}" && !block_ends {
            if failure.text_at(Some(place + 1)) != "else" {
                end = Some(place);
                break;
            }
            place += 1;
        } else if token.kind == TokenKind::Open {
            place += 1;
        }
    }
    match end {
        Some(end) if !failure.source(first, end).contains('\n') => {
            let span = failure.span_at(first).to(failure.span_at(end));
            error.with_fix(advice, span, format!("({})", failure.source(first, end)))
        }
        _ => error.with_help(advice),
    }
}

fn keyword_as_name(failure: &Failure<'_>) -> Option<Diagnostic> {
    failure.found().filter(|token| token.kind == TokenKind::Keyword)?;
    let word = failure.text();
    let declares = matches!(failure.before(), "let" | "dim" | "fn" | "kernel" | "const" | "reduction");
    let in_list = matches!(failure.before(), "(" | "," | "[" | "<" | ".")
        && matches!(failure.text_at(Some(failure.place + 1)), ":" | "=" | "," | ")" | "]");
    let names_something = declares || (in_list && !failure.expects_operator());
    if !names_something {
        return None;
    }
    let error = failure.error(codes::KEYWORD, format!("`{word}` is a keyword and can't be a name"));
    Some(error.with_label("a name is expected here").with_fix(
        "another name",
        failure.span(),
        format!("{word}_"),
    ))
}

fn bare_block(failure: &Failure<'_>) -> Option<Diagnostic> {
    if failure.text() != "{" || !failure.expects_value() {
        return None;
    }
    let error = failure
        .error(codes::BARE_BLOCK, "a block is not an expression")
        .with_label("an expression is expected here");
    let start = failure.text_at(Some(failure.start_of_part(failure.place)));
    if failure.before() == "=" && start == "fn" {
        let equals = failure.span_at(failure.back(1)?);
        return Some(error.with_fix("a `fn` has either `= value;` or a block", equals, ""));
    }
    Some(error.with_help(
        "blocks belong to `kernel`, `fn`, `if`, `iterate` and `unfold`; group values with parentheses",
    ))
}

fn array_literal(failure: &Failure<'_>) -> Option<Diagnostic> {
    if failure.text() != "[" || !failure.expects_value() {
        return None;
    }
    let error =
        failure.error(codes::ARRAY_LITERAL, "an array can't be written here").with_label("not an expression");
    Some(
        error.with_note("array literals are arguments, as in `poly(x, [1, 0.5])`, or values of an `example`"),
    )
}

/// `x[]`, `f32[]`, `sum[](x)`, `()`
fn empty_brackets(failure: &Failure<'_>) -> Option<Diagnostic> {
    let empty = matches!((failure.before(), failure.text()), ("[", "]") | ("(", ")") | ("<", ">"));
    if !empty {
        return None;
    }
    let open = failure.back(1)?;
    let span = failure.span_at(open).to(failure.span());
    let error = Diagnostic::error(codes::UNEXPECTED, span, "nothing stands between these brackets");
    let error = error.with_label(format!("expected {}", expected_list(failure)));
    Some(if in_type(failure, open) {
        error.with_help("a scalar is written without brackets, an array of any shape as `f32[..]`")
    } else {
        error
    })
}

// ---------------------------------------------------------------------------------------------- declarations

/// `fn f(x: f32)`
fn typed_fn_parameter(failure: &Failure<'_>) -> Option<Diagnostic> {
    let open = failure.opener(failure.place)?;
    let start = failure.text_at(Some(failure.start_of_part(open)));
    if start != "fn" || failure.text() != ":" {
        return (start == "fn" || failure.text() == "->").then(|| fn_result(failure)).flatten();
    }
    let error = failure.error(codes::BAD_TYPE, "parameters of a `fn` have no types");
    Some(
        error
            .with_label("a `fn` works for any type and shape")
            .with_help("write only the name; dimensions that it reduces go in brackets: `fn f[d](x)`"),
    )
}

/// `x: [n, d]`, `-> [n]`
fn no_dtype(failure: &Failure<'_>) -> Option<Diagnostic> {
    if failure.text() != "[" || !matches!(failure.before(), ":" | "->") {
        return None;
    }
    let error = failure.error(codes::BAD_TYPE, "a type begins with a dtype");
    Some(error.with_label("no dtype before the dimensions").with_fix("for example", failure.span(), "f32["))
}

/// `fn f(x) -> f32`
fn fn_result(failure: &Failure<'_>) -> Option<Diagnostic> {
    if failure.text() != "->" {
        return None;
    }
    let error = failure.error(codes::BAD_TYPE, "a `fn` has no result type");
    Some(error.with_label("its type follows from its arguments"))
}

/// Parameters without types, no result type.
fn kernel_signature(failure: &Failure<'_>) -> Option<Diagnostic> {
    if failure.text() == "->" && failure.expects(Rule::open_brace) {
        return fn_result(failure);
    }
    if failure.expects(Rule::arrow) && matches!(failure.text(), "{" | "=" | ":") {
        let error = failure
            .error(codes::BAD_TYPE, "a kernel says what it returns")
            .with_label("`-> type` expected before this");
        return Some(error.with_help("for example `-> f32[.., d]`"));
    }
    if failure.expects(Rule::colon)
        && !failure.expects(Rule::greater)
        && matches!(failure.text(), "," | ")" | "=")
    {
        let name = failure.before();
        let error = failure.error(codes::BAD_TYPE, format!("the parameter `{name}` has no type"));
        return Some(
            error
                .with_label("`: type` expected before this")
                .with_help(format!("for example `{name}: f32[.., d]`, or `{name}: f32` for a scalar")),
        );
    }
    None
}

/// `function f() …`, `def f()`: other words for items.
fn item_keyword(failure: &Failure<'_>) -> Option<Diagnostic> {
    // At the first token pest names the rule of the whole file only.
    if failure.place > 0 && !failure.expects(Rule::item) && !failure.expects(Rule::kw_kernel) {
        return None;
    }
    let word = failure.text();
    let meant = match word {
        "function" | "def" | "func" | "fun" | "define" | "inline" => "fn",
        "let" | "constant" | "static" | "dim" => "const",
        "kernal" | "kern" | "Kernel" | "op" | "__global__" => "kernel",
        "reduce" | "reducer" => "reduction",
        "import" | "include" => "use",
        "test" => "example",
        _ => {
            let error =
                failure.error(codes::UNEXPECTED, format!("expected an item, found {}", found_text(failure)));
            let error = error.with_label("no item begins like this");
            return Some(error.with_note(
                "a file consists of `kernel`, `fn`, `const`, `reduction`, `schedule`, `example` and `use`",
            ));
        }
    };
    let error = failure.error(codes::UNEXPECTED, format!("expected an item, found {}", found_text(failure)));
    Some(error.with_label("no item begins like this").with_fix("write", failure.span(), meant))
}

fn missing_comma(failure: &Failure<'_>) -> Option<Diagnostic> {
    let starts_part = matches!(failure.found()?.kind, TokenKind::Word | TokenKind::Number);
    if !failure.expects(Rule::comma) || !starts_part {
        return None;
    }
    let place = failure.span_at(failure.back(1)?);
    let error = Diagnostic::error(codes::UNEXPECTED, place, "a comma is missing")
        .with_label("`,` expected after this");
    Some(error.with_fix("add it", failure.span_after_previous(), ","))
}
