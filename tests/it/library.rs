//! The prelude: every function has documentation, knows all names that it uses, and compiles when a kernel calls it.

use act::diag::{Source, Sources, render};
use act::sema::prelude;
use act::syntax::{self, ast};
use act::{compile, sema};

/// The functions of the prelude with their documentation.
fn functions() -> Vec<(ast::FnDecl, Vec<ast::DocLine>)> {
    let mut functions = Vec::new();
    for (name, text) in prelude::FILES {
        let mut sources = Sources::new();
        let file = sources.add(Source::new(name, text));
        let tree = syntax::parse(text, file).unwrap_or_else(|errors| panic!("{}", render(&errors, &sources, false)));
        for item in tree.items {
            if let ast::ItemKind::Fn(function) = item.kind {
                functions.push((function, item.docs));
            }
        }
    }
    functions
}

/// The type of an argument, by the name of the parameter.
fn type_of(param: &str) -> &'static str {
    match param {
        "c" | "mask" => "bool[n, d]",
        "label" => "i32[n]",
        _ => "f32[n, d]",
    }
}

/// A kernel that calls a function with an array for every parameter that has no default, and with all defaults.
fn kernel_that_calls(function: &ast::FnDecl, result: &str) -> String {
    let mut types = Vec::new();
    let mut args = Vec::new();
    for param in function.params.iter().filter(|param| param.default.is_none()) {
        let name = param.name.as_str();
        types.push(format!("{name}: {}", type_of(name)));
        args.push(name);
    }
    let dims = match function.dims.len() {
        0 => "",
        1 => "[d]",
        2 => "[n, d]",
        more => panic!("`{}` has {more} dimensions", function.name.name),
    };
    let call = format!("{}{dims}({})", function.name.name, args.join(", "));
    format!("kernel k({}) -> {result} {{ {call} }}", types.join(", "))
}

/// That kernel, with the type that its result turns out to have.
fn kernel(function: &ast::FnDecl) -> String {
    let types = ["f32[n, d]", "f32[n]", "bool[n, d]", "bool[n]", "i32[n]"];
    let mut last = String::new();
    for text in types.map(|result| kernel_that_calls(function, result)) {
        let mut sources = Sources::new();
        let file = sources.add(Source::new("k.act", text.clone()));
        let tree = syntax::parse(&text, file).expect("it parses");
        match sema::lower(&tree, &sources, &sema::Options::default()) {
            Ok(_) => return text,
            Err(errors) => last = render(&errors, &sources, false),
        }
    }
    panic!("`{}` has no result of any of {types:?}:\n{last}", function.name.name);
}

#[test]
fn names_are_known_and_used() {
    for (name, text) in prelude::FILES {
        let mut sources = Sources::new();
        let file = sources.add(Source::new(name, text));
        let tree = syntax::parse(text, file).expect("it parses");
        match sema::lower(&tree, &sources, &sema::Options::default()) {
            Ok(lowered) => {
                assert!(lowered.warnings.is_empty(), "{}", render(&lowered.warnings, &sources, false));
            }
            Err(errors) => panic!("{}", render(&errors, &sources, false)),
        }
    }
}

#[test]
fn the_index_holds_every_function() {
    let functions = functions();
    for (function, docs) in &functions {
        let name = function.name.as_str();
        assert!(!docs.is_empty(), "`{name}` has no documentation");
        let with_dims = !function.dims.is_empty();
        assert!(prelude::function_names(with_dims).any(|known| known == name), "`{name}` is not in the index");
    }
    let indexed = prelude::function_names(false).count() + prelude::function_names(true).count();
    assert_eq!(indexed, functions.len(), "two functions have one name");
}

#[test]
fn every_function_compiles() {
    for (function, _) in functions() {
        let text = kernel(&function);
        if let Err(error) = compile(&text) {
            panic!("{text}\n{error}");
        }
    }
}
