//! Devices and prompts shared by the tests.

use burn::tensor::Device;
use glmv::engine::{Conversation, Engine, ImageSource, Message, Part, Precision, Role};
use glmv::kernels::device::{Choice, list, select};
use glmv::processor::ModelInputs;
use std::path::PathBuf;

/// A golden checkpoint.
pub fn checkpoint(name: &str) -> PathBuf {
    glmv_testkit::golden_dir().join(name)
}

/// The CPU device and, where there is an adapter, a wgpu device. With `GLMV_REQUIRE_GPU=1` its
/// absence is a failure.
pub fn devices() -> Vec<Device> {
    let mut devices = vec![Device::flex()];
    let required = std::env::var("GLMV_REQUIRE_GPU").is_ok_and(|v| v == "1");
    if required || !list().is_empty() {
        devices.push(select(Choice::Gpu).expect("a wgpu adapter opens").device);
    }
    devices
}

/// An engine on `device`.
pub fn engine(name: &str, device: &Device, precision: Precision) -> Engine {
    Engine::load(&checkpoint(name), device, precision, &|_, _| {}).expect("golden checkpoint loads")
}

/// One user turn, with the golden picture if `image`.
pub fn prompt(engine: &Engine, text: &str, image: bool) -> ModelInputs {
    let picture = glmv_testkit::golden_dir().join("media/grad.png");
    let mut parts = vec![Part::Text(text.to_string())];
    if image {
        parts.insert(0, Part::Image(ImageSource::Path(picture)));
    }
    let options = glmv::engine::RenderOptions {
        add_generation_prompt: true,
        ..Default::default()
    };
    let conversation = Conversation::new(vec![Message::new(Role::User, parts)]);
    engine
        .prepare(&conversation, &options)
        .expect("the prompt renders")
}

/// Largest absolute difference; infinite if lengths differ or a value is NaN.
pub fn max_diff(a: &[f32], b: &[f32]) -> f32 {
    if a.len() != b.len() {
        return f32::INFINITY;
    }
    a.iter().zip(b).fold(0.0, |m, (x, y)| {
        let d = (x - y).abs();
        if d.is_nan() { f32::INFINITY } else { m.max(d) }
    })
}
