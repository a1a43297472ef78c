//! Choosing and describing the compute device, and reading tensors back without believing stale
//! data. Called once at start by the command line and by every read of a result.

use crate::counts::note_read;
pub use crate::memory::{Capacity, Memory, memory};
use burn::backend::DispatchDevice;
use burn::tensor::{Device, DeviceKind, Int, Tensor, wgpu::WgpuBackend};
use burn_cubecl::CubeDevice;
use serde::Serialize;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What the user asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// A hardware adapter if there is one (discrete, then integrated), else the CPU device.
    Auto,
    /// A wgpu adapter, a software one such as lavapipe included.
    Gpu,
    /// The Flex CPU device.
    Cpu,
}

/// Failures of device selection and of reads.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// `--device gpu` on a machine without any adapter.
    #[error(
        "no GPU adapter found through Vulkan, Metal or DX12: install your GPU's driver, or on \
         Debian/Ubuntu `apt-get install mesa-vulkan-drivers` for a software one, or use --device cpu"
    )]
    NoAdapter,
    /// The adapter exists but could not be opened.
    #[error("adapter {name} could not be opened: {reason}")]
    Open { name: String, reason: String },
    /// Another dependency switched the runtime away from WGSL (feature `vulkan` or `metal`).
    #[error(
        "the runtime compiles {found}, our kernels need wgpu<wgsl>: build without burn/vulkan and burn/metal"
    )]
    Compiler { found: String },
    /// A result could not be read.
    #[error("reading from the device failed: {reason}")]
    Read { reason: String },
    /// The device thread panicked: results since then may be stale.
    #[error(
        "the device thread panicked {count} time(s): results cannot be trusted; run again, and report the message above"
    )]
    Runner { count: usize },
}

/// Facts about an adapter, for reports.
#[derive(Clone, Debug, Serialize)]
pub struct Info {
    /// `vulkan`, `metal`, `dx12` or `cpu`.
    pub backend: String,
    /// Adapter name as the driver gives it.
    pub name: String,
    /// Driver name and version.
    pub driver: String,
    /// True for a software renderer or the CPU device.
    pub software: bool,
    /// Largest single buffer in bytes; larger tensors are sharded.
    pub max_buffer_bytes: u64,
    /// Whether the adapter reports 16-bit floats in shaders.
    pub shader_f16: bool,
    /// Alignment in bytes of tensors that share a buffer.
    pub buffer_alignment: u64,
    /// Memory of the adapter, if anything tells.
    pub memory: Capacity,
    /// Least and greatest number of lanes of a subgroup, if shaders may use subgroup operations.
    pub subgroup_lanes: Option<[u32; 2]>,
    /// Whether the adapter multiplies 16 x 16 matrices of f16 into sums in f32.
    pub cooperative_matrices: bool,
}

/// A device that answers, with its description.
#[derive(Clone, Debug)]
pub struct Selected {
    /// The Burn device.
    pub device: Device,
    /// What it is.
    pub info: Info,
    /// A line for the user when the choice is not what they may expect.
    pub note: Option<String>,
}

#[derive(Clone, Debug)]
struct Adapter {
    info: Info,
    kind: DeviceKind,
    api: WgpuBackend,
}

/// Kind of device behind a Burn device, autodiff stripped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// wgpu through the WGSL compiler.
    Wgpu,
    /// The Flex CPU device.
    Flex,
    /// Anything else.
    Other,
}

/// Kind of `device`, without opening it.
pub fn kind(device: &Device) -> Kind {
    match device.clone().inner().as_dispatch() {
        DispatchDevice::Cube(CubeDevice::Wgpu(_)) => Kind::Wgpu,
        DispatchDevice::Flex(_) => Kind::Flex,
        _ => Kind::Other,
    }
}

fn api_of(backend: wgpu::Backend) -> Option<(WgpuBackend, &'static str)> {
    match backend {
        wgpu::Backend::Vulkan => Some((WgpuBackend::Vulkan, "vulkan")),
        wgpu::Backend::Metal => Some((WgpuBackend::Metal, "metal")),
        wgpu::Backend::Dx12 => Some((WgpuBackend::Dx12, "dx12")),
        _ => None,
    }
}

/// The sizes and types that `linear_coop.wgsl` is written for.
fn is_used(m: &wgpu::CooperativeMatrixProperties) -> bool {
    [m.m_size, m.n_size, m.k_size] == [16, 16, 16]
        && m.ab_type == wgpu::CooperativeScalarType::F16
        && m.cr_type == wgpu::CooperativeScalarType::F32
}

/// Every adapter of every native API, in the driver's order; empty without any.
fn adapters() -> Vec<Adapter> {
    let mut found = Vec::new();
    for backend in [
        wgpu::Backend::Vulkan,
        wgpu::Backend::Metal,
        wgpu::Backend::Dx12,
    ] {
        let Some((api, label)) = api_of(backend) else {
            continue;
        };
        let descriptor = wgpu::InstanceDescriptor {
            backends: backend.into(),
            ..wgpu::InstanceDescriptor::new_without_display_handle()
        };
        let instance = wgpu::Instance::new(descriptor);
        let mut counts = [0usize; 3];
        for adapter in pollster::block_on(instance.enumerate_adapters(backend.into())) {
            let info = adapter.get_info();
            let mut next = |slot: usize| {
                counts[slot] += 1;
                counts[slot] - 1
            };
            let kind = match info.device_type {
                wgpu::DeviceType::DiscreteGpu => DeviceKind::DiscreteGpu(next(0)),
                wgpu::DeviceType::IntegratedGpu => DeviceKind::IntegratedGpu(next(1)),
                wgpu::DeviceType::VirtualGpu => DeviceKind::VirtualGpu(next(2)),
                wgpu::DeviceType::Cpu => DeviceKind::Cpu,
                wgpu::DeviceType::Other => continue,
            };
            let limits = adapter.limits();
            let features = adapter.features();
            let lanes = [info.subgroup_min_size, info.subgroup_max_size];
            let info = Info {
                backend: label.to_string(),
                name: info.name,
                driver: format!("{} {}", info.driver, info.driver_info)
                    .trim()
                    .to_string(),
                software: info.device_type == wgpu::DeviceType::Cpu,
                max_buffer_bytes: limits
                    .max_buffer_size
                    .min(limits.max_storage_buffer_binding_size),
                shader_f16: features.contains(wgpu::Features::SHADER_F16),
                buffer_alignment: u64::from(
                    limits
                        .min_uniform_buffer_offset_alignment
                        .max(limits.min_storage_buffer_offset_alignment),
                ),
                memory: match info.device_type {
                    wgpu::DeviceType::Cpu => Capacity::host(),
                    _ => Capacity::of(&adapter),
                },
                subgroup_lanes: features.contains(wgpu::Features::SUBGROUP).then_some(lanes),
                cooperative_matrices: features
                    .contains(wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX)
                    && adapter.cooperative_matrix_properties().iter().any(is_used),
            };
            found.push(Adapter { info, kind, api });
        }
    }
    found
}

/// Descriptions of all adapters, best first, as `doctor` lists them.
pub fn list() -> Vec<Info> {
    let mut found = adapters();
    found.sort_by_key(rank);
    found.into_iter().map(|a| a.info).collect()
}

fn rank(adapter: &Adapter) -> u8 {
    match adapter.kind {
        DeviceKind::DiscreteGpu(_) => 0,
        DeviceKind::IntegratedGpu(_) => 1,
        DeviceKind::VirtualGpu(_) => 2,
        _ => 3,
    }
}

fn cpu_device(note: Option<String>) -> Selected {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let info = Info {
        backend: "cpu".to_string(),
        name: format!("CPU, {threads} threads"),
        driver: "flex".to_string(),
        software: true,
        max_buffer_bytes: u64::MAX,
        shader_f16: false,
        buffer_alignment: 1,
        memory: Capacity::host(),
        subgroup_lanes: None,
        cooperative_matrices: false,
    };
    Selected {
        device: Device::flex(),
        info,
        note,
    }
}

/// Opens the device the user chose. Never panics, and may be called again: an adapter is opened
/// once per process.
///
/// # Errors
/// [`Error::NoAdapter`] for [`Choice::Gpu`] without one, [`Error::Open`] when the driver refuses,
/// [`Error::Compiler`] when the build cannot run WGSL.
pub fn select(choice: Choice) -> Result<Selected, Error> {
    install_panic_counter();
    if choice == Choice::Cpu {
        return Ok(cpu_device(None));
    }
    match best(choice) {
        Some(adapter) => open(adapter),
        None if choice == Choice::Gpu => Err(Error::NoAdapter),
        None => Ok(cpu_device(Some(
            "no hardware GPU adapter found: running on the CPU (--device gpu also takes a \
             software adapter)"
                .to_string(),
        ))),
    }
}

/// The adapter that a choice other than the CPU means.
fn best(choice: Choice) -> Option<Adapter> {
    let mut found = adapters();
    found.sort_by_key(rank);
    found
        .into_iter()
        .find(|a| choice == Choice::Gpu || !a.info.software)
}

/// Facts about the device that [`select`] would open, without opening it.
///
/// # Errors
/// [`Error::NoAdapter`] for [`Choice::Gpu`] without one.
pub fn describe(choice: Choice) -> Result<Info, Error> {
    let adapter = match choice {
        Choice::Cpu => None,
        Choice::Auto | Choice::Gpu => best(choice),
    };
    match adapter {
        Some(adapter) => Ok(adapter.info),
        None if choice == Choice::Gpu => Err(Error::NoAdapter),
        None => Ok(cpu_device(None).info),
    }
}

fn open(adapter: Adapter) -> Result<Selected, Error> {
    static OPENED: OnceLock<Result<Selected, (String, String)>> = OnceLock::new();
    let opened = OPENED.get_or_init(|| {
        let options = Device::wgpu_options()
            .device_kind(adapter.kind)
            .graphics_api(adapter.api);
        match options.init() {
            Ok(device) => Ok(Selected {
                device,
                info: adapter.info.clone(),
                note: None,
            }),
            Err(error) => Err((adapter.info.name.clone(), error.to_string())),
        }
    });
    let selected = match opened {
        Ok(selected) => selected.clone(),
        Err((name, reason)) => {
            return Err(Error::Open {
                name: name.clone(),
                reason: reason.clone(),
            });
        }
    };
    match compiler(&selected.device) {
        Some(name) if name == "wgpu<wgsl>" => {
            crate::cooperative::decide(&selected);
            Ok(selected)
        }
        found => Err(Error::Compiler {
            found: found.unwrap_or_else(|| "nothing".to_string()),
        }),
    }
}

fn compiler(device: &Device) -> Option<String> {
    match device.clone().inner().as_dispatch() {
        DispatchDevice::Cube(cube) => Some(cube.client().name().to_string()),
        _ => None,
    }
}

/// Largest tensor in bytes that one buffer of `device` holds: the adapter's limit on wgpu, no
/// limit elsewhere.
pub fn max_tensor_bytes(device: &Device) -> u64 {
    match device.clone().inner().as_dispatch() {
        DispatchDevice::Cube(cube) => cube.client().properties().memory.max_page_size,
        _ => u64::MAX,
    }
}

/// Runs `work` so that every kernel launched in it, on any thread of the process, is compiled and
/// then dropped. What `work` computes is undefined and must not be used.
pub fn compile_only<R>(work: impl FnOnce() -> R) -> R {
    let _dropped = cubecl::dry_run::DryRun::new();
    work()
}

static RUNNER_PANICS: AtomicUsize = AtomicUsize::new(0);

/// Counts panics of the device-runner threads, after which Burn may return stale data as Ok.
fn install_panic_counter() {
    static ONCE: OnceLock<()> = OnceLock::new();
    ONCE.get_or_init(|| {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if std::thread::current()
                .name()
                .is_some_and(|name| name.starts_with("DSD-"))
            {
                RUNNER_PANICS.fetch_add(1, Ordering::SeqCst);
            }
            previous(info);
        }));
    });
}

/// Fails once a device-runner thread has panicked in this process.
///
/// # Errors
/// [`Error::Runner`] with the number of panics.
pub fn check() -> Result<(), Error> {
    match RUNNER_PANICS.load(Ordering::SeqCst) {
        0 => Ok(()),
        count => Err(Error::Runner { count }),
    }
}

/// Reads a float tensor to the host as f32, row-major.
///
/// # Errors
/// [`Error::Read`] for a failed kernel or allocation, [`Error::Runner`] after a runner panic.
pub fn read<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>, Error> {
    let on_device = kind(&tensor.device()) != Kind::Flex;
    let data = tensor.try_into_data().map_err(|error| Error::Read {
        reason: format!("{error:?}"),
    })?;
    check()?;
    if on_device {
        note_read(data.bytes().len());
    }
    Ok(data.iter::<f32>().collect())
}

/// Reads an integer tensor to the host, row-major.
///
/// # Errors
/// As [`read`].
pub fn read_int<const D: usize>(tensor: Tensor<D, Int>) -> Result<Vec<i64>, Error> {
    let on_device = kind(&tensor.device()) != Kind::Flex;
    let data = tensor.try_into_data().map_err(|error| Error::Read {
        reason: format!("{error:?}"),
    })?;
    check()?;
    if on_device {
        note_read(data.bytes().len());
    }
    Ok(data.iter::<i64>().collect())
}
