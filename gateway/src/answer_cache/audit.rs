//! The client of an audit: nobody waits for the answer, which is asked for to compare it with the one that was served.

use std::future::pending;

use bytes::Bytes;
use pingora::http::ResponseHeader;

use crate::client::Client;
use crate::error::GatewayError;
use crate::request::Record;

/// Takes everything and keeps nothing.
#[derive(Debug, Default)]
pub struct Nobody {
    has_answered: bool,
}

impl Client for Nobody {
    async fn gone(&mut self) {
        pending::<()>().await;
    }

    fn has_answered(&self) -> bool {
        self.has_answered
    }

    async fn write_head(&mut self, _: Box<ResponseHeader>, _: &Record) -> Result<(), GatewayError> {
        self.has_answered = true;
        Ok(())
    }

    async fn write(&mut self, _: Bytes, _: bool) -> Result<(), GatewayError> {
        Ok(())
    }
}
