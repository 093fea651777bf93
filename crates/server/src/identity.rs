//! Who the members are, and the ids that follow from it: computed as etcd does, so that what is
//! printed is what its users expect.

use std::collections::BTreeMap;

use sha1::{Digest, Sha1};

/// The members that a cluster begins with, as every one of them is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// The cluster's id.
    pub id: u64,
    /// The members, by name.
    pub seats: Vec<Seat>,
}

/// A member, as the cluster's settings name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seat {
    /// The member's id.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// Where it listens for the others.
    pub peer_urls: Vec<String>,
}

/// Why settings name no cluster.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClusterError {
    /// A part is no pair.
    #[error("'{0}' in the initial cluster is not name=URL; write n1=http://host:2380,n2=…")]
    NotAPair(String),
    /// A URL is none.
    #[error("'{url}' is not a URL that others can connect to: {reason}; write http://host:port")]
    BadUrl {
        /// The URL.
        url: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Two members have one URL.
    #[error("{0} stands twice in the initial cluster; each member needs its own peer URL")]
    Twice(String),
    /// Nobody.
    #[error("the initial cluster has no members; write n1=http://host:2380,…")]
    Empty,
}

impl Cluster {
    /// Reads `n1=http://host:port,n2=…`; a name that stands several times has several URLs.
    ///
    /// # Errors
    /// If it is not of that form.
    pub fn parse(text: &str, token: &str) -> Result<Self, ClusterError> {
        let mut urls: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let pair = part.split_once('=').filter(|(name, _)| !name.is_empty());
            let (name, url) = pair.ok_or_else(|| ClusterError::NotAPair(part.to_owned()))?;
            let url = url.trim_end_matches('/').to_owned();
            check_url(&url)?;
            if urls.values().flatten().any(|known| *known == url) {
                return Err(ClusterError::Twice(url));
            }
            urls.entry(name.to_owned()).or_default().push(url);
        }
        if urls.is_empty() {
            return Err(ClusterError::Empty);
        }
        let seats: Vec<_> = urls
            .into_iter()
            .map(|(name, mut peer_urls)| {
                peer_urls.sort();
                Seat { id: member_id(&peer_urls, token), name, peer_urls }
            })
            .collect();
        let id = cluster_id(&seats);
        Ok(Self { id, seats })
    }

    /// The member of that name.
    #[must_use]
    pub fn seat(&self, name: &str) -> Option<&Seat> {
        self.seats.iter().find(|seat| seat.name == name)
    }
}

/// Checks that others can connect to a URL of a member: `http://host:port`.
///
/// # Errors
/// If it is not of that form.
pub fn check_url(url: &str) -> Result<(), ClusterError> {
    let bad = |reason| ClusterError::BadUrl { url: url.to_owned(), reason };
    if url.starts_with("https://") {
        return Err(bad("TLS is not supported yet"));
    }
    let rest = url.strip_prefix("http://").ok_or_else(|| bad("it does not begin with http://"))?;
    let (host, port) = rest.rsplit_once(':').ok_or_else(|| bad("it has no port"))?;
    if host.is_empty() {
        return Err(bad("it has no host"));
    }
    if host.contains('/') || port.contains('/') {
        return Err(bad("it has a path"));
    }
    match port.parse::<u16>() {
        Ok(0) => Err(bad("its port is 0, which nobody can connect to")),
        Ok(_) => Ok(()),
        Err(_) => Err(bad("its port is no number up to 65535")),
    }
}

fn member_id(sorted_urls: &[String], token: &str) -> u64 {
    let mut hash = Sha1::new();
    for url in sorted_urls {
        hash.update(url);
    }
    hash.update(token);
    head(&hash.finalize())
}

fn cluster_id(seats: &[Seat]) -> u64 {
    let mut ids: Vec<_> = seats.iter().map(|seat| seat.id).collect();
    ids.sort_unstable();
    let mut hash = Sha1::new();
    for id in ids {
        hash.update(id.to_be_bytes());
    }
    head(&hash.finalize())
}

/// The first eight bytes of a hash as a number.
fn head(hash: &[u8]) -> u64 {
    let head = hash.first_chunk::<8>().expect("SHA-1 has twenty bytes");
    u64::from_be_bytes(*head)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_those_that_etcd_computes() {
        // As printed by etcd 3.5 for its default member: --name default, token etcd-cluster.
        let cluster = Cluster::parse("default=http://localhost:2380", "etcd-cluster").unwrap();
        assert_eq!(format!("{:x}", cluster.seats[0].id), "8e9e05c52164694d");
        assert_eq!(format!("{:x}", cluster.id), "cdf818194e3a8c32");
    }

    #[test]
    fn what_names_no_cluster_is_refused_with_the_reason() {
        let parse = |text| Cluster::parse(text, "t");
        assert_eq!(parse(""), Err(ClusterError::Empty));
        assert_eq!(parse("n1"), Err(ClusterError::NotAPair("n1".into())));
        assert_eq!(
            parse("a=http://h:1,b=http://h:1"),
            Err(ClusterError::Twice("http://h:1".into()))
        );
        for (text, reason) in [
            ("a=h:1", "it does not begin with http://"),
            ("a=http://h", "it has no port"),
            ("a=http://:1", "it has no host"),
            ("a=http://h:99999", "its port is no number up to 65535"),
            ("a=http://h:1/x", "it has a path"),
            ("a=https://h:1", "TLS is not supported yet"),
        ] {
            let url = text.trim_start_matches("a=").to_owned();
            assert_eq!(parse(text), Err(ClusterError::BadUrl { url, reason }), "{text}");
        }
    }
}
