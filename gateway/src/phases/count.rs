//! How many tokens does this prompt have? Asked of a provider that counts, else counted here.

use bytes::Bytes;
use providers::{Answer, Operation};

use crate::error::GatewayError;
use crate::request::{Plan, Request};
use crate::upstream::Opened;

/// True for a count when the model that was asked for has no deployment that counts by itself.
pub fn is_ours(plan: &Plan, request: &Request) -> bool {
    let deployments = plan.models.first().map(|model| model.deployments.as_slice()).unwrap_or_default();
    request.operation.is_count()
        && !deployments
            .iter()
            .any(|deployment| providers::supports(request.operation, &deployment.provider.spec))
}

/// True for a count that failed for want of a provider: an estimate serves the client better than nothing.
pub fn can_replace(request: &Request, error: &GatewayError) -> bool {
    request.operation.is_count() && error.is_upstreams()
}

/// Counts, on a thread where a long prompt delays nobody.
///
/// # Errors
/// [`GatewayError::Overloaded`] when the process is ending.
pub async fn run(plan: &Plan, request: &Request) -> Result<Opened, GatewayError> {
    let deployment = plan.models.first().and_then(|model| model.deployments.first());
    let model =
        deployment.map_or_else(|| request.head.model.clone(), |deployment| deployment.upstream_model.clone());
    let (operation, body) = (request.operation, request.body.clone());
    let counted = tokio::task::spawn_blocking(move || providers::count_tokens(operation, &model, &body));
    let tokens = counted.await.map_err(|_| GatewayError::Overloaded)?;
    let field = if operation == Operation::GeminiCountTokens { "totalTokens" } else { "input_tokens" };
    let body = Bytes::from(format!(r#"{{"{field}":{tokens}}}"#));
    Ok(Opened::Whole(Answer { body, usage: None }, None))
}
