//! Makes the coefficients of the polynomials in `compiler/src/loop_passes/expand_math` anew.
//!
//! `cargo run --example minimax` prints them, with the largest weighted error of each and whether they are the ones in the
//! source; `cargo run --example minimax -- --write` puts them there (`cargo fmt` then breaks the lines). The table of what
//! is fitted is `tables.rs`; a new polynomial has a row there, and in the source `const NAME_F32: [f64; 0] = [];`, likewise `_F64`, to be filled. `tests/it/minimax.rs` holds the sources against it.

mod remez;
mod tables;

use std::path::Path;

fn main() {
    let write = std::env::args().nth(1).is_some_and(|arg| arg == "--write");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/loop_passes/expand_math");
    for table in tables::tables() {
        let path = folder.join(table.file);
        let text = std::fs::read_to_string(&path).expect("the file can be read");
        let Some((place, values)) = tables::find(&text, table.name) else {
            panic!(
                "{0} has no constant {1}: put `const {1}: [f64; 0] = [];` where it shall stand",
                table.file, table.name
            );
        };
        let same = if values == table.values { "as in the source" } else { "new" };
        println!("{} {} 2^{:.2}, {same}", table.file, table.name, libm::log2(table.error));
        println!("   {}", tables::written(&table));
        if write && values != table.values {
            let text = format!("{}{}{}", &text[..place.start], tables::written(&table), &text[place.end..]);
            std::fs::write(&path, text).expect("the file can be written");
        }
    }
}
