//! What a cache remembers beside its entries: the secrets of its keys, and what was purged. Both in one small file of
//! the cache's folder, replaced as a whole: should it be lost, the new secrets make sure that what had been purged is
//! not found again.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_64;

use super::purges::{MOST, Purges};

const NAME: &str = "installation";
const MAGIC: &[u8; 8] = b"sxcache1";

/// The file is there and cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BrokenInstallation {
    /// It cannot be read or written.
    #[error("{path}: {source}; the cache needs a folder that it may write to")]
    Unreadable {
        /// The file.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// The system has no random bytes.
    #[error("no random bytes for the secret of the cache: {0}")]
    NoRandom(getrandom::Error),
}

/// The file's content, and where it is; nowhere for a cache in memory.
#[derive(Debug)]
pub(super) struct Installation {
    path: Option<PathBuf>,
    pub seeds: [u64; 2],
    pub purges: Purges,
}

impl Installation {
    /// That of a folder, made when it is missing or broken; a new one without a folder.
    pub(super) fn open(folder: Option<&Path>) -> Result<Self, BrokenInstallation> {
        let path = folder.map(|folder| folder.join(NAME));
        let told = |source| BrokenInstallation::Unreadable {
            path: path.as_deref().unwrap_or(Path::new(NAME)).display().to_string(),
            source,
        };
        if let Some(path) = &path {
            match fs::read(path) {
                Ok(bytes) => match read(&bytes) {
                    Some((seeds, purges)) => return Ok(Self { path: Some(path.clone()), seeds, purges }),
                    None => tracing::warn!(
                        path = %path.display(),
                        "the cache's installation file is broken: the cache begins anew"
                    ),
                },
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(told(error)),
            }
        }
        let random = || {
            let mut bytes = [0; 8];
            getrandom::fill(&mut bytes)
                .map(|()| u64::from_le_bytes(bytes))
                .map_err(BrokenInstallation::NoRandom)
        };
        let seeds = [random()?, random()?];
        let made = Self { path: path.clone(), seeds, purges: Purges::default() };
        made.save(&made.purges).map_err(told)?;
        Ok(made)
    }

    /// Where it is, for errors.
    pub(super) fn shown(&self) -> String {
        self.path.as_deref().map_or_else(String::new, |path| path.display().to_string())
    }

    /// Takes on the secrets of others.
    pub(super) fn adopt(&mut self, seeds: [u64; 2]) -> io::Result<()> {
        self.seeds = seeds;
        self.save(&self.purges)
    }

    /// Writes these purges; they are on the disk when this returns.
    pub(super) fn save(&self, purges: &Purges) -> io::Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        let folder = path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder)?;
        let beside = path.with_extension("new");
        let mut file =
            OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&beside)?;
        file.write_all(&write(self.seeds, purges))?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        File::open(folder)?.sync_all()
    }
}

fn write(seeds: [u64; 2], purges: &Purges) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    for figure in [seeds[0], seeds[1], purges.newest, purges.all, purges.by_hash.len() as u64] {
        bytes.extend_from_slice(&figure.to_le_bytes());
    }
    for (hash, number) in &purges.by_hash {
        bytes.extend_from_slice(&hash.to_le_bytes());
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    bytes.extend_from_slice(&xxh3_64(&bytes).to_le_bytes());
    bytes
}

fn read(bytes: &[u8]) -> Option<([u64; 2], Purges)> {
    let (content, checksum) = bytes.split_last_chunk::<8>()?;
    if xxh3_64(content) != u64::from_le_bytes(*checksum) {
        return None;
    }
    let figures: Vec<u64> = content
        .strip_prefix(MAGIC)?
        .as_chunks::<8>()
        .0
        .iter()
        .map(|figure| u64::from_le_bytes(*figure))
        .collect();
    let ([one, other, newest, all, count], rest) = figures.split_first_chunk::<5>()?;
    if *count > MOST as u64 {
        return None;
    }
    let by_hash = rest.as_chunks::<2>().0.iter().map(|[hash, number]| (*hash, *number)).collect();
    Some(([*one, *other], Purges { newest: *newest, all: *all, by_hash }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_and_purges_are_the_same_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let first = Installation::open(Some(folder.path())).unwrap();
        let purges = first.purges.with(Some(5)).with(None).with(Some(7));
        first.save(&purges).unwrap();
        let second = Installation::open(Some(folder.path())).unwrap();
        assert_eq!((second.seeds, &second.purges), (first.seeds, &purges));
        assert_ne!(Installation::open(None).unwrap().seeds, first.seeds);
    }

    #[test]
    fn a_broken_file_gives_new_seeds_so_that_nothing_purged_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let first = Installation::open(Some(folder.path())).unwrap();
        let path = folder.path().join(NAME);
        let mut bytes = fs::read(&path).unwrap();
        bytes[20] ^= 1;
        fs::write(&path, bytes).unwrap();
        assert_ne!(Installation::open(Some(folder.path())).unwrap().seeds, first.seeds);
    }
}
