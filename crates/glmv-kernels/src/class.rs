//! Classes of devices that kernels are chosen by: software adapters, and among them those whose
//! shaders run in subgroups of eight lanes. Asked by `launch.rs`.

use crate::device::list;
use burn_cubecl::CubeDevice;
use std::sync::OnceLock;

/// True if `device` is a software adapter.
pub(crate) fn is_cpu_adapter(device: &CubeDevice) -> bool {
    matches!(device, CubeDevice::Wgpu(wgpu) if matches!(wgpu.kind, cubecl::device::WgpuDeviceKind::Cpu))
}

/// True if `device` is a software adapter whose subgroups have eight lanes, always.
pub(crate) fn has_octets(device: &CubeDevice) -> bool {
    static OCTETS: OnceLock<bool> = OnceLock::new();
    is_cpu_adapter(device)
        && *OCTETS.get_or_init(|| {
            let software = list().into_iter().find(|info| info.software);
            software.is_some_and(|info| info.subgroup_lanes == Some([8, 8]))
        })
}
