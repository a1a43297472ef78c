use super::*;
use proptest::prelude::*;

fn same(answer: &str, truth: &str) -> Option<Same> {
    compare(answer, truth, Tolerance::Relative(1e-6))
}

#[test]
fn equal_answers() {
    for (answer, truth) in [
        ("x+1", "1+x"),
        ("(x+1)**2", "x**2 + 2*x + 1"),
        ("x>1", "1<x"),
        ("x>1", r"(1, \infty)"),
        (r"1 < x \le 2", "(1, 2]"),
        ("2x", r"x \cdot 2"),
        (r"\frac{x}{2}", "0.5x"),
        (r"\sqrt{8}", r"2\sqrt{2}"),
        (r"\frac{\sqrt{3}}{3}", r"\frac{1}{\sqrt{3}}"),
        ("pi", "3.14159265"),
        ("x=3", "3"),
        ("3", "x = 3"),
        ("x=2+1=3", "x=3"),
        ("y=2x+1", "2x-y+1=0"),
        ("f(x)=x^2", "x^2"),
        (r"\{1, 2\}", "{2,1}"),
        ("1, 2", r"\{2, 1\}"),
        (r"\pm 2", "2, -2"),
        (r"1 \pm \sqrt{2}", r"\{1-\sqrt{2}, 1+\sqrt{2}\}"),
        ("x=1 or x=2", "{1,2}"),
        ("x=1, y=2", "y=2, x=1"),
        ("(1, 2)", "(1.0, 2.0)"),
        ("1,2", "(1,2)"),
        ("100, 200", "100,200"),
        ("1,000", "1000"),
        (r"(-\infty, 0) \cup (1, +\infty)", "(1,oo)∪(-oo,0)"),
        ("sin(x)^2+cos(x)^2", "1"),
        (r"\sin 2x", r"2\sin x\cos x"),
        ("ln(x^2)/2", "ln(x)"),
        ("e^{2x}", "(e^x)^2"),
        ("3:4", "3 : 4"),
        (r"\log_{2}{8}", "3"),
        ("72°", "72"),
        (r"\theta = 30^\circ", "30°"),
        ("a_1", "a_{1}"),
    ] {
        assert_eq!(same(answer, truth), Some(Same::Yes), "{answer} = {truth}");
    }
}

#[test]
fn different_answers() {
    for (answer, truth) in [
        ("2", "3"),
        ("2, 3", "2"),
        ("2 or 3", "2"),
        (r"\pm 2", "2"),
        ("2", "2, 3"),
        ("{1,2}", "{1,3}"),
        ("(1,2)", "(2,1)"),
        ("[1,2)", "[1,3)"),
        ("x>2", "x>1"),
        ("x>1", "x≥1"),
        ("5", "10**10**9"),
        ("-3", "3"),
        ("50%", "7"),
        (r"\infty", "5"),
        ("1,2", "1,3"),
    ] {
        assert_eq!(same(answer, truth), Some(Same::No), "{answer} ≠ {truth}");
    }
    for (answer, truth) in [
        ("x+1", "x+2"),
        ("x+y", "x-y"),
        ("x>y", "x<y"),
        ("x^2", "x^3"),
        ("5", "2x"),
    ] {
        assert_eq!(
            same(answer, truth),
            Some(Same::NoSymbolic),
            "{answer} ≠ {truth}"
        );
    }
}

#[test]
fn what_is_not_known() {
    for (answer, truth) in [
        ("50%", "50"),
        ("left", "right"),
        ("(1,2)", "[1,2]"),
        ("1,2", "2,1"),
        ("2x+1=0", "x=-1/2"),
        ("x=3", "y=3"),
        ("x=3 x=3", "x=3"),
        ("1/0", "5"),
        ("log(100)", "2"),
        ("1:2", "2:4"),
    ] {
        assert_eq!(
            same(answer, truth),
            Some(Same::Unknown),
            "{answer} ? {truth}"
        );
    }
    assert_eq!(same("a number", "5"), None);
}

fn polynomial() -> impl Strategy<Value = (Vec<i32>, String)> {
    prop::collection::vec(-9_i32..10, 1..5).prop_map(|c| {
        let text: Vec<_> = c
            .iter()
            .enumerate()
            .map(|(i, a)| format!("({a})*x^{i}"))
            .collect();
        (c, text.join(" + "))
    })
}

proptest! {
    #[test]
    fn equality_is_reflexive(text in "[0-9a-z+*/^() .,{}=<>\\\\]{0,30}") {
        if let Some(outcome) = same(&text, &text) {
            prop_assert!(matches!(outcome, Same::Yes | Same::Unknown), "{} {:?}", text, outcome);
        }
    }

    #[test]
    fn polynomials_are_equal_only_to_themselves((a, text) in polynomial(), at in 0_usize..4, by in 1_i32..5) {
        let reversed: Vec<_> = a.iter().enumerate().rev().map(|(i, c)| format!("({c}) x**{i}")).collect();
        prop_assert_eq!(same(&reversed.join("+"), &text), Some(Same::Yes));
        let mut other = a.clone();
        let at = at % other.len();
        other[at] += by;
        let other: Vec<_> = other.iter().enumerate().map(|(i, c)| format!("({c})*x^{i}")).collect();
        prop_assert_ne!(same(&other.join("+"), &text), Some(Same::Yes));
    }

    #[test]
    fn rationals_are_compared_exactly(n in -500_i64..500, d in 1_i64..500, k in 1_i64..40) {
        let (plain, latex) = (format!("{n}/{d}"), format!("\\frac{{{}}}{{{}}}", n * k, d * k));
        prop_assert_eq!(compare(&latex, &plain, Tolerance::Relative(0.0)), Some(Same::Yes));
        let other = format!("{}/{}", n * k + 1, d * k);
        prop_assert_eq!(compare(&other, &plain, Tolerance::Relative(0.0)), Some(Same::No));
    }

    #[test]
    fn nothing_makes_it_panic(a in "[0-9a-zA-Z+*/^()\\[\\]{}|_!%.,;:=<>\\\\ -]{0,60}", b in "\\PC{0,20}") {
        let _ = same(&a, &b);
    }
}
