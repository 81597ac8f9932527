//! Results of all plans: reports go in, a page for people comes out, and a panic with the stories of those that failed.

use std::{collections::BTreeMap, fmt, fmt::Write as _, io::Write as _, time::Duration};

use super::{gate::Passed, plan::Report, verdict::End};

/// Number of failures that are told in full.
const STORIES: usize = 10;

pub struct Summary(Vec<Report>);

/// Plans of one kind.
#[derive(Clone, Copy, Default)]
struct Count {
    all: usize,
    held: usize,
    failed: usize,
}

impl Summary {
    pub const fn of(reports: Vec<Report>) -> Self {
        Self(reports)
    }

    /// Plans all of whose strikes were met.
    pub fn met(&self) -> usize {
        self.0.iter().filter(|report| report.met).count()
    }

    /// Prints the counts, also when the test passes.
    pub fn tell(&self, what: &str, took: Duration) {
        let total = self.count(|_| vec![String::new()]).remove("").unwrap_or_default();
        let duplicates = self.failures().filter(|wrong| wrong.contains("DUPLICATE")).count();
        let mut page = format!(
            "enumeration of {what}: {} plans in {} s, {} without meeting all their faults; {} held, {} failed, {duplicates} duplicates\n",
            total.all,
            took.as_secs(),
            total.all - self.met(),
            total.held,
            total.failed,
        );
        let struck = |report: &Report, name: fn(&Passed) -> String| {
            report.concerned().filter(|passed| passed.fault.is_some()).map(name).collect::<Vec<_>>()
        };
        let by_effect = self.count(|report| struck(report, |passed| passed.effect.to_string()));
        let by_fault = self.count(|report| {
            struck(report, |passed| passed.fault.map(|fault| fault.name.to_owned()).unwrap_or_default())
        });
        let by_scenario = self.count(|report| vec![report.plan.scenario.name.to_owned()]);
        for (by, counts) in [("scenario", by_scenario), ("effect", by_effect), ("fault", by_fault)] {
            let counts: Vec<String> = counts.iter().map(|(name, count)| format!("{name} {count}")).collect();
            let _ = writeln!(page, "  by {by}: {}", counts.join("; "));
        }
        // Not by a macro, whose output a passing test does not show.
        let _ = std::io::stderr().write_all(page.as_bytes());
    }

    /// Panics with what went wrong.
    pub fn check(&self) {
        let failed: Vec<&Report> = self.0.iter().filter(|report| report.end.is_err()).collect();
        if failed.is_empty() {
            return;
        }
        let stories: String = failed.iter().take(STORIES).map(|report| report.story()).collect();
        let others: Vec<String> = failed.iter().skip(STORIES).map(|report| report.plan.to_string()).collect();
        panic!("{} of {} plans failed:\n{stories}{}", failed.len(), self.0.len(), others.join("\n"));
    }

    fn failures(&self) -> impl Iterator<Item = &String> {
        self.0.iter().filter_map(|report| report.end.as_ref().err())
    }

    fn count(&self, names: impl Fn(&Report) -> Vec<String>) -> BTreeMap<String, Count> {
        let mut counts: BTreeMap<String, Count> = BTreeMap::new();
        for report in &self.0 {
            for name in names(report) {
                let count = counts.entry(name).or_default();
                count.all += 1;
                count.held += usize::from(report.end == Ok(End::Held));
                count.failed += usize::from(report.end.is_err());
            }
        }
        counts
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.all)?;
        if self.held > 0 {
            write!(f, " ({} held)", self.held)?;
        }
        if self.failed > 0 {
            write!(f, " ({} FAILED)", self.failed)?;
        }
        Ok(())
    }
}
