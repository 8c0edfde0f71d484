//! Places in source text, and messages about them.
//!
//! A user's mistake is a [`Diagnostic`]: data until the last moment, when [`render`] turns it into text. Needs nothing
//! of the compiler. A stage collects into [`Diagnostics`], which keeps at most [`Diagnostics::LIMIT`] messages, so that
//! no input makes it grow without bound. All codes stand in [`codes`].

use std::fmt::Write as _;

use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Patch, Renderer, Snippet};

/// A text to compile, with the name under which messages speak of it.
#[derive(Clone, Debug, Default)]
pub struct Source {
    /// Shown before the line number; a path as the user wrote it, or `<prelude/…>`.
    pub name: String,
    /// The text.
    pub text: String,
}

impl Source {
    /// A source of that name and text.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Source {
        Source { name: name.into(), text: text.into() }
    }
}

/// Which of the [`Sources`] a place lies in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(pub u32);

/// All texts of one compilation: the user's files and those of the prelude.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    files: Vec<Source>,
}

impl Sources {
    /// No texts.
    pub fn new() -> Sources {
        Sources::default()
    }

    /// Takes in a text and says under which number spans refer to it.
    pub fn add(&mut self, source: Source) -> FileId {
        let id = FileId(u32::try_from(self.files.len()).expect("fewer than 2^32 files"));
        self.files.push(source);
        id
    }

    /// The text of that number.
    pub fn get(&self, file: FileId) -> Option<&Source> {
        self.files.get(file.0 as usize)
    }

    /// The text under `span`; empty where there is none.
    pub fn snippet(&self, span: Span) -> &str {
        self.get(span.file).map_or("", |source| {
            let range = clamp(&source.text, span);
            &source.text[range]
        })
    }

    /// Where `span` lies, for people; none for a generated span or an unknown file.
    pub fn locate(&self, span: Span) -> Option<Location<'_>> {
        let source = self.get(span.file)?;
        let range = clamp(&source.text, span);
        let (line, column) = line_column(&source.text, range.start);
        let (end_line, end_column) = line_column(&source.text, range.end);
        Some(Location { file: &source.name, line, column, end_line, end_column })
    }
}

/// A place for people: lines and columns count from 1, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Location<'a> {
    /// The name of the source.
    pub file: &'a str,
    /// Line of the first character.
    pub line: usize,
    /// Column of the first character.
    pub column: usize,
    /// Line of the first character after the place.
    pub end_line: usize,
    /// Column of the first character after the place.
    pub end_column: usize,
}

/// A range of bytes in one source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Span {
    /// The source.
    pub file: FileId,
    /// Offset of the first byte.
    pub start: u32,
    /// Offset of the first byte after it.
    pub end: u32,
}

impl Span {
    /// The span of what no text stands for.
    pub const NONE: Span = Span { file: FileId(u32::MAX), start: 0, end: 0 };

    /// The bytes from `start` up to `end` of `file`.
    pub fn new(file: FileId, start: u32, end: u32) -> Span {
        Span { file, start, end }
    }

    /// Whether nothing was written for it.
    pub fn is_none(self) -> bool {
        self.file == Span::NONE.file
    }

    /// The smallest span that holds both; the other one if one is [`Span::NONE`], `self` if the files differ.
    pub fn to(self, other: Span) -> Span {
        if self.is_none() {
            return other;
        }
        if other.file != self.file {
            return self;
        }
        Span::new(self.file, self.start.min(other.start), self.end.max(other.end))
    }

    /// The empty span before its first byte.
    pub fn before(self) -> Span {
        Span { end: self.start, ..self }
    }

    /// The empty span after its last byte.
    pub fn after(self) -> Span {
        Span { start: self.end, ..self }
    }
}

impl Default for Span {
    fn default() -> Span {
        Span::NONE
    }
}

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Nothing can be compiled.
    Error,
    /// It compiles, but may not mean what was meant.
    Warning,
}

impl Severity {
    /// `error` or `warning`.
    pub fn name(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
        }
    }
}

/// A second place that a message speaks of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// The place.
    pub span: Span,
    /// What is to be seen there.
    pub text: String,
}

/// Advice at the end of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Help {
    /// What to do.
    pub text: String,
    /// The edit that does it: the span is replaced by the text.
    pub replacement: Option<(Span, String)>,
}

/// One message to the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// One of [`codes`].
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// One sentence, without a full stop, with names as the user wrote them.
    pub message: String,
    /// The place to look at.
    pub span: Span,
    /// What is to be seen there; may be empty.
    pub label: String,
    /// Other places.
    pub labels: Vec<Label>,
    /// Reasons and rules.
    pub notes: Vec<String>,
    /// Advice.
    pub help: Vec<Help>,
}

impl Diagnostic {
    /// An error at `span`.
    pub fn error(code: &'static str, span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(Severity::Error, code, span, message.into())
    }

    /// A warning at `span`.
    pub fn warning(code: &'static str, span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(Severity::Warning, code, span, message.into())
    }

    fn new(severity: Severity, code: &'static str, span: Span, message: String) -> Diagnostic {
        let (label, labels, notes, help) = Default::default();
        Diagnostic { code, severity, message, span, label, labels, notes, help }
    }

    /// Says what is to be seen at the place itself.
    pub fn with_label(mut self, text: impl Into<String>) -> Diagnostic {
        self.label = text.into();
        self
    }

    /// Points at another place; a generated span is left out.
    pub fn with_other(mut self, span: Span, text: impl Into<String>) -> Diagnostic {
        if !span.is_none() {
            self.labels.push(Label { span, text: text.into() });
        }
        self
    }

    /// Adds a reason or a rule.
    pub fn with_note(mut self, text: impl Into<String>) -> Diagnostic {
        self.notes.push(text.into());
        self
    }

    /// Adds advice in words.
    pub fn with_help(mut self, text: impl Into<String>) -> Diagnostic {
        self.help.push(Help { text: text.into(), replacement: None });
        self
    }

    /// Adds advice with the edit that follows it: `span` is replaced by `new`.
    pub fn with_fix(mut self, text: impl Into<String>, span: Span, new: impl Into<String>) -> Diagnostic {
        self.help.push(Help { text: text.into(), replacement: Some((span, new.into())) });
        self
    }
}

/// Messages in the order in which they were found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagnostics {
    list: Vec<Diagnostic>,
    errors: usize,
    dropped: usize,
}

impl Diagnostics {
    /// As many messages are kept; later ones are only counted.
    pub const LIMIT: usize = 100;

    /// No messages.
    pub fn new() -> Diagnostics {
        Diagnostics::default()
    }

    /// Adds a message; above [`Diagnostics::LIMIT`] it is only counted, but an error pushes out a warning.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        let is_error = diagnostic.severity == Severity::Error;
        self.errors += usize::from(is_error);
        if self.list.len() < Diagnostics::LIMIT {
            self.list.push(diagnostic);
            return;
        }
        self.dropped += 1;
        let warning = self.list.iter().rposition(|kept| kept.severity == Severity::Warning);
        if let (true, Some(place)) = (is_error, warning) {
            self.list.remove(place);
            self.list.push(diagnostic);
        }
    }

    /// Whether one of them, kept or only counted, is an error.
    pub fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// The number of errors, kept or only counted.
    pub fn error_count(&self) -> usize {
        self.errors
    }

    /// How many were only counted.
    pub fn dropped(&self) -> usize {
        self.dropped
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The number of messages kept.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// The messages kept, as pushed or sorted.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.list.iter()
    }

    /// Sorts by file and place; messages about the same place keep their order.
    pub fn sort(&mut self) {
        self.list.sort_by_key(|found| (found.span.file, found.span.start, found.span.end));
    }

    /// Takes over all messages of `other`.
    pub fn append(&mut self, other: Diagnostics) {
        let errors = self.errors + other.errors;
        self.dropped += other.dropped;
        other.list.into_iter().for_each(|diagnostic| self.push(diagnostic));
        self.errors = errors;
    }
}

impl From<Diagnostic> for Diagnostics {
    fn from(diagnostic: Diagnostic) -> Diagnostics {
        let mut all = Diagnostics::new();
        all.push(diagnostic);
        all
    }
}

impl FromIterator<Diagnostic> for Diagnostics {
    fn from_iter<I: IntoIterator<Item = Diagnostic>>(iter: I) -> Diagnostics {
        let mut all = Diagnostics::new();
        all.extend(iter);
        all
    }
}

impl Extend<Diagnostic> for Diagnostics {
    fn extend<I: IntoIterator<Item = Diagnostic>>(&mut self, iter: I) {
        iter.into_iter().for_each(|diagnostic| self.push(diagnostic));
    }
}

impl IntoIterator for Diagnostics {
    type Item = Diagnostic;
    type IntoIter = std::vec::IntoIter<Diagnostic>;
    fn into_iter(self) -> Self::IntoIter {
        self.list.into_iter()
    }
}

impl<'a> IntoIterator for &'a Diagnostics {
    type Item = &'a Diagnostic;
    type IntoIter = std::slice::Iter<'a, Diagnostic>;
    fn into_iter(self) -> Self::IntoIter {
        self.list.iter()
    }
}

/// The messages as a person reads them: with the lines they speak of, sorted by place; a blank line between two.
pub fn render(diagnostics: &Diagnostics, sources: &Sources, color: bool) -> String {
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    let mut out = String::new();
    for diagnostic in &sorted(diagnostics) {
        out.push_str(&renderer.render(&report(diagnostic, sources)));
        out.push_str("\n\n");
    }
    out.push_str(&dropped_line(diagnostics));
    let end = out.trim_end().len();
    out.truncate(end);
    if !out.is_empty() {
        out.push('\n');
    }
    out
}

/// One line for each message: `file:line:col: error[E0101]: message`.
pub fn render_short(diagnostics: &Diagnostics, sources: &Sources) -> String {
    let mut out = String::new();
    for Diagnostic { code, severity, message, span, .. } in &sorted(diagnostics) {
        if let Some(place) = sources.locate(*span) {
            let _ = write!(out, "{}:{}:{}: ", place.file, place.line, place.column);
        }
        let _ = writeln!(out, "{}[{code}]: {}", severity.name(), one_line(message));
    }
    out.push_str(&dropped_line(diagnostics));
    out
}

fn sorted(diagnostics: &Diagnostics) -> Diagnostics {
    let mut all = diagnostics.clone();
    all.sort();
    all
}

fn dropped_line(diagnostics: &Diagnostics) -> String {
    match diagnostics.dropped {
        0 => String::new(),
        1 => "1 more message is not shown\n".to_owned(),
        count => format!("{count} more messages are not shown\n"),
    }
}

fn one_line(message: &str) -> String {
    message.replace('\n', " ")
}

/// A message as annotate-snippets has it: the main group, then one group for each fix.
fn report<'a>(diagnostic: &'a Diagnostic, sources: &'a Sources) -> Vec<Group<'a>> {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level.primary_title(diagnostic.message.as_str()).id(diagnostic.code);
    let mut main = title.elements(snippets(diagnostic, sources));
    for note in &diagnostic.notes {
        main = main.element(Level::NOTE.message(note.as_str()));
    }
    let mut fixes = Vec::new();
    for help in &diagnostic.help {
        match help.replacement.as_ref().and_then(|(span, new)| patch(*span, new, sources)) {
            Some(snippet) => fixes.push(Level::HELP.secondary_title(help.text.as_str()).element(snippet)),
            None => main = main.element(Level::HELP.message(help.text.as_str())),
        }
    }
    fixes.insert(0, main);
    fixes
}

/// The lines that a message speaks of: one snippet for each file, that of the main place first.
fn snippets<'a>(diagnostic: &'a Diagnostic, sources: &'a Sources) -> Vec<Snippet<'a, Annotation<'a>>> {
    let mut places = vec![(diagnostic.span, diagnostic.label.as_str(), AnnotationKind::Primary)];
    places.extend(
        diagnostic.labels.iter().map(|label| (label.span, label.text.as_str(), AnnotationKind::Context)),
    );
    let mut files: Vec<FileId> = Vec::new();
    for (span, ..) in &places {
        if !files.contains(&span.file) {
            files.push(span.file);
        }
    }
    let mut out = Vec::new();
    for file in files {
        let Some(source) = sources.get(file) else { continue };
        let here: Vec<_> = places.iter().filter(|(span, ..)| span.file == file).collect();
        let window = Window::around(&source.text, here.iter().map(|(span, ..)| *span));
        let annotations = here.iter().map(|(span, label, kind)| {
            let annotation = kind.span(window.range(*span));
            if label.is_empty() { annotation } else { annotation.label(*label) }
        });
        out.push(window.snippet(&source.name).annotations(annotations));
    }
    out
}

fn patch<'a>(span: Span, new: &'a str, sources: &'a Sources) -> Option<Snippet<'a, Patch<'a>>> {
    let source = sources.get(span.file)?;
    let window = Window::around(&source.text, std::iter::once(span));
    Some(window.snippet(&source.name).patch(Patch::new(window.range(span), new)))
}

/// The part of a source that a message needs: whole lines, so that a long file costs nothing.
struct Window<'a> {
    whole: &'a str,
    text: &'a str,
    offset: usize,
    line: usize,
}

impl<'a> Window<'a> {
    fn around(whole: &'a str, spans: impl Iterator<Item = Span>) -> Window<'a> {
        let (mut start, mut end) = (whole.len(), 0);
        for span in spans {
            let range = clamp(whole, span);
            start = start.min(range.start);
            end = end.max(range.end);
        }
        let offset = whole[..start].rfind('\n').map_or(0, |at| at + 1);
        let end = whole[end..].find('\n').map_or(whole.len(), |at| end + at);
        let line = 1 + whole.as_bytes()[..offset].iter().filter(|byte| **byte == b'\n').count();
        Window { whole, text: &whole[offset..end.max(offset)], offset, line }
    }

    fn snippet<T: Clone>(&self, name: &'a str) -> Snippet<'a, T> {
        Snippet::source(self.text).path(name).line_start(self.line)
    }

    /// `span` in the window's own offsets.
    fn range(&self, span: Span) -> std::ops::Range<usize> {
        let range = clamp(self.whole, span);
        let limit = self.text.len();
        range.start.saturating_sub(self.offset).min(limit)..range.end.saturating_sub(self.offset).min(limit)
    }
}

/// The bytes of `span` that `text` has, at the boundaries of characters.
fn clamp(text: &str, span: Span) -> std::ops::Range<usize> {
    let start = text.floor_char_boundary((span.start as usize).min(text.len()));
    let end = text.floor_char_boundary((span.end as usize).clamp(start, text.len()));
    start..end.max(start)
}

fn line_column(text: &str, at: usize) -> (usize, usize) {
    let line_start = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    let line = 1 + text.as_bytes()[..line_start].iter().filter(|byte| **byte == b'\n').count();
    (line, 1 + text[line_start..at].chars().count())
}

/// All codes of messages.
///
/// `E01xx` syntax, `E02xx` names, `E03xx` dimensions, `E04xx` types, `E05xx` kernels and other items, `E06xx` limits,
/// `E07xx` not supported yet, `W00xx` warnings. A code keeps its meaning for ever; one that is no longer used is not
/// given to something else.
pub mod codes {
    /// Declares each code as a constant with its documentation, and the list of all.
    macro_rules! codes {
        ($($(#[doc = $doc:literal])+ $name:ident = $code:literal;)+) => {
            $($(#[doc = $doc])+ pub const $name: &str = $code;)+
            /// Each code with what it means, in order.
            pub const ALL: &[(&str, &str)] = &[$(($code, concat!($($doc),+))),+];
        };
    }

    codes! {
        /// Something else was expected here.
        UNEXPECTED = "E0101";
        /// A bracket is not closed, or closes nothing.
        BRACKET = "E0102";
        /// A number is not written as numbers are.
        BAD_NUMBER = "E0103";
        /// A keyword stands where a name should be.
        KEYWORD = "E0104";
        /// An index has no `dimension =`.
        INDEX_WITHOUT_DIM = "E0105";
        /// Comparisons don't chain.
        CHAINED_COMPARISON = "E0106";
        /// A semicolon is missing.
        MISSING_SEMICOLON = "E0107";
        /// `if` without `else`.
        MISSING_ELSE = "E0108";
        /// `if`, `iterate` or `unfold` is used as an operand.
        WHOLE_EXPRESSION = "E0109";
        /// A tuple's field has no name.
        POSITIONAL_TUPLE = "E0110";
        /// A block stands where an expression should be.
        BARE_BLOCK = "E0111";
        /// `=` where `==` is meant, or the other way round.
        EQUALS = "E0112";
        /// An operator that the language does not have.
        UNKNOWN_OPERATOR = "E0113";
        /// A character that the language does not have.
        UNKNOWN_CHARACTER = "E0114";
        /// A block has no value.
        NO_VALUE = "E0115";
        /// Documentation that belongs to nothing.
        STRAY_DOC = "E0116";
        /// An array literal where none can be.
        ARRAY_LITERAL = "E0117";
        /// A type is missing or not written as types are.
        BAD_TYPE = "E0118";
        /// An argument without a name follows one with a name.
        ARGUMENT_ORDER = "E0119";

        /// The file is too long.
        FILE_TOO_LONG = "E0601";
        /// Nested too deeply.
        TOO_DEEP = "E0602";
        /// A number is too large to be represented.
        NUMBER_TOO_LARGE = "E0603";
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_ordered_within_their_family() {
        for pair in codes::ALL.windows(2) {
            assert!(pair[0].0 < pair[1].0, "{} before {}", pair[0].0, pair[1].0);
        }
    }

    #[test]
    fn spans_outside_the_text_are_clamped() {
        let mut sources = Sources::new();
        let file = sources.add(Source::new("a.act", "é\nx"));
        let mut all = Diagnostics::new();
        all.push(Diagnostic::error(codes::UNEXPECTED, Span::new(file, 1, 900), "outside").with_label("here"));
        all.push(Diagnostic::warning(codes::UNEXPECTED, Span::NONE, "nowhere").with_fix(
            "try",
            Span::NONE,
            "x",
        ));
        assert!(render(&all, &sources, false).contains("outside"));
        assert_eq!(
            render_short(&all, &sources),
            "a.act:1:1: error[E0101]: outside\nwarning[E0101]: nowhere\n"
        );
    }

    #[test]
    fn the_number_of_messages_is_limited_but_errors_win() {
        let mut all = Diagnostics::new();
        for _ in 0..500 {
            all.push(Diagnostic::warning("W0001", Span::NONE, "w"));
        }
        all.push(Diagnostic::error("E0101", Span::NONE, "e"));
        assert_eq!((all.len(), all.dropped(), all.error_count()), (Diagnostics::LIMIT, 401, 1));
        assert_eq!(all.iter().filter(|d| d.severity == Severity::Error).count(), 1);
    }
}
