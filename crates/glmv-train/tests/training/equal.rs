//! What must not change a gradient: packing, accumulation, recompute. What must: a sample more.

use crate::support::{MODELS, devices, distance, learner, load, micros, samples, sum};
use glmv_kernels::device::read;
use glmv_model::Glm4v;
use glmv_train::{
    Balance, Distribution, Grads, Group, Groups, Part, PassOptions, Recompute, Sample, Scores,
    freeze, scores,
};

/// Relative to the largest value of a gradient.
const TOLERANCE: f32 = 1e-5;
const LENGTHS: [usize; 4] = [9, 14, 5, 20];

fn options(recompute: Recompute, balance: Balance) -> PassOptions {
    PassOptions {
        recompute,
        recompute_vision: recompute,
        balance,
        share: 1.0,
        distribution: Distribution::default(),
        dropout: None,
    }
}

fn plain() -> PassOptions {
    options(Recompute::None, Balance::default())
}

/// Runs `check` for both families on every device.
fn each(check: impl Fn(&Glm4v, &[Sample])) {
    for device in devices() {
        for name in MODELS {
            let model = learner(name, &device);
            check(&model, &samples(&model, &LENGTHS));
        }
    }
}

fn close(model: &Glm4v, what: &str, a: &Grads, b: &Grads) {
    let (far, path) = distance(model, a, b);
    assert!(far <= TOLERANCE, "{what}: {far:e} at {path}");
}

#[test]
fn packed_and_accumulated_equal_one_by_one() {
    each(|model, samples| {
        let alone: Vec<&[Sample]> = samples.chunks(1).collect();
        let (one_by_one, _) = sum(model, &micros(model, &alone), &plain());
        let (packed, _) = sum(model, &micros(model, &[samples]), &plain());
        close(model, "packed", &packed, &one_by_one);
        let halves: Vec<&[Sample]> = samples.chunks(2).collect();
        let (halves, _) = sum(model, &micros(model, &halves), &plain());
        close(model, "accumulated", &halves, &one_by_one);
        // The check sees a sample less.
        let (fewer, _) = sum(model, &micros(model, &[&samples[1..]]), &plain());
        assert!(distance(model, &fewer, &one_by_one).0 > 0.01);
    });
}

#[test]
fn a_picture_of_several_samples_is_encoded_once() {
    each(|model, samples| {
        let with = |picture: &(Vec<f32>, Vec<[u32; 3]>)| {
            let mut other = samples[0].clone();
            other.images = picture.clone();
            // Another question.
            other.input_ids[0] ^= 1;
            other
                .counted
                .iter_mut()
                .skip(2)
                .step_by(2)
                .for_each(|c| *c = true);
            other
        };
        let shared = [samples[0].clone(), with(&samples[0].images)];
        let packed = micros(model, &[&shared]);
        assert_eq!(packed[0].pictures(), 1);
        let alone: Vec<&[Sample]> = shared.chunks(1).collect();
        let (one_by_one, _) = sum(model, &micros(model, &alone), &plain());
        for recompute in [Recompute::None, Recompute::Layer] {
            let options = options(recompute, Balance::default());
            let (found, _) = sum(model, &packed, &options);
            close(
                model,
                &format!("shared, {recompute:?}"),
                &found,
                &one_by_one,
            );
        }
        // A picture that is a little different is another one, and its gradients are others.
        let mut picture = samples[0].images.clone();
        picture.0.iter_mut().for_each(|v| *v = 0.5 - *v);
        let apart = [samples[0].clone(), with(&picture)];
        let apart = micros(model, &[&apart]);
        assert_eq!(apart[0].pictures(), 2);
        let (other, _) = sum(model, &apart, &plain());
        assert!(distance(model, &other, &one_by_one).0 > 0.01);
    });
}

#[test]
fn a_prompt_of_several_samples_is_computed_once() {
    each(|model, samples| {
        let prompt = samples[0].counted.iter().position(|c| *c).unwrap();
        let with = |own: &[u32]| {
            let mut sample = samples[0].clone();
            sample.input_ids.truncate(prompt);
            sample.input_ids.extend(own);
            sample.modality = vec![0; sample.input_ids.len()];
            sample.modality[..prompt].copy_from_slice(&samples[0].modality[..prompt]);
            sample.counted = (0..sample.input_ids.len()).map(|i| i >= prompt).collect();
            sample
        };
        // The second has a token more of the first, the third is the second again.
        let group = [with(&[7, 8, 9]), with(&[7, 5]), with(&[7, 5]), with(&[6])];
        let packed = micros(model, &[&group]);
        assert_eq!(packed[0].tokens(), prompt + 3 + 1 + 1 + 1);
        assert_eq!(packed[0].counted(), 8);
        assert_eq!(packed[0].pictures(), 1);
        let alone: Vec<&[Sample]> = group.chunks(1).collect();
        let alone = micros(model, &alone);
        let (one_by_one, _) = sum(model, &alone, &plain());
        for recompute in [Recompute::None, Recompute::Layer] {
            let options = options(recompute, Balance::default());
            let (found, _) = sum(model, &packed, &options);
            close(
                model,
                &format!("prompt, {recompute:?}"),
                &found,
                &one_by_one,
            );
        }
        let distribution = Distribution::default();
        let found = scores(model, &packed[0], &distribution).unwrap().logprobs;
        let want = (alone.iter()).flat_map(|m| scores(model, m, &distribution).unwrap().logprobs);
        let far = |a: &[f32], b: Vec<f32>| {
            assert_eq!(a.len(), b.len());
            let pairs = a.iter().zip(b).map(|(a, b)| (a - b).abs());
            pairs.fold(0.0, f32::max)
        };
        assert!(far(&found, want.collect()) < 2e-5);
        // Other prompts share nothing, whatever is asked of them, and their gradients are others.
        let mut apart = group.clone();
        apart[1].input_ids[prompt - 1] ^= 1;
        apart[2].images.0[0] += 0.5;
        let apart = micros(model, &[&apart]);
        assert_eq!(apart[0].tokens(), 4 * prompt + 3 + 2 + 2 + 1);
        let (other, _) = sum(model, &apart, &plain());
        assert!(distance(model, &other, &one_by_one).0 > 0.01);
    });
}

#[test]
fn recomputed_equals_kept() {
    each(|model, samples| {
        let micros = micros(model, &[samples]);
        let (kept, a) = sum(model, &micros, &plain());
        let (again, b) = sum(
            model,
            &micros,
            &options(Recompute::Layer, Balance::default()),
        );
        close(model, "recomputed", &again, &kept);
        let same = |a: &Scores, b: &Scores| {
            let pairs = a.logprobs.iter().zip(&b.logprobs);
            a.logprobs.len() == b.logprobs.len() && pairs.clone().all(|(a, b)| (a - b).abs() < 2e-5)
        };
        assert!(same(&a[0].scores, &b[0].scores));
        let alone = scores(model, &micros[0], &Distribution::default()).unwrap();
        assert!(same(&alone, &a[0].scores));
    });
}

#[test]
fn the_tower_run_again_equals_the_kept_one() {
    let (again, kept) = (Recompute::Layer, Recompute::None);
    each(|model, samples| {
        let micros = micros(model, &[samples]);
        let (all, _) = sum(model, &micros, &plain());
        for (layers, tower) in [(kept, again), (again, kept), (again, again)] {
            let options = PassOptions {
                recompute_vision: tower,
                ..options(layers, Balance::default())
            };
            let (found, _) = sum(model, &micros, &options);
            close(model, &format!("{layers:?}, tower {tower:?}"), &found, &all);
        }
        // The tower has gradients at all, and without its picture it has none.
        let vision = |grads: &Grads| {
            let list = glmv_train::parameters(model);
            let of = list
                .iter()
                .enumerate()
                .filter(|(_, p)| p.part == Part::Vision);
            of.filter(|(index, _)| grads.has(*index)).count()
        };
        assert!(vision(&all) > 10);
        let text: Vec<&[Sample]> = vec![&samples[1..]];
        let (text, _) = sum(model, &crate::support::micros(model, &text), &plain());
        assert_eq!(vision(&text), 0);
    });
}

#[test]
fn frozen_parts_change_no_other_gradient() {
    for device in devices() {
        for name in MODELS {
            let whole = learner(name, &device);
            let samples = samples(&whole, &LENGTHS);
            let micros = micros(&whole, &[&samples]);
            let (all, _) = sum(&whole, &micros, &plain());
            for parts in [
                &[Part::Vision][..],
                &[Part::Vision, Part::Projector],
                &[Part::Text],
            ] {
                let frozen = parts.iter().map(|part| (*part, frozen()));
                let groups = Groups(frozen.collect());
                let model = freeze(load(name, &device), &groups).unwrap();
                for (layers, tower) in [(false, false), (false, true), (true, false), (true, true)]
                {
                    let how = |again| match again {
                        true => Recompute::Layer,
                        false => Recompute::None,
                    };
                    let options = PassOptions {
                        recompute_vision: how(tower),
                        ..options(how(layers), Balance::default())
                    };
                    let (found, _) = sum(&model, &micros, &options);
                    compare(&model, parts, &found, &all);
                }
            }
        }
    }
}

fn frozen() -> Group {
    Group {
        freeze: true,
        ..Group::default()
    }
}

/// What learns has the gradient that it has when everything does.
fn compare(model: &Glm4v, parts: &[Part], found: &Grads, all: &Grads) {
    let mut learning = Grads::new();
    for (index, parameter) in glmv_train::parameters(model).iter().enumerate() {
        if parts.contains(&parameter.part) {
            assert!(!found.has(index), "{} is frozen", parameter.path);
        } else if let Some(grad) = all.get(index) {
            learning.add(index, grad);
        }
    }
    close(model, &format!("{parts:?} frozen"), found, &learning);
}

#[test]
fn balance_losses_reach_the_routers_and_nothing_else_changes_kind() {
    let balance = Balance {
        sequence: 0.5,
        softmax: 0.5,
        bias_rate: 0.0,
    };
    for device in devices() {
        let model = learner("glm4v_moe-f32", &device);
        let samples = samples(&model, &LENGTHS);
        let micros = micros(&model, &[&samples]);
        let (without, _) = sum(&model, &micros, &plain());
        let (kept, a) = sum(&model, &micros, &options(Recompute::None, balance));
        let (again, b) = sum(&model, &micros, &options(Recompute::Layer, balance));
        close(&model, "recomputed with balance", &again, &kept);
        let (far, _) = distance(&model, &without, &kept);
        assert!(far > 1e-3, "the losses must show, {far:e}");
        let top_k = model.config().text.moe.as_ref().unwrap().top_k as u64;
        for outcome in [&a[0], &b[0]] {
            assert!(outcome.softmax_loss.unwrap() > 0.9);
            for load in &outcome.loads {
                let tokens = micros[0].tokens() as u64;
                assert_eq!(load.iter().sum::<u64>(), tokens * top_k);
            }
        }
    }
}

#[test]
fn the_same_pass_twice_gives_the_same_bits() {
    each(|model, samples| {
        let whole = micros(model, &[samples]);
        let cut = micros(model, &samples.chunks(2).collect::<Vec<_>>());
        let list = glmv_train::parameters(model);
        let bits = |micros: &[_], options: &PassOptions| -> Vec<Option<Vec<u32>>> {
            let (grads, _) = sum(model, micros, options);
            let each = (0..list.len()).map(|i| {
                let values = read(grads.get(i)?).expect("readable");
                Some(values.iter().map(|v| v.to_bits()).collect())
            });
            each.collect()
        };
        for recompute in [Recompute::None, Recompute::Layer] {
            let options = options(recompute, Balance::default());
            let first = bits(&whole, &options);
            for _ in 0..3 {
                for ((a, b), parameter) in first.iter().zip(bits(&whole, &options)).zip(&list) {
                    assert!(*a == b, "{recompute:?}: {}", parameter.path);
                }
            }
            // The check sees another way to cut the batch, which moves the last bits.
            let other = bits(&cut, &options);
            assert!(other != first, "{recompute:?}: the control");
        }
    });
}
