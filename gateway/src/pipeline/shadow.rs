//! An answer that was given is looked at again: the reference is asked the same, and a judge how well the answer did. Nobody
//! waits for either.

use std::sync::Arc;

use bytes::Bytes;
use domain::ModelName;
use providers::Operation;

use super::Asked;
use crate::answer_cache::{Controls, Keeper, Nobody, clock_ms};
use crate::client::Client;
use crate::error::GatewayError;
use crate::keys::Principal;
use crate::request::{Plan, Record, Request};
use crate::routing::{Shadow, ShadowOutcome, shadow};
use crate::snapshot::Model;

/// Where judges are asked.
const JUDGE: Operation = Operation::ChatCompletions;

/// One look at an answer.
pub(super) struct Look {
    asked: Asked,
    /// Whose route it was.
    route: Arc<Model>,
    principal: Arc<Principal>,
    /// The answer's id.
    request_id: String,
    answer: String,
}

impl Asked {
    /// Is the answer to be looked at again? Not of what calls tools or says several things.
    pub(super) fn is_shadowed(&self, record: &Record) -> bool {
        record.shadowed && self.request.wants_one_text()
    }

    /// Answers, with what is said kept until it is looked at again.
    pub(super) async fn fetch_shadowed(
        &self,
        client: &mut impl Client,
        record: &mut Record,
    ) -> Result<(), GatewayError> {
        let mut keeper = Keeper::new(client, shadow::LONGEST_ANSWER);
        self.fetch(&mut keeper, record).await?;
        if record.is_whole()
            && let Some(pieces) = keeper.into_pieces()
        {
            self.look_again(record, &pieces);
        }
        Ok(())
    }

    /// Looks at an answer that has come to its end, in a task of its own.
    pub(super) fn look_again(&self, record: &Record, pieces: &[Bytes]) {
        let (Some(principal), Some(route), false) = (&record.principal, &record.model, record.fallback)
        else {
            return;
        };
        let Some(answer) = self.request.text_of(pieces) else { return };
        let Some(place) = self.app.shadows.place() else {
            self.app.metrics.feedback.looked(route.name.as_str(), ShadowOutcome::Busy);
            return;
        };
        let look = Look {
            asked: self.aside(self.request.clone(), self.plan.models.clone()),
            route: route.clone(),
            principal: principal.clone(),
            request_id: record.request_id.clone(),
            answer,
        };
        tokio::spawn(async move {
            look.run().await;
            drop(place);
        });
    }

    /// For a request that no client waits for, past the cache.
    fn aside(&self, request: Arc<Request>, models: Vec<Arc<Model>>) -> Self {
        let plan = Plan { models, credentials: self.plan.credentials.clone() };
        let (app, snapshot) = (self.app.clone(), self.snapshot.clone());
        Self { app, snapshot, plan, request, fill: None, meaning: None }
    }
}

impl Look {
    async fn run(self) {
        let Some(shadow) = self.route.route.as_ref().and_then(|route| route.shadow.as_ref()) else { return };
        let (score, outcome) = self.judge(shadow).await;
        let app = &self.asked.app;
        app.metrics.feedback.looked(self.route.name.as_str(), outcome);
        let Some(score) = score else { return };
        if let Some(routed) = app.calibrations.infer(&self.principal, &self.request_id, score) {
            app.metrics.feedback.judged(&routed, score);
        }
    }

    async fn judge(&self, shadow: &Shadow) -> (Option<f64>, ShadowOutcome) {
        let Some(reference) = self.ask("shadow", &shadow.reference, self.same()).await else {
            return (None, ShadowOutcome::Failed);
        };
        if let Some((score, outcome)) = shadow::compared(&reference, &self.answer, shadow.judge.is_some()) {
            return (Some(score), outcome);
        }
        let question = shadow.judge.as_ref().and_then(|judge| {
            let body = shadow::question(judge, &self.asked.request.body, &reference, &self.answer)?;
            Some((judge, to_judge(body)?))
        });
        let Some((judge, request)) = question else { return (None, ShadowOutcome::Unclear) };
        match self.ask("judge", judge, request).await {
            None => (None, ShadowOutcome::Failed),
            Some(said) => match shadow::mark(&said) {
                Some(mark) => (Some(mark), ShadowOutcome::Judged),
                None => (None, ShadowOutcome::Unclear),
            },
        }
    }

    /// What a model says to a request; None when it does not answer with text.
    async fn ask(&self, why: &str, name: &ModelName, request: Request) -> Option<String> {
        let model = self.asked.snapshot.concrete(name)?.clone();
        // Made when it is needed: one that is dropped unused would be logged as a request that was given up.
        let mut record = Record::beside(self.asked.app.clone(), &self.request_id, why);
        record.client = request.operation.wire_format();
        record.operation = Some(request.operation);
        record.principal = Some(self.principal.clone());
        record.model = Some(model.clone());
        record.stream = request.head.stream;
        let aside = self.asked.aside(Arc::new(request), vec![model]);
        let mut nobody = Nobody::default();
        let mut keeper = Keeper::new(&mut nobody, shadow::LONGEST_ANSWER);
        let asked = Box::pin(aside.fetch(&mut keeper, &mut record)).await;
        if let Err(error) = asked {
            record.fail(&error);
        }
        aside.app.shadows.charge(&self.principal, record.cost().unwrap_or_default(), clock_ms());
        let pieces = keeper.into_pieces().filter(|_| record.is_whole())?;
        aside.request.text_of(&pieces)
    }

    /// The client's request once more. It is another one to the provider, so that its idempotency key stays behind.
    fn same(&self) -> Request {
        let Request { operation, head, body, query, headers, .. } = &*self.asked.request;
        let headers = headers.iter().filter(|(name, _)| name != "idempotency-key").cloned().collect();
        let (operation, head, body, query) = (*operation, head.clone(), body.clone(), query.clone());
        Request { operation, head, body, query, headers, controls: Controls::default(), session: None }
    }
}

fn to_judge(body: Vec<u8>) -> Option<Request> {
    let head = providers::read_request_head(JUDGE, "/v1/chat/completions", &body).ok()?;
    let (controls, headers) = (Controls::default(), Vec::new());
    Some(Request { operation: JUDGE, head, body: body.into(), query: None, headers, controls, session: None })
}
