//! The life of a request, top to bottom. A phase never calls another phase; the last one, `record`,
//! runs when the [`Record`] is dropped.

mod shadow;

use std::sync::Arc;

use cache::exact::{Entry, Lookup};

use crate::answer_cache::{self, Fresh, Keeper, Mark, Meaning, Nobody, clock_ms};
use crate::app::App;
use crate::client::Client;
use crate::coalesce::{self, Form, Joined, Keepable, Lead};
use crate::config::Coalesce;
use crate::delivery::{Broken, Delivered};
use crate::edge::Downstream;
use crate::error::GatewayError;
use crate::keys::Principal;
use crate::phases::{
    admit, authenticate, count, dispatch, follow, lookup, parse, reserve, respond, resume, route,
};
use crate::request::{Plan, Record, Request};
use crate::snapshot::Snapshot;

/// So many answers of others a request waits for, when each time nobody's answer can be its own.
const MOST_FLIGHTS: usize = 3;

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

    // Is what is said kept? For a key that wants it, from here on.
    downstream.listen(&principal, record);

    // What is asked for? The body is read, bounded in size and time, and parsed once.
    let request = parse::run(&snapshot, downstream, record).await?;

    // Which models, in which order?
    let plan = route::run(app, &snapshot, &principal, &request, record).await?;

    // Was this answered before? Then that is the answer, and costs no tokens.
    let lookup::Found { fresh, revalidates, stale, fill, meaning } =
        lookup::run(app, &principal, &request, record).await?;
    if let Some(entry) = fresh {
        if Box::pin(respond::kept::run(&entry, &plan, &request, downstream, record)).await? {
            if revalidates || meaning.is_some() {
                let (app, request) = (record.app.clone(), Arc::new(request));
                let asked = Arc::new(Asked { app, snapshot, plan, request, fill, meaning });
                if revalidates {
                    asked.refresh(record);
                } else {
                    asked.served_alike(&principal, record);
                }
            }
            return Ok(());
        }
        record.cache = Some(Mark::Bypass);
    }

    // Do the tokens fit into the key's minute?
    reserve::run(&request, record).await?;

    // Asks the same request upstream already? Then one call is enough for both.
    let request = Arc::new(request);
    let asked = Arc::new(Asked { app: record.app.clone(), snapshot, plan, request, fill, meaning });
    let answered = match asked.join(&principal, false) {
        None => asked.serve(downstream, record).await.map(drop),
        Some(joined) => Box::pin(asked.share(joined, &principal, downstream, record)).await,
    };

    // Nobody answers? Then an old answer is better than none.
    match (answered, stale) {
        (Err(error), Some(entry)) if error.is_upstreams() && !downstream.has_answered() => {
            let status = error.face().status;
            record.cache =
                asked.fill.map(|fill| lookup::stale(fill.key().hash, &entry, clock_ms(), Some(status)));
            record.coalesced = false;
            let kept = respond::kept::run(&entry, &asked.plan, &asked.request, downstream, record);
            let served = Box::pin(kept).await?;
            if served { Ok(()) } else { Err(error) }
        }
        (answered, _) => answered,
    }
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
    /// Who else asks this now, or has just asked it; None when it is asked alone.
    fn join(&self, principal: &Principal, own_form: bool) -> Option<Joined> {
        let mode = self.plan.models.first()?.coalesce;
        let (app, request) = (&self.app, &self.request);
        match (&app.answers, &self.fill) {
            (Some(_), Some(_)) if mode != Coalesce::Off && !request.controls.no_cache => {
                self.join_kept(own_form)
            }
            _ => coalesce::is_shared(mode, request).then(|| app.coalescer.join(&principal.name, request))?,
        }
    }

    fn join_kept(&self, own_form: bool) -> Option<Joined> {
        let (answers, fill) = (self.app.answers.as_ref()?, self.fill.as_ref()?);
        let (credentials, form) = (self.plan.credentials.clone(), Form::of(&self.request));
        let asked = Keepable { key: *fill.key(), credentials, form, own_form };
        let look = || answers.just_kept(fill, &self.request.controls);
        self.app.coalescer.join_kept(asked, answers.outlives(), look)
    }

    /// An answer past its time was served: a new one is fetched, once for all who get the old one meanwhile.
    fn refresh(self: Arc<Self>, record: &Record) {
        if let Some(Joined::Leads(lead, subscription)) = self.join_kept(false) {
            let record = record.for_background("refresh");
            tokio::spawn(async move {
                // Somebody has to want it.
                let whole = subscription.whole();
                let _ = tokio::join!(self.lead(lead, record), whole);
            });
        }
    }

    /// Answers together with those who ask the same.
    async fn share(
        self: &Arc<Self>,
        mut joined: Joined,
        principal: &Principal,
        client: &mut impl Client,
        record: &mut Record,
    ) -> Result<(), GatewayError> {
        for _ in 0..MOST_FLIGHTS {
            record.coalesced = matches!(joined, Joined::Follows(_) | Joined::Awaits(_));
            let (served, own_form) = match joined {
                Joined::Leads(lead, subscription) => {
                    // In a task of its own: when this client leaves, the others still get their answer.
                    tokio::spawn(self.clone().lead(lead, record.hand_over()));
                    return follow::run(subscription, client, record).await;
                }
                Joined::Follows(subscription) => {
                    (follow::run(subscription, client, record).await.map(|()| true), false)
                }
                Joined::Awaits(subscription) => match follow::whole(subscription, client, record).await {
                    Ok(Some(entry)) => (self.give(&entry, client, record).await, true),
                    Ok(None) => (Ok(false), true),
                    Err(error) => (Err(error), false),
                },
                Joined::Settles(subscription) => match follow::whole(subscription, client, record).await {
                    Ok(Some(entry)) => (self.give_kept(&entry, client, record).await, true),
                    other => (other.map(|_| false), false),
                },
                Joined::Kept(entry) => (self.give_kept(&entry, client, record).await, true),
            };
            match served {
                Ok(true) => return Ok(()),
                Err(error) if client.has_answered() || !error.is_askers() => return Err(error),
                _ => {}
            }
            let Some(next) = self.join(principal, own_form) else { break };
            joined = next;
        }
        record.coalesced = false;
        self.serve(client, record).await.map(drop)
    }

    async fn give_kept(
        &self,
        entry: &Arc<Entry>,
        client: &mut impl Client,
        record: &mut Record,
    ) -> Result<bool, GatewayError> {
        record.cache = self.fill.map(|fill| lookup::hit(fill.key().hash, entry, clock_ms()));
        self.give(entry, client, record).await
    }

    async fn give(
        &self,
        entry: &Arc<Entry>,
        client: &mut impl Client,
        record: &mut Record,
    ) -> Result<bool, GatewayError> {
        match answer_cache::refusal(entry) {
            Some(refusal) => Err(refusal),
            None => respond::kept::run(entry, &self.plan, &self.request, client, record).await,
        }
    }

    /// Answers, and keeps the answer where that is wanted. The answer, when it is whole and not too large.
    async fn serve(
        &self,
        client: &mut impl Client,
        record: &mut Record,
    ) -> Result<Option<Arc<Entry>>, GatewayError> {
        let (Some(answers), Some(lookup)) = (&self.app.answers, &self.fill) else {
            if self.is_shadowed(record) {
                return Box::pin(self.fetch_shadowed(client, record)).await.map(|()| None);
            }
            return self.fetch(client, record).await.map(|()| None);
        };
        let mut keeper = Keeper::new(client, answers.exact.largest_entry_bytes());
        let fetched = Box::pin(self.fetch(&mut keeper, record)).await;
        fetched.inspect_err(|error| answers.refused(lookup, error))?;
        let whole = record.is_whole().then(|| keeper.into_pieces());
        let Some(pieces) = whole.flatten() else { return Ok(None) };
        if self.is_shadowed(record) {
            self.look_again(record, &pieces);
        }
        let entry = Arc::new(answers.entry(&self.request, record, &pieces));
        if self.is_worth_keeping(record)
            && answers.keep(lookup, &entry)
            && let Some(meaning) = self.meaning.as_deref()
        {
            let fresh = Fresh { hash: lookup.key().hash, request: &self.request, pieces: &pieces };
            answer_cache::learn(&self.app, meaning.clone(), &fresh);
        }
        Ok(Some(entry))
    }

    /// The answer to another wording was served: its client may object, and of some the provider is asked as well.
    fn served_alike(self: Arc<Self>, principal: &Arc<Principal>, record: &Record) {
        let semantic = self.app.answers.as_ref().and_then(|answers| answers.semantic.as_ref());
        let (Some(semantic), Some(meaning)) = (semantic, &self.meaning) else { return };
        let permit = semantic.served(meaning, principal, &record.request_id);
        let Some(permit) = permit.filter(|_| self.fill.is_some()) else { return };
        let (mut record, principal) = (record.for_background("audit"), principal.clone());
        tokio::spawn(async move {
            if let Err(error) = self.serve(&mut Nobody::default(), &mut record).await {
                record.fail(&error);
            }
            let answers = self.app.answers.as_ref();
            if let Some(semantic) = answers.and_then(|answers| answers.semantic.as_ref()) {
                semantic.charge(&principal, record.cost().unwrap_or_default());
            }
            // It is in the log when another one may begin.
            drop(record);
            drop(permit);
        });
    }

    /// Of one piece, and of the model that was asked for: what a fallback says must not outlive the outage.
    fn is_worth_keeping(&self, record: &Record) -> bool {
        let own = self.plan.models.first().map(|model| model.deployments.as_slice()).unwrap_or_default();
        let is_own = record.deployment.as_ref().is_some_and(|by| own.iter().any(|own| own.id == by.id));
        record.resumptions == 0 && is_own
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
            record.fail(error);
        }
        lead.finish(served);
    }
}
