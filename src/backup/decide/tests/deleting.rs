//! The finalizer, and objects that are being deleted while their jobs are to be killed.

use super::*;
use crate::{
    api::Cancel,
    backup::{
        decide::{
            step::{FINALIZER, Release},
            tests::submitted::{job, read, reading, running, task_alone, told},
        },
        job_watch::subscription::Pace,
        memory::NotKept,
        status::why::{NotPermitted, Submission},
    },
    command_center::{
        gate::need::{Wait, WaitCause},
        jobs::{job::Unreadable, kill::Kill, task::JobTask, unusable::Unusable},
    },
};

const LIMIT: u64 = 600;

fn id() -> JobId {
    JobId::new(149_806).unwrap()
}

/// `object` with deletionPolicy Cancel and its finalizer.
fn guarded(mut object: SalesforceBackup) -> SalesforceBackup {
    object.spec.deletion_policy = DeletionPolicy::Cancel;
    object.metadata.finalizers = Some(vec!["another".to_owned(), FINALIZER.to_owned()]);
    object
}

/// `object`, which is being deleted since second 0.
fn leaving(object: SalesforceBackup) -> SalesforceBackup {
    let mut object = guarded(object);
    object.metadata.deletion_timestamp = Some(Time(at(0).wall));
    object
}

/// Memory of a process that saw the deletion at second 0.
fn since_then() -> Remembered {
    Remembered { leaving_since: Some(at(0).boot), ..Remembered::default() }
}

fn decided(object: &SalesforceBackup, seen: Seen, seconds: u64) -> Step {
    decide(&Observed { remembered: since_then(), seen, ..observed(object) }, &settings(), &at(seconds))
}

fn told_of(reading: JobReading) -> Seen {
    told([(id(), read(reading))])
}

fn released(step: Step) -> Release {
    match step {
        Step::Release(why) => *why,
        other => panic!("{other:?}"),
    }
}

fn unconfirmed(step: Step) -> String {
    match released(step) {
        Release::Unconfirmed(note) => note,
        other => panic!("{other:?}"),
    }
}

/// The running object after its kill was permitted.
fn asked() -> SalesforceBackup {
    let object = leaving(running());
    let Step::Kill(kills) = decided(&object, told_of(job("Running", 40).1), 1) else { panic!() };
    SalesforceBackup { status: Some(kills.intent), ..object }
}

#[test]
fn the_finalizer_is_set_before_the_intent_and_only_with_cancel() {
    assert!(matches!(step(&object(&json!({})), 0), Step::Attempt(_)), "Orphan never sets one");
    let new = object(&json!({"deletionPolicy": "Cancel"}));
    assert!(matches!(step(&new, 0), Step::Finalizer(true)));
    assert!(matches!(step(&guarded(new), 0), Step::Attempt(_)));
    let suspended = object(&json!({"deletionPolicy": "Cancel", "suspend": true}));
    assert_eq!(reason(&recorded(step(&suspended, 0)).0), (Phase::Pending, "Suspended"), "nothing is started");
}

#[test]
fn the_finalizer_goes_with_the_policy_and_with_the_end_of_the_run() {
    let mut orphan = guarded(running());
    orphan.spec.deletion_policy = DeletionPolicy::Orphan;
    assert!(matches!(step(&orphan, 1), Step::Finalizer(false)));
    orphan.metadata.deletion_timestamp = Some(Time(at(0).wall));
    assert!(matches!(step(&orphan, 1), Step::Finalizer(false)), "also while it is being deleted");
    let (status, _) = recorded(decide_told_well(&guarded(running())));
    let ended = SalesforceBackup { status: Some(status), ..guarded(running()) };
    assert!(matches!(step(&ended, 60), Step::Finalizer(false)), "there is nothing left to kill");
    let unguarded = SalesforceBackup { metadata: running().metadata, ..ended };
    assert!(matches!(step(&unguarded, 60), Step::Rest(None)));
}

fn decide_told_well(object: &SalesforceBackup) -> Step {
    decide(&Observed { seen: told_of(job("Completed", 100).1), ..observed(object) }, &settings(), &at(30))
}

#[test]
fn a_running_object_that_is_changed_to_cancel_gets_its_finalizer_unless_it_is_refused() {
    let mut changed = running();
    changed.spec.deletion_policy = DeletionPolicy::Cancel;
    assert!(matches!(step(&changed, 1), Step::Finalizer(true)));
    let remembered = refused_at(1, NotPermitted::Forbidden("no right to patch".to_owned()));
    let refused = |object| Observed { remembered: remembered.clone(), seen: Seen::default(), ..observed(object) };
    let follows = decide(&refused(&changed), &settings(), &at(2));
    assert!(matches!(follows, Step::Look(Look::Jobs(_))), "its jobs are followed all the same: {follows:?}");
    let followed = Observed { seen: told_of(job("Running", 40).1), ..refused(&changed) };
    let (status, again) = recorded(decide(&followed, &settings(), &at(2)));
    assert_eq!((reason(&status), again), ((Phase::Running, "FinalizerForbidden"), Some(Duration::from_secs(30))));
    let new = object(&json!({"deletionPolicy": "Cancel"}));
    let (status, _) = recorded(decide(&Observed { seen: seen(), ..refused(&new) }, &settings(), &at(2)));
    assert_eq!(reason(&status), (Phase::Pending, "FinalizerForbidden"));
    assert!(is_true(&status.conditions, ConditionType::Stalled));
    let stalled = SalesforceBackup { status: Some(status), ..new.clone() };
    let later = Observed { seen: seen(), ..refused(&stalled) };
    assert!(matches!(decide(&later, &settings(), &at(31)), Step::Finalizer(true)), "it is tried again");
}

#[test]
fn an_object_that_started_nothing_or_whose_run_ended_goes_at_once() {
    let new = leaving(object(&json!({})));
    assert_eq!(released(decided(&new, Seen::default(), 1)), Release::NothingRuns);
    let refused = leaving(after(&object(&json!({})), 0, &refused(RefusedKind::RateLimited)));
    assert_eq!(released(decided(&refused, Seen::default(), 1)), Release::NothingRuns);
    let (status, _) = recorded(decide_told_well(&running()));
    let ended = leaving(SalesforceBackup { status: Some(status), ..running() });
    assert_eq!(released(decided(&ended, Seen::default(), 40)), Release::NothingRuns);
    let mut restored = leaving(object(&json!({})));
    let transition = Transition { object: &restored, now: at(0).wall };
    let held = transition.held(transition.new_run(), crate::backup::status::messages::restored(), Submission::No);
    restored.status = Some(held);
    assert_eq!(released(decided(&restored, Seen::default(), 1)), Release::NothingRuns, "a copy that started nothing");
}

#[test]
fn running_jobs_are_killed_once_and_the_object_goes_when_they_have_ended() {
    let object = leaving(running());
    let waits = decided(&object, Seen::default(), 1);
    assert!(matches!(waits, Step::Look(Look::Jobs(wait)) if wait.pace == Pace::Soon && wait.jobs == [id()]));
    let Step::Kill(kills) = decided(&object, told_of(job("Running", 40).1), 1) else { panic!() };
    assert_eq!((kills.jobs.as_slice(), kills.cancel.job_ids.as_slice()), (&[id()][..], &[id()][..]));
    assert_eq!(kills.intent.cancel.as_ref(), Some(&kills.cancel));
    assert_eq!(reason(&kills.intent), (Phase::Running, "Cancelling"));

    let asked = asked();
    for said in ["Running", "Kill Pending"] {
        let (status, again) = recorded(decided(&asked, told_of(job(said, 40).1), 30));
        assert_eq!((reason(&status), again), ((Phase::Running, "Cancelling"), Some(Duration::from_secs(LIMIT - 30))));
    }
    let gone = decided(&asked, told_of(job("Killed", 40).1), 31);
    assert_eq!(released(gone), Release::Ended(vec![id()]));
    let ended_before = decided(&object, told_of(job("Completed", 100).1), 1);
    assert_eq!(released(ended_before), Release::Ended(vec![id()]), "a job that has ended is not killed");
}

#[test]
fn a_kill_that_was_not_taken_is_tried_again_and_one_that_may_have_been_is_not() {
    let asked = asked();
    let transition = Transition { object: &asked, now: at(2).wall };
    let refused =
        Refused { kind: RefusedKind::Forbidden, error_code: Some(8), text: None, retry_after: None, is_page: false };
    let status = transition.kills_answered(&[(id(), Kill::Refused(refused))]).unwrap();
    assert_eq!(reason(&status), (Phase::Running, "CancelRefused"));
    assert!(is_true(&status.conditions, ConditionType::Stalled));
    assert!(status.cancel.as_ref().unwrap().job_ids.is_empty());
    let again = SalesforceBackup { status: Some(status), ..asked.clone() };
    let waits = |seconds| {
        let remembered = Remembered { last_poll: Some(at(2).boot), ..since_then() };
        let seen = told_of(job("Running", 40).1);
        decide(&Observed { remembered, seen, ..observed(&again) }, &settings(), &at(seconds))
    };
    assert!(matches!(waits(3), Step::Rest(Some(left)) if left == Duration::from_secs(4)));
    assert!(matches!(waits(7), Step::Kill(_)));
    assert_eq!(transition.kills_answered(&[(id(), Kill::Asked)]), None, "there is nothing new to say");

    let unsent = |cancel: &str| {
        let remembered = Remembered { kills_unsent: Some((AttemptId::from(cancel), vec![id()])), ..since_then() };
        let seen = told_of(job("Running", 40).1);
        decide(&Observed { remembered, seen, ..observed(&asked) }, &settings(), &at(30))
    };
    let cancel: &Cancel = asked.status.as_ref().unwrap().cancel.as_ref().unwrap();
    assert!(matches!(unsent(cancel.id.as_str()), Step::Kill(_)), "this process knows that it did not send it");
    assert!(matches!(unsent("another"), Step::Record(..) | Step::Rest(_)));
}

#[test]
fn jobs_that_may_not_be_seen_are_killed_and_those_of_a_server_that_is_away_are_waited_for() {
    let object = leaving(running());
    let seen = |reading| decided(&object, told_of(reading), 1);
    let forbidden = reading(403, &json!({})).1;
    assert!(matches!(seen(forbidden), Step::Kill(_)));
    for away in [reading(500, &json!({})).1, JobReading::Unreadable(Unreadable::NeverSent(NeverSent::Connect))] {
        let (status, _) = recorded(seen(away.clone()));
        assert_eq!(reason(&status), (Phase::Running, "Cancelling"));
        let note = unconfirmed(decided(&object, told_of(away), LIMIT));
        assert!(note.contains("jobs 149806, asked to be killed: none"), "{note}");
    }
}

#[test]
fn the_object_goes_in_the_end_whatever_the_command_center_does() {
    let object = leaving(running());
    assert!(matches!(decided(&object, Seen { jobs_update: Some(None), ..seen() }, LIMIT - 1), Step::Rest(Some(_))));
    unconfirmed(decided(&object, Seen { jobs_update: Some(None), ..seen() }, LIMIT));
    let note = unconfirmed(decided(&asked(), told_of(job("Running", 40).1), LIMIT));
    assert!(note.contains("asked to be killed: 149806"), "{note}");
    let lost = leaving(open::unknown(&json!({})));
    assert!(matches!(decided(&lost, Seen::default(), 1), Step::Rest(Some(_)) | Step::Record(..)));
    assert!(unconfirmed(decided(&lost, Seen::default(), LIMIT)).contains(FIRST));
    let finding = leaving(task_alone(&json!({})));
    assert!(unconfirmed(decided(&finding, Seen::default(), LIMIT)).contains("task 5, jobs none"));
}

#[test]
fn a_process_that_finds_an_old_deletion_still_tries_for_a_minute() {
    let object = leaving(running());
    let found = |seconds| {
        let remembered = Remembered { leaving_since: Some(at(5000).boot), ..Remembered::default() };
        let seen = Seen { jobs_update: Some(None), ..seen() };
        decide(&Observed { remembered, seen, ..observed(&object) }, &settings(), &at(seconds))
    };
    assert!(matches!(found(5000), Step::Rest(Some(left)) if left == Duration::from_mins(1)));
    unconfirmed(found(5060));
}

#[test]
fn what_cannot_be_killed_for_sure_is_told_of_and_goes() {
    let connected =
        |connection| Seen { jobs_update: Some(Some(JobsUpdate { connection, jobs: Vec::new() })), ..seen() };
    let object = leaving(running());
    let moved = connected(Ok("https://other.example.com/api".to_owned()));
    assert!(unconfirmed(decided(&object, moved, 1)).contains("another Command Center"));
    let no_secret = || connected(Err(SecretProblem::NotFound));
    let unasked = Seen { namespace_goes: None, ..no_secret() };
    assert!(matches!(decided(&object, unasked, 1), Step::Look(Look::Namespace)));
    let ends = Seen { namespace_goes: Some(true), ..no_secret() };
    assert!(unconfirmed(decided(&object, ends, 1)).contains("with the namespace"));
    let (status, _) = recorded(decided(&object, no_secret(), 1));
    assert_eq!(reason(&status), (Phase::Running, "SecretNotFound"), "it may come back");

    let held = facts_held(&object, Submission::Yes);
    assert!(unconfirmed(decided(&held, Seen::default(), 1)).contains("a person"));
    let mut adopted = object.clone();
    let submitted = adopted.status.as_mut().unwrap().conditions.iter_mut().find(|told| told.type_ == "Submitted");
    submitted.unwrap().reason = "AdoptedByTarget".to_owned();
    adopted.status.as_mut().unwrap().task_id = None;
    assert!(unconfirmed(decided(&adopted, Seen::default(), 1)).contains("somebody else's"));
}

fn facts_held(object: &SalesforceBackup, submission: Submission) -> SalesforceBackup {
    let transition = Transition { object, now: at(0).wall };
    let status =
        transition.held(object.status.clone().unwrap(), crate::backup::status::messages::duplicate(), submission);
    SalesforceBackup { status: Some(status), ..object.clone() }
}

#[test]
fn an_open_attempt_is_settled_before_its_object_goes() {
    let lost = leaving(open::unknown(&json!({})));
    let remembered = Remembered { open_attempt: Some((AttemptId::from(FIRST), at(0).boot)), ..since_then() };
    let with_list = |jobs: Vec<Job>| {
        let seen = Seen { job_list: Some(listed(jobs)), ..seen() };
        decide(&Observed { remembered: remembered.clone(), seen, ..observed(&lost) }, &settings(), &at(200))
    };
    let (status, _) = recorded(with_list(vec![open::marked(7, FIRST)]));
    assert_eq!((status.phase, status.job_ids.len()), (Some(Phase::Running), 1), "its job is killed next");
    let (status, _) = recorded(with_list(vec![open::new_job(5)]));
    let nothing = SalesforceBackup { status: Some(status), ..lost.clone() };
    assert_eq!(released(decided(&nothing, Seen::default(), 201)), Release::NothingRuns);
}

#[test]
fn no_job_is_killed_while_the_definition_lacks_fields_of_the_status() {
    let object = leaving(running());
    let job = || told_of(job("Running", 40).1);
    assert!(matches!(decided(&object, Seen { definition: without(&[]), ..job() }, 1), Step::Kill(_)));
    let lacks = |seconds| decided(&object, Seen { definition: without(&["status.progress"]), ..job() }, seconds);
    let (status, again) = recorded(lacks(1));
    assert_eq!((reason(&status), &status.cancel), ((Phase::Running, "DefinitionOutdated"), &None));
    assert!(again.is_some());
    assert!(unconfirmed(lacks(LIMIT)).contains("149806"));
}

#[test]
fn a_kill_whose_intent_was_not_kept_is_not_tried_again_for_a_minute() {
    let object = leaving(running());
    let decided = |field, seconds| {
        let not_kept = Some(NotKept { fields: Fields::from_iter([field]), since: at(1).boot });
        let observed = Observed {
            remembered: Remembered { not_kept, ..since_then() },
            seen: told_of(job("Running", 40).1),
            ..observed(&object)
        };
        decide(&observed, &settings(), &at(seconds))
    };
    assert_eq!(reason(&recorded(decided("status.cancel.jobIds", 60)).0), (Phase::Running, "DefinitionOutdated"));
    assert!(matches!(decided("status.cancel.jobIds", 61), Step::Kill(_)));
    assert!(matches!(decided("status.jobs[].reason", 2), Step::Kill(_)), "what is needed for kills is kept");
}

#[test]
fn an_object_whose_status_is_not_shown_whole_does_not_go_as_if_nothing_ran() {
    let pending = leaving(object(&json!({})));
    let lacks = |seconds| decided(&pending, Seen { definition: without(&["status.attempt"]), ..seen() }, seconds);
    assert_eq!(reason(&recorded(lacks(1)).0), (Phase::Pending, "DefinitionOutdated"));
    assert!(unconfirmed(lacks(LIMIT)).contains("does not show all of its status"));
    assert_eq!(released(decided(&pending, seen(), 1)), Release::NothingRuns);
    let mut unguarded = running();
    unguarded.spec.deletion_policy = DeletionPolicy::Cancel;
    assert!(matches!(decided(&unguarded, seen(), 1), Step::Finalizer(true)));
    let seen = Seen { definition: without(&["status.attempt"]), ..told_of(job("Running", 40).1) };
    assert!(
        !matches!(decided(&unguarded, seen, 1), Step::Finalizer(_)),
        "a patch of the object drops what is not shown"
    );
}

fn refused_at(seconds: u64, why: NotPermitted) -> Remembered {
    Remembered { finalizer_refused: Some((at(seconds).boot, why)), ..since_then() }
}

fn message(status: &SalesforceBackupStatus) -> String {
    find(&status.conditions, ConditionType::Stalled).unwrap().message.clone()
}

#[test]
fn a_finalizer_that_the_api_server_does_not_let_go_is_told_and_tried_again() {
    let by_policy = || NotPermitted::Refused("denied by\n<b>policy</b> finalizers-stay".to_owned());
    let (ended, _) = recorded(decide_told_well(&running()));
    let ended = SalesforceBackup { status: Some(ended), ..running() };
    for object in [object(&json!({})), running(), ended.clone()] {
        let object = leaving(object);
        let decided = |seconds, remembered| {
            let seen = told_of(job("Completed", 100).1);
            decide(&Observed { remembered, seen, ..observed(&object) }, &settings(), &at(seconds))
        };
        assert!(matches!(decided(1, since_then()), Step::Release(_)));
        let (status, again) = recorded(decided(2, refused_at(1, by_policy())));
        assert_eq!(
            (find(&status.conditions, ConditionType::Ready).unwrap().reason.as_str(), again),
            ("FinalizerForbidden", Some(Duration::from_secs(30)))
        );
        let message = message(&status);
        assert!(
            message.contains("saying: denied by policy finalizers-stay.") && message.contains("by hand"),
            "{message}"
        );
        let told = SalesforceBackup { status: Some(status), ..object.clone() };
        let again = Observed { remembered: refused_at(1, by_policy()), ..observed(&told) };
        assert!(matches!(decide(&again, &settings(), &at(3)), Step::Rest(Some(_))), "it is told once");
        assert!(matches!(decided(31, refused_at(1, by_policy())), Step::Release(_)), "it is tried again");
    }
    let mut orphan = guarded(running());
    orphan.spec.deletion_policy = DeletionPolicy::Orphan;
    let followed =
        Observed { remembered: refused_at(1, by_policy()), seen: told_of(job("Running", 40).1), ..observed(&orphan) };
    let (status, _) = recorded(decide(&followed, &settings(), &at(2)));
    assert_eq!(reason(&status), (Phase::Running, "FinalizerForbidden"), "its jobs are followed meanwhile");
    orphan.metadata.deletion_timestamp = Some(Time(at(0).wall));
    let stays =
        Observed { remembered: refused_at(1, by_policy()), seen: told_of(job("Running", 40).1), ..observed(&orphan) };
    let (status, _) = recorded(decide(&stays, &settings(), &at(2)));
    assert_eq!(
        (status.phase, message(&status).contains("remove the finalizer")),
        (Some(Phase::Running), true),
        "and nothing is killed"
    );
    assert!(status.cancel.is_none());
}

#[test]
fn a_job_that_somebody_had_killed_is_not_killed_again() {
    let object = leaving(running());
    for said in ["Kill Pending", "Killing"] {
        let (status, _) = recorded(decided(&object, told_of(job(said, 40).1), 1));
        assert_eq!((reason(&status), &status.cancel), ((Phase::Running, "Cancelling"), &None), "{said}");
    }
    let note = unconfirmed(decided(&object, told_of(job("Kill Pending", 40).1), LIMIT));
    assert!(note.contains("not asked: 149806"), "{note}");
    assert_eq!(released(decided(&object, told_of(job("Killed", 40).1), 2)), Release::Ended(vec![id()]));
}

/// An object that is leaving, whose answer named task 5 and whose only job was found by what it backs up.
fn found_by_target() -> SalesforceBackup {
    let finding = task_alone(&json!({}));
    let transition = Transition { object: &finding, now: at(200).wall };
    let found =
        transition.found(finding.status.clone().unwrap(), vec![id()], crate::backup::status::why::Found::ByTarget);
    assert_eq!(find(&found.conditions, ConditionType::Submitted).unwrap().reason, "Accepted");
    leaving(SalesforceBackup { status: Some(found), ..finding })
}

#[test]
fn a_job_found_by_its_target_only_is_killed_when_it_is_of_the_task_and_else_left_alone() {
    let object = found_by_target();
    let seen =
        |tasks: Option<JobTask>| Seen { tasks: tasks.map(|task| vec![(id(), task)]), ..told_of(job("Running", 40).1) };
    let of = |task| JobTask::Of(crate::api::TaskId::new(task).unwrap());
    assert!(matches!(decided(&object, seen(None), 1), Step::Look(Look::Tasks(jobs)) if jobs == [id()]));
    assert!(matches!(decided(&object, seen(Some(of(5))), 1), Step::Kill(_)));
    for other in [of(6), JobTask::NotTold] {
        let note = unconfirmed(decided(&object, seen(Some(other)), 1));
        assert!(note.contains("does not say that it is of the task") && note.contains("not asked: 149806"), "{note}");
    }
    let (_, again) = recorded(decided(&object, seen(Some(JobTask::Unreadable)), 1));
    assert_eq!(again, Some(Duration::from_secs(5)));
    unconfirmed(decided(&object, seen(Some(JobTask::Unreadable)), LIMIT));
    let remembered = Remembered { tasks: vec![(id(), crate::api::TaskId::new(5).unwrap())], ..since_then() };
    let known = Observed { remembered, seen: seen(None), ..observed(&object) };
    assert!(matches!(decide(&known, &settings(), &at(2)), Step::Kill(_)), "it is asked once");
    let running = running();
    let transition = Transition { object: &running, now: at(200).wall };
    let pending =
        SalesforceBackupStatus { attempt: running.status.as_ref().unwrap().attempt.clone(), ..transition.new_run() };
    let recovered = transition.found(pending, vec![id()], crate::backup::status::why::Found::AfterLostStatus);
    let recovered = leaving(SalesforceBackup { status: Some(recovered), ..running.clone() });
    let note = unconfirmed(decided(&recovered, seen(None), 1));
    assert!(note.contains("may be somebody else's"), "nor one that is all that a lost status left: {note}");
}

#[test]
fn no_more_jobs_are_asked_to_be_killed_than_calls_may_be_made_now() {
    let two =
        Outcome::Accepted(Accepted { task_id: None, job_ids: [7, 8].into_iter().filter_map(JobId::new).collect() });
    let object = leaving(after(&object(&json!({})), 0, &two));
    let going_on = || Job {
        shown: crate::api::JobStatus { status: Some("Running".to_owned()), ..Job::bare(7).shown },
        ..Job::bare(7)
    };
    let jobs = || told([7, 8].into_iter().filter_map(JobId::new).map(|id| (id, read(JobReading::Found(going_on())))));
    let with = |kills| decided(&object, Seen { kills, ..jobs() }, 1);
    assert!(matches!(with(None), Step::Look(Look::Kills(2))));
    let Step::Kill(kills) = with(Some(Ok(1))) else { panic!() };
    assert_eq!((kills.jobs.len(), kills.cancel.job_ids.len()), (1, 1), "the permission is for what is asked now");
    let wait = |cause| Some(Err(Wait { cause, left: Duration::from_hours(1), passed: Duration::ZERO }));
    let (status, again) = recorded(with(wait(WaitCause::Limited)));
    assert_eq!(
        (reason(&status), again),
        ((Phase::Running, "Cancelling"), Some(Duration::from_secs(LIMIT - 1))),
        "no longer than it may take"
    );
    assert!(find(&status.conditions, ConditionType::Ready).unwrap().message.contains("--writes-per-hour"));
    assert!(matches!(with(wait(WaitCause::Busy)), Step::Rest(Some(_))));
    let asked = SalesforceBackup { status: Some(kills.intent), ..object.clone() };
    let note = unconfirmed(decided(&asked, Seen { kills: wait(WaitCause::Limited), ..jobs() }, LIMIT));
    assert!(note.contains("asked to be killed: 7, not asked: 8"), "{note}");
}

#[test]
fn a_job_that_was_killed_since_it_was_told_of_is_seen_right_before_it_would_be() {
    let object = leaving(running());
    let with = |job_list| decided(&object, Seen { job_list, ..told_of(job("Running", 40).1) }, 1);
    assert!(matches!(with(None), Step::Look(Look::JobList(query)) if query.clients == [12]));
    for (said, kills) in [("Running", true), ("Kill Pending", false), ("Killed", false)] {
        let JobReading::Found(row) = job(said, 40).1 else { panic!() };
        assert_eq!(matches!(with(Some(listed(vec![row]))), Step::Kill(_)), kills, "{said}");
    }
    let unlisted = [
        Listing::NotAllowed(RefusedKind::Forbidden.into()),
        Listing::Failed(Unreadable::Unusable(Unusable::Status(500))),
    ];
    for listing in unlisted {
        assert!(matches!(with(Some(snapshot(listing.clone()))), Step::Kill(_)), "{listing:?}");
    }
}
