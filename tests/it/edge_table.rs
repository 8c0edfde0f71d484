//! The tables of the reference's section "Edges": every cell is what the interpreter and machine code give.
//!
//! A row is an expression, a column what `x` is. Cells are numbers, lists, or a dash where the expression does not apply.

use act::DType;
use act::loops::interp;

use crate::inputs::root;
use crate::subject::{Data, How, elem, graphs, subject, value};
use crate::zoo::read;

/// A table: what its columns are of, and its rows.
struct Table {
    columns: Vec<String>,
    rows: Vec<(String, Vec<String>)>,
}

fn cells(line: &str) -> Vec<String> {
    let inner = line.trim().trim_start_matches('|').trim_end_matches('|');
    inner.split('|').map(|cell| cell.trim().trim_matches('`').to_owned()).collect()
}

fn tables(section: &str) -> Vec<Table> {
    let mut tables: Vec<Table> = Vec::new();
    let mut inside = false;
    for line in section.lines() {
        if !line.starts_with('|') {
            inside = false;
        } else if !inside {
            inside = true;
            tables.push(Table { columns: cells(line).split_off(1), rows: Vec::new() });
        } else if !line.starts_with("|---") {
            let mut row = cells(line);
            let values = row.split_off(1);
            tables.last_mut().expect("in a table").rows.push((row.remove(0), values));
        }
    }
    tables
}

fn number(text: &str) -> f64 {
    text.parse().unwrap_or_else(|_| panic!("`{text}` is no number"))
}

/// The numbers of a list, or the one number.
fn numbers(text: &str) -> Vec<f64> {
    let inner = text.trim_start_matches('[').trim_end_matches(']');
    inner.split(',').filter(|part| !part.trim().is_empty()).map(|part| number(part.trim())).collect()
}

fn show(numbers: &[f64], list: bool) -> String {
    let numbers: Vec<String> = numbers.iter().map(f64::to_string).collect();
    if list { format!("[{}]", numbers.join(", ")) } else { numbers.join(", ") }
}

/// To the six digits that are written.
fn equal(written: f64, found: f64) -> bool {
    written.is_nan() && found.is_nan() || written == found || (found - written).abs() <= 5e-6 * written.abs()
}

/// What an expression of `x` gives on every engine, for one `x` after another.
fn check(expression: &str, along: bool, cases: &[(&str, &str)], wrong: &mut Vec<String>) {
    let list = cases.iter().any(|(_, cell)| cell.starts_with('['));
    let fixed = expression.starts_with("sort");
    let own = [("i32(", DType::I32), ("i8(", DType::I8), ("u8(", DType::U8), ("f16(", DType::F16)];
    let own = own.into_iter().find(|(start, _)| expression.starts_with(start)).filter(|_| !along);
    let dtype = own.map_or(DType::F32, |(_, dtype)| dtype);
    let body = if own.is_some() { expression.to_owned() } else { format!("f32({expression})") };
    let text = |len: usize| {
        let dim = if fixed { format!("[d={len}]") } else { "[d]".to_owned() };
        match (along, list) {
            (true, true) => format!("kernel k(x: f32{dim}) -> f32[d] {{ {body} }}"),
            (true, false) => format!("kernel k(x: f32{dim}) -> f32 {{ {body} }}"),
            (false, _) => format!("kernel k(x: f32[..]) -> {}[..] {{ {body} }}", dtype.name()),
        }
    };
    let compile = |len: usize| {
        let graph = graphs("edges", &text(len)).remove(0);
        subject("edges", graph).unwrap_or_else(|error| panic!("{expression}: {error}"))
    };
    let mut subject = compile(3);
    for (x, cell) in cases {
        if *cell == "–" {
            continue;
        }
        let (x, wanted) = (numbers(x), numbers(cell));
        if fixed {
            subject = compile(x.len());
        }
        let bits = x.iter().map(|&x| u64::from((x as f32).to_bits())).collect();
        let sizes = subject.source.dims.values().map(|_| x.len() as i64).collect();
        let data = Data { sizes, args: vec![interp::Array { elem: elem(DType::F32), bits }] };
        let options = interp::Options::default();
        let engines = [
            ("the interpreter", subject.interpret(&subject.numeric, &data, &options)),
            ("the interpreter after all passes", subject.interpret(&subject.layout, &data, &options)),
            ("machine code", subject.execute(&data, &How::PLAIN)),
        ];
        for (engine, results) in engines {
            let found: Vec<f64> = results[0].bits.iter().map(|&bits| value(dtype, bits)).collect();
            let same = found.len() == wanted.len() && found.iter().zip(&wanted).all(|(f, w)| equal(*w, *f));
            if !same {
                let (x, found) = (show(&x, along), show(&found, list));
                wrong.push(format!("`{expression}` of {x} is {found} on {engine}, not {cell}"));
            }
        }
    }
}

#[test]
fn every_cell_is_so() {
    let text = read(&root().join("grammar/README.md"));
    let (_, section) = text.split_once("### Edges\n").expect("the section");
    let section = section.split("\n## ").next().unwrap_or(section);
    let section = section.split("**How far").next().unwrap_or(section);
    let tables = tables(section);
    assert_eq!(tables.len(), 2);
    let mut wrong = Vec::new();
    for (table, along) in tables.iter().zip([true, false]) {
        assert!(table.rows.len() > 20 && table.columns.len() > 5);
        for (expression, values) in &table.rows {
            assert_eq!(values.len(), table.columns.len(), "{expression}");
            let cases = table.columns.iter().map(String::as_str).zip(values.iter().map(String::as_str));
            check(expression, along, &cases.collect::<Vec<_>>(), &mut wrong);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Every reduction, scan and order operation of the language has a row.
#[test]
fn every_operation_has_a_row() {
    let text = read(&root().join("grammar/README.md"));
    let (_, section) = text.split_once("### Edges\n").expect("the section");
    let names = [
        "sum",
        "prod",
        "max",
        "min",
        "mean",
        "var",
        "std",
        "rms",
        "norm1",
        "norm2",
        "any",
        "all",
        "count",
        "logsumexp",
        "softmax",
        "log_softmax",
        "entropy",
        "argmax",
        "argmin",
        "kth_largest",
        "topk_mask",
        "sort",
        "cumsum",
        "cumprod",
        "cummax",
    ];
    for name in names {
        assert!(section.contains(&format!("\n| `{name}[d](x")), "{name} has no row");
    }
}
