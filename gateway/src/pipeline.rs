//! The life of a request, top to bottom. A phase never calls another phase; the last one, `record`,
//! runs when the [`Record`] is dropped.

use std::sync::Arc;

use cache::exact::Lookup;

use crate::answer_cache::{self, Fresh, Keeper, Mark, Meaning, Nobody, clock_ms};
use crate::app::App;
use crate::client::Client;
use crate::coalesce::{self, Joined, Lead};
use crate::delivery::{Broken, Delivered};
use crate::edge::Downstream;
use crate::error::GatewayError;
use crate::keys::Principal;
use crate::phases::{
    admit, authenticate, count, dispatch, follow, lookup, parse, reserve, respond, resume, route,
};
use crate::request::{Plan, Record, Request};
use crate::snapshot::Snapshot;

/// Serves one request for a model.
pub async fn run(app: &App, downstream: &mut Downstream<'_>, record: &mut Record) {
    if let Err(error) = answer(app, downstream, record).await {
        Box::pin(respond::error(downstream, record, &error)).await;
    }
}

/// What is boxed here and below is rare: unboxed it would be part of every request's future, which is copied from each
/// `.await` to the one around it.
async fn answer(app: &App, downstream: &mut Downstream<'_>, record: &mut Record) -> Result<(), GatewayError> {
    // One snapshot from here to the end: a reload in between changes nothing for this request.
    let snapshot = app.snapshot.load_full();

    // Who asks? Before the body is read, so that a stranger costs us nothing.
    let principal = authenticate::run(app, &snapshot, downstream)?;
    record.principal = Some(principal.clone());

    // May this key ask now: requests per minute, requests at once?
    admit::run(app, &snapshot, &principal, record).await?;

    // What is asked for? The body is read, bounded in size and time, and parsed once.
    let request = parse::run(&snapshot, downstream, record).await?;

    // Which models, in which order?
    let plan = route::run(app, &snapshot, &principal, &request, record).await?;

    // Was this answered before? Then that is the answer, and costs no tokens.
    let lookup::Found { fresh, stale, fill, meaning } =
        lookup::run(app, &principal, &request, record).await?;
    if let Some(entry) = fresh {
        if Box::pin(respond::kept::run(&entry, &plan, &request, downstream, record)).await? {
            if let Some(meaning) = meaning {
                let request = Arc::new(request);
                let asked =
                    Asked { app: record.app.clone(), snapshot, plan, request, fill, meaning: Some(meaning) };
                asked.served_alike(&principal, record);
            }
            return Ok(());
        }
        record.cache = Some(Mark::Bypass);
    }

    // Do the tokens fit into the key's minute?
    reserve::run(&principal, &request, record).await?;

    // Asks the same request upstream already? Then one call is enough for both.
    let request = Arc::new(request);
    let asked = Arc::new(Asked { app: record.app.clone(), snapshot, plan, request, fill, meaning });
    let answered = match join(app, &asked, &principal) {
        None => asked.serve(downstream, record).await,
        Some(Joined::Follows(subscription)) => {
            record.coalesced = true;
            Box::pin(follow::run(subscription, downstream, record)).await
        }
        Some(Joined::Leads(lead, subscription)) => {
            // In a task of its own: when this client leaves, the others still get their answer.
            tokio::spawn(asked.clone().lead(lead, record.hand_over()));
            Box::pin(follow::run(subscription, downstream, record)).await
        }
    };

    // Nobody answers? Then an old answer is better than none.
    match (answered, stale) {
        (Err(error), Some(entry)) if error.is_upstreams() && !downstream.has_answered() => {
            record.cache = fill.map(|fill| lookup::hit(fill.key().hash, &entry, clock_ms()));
            let kept = respond::kept::run(&entry, &asked.plan, &asked.request, downstream, record);
            let served = Box::pin(kept).await?;
            if served { Ok(()) } else { Err(error) }
        }
        (answered, _) => answered,
    }
}

fn join(app: &App, asked: &Asked, principal: &Principal) -> Option<Joined> {
    let mode = asked.plan.models.first()?.coalesce;
    let is_shared = coalesce::is_shared(mode, &asked.request);
    is_shared.then(|| app.coalescer.join(&principal.name, &asked.request))?
}

/// A request on its way to a provider, for one client or for several.
struct Asked {
    app: Arc<App>,
    snapshot: Arc<Snapshot>,
    plan: Plan,
    request: Arc<Request>,
    /// Where its answer is kept.
    fill: Option<Lookup>,
    /// What it means, if other wordings of it are to be answered.
    meaning: Option<Box<Meaning>>,
}

impl Asked {
    /// Answers, and keeps the answer where that is wanted.
    async fn serve(&self, client: &mut impl Client, record: &mut Record) -> Result<(), GatewayError> {
        let (Some(answers), Some(lookup)) = (&self.app.answers, &self.fill) else {
            return self.fetch(client, record).await;
        };
        let mut keeper = Keeper::new(client, answers.exact.largest_entry_bytes());
        let fetched = Box::pin(self.fetch(&mut keeper, record)).await;
        if fetched.is_ok()
            && self.is_worth_keeping(record)
            && let Some(pieces) = keeper.into_pieces()
        {
            let is_kept = answers.keep(lookup, &self.request, record, &pieces);
            if let Some(meaning) = self.meaning.as_deref().filter(|_| is_kept) {
                let fresh = Fresh { hash: lookup.key().hash, request: &self.request, pieces: &pieces };
                answer_cache::learn(&self.app, meaning.clone(), &fresh);
            }
        }
        fetched
    }

    /// The answer to another wording was served: its client may object, and of some the provider is asked as well.
    fn served_alike(self, principal: &Arc<Principal>, record: &Record) {
        let semantic = self.app.answers.as_ref().and_then(|answers| answers.semantic.as_ref());
        let (Some(semantic), Some(meaning)) = (semantic, &self.meaning) else { return };
        let permit = semantic.served(meaning, principal, &record.request_id);
        let Some(permit) = permit.filter(|_| self.fill.is_some()) else { return };
        let mut record = record.for_audit();
        tokio::spawn(async move {
            if let Err(error) = self.serve(&mut Nobody::default(), &mut record).await {
                let face = error.face();
                record.outcome = face.label;
                record.status = face.status;
            }
            // It is in the log when another one may begin.
            drop(record);
            drop(permit);
        });
    }

    /// Complete, of one piece, and of the model that was asked for: what a fallback says must not outlive the outage.
    fn is_worth_keeping(&self, record: &Record) -> bool {
        let own = self.plan.models.first().map(|model| model.deployments.as_slice()).unwrap_or_default();
        let is_own = record.deployment.as_ref().is_some_and(|by| own.iter().any(|own| own.id == by.id));
        record.outcome == "ok" && record.status == 200 && record.resumptions == 0 && is_own
    }

    async fn fetch(&self, client: &mut impl Client, record: &mut Record) -> Result<(), GatewayError> {
        let Self { app, snapshot, plan, request, .. } = self;

        // Attempts, retries, fallbacks, until an answer has begun. What no provider counts, we count.
        let answer = if count::is_ours(plan, request) {
            Box::pin(count::run(plan, request)).await?
        } else {
            match dispatch::run(app, snapshot, plan, request, client, record).await {
                Err(error) if count::can_replace(request, &error) => {
                    Box::pin(count::run(plan, request)).await?
                }
                dispatched => dispatched?,
            }
        };

        // Everything the provider says from here on goes to the client as it comes. A stream that breaks off
        // goes on with another attempt, or ends with an error in the stream.
        let mut delivered = respond::run(answer, request, client, record).await?;
        while let Delivered::Broken(broken) = delivered {
            delivered = Box::pin(self.go_on(broken, client, record)).await?;
        }
        Ok(())
    }

    /// A stream has broken off.
    async fn go_on(
        &self,
        broken: Box<Broken>,
        client: &mut impl Client,
        record: &mut Record,
    ) -> Result<Delivered, GatewayError> {
        let Self { app, snapshot, plan, request, .. } = self;
        match resume::run(app, snapshot, plan, request, &broken, client, record).await? {
            Some(answer) => respond::run(answer, request, client, record).await,
            None => respond::broken_off(*broken, client, record).await,
        }
    }

    /// For everyone who asks the same.
    async fn lead(self: Arc<Self>, mut lead: Lead, mut record: Record) {
        let served = self.serve(&mut lead, &mut record).await;
        if let Err(error) = &served {
            let face = error.face();
            record.outcome = face.label;
            record.status = face.status;
        }
        lead.finish(served);
    }
}
