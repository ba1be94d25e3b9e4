//! Faults of providers' credentials, of what names them, and of the keys that encrypt those in the store.

use std::collections::BTreeSet;

use super::unknown;
use crate::config::{Config, Faults, NO_STORE, ProviderConfig, SecretSource};
use crate::credentials::name_fault;

pub(super) fn run(config: &Config, faults: &mut Faults, notices: &mut Faults) {
    let mut names = BTreeSet::new();
    names
        .extend(config.providers.iter().filter(|(_, it)| it.api_key.is_some()).map(|(name, _)| name.clone()));
    for (name, provider) in &config.providers {
        check_provider(&format!("providers.{name}"), name, provider, config, faults, notices);
        for (index, credential) in provider.api_keys.iter().enumerate() {
            let path = format!("providers.{name}.api_keys[{index}]");
            if let Some(problem) = name_fault(&credential.name) {
                faults.add(format!("{path}.name"), problem);
            } else if !names.insert(credential.name.clone()) {
                let problem = format!("`{}` is the name of another credential: rename one", credential.name);
                faults.add(format!("{path}.name"), problem);
            }
            check_secret(
                format!("{path}.key"),
                credential.key.resolve().err(),
                &credential.key,
                faults,
                notices,
            );
        }
    }
    check_names(config, &names, faults);
    encryption(config, faults, notices);
}

fn check_provider(
    path: &str,
    name: &str,
    provider: &ProviderConfig,
    config: &Config,
    faults: &mut Faults,
    notices: &mut Faults,
) {
    let path = format!("{path}.api_key");
    if let Some(source) = &provider.api_key {
        return check_secret(path, source.resolve().err(), source, faults, notices);
    }
    let spec = providers::catalogue().provider(&provider.kind);
    let is_needed = spec.is_some_and(|spec| spec.credential_required) && provider.base_url.is_none();
    if !is_needed || !provider.api_keys.is_empty() {
        return;
    }
    if config.store == NO_STORE {
        faults.add(path, "is missing: this provider refuses requests without one");
    } else {
        let text = format!(
            "is missing: requests are not sent to it before the store has a credential (`signalbox credentials add \
             --provider {name}`)"
        );
        notices.add(path, text);
    }
}

/// What names a credential must name one of the configuration, unless the store may have it.
fn check_names(config: &Config, known: &BTreeSet<String>, faults: &mut Faults) {
    if config.store != NO_STORE {
        return;
    }
    let mut check = |path: String, name: &String| {
        if !known.contains(name) {
            faults.add(path, unknown("credential", name, known.iter()));
        }
    };
    for (model, settings) in &config.models {
        for (index, deployment) in settings.deployments.iter().enumerate() {
            if let Some(name) = &deployment.credential {
                check(format!("models.{model}.deployments[{index}].credential"), name);
            }
        }
    }
    for (index, key) in config.keys.iter().enumerate() {
        for (at, name) in key.credentials.iter().flatten().enumerate() {
            check(format!("keys[{index}].credentials[{at}]"), name);
        }
    }
}

fn encryption(config: &Config, faults: &mut Faults, notices: &mut Faults) {
    let key = config.encryption.key.iter().map(|key| ("encryption.key".to_owned(), key));
    let old_keys = config.encryption.old_keys.iter().enumerate();
    let old_keys = old_keys.map(|(index, key)| (format!("encryption.old_keys[{index}]"), key));
    for (path, source) in key.chain(old_keys) {
        check_secret(path, crate::seal::encryption_key(source).err(), source, faults, notices);
    }
    if config.encryption.key.is_none()
        && !config.encryption.old_keys.is_empty()
        && config.store.starts_with("postgres")
    {
        faults.add("encryption.key", "is missing: PostgreSQL needs it, as env:NAME or file:PATH");
    }
}

fn check_secret(
    path: String,
    problem: Option<String>,
    source: &SecretSource,
    faults: &mut Faults,
    notices: &mut Faults,
) {
    match problem {
        Some(problem) => faults.add(path, problem),
        None if source.is_inline() => {
            notices.add(path, "a secret is written out: prefer env:NAME or file:PATH");
        }
        None => {}
    }
}
