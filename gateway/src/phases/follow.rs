//! The answer to an identical request, to a client that follows it.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use cache::exact::Entry;
use domain::Usage;
use store::Kind;

use super::respond;
use crate::client::Client;
use crate::coalesce::{News, Subscription};
use crate::error::GatewayError;
use crate::request::Record;

/// Sends on what the lead is answered, from its beginning.
///
/// # Errors
/// Why there is no answer, or no more of it; [`GatewayError::ClientGone`].
pub async fn run(
    mut subscription: Subscription,
    client: &mut impl Client,
    record: &mut Record,
) -> Result<(), GatewayError> {
    loop {
        let waiting = Instant::now();
        let news = tokio::select! {
            biased;
            news = subscription.next() => news,
            () = client.gone() => return Err(GatewayError::ClientGone),
        };
        record.waited += waiting.elapsed();
        match news? {
            News::Head(answer) => {
                record.deployment.clone_from(&answer.deployment);
                record.fallback = answer.fallback;
                record.ttft = Some(record.started.elapsed());
                record.status = 200;
                // The lead pays.
                record.usage = Some(Usage::default());
                let head = respond::followed(&answer.header, record)?;
                client.write_head(head, record).await?;
            }
            News::Piece(piece) => client.write(piece, false).await?,
            News::End(cost) => {
                if record.coalesced {
                    record.save(Kind::Coalesced, "ok", cost);
                }
                record.outcome = "ok";
                return client.write(Bytes::new(), true).await;
            }
        }
    }
}

/// Waits for the whole of what the lead is answered; None when there is none that could be given in another form.
///
/// # Errors
/// Why there is no answer; [`GatewayError::ClientGone`].
pub async fn whole(
    subscription: Subscription,
    client: &mut impl Client,
    record: &mut Record,
) -> Result<Option<Arc<Entry>>, GatewayError> {
    let waiting = Instant::now();
    let whole = tokio::select! {
        biased;
        whole = subscription.whole() => whole,
        () = client.gone() => Err(GatewayError::ClientGone),
    };
    record.waited += waiting.elapsed();
    whole
}
