//! The coefficients of the polynomials in `expand_math` are those that the program `minimax` makes.

#[path = "../minimax/remez.rs"]
mod remez;
#[path = "../minimax/tables.rs"]
mod tables;

use std::path::Path;

use act::graph::wide::Wide;

/// All that is written in the sources, to the bit.
#[test]
fn coefficients_are_the_programs() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/loop_passes/expand_math");
    let mut wrong = String::new();
    for table in tables::tables() {
        let text = std::fs::read_to_string(folder.join(table.file)).expect("the file can be read");
        assert!(table.error < 0.2, "{} {} follows nothing", table.file, table.name);
        let found = tables::find(&text, table.name).map(|(_, values)| values);
        if found.as_ref() != Some(&table.values) {
            wrong += &format!("{} {}: {found:?}, not{}\n", table.file, table.name, tables::written(&table));
        }
    }
    assert!(wrong.is_empty(), "`cargo run --example minimax -- --write` writes them:\n{wrong}");
}

/// Every array of coefficients in the sources has its row in `tables.rs`.
#[test]
fn no_coefficients_are_from_elsewhere() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/loop_passes/expand_math");
    let tables = tables::tables();
    for entry in std::fs::read_dir(folder).expect("the folder can be read") {
        let path = entry.expect("an entry").path();
        let text = std::fs::read_to_string(&path).expect("the file can be read");
        let file = path.file_name().and_then(|name| name.to_str()).expect("a name");
        for line in text.lines().filter(|line| line.contains("const ") && line.contains(": [f64; ")) {
            let name = line.split("const ").nth(1).and_then(|rest| rest.split(':').next()).expect("a name");
            let known = tables.iter().any(|table| table.file == file && table.name == name);
            assert!(known, "{file}: {name} has no row in tests/minimax/tables.rs");
        }
    }
}

/// The parabola nearest to x^3 on [-1, 1] is 3x/4, by Chebyshev: a problem whose answer is known.
#[test]
fn known_minimax_polynomial() {
    let target = |x: Wide| x * x * x;
    let one = |_: Wide| Wide::ONE;
    let rounding = remez::Rounding::Fixed;
    let fit = remez::Fit { from: -1.0, to: 1.0, count: 3, rounding, target: &target, weight: &one };
    let (coefficients, error) = remez::fit(&fit);
    assert_eq!(coefficients, [0.0, 0.75, 0.0]);
    assert!((error - 0.25).abs() < 1e-4, "{error}");
}
