//! From a `glmv-shaders` shader to a dispatch: specialise, key the pipeline by every parameter,
//! fold the grid, append the scalars. Called by the `cube` half of each op file.

use burn::tensor::{DType, Shape};
use burn_cubecl::{
    kernel::into_contiguous,
    template::{KernelSource, SourceKernel, SourceTemplate},
    tensor::CubeTensor,
};
use cubecl::{
    CubeCount, CubeDim,
    prelude::KernelId,
    server::{KernelArguments, MetadataBindingInfo},
};
use glmv_shaders::Shader;
use std::cell::Cell;
use std::collections::BTreeMap;
#[cfg(debug_assertions)]
use std::collections::HashSet;
#[cfg(debug_assertions)]
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

static LAUNCHES: AtomicU64 = AtomicU64::new(0);
static BY_SHADER: Mutex<BTreeMap<&'static str, u64>> = Mutex::new(BTreeMap::new());

/// Number of WGSL dispatches of this crate since the last [`reset_launches`] in this process.
pub fn launches() -> u64 {
    LAUNCHES.load(Ordering::Relaxed)
}

/// Number of dispatches by shader since the process started; what [`crate::Watch`] takes the
/// difference of.
pub(crate) fn launches_by_shader() -> BTreeMap<&'static str, u64> {
    let by_shader = BY_SHADER.lock().unwrap_or_else(PoisonError::into_inner);
    by_shader.clone()
}

fn note_launch(shader: &'static str) {
    LAUNCHES.fetch_add(1, Ordering::Relaxed);
    let mut by_shader = BY_SHADER.lock().unwrap_or_else(PoisonError::into_inner);
    *by_shader.entry(shader).or_default() += 1;
}

/// Sets the counter behind [`launches`] to zero.
pub fn reset_launches() {
    LAUNCHES.store(0, Ordering::Relaxed);
}

/// Largest grid extent along one axis that every WebGPU-class adapter accepts.
const MAX_GRID: u32 = 65_535;

/// Template parameters: name and value, as `Shader::specialise` takes them.
pub(crate) type Params = Vec<(&'static str, String)>;

#[derive(Debug)]
struct WgslKernel {
    shader: &'static Shader,
    params: Params,
    dim: CubeDim,
}

impl WgslKernel {
    /// Panics, on the launching thread and with the reason, for parameters that cannot work; each
    /// set is looked at once.
    #[cfg(debug_assertions)]
    fn assert_sound(&self) {
        type Seen = HashSet<(&'static str, Params)>;
        static SEEN: LazyLock<Mutex<Seen>> = LazyLock::new(Mutex::default);
        let fresh = match SEEN.lock() {
            Ok(mut seen) => seen.insert((self.shader.name, self.params.clone())),
            Err(_) => true,
        };
        let mistake = if fresh { self.mistake() } else { None };
        assert!(mistake.is_none(), "{}", mistake.unwrap_or_default());
    }

    /// What is wrong with the parameters: a name the shader lacks, or a workgroup size that is not
    /// the shader's.
    #[cfg(any(debug_assertions, test))]
    fn mistake(&self) -> Option<String> {
        let params: Vec<(&str, &str)> = self.params.iter().map(|(n, v)| (*n, v.as_str())).collect();
        if let Err(error) = self.shader.specialise(&params) {
            return Some(error.to_string());
        }
        let default = self.shader.params().into_iter().find(|p| p.name == "WG");
        let named = params.iter().any(|(name, _)| *name == "WG");
        match default {
            Some(p) if !named && p.default != "64u" => Some(format!(
                "{} has workgroups of {}, the launch assumes 64: name WG",
                self.shader.name, p.default
            )),
            _ => None,
        }
    }
}

impl KernelSource for WgslKernel {
    fn source(&self) -> SourceTemplate {
        let params: Vec<(&str, &str)> = self.params.iter().map(|(n, v)| (*n, v.as_str())).collect();
        // Parameter names are constants of this crate, asserted at launch in debug builds. This
        // runs on the device thread, where a panic would lose a batch: text that is no WGSL becomes
        // an error on read instead, which quotes it.
        let text = self
            .shader
            .specialise(&params)
            .unwrap_or_else(|error| format!("specialise: {error}"));
        SourceTemplate::new(text)
    }

    // Pipelines are cached by this id: everything that changes the source is in it.
    fn id(&self) -> KernelId {
        KernelId::new::<Self>().info((self.shader.name, self.params.clone(), self.dim))
    }

    fn lang(&self) -> &'static str {
        "wgsl"
    }
}

/// Grid of `groups` workgroups, folded over x and y so that no axis exceeds 65 535.
pub(crate) fn fold(groups: usize) -> CubeCount {
    let groups = groups.max(1);
    let x = groups.min(MAX_GRID as usize);
    CubeCount::Static(x as u32, groups.div_ceil(x) as u32, 1)
}

/// Launches `shader` with `buffers` at bindings 0.. and `info` as the last binding.
///
/// Workgroup size is the shader's `WG` constant (64 unless `params` names it).
pub(crate) fn launch(
    name: &str,
    params: Params,
    count: CubeCount,
    buffers: &[&CubeTensor],
    info: &[u32],
) {
    let shader = glmv_shaders::by_name(name);
    debug_assert_eq!(
        buffers.len() + 1,
        shader.bindings(),
        "{name}: buffers and info against the shader's bindings"
    );
    let workgroup = params
        .iter()
        .find(|(n, _)| *n == "WG")
        .and_then(|(_, v)| v.trim_end_matches('u').parse().ok())
        .unwrap_or(64);
    let dim = CubeDim::new_1d(workgroup);
    let client = buffers[0].client.clone();
    let info: Vec<u64> = bytemuck::pod_collect_to_vec(info);
    let arguments = KernelArguments::new()
        .with_buffers(buffers.iter().map(|b| b.handle.clone().binding()).collect())
        .with_info(MetadataBindingInfo::custom(info));
    note_launch(shader.name);
    let kernel = WgslKernel {
        shader,
        params,
        dim,
    };
    #[cfg(debug_assertions)]
    kernel.assert_sound();
    let kernel = SourceKernel::new(kernel, dim);
    client.launch(Box::new(kernel), count, arguments);
}

/// New uninitialised contiguous tensor of `shape` and `dtype` beside `like`.
pub(crate) fn empty(like: &CubeTensor, shape: impl Into<Shape>, dtype: DType) -> CubeTensor {
    let shape = shape.into();
    let handle = like.client.empty(shape.num_elements() * dtype.size());
    CubeTensor::new_contiguous(
        like.client.clone(),
        like.device.clone(),
        shape,
        handle,
        dtype,
    )
}

/// Row-major f32 view of `t`: activations are f32 by the house rule.
pub(crate) fn f32_rows(t: CubeTensor) -> CubeTensor {
    let t = if t.dtype == DType::F32 {
        t
    } else {
        <burn_cubecl::CubeBackend as burn::backend::ops::FloatTensorOps<_>>::float_cast(
            t,
            burn::tensor::FloatDType::F32,
        )
    };
    into_contiguous(t)
}

/// Row-major weights in f32 or f16; any other float type is cast to f32.
pub(crate) fn weight_rows(t: CubeTensor) -> CubeTensor {
    if t.dtype == DType::F16 {
        into_contiguous(t)
    } else {
        f32_rows(t)
    }
}

/// WGSL type of one element or of a group of four: `f32`, `vec4<f16>`, …
pub(crate) fn wgsl_type(dtype: DType, vectorised: bool) -> String {
    let scalar = if dtype == DType::F16 { "f16" } else { "f32" };
    if vectorised {
        format!("vec4<{scalar}>")
    } else {
        scalar.to_string()
    }
}

/// WGSL type of an integer tensor's elements.
pub(crate) fn wgsl_int(t: &CubeTensor) -> String {
    match t.dtype {
        DType::U32 => "u32",
        DType::I64 => "i64",
        _ => "i32",
    }
    .to_string()
}

/// `Vec` and `ONES` for kernels that work in groups of four along an axis of length `len`.
/// Returns the parameters and the length in groups.
pub(crate) fn vec_params(len: usize) -> (Params, usize) {
    if len.is_multiple_of(4) {
        (vec![], len / 4)
    } else {
        let ones = "vec4<f32>(1.0, 0.0, 0.0, 0.0)".to_string();
        (vec![("Vec", "f32".to_string()), ("ONES", ones)], len)
    }
}

/// The f32 scalars of an info block travel as bits.
pub(crate) fn bits(value: f32) -> u32 {
    value.to_bits()
}

/// Kernel shapes to use whatever the adapter is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tiling {
    Adapter,
    Gpu,
    Plain,
    /// With subgroups of so many lanes.
    Cooperative(u32),
}

thread_local! {
    static TILING: Cell<Tiling> = const { Cell::new(Tiling::Adapter) };
}

fn with_tiling<R>(tiling: Tiling, f: impl FnOnce() -> R) -> R {
    let before = TILING.replace(tiling);
    let result = f();
    TILING.set(before);
    result
}

/// Runs `f` with the tile shapes chosen for a GPU, whatever the adapter is: how tests on a software
/// adapter reach the variants that only a GPU gets. Affects this thread's launches.
#[doc(hidden)]
pub fn on_gpu_tiling<R>(f: impl FnOnce() -> R) -> R {
    with_tiling(Tiling::Gpu, f)
}

/// Runs `f` without the kernels that need subgroups of eight lanes: how tests reach the variants of
/// software adapters that have none. Affects this thread's launches.
#[doc(hidden)]
pub fn on_plain_tiling<R>(f: impl FnOnce() -> R) -> R {
    with_tiling(Tiling::Plain, f)
}

/// Runs `f` with the kernels for cooperative matrices, untested as the adapter may be: how the test at
/// start-up reaches them. Affects this thread's launches.
pub(crate) fn on_cooperative_matrices<R>(lanes: u32, f: impl FnOnce() -> R) -> R {
    with_tiling(Tiling::Cooperative(lanes), f)
}

/// Lanes of a subgroup, where kernels for cooperative matrices run.
pub(crate) fn cooperative_lanes(t: &CubeTensor) -> Option<u32> {
    match TILING.get() {
        Tiling::Cooperative(lanes) => Some(lanes),
        Tiling::Adapter if !crate::class::is_cpu_adapter(&t.device) => {
            crate::cooperative::lanes(&t.device)
        }
        Tiling::Adapter | Tiling::Gpu | Tiling::Plain => None,
    }
}

/// True for an adapter that runs shaders on the CPU (lavapipe): kernels may pick another shape.
pub(crate) fn on_cpu_adapter(t: &CubeTensor) -> bool {
    crate::class::is_cpu_adapter(&t.device)
        && matches!(TILING.get(), Tiling::Adapter | Tiling::Plain)
}

/// True for a CPU adapter whose subgroups have eight lanes, neither more nor fewer: the kernels named
/// `*_sub` are for those.
pub(crate) fn lanes_of_eight(t: &CubeTensor) -> bool {
    TILING.get() == Tiling::Adapter && crate::class::has_octets(&t.device)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kernel(name: &str, params: Params) -> WgslKernel {
        WgslKernel {
            shader: glmv_shaders::by_name(name),
            params,
            dim: CubeDim::new_1d(64),
        }
    }

    #[test]
    fn mistaken_parameters_are_named() {
        assert_eq!(kernel("swiglu", vec![]).mistake(), None);
        let unknown = kernel("swiglu", vec![("TM", "8u".to_string())]);
        let mistake = unknown.mistake().expect("swiglu has no TM");
        assert!(
            mistake.contains("swiglu") && mistake.contains("TM"),
            "{mistake}"
        );
        let size = kernel("moe_router", vec![]).mistake();
        assert!(size.expect("its workgroups are not 64").contains("name WG"));
        // Without the assertion the text is no WGSL, so that a read reports it.
        let text = unknown.source().complete();
        assert!(text.starts_with("specialise: shader swiglu"), "{text}");
    }

    #[test]
    #[should_panic(expected = "no shader is named rms_nrom")]
    fn unknown_kernels_are_named() {
        kernel("rms_nrom", vec![]);
    }

    #[test]
    fn grids_fold_above_the_axis_limit() {
        for groups in [0usize, 1, 65_535, 65_536, 200_000] {
            let CubeCount::Static(x, y, z) = fold(groups) else {
                panic!("a static grid");
            };
            assert!(x <= MAX_GRID && y <= MAX_GRID && z == 1);
            assert!(u64::from(x) * u64::from(y) >= groups as u64);
        }
    }
}
