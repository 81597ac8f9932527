//! Lists that many share, beside lists of each object's own.

use futures::future::join_all;

use super::*;
use crate::{
    command_center::{
        client::CommandCenter,
        gate::{Pass, limits::Limits, need::Need},
        jobs::{
            fetch::tests::{id, simulator},
            job::Unreadable,
            unusable::Unusable,
        },
    },
    simulator::{Association, BackupLevel, Fault, Operation, Simulator, When},
};

const WEEK: Duration = Duration::from_hours(7 * 24);

fn of(client: i64) -> JobQuery {
    JobQuery { ended_within: WEEK, clients: vec![client], down_to: 0, enough: None }
}

fn starts(simulator: &Simulator, client: i64) {
    let target = Association { client_id: Some(client.cast_unsigned()), ..Association::default() };
    let _ = simulator.start_foreign_job(target, BackupLevel::Full, None);
}

async fn pass(center: &CommandCenter, connection: &Connection) -> Arc<Pass> {
    Arc::new(center.gates.pass(&id(connection), Need::Look).await.unwrap())
}

/// The lists of these queries, asked for at once while another list is under way.
async fn together(center: &Arc<CommandCenter>, connection: &Connection, queries: &[JobQuery]) -> Vec<Listing> {
    let first = of(1000);
    let lists = join_all([&first].into_iter().chain(queries).map(async |query| {
        let pass = pass(center, connection).await;
        center.list_with_others(&pass, connection, query).await.unwrap().1.listing
    }));
    lists.await.split_off(1)
}

fn without_room(listing: Listing) -> Listing {
    match listing {
        Listing::Read(list) => Listing::Read(JobList { server_ahead: jiff::SignedDuration::ZERO, ..list }),
        other => other,
    }
}

#[tokio::test]
async fn objects_that_wait_for_a_list_share_the_next_one_and_each_gets_what_its_own_would_say() {
    let (simulator, connection) = simulator().await;
    for client in [1, 2, 2, 7] {
        starts(&simulator, client);
    }
    let queries: Vec<JobQuery> = (1..=5).map(of).chain([JobQuery { clients: vec![2, 7], ..of(0) }]).collect();
    let calls = || simulator.calls()[&Operation::ListJobs];
    let center = Arc::new(CommandCenter::new(Duration::from_secs(30), Limits::NONE));
    let before = calls();
    let shared = together(&center, &connection, &queries).await;
    assert_eq!(calls() - before, 2, "one that was under way, and one for all who waited");
    for (query, shared) in queries.iter().zip(shared) {
        let pass = pass(&center, &connection).await;
        let own = center.list(&pass, &connection, query).await.unwrap().listing;
        assert_eq!(without_room(shared), without_room(own), "{query:?}");
    }
}

#[tokio::test]
async fn a_list_that_is_refused_or_does_not_come_is_shared_too() {
    let (simulator, connection) = simulator().await;
    let center = Arc::new(CommandCenter::new(Duration::from_secs(30), Limits::NONE));
    let before = simulator.calls()[&Operation::ListJobs];
    let answer = |status: http::StatusCode| Fault::answer(Operation::ListJobs, When::BeforeExecuting, status, "{}");
    simulator.set_faults(vec![answer(http::StatusCode::FORBIDDEN)]);
    let refused = together(&center, &connection, &[of(1), of(2)]).await;
    assert!(refused.iter().all(|listing| matches!(listing, Listing::NotAllowed(_))), "{refused:?}");
    simulator.set_faults(vec![answer(http::StatusCode::INTERNAL_SERVER_ERROR)]);
    let failed = together(&center, &connection, &[of(1), of(2)]).await;
    let cause = Listing::Failed(Unreadable::Unusable(Unusable::Status(500)));
    assert_eq!(failed, [cause.clone(), cause]);
    assert_eq!(simulator.calls()[&Operation::ListJobs] - before, 4);
}

#[tokio::test]
async fn queries_that_differ_in_more_than_their_clients_do_not_share() {
    let (simulator, connection) = simulator().await;
    let center = Arc::new(CommandCenter::new(Duration::from_secs(30), Limits::NONE));
    let before = simulator.calls()[&Operation::ListJobs];
    let queries =
        [of(1), JobQuery { ended_within: Duration::ZERO, ..of(2) }, JobQuery { clients: Vec::new(), ..of(0) }];
    together(&center, &connection, &queries).await;
    assert_eq!(simulator.calls()[&Operation::ListJobs] - before, 4);
}

/// The jobs of a list by their clients, none for one that does not show its client.
fn list(clients: &[Option<i64>]) -> JobList {
    let job = |(id, client): (usize, &Option<i64>)| {
        let body = serde_json::json!({"jobs": [{"jobSummary": {
            "jobId": id + 1, "status": "Running", "subclient": {"clientId": client},
        }}]});
        let mut found = None;
        crate::command_center::jobs::rows::read(body.to_string().as_bytes(), &mut |row| {
            let id = crate::api::JobId::new(u64::try_from(id).unwrap() + 1).unwrap();
            found = row
                .map(|row| crate::command_center::jobs::job::job(&row, id, &crate::command_center::Redaction::of([])));
        });
        found.unwrap()
    };
    let jobs = clients.iter().enumerate().map(job).collect();
    JobList { jobs, whole: true, counted: true, ..JobList::default() }
}

#[test]
fn of_a_list_that_does_not_tell_whose_rows_it_has_nobody_takes_a_part() {
    let asked = union(&[of(1), of(2)]);
    let parts = |list: JobList| part(&Listing::Read(list), &asked, &of(1));
    let ids = |list: JobList| match parts(list) {
        Some(Listing::Read(list)) => list.jobs.iter().map(|job| job.shown.id.number()).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    let good = list(&[Some(1), Some(2), Some(1)]);
    assert_eq!(ids(good.clone()), [1, 3]);
    assert_eq!(ids(list(&[Some(2)])), [0; 0], "a count of all rows shows that it has none");
    assert!(parts(list(&[Some(1), None])).is_none(), "a row without its client");
    assert!(parts(list(&[Some(1), Some(3)])).is_none(), "a client that nobody asked for");
    assert!(parts(JobList { whole: false, ..good.clone() }).is_none(), "rows may be missing");
    assert!(parts(JobList { counted: false, ..good.clone() }).is_none(), "no count, so that no rows say nothing");
    assert!(parts(JobList { remark: Remark::Cut, ..good }).is_none());
}

#[test]
fn a_shared_query_asks_for_all_that_each_asks_for() {
    let enough =
        |request: &str| Enough { ended_within: Duration::from_hours(2), requests: [request.to_owned()].into() };
    let query = |client, down_to, request| JobQuery { down_to, enough: Some(enough(request)), ..of(client) };
    let asked = union(&[query(7, 40, "a"), query(2, 30, "b"), query(7, 50, "c")]);
    assert_eq!((asked.clients, asked.down_to, asked.ended_within), (vec![2, 7], 30, WEEK));
    let requests: Vec<String> = asked.enough.unwrap().requests.into_iter().collect();
    assert_eq!(requests, ["a", "b", "c"]);
    let many: Vec<JobQuery> = (0..200).map(of).collect();
    assert!(has_room(&many[..199], &many[199]) && has_room(&many, &of(7)) && !has_room(&many, &of(200)));
}
