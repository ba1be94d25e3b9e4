//! An entry as it lies on disk: a header of fixed length, which is never encrypted, and the content, which is when the
//! cache has a cipher. The header is bound to the content by the cipher, and to its place by the key within it.

use std::io::{Read, Write};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use domain::{Micros, Usage};
use foyer::{Code, Error, ErrorKind};

use super::cipher::{Cipher, NONCE_BYTES};
use super::entry::{Entry, Flags};
use super::key::Key;

/// Changes with the layout: what another version wrote is a miss.
const MAGIC: u32 = 0x5358_4301;
/// No content is longer; a length beyond it is a broken entry.
const LONGEST: usize = 64 << 20;
const TAG_BYTES: usize = 16;

/// An entry under its key, as foyer keeps it.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub key: Key,
    /// The number of the newest purge when its question was asked.
    pub stamp: u64,
    pub content: Content,
}

#[derive(Clone, Debug)]
pub(super) enum Content {
    /// In memory, from where the cipher, if any, seals it on its way to the disk.
    Open(Arc<Entry>, Option<Arc<Cipher>>),
    /// From the disk, where a cipher had sealed it.
    Sealed(Box<Sealed>),
}

#[derive(Clone, Debug)]
pub(super) struct Sealed {
    header: [u8; HEADER_BYTES],
    nonce: [u8; NONCE_BYTES],
    bytes: Bytes,
    /// What was in it, once it was opened: only the disk's copy is a secret of the key.
    opened: OnceLock<Arc<Entry>>,
}

/// Foyer writes whole pages, from buffers that it does not clear: what an entry leaves free of its last page would be
/// filled with whatever the process had in memory, prompts and secrets too. So an entry fills its last page itself.
const PAGE_BYTES: usize = 4096;
/// What foyer writes of an entry beside its value: a header and the key.
const FOYER_BYTES: usize = 36 + 16;
static ZEROS: [u8; PAGE_BYTES] = [0; PAGE_BYTES];

/// Magic, key, stamp, three times, status and flags, usage, cost, whether the content is sealed, and its length.
const HEADER_BYTES: usize = 4 + 16 + 4 * 8 + 8 + 3 * 8 + 2 + 2 + 5 * 8 + 8 + 1 + 4;

/// The facts of a header that the content does not hold.
struct Facts {
    key: Key,
    stamp: u64,
    entry: Entry,
    is_sealed: bool,
    length: usize,
}

impl Kept {
    pub(super) fn weight(&self) -> usize {
        match &self.content {
            Content::Open(entry, _) => entry.weight(),
            // It may be in memory twice.
            Content::Sealed(sealed) => 2 * sealed.bytes.len() + HEADER_BYTES + 640,
        }
    }

    /// The entry; None when it was sealed with another key, or lies open on the disk of a cache that has a cipher.
    pub(super) fn open(&self, cipher: Option<&Arc<Cipher>>) -> Option<Arc<Entry>> {
        match (&self.content, cipher) {
            (Content::Open(entry, own), cipher) => (own.is_some() == cipher.is_some()).then(|| entry.clone()),
            (Content::Sealed(sealed), Some(cipher)) => {
                if let Some(opened) = sealed.opened.get() {
                    return Some(opened.clone());
                }
                let content = cipher.open(&sealed.header, sealed.nonce, &sealed.bytes)?;
                let facts = read_header(&sealed.header)?;
                let entry = read_content(facts.entry, &Bytes::from(content)).map(Arc::new)?;
                Some(sealed.opened.get_or_init(|| entry).clone())
            }
            (Content::Sealed(_), None) => None,
        }
    }
}

/// An entry as it lies on disk, for somewhere else; None when it could not be sealed.
pub(super) fn pack(kept: &Kept) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    kept.write(&mut bytes, |_| 0).ok()?;
    Some(bytes)
}

/// An entry from somewhere else, with its stamp; None when it is broken, another question's, or sealed otherwise.
pub(super) fn unpack(bytes: &[u8], key: &Key, cipher: Option<&Arc<Cipher>>) -> Option<(u64, Arc<Entry>)> {
    let kept = Kept::decode(&mut &*bytes).ok().filter(|kept| kept.key == *key)?;
    Some((kept.stamp, kept.open(cipher)?))
}

impl Kept {
    /// `padding` is how much is added to so many bytes.
    fn write(&self, writer: &mut impl Write, padding: fn(usize) -> usize) -> foyer::Result<()> {
        match &self.content {
            // It came from the disk, and goes back as it was.
            Content::Sealed(sealed) => {
                write_pages(writer, &[&sealed.header, &sealed.nonce, &sealed.bytes], padding)
            }
            Content::Open(entry, None) => {
                let content = write_content(entry);
                let header = write_header(self, entry, false, content.len());
                write_pages(writer, &[&header, &content], padding)
            }
            Content::Open(entry, Some(cipher)) => {
                let mut content = write_content(entry);
                let header = write_header(self, entry, true, content.len() + TAG_BYTES);
                let nonce = cipher
                    .seal(&header, &mut content)
                    .ok_or_else(|| Error::new(ErrorKind::External, "the entry could not be sealed"))?;
                write_pages(writer, &[&header, &nonce, &content], padding)
            }
        }
    }
}

impl Code for Kept {
    fn encode(&self, writer: &mut impl Write) -> foyer::Result<()> {
        self.write(writer, padding)
    }

    fn decode(reader: &mut impl Read) -> foyer::Result<Self> {
        let broken = || Error::new(ErrorKind::Parse, "an entry is not of this version, or broken");
        let mut header = [0; HEADER_BYTES];
        reader.read_exact(&mut header).map_err(Error::io_error)?;
        let Facts { key, stamp, entry, is_sealed, length } = read_header(&header).ok_or_else(broken)?;
        let mut nonce = [0; NONCE_BYTES];
        if is_sealed {
            reader.read_exact(&mut nonce).map_err(Error::io_error)?;
        }
        let mut content = vec![0; length];
        reader.read_exact(&mut content).map_err(Error::io_error)?;
        let bytes = Bytes::from(content);
        let content = if is_sealed {
            Content::Sealed(Box::new(Sealed { header, nonce, bytes, opened: OnceLock::new() }))
        } else {
            Content::Open(Arc::new(read_content(entry, &bytes).ok_or_else(broken)?), None)
        };
        Ok(Self { key, stamp, content })
    }

    fn estimated_size(&self) -> usize {
        let length = match &self.content {
            Content::Sealed(sealed) => HEADER_BYTES + NONCE_BYTES + sealed.bytes.len(),
            Content::Open(entry, cipher) => {
                let sealing = if cipher.is_some() { NONCE_BYTES + TAG_BYTES } else { 0 };
                HEADER_BYTES + sealing + content_length(entry)
            }
        };
        length + padding(length)
    }
}

fn write_pages(writer: &mut impl Write, pieces: &[&[u8]], padding: fn(usize) -> usize) -> foyer::Result<()> {
    let length = pieces.iter().map(|piece| piece.len()).sum();
    let padding = ZEROS.get(..padding(length)).unwrap_or_default();
    for piece in pieces.iter().chain([&padding]) {
        writer.write_all(piece).map_err(Error::io_error)?;
    }
    Ok(())
}

/// How much a value of this length leaves free of its last page.
fn padding(length: usize) -> usize {
    (length + FOYER_BYTES).next_multiple_of(PAGE_BYTES) - length - FOYER_BYTES
}

fn write_header(kept: &Kept, entry: &Entry, is_sealed: bool, length: usize) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    let mut rest = &mut header[..];
    let mut put = |bytes: &[u8]| {
        // The header's length is the sum of these.
        let _ = rest.write_all(bytes);
    };
    let Key { hash, check, scope, model, namespace } = kept.key;
    put(&MAGIC.to_le_bytes());
    put(&hash.to_le_bytes());
    for figure in [
        check,
        scope,
        model,
        namespace,
        kept.stamp,
        entry.created_ms,
        entry.fresh_until_ms,
        entry.stale_until_ms,
        entry.usage.prompt,
        entry.usage.completion,
        entry.usage.cached,
        entry.usage.cache_write,
        entry.usage.reasoning,
        entry.cost.0,
    ] {
        put(&figure.to_le_bytes());
    }
    put(&entry.status.to_le_bytes());
    put(&entry.flags.0.to_le_bytes());
    put(&[u8::from(is_sealed)]);
    put(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
    header
}

fn read_header(header: &[u8; HEADER_BYTES]) -> Option<Facts> {
    let mut rest = &header[..];
    let magic = u32::from_le_bytes(take(&mut rest)?);
    let hash = u128::from_le_bytes(take(&mut rest)?);
    let mut figure = || take(&mut rest).map(u64::from_le_bytes);
    let key = Key { hash, check: figure()?, scope: figure()?, model: figure()?, namespace: figure()? };
    let stamp = figure()?;
    let (created_ms, fresh_until_ms, stale_until_ms) = (figure()?, figure()?, figure()?);
    let usage = Usage {
        prompt: figure()?,
        completion: figure()?,
        cached: figure()?,
        cache_write: figure()?,
        reasoning: figure()?,
    };
    let cost = Micros(figure()?);
    let status = u16::from_le_bytes(take(&mut rest)?);
    let flags = Flags(u16::from_le_bytes(take(&mut rest)?));
    let [is_sealed] = take(&mut rest)?;
    let length = u32::from_le_bytes(take(&mut rest)?) as usize;
    let (origin, pieces) = (Box::default(), Vec::new());
    let entry =
        Entry { created_ms, fresh_until_ms, stale_until_ms, flags, status, usage, cost, origin, pieces };
    let is_ours = magic == MAGIC && is_sealed <= 1 && length <= LONGEST;
    is_ours.then_some(Facts { key, stamp, entry, is_sealed: is_sealed == 1, length })
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (first, behind) = rest.split_first_chunk::<N>()?;
    *rest = behind;
    Some(*first)
}

/// The origin, the lengths of the pieces, the pieces.
fn content_length(entry: &Entry) -> usize {
    8 + entry.origin.len() + 4 * entry.pieces.len() + entry.len()
}

fn write_content(entry: &Entry) -> Vec<u8> {
    let mut content = Vec::with_capacity(content_length(entry) + TAG_BYTES);
    let length = |content: &mut Vec<u8>, length: usize| {
        content.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
    };
    length(&mut content, entry.origin.len());
    content.extend_from_slice(entry.origin.as_bytes());
    length(&mut content, entry.pieces.len());
    for piece in &entry.pieces {
        length(&mut content, piece.len());
    }
    for piece in &entry.pieces {
        content.extend_from_slice(piece);
    }
    content
}

fn read_content(mut entry: Entry, content: &Bytes) -> Option<Entry> {
    let mut rest = &content[..];
    let origin = u32::from_le_bytes(take(&mut rest)?) as usize;
    let (origin, behind) = rest.split_at_checked(origin)?;
    rest = behind;
    let count = u32::from_le_bytes(take(&mut rest)?) as usize;
    let (lengths, body) = rest.split_at_checked(count.checked_mul(4)?)?;
    entry.origin = std::str::from_utf8(origin).ok()?.into();
    let mut body = content.slice_ref(body);
    entry.pieces.reserve_exact(count);
    for length in lengths.as_chunks::<4>().0 {
        let length = u32::from_le_bytes(*length) as usize;
        if length > body.len() {
            return None;
        }
        entry.pieces.push(body.split_to(length));
    }
    body.is_empty().then_some(entry)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(cipher: Option<Arc<Cipher>>) -> Kept {
        let key = Key { hash: u128::MAX - 5, check: 1, scope: 2, model: 3, namespace: 4 };
        let entry = Entry {
            created_ms: 10,
            fresh_until_ms: 20,
            stale_until_ms: 30,
            flags: Flags::STREAMED.with(Flags::WITH_USAGE),
            status: 200,
            usage: Usage { prompt: 1, completion: 2, cached: 3, cache_write: 4, reasoning: 5 },
            cost: Micros(77),
            origin: "openai/gpt".into(),
            pieces: Entry::gather(&[
                Bytes::from_static(b"first"),
                Bytes::new(),
                Bytes::from_static(b"second"),
            ]),
        };
        Kept { key, stamp: 9, content: Content::Open(Arc::new(entry), cipher) }
    }

    fn bytes(kept: &Kept) -> Vec<u8> {
        let mut bytes = Vec::new();
        kept.encode(&mut bytes).unwrap();
        assert_eq!(bytes.len(), kept.estimated_size());
        bytes
    }

    #[test]
    fn an_entry_comes_back_from_its_bytes_sealed_or_not() {
        for cipher in [None, Some(Arc::new(Cipher::new(&[7; 32]).unwrap()))] {
            let before = kept(cipher.clone());
            let written = bytes(&before);
            let after = Kept::decode(&mut &written[..]).unwrap();
            assert_eq!((after.key, after.stamp), (before.key, before.stamp));
            assert_eq!(after.open(cipher.as_ref()), before.open(cipher.as_ref()));
            assert!(after.open(cipher.as_ref()).is_some());
            // What was read is written again as it was.
            assert_eq!(bytes(&after), written);
            // Sealed for one, open for the other: neither serves the other's.
            let other = if cipher.is_some() { None } else { Some(Arc::new(Cipher::new(&[7; 32]).unwrap())) };
            assert_eq!(after.open(other.as_ref()), None);
        }
        let sealed = bytes(&kept(Some(Arc::new(Cipher::new(&[7; 32]).unwrap()))));
        assert!(!sealed.windows(5).any(|window| window == b"first"));
        let other = Arc::new(Cipher::new(&[8; 32]).unwrap());
        assert_eq!(Kept::decode(&mut &sealed[..]).unwrap().open(Some(&other)), None);
    }

    #[test]
    fn a_changed_header_of_a_sealed_entry_does_not_open() {
        let cipher = Arc::new(Cipher::new(&[7; 32]).unwrap());
        let written = bytes(&kept(Some(cipher.clone())));
        for at in 0..HEADER_BYTES {
            let mut changed = written.clone();
            changed[at] ^= 1;
            let opened = Kept::decode(&mut &changed[..]).ok().and_then(|kept| kept.open(Some(&cipher)));
            assert_eq!(opened, None, "byte {at}");
        }
    }

    #[test]
    fn bytes_cut_short_are_no_entry() {
        let kept = kept(None);
        let (written, length) = (bytes(&kept), kept.estimated_size());
        assert_eq!((length + FOYER_BYTES) % PAGE_BYTES, 0);
        let unpadded = HEADER_BYTES + 4 + 10 + 4 + 3 * 4 + 11;
        assert!(Kept::decode(&mut &written[..unpadded]).is_ok());
        for length in 0..unpadded {
            assert!(Kept::decode(&mut &written[..length]).is_err(), "{length}");
        }
    }
}
