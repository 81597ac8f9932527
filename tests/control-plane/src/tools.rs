//! Programs that tests run beside the control plane, built once as it is: Helm and what checks its charts, and the
//! verdicts of GitOps tools.

use std::{
    env,
    path::PathBuf,
    process::Command,
    sync::{Mutex, PoisonError},
};

use anyhow::{Result, ensure};

use crate::assets::{
    build::{Recipe, build_once},
    caches,
};

macro_rules! recipe {
    ($name:literal, $packages:literal $(, $source:literal)*) => {
        recipe!($name in "../../tools/", $packages $(, $source)*)
    };
    ($name:literal in $folder:literal, $packages:literal $(, $source:literal)*) => {
        Recipe {
            name: $name,
            what: $name,
            instead: "",
            go_mod: include_str!(concat!($folder, $name, "/go.mod")),
            go_sum: include_str!(concat!($folder, $name, "/go.sum")),
            sources: &[$(($source, include_str!(concat!($folder, $name, "/", $source)))),*],
            packages: $packages,
            renamed: &[],
        }
    };
}

/// A program that is built with Go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    /// Helm 4.
    Helm4,
    /// Helm 3.
    Helm3,
    /// Runs the unit tests of a chart.
    HelmUnittest,
    /// Writes a chart's README.
    HelmDocs,
    /// Says what kstatus, Argo CD and Flux make of an object.
    GitOps,
    /// The controller that the benches measure the operator against.
    Baseline,
}

impl Tool {
    fn recipe_and_program(self) -> (Recipe, &'static str) {
        match self {
            Self::Helm4 => (recipe!("helm4", "tool"), "helm"),
            Self::Helm3 => (recipe!("helm3", "tool"), "helm"),
            Self::HelmUnittest => (recipe!("helm3", "tool"), "helm-unittest"),
            Self::HelmDocs => (recipe!("helm-docs", "tool"), "helm-docs"),
            Self::GitOps => (
                recipe!("gitops", ".", "main.go", "argocd.go", "flux.go", "healthtests.go", "judge.go", "kstatus.go"),
                "gitops",
            ),
            Self::Baseline => (recipe!("baseline" in "../../../benches/", ".", "main.go"), "baseline"),
        }
    }

    /// The path of the program, from the cache, or built now: the first time that takes minutes, and says so on stderr.
    ///
    /// # Errors
    /// When it cannot be built; says what to do.
    pub fn path(self) -> Result<PathBuf> {
        // One build at a time: each takes all cores, and several at once would take memory for nothing.
        static BUILDING: Mutex<()> = Mutex::new(());
        let _building = BUILDING.lock().unwrap_or_else(PoisonError::into_inner);
        let (recipe, program) = self.recipe_and_program();
        let path = build_once(&recipe, &caches()?, &env::var_os("PATH").unwrap_or_default())?.join(program);
        ensure!(path.is_file(), "there is no {}", path.display());
        Ok(path)
    }

    /// A command that runs it, deaf to the user's own settings.
    ///
    /// # Errors
    /// When it cannot be built; says what to do.
    pub fn command(self) -> Result<Command> {
        let mut command = Command::new(self.path()?);
        for (name, _) in env::vars_os() {
            let name = name.to_string_lossy().into_owned();
            if name.starts_with("HELM_") || name == "KUBECONFIG" {
                command.env_remove(name);
            }
        }
        Ok(command)
    }
}
