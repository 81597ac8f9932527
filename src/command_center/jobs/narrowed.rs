//! A list that is longer than its first page, of which the rest is not read job by job: that page shows the highest id, and
//! a shorter list, of those jobs that go on or ended a short time ago, shows the rest of what is asked. The API does not
//! promise the order that it is asked for, so it is checked: both lists must agree with it, or the long one is read. Pure.

use std::{collections::BTreeMap, time::Duration};

use crate::{api::JobId, command_center::jobs::job::Job};

/// What is enough of a list, once its newest job is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enough {
    /// The jobs that go on, and those that ended no longer ago than this.
    pub ended_within: Duration,
    /// A job with this request in its description makes the whole list matter.
    pub request: String,
}

impl Enough {
    /// Whether nothing but the whole list will do, because of `job`.
    pub(super) fn is_refuted_by(&self, job: &Job) -> bool {
        job.described.is_of_request(&self.request)
    }
}

/// The first page of the long list, while the short one is read.
#[derive(Debug)]
pub(super) struct FirstPage<O> {
    /// Its jobs.
    pub(super) jobs: BTreeMap<JobId, Job>,
    /// Its rows.
    pub(super) rows: u64,
    /// How many jobs the long list has.
    pub(super) total: Option<u64>,
    /// The order of its rows.
    pub(super) order: O,
    /// What is read instead of the other pages.
    pub(super) enough: Enough,
}

impl<O> FirstPage<O> {
    /// Whether `job`, of the short list, may be in the long one where this page has the newest jobs: in the page, or below it.
    pub(super) fn agrees_with(&self, job: &Job) -> bool {
        let id = job.shown.id;
        let is_in_place = self.jobs.contains_key(&id) || self.jobs.keys().next().is_some_and(|lowest| id < *lowest);
        is_in_place && !self.enough.is_refuted_by(job)
    }
}
