//! The life of a request, top to bottom. A phase never calls another phase; the last one, `record`,
//! runs when the [`Record`] is dropped.

use crate::app::App;
use crate::delivery::Delivered;
use crate::edge::Downstream;
use crate::error::GatewayError;
use crate::phases::{admit, authenticate, count, dispatch, parse, reserve, respond, resume, route};
use crate::request::Record;

/// Serves one request for a model.
pub async fn run(app: &App, downstream: &mut Downstream<'_>, record: &mut Record) {
    if let Err(error) = answer(app, downstream, record).await {
        respond::error(downstream, record, &error).await;
    }
}

async fn answer(app: &App, downstream: &mut Downstream<'_>, record: &mut Record) -> Result<(), GatewayError> {
    // One snapshot from here to the end: a reload in between changes nothing for this request.
    let snapshot = app.snapshot.load_full();

    // Who asks? Before the body is read, so that a stranger costs us nothing.
    let principal = authenticate::run(app, &snapshot, downstream)?;
    record.principal = Some(principal.clone());

    // May this key ask now: requests per minute, requests at once?
    admit::run(app, &snapshot, &principal, record)?;

    // What is asked for? The body is read, bounded in size and time, and parsed once.
    let request = parse::run(&snapshot, downstream, record).await?;

    // Which models, in which order?
    let plan = route::run(&snapshot, &principal, &request, record)?;

    // Do the tokens fit into the key's minute?
    reserve::run(&principal, &request, record)?;

    // Attempts, retries, fallbacks, until an answer has begun. What no provider counts, we count.
    let answer = if count::is_ours(&plan, &request) {
        count::run(&plan, &request).await?
    } else {
        match dispatch::run(app, &snapshot, &plan, &request, downstream, record).await {
            Err(error) if count::can_replace(&request, &error) => count::run(&plan, &request).await?,
            dispatched => dispatched?,
        }
    };

    // Everything the provider says from here on goes to the client as it comes. A stream that breaks off
    // goes on with another attempt, or ends with an error in the stream.
    let mut delivered = respond::run(answer, &request, downstream, record).await?;
    while let Delivered::Broken(broken) = delivered {
        delivered = match resume::run(app, &snapshot, &plan, &request, &broken, downstream, record).await? {
            Some(answer) => respond::run(answer, &request, downstream, record).await?,
            None => respond::broken_off(*broken, downstream, record).await?,
        };
    }
    Ok(())
}
