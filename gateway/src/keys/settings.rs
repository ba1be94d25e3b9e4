//! What an operator may set on a stored key, a team or a user: the words of the admin API and the command line, in both
//! directions. A change is the present settings with some members replaced.

use std::time::{Duration, SystemTime};

use domain::Micros;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use store::{Team, User, VirtualKey};

use crate::config::{BudgetConfig, Priority, Span, is_printable};

/// A setting that cannot be taken: which one, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// The setting; None when the text as a whole is wrong.
    pub param: Option<&'static str>,
    /// What to do.
    pub message: String,
}

/// The settings of a stored key.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct KeySettings {
    /// Unique.
    pub name: String,
    /// What it may ask for; empty: every public name.
    pub models: Vec<String>,
    /// Names of the providers' credentials that its requests may use; empty: all.
    pub credentials: Vec<String>,
    /// The model that `default` stands for.
    pub default_model: Option<String>,
    /// The team that pays.
    pub team_id: Option<String>,
    /// The organisation of a key without a team; one with a team belongs to its team's.
    pub organization_id: Option<String>,
    /// Whose key it is.
    pub user_id: Option<String>,
    /// Of everything it spends.
    pub tags: Vec<String>,
    /// The operator's notes.
    pub metadata: Map<String, Value>,
    /// Requests in any 60 seconds.
    pub rpm: Option<u32>,
    /// Tokens in any 60 seconds.
    pub tpm: Option<u64>,
    /// Requests at once.
    pub max_parallel: Option<u32>,
    /// Who goes first in overload.
    pub priority: Priority,
    /// What it asks and is answered is stored, encrypted.
    pub store_prompts: bool,
    /// Money caps.
    pub budgets: Vec<BudgetConfig>,
    /// It is refused.
    pub blocked: bool,
    /// Refused from then on, as in `2027-01-31T12:00:00Z`.
    pub expires_at: Option<String>,
}

/// The settings of a team or a user.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct OwnerSettings {
    /// Unique.
    pub name: String,
    /// The team of a user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub team_id: Option<String>,
    /// The organisation of a team, a name that several share.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub organization_id: Option<String>,
    /// Caps on what all its keys spend together.
    pub budgets: Vec<BudgetConfig>,
    /// The operator's notes.
    pub metadata: Map<String, Value>,
    /// Its keys are refused.
    pub blocked: bool,
}

impl KeySettings {
    /// Of a key.
    pub fn of(key: &VirtualKey) -> Self {
        Self {
            name: key.name.clone(),
            models: key.models.clone(),
            credentials: key.credentials.clone(),
            default_model: key.default_model.clone(),
            team_id: key.team_id.clone(),
            organization_id: key.organization_id.clone(),
            user_id: key.user_id.clone(),
            tags: key.tags.clone(),
            metadata: key.metadata.clone(),
            rpm: key.rpm.and_then(|rpm| rpm.try_into().ok()),
            tpm: key.tpm,
            max_parallel: key.max_parallel.and_then(|max| max.try_into().ok()),
            priority: super::resolve::priority(key.priority.as_deref()).unwrap_or_default(),
            store_prompts: key.store_prompts,
            budgets: key.budgets.iter().map(budget_config).collect(),
            blocked: key.blocked,
            expires_at: key.expires_at_ms.map(date),
        }
    }

    /// Puts them on the key.
    ///
    /// # Errors
    /// When one cannot be taken; the key is then of no use.
    pub fn put_on(self, key: &mut VirtualKey) -> Result<(), Edit> {
        check_name(&self.name)?;
        let zero = [
            ("rpm", self.rpm == Some(0)),
            ("tpm", self.tpm == Some(0)),
            ("max_parallel", self.max_parallel == Some(0)),
        ];
        if let Some((param, _)) = zero.into_iter().find(|(_, is_zero)| *is_zero) {
            return Err(edit(param, "is 0: leave it out for no limit, or block the key"));
        }
        check_organization(self.organization_id.as_deref())?;
        key.expires_at_ms = self.expires_at.as_deref().map(at_ms).transpose()?;
        key.budgets = budgets(&self.budgets)?;
        key.name = self.name;
        key.models = self.models;
        key.credentials = self.credentials;
        key.default_model = self.default_model;
        key.team_id = self.team_id;
        key.organization_id = self.organization_id;
        key.user_id = self.user_id;
        key.tags = self.tags;
        key.metadata = self.metadata;
        key.rpm = self.rpm.map(u64::from);
        key.tpm = self.tpm;
        key.max_parallel = self.max_parallel.map(u64::from);
        let priority = match self.priority {
            Priority::High => "high",
            Priority::Normal => "normal",
            Priority::Low => "low",
        };
        key.priority = Some(priority.to_owned());
        key.store_prompts = self.store_prompts;
        key.blocked = self.blocked;
        Ok(())
    }
}

impl OwnerSettings {
    /// Of a team.
    pub fn of_team(team: &Team) -> Self {
        Self {
            name: team.name.clone(),
            team_id: None,
            organization_id: team.organization_id.clone(),
            budgets: team.budgets.iter().map(budget_config).collect(),
            metadata: team.metadata.clone(),
            blocked: team.blocked,
        }
    }

    /// Of a user.
    pub fn of_user(user: &User) -> Self {
        Self {
            name: user.name.clone(),
            team_id: user.team_id.clone(),
            organization_id: None,
            budgets: user.budgets.iter().map(budget_config).collect(),
            metadata: user.metadata.clone(),
            blocked: user.blocked,
        }
    }

    /// Puts them on the team.
    ///
    /// # Errors
    /// When one cannot be taken.
    pub fn put_on_team(self, team: &mut Team) -> Result<(), Edit> {
        check_name(&self.name)?;
        if self.team_id.is_some() {
            return Err(edit("team_id", "is for users: a team belongs to no team"));
        }
        check_organization(self.organization_id.as_deref())?;
        team.organization_id = self.organization_id;
        team.budgets = budgets(&self.budgets)?;
        team.name = self.name;
        team.metadata = self.metadata;
        team.blocked = self.blocked;
        Ok(())
    }

    /// Puts them on the user.
    ///
    /// # Errors
    /// When one cannot be taken.
    pub fn put_on_user(self, user: &mut User) -> Result<(), Edit> {
        check_name(&self.name)?;
        if self.organization_id.is_some() {
            return Err(edit("organization_id", "is for teams: a user belongs to that of its team"));
        }
        user.budgets = budgets(&self.budgets)?;
        user.name = self.name;
        user.team_id = self.team_id;
        user.metadata = self.metadata;
        user.blocked = self.blocked;
        Ok(())
    }
}

/// The present settings with the change's members in place of theirs; null takes one away.
///
/// # Errors
/// When the change has a member that is none, or one of another type.
pub fn merge<S: Serialize + DeserializeOwned>(present: &S, change: Map<String, Value>) -> Result<S, Edit> {
    let whole = |message: String| Edit { param: None, message };
    let mut merged = match serde_json::to_value(present) {
        Ok(Value::Object(map)) => map,
        _ => Map::new(),
    };
    for (name, value) in change {
        if value.is_null() {
            merged.remove(&name);
        } else {
            merged.insert(name, value);
        }
    }
    serde_json::from_value(Value::Object(merged)).map_err(|error| whole(format!("{error}: mend that")))
}

/// A name is there, short and printable.
pub(crate) fn check_name(name: &str) -> Result<(), Edit> {
    is_printable(name)
        .then_some(())
        .ok_or_else(|| edit("name", "is missing, too long or not printable: give up to 128 letters"))
}

fn check_organization(id: Option<&str>) -> Result<(), Edit> {
    id.is_none_or(is_printable)
        .then_some(())
        .ok_or_else(|| edit("organization_id", "is empty, too long or not printable: give up to 128 letters"))
}

fn budgets(configs: &[BudgetConfig]) -> Result<Vec<store::Budget>, Edit> {
    configs.iter().map(budget).collect()
}

fn budget(config: &BudgetConfig) -> Result<store::Budget, Edit> {
    let limit = Micros::from_usd(config.usd);
    if !config.usd.is_finite() || config.usd < 0.0 || limit.0 > store::MAX_FIGURE {
        return Err(edit("budgets", "has an amount that is none: write usd as a number from 0 on"));
    }
    let period_ms = u64::try_from(config.per.0.as_millis()).unwrap_or(u64::MAX);
    if period_ms == 0 || period_ms > store::MAX_FIGURE {
        return Err(edit("budgets", "has a window without a length: write for example per: 30d"));
    }
    if config.alert_percent.is_some_and(|percent| !(1..=100).contains(&percent)) {
        return Err(edit("budgets", "has an alert_percent outside 1 to 100"));
    }
    Ok(store::Budget { limit, period_ms, alert_percent: config.alert_percent })
}

fn budget_config(budget: &store::Budget) -> BudgetConfig {
    BudgetConfig {
        usd: budget.limit.usd(),
        per: Span::from_millis(budget.period_ms),
        alert_percent: budget.alert_percent,
    }
}

/// A time of RFC 3339 as unix milliseconds.
pub(crate) fn at_ms(text: &str) -> Result<i64, Edit> {
    let wrong = || edit("expires_at", "is no time: write it as in 2027-01-31T12:00:00Z");
    let at = humantime::parse_rfc3339_weak(text).map_err(|_| wrong())?;
    let since = at.duration_since(SystemTime::UNIX_EPOCH).map_err(|_| wrong())?;
    i64::try_from(since.as_millis()).map_err(|_| wrong())
}

/// Unix milliseconds as RFC 3339; the far future where they are too many.
pub(crate) fn date(at_ms: i64) -> String {
    // Behind the year 9999 there is no text for it.
    let since = Duration::from_millis(u64::try_from(at_ms).unwrap_or(0).min(253_402_300_799_000));
    humantime::format_rfc3339_millis(SystemTime::UNIX_EPOCH + since).to_string()
}

pub(crate) fn edit(param: &'static str, message: &str) -> Edit {
    Edit { param: Some(param), message: format!("`{param}` {message}.") }
}
