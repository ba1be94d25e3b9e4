//! What all requests share, from the start of the process to its end, and how another configuration is put in force.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use arc_swap::ArcSwap;

use crate::answer_cache::{self, AnswerCache};
use crate::backups::Schedule;
use crate::budgets::{Account, BudgetBook};
use crate::coalesce::Coalescer;
use crate::config::Config;
use crate::contents::{self, ContentsLog, ErasureWatch};
use crate::credentials::{CredentialSync, CredentialTable};
use crate::edge::{Connections, GuessLimiter};
use crate::keys::{self, KeySync, StoredKeys};
use crate::ledger::{Applier, Ledger, now_ms};
use crate::limits::{Gate, LimitBook, RetryBudget};
use crate::request_log::{RequestLog, Writer};
use crate::routing::{
    Calibrations, Conversations, ExternalClient, FeedbackLog, Hesitations, Repeats, Shadows, Traffic,
    read_feedback,
};
use crate::seal::{self, Sealer};
use crate::sharing::{self, Sharing};
use crate::snapshot::Snapshot;
use crate::storage::Storage;
use crate::telemetry::{AccessLog, Metrics};
use crate::tokens;
use crate::upstream::{self, Registry};

/// Idle upstream connections kept per worker thread.
pub const POOL_SIZE: usize = 512;

/// How long a reload waits for what the store knows of new keys, and a start for how routes were judged.
const LEARN_TIME: Duration = Duration::from_secs(2);

/// What all requests share.
pub struct App {
    /// The configuration in force.
    pub snapshot: ArcSwap<Snapshot>,
    /// Connections to providers.
    pub upstream: Arc<upstream::Connections>,
    /// The metrics.
    pub metrics: &'static Metrics,
    /// The access log.
    pub access_log: AccessLog,
    /// Against guessing keys.
    pub guess_limiter: GuessLimiter,
    /// The open connections of the public listener.
    pub connections: Arc<Connections>,
    /// How many requests run at once.
    pub gate: Arc<Gate>,
    /// Answers that several requests share.
    pub coalescer: Arc<Coalescer>,
    /// Which models conversations went to.
    pub conversations: Conversations,
    /// Connections to routers of others.
    pub external: ExternalClient,
    /// What feedback says of predicted qualities.
    pub calibrations: Calibrations,
    /// Whose requests may be sent again, which judges them.
    pub repeats: Repeats,
    /// How clear the decisions of virtual models were of late.
    pub hesitations: Hesitations,
    /// How the prompts of virtual models score of late.
    pub traffic: Traffic,
    /// Second looks at the answers of routes.
    pub shadows: Shadows,
    /// Answers that are kept; None without a `cache` section.
    pub answers: Option<AnswerCache>,
    /// What requests cost.
    pub ledger: Arc<Ledger>,
    /// What outlives the process; None when nothing is to.
    pub storage: Option<Storage>,
    /// What happened to each request.
    pub request_log: Arc<RequestLog>,
    /// What was said in requests of keys that want it kept.
    pub contents: Arc<ContentsLog>,
    /// The keys of the store.
    pub stored_keys: Arc<StoredKeys>,
    /// What share of the traffic may be repeated attempts.
    pub retry_budget: RetryBudget,
    /// Seals what the store keeps of credentials; None when it keeps none.
    pub sealer: Option<Sealer>,
    sources: Mutex<Sources>,
    registry: Registry,
    limits: Arc<LimitBook>,
    draining: AtomicBool,
    closing: AtomicBool,
}

/// What the snapshot in force was made of.
struct Sources {
    config: Config,
    credentials: CredentialTable,
}

impl App {
    /// Resolves a checked configuration.
    ///
    /// # Errors
    /// When a secret has gone since the check, the store or the access log cannot be opened, or a stored credential has
    /// another encryption key.
    pub fn new(config: &Config) -> anyhow::Result<Arc<Self>> {
        let (registry, metrics) = (Registry::default(), Metrics::global());
        // Unique among all processes.
        let id = store::new_id();
        let shared =
            config.cluster.as_ref().map(|cluster| Sharing::new(cluster, &id, metrics)).transpose()?;
        let sharing = shared.as_ref().map(|(sharing, _)| sharing.clone());
        let limits = Arc::new(LimitBook::new(sharing.clone()));
        let storage = Storage::open(&config.store)?;
        let stored_keys = Arc::new(StoredKeys::new(keys::hasher(config)?));
        let sealer = seal::sealer(config)?;
        let (sync, credentials) = read_credentials(storage.as_ref(), sealer.clone(), metrics)?.unzip();
        let credentials = credentials.unwrap_or_default();
        let folder = storage.is_some().then_some(Path::new(&config.ledger.path));
        let ledger = Ledger::open(&id, folder, config.ledger.size.0, BudgetBook::new(sharing))
            .with_context(|| format!("ledger.path: {} cannot be written", config.ledger.path))?;
        let snapshot = Snapshot::new(config, &credentials, &registry, &limits, &ledger.budgets, metrics)
            .map_err(anyhow::Error::msg)?;
        let request_log = Arc::new(RequestLog::new(&config.log.requests, storage.is_some(), metrics));
        let contents = Arc::new(ContentsLog::new(&config.log.contents, sealer.is_some(), metrics));
        if let Some(storage) = &storage {
            start_logs(storage, &contents, &request_log, sealer.clone(), config);
            start_ledger(&ledger, storage, metrics)?;
            let (keys, store) = (stored_keys.clone(), storage.store.clone());
            start_keys(KeySync::new(store, keys, limits.clone(), ledger.clone(), metrics), storage)?;
            if let Some(backup) = &config.backup {
                storage.spawn(Schedule::new(storage.store.clone(), backup, metrics).run());
            }
        }
        if let Some((sharing, keeper)) = shared {
            let (limits, ledger) = (limits.clone(), ledger.clone());
            sharing::start(sharing, keeper, move |told| {
                [limits.everything(told), ledger.budgets.everything(told)].concat()
            })?;
        }
        if storage.is_some() || !ledger.budgets.is_empty() {
            tokens::prepare();
        }
        let access_log = AccessLog::open(&config.log.access)
            .with_context(|| format!("log.access: {} cannot be opened", config.log.access))?;
        let gate = Gate::new(metrics);
        gate.show(snapshot.limits.in_flight);
        let app = Arc::new(Self {
            snapshot: ArcSwap::from_pointee(snapshot),
            upstream: Arc::new(upstream::Connections::new(POOL_SIZE)),
            metrics,
            access_log,
            guess_limiter: GuessLimiter::default(),
            connections: Arc::default(),
            gate,
            coalescer: Arc::default(),
            conversations: Conversations::default(),
            repeats: Repeats::default(),
            external: ExternalClient::default(),
            calibrations: calibrations(storage.as_ref(), metrics),
            hesitations: Hesitations::default(),
            traffic: Traffic::default(),
            shadows: Shadows::default(),
            answers: answer_cache::open(config)?,
            ledger,
            storage,
            request_log,
            contents,
            stored_keys,
            retry_budget: RetryBudget::new(Instant::now()),
            sealer,
            sources: Mutex::new(Sources { config: config.clone(), credentials }),
            registry,
            limits,
            draining: AtomicBool::new(false),
            closing: AtomicBool::new(false),
        });
        if let Some((storage, cache)) = app.storage.as_ref().zip(config.cache.as_ref()) {
            let folder = cache.disk.as_ref().map(|disk| PathBuf::from(&disk.path));
            storage.spawn(ErasureWatch::new(storage.store.clone(), folder).run(Arc::downgrade(&app)));
        }
        if let Some((storage, sync)) = app.storage.as_ref().zip(sync) {
            storage.spawn(sync.run(Arc::downgrade(&app)));
        }
        Ok(app)
    }

    /// Puts another configuration in force; requests that run keep the old one.
    ///
    /// # Errors
    /// When a secret has gone; the old configuration stays.
    pub fn reload(&self, config: &Config) -> Result<(), String> {
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        self.put_in_force(config, &sources.credentials)?;
        sources.config = config.clone();
        Ok(())
    }

    /// Puts other credentials of the store in force.
    ///
    /// # Errors
    /// When a secret of the configuration has gone; the old credentials stay.
    pub fn replace_credentials(&self, credentials: CredentialTable) -> Result<(), String> {
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        self.put_in_force(&sources.config, &credentials)?;
        sources.credentials = credentials;
        Ok(())
    }

    /// Has the configuration in force a credential of this name?
    pub fn has_configured_credential(&self, name: &str) -> bool {
        let sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        sources.config.has_credential(name)
    }

    fn put_in_force(&self, config: &Config, credentials: &CredentialTable) -> Result<(), String> {
        let (limits, budgets) = (&self.limits, &self.ledger.budgets);
        let known = self.ledger.budgets.all();
        let snapshot = Snapshot::new(config, credentials, &self.registry, limits, budgets, self.metrics)?;
        self.gate.show(snapshot.limits.in_flight);
        let is_new = |account: &Arc<Account>| !known.iter().any(|it| Arc::ptr_eq(it, account));
        self.learn_spend(self.ledger.budgets.all().into_iter().filter(is_new).collect());
        let before = self.snapshot.swap(Arc::new(snapshot));
        // The accounts of keys that are gone go with them.
        for owner in before.keys.owners().difference(&self.snapshot.load().keys.owners()) {
            self.ledger.budgets.account((*owner).clone(), &[], now_ms());
        }
        Ok(())
    }

    /// New accounts learn what was spent on them before, when the key was there once: before their keys are valid.
    fn learn_spend(&self, accounts: Vec<Arc<Account>>) {
        let Some(storage) = self.storage.as_ref().filter(|_| !accounts.is_empty()) else { return };
        let applier = Applier::new(self.ledger.clone(), storage.store.clone(), self.metrics);
        let load = async move {
            for account in accounts {
                applier.load(&account, account.is_idle(now_ms())).await?;
            }
            anyhow::Ok(())
        };
        let done = storage.wait_for(async move { tokio::time::timeout(LEARN_TIME, load).await });
        if !matches!(done, Ok(Ok(Ok(())))) {
            tracing::warn!(
                "the store does not say in time what new keys have spent: it is looked up beside the requests"
            );
        }
    }

    /// True once the process is asked to end.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// True once clients are told to connect anew for their next request.
    pub fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Relaxed)
    }

    /// This process will not be there for much longer, or another one takes over: each answer closes its connection.
    pub fn close_connections(&self) {
        self.closing.store(true, Ordering::Relaxed);
    }

    /// The process is asked to end: running requests finish, failed attempts are not repeated.
    pub fn drain(&self) {
        self.close_connections();
        self.draining.store(true, Ordering::Relaxed);
    }
}

/// What requests leave behind is written beside them.
fn start_logs(
    storage: &Storage,
    contents: &Arc<ContentsLog>,
    requests: &Arc<RequestLog>,
    sealer: Option<Sealer>,
    config: &Config,
) {
    let store = &storage.store;
    storage.spawn(contents::Writer::new(contents.clone(), store.clone(), sealer, &config.log).run());
    storage.spawn(Writer::new(requests.clone(), store.clone(), config.log.requests.keep.0).run());
}

/// What processes before this one have left behind goes to the store, the accounts learn what is spent, and from then on
/// the log is applied beside the requests.
fn start_ledger(ledger: &Arc<Ledger>, storage: &Storage, metrics: &'static Metrics) -> anyhow::Result<()> {
    let applier = Applier::new(ledger.clone(), storage.store.clone(), metrics);
    let accounts = ledger.budgets.all();
    let applier = storage.wait_for(async move {
        applier.adopt().await?;
        for account in accounts {
            applier.load(&account, true).await?;
        }
        anyhow::Ok(applier)
    })??;
    storage.spawn(applier.run());
    Ok(())
}

/// The credentials of the store are known before the first snapshot is made.
fn read_credentials(
    storage: Option<&Storage>,
    sealer: Option<Sealer>,
    metrics: &'static Metrics,
) -> anyhow::Result<Option<(CredentialSync, CredentialTable)>> {
    let Some(storage) = storage else { return Ok(None) };
    let mut sync = CredentialSync::new(storage.store.clone(), sealer, metrics);
    storage.wait_for(async move {
        let table = sync.first().await?;
        Ok(Some((sync, table)))
    })?
}

/// What was judged before this process: without an answer in time corrections begin anew, which no start fails for.
fn calibrations(storage: Option<&Storage>, metrics: &'static Metrics) -> Calibrations {
    let Some(storage) = storage else { return Calibrations::new(HashMap::new(), None) };
    let (store, log) = (storage.store.clone(), Arc::new(FeedbackLog::new(metrics)));
    let read = async move { tokio::time::timeout(LEARN_TIME, read_feedback(&store)).await };
    let known = match storage.wait_for(read) {
        Ok(Ok(Ok(known))) => known,
        Ok(Ok(Err(error))) => {
            tracing::warn!(%error, "feedback on routes is not read: corrections begin anew");
            HashMap::new()
        }
        _ => {
            tracing::warn!("the store does not say in time how routes were judged: corrections begin anew");
            HashMap::new()
        }
    };
    storage.spawn(log.clone().run(storage.store.clone()));
    Calibrations::new(known, Some(log))
}

/// The keys of the store are known before the listeners open, and followed from then on.
fn start_keys(mut sync: KeySync, storage: &Storage) -> anyhow::Result<()> {
    let sync = storage.wait_for(async move {
        sync.refresh().await?;
        anyhow::Ok(sync)
    })??;
    storage.spawn(sync.run());
    Ok(())
}
