//! What a kernel's `schedule` item may ask for: how its results are computed, not what they are.
//!
//! [`TABLE`] has a row for each directive. `sema` reads the item by it and puts the [`Directives`] on the graph; the pipeline
//! takes what the options leave open from there. Of the directives `normalizer` and `accuracy` may change bits, as the options
//! of these names do.

use crate::diag::Span;

/// How maxima and the sums of exponentials that they shift are computed; see [`crate::graph_passes::decompose`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Normalizer {
    /// By the sizes of what is reduced.
    #[default]
    Auto,
    /// The maximum, then the exponentials, which are kept, and their sums, then what is made of both.
    Reload,
    /// The same, with the exponentials computed again.
    Recompute,
    /// Maximum and sums in one pass, block by block; the exponentials are computed again.
    Online,
    /// The same, with sums as mantissa and exponent.
    TwoPass,
}

impl Normalizer {
    /// All, the default first.
    pub const ALL: [Normalizer; 5] = [
        Normalizer::Auto,
        Normalizer::Reload,
        Normalizer::Recompute,
        Normalizer::Online,
        Normalizer::TwoPass,
    ];

    /// Its name in texts and in the program.
    pub const fn name(self) -> &'static str {
        match self {
            Normalizer::Auto => "auto",
            Normalizer::Reload => "reload",
            Normalizer::Recompute => "recompute",
            Normalizer::Online => "online",
            Normalizer::TwoPass => "two_pass",
        }
    }

    /// The one of that name.
    pub fn from_name(name: &str) -> Option<Normalizer> {
        Normalizer::ALL.into_iter().find(|way| way.name() == name)
    }
}

/// How accurate the functions of single places are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Accuracy {
    /// Errors are small beside the input or the result, whichever is larger.
    #[default]
    Default,
    /// Errors are small beside the result; see [`crate::graph_passes::strict`].
    Strict,
}

impl Accuracy {
    /// All, the default first.
    pub const ALL: [Accuracy; 2] = [Accuracy::Default, Accuracy::Strict];

    /// Its name in texts and in the program.
    pub const fn name(self) -> &'static str {
        match self {
            Accuracy::Default => "default",
            Accuracy::Strict => "strict",
        }
    }

    /// The one of that name.
    pub fn from_name(name: &str) -> Option<Accuracy> {
        Accuracy::ALL.into_iter().find(|class| class.name() == name)
    }
}

/// A value that a text asks for, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked<T> {
    /// The value.
    pub value: T,
    /// Its place in the text.
    pub span: Span,
}

/// What the `schedule` item of a kernel asks for. Nothing is the default of everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Directives {
    /// How normalisers are computed.
    pub normalizer: Option<Asked<Normalizer>>,
    /// How accurate functions of single places are.
    pub accuracy: Option<Asked<Accuracy>>,
    /// The most threads that a call uses.
    pub threads: Option<Asked<u32>>,
}

impl Directives {
    /// `normalizer = online` and so on, in the order of [`TABLE`].
    pub fn texts(&self) -> impl Iterator<Item = String> + '_ {
        TABLE.iter().filter_map(|row| (row.get)(self).map(|value| format!("{} = {value}", row.name)))
    }
}

/// The values that a directive may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Values {
    /// One of these words.
    Words(Vec<&'static str>),
    /// A whole number between these.
    Numbers(u32, u32),
}

/// A value as read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// A word.
    Word(&'a str),
    /// A whole number.
    Number(u32),
}

/// A directive.
pub struct Row {
    /// Its name.
    pub name: &'static str,
    /// What it may be.
    pub values: fn() -> Values,
    /// Puts it among the directives; false if the value is not one of [`Row::values`].
    pub set: fn(&mut Directives, Value<'_>, Span) -> bool,
    /// The value among the directives, as in a text.
    pub get: fn(&Directives) -> Option<String>,
}

/// All directives.
pub static TABLE: [Row; 3] = [
    Row {
        name: "normalizer",
        values: || Values::Words(Normalizer::ALL.iter().map(|way| way.name()).collect()),
        set: |directives, value, span| word(value, Normalizer::from_name, span, &mut directives.normalizer),
        get: |directives| directives.normalizer.map(|asked| asked.value.name().to_owned()),
    },
    Row {
        name: "accuracy",
        values: || Values::Words(Accuracy::ALL.iter().map(|class| class.name()).collect()),
        set: |directives, value, span| word(value, Accuracy::from_name, span, &mut directives.accuracy),
        get: |directives| directives.accuracy.map(|asked| asked.value.name().to_owned()),
    },
    Row {
        name: "threads",
        values: || Values::Numbers(1, MOST_THREADS),
        set: |directives, value, span| number(value, 1..=MOST_THREADS, span, &mut directives.threads),
        get: |directives| directives.threads.map(|asked| asked.value.to_string()),
    },
];

/// The largest number of threads that may be asked for.
const MOST_THREADS: u32 = 1024;

/// The row of that name.
pub fn row(name: &str) -> Option<&'static Row> {
    TABLE.iter().find(|row| row.name == name)
}

fn word<T>(
    value: Value<'_>,
    read: impl Fn(&str) -> Option<T>,
    span: Span,
    slot: &mut Option<Asked<T>>,
) -> bool {
    let Value::Word(word) = value else { return false };
    let Some(value) = read(word) else { return false };
    *slot = Some(Asked { value, span });
    true
}

fn number(
    value: Value<'_>,
    range: std::ops::RangeInclusive<u32>,
    span: Span,
    slot: &mut Option<Asked<u32>>,
) -> bool {
    let Value::Number(value) = value else { return false };
    if !range.contains(&value) {
        return false;
    }
    *slot = Some(Asked { value, span });
    true
}
