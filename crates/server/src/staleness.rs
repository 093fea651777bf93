//! How old an answer may be: what a request says about it in its metadata.
//!
//! etcd's API knows two kinds of reads: linearizable, and of any age (`serializable`). A request
//! that carries the metadata [`NAME`] is answered from the asked member's own state as well, but
//! only if that shows everything that was acknowledged up to so long before; otherwise the member
//! asks the leader, as for a linearizable read. Where a request says both, this one counts: it
//! promises more.

use std::time::Duration;

use tonic::Status;
use tonic::metadata::MetadataMap;

/// The metadata's name; its value is a whole number and a unit, as `250ms`.
pub(crate) const NAME: &str = "quorate-max-staleness";

/// How old the answer may be, if the request says so.
pub(crate) fn of(metadata: &MetadataMap) -> Result<Option<Duration>, Status> {
    let Some(value) = metadata.get(NAME) else { return Ok(None) };
    match value.to_str().ok().and_then(parse) {
        Some(staleness) => Ok(Some(staleness)),
        None => Err(Status::invalid_argument(format!(
            "{NAME} is {value:?}; write a whole number and a unit (ms, s, m or h), such as 250ms"
        ))),
    }
}

fn parse(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let milliseconds = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60 * 1000,
        "h" => 60 * 60 * 1000,
        _ => return None,
    };
    Some(Duration::from_millis(number.checked_mul(milliseconds)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(value: &'static str) -> Result<Option<Duration>, Status> {
        let mut metadata = MetadataMap::new();
        metadata.insert(NAME, value.parse().unwrap());
        of(&metadata)
    }

    #[test]
    fn a_number_and_a_unit_are_an_age() {
        let ms = |count| Some(Duration::from_millis(count));
        for (text, age) in [("250ms", 250), ("0ms", 0), ("2s", 2000), ("1m", 60_000)] {
            assert_eq!(asked(text).unwrap(), ms(age), "{text}");
        }
        assert_eq!(of(&MetadataMap::new()).unwrap(), None);
    }

    #[test]
    fn whatever_else_is_refused_and_the_form_named() {
        for bad in ["", "250", "ms", "-1s", "1.5s", "2 s", "250MS", "99999999999999999999h"] {
            let status = asked(bad).unwrap_err();
            assert_eq!(status.code(), tonic::Code::InvalidArgument, "{bad}");
            assert!(status.message().contains("such as 250ms"), "{}", status.message());
        }
    }
}
