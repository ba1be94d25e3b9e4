//! Where a secret comes from: `env:NAME`, `file:PATH`, or the text itself. The only place that reads
//! the environment.

use std::fmt;

use domain::Secret;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};

/// `env:NAME` reads an environment variable, `file:PATH` the first line of a file; anything else is
/// the secret itself, which works but is warned about.
#[derive(Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(from = "String")]
#[schemars(with = "String")]
pub enum SecretSource {
    /// An environment variable.
    Env(String),
    /// A file.
    File(String),
    /// Written into the configuration.
    Inline(Secret),
}

/// Where the environment says that the library of ONNX Runtime is: `ORT_DYLIB_PATH`, as everywhere.
pub fn onnxruntime_path() -> Option<std::path::PathBuf> {
    std::env::var_os("ORT_DYLIB_PATH").filter(|path| !path.is_empty()).map(Into::into)
}

impl SecretSource {
    /// Reads the secret.
    ///
    /// # Errors
    /// A sentence that says what is missing and what to do; it never contains the secret.
    pub fn resolve(&self) -> Result<Secret, String> {
        let text = match self {
            Self::Inline(secret) => return Ok(secret.clone()),
            Self::Env(name) => {
                #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
                let value = std::env::var(name);
                value.map_err(|_| {
                    format!("the environment variable {name} is not set: export it or use file:PATH")
                })?
            }
            Self::File(path) => std::fs::read_to_string(path).map_err(|error| {
                format!("the file {path} cannot be read ({error}): create it or mend the path")
            })?,
        };
        match text.lines().next().map(str::trim) {
            Some(line) if !line.is_empty() => Ok(Secret::new(line)),
            _ => Err(format!("{self} is empty: put the secret there")),
        }
    }

    /// True when the secret stands in the configuration itself.
    pub fn is_inline(&self) -> bool {
        matches!(self, Self::Inline(_))
    }
}

impl From<String> for SecretSource {
    fn from(text: String) -> Self {
        match (text.strip_prefix("env:"), text.strip_prefix("file:")) {
            (Some(name), _) => Self::Env(name.to_owned()),
            (_, Some(path)) => Self::File(path.to_owned()),
            _ => Self::Inline(Secret::new(text)),
        }
    }
}

impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "env:{name}"),
            Self::File(path) => write!(f, "file:{path}"),
            Self::Inline(_) => f.write_str("(a secret written out)"),
        }
    }
}

impl fmt::Debug for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for SecretSource {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_variable_is_named_in_the_problem() {
        let problem = SecretSource::from("env:SIGNALBOX_NO_SUCH".to_owned()).resolve().unwrap_err();
        assert!(problem.contains("SIGNALBOX_NO_SUCH"), "{problem}");
    }

    #[test]
    fn an_inline_secret_is_never_printed() {
        let source = SecretSource::from("sk-live-123".to_owned());
        assert!(!format!("{source} {source:?}").contains("sk-live"));
        assert_eq!(source.resolve().unwrap().expose(), "sk-live-123");
    }
}
