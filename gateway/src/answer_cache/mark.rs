//! What a request's way past the cache was, in the words of `Cache-Status` (RFC 9211).

use cache::exact::Entry;

/// What a request's way past the cache was, for headers and logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// It was answered from the cache.
    Hit {
        /// The entry's key.
        hash: u128,
        /// How old the answer is, in seconds.
        age: u64,
        /// How long it stays fresh, in seconds; negative for a stale one.
        ttl: i64,
    },
    /// It was answered from the cache, past its time.
    Stale {
        /// The entry's key.
        hash: u128,
        /// How old the answer is, in seconds.
        age: u64,
        /// How long it has not been fresh, as a negative number of seconds.
        ttl: i64,
        /// What came of the providers, as a status; None when a new answer is fetched beside it.
        failed: Option<u16>,
    },
    /// It was answered from the cache, with the answer to another wording.
    Semantic {
        /// The entry's key.
        hash: u128,
        /// How old the answer is, in seconds.
        age: u64,
        /// How long it stays fresh, in seconds.
        ttl: i64,
        /// Why it serves.
        reason: Reason,
    },
    /// The cache has no answer to it.
    Miss {
        /// The key it is kept under.
        hash: u128,
        /// Why what is kept does not serve.
        why: Why,
    },
    /// It asked for an answer of its own.
    Declined {
        /// The key it is kept under.
        hash: u128,
        /// Whether there was one.
        why: Why,
    },
    /// It asked for a kept answer only, and there is none: it went nowhere.
    Unserved {
        /// Its key; None when it is not looked up.
        hash: Option<u128>,
    },
    /// It was not looked up.
    Bypass,
}

/// Why a request that was looked up went on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Nothing is kept.
    Miss,
    /// What is kept is past its time.
    Stale,
    /// A fresh answer is kept, and the request does not take it.
    Request,
}

impl Why {
    /// Of what is kept, for a request that does not take it.
    pub fn of(kept: Option<&Entry>, now_ms: u64) -> Self {
        match kept {
            None => Self::Miss,
            Some(entry) if entry.fresh_until_ms > now_ms => Self::Request,
            Some(_) => Self::Stale,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Miss => "miss",
            Self::Stale => "stale",
            Self::Request => "request",
        }
    }
}

/// Why an answer to another wording serves, in thousandths; the bound in millionths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reason {
    similarity: u16,
    score: u16,
    threshold: u16,
    bound: u32,
}

impl From<&cache::semantic::Candidate> for Reason {
    fn from(candidate: &cache::semantic::Candidate) -> Self {
        let thousandths = |value: f32| (value.clamp(0.0, 1.0) * 1000.0).round() as u16;
        Self {
            similarity: thousandths(candidate.similarity),
            score: thousandths(candidate.score),
            threshold: thousandths(candidate.threshold.score),
            bound: (candidate.threshold.bound.clamp(0.0, 1.0) * 1e6).round() as u32,
        }
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let share = |value: u16| f64::from(value) / 1000.0;
        let (similarity, score, threshold) =
            (share(self.similarity), share(self.score), share(self.threshold));
        let bound = f64::from(self.bound) / 1e6;
        write!(out, "similarity={similarity:.3} score={score:.3} threshold={threshold:.3} bound={bound:.4}")
    }
}

impl Mark {
    /// The value of `x-signalbox-cache`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hit { .. } | Self::Stale { .. } => "hit",
            Self::Semantic { .. } => "semantic",
            Self::Miss { .. } | Self::Unserved { hash: Some(_) } => "miss",
            Self::Declined { .. } | Self::Unserved { hash: None } | Self::Bypass => "bypass",
        }
    }

    /// The value of `Cache-Status` (RFC 9211). `collapsed`: the request shares another one's answer.
    pub fn status(self, collapsed: bool) -> String {
        let collapsed = if collapsed { "; collapsed" } else { "" };
        match self {
            Self::Hit { hash, ttl, .. } => format!("signalbox; hit; ttl={ttl}; key=\"{hash:032x}\""),
            Self::Stale { hash, ttl, failed: None, .. } => {
                format!("signalbox; hit; ttl={ttl}; key=\"{hash:032x}\"; detail=\"stale-while-revalidate\"")
            }
            // Without `fwd-status` the provider would have answered with the status of the kept answer.
            Self::Stale { hash, ttl, failed: Some(status), .. } => {
                format!(
                    "signalbox; fwd=stale; fwd-status={status}; ttl={ttl}; key=\"{hash:032x}\"; detail=\"stale-if-error\""
                )
            }
            Self::Semantic { hash, ttl, reason, .. } => {
                format!("signalbox; hit; ttl={ttl}; key=\"{hash:032x}\"; detail=\"semantic {reason}\"")
            }
            Self::Miss { hash, why } | Self::Declined { hash, why } => {
                format!("signalbox; fwd={}{collapsed}; key=\"{hash:032x}\"", why.as_str())
            }
            // Neither a hit nor sent on.
            Self::Unserved { hash: Some(hash) } => {
                format!("signalbox; key=\"{hash:032x}\"; detail=\"only-if-cached\"")
            }
            Self::Unserved { hash: None } => "signalbox; detail=\"only-if-cached\"".to_owned(),
            Self::Bypass => format!("signalbox; fwd=bypass{collapsed}"),
        }
    }
}
