//! `glmv doctor`: adapters, limits, and every kernel against its definition on each device.

use crate::args::DoctorArgs;
use glmv_kernels::device::{Choice, Info, list, select};
use glmv_kernels::{Route, selftest};
use serde::Serialize;
use std::process::ExitCode;

#[derive(Serialize)]
struct Report {
    adapters: Vec<Info>,
    devices: Vec<Device>,
    passed: bool,
}

#[derive(Serialize)]
struct Device {
    #[serde(flatten)]
    info: Info,
    error: Option<String>,
    checks: Vec<Check>,
}

#[derive(Serialize)]
struct Check {
    op: &'static str,
    route: &'static str,
    reason: &'static str,
    max_abs: f32,
    tolerance: f32,
    passed: bool,
    error: Option<String>,
}

/// Runs the subcommand; the exit code is 1 if a kernel differs from its twin, or if
/// `GLMV_REQUIRE_GPU=1` and there is no adapter or an op falls back to its twin on it.
pub fn run(args: &DoctorArgs) -> anyhow::Result<ExitCode> {
    let required = std::env::var("GLMV_REQUIRE_GPU").is_ok_and(|v| v == "1");
    let adapters = list();
    let mut devices = Vec::new();
    if !adapters.is_empty() || required {
        devices.push(examine(Choice::Gpu, required)?);
    }
    devices.push(examine(Choice::Cpu, false)?);
    let passed = devices
        .iter()
        .all(|d| d.error.is_none() && d.checks.iter().all(|c| c.passed));
    let report = Report {
        adapters,
        devices,
        passed,
    };
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print(&report);
    }
    Ok(if passed {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn examine(choice: Choice, twin_is_failure: bool) -> anyhow::Result<Device> {
    let selected = select(choice)?;
    let checks = selftest::run(&selected.device).into_iter().map(|c| Check {
        op: c.op.name(),
        route: c.route.name(),
        reason: c.reason,
        max_abs: c.max_abs,
        tolerance: c.tolerance,
        passed: c.passed && !(twin_is_failure && c.route == Route::Twin),
        error: c.error,
    });
    let checks = checks.collect();
    // A panic of the device thread would make every figure above worthless.
    let error = glmv_kernels::device::check().err().map(|e| e.to_string());
    Ok(Device {
        info: selected.info,
        error,
        checks,
    })
}

fn print(report: &Report) {
    if report.adapters.is_empty() {
        println!("adapters  none: install your GPU's Vulkan driver (Mesa's for a software one)");
    }
    for a in &report.adapters {
        let kind = if a.software { "software" } else { "hardware" };
        let half = if a.shader_f16 { "f16" } else { "no f16" };
        let limit = a.max_buffer_bytes / (1 << 20);
        println!(
            "adapter   {} | {} | {} | {kind} | buffers to {limit} MiB | {half}",
            a.name, a.backend, a.driver
        );
    }
    for d in &report.devices {
        println!("\n{} ({})", d.info.name, d.info.backend);
        for c in &d.checks {
            let mark = if c.passed { "ok  " } else { "FAIL" };
            println!(
                "  {mark} {:<12}{:<8}error {:.1e} of {:.0e}  ({})",
                c.op, c.route, c.max_abs, c.tolerance, c.reason
            );
            if let Some(error) = &c.error {
                println!("       {error}");
            }
        }
        if let Some(error) = &d.error {
            println!("  FAIL {error}");
        }
    }
    println!(
        "\n{}",
        if report.passed {
            "all kernels agree with their definitions"
        } else {
            "FAILED"
        }
    );
}
