//! Reads the job list, page by page. A query, a connection and a pass go in, a [`Listed`] comes out. It needs the
//! client; [`list`] decides which page comes next.

use std::{sync::Arc, time::Duration};

use jiff::SignedDuration;

use crate::{
    command_center::{
        client::{ClientError, CommandCenter, MAX_PAGE},
        connection::Connection,
        gate::Pass,
        jobs::{
            list::{self, JobList, JobQuery, Listed, Listing, Next, Pages},
            shared::{self, Key, SharedList},
        },
        reply::{NoAnswer, Reply},
    },
    time::clock::{self, Now},
};

impl CommandCenter {
    /// Reads the list, as far as the query needs it.
    ///
    /// # Errors
    /// No client can be set up for the connection's certificates.
    pub async fn list(&self, pass: &Pass, connection: &Connection, query: &JobQuery) -> Result<Listed, ClientError> {
        let endpoint = connection.endpoint.to_string();
        let first = self.pages.of(pass.connection());
        let room = self.room.share(&endpoint, list::FREE);
        let (mut pages, mut at, mut asked_to_wait) = (Pages::of(first, query, room), (0, first), None);
        let began = clock::now().boot;
        let mut largest = 0;
        loop {
            let reply = self.jobs(pass, connection, &pages.request(query, at)).await?;
            asked_to_wait = asked_to_wait.max(asks_to_wait(&reply));
            if let Reply::Answer(answer) = &reply {
                largest = largest.max(answer.body.len());
            }
            let is_late = clock::now().boot.since(began) >= self.request_timeout;
            match pages.push(&reply, is_late, &connection.redaction) {
                (_, Next::Done(Listing::Read(list))) => {
                    self.pages.read(pass.connection(), at.1, largest, MAX_PAGE);
                    let listing = Listing::Read(JobList { server_ahead: server_ahead(&reply), ..list });
                    return Ok(Listed { listing, asked_to_wait });
                }
                (_, Next::Done(listing)) => return Ok(Listed { listing, asked_to_wait }),
                (read, Next::Page(offset, limit)) => (pages, at) = (read, (offset, limit)),
            }
            // A size of page that was too large is not asked for again.
            if reply == Reply::NoAnswer(NoAnswer::TooLarge) {
                self.pages.note(pass.connection(), at.1);
            }
        }
    }

    /// The job list for `query` that is asked for after this call, alone or with others, and the time at which it is asked
    /// for.
    ///
    /// # Errors
    /// No client can be set up for the connection's certificates.
    pub async fn list_with_others(
        self: &Arc<Self>,
        pass: &Arc<Pass>,
        connection: &Connection,
        query: &JobQuery,
    ) -> Result<(Now, Listed), ClientError> {
        let key = Key::of(pass.connection(), connection, query);
        let (center, pass_of_all, its) = (Arc::clone(self), Arc::clone(pass), connection.clone());
        let fly = |queries: Vec<JobQuery>| async move {
            let (query, is_shared) = (Arc::new(shared::union(&queries)), queries.len() > 1);
            let as_of = clock::now();
            let listed = center.list(&pass_of_all, &its, &query).await.ok().map(Arc::new);
            SharedList { as_of, listed, query, is_shared }
        };
        let shared = self.lists.join(key, query.clone(), shared::has_room, fly).await;
        match shared.part(query) {
            Some(listed) => Ok((shared.as_of, listed)),
            // Boxed, because hundreds may wait in the line above, and few come to this.
            None => Ok((clock::now(), Box::pin(self.list(pass, connection, query)).await?)),
        }
    }
}

/// The time by which the server's clock is ahead of this machine's, by an answer that has just come.
fn server_ahead(reply: &Reply) -> SignedDuration {
    let Reply::Answer(answer) = reply else { return SignedDuration::ZERO };
    answer.date.map_or(SignedDuration::ZERO, |date| date.duration_since(clock::now().wall))
}

fn asks_to_wait(reply: &Reply) -> Option<Duration> {
    let Reply::Answer(answer) = reply else { return None };
    match answer.status {
        429 => Some(answer.retry_after.unwrap_or_default()),
        503 => answer.retry_after,
        _ => None,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use k8s_openapi::ByteString;

    use super::*;
    use crate::{
        command_center::{
            connection::ConnectionId,
            endpoint::EndpointPolicy,
            gate::{limits::Limits, need::Need},
            jobs::{job::Unreadable, narrowed::Enough, unusable::Unusable},
        },
        simulator::{Association, BackupLevel, Behaviour, Fault, Operation, Options, Reply as Answer, Simulator, When},
    };

    const EVERYTHING: JobQuery =
        JobQuery { ended_within: Duration::ZERO, clients: Vec::new(), down_to: 0, enough: None };

    /// A simulator whose jobs go on, and a connection to it.
    pub async fn simulator() -> (Simulator, Connection) {
        // A job that ends while pages are read would leave the list.
        let behaviour = Behaviour { job_duration: Duration::from_hours(1), ..Behaviour::default() };
        let simulator = Simulator::start(Options { behaviour, ..Options::default() }).await.unwrap();
        let keys = [("url", simulator.url()), ("token", simulator.token().to_owned())];
        let data = keys.map(|(key, value)| (key.to_owned(), ByteString(value.into_bytes())));
        let policy = EndpointPolicy { allow_insecure_http: true, ..EndpointPolicy::default() };
        let connection = Connection::from_secret(&data.into(), "1", &policy).unwrap();
        (simulator, connection)
    }

    pub fn id(connection: &Connection) -> ConnectionId {
        ConnectionId::new("n", "s", &connection.endpoint)
    }

    async fn listed(client: &CommandCenter, connection: &Connection, query: &JobQuery) -> Listed {
        let pass = client.gates.pass(&id(connection), Need::Look).await.unwrap();
        client.list(&pass, connection, query).await.unwrap()
    }

    /// The whole list, and the number of calls that it took.
    async fn whole(
        client: &CommandCenter,
        simulator: &Simulator,
        connection: &Connection,
        query: &JobQuery,
    ) -> (JobList, u64) {
        let calls = || simulator.calls()[&Operation::ListJobs];
        let before = calls();
        match listed(client, connection, query).await.listing {
            Listing::Read(list) if list.whole => (list, calls() - before),
            other => panic!("{other:?}"),
        }
    }

    /// The number of jobs that are listed, and of the calls that it took.
    async fn list(client: &CommandCenter, simulator: &Simulator, connection: &Connection) -> (usize, u64) {
        let (list, calls) = whole(client, simulator, connection, &EVERYTHING).await;
        (list.jobs.len(), calls)
    }

    #[tokio::test]
    async fn thousands_of_jobs_come_in_pages_of_a_thousand_or_of_as_many_as_are_read_of_an_answer() {
        let (simulator, connection) = simulator().await;
        let client = CommandCenter::new(Duration::from_secs(30), Limits::NONE);
        let start = |description: Option<String>| {
            let _ = simulator.start_foreign_job(Association::default(), BackupLevel::Full, description);
        };
        (0..2500).for_each(|_| start(None));
        assert_eq!(list(&client, &simulator, &connection).await, (2500, 3));
        simulator.change(|behaviour| behaviour.descriptions = true);
        (0..500).for_each(|_| start(Some("x".repeat(3000))));
        assert_eq!(
            list(&client, &simulator, &connection).await,
            (3000, 14),
            "two pages were too large, and twelve were not"
        );
        assert_eq!(list(&client, &simulator, &connection).await, (3000, 12), "that is remembered");
    }

    #[tokio::test]
    async fn of_a_thousand_jobs_that_have_ended_a_page_is_read_and_the_oldest_that_goes_on_is_seen() {
        let (simulator, connection) = simulator().await;
        let client = CommandCenter::new(Duration::from_secs(30), Limits::NONE);
        let start = || simulator.start_foreign_job(Association::default(), BackupLevel::Full, None);
        let oldest = start().cast_signed();
        simulator.change(|behaviour| behaviour.job_duration = Duration::ZERO);
        for _ in 1..1100 {
            start();
        }
        // Wait until the short list no longer has the jobs that have ended.
        while list(&client, &simulator, &connection).await.0 > 1 {}
        let query = JobQuery { ended_within: Duration::from_hours(1), ..EVERYTHING };
        client.pages.note(&id(&connection), 20);
        let (all, calls) = whole(&client, &simulator, &connection, &query).await;
        assert_eq!((all.jobs.len(), calls), (1100, 55));
        assert_eq!(client.pages.of(&id(&connection)), 40, "such rows have room for more of them");
        client.pages.note(&id(&connection), 20);
        let enough = Enough { ended_within: Duration::ZERO, requests: [String::new()].into() };
        let (list, calls) = whole(&client, &simulator, &connection, &query.enough(enough)).await;
        assert_eq!((list.jobs.len(), calls), (21, 2));
        assert_eq!((list.last_id(), list.has(oldest)), (all.last_id(), true));
    }

    #[tokio::test]
    async fn a_server_that_wants_to_be_left_alone_says_for_how_long() {
        let (simulator, connection) = simulator().await;
        // A new client each time, which was not asked to wait before.
        let client = || CommandCenter::new(Duration::from_secs(30), Limits::NONE);
        for (status, wait) in [(429, Some(Duration::ZERO)), (503, None)] {
            let status = http::StatusCode::from_u16(status).unwrap();
            simulator.set_faults(vec![Fault::answer(Operation::ListJobs, When::BeforeExecuting, status, "{}")]);
            let seen = listed(&client(), &connection, &EVERYTHING).await;
            let cause = Unusable::Status(status.as_u16());
            assert_eq!(seen.listing, Listing::Failed(Unreadable::Unusable(cause)));
            assert_eq!(seen.asked_to_wait, wait, "{status}");
        }
        simulator.set_faults(vec![Fault::reply(Operation::ListJobs, When::BeforeExecuting, Answer::HugeBody)]);
        let before = simulator.calls()[&Operation::ListJobs];
        let seen = listed(&client(), &connection, &EVERYTHING).await;
        let cause = Unusable::NoAnswer(NoAnswer::TooLarge);
        assert_eq!(seen.listing, Listing::Failed(Unreadable::Unusable(cause)));
        assert_eq!(simulator.calls()[&Operation::ListJobs] - before, 7, "from 1,000 rows to 16, and not for ever");
    }
}
