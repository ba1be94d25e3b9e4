//! What is learnt and indexed as bytes, so that it outlives the process: one entry by itself, to lie beside its answer,
//! or everything at once. A file that is damaged or of another version is refused as a whole; nothing in it is worth a
//! repair, for it is learnt again.

use std::collections::VecDeque;

use super::evidence::Evidence;
use super::partition::Entry;
use super::signature::{Signature, Token};
use super::stem::hash_bytes;
use super::store::{SemanticCache, read, write};
use super::vector::{MAX_DIMENSIONS, Vector};
use super::wordings::Weight;

const MAGIC: &[u8; 8] = b"SBSEM\x00\x00\x01";
/// The most numbers and words a signature can have.
const MAX_TOKENS: u64 = 1 << 16;

/// Why bytes are no state of a semantic cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodecFault {
    /// Another version or another file.
    #[error("this is no state of the semantic cache of this version: it is learnt again")]
    Version,
    /// Cut short or changed.
    #[error("the state of the semantic cache is damaged: it is learnt again")]
    Damaged,
}

impl Entry {
    /// Appends it.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend(self.id.to_le_bytes());
        out.extend((self.vector.values().len() as u16).to_le_bytes());
        out.extend(self.vector.values().iter().map(|value| value.cast_unsigned()));
        let Signature { numbers, is_negative, tokens, verbatim } = &self.signature;
        out.push(u8::from(*is_negative));
        out.extend(verbatim.to_le_bytes());
        out.extend((numbers.len() as u16).to_le_bytes());
        numbers.iter().for_each(|number| out.extend(number.to_le_bytes()));
        out.extend((tokens.len() as u16).to_le_bytes());
        for token in tokens {
            out.extend(token.word.to_le_bytes());
            out.extend(token.place.to_le_bytes());
            out.extend([token.role, u8::from(token.is_entity)]);
        }
    }

    /// Reads one back, and what follows it.
    pub fn decode(bytes: &[u8]) -> Result<(Self, &[u8]), CodecFault> {
        let mut bytes = Bytes(bytes);
        let entry = bytes.entry()?;
        Ok((entry, bytes.0))
    }
}

impl SemanticCache {
    /// Everything that is indexed and learnt.
    pub fn snapshot(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        let classes = self.classes();
        out.extend((classes.len() as u64).to_le_bytes());
        for (key, class) in classes {
            let class = read(&class);
            out.extend(key.to_le_bytes());
            out.extend((class.evidence.labels.len() as u64).to_le_bytes());
            for (score, is_right) in &class.evidence.labels {
                out.extend(score.to_le_bytes());
                out.push(u8::from(*is_right));
            }
            let weights: Vec<_> = class.wordings.all().collect();
            out.extend((weights.len() as u64).to_le_bytes());
            for (key, weight) in weights {
                out.extend(key.to_le_bytes());
                out.extend(weight.value.to_le_bytes());
                out.extend(weight.squares.to_le_bytes());
            }
        }
        let partitions = self.partitions();
        out.extend((partitions.len() as u64).to_le_bytes());
        for (key, partition) in partitions {
            let partition = read(&partition);
            out.extend(key.to_le_bytes());
            out.extend((partition.len() as u64).to_le_bytes());
            for (entry, veto) in partition.entries() {
                out.extend(veto.to_le_bytes());
                entry.encode(&mut out);
            }
        }
        let sum = hash_bytes(&out);
        out.extend(sum.to_le_bytes());
        out
    }

    /// Takes in what `snapshot` gave; how many entries. On a fault nothing is taken in.
    pub fn restore(&self, snapshot: &[u8]) -> Result<usize, CodecFault> {
        let (content, sum) = snapshot.split_last_chunk::<8>().ok_or(CodecFault::Version)?;
        let content_after_magic = content.strip_prefix(MAGIC).ok_or(CodecFault::Version)?;
        if hash_bytes(content) != u64::from_le_bytes(*sum) {
            return Err(CodecFault::Damaged);
        }
        let mut bytes = Bytes(content_after_magic);
        for _ in 0..bytes.u64()? {
            self.restore_class(&mut bytes)?;
        }
        let mut entries = 0;
        for _ in 0..bytes.u64()? {
            let partition = bytes.u128()?;
            for _ in 0..bytes.u64()? {
                let veto = bytes.f32()?;
                let entry = bytes.entry()?;
                let id = entry.id;
                self.insert(partition, entry);
                self.veto_at(partition, id, veto);
                entries += 1;
            }
        }
        Ok(entries)
    }

    fn restore_class(&self, bytes: &mut Bytes<'_>) -> Result<(), CodecFault> {
        let class = self.class_or_new(bytes.u64()?);
        let mut class = write(&class);
        let mut labels = VecDeque::new();
        for _ in 0..bytes.u64()? {
            labels.push_back((bytes.f32()?, bytes.u8()? == 1));
        }
        class.evidence = Evidence::restore(labels, self.needs());
        for _ in 0..bytes.u64()? {
            let key = bytes.u64()?;
            let weight = Weight { value: bytes.f32()?, squares: bytes.f32()? };
            class.wordings.set(key, weight);
        }
        Ok(())
    }
}

struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], CodecFault> {
        let (taken, rest) = self.0.split_first_chunk::<N>().ok_or(CodecFault::Damaged)?;
        self.0 = rest;
        Ok(*taken)
    }

    fn u8(&mut self) -> Result<u8, CodecFault> {
        self.take::<1>().map(|[byte]| byte)
    }

    fn u16(&mut self) -> Result<u16, CodecFault> {
        self.take().map(u16::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, CodecFault> {
        self.take().map(u64::from_le_bytes)
    }

    fn u128(&mut self) -> Result<u128, CodecFault> {
        self.take().map(u128::from_le_bytes)
    }

    fn f32(&mut self) -> Result<f32, CodecFault> {
        self.take().map(f32::from_le_bytes)
    }

    fn entry(&mut self) -> Result<Entry, CodecFault> {
        let id = self.u128()?;
        let dimensions = usize::from(self.u16()?);
        let (values, rest) = self.0.split_at_checked(dimensions).ok_or(CodecFault::Damaged)?;
        self.0 = rest;
        let values: Box<[i8]> = values.iter().map(|value| value.cast_signed()).collect();
        let vector = Vector::from_rounded(values)
            .filter(|_| dimensions <= MAX_DIMENSIONS)
            .ok_or(CodecFault::Damaged)?;
        let is_negative = self.u8()? == 1;
        let verbatim = self.u64()?;
        let count = u64::from(self.u16()?).min(MAX_TOKENS);
        let numbers = (0..count).map(|_| self.u64()).collect::<Result<_, _>>()?;
        let count = u64::from(self.u16()?).min(MAX_TOKENS);
        let tokens = (0..count).map(|_| self.token()).collect::<Result<Box<[Token]>, _>>()?;
        if !tokens.is_sorted_by_key(|token| token.word) {
            return Err(CodecFault::Damaged);
        }
        Ok(Entry { id, vector, signature: Signature { numbers, is_negative, tokens, verbatim } })
    }

    fn token(&mut self) -> Result<Token, CodecFault> {
        Ok(Token { word: self.u64()?, place: self.u16()?, role: self.u8()?, is_entity: self.u8()? == 1 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::semantic::replay::stream::stream;
    use crate::semantic::replay::tests::word_vector;
    use crate::semantic::store::Settings;
    use crate::semantic::{Decision, Lookup};

    fn filled() -> SemanticCache {
        let cache = SemanticCache::new(Settings { max_error: 0.1, ..Settings::default() });
        for (id, question) in (0..).zip(stream(1, 400)) {
            let lookup = look(&cache, &question.prompt);
            lookup
                .candidates
                .iter()
                .for_each(|candidate| cache.learn(candidate, candidate.id % 50 > 0, true));
            let vector = Vector::new(&word_vector(&question.prompt)).unwrap();
            let signature = Signature::of(&question.prompt).unwrap();
            cache.insert(id % 3, Entry { id, vector, signature });
        }
        cache
    }

    fn look(cache: &SemanticCache, prompt: &str) -> Lookup {
        cache.lookup(1, 7, &Signature::of(prompt).unwrap(), &Vector::new(&word_vector(prompt)).unwrap())
    }

    #[test]
    fn a_restored_cache_decides_as_the_one_that_was_saved() {
        let cache = filled();
        let snapshot = cache.snapshot();
        let restored = SemanticCache::new(Settings { max_error: 0.1, ..Settings::default() });
        assert_eq!(restored.restore(&snapshot), Ok(400));
        assert_eq!((restored.len(), restored.size_bytes()), (cache.len(), cache.size_bytes()));
        let mut served = 0;
        for question in stream(2, 300) {
            let (one, other) = (look(&cache, &question.prompt), look(&restored, &question.prompt));
            let found = |lookup: &Lookup| -> Vec<_> {
                lookup
                    .candidates
                    .iter()
                    .map(|one| (one.id, one.similarity, one.score, one.is_vetoed))
                    .collect()
            };
            assert_eq!(found(&one), found(&other));
            served += usize::from(one.decision != Decision::Ask);
        }
        assert!(served > 10, "only {served} were served, which compares little");
    }

    #[test]
    fn a_damaged_snapshot_is_refused_wherever_it_is_damaged() {
        let snapshot = filled().snapshot();
        let empty = SemanticCache::new(Settings::default());
        for at in (0..snapshot.len()).step_by(997) {
            let mut damaged = snapshot.clone();
            damaged[at] ^= 0x10;
            assert!(empty.restore(&damaged).is_err(), "byte {at}");
            assert!(empty.restore(&snapshot[..at]).is_err(), "cut at {at}");
        }
        assert!(empty.is_empty());
    }

    #[test]
    fn an_entry_lies_by_itself_beside_its_answer() {
        let vector = Vector::new(&word_vector("over 5 apples")).unwrap();
        let entry = Entry { id: 9, vector, signature: Signature::of("Not over 5 km from Oslo").unwrap() };
        let mut bytes = Vec::new();
        entry.encode(&mut bytes);
        bytes.extend(b"rest");
        assert_eq!(Entry::decode(&bytes), Ok((entry, b"rest".as_slice())));
        assert_eq!(Entry::decode(&bytes[..20]), Err(CodecFault::Damaged));
    }
}
