//! Numbers, expressions, sets, intervals and quantities.

use super::Task;
use crate::compare::words::{chinese_numeral, spoken};
use crate::lab::rng::Rng;

/// Any task of mathematics.
pub fn any(rng: &mut Rng) -> Task {
    match rng.int(0, 9) {
        0 | 1 => number(rng),
        2 => fraction(rng),
        3 => polynomial(rng),
        4 => set(rng),
        5 => interval(rng),
        6 => surd(rng),
        7 => scientific(rng),
        8 => solution(rng),
        _ => choice(rng),
    }
}

/// An integer or a decimal.
pub fn number(rng: &mut Rng) -> Task {
    let n = rng.int(-2000, 20_000);
    let task = Task::new("Compute the value.", n.to_string(), true)
        .right([
            format!("{n}.0"),
            format!("{n}.00"),
            format!("({n})"),
            format!("${n}$"),
            format!("+{n}").replace("+-", "-"),
        ])
        .right([
            format!("{}/{}", 3 * n, 3),
            format!("\\frac{{{}}}{{2}}", 2 * n),
            format!("{n} \\times 1"),
        ])
        .wrong([
            rng.other(n).to_string(),
            format!("{}", n * 10 + 1),
            format!("{n}.5"),
        ]);
    if n == 0 {
        task
    } else {
        task.right([grouped(n), format!("x = {n}")])
            .wrong([format!("{}", -n)])
    }
}

/// A measured distance.
pub fn distance(rng: &mut Rng) -> Task {
    let n = rng.int(2, 4000);
    Task::new("How far is it?", n.to_string(), true)
        .right([
            format!("{n}.0"),
            grouped(n),
            format!("{:.3}", n as f64 * 1.004),
            format!("{}/2", 2 * n),
        ])
        .wrong([
            format!("{:.3}", n as f64 * 1.02),
            format!("{:.3}", n as f64 * 0.97),
            format!("-{n}"),
            format!("{n}0"),
        ])
}

/// Digits in groups of three.
fn grouped(n: i64) -> String {
    let digits = n.abs().to_string();
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    if n < 0 { format!("-{out}") } else { out }
}

fn fraction(rng: &mut Rng) -> Task {
    let (n, d, k) = (
        rng.int(1, 60),
        *[2, 4, 5, 8, 20, 25]
            .get(rng.int(0, 5) as usize)
            .unwrap_or(&2),
        rng.int(2, 9),
    );
    let value = n as f64 / d as f64;
    Task::new("What is the ratio?", format!("\\frac{{{n}}}{{{d}}}"), true)
        .right([
            format!("{n}/{d}"),
            format!("{value}"),
            format!("\\dfrac{{{n}}}{{{d}}}"),
            format!("{}/{}", n * k, d * k),
        ])
        .right([
            format!("{}\\%", 100.0 * value),
            format!("\\frac{{{}}}{{{}}}", n * k, d * k),
        ])
        .wrong([
            format!("{}/{d}", rng.other(n)),
            format!("{d}/{}", n + d),
            format!("-{n}/{d}"),
            format!("{}", value + 0.5),
        ])
}

fn polynomial(rng: &mut Rng) -> Task {
    let (a, b) = (rng.int(1, 9), rng.int(1, 9));
    let (s, p) = (a + b, a * b);
    Task::new("Expand the product.", format!("x^2+{s}x+{p}"), true)
        .right([
            format!("(x+{a})(x+{b})"),
            format!("{p}+{s}x+x^{{2}}"),
            format!("x**2 + {s}*x + {p}"),
            format!("x^2+{a}x+{b}x+{p}"),
        ])
        .wrong([
            format!("x^2+{}x+{p}", s + 1),
            format!("x^2-{s}x+{p}"),
            format!("(x-{a})(x-{b})"),
            format!("x^3+{s}x+{p}"),
        ])
}

fn set(rng: &mut Rng) -> Task {
    let a = rng.int(-20, 20);
    let (b, c) = (a + rng.int(1, 9), a + rng.int(10, 19));
    Task::new(
        "Find all solutions.",
        format!("\\{{{a}, {b}, {c}\\}}"),
        false,
    )
    .right([
        format!("{{{c},{a},{b}}}"),
        format!("{b}, {c}, {a}"),
        format!("x={a}, x={b}, x={c}"),
        format!("{a}, {b} \\text{{ and }} {c}"),
    ])
    .wrong([
        format!("{{{a},{b}}}"),
        format!("{{{a},{b},{}}}", c + 1),
        format!("{a}"),
        format!("{{{a},{b},{c},{}}}", c + 1),
    ])
}

fn interval(rng: &mut Rng) -> Task {
    let a = rng.int(-20, 20);
    let b = a + rng.int(1, 30);
    Task::new("Solve the inequality.", format!("({a}, {b}]"), false)
        .right([
            format!("({a},{b}]"),
            format!("\\left({a}, {b}\\right]"),
            format!("{a} < x \\le {b}"),
            format!("{b} ≥ x > {a}"),
            format!("x∈({a},{b}]"),
        ])
        .wrong([
            format!("[{a}, {b}]"),
            format!("({a}, {}]", b + 1),
            format!("({a}, {b})"),
            format!("x > {a}"),
            format!("{a}"),
        ])
}

fn surd(rng: &mut Rng) -> Task {
    let (k, r) = (
        rng.int(2, 9),
        *[2, 3, 5, 7].get(rng.int(0, 3) as usize).unwrap_or(&2),
    );
    Task::new("Simplify.", format!("{k}\\sqrt{{{r}}}"), true)
        .right([
            format!("\\sqrt{{{}}}", k * k * r),
            format!("{k}*sqrt({r})"),
            format!("{k}√{r}"),
            format!("{:.9}", k as f64 * (r as f64).sqrt()),
            format!("{}\\sqrt{{{r}}}/2", 2 * k),
        ])
        .wrong([
            format!("{}\\sqrt{{{r}}}", k + 1),
            format!("\\sqrt{{{}}}", k * r),
            format!("{k}"),
            format!("-{k}\\sqrt{{{r}}}"),
        ])
}

fn scientific(rng: &mut Rng) -> Task {
    let (m, e) = (rng.int(11, 99), rng.int(3, 12));
    let mantissa = m as f64 / 10.0;
    Task::new(
        "Give the number.",
        format!("{mantissa} \\times 10^{{{e}}}"),
        true,
    )
    .right([
        format!("{mantissa}e{e}"),
        format!("{mantissa}×10^{e}"),
        format!("{mantissa}*10**{e}"),
        format!("{m}\\times10^{{{}}}", e - 1),
    ])
    .wrong([
        format!("{mantissa}e{}", e + 1),
        format!("{mantissa}e-{e}"),
        format!("{}e{e}", mantissa + 0.1),
        format!("{mantissa}"),
    ])
}

fn solution(rng: &mut Rng) -> Task {
    let n = rng.int(2, 300);
    Task::new("Solve for x.", format!("x={n}"), true)
        .right([
            format!("{n}"),
            format!("x = {n}.0"),
            format!("{n} = x"),
            format!("x={}/2", 2 * n),
        ])
        .wrong([
            format!("x={}", rng.other(n)),
            format!("x=-{n}"),
            format!("x^2={}", n * n),
            format!("x>{n}"),
        ])
}

/// A letter of multiple choice.
pub fn choice(rng: &mut Rng) -> Task {
    let at = rng.int(0, 3) as usize;
    let letters = ["A", "B", "C", "D"];
    let letter = letters[at];
    Task::new(
        "Which option is right? A. one B. two C. three D. four",
        letter,
        true,
    )
    .right([
        format!("({letter})"),
        format!("{letter}."),
        format!("Option {letter}"),
        format!("**{letter}**"),
        format!("选{letter}"),
        format!("{letter}. {}", ["one", "two", "three", "four"][at]),
    ])
    .wrong([
        letters[(at + 1) % 4].to_owned(),
        format!("({})", letters[(at + 2) % 4]),
        "A, B, C, D".into(),
    ])
}

/// A number, with or without a unit.
pub fn quantity(rng: &mut Rng, units: &[&str]) -> Task {
    let n = rng.int(2, 5000);
    if rng.one_in(2) {
        return Task::new("What is the number of revolutions?", n.to_string(), true)
            .right([
                format!("{n}.0"),
                format!("{n}.00"),
                grouped(n),
                format!("{:.6}", n as f64 * 1.000_001),
                format!("\\frac{{{}}}{{4}}", 4 * n),
            ])
            .wrong([
                rng.other(n * 3).to_string(),
                format!("-{n}"),
                format!("{}", n as f64 * 1.01),
                format!("{n}e2"),
            ]);
    }
    let unit = rng.pick(units);
    Task::new("What is the quantity?", format!("{n} {unit}"), true)
        .right([
            format!("{n}{unit}"),
            format!("{n}.0 {unit}"),
            format!("{n}\\ \\text{{{unit}}}"),
            format!("{n}\\,\\mathrm{{{unit}}}"),
            format!("{} {unit}", grouped(n)),
        ])
        .wrong([
            format!("{} {unit}", rng.other(n * 3)),
            format!("-{n} {unit}"),
            format!("{n}"),
            format!("{n} cd"),
        ])
}

/// A value, a year or a label of a chart.
pub fn chart(rng: &mut Rng) -> Task {
    match rng.int(0, 3) {
        0 => {
            let year = rng.int(1900, 2025);
            Task::new("In which year?", year.to_string(), true)
                .right([format!("{year}.0"), format!(" {year} ")])
                .wrong([rng.other(year).to_string(), (year + 1).to_string()])
        }
        1 => super::words::label(rng),
        _ => {
            let n = rng.int(3100, 90_000);
            let near = n as f64 * (1.0 + rng.int(-20, 20) as f64 / 1000.0);
            let far = n as f64 * (1.0 + rng.int(40, 300) as f64 / 1000.0);
            Task::new("What is the value?", n.to_string(), true)
                .right([
                    grouped(n),
                    format!("{near:.1}"),
                    format!("{near:.0}"),
                    format!("{n}.0"),
                ])
                .wrong([
                    format!("{far:.0}"),
                    format!("{:.0}", n as f64 * 0.9),
                    format!("-{n}"),
                    format!("{n}0"),
                ])
        }
    }
}

/// How many.
pub fn count(rng: &mut Rng) -> Task {
    let n = rng.int(0, 40);
    let other = rng.int(41, 60);
    Task::new("How many are there?", n.to_string(), true)
        .right([
            format!("{n}.0"),
            format!("0{n}"),
            spoken(n),
            format!("**{n}**"),
            spoken(n).replace(' ', "-"),
        ])
        .right(chinese_numeral(n))
        .wrong([
            other.to_string(),
            spoken(other),
            (n + 1).to_string(),
            format!("{n}.5"),
            format!("-{}", n + 1),
        ])
        .wrong(chinese_numeral(n + 1))
}
