//! What a request carries through the phases, and what is recorded of it at its end.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use domain::{Micros, Usage};
use http::{HeaderName, HeaderValue};
use providers::{KeptAnswer, Operation, RequestHead, WireFormat, has_both_modes};
use store::{Counted, Kind};

use crate::answer_cache::{Controls, Mark};
use crate::app::App;
use crate::error::GatewayError;
use crate::keys::Principal;
use crate::ledger::{self, End, Refused, Reservation, Saving};
use crate::limits::{Admitted, Denied, KeyLimits, Left, Parallel, Places, ReservedTokens};
use crate::phases;
use crate::routing::{Decision, Repeatable};
use crate::snapshot::{Model, Snapshot};
use crate::telemetry::TraceContext;
use crate::upstream::{Deployment, Taken, UpstreamCall};

/// A parsed request.
#[derive(Debug)]
pub struct Request {
    /// What is asked for.
    pub operation: Operation,
    /// The touched fields of the body.
    pub head: RequestHead,
    /// The body as it came.
    pub body: Bytes,
    /// The query, if any.
    pub query: Option<String>,
    /// Headers that go on to the provider.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// What the client says of kept answers.
    pub controls: Controls,
    /// The key of the session that the client named in `x-signalbox-session`.
    pub session: Option<u64>,
}

/// Four bytes of JSON a token is generous to the limit and close for English prose.
pub const BYTES_PER_TOKEN: u64 = 4;

impl Request {
    /// Its prompt in tokens, estimated.
    pub fn prompt_tokens(&self) -> u64 {
        self.body.len() as u64 / BYTES_PER_TOKEN
    }

    /// It goes on with a conversation, wants one answer, and offers no tools.
    pub fn wants_one_text(&self) -> bool {
        has_both_modes(self.operation) && !self.head.caching.has_tools && self.head.choices <= 1
    }

    /// What an answer to it says, as it was sent to the client; None when that is more than text.
    pub fn text_of(&self, pieces: &[Bytes]) -> Option<String> {
        let answer = KeptAnswer {
            operation: self.operation,
            pieces,
            is_stream: self.head.stream,
            has_usage: self.head.include_usage,
            usage: Usage::default(),
        };
        answer.text()
    }

    /// What is the same for every attempt at its answer.
    pub fn upstream_call<'a>(
        &'a self,
        app: &'a App,
        snapshot: &Snapshot,
        plan: &Plan,
        request_id: &'a str,
        started: Instant,
    ) -> UpstreamCall<'a> {
        let total = plan.models.first().map_or(Duration::ZERO, |model| model.timeouts.total);
        UpstreamCall {
            connections: &app.upstream,
            request_id,
            operation: self.operation,
            head: &self.head,
            body: &self.body,
            query: self.query.as_deref(),
            headers: &self.headers,
            deadline: started + total,
            answer_limit: usize::try_from(snapshot.limits.answer.0).unwrap_or(usize::MAX),
            resumption: None,
        }
    }

    /// The most tokens it may generate; 0 when it sets no bound.
    pub fn completion_tokens(&self) -> u64 {
        self.head.max_tokens.unwrap_or(0).saturating_mul(self.head.choices.max(1))
    }
}

/// Models to try, in this order; the first is the one that was asked for.
#[derive(Debug)]
pub struct Plan {
    /// At least one.
    pub models: Vec<Arc<Model>>,
    /// Names of the providers' credentials that may be used; None: all.
    pub credentials: Option<Arc<[String]>>,
}

/// The record of one request. It is written when it is dropped, so that every request ends in
/// [`phases::record`] exactly once, whatever became of its future.
pub struct Record {
    /// The process.
    pub app: Arc<App>,
    /// When the request's header was read.
    pub started: Instant,
    /// Our id of it.
    pub request_id: String,
    /// The caller's trace.
    pub trace: Option<TraceContext>,
    /// The client's format, for errors.
    pub client: WireFormat,
    /// What is asked for.
    pub operation: Option<Operation>,
    /// Who asks.
    pub principal: Option<Arc<Principal>>,
    /// The slot among the process's requests.
    pub admitted: Option<Admitted>,
    /// The slot among the key's parallel requests.
    pub parallel: Option<Parallel>,
    /// The places among the model's and the deployment's requests in flight.
    pub places: Places,
    /// A model or deployment was passed over because it was full.
    pub passed_over: bool,
    /// Tokens reserved, and when.
    pub reserved: Option<ReservedTokens>,
    /// What was left of the key's limits then.
    left: Option<Left>,
    /// What was counted against the deployment's own limits.
    pub taken: Option<Taken>,
    /// What the answer may cost, until that is known.
    pub reservation: Option<Reservation>,
    /// The model that was asked for.
    pub model: Option<Arc<Model>>,
    /// What a virtual model decided.
    pub routed: Option<Arc<Decision>>,
    /// What it says of its answer when it comes again.
    pub repeatable: Option<Repeatable>,
    /// Its answer is looked at a second time.
    pub shadowed: bool,
    /// Who answered, or was asked last.
    pub deployment: Option<Arc<Deployment>>,
    /// Its way past the cache; None without one.
    pub cache: Option<Mark>,
    /// It followed the answer to an identical request.
    pub coalesced: bool,
    /// The ledger knows that it needed no call.
    is_saved: bool,
    /// Another record, which was split off this one, is written in its place.
    handed_over: bool,
    /// Whether it was streamed.
    pub stream: bool,
    /// Calls of deployments.
    pub attempts: u32,
    /// Another deployment than the first one answered.
    pub fallback: bool,
    /// Time spent waiting for the client or the upstream.
    pub waited: Duration,
    /// To the answer's first byte.
    pub ttft: Option<Duration>,
    /// Attempts that went on with a broken stream.
    pub resumptions: u32,
    /// What earlier attempts of a resumed stream used, and whose they were.
    pub earlier: Vec<(Arc<Deployment>, Usage)>,
    /// What the provider counted, or we when it did not.
    pub usage: Option<Usage>,
    /// Who did.
    pub counted: Counted,
    /// The status that was sent; 0 before any was.
    pub status: u16,
    /// `ok` or an error's label; empty while the request runs.
    pub outcome: &'static str,
}

impl Record {
    /// For a request that has just arrived.
    pub fn new(app: Arc<App>) -> Self {
        app.metrics.in_flight.inc();
        Self {
            app,
            started: Instant::now(),
            request_id: String::new(),
            trace: None,
            client: WireFormat::OpenAi,
            operation: None,
            principal: None,
            admitted: None,
            parallel: None,
            places: Places::default(),
            passed_over: false,
            reserved: None,
            left: None,
            taken: None,
            reservation: None,
            model: None,
            routed: None,
            repeatable: None,
            shadowed: false,
            deployment: None,
            cache: None,
            coalesced: false,
            is_saved: false,
            handed_over: false,
            stream: false,
            attempts: 0,
            fallback: false,
            waited: Duration::ZERO,
            ttft: None,
            resumptions: 0,
            earlier: Vec::new(),
            usage: None,
            counted: Counted::default(),
            status: 0,
            outcome: "",
        }
    }

    /// Hands everything over to the record that is returned. What is left of this one answers the client
    /// and is not written.
    pub fn hand_over(&mut self) -> Self {
        let mut rest = Self::new(self.app.clone());
        rest.started = self.started;
        rest.request_id.clone_from(&self.request_id);
        rest.client = self.client;
        rest.principal.clone_from(&self.principal);
        rest.model.clone_from(&self.model);
        rest.routed.clone_from(&self.routed);
        rest.waited = self.waited;
        rest.handed_over = true;
        std::mem::replace(self, rest)
    }

    /// For the same question once more, of which its client knows nothing.
    pub fn for_background(&self, why: &str) -> Self {
        let mut background = Self::beside(self.app.clone(), &self.request_id, why);
        background.client = self.client;
        background.operation = self.operation;
        background.principal.clone_from(&self.principal);
        background.model.clone_from(&self.model);
        background.routed.clone_from(&self.routed);
        background.stream = self.stream;
        background
    }

    /// For a call that goes past the cache beside the request of this id.
    pub fn beside(app: Arc<App>, request_id: &str, why: &str) -> Self {
        let mut beside = Self::new(app);
        beside.request_id = format!("{request_id}-{why}");
        beside.cache = Some(Mark::Bypass);
        beside
    }

    /// The answer came to its end, and is no error.
    pub fn is_whole(&self) -> bool {
        self.outcome == "ok" && self.status == 200
    }

    /// It ends with this error, which no client is told.
    pub fn fail(&mut self, error: &GatewayError) {
        let face = error.face();
        self.outcome = face.label;
        self.status = face.status;
    }

    /// Reserves tokens in the key's minute, if it has limits.
    ///
    /// # Errors
    /// Those of [`KeyLimits::reserve`].
    pub async fn reserve_tokens(&mut self, tokens: u64) -> Result<(), Denied> {
        if let Some(limits) = key_limits(&self.principal) {
            let now = Instant::now();
            self.reserved = Some(limits.reserve(now, tokens).await?);
            self.left = Some(limits.left(now));
        }
        Ok(())
    }

    /// What was left of the key's limits when it was let in, or is now when it was not. With many keys the counters are no
    /// longer in the processor's cache when the answer comes.
    pub fn limits_left(&self) -> Option<Left> {
        self.left.or_else(|| Some(key_limits(&self.principal)?.left(Instant::now())))
    }

    /// Holds what an attempt may cost; None when nobody has to pay.
    ///
    /// # Errors
    /// When a budget is spent, or the ledger cannot be written.
    pub async fn reserve(
        &self,
        request: &Request,
        model: &Model,
        deployment: &Arc<Deployment>,
    ) -> Result<Option<Reservation>, Refused> {
        let ledger = &self.app.ledger;
        let Some(principal) = self.principal.as_ref().filter(|principal| ledger.concerns(principal)) else {
            return Ok(None);
        };
        if request.operation.is_count() {
            return Ok(None);
        }
        let longest = deployment.spec.and_then(|spec| spec.max_output_tokens);
        let estimate = ledger::estimate(request.body.len(), request.completion_tokens(), longest);
        let model = &self.model.as_ref().map_or(&model.name, |asked| &asked.name);
        ledger.reserve(principal, &self.request_id, model, deployment, estimate).await.map(Some)
    }

    /// What was held becomes what was used. It is in the log when this returns.
    pub fn settle(&mut self, outcome: &str, counts_request: bool) {
        if let Some(reservation) = self.reservation.take() {
            reservation.fetch();
            if let Some(parallel) = &self.parallel {
                parallel.fetch();
            }
            let usage = self.usage.unwrap_or_default();
            let counted = if self.usage.is_some() { self.counted } else { Counted::Nobody };
            reservation.settle(End { outcome, usage, counted, counts_request });
        }
    }

    /// It was answered without a call, which saved so much: the ledger counts it at no cost, once.
    pub fn save(&mut self, kind: Kind, outcome: &str, saved: Micros) {
        let (Some(principal), Some(model), Some(deployment)) =
            (&self.principal, &self.model, &self.deployment)
        else {
            return;
        };
        if !std::mem::replace(&mut self.is_saved, true) {
            let saving = Saving { kind, outcome, saved };
            self.app.ledger.save(principal, &self.request_id, &model.name, deployment, saving);
        }
    }

    /// What all attempts at the answer cost, when the price and the usage of the last one are known.
    pub fn cost(&self) -> Option<Micros> {
        let last = self.deployment.as_ref()?.cost(self.usage.as_ref()?)?;
        let earlier = self.earlier.iter().filter_map(|(deployment, usage)| Some(deployment.cost(usage)?.0));
        Some(Micros(earlier.fold(last.0, u64::saturating_add)))
    }

    /// Tokens of all attempts at the answer.
    pub fn tokens(&self) -> Option<u64> {
        let earlier = self.earlier.iter().map(|(_, usage)| usage.total());
        Some(earlier.fold(self.usage?.total(), u64::saturating_add))
    }

    /// Our own time so far.
    pub fn overhead(&self) -> Duration {
        self.started.elapsed().saturating_sub(self.waited)
    }
}

fn key_limits(principal: &Option<Arc<Principal>>) -> Option<&Arc<KeyLimits>> {
    principal.as_ref()?.counters.limits.as_ref()
}

impl Drop for Record {
    fn drop(&mut self) {
        if !self.handed_over {
            phases::record::run(self);
        }
        self.app.metrics.in_flight.dec();
    }
}
