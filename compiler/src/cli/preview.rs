//! Arrays for people: a few of the first and last elements, and what can be said of all.

use std::fmt::Write as _;

use act::{DType, Tensor};
use serde_json::{Value, json};

/// More rows or columns than this are cut.
const MOST: usize = 8;
/// How many are then left at the beginning.
const FIRST: usize = 4;
/// How many are then left at the end.
const LAST: usize = 2;

/// What can be said of all elements.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// How many there are.
    pub count: usize,
    /// How many are NaN.
    pub nan: usize,
    /// How many are infinite.
    pub inf: usize,
    /// The smallest, the mean and the largest of the numbers that are finite, if there are any.
    pub numbers: Option<(f64, f64, f64)>,
}

impl Summary {
    /// Of these elements.
    pub fn of(values: &[f64]) -> Summary {
        let finite = || values.iter().copied().filter(|value| value.is_finite());
        let count = finite().count();
        let numbers = (count > 0).then(|| {
            let min = finite().fold(f64::INFINITY, f64::min);
            let max = finite().fold(f64::NEG_INFINITY, f64::max);
            (min, finite().sum::<f64>() / count as f64, max)
        });
        Summary {
            count: values.len(),
            nan: values.iter().filter(|value| value.is_nan()).count(),
            inf: values.iter().filter(|value| value.is_infinite()).count(),
            numbers,
        }
    }
}

/// The preview of a result.
pub fn text(name: &str, tensor: &Tensor) -> String {
    let values = tensor.data().to_f64();
    let mut out = format!("{name}: {}{:?}\n", tensor.dtype(), tensor.shape());
    rows(&mut out, &values, tensor);
    let summary = Summary::of(&values);
    if summary.count == 0 {
        out.push_str("  no elements\n");
        return out;
    }
    out.push_str("  ");
    match (tensor.dtype(), summary.numbers) {
        (DType::Bool, _) => {
            let count = values.iter().filter(|&&value| value != 0.0).count();
            let _ = write!(out, "true {count}, false {}", values.len() - count);
        }
        (_, Some((min, mean, max))) => {
            let _ = write!(out, "min {}, mean {}, max {}", short(min), short(mean), short(max));
        }
        (_, None) => out.push_str("no finite number"),
    }
    for (count, what) in [(summary.nan, "NaN"), (summary.inf, "infinite")] {
        if count > 0 {
            let _ = write!(out, ", {count} {what}");
        }
    }
    out.push('\n');
    out
}

/// The same for programs.
pub fn object(name: &str, tensor: &Tensor) -> Value {
    let summary = Summary::of(&tensor.data().to_f64());
    let (min, mean, max) =
        summary.numbers.map_or((None, None, None), |(min, mean, max)| (Some(min), Some(mean), Some(max)));
    json!({
        "name": name, "dtype": tensor.dtype().name(), "shape": tensor.shape(), "elements": summary.count,
        "min": min, "mean": mean, "max": max, "nan": summary.nan, "inf": summary.inf,
    })
}

/// Which positions of an axis are shown; `None` stands for those between.
fn shown(size: usize) -> Vec<Option<usize>> {
    if size <= MOST {
        return (0..size).map(Some).collect();
    }
    (0..FIRST).map(Some).chain([None]).chain((size - LAST..size).map(Some)).collect()
}

/// A line for each row along the last axis.
fn rows(out: &mut String, values: &[f64], tensor: &Tensor) {
    if values.is_empty() {
        return;
    }
    let shape = tensor.shape();
    let columns = shape.last().copied().unwrap_or(1);
    let leading = &shape[..shape.len().saturating_sub(1)];
    let (rows, columns_shown) = (shown(values.len() / columns), shown(columns));
    let cells = rows
        .iter()
        .flatten()
        .flat_map(|row| columns_shown.iter().flatten().map(move |column| values[row * columns + column]));
    let cells: Vec<f64> = cells.collect();
    let style = Style::of(&cells, tensor.dtype());
    let width = cells.iter().map(|&cell| style.write(cell).len()).max().unwrap_or(0);
    let place_width = rows.iter().flatten().map(|&row| place(row, leading).len()).max().unwrap_or(0);
    for row in rows {
        let Some(row) = row else {
            out.push_str("  ...\n");
            continue;
        };
        out.push_str("  ");
        if leading.len() > 1 {
            let _ = write!(out, "{:place_width$} ", place(row, leading));
        }
        out.push('[');
        for (index, column) in columns_shown.iter().enumerate() {
            let gap = if index == 0 { "" } else { "  " };
            match column {
                Some(column) => {
                    let _ = write!(out, "{gap}{:>width$}", style.write(values[row * columns + column]));
                }
                None => {
                    let _ = write!(out, "{gap}...");
                }
            }
        }
        out.push_str("]\n");
    }
}

/// Where a row is, along the axes before the last one.
fn place(row: usize, leading: &[usize]) -> String {
    let mut rest = row;
    let mut indices: Vec<String> = Vec::new();
    for &size in leading.iter().rev() {
        indices.push((rest % size).to_string());
        rest /= size;
    }
    indices.reverse();
    format!("[{}]", indices.join(", "))
}

/// How the numbers of one preview are written.
#[derive(Clone, Copy)]
enum Style {
    Truth,
    Whole,
    Fixed,
    Scientific,
}

impl Style {
    fn of(cells: &[f64], dtype: DType) -> Style {
        match dtype {
            DType::Bool => return Style::Truth,
            DType::I32 | DType::I8 | DType::U8 => return Style::Whole,
            DType::F32 | DType::F64 | DType::F16 | DType::BF16 => {}
        }
        let sizes = || cells.iter().map(|cell| cell.abs()).filter(|size| size.is_finite() && *size > 0.0);
        let (least, most) = (sizes().fold(f64::INFINITY, f64::min), sizes().fold(0.0, f64::max));
        if most >= 1e5 || (most > 0.0 && most < 1e-2) || least < 1e-5 {
            Style::Scientific
        } else {
            Style::Fixed
        }
    }

    fn write(self, value: f64) -> String {
        match self {
            Style::Truth => if value != 0.0 { "true" } else { "false" }.to_owned(),
            Style::Whole => format!("{value}"),
            _ if !value.is_finite() => short(value),
            Style::Fixed => format!("{value:.5}"),
            Style::Scientific => format!("{value:.4e}"),
        }
    }
}

/// A number in few characters.
pub fn short(value: f64) -> String {
    let size = value.abs();
    match size {
        _ if value.is_nan() => "NaN".to_owned(),
        _ if value.is_infinite() => if value > 0.0 { "inf" } else { "-inf" }.to_owned(),
        0.0 => "0".to_owned(),
        _ if (1e-3..1e6).contains(&size) => {
            let text = format!("{value:.6}");
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
        _ => {
            let text = format!("{value:.4e}");
            let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
            let digits = if digits.contains('.') {
                digits.trim_end_matches('0').trim_end_matches('.')
            } else {
                digits
            };
            format!("{digits}e{exponent}")
        }
    }
}
