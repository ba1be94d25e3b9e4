//! `/api/v1/session`: signing in and out with a browser, and who one is.

use domain::Secret;
use http::{HeaderName, HeaderValue, StatusCode, header};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::{AdminSession, Change};

use super::call::Call;
use super::caller::{Account, Caller, LiveSession};
use super::fault::Fault;
use super::identify::{COOKIE, LONGEST_MS, account, csrf, session_hash};
use super::reply::Reply;
use super::site::Site;
use crate::accounts;
use crate::keys::random_text;
use crate::keys::settings::date;
use crate::ledger::now_ms;

/// Of a session's token: 256 random bits.
const TOKEN_BYTES: usize = 32;

/// Who signs in. Public API.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LoginRequest {
    name: String,
    password: String,
}

/// Another password for oneself. Public API.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct OwnPassword {
    current: String,
    /// 12 letters at least.
    #[schemars(length(min = 12, max = 256))]
    password: String,
}

/// Who one is. Public API.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct SessionView {
    kind: CallerKind,
    /// Of an account or key.
    id: Option<String>,
    name: String,
    /// Of an account.
    role: Option<accounts::Role>,
    /// To which one is confined, or which pays.
    team_id: Option<String>,
    /// The header `x-csrf-token` of every change with a session.
    csrf: Option<String>,
    /// When the session ends at the latest.
    expires_at: Option<String>,
}

/// As what one has signed in.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum CallerKind {
    AdminToken,
    Account,
    VirtualKey,
}

/// What has ended. Public API.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct SessionEnded {
    /// Always true.
    ended: bool,
}

impl SessionView {
    fn of(caller: &Caller) -> Option<Self> {
        let plain = |kind, name: &str| Self {
            kind,
            id: None,
            name: name.to_owned(),
            role: None,
            team_id: None,
            csrf: None,
            expires_at: None,
        };
        match caller {
            Caller::Anyone => None,
            Caller::Root => Some(plain(CallerKind::AdminToken, "admin.token")),
            Caller::Key { principal, .. } => Some(Self {
                id: Some(principal.id.to_string()),
                team_id: principal.team.as_ref().map(ToString::to_string),
                ..plain(CallerKind::VirtualKey, &principal.name)
            }),
            Caller::Account(Account { id, name, role, team_id, session }) => Some(Self {
                id: Some(id.clone()),
                role: Some(*role),
                team_id: team_id.clone(),
                csrf: session.as_ref().map(|session| session.csrf.clone()),
                expires_at: session.as_ref().map(|session| date(session.expires_at_ms)),
                ..plain(CallerKind::Account, name)
            }),
        }
    }
}

/// Begins a session. A wrong name, a wrong password and a disabled account answer the same, after the same work.
pub(super) async fn begin(call: Call) -> Result<Reply, Fault> {
    if call.site == Site::Other {
        return Err(Fault::forbidden("Sign in on a page of this address."));
    }
    let LoginRequest { name, password } = call.typed()?;
    call.gate.admit(&call.address, &name)?;
    let wanted = name.clone();
    let admin = call.store(|store| async move { store.admins().by_name(&wanted).await }).await?;
    let kept = admin.as_ref().map(|admin| admin.password_hash.clone());
    let is_right = call.gate.run(move || accounts::verify(&Secret::new(password), kept.as_deref())).await?;
    let Some(admin) = admin.filter(|admin| is_right && !admin.disabled) else {
        return Err(Fault::unauthorized("The name or the password is wrong, or the account is disabled."));
    };
    let token = random_text("", TOKEN_BYTES).map_err(|_| Fault::internal("There is no randomness."))?;
    let (hasher, now) = (call.hasher()?, now_ms());
    let live = LiveSession {
        token_hash: session_hash(hasher, token.expose()),
        csrf: csrf(hasher, token.expose()),
        expires_at_ms: now + LONGEST_MS,
    };
    let session = AdminSession {
        token_hash: live.token_hash.clone(),
        admin_id: admin.id.clone(),
        csrf_hash: hasher.hash(live.csrf.as_bytes()).to_stored(),
        address: call.address.clone(),
        created_at_ms: now,
        expires_at_ms: live.expires_at_ms,
        seen_at_ms: now,
    };
    let change = Change { at_ms: now, actor: admin.name.clone(), address: call.address.clone() };
    let stored = call.store(move |store| async move {
        store.sessions().purge(now).await?;
        store.sessions().insert(&session, &change).await
    });
    stored.await?;
    let view = SessionView::of(&Caller::Account(account(admin, Some(live))));
    let reply = Reply::json(StatusCode::CREATED, &view);
    Ok(reply.with(set_cookie(token.expose(), LONGEST_MS / 1_000, call.is_secure)?))
}

/// Who one is.
pub(super) async fn get(call: Call) -> Result<Reply, Fault> {
    Ok(Reply::ok(&SessionView::of(&call.caller)))
}

/// Ends the session; for a token there is none to end.
pub(super) async fn end(call: Call) -> Result<Reply, Fault> {
    if let Caller::Account(Account { session: Some(session), .. }) = &call.caller {
        let (hash, change) = (session.token_hash.clone(), call.change());
        call.store(|store| async move { store.sessions().end(&hash, &change).await }).await?;
    }
    Ok(Reply::ok(&SessionEnded { ended: true }).with(set_cookie("", 0, call.is_secure)?))
}

/// Changes one's own password, which ends all of one's sessions.
pub(super) async fn change_password(call: Call) -> Result<Reply, Fault> {
    let OwnPassword { current, password } = call.typed()?;
    let Caller::Account(Account { id, name, .. }) = &call.caller else {
        return Err(Fault::forbidden("This is for accounts."));
    };
    call.gate.admit(&call.address, name)?;
    let wanted = id.clone();
    let admin = call.store(|store| async move { store.admins().get(&wanted).await }).await?;
    let kept = admin.map(|admin| admin.password_hash);
    let hashed = call.gate.run(move || {
        let is_right = accounts::verify(&Secret::new(current), kept.as_deref());
        is_right.then(|| accounts::hash(&Secret::new(password)))
    });
    let wrong = || Fault::invalid(Some("current"), "`current` is not your password.");
    let hash = hashed.await?.ok_or_else(wrong)??;
    let (id, change) = (id.clone(), call.change());
    call.store(|store| async move { store.admins().set_password(&id, hash, &change).await }).await?;
    Ok(Reply::ok(&SessionEnded { ended: true }).with(set_cookie("", 0, call.is_secure)?))
}

fn set_cookie(value: &str, seconds: i64, is_secure: bool) -> Result<(HeaderName, HeaderValue), Fault> {
    let secure = if is_secure { "; Secure" } else { "" };
    let text = format!("{COOKIE}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}{secure}");
    let value = HeaderValue::try_from(text).map_err(|_| Fault::internal("The cookie is no header."))?;
    Ok((header::SET_COOKIE, value))
}
