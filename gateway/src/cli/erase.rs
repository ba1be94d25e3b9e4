//! `signalbox erase`: what `POST /api/v1/erase` does, on the store itself. Gateways that run make their kept answers void within
//! two seconds, those that do not when they start.

use std::io::Write;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;
use serde_json::json;
use store::{Erasure, StoreError};

use super::place::{Place, change, print};
use crate::keys;
use crate::ledger::moment;

/// What is to go: what belongs to all that are named.
#[derive(Debug, Args)]
pub(super) struct Erase {
    #[command(flatten)]
    place: Place,
    /// The name or id of a virtual key, which may be deleted already.
    #[arg(long)]
    key: Option<String>,
    /// The id of a team.
    #[arg(long)]
    team: Option<String>,
    /// The id of a user.
    #[arg(long)]
    user: Option<String>,
    /// The id of a request.
    #[arg(long)]
    request: Option<String>,
    /// Only what is older, as 2026-11-24 or 2026-11-24T12:00:00Z. Left out: everything until now.
    #[arg(long, value_name = "TIME")]
    before: Option<String>,
    /// Also from the request log.
    #[arg(long)]
    requests: bool,
}

pub(super) fn run(options: Erase) -> anyhow::Result<ExitCode> {
    let Erase { place, key, team, user, request, before, requests } = options;
    if [&key, &team, &user, &request, &before].iter().all(|it| it.is_none()) {
        bail!(
            "name what to erase: --key, --team, --user, --request, --before, or several, which must all fit"
        );
    }
    let time =
        |text: String| moment(&text).context("--before is a time like 2026-11-24 or 2026-11-24T12:00:00Z");
    let before_ms = before.map(time).transpose()?;
    let (_, storage) = place.open()?;
    let store = storage.store.clone();
    let (erased, freed) = storage.wait_for(async move {
        let key_id = match key {
            Some(key) => Some(keys::id_of(&store, key).await?),
            None => None,
        };
        let (team_id, user_id, request_id) = (team, user, request);
        let what = Erasure { key_id, team_id, user_id, request_id, before_ms, requests };
        let erased = store.erasures().erase(&what, &change()).await?;
        Ok::<_, StoreError>((erased, store.erasures().free_space().await))
    })??;
    if let Err(error) = freed {
        let text = "the space of what was erased is freed when the database does so by itself";
        writeln!(std::io::stderr(), "notice: {text}: {error}")?;
    }
    print(&json!({"contents": erased.contents, "requests": erased.requests}))
}
