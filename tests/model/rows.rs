//! Decoding rows of a model wide enough for every kernel: the same bits in any company.

use crate::support::devices;
use glmv::engine::{KvFormat, Precision};
use glmv::kernels::device::read;
use glmv::kernels::{INVARIANT_ROWS, on_gpu_tiling, row_invariant};
use glmv::model::{BlockId, Glm4v, KvPool, PoolConfig, Probe, RandomOptions, Rows, write_random};

const CONFIG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/configs/mid-moe.json");
const BLOCK: usize = 16;
/// Blocks of a sequence: room for 160 tokens, which a GPU splits in two.
const BLOCKS: usize = 10;

/// Tokens of sequence `b` before the decoded one.
fn past(b: usize) -> usize {
    1 + b * 37 % (BLOCKS * BLOCK - 2)
}

fn table(b: usize) -> Vec<BlockId> {
    // Scattered over the pool.
    let block = |j: usize| BlockId((j * INVARIANT_ROWS + b) as u32);
    (0..BLOCKS).map(block).collect()
}

/// Runs one pass of `seq` tokens for each of `which`; logits of every token.
fn pass(model: &Glm4v, pool: &mut KvPool, which: &[usize], seq: usize) -> Vec<f32> {
    let tables: Vec<Vec<BlockId>> = which.iter().map(|b| table(*b)).collect();
    let tables: Vec<&[BlockId]> = tables.iter().map(Vec::as_slice).collect();
    let start = |b: usize| if seq == 1 { past(b) } else { 0 };
    let past: Vec<usize> = which.iter().map(|b| start(*b)).collect();
    let places = which
        .iter()
        .flat_map(|b| (0..seq).map(move |i| (*b, start(*b) + i)));
    let ids: Vec<u32> = places
        .clone()
        .map(|(b, i)| ((b * 31 + i * 17) % 440) as u32)
        .collect();
    let places: Vec<i64> = places.map(|(_, i)| i as i64).collect();
    let rows = Rows {
        batch: which.len(),
        seq,
        input_ids: &ids,
        positions: &places.repeat(3),
        tables: &tables,
        past: &past,
        features: None,
    };
    let hidden = model.forward_rows(rows, pool, &mut Probe::off()).unwrap();
    read(model.logits(hidden)).unwrap()
}

fn same_in_any_company(model: &Glm4v, format: KvFormat, label: &str) {
    let config = PoolConfig {
        blocks: BLOCKS * INVARIANT_ROWS,
        block_size: BLOCK,
        format,
    };
    let mut pool = KvPool::new(&model.config().text, config, &model.device()).unwrap();
    let used = [0, 1, 2, 5, 9, 20, 33, 47, 63];
    for b in used {
        pass(model, &mut pool, &[b], past(b));
    }
    let mut decode = |which: &[usize]| row_invariant(|| pass(model, &mut pool, which, 1));
    // Full companies repeat a sequence: it writes the same keys twice.
    let mut company: Vec<usize> = used.to_vec();
    company.resize(INVARIANT_ROWS, 0);
    let all = decode(&company);
    let width = all.len() / INVARIANT_ROWS;
    assert!(all.iter().all(|v| v.is_finite()) && all[..width] != all[width..2 * width]);
    for count in [1, 2, 5, 9] {
        assert!(
            decode(&used[..count]) == all[..count * width],
            "{label}: {count} rows"
        );
    }
    for (i, b) in used.iter().enumerate() {
        assert!(
            decode(&[*b]) == all[i * width..][..width],
            "{label}: sequence {b} alone"
        );
    }
}

#[test]
fn wide_rows_do_not_depend_on_their_company() {
    let text = std::fs::read_to_string(CONFIG).unwrap();
    let mut config: serde_json::Value = serde_json::from_str(&text).unwrap();
    // Enough of the model to be quick: a dense layer and one with experts.
    config["text_config"]["num_hidden_layers"] = 2.into();
    config["text_config"]["n_routed_experts"] = 32.into();
    config["text_config"]["n_group"] = 1.into();
    config["text_config"]["topk_group"] = 1.into();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("small.json");
    std::fs::write(&file, config.to_string()).unwrap();
    write_random(&file, &dir.path().join("model"), RandomOptions::seeded(3)).unwrap();
    for device in devices() {
        use Precision::{F16, F32, Q4, Q8};
        for (precision, formats) in [
            (F32, &[KvFormat::F32, KvFormat::Q8][..]),
            (F16, &[KvFormat::F16]),
            (Q8, &[KvFormat::F16]),
            (Q4, &[KvFormat::Q8]),
        ] {
            let load = Glm4v::load(&dir.path().join("model"), &device, precision, &|_, _| {});
            let (model, _) = load.unwrap();
            for format in formats.iter().copied() {
                let label = format!("{device:?}, {precision:?} weights, {format:?} cache");
                same_in_any_company(&model, format, &label);
                let label = format!("{label}, GPU tiles");
                on_gpu_tiling(|| same_in_any_company(&model, format, &label));
            }
        }
    }
}
