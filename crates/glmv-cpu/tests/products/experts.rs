//! Mixture of experts against a slot-by-slot reference.

use crate::{Stored, difference, stored, values, with_threads};
use glmv_cpu::{Error, Experts, Matrix, Routing, experts};

const COUNT: usize = 9;
const HIDDEN: usize = 70;
const WIDTH: usize = 37;
const TOP_K: usize = 3;

/// Distinct experts for each token; the last expert has no slot.
fn routing(tokens: usize) -> (Vec<i64>, Vec<f32>) {
    let ids = (0..tokens * TOP_K)
        .map(|slot| ((slot / TOP_K * 5 + slot % TOP_K * 3) % (COUNT - 1)) as i64)
        .collect();
    (ids, values(9, tokens * TOP_K))
}

fn run(
    x: &[f32],
    (ids, weights): (&[i64], &[f32]),
    [gate_up, down]: [Matrix<'_>; 2],
    (count, base): (usize, usize),
) -> Vec<f32> {
    let routing = Routing {
        ids,
        weights,
        top_k: TOP_K,
        base,
    };
    let stack = Experts::new(count, gate_up, down).unwrap();
    let mut out = vec![f32::NAN; x.len()];
    experts(x, x.len() / HIDDEN, &routing, &stack, &mut out).unwrap();
    out
}

/// One token at a time in f64.
fn expected(x: &[f32], ids: &[i64], weights: &[f32], gate_up: &[f32], down: &[f32]) -> Vec<f64> {
    let dot =
        |row: &[f32], v: &[f64]| -> f64 { row.iter().zip(v).map(|(w, v)| f64::from(*w) * v).sum() };
    let mut out = vec![0.0; x.len()];
    for (slot, (id, weight)) in ids.iter().zip(weights).enumerate() {
        let (token, e) = (slot / TOP_K, *id as usize);
        let x: Vec<f64> = x[token * HIDDEN..][..HIDDEN]
            .iter()
            .map(|v| f64::from(*v))
            .collect();
        let row = |r: usize| &gate_up[(e * 2 * WIDTH + r) * HIDDEN..][..HIDDEN];
        let act: Vec<f64> = (0..WIDTH)
            .map(|j| {
                let (g, u) = (dot(row(j), &x), dot(row(WIDTH + j), &x));
                g / (1.0 + (-g).exp()) * u
            })
            .collect();
        for h in 0..HIDDEN {
            let y = dot(&down[(e * HIDDEN + h) * WIDTH..][..WIDTH], &act);
            out[token * HIDDEN + h] += f64::from(*weight) * y;
        }
    }
    out
}

/// Largest error over the largest value.
fn distance(found: &[f32], expected: &[f64]) -> f64 {
    let size = expected.iter().fold(0.0f64, |m, v| m.max(v.abs()));
    let errors = found
        .iter()
        .zip(expected)
        .map(|(f, e)| (f64::from(*f) - e).abs());
    let worst = errors.fold(0.0, |m: f64, e| if e <= m { m } else { e });
    worst / size
}

type Stacks = Vec<(&'static str, [Stored; 2], [Vec<f32>; 2])>;

fn stacks() -> Stacks {
    let gate_up = stored(
        &values(1, COUNT * 2 * WIDTH * HIDDEN),
        [COUNT * 2 * WIDTH, HIDDEN],
    );
    let down = stored(&values(2, COUNT * HIDDEN * WIDTH), [COUNT * HIDDEN, WIDTH]);
    let pairs = gate_up.into_iter().zip(down);
    pairs
        .map(|((name, a, x), (_, b, y))| (name, [a, b], [x, y]))
        .collect()
}

fn matrices([gate_up, down]: &[Stored; 2]) -> [Matrix<'_>; 2] {
    [
        gate_up.matrix([COUNT * 2 * WIDTH, HIDDEN]),
        down.matrix([COUNT * HIDDEN, WIDTH]),
    ]
}

#[test]
fn experts_match_the_reference() {
    for tokens in [1, 2, 7, 40, 150] {
        let x = values(3, tokens * HIDDEN);
        let (ids, weights) = routing(tokens);
        for (name, owners, [gate_up, down]) in stacks() {
            let out = run(&x, (&ids, &weights), matrices(&owners), (COUNT, 0));
            let expected = expected(&x, &ids, &weights, &gate_up, &down);
            let error = distance(&out, &expected);
            assert!(error < 2e-6, "{name} with {tokens} tokens: {error:e}");
            let wrong: Vec<f32> = weights.iter().map(|w| w * 1.01).collect();
            let out = run(&x, (&ids, &wrong), matrices(&owners), (COUNT, 0));
            assert!(
                distance(&out, &expected) > 1e-3,
                "{name}: weights do not matter"
            );
        }
    }
}

#[test]
fn f16_and_q8_experts_have_the_bits_of_the_dequantised_ones() {
    let tokens = 33;
    let x = values(3, tokens * HIDDEN);
    let (ids, weights) = routing(tokens);
    for (name, owners, [gate_up, down]) in stacks() {
        if name == "q4" {
            continue; // sums in another order
        }
        let out = run(&x, (&ids, &weights), matrices(&owners), (COUNT, 0));
        let plain =
            matrices(&[Stored::F32(gate_up), Stored::F32(down)]).map(|m| match m.weights() {
                glmv_cpu::Weights::F32(values) => (values.to_vec(), [m.rows(), m.cols()]),
                other => panic!("{other:?}"),
            });
        let plain = run(
            &x,
            (&ids, &weights),
            [0, 1].map(|i| Matrix::f32(&plain[i].0, plain[i].1).unwrap()),
            (COUNT, 0),
        );
        assert_eq!(difference(&out, &plain), None, "{name}");
    }
}

#[test]
fn a_token_has_the_same_bits_with_any_other_tokens() {
    let most = 140;
    let x = values(4, most * HIDDEN);
    let (ids, weights) = routing(most);
    for (name, owners, _) in stacks() {
        let all = run(&x, (&ids, &weights), matrices(&owners), (COUNT, 0));
        for tokens in (1..=40).chain([64]) {
            let slots = tokens * TOP_K;
            let (ids, weights) = (&ids[..slots], &weights[..slots]);
            let some = run(
                &x[..tokens * HIDDEN],
                (ids, weights),
                matrices(&owners),
                (COUNT, 0),
            );
            assert_eq!(
                difference(&some, &all[..tokens * HIDDEN]),
                None,
                "{name}, {tokens} tokens"
            );
        }
        let threads = with_threads(3, || {
            run(&x, (&ids, &weights), matrices(&owners), (COUNT, 0))
        });
        assert_eq!(
            difference(&threads, &all),
            None,
            "{name} with three threads"
        );
    }
}

#[test]
fn shards_add_up() {
    let tokens = 6;
    let x = values(5, tokens * HIDDEN);
    let (ids, weights) = routing(tokens);
    for (name, owners, _) in stacks() {
        let [gate_up, down] = matrices(&owners);
        let whole = run(&x, (&ids, &weights), [gate_up, down], (COUNT, 0));
        let shard = |from: usize, to: usize| {
            let parts = [
                gate_up.slice(from * 2 * WIDTH..to * 2 * WIDTH).unwrap(),
                down.slice(from * HIDDEN..to * HIDDEN).unwrap(),
            ];
            run(&x, (&ids, &weights), parts, (to - from, from))
        };
        let (a, b) = (shard(0, 4), shard(4, COUNT));
        for ((a, b), whole) in a.iter().zip(&b).zip(&whole) {
            assert!(
                (a + b - whole).abs() <= 1e-4 * whole.abs().max(1.0),
                "{name}"
            );
        }
        assert_eq!(
            shard(COUNT - 1, COUNT),
            vec![0.0; x.len()],
            "an expert without slots"
        );
    }
}

#[test]
fn no_tokens_and_no_experts() {
    let (_, owners, _) = stacks().remove(0);
    assert!(run(&[], (&[], &[]), matrices(&owners), (COUNT, 0)).is_empty());
    let x = values(1, 2 * HIDDEN);
    let (ids, weights) = routing(2);
    let none = [
        Matrix::f32(&[], [0, HIDDEN]).unwrap(),
        Matrix::f32(&[], [0, WIDTH]).unwrap(),
    ];
    assert_eq!(run(&x, (&ids, &weights), none, (0, 0)), vec![0.0; x.len()]);
    let foreign = [-1i64, 500, i64::MAX, i64::MIN, 9, 10];
    assert_eq!(
        run(&x, (&foreign, &weights), matrices(&owners), (COUNT, 0)),
        vec![0.0; x.len()],
        "ids of other shards"
    );
}

#[test]
fn stacks_that_do_not_belong_together_are_errors() {
    let (_, owners, _) = stacks().remove(0);
    let [gate_up, down] = matrices(&owners);
    assert!(matches!(
        Experts::new(COUNT - 1, gate_up, down),
        Err(Error::Dimension { .. })
    ));
    assert!(matches!(
        Experts::new(COUNT, down, gate_up),
        Err(Error::Dimension { .. })
    ));
    assert!(matches!(
        Experts::new(usize::MAX, gate_up, down),
        Err(Error::Dimension { .. })
    ));
    let stack = Experts::new(COUNT, gate_up, down).unwrap();
    let x = values(1, HIDDEN);
    let routing = |ids, weights| Routing {
        ids,
        weights,
        top_k: TOP_K,
        base: 0,
    };
    let mut out = vec![0.0; HIDDEN];
    let bad = [
        experts(&x, 2, &routing(&[0, 1, 2], &[1.0; 3]), &stack, &mut out),
        experts(&x, 1, &routing(&[0, 1], &[1.0; 3]), &stack, &mut out),
        experts(&x, 1, &routing(&[0, 1, 2], &[1.0; 2]), &stack, &mut out),
        experts(&x, 1, &routing(&[0, 1, 2], &[1.0; 3]), &stack, &mut []),
    ];
    for result in bad {
        assert!(matches!(result, Err(Error::Length { .. })), "{result:?}");
    }
}
