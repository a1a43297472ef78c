//! Host memory while loading: a counting allocator around the program's own heap.

use burn::tensor::Device;
use glmv::engine::Precision;
use glmv::kernels::device::{Choice, list, select};
use glmv::model::{
    Checkpoint, Glm4v, Quantisation, RandomOptions, quantise_checkpoint, write_random,
};
use std::alloc::{GlobalAlloc, Layout, System};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

struct Counting;

#[expect(unsafe_code, reason = "a global allocator is unsafe by its trait")]
// SAFETY: every call is passed on to the system allocator with the same arguments.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let live = LIVE.fetch_add(layout.size(), Ordering::SeqCst) + layout.size();
        PEAK.fetch_max(live, Ordering::SeqCst);
        // SAFETY: as above.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::SeqCst);
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A checkpoint of 440 MB whose largest tensor exceeds lavapipe's buffer limit of 128 MiB.
const CONFIG: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/assets/configs/wide-vocabulary.json"
);

#[test]
fn loading_holds_at_most_1_3_times_the_largest_tensor() {
    let required = std::env::var("GLMV_REQUIRE_GPU").is_ok_and(|v| v == "1");
    if !required && list().is_empty() {
        println!("no adapter: on the CPU device the weights themselves are host memory");
        return;
    }
    let device = select(Choice::Gpu).unwrap().device;
    let dir = tempfile::tempdir().unwrap();
    write_random(CONFIG.as_ref(), dir.path(), RandomOptions::seeded(1)).unwrap();
    let checkpoint = Checkpoint::open(dir.path()).unwrap();
    let bytes = |name: &str| checkpoint.get(name).map_or(0, |t| t.bytes.len());
    let largest = checkpoint.names().map(bytes).max().unwrap();
    assert!(
        checkpoint.total_bytes() >= 400_000_000,
        "{}",
        checkpoint.total_bytes()
    );
    let before = LIVE.load(Ordering::SeqCst);
    PEAK.store(before, Ordering::SeqCst);
    let (model, _) = Glm4v::load(dir.path(), &device, Precision::F32, &|_, _| {}).unwrap();
    let peak = PEAK.load(Ordering::SeqCst) - before;
    println!(
        "peak {peak} bytes, largest tensor {largest}, file {}",
        checkpoint.total_bytes()
    );
    assert!(
        peak as f64 <= 1.3 * largest as f64,
        "{peak} > 1.3 x {largest}"
    );
    assert!(peak > largest / 100, "the allocator counts nothing");
    // The sharded embedding answers: a row of the last shard is what the file holds.
    let id = model.config().text.vocab_size - 1;
    let row = glmv::kernels::device::read(model.embed(&[0, id as u32])).unwrap();
    let name = "model.language_model.embed_tokens.weight";
    let stored: Vec<f32> = checkpoint.get(name).unwrap().bytes[id * row.len() / 2 * 4..]
        .chunks_exact(4)
        .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
        .collect();
    assert_eq!(row[row.len() / 2..], stored);
    drop(model);
    quantising_holds_one_tensor(dir.path(), &device, largest);
}

/// Quantising while loading, writing a quantised folder, and loading that.
fn quantising_holds_one_tensor(dir: &Path, device: &Device, largest: usize) {
    let peak_of = |what: &str, limit: usize, run: &dyn Fn()| {
        let before = LIVE.load(Ordering::SeqCst);
        PEAK.store(before, Ordering::SeqCst);
        run();
        let peak = PEAK.load(Ordering::SeqCst).saturating_sub(before);
        println!("{what}: peak {peak} bytes, limit {limit}");
        assert!(peak <= limit, "{what}: {peak} > {limit}");
    };
    for precision in [Precision::Q8, Precision::Q4] {
        let format = precision.format().unwrap();
        let load = |dir: &Path| drop(Glm4v::load(dir, device, precision, &|_, _| {}).unwrap());
        // Of a float tensor only a piece is widened at a time: its codes and that piece.
        let limit = largest / 2;
        peak_of("quantising while loading", limit, &|| load(dir));
        let out = tempfile::tempdir().unwrap();
        let what = Quantisation {
            weights: format,
            vision: Precision::F16,
        };
        peak_of("writing codes", limit, &|| {
            quantise_checkpoint(dir, out.path(), what, u64::MAX, &|_, _| {}).unwrap();
        });
        let files = Checkpoint::open(out.path()).unwrap();
        let bytes = |name: &str| files.get(name).map_or(0, |t| t.bytes.len());
        let codes = files.names().map(bytes).max().unwrap();
        peak_of("loading codes", codes * 13 / 10, &|| load(out.path()));
    }
}
