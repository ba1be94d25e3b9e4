//! Routers of others, which see the prompt and pick a model. They are asked with a deadline and not while they fail; without
//! their answer ours decides, so that no request fails because of one.

mod not_diamond;
mod routellm;

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use domain::Secret;
use providers::Operation;
use tokio::sync::Semaphore;

use super::assess::Assessment;
use crate::config::{Config, ExternalConfig, ExternalKind, RouteConfig};
use crate::telemetry::RouteMetrics;
use crate::upstream::{Cooldown, CooldownRule};

/// Questions at once; further requests do not ask.
const AT_ONCE: usize = 128;
/// A longer answer is none.
const LONGEST_ANSWER: usize = 64 << 10;
/// So many failures in a row, and it is left alone for a while.
const COOLDOWN: CooldownRule = CooldownRule { failures: 5, open: Duration::from_secs(5) };
/// A key that was refused stays refused for a while.
const REFUSED: Duration = Duration::from_secs(60);

/// One route's.
#[derive(Debug)]
pub struct External {
    config: ExternalConfig,
    url: String,
    key: Option<Secret>,
    /// What it calls the candidates, in their order.
    labels: Vec<Label>,
    cooldown: Cooldown,
    places: Semaphore,
}

/// What an external router calls a candidate.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Label {
    /// As in `openai`.
    provider: String,
    /// As in `gpt-4o`.
    model: String,
    /// Our name for it.
    public: String,
}

/// The connections to all of them.
#[derive(Debug, Default)]
pub struct ExternalClient(OnceLock<Option<reqwest::Client>>);

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Silence {
    /// It was late.
    Late,
    /// It was not reached, or said that it failed.
    Failed,
    /// It refused the key.
    Refused,
    /// What it said is no choice among the candidates.
    Malformed,
    /// It has failed before, and is left alone.
    Out,
    /// Too many ask at once.
    Busy,
}

impl Silence {
    fn as_str(self) -> &'static str {
        match self {
            Self::Late => "late",
            Self::Failed => "failed",
            Self::Refused => "refused",
            Self::Malformed => "malformed",
            Self::Out => "out",
            Self::Busy => "busy",
        }
    }
}

impl ExternalClient {
    /// Made when it is first asked for; None when there is no TLS.
    fn get(&self) -> Option<&reqwest::Client> {
        let make = || {
            let made = reqwest::Client::builder()
                .user_agent(crate::USER_AGENT)
                .redirect(reqwest::redirect::Policy::none())
                .build();
            made.map_err(|problem| tracing::error!(%problem, "external routers cannot be asked")).ok()
        };
        self.0.get_or_init(make).as_ref()
    }
}

impl External {
    /// Resolves a checked section; None when there is none, or its secret has gone.
    pub fn new(route: &RouteConfig, config: &Config) -> Option<Self> {
        let external = route.external.clone()?;
        let key = match external.api_key.as_ref().map(crate::config::SecretSource::resolve) {
            None => None,
            Some(Ok(key)) => Some(key),
            Some(Err(problem)) => {
                tracing::error!(problem, "an external router is not asked: its key has gone");
                return None;
            }
        };
        let url = match external.kind {
            ExternalKind::NotDiamond => not_diamond::url(external.base_url.as_deref()),
            ExternalKind::RouteLlm => routellm::url(external.base_url.as_deref().unwrap_or_default()),
        };
        let labels = route.models().map(|model| label(model, route, config)).collect();
        let (cooldown, places) = (Cooldown::default(), Semaphore::new(AT_ONCE));
        Some(Self { config: external, url, key, labels, cooldown, places })
    }

    /// Which of `open` it picks; None when it does not say in time.
    pub async fn pick(
        &self,
        client: &ExternalClient,
        metrics: &RouteMetrics,
        model: &str,
        (assessment, operation): (&Assessment<'_>, Operation),
        open: &[usize],
    ) -> Option<usize> {
        let asked = Instant::now();
        let answer = self.ask(client, assessment, operation, open).await;
        let outcome = answer.map_or_else(Silence::as_str, |_| "selected");
        metrics.external_answered(model, outcome, asked.elapsed());
        answer.ok()
    }

    async fn ask(
        &self,
        client: &ExternalClient,
        assessment: &Assessment<'_>,
        operation: Operation,
        open: &[usize],
    ) -> Result<usize, Silence> {
        let permit = self.cooldown.admit(Instant::now()).ok_or(Silence::Out)?;
        let _place = self.places.try_acquire().map_err(|_| Silence::Busy)?;
        let client = client.get().ok_or(Silence::Failed)?;
        let body = match self.config.kind {
            ExternalKind::NotDiamond => self.not_diamond_body(assessment, operation, open),
            ExternalKind::RouteLlm => self.routellm_body(assessment),
        };
        let body = body.ok_or(Silence::Malformed)?;
        let answer = tokio::time::timeout(self.config.timeout.0, self.exchange(client, body)).await;
        let picked = answer.unwrap_or(Err(Silence::Late)).and_then(|answer| {
            let picked = match self.config.kind {
                ExternalKind::NotDiamond => self.not_diamond_choice(&answer, open),
                ExternalKind::RouteLlm => self.routellm_choice(&answer, open),
            };
            picked.ok_or(Silence::Malformed)
        });
        match picked {
            Ok(_) => self.cooldown.succeeded(),
            Err(Silence::Refused) => {
                tracing::error!(url = self.url, "an external router refuses the key: replace it");
                self.cooldown.open(REFUSED, Instant::now());
            }
            Err(silence) => {
                tracing::warn!(
                    url = self.url,
                    why = silence.as_str(),
                    "an external router did not pick a model"
                );
                self.cooldown.failed(COOLDOWN, Instant::now(), permit.is_probe());
            }
        }
        picked
    }

    async fn exchange(&self, client: &reqwest::Client, body: Vec<u8>) -> Result<Vec<u8>, Silence> {
        let mut request = client.post(&self.url).header("content-type", "application/json").body(body);
        if let Some(key) = &self.key {
            request = request.bearer_auth(key.expose());
        }
        let mut answer = request.send().await.map_err(|_| Silence::Failed)?;
        match answer.status().as_u16() {
            200..=299 => {}
            401 | 403 => return Err(Silence::Refused),
            _ => return Err(Silence::Failed),
        }
        let mut text = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(|_| Silence::Failed)? {
            if text.len() + piece.len() > LONGEST_ANSWER {
                return Err(Silence::Malformed);
            }
            text.extend_from_slice(&piece);
        }
        Ok(text)
    }

    /// The labels of those that may be picked.
    fn offered<'e>(&'e self, open: &'e [usize]) -> impl Iterator<Item = (usize, &'e Label)> {
        open.iter().filter_map(|at| Some((*at, self.labels.get(*at)?)))
    }
}

/// As configured, else by the candidate's first deployment.
fn label(model: &str, route: &RouteConfig, config: &Config) -> Label {
    let candidate = route.candidates.iter().find(|candidate| candidate.model == model);
    let public = model.to_owned();
    if let Some((provider, model)) =
        candidate.and_then(|candidate| candidate.external.as_deref()?.split_once('/'))
    {
        return Label { provider: provider.to_owned(), model: model.to_owned(), public };
    }
    let deployment = config.models.get(model).and_then(|model| model.deployments.first());
    let kind = deployment.and_then(|it| config.providers.get(&it.provider)).map(|it| it.kind.as_str());
    let provider = not_diamond::provider(kind.unwrap_or_default()).to_owned();
    Label { provider, model: deployment.map_or_else(|| public.clone(), |it| it.model.clone()), public }
}
