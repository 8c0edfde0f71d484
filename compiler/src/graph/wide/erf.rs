//! The error functions.
//!
//! Below 2 the Taylor series of erf; above, the continued fraction of erfc (Abramowitz and Stegun 7.1.14), and from
//! 12 on its asymptotic series (7.1.23). Both are scaled by e^(-x²), whose argument is taken exactly.

use super::Wide;
use super::dd::{Dd, poly, two_prod};
use super::exp::exp_of_sum;

impl Wide {
    /// The error function.
    pub fn erf(self) -> Wide {
        if self.is_nan() || self.is_zero() {
            return self;
        }
        if self.exp < -60 {
            return self * Wide::from_dd(TWO_OVER_SQRT_PI, 0);
        }
        if self.is_finite() && self.exp < 1 {
            return Wide::from_dd(erf_below_two(self.to_dd()), 0);
        }
        (Wide::ONE - erfc_above_two(self.abs())).copysign(self)
    }

    /// 1 - erf(x), also where erf(x) is near 1.
    pub fn erfc(self) -> Wide {
        if self.is_nan() {
            return self;
        }
        if self.exp < 1 && self.is_finite() {
            return Wide::ONE - self.erf();
        }
        if self.is_negative() { Wide::ONE + self.abs().erf() } else { erfc_above_two(self) }
    }
}

/// erf on |x| < 2.
fn erf_below_two(x: Dd) -> Dd {
    x * TWO_OVER_SQRT_PI * poly(x.square(), &ERF_SERIES, 36)
}

/// erfc from 2 on.
fn erfc_above_two(x: Wide) -> Wide {
    if x.is_infinite() || x.exp > 25 {
        return Wide::ZERO;
    }
    let x = x.to_dd();
    let factor = if x.hi < 12.0 { continued_fraction(x) } else { asymptotic_series(x) };
    minus_square_exp(x) * Wide::from_dd(factor * INV_SQRT_PI, 0)
}

/// e^(-x²), with the square in full.
fn minus_square_exp(x: Dd) -> Wide {
    let high = two_prod(x.hi, x.hi);
    let cross = two_prod(2.0 * x.hi, x.lo);
    exp_of_sum(&[-high.hi, -high.lo, -cross.hi, -cross.lo, -(x.lo * x.lo)])
}

/// sqrt(pi) e^(x²) erfc(x) = 1/(x + (1/2)/(x + 1/(x + (3/2)/(x + …)))), on [2, 12).
fn continued_fraction(x: Dd) -> Dd {
    // The error after n steps is about exp(-2x·sqrt(2n)).
    let scale = 76.0 / (2.8 * x.hi);
    let depth = (scale * scale) as i32 + 30;
    // Numerators and denominators of the convergents; all terms are positive, so nothing cancels.
    let (mut a, mut b) = ((Dd::ZERO, Dd::ONE), (Dd::ONE, x));
    for step in 1..depth {
        let weight = 0.5 * f64::from(step);
        a = (a.1, x * a.1 + a.0.times(weight));
        b = (b.1, x * b.1 + b.0.times(weight));
    }
    a.1 / b.1
}

/// sqrt(pi) e^(x²) erfc(x) = (1 - 1/(2x²) + 3/(2x²)² - …)/x, from 12 on.
fn asymptotic_series(x: Dd) -> Dd {
    let ratio = -(Dd::ONE / x.square().scale(2.0));
    let (mut term, mut sum) = (Dd::ONE, Dd::ONE);
    let mut odd = 1.0;
    while term.hi.abs() > super::pow2(-110) {
        term = (term * ratio).times(odd);
        sum = sum + term;
        odd += 2.0;
    }
    sum / x
}

/// 2 / sqrt(pi).
#[allow(clippy::approx_constant)] // the leading part of a longer number
const TWO_OVER_SQRT_PI: Dd = Dd::new(1.1283791670955126, 1.533545961316588e-17);
/// 1 / sqrt(pi).
const INV_SQRT_PI: Dd = Dd::new(0.5641895835477563, 7.66772980658294e-18);

/// (-1)^n / (n! (2n + 1)), the series of erf.
const ERF_SERIES: [Dd; 50] = [
    Dd::new(1.0, 0.0),
    Dd::new(-0.3333333333333333, -1.850371707708594e-17),
    Dd::new(0.1, -5.551115123125783e-18),
    Dd::new(-0.023809523809523808, -1.32169407693471e-18),
    Dd::new(0.004629629629629629, 2.569960705150825e-19),
    Dd::new(-0.0007575757575757576, -6.570922257487906e-22),
    Dd::new(0.00010683760683760684, 9.266685234918841e-23),
    Dd::new(-1.3227513227513228e-05, 5.532155926405864e-22),
    Dd::new(1.4589169000933706e-06, 1.009163436691398e-22),
    Dd::new(-1.4503852223150468e-07, -2.75729942161183e-24),
    Dd::new(1.3122532963802806e-08, -7.589026085854777e-25),
    Dd::new(-1.0892221037148573e-09, -2.691902001941988e-26),
    Dd::new(8.35070279514724e-11, -1.2104650565335437e-27),
    Dd::new(-5.9477940136376354e-12, 3.715898253979538e-28),
    Dd::new(3.9554295164585257e-13, 7.122590604424395e-30),
    Dd::new(-2.466827010264457e-14, 1.2997717914814896e-30),
    Dd::new(1.4483264643598138e-15, -6.435992101166303e-32),
    Dd::new(-8.032735012415773e-17, -3.308132020922888e-33),
    Dd::new(4.221407288807088e-18, 9.59729713379293e-36),
    Dd::new(-2.107855191442136e-19, 9.137436977439183e-36),
    Dd::new(1.0025164934907719e-20, 1.0855031404807339e-37),
    Dd::new(-4.5518467589282e-22, -4.044080705028019e-38),
    Dd::new(1.977064753877905e-23, 7.235097150976344e-40),
    Dd::new(-8.230149299214221e-25, -3.1987343288500793e-41),
    Dd::new(3.289260349175752e-26, -1.8062049010893843e-42),
    Dd::new(-1.2641078988989164e-27, 3.438576901836804e-44),
    Dd::new(4.6784835155184856e-29, 1.891993179275806e-45),
    Dd::new(-1.669761793417372e-30, 1.013850414899155e-46),
    Dd::new(5.754191643982172e-32, 3.4743327034819636e-49),
    Dd::new(-1.9169428621097826e-33, 4.821061050543619e-50),
    Dd::new(6.180307588222796e-35, -1.4054086363469381e-52),
    Dd::new(-1.930357208815108e-36, 1.340591136523051e-52),
    Dd::new(5.846755007468836e-38, 4.773814048936838e-54),
    Dd::new(-1.7188560628017835e-39, -7.939863225541608e-56),
    Dd::new(4.908923964523423e-41, -2.513068496700591e-57),
    Dd::new(-1.3630412617791396e-42, -9.20209142019209e-60),
    Dd::new(3.6824935154611457e-44, 5.9717516732678784e-61),
    Dd::new(-9.687280238870761e-46, -6.470871028328701e-62),
    Dd::new(2.483069097454912e-47, -1.6877554101206816e-63),
    Dd::new(-6.205657919637397e-49, 2.208570752253768e-65),
    Dd::new(1.5131079495412172e-50, -9.07781614273522e-67),
    Dd::new(-3.601579309810126e-52, -2.1424962701435235e-68),
    Dd::new(8.373419683872282e-54, -4.8568142008768276e-70),
    Dd::new(-1.9025412272898796e-55, 1.1470981807442353e-71),
    Dd::new(4.2267897541935526e-57, -1.9550579922591095e-74),
    Dd::new(-9.186429502398686e-59, 1.8459054691537982e-75),
    Dd::new(1.954102582324171e-60, 4.871934843670889e-77),
    Dd::new(-4.070135277853257e-62, 4.282993565014503e-78),
    Dd::new(8.30461450592911e-64, 4.894201033570959e-80),
    Dd::new(-1.66058051345109e-65, 7.145228686975017e-83),
];
