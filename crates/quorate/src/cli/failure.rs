//! What a command says when it fails: one line that names the cause and the mend.

use std::fmt;

use quorate_client::{Code, Error};

/// Why a command failed, in one line.
#[derive(Debug)]
pub(super) struct Failure {
    text: String,
}

impl Failure {
    /// From a text that names cause and mend.
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self { text: text.into() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A server's text may have line ends in it; scripts count on one line.
        f.write_str(&self.text.replace('\n', " "))
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::new(match mend(&error) {
            Some(mend) => format!("{error}; {mend}"),
            None => error.to_string(),
        })
    }
}

/// What to do about an error, where the error itself does not say it.
fn mend(error: &Error) -> Option<&'static str> {
    match error {
        Error::Endpoint(_) => None,
        Error::NotConnected { .. } => {
            Some("is a member running there? Name others with --endpoints or QUORATE_ENDPOINTS")
        }
        Error::OutcomeUnknown { .. } => Some("read it back before you try again"),
        Error::NoAnswer { .. } => {
            Some("a majority must run: ask `status`, or wait longer with --command-timeout")
        }
        Error::Refused { code, message, .. } => refusal(*code, message),
    }
}

fn refusal(code: Code, message: &str) -> Option<&'static str> {
    let has = |text| message.ends_with(text);
    if has("required revision has been compacted") {
        Some("ask for a later revision")
    } else if has("required revision is a future revision") {
        Some("ask for an earlier revision")
    } else if has("key is not provided") {
        Some("give a key that is not empty, or --prefix for all keys")
    } else if has("too many operations in txn request") {
        Some("send fewer pairs in one step")
    } else if has("request is too large") {
        Some("send less in one step")
    } else if has("database space exceeded") {
        Some("free space on the members' disks")
    } else if has("too many requests") {
        Some("the members are busy: try again later")
    } else if has("no leader") {
        Some("a majority of the members must run: ask `status --cluster`")
    } else if code == Code::Unimplemented {
        Some("the server at this endpoint does not have this call")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_one_line_with_a_mend() {
        let error = Error::Refused {
            endpoint: "127.0.0.1:2379".parse().unwrap(),
            code: Code::OutOfRange,
            message: "etcdserver: mvcc: required revision\nhas been compacted".to_owned(),
        };
        let text = Failure::from(error).to_string();
        assert!(!text.contains('\n'), "{text}");
        let error = Error::Refused {
            endpoint: "127.0.0.1:2379".parse().unwrap(),
            code: Code::OutOfRange,
            message: "etcdserver: mvcc: required revision has been compacted".to_owned(),
        };
        assert_eq!(
            Failure::from(error).to_string(),
            "127.0.0.1:2379: etcdserver: mvcc: required revision has been compacted \
             (OutOfRange); ask for a later revision"
        );
    }
}
