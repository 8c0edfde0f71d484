//! Programs below `examples` that compute with kernels what an id of the golden vectors is for.

use std::collections::BTreeMap;

use crate::vectors::{Array, Case};

#[expect(dead_code, reason = "its `main` is not called here")]
#[path = "../../examples/soft_nms.rs"]
mod soft_nms;

#[expect(dead_code, reason = "its `main` is not called here")]
#[path = "../../examples/tract_weight_grad.rs"]
mod tract_weight_grad;

/// What the program that answers for a case gives.
pub fn run(case: &Case) -> BTreeMap<String, Array> {
    match case.id.as_str() {
        "soft_nms" => soft_nms(case),
        "tract_weight_grad" => tract_weight_grad(case),
        id => panic!("no program answers for {id}"),
    }
}

fn single(array: &Array) -> Vec<f32> {
    array.values.iter().map(|&x| x as f32).collect()
}

fn soft_nms(case: &Case) -> BTreeMap<String, Array> {
    let number = |name: &str| case.params[name].as_f64().expect("a number");
    let decay = match case.params["method"].as_str() {
        Some("gaussian") => soft_nms::Decay::Gaussian(number("sigma")),
        Some("linear") => soft_nms::Decay::Linear(number("Nt")),
        Some("hard") => soft_nms::Decay::Hard(number("Nt")),
        other => panic!("no method is called {other:?}"),
    };
    let boxes = single(&case.inputs["boxes"]);
    let (boxes, rest) = boxes.as_chunks::<4>();
    assert!(rest.is_empty(), "four corners to a box");
    let nms = soft_nms::SoftNms::new(decay).expect("the program's kernels compile");
    let scores = nms.run(boxes, &single(&case.inputs["s"])).expect("shapes that fit");
    let values = scores.into_iter().map(f64::from).collect();
    BTreeMap::from([("y".to_owned(), Array { shape: vec![boxes.len()], values })])
}

fn tract_weight_grad(case: &Case) -> BTreeMap<String, Array> {
    let (dz, x) = (&case.inputs["dz"], &case.inputs["x"]);
    let sizes @ [_, outputs, inputs] = [x.shape[0], dz.shape[1], x.shape[1]];
    let lam = case.params["lam"].as_f64().expect("a number");
    let tract = tract_weight_grad::Tract::new().expect("the program's kernels compile");
    let values = tract.weight_grad(&single(dz), &single(x), sizes, lam).expect("shapes that fit");
    BTreeMap::from([("grad".to_owned(), Array { shape: vec![outputs, inputs], values })])
}
