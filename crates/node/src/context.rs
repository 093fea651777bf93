//! What is known of a member through the log: the context of its membership entry.
//!
//! A version byte, 1; a byte that is 1 if the member is to be promoted as soon as it has caught up;
//! then its URLs, with a line feed between them.

use bytes::Bytes;

const VERSION: u8 = 1;

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Context {
    /// Where the other members reach it.
    pub(crate) urls: Vec<String>,
    /// It gets a vote as soon as it has caught up.
    pub(crate) is_to_vote: bool,
}

impl Context {
    pub(crate) fn encode(&self) -> Bytes {
        let mut out = vec![VERSION, u8::from(self.is_to_vote)];
        out.extend_from_slice(self.urls.join("\n").as_bytes());
        out.into()
    }

    /// `None` if the bytes are none that this version knows.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let [VERSION, is_to_vote @ (0 | 1), urls @ ..] = bytes else { return None };
        let urls = std::str::from_utf8(urls).ok()?;
        let urls = urls.split('\n').filter(|url| !url.is_empty()).map(str::to_owned).collect();
        Some(Self { urls, is_to_vote: *is_to_vote == 1 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_survives_its_encoding() {
        let urls = ["http://a:1", "http://b:2"].map(str::to_owned);
        for context in [
            Context::default(),
            Context { urls: urls.to_vec(), is_to_vote: true },
            Context { urls: urls[..1].to_vec(), is_to_vote: false },
        ] {
            assert_eq!(Context::decode(&context.encode()), Some(context));
        }
        for bad in [&b""[..], b"\x01", b"\x02\x00", b"\x01\x02", b"\x01\x00\xff"] {
            assert_eq!(Context::decode(bad), None);
        }
    }
}
