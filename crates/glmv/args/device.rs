//! Names of devices, and of the workers of a training run.

use glmv_kernels::device::Choice;
use std::fmt;
use std::str::FromStr;

/// A device as it is typed: `auto`, `cpu`, `gpu`, or `gpu:1` for an adapter by its number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Device {
    /// A hardware GPU, else the CPU.
    #[default]
    Auto,
    /// Any adapter, software ones too.
    Gpu,
    /// The adapter of this number in the list of `glmv doctor`.
    Adapter(usize),
    Cpu,
}

impl FromStr for Device {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Device::Auto),
            "gpu" => Ok(Device::Gpu),
            "cpu" => Ok(Device::Cpu),
            _ => {
                let number = text.strip_prefix("gpu:").and_then(|n| n.parse().ok());
                let number = number.ok_or("devices are auto, cpu, gpu, and gpu:N for adapter N")?;
                Ok(Device::Adapter(number))
            }
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Device::Auto => f.write_str("auto"),
            Device::Gpu => f.write_str("gpu"),
            Device::Adapter(number) => write!(f, "gpu:{number}"),
            Device::Cpu => f.write_str("cpu"),
        }
    }
}

impl From<Device> for Choice {
    fn from(device: Device) -> Self {
        match device {
            Device::Auto => Choice::Auto,
            Device::Gpu => Choice::Gpu,
            Device::Adapter(number) => Choice::Adapter(number),
            Device::Cpu => Choice::Cpu,
        }
    }
}

/// One of `--workers`: a device, and how much work it takes where `--device` takes 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WorkerArg {
    pub device: Device,
    pub share: f64,
}

impl FromStr for WorkerArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (device, share) = match text.split_once('=') {
            None => (text, 1.0),
            Some((device, share)) => {
                let number = share
                    .parse()
                    .ok()
                    .filter(|s: &f64| s.is_finite() && *s > 0.0);
                (
                    device,
                    number.ok_or("the share behind = is a number above 0")?,
                )
            }
        };
        let device = device.parse()?;
        Ok(WorkerArg { device, share })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for device in [Device::Auto, Device::Gpu, Device::Adapter(3), Device::Cpu] {
            assert_eq!(device.to_string().parse(), Ok(device));
        }
        for bad in ["", "GPU", "gpu:", "gpu:-1", "gpu:x", "cuda", "cpu:1"] {
            assert!(bad.parse::<Device>().is_err(), "{bad}");
        }
    }

    #[test]
    fn workers_have_shares() {
        let worker = |text: &str| text.parse::<WorkerArg>().map(|w| (w.device, w.share));
        assert_eq!(worker("cpu"), Ok((Device::Cpu, 1.0)));
        assert_eq!(worker("gpu:1=0.25"), Ok((Device::Adapter(1), 0.25)));
        for bad in [
            "cpu=", "cpu=0", "cpu=-1", "cpu=inf", "cpu=NaN", "=1", "cpu=1=2",
        ] {
            assert!(worker(bad).is_err(), "{bad}");
        }
    }
}
