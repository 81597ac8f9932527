//! The job list (`POST Jobs`). A query goes in, the request for a page comes out; replies go in, and out comes the next
//! page to ask for or the [`Listing`] that all of them make. Pure, no client.
//!
//! Sections 3.2 and 3.3 of `api.md`.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::SignedDuration;
use serde::Serialize;
use serde_json::Value;

use crate::{
    api::{JobId, JobStatus, Target},
    command_center::{
        Redaction,
        create_task::{
            description::Described,
            interpret::refusal,
            outcome::{Refused, RefusedKind},
        },
        jobs::{
            job::{Job, Unreadable, job},
            narrowed::{Enough, FirstPage},
            rows::{self, Head, Row},
            unusable::Unusable,
        },
        reply::{Answer, NoAnswer, Reply},
        response_memory::Share,
    },
};

/// The operation, relative to the base URL.
pub const OPERATION: &str = "Jobs";
/// Rows of a page, unless they are more than the client reads of an answer.
pub const PAGE: u64 = 1000;
/// A page of so few rows that is still too large is not asked for again.
const SMALLEST_PAGE: u64 = 16;
/// Most calls for one list: the cloud service allows 1,000 an hour.
const MAX_READS: u64 = 200;
/// Most rows that are read for one list.
const MAX_ROWS: u64 = 20_000;
/// Bytes of a list that need no share of the response memory: some hundred jobs.
pub(super) const FREE: usize = 256 << 10;

/// The jobs to list: all that are active, and those that ended within a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobQuery {
    /// The time within which a listed job may have ended, by the Command Center's own clock.
    pub ended_within: Duration,
    /// Only jobs of these clients are listed; none means all.
    pub clients: Vec<i64>,
    /// The list begins with the newest jobs, and is not read further than to this job.
    pub down_to: i64,
    /// The shorter list that is read instead of further pages, where it is enough.
    pub enough: Option<Enough>,
}

impl JobQuery {
    /// The jobs that may be of `targets`.
    #[must_use]
    pub fn of(targets: &[Target], ended_within: Duration) -> Self {
        let clients: Option<Vec<i64>> = targets.iter().map(|target| target.client_id).collect();
        let mut clients = clients.unwrap_or_default();
        clients.sort_unstable();
        clients.dedup();
        Self { ended_within, clients, down_to: 0, enough: None }
    }

    /// The same query, read no further than to job `id` or the first one below it.
    #[must_use]
    pub fn down_to(self, id: i64) -> Self {
        Self { down_to: id, ..self }
    }

    /// The same query, for which `enough` will do once the newest job is known.
    #[must_use]
    pub fn enough(self, enough: Enough) -> Self {
        let is_less = enough.ended_within < self.ended_within;
        Self { enough: Some(enough).filter(|_| is_less), ..self }
    }

    /// The request for the page of `limit` rows that begins at row `offset`.
    #[must_use]
    pub fn page(&self, (offset, limit): (u64, u64)) -> JobsRequest {
        JobsRequest {
            scope: 1,
            category: 0,
            paging_config: PagingConfig { sort_field: "jobId", sort_direction: 1, offset, limit },
            job_filter: JobFilter {
                completed_job_lookup_time: self.ended_within.as_secs(),
                show_aged_jobs: false,
                hide_admin_jobs: false,
                client_list: self.clients.iter().map(|client_id| Client { client_id: *client_id }).collect(),
                job_type_list: [],
                status_list: [],
            },
        }
    }
}

/// The body of `POST {base}/Jobs`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct JobsRequest {
    scope: u8,
    category: u8,
    paging_config: PagingConfig,
    job_filter: JobFilter,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct PagingConfig {
    sort_field: &'static str,
    sort_direction: u8,
    offset: u64,
    limit: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct JobFilter {
    completed_job_lookup_time: u64,
    show_aged_jobs: bool,
    hide_admin_jobs: bool,
    client_list: Vec<Client>,
    job_type_list: [u8; 0],
    status_list: [u8; 0],
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Client {
    client_id: i64,
}

/// The result of reading the list.
#[derive(Clone, Debug, PartialEq)]
pub enum Listing {
    /// The list was read.
    Read(JobList),
    /// The Command Center refuses the list to this token, or does not have one.
    NotAllowed(Refused),
    /// No usable answer this time.
    Failed(Unreadable),
}

/// A job list, and the wait that the server asked for.
#[derive(Clone, Debug)]
pub struct Listed {
    /// The list.
    pub listing: Listing,
    /// The wait that the server asked for with 429 or 503. A 429 without a time counts as zero; a 503 without a time
    /// counts as nothing.
    pub asked_to_wait: Option<Duration>,
}

impl Listing {
    /// True if the token was refused.
    #[must_use]
    pub fn rejects_the_token(&self) -> bool {
        matches!(self, Self::NotAllowed(Refused { kind: RefusedKind::TokenRejected, .. }))
    }
}

/// The listed jobs. The default is an answer that has no jobs and does not say that there are none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JobList {
    /// One job for each id, the lowest id first, in whatever order the pages came.
    pub jobs: Vec<Job>,
    /// True if every row was read, down to where the query asked, and their number is the one that the Command Center
    /// gave.
    pub whole: bool,
    /// True if the Command Center gave the number of all rows.
    pub counted: bool,
    /// A remark on the list.
    pub remark: Remark,
    /// True if it comes from the simulator.
    pub simulated: bool,
    /// The time by which the Command Center's clock is ahead of this machine's, by the `Date` of its answer; zero
    /// without one.
    pub server_ahead: SignedDuration,
    /// The share of the response memory that the list takes.
    pub room: HeldMemory,
}

/// A remark on a list.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Remark {
    /// Nothing to remark.
    #[default]
    Nothing,
    /// It is empty, and the answer does not say so in numbers.
    Silent,
    /// It is too long to be read whole. Asking again is of no use.
    Cut,
    /// This error came instead of a list.
    Error(Refused),
}

impl JobList {
    /// The same list without its jobs.
    pub(super) fn without_jobs(&self) -> Self {
        Self { jobs: Vec::new(), remark: self.remark.clone(), room: self.room.clone(), ..*self }
    }

    /// The list that is missing because of this error.
    fn failed(error: Refused) -> Self {
        Self { remark: Remark::Error(error), ..Self::default() }
    }
}

/// The memory that a list takes, as long as the list or a copy of it exists. It does not count when two lists are
/// compared.
#[derive(Clone, Debug, Default)]
pub struct HeldMemory {
    _share: Option<Arc<Share>>,
}

impl PartialEq for HeldMemory {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl JobList {
    /// The highest id of the list, 0 if the list is empty. None if rows may be missing.
    #[must_use]
    pub fn last_id(&self) -> Option<i64> {
        let last = self.jobs.last().map_or(0, |job| job.shown.id.number());
        self.whole.then_some(last)
    }

    /// True if job `id` is listed.
    #[must_use]
    pub fn has(&self, id: i64) -> bool {
        self.jobs.iter().any(|job| job.shown.id.number() == id)
    }
}

/// The step after a page.
#[derive(Debug)]
pub enum Next {
    /// Ask for the page that begins at this row and has so many rows.
    Page(u64, u64),
    /// The list is complete, or has failed.
    Done(Listing),
}

/// The pages of one list, as they are put together.
#[derive(Debug)]
pub struct Pages {
    /// Rows of the page that was asked for last.
    limit: u64,
    /// The job down to which the list has to be read.
    down_to: i64,
    /// The shorter list that is enough, where the list has several pages.
    enough: Option<Enough>,
    /// The first page of the long list, while the short one is read instead of its other pages.
    first: Option<FirstPage<Order>>,
    jobs: BTreeMap<JobId, Job>,
    rows: u64,
    reads: u64,
    total: Option<u64>,
    /// Rows of the page that came last.
    last_rows: u64,
    unsound: bool,
    simulated: bool,
    order: Order,
    /// Bytes that the jobs take.
    bytes: usize,
    room: Share,
    full: bool,
}

/// The order of the rows. Where a server keeps to the order that was asked for, the rows that were not read are older.
#[derive(Clone, Copy, Debug, Default)]
struct Order {
    last: Option<i64>,
    falls: bool,
    rises: bool,
}

impl Order {
    fn next(&mut self, id: i64) {
        self.falls |= self.last.is_some_and(|last| id < last);
        self.rises |= self.last.is_some_and(|last| id > last);
        self.last = Some(id);
    }

    /// True if the newest jobs came first.
    const fn falls(&self) -> bool {
        self.falls && !self.rises
    }

    /// True if no job above `id` can be among the rows that were not read.
    fn is_below(&self, id: i64) -> bool {
        id > 0 && self.falls() && self.last.is_some_and(|last| last <= id)
    }
}

impl Pages {
    /// A list without a page yet. Its first page is asked for with `limit` rows, and its jobs take their memory from
    /// `room`.
    #[must_use]
    pub fn of(limit: u64, query: &JobQuery, room: Share) -> Self {
        Self {
            limit,
            down_to: query.down_to,
            enough: query.enough.clone(),
            first: None,
            jobs: BTreeMap::new(),
            rows: 0,
            reads: 0,
            total: None,
            last_rows: 0,
            unsound: false,
            simulated: false,
            order: Order::default(),
            bytes: 0,
            room,
            full: false,
        }
    }

    /// The request for the page that begins at row `at.0` and has `at.1` rows.
    #[must_use]
    pub fn request(&self, query: &JobQuery, at: (u64, u64)) -> JobsRequest {
        let enough = self.first.as_ref().map(|first| first.enough.ended_within);
        JobQuery { ended_within: enough.unwrap_or(query.ended_within), ..query.clone() }.page(at)
    }

    /// Takes the reply to the next page. If `is_late`, there is no time for another one.
    #[must_use]
    pub fn push(mut self, reply: &Reply, is_late: bool, redaction: &Redaction) -> (Self, Next) {
        let is_first = self.rows == 0;
        self.reads = self.reads.saturating_add(1);
        let may_go_on = self.reads < MAX_READS && !is_late;
        if let Reply::NoAnswer(NoAnswer::TooLarge | NoAnswer::NoRoom) = reply
            && self.limit > SMALLEST_PAGE
            && may_go_on
        {
            // Where others hold the shared memory, a small page fits into the bytes that need no share.
            let divisor = if *reply == Reply::NoAnswer(NoAnswer::NoRoom) { 8 } else { 2 };
            self.limit = (self.limit / divisor).max(SMALLEST_PAGE);
            let next = Next::Page(self.rows, self.limit);
            return (self, next);
        }
        let known = self.jobs.len();
        let head = match self.page(reply, redaction) {
            Ok(head) => head,
            Err(listing) => return (self, Next::Done(listing)),
        };
        self.simulated |= matches!(reply, Reply::Answer(answer) if answer.simulated);
        // Rows move from page to page when the list changes between the calls.
        self.unsound |= !is_first && self.total != head.total;
        self.total = head.total;
        self.rows = self.rows.saturating_add(head.rows);
        // Without a total only an empty page shows the end, because the server may give fewer rows than it was asked
        // for.
        let all = self.total.is_some_and(|total| self.rows >= total) || self.order.is_below(self.down_to);
        let no_news = self.jobs.len() == known;
        self.last_rows = head.rows;
        let may_go_on = may_go_on && self.rows < MAX_ROWS && !self.full;
        let next = if self.reads_long_list_after_all() {
            if may_go_on { Next::Page(self.rows, self.limit) } else { Next::Done(Listing::Read(self.list(true))) }
        } else if all || no_news {
            Next::Done(Listing::Read(self.list(false)))
        } else if may_go_on {
            self.narrow();
            Next::Page(self.rows, self.limit)
        } else {
            Next::Done(Listing::Read(self.list(true)))
        };
        (self, next)
    }

    /// Reads the short list in place of the other pages, if the short list is enough.
    fn narrow(&mut self) {
        let Some(enough) = self.enough.take() else { return };
        if !self.order.falls() || self.unsound || self.jobs.values().any(|job| enough.is_refuted_by(job)) {
            return;
        }
        let jobs = std::mem::take(&mut self.jobs);
        self.first = Some(FirstPage { jobs, rows: self.rows, total: self.total.take(), order: self.order, enough });
        (self.rows, self.order) = (0, Order::default());
    }

    /// Goes back to the long list behind its first page, if the short list contradicts that page. Returns true if it
    /// did.
    fn reads_long_list_after_all(&mut self) -> bool {
        let Some(first) = self.first.take_if(|first| !self.jobs.values().all(|job| first.agrees_with(job))) else {
            return false;
        };
        (self.jobs, self.rows, self.total, self.order) = (first.jobs, first.rows, first.total, first.order);
        true
    }

    /// Takes the rows of a page.
    fn page(&mut self, reply: &Reply, redaction: &Redaction) -> Result<Head, Listing> {
        let answer = match reply {
            Reply::Answer(answer) => answer,
            Reply::NeverSent(cause) => return Err(Listing::Failed(Unreadable::NeverSent(*cause))),
            Reply::NoAnswer(cause) => return Err(Listing::Failed(Unreadable::Unusable(Unusable::NoAnswer(*cause)))),
        };
        if is_empty(answer) {
            return Ok(Head::default());
        }
        let has_rows = matches!(answer.status, 200..300 | 404);
        let head =
            if has_rows { rows::read(&answer.body, &mut |row| self.take(row.as_ref(), redaction)) } else { None };
        match head {
            // An address that does not exist has no rows, whatever its page says.
            Some(head) if head.rows > 0 || head.total == Some(0) => Ok(head),
            Some(head) if answer.status != 404 && (head.lists || head.total.is_some()) => Ok(head),
            head => without_rows(answer, head, redaction),
        }
    }

    fn take(&mut self, row: Option<&Row<'_>>, redaction: &Redaction) {
        let Some((row, id)) = row.and_then(|row| Some((row, row.job_id()?))) else {
            self.unsound = true;
            return;
        };
        self.order.next(id.number());
        let job = job(row, id, redaction);
        let bytes = self.bytes.saturating_add(bytes(&job));
        if self.full || self.room.try_grow(bytes).is_err() {
            self.full = true;
            self.unsound = true;
            return;
        }
        self.bytes = bytes;
        self.jobs.insert(id, job);
    }

    fn list(&mut self, cut: bool) -> JobList {
        let found = u64::try_from(self.jobs.len()).unwrap_or(u64::MAX);
        let counted = match self.total {
            _ if self.order.is_below(self.down_to) => self.rows == found,
            Some(total) => total == found,
            None => self.rows == found && self.last_rows == 0,
        };
        let remark = if cut || self.full {
            Remark::Cut
        } else if self.total.is_none() && found == 0 {
            Remark::Silent
        } else {
            Remark::Nothing
        };
        let room = std::mem::replace(&mut self.room, Share::of(0));
        if let Some(first) = self.first.take() {
            self.jobs.extend(first.jobs);
        }
        JobList {
            jobs: std::mem::take(&mut self.jobs).into_values().collect(),
            whole: counted && !self.unsound && !cut,
            counted: self.total.is_some(),
            remark,
            simulated: self.simulated,
            server_ahead: SignedDuration::ZERO,
            room: HeldMemory { _share: Some(Arc::new(room)) },
        }
    }
}

/// The bytes that a job takes in memory.
fn bytes(job: &Job) -> usize {
    let JobStatus { status, reason, .. } = &job.shown;
    let texts = [status, reason].into_iter().flatten().map(String::len).sum::<usize>();
    let described = match &job.described {
        Described::Ours { request, attempt } => request.len() + attempt.as_str().len(),
        Described::Nothing | Described::Other => 0,
    };
    // The tree in which the jobs are kept takes about a quarter more.
    (size_of::<Job>() + texts + described) * 5 / 4
}

/// True if the answer has no content at all: a list without rows.
fn is_empty(answer: &Answer) -> bool {
    answer.status == 204 || ((200..300).contains(&answer.status) && answer.body.trim_ascii().is_empty())
}

/// The meaning of an answer without rows; `head` is there if it is an object. The answer is parsed as a whole only
/// here, and only if it is no larger than any such answer.
fn without_rows(answer: &Answer, head: Option<Head>, redaction: &Redaction) -> Result<Head, Listing> {
    const LARGEST: usize = 64 << 10;
    let json = (answer.body.len() <= LARGEST).then(|| serde_json::from_slice::<Value>(&answer.body).ok()).flatten();
    let cause = Unusable::of(answer);
    let refused = refusal(answer, json.as_ref(), redaction).filter(|_| !cause.is_of_no_command_center());
    match (refused, answer.status, head) {
        (Some(refused), ..) if refused.is_of_token() => {
            Err(Listing::NotAllowed(Refused { kind: RefusedKind::TokenRejected, ..refused }))
        }
        (Some(refused), 403 | 404, _) => Err(Listing::NotAllowed(refused)),
        // Another way to ask may get the list, but none is known.
        (Some(refused), 200 | 400, _) => Err(Listing::Read(JobList::failed(refused))),
        (None, 405, _) => Err(Listing::Read(JobList::failed(RefusedKind::NotFound.into()))),
        // An object without a list and without an error, such as one of processing instructions, says that there are no
        // jobs.
        (None, 200..300, Some(head)) if !head.says_an_error => Ok(head),
        _ => Err(Listing::Failed(Unreadable::Unusable(cause))),
    }
}

#[cfg(test)]
#[path = "list_tests.rs"]
mod tests;
