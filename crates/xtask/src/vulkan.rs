//! A Vulkan adapter for the tests: looks for the loader and a driver, installs Mesa's software
//! driver (lavapipe) on Debian and Ubuntu where there is none, and says what to do elsewhere.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::shell;

const LOADER: &str = "libvulkan.so.1";
const PACKAGES: [&str; 2] = ["libvulkan1", "mesa-vulkan-drivers"];
const ADVICE: &str = "install a Vulkan driver and loader, or Mesa's software driver: Fedora \
    `dnf install mesa-vulkan-drivers vulkan-loader`, Arch `pacman -S vulkan-swrast \
    vulkan-icd-loader`, Alpine `apk add mesa-vulkan-swrast vulkan-loader`";

/// Makes sure that tests can find an adapter, as far as that is possible from here.
///
/// # Errors
/// If the driver is missing on Debian or Ubuntu and cannot be installed. Elsewhere a missing
/// driver is only reported: the tests then fail by themselves (`GLMV_REQUIRE_GPU=1`).
pub fn ensure_adapter() -> Result<()> {
    if !cfg!(target_os = "linux") {
        println!("GPU drivers come with this system: nothing to install");
        return Ok(());
    }
    let missing = match find_adapter(&Places::of_system()) {
        Ok(driver) => {
            println!("Vulkan driver: {}", driver.display());
            return Ok(());
        }
        Err(missing) => missing,
    };
    if !shell::succeeds(Command::new("apt-get").arg("--version")) {
        println!("{missing}: {ADVICE}");
        return Ok(());
    }
    println!("{missing}: installing {}", PACKAGES.join(" and "));
    install().with_context(|| {
        format!(
            "cannot install a software Vulkan driver; as root run: apt-get install {}",
            PACKAGES.join(" ")
        )
    })?;
    match find_adapter(&Places::of_system()) {
        Ok(driver) => println!("Vulkan driver: {}", driver.display()),
        Err(missing) => bail!(
            "{missing}, although {} are installed",
            PACKAGES.join(" and ")
        ),
    }
    Ok(())
}

fn install() -> Result<()> {
    apt_get(&["update"])?;
    let mut args = vec!["install", "--yes", "--no-install-recommends"];
    args.extend(PACKAGES);
    apt_get(&args)
}

/// Runs apt-get as root, through sudo where needed and possible without a password.
fn apt_get(args: &[&str]) -> Result<()> {
    let id = Command::new("id")
        .arg("-u")
        .output()
        .context("cannot run `id -u`")?;
    let is_root = id.stdout.trim_ascii() == b"0";
    let mut command = Command::new(if is_root { "env" } else { "sudo" });
    if !is_root {
        command.args(["-n", "env"]);
    }
    shell::run(
        command
            .args(["DEBIAN_FRONTEND=noninteractive", "apt-get"])
            .args(args),
    )
}

/// Where drivers and libraries may be.
struct Places {
    /// Driver manifests, as given by the environment.
    manifests: Option<Vec<PathBuf>>,
    /// Folders of driver manifests.
    manifest_dirs: Vec<PathBuf>,
    /// Folders of shared libraries.
    library_dirs: Vec<PathBuf>,
    /// True where a GPU's device file is there; a driver for hardware is of no use without.
    has_gpu: bool,
}

impl Places {
    /// Those of the Vulkan loader's documentation (LoaderDriverInterface, "Linux Driver Discovery")
    /// and of ld.so.
    fn of_system() -> Self {
        let from_env = |name| {
            let value = std::env::var_os(name).filter(|value| !value.is_empty())?;
            Some(std::env::split_paths(&value).collect())
        };
        let mut library_dirs: Vec<PathBuf> = from_env("LD_LIBRARY_PATH").unwrap_or_default();
        let conf_dir = std::fs::read_dir("/etc/ld.so.conf.d")
            .into_iter()
            .flatten()
            .flatten();
        for conf in conf_dir.filter_map(|entry| std::fs::read_to_string(entry.path()).ok()) {
            library_dirs.extend(
                conf.lines()
                    .filter(|l| l.starts_with('/'))
                    .map(PathBuf::from),
            );
        }
        let triple = format!("{}-linux-gnu", std::env::consts::ARCH);
        library_dirs.push(Path::new("/usr/lib").join(&triple));
        library_dirs.push(Path::new("/lib").join(triple));
        library_dirs
            .extend(["/usr/lib64", "/lib64", "/usr/lib", "/lib", "/usr/local/lib"].map(Into::into));
        Self {
            manifests: from_env("VK_DRIVER_FILES").or_else(|| from_env("VK_ICD_FILENAMES")),
            manifest_dirs: ["/usr/share", "/usr/local/share", "/etc", "/usr/local/etc"]
                .map(|dir| Path::new(dir).join("vulkan/icd.d"))
                .into(),
            library_dirs,
            has_gpu: ["/dev/dri", "/dev/nvidiactl", "/dev/dxg"]
                .iter()
                .any(|p| Path::new(p).exists()),
        }
    }

    fn library(&self, name: &str) -> Option<PathBuf> {
        self.library_dirs
            .iter()
            .map(|dir| dir.join(name))
            .find(|path| path.exists())
    }

    fn manifests(&self) -> Vec<PathBuf> {
        if let Some(manifests) = &self.manifests {
            return manifests.clone();
        }
        let dirs = self
            .manifest_dirs
            .iter()
            .filter_map(|dir| std::fs::read_dir(dir).ok());
        let mut found: Vec<PathBuf> = dirs.flatten().flatten().map(|entry| entry.path()).collect();
        found.retain(|path| {
            path.extension()
                .is_some_and(|extension| extension == "json")
        });
        found.sort();
        found
    }
}

/// The driver that tests can use, or what is missing, in words: a software driver, a driver for the
/// GPU that is there, or whatever the environment names.
fn find_adapter(places: &Places) -> Result<PathBuf, String> {
    if places.library(LOADER).is_none() {
        return Err(format!("no Vulkan loader ({LOADER})"));
    }
    let mut drivers = places.manifests();
    drivers.retain(|manifest| has_library(manifest, places));
    let any = places.has_gpu || places.manifests.is_some();
    let software = drivers.iter().find(|driver| is_software(driver));
    let chosen = software.or(drivers.first().filter(|_| any));
    chosen.cloned().ok_or_else(|| match drivers.len() {
        0 => "no Vulkan driver".to_owned(),
        n => format!("no GPU ({n} hardware drivers) and no software Vulkan driver"),
    })
}

/// True for lavapipe's and SwiftShader's manifests (`lvp_icd.x86_64.json`, `vk_swiftshader_icd.json`).
fn is_software(manifest: &Path) -> bool {
    let name = manifest.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with("lvp") || name.contains("swiftshader")
}

/// True where the library that a driver manifest names is there: an absolute path, a path relative
/// to the manifest, or a bare name for ld.so.
fn has_library(manifest: &Path, places: &Places) -> bool {
    let Ok(text) = std::fs::read_to_string(manifest) else {
        return false;
    };
    let Some(library) = library_path(&text) else {
        return false;
    };
    match (library.contains('/'), manifest.parent()) {
        (true, Some(dir)) => dir.join(library).exists(),
        _ => places.library(library).is_some(),
    }
}

/// The value of `"library_path"` in a driver manifest.
fn library_path(manifest: &str) -> Option<&str> {
    let (_, rest) = manifest.split_once("\"library_path\"")?;
    let value = rest
        .trim_start()
        .strip_prefix(':')?
        .trim_start()
        .strip_prefix('"')?;
    Some(value.split_once('"')?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder with drivers and libraries: `(manifest, library it names)`, library files.
    fn places(purpose: &str, manifests: &[(&str, &str)], libraries: &[&str]) -> (PathBuf, Places) {
        let dir = shell::temp_dir(purpose).expect("writable");
        for (name, library) in manifests {
            let text = format!("{{\"ICD\": {{\"library_path\" : \"{library}\"}}}}");
            std::fs::write(dir.join(name), text).expect("writable");
        }
        for library in libraries {
            std::fs::write(dir.join(library), "").expect("writable");
        }
        let found = Places {
            manifests: None,
            manifest_dirs: vec![dir.join("missing"), dir.clone()],
            library_dirs: vec![dir.clone()],
            has_gpu: false,
        };
        (dir, found)
    }

    #[test]
    fn a_driver_needs_manifest_library_and_loader() {
        let manifest = [("lvp.json", "liblvp.so")];
        let check = |purpose: &str, manifests: &[(&str, &str)], libraries: &[&str]| {
            let (dir, places) = places(purpose, manifests, libraries);
            let found = find_adapter(&places).is_ok();
            std::fs::remove_dir_all(dir).expect("removable");
            found
        };
        assert!(check("all", &manifest, &[LOADER, "liblvp.so"]));
        assert!(check(
            "relative",
            &[("lvp.json", "./liblvp.so")],
            &[LOADER, "liblvp.so"]
        ));
        assert!(!check("no-loader", &manifest, &["liblvp.so"]));
        assert!(!check("no-library", &manifest, &[LOADER]));
        assert!(!check("no-manifest", &[], &[LOADER, "liblvp.so"]));
        assert!(!check(
            "not-json",
            &[("lvp.txt", "liblvp.so")],
            &[LOADER, "liblvp.so"]
        ));
    }

    #[test]
    fn the_environment_comes_first() {
        let (dir, mut places) = places("env", &[("lvp.json", "liblvp.so")], &[LOADER, "liblvp.so"]);
        places.manifests = Some(vec![dir.join("other.json")]);
        let error = find_adapter(&places).expect_err("the named driver is missing");
        assert!(error.contains("no Vulkan driver"), "{error}");
        std::fs::remove_dir_all(dir).expect("removable");
    }

    #[test]
    fn a_hardware_driver_needs_hardware() {
        let (dir, mut places) =
            places("gpu", &[("nvidia.json", "libgl.so")], &[LOADER, "libgl.so"]);
        let error = find_adapter(&places).expect_err("no GPU");
        assert!(error.contains("1 hardware drivers"), "{error}");
        places.has_gpu = true;
        assert_eq!(find_adapter(&places), Ok(dir.join("nvidia.json")));
        places.has_gpu = false;
        places.manifests = Some(vec![dir.join("nvidia.json")]);
        assert!(find_adapter(&places).is_ok(), "the user named it");
        std::fs::remove_dir_all(dir).expect("removable");
    }

    #[test]
    fn library_paths_are_read() {
        let text =
            "{ \"ICD\": { \"api_version\": \"1.4\", \"library_path\":\n \"/usr/lib/x.so\" } }";
        assert_eq!(library_path(text), Some("/usr/lib/x.so"));
        for bad in [
            "",
            "{}",
            "\"library_path\"",
            "\"library_path\": 3",
            "\"library_path\": \"x",
        ] {
            assert_eq!(library_path(bad), None, "{bad}");
        }
    }
}
