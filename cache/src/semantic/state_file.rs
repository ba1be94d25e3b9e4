//! The file that lets a semantic cache outlive its process: written beside the requests, exchanged as a whole, sealed
//! when the entries on disk are.

use std::io::Write;
use std::path::Path;

use super::codec::CodecFault;
use super::store::SemanticCache;
use crate::exact::Cipher;

/// Binds a sealed state to its place: it opens as nothing else.
const PURPOSE: &[u8] = b"state of the semantic cache";

/// Why a state was not read.
#[derive(Debug, thiserror::Error)]
pub enum NotLoaded {
    /// The file.
    #[error("it cannot be read: {0}")]
    File(#[from] std::io::Error),
    /// What is in it.
    #[error(transparent)]
    Content(#[from] CodecFault),
    /// It is sealed with another key.
    #[error("it was sealed with another key: it is learnt again")]
    Sealed,
}

impl SemanticCache {
    /// Writes the file.
    ///
    /// # Errors
    /// When the folder or the disk refuses.
    pub fn save(&self, path: &Path, cipher: Option<&Cipher>) -> std::io::Result<()> {
        let mut content = self.snapshot();
        let mut head = Vec::new();
        if let Some(cipher) = cipher {
            let nonce = cipher.seal(PURPOSE, &mut content);
            head.extend(nonce.ok_or_else(|| std::io::Error::other("the system has no random bytes"))?);
        }
        let new = path.with_extension("new");
        let mut file = std::fs::File::create(&new)?;
        file.write_all(&head)?;
        file.write_all(&content)?;
        drop(file);
        std::fs::rename(new, path)
    }

    /// Reads the file; how many entries it had. None has 0.
    ///
    /// # Errors
    /// When it is damaged, of another version or sealed otherwise; then nothing was taken in.
    pub fn load(&self, path: &Path, cipher: Option<&Cipher>) -> Result<usize, NotLoaded> {
        let file = match std::fs::read(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(0),
            file => file?,
        };
        let Some(cipher) = cipher else { return Ok(self.restore(&file)?) };
        let (nonce, sealed) = file.split_first_chunk().ok_or(NotLoaded::Sealed)?;
        let content = cipher.open(PURPOSE, *nonce, sealed).ok_or(NotLoaded::Sealed)?;
        Ok(self.restore(&content)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::semantic::{Entry, Settings, Signature, Vector};

    #[test]
    fn a_state_comes_back_with_its_key_only_and_says_nothing_without_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("semantic.state");
        let cache = || SemanticCache::new(Settings::default());
        let full = cache();
        let vector = Vector::new(&[0.5, -0.25, 0.125]).unwrap();
        full.insert(7, Entry { id: 1, vector, signature: Signature::of("feed a hedgehog").unwrap() });
        let (cipher, other) = (Cipher::new(&[1; 32]).unwrap(), Cipher::new(&[2; 32]).unwrap());
        assert_eq!(cache().load(&path, Some(&cipher)).unwrap(), 0, "there is no file yet");
        full.save(&path, Some(&cipher)).unwrap();
        assert_eq!(cache().load(&path, Some(&cipher)).unwrap(), 1);
        assert!(matches!(cache().load(&path, Some(&other)), Err(NotLoaded::Sealed)));
        assert!(matches!(cache().load(&path, None), Err(NotLoaded::Content(CodecFault::Version))));
        full.save(&path, None).unwrap();
        assert_eq!(cache().load(&path, None).unwrap(), 1);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
