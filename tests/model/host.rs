//! Experts in host memory: the same numbers, prefill and decode, and their bytes off the device.

use crate::support::{checkpoint, max_diff};
use burn::tensor::Device;
use glmv::engine::Precision;
use glmv::kernels::counts;
use glmv::kernels::device::{Choice, Kind, kind, list, memory, read, select};
use glmv::model::{Batch, Glm4v, LoadOptions, Probe, Sequences};

/// Logits of the last of `len` tokens of two rows, then of one more token each.
fn logits(model: &Glm4v, len: usize) -> Vec<f32> {
    let mut cache = model.new_cache(len + 1).expect("a cache");
    let mut all = Vec::new();
    for (start, seq) in [(0, len), (len, 1)] {
        let ids = (0..2 * seq).map(|i| ((start + i) * 37 % 400) as u32);
        let row: Vec<i64> = (start as i64..(start + seq) as i64).collect();
        let sequences = Sequences {
            batch: 2,
            seq,
            input_ids: ids.collect(),
            modality: vec![0; 2 * seq],
            positions: row.repeat(6),
            padding: vec![0; 2],
        };
        let batch = Batch {
            sequences: &sequences,
            images: None,
            videos: None,
        };
        let hidden = model
            .forward(&batch, Some(&mut cache), &mut Probe::off())
            .unwrap();
        let last = model.select_rows(hidden, &[seq - 1, 2 * seq - 1]);
        all.extend(read(model.logits(last)).unwrap());
    }
    all
}

fn load(device: &Device, precision: Precision, experts_on_host: usize) -> Glm4v {
    let options = LoadOptions {
        precision,
        experts_on_host,
    };
    let dir = checkpoint("glm4v_moe-f32");
    let (model, skipped) = Glm4v::load(&dir, device, options, &|_, _| {}).unwrap();
    assert!(skipped.is_empty(), "{skipped:?}");
    model
}

/// Device kinds of the experts, layer by layer.
fn places(model: &Glm4v) -> Vec<Kind> {
    let layers = model.language_model.layers.iter();
    let moes = layers.filter_map(|l| l.mlp.experts());
    moes.map(|m| kind(&m.gate_up_proj[0].val().device()))
        .collect()
}

#[test]
fn experts_on_the_host_give_the_same_logits() {
    let required = std::env::var("GLMV_REQUIRE_GPU").is_ok_and(|v| v == "1");
    if !required && list().is_empty() {
        println!("no adapter: on the CPU device all weights are in host memory");
        return;
    }
    let device = select(Choice::Gpu).unwrap().device;
    // An f16 cache rounds what differs in the last bits.
    for (precision, tolerance) in [(Precision::F32, 2e-5), (Precision::F16, 3e-4)] {
        let all = load(&device, precision, 0);
        assert_eq!(places(&all), [Kind::Wgpu, Kind::Wgpu]);
        let expected = logits(&all, 9);
        for layers in [1, 2] {
            let model = load(&device, precision, layers);
            let on_host = places(&model).iter().filter(|k| **k == Kind::Flex).count();
            assert_eq!(on_host, layers);
            assert_eq!(places(&model)[1], Kind::Flex, "the last layers move");
            let found = logits(&model, 9);
            let diff = max_diff(&expected, &found);
            assert!(diff < tolerance, "{precision:?}, {layers} layers: {diff}");
            let damaged: Vec<f32> = found.iter().map(|v| v * 1.01).collect();
            assert!(
                max_diff(&expected, &damaged) > tolerance,
                "must be able to fail"
            );
        }
    }
}

#[test]
fn only_host_layers_read_activations_back() {
    let required = std::env::var("GLMV_REQUIRE_GPU").is_ok_and(|v| v == "1");
    if !required && list().is_empty() {
        println!("no adapter: nothing is read back on the CPU device");
        return;
    }
    // Counts and memory are the process's: this asks a process of its own.
    if std::env::var_os("GLMV_TEST_ALONE").is_none() {
        let alone = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "host::only_host_layers_read_activations_back"])
            .env("GLMV_TEST_ALONE", "1")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&alone.stdout);
        assert!(
            alone.status.success() && said.contains("1 passed"),
            "{said}"
        );
        return;
    }
    let device = select(Choice::Gpu).unwrap().device;
    let held = |layers: usize| {
        let model = load(&device, Precision::F32, layers);
        device.sync().unwrap();
        device.memory_cleanup();
        let bytes = memory(&device).unwrap().persistent;
        let (_, counted) = counts(|| logits(&model, 4));
        (bytes, counted.reads)
    };
    let ((all, reads), (fewer, more_reads)) = (held(0), held(1));
    assert_eq!(reads, 2, "one read of logits per pass");
    assert_eq!(
        more_reads,
        2 + 2 * 3,
        "ids, weights and activations of one layer"
    );
    let config = load(&device, Precision::F32, 0).config().clone();
    let moe = config.text.moe.as_ref().unwrap();
    let experts = moe.num_experts + moe.num_shared_experts;
    let layer = experts * 3 * moe.expert_width * config.text.hidden_size * 4;
    assert_eq!(all - fewer, layer as u64);
}
