//! Kernels of the zoo at the edges of their domains: `tests/golden/edges.json` is a list of cases, each with the id of the
//! kernel, all parameters, the inputs, and the results wanted. Infinities and NaN are written as words.
//!
//! They run on all engines, as the golden vectors do, within the relative tolerance of these and an absolute one of 1e-9.

use serde_json::Value as Json;

use crate::inputs::root;
use crate::vectors::{Array, Case, Compare, run_all, table};
use crate::zoo::{Zoo, read_json};

fn number(json: &Json) -> f64 {
    match json.as_str() {
        None => json.as_f64().expect("a number"),
        Some(word) => word.parse().unwrap_or_else(|_| panic!("{word} is no number")),
    }
}

fn array(json: &Json) -> Array {
    let list = |key: &str| json[key].as_array().unwrap_or_else(|| panic!("no {key} in {json}"));
    Array {
        shape: list("shape").iter().map(|size| size.as_u64().expect("a size") as usize).collect(),
        values: list("values").iter().map(number).collect(),
    }
}

/// A case of the table; what it does not say, the manifest does.
fn case(number: usize, edge: &Json, manifest: &Json) -> Case {
    let object = |key: &str| edge[key].as_object().unwrap_or_else(|| panic!("no {key} in {edge}")).clone();
    let arrays = |key: &str| object(key).iter().map(|(name, json)| (name.clone(), array(json))).collect();
    let id = edge["id"].as_str().expect("an id");
    let golden = &manifest[id];
    let note = edge.get("note").and_then(Json::as_str).map(|note| format!(" ({note})"));
    Case {
        id: id.to_owned(),
        name: format!("edge {number}{}", note.unwrap_or_default()),
        paper: golden["seed"].as_str().unwrap_or_else(|| panic!("no golden vectors for {id}")).to_owned(),
        params: object("params"),
        inputs: arrays("inputs"),
        outputs: arrays("outputs"),
        compare: Compare::Close,
        rtol: golden["rtol"].as_f64().expect("a tolerance"),
        atol: edge.get("atol").map_or(1e-9, |atol| atol.as_f64().expect("a tolerance")),
        narrow: false,
    }
}

#[test]
fn kernels_are_right_at_the_edges() {
    let zoo = Zoo::read();
    let manifest = read_json(&root().join("tests/golden/manifest.json"));
    let edges = read_json(&root().join("tests/golden/edges.json"));
    let edges = edges.as_array().expect("a list");
    let cases = edges.iter().enumerate().map(|(number, edge)| case(number, edge, &manifest));
    let cases: Vec<Case> = cases.filter(|case| zoo.entry(&case.id).is_some()).collect();
    let wrong = run_all(&zoo, &cases);
    println!("{} of {} cases have a kernel", cases.len(), edges.len());
    assert!(wrong.is_empty(), "{} of {} cases are wrong\n{}", wrong.len(), cases.len(), table(&wrong));
}
