//! Soft-NMS (Bodla et al., "Soft-NMS: Improving Object Detection With One Line of Code", 2017): again and again the box with
//! the largest score is taken, and the scores of the others fall with their overlap with it.
//!
//! A program around kernels: the overlaps of all pairs and the decay of a step are kernels, the loop is Rust. (The whole of it as
//! one kernel: `kernels/boxes/soft_nms.act`.)

use act::{Error, Kernel};

const OVERLAPS: &str = include_str!("kernels/boxes/box_iou.act");

const DECAYS: &str = "
kernel gaussian(s: f32[n], iou: f32[n], sigma: f32 = 0.5) -> f32[n] { s * exp(-iou^2 / sigma) }

kernel linear(s: f32[n], iou: f32[n], threshold: f32 = 0.3) -> f32[n] {
    if iou > threshold { s * (1 - iou) } else { s }
}

kernel hard(s: f32[n], iou: f32[n], threshold: f32 = 0.3) -> f32[n] { if iou > threshold { 0 } else { s } }
";

/// How a score falls with the overlap.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Decay {
    /// s exp(-iou^2 / sigma).
    Gaussian(f64),
    /// s (1 - iou) above a threshold.
    Linear(f64),
    /// 0 above a threshold: the NMS that is not soft.
    Hard(f64),
}

impl Decay {
    /// The name of its kernel, and the kernel's number.
    fn kernel(self) -> (&'static str, f64) {
        match self {
            Decay::Gaussian(sigma) => ("gaussian", sigma),
            Decay::Linear(threshold) => ("linear", threshold),
            Decay::Hard(threshold) => ("hard", threshold),
        }
    }
}

/// The kernels, compiled.
pub struct SoftNms {
    overlaps: Kernel,
    decay: Kernel,
    number: f64,
}

impl SoftNms {
    /// Compiles them.
    pub fn new(decay: Decay) -> Result<SoftNms, Error> {
        let (name, number) = decay.kernel();
        let overlaps = act::compile(OVERLAPS)?.kernel("box_iou")?;
        let decay = act::compile(DECAYS)?.kernel(name)?;
        Ok(SoftNms { overlaps, decay, number })
    }

    /// The score of each box when it is taken, in the order of the boxes: `[x1, y1, x2, y2]` each. Of equal scores the first
    /// is taken.
    pub fn run(&self, boxes: &[[f32; 4]], scores: &[f32]) -> Result<Vec<f32>, Error> {
        let n = boxes.len();
        let mut overlaps = vec![0.0f32; n * n];
        self.overlaps.call(
            &[act::view(boxes.as_flattened(), [n, 4])],
            &mut [act::view_mut(&mut overlaps, [n, n])],
            &[],
        )?;
        let mut scores = scores.to_vec();
        let mut fallen = vec![0.0f32; n];
        let mut left: Vec<usize> = (0..n).collect();
        while let Some(next) = first_largest(&left, &scores) {
            let taken = left.remove(next);
            let row = &overlaps[taken * n..][..n];
            self.decay.call(
                &[act::view(&scores, [n]), act::view(row, [n])],
                &mut [act::view_mut(&mut fallen, [n])],
                &[self.number],
            )?;
            for &open in &left {
                scores[open] = fallen[open];
            }
        }
        Ok(scores)
    }
}

/// Where in `left` the box with the largest score is; none if nothing is left.
fn first_largest(left: &[usize], scores: &[f32]) -> Option<usize> {
    (0..left.len()).rev().max_by(|&a, &b| scores[left[a]].total_cmp(&scores[left[b]]))
}

fn main() -> Result<(), Error> {
    let boxes =
        [[0.0, 0.0, 9.0, 9.0], [1.0, 1.0, 10.0, 10.0], [20.0, 20.0, 29.0, 29.0], [0.0, 2.0, 9.0, 11.0]];
    let scores = [0.9, 0.8, 0.7, 0.6];
    for decay in [Decay::Gaussian(0.5), Decay::Linear(0.3), Decay::Hard(0.3)] {
        println!("{decay:?}: {:.3?}", SoftNms::new(decay)?.run(&boxes, &scores)?);
    }
    Ok(())
}
