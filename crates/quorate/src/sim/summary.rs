//! What a campaign came to, for people and as JSON.

use std::collections::BTreeMap;
use std::time::Duration;

use quorate_sim::{Campaign, Mark, Profile, Summary};
use serde::Serialize;

use super::failure::Report;
use super::progress::tenths;
use super::{count, seconds};

/// A campaign and what it came to.
#[derive(Debug)]
pub(super) struct Done<'a> {
    pub(super) campaign: &'a Campaign,
    pub(super) summary: &'a Summary,
    /// It was one seed that was asked for, not a campaign.
    pub(super) is_single: bool,
    pub(super) elapsed: Duration,
    pub(super) reports: &'a [Report],
}

impl Done<'_> {
    /// For people.
    pub(super) fn text(&self) -> String {
        let Summary { simulated, events, operations, hash, .. } = self.summary;
        let elapsed = self.elapsed;
        let jobs = self.jobs();
        let took = format!("{}.{:03} s", elapsed.as_secs(), elapsed.subsec_millis());
        let times = tenths(*simulated, elapsed, jobs);
        let share = if jobs == 1 { "" } else { " for each" };
        let of = if self.is_single { "the run" } else { "all runs" };
        let mut text = self.head();
        text += &format!(
            "  simulated    {} in {took} on {}: {times} times real time{share}\n",
            seconds(*simulated),
            count(jobs, "job"),
        );
        text += &format!("  events       {events}\n  operations   {operations}\n");
        text += &format!("  hash         {hash:016x} of {of}\n");
        text + &self.situations()
    }

    fn head(&self) -> String {
        let Campaign { profile, first, seeds: asked, .. } = self.campaign;
        let Summary { seeds, failures, .. } = self.summary;
        let profile = profile.name();
        if self.is_single {
            let how = if failures.is_empty() { "passed" } else { "failed" };
            return format!("seed {first} of profile {profile} {how}\n");
        }
        let failed = match failures.len() {
            0 => "none failed".to_owned(),
            number => format!("{number} failed"),
        };
        let begun = if seeds < asked { format!(" of {asked}") } else { String::new() };
        format!("{seeds}{begun} seeds of profile {profile}, from {first} on: {failed}\n")
    }

    /// The situations that were met; those that were not matter only where all kinds of faults are
    /// mixed, and in many seeds.
    fn situations(&self) -> String {
        let missing: Vec<_> = self.summary.marks.missing().collect();
        let all = Mark::ALL.len();
        let mut text = format!("  situations   {} of {all} met\n", all - missing.len());
        if self.is_single || missing.is_empty() {
            return text;
        }
        text += match self.campaign.profile {
            Profile::Standard => "warning: never met, so what they test was not tested:\n",
            Profile::Mixed | Profile::Calm | Profile::Storm | Profile::Only(_) => "never met:\n",
        };
        for mark in missing {
            text += &format!("  {}\n", mark.name());
        }
        text
    }

    /// Runs at the same time.
    fn jobs(&self) -> u64 {
        let jobs = u64::try_from(self.campaign.jobs.get()).unwrap_or(u64::MAX);
        jobs.min(self.campaign.seeds)
    }

    /// One object.
    pub(super) fn json(&self) -> serde_json::Result<String> {
        let Summary { seeds, simulated, events, operations, marks, hash, .. } = self.summary;
        let json = Json {
            profile: self.campaign.profile.name(),
            first: self.campaign.first,
            seeds: *seeds,
            seconds: self.campaign.duration.map(|duration| duration / 1_000_000),
            failed: self.reports.len(),
            failures: self.reports,
            simulated_us: *simulated,
            elapsed_us: self.elapsed.as_micros(),
            jobs: self.jobs(),
            events: *events,
            operations: *operations,
            hash: format!("{hash:016x}"),
            situations: Mark::ALL.iter().map(|mark| (mark.name(), marks.count(*mark))).collect(),
        };
        serde_json::to_string(&json)
    }
}

#[derive(Serialize)]
struct Json<'a> {
    profile: String,
    first: u64,
    seeds: u64,
    /// As asked for; none: as the profile says.
    seconds: Option<u64>,
    failed: usize,
    failures: &'a [Report],
    simulated_us: u64,
    elapsed_us: u128,
    jobs: u64,
    events: u64,
    operations: u64,
    hash: String,
    /// How often each was met.
    situations: BTreeMap<&'static str, u64>,
}
