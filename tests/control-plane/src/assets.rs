//! Finds etcd, kube-apiserver and kubectl: in `KUBEBUILDER_ASSETS`, else in the cache, where they are built once.

pub(crate) mod build;
mod go;

use std::{
    env,
    ffi::OsString,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf, absolute},
};

use anyhow::{Context as _, Result, bail};

use build::Recipe;

/// Recipe of these programs.
const RECIPE: Recipe = Recipe {
    name: "control-plane",
    what: "etcd, kube-apiserver and kubectl",
    instead: ", or set KUBEBUILDER_ASSETS to a folder with these three, for example from setup-envtest",
    go_mod: include_str!("../go.mod"),
    go_sum: include_str!("../go.sum"),
    sources: &[],
    packages: "tool",
    renamed: &[("server", "etcd")],
};

/// The programs of a control plane.
#[derive(Clone, Debug)]
pub struct Assets {
    folder: PathBuf,
}

impl Assets {
    const ALL: [&str; 3] = ["etcd", "kube-apiserver", "kubectl"];

    /// Those in `KUBEBUILDER_ASSETS` when that is set, else those that were built from this crate's `go.mod`. The first
    /// time that takes minutes, and says so on stderr.
    ///
    /// # Errors
    /// When a program is missing in `KUBEBUILDER_ASSETS`, or when they cannot be built; says what to do.
    pub fn find() -> Result<Self> {
        // Set to nothing means not set, as make and CI have it.
        if let Some(folder) = env::var_os("KUBEBUILDER_ASSETS").filter(|folder| !folder.is_empty()) {
            return Self::in_folder(Path::new(&folder)).context("KUBEBUILDER_ASSETS");
        }
        let folder = build::build_once(&RECIPE, &caches()?, &env::var_os("PATH").unwrap_or_default())?;
        Self::in_folder(&folder).with_context(|| format!("remove {} to build it again", folder.display()))
    }

    /// Those in `folder`.
    ///
    /// # Errors
    /// Names the programs that are missing there.
    pub fn in_folder(folder: &Path) -> Result<Self> {
        // Absolute, because they are started in another folder.
        let folder = absolute(folder)?;
        let missing: Vec<_> = Self::ALL.into_iter().filter(|name| !is_program(&folder.join(name))).collect();
        if missing.is_empty() {
            return Ok(Self { folder });
        }
        bail!("{} has no program {}", folder.display(), missing.join(", "))
    }

    /// The folder that has them.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The path of kubectl.
    #[must_use]
    pub fn kubectl(&self) -> PathBuf {
        self.folder.join("kubectl")
    }
}

fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

/// The user's folder of caches, by the XDG Base Directory Specification: a relative path there counts as not set.
pub(crate) fn caches() -> Result<PathBuf> {
    let named = |name| env::var_os(name).map(|path: OsString| PathBuf::from(path)).filter(|path| path.is_absolute());
    named("XDG_CACHE_HOME")
        .or_else(|| env::home_dir().map(|home| home.join(".cache")))
        .context("there is no place to keep the built programs: set XDG_CACHE_HOME or HOME")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_named() {
        let folder = env::temp_dir().join(format!("control-plane-assets-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        for name in Assets::ALL {
            fs::write(folder.join(name), "").unwrap();
            fs::set_permissions(folder.join(name), fs::Permissions::from_mode(0o755)).unwrap();
        }
        assert_eq!(Assets::in_folder(&folder).unwrap().kubectl(), folder.join("kubectl"));

        fs::remove_file(folder.join("etcd")).unwrap();
        fs::set_permissions(folder.join("kubectl"), fs::Permissions::from_mode(0o644)).unwrap();
        let error = Assets::in_folder(&folder).unwrap_err().to_string();
        assert!(error.ends_with("has no program etcd, kubectl"), "{error}");
        fs::remove_dir_all(folder).unwrap();
    }
}
