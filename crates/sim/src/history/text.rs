//! Operations in words, for anomalies.

use std::fmt;

use super::{Anomaly, Pair, Request};

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, value, created, modified, version } = self;
        write!(f, "{key}={value} (created {created}, modified {modified}, version {version})")
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Put { key, value } => write!(f, "put {key}={value}"),
            Self::Range { first, end, at, serializable } => {
                let kind = if *serializable { "serializable read" } else { "read" };
                write!(f, "{kind} of {first}..{end}")?;
                at.map_or(Ok(()), |at| write!(f, " as of revision {at}"))
            }
            Self::Delete { first, end } => write!(f, "delete {first}..{end}"),
            Self::Swap { key, expected, value, also } => {
                write!(f, "swap {key}={value}")?;
                also.map_or(Ok(()), |also| write!(f, " and {also}={value}"))?;
                write!(f, " if {key} is of revision {expected}")
            }
            Self::Compact { revision } => write!(f, "compaction to revision {revision}"),
        }
    }
}

impl fmt::Display for Anomaly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "operation {}: {}", self.operation, self.what)
    }
}
