//! Messages for people: each fault as a reason and a message that names what to do. Pure.

mod causes;
mod definition;
mod held;
mod jobs;
mod obstacles;
mod resolving;
mod submission;
mod words;

pub use crate::backup::status::messages::causes::{
    job_list_error, job_list_not_reached, job_list_refused, job_list_unavailable, never_sent, unavailable,
};
pub use crate::backup::status::messages::definition::{
    definition_lacks, definition_lacks_of_spec, definition_outdated, not_defined,
};
pub use crate::backup::status::messages::held::{
    NotFollowed, ambiguous_job, conflict_after_nothing, connection_changed, duplicate, hold_requested, not_followed,
    restored, status_lost, wrongly_adopted,
};
pub use crate::backup::status::messages::jobs::{
    about, cancel_in_line, cancel_refused, cancel_waits, cancelled, cancelling, finding_jobs, finding_more_jobs,
    job_lost, job_missing, job_status_unknown, job_suspended, jobs_forbidden, no_job, unconfirmed, unreadable,
};
pub use crate::backup::status::messages::obstacles::{
    ROOM_NEEDED, finalizer_forbidden, finalizer_stays, namespace_forbidden, no_room_for, object_too_large,
    reconcile_failing, reconcile_panicked, secret_problem, tls_unavailable,
};
pub use crate::backup::status::messages::resolving::{
    awaiting_answer, found, job_list_forbidden, job_list_incomplete, job_list_silent, nothing_started,
    operator_restarted, retry_requested,
};
pub use crate::backup::status::messages::submission::{
    earlier_backup_runs, in_line, job_list_incomplete_before, job_list_too_long, refused, resumed, target_busy, unknown,
};
