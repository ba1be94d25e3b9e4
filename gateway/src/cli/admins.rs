//! `signalbox admins …`: accounts of operators, on the store itself: the first one is made so, and a lost password mended.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand};
use domain::Secret;
use serde_json::json;
use store::{Admin, Store};

use super::keys::{open, refused};
use super::place::{Place, change, print};
use crate::accounts::{self, AccountSettings, Role};

/// Rows that are read at once.
const PAGE: u32 = 1_000;

#[derive(Debug, Subcommand)]
pub(super) enum AdminsCommand {
    /// Make an account.
    Create {
        #[command(flatten)]
        place: Place,
        /// Unique.
        #[arg(long)]
        name: String,
        /// What it may do.
        #[arg(long, value_enum, default_value = "admin")]
        role: Role,
        /// The team to which it is confined. None: it sees everything.
        #[arg(long)]
        team: Option<String>,
        /// A file with the password; without it a random one is printed, this once.
        #[arg(long)]
        password_file: Option<PathBuf>,
    },
    /// Print all accounts, one JSON object a line.
    List(Place),
    /// End the sessions of an account and let it sign in no more.
    Disable(Target),
    /// Let it sign in again.
    Enable(Target),
    /// Give an account another password and end its sessions.
    Password {
        #[command(flatten)]
        target: Target,
        /// A file with the password; without it a random one is printed, this once.
        #[arg(long)]
        password_file: Option<PathBuf>,
    },
}

#[derive(Debug, Args)]
pub(super) struct Target {
    #[command(flatten)]
    place: Place,
    /// The account's name or id.
    admin: String,
}

/// Runs one of them.
pub(super) fn run(command: AdminsCommand) -> anyhow::Result<ExitCode> {
    match command {
        AdminsCommand::Create { place, name, role, team, password_file } => {
            create(&place, AccountSettings { name, role, team_id: team }, password_file)
        }
        AdminsCommand::List(place) => list(&place),
        AdminsCommand::Disable(target) => set_disabled(&target, true),
        AdminsCommand::Enable(target) => set_disabled(&target, false),
        AdminsCommand::Password { target, password_file } => set_password(&target, password_file),
    }
}

fn create(place: &Place, settings: AccountSettings, file: Option<PathBuf>) -> anyhow::Result<ExitCode> {
    let (password, is_random) = password(file)?;
    let password_hash = accounts::hash(&password).map_err(refused)?;
    let mut admin = Admin { id: store::new_id(), password_hash, ..Admin::default() };
    settings.put_on(&mut admin).map_err(refused)?;
    let (storage, _) = open(place)?;
    let store = storage.store.clone();
    let admin = storage.wait_for(async move { store.admins().insert(admin, &change()).await })??;
    tell(&admin, is_random.then_some(&password))
}

fn list(place: &Place) -> anyhow::Result<ExitCode> {
    let (storage, _) = open(place)?;
    let mut after: Option<String> = None;
    loop {
        let (store, from) = (storage.store.clone(), after.clone());
        let page = storage.wait_for(async move { store.admins().list(from.as_deref(), PAGE).await })??;
        let Some(last) = page.last() else { return Ok(ExitCode::SUCCESS) };
        after = Some(last.id.clone());
        for admin in &page {
            tell(admin, None)?;
        }
    }
}

fn set_disabled(target: &Target, disabled: bool) -> anyhow::Result<ExitCode> {
    let (storage, _) = open(&target.place)?;
    let (store, wanted) = (storage.store.clone(), target.admin.clone());
    let admin = storage.wait_for(async move {
        let admin = find(&store, &wanted).await?;
        anyhow::Ok(store.admins().set_disabled(&admin.id, disabled, &change()).await?)
    })??;
    tell(&admin, None)
}

fn set_password(target: &Target, file: Option<PathBuf>) -> anyhow::Result<ExitCode> {
    let (password, is_random) = password(file)?;
    let hash = accounts::hash(&password).map_err(refused)?;
    let (storage, _) = open(&target.place)?;
    let (store, wanted) = (storage.store.clone(), target.admin.clone());
    let admin = storage.wait_for(async move {
        let admin = find(&store, &wanted).await?;
        anyhow::Ok(store.admins().set_password(&admin.id, hash, &change()).await?)
    })??;
    tell(&admin, is_random.then_some(&password))
}

/// That of the file, or a random one. Never an argument: those are seen by every user of the machine.
fn password(file: Option<PathBuf>) -> anyhow::Result<(Secret, bool)> {
    let Some(path) = file else { return Ok((accounts::random()?, true)) };
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("--password-file: {} cannot be read", path.display()))?;
    Ok((Secret::new(text.trim_end_matches(['\r', '\n'])), false))
}

/// By id or name.
async fn find(store: &Store, wanted: &str) -> anyhow::Result<Admin> {
    if let Some(admin) = store.admins().get(wanted).await? {
        return Ok(admin);
    }
    let missing = "there is no such account: `signalbox admins list` shows them";
    store.admins().by_name(wanted).await?.context(missing)
}

fn tell(admin: &Admin, password: Option<&Secret>) -> anyhow::Result<ExitCode> {
    let AccountSettings { name, role, team_id } = AccountSettings::of(admin);
    let mut row = json!({
        "id": admin.id, "name": name, "role": role, "team_id": team_id, "disabled": admin.disabled,
    });
    if let (Some(password), Some(row)) = (password, row.as_object_mut()) {
        row.insert("password".to_owned(), password.expose().into());
    }
    print(&row)
}
