//! Places in source text, and messages about them.
//!
//! A user's mistake is a [`Diagnostic`]: data until the last moment, when [`render`] turns it into text. Needs nothing
//! of the compiler. A stage collects into [`Diagnostics`], which keeps at most [`Diagnostics::LIMIT`] messages, so that
//! no input makes it grow without bound. All codes stand in [`codes`].

use std::collections::HashMap;
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
    /// Which file a path means in a file, or why there is none.
    links: HashMap<(FileId, String), Result<FileId, String>>,
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

    /// Notes which file `path` means where `from` says `use "path";`, or why it can't be had.
    pub fn link(&mut self, from: FileId, path: &str, found: Result<FileId, String>) {
        self.links.insert((from, path.to_owned()), found);
    }

    /// What was noted for a path.
    pub fn linked(&self, from: FileId, path: &str) -> Option<&Result<FileId, String>> {
        self.links.get(&(from, path.to_owned()))
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

    /// Keeps only some of the messages; those that were only counted stay so.
    pub fn retain(&mut self, keep: impl FnMut(&Diagnostic) -> bool) {
        self.list.retain(keep);
        let kept = self.list.iter().filter(|kept| kept.severity == Severity::Error).count();
        self.errors = self.errors.min(kept + self.dropped);
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

        /// A value that is not known.
        UNKNOWN_NAME = "E0201";
        /// A function that is not known.
        UNKNOWN_FUNCTION = "E0202";
        /// A dimension that is not known.
        UNKNOWN_DIM = "E0203";
        /// A dtype that is not known.
        UNKNOWN_DTYPE = "E0204";
        /// A kernel that is not known.
        UNKNOWN_KERNEL = "E0205";
        /// A tuple has no such field.
        UNKNOWN_FIELD = "E0206";
        /// A function has no such parameter.
        UNKNOWN_ARGUMENT = "E0207";
        /// Two items have the same name.
        DUPLICATE_ITEM = "E0208";
        /// Two parameters, or two results, have the same name.
        DUPLICATE_PARAM = "E0209";
        /// Two fields of a tuple have the same name.
        DUPLICATE_FIELD = "E0210";
        /// An argument is given twice.
        DUPLICATE_ARGUMENT = "E0211";
        /// A function uses a dimension that is not in its brackets.
        FN_DIM = "E0212";
        /// A kernel is called.
        KERNEL_CALL = "E0213";
        /// The name of a dimension is needed.
        NOT_A_DIM = "E0214";
        /// A function needs dimensions in brackets, or takes none.
        BRACKETS = "E0215";
        /// `where` stands in brackets that are not a reduction's.
        FILTER = "E0216";

        /// A value does not have the dimension.
        NOT_ITS_DIM = "E0301";
        /// The body has a dimension that the result lacks.
        RESULT_LACKS_DIM = "E0302";
        /// The result has a dimension that the body lacks.
        RESULT_EXTRA_DIM = "E0303";
        /// A size does not follow from the arguments.
        UNKNOWN_SIZE = "E0304";
        /// One dimension has two sizes.
        SIZE_CONFLICT = "E0305";
        /// A dimension stands twice where it may stand once.
        REPEATED_DIM = "E0306";
        /// This can't be a size.
        BAD_SIZE = "E0307";
        /// A size is made of itself.
        SIZE_CYCLE = "E0308";
        /// A constant position lies outside of its dimension.
        POSITION = "E0309";
        /// A dimension of fixed size is needed.
        NOT_FIXED = "E0310";
        /// A stack has not as many values as its dimension positions.
        STACK_COUNT = "E0311";
        /// A value has the dimension already.
        DIM_PRESENT = "E0312";
        /// The wrong number of dimensions in brackets.
        DIM_COUNT = "E0313";
        /// `..` stands where it can't.
        REST_PLACE = "E0314";
        /// One dimension is needed, and a list is given.
        DIM_LIST = "E0315";
        /// A value leaves the block of its dimension.
        LOCAL_DIM = "E0316";

        /// Numbers are needed, and conditions are given.
        BOOL_OPERAND = "E0401";
        /// A condition is needed.
        NOT_A_CONDITION = "E0402";
        /// The body's dtype is not the result's.
        RESULT_TYPE = "E0403";
        /// The wrong number of arguments.
        ARGUMENT_COUNT = "E0404";
        /// An argument is missing.
        MISSING_ARGUMENT = "E0405";
        /// A tuple stands where a value is needed.
        TUPLE = "E0406";
        /// A field is taken of what is not a tuple.
        FIELD_OF_VALUE = "E0407";
        /// The default of a parameter does not fit it.
        BAD_DEFAULT = "E0408";
        /// A number must be known while compiling.
        NOT_CONSTANT = "E0409";
        /// An integer is too large.
        INTEGER_OVERFLOW = "E0410";
        /// Values that must have one type have none in common.
        BRANCHES = "E0411";
        /// The `k` of `kth_largest` or `topk_mask` is no integer from 1 to the size of the dimension.
        BAD_K = "E0412";

        /// A function or a constant is made of itself.
        RECURSION = "E0501";
        /// The body and the declared results don't agree in their names.
        RESULT_FIELDS = "E0502";
        /// The step of a repetition does not give the state that it began with.
        STATE = "E0503";
        /// The range of a number parameter holds no number, or not its default, or stands at something else.
        BAD_RANGE = "E0510";
        /// A line of an example names nothing of its kernel, or says of it what can't be said.
        EXAMPLE_NAME = "E0511";
        /// A value in an example does not fit what it is for.
        EXAMPLE_VALUE = "E0512";
        /// An example lacks an input, or expects nothing.
        EXAMPLE_INCOMPLETE = "E0513";
        /// A kernel does not do what its example says.
        EXAMPLE_FAILED = "E0514";
        /// A file that is used can't be had.
        USE_MISSING = "E0515";
        /// Files use each other in a circle.
        USE_CIRCLE = "E0516";
        /// A reduction lacks a part, or has one that it can't have.
        REDUCTION_PART = "E0521";
        /// The parts of a reduction don't agree in their state.
        REDUCTION_STATE = "E0522";
        /// A part of a reduction uses more than single numbers.
        REDUCTION_VALUE = "E0523";
        /// A schedule asks for something that there is not.
        DIRECTIVE = "E0531";
        /// A schedule asks for something that its kernel can't be given.
        UNMET = "E0532";

        /// The file is too long.
        FILE_TOO_LONG = "E0601";
        /// Nested too deeply.
        TOO_DEEP = "E0602";
        /// A number is too large to be represented.
        NUMBER_TOO_LARGE = "E0603";
        /// A kernel is too large with all functions inlined.
        TOO_LARGE = "E0604";
        /// A kernel has too many dimensions.
        TOO_MANY_DIMS = "E0605";
        /// A kernel is too large with its fixed-size dimensions unrolled.
        UNROLLED_TOO_LARGE = "E0606";
        /// Expressions nest too deeply with all functions inlined.
        NESTED_TOO_DEEP = "E0607";
        /// Too many parameters.
        TOO_MANY_PARAMS = "E0608";
        /// A repetition has too many steps.
        TOO_MANY_STEPS = "E0609";
        /// Too many files are used, or too much text.
        TOO_MANY_FILES = "E0621";

        /// Part of the language that is not supported yet.
        NOT_YET = "E0701";

        /// A value is never used.
        UNUSED_LET = "W0001";
        /// A parameter is never used.
        UNUSED_PARAM = "W0002";
        /// A default is rounded to f32 and used in f64.
        INEXACT_DEFAULT = "W0003";
        /// A quotient or a logarithm of exponentials may overflow where the formula has a number (asked for by `-W unstable`).
        UNSTABLE = "W0004";
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
