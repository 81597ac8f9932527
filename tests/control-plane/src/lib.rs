//! A real etcd and kube-apiserver, and kubectl to talk to them, for the tests and the quickstart. Linux only,
//! with bash and util-linux.
//!
//! ```text
//! KUBEBUILDER_ASSETS ─┐                   bash watchdog.sh, in a session of its own
//! go.mod ─Go, once────┴▶ Assets ─▶ ControlPlane ─▶ ├── etcd            (unix socket)
//!                                                  └── kube-apiserver  (127.0.0.1, TLS, RBAC)
//! ```
//!
//! - [`Assets`] finds the three programs, and builds them with Go the first time.
//! - [`ControlPlane::shared`] is the one control plane of all test binaries of a `cargo test` run.
//! - [`ControlPlane::start`] is one of your own, whose API server may be stopped and started.
//!
//! Nothing is left running, however its users end: each holds a lock that the kernel releases, and the watchdog stops
//! everything once nobody holds it. The two programs die with the watchdog.
//!
//! There is no controller manager: namespaces stay `Terminating`, owned objects are not collected, no service account
//! appears by itself. There is no node either: pods are stored, and never run.
//!
//! Everything here blocks, on std alone, so that it suits any runtime. From async code:
//!
//! ```text
//! let control_plane = tokio::task::spawn_blocking(ControlPlane::shared).await??;
//! ```

#![expect(
    clippy::disallowed_methods,
    reason = "none of this is pure: it reads clocks and the environment, as tests do"
)]

mod assets;
mod plane;
mod progress;
mod tools;

pub use assets::Assets;
pub use plane::ControlPlane;
pub use tools::Tool;
