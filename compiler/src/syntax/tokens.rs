//! A flat pass over the text before pest sees it.
//!
//! It finds what the grammar drops (comments, blank lines), refuses what would make a recursive parser run deep, and
//! keeps the tokens for `explain`, which says in words why a text is no `.act` file. It accepts every text; it never
//! recurses and looks at each character once.

use super::ast::Comment;
use super::{MAX_HEIGHT, MAX_NESTING};
use crate::diag::{Diagnostic, FileId, Span, codes};

/// What a token is, as far as messages need to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenKind {
    /// A word that can be a name.
    Word,
    /// A word that can't.
    Keyword,
    /// Digits and what touches them: `1`, `1e-5`, but also `1.`, `0x1f`, `2d`.
    Number,
    /// `"…"`
    Text,
    /// `( [ {`
    Open,
    /// `) ] }`
    Close,
    /// An operator or a mark, also ones that the language does not have.
    Mark,
    /// `/// …` or `//! …`
    Doc,
    /// A character with no meaning.
    Unknown,
}

/// A token: what it is and where.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token {
    pub kind: TokenKind,
    pub start: usize,
    pub end: usize,
}

/// All that the pass found.
pub(super) struct Tokens<'a> {
    pub text: &'a str,
    pub file: FileId,
    pub list: Vec<Token>,
    pub comments: Vec<Comment>,
    /// The start of each token or comment that has a blank line before it.
    pub blank_lines: Vec<u32>,
}

pub(super) const KEYWORDS: [&str; 13] =
    ["kernel", "fn", "const", "let", "if", "else", "iterate", "unfold", "true", "false", "inf", "nan", "pi"];

/// The marks of more than one character, with those of other languages, longest first.
const LONG_MARKS: [&str; 32] = [
    "**=", "<=>", "===", "!==", "...", "||", "&&", "==", "!=", "<=", ">=", "->", "~=", "..", "**", "=>",
    "+=", "-=", "*=", "/=", "^=", "%=", ":=", "::", "<<", ">>", "++", "--", "<-", "??", "|>", "@@",
];
const SHORT_MARKS: &str = "+-*/^<>=!,:;.%&|?@#~$'`\\";

/// Splits a text of at most [`super::MAX_FILE`] bytes.
pub(super) fn split(text: &str, file: FileId) -> Tokens<'_> {
    let mut out = Tokens { text, file, list: Vec::new(), comments: Vec::new(), blank_lines: Vec::new() };
    let bytes = text.as_bytes();
    let mut at = if text.starts_with('\u{FEFF}') { 3 } else { 0 };
    let mut newlines = 0;
    while at < bytes.len() {
        if bytes[at].is_ascii_whitespace() && bytes[at] != 0x0c {
            newlines += usize::from(bytes[at] == b'\n');
            at += 1;
            continue;
        }
        if newlines > 1 {
            out.blank_lines.push(at as u32);
        }
        let own_line = newlines > 0 || (out.list.is_empty() && out.comments.is_empty());
        newlines = 0;
        at = match comment_end(text, at) {
            Some(end) => {
                let span = out.span(at, end);
                out.comments.push(Comment { text: text[at..end].to_owned(), own_line, span });
                end
            }
            None => {
                let token = next_token(text, at);
                out.list.push(token);
                token.end
            }
        };
    }
    out
}

/// The end of the comment that starts at `at`, if one does.
fn comment_end(text: &str, at: usize) -> Option<usize> {
    let rest = &text[at..];
    let is_doc = rest.starts_with("//!") || (rest.starts_with("///") && !rest.starts_with("////"));
    (rest.starts_with("//") && !is_doc).then(|| line_end(text, at))
}

/// The end of the line without the blanks at it.
fn line_end(text: &str, at: usize) -> usize {
    let end = text[at..].find('\n').map_or(text.len(), |offset| at + offset);
    at + text[at..end].trim_end().len()
}

/// The token at `at`, where no blank and no comment begins.
fn next_token(text: &str, at: usize) -> Token {
    let rest = &text[at..];
    let first = rest.chars().next().expect("not at the end");
    let (kind, end) = if rest.starts_with("//") {
        (TokenKind::Doc, line_end(text, at))
    } else if first.is_ascii_digit() {
        (TokenKind::Number, number_end(text, at))
    } else if first.is_ascii_alphabetic() || first == '_' {
        let end = at + rest.find(|c: char| !is_word(c)).unwrap_or(rest.len());
        let kind = if KEYWORDS.contains(&&text[at..end]) { TokenKind::Keyword } else { TokenKind::Word };
        (kind, end)
    } else if first == '"' {
        match rest[1..].find(['"', '\n']) {
            Some(length) if rest[1 + length..].starts_with('"') => (TokenKind::Text, at + length + 2),
            Some(_) | None => (TokenKind::Unknown, at + 1),
        }
    } else if "([{".contains(first) {
        (TokenKind::Open, at + 1)
    } else if ")]}".contains(first) {
        (TokenKind::Close, at + 1)
    } else if let Some(mark) = LONG_MARKS.iter().find(|mark| rest.starts_with(**mark)) {
        (TokenKind::Mark, at + mark.len())
    } else if SHORT_MARKS.contains(first) {
        (TokenKind::Mark, at + 1)
    } else {
        (TokenKind::Unknown, at + first.len_utf8())
    };
    Token { kind, start: at, end }
}

/// The end of a number, taken generously: letters that touch it, a sign after `e`, and points that are not `..`.
fn number_end(text: &str, start: usize) -> usize {
    let bytes = text.as_bytes();
    let mut at = start;
    loop {
        let exponent = at > start && matches!(bytes[at - 1], b'e' | b'E');
        at += match bytes.get(at) {
            Some(b) if is_word(*b as char) => 1,
            Some(b'.') if bytes.get(at + 1) != Some(&b'.') => 1,
            Some(b'+' | b'-') if exponent && bytes.get(at + 1).is_some_and(u8::is_ascii_digit) => 1,
            _ => return at,
        };
    }
}

pub(super) fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

impl Tokens<'_> {
    pub fn span(&self, start: usize, end: usize) -> Span {
        Span::new(self.file, start as u32, end as u32)
    }

    pub fn span_of(&self, token: Token) -> Span {
        self.span(token.start, token.end)
    }

    /// The text of the token of that place in the list; empty outside.
    pub fn text_of(&self, place: Option<usize>) -> &str {
        place.and_then(|place| self.list.get(place)).map_or("", |token| &self.text[token.start..token.end])
    }

    /// The place in the list of the token that holds or follows the byte `at`.
    pub fn at(&self, at: usize) -> usize {
        self.list.partition_point(|token| token.end <= at)
    }

    /// The end of the last token that starts before the byte `at`.
    pub fn end_before(&self, at: usize) -> usize {
        let count = self.list.partition_point(|token| token.start < at);
        count.checked_sub(1).map_or(0, |last| self.list[last].end)
    }

    /// Refuses brackets that are open inside more than [`MAX_NESTING`] others.
    pub fn check_depth(&self) -> Result<(), Box<Diagnostic>> {
        let mut depth = 0usize;
        for token in &self.list {
            match token.kind {
                TokenKind::Open => depth += 1,
                TokenKind::Close => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth > MAX_NESTING {
                return Err(Box::new(too_deep(self.span_of(*token))));
            }
        }
        Ok(())
    }

    /// For each bracket the place of its partner. Brackets of a kind that does not fit are left without one.
    pub fn partners(&self) -> Vec<Option<usize>> {
        let mut partners = vec![None; self.list.len()];
        let mut open: Vec<usize> = Vec::new();
        for (place, token) in self.list.iter().enumerate() {
            match token.kind {
                TokenKind::Open => open.push(place),
                TokenKind::Close => {
                    let fits =
                        |opened: &usize| closes(self.text_of(Some(*opened)), self.text_of(Some(place)));
                    if let Some(opened) = open.pop_if(|opened| fits(opened)) {
                        partners[opened] = Some(place);
                        partners[place] = Some(opened);
                    }
                }
                _ => {}
            }
        }
        partners
    }

    /// The first mistake in the pairing of brackets: one that closes nothing, or one that is not closed.
    pub fn unpaired(&self) -> Option<Unpaired> {
        let mut open: Vec<usize> = Vec::new();
        for (place, token) in self.list.iter().enumerate() {
            match token.kind {
                TokenKind::Open => open.push(place),
                TokenKind::Close => match open.pop() {
                    None => return Some(Unpaired { open: None, close: Some(place) }),
                    Some(last) if closes(self.text_of(Some(last)), self.text_of(Some(place))) => {}
                    Some(last) => return Some(Unpaired { open: Some(last), close: Some(place) }),
                },
                _ => {}
            }
        }
        open.last().map(|last| Unpaired { open: Some(*last), close: None })
    }
}

/// Brackets that don't pair: an opening one, and what stands where its partner should.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unpaired {
    pub open: Option<usize>,
    pub close: Option<usize>,
}

/// The bracket that closes `open`.
pub(super) fn closing(open: &str) -> &'static str {
    match open {
        "(" => ")",
        "[" => "]",
        _ => "}",
    }
}

fn closes(open: &str, close: &str) -> bool {
    closing(open) == close
}

/// The message about nesting, in brackets or in operators.
pub(super) fn too_deep(span: Span) -> Diagnostic {
    Diagnostic::error(codes::TOO_DEEP, span, "this is nested too deeply")
        .with_label("one level too many")
        .with_note(format!("brackets nest at most {MAX_NESTING} deep"))
        .with_note(format!(
            "an expression has at most {MAX_HEIGHT} levels; each operator of a chain `a + b + c` is one"
        ))
        .with_help("name parts of it with `let`")
}
