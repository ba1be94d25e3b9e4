//! Follows the credentials of the store, on its thread and beside the requests: what changes there is in the next
//! snapshot. While the store is away the last known state stays.

use std::collections::HashMap;
use std::sync::Weak;
use std::time::Duration;

use anyhow::Context;
use domain::Secret;
use store::{Credential, Store, StoreError, Topic};

use super::CredentialTable;
use super::sealed::{all, open};
use crate::app::App;
use crate::seal::{SealError, Sealer};
use crate::telemetry::Metrics;
use crate::upstream::KnownCredential;

/// Between two looks at the store's revisions.
const EVERY: Duration = Duration::from_millis(250);
/// After a failure, at most.
const LONGEST_BACKOFF: Duration = Duration::from_secs(5);

/// Brings the credentials of the store to the requests.
pub struct CredentialSync {
    store: Store,
    sealer: Option<Sealer>,
    metrics: &'static Metrics,
    /// The revision that was read last; None: none yet.
    seen: Option<u64>,
    /// What was opened before, by id.
    opened: HashMap<String, Secret>,
}

impl CredentialSync {
    /// From this store.
    pub fn new(store: Store, sealer: Option<Sealer>, metrics: &'static Metrics) -> Self {
        Self { store, sealer, metrics, seen: None, opened: HashMap::new() }
    }

    /// What there is at the start.
    ///
    /// # Errors
    /// When the store is away, or a credential is sealed with a key that is not configured: whoever starts the gateway
    /// is there to mend it.
    pub async fn first(&mut self) -> anyhow::Result<CredentialTable> {
        let revision = self.revision().await?;
        let rows = all(&self.store).await?;
        for row in &rows {
            let Some(sealer) = &self.sealer else {
                anyhow::bail!(
                    "encryption.key: is missing, and the store has credentials that are encrypted with the key {}",
                    row.encryption_key_id
                );
            };
            let known = sealer.knows(&row.encryption_key_id);
            let unknown = || SealError::UnknownKey { key_id: row.encryption_key_id.clone() };
            known.then_some(()).with_context(|| format!("the credential `{}` {}", row.name, unknown()))?;
        }
        self.seen = Some(revision);
        Ok(self.table(&rows))
    }

    /// Follows for ever.
    pub async fn run(mut self, app: Weak<App>) {
        let mut pause = EVERY;
        loop {
            tokio::time::sleep(pause).await;
            let Some(app) = app.upgrade() else { return };
            match self.refresh(&app).await {
                Ok(()) => pause = EVERY,
                Err(error) => {
                    self.metrics.credentials.failures.inc();
                    tracing::warn!(%error, "the credentials of the store stay as they were last known");
                    pause = (pause * 2).min(LONGEST_BACKOFF);
                }
            }
        }
    }

    async fn refresh(&mut self, app: &App) -> anyhow::Result<()> {
        // Before the rows: what changes meanwhile is found again the next time.
        let revision = self.revision().await?;
        if self.seen == Some(revision) {
            return Ok(());
        }
        let rows = all(&self.store).await?;
        app.replace_credentials(self.table(&rows)).map_err(anyhow::Error::msg)?;
        self.seen = Some(revision);
        Ok(())
    }

    async fn revision(&self) -> Result<u64, StoreError> {
        Ok(self.store.revisions().current().await?.get(&Topic::Credentials).copied().unwrap_or(0))
    }

    fn table(&mut self, rows: &[Credential]) -> CredentialTable {
        let mut table = CredentialTable::default();
        self.metrics.credentials.stored.set(i64::try_from(rows.len()).unwrap_or(i64::MAX));
        self.metrics.credentials.unreadable.set(0);
        self.opened.retain(|id, _| rows.iter().any(|row| row.id == *id));
        for row in rows {
            let Some(secret) = self.secret(row) else { continue };
            self.opened.insert(row.id.clone(), secret.clone());
            if !row.disabled {
                let name = row.name.as_str().into();
                let known = KnownCredential { name, secret, weight: row.weight, priority: row.priority };
                table.insert(&row.provider, known);
            }
        }
        table
    }

    /// What cannot be opened stays as it was: its key may have been exchanged before this gateway was told of the new
    /// one.
    fn secret(&self, row: &Credential) -> Option<Secret> {
        let problem = match self.sealer.as_ref().map(|sealer| open(row, sealer)) {
            Some(Ok(secret)) => return Some(secret),
            Some(Err(error)) => error.to_string(),
            None => "is encrypted, and `encryption.key` is missing".to_owned(),
        };
        self.metrics.credentials.unreadable.inc();
        let last = self.opened.get(&row.id).cloned();
        let name = row.name.as_str();
        tracing::error!(
            credential = name,
            problem,
            is_used_as_before = last.is_some(),
            "a credential cannot be read"
        );
        last
    }
}
