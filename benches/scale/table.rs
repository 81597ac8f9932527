//! The figures: medians of the rounds, with the smallest and the largest.

use std::{collections::BTreeMap, fmt};

use serde_json::{Value, json};

/// Figures by number of objects, name and subject.
#[derive(Debug, Default)]
pub struct Table(BTreeMap<(usize, String), BTreeMap<&'static str, Vec<f64>>>);

const SUBJECTS: [&str; 3] = ["operator", "baseline", "floor"];

impl Table {
    pub fn add(&mut self, (subject, objects): (&'static str, usize), what: &str, value: f64) {
        self.0.entry((objects, what.to_owned())).or_default().entry(subject).or_default().push(value);
    }

    pub fn json(&self) -> String {
        let rows = self.0.iter().map(|((objects, what), figures)| {
            let figures: BTreeMap<_, Value> =
                figures.iter().map(|(subject, all)| (*subject, json!({"median": median(all), "all": all}))).collect();
            json!({"objects": objects, "what": what, "figures": figures})
        });
        serde_json::to_string_pretty(&rows.collect::<Vec<_>>()).unwrap()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [operator, baseline, floor] = SUBJECTS;
        writeln!(f, "{:>7}  {:<38} {operator:>24} {baseline:>24} {floor:>24}", "objects", "")?;
        for ((objects, what), figures) in &self.0 {
            write!(f, "{objects:>7}  {what:<38}")?;
            for subject in SUBJECTS {
                write!(f, " {:>24}", figures.get(subject).map_or_else(String::new, |all| figure(all)))?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

fn figure(all: &[f64]) -> String {
    let (least, most) =
        all.iter().fold((f64::MAX, f64::MIN), |(least, most), value| (least.min(*value), most.max(*value)));
    if all.len() > 1 { format!("{:.2} ({least:.2} to {most:.2})", median(all)) } else { format!("{:.2}", median(all)) }
}

fn median(all: &[f64]) -> f64 {
    let mut all = all.to_vec();
    all.sort_by(f64::total_cmp);
    all.get(all.len() / 2).copied().unwrap_or_default()
}
