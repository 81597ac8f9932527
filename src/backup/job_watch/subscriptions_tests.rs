//! Times of questions and contents of updates, without a Command Center.

use super::*;
use crate::{
    api::JobId,
    backup::job_watch::{
        schedule::{LACKING, MARGIN, WITHOUT_LIST},
        subscription::{JobView, Pace, UNKNOWN_LOOKS},
    },
    command_center::{
        create_task::outcome::RefusedKind,
        jobs::{
            job::{Job, JobReading, Unreadable},
            list::{JobList, JobQuery, Listing},
            state::JobState,
            unusable::Unusable,
        },
    },
    connections::problem::SecretProblem,
    kubernetes::key::{ObjectKey, SecretKey},
};

const HERE: &str = "https://cc.example.com/api";
const INTERVAL: Duration = Duration::from_secs(30);
const HOUR: Duration = Duration::from_hours(1);

fn at(seconds: u64) -> BootTime {
    BootTime::after_boot(Duration::from_secs(100_000 + seconds))
}

fn secret() -> SecretKey {
    SecretKey::new("n", "cc")
}

fn id(number: u64) -> JobId {
    JobId::new(number).unwrap()
}

/// One that has waited for an hour.
fn wait(jobs: &[u64]) -> Subscription {
    let first = jobs.first().copied().unwrap_or_default();
    Subscription {
        object: ObjectKey::new("n", format!("crm-{first}")),
        endpoint: HERE.to_owned(),
        jobs: jobs.iter().map(|job| id(*job)).collect(),
        clients: Some(vec![12]),
        accepted_ago: HOUR,
        pace: Pace::Usual,
    }
}

fn young(jobs: &[u64]) -> Subscription {
    Subscription { accepted_ago: Duration::ZERO, ..wait(jobs) }
}

fn all(waits: impl IntoIterator<Item = Subscription>) -> Subscriptions {
    let mut subscriptions = Subscriptions::new(INTERVAL);
    for wait in waits {
        let uid = format!("u{}", wait.jobs[0]);
        assert_eq!(subscriptions.ask(secret(), &uid, wait, at(0)).0, None);
    }
    subscriptions
}

fn due(subscriptions: &mut Subscriptions, seconds: u64) -> (usize, Option<Duration>) {
    let (begin, next) = subscriptions.due(|_, _| true, at(seconds));
    (begin.len(), next)
}

/// Begins a round at `seconds`, which must be due by then.
fn begin(subscriptions: &mut Subscriptions, seconds: u64) -> JobQuery {
    assert_eq!(due(subscriptions, seconds).0, 1, "a round is due");
    subscriptions.schedule(&secret()).unwrap().connected(Ok(HERE.to_owned()), at(seconds)).unwrap()
}

/// A list of these jobs, which run.
fn list(jobs: impl IntoIterator<Item = u64>) -> Listing {
    Listing::Read(JobList { jobs: jobs.into_iter().map(Job::bare).collect(), whole: true, ..JobList::default() })
}

/// A whole round at `seconds`: gives what was looked up, and how many objects were told something new.
fn round(
    subscriptions: &mut Subscriptions,
    seconds: u64,
    listing: &Listing,
    reading: &JobReading,
) -> (Vec<JobId>, usize) {
    begin(subscriptions, seconds);
    let schedule = subscriptions.schedule(&secret()).unwrap();
    let lacking = schedule.listed(listing, None, at(seconds));
    let read = |job: &JobId| match reading {
        JobReading::Found(_) => (*job, JobReading::Found(Job::bare(u64::try_from(job.number()).unwrap()))),
        other => (*job, other.clone()),
    };
    schedule.looked_up(lacking.iter().map(read).collect(), listing, at(seconds));
    (lacking, schedule.done().len())
}

/// View of the only job of the object `uid`.
fn known(subscriptions: &mut Subscriptions, wait: Subscription, seconds: u64) -> JobView {
    let uid = format!("u{}", wait.jobs[0]);
    subscriptions.ask(secret(), &uid, wait, at(seconds)).0.unwrap().jobs.remove(0).1
}

#[test]
fn one_list_serves_a_thousand_jobs_and_tells_everybody_once() {
    let mut subscriptions = all((1..=1000).map(|job| wait(&[job])));
    let everything = list(1..=1000);
    assert_eq!(round(&mut subscriptions, 30, &everything, &JobReading::Missing), (vec![], 1000));
    assert_eq!(round(&mut subscriptions, 60, &everything, &JobReading::Missing), (vec![], 0), "there is no news");
}

#[test]
fn rounds_come_once_an_interval_sooner_for_young_jobs_and_one_at_a_time() {
    let mut subscriptions = all([wait(&[1])]);
    round(&mut subscriptions, 30, &list([1]), &JobReading::Missing);
    assert_eq!(due(&mut subscriptions, 40), (0, Some(Duration::from_secs(20))));
    subscriptions.ask(secret(), "u2", young(&[2]), at(40));
    round(&mut subscriptions, 40, &list([1, 2]), &JobReading::Missing);
    assert_eq!(due(&mut subscriptions, 44), (0, Some(Duration::from_secs(1))));
    begin(&mut subscriptions, 45);
    assert_eq!(due(&mut subscriptions, 1000), (0, None), "while one is under way, none begins");
    subscriptions.schedule(&secret()).unwrap().done();
    round(&mut subscriptions, 95, &list([1, 2]), &JobReading::Missing);
    assert_eq!(
        due(&mut subscriptions, 101),
        (0, Some(Duration::from_secs(24))),
        "after a minute it is not young any more"
    );
}

#[test]
fn whoever_asks_is_woken_only_for_those_who_want_to_know_sooner() {
    let mut subscriptions = Subscriptions::new(INTERVAL);
    let sooner = |subscriptions: &mut Subscriptions, wait: Subscription| {
        subscriptions.ask(secret(), &format!("u{}", wait.jobs[0]), wait, at(0)).1
    };
    assert!(sooner(&mut subscriptions, wait(&[1])), "it is the first one");
    assert!(!sooner(&mut subscriptions, wait(&[2])));
    assert!(sooner(&mut subscriptions, young(&[3])));
    assert!(!sooner(&mut subscriptions, young(&[3])), "it has asked before");
    assert!(sooner(&mut subscriptions, Subscription { pace: Pace::Soon, ..wait(&[2]) }), "it is being deleted now");
}

#[test]
fn the_first_rounds_of_many_connections_are_spread_over_the_interval() {
    let mut subscriptions = Subscriptions::new(INTERVAL);
    for number in 0..300 {
        let secret = SecretKey::new("n", format!("cc-{number}"));
        subscriptions.ask(secret, &format!("u{number}"), wait(&[number + 1]), at(0));
    }
    let at_once = subscriptions.due(|_, _| true, at(0)).0.len();
    let in_half = subscriptions.due(|_, _| true, at(15)).0.len();
    let in_all = subscriptions.due(|_, _| true, at(30)).0.len();
    assert!(at_once < 10 && (100..200).contains(&in_half) && at_once + in_half + in_all == 300);
}

#[test]
fn a_server_that_asks_for_time_gets_it_even_if_everybody_has_left_meanwhile() {
    let mut subscriptions = all([wait(&[1])]);
    begin(&mut subscriptions, 30);
    let schedule = subscriptions.schedule(&secret()).unwrap();
    schedule.listed(
        &Listing::Failed(Unreadable::Unusable(Unusable::Status(500))),
        Some(Duration::from_mins(10)),
        at(30),
    );
    schedule.done();
    subscriptions.leave("u1");
    assert_eq!(due(&mut subscriptions, 100), (0, None));
    subscriptions.ask(secret(), "u2", young(&[2]), at(100));
    assert_eq!(due(&mut subscriptions, 629), (0, Some(Duration::from_secs(1))));
    begin(&mut subscriptions, 630);
    let schedule = subscriptions.schedule(&secret()).unwrap();
    schedule.listed(&Listing::Failed(Unreadable::Unusable(Unusable::Status(500))), Some(Duration::ZERO), at(630));
    schedule.done();
    assert_eq!(
        due(&mut subscriptions, 640),
        (0, Some(Duration::from_secs(50))),
        "where it does not say, for two intervals"
    );
}

#[test]
fn nothing_is_asked_for_objects_that_left_or_are_gone() {
    let mut subscriptions = all([wait(&[1]), wait(&[2])]);
    subscriptions.leave("u1");
    assert_eq!(subscriptions.due(|uid, _| uid != "u2", at(30)), (vec![], None));
    assert!(subscriptions.schedule(&secret()).is_none());
}

#[test]
fn an_object_that_changes_its_secret_waits_at_the_other_one() {
    let mut subscriptions = all([wait(&[1])]);
    subscriptions.ask(SecretKey::new("n", "other"), "u1", wait(&[1]), at(0));
    let (begin, _) = subscriptions.due(|_, _| true, at(30));
    assert_eq!(begin, [SecretKey::new("n", "other")]);
}

#[test]
fn the_list_reaches_back_to_where_the_jobs_began_and_then_to_the_last_whole_list() {
    let mut subscriptions = all([wait(&[1]), young(&[2])]);
    let first = begin(&mut subscriptions, 30);
    assert_eq!((first.ended_within, first.clients), (HOUR + Duration::from_secs(30) + MARGIN, vec![12]));
    let schedule = subscriptions.schedule(&secret()).unwrap();
    schedule.listed(&list([1, 2]), None, at(30));
    schedule.done();
    assert_eq!(begin(&mut subscriptions, 60).ended_within, Duration::from_secs(30) + MARGIN);
    let schedule = subscriptions.schedule(&secret()).unwrap();
    schedule.listed(&Listing::Failed(Unreadable::Unusable(Unusable::Status(500))), None, at(60));
    schedule.done();
    let day = 24 * 60 * 60;
    assert_eq!(
        begin(&mut subscriptions, day).ended_within,
        Duration::from_secs(day - 30) + MARGIN,
        "after a day's outage"
    );
}

#[test]
fn the_list_is_asked_for_by_client_only_when_all_are_known_and_few() {
    let clients = |waits: Vec<Subscription>| begin(&mut all(waits), 30).clients;
    let of = |job: u64, client: i64| Subscription { clients: Some(vec![client]), ..wait(&[job]) };
    assert_eq!(clients(vec![of(1, 13), of(2, 12), of(3, 13)]), [12, 13]);
    assert_eq!(clients(vec![of(1, 13), Subscription { clients: None, ..wait(&[2]) }]), [0; 0]);
    assert_eq!(clients((1..=51).map(|client| of(client, i64::try_from(client).unwrap())).collect()), [0; 0]);
}

#[test]
fn a_list_that_does_not_show_what_runs_is_asked_for_as_a_whole_and_then_not_relied_on() {
    let mut subscriptions = all((1..=200).map(|job| wait(&[job])));
    let runs = JobReading::Found(Job::bare(1));
    assert_eq!(round(&mut subscriptions, 30, &list([]), &runs).0.len(), LACKING);
    assert_eq!(begin(&mut subscriptions, 60).clients, [0; 0]);
    let schedule = subscriptions.schedule(&secret()).unwrap();
    let lacking = schedule.listed(&list([]), None, at(60));
    assert_eq!((lacking.len(), lacking[0]), (LACKING, id(9)), "those that were not looked up come first");
    schedule.looked_up(lacking.iter().map(|job| (*job, runs.clone())).collect(), &list([]), at(60));
    schedule.done();
    assert_eq!(round(&mut subscriptions, 90, &list([]), &runs).0.len(), WITHOUT_LIST);
}

#[test]
fn a_job_that_the_list_lacks_is_looked_up_but_not_while_it_is_new_and_not_more_often_than_asked_for() {
    let mut subscriptions = all([young(&[1])]);
    assert_eq!(round(&mut subscriptions, 4, &list([]), &JobReading::Missing).0, [], "it need not be listed yet");
    assert_eq!(round(&mut subscriptions, 9, &list([]), &JobReading::Missing).0, [id(1)]);
    let lost = Subscription { pace: Pace::Rarely, ..wait(&[1]) };
    let missing = known(&mut subscriptions, lost, 10);
    assert_eq!((missing.reading, missing.missing_since), (JobReading::Missing, Some(at(9))));
    subscriptions.ask(secret(), "u2", wait(&[2]), at(10));
    for seconds in [39, 69] {
        assert_eq!(round(&mut subscriptions, seconds, &list([2]), &JobReading::Missing).0, [], "at {seconds}");
    }
    assert_eq!(round(&mut subscriptions, 609, &list([2]), &JobReading::Missing).0, [id(1)]);
    assert_eq!(known(&mut subscriptions, wait(&[1]), 610).missing_since, Some(at(9)), "it is missing since then");
    round(&mut subscriptions, 640, &list([1, 2]), &JobReading::Missing);
    assert_eq!(known(&mut subscriptions, wait(&[1]), 641).missing_since, None, "it is back");
}

#[test]
fn a_job_is_looked_up_each_round_however_long_each_list_takes() {
    let mut subscriptions = all([wait(&[1])]);
    for (begins, listed) in [(30, 45), (60, 61), (90, 90)] {
        begin(&mut subscriptions, begins);
        let schedule = subscriptions.schedule(&secret()).unwrap();
        assert_eq!(schedule.listed(&list([]), None, at(listed)), [id(1)], "in the round at {begins}");
        schedule.done();
    }
}

#[test]
fn a_page_that_may_be_anybodys_does_not_say_that_a_job_is_missing() {
    let no_list = Listing::NotAllowed(RefusedKind::NotFound.into());
    let no_right = Listing::NotAllowed(RefusedKind::Forbidden.into());
    for (listing, reading) in [
        (&no_list, JobReading::Unreadable(Unreadable::Unusable(Unusable::Status(404)))),
        (&no_right, JobReading::Missing),
        (&list([]), JobReading::Missing),
    ] {
        let mut subscriptions = all([wait(&[1])]);
        assert_eq!(round(&mut subscriptions, 30, listing, &JobReading::NotFound).0, [id(1)]);
        assert_eq!(known(&mut subscriptions, wait(&[1]), 31).reading, reading, "{listing:?}");
    }
}

#[test]
fn where_there_is_no_list_jobs_are_looked_up_and_where_nothing_answers_they_are_not() {
    let forbidden = JobReading::Unreadable(Unreadable::Refused(RefusedKind::Forbidden));
    let mut subscriptions = all((1..=100).map(|job| wait(&[job])));
    let no_right = Listing::NotAllowed(RefusedKind::Forbidden.into());
    assert_eq!(round(&mut subscriptions, 30, &no_right, &forbidden).0.len(), WITHOUT_LIST);
    assert_eq!(round(&mut subscriptions, 60, &no_right, &forbidden).0[0], id(65), "the others come next");
    assert_eq!(known(&mut subscriptions, wait(&[1]), 61).refused_looks, 2);
    let token = Listing::NotAllowed(RefusedKind::TokenRejected.into());
    for (listing, cause) in [
        (&token, Unreadable::Refused(RefusedKind::TokenRejected)),
        (&Listing::Failed(Unreadable::Unusable(Unusable::Status(500))), Unreadable::Unusable(Unusable::Status(500))),
    ] {
        let mut subscriptions = all([wait(&[1]), wait(&[2])]);
        assert_eq!(round(&mut subscriptions, 30, listing, &JobReading::Missing), (vec![], 2));
        assert_eq!(known(&mut subscriptions, wait(&[2]), 31).reading, JobReading::Unreadable(cause));
    }
}

#[test]
fn what_one_command_center_said_is_forgotten_when_the_secret_points_to_another() {
    let mut subscriptions = all([wait(&[1])]);
    round(&mut subscriptions, 30, &list([1]), &JobReading::Missing);
    assert_eq!(due(&mut subscriptions, 60).0, 1);
    let schedule = subscriptions.schedule(&secret()).unwrap();
    assert_eq!(schedule.connected(Ok("https://other.example.com/api".to_owned()), at(60)), None, "nobody waits there");
    assert_eq!(schedule.done().len(), 1);
    let told = subscriptions.ask(secret(), "u1", wait(&[1]), at(61)).0.unwrap();
    assert_eq!((told.connection, told.jobs), (Ok("https://other.example.com/api".to_owned()), vec![]));
    assert_eq!(due(&mut subscriptions, 90).0, 1);
    let schedule = subscriptions.schedule(&secret()).unwrap();
    assert_eq!(schedule.connected(Err(SecretProblem::NotFound), at(90)), None);
    assert_eq!(schedule.done().len(), 1);
    assert_eq!(
        begin(&mut subscriptions, 120).ended_within,
        HOUR + Duration::from_secs(59) + MARGIN,
        "all is asked anew"
    );
}

#[test]
fn it_is_counted_how_often_in_a_row_a_job_had_ended_with_a_word_that_is_not_known() {
    let state = |state| {
        let jobs = vec![Job { state, ..Job::bare(1) }];
        Listing::Read(JobList { jobs, whole: true, ..JobList::default() })
    };
    let mut subscriptions = all([wait(&[1])]);
    let mut looks = |seconds, listing: &Listing| {
        let news = round(&mut subscriptions, seconds, listing, &JobReading::Missing).1;
        (known(&mut subscriptions, wait(&[1]), seconds + 1).unknown_ends, news)
    };
    assert_eq!(looks(30, &state(JobState::EndedUnknown)).0, 1);
    assert_eq!(looks(60, &state(JobState::EndedUnknown)), (2, 1));
    assert_eq!(looks(90, &Listing::Failed(Unreadable::Unusable(Unusable::Status(500)))).0, 2, "no look at the job");
    assert_eq!(looks(120, &state(JobState::EndedUnknown)), (UNKNOWN_LOOKS, 1));
    assert_eq!(looks(150, &state(JobState::EndedUnknown)), (UNKNOWN_LOOKS, 0), "nobody is told of more");
    assert_eq!(looks(180, &state(JobState::Active)).0, 0);
}

#[test]
fn the_list_is_not_read_further_than_to_the_lowest_job_that_is_awaited() {
    let mut subscriptions = all([wait(&[90, 70]), wait(&[80])]);
    assert_eq!(begin(&mut subscriptions, 30).down_to, 70);
}

#[test]
fn one_who_waits_as_usual_is_not_kept_waiting_by_one_who_wants_to_know_rarely() {
    let mut subscriptions = all([Subscription { pace: Pace::Rarely, ..wait(&[1]) }]);
    round(&mut subscriptions, 600, &list([1]), &JobReading::Missing);
    assert!(subscriptions.ask(secret(), "u2", wait(&[2]), at(610)).1);
    assert_eq!(due(&mut subscriptions, 610).1, Some(Duration::from_secs(20)));
    assert!(!subscriptions.ask(secret(), "u3", wait(&[3]), at(611)).1, "the next round is soon enough");
}
