//! What both connections to Redis have in common: how they begin, and how what waits is put together to one write.

use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, RedisResult};
use tokio::sync::mpsc::Receiver;
use tokio::time::error::Elapsed;
use tokio::time::timeout;

/// Connects within `time`; no answer may take longer than `answer_time`.
///
/// # Errors
/// `Elapsed` when that takes too long.
pub(crate) async fn connect(
    client: &redis::Client,
    time: Duration,
    answer_time: Duration,
) -> Result<RedisResult<MultiplexedConnection>, Elapsed> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(time))
        .set_response_timeout(Some(answer_time));
    timeout(time, client.get_multiplexed_async_connection_with_config(&config)).await
}

/// The first that waited and what waits behind it, `most` in all.
pub(crate) fn batch<T>(first: T, waiting: &mut Receiver<T>, most: usize) -> Vec<T> {
    let mut batch = vec![first];
    while batch.len() < most
        && let Ok(next) = waiting.try_recv()
    {
        batch.push(next);
    }
    batch
}
