//! Bars on standard error, for somebody who waits. Without a terminal nothing is shown.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use quorate_sim::{Finished, Progress};

use super::count;

/// How often a bar is drawn anew though nothing has happened.
const TICK: Duration = Duration::from_millis(500);

/// How far a campaign is.
#[derive(Debug)]
pub(super) struct CampaignBar {
    bar: ProgressBar,
    started: Instant,
    jobs: u64,
    seeds: u64,
    simulated: u64,
    failed: u64,
}

impl CampaignBar {
    pub(super) fn new(seeds: u64, jobs: u64) -> Self {
        let bar = begin(seeds, "{bar:24} {pos} of {len} seeds, {msg}, {eta} left");
        bar.set_message("0 failed");
        Self { bar, started: Instant::now(), jobs, seeds: 0, simulated: 0, failed: 0 }
    }

    /// A seed is done.
    pub(super) fn on_finished(&mut self, finished: &Finished) {
        self.seeds += 1;
        self.simulated += finished.outcome.simulated;
        self.failed += u64::from(finished.trouble.is_some());
        let Self { seeds, simulated, failed, jobs, .. } = *self;
        let elapsed = self.started.elapsed();
        let each = tenths(seeds.saturating_mul(1_000_000), elapsed, 1);
        let times = tenths(simulated, elapsed, jobs);
        self.bar
            .set_message(format!("{each} seeds/s, {times} times real time a job, {failed} failed"));
        self.bar.inc(1);
    }

    /// Says something at once, above the bar.
    pub(super) fn say(&self, line: &str) {
        // It will be said again at the end, on standard output.
        self.bar.suspend(|| drop(writeln!(io::stderr().lock(), "{line}")));
    }

    /// The bar goes away; how long the campaign took.
    pub(super) fn finish(self) -> Duration {
        self.bar.finish_and_clear();
        self.started.elapsed()
    }
}

/// How far a search for a smaller schedule is.
#[derive(Debug)]
pub(super) struct ShrinkBar(ProgressBar);

impl ShrinkBar {
    pub(super) fn new(seed: u64, budget: u32) -> Self {
        let template = "{bar:24} {pos} of at most {len} runs, {msg}";
        let bar = begin(u64::from(budget), template);
        bar.set_message(format!("shrinking seed {seed}"));
        Self(bar)
    }

    pub(super) fn on_progress(&self, progress: &Progress) {
        let Progress { runs, faults, events, .. } = progress;
        let faults = count(u64::try_from(*faults).unwrap_or(u64::MAX), "fault");
        self.0.set_message(format!("{faults} left, fails at event {events}"));
        self.0.set_position(u64::from(*runs));
    }

    pub(super) fn finish(self) {
        self.0.finish_and_clear();
    }
}

fn begin(length: u64, template: &str) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template(template).expect("the template is right");
    bar.set_style(style.progress_chars("=> "));
    bar.enable_steady_tick(TICK);
    bar
}

/// How much of something that is counted in millionths there was in each second and job, with one
/// digit behind the point.
pub(super) fn tenths(millionths: u64, elapsed: Duration, jobs: u64) -> String {
    let each = elapsed.as_micros().max(1) * u128::from(jobs.max(1));
    let tenths = u128::from(millionths) * 10 / each;
    format!("{}.{}", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_have_one_digit_behind_the_point() {
        let second = Duration::from_secs(1);
        assert_eq!(tenths(1_000_000, second, 1), "1.0");
        assert_eq!(tenths(123_456_789, second * 2, 3), "20.5");
        assert_eq!(tenths(u64::MAX, Duration::ZERO, 0), "18446744073709551615.0");
    }
}
