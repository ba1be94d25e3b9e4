//! Who calls the admin API, and how much of it is theirs.

/// Who calls.
#[derive(Clone, Debug)]
pub(super) enum Caller {
    /// Somebody who need not say who they are.
    Anyone,
    /// Whoever has `admin.token` of the configuration.
    Root,
}

/// What of the store a caller sees and changes. The rest answers as if it were not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(dead_code, reason = "no caller is confined yet")]
pub(super) enum Scope<'a> {
    /// Everything.
    Everything,
    /// What belongs to this team.
    Team(&'a str),
    /// This key.
    Key(&'a str),
}

impl Caller {
    /// For the audit log.
    pub(super) fn actor(&self) -> &str {
        match self {
            Self::Anyone => "",
            Self::Root => "admin.token",
        }
    }

    /// What is theirs.
    pub(super) fn scope(&self) -> Scope<'_> {
        Scope::Everything
    }
}
