//! The adapters of this machine, of every native API, in order of preference. Asked by `device.rs`.

use crate::device::{Capacity, Info};
use burn::tensor::{DeviceKind, wgpu::WgpuBackend};

/// An adapter that has not been opened.
#[derive(Clone, Debug)]
pub(crate) struct Adapter {
    pub info: Info,
    pub kind: DeviceKind,
    pub api: WgpuBackend,
}

/// Every adapter, best first: discrete, integrated, virtual, then software.
pub(crate) fn ranked() -> Vec<Adapter> {
    let mut found = adapters();
    found.sort_by_key(rank);
    found
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

fn rank(adapter: &Adapter) -> u8 {
    match adapter.kind {
        DeviceKind::DiscreteGpu(_) => 0,
        DeviceKind::IntegratedGpu(_) => 1,
        DeviceKind::VirtualGpu(_) => 2,
        _ => 3,
    }
}
