//! Adapters that learn: their gradients against those of the weights they stand beside, passes that must
//! agree, codes as a base, and a run that goes on.

use crate::support::{MODELS, devices, distance, folder, learner, load, micros, samples, sum};
use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Device, Tensor, TensorData};
use glmv_model::{
    AdapterConfig, Checkpoint, Glm4v, HubTensors, MergeOptions, Precision, StoreAs, Targets,
    adapter_modules, merge_adapter, save, save_adapter,
};
use glmv_train::{
    Distribution, Grads, Groups, Micro, Parameter, Part, PassOptions, Recompute, Scores, freeze,
    gradients, parameters, scores, with_values,
};
use std::path::Path;

const LENGTHS: [usize; 3] = [9, 14, 5];
const RANK: usize = 4;

pub fn adapter(dropout: f64) -> AdapterConfig {
    AdapterConfig {
        target: Targets::Pattern("all-linear".into()),
        rank: RANK,
        alpha: 6.0,
        dropout,
        rslora: false,
        seed: 11,
    }
}

/// The model with every factor of its adapter replaced by small numbers, so that B is not zero.
fn stirred(model: Glm4v) -> Glm4v {
    struct Stir(usize, Vec<Parameter>);
    impl ModuleMapper for Stir {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let at = self.0;
            self.0 += 1;
            if self.1[at].part != Part::Adapters {
                return param;
            }
            let (id, old, mapper) = param.consume();
            // By the path: a model of codes has fewer parameters.
            let path = self.1[at].path.bytes();
            let mut state = path.fold(1u64, |s, b| s.wrapping_mul(31).wrapping_add(u64::from(b)));
            let mut draw = || {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                (state >> 40) as f32 / (1u32 << 24) as f32 * 0.2 - 0.1
            };
            let values: Vec<f32> = (0..old.dims().iter().product()).map(|_| draw()).collect();
            let data = TensorData::new(values, old.dims());
            Param::from_mapped_value(id, Tensor::from_data(data, &old.device()), mapper)
        }
    }
    let list = parameters(&model);
    model.map(&mut Stir(0, list))
}

fn adapted(name: &str, device: &Device, config: AdapterConfig) -> Glm4v {
    stirred(load(name, device).with_adapter(config).expect("an adapter"))
}

fn learning(model: Glm4v) -> Glm4v {
    freeze(model, &Groups::default()).expect("something learns")
}

fn options(recompute: Recompute, dropout: Option<u64>) -> PassOptions {
    PassOptions {
        recompute,
        dropout,
        share: 1.0,
        ..PassOptions::default()
    }
}

fn close(model: &Glm4v, what: &str, a: &Grads, b: &Grads, tolerance: f32) {
    let (far, path) = distance(model, a, b);
    assert!(far <= tolerance, "{what}: {far:e} at {path}");
}

fn merge(base: &Path, adapter: &Path, out: &Path) {
    let options = MergeOptions {
        store: None,
        dequantise: false,
        max_shard_bytes: 1 << 30,
    };
    merge_adapter(base, Some(adapter), out, options, &|_, _| {}).expect("merged");
}

fn logprobs(model: &Glm4v, micro: &Micro) -> Vec<f32> {
    scores(model, micro, &Distribution::default())
        .expect("scores")
        .logprobs
}

fn farthest(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    let far = a.iter().zip(b).map(|(a, b)| (a - b).abs());
    far.fold(0.0, |m: f32, d| if d <= m { m } else { d })
}

/// Scores of the pass that records gradients.
fn trained_scores(model: &Glm4v, micro: &Micro) -> Vec<f32> {
    let none = &mut |s: &Scores| Ok(vec![0.0; s.logprobs.len()].into());
    let options = options(Recompute::None, None);
    let outcome = gradients(model, micro, &options, none, &mut Grads::new());
    outcome.expect("a pass").scores.logprobs
}

#[test]
fn a_new_adapter_changes_nothing() {
    for device in devices() {
        for name in MODELS {
            let base = learner(name, &device);
            let micro = micros(&base, &[&samples(&base, &LENGTHS)]).remove(0);
            let without = trained_scores(&base, &micro);
            // Experts among them: what they change is added to what the base gives.
            let model = load(name, &device).with_adapter(adapter(0.0)).unwrap();
            let with = trained_scores(&learning(model), &micro);
            assert_eq!(with, without, "{name}: bit for bit");
            let other = adapted(name, &device, adapter(0.0));
            let with = trained_scores(&learning(other), &micro);
            assert!(farthest(&with, &without) > 1e-3, "{name}: the control");
            for precision in [Precision::F32, Precision::Q8, Precision::Q4] {
                let fresh = || {
                    let loaded = Glm4v::load(&folder(name), &device, precision, &|_, _| {});
                    loaded.unwrap().0
                };
                let without = logprobs(&fresh(), &micro);
                let with = logprobs(&fresh().with_adapter(adapter(0.0)).unwrap(), &micro);
                assert_eq!(with, without, "{name} {}: bit for bit", precision.name());
            }
        }
    }
}

/// `a · b` of `[m, k]` and `[k, n]`, either transposed.
fn product(a: &[f32], b: &[f32], [m, n, k]: [usize; 3], turned: [bool; 2]) -> Vec<f32> {
    let at = |i: usize, l: usize| if turned[0] { l * m + i } else { i * k + l };
    let bt = |l: usize, j: usize| if turned[1] { j * k + l } else { l * n + j };
    let cell = |i, j| -> f32 {
        (0..k)
            .map(|l| f64::from(a[at(i, l)]) * f64::from(b[bt(l, j)]))
            .sum::<f64>() as f32
    };
    (0..m * n).map(|ij| cell(ij / n, ij % n)).collect()
}

/// Every module's largest relative difference between the adapter's gradients and those that follow
/// from the gradient of the merged weight; the worst, with its name.
fn against_merged(model: &Glm4v, found: &Grads, name: &str, scale: f32) -> (f32, String) {
    let device = model.valid().device();
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    save_adapter(model, &at("adapter"), &folder(name)).unwrap();
    save_adapter(&with_values(model, found), &at("grads"), &folder(name)).unwrap();
    merge(&folder(name), &at("adapter"), &at("merged"));
    let twin = Glm4v::load(&at("merged"), &device, Precision::F32, &|_, _| {});
    let twin = learning(twin.unwrap().0);
    let micros = micros(&twin, &[&samples(&twin, &LENGTHS)]);
    let (grads, _) = sum(&twin, &micros, &options(Recompute::None, None));
    let weights = with_values(&twin, &grads);
    let weights = HubTensors::new(&weights);
    let file = |name: &str| Checkpoint::open_file(&at(name).join("adapter_model.safetensors"));
    let (factors, grads) = (file("adapter").unwrap(), file("grads").unwrap());
    let mut worst = (0.0, String::new());
    let mut compare = |found: &[f32], wanted: &[f32], what: String| {
        let size = wanted.iter().fold(1e-7f32, |m, v| m.max(v.abs()));
        let far = farthest(found, wanted) / size;
        if far > worst.0 || far.is_nan() {
            worst = (far, what);
        }
    };
    for module in adapter_modules(twin.config()) {
        let [out, inner] = module.shape;
        let tensor = |side: &str| format!("base_model.model.{}.{side}.weight", module.name);
        let of = |file: &Checkpoint, side: &str| file.floats(&tensor(side)).unwrap().0;
        let (a, b) = (of(&factors, "lora_A"), of(&factors, "lora_B"));
        let dw = weights.read(&format!("{}.weight", module.name));
        let dw: Vec<f32> = dw.unwrap().unwrap().iter().map(|v| v * scale).collect();
        let da = product(&b, &dw, [RANK, inner, out], [true, false]);
        let db = product(&dw, &a, [out, RANK, inner], [false, true]);
        compare(&of(&grads, "lora_A"), &da, tensor("lora_A"));
        compare(&of(&grads, "lora_B"), &db, tensor("lora_B"));
    }
    worst
}

#[test]
fn gradients_follow_from_those_of_the_merged_weights() {
    for device in devices() {
        for name in MODELS {
            let model = learning(adapted(name, &device, adapter(0.0)));
            let micros = micros(&model, &[&samples(&model, &LENGTHS)]);
            let (found, _) = sum(&model, &micros, &options(Recompute::None, None));
            let learnt = parameters(&model).into_iter().enumerate();
            for (index, parameter) in learnt {
                assert_eq!(
                    found.has(index),
                    parameter.part == Part::Adapters,
                    "{parameter:?}"
                );
            }
            let scale = adapter(0.0).scale();
            let (far, what) = against_merged(&model, &found, name, scale);
            println!("{name}: gradients of the factors within {far:e}, worst {what}");
            assert!(far <= 5e-5, "{name}: {far:e} at {what}");
            let (far, _) = against_merged(&model, &found, name, 1.01 * scale);
            assert!(far > 5e-3, "{name}: the control passed, {far:e}");
        }
    }
}

#[test]
fn packed_recomputed_and_dropping_passes_agree() {
    for device in devices() {
        for name in MODELS {
            let model = learning(adapted(name, &device, adapter(0.25)));
            let samples = samples(&model, &LENGTHS);
            let packed = micros(&model, &[&samples]);
            let alone: Vec<_> = samples.chunks(1).collect();
            let alone = micros(&model, &alone);
            let run = |micros: &[Micro], recompute, dropout| {
                sum(&model, micros, &options(recompute, dropout)).0
            };
            let kept = run(&packed, Recompute::None, None);
            close(
                &model,
                "packed",
                &kept,
                &run(&alone, Recompute::None, None),
                2e-5,
            );
            close(
                &model,
                "recomputed",
                &run(&packed, Recompute::Layer, None),
                &kept,
                2e-5,
            );
            let dropped = run(&packed, Recompute::None, Some(5));
            let again = run(&packed, Recompute::Layer, Some(5));
            close(&model, "recomputed, dropping", &again, &dropped, 2e-5);
            let (far, _) = distance(&model, &run(&packed, Recompute::Layer, Some(6)), &dropped);
            assert!(far > 1e-2, "another seed drops others: {far:e}");
            assert!(
                distance(&model, &dropped, &kept).0 > 1e-2,
                "nothing was dropped"
            );
            // Evaluation drops nothing.
            let still = learning(adapted(name, &device, adapter(0.0)));
            let (with, without) = (logprobs(&model, &packed[0]), logprobs(&still, &packed[0]));
            assert_eq!(with, without);
        }
    }
}

#[test]
fn codes_as_a_base_give_the_gradients_of_their_values() {
    for device in devices() {
        for (name, precision) in [
            (MODELS[0], Precision::Q8),
            (MODELS[0], Precision::Q4),
            (MODELS[1], Precision::Q8),
            (MODELS[1], Precision::Q4),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let coded = Glm4v::load(&folder(name), &device, precision, &|_, _| {})
                .unwrap()
                .0;
            let wide = dir.path().join("wide");
            save(&coded, &wide, StoreAs::F32, 1 << 30).unwrap();
            glmv_model::copy_sidecars(&folder(name), &wide).unwrap();
            let wide = Glm4v::load(&wide, &device, Precision::F32, &|_, _| {})
                .unwrap()
                .0;
            let whole = load(name, &device);
            let run = |model: Glm4v| {
                let model = stirred(model.with_adapter(adapter(0.0)).unwrap());
                let model = learning(model);
                let micros = micros(&model, &[&samples(&model, &LENGTHS)]);
                let (grads, _) = sum(&model, &micros, &options(Recompute::Layer, None));
                by_path(&model, &grads)
            };
            let (codes, values, other) = (run(coded), run(wide), run(whole));
            let far = apart(&codes, &values);
            println!("{name} {}: within {far:e} of the values", precision.name());
            assert!(far <= 1e-4, "{name} {}: {far:e}", precision.name());
            let control = apart(&codes, &other);
            assert!(
                control > 5.0 * far,
                "rounded weights must show: {control:e}"
            );
        }
    }
}

/// Gradients by their parameters' paths: models of codes have fewer parameters.
fn by_path(model: &Glm4v, grads: &Grads) -> Vec<(String, Vec<f32>)> {
    let list = parameters(model).into_iter().enumerate();
    let read = |(index, p): (usize, Parameter)| {
        let values = grads.get(index)?;
        Some((p.path, glmv_kernels::device::read(values).unwrap()))
    };
    list.filter_map(read).collect()
}

fn apart(a: &[(String, Vec<f32>)], b: &[(String, Vec<f32>)]) -> f32 {
    assert_eq!(a.len(), b.len());
    let pairs = a.iter().zip(b).map(|((p, a), (q, b))| {
        assert_eq!(p, q);
        let size = b.iter().fold(1e-7f32, |m, v| m.max(v.abs()));
        farthest(a, b) / size
    });
    pairs.fold(0.0, |m: f32, d| if d <= m { m } else { d })
}
