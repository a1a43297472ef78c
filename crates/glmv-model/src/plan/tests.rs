use super::*;
use crate::schema::tensors;

const GIB: u64 = 1 << 30;

fn published(name: &str) -> Config {
    let path = format!(
        "{}/../../assets/configs/{name}.json",
        env!("CARGO_MANIFEST_DIR")
    );
    let text = std::fs::read_to_string(&path).unwrap();
    Config::from_json(&text, &path).unwrap()
}

fn plan(name: &str, weights: WeightFormat, ctx: usize) -> Plan {
    let settings = Settings::new(weights, ctx, BufferRules::adapter(2 * GIB));
    Plan::new(&published(name), &settings)
}

fn bytes_of(plan: &Plan, name: &str) -> u64 {
    plan.items
        .iter()
        .filter(|i| i.name == name)
        .map(|i| i.device_bytes)
        .sum()
}

#[test]
fn the_published_configurations_have_the_published_sizes() {
    let moe = published("glm-4.5v-106b");
    let specs = tensors(&moe);
    assert_eq!(specs.len(), 18_106);
    assert_eq!(
        specs.iter().map(|t| t.len() as u64).sum::<u64>(),
        107_710_933_120
    );
    assert_eq!(tensors(&published("glm-4.1v-9b")).len(), 704);
    // Keys and values of a token in f16: 40 KiB and 184 KiB.
    for (name, kib) in [("glm-4.1v-9b", 40), ("glm-4.5v-106b", 184)] {
        let cache = plan(name, WeightFormat::F16, 1024).section_bytes(Section::Cache);
        assert_eq!(cache, kib * 1024 * 1024, "{name}");
    }
}

#[test]
fn the_plan_has_every_parameter_of_the_schema() {
    for name in ["glm-4.1v-9b", "glm-4.5v-106b", "mid-moe", "wide-vocabulary"] {
        let config = published(name);
        let stored: u64 = tensors(&config).iter().map(|t| t.len() as u64).sum();
        assert_eq!(
            plan(name, WeightFormat::F32, 64).parameters,
            stored,
            "{name}"
        );
        let weights = plan(name, WeightFormat::F32, 64).section_bytes(Section::Weights);
        let padding = weights - 4 * stored;
        assert!(padding < stored / 100, "{name}: {padding} bytes of padding");
    }
}

#[test]
fn narrower_formats_have_their_bits() {
    let weights = |format| plan("glm-4.5v-106b", format, 64).section_bytes(Section::Weights) as f64;
    // Text 106.9 G parameters at 4.5 bits are 60.1 GB; tower and projector stay f16.
    let q4 = bytes_of(&plan("glm-4.5v-106b", WeightFormat::Q4, 64), "experts");
    assert_eq!(q4 * 8 * 2 / 9, 45 * 128 * 3 * 4096 * 1408);
    for (format, gb) in [
        (WeightFormat::F16, 215.4),
        (WeightFormat::Q8, 115.1),
        (WeightFormat::Q4, 61.8),
    ] {
        let found = weights(format) / 1e9;
        assert!(
            (found / gb - 1.0).abs() < 0.01,
            "{}: {found} GB",
            format.name()
        );
    }
}

#[test]
fn longer_contexts_and_batches_cost_what_their_cache_does() {
    let config = published("glm-4.1v-9b");
    let base = Settings::new(WeightFormat::F16, 4096, BufferRules::adapter(2 * GIB));
    let cache = |s: &Settings| Plan::new(&config, s).section_bytes(Section::Cache);
    let batched = Settings {
        batch: 4,
        ..base.clone()
    };
    assert_eq!(cache(&batched), 4 * cache(&base));
    let odd = Settings {
        ctx: 4097,
        ..base.clone()
    };
    assert_eq!(
        cache(&odd),
        cache(&base) / 4096 * (4096 + 16),
        "whole blocks"
    );
    let narrow = Settings {
        kv: CacheFormat::Q8,
        ..base.clone()
    };
    assert_eq!(cache(&narrow) * 256, cache(&base) * 136);
    let activations = |s: &Settings| Plan::new(&config, s).section_bytes(Section::Activations);
    let picture = Settings {
        image: Some([2048, 2048]),
        ..base.clone()
    };
    assert!(activations(&picture) > 2 * activations(&base));
}

#[test]
fn experts_on_the_host_leave_the_device() {
    let config = published("glm-4.5v-106b");
    let base = Settings::new(WeightFormat::Q4, 4096, BufferRules::adapter(2 * GIB));
    let moved = Settings {
        experts_on_host: 10,
        ..base.clone()
    };
    let (all, some) = (Plan::new(&config, &base), Plan::new(&config, &moved));
    assert_eq!(all.host_bytes(), 0);
    assert_eq!(all.device_bytes() - some.device_bytes(), some.host_bytes());
    let per_layer = (bytes_of(&all, "experts") + bytes_of(&all, "shared experts")) / 45;
    assert_eq!(some.host_bytes(), 10 * per_layer);
    // More layers than there are: all experts, and no error.
    let every = Plan::new(
        &config,
        &Settings {
            experts_on_host: 99,
            ..base
        },
    );
    assert_eq!(every.host_bytes(), 45 * per_layer);
}

#[test]
fn weights_above_the_limit_are_reported_with_their_shards() {
    let settings = Settings::new(WeightFormat::F32, 64, BufferRules::adapter(128 << 20));
    let wide = Plan::new(&published("wide-vocabulary"), &settings);
    let embedding = wide
        .sharded
        .iter()
        .find(|s| s.name == "embed_tokens")
        .unwrap();
    assert_eq!(
        (embedding.bytes, embedding.shards),
        (151_552 * 352 * 4, Some(2))
    );
    assert_eq!(
        wide.sharded.len(),
        2,
        "embedding and head: {:?}",
        wide.sharded
    );
    let narrow = Plan::new(&published("mid-moe"), &settings);
    assert!(narrow.sharded.is_empty(), "{:?}", narrow.sharded);
    // A row that does not fit cannot be split.
    let tiny = Settings {
        buffers: BufferRules::adapter(1024),
        ..settings
    };
    let tiny = Plan::new(&published("wide-vocabulary"), &tiny);
    assert!(tiny.sharded.iter().any(|s| s.shards.is_none()) && !tiny.fits(u64::MAX));
}

#[test]
fn activations_above_the_limit_do_not_fit_whatever_the_memory() {
    let config = published("glm-4.1v-9b");
    let mut settings = Settings::new(WeightFormat::F16, 8192, BufferRules::adapter(128 << 20));
    settings.chunk = 8192;
    let plan = Plan::new(&config, &settings);
    let found = plan.too_large.as_ref().unwrap();
    assert_eq!(found.bytes, 8192 * 2 * 13_696 * 4);
    assert!(!plan.fits(u64::MAX));
    let advice = Plan::advise(&config, &settings, u64::MAX).unwrap();
    assert_eq!(advice.changes[0].to_string(), "--chunk 1024");
}

#[test]
fn advice_is_the_first_change_that_fits() {
    let (dense, moe) = (published("glm-4.1v-9b"), published("glm-4.5v-106b"));
    let buffers = BufferRules::adapter(2 * GIB);
    let said = |config: &Config, settings: &Settings, gib: u64| {
        let advice = Plan::advise(config, settings, gib * GIB)?;
        assert!(advice.device_bytes <= gib * GIB);
        Some(
            advice
                .changes
                .iter()
                .map(Change::to_string)
                .collect::<Vec<_>>(),
        )
    };
    let f16 = Settings::new(WeightFormat::F16, 65_536, buffers);
    assert!(Plan::new(&dense, &f16).fits(40 * GIB));
    assert_eq!(said(&dense, &f16, 22).unwrap(), ["--chunk 256"]);
    assert_eq!(said(&dense, &f16, 21).unwrap(), ["--ctx 32768"]);
    assert_eq!(said(&dense, &f16, 15).unwrap(), ["--dtype q8"]);
    assert_eq!(said(&dense, &f16, 3), None);
    let q4 = Settings::new(WeightFormat::Q4, 8192, buffers);
    let changes = said(&moe, &q4, 48).unwrap();
    assert!(changes[0].starts_with("--experts-on-host "), "{changes:?}");
}
