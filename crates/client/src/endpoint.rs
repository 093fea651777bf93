//! Where a member listens: parsing, with errors that say what to write instead.

use std::fmt;
use std::str::FromStr;

/// The address of one member's client port.
///
/// Written as `host:port` or `http://host:port`; both mean the same.
///
/// ```
/// use quorate_client::Endpoint;
///
/// let endpoint: Endpoint = "http://127.0.0.1:2379/".parse()?;
/// assert_eq!(endpoint.to_string(), "127.0.0.1:2379");
/// assert!("127.0.0.1".parse::<Endpoint>().is_err(), "it has no port");
/// # Ok::<(), quorate_client::EndpointError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// As given, for messages; without spaces around it, nor a slash at its end.
    text: String,
    /// `host:port`; parsed and found good.
    authority: String,
}

impl Endpoint {
    /// The host and the port, without a scheme.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The whole address with its scheme, as the transport wants it.
    pub fn url(&self) -> String {
        format!("http://{}", self.authority)
    }

    /// The address as the user wrote it, scheme included if there was one.
    pub fn as_given(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.authority)
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(given: &str) -> Result<Self, EndpointError> {
        let text = given.trim();
        let text = text.strip_suffix('/').unwrap_or(text);
        let fail = |cause: &str, mend: String| EndpointError {
            text: given.to_owned(),
            cause: cause.to_owned(),
            mend,
        };
        if text.is_empty() {
            return Err(fail("it is empty", example()));
        }
        let authority = match text.split_once("://") {
            None => text,
            Some(("http", rest)) => rest,
            Some(("https", rest)) => {
                return Err(fail("TLS is not supported yet", format!("write http://{rest}")));
            }
            Some((_, rest)) => {
                return Err(fail("its scheme is not http", format!("write http://{rest}")));
            }
        };
        if authority.contains(['/', '?', '#']) {
            return Err(fail("it has a path", "write the host and the port only".to_owned()));
        }
        if authority.contains('@') {
            let mend = "leave out what stands before the @";
            return Err(fail("it names a user", mend.to_owned()));
        }
        check_authority(authority).map_err(|(cause, mend)| fail(cause, mend))?;
        Ok(Self { text: text.to_owned(), authority: authority.to_owned() })
    }
}

/// Checks `host:port`; an error is (cause, mend).
fn check_authority(authority: &str) -> Result<(), (&'static str, String)> {
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !host.ends_with(':') && !port.ends_with(']') => (host, port),
        Some(_) | None => {
            return Err(("it has no port", format!("write {authority}:2379")));
        }
    };
    if host.is_empty() {
        return Err(("it has no host", format!("write 127.0.0.1:{port}")));
    }
    if host.contains(':') && !(host.starts_with('[') && host.ends_with(']')) {
        let mend = format!("write [{host}]:{port}");
        return Err(("an IPv6 address needs brackets", mend));
    }
    match port.parse::<u16>() {
        Ok(0) | Err(_) => {
            return Err(("its port is not a number from 1 to 65535", format!("write {host}:2379")));
        }
        Ok(_) => {}
    }
    // The transport has the last word on which characters make up a host.
    tonic::transport::Endpoint::from_shared(format!("http://{authority}"))
        .map(|_| ())
        .map_err(|_| ("its host has a character that does not belong there", example()))
}

fn example() -> String {
    "write host:port, such as 127.0.0.1:2379".to_owned()
}

/// An endpoint that makes no sense: what is wrong, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("endpoint {text:?}: {cause}; {mend}")]
pub struct EndpointError {
    text: String,
    cause: String,
    mend: String,
}

impl EndpointError {
    /// A list without endpoints.
    pub(crate) fn none() -> Self {
        Self {
            text: String::new(),
            cause: "the list of endpoints is empty".to_owned(),
            mend: "give at least one, such as 127.0.0.1:2379".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> String {
        text.parse::<Endpoint>().unwrap().url()
    }

    fn refused(text: &str) -> String {
        text.parse::<Endpoint>().unwrap_err().to_string()
    }

    #[test]
    fn both_spellings_mean_the_same() {
        assert_eq!(parsed("127.0.0.1:2379"), "http://127.0.0.1:2379");
        assert_eq!(parsed("http://127.0.0.1:2379"), "http://127.0.0.1:2379");
        assert_eq!(parsed(" http://n1.example:2379/ "), "http://n1.example:2379");
        assert_eq!(parsed("[::1]:2379"), "http://[::1]:2379");
    }

    #[test]
    fn an_error_names_cause_and_mend() {
        assert_eq!(
            refused(""),
            "endpoint \"\": it is empty; write host:port, such as 127.0.0.1:2379"
        );
        assert_eq!(refused("n1"), "endpoint \"n1\": it has no port; write n1:2379");
        assert_eq!(refused("[::1]"), "endpoint \"[::1]\": it has no port; write [::1]:2379");
        assert_eq!(refused(":2379"), "endpoint \":2379\": it has no host; write 127.0.0.1:2379");
        assert_eq!(
            refused("fe80::1:2379"),
            "endpoint \"fe80::1:2379\": an IPv6 address needs brackets; write [fe80::1]:2379"
        );
        assert_eq!(
            refused("https://n1:2379"),
            "endpoint \"https://n1:2379\": TLS is not supported yet; write http://n1:2379"
        );
        assert_eq!(
            refused("n1:http"),
            "endpoint \"n1:http\": its port is not a number from 1 to 65535; write n1:2379"
        );
        for bad in ["n1:0", "n1:70000", "unix://n1:1", "n1:1/v3", "a@n1:1", "n 1:1", "n1:1,n2:1"] {
            assert!(bad.parse::<Endpoint>().is_err(), "{bad} was taken for good");
        }
    }
}
