//! Profiles: which kinds of runs are drawn.

use std::str::FromStr;

use crate::kind::Kind;
use crate::queue::Time;
use crate::random::Random;

const SECOND: Time = 1_000_000;

/// Which runs are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Five members, four clients, any kinds of faults in any strength: what a release must pass.
    Standard,
    /// One to seven members, else as the standard.
    Mixed,
    /// No faults at all.
    Calm,
    /// All kinds of faults, all as frequent as they may be.
    Storm,
    /// One kind of fault, as frequent as it may be.
    Only(Kind),
}

/// A profile that does not exist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no profile {0:?}; the profiles are {known}", known = Profile::names().join(", "))]
pub struct UnknownProfile(String);

impl Profile {
    /// The names of all profiles.
    #[must_use]
    pub fn names() -> Vec<&'static str> {
        let kinds = Kind::ALL.iter().map(|kind| kind.name());
        ["standard", "mixed", "calm", "storm"].into_iter().chain(kinds).collect()
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Standard => "standard".to_owned(),
            Self::Mixed => "mixed".to_owned(),
            Self::Calm => "calm".to_owned(),
            Self::Storm => "storm".to_owned(),
            Self::Only(kind) => kind.name().to_owned(),
        }
    }

    /// How often a kind of fault occurs in a run, from 0 to 100.
    pub(crate) fn intensity(&self, kind: Kind, random: &mut Random) -> u64 {
        match self {
            Self::Standard | Self::Mixed => {
                // Damage costs the cluster members for good: it is there in fewer runs.
                let is_rare = kind.is_damage() || kind == Kind::Wipe;
                match random.below(20) {
                    0..10 => 0,
                    10..16 if is_rare => 0,
                    10..19 => random.magnitude(1, 50),
                    _ => 100,
                }
            }
            Self::Calm => 0,
            Self::Storm => 100,
            Self::Only(only) if *only == kind => 100,
            Self::Only(_) => 0,
        }
    }

    pub(crate) fn members(&self, random: &mut Random) -> usize {
        match self {
            Self::Standard | Self::Calm | Self::Storm | Self::Only(_) => 5,
            Self::Mixed => 1 + random.place(7),
        }
    }

    /// How long a run is if nobody says so.
    pub(crate) fn duration(&self) -> Time {
        match self {
            Self::Standard | Self::Mixed | Self::Calm | Self::Storm | Self::Only(_) => 60 * SECOND,
        }
    }
}

impl FromStr for Profile {
    type Err = UnknownProfile;

    fn from_str(name: &str) -> Result<Self, UnknownProfile> {
        match name {
            "standard" => Ok(Self::Standard),
            "mixed" => Ok(Self::Mixed),
            "calm" => Ok(Self::Calm),
            "storm" => Ok(Self::Storm),
            _ => match name.parse() {
                Ok(kind) => Ok(Self::Only(kind)),
                Err(()) => Err(UnknownProfile(name.to_owned())),
            },
        }
    }
}
