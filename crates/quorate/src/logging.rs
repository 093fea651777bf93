//! Diagnostics go to standard error, through `tracing`.

use std::io::IsTerminal;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use tracing_subscriber::EnvFilter;

/// How diagnostics look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// What is said on standard error, and how.
#[derive(Args, Debug)]
pub(crate) struct Logging {
    /// What to report: error, warn, info, debug or trace; also per module, as in
    /// info,quorate_node=debug
    #[arg(long, value_name = "LEVEL", env = "QUORATE_LOG_LEVEL", global = true)]
    log_level: Option<String>,

    /// How reports look
    #[arg(long, value_enum, default_value_t, env = "QUORATE_LOG_FORMAT", global = true)]
    log_format: Format,
}

impl Logging {
    /// Starts reporting, at `level` unless told otherwise.
    pub(crate) fn start(&self, level: &str) -> Result<()> {
        let level = self.log_level.as_deref().unwrap_or(level);
        let filter = EnvFilter::builder().parse(level).with_context(|| {
            format!("--log-level '{level}' is none; write error, warn, info, …")
        })?;
        let builder =
            tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
        let builder = builder.with_ansi(std::io::stderr().is_terminal());
        match self.log_format {
            Format::Text => builder.with_target(false).init(),
            Format::Json => builder.json().init(),
        }
        Ok(())
    }
}
