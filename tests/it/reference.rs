//! The language reference, `grammar/README.md`: its blocks compile, and it names every function that there is.

use std::path::Path;

use act::ops::{Class, Prim, Reduction};
use act::sema::prelude;

fn reference() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../grammar/README.md");
    std::fs::read_to_string(path).expect("the reference")
}

#[test]
fn every_block_compiles() {
    let text = reference();
    let blocks: Vec<&str> =
        text.split("```act\n").skip(1).map(|rest| rest.split("```").next().unwrap_or(rest)).collect();
    assert!(blocks.len() >= 10, "only {} blocks", blocks.len());
    for block in blocks {
        if let Err(error) = act::compile(block) {
            panic!("{block}\n{error}");
        }
    }
}

#[test]
fn every_function_is_listed() {
    let text = reference();
    for with_dims in [false, true] {
        let open = if with_dims { '[' } else { '(' };
        for name in prelude::function_names(with_dims) {
            assert!(
                text.contains(&format!("`{name}{open}")),
                "`{name}` of the library is not in grammar/README.md, section \"The library\""
            );
        }
    }
    // Some have no name among the built-in functions: graph passes make them.
    let nameless = [Prim::ExpNonpos, Prim::OnePlusErf, Prim::Gelu];
    let expanded = Prim::ALL.iter().filter(|prim| prim.class() == Class::Expanded);
    for prim in expanded.filter(|prim| !nameless.contains(prim)) {
        assert!(text.contains(&format!("`{prim}(")), "`{prim}` is not in grammar/README.md");
    }
    let machine = [Reduction::SelMax, Reduction::SelMin];
    for reduction in Reduction::ALL.iter().filter(|reduction| !machine.contains(reduction)) {
        assert!(text.contains(&format!("`{reduction}[d](")), "`{reduction}` is not in grammar/README.md");
    }
}

#[test]
fn signatures_are_those_of_the_library() {
    let text = reference();
    for (name, prelude) in prelude::FILES {
        for line in prelude.lines().filter_map(|line| line.strip_prefix("fn ")) {
            let signature = &line[..=line.find(')').expect("parameters end")];
            assert!(
                text.contains(&format!("| `{signature}` |")),
                "no line of grammar/README.md begins with `| `{signature}` |`; it is of {name}"
            );
        }
    }
}
