//! Names the operator chose. Cheap to clone: every request carries several of them.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize, Serializer};

macro_rules! name {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
        #[serde(from = "String")]
        pub struct $type(Arc<str>);

        impl $type {
            /// The name as it stands in the configuration.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        // By hand: serde's `into` would copy the name first.
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, writer: S) -> Result<S::Ok, S::Error> {
                writer.serialize_str(&self.0)
            }
        }

        impl From<&str> for $type {
            fn from(name: &str) -> Self {
                Self(Arc::from(name))
            }
        }

        impl From<String> for $type {
            fn from(name: String) -> Self {
                Self(Arc::from(name))
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> Self {
                name.0.to_string()
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::borrow::Borrow<str> for $type {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

name! {
    /// A key of the `providers` section.
    ProviderName
}
name! {
    /// The public name a client sends as `model`; a key of the `models` section.
    ModelName
}
name! {
    /// One callable target, written `provider/upstream-model`; a second target with the same pair
    /// carries `#2`, `#3`, … in the order of the configuration.
    DeploymentId
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_displayed_as_it_was_configured() {
        assert_eq!(DeploymentId::from("local/llama3.2").to_string(), "local/llama3.2");
    }
}
