//! The options that all client commands have in common.
//!
//! They may stand before the command's name or behind it; what stands behind wins. Hence every
//! field is optional here, and the defaults come in [`ClientOptions::resolve`].

use std::time::Duration;

use clap::{Args, ValueEnum};
use quorate_client::Options;

use super::failure::Failure;
use super::output::{Format, Style};

/// Names the members when no option does.
const ENDPOINTS_VARIABLE: &str = "QUORATE_ENDPOINTS";
/// Where a member listens when nobody says otherwise.
const ENDPOINTS_DEFAULT: &str = "127.0.0.1:2379";

/// The options that all client commands have in common.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Client options")]
pub(crate) struct ClientOptions {
    /// Members to ask, in this order, with commas between them
    /// [env: QUORATE_ENDPOINTS] [default: 127.0.0.1:2379]
    #[arg(long, value_name = "HOST:PORT,…")]
    endpoints: Option<String>,

    /// How to print the answer [default: simple]
    #[arg(short = 'w', long = "write-out", value_name = "FORMAT", value_enum)]
    format: Option<FormatName>,

    /// Print keys and values as hexadecimal bytes; in JSON, write ids in hexadecimal
    #[arg(long)]
    hex: bool,

    /// How long one member may take to accept a connection, such as 500ms [default: 2s]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    dial_timeout: Option<Duration>,

    /// How long the whole command may wait for answers, such as 1m30s [default: 5s]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    command_timeout: Option<Duration>,
}

/// The formats by their names.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum FormatName {
    /// Lines, as etcdctl prints them
    Simple,
    /// One line of JSON, as etcdctl prints it: keys and values in base64
    Json,
    /// A table with a heading
    Table,
}

impl ClientOptions {
    /// These options, and where they are silent, the others.
    pub(crate) fn or(self, other: Self) -> Self {
        Self {
            endpoints: self.endpoints.or(other.endpoints),
            format: self.format.or(other.format),
            hex: self.hex || other.hex,
            dial_timeout: self.dial_timeout.or(other.dial_timeout),
            command_timeout: self.command_timeout.or(other.command_timeout),
        }
    }

    /// Fills the gaps from the environment and with the defaults.
    pub(super) fn resolve(self) -> Result<Settings, Failure> {
        let variable = match std::env::var(ENDPOINTS_VARIABLE) {
            Ok(text) if !text.is_empty() => Some(text),
            Ok(_) | Err(std::env::VarError::NotPresent) => None,
            Err(std::env::VarError::NotUnicode(_)) => {
                let cause = format!("{ENDPOINTS_VARIABLE} is not UTF-8; set it to host:port,…");
                return Err(Failure::new(cause));
            }
        };
        Ok(self.resolve_with(variable))
    }

    fn resolve_with(self, variable: Option<String>) -> Settings {
        let endpoints = self.endpoints.or(variable).unwrap_or(ENDPOINTS_DEFAULT.to_owned());
        let format = match self.format {
            None | Some(FormatName::Simple) => Format::Simple,
            Some(FormatName::Json) => Format::Json,
            Some(FormatName::Table) => Format::Table,
        };
        let mut client = Options::new();
        if let Some(timeout) = self.dial_timeout {
            client = client.connect_timeout(timeout);
        }
        if let Some(timeout) = self.command_timeout {
            client = client.request_timeout(timeout);
        }
        Settings {
            endpoints: endpoints.split(',').map(|text| text.trim().to_owned()).collect(),
            client,
            format,
            style: if self.hex { Style::Hex } else { Style::Plain },
        }
    }
}

/// What the options come to.
pub(super) struct Settings {
    /// As written; the client parses them.
    pub(super) endpoints: Vec<String>,
    pub(super) client: Options,
    pub(super) format: Format,
    pub(super) style: Style,
}

/// Reads a duration as Go writes it: `5s`, `500ms`, `1m30s`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let fail = || "write a number and a unit, such as 500ms, 5s or 1m30s".to_owned();
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(fail)?;
        let (number, tail) = rest.split_at(digits);
        let number: u32 = number.parse().map_err(|_| fail())?;
        let letters = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let unit = match unit {
            "ms" => Duration::from_millis(1),
            "s" => Duration::from_secs(1),
            "m" => Duration::from_secs(60),
            "h" => Duration::from_secs(3600),
            _ => return Err(fail()),
        };
        total = unit.checked_mul(number).and_then(|d| total.checked_add(d)).ok_or_else(fail)?;
        rest = tail;
    }
    // A deadline further away than a year is a slip, and would not fit a clock at some point.
    let longest = Duration::from_secs(366 * 24 * 3600);
    if total.is_zero() || total > longest { Err(fail()) } else { Ok(total) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_gos() {
        assert_eq!(duration("5s"), Ok(Duration::from_secs(5)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("1m30s"), Ok(Duration::from_secs(90)));
        for bad in ["", "5", "s", "5 s", "-1s", "0s", "1.5s", "9999999h", "5sec"] {
            assert!(duration(bad).is_err(), "{bad} was taken for good");
        }
    }

    #[test]
    fn what_stands_behind_the_command_wins() {
        let behind = ClientOptions { endpoints: Some("b:1".into()), ..Default::default() };
        let before = ClientOptions {
            endpoints: Some("a:1".into()),
            format: Some(FormatName::Json),
            ..Default::default()
        };
        let settings = behind.or(before).resolve_with(Some("c:1".into()));
        assert_eq!(settings.endpoints, ["b:1"]);
        assert_eq!(settings.format, Format::Json);
    }

    #[test]
    fn the_environment_comes_before_the_default() {
        let none = ClientOptions::default;
        assert_eq!(none().resolve_with(None).endpoints, ["127.0.0.1:2379"]);
        let variable = Some("a:1, b:1".to_owned());
        assert_eq!(none().resolve_with(variable).endpoints, ["a:1", "b:1"]);
    }
}
