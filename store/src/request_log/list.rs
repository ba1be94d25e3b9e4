//! Finds requests in blocks, newest first, and in each call a bounded number of them.

use super::block::{SPAN_MS, decode, order};
use super::sieve::{Token, may_hold};
use super::{LoggedRequest, RequestLog};
use crate::database::{Row, Transaction, Value};
use crate::error::Result;

/// Which requests to list. What is None does not matter.
#[derive(Clone, Debug, Default)]
pub struct RequestFilter {
    /// From this time on.
    pub from_ms: Option<i64>,
    /// Before this time.
    pub to_ms: Option<i64>,
    /// The one with this id.
    pub request_id: Option<String>,
    /// Of this key.
    pub key_id: Option<String>,
    /// Of this team.
    pub team_id: Option<String>,
    /// Of this user.
    pub user_id: Option<String>,
    /// For this model.
    pub model: Option<String>,
    /// With this status.
    pub status: Option<u16>,
    /// Older than the request with this time and id: `next` of the page before.
    pub before: Option<(i64, String)>,
}

/// A page, and where the next one begins.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RequestPage {
    /// Newest first.
    pub requests: Vec<LoggedRequest>,
    /// The next page's `before`; None when there is nothing more. A page that is not full may have one, when a filter has
    /// let little through and enough was read for one call.
    pub next: Option<(i64, String)>,
}

/// The longest page.
const PAGE: u32 = 1_000;
/// Blocks whose filters are read at once, and which are small when it is not for a request id.
const HEADS: usize = 256;
const HEADS_WITH_IDS: usize = 64;
/// How much one call reads: filters of blocks, and blocks. It reads on only to make any progress.
const MOST_HEADS: usize = 20_000;
const MOST_BLOCKS: usize = 64;

impl RequestLog<'_> {
    /// The requests that match, newest first, at most `limit` and 1,000.
    ///
    /// # Errors
    /// Those of any read.
    pub async fn list(self, filter: &RequestFilter, limit: u32) -> Result<RequestPage> {
        // One state: a block that is joined with others meanwhile would be read twice or not at all.
        let mut transaction = self.0.database.snapshot().await?;
        let page = Search::new(filter, limit).run(&mut transaction).await?;
        transaction.commit().await?;
        Ok(page)
    }
}

/// A search in progress.
struct Search<'a> {
    filter: &'a RequestFilter,
    /// Everything that is listed is older than this.
    end: (i64, String),
    limit: usize,
    /// The newest that match in the blocks so far, newest first, at most `limit`.
    found: Vec<LoggedRequest>,
    heads: usize,
    blocks: usize,
}

impl<'a> Search<'a> {
    fn new(filter: &'a RequestFilter, limit: u32) -> Self {
        let end = (filter.to_ms.unwrap_or(i64::MAX), String::new());
        let end = filter.before.clone().map_or(end.clone(), |before| before.min(end));
        let limit = usize::try_from(limit.min(PAGE)).unwrap_or_default();
        Self { filter, end, limit, found: Vec::new(), heads: 0, blocks: 0 }
    }

    /// Goes from the block with the newest last request to that with the oldest.
    async fn run(mut self, transaction: &mut Transaction) -> Result<RequestPage> {
        let mut position = (i64::MAX, String::new());
        let most = if self.filter.request_id.is_some() { HEADS_WITH_IDS } else { HEADS };
        while self.limit > 0 {
            let heads = self.heads_behind(transaction, &position, most).await?;
            let is_last = heads.len() < most;
            for head in &heads {
                position = (head.int("last_at")?, head.text("id")?);
                let last_at = position.0;
                if self.found.len() == self.limit && self.found.last().is_some_and(|it| it.at_ms > last_at) {
                    return Ok(self.page());
                }
                let reached = (last_at.saturating_add(1), String::new());
                if (self.heads >= MOST_HEADS || self.blocks >= MOST_BLOCKS) && reached < self.end {
                    return Ok(self.part(reached));
                }
                self.heads += 1;
                if self.may_hold(head)? {
                    self.read(transaction, &position.1).await?;
                }
            }
            if is_last {
                break;
            }
        }
        Ok(self.page())
    }

    async fn heads_behind(
        &self,
        transaction: &mut Transaction,
        position: &(i64, String),
        most: usize,
    ) -> Result<Vec<Row>> {
        let ids = if self.filter.request_id.is_some() { ", ids" } else { "" };
        let sql = format!(
            "SELECT id, last_at, names{ids} FROM request_blocks
             WHERE (last_at, id) < ($1, $2) AND last_at >= $3 AND last_at < $4 AND first_at <= $5
             ORDER BY last_at DESC, id DESC LIMIT $6"
        );
        let values: Vec<Value> = vec![
            position.0.into(),
            position.1.as_str().into(),
            self.filter.from_ms.unwrap_or(i64::MIN).into(),
            // Those that begin before the end do not last longer.
            self.end.0.saturating_add(SPAN_MS).into(),
            self.end.0.into(),
            (most as u64).into(),
        ];
        transaction.rows(&sql, values).await
    }

    fn may_hold(&self, head: &Row) -> Result<bool> {
        let filter = self.filter;
        let names = head.bytes("names")?;
        let wanted = [
            filter.key_id.as_deref().map(Token::Key),
            filter.team_id.as_deref().map(Token::Team),
            filter.user_id.as_deref().map(Token::User),
            filter.model.as_deref().map(Token::Model),
            filter.status.map(Token::Status),
        ];
        if !wanted.into_iter().flatten().all(|token| may_hold(&names, token)) {
            return Ok(false);
        }
        let id = filter.request_id.as_deref();
        id.map_or(Ok(true), |id| Ok(may_hold(&head.bytes("ids")?, Token::Request(id))))
    }

    async fn read(&mut self, transaction: &mut Transaction, id: &str) -> Result<()> {
        let sql = "SELECT data FROM request_blocks WHERE id = $1";
        let Some(row) = transaction.row(sql, vec![id.into()]).await? else { return Ok(()) };
        self.blocks += 1;
        let requests = decode(&row)?;
        self.found.extend(requests.into_iter().filter(|request| self.filter.matches(request, &self.end)));
        self.found.sort_unstable_by(|one, other| order(other, one));
        self.found.truncate(self.limit);
        // Others use this thread too.
        tokio::task::yield_now().await;
        Ok(())
    }

    /// What was found, when nothing newer can come.
    fn page(self) -> RequestPage {
        let last = self.found.last().filter(|_| self.found.len() == self.limit);
        let next = last.map(|last| (last.at_ms, last.request_id.clone()));
        RequestPage { requests: self.found, next }
    }

    /// What was found down to this time; what is older may yet have others in between.
    fn part(mut self, reached: (i64, String)) -> RequestPage {
        self.found.retain(|request| request.at_ms >= reached.0);
        RequestPage { requests: self.found, next: Some(reached) }
    }
}

impl RequestFilter {
    fn matches(&self, request: &LoggedRequest, end: &(i64, String)) -> bool {
        let texts = [
            (&self.key_id, &request.subject.key_id),
            (&self.team_id, &request.subject.team_id),
            (&self.user_id, &request.subject.user_id),
            (&self.model, &request.subject.model),
            (&self.request_id, &request.request_id),
        ];
        self.from_ms.is_none_or(|from| from <= request.at_ms)
            && (request.at_ms, request.request_id.as_str()) < (end.0, end.1.as_str())
            && self.status.is_none_or(|status| status == request.status)
            && texts.iter().all(|(wanted, is)| wanted.as_ref().is_none_or(|wanted| wanted == *is))
    }
}
