//! What the device's allocator holds, and what memory the adapter has, as far as either can be told.

use burn::backend::DispatchDevice;
use burn::tensor::Device;
use cubecl::{MemoryPoolKind, MemoryPoolReport, MemoryScope};
use serde::Serialize;

/// Bytes that the runtime's allocator holds from a wgpu device, over all its streams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// Live tensors.
    pub in_use: u64,
    /// Pages held now, live or not; staging and launch descriptions included.
    pub reserved: u64,
    /// Of `reserved`: the allocator's own staging buffers and launch descriptions.
    pub auxiliary: u64,
    /// Of `reserved`: allocations of exactly their own size, the weights.
    pub persistent: u64,
    /// The most that the pools now held have reserved. Pools of smaller pages that have emptied
    /// since are not in it, so a caller that wants the high-water mark of a run asks during it too.
    pub peak: u64,
}

/// What the allocator of `device` holds; `None` for a device without one of its own (the CPU
/// device, whose tensors are ordinary host memory).
///
/// Waits until the queue's issued work has been looked at, not until it has run.
pub fn memory(device: &Device) -> Option<Memory> {
    let inner = device.clone().inner();
    let DispatchDevice::Cube(cube) = inner.as_dispatch() else {
        return None;
    };
    let report = cube.client().memory_report(MemoryScope::Device);
    let mut memory = Memory::default();
    for stream in &report.streams {
        let usage = stream.usage();
        memory.in_use += usage.bytes_in_use;
        memory.reserved += usage.bytes_reserved;
        memory.persistent += stream.pools.persistent.usage.bytes_reserved;
        memory.auxiliary += usage.bytes_reserved - stream.pools.usage().bytes_reserved;
        memory.peak += stream.pools.dynamic.iter().map(pool_peak).sum::<u64>();
        memory.peak += stream.pools.persistent.usage.bytes_reserved;
        memory.peak += stream.pools.dedicated.usage.bytes_reserved;
    }
    memory.peak += memory.auxiliary;
    Some(memory)
}

fn pool_peak(pool: &MemoryPoolReport) -> u64 {
    match pool.kind {
        MemoryPoolKind::Sliced { page_size, .. } | MemoryPoolKind::Adaptive { page_size, .. } => {
            pool.pages_peak * page_size
        }
        MemoryPoolKind::Exclusive { .. } | MemoryPoolKind::Direct | MemoryPoolKind::Persistent => {
            pool.usage.bytes_reserved
        }
    }
}

/// Memory of an adapter, and where the figure comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Capacity {
    /// Bytes; `None` where nothing tells.
    pub bytes: Option<u64>,
    /// What the figure is, or why there is none.
    pub source: String,
}

impl Capacity {
    /// Free memory of the host, for the CPU device and for software adapters.
    pub(crate) fn host() -> Self {
        let available = std::fs::read_to_string("/proc/meminfo")
            .ok()
            .and_then(|text| kib_of(&text, "MemAvailable:"));
        match available {
            Some(bytes) => Capacity {
                bytes: Some(bytes),
                source: "host memory that is free now".to_string(),
            },
            None => Capacity {
                bytes: None,
                source: "this system does not tell its free memory".to_string(),
            },
        }
    }

    /// Memory of a hardware adapter: its largest device-local heap under Vulkan; WebGPU itself has
    /// no such query.
    pub(crate) fn of(adapter: &wgpu::Adapter) -> Self {
        match vulkan_heap(adapter) {
            Some(bytes) => Capacity {
                bytes: Some(bytes),
                source: "largest device-local heap (Vulkan); other programs may use some of it"
                    .to_string(),
            },
            None => Capacity {
                bytes: None,
                source: "this adapter's interface does not tell its memory".to_string(),
            },
        }
    }
}

fn kib_of(meminfo: &str, key: &str) -> Option<u64> {
    let line = meminfo.lines().find(|l| l.starts_with(key))?;
    let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(any(target_os = "linux", target_os = "windows", target_os = "android"))]
fn vulkan_heap(adapter: &wgpu::Adapter) -> Option<u64> {
    #[expect(
        unsafe_code,
        reason = "memory heaps are outside WebGPU; only the Vulkan handle has them"
    )]
    // SAFETY: the handle is used while the guard lives, and only to read the properties of the
    // physical device it belongs to; nothing is created, changed or destroyed.
    let properties = unsafe {
        let hal = adapter.as_hal::<wgpu::hal::api::Vulkan>()?;
        let instance = hal.shared_instance().raw_instance();
        instance.get_physical_device_memory_properties(hal.raw_physical_device())
    };
    let local = properties.memory_types[..properties.memory_type_count as usize]
        .iter()
        .filter(|t| t.property_flags.as_raw() & DEVICE_LOCAL != 0)
        .filter_map(|t| properties.memory_heaps.get(t.heap_index as usize));
    local.map(|heap| heap.size).max()
}

/// `VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT`.
#[cfg(any(target_os = "linux", target_os = "windows", target_os = "android"))]
const DEVICE_LOCAL: u32 = 1;

#[cfg(not(any(target_os = "linux", target_os = "windows", target_os = "android")))]
fn vulkan_heap(_: &wgpu::Adapter) -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meminfo_is_read_by_key() {
        let text = "MemTotal:  100 kB\nMemAvailable:    7 kB\n";
        assert_eq!(kib_of(text, "MemAvailable:"), Some(7 * 1024));
        assert_eq!(kib_of(text, "Swap:"), None);
        assert_eq!(kib_of("MemAvailable: many kB", "MemAvailable:"), None);
    }

    #[test]
    fn the_cpu_device_has_no_allocator_of_its_own() {
        assert_eq!(memory(&Device::flex()), None);
    }
}
