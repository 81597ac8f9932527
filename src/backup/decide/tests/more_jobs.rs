//! The policy once a backup was accepted of which the answer named fewer jobs than it has associations.

use super::*;
use crate::{
    api::TaskId,
    backup::decide::tests::{
        open::{described, new_job},
        submitted::{read, told},
    },
    command_center::jobs::{list::JobQuery, task::JobTask},
};

const KNOWN: u64 = 149_806;
const OTHER: u64 = 149_807;

fn id(number: u64) -> JobId {
    JobId::new(number).unwrap()
}

/// A backup of two associations of which the answer named one job.
fn one_of_two() -> SalesforceBackup {
    after(&object(&json!({"associations": [{"clientId": 12}, {"clientId": 13}]})), 0, &accepted())
}

/// Decision when the known job has this status, and the list shows these jobs.
fn decided(
    object: &SalesforceBackup,
    said: &str,
    list: Option<Snapshot>,
    tasks: Option<Vec<(JobId, JobTask)>>,
    seconds: u64,
) -> Step {
    let remembered = Remembered {
        open_attempt: Some((AttemptId::from(FIRST), at(0).boot)),
        last_poll: list.is_none().then(|| at(seconds).boot),
        leaving_since: Some(at(0).boot),
        ..Remembered::default()
    };
    let seen =
        Seen { job_list: list, tasks, ..told([submitted::job(said, 40)].map(|(id, reading)| (id, read(reading)))) };
    decide(&Observed { remembered, seen, ..observed(object) }, &settings(), &at(seconds))
}

fn of_other_client(number: u64) -> Job {
    Job { target: crate::api::Target { client_id: Some(13), ..Default::default() }, ..new_job(number) }
}

#[test]
fn the_other_jobs_are_looked_for_by_the_task_and_by_the_description() {
    let running = one_of_two();
    let list = || Some(listed(vec![new_job(KNOWN), of_other_client(OTHER)]));
    assert!(matches!(
        decide(&Observed { seen: Seen { job_list: None, ..seen() }, ..observed(&running) }, &settings(), &at(30)),
        Step::Look(Look::JobList(JobQuery { .. }))
    ));
    let asked = decided(&running, "Running", list(), None, 30);
    assert!(matches!(&asked, Step::Look(Look::Tasks(jobs)) if *jobs == [id(OTHER)]), "{asked:?}");
    let task = |number| Some(vec![(id(OTHER), JobTask::Of(TaskId::new(number).unwrap()))]);
    let (status, _) = recorded(decided(&running, "Running", list(), task(30453), 30));
    assert_eq!((status.job_ids, status.found_by_target), (vec![id(KNOWN), id(OTHER)], None));
    let (status, _) = recorded(decided(&running, "Completed", list(), task(7), 30));
    assert_eq!(status.job_ids, [id(KNOWN)], "it is of another task");
    let untold = Some(vec![(id(OTHER), JobTask::NotTold)]);
    let (status, _) = recorded(decided(&running, "Completed", list(), untold, 165));
    assert_eq!(status.job_ids, [id(KNOWN)], "it is of the target, and may be somebody else's");
    assert_eq!((reason(&status), status.associations_without_job), ((Phase::Succeeded, "Completed"), Some(1)));
    let own = described(OTHER, "salesforce-backup-operator/n/crm/1c9b5f2e/-", FIRST);
    let (status, _) = recorded(decided(&running, "Running", Some(listed(vec![own])), None, 30));
    assert_eq!(status.job_ids, [id(KNOWN), id(OTHER)]);
}

#[test]
fn a_run_does_not_end_before_the_other_jobs_had_their_time_and_then_says_that_there_are_fewer() {
    let running = one_of_two();
    let list = || Some(listed(vec![new_job(KNOWN)]));
    let (status, again) = recorded(decided(&running, "Completed", list(), None, 164));
    assert_eq!((reason(&status), status.progress.as_deref()), ((Phase::Running, "FindingJobs"), Some("50%")));
    assert_eq!(again, Some(Duration::from_secs(30)));
    let waiting = SalesforceBackup { status: Some(status), ..running };
    assert!(matches!(decided(&waiting, "Completed", None, None, 165), Step::Rest(Some(_))), "not asked all the time");
    let lacking = Some(snapshot(Listing::Read(JobList::default())));
    assert!(matches!(decided(&waiting, "Completed", lacking, None, 165), Step::Rest(Some(_))));
    let (status, _) = recorded(decided(&waiting, "Completed", list(), None, 165));
    assert_eq!((reason(&status), status.associations_without_job), ((Phase::Succeeded, "Completed"), Some(1)));
    assert_eq!(status.progress.as_deref(), Some("100%"));
    let message = &find(&status.conditions, ConditionType::Finished).unwrap().message;
    assert!(message.contains("1 of 2 associations have no job of their own"), "{message}");
}

#[test]
fn a_list_that_does_not_come_is_waited_for_and_not_for_ever() {
    let running = one_of_two();
    let failing = || Some(snapshot(Listing::NotAllowed(RefusedKind::Forbidden.into())));
    let (status, _) = recorded(decided(&running, "Completed", failing(), None, 764));
    assert_eq!(reason(&status), (Phase::Running, "FindingJobs"));
    let (status, _) = recorded(decided(&running, "Completed", failing(), None, 765));
    assert_eq!((reason(&status), status.associations_without_job), ((Phase::Succeeded, "Completed"), Some(1)));
}

#[test]
fn an_object_that_is_deleted_does_not_go_before_the_other_jobs_had_their_time() {
    let mut leaving = one_of_two();
    leaving.spec.deletion_policy = crate::api::DeletionPolicy::Cancel;
    leaving.metadata.finalizers = Some(vec![crate::backup::decide::step::FINALIZER.to_owned()]);
    leaving.metadata.deletion_timestamp = Some(Time(at(0).wall));
    let list = || Some(listed(vec![new_job(KNOWN)]));
    assert!(matches!(decided(&leaving, "Killed", list(), None, 30), Step::Rest(Some(_))));
    let other = Some(listed(vec![new_job(KNOWN), of_other_client(OTHER)]));
    assert!(matches!(decided(&leaving, "Killed", other, None, 30), Step::Look(Look::Tasks(_))));
    assert!(matches!(decided(&leaving, "Killed", list(), None, 165), Step::Release(_)));
    assert!(matches!(decided(&leaving, "Killed", None, None, 600), Step::Release(_)), "its time is over");
}
