//! The conditions under which a lost answer counts as resolved, one by one.

use super::*;

const MARK: i64 = 100;

fn target(client: i64) -> Target {
    Target { client_id: Some(client), ..Target::default() }
}

fn ours() -> AttemptId {
    AttemptId::from("0123456789abcdef0123456789abcdef")
}

/// A job of client 12, of level Full, without a description.
fn job(id: u64) -> Job {
    Job { target: target(12), level: Some(BackupLevel::Full), ..Job::bare(id) }
}

fn marked(id: u64, attempt: &AttemptId) -> Job {
    let described = Described::Ours { request: "r".to_owned(), attempt: attempt.clone() };
    Job { described, ..job(id) }
}

fn list(jobs: Vec<Job>) -> JobList {
    JobList { jobs, whole: true, ..JobList::default() }
}

fn attribute(jobs: Vec<Job>) -> Verdict {
    let id = ours();
    case(&id, &[target(12)]).attribute(&list(jobs))
}

fn case<'a>(id: &'a AttemptId, targets: &'a [Target]) -> AttributionCase<'a> {
    AttributionCase {
        id,
        last_job_id_before: Some(MARK),
        floor: MARK,
        targets,
        level: Some(BackupLevel::Full),
        reaches_back: true,
    }
}

fn numbers(ids: &[u64]) -> Vec<JobId> {
    ids.iter().filter_map(|id| JobId::new(*id)).collect()
}

#[test]
fn all_jobs_that_carry_our_description_are_ours_whatever_else_is_there() {
    let other_target = Job { target: target(99), level: None, ..marked(103, &ours()) };
    let jobs = vec![job(100), marked(101, &ours()), job(102), other_target];
    assert_eq!(attribute(jobs), Verdict::Ours(numbers(&[101, 103])));
}

#[test]
fn without_a_description_the_only_new_job_of_the_target_counts() {
    assert_eq!(attribute(vec![job(100), job(101)]), Verdict::OfTarget(numbers(&[101])));
    let others = [
        (Job { hidden: true, ..job(102) }, Verdict::Nothing),
        (Job { described: Described::Other, ..job(102) }, Verdict::Ambiguous),
        (Job { level: Some(BackupLevel::Incremental), ..job(102) }, Verdict::Ambiguous),
        (marked(102, &AttemptId::from("ffffffffffffffffffffffffffffffff")), Verdict::Nothing),
        (Job { target: target(13), ..job(102) }, Verdict::Nothing),
    ];
    for (other, alone) in others {
        assert_eq!(attribute(vec![job(100), job(101), other.clone()]), Verdict::OfTarget(numbers(&[101])), "{other:?}");
        // A Command Center may make another level of it, or write a description of its own.
        assert_eq!(attribute(vec![job(100), other.clone()]), alone, "{other:?}");
    }
}

#[test]
fn what_cannot_be_told_apart_is_ambiguous() {
    let cases = [
        vec![job(101), job(102)],
        vec![Job { target: Target::default(), ..job(101) }],
        vec![Job { level: None, ..job(101) }],
        vec![job(101), Job { target: Target::default(), ..job(102) }],
    ];
    for jobs in cases {
        assert_eq!(attribute(jobs.clone()), Verdict::Ambiguous, "{jobs:?}");
    }
    let id = ours();
    let unlooked = AttributionCase { last_job_id_before: None, ..case(&id, &[]) };
    let known_target = [target(12)];
    let no_mark = AttributionCase { targets: &known_target, ..unlooked };
    assert_eq!(no_mark.attribute(&list(vec![job(101)])), Verdict::Ambiguous, "it may be older than the attempt");
    let by_names_only = [Target::default()];
    let unlooked = AttributionCase { targets: &by_names_only, ..unlooked };
    assert_eq!(unlooked.attribute(&list(vec![job(101)])), Verdict::Ambiguous);
    let no_level = [target(12)];
    let no_level = AttributionCase { level: None, ..case(&id, &no_level) };
    assert_eq!(no_level.attribute(&list(vec![job(101)])), Verdict::Ambiguous);
}

#[test]
fn a_job_of_an_earlier_run_that_was_not_listed_at_the_look_is_not_this_attempts() {
    let id = ours();
    let targets = [target(12)];
    let after_another_run = AttributionCase { floor: 101, ..case(&id, &targets) };
    assert_eq!(after_another_run.attribute(&list(vec![job(100), job(101)])), Verdict::Nothing);
    assert_eq!(
        after_another_run.attribute(&list(vec![job(100), job(101), job(102)])),
        Verdict::OfTarget(numbers(&[102]))
    );
}

#[test]
fn several_targets_need_one_job_each() {
    let id = ours();
    let targets = [target(12), target(13)];
    let of_13 = |id| Job { target: target(13), ..job(id) };
    let attribute = |jobs| case(&id, &targets).attribute(&list(jobs));
    assert_eq!(attribute(vec![job(101), of_13(102)]), Verdict::OfTarget(numbers(&[101, 102])));
    assert_eq!(attribute(vec![job(101)]), Verdict::Ambiguous);
    assert_eq!(attribute(vec![job(101), job(103), of_13(102)]), Verdict::Ambiguous);
    let twice = [target(12), target(12)];
    assert_eq!(case(&id, &twice).attribute(&list(vec![job(101), job(102)])), Verdict::Ambiguous);
}

#[test]
fn nothing_is_concluded_only_from_a_complete_answer() {
    let id = ours();
    let targets = [target(12)];
    let case = case(&id, &targets);
    let old = vec![job(99), job(100)];
    assert_eq!(case.attribute(&list(old.clone())), Verdict::Nothing);
    let incomplete = Verdict::Incomplete(Vec::new());
    assert_eq!(case.attribute(&JobList { whole: false, ..list(old.clone()) }), incomplete, "rows may be missing");
    assert_eq!(
        AttributionCase { reaches_back: false, ..case }.attribute(&list(old)),
        incomplete,
        "it begins after the attempt"
    );
    assert_eq!(case.attribute(&list(vec![job(99)])), incomplete, "the last job before is not among the rows");
    assert_eq!(case.attribute(&list(vec![])), incomplete);
    let unlooked = AttributionCase { last_job_id_before: None, ..case };
    assert_eq!(unlooked.attribute(&list(vec![])), incomplete, "nobody knows what was there before");
    let none_before = AttributionCase { last_job_id_before: Some(0), floor: 0, ..case };
    assert_eq!(none_before.attribute(&list(vec![])), Verdict::Nothing);
    let foreign = Job { target: target(13), ..job(5) };
    assert_eq!(
        none_before.attribute(&list(vec![foreign])),
        Verdict::Nothing,
        "a whole list with other rows tells as much"
    );
    let found = JobList { whole: false, ..list(vec![marked(101, &ours())]) };
    assert_eq!(case.attribute(&found), Verdict::Incomplete(numbers(&[101])), "more jobs of ours may be missing");
}

#[test]
fn an_earlier_job_of_the_request_is_the_newest_attempts_and_above_the_floor() {
    let (first, second) = (AttemptId::random(), AttemptId::random());
    let jobs = list(vec![marked(5, &first), marked(6, &second), marked(7, &second), job(8)]);
    let all = |_: &Job| true;
    assert_eq!(earlier_jobs(&jobs, "r", 0, all), Some((second, numbers(&[6, 7]))));
    assert_eq!(earlier_jobs(&jobs, "r", 0, |job| job.shown.id.number() == 5), Some((first, numbers(&[5]))));
    assert_eq!(earlier_jobs(&jobs, "r", 7, all), None);
    assert_eq!(earlier_jobs(&jobs, "other", 0, all), None);
}
