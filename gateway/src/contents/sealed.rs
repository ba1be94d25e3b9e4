//! Between what was said and what the store has of it: sealing, opening, and sealing all of it anew.

use store::{SealedContents, Store};

use super::Said;
use super::queue::Waiting;
use crate::seal::{SealError, Sealed, Sealer};

/// Rows that are sealed anew at once.
const PAGE: u32 = 20;

/// What binds a ciphertext to its row: moved to another one, as to that of another key, it is not opened.
fn context(it: &SealedContents) -> String {
    let parts = ["contents", &it.id, &it.request_id, &it.key_id, &it.team_id, &it.user_id];
    // A list of texts always serialises.
    serde_json::to_string(&parts).unwrap_or_default()
}

/// Seals what was said in a request.
///
/// # Errors
/// When the operating system has no randomness.
pub(super) fn seal(waiting: &Waiting, sealer: &Sealer) -> Result<SealedContents, SealError> {
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    let principal = &waiting.principal;
    let mut contents = SealedContents {
        id: store::new_id(),
        request_id: waiting.request_id.clone(),
        at_ms: waiting.at_ms,
        key_id: principal.id.to_string(),
        team_id: text(principal.team.as_deref()),
        user_id: text(principal.user.as_deref()),
        ..SealedContents::default()
    };
    put(&mut contents, &waiting.said.to_bytes(), sealer)?;
    Ok(contents)
}

fn put(contents: &mut SealedContents, plain: &[u8], sealer: &Sealer) -> Result<(), SealError> {
    let sealed = sealer.seal(&context(contents), plain)?;
    contents.encryption_key_id = sealed.key_id;
    contents.nonce = sealed.nonce;
    contents.ciphertext = sealed.ciphertext;
    Ok(())
}

fn plain(contents: &SealedContents, sealer: &Sealer) -> Result<Vec<u8>, SealError> {
    let sealed = Sealed {
        key_id: contents.encryption_key_id.clone(),
        nonce: contents.nonce.clone(),
        ciphertext: contents.ciphertext.clone(),
    };
    sealer.open(&context(contents), &sealed)
}

/// What was said in a request.
///
/// # Errors
/// When its key is not known, or it is damaged.
pub fn open(contents: &SealedContents, sealer: &Sealer) -> Result<Said, SealError> {
    Said::from_bytes(&plain(contents, sealer)?).ok_or(SealError::Damaged)
}

/// Seals with the present key what is sealed with an older one; how many requests that were.
///
/// # Errors
/// When the store fails, or contents cannot be opened. Those before it are done.
pub async fn rotate(store: &Store, sealer: &Sealer) -> anyhow::Result<usize> {
    let (mut rotated, mut after) = (0, String::new());
    loop {
        let mut page = store.contents().not_sealed_with(sealer.key_id(), &after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after.clone_from(&last.id);
        for contents in &mut page {
            let id = contents.request_id.clone();
            let fault = |error: SealError| anyhow::anyhow!("what was said in the request {id} {error}");
            let plain = plain(contents, sealer).map_err(fault)?;
            put(contents, &plain, sealer).map_err(fault)?;
        }
        store.contents().reseal(&page).await?;
        rotated += page.len();
    }
    if rotated > 0 {
        // What the old key opens is in SQLite's log until then.
        store.contents().fold_log().await?;
    }
    Ok(rotated)
}

#[cfg(test)]
mod tests {
    use domain::Secret;

    use super::*;
    use crate::contents::{Part, anonymous};
    use crate::seal::EncryptionKey;

    #[test]
    fn what_was_said_is_opened_in_its_own_row_only() {
        let key = EncryptionKey::parse(&Secret::new("1".repeat(64))).unwrap();
        let sealer = Sealer::new(key, vec![]);
        let said = Said { prompt: Part { bytes: b"a question".to_vec(), is_cut: false }, ..Said::default() };
        let waiting =
            Waiting { request_id: "r1".to_owned(), at_ms: 1, principal: anonymous(), said: said.clone() };
        let sealed = seal(&waiting, &sealer).unwrap();
        assert_eq!(open(&sealed, &sealer).unwrap(), said);
        assert!(!sealed.ciphertext.windows(8).any(|part| part == b"question"));
        let moved: [fn(&mut SealedContents); 5] = [
            |it| it.id.push('x'),
            |it| it.request_id.push('x'),
            |it| it.key_id.push('x'),
            |it| it.team_id.push('x'),
            |it| it.user_id.push('x'),
        ];
        for change in moved {
            let mut other = sealed.clone();
            change(&mut other);
            assert_eq!(open(&other, &sealer), Err(SealError::Damaged));
        }
    }
}
