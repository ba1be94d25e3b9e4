//! Who a virtual key stands for.

use std::sync::Arc;

use super::Counters;
use crate::config::Priority;

/// Who a virtual key stands for, and what it may do. Resolved once, when the key becomes known.
#[derive(Debug)]
// In this order, so that what every request reads lies together: with many keys it is in no cache.
#[repr(C)]
pub struct Principal {
    /// What its requests are counted in.
    pub counters: Counters,
    /// Who goes first in overload.
    pub priority: Priority,
    /// What it asks and is answered is stored, encrypted.
    pub stores_prompts: bool,
    /// What it may ask for.
    pub allowed: Allowed,
    /// Names of the providers' credentials that its requests may use; None: all.
    pub credentials: Option<Arc<[String]>>,
    /// The model that `default` stands for.
    pub default_model: Option<Arc<str>>,
    /// Never changes; a key of the configuration has its name for an id.
    pub id: Arc<str>,
    /// The key's name.
    pub name: Arc<str>,
    /// The id of the team that pays with it.
    pub team: Option<Arc<str>>,
    /// The organisation of its team, or its own.
    pub organization: Option<Arc<str>>,
    /// The id of the user whose key it is.
    pub user: Option<Arc<str>>,
    /// Of everything it spends, for reports.
    pub tags: Arc<[String]>,
}

/// Which models a key may ask for.
#[derive(Clone, Debug)]
pub enum Allowed {
    /// All public names.
    EveryPublicModel,
    /// Public names, `provider/model`, `provider/*` or `*`.
    Listed(Arc<[String]>),
}

impl Principal {
    /// Who asks without a key where none is needed.
    pub fn nobody() -> Self {
        let name: Arc<str> = Arc::from("anonymous");
        Self {
            id: name.clone(),
            name,
            team: None,
            organization: None,
            user: None,
            tags: Arc::default(),
            allowed: Allowed::Listed(Arc::new(["*".to_owned()])),
            credentials: None,
            default_model: None,
            stores_prompts: false,
            priority: Priority::default(),
            counters: Counters::default(),
        }
    }

    /// May this key ask for the model? `public`: the name is one of the configuration's.
    pub fn may_use(&self, model: &str, public: bool) -> bool {
        match &self.allowed {
            Allowed::EveryPublicModel => public,
            Allowed::Listed(names) => names.iter().any(|name| {
                name == "*"
                    || name == model
                    || name
                        .strip_suffix('*')
                        .is_some_and(|prefix| prefix.ends_with('/') && model.starts_with(prefix))
            }),
        }
    }

    /// May this key use the provider's raw pass-through?
    pub fn may_pass_through(&self, provider: &str) -> bool {
        self.may_use(&format!("{provider}/*"), false)
    }
}
