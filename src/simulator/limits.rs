//! Limits of calls, as a tenant of the cloud service has them: a call and the time go in, whether it is one too many comes out. Pure.

use std::collections::VecDeque;
use std::time::Duration;

use http::StatusCode;
use http::header::{HeaderName, HeaderValue, RETRY_AFTER};
use jiff::Timestamp;

use crate::simulator::{
    call::{Answer, ApiCall},
    instants::between,
};

/// Number of calls that are let in within a period; refused ones do not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Calls that change something: `CreateTask`, and orders to jobs.
    pub writes: Option<u32>,
    /// Calls that only read. The job list is one, though it is a POST.
    pub reads: Option<u32>,
    /// The period; it has no beginning of its own: each call counts for so long.
    pub period: Duration,
    /// True if a refusal says when the next call is let in (`Retry-After`), besides the limit and the period.
    pub retry_after: bool,
}

/// The calls that count.
#[derive(Debug, Default)]
pub(crate) struct Counted {
    writes: VecDeque<Timestamp>,
    reads: VecDeque<Timestamp>,
    /// Calls that were too many.
    pub(crate) refused: u64,
}

impl Limits {
    /// No limits.
    pub(crate) const NONE: Self =
        Self { writes: None, reads: None, period: Duration::from_hours(1), retry_after: false };

    fn refusal(self, limit: u32, wait: Duration) -> Answer {
        let mut answer = Answer::error(StatusCode::TOO_MANY_REQUESTS, 429, "Too many requests");
        // A part of a second is one: who comes back sooner is refused again.
        let seconds =
            |time: Duration| HeaderValue::from(time.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX));
        answer.headers.insert(HeaderName::from_static("x-ratelimit-limit"), HeaderValue::from(limit));
        answer.headers.insert(HeaderName::from_static("x-ratelimit-period"), seconds(self.period));
        if self.retry_after {
            answer.headers.insert(RETRY_AFTER, seconds(wait));
        }
        answer
    }
}

impl Counted {
    /// Counts a call, unless it is one too many: then gives what is answered.
    pub(crate) fn count(&mut self, call: ApiCall, limits: Limits, now: Timestamp) -> Option<Answer> {
        let (calls, limit) = match call {
            ApiCall::CreateTask | ApiCall::Kill(_) | ApiCall::Pause(_) | ApiCall::Resume(_) => {
                (&mut self.writes, limits.writes)
            }
            ApiCall::GetJob(_)
            | ApiCall::ListJobs
            | ApiCall::ActiveJobs
            | ApiCall::WhoAmI
            | ApiCall::TaskDetails(_)
            | ApiCall::JobDetails
            | ApiCall::Organizations
            | ApiCall::CommServ => (&mut self.reads, limits.reads),
            // A renewal has to work when nothing else does.
            ApiCall::Renew | ApiCall::Root | ApiCall::Other => return None,
        };
        let limit = limit?;
        while calls.front().is_some_and(|at| between(*at, now) >= limits.period) {
            calls.pop_front();
        }
        if calls.len() < usize::try_from(limit).unwrap_or(usize::MAX) {
            calls.push_back(now);
            return None;
        }
        self.refused = self.refused.saturating_add(1);
        let oldest = calls.front().copied().unwrap_or(now);
        Some(limits.refusal(limit, limits.period.saturating_sub(between(oldest, now))))
    }
}
