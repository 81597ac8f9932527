//! A shortcut for a list of several pages. Its first page shows the highest id. For the rest, a shorter list is read
//! instead of the other pages: the jobs that are active or ended a short time ago. Jobs go in; out comes whether the
//! shortcut holds. Pure, no client.
//!
//! The API does not promise the order that it is asked for. So both lists must agree with that order; otherwise the
//! long list is read.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use crate::{
    api::JobId,
    command_center::{create_task::description::Described, jobs::job::Job},
};

/// The part of a list that is enough, once its newest job is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enough {
    /// The active jobs, and those that ended no longer ago than this.
    pub ended_within: Duration,
    /// If a job has one of these requests in its description, the whole list is needed.
    pub requests: BTreeSet<String>,
}

impl Enough {
    /// True if `job` makes the whole list necessary.
    pub(super) fn is_refuted_by(&self, job: &Job) -> bool {
        matches!(&job.described, Described::Ours { request, .. } if self.requests.contains(request))
    }
}

/// The first page of the long list, kept while the short list is read.
#[derive(Debug)]
pub(super) struct FirstPage<O> {
    /// Its jobs.
    pub(super) jobs: BTreeMap<JobId, Job>,
    /// Its rows.
    pub(super) rows: u64,
    /// The number of jobs of the long list, as the server says.
    pub(super) total: Option<u64>,
    /// The order of its rows.
    pub(super) order: O,
    /// The shorter list that is read instead of the other pages.
    pub(super) enough: Enough,
}

impl<O> FirstPage<O> {
    /// True if the place of `job`, a row of the short list, does not contradict that this page has the newest jobs: the
    /// job is in the page or below it.
    pub(super) fn agrees_with(&self, job: &Job) -> bool {
        let id = job.shown.id;
        let is_in_place = self.jobs.contains_key(&id) || self.jobs.keys().next().is_some_and(|lowest| id < *lowest);
        is_in_place && !self.enough.is_refuted_by(job)
    }
}
