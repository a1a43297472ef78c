//! Counting at the queue: what the runtime's observer reports is what wgpu dispatches. One test in
//! a process of its own, because both counters are the process's.

use burn::tensor::{DType, Device, Tensor};
use glmv::engine::{
    Conversation, Engine, Event, Message, Part, Precision, RenderOptions, Request, Role,
    SamplingParams,
};
use glmv::kernels::device::{Choice, list, read, select};
use glmv::kernels::{QueueLog, Watch, counts, linear, rms_norm, swiglu};

/// Five launches of ours, and Burn's: two fills, a sum, a cast and a concatenation's copies.
fn work(device: &Device, read_back: bool) -> usize {
    let x = Tensor::<2>::full([6, 64], 0.5, device);
    let weight = Tensor::<2>::ones([64, 64], device);
    let norm = Tensor::<1>::ones([64], device);
    let mut y = x.clone();
    for _ in 0..2 {
        y = linear(rms_norm(y, norm.clone(), 1e-5), weight.clone(), None);
    }
    let y = Tensor::cat(vec![swiglu(y.clone()), (y + x).slice([0..6, 0..32])], 1);
    let y = y.cast(DType::F16).cast(DType::F32);
    match read_back {
        true => read(y).unwrap().len(),
        false => 0,
    }
}

#[test]
fn every_dispatch_is_counted() {
    let required = std::env::var("GLMV_REQUIRE_GPU").is_ok_and(|v| v == "1");
    if !required && list().is_empty() {
        println!("no adapter: nothing is dispatched on the CPU device");
        return;
    }
    let device = select(Choice::Gpu).unwrap().device;
    let log = QueueLog::install().expect("no other logger in this process");
    work(&device, true); // pipelines
    for read_back in [false, true] {
        let ((len, observed), queue) = log
            .counts(&device, || counts(|| work(&device, read_back)))
            .unwrap();
        assert_eq!(observed.dispatches, queue.dispatches, "{observed:?}");
        assert_eq!(observed.own, 5, "{observed:?}");
        assert!(observed.dispatches >= 5 + 4, "{observed:?}");
        assert!(observed.copies >= 2, "casts and copies: {observed:?}");
        let named: u64 = observed.kernels.values().sum();
        assert_eq!(named, observed.dispatches, "{observed:?}");
        assert_eq!(observed.bytes_read, 4 * len as u64);
        assert_eq!(observed.reads, u64::from(read_back));
        assert_eq!(queue.copies, u64::from(read_back), "{queue:?}");
        assert!(queue.submits >= 1, "{queue:?}");
    }
    // One launch more is one more.
    let watch = Watch::start();
    let before = watch.counts().dispatches;
    let _ = Tensor::<1>::ones([3], &device).add_scalar(1.0);
    assert!(watch.counts().dispatches > before);
    drop(watch);
    an_engine_reads_eight_bytes_a_token(&device);
    // Nothing is counted while nobody watches, and an idle device dispatches nothing.
    let (_, idle) = counts(|| ());
    assert_eq!(idle, Default::default());
    let (_, queue) = log.counts(&device, || ()).unwrap();
    assert_eq!(queue.dispatches, 0);
}

/// Ids and log-probabilities come back, whatever the parameters; never a row of logits.
fn an_engine_reads_eight_bytes_a_token(device: &Device) {
    let dir = glmv_testkit::golden_dir().join("glm4v_moe-f32");
    let mut engine = Engine::load(&dir, device, Precision::F32, &|_, _| {}).unwrap();
    let text = vec![Part::Text("Hello".to_string())];
    let conversation = Conversation::new(vec![Message::new(Role::User, text)]);
    let inputs = engine.prepare(&conversation, &RenderOptions::default());
    let inputs = inputs.unwrap();
    let params = SamplingParams {
        max_new_tokens: 5,
        temperature: 0.9,
        top_p: Some(0.9),
        repetition_penalty: 1.1,
        ignore_stop: true,
        ..SamplingParams::default()
    };
    let (tokens, counted) = counts(|| {
        let request = Request::new(inputs, params).samples(3);
        engine.add(request).unwrap();
        let mut tokens = 0;
        while !engine.is_idle() {
            let events = engine.step().unwrap();
            tokens += events
                .iter()
                .filter(|e| matches!(e, Event::Token(_)))
                .count();
        }
        tokens
    });
    assert_eq!(tokens, 15);
    assert_eq!(counted.bytes_read, 8 * tokens as u64, "{counted:?}");
    let picks = counted.kernels.get("sample_pick").copied();
    assert_eq!(picks, Some(counted.reads), "{counted:?}");
}
