//! What a block cannot hold: a Bloom filter over names and ids, so that a search reads few blocks in vain, of two thousand one.

/// Bits for each token, and how many of all are set for it.
const BITS: usize = 16;
const PROBES: u64 = 8;

/// What can be searched for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Token<'a> {
    Key(&'a str),
    Team(&'a str),
    User(&'a str),
    Model(&'a str),
    Status(u16),
    Request(&'a str),
}

impl Token<'_> {
    /// Part of the stored format: 64 bits of FNV-1a over the kind and the text.
    fn hash(self) -> u64 {
        let status;
        let (kind, text) = match self {
            Self::Key(text) => (b'k', text.as_bytes()),
            Self::Team(text) => (b't', text.as_bytes()),
            Self::User(text) => (b'u', text.as_bytes()),
            Self::Model(text) => (b'm', text.as_bytes()),
            Self::Request(text) => (b'r', text.as_bytes()),
            Self::Status(number) => {
                status = number.to_be_bytes();
                (b's', status.as_slice())
            }
        };
        let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        text.iter().fold(step(0xcbf2_9ce4_8422_2325, &kind), step)
    }

    /// The bits that are set for it, of so many.
    fn places(self, bits: u64) -> impl Iterator<Item = u64> {
        let first = mix(self.hash());
        // Odd, so that it never stays in place.
        let stride = mix(first) | 1;
        (0..PROBES).map(move |probe| first.wrapping_add(stride.wrapping_mul(probe)) % bits)
    }
}

/// The finaliser of SplitMix64: FNV leaves the high bits of short texts alike.
fn mix(hash: u64) -> u64 {
    let hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

/// A filter of these tokens.
pub(super) fn build<'a>(tokens: impl ExactSizeIterator<Item = Token<'a>>) -> Vec<u8> {
    let mut sieve = vec![0_u8; (tokens.len() * BITS).div_ceil(8).max(1)];
    let bits = sieve.len() as u64 * 8;
    for token in tokens {
        for place in token.places(bits) {
            if let Some(byte) = sieve.get_mut(usize::try_from(place / 8).unwrap_or(usize::MAX)) {
                *byte |= 1 << (place % 8);
            }
        }
    }
    sieve
}

/// False when none of the tokens was this one.
pub(super) fn may_hold(sieve: &[u8], token: Token<'_>) -> bool {
    let bits = (sieve.len() as u64 * 8).max(1);
    let is_set = |place: u64| {
        let byte = sieve.get(usize::try_from(place / 8).unwrap_or(usize::MAX));
        byte.is_some_and(|byte| byte & (1 << (place % 8)) != 0)
    };
    token.places(bits).all(is_set)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_in_is_found_and_hardly_anything_else() {
        let ids: Vec<String> = (0..4_000).map(|number| format!("req_{number:024x}")).collect();
        let sieve = build(ids.iter().map(|id| Token::Request(id)));
        assert_eq!(sieve.len(), 8_000);
        assert!(ids.iter().all(|id| may_hold(&sieve, Token::Request(id))));
        let others =
            (0..100_000).filter(|number| may_hold(&sieve, Token::Request(&format!("other-{number}"))));
        assert!(others.count() < 100, "one in a thousand at most");
        assert!(!may_hold(&sieve, Token::Key(&ids[0])), "a key is no request");
    }

    #[test]
    fn few_tokens_are_told_apart_too_and_nothing_holds_nothing() {
        let sieve = build([Token::Status(200), Token::Model("small"), Token::Team("t")].into_iter());
        assert!(may_hold(&sieve, Token::Status(200)) && may_hold(&sieve, Token::Model("small")));
        assert!((300..600).filter(|status| may_hold(&sieve, Token::Status(*status))).count() < 10);
        assert!(!may_hold(&build([].into_iter()), Token::Status(200)) && !may_hold(&[], Token::Key("k")));
    }

    #[test]
    fn a_stored_filter_is_read_by_every_later_version() {
        let sieve = build([Token::Key("k1"), Token::Status(200)].into_iter());
        assert_eq!(sieve, [52, 82, 169, 205]);
    }
}
