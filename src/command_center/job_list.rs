//! The job list: which jobs to ask for, page by page (`POST Jobs`), and what the pages say together. Pure.

use std::{collections::BTreeMap, time::Duration};

use jiff::SignedDuration;
use serde::Serialize;
use serde_json::Value;

use crate::api::{JobId, Target};

use super::{
    Token,
    job::{Job, Unreadable, counts_none, job, job_id},
    number::Number,
    outcome::{Answer, NoAnswer, RefusedKind, Reply},
};

/// The operation, relative to the base address.
pub const OPERATION: &str = "Jobs";
/// Rows of a page, unless that is more than what is read of an answer.
pub const PAGE: u64 = 1000;
/// A page of so few rows that is too large is not asked for again.
const SMALLEST_PAGE: u64 = 16;
/// Pages that are read; a target with more jobs than that cannot be looked through.
const MAX_PAGES: u64 = 50;

/// Which jobs to list: all that are active, and those that ended within a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobQuery {
    /// How far back ended jobs are listed, by the Command Center's own clock.
    pub ended_within: Duration,
    /// Only jobs of these clients; none means all.
    pub clients: Vec<i64>,
}

impl JobQuery {
    /// The jobs that may be of `targets`.
    #[must_use]
    pub fn of(targets: &[Target], ended_within: Duration) -> Self {
        let clients: Option<Vec<i64>> = targets.iter().map(|target| target.client_id).collect();
        let mut clients = clients.unwrap_or_default();
        clients.sort_unstable();
        clients.dedup();
        Self { ended_within, clients }
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

/// What is sent to `POST {base}/Jobs`.
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

/// What asking for the list gave.
#[derive(Clone, Debug, PartialEq)]
pub enum Listing {
    /// Jobs.
    Read(JobList),
    /// The Command Center does not give the list to this token, or does not have one.
    NotAllowed(RefusedKind),
    /// No usable answer this time.
    Failed(Unreadable),
}

/// The jobs that were listed; by default, an answer that tells of none and does not say that there are none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JobList {
    /// One for each id, the lowest id first, whatever order the pages had.
    pub jobs: Vec<Job>,
    /// Whether every row of every page was read, and their number is the one that the Command Center gave.
    pub whole: bool,
    /// Whether it comes from the simulator.
    pub simulated: bool,
    /// How far the Command Center's clock is ahead of this machine's, as its answer's Date says; nothing when it has none.
    pub server_ahead: SignedDuration,
}

impl JobList {
    /// The highest id of the list, 0 when it is empty; nothing when rows may be missing.
    #[must_use]
    pub fn last_id(&self) -> Option<i64> {
        let last = self.jobs.last().map_or(0, |job| job.shown.id.number());
        self.whole.then_some(last)
    }

    /// Whether job `id` is listed.
    #[must_use]
    pub fn has(&self, id: i64) -> bool {
        self.jobs.iter().any(|job| job.shown.id.number() == id)
    }
}

/// What to do after a page.
#[derive(Debug)]
pub enum Next {
    /// Ask for the page that begins at this row, and has so many.
    Page(u64, u64),
    /// That was all.
    Done(Listing),
}

/// Puts pages together.
#[derive(Debug)]
pub struct Pages {
    /// Rows of the page that was asked for last.
    limit: u64,
    jobs: BTreeMap<JobId, Job>,
    rows: u64,
    read: u64,
    total: Option<u64>,
    unsound: bool,
    ended: bool,
    simulated: bool,
}

impl Pages {
    /// No page yet; the first one is asked for with `limit` rows.
    #[must_use]
    pub const fn of(limit: u64) -> Self {
        Self {
            limit,
            jobs: BTreeMap::new(),
            rows: 0,
            read: 0,
            total: None,
            unsound: false,
            ended: false,
            simulated: false,
        }
    }

    /// Takes the reply to the next page.
    #[must_use]
    pub fn push(mut self, reply: &Reply, token: &Token) -> (Self, Next) {
        if *reply == Reply::NoAnswer(NoAnswer::TooLarge) && self.limit > SMALLEST_PAGE {
            self.limit = (self.limit / 2).max(SMALLEST_PAGE);
            let next = Next::Page(self.rows, self.limit);
            return (self, next);
        }
        self.simulated |= matches!(reply, Reply::Answer(answer) if answer.simulated);
        let page = match page(reply) {
            Ok(page) => page,
            Err(listing) => return (self, Next::Done(listing)),
        };
        // Rows move between pages when the list changes meanwhile.
        self.unsound |= self.read > 0 && self.total != page.total;
        self.total = page.total;
        self.read = self.read.saturating_add(1);
        let (length, known) = (u64::try_from(page.rows.len()).unwrap_or(u64::MAX), self.jobs.len());
        self.rows = self.rows.saturating_add(length);
        for row in &page.rows {
            match row.get("jobSummary").and_then(|row| Some((row, job_id(row)?))) {
                Some((row, id)) => {
                    self.jobs.insert(id, job(row, id, token));
                }
                None => self.unsound = true,
            }
        }
        // Without a total only an empty page shows the end: the server may give fewer rows than it was asked for.
        let all = self.total.is_some_and(|total| self.rows >= total);
        let no_news = self.jobs.len() == known;
        self.ended |= length == 0;
        let next = if all || no_news || self.read >= MAX_PAGES {
            Next::Done(Listing::Read(self.list()))
        } else {
            Next::Page(self.rows, self.limit)
        };
        (self, next)
    }

    fn list(&self) -> JobList {
        let found = u64::try_from(self.jobs.len()).unwrap_or(u64::MAX);
        // An empty list has to say so in numbers: that nothing is there is never guessed.
        let counted = self.total.map_or(found > 0 && self.rows == found && self.ended, |total| total == found);
        let jobs = self.jobs.values().cloned().collect();
        JobList { jobs, whole: counted && !self.unsound, simulated: self.simulated, server_ahead: SignedDuration::ZERO }
    }
}

struct Page {
    rows: Vec<Value>,
    total: Option<u64>,
}

fn page(reply: &Reply) -> Result<Page, Listing> {
    let answer = match reply {
        Reply::Answer(answer) => answer,
        Reply::NeverSent(cause) => return Err(Listing::Failed(Unreadable::NeverSent(*cause))),
        Reply::NoAnswer(_) => return Err(Listing::Failed(Unreadable::Unavailable)),
    };
    let refused = match answer.status {
        200 => return rows(answer),
        404 => return rows(answer).map_err(|_| Listing::NotAllowed(RefusedKind::NotFound)),
        401 => RefusedKind::TokenRejected,
        403 => RefusedKind::Forbidden,
        400 | 405 => return Err(Listing::Read(JobList::default())),
        _ => return Err(Listing::Failed(Unreadable::Unavailable)),
    };
    Err(Listing::NotAllowed(refused))
}

fn rows(answer: &Answer) -> Result<Page, Listing> {
    let unusable = Listing::Failed(Unreadable::Unavailable);
    let Ok(mut json) = serde_json::from_slice::<Value>(&answer.body) else { return Err(unusable) };
    let total = json.get("totalRecordsWithoutPaging").and_then(Number::of).and_then(Number::code);
    let total = total.and_then(|total| u64::try_from(total).ok());
    match json.get_mut("jobs").map(Value::take) {
        // A page of an address that does not exist has no rows, whatever it says.
        Some(Value::Array(rows)) if answer.status == 200 || !rows.is_empty() => Ok(Page { rows, total }),
        _ if counts_none(&json) => Ok(Page { rows: Vec::new(), total }),
        _ if error_code(&json).is_some_and(|code| code != 0) => Err(Listing::Read(JobList::default())),
        _ => Err(unusable),
    }
}

fn error_code(json: &Value) -> Option<i64> {
    json.get("errorCode").or_else(|| json.pointer("/error/errorCode")).and_then(Number::of).and_then(Number::code)
}

#[cfg(test)]
#[path = "job_list_tests.rs"]
mod tests;
