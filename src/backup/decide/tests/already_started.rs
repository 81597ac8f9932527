//! A backup that was started already: for an earlier object of the same name, or by a call of which the status tells nothing
//! any more; and what a job list proves, and since when.

use std::sync::Arc;

use jiff::SignedDuration;

use super::*;

use crate::{
    api::{Attempt as AttemptStatus, BackupLevel, Target},
    backup::{
        claims::{Claim, Other},
        decide::tests::open::{described, ended, new_job},
        memory::Earlier,
    },
    command_center::jobs::{state::JobState, unusable::Unusable},
};

const REQUEST: &str = "salesforce-backup-operator/n/crm/1c9b5f2e/-";
const EARLIER: &str = "22222222222222222222222222222222";

fn client(id: i64) -> Target {
    Target { client_id: Some(id), ..Target::default() }
}

fn looked(object: &SalesforceBackup, seen: Seen, seconds: u64) -> Step {
    decide(&Observed { seen, ..observed(object) }, &settings(), &at(seconds))
}

/// The request of an object that is gone: job 7 for client 12, an incremental one, seen last at second 0.
fn earlier() -> Earlier {
    Earlier {
        uid: "u0".to_owned(),
        run_id: None,
        attempt: AttemptStatus {
            number: 1,
            id: Some(AttemptId::from(EARLIER)),
            endpoint: Some(connection().endpoint.to_string()),
            targets: vec![client(12)],
            last_job_id_before: Some(5),
            backup_level: Some(BackupLevel::Incremental),
            ..AttemptStatus::default()
        },
        task_id: None,
        job_ids: vec![JobId::new(7).unwrap()],
        ended: false,
        version: None,
        seen: at(0).boot,
    }
}

mod time_of_check {
    use super::*;

    fn list_of(jobs: Vec<Job>, as_of: u64, answered: u64) -> Seen {
        let list = Snapshot { as_of: at(as_of), answered: at(answered), ..listed(jobs) };
        Seen { job_list: Some(list), ..seen() }
    }

    #[test]
    fn a_job_that_the_list_could_not_show_yet_is_not_taken_for_none_however_late_it_is_decided() {
        let new = object(&json!({}));
        let seen = list_of(vec![], 100, 168);
        let observed = Observed { last_request: Some(earlier()), seen, ..observed(&new) };
        let (status, _) = recorded(super::super::super::decide(&observed, &settings(), &at(170)));
        assert_eq!((status.adopted, status.job_ids), (Some(true), earlier().job_ids));
    }

    #[test]
    fn the_time_to_send_counts_from_the_look_and_an_old_look_is_repeated() {
        let new = object(&json!({}));
        let decided = |seconds| {
            let observed = Observed { seen: list_of(vec![], 0, 1), ..observed(&new) };
            super::super::super::decide(&observed, &settings(), &at(seconds))
        };
        let Step::Attempt(attempt) = decided(15) else { panic!("it is fresh") };
        assert_eq!(attempt.opened, at(1));
        assert!(matches!(decided(16), Step::Look(Look::JobList(_))), "its permission would have ended");
    }

    #[test]
    fn a_list_from_before_the_wait_settles_nothing() {
        let lost = open::unknown(&json!({}));
        let waited = Remembered { open_attempt: Some((AttemptId::from(FIRST), at(0).boot)), ..Remembered::default() };
        let decided = |as_of| {
            let seen = list_of(vec![new_job(5)], as_of, 170);
            let observed = Observed { remembered: waited.clone(), seen, ..observed(&lost) };
            super::super::super::decide(&observed, &settings(), &at(170))
        };
        assert!(matches!(decided(164), Step::Look(Look::JobList(_))));
        assert_eq!(reason(&recorded(decided(165)).0), (Phase::Pending, "NothingStarted"));
    }

    #[test]
    fn the_jobs_of_a_task_are_not_given_up_by_a_list_from_before_the_wait() {
        let task = Outcome::Accepted(Accepted { task_id: crate::api::TaskId::new(30453), job_ids: vec![] });
        let submitted = after(&object(&json!({})), 0, &task);
        let waited = Remembered { open_attempt: Some((AttemptId::from(FIRST), at(0).boot)), ..Remembered::default() };
        let decided = |as_of| {
            let observed =
                Observed { remembered: waited.clone(), seen: list_of(vec![], as_of, 170), ..observed(&submitted) };
            super::super::super::decide(&observed, &settings(), &at(170))
        };
        assert!(matches!(decided(164), Step::Rest(Some(_))), "they are still looked for");
        assert_eq!(reason(&recorded(decided(165)).0), (Phase::Held, "NoJob"));
    }
}

mod refusals {
    use super::*;

    fn refused(looks: u32, seconds: u64) -> Seen {
        let refusals = Refusals { looks, lasting: Duration::from_secs(seconds) };
        let list = Snapshot { refusals, ..snapshot(Listing::NotAllowed(RefusedKind::Forbidden.into())) };
        Seen { job_list: Some(list.clone()), recent_jobs: Some(list), ..seen() }
    }

    #[test]
    fn a_refused_list_is_believed_after_three_looks_over_two_intervals() {
        for (looks, seconds) in [(1, 0), (2, 60), (2, 3600), (30, 59)] {
            let (status, again) = recorded(looked(&object(&json!({})), refused(looks, seconds), 0));
            assert_eq!(reason(&status), (Phase::Pending, "Forbidden"), "{looks} in {seconds} s");
            assert!(find(&status.conditions, ConditionType::Ready).unwrap().message.contains("(403)"));
            assert_eq!(again, Some(Duration::from_secs(30)));
        }
        assert!(matches!(looked(&object(&json!({})), refused(3, 60), 0), Step::Attempt(_)));
    }

    #[test]
    fn a_refusal_does_not_hide_the_job_of_an_earlier_object_that_ended_a_moment_ago() {
        let old = ended(described(7, REQUEST, EARLIER), JobState::EndedWell);
        let list = |refused: Seen| Seen { job_list: Some(listed(vec![old.clone()])), ..refused };
        let (status, _) = recorded(looked(&object(&json!({})), list(refused(1, 0)), 0));
        assert_eq!(reason(&status), (Phase::Pending, "Forbidden"));
    }

    #[test]
    fn a_refusal_does_not_stand_for_the_second_look_after_nothing_started() {
        let mut pending = object(&json!({}));
        pending.status = Some(nothing_started());
        let (status, _) = recorded(looked(&pending, refused(2, 30), 170));
        assert_eq!(reason(&status), (Phase::Pending, "Forbidden"));
        let (status, _) = recorded(looked(&pending, refused(3, 60), 170));
        assert_eq!(reason(&status), (Phase::Held, "JobsNotReadable"), "it cannot be known");
        assert_eq!(status.attempt.unwrap().id, Some(AttemptId::from(FIRST)), "a person can decide about it");
    }

    fn nothing_started() -> SalesforceBackupStatus {
        let lost = open::unknown(&json!({}));
        let transition = Transition { object: &lost, now: at(165).wall };
        transition.nothing_started(lost.status.clone().unwrap())
    }

    #[test]
    fn one_refusal_does_not_make_a_lost_answer_a_persons_matter() {
        let lost = open::unknown(&json!({}));
        let waited = Remembered { open_attempt: Some((AttemptId::from(FIRST), at(0).boot)), ..Remembered::default() };
        let decided = |seen| {
            let observed = Observed { remembered: waited.clone(), seen, ..observed(&lost) };
            recorded(decide(&observed, &settings(), &at(170))).0
        };
        let status = decided(refused(1, 0));
        assert_eq!(reason(&status), (Phase::Resolving, "Forbidden"));
        assert!(!is_true(&status.conditions, ConditionType::Stalled));
        assert_eq!(reason(&decided(refused(3, 60))), (Phase::Held, "JobsNotReadable"));
    }
}

mod another_spec {
    use super::*;

    fn asks_for_12_and_13() -> SalesforceBackup {
        object(&json!({"associations": [{"clientId": 12}, {"clientId": 13}]}))
    }

    fn known_for(seconds: u64) -> Remembered {
        let first_seen = BootTime::after_boot(Duration::from_secs(1000 - seconds));
        Remembered { first_seen: Some(first_seen), ..Remembered::default() }
    }

    fn decided(object: &SalesforceBackup, jobs: Vec<Job>, remembered: Remembered, last: Option<Earlier>) -> Step {
        let seen = Seen { job_list: Some(listed(jobs)), recent_jobs: Some(listed(vec![])), ..seen() };
        decide(&Observed { remembered, last_request: last, seen, ..observed(object) }, &settings(), &at(0))
    }

    fn waits(step: Step) -> bool {
        let (status, again) = recorded(step);
        reason(&status) == (Phase::Pending, "BackupRunning") && status.job_ids.is_empty() && again.is_some()
    }

    #[test]
    fn a_running_backup_of_fewer_associations_is_not_taken_over_but_waited_for() {
        let more = asks_for_12_and_13();
        let running = described(7, REQUEST, EARLIER);
        assert!(waits(decided(&more, vec![running.clone()], known_for(1000), None)));
        let ended = ended(running, JobState::EndedWell);
        assert!(matches!(decided(&more, vec![ended], known_for(1000), None), Step::Attempt(_)));
        let other = Job { target: client(13), ..described(8, REQUEST, EARLIER) };
        let both = decided(&more, vec![described(7, REQUEST, EARLIER), other], known_for(0), None);
        assert_eq!(recorded(both).0.job_ids.len(), 2, "the same associations");
    }

    #[test]
    fn jobs_of_the_same_call_need_not_all_be_listed_yet() {
        let ended = ended(described(7, REQUEST, EARLIER), JobState::EndedWell);
        assert!(waits(decided(&asks_for_12_and_13(), vec![ended], known_for(164), None)));
    }

    #[test]
    fn an_incremental_backup_is_not_taken_for_a_full_one() {
        let full = object(&json!({"backupLevel": "Full"}));
        let job = |level| Job { level, ..described(7, REQUEST, EARLIER) };
        assert!(waits(decided(&full, vec![job(Some(BackupLevel::Incremental))], known_for(1000), None)));
        for taken in [Some(BackupLevel::Full), None] {
            assert_eq!(recorded(decided(&full, vec![job(taken)], known_for(1000), None)).0.job_ids.len(), 1);
        }
        let incremental = decided(&object(&json!({})), vec![job(Some(BackupLevel::Full))], known_for(0), None);
        assert_eq!(recorded(incremental).0.job_ids.len(), 1, "a Command Center may turn it into a full one");
        let asked_full = AttemptStatus { backup_level: Some(BackupLevel::Full), ..earlier().attempt };
        let last = Earlier { attempt: asked_full, ..earlier() };
        let jobs = vec![job(Some(BackupLevel::Full))];
        assert!(waits(decided(&object(&json!({})), jobs, known_for(1000), Some(last))), "unless it is known better");
    }

    #[test]
    fn a_remembered_backup_of_something_else_is_waited_for_where_no_description_comes_back() {
        let more = asks_for_12_and_13();
        assert!(waits(decided(&more, vec![new_job(7)], known_for(1000), Some(earlier()))));
        assert!(waits(decided(&more, vec![], known_for(1000), Some(earlier()))), "it need not be listed yet");
        let ended = vec![ended(new_job(7), JobState::EndedWell)];
        assert!(matches!(decided(&more, ended, known_for(1000), Some(earlier())), Step::Attempt(_)));
        let elsewhere = object(&json!({"associations": [{"clientId": 13}]}));
        assert!(matches!(decided(&elsewhere, vec![], known_for(1000), Some(earlier())), Step::Attempt(_)));
    }

    #[test]
    fn a_list_that_shows_one_of_two_jobs_does_not_hide_the_other_that_is_remembered() {
        let both = Earlier { job_ids: vec![JobId::new(7).unwrap(), JobId::new(8).unwrap()], ..earlier() };
        let status = recorded(decided(
            &object(&json!({})),
            vec![described(7, REQUEST, EARLIER)],
            known_for(0),
            Some(both.clone()),
        ));
        assert_eq!(status.0.job_ids, both.job_ids);
    }
}

mod lost_status {
    use super::*;

    fn with_jobs(object: &SalesforceBackup, jobs: Vec<Job>) -> Step {
        looked(object, Seen { job_list: Some(listed(jobs)), ..seen() }, 1000)
    }

    /// An object that was created at second 0, and of which no status speaks.
    fn created(spec: &Value) -> SalesforceBackup {
        let mut object = object(spec);
        object.metadata.creation_timestamp = Some(Time(at(0).wall));
        object
    }

    fn started(job: Job, seconds: i64) -> Job {
        let mut job = job;
        let second = Timestamp::constant(START + seconds, 0);
        job.shown.started_at = Some(Time(second));
        job
    }

    fn claims(claim: Claim, jobs: &[u64]) -> Other {
        Other {
            uid: "u2".to_owned(),
            namespace: "n".to_owned(),
            secret: None,
            begun: None,
            name: "n/other".to_owned(),
            endpoint: Some(connection().endpoint.to_string()),
            targets: vec![client(12)],
            claim,
            job_ids: jobs.iter().map(|id| JobId::new(*id).unwrap()).collect(),
        }
    }

    #[test]
    fn the_only_backup_since_the_creation_of_an_object_without_a_status_is_its_own() {
        let object = created(&json!({}));
        for job in [started(new_job(7), 10), ended(started(new_job(7), 10), JobState::EndedWell)] {
            let (status, _) = recorded(looked(&object, Seen { job_list: Some(listed(vec![job])), ..seen() }, 9000));
            assert_eq!((status.job_ids.len(), status.adopted), (1, Some(true)));
            assert_eq!(find(&status.conditions, ConditionType::Submitted).unwrap().reason, "StatusRecovered");
        }
        let mut described = ended(started(described(7, REQUEST, EARLIER), 10), JobState::EndedWell);
        described.target = Target::default();
        let (status, _) = recorded(with_jobs(&object, vec![described]));
        assert_eq!(status.job_ids.len(), 1, "whenever it ended");
    }

    #[test]
    fn what_is_older_or_anothers_is_not_its_own() {
        let object = created(&json!({}));
        let none = [
            started(new_job(7), -6),
            new_job(7),
            started(Job { target: client(13), ..new_job(7) }, 10),
            started(described(7, "salesforce-backup-operator/n/other/1c9b5f2e/-", EARLIER), 10),
            started(Job { level: Some(BackupLevel::Differential), ..new_job(7) }, 10),
        ];
        for job in none {
            assert!(matches!(with_jobs(&object, vec![job.clone()]), Step::Attempt(_)), "{job:?}");
        }
        let claimed = Seen {
            job_list: Some(listed(vec![started(new_job(7), 10)])),
            others: Some(vec![Arc::new(claims(Claim::Settled, &[7]))]),
            ..seen()
        };
        assert!(matches!(looked(&object, claimed, 1000), Step::Attempt(_)));
    }

    #[test]
    fn what_cannot_be_told_apart_is_held_and_a_person_can_decide() {
        let object = created(&json!({}));
        let two = vec![started(new_job(7), 10), started(new_job(8), 20)];
        let full = vec![started(Job { level: Some(BackupLevel::Full), ..new_job(7) }, 10)];
        let cases = [(two, vec![]), (full, vec![]), (vec![started(new_job(7), 10)], vec![claims(Claim::Held, &[])])];
        for (jobs, others) in cases {
            let seen = Seen {
                job_list: Some(listed(jobs)),
                others: Some(others.into_iter().map(Arc::new).collect()),
                ..seen()
            };
            let (status, _) = recorded(looked(&object, seen, 1000));
            assert_eq!(reason(&status), (Phase::Held, "StatusLost"));
            let attempt = status.attempt.as_ref().unwrap();
            assert_eq!((attempt.last_job_id_before, attempt.id.is_some()), (Some(6), true), "7 can be adopted");
        }
    }

    #[test]
    fn a_job_that_may_be_of_an_open_attempt_of_another_object_is_waited_for_and_not_held() {
        let object = created(&json!({}));
        let seen = Seen {
            job_list: Some(listed(vec![started(new_job(7), 10)])),
            others: Some(vec![Arc::new(claims(Claim::Open, &[]))]),
            ..seen()
        };
        let (status, again) = recorded(looked(&object, seen, 1000));
        assert_eq!(reason(&status), (Phase::Pending, "TargetBusy"));
        assert!(again.is_some() && status.attempt.is_none_or(|attempt| attempt.id.is_none()));
    }

    #[test]
    fn after_a_change_of_the_spec_its_job_may_be_of_an_earlier_run() {
        let mut object = created(&json!({"runId": "2"}));
        object.metadata.generation = Some(2);
        let (status, _) = recorded(with_jobs(&object, vec![started(new_job(7), 10)]));
        assert_eq!((reason(&status), status.job_ids.len()), ((Phase::Held, "StatusLost"), 0));
    }

    #[test]
    fn a_backup_of_another_run_since_the_creation_of_an_object_without_a_status_is_told_first() {
        let mut object = created(&json!({"runId": "2"}));
        let other_run = |seconds| started(described(7, REQUEST, EARLIER), seconds);
        for job in [other_run(10), ended(other_run(10), JobState::EndedWell)] {
            let (status, _) = recorded(with_jobs(&object, vec![job]));
            assert_eq!((reason(&status), status.job_ids.len()), ((Phase::Held, "StatusLost"), 0));
            assert_eq!(status.attempt.unwrap().last_job_id_before, Some(6), "7 can be adopted");
        }
        assert!(matches!(with_jobs(&object, vec![other_run(-6)]), Step::Attempt(_)), "of an earlier object");
        object.spec.run_id = None;
        assert_eq!(recorded(with_jobs(&object, vec![other_run(10)])).0.job_ids.len(), 1, "of this run");
    }

    #[test]
    fn of_an_object_that_was_created_while_this_process_watched_nothing_can_be_lost() {
        let object = created(&json!({}));
        let seen = Seen { job_list: Some(listed(vec![started(new_job(7), 10)])), ..seen() };
        let remembered = Remembered { appeared: true, ..Remembered::default() };
        let step = decide(&Observed { remembered, seen, ..observed(&object) }, &settings(), &at(20));
        assert!(matches!(step, Step::Attempt(_)), "somebody else started job 7");
    }

    #[test]
    fn it_is_looked_for_until_a_call_is_made_whatever_the_status_says_meanwhile() {
        let object = created(&json!({}));
        let list = |listing| Seen { job_list: Some(listing), ..seen() };
        let failed = list(snapshot(Listing::Failed(crate::command_center::jobs::job::Unreadable::Unusable(
            Unusable::Status(500),
        ))));
        let (status, _) = recorded(looked(&object, failed, 100));
        assert_eq!(reason(&status), (Phase::Pending, "JobListUnavailable"));
        let waiting = SalesforceBackup { status: Some(status), ..object };
        let shows = |started_at| looked(&waiting, list(listed(vec![started(new_job(7), started_at)])), 1000);
        let (status, _) = recorded(shows(50));
        assert_eq!(status.job_ids.len(), 1, "an earlier status may have told of it");
        assert!(matches!(shows(500), Step::Attempt(_)), "this status would tell of it");
        let mut next_run = waiting.clone();
        next_run.spec.run_id = Some("2".to_owned());
        let seen = list(listed(vec![started(new_job(7), 50)]));
        assert!(matches!(looked(&next_run, seen, 1000), Step::Attempt(_)), "another run is a call of its own");
    }

    #[test]
    fn others_are_asked_before_a_job_is_taken() {
        let seen = Seen { others: None, job_list: Some(listed(vec![started(new_job(7), 10)])), ..seen() };
        assert!(matches!(looked(&created(&json!({})), seen, 1000), Step::Look(Look::Others)));
    }

    #[test]
    fn a_command_center_whose_clock_is_off_is_read_by_its_own_date() {
        let object = created(&json!({}));
        let list = |ahead: i64, started_at| {
            let jobs = vec![started(new_job(7), started_at)];
            let server_ahead = SignedDuration::from_hours(ahead);
            snapshot(Listing::Read(JobList { jobs, whole: true, server_ahead, ..JobList::default() }))
        };
        let taken = |list| match looked(&object, Seen { job_list: Some(list), ..seen() }, 1000) {
            Step::Record(status, _) => status.job_ids.len() == 1,
            Step::Attempt(_) => false,
            other => panic!("{other:?}"),
        };
        assert!(taken(list(0, 10)) && taken(list(2, 7210)) && taken(list(-2, -7190)));
        assert!(!taken(list(2, 10)) && !taken(list(-2, -7210)));
    }

    #[test]
    fn an_old_object_is_looked_for_as_far_back_as_it_is_old() {
        let object = created(&json!({}));
        let day = 24 * 60 * 60;
        let query =
            |object: &SalesforceBackup, seconds| match looked(object, Seen { job_list: None, ..seen() }, seconds) {
                Step::Look(Look::JobList(query)) => query.ended_within.as_secs() / day,
                other => panic!("{other:?}"),
            };
        assert_eq!((query(&object, 0), query(&object, 30 * day), query(&object, 365 * day)), (7, 37, 90));
        let pending = after(&object, 0, &refused(RefusedKind::NotFound));
        assert_eq!(query(&pending, 30 * day), 7, "its status speaks of the run");
    }

    #[test]
    fn this_process_remembers_the_request_of_an_object_whose_status_was_removed() {
        let object = created(&json!({}));
        let own = |last: Earlier| Earlier { uid: "u1".to_owned(), ..last };
        let with = |last| decide(&Observed { last_request: Some(last), ..observed(&object) }, &settings(), &at(60));
        for ended in [false, true] {
            let (status, _) = recorded(with(own(Earlier { ended, ..earlier() })));
            assert_eq!((status.phase, status.job_ids, status.adopted), (Some(Phase::Running), earlier().job_ids, None));
            assert_eq!(status.attempt, Some(earlier().attempt));
        }
        let (status, _) = recorded(with(own(Earlier { job_ids: vec![], ..earlier() })));
        assert_eq!(reason(&status), (Phase::Resolving, "AwaitingAnswer"));
        let other_run = own(Earlier { run_id: Some("1".to_owned()), ..earlier() });
        let (status, _) = recorded(with(other_run.clone()));
        assert_eq!((status.phase, status.run_id.as_deref()), (Some(Phase::Running), Some("1")), "it is settled first");
        let seen = Seen { job_list: Some(listed(vec![started(new_job(7), 10)])), ..seen() };
        let ended = Earlier { ended: true, ..other_run };
        let observed = Observed { last_request: Some(ended), seen, ..observed(&object) };
        assert!(matches!(decide(&observed, &settings(), &at(60)), Step::Attempt(_)), "job 7 is another run's");
    }

    #[test]
    fn an_older_copy_does_not_hide_the_request_that_this_process_remembers() {
        let never_asked = created(&json!({}));
        let refused = after(&created(&json!({})), 0, &refused(RefusedKind::RateLimited));
        let mut next_run = after(&created(&json!({})), 0, &accepted());
        let transition = Transition { object: &next_run, now: at(50).wall };
        let ending = crate::backup::status::report::Ending::Completed;
        next_run.status = Some(transition.ended(next_run.status.clone().unwrap(), ending));
        next_run.spec.run_id = Some("2".to_owned());
        let with = |object: &SalesforceBackup, version: &str, ended| {
            let run_id = object.spec.run_id.clone();
            let last = Earlier { uid: "u1".to_owned(), run_id, version: Some("20".to_owned()), ended, ..earlier() };
            let mut object = object.clone();
            object.metadata.resource_version = Some(version.to_owned());
            let remembered = Remembered { appeared: true, ..observed(&object).remembered };
            decide(&Observed { last_request: Some(last), remembered, ..observed(&object) }, &settings(), &at(600))
        };
        for (older, ended) in [(&never_asked, false), (&refused, false), (&refused, true)] {
            let (status, _) = recorded(with(older, "9", ended));
            assert_eq!((status.job_ids, status.attempt), (earlier().job_ids, Some(earlier().attempt)));
        }
        assert!(matches!(with(&refused, "21", false), Step::Attempt(_)), "it was refused since");
        let (status, _) = recorded(with(&next_run, "9", true));
        assert_eq!((status.run_id.as_deref(), status.job_ids), (Some("2"), earlier().job_ids));
    }

    #[test]
    fn a_status_that_lost_only_its_attempt_starts_nothing() {
        let open = open::unknown(&json!({}));
        let accepted = after(&object(&json!({})), 0, &accepted());
        let without = |object: &SalesforceBackup| {
            let mut object = object.clone();
            object.status.as_mut().unwrap().attempt = None;
            object
        };
        for lost in [without(&open), without(&accepted)] {
            let (status, _) = recorded(step(&lost, 10));
            assert_eq!(reason(&status), (Phase::Held, "StatusLost"));
            let next_run = SalesforceBackup { status: Some(status), ..lost.clone() };
            let mut next_run = next_run;
            next_run.spec.run_id = Some("2".to_owned());
            assert!(matches!(step(&next_run, 20), Step::Attempt(_)), "a new run leaves it");
        }
        let mut next_run_at_once = without(&open);
        next_run_at_once.spec.run_id = Some("2".to_owned());
        let (status, _) = recorded(step(&next_run_at_once, 10));
        assert_eq!((reason(&status), status.run_id.clone()), ((Phase::Held, "StatusLost"), None), "it is told first");
        let own = Earlier { uid: "u1".to_owned(), ..earlier() };
        let remembered = |lost: &SalesforceBackup| {
            recorded(decide(&Observed { last_request: Some(own.clone()), ..observed(lost) }, &settings(), &at(10))).0
        };
        let followed = remembered(&without(&accepted));
        assert_eq!(
            (followed.phase, followed.attempt),
            (Some(Phase::Running), Some(earlier().attempt)),
            "it is remembered"
        );
        let recovered = remembered(&without(&open));
        assert_eq!((recovered.attempt, recovered.job_ids), (Some(earlier().attempt), earlier().job_ids));
        assert_eq!(remembered(&next_run_at_once).attempt, Some(earlier().attempt), "whatever is asked for by now");
    }

    #[test]
    fn a_changed_phase_or_end_changes_nothing_of_what_happened() {
        let ended = |ending| {
            let submitted = after(&object(&json!({})), 0, &accepted());
            let transition = Transition { object: &submitted, now: at(50).wall };
            let mut status = submitted.status.clone().unwrap();
            let mut job = Job::bare(149_806).shown;
            job.status = Some("Completed".to_owned());
            status.jobs = vec![job];
            SalesforceBackup { status: Some(transition.ended(status, ending)), ..submitted }
        };
        for ending in [crate::backup::status::report::Ending::Completed] {
            let done = ended(ending);
            for phase in [Phase::Held, Phase::Running, Phase::Pending, Phase::Failed] {
                let mut changed = done.clone();
                changed.status.as_mut().unwrap().phase = Some(phase);
                assert_eq!(recorded(step(&changed, 60)).0, done.status.clone().unwrap(), "{phase:?} is put right");
                changed.status.as_mut().unwrap().finished_at = None;
                let (status, _) = recorded(step(&changed, 60));
                assert_eq!((status.phase, status.finished_at.is_some()), (Some(Phase::Succeeded), true), "{phase:?}");
            }
        }
        let mut held = open::unknown(&json!({}));
        let transition = Transition { object: &held, now: at(50).wall };
        let why = crate::backup::status::messages::conflict_after_nothing();
        held.status =
            Some(transition.held(held.status.clone().unwrap(), why, crate::backup::status::why::Submission::Unknown));
        for phase in [Phase::Running, Phase::Resolving, Phase::Pending, Phase::Succeeded] {
            let mut changed = held.clone();
            changed.status.as_mut().unwrap().phase = Some(phase);
            assert_eq!(recorded(step(&changed, 500_000)).0, held.status.clone().unwrap(), "{phase:?} starts nothing");
        }
    }
}
