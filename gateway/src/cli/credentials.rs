//! `signalbox credentials …` and `signalbox encryption rotate`: providers' credentials of the store without a gateway.
//! Gateways that run follow within a second. A secret comes from the standard input, a variable or a file, never from an
//! argument, which other users of the machine can see.

use std::io::Read;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand};
use domain::Secret;
use serde_json::{Value, json};
use store::{Credential, Store};

use super::place::{Place, change, print};
use crate::config::{Config, SecretSource};
use crate::contents;
use crate::credentials::{self, CredentialSettings};
use crate::keys::Edit;
use crate::ledger::now_ms;
use crate::seal::{self, Sealer};
use crate::storage::Storage;
use crate::upstream::Provider;

#[derive(Debug, Subcommand)]
pub(super) enum CredentialsCommand {
    /// Add a credential; its secret is read from the standard input.
    Add {
        #[command(flatten)]
        place: Place,
        /// A provider of the configuration.
        #[arg(long)]
        provider: String,
        /// Unique.
        #[arg(long)]
        name: String,
        /// Its share among those of its priority; 0 drains it.
        #[arg(long, default_value_t = 1)]
        weight: u32,
        /// Those with the lowest number go first, the others while none of them can be asked.
        #[arg(long, default_value_t = 0)]
        priority: u32,
        #[command(flatten)]
        origin: SecretOrigin,
    },
    /// Exchange a credential's secret.
    Rotate {
        #[command(flatten)]
        target: Target,
        #[command(flatten)]
        origin: SecretOrigin,
    },
    /// Print all credentials, one JSON object a line, without their secrets.
    List(Place),
    /// Use a credential no more.
    Disable(Target),
    /// Use it again.
    Enable(Target),
    /// Delete a credential.
    Delete(Target),
}

#[derive(Debug, Subcommand)]
pub(super) enum EncryptionCommand {
    /// Encrypt with `encryption.key` whatever is encrypted with a key of `encryption.old_keys`.
    Rotate(Place),
}

#[derive(Debug, Args)]
pub(super) struct Target {
    #[command(flatten)]
    place: Place,
    /// The credential's id or name.
    credential: String,
}

#[derive(Debug, Args)]
pub(super) struct SecretOrigin {
    /// Where the secret is, if not on the standard input: env:NAME or file:PATH.
    #[arg(long, value_name = "env:NAME|file:PATH")]
    from: Option<String>,
}

impl SecretOrigin {
    fn read(self) -> anyhow::Result<Secret> {
        match self.from.map(SecretSource::from) {
            Some(SecretSource::Inline(_)) => {
                anyhow::bail!(
                    "--from: write env:NAME or file:PATH; a secret on the command line is seen by others"
                )
            }
            Some(source) => source.resolve().map_err(|problem| anyhow::anyhow!("--from: {problem}")),
            None => {
                let mut text = String::new();
                std::io::stdin().lock().read_to_string(&mut text).context("the standard input")?;
                Ok(Secret::new(text.trim()))
            }
        }
    }
}

/// Runs one of them.
pub(super) fn run(command: CredentialsCommand) -> anyhow::Result<ExitCode> {
    match command {
        CredentialsCommand::Add { place, provider, name, weight, priority, origin } => {
            let settings = CredentialSettings { provider, name, weight, priority, disabled: false };
            add(&place, settings, &origin.read()?)
        }
        CredentialsCommand::Rotate { target, origin } => {
            let secret = origin.read()?;
            edit(&target, |credential, config, sealer| {
                put_secret(credential, &secret, config, sealer)?;
                credential.rotated_at_ms = Some(now_ms());
                Ok(())
            })
        }
        CredentialsCommand::List(place) => list(&place),
        CredentialsCommand::Disable(target) => set_disabled(&target, true),
        CredentialsCommand::Enable(target) => set_disabled(&target, false),
        CredentialsCommand::Delete(target) => delete(&target),
    }
}

/// Runs the command of `signalbox encryption`.
pub(super) fn run_encryption(command: &EncryptionCommand) -> anyhow::Result<ExitCode> {
    let EncryptionCommand::Rotate(place) = command;
    let (_, storage, sealer) = open(place)?;
    let (store, key_id) = (storage.store.clone(), sealer.key_id().to_owned());
    let rotate = async move {
        let credentials = credentials::rotate(&store, &sealer, &change()).await?;
        anyhow::Ok((credentials, contents::rotate(&store, &sealer).await?))
    };
    let (credentials, contents) = storage.wait_for(rotate)??;
    print(&json!({"encryption_key_id": key_id, "credentials": credentials, "contents": contents}))
}

fn add(place: &Place, settings: CredentialSettings, secret: &Secret) -> anyhow::Result<ExitCode> {
    let (config, storage, sealer) = open(place)?;
    if config.has_credential(&settings.name) {
        anyhow::bail!("--name: the configuration has a credential `{}`: take another name", settings.name);
    }
    let mut credential = Credential { id: store::new_id(), ..Credential::default() };
    settings.put_on(&mut credential).map_err(refused)?;
    put_secret(&mut credential, secret, &config, &sealer)?;
    let store = storage.store.clone();
    let made = storage.wait_for(async move { store.credentials().insert(credential, &change()).await })??;
    print(&row(&made, &sealer)?)
}

fn list(place: &Place) -> anyhow::Result<ExitCode> {
    let (_, storage, sealer) = open(place)?;
    let store = storage.store.clone();
    for credential in storage.wait_for(async move { credentials::all(&store).await })?? {
        print(&row(&credential, &sealer)?)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn set_disabled(target: &Target, disabled: bool) -> anyhow::Result<ExitCode> {
    edit(target, |credential, _, _| {
        credential.disabled = disabled;
        Ok(())
    })
}

fn delete(target: &Target) -> anyhow::Result<ExitCode> {
    let (_, storage) = target.place.open()?;
    let (store, wanted) = (storage.store.clone(), target.credential.clone());
    let gone = storage.wait_for(async move {
        let credential = find(&store, &wanted).await?;
        store.credentials().delete(&credential.id, &change()).await?;
        anyhow::Ok(credential)
    })??;
    print(&json!({"id": gone.id, "name": gone.name, "deleted": true}))
}

/// Changes one, and prints it as it is then.
fn edit(
    target: &Target,
    edit: impl FnOnce(&mut Credential, &Config, &Sealer) -> anyhow::Result<()>,
) -> anyhow::Result<ExitCode> {
    let (config, storage, sealer) = open(&target.place)?;
    let (store, wanted) = (storage.store.clone(), target.credential.clone());
    let mut credential = storage.wait_for(async move { find(&store, &wanted).await })??;
    edit(&mut credential, &config, &sealer)?;
    let store = storage.store.clone();
    let changed = storage
        .wait_for(async move { Box::pin(store.credentials().update(credential, &change())).await })??;
    print(&row(&changed, &sealer)?)
}

fn put_secret(
    credential: &mut Credential,
    secret: &Secret,
    config: &Config,
    sealer: &Sealer,
) -> anyhow::Result<()> {
    let name = credential.provider.as_str();
    let Some(settings) = config.providers.get(name) else {
        let known: Vec<&str> = config.providers.keys().map(String::as_str).collect();
        anyhow::bail!("--provider: `{name}` is none of the configuration: known are {}", known.join(", "));
    };
    let provider = Provider::new(name, settings, &[]).map_err(anyhow::Error::msg)?;
    credentials::put_secret(credential, secret, &provider, sealer).map_err(refused)
}

fn row(credential: &Credential, sealer: &Sealer) -> anyhow::Result<Value> {
    let mut row = serde_json::to_value(CredentialSettings::of(credential))?;
    let hint = credentials::open(credential, sealer).ok().and_then(|secret| credentials::hint(&secret));
    if let Value::Object(row) = &mut row {
        row.insert("id".to_owned(), credential.id.as_str().into());
        row.insert("hint".to_owned(), hint.into());
        row.insert("encryption_key_id".to_owned(), credential.encryption_key_id.as_str().into());
    }
    Ok(row)
}

/// By id or name.
async fn find(store: &Store, wanted: &str) -> anyhow::Result<Credential> {
    if let Some(credential) = store.credentials().get(wanted).await? {
        return Ok(credential);
    }
    let missing = "there is no such credential: `signalbox credentials list` shows them";
    store.credentials().by_name(wanted).await?.context(missing)
}

fn open(place: &Place) -> anyhow::Result<(Config, Storage, Sealer)> {
    let (config, storage) = place.open()?;
    let sealer = seal::sealer(&config)?
        .context("encryption.key: is missing: PostgreSQL needs env:NAME or file:PATH")?;
    Ok((config, storage, sealer))
}

fn refused(edit: Edit) -> anyhow::Error {
    anyhow::Error::msg(edit.message)
}
