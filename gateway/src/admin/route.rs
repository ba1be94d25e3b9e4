//! What is known of one path of the admin listener: what it takes, who may call it, what it answers. The OpenAPI document
//! and the tests that call every path are made from this.

use std::future::Future;
use std::pin::Pin;

use http::{Method, StatusCode};
use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::call::Call;
use super::fault::Fault;
use super::reply::Reply;

/// Who may call a path. `admin.token` and accounts with the role `admin` may call all of them, and a `viewer` those that
/// change nothing and show nothing of what was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Everybody who reaches the listener.
    Anyone,
    /// Everybody while nobody can sign in, for there is neither `admin.token` nor an account; from then on as
    /// `Installation`. It shows names and figures.
    Open,
    /// The same, and from then on as `Owner`.
    OpenOwner,
    /// Whoever is not confined to a team.
    Installation,
    /// Accounts of one team too. What answers must keep to [`Call::scope`].
    Team,
    /// Virtual keys too. What answers must keep to [`Call::scope`].
    Owner,
    /// As `Owner`, but for viewers: what was said in requests.
    Contents,
    /// Accounts of every role, for it concerns themselves.
    Account,
}

impl Access {
    /// In the document, as `x-access`.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Anyone => "anyone",
            Self::Open => "open",
            Self::OpenOwner => "open_owner",
            Self::Installation => "installation",
            Self::Team => "team",
            Self::Owner => "owner",
            Self::Contents => "contents",
            Self::Account => "account",
        }
    }
}

/// What answers a call.
pub(super) type Answering = Pin<Box<dyn Future<Output = Result<Reply, Fault>> + Send>>;

/// Makes the JSON Schema of a type.
pub(super) type Shape = fn(&mut SchemaGenerator) -> Schema;

/// A parameter of the query.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parameter {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) about: &'static str,
}

/// What a parameter is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    /// From 1 on, and at most this.
    Number(u32),
    /// A day or an RFC 3339 time.
    Time,
}

/// What an answer is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Content {
    Json(Shape),
    Text,
    /// JSON, or with `format` one of these media types.
    JsonOr(Shape, &'static [&'static str]),
}

/// One path and method.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) method: Method,
    /// Segments, of which one may be `{id}`.
    pub(super) path: &'static str,
    pub(super) access: Access,
    /// One sentence.
    pub(super) about: &'static str,
    pub(super) query: &'static [Parameter],
    /// The body; None when there is none.
    pub(super) takes: Option<Shape>,
    pub(super) answers: Content,
    /// Of success.
    pub(super) status: StatusCode,
    pub(super) answer: fn(Call) -> Answering,
}

impl Route {
    /// A path that takes nothing and answers text.
    pub(super) const fn new(
        method: Method,
        path: &'static str,
        access: Access,
        about: &'static str,
        answer: fn(Call) -> Answering,
    ) -> Self {
        let (takes, answers, status) = (None, Content::Text, StatusCode::OK);
        Self { method, path, access, about, query: &[], takes, answers, status, answer }
    }

    /// The parameters of its query.
    pub(super) const fn query(mut self, query: &'static [Parameter]) -> Self {
        self.query = query;
        self
    }

    /// Its body is a `T`.
    pub(super) const fn takes<T: JsonSchema>(mut self) -> Self {
        self.takes = Some(SchemaGenerator::subschema_for::<T>);
        self
    }

    /// It answers a `T`.
    pub(super) const fn gives<T: JsonSchema>(mut self) -> Self {
        self.answers = Content::Json(SchemaGenerator::subschema_for::<T>);
        self
    }

    /// It answers a `T`, or its rows as one of these media types.
    pub(super) const fn gives_rows<T: JsonSchema>(mut self, others: &'static [&'static str]) -> Self {
        self.answers = Content::JsonOr(SchemaGenerator::subschema_for::<T>, others);
        self
    }

    /// It makes what it answers.
    pub(super) const fn makes<T: JsonSchema>(self) -> Self {
        let mut made = self.gives::<T>();
        made.status = StatusCode::CREATED;
        made
    }
}
