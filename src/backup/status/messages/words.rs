//! Sentences that several messages share. Pure.

pub(super) const THEN_WITHOUT: &str =
    "It is looked at before anything is sent, and asked for again; after five times --settle it goes on without.";

/// Text of a Command Center, within a sentence of ours that ends with a full stop itself.
pub(super) fn saying(text: Option<&str>) -> String {
    text.map(|text| format!(", saying: {}", text.trim_end_matches('.'))).unwrap_or_default()
}

/// Instruction for a run that is held.
pub(super) const DECIDE: &str = "To do: look for a job of this target in the Command Center, its description holds status.attempt.id. Then set the annotation commandcenter.dev/resolve to adopt=<jobId>@<attempt.id>, to retry=<attempt.id> if none was started, or to abandon=<attempt.id>; or change spec.runId to request a new backup.";
