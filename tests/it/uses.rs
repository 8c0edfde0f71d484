//! `use "file.act";`: which items come from other files, and what is said when a file can't be had.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use act::{Error, Module, Options};

/// Compiles the first of some files; the others are there to be used.
fn compile(files: &[(&str, &str)]) -> Result<Module, Error> {
    let texts: BTreeMap<&str, &str> = files.iter().copied().collect();
    act::compile_files(files[0].0, &Options::default(), &mut |path| match texts.get(path) {
        Some(text) => Ok((*text).to_owned()),
        None => Err("there is no such file".to_owned()),
    })
}

fn refused(files: &[(&str, &str)]) -> String {
    match compile(files) {
        Ok(_) => panic!("taken: {files:?}"),
        Err(error) => error.to_string(),
    }
}

fn value(module: &Module, x: f32) -> f32 {
    let (x, mut y) = ([x], [0.0f32]);
    let kernel = &module.kernels()[0];
    kernel.call(&[act::view(&x, [1])], &mut [act::view_mut(&mut y, [1])], &[]).expect("it runs");
    y[0]
}

#[test]
fn items_of_used_files_are_there() {
    let module = compile(&[
        (
            "net/main.act",
            "use \"lib/a.act\";\nuse \"lib/b.act\";\nkernel k(x: f32[n]) -> f32[n] { a(x) + b(x) }",
        ),
        (
            "net/lib/a.act",
            "use \"../base.act\";\nfn a(x) = base(x) * TEN;\nkernel own(x: f32[n]) -> f32[n] { x }",
        ),
        ("net/lib/b.act", "use \"./../base.act\";\n/// Through two files.\nfn b(x) = base(x);"),
        ("net/base.act", "const TEN = 10;\nfn base(x) = x + 1;\nexample nothing { }"),
    ]);
    let module = module.expect("it compiles");
    assert_eq!(module.kernels().len(), 1, "kernels of used files are their own");
    assert_eq!(value(&module, 2.0), 33.0);
}

#[test]
fn circles_are_told_with_the_way() {
    let message = refused(&[
        ("d/main.act", "use \"a.act\";\nkernel k(x: f32[n]) -> f32[n] { x }"),
        ("d/a.act", "use \"b.act\";"),
        ("d/b.act", "fn b(x) = x;\nuse \"a.act\";"),
    ]);
    let way = "files use each other in a circle: d/a.act, which uses d/b.act, which uses d/a.act";
    assert!(message.contains("error[E0516]") && message.contains(way), "{message}");
    assert!(message.contains("--> d/b.act:2:5"), "{message}");
    let message = refused(&[("main.act", "use \"./main.act\";")]);
    assert!(message.contains("main.act uses itself"), "{message}");
}

#[test]
fn files_that_are_not_there_are_told_with_the_path() {
    let message = refused(&[("d/main.act", "use \"../x/lib.act\";\nuse \"\";\nuse \"/etc/lib.act\";")]);
    assert_eq!(message.matches("error[E0515]").count(), 3, "{message}");
    for part in ["d/main.act:1:5", "there is no such file", "names it: x/lib.act", "names it: /etc/lib.act"] {
        assert!(message.contains(part), "no `{part}` in\n{message}");
    }
    let message = refused(&[("main.act", "use \"lib.act\";"), ("lib.act", "fn f(x = ")]);
    assert!(message.contains("lib.act:1:"), "{message}");
    assert!(compile(&[("main.act", "kernel")]).is_err());
    let missing = act::compile_file("no/such/file.act", &Options::default()).expect_err("there is none");
    assert!(missing.to_string().starts_with("no/such/file.act: "), "{missing}");
}

#[test]
fn a_text_alone_uses_nothing() {
    let message = act::compile("use \"lib.act\";").expect_err("there is no way to it").to_string();
    assert!(message.contains("E0515") && message.contains("act::compile_file"), "{message}");
}

#[test]
fn mistakes_point_into_the_file_they_are_in() {
    let message = refused(&[
        ("main.act", "use \"lib.act\";\nfn f(x) = x;\nkernel k(x: f32[n]) -> f32[n] { g(x, 1) }"),
        ("lib.act", "fn f(x) = x;\nfn g(x, y) = x + q;"),
    ]);
    for part in ["two functions with the name `f`", "main.act:2:4", "no value `q`", "lib.act:2:18"] {
        assert!(message.contains(part), "no `{part}` in\n{message}");
    }
    let message = refused(&[
        ("main.act", "use \"lib.act\";\nkernel k(x: f32[n]) -> f32 { g(x) }"),
        ("lib.act", "fn g(x) = x && x;"),
    ]);
    assert!(message.contains("lib.act:1:11") && message.contains("main.act:2:30"), "{message}");
}

#[test]
fn limits() {
    // A chain without end, and one that grows at each step.
    let endless = |path: &str| match path.trim_end_matches(".act").parse::<u32>() {
        Ok(number) => Ok(format!("use \"{}.act\";", number + 1)),
        Err(_) => Ok("use \"0.act\";".to_owned()),
    };
    let mut asked = 0;
    let error = act::compile_files("main.act", &Options::default(), &mut |path| {
        asked += 1;
        endless(path)
    });
    assert!(error.expect_err("too many").to_string().contains("E0621"));
    assert!(asked <= 256, "{asked} files were asked for");
    let mut many = String::new();
    (0..20_000).for_each(|i| writeln!(many, "use \"{i}.act\";").expect("a string takes it"));
    let taken = act::compile_files("main.act", &Options::default(), &mut |path| match path {
        "main.act" => Ok(many.clone()),
        _ => Ok(String::new()),
    });
    assert!(taken.expect_err("too many").to_string().contains("E0621"));
    let large = act::compile_files("main.act", &Options::default(), &mut |path| match path {
        "main.act" => Ok(many.clone()),
        _ => Ok("// a line of a comment that is long\n".repeat(25_000)),
    });
    assert!(large.expect_err("too much").to_string().contains("E0621"));
    // Each file uses the next one twice: each is looked at once.
    let doubled = |path: &str| match path.trim_end_matches(".act").parse::<u32>() {
        Ok(number) if number < 200 => Ok(format!("use \"{0}.act\"; use \"./{0}.act\";", number + 1)),
        Ok(_) => Ok("fn f(x) = x;".to_owned()),
        Err(_) => Ok("use \"0.act\"; kernel k(x: f32[n]) -> f32[n] { f(x) }".to_owned()),
    };
    let module = act::compile_files("main.act", &Options::default(), &mut { doubled });
    assert_eq!(module.expect("it compiles").kernels().len(), 1);
}
