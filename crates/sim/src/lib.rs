//! Runs members in a simulated hostile world, from one seed.

pub mod history;
pub mod workload;

mod ambush;
mod campaign;
mod check;
mod clients;
mod clock;
mod describe;
mod draw;
#[cfg(test)]
mod false_alarms;
mod fault;
mod heal;
mod inflict;
mod inspect;
mod kind;
mod machine;
mod marks;
mod member;
mod named;
mod network;
#[cfg(test)]
mod partitions;
mod process;
mod profile;
mod queue;
mod random;
mod real_time;
mod replay;
mod run;
mod schedule;
mod serve;
mod shelf;
mod shrink;
mod simpler;
mod step;
mod store_workload;
mod trace;
mod violation;
mod watch;
mod world;

pub use campaign::{Campaign, Finished, Summary, Trouble};
pub use check::{Options, check};
pub use fault::{Fault, What};
pub use kind::Kind;
pub use marks::{Mark, Marks};
pub use profile::{Profile, UnknownProfile};
pub use random::Random;
pub use run::{Failure, Outcome, parted, record, run, run_traced, run_workload};
pub use schedule::{Rates, Recording, Schedule, ScheduleError, Settings};
pub use shrink::{Progress, SHRINK_BUDGET, Shrunk, shrink};
pub use store_workload::StoreWorkload;
pub use violation::Checker;
pub use workload::{History, Request, Turn, Workload};

impl Schedule {
    /// The schedule of a seed. It lasts as long as its profile says, unless `duration` (in
    /// microseconds) says otherwise.
    #[must_use]
    pub fn draw(profile: &Profile, seed: u64, duration: Option<u64>) -> Self {
        draw::draw(profile, seed, duration)
    }
}
