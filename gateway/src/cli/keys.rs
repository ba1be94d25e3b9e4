//! `signalbox keys …`: the keys of the store without a gateway. Gateways that run follow within a second.

use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};
use store::{Rotation, Store, VirtualKey};

use super::place::{Place, change, print};
use crate::config::{Config, Span};
use crate::contents::NO_ENCRYPTION_KEY;
use crate::keys::{self, Edit, FreshKey, KeyHasher, KeySettings, merge};
use crate::ledger::now_ms;
use crate::seal;
use crate::storage::Storage;

/// Rows that are read at once.
const PAGE: u32 = 1_000;

#[derive(Debug, Subcommand)]
pub(super) enum KeysCommand {
    /// Make a key and print it; it is shown this once.
    Create {
        #[command(flatten)]
        place: Place,
        /// Unique.
        #[arg(long)]
        name: String,
        /// A model that it may ask for; may be repeated. None: every public name.
        #[arg(long = "model")]
        models: Vec<String>,
        /// The team that pays.
        #[arg(long)]
        team: Option<String>,
        /// The organisation of a key without a team.
        #[arg(long)]
        organization: Option<String>,
        /// Whose key it is.
        #[arg(long)]
        user: Option<String>,
        /// A tag of everything it spends; may be repeated.
        #[arg(long = "tag")]
        tags: Vec<String>,
        /// Requests in any 60 seconds.
        #[arg(long)]
        rpm: Option<u32>,
        /// Tokens in any 60 seconds.
        #[arg(long)]
        tpm: Option<u64>,
        /// Requests at once.
        #[arg(long)]
        max_parallel: Option<u32>,
        /// A budget in US dollars.
        #[arg(long)]
        usd: Option<f64>,
        /// The budget's window.
        #[arg(long, default_value = "30d")]
        per: String,
        /// Refused from then on, as in 2027-01-31T12:00:00Z.
        #[arg(long)]
        expires_at: Option<String>,
        /// Store what it asks and is answered, encrypted.
        #[arg(long)]
        store_prompts: bool,
    },
    /// Print all keys, one JSON object a line, without their secrets.
    List(Place),
    /// Refuse a key.
    Block(Target),
    /// Take it again.
    Unblock(Target),
    /// Exchange a key's secret and print the new key.
    Rotate {
        #[command(flatten)]
        target: Target,
        /// How long the old one still works, as in 1h.
        #[arg(long, default_value = "0s")]
        grace: String,
    },
    /// Delete a key; what it spent stays in the ledger.
    Delete(Target),
}

#[derive(Debug, Args)]
pub(super) struct Target {
    #[command(flatten)]
    place: Place,
    /// The key's id or name.
    key: String,
}

/// Runs one of them.
pub(super) fn run(command: KeysCommand) -> anyhow::Result<ExitCode> {
    match command {
        KeysCommand::Create {
            place,
            name,
            models,
            team,
            organization,
            user,
            tags,
            rpm,
            tpm,
            max_parallel,
            usd,
            per,
            expires_at,
            store_prompts,
        } => {
            let budgets: Vec<Value> = usd.iter().map(|usd| json!({"usd": usd, "per": per})).collect();
            let settings = json!({
                "name": name, "models": models, "team_id": team, "organization_id": organization,
                "user_id": user, "tags": tags, "rpm": rpm,
                "tpm": tpm, "max_parallel": max_parallel, "budgets": budgets, "expires_at": expires_at,
                "store_prompts": store_prompts,
            });
            create(&place, settings.as_object().cloned().unwrap_or_default())
        }
        KeysCommand::List(place) => list(&place),
        KeysCommand::Block(target) => set_blocked(&target, true),
        KeysCommand::Unblock(target) => set_blocked(&target, false),
        KeysCommand::Rotate { target, grace } => rotate(&target, grace),
        KeysCommand::Delete(target) => {
            let (storage, _) = open(&target.place)?;
            let key = storage.wait_for(delete(storage.store.clone(), target.key))??;
            print(&json!({"id": key.id, "name": key.name, "deleted": true}))
        }
    }
}

fn create(place: &Place, settings: Map<String, Value>) -> anyhow::Result<ExitCode> {
    let settings = merge(&KeySettings::default(), settings).map_err(refused)?;
    let (config, storage) = place.open()?;
    let hasher = hasher(&config)?;
    let fresh = FreshKey::random()?;
    let mut key = VirtualKey {
        id: store::new_id(),
        key_hash: hasher.hash(fresh.secret.expose().as_bytes()).to_stored(),
        display_prefix: fresh.display_prefix.clone(),
        display_suffix: fresh.display_suffix.clone(),
        ..VirtualKey::default()
    };
    settings.put_on(&mut key).map_err(refused)?;
    if key.store_prompts && seal::sealer(&config)?.is_none() {
        anyhow::bail!("--store-prompts: {NO_ENCRYPTION_KEY}");
    }
    let store = storage.store.clone();
    let key = storage.wait_for(async move { store.keys().insert(key, &change()).await })??;
    print(&json!({"id": key.id, "name": key.name, "key": fresh.secret.expose()}))
}

fn list(place: &Place) -> anyhow::Result<ExitCode> {
    let (storage, _) = open(place)?;
    let mut after: Option<String> = None;
    loop {
        let (store, from) = (storage.store.clone(), after.clone());
        let page = storage.wait_for(async move { store.keys().list(from.as_deref(), PAGE).await })??;
        let Some(last) = page.last() else { return Ok(ExitCode::SUCCESS) };
        after = Some(last.id.clone());
        for key in &page {
            let mut row = serde_json::to_value(KeySettings::of(key))?;
            if let Value::Object(row) = &mut row {
                row.insert("id".to_owned(), key.id.as_str().into());
                row.insert(
                    "hint".to_owned(),
                    format!("{}…{}", key.display_prefix, key.display_suffix).into(),
                );
            }
            print(&row)?;
        }
    }
}

fn set_blocked(target: &Target, blocked: bool) -> anyhow::Result<ExitCode> {
    let (storage, _) = open(&target.place)?;
    let (store, wanted) = (storage.store.clone(), target.key.clone());
    let key = storage.wait_for(async move {
        let key = find(&store, &wanted).await?;
        anyhow::Ok(store.keys().set_blocked(&key.id, blocked, &change()).await?)
    })??;
    print(&json!({"id": key.id, "name": key.name, "blocked": key.blocked}))
}

fn rotate(target: &Target, grace: String) -> anyhow::Result<ExitCode> {
    let grace = Span::try_from(grace).map_err(anyhow::Error::msg).context("--grace")?;
    let (storage, hasher) = open(&target.place)?;
    let fresh = FreshKey::random()?;
    let rotation = Rotation {
        key_hash: hasher.hash(fresh.secret.expose().as_bytes()).to_stored(),
        display_prefix: fresh.display_prefix.clone(),
        display_suffix: fresh.display_suffix.clone(),
        grace_until_ms: now_ms().saturating_add(i64::try_from(grace.0.as_millis()).unwrap_or(i64::MAX / 2)),
    };
    let (store, wanted) = (storage.store.clone(), target.key.clone());
    let key = storage.wait_for(async move {
        let key = find(&store, &wanted).await?;
        anyhow::Ok(store.keys().rotate(&key.id, rotation, &change()).await?)
    })??;
    print(&json!({"id": key.id, "name": key.name, "key": fresh.secret.expose()}))
}

async fn delete(store: Store, wanted: String) -> anyhow::Result<VirtualKey> {
    let key = find(&store, &wanted).await?;
    store.keys().delete(&key.id, &change()).await?;
    Ok(key)
}

/// By id or name.
async fn find(store: &Store, wanted: &str) -> anyhow::Result<VirtualKey> {
    if let Some(key) = store.keys().get(wanted).await? {
        return Ok(key);
    }
    let missing = "there is no such key: `signalbox keys list` shows them";
    store.keys().by_name(wanted).await?.context(missing)
}

pub(super) fn open(place: &Place) -> anyhow::Result<(Storage, KeyHasher)> {
    let (config, storage) = place.open()?;
    Ok((storage, hasher(&config)?))
}

fn hasher(config: &Config) -> anyhow::Result<KeyHasher> {
    keys::hasher(config)?.context("nothing is kept: set `store` in the configuration")
}

pub(super) fn refused(edit: Edit) -> anyhow::Error {
    anyhow::Error::msg(edit.message)
}
