//! Choosing and describing the compute device, and reading tensors back without believing stale
//! data. Called once at start by the command line and by every read of a result.

use crate::adapters::{Adapter, ranked};
use crate::counts::note_read;
pub use crate::memory::{Capacity, Memory, memory};
use burn::backend::DispatchDevice;
use burn::tensor::{Device, DeviceKind, Int, Tensor, wgpu::WgpuBackend};
use burn_cubecl::CubeDevice;
use serde::Serialize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

/// What the user asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// A hardware adapter if there is one (discrete, then integrated), else the CPU device.
    Auto,
    /// A wgpu adapter, a software one such as lavapipe included.
    Gpu,
    /// The adapter of this number in [`list`].
    Adapter(usize),
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
    /// An adapter was asked for by a number that none has.
    #[error("there is no gpu:{number}: the adapters are {found}")]
    NoSuchAdapter { number: usize, found: String },
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

/// Descriptions of all adapters, best first, as `doctor` lists them.
pub fn list() -> Vec<Info> {
    ranked().into_iter().map(|a| a.info).collect()
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
/// [`Error::NoAdapter`] for [`Choice::Gpu`] or [`Choice::Adapter`] without one,
/// [`Error::NoSuchAdapter`] for a number too large, [`Error::Open`] when the driver refuses,
/// [`Error::Compiler`] when the build cannot run WGSL.
pub fn select(choice: Choice) -> Result<Selected, Error> {
    install_panic_counter();
    match chosen(choice)? {
        Some(adapter) => open(adapter),
        None if choice == Choice::Cpu => Ok(cpu_device(None)),
        None => Ok(cpu_device(Some(
            "no hardware GPU adapter found: running on the CPU (--device gpu also takes a \
             software adapter)"
                .to_string(),
        ))),
    }
}

/// The adapter that a choice means; `None` for the CPU device.
fn chosen(choice: Choice) -> Result<Option<Adapter>, Error> {
    let number = match choice {
        Choice::Cpu => return Ok(None),
        Choice::Auto => return Ok(ranked().into_iter().find(|a| !a.info.software)),
        Choice::Gpu => 0,
        Choice::Adapter(number) => number,
    };
    let mut found = ranked();
    if found.is_empty() {
        return Err(Error::NoAdapter);
    }
    if number >= found.len() {
        let name = |(at, adapter): (usize, &Adapter)| format!("gpu:{at} ({})", adapter.info.name);
        let names: Vec<String> = found.iter().enumerate().map(name).collect();
        let found = names.join(", ");
        return Err(Error::NoSuchAdapter { number, found });
    }
    Ok(Some(found.swap_remove(number)))
}

/// Facts about the device that [`select`] would open, without opening it.
///
/// # Errors
/// [`Error::NoAdapter`] and [`Error::NoSuchAdapter`] as [`select`].
pub fn describe(choice: Choice) -> Result<Info, Error> {
    Ok(match chosen(choice)? {
        Some(adapter) => adapter.info,
        None => cpu_device(None).info,
    })
}

/// An adapter that was opened, or why it could not be.
type Opened = Result<Selected, String>;

fn open(adapter: Adapter) -> Result<Selected, Error> {
    static OPENED: Mutex<Vec<(DeviceKind, WgpuBackend, Opened)>> = Mutex::new(Vec::new());
    let mut opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
    let same = |kind: &DeviceKind, api: &WgpuBackend| *kind == adapter.kind && *api == adapter.api;
    let known = opened.iter().find(|(kind, api, _)| same(kind, api));
    let result = match known {
        Some((.., result)) => result.clone(),
        None => {
            let options = Device::wgpu_options()
                .device_kind(adapter.kind.clone())
                .graphics_api(adapter.api);
            let result = match options.init() {
                Ok(device) => Ok(Selected {
                    device,
                    info: adapter.info.clone(),
                    note: None,
                }),
                Err(error) => Err(error.to_string()),
            };
            opened.push((adapter.kind, adapter.api, result.clone()));
            result
        }
    };
    drop(opened);
    let name = adapter.info.name;
    let selected = result.map_err(|reason| Error::Open { name, reason })?;
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
