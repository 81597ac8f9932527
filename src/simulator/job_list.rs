//! `POST Jobs`: the body of a search goes in, a query comes out; with the jobs, a page of them. Pure.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::simulator::{
    fields::{Fields, FromField as _, Wrong},
    instants::between,
    jobs::Job,
};

/// A search for jobs.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Query {
    category: Category,
    newest_first: bool,
    offset: usize,
    limit: usize,
    lookup: Duration,
    clients: Vec<u64>,
    entity: Vec<(&'static str, u64)>,
    statuses: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Category {
    All,
    Active,
    Finished,
}

/// A page of jobs, and how many there are in all.
#[derive(Debug)]
pub(crate) struct Page<'a> {
    pub(crate) total: usize,
    pub(crate) jobs: Vec<&'a Job>,
}

/// Rows of a page when the client does not say, as of the vendor's own client.
const USUAL_LIMIT: u64 = 20;
const USUAL_LOOKUP: u64 = 24 * 60 * 60;

impl Query {
    /// Reads the body of a search. Unknown keys are refused, unless it is `lenient`: a filter that is misspelt must not pass
    /// for one that matches.
    pub(crate) fn read(body: &[u8], lenient: bool) -> Result<Self, Wrong> {
        let mut document = Fields::parse(body)?.leniently(lenient);
        let scope: u64 = document.take("scope")?.unwrap_or(1);
        if scope != 1 {
            return Err(Wrong::at("scope", "must be 1"));
        }
        let category = match document.take::<u64>("category")?.unwrap_or(0) {
            0 => Category::All,
            1 => Category::Active,
            2 => Category::Finished,
            _ => {
                return Err(Wrong::at("category", "must be 0 (all), 1 (active) or 2 (finished)"));
            }
        };
        let mut query = Self {
            category,
            newest_first: true,
            offset: 0,
            limit: size(USUAL_LIMIT),
            lookup: Duration::from_secs(USUAL_LOOKUP),
            clients: Vec::new(),
            entity: Vec::new(),
            statuses: Vec::new(),
        };
        if let Some(paging) = document.object("pagingConfig")? {
            query.read_paging(paging)?;
        }
        if let Some(filter) = document.object("jobFilter")? {
            query.read_filter(filter)?;
        }
        document.done()?;
        Ok(query)
    }

    fn read_paging(&mut self, mut paging: Fields) -> Result<(), Wrong> {
        paging.choice("sortField", &[("jobId", ())])?;
        self.newest_first = match paging.take::<u64>("sortDirection")?.unwrap_or(1) {
            0 => false,
            1 => true,
            _ => {
                return Err(Wrong::at(&paging.path_of("sortDirection"), "must be 0 or 1"));
            }
        };
        self.offset = size(paging.take("offset")?.unwrap_or(0));
        self.limit = size(paging.take("limit")?.unwrap_or(USUAL_LIMIT));
        if self.limit == 0 {
            return Err(Wrong::at(&paging.path_of("limit"), "must be 1 or more"));
        }
        paging.done()
    }

    fn read_filter(&mut self, mut filter: Fields) -> Result<(), Wrong> {
        self.lookup = Duration::from_secs(filter.take("completedJobLookupTime")?.unwrap_or(USUAL_LOOKUP));
        for known_and_without_effect in ["showAgedJobs", "hideAdminJobs"] {
            filter.take::<bool>(known_and_without_effect)?;
        }
        filter.take::<Vec<Value>>("jobTypeList")?;

        let path = filter.path_of("clientList");
        for (position, client) in filter.take::<Vec<Value>>("clientList")?.unwrap_or_default().into_iter().enumerate() {
            let mut client = filter.item(format!("{path}[{position}]"), client)?;
            self.clients.push(client.need("clientId")?);
            client.take::<String>("clientName")?;
            client.done()?;
        }

        if let Some(mut entity) = filter.object("entity")? {
            for name in ["clientId", "instanceId", "backupsetId", "subclientId", "applicationId"] {
                self.entity.extend(entity.take(name)?.map(|id| (name, id)));
            }
            entity.done()?;
        }

        let path = filter.path_of("statusList");
        for status in filter.take::<Vec<Value>>("statusList")?.unwrap_or_default() {
            let status = String::from_field(status).ok_or_else(|| Wrong::at(&path, "must be a list of strings"))?;
            self.statuses.push(status);
        }
        filter.done()
    }

    /// The page that was asked for.
    pub(crate) fn select<'a>(&self, jobs: impl DoubleEndedIterator<Item = &'a Job>, now: Timestamp) -> Page<'a> {
        let mut found: Vec<&Job> = jobs.filter(|job| self.matches(job, now)).collect();
        found.sort_by_key(|job| job.id);
        if self.newest_first {
            found.reverse();
        }
        Page { total: found.len(), jobs: found.into_iter().skip(self.offset).take(self.limit).collect() }
    }

    fn matches(&self, job: &Job, now: Timestamp) -> bool {
        let progress = job.progress(now);
        let in_category = match (self.category, progress.ended) {
            (Category::All | Category::Active, None) => true,
            (Category::All | Category::Finished, Some(at)) => between(at, now) <= self.lookup,
            (Category::Active, Some(_)) | (Category::Finished, None) => false,
        };
        let client_listed =
            self.clients.is_empty() || job.association.client_id.is_some_and(|id| self.clients.contains(&id));
        let status_listed = self.statuses.is_empty()
            || self.statuses.iter().any(|status| status.eq_ignore_ascii_case(&progress.status));
        job.is_visible(now) && in_category && client_listed && status_listed && self.is_entity(job)
    }

    fn is_entity(&self, job: &Job) -> bool {
        self.entity.iter().all(|(name, id)| {
            let has = match *name {
                "applicationId" => Some(job.association.application_id.unwrap_or(134)),
                name => job.association.ids().into_iter().find(|(known, _)| *known == name).and_then(|(_, id)| id),
            };
            has == Some(*id)
        })
    }
}

impl Page<'_> {
    pub(crate) fn to_json(&self, summary: impl Fn(&Job) -> Value) -> Value {
        let rows: Vec<Value> = self.jobs.iter().map(|job| json!({"jobSummary": summary(job)})).collect();
        json!({"totalRecordsWithoutPaging": self.total, "jobs": rows})
    }
}

fn size(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::association::{Association, BackupLevel};
    use crate::simulator::instants::later;
    use crate::simulator::job_orders::{End, JobOrder};
    use crate::simulator::options::Behaviour;

    fn at(seconds: u64) -> Timestamp {
        later(Timestamp::UNIX_EPOCH, Duration::from_secs(100_000 + seconds))
    }

    /// Job 1 failed at 10, job 2 is suspended, job 3 runs, job 4 is not visible before 60; clients 12, 13, 12, 12.
    fn jobs() -> Vec<Job> {
        let mut behaviour = Behaviour { job_duration: Duration::from_secs(100), ..Behaviour::default() };
        let mut start = |id, client, subclient, visible_after| {
            behaviour.visible_after = Duration::from_secs(visible_after);
            let target = Association { client_id: Some(client), subclient_id: subclient, ..Association::default() };
            Job::start((id, 1), (target, BackupLevel::Full), None, &behaviour, at(0))
        };
        let mut jobs =
            vec![start(1, 12, Some(34), 0), start(2, 13, Some(35), 0), start(3, 12, None, 0), start(4, 12, None, 60)];
        jobs[0].set(End::Failed.into(), at(10)).unwrap();
        jobs[1].set(JobOrder::Suspend.into(), at(10)).unwrap();
        jobs
    }

    /// The ids on the page at second 50, and how many there are in all.
    fn found(body: &Value) -> (Vec<u64>, usize) {
        let jobs = jobs();
        let query = Query::read(body.to_string().as_bytes(), false).unwrap();
        let page = query.select(jobs.iter(), at(50));
        (page.jobs.iter().map(|job| job.id).collect(), page.total)
    }

    #[test]
    fn filters_narrow_the_list_and_never_widen_it() {
        let filter = |filter: Value| json!({"scope": 1, "jobFilter": filter});
        let table = [
            (json!({}), vec![3, 2, 1]),
            (json!({"category": 1}), vec![3, 2]),
            (json!({"category": 2}), vec![1]),
            (filter(json!({"clientList": [{"clientId": 12}]})), vec![3, 1]),
            (filter(json!({"clientList": [{"clientId": 12}, {"clientId": 13}]})), vec![3, 2, 1]),
            (filter(json!({"clientList": [{"clientId": 14}]})), vec![]),
            (filter(json!({"clientList": []})), vec![3, 2, 1]),
            (filter(json!({"entity": {"subclientId": 34}})), vec![1]),
            (filter(json!({"entity": {"subclientId": 34, "clientId": 13}})), vec![]),
            (filter(json!({"entity": {"applicationId": 134}})), vec![3, 2, 1]),
            (filter(json!({"statusList": ["running", "Failed"]})), vec![3, 1]),
            (filter(json!({"completedJobLookupTime": 40})), vec![3, 2, 1]),
            (filter(json!({"completedJobLookupTime": 39})), vec![3, 2]),
        ];
        for (body, ids) in table {
            assert_eq!(found(&body), (ids.clone(), ids.len()), "{body}");
        }
    }

    #[test]
    fn pages_are_cut_from_the_sorted_list_and_count_all_of_it() {
        let paging = |direction: u64, offset: u64, limit: u64| {
            found(&json!({"pagingConfig": {
                "sortField": "jobId", "sortDirection": direction, "offset": offset, "limit": limit
            }}))
        };
        assert_eq!(paging(1, 0, 2), (vec![3, 2], 3));
        assert_eq!(paging(1, 2, 2), (vec![1], 3));
        assert_eq!(paging(1, 3, 2), (vec![], 3));
        assert_eq!(paging(0, 0, 2), (vec![1, 2], 3));
    }

    #[test]
    fn a_job_is_listed_only_once_it_is_visible() {
        let jobs = jobs();
        let query = Query::read(b"{}", false).unwrap();
        assert_eq!(query.select(jobs.iter(), at(59)).total, 3);
        assert_eq!(query.select(jobs.iter(), at(60)).total, 4);
    }

    #[test]
    fn a_search_with_a_misspelt_or_mistyped_filter_is_refused() {
        let table = [
            (json!({"jobfilter": {}}), "jobfilter: is unknown here"),
            (json!({"category": 3}), "category: must be 0"),
            (json!({"scope": 2}), "scope: must be 1"),
            (json!({"jobFilter": {"clientlist": []}}), "jobFilter.clientlist: is unknown here"),
            (json!({"jobFilter": {"clientList": [12]}}), "jobFilter.clientList[0]: must be an object"),
            (json!({"jobFilter": {"clientList": [{"clientId": "12"}]}}), "jobFilter.clientList[0].clientId: must be"),
            (json!({"jobFilter": {"entity": {"subclientID": 1}}}), "jobFilter.entity.subclientID: is unknown here"),
            (json!({"jobFilter": {"completedJobLookupTime": "1h"}}), "completedJobLookupTime: must be a whole number"),
            (json!({"jobFilter": {"statusList": [1]}}), "statusList: must be a list of strings"),
            (json!({"pagingConfig": {"limit": 0}}), "pagingConfig.limit: must be 1 or more"),
            (json!({"pagingConfig": {"sortField": "jobID"}}), "sortField: \"jobID\" is not one of jobId"),
            (json!({"pagingConfig": {"sortDirection": 2}}), "sortDirection: must be 0 or 1"),
        ];
        for (body, says) in table {
            let wrong = Query::read(body.to_string().as_bytes(), false).unwrap_err().to_string();
            assert!(wrong.contains(says), "{wrong:?} should contain {says:?}");
        }
    }
}
