//! Sine and cosine of whole degrees in 1/65 536, the same on every machine: system libraries differ in
//! their last bits.

/// One.
pub(crate) const ONE: i64 = 65_536;

/// `SINES[d]`: sine of `d` degrees, 0 to 90.
const SINES: [i64; 91] = sines();

/// Taylor series to the 15th power: additions, multiplications and divisions are exact to the bit.
const fn sines() -> [i64; 91] {
    let mut table = [0; 91];
    let mut degree = 0;
    while degree <= 90 {
        let x = degree as f64 * std::f64::consts::PI / 180.0;
        let (mut term, mut sum, mut n) = (x, x, 1.0);
        while n < 15.0 {
            term = -term * x * x / ((n + 1.0) * (n + 2.0));
            sum += term;
            n += 2.0;
        }
        table[degree as usize] = (sum * ONE as f64 + 0.5) as i64;
        degree += 1;
    }
    table
}

/// Sine of any whole number of degrees.
pub(crate) fn sin(degrees: i32) -> i64 {
    let d = degrees.rem_euclid(360) as usize;
    match d {
        0..=90 => SINES[d],
        91..=180 => SINES[180 - d],
        181..=270 => -SINES[d - 180],
        _ => -SINES[360 - d],
    }
}

/// Cosine of any whole number of degrees.
pub(crate) fn cos(degrees: i32) -> i64 {
    sin(degrees + 90)
}

/// The point at a distance from a centre, clockwise from the right (y goes down).
pub(crate) fn turn(centre: [i64; 2], radius: i64, degrees: i32) -> [i64; 2] {
    [
        centre[0] + scaled(radius, cos(degrees)),
        centre[1] + scaled(radius, sin(degrees)),
    ]
}

/// `a · b / 65 536`, rounded to the nearest.
pub(crate) fn scaled(a: i64, b: i64) -> i64 {
    (a * b + ONE / 2).div_euclid(ONE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_angles() {
        assert_eq!((sin(0), sin(30), sin(90), sin(270)), (0, 32_768, ONE, -ONE));
        assert_eq!((cos(60), cos(180), cos(-90)), (32_768, -ONE, 0));
        for d in -400..400 {
            let sum = sin(d) * sin(d) + cos(d) * cos(d);
            assert!((sum - ONE * ONE).abs() < 2 * ONE, "{d}");
        }
        assert_eq!(turn([10, 10], 100, 90), [10, 110]);
    }
}
