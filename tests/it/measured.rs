//! The tables of measured errors in `grammar/README.md`, held against what `actc accuracy` finds.

use std::process::Command;

use serde_json::Value;

/// A row: the name, the largest error in ulp if it says one, the largest scaled error.
struct Row {
    name: String,
    ulp: Option<f64>,
    scaled: f64,
}

/// The rows of both tables.
fn rows() -> Vec<Row> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../grammar/README.md");
    let text = std::fs::read_to_string(path).expect("the reference can be read");
    let section = text.split("\n### Accuracy\n").nth(1).and_then(|rest| rest.split("\n### ").next());
    let section = section.expect("there is a section about accuracy");
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    let row = |line: &str| {
        let cells: Vec<&str> =
            line.trim_matches('|').split('|').map(|cell| cell.trim().trim_matches('`')).collect();
        let number = |cell: &str| cell.parse::<f64>().expect("a cell is a number");
        match cells[..] {
            [name, scaled] => Row { name: name.to_owned(), ulp: None, scaled: number(scaled) },
            [name, ulp, scaled, _] => {
                Row { name: name.to_owned(), ulp: Some(number(ulp)), scaled: number(scaled) }
            }
            _ => panic!("{line}"),
        }
    };
    rows.map(row).collect()
}

/// A number in JSON, or the name of one that JSON has not.
fn number(value: &Value) -> f64 {
    value.as_f64().or_else(|| value.as_str()?.parse().ok()).expect("an error is a number")
}

/// 2^21 inputs for each function, the hard ones among them.
#[test]
fn errors_are_as_tabled() {
    let rows = rows();
    assert!(rows.len() > 30, "the tables were not found");
    let mut wrong = String::new();
    for row in rows {
        let mut program = Command::new(env!("CARGO_BIN_EXE_actc"));
        let output = program.args(["accuracy", &row.name, "--samples", "2097152", "--json"]).output();
        let output = output.expect("actc runs");
        let err = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {err}", row.name);
        let found: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let (ulp, scaled) = (number(&found["ulp"]), number(&found["scaled"]));
        if row.ulp.is_some_and(|most| ulp > most) || scaled > row.scaled {
            wrong += &format!("{}: {ulp:.3} ulp, scaled {scaled:.3}: {}\n", row.name, found["worst"][0]);
        }
    }
    assert!(wrong.is_empty(), "errors above those in the table:\n{wrong}");
}
