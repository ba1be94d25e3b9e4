//! Tools that other formats only know as plain functions: custom tools, which take text instead of
//! JSON, and tools within a namespace. Owns the way there and back.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// The one argument of a function that stands for a custom tool.
pub(super) const INPUT: &str = "input";

/// What a function's name stands for, when it is more than a function of that name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Origin {
    /// Its name within its namespace.
    pub(super) name: String,
    pub(super) namespace: Option<String>,
    /// It takes text.
    pub(super) custom: bool,
}

/// The tools of one request, by the name their function has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ToolNames(BTreeMap<String, Origin>);

impl ToolNames {
    /// Remembers a tool and gives the name of its function.
    pub(super) fn add(&mut self, name: String, namespace: Option<&str>, custom: bool) -> String {
        let function = function_name(&name, namespace);
        if custom || namespace.is_some() {
            let namespace = namespace.map(str::to_owned);
            self.0.insert(function.clone(), Origin { name, namespace, custom });
        }
        function
    }

    /// The tool that a function stands for.
    pub(super) fn origin(&self, function: &str) -> Origin {
        let plain = || Origin { name: function.to_owned(), ..Origin::default() };
        self.0.get(function).cloned().unwrap_or_else(plain)
    }
}

/// Function names have no dots; two underscores are the usual joint.
pub(super) fn function_name(name: &str, namespace: Option<&str>) -> String {
    namespace.map_or_else(|| name.to_owned(), |namespace| format!("{namespace}__{name}"))
}

/// The arguments of the function for a custom tool's text.
pub(super) fn wrap_input(input: String) -> String {
    let mut arguments = Map::new();
    arguments.insert(INPUT.to_owned(), input.into());
    Value::Object(arguments).to_string()
}

/// The text in the function's arguments. What is no such object is taken for the text itself: the
/// client's tool then says what is wrong with it, and the model reads that.
pub(super) fn unwrap_input(arguments: &str) -> String {
    match serde_json::from_str::<Map<String, Value>>(arguments) {
        Ok(mut map) => match map.remove(INPUT) {
            Some(Value::String(text)) => text,
            _ => arguments.to_owned(),
        },
        Err(_) => arguments.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_custom_tools_text_survives_its_function() {
        let text = "*** Begin Patch\n\"é\"\n";
        assert_eq!(unwrap_input(&wrap_input(text.to_owned())), text);
        assert_eq!(unwrap_input("plain"), "plain");
        assert_eq!(unwrap_input(r#"{"patch":1}"#), r#"{"patch":1}"#);
    }

    #[test]
    fn a_function_is_what_it_is_and_a_tool_of_a_namespace_finds_back() {
        let mut names = ToolNames::default();
        assert_eq!(names.add("now".to_owned(), None, false), "now");
        assert_eq!(names.add("find".to_owned(), Some("crm"), false), "crm__find");
        assert_eq!(names.origin("now").name, "now");
        let origin = names.origin("crm__find");
        assert_eq!((origin.name.as_str(), origin.namespace.as_deref()), ("find", Some("crm")));
    }
}
