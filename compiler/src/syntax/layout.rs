//! Lays out a document on lines of limited width.
//!
//! A small form of Wadler's and Oppen's pretty printer: a [`Doc::group`] stands on one line if it fits, else each of its
//! own lines breaks. What is special here are comments: a [`Doc::suffix`] goes to the end of the current line, whatever
//! still comes on it, and takes no part in the width. Nothing here recurses over the document.

/// The width that lines are broken to.
const WIDTH: usize = 100;
/// The blanks of one level of indentation.
const STEP: usize = 4;

/// A piece of text with the places where it may break.
pub(super) struct Doc {
    kind: Kind,
    /// Whether it has a line break in any case, so that no group around it stands on one line.
    hard: bool,
}

enum Kind {
    Text(String),
    /// A line break, or this text if the group stands on one line.
    Line(&'static str),
    /// A line break in any case.
    Hard,
    /// A line break with a blank line.
    Blank,
    /// A blank, or a line break if what follows up to the next one does not fit.
    Fill,
    /// A comment for the end of the line.
    Suffix(String),
    /// A text that stands only if the group breaks.
    IfBroken(&'static str),
    Concat(Vec<Doc>),
    Indent(Box<Doc>),
    Group(Box<Doc>),
}

impl Doc {
    fn new(kind: Kind, hard: bool) -> Doc {
        Doc { kind, hard }
    }

    pub fn text(text: impl Into<String>) -> Doc {
        Doc::new(Kind::Text(text.into()), false)
    }

    /// A line break, or a blank on one line.
    pub fn line() -> Doc {
        Doc::new(Kind::Line(" "), false)
    }

    /// A line break, or nothing on one line.
    pub fn softline() -> Doc {
        Doc::new(Kind::Line(""), false)
    }

    pub fn hard() -> Doc {
        Doc::new(Kind::Hard, true)
    }

    pub fn blank() -> Doc {
        Doc::new(Kind::Blank, true)
    }

    pub fn fill() -> Doc {
        Doc::new(Kind::Fill, false)
    }

    pub fn suffix(text: &str) -> Doc {
        Doc::new(Kind::Suffix(text.to_owned()), true)
    }

    pub fn if_broken(text: &'static str) -> Doc {
        Doc::new(Kind::IfBroken(text), false)
    }

    pub fn concat(parts: Vec<Doc>) -> Doc {
        let hard = parts.iter().any(|part| part.hard);
        Doc::new(Kind::Concat(parts), hard)
    }

    pub fn indent(self) -> Doc {
        let hard = self.hard;
        Doc::new(Kind::Indent(Box::new(self)), hard)
    }

    pub fn group(self) -> Doc {
        let hard = self.hard;
        Doc::new(Kind::Group(Box::new(self)), hard)
    }
}

/// How the lines of the innermost group go.
#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Flat,
    Broken,
}

type Entry<'a> = (usize, Mode, &'a Doc);

/// Writes the document; lines have no blanks at their end.
pub(super) fn layout(doc: &Doc) -> String {
    let mut out = Lines::default();
    let mut stack: Vec<Entry<'_>> = vec![(0, Mode::Broken, doc)];
    while let Some((indent, mode, doc)) = stack.pop() {
        match &doc.kind {
            Kind::Text(text) => out.text(text),
            Kind::Suffix(text) => out.suffix.push_str(text),
            Kind::Hard => out.newline(indent),
            Kind::Blank => {
                out.newline(0);
                out.newline(indent);
            }
            Kind::Line(flat) if mode == Mode::Flat => out.text(flat),
            Kind::Line(_) => out.newline(indent),
            Kind::Fill if fits(out.column + 1, None, &stack) => out.text(" "),
            Kind::Fill => out.newline(indent),
            Kind::IfBroken(text) if mode == Mode::Broken => out.text(text),
            Kind::IfBroken(_) => {}
            Kind::Concat(parts) => stack.extend(parts.iter().rev().map(|part| (indent, mode, part))),
            Kind::Indent(inner) => stack.push((indent + STEP, mode, inner)),
            Kind::Group(inner) => {
                let flat = !inner.hard && fits(out.column, Some(inner), &stack);
                stack.push((indent, if flat { Mode::Flat } else { Mode::Broken }, inner));
            }
        }
    }
    out.finish()
}

/// Whether `first` on one line, and what follows it up to the next line break, ends before the width.
fn fits(mut column: usize, first: Option<&Doc>, rest: &[Entry<'_>]) -> bool {
    let mut own: Vec<(Mode, &Doc)> = first.map(|doc| (Mode::Flat, doc)).into_iter().collect();
    let mut rest = rest.iter().rev();
    while column <= WIDTH {
        let next = own.pop().or_else(|| rest.next().map(|(_, mode, doc)| (*mode, *doc)));
        let Some((mode, doc)) = next else { return true };
        match &doc.kind {
            Kind::Text(text) => column += text.chars().count(),
            Kind::Line(flat) if mode == Mode::Flat => column += flat.len(),
            Kind::Line(_) | Kind::Hard | Kind::Blank | Kind::Fill => return true,
            Kind::IfBroken(text) if mode == Mode::Broken => column += text.len(),
            Kind::IfBroken(_) | Kind::Suffix(_) => {}
            Kind::Concat(parts) => own.extend(parts.iter().rev().map(|part| (mode, part))),
            Kind::Indent(inner) => own.push((mode, inner)),
            Kind::Group(inner) => own.push((if inner.hard { Mode::Broken } else { Mode::Flat }, inner)),
        }
    }
    false
}

/// The text so far.
#[derive(Default)]
struct Lines {
    text: String,
    /// The width of the current line.
    column: usize,
    /// Comments that wait for the end of the current line.
    suffix: String,
}

impl Lines {
    fn text(&mut self, text: &str) {
        self.text.push_str(text);
        self.column += text.chars().count();
    }

    fn end_line(&mut self) {
        let end = self.text.trim_end_matches(' ').len();
        self.text.truncate(end);
        self.text.push_str(&std::mem::take(&mut self.suffix));
    }

    fn newline(&mut self, indent: usize) {
        self.end_line();
        self.text.push('\n');
        self.text.extend(std::iter::repeat_n(' ', indent));
        self.column = indent;
    }

    fn finish(mut self) -> String {
        self.end_line();
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        self.text
    }
}
