//! Data for arrays that nobody gives: the same on every machine, from a seed and the parameter's name. Element `i` depends
//! on nothing but these and `i`.

use std::f64::consts::TAU;

use super::engine::{bf16_of, f16_of};
use act::{DType, Tensor};
use act_runtime::Error;

/// Labels without a known range lie below this number.
const LABELS: i32 = 10;

/// Where the elements of one array come from.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// The seed of the run.
    pub seed: u64,
    /// The parameter's name.
    pub stream: &'a str,
    /// Integers are from 0 up to and without this number.
    pub labels: Option<i32>,
    /// Floats are not negative.
    pub positive: bool,
    /// After so many elements they come again, so that large arrays are made in no time.
    pub period: usize,
}

impl Source<'_> {
    /// In words.
    pub fn describe(&self, dtype: DType) -> String {
        match dtype {
            _ if dtype.is_float() && self.positive => "sizes of standard normal numbers".to_owned(),
            DType::F32 | DType::F64 | DType::F16 | DType::BF16 => "standard normal".to_owned(),
            DType::I32 => format!("uniform in 0..{}", self.below()),
            DType::I8 if self.labels.is_some() => format!("uniform in 0..{}", self.below().min(128)),
            DType::U8 if self.labels.is_some() => format!("uniform in 0..{}", self.below().min(256)),
            DType::I8 => "uniform in -128..128".to_owned(),
            DType::U8 => "uniform in 0..256".to_owned(),
            DType::Bool => "true or false".to_owned(),
        }
    }

    /// An array of that shape.
    pub fn tensor(&self, dtype: DType, shape: &[usize]) -> Result<Tensor, Error> {
        let key = self.key();
        let below = u64::from(self.below().max(1).unsigned_abs());
        match dtype {
            DType::F32 => self.fill(shape, |i| self.sign(normal(key, i)) as f32),
            DType::F64 => self.fill(shape, |i| self.sign(normal(key, i))),
            DType::F16 => self.fill(shape, |i| f16_of(self.sign(normal(key, i)))),
            DType::BF16 => self.fill(shape, |i| bf16_of(self.sign(normal(key, i)))),
            DType::I32 => self.fill(shape, |i| (word(key, i) % below) as i32),
            // As many positions as the dtype has, if there are more.
            DType::I8 if self.labels.is_some() => self.fill(shape, |i| (word(key, i) % below.min(128)) as i8),
            DType::U8 if self.labels.is_some() => self.fill(shape, |i| (word(key, i) % below.min(256)) as u8),
            DType::I8 => self.fill(shape, |i| (word(key, i) >> 56) as i8),
            DType::U8 => self.fill(shape, |i| (word(key, i) >> 56) as u8),
            DType::Bool => self.fill(shape, |i| word(key, i) >> 63 == 1),
        }
    }

    fn fill<T: act::Element>(&self, shape: &[usize], element: impl Fn(u64) -> T) -> Result<Tensor, Error> {
        let mut values: Vec<T> = Tensor::zeros(T::DTYPE, shape)?.into_vec().expect("it is of that dtype");
        let period = self.period.min(values.len());
        let (first, rest) = values.split_at_mut(period);
        for (i, value) in first.iter_mut().enumerate() {
            *value = element(i as u64);
        }
        for part in rest.chunks_mut(period.max(1)) {
            part.copy_from_slice(&first[..part.len()]);
        }
        Ok(Tensor::from_vec(values, shape).expect("the shape is that of the zeros"))
    }

    fn sign(&self, number: f64) -> f64 {
        if self.positive { number.abs() } else { number }
    }

    fn below(&self) -> i32 {
        self.labels.unwrap_or(LABELS)
    }

    /// The seed and the name in one word (FNV-1a, mixed).
    fn key(&self) -> u64 {
        let hash = self.stream.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        mix(hash ^ mix(self.seed))
    }
}

/// Word `i` of the sequence with that key: splitmix64.
fn word(key: u64, i: u64) -> u64 {
    mix(key.wrapping_add(i.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15)))
}

fn mix(z: u64) -> u64 {
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A standard normal number, by Box and Muller.
fn normal(key: u64, i: u64) -> f64 {
    let unit = |word: u64| (word >> 11) as f64 * (1.0 / (1_u64 << 53) as f64);
    let radius = libm::sqrt(-2.0 * libm::log(1.0 - unit(word(key, 2 * i))));
    radius * libm::cos(TAU * unit(word(key, 2 * i + 1)))
}

#[cfg(test)]
mod tests {
    use super::{Source, normal};
    use act::DType;

    #[test]
    fn numbers_look_normal_and_stay_the_same() {
        let numbers: Vec<f64> = (0..100_000).map(|i| normal(7, i)).collect();
        let mean = numbers.iter().sum::<f64>() / 1e5;
        let var = numbers.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 1e5;
        assert!(mean.abs() < 0.01 && (var - 1.0).abs() < 0.02, "{mean} {var}");
        let source = Source { seed: 1, stream: "x", labels: Some(3), positive: false, period: usize::MAX };
        let labels = source.tensor(DType::I32, &[1000]).unwrap();
        let labels = labels.as_slice::<i32>().unwrap();
        assert!((0..3).all(|label| labels.iter().filter(|&&x| x == label).count() > 280));
        let again = Source { stream: "y", ..source }.tensor(DType::F32, &[4]).unwrap();
        assert_ne!(again, source.tensor(DType::F32, &[4]).unwrap());
    }
}
