//! The answers of `/livez`, `/readyz` and `/metrics`. The state of the process goes in, routes come out. It needs no
//! client.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use crate::process::{
    metrics::Metrics,
    supervise::{Supervisor, Task},
};
use axum::{
    Router,
    http::{StatusCode, header},
    response::IntoResponse,
    routing::get,
};

/// The routes for the probes of the kubelet. `/readyz` answers 200 while `ready` is true and there is no `obstacle`.
pub fn probes(
    ready: Arc<AtomicBool>,
    obstacle: impl Fn() -> Option<String> + Clone + Send + Sync + 'static,
    supervisor: Supervisor,
) -> Router {
    Router::new()
        .route("/livez", get(move || async move { liveness(&supervisor.broken()) }))
        .route("/readyz", get(move || async move { readiness(ready.load(Ordering::Acquire), obstacle()) }))
}

/// The route of the metrics page.
pub fn metrics(metrics: Metrics) -> Router {
    Router::new().route("/metrics", get(move || async move { page(&metrics) }))
}

/// Answers 503 if a task cannot be kept alive, so that the kubelet restarts the process.
fn liveness(broken: &[Task]) -> (StatusCode, String) {
    if broken.is_empty() {
        return (StatusCode::OK, "ok\n".to_owned());
    }
    let names = broken.iter().map(|task| task.as_str()).collect::<Vec<_>>().join(", ");
    (StatusCode::SERVICE_UNAVAILABLE, format!("these tasks end again and again: {names}; see the log\n"))
}

fn readiness(ready: bool, obstacle: Option<String>) -> (StatusCode, String) {
    match obstacle {
        Some(obstacle) => (StatusCode::SERVICE_UNAVAILABLE, format!("{obstacle}\n")),
        None if ready => (StatusCode::OK, "ok\n".to_owned()),
        None => (StatusCode::SERVICE_UNAVAILABLE, "SalesforceBackups are not listed yet: see the log\n".to_owned()),
    }
}

fn page(metrics: &Metrics) -> impl IntoResponse + use<> {
    match metrics.text() {
        Ok(text) => Ok(([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text)),
        Err(_) => Err(StatusCode::INTERNAL_SERVER_ERROR),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_that_cannot_be_kept_alive_makes_the_process_one_to_start_anew() {
        assert_eq!(liveness(&[]), (StatusCode::OK, "ok\n".to_owned()));
        let (status, text) = liveness(&[Task::Poll, Task::Gates]);
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(text, "these tasks end again and again: poll, gates; see the log\n");
    }
}
