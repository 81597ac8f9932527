//! What is done about the finalizer, and about an object that is being deleted and whose jobs are to be killed.

use super::{
    jobs::{job, read, reading, running, task_alone, told},
    *,
};
use crate::{
    api::Cancel,
    backup::{
        decide::leave::{FINALIZER, Release},
        memory::NotKept,
        standing::Submission,
        waiting::Pace,
    },
    command_center::{job::Unreadable, kill::Kill},
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

/// What this process remembers that saw the deletion at second 0.
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
    let remembered = Remembered { finalizer_refused: Some(at(1).boot), ..Remembered::default() };
    let refused = |object| Observed { remembered: remembered.clone(), seen: Seen::default(), ..observed(object) };
    let follows = decide(&refused(&changed), &settings(), &at(2));
    assert!(matches!(follows, Step::Look(Look::Told(_))), "its jobs are followed all the same: {follows:?}");
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
    let facts = Facts { object: &restored, now: at(0).wall };
    let held = facts.held(facts.new_run(), crate::backup::messages::restored(), Submission::No);
    restored.status = Some(held);
    assert_eq!(released(decided(&restored, Seen::default(), 1)), Release::NothingRuns, "a copy that started nothing");
}

#[test]
fn running_jobs_are_killed_once_and_the_object_goes_when_they_have_ended() {
    let object = leaving(running());
    let waits = decided(&object, Seen::default(), 1);
    assert!(matches!(waits, Step::Look(Look::Told(wait)) if wait.pace == Pace::Soon && wait.jobs == [id()]));
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
    let facts = Facts { object: &asked, now: at(2).wall };
    let refused = Refused { kind: RefusedKind::Forbidden, error_code: Some(8), text: None, retry_after: None };
    let status = facts.kills_answered(&[(id(), Kill::Refused(refused))]).unwrap();
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
    assert_eq!(facts.kills_answered(&[(id(), Kill::Asked)]), None, "there is nothing new to say");

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
    assert!(matches!(decided(&object, Seen { told: Some(None), ..seen() }, LIMIT - 1), Step::Rest(Some(_))));
    unconfirmed(decided(&object, Seen { told: Some(None), ..seen() }, LIMIT));
    let note = unconfirmed(decided(&asked(), told_of(job("Running", 40).1), LIMIT));
    assert!(note.contains("asked to be killed: 149806"), "{note}");
    let lost = leaving(resolving::unknown(&json!({})));
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
        let seen = Seen { told: Some(None), ..seen() };
        decide(&Observed { remembered, seen, ..observed(&object) }, &settings(), &at(seconds))
    };
    assert!(matches!(found(5000), Step::Rest(Some(left)) if left == Duration::from_mins(1)));
    unconfirmed(found(5060));
}

#[test]
fn what_cannot_be_killed_for_sure_is_told_of_and_goes() {
    let connected = |connection| Seen { told: Some(Some(Told { connection, jobs: Vec::new() })), ..seen() };
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
    assert!(unconfirmed(decided(&adopted, Seen::default(), 1)).contains("somebody else's"));
}

fn facts_held(object: &SalesforceBackup, submission: Submission) -> SalesforceBackup {
    let facts = Facts { object, now: at(0).wall };
    let status = facts.held(object.status.clone().unwrap(), crate::backup::messages::duplicate(), submission);
    SalesforceBackup { status: Some(status), ..object.clone() }
}

#[test]
fn an_open_attempt_is_settled_before_its_object_goes() {
    let lost = leaving(resolving::unknown(&json!({})));
    let remembered = Remembered { open_attempt: Some((AttemptId::from(FIRST), at(0).boot)), ..since_then() };
    let with_list = |jobs: Vec<Job>| {
        let seen = Seen { job_list: Some(listed(jobs)), ..seen() };
        decide(&Observed { remembered: remembered.clone(), seen, ..observed(&lost) }, &settings(), &at(200))
    };
    let (status, _) = recorded(with_list(vec![resolving::marked(7, FIRST)]));
    assert_eq!((status.phase, status.job_ids.len()), (Some(Phase::Running), 1), "its job is killed next");
    let (status, _) = recorded(with_list(vec![resolving::new_job(5)]));
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
