//! The tools of a request and the choice between them.

use serde_json::{Map, Value, json};

use super::tool_names::{INPUT, ToolNames, function_name};
use crate::Untranslatable;
use crate::canonical::{ChatRequest, Tool, ToolChoice};
use crate::fields::{misshapen, need_object, need_text, take, take_flag, take_list, take_text};

/// Takes `tools` out of the body. A tool that the provider itself runs has no form elsewhere: it is
/// noted by name, to be refused or dropped.
pub(super) fn take_tools(
    map: &mut Map<String, Value>,
    request: &mut ChatRequest,
) -> Result<ToolNames, Untranslatable> {
    let mut names = ToolNames::default();
    take_list_of_tools(map, "tools", None, request, &mut names)?;
    Ok(names)
}

fn take_list_of_tools(
    map: &mut Map<String, Value>,
    path: &str,
    namespace: Option<&str>,
    request: &mut ChatRequest,
    names: &mut ToolNames,
) -> Result<(), Untranslatable> {
    for (index, tool) in
        take_list(map, "tools", path.strip_suffix(".tools").unwrap_or(""))?.into_iter().enumerate()
    {
        let path = format!("{path}[{index}]");
        let mut tool = need_object(tool, &path)?;
        match need_text(&mut tool, "type", &path)?.as_str() {
            "function" => request.tools.push(take_function(&mut tool, namespace, names, &path)?),
            "custom" => request.tools.push(take_custom(&mut tool, namespace, names, &path)?),
            "namespace" if namespace.is_none() => {
                let name = need_text(&mut tool, "name", &path)?;
                let inner = format!("{path}.tools");
                take_list_of_tools(&mut tool, &inner, Some(&name), request, names)?;
            }
            other => request.particular.push(format!("{path} ({other})")),
        }
    }
    Ok(())
}

fn take_function(
    tool: &mut Map<String, Value>,
    namespace: Option<&str>,
    names: &mut ToolNames,
    path: &str,
) -> Result<Tool, Untranslatable> {
    Ok(Tool {
        name: names.add(need_text(tool, "name", path)?, namespace, false),
        description: take_text(tool, "description", path)?,
        parameters: take(tool, "parameters"),
        strict: take_flag(tool, "strict")?,
        cache_point: None,
        rest: Map::new(),
    })
}

/// A function with one argument; the grammar of the text stands where the model reads it.
fn take_custom(
    tool: &mut Map<String, Value>,
    namespace: Option<&str>,
    names: &mut ToolNames,
    path: &str,
) -> Result<Tool, Untranslatable> {
    let mut about = "The text for the tool, written as it is.".to_owned();
    if let Some(format) = take(tool, "format") {
        let path = format!("{path}.format");
        let mut format = need_object(format, &path)?;
        if let Some(grammar) = take_text(&mut format, "definition", &path)? {
            let syntax = take_text(&mut format, "syntax", &path)?.unwrap_or_default();
            about = format!("{about} It has to follow this {syntax} grammar:\n{grammar}");
        }
    }
    let parameters = json!({
        "type": "object",
        "properties": { INPUT: { "type": "string", "description": about } },
        "required": [INPUT],
        "additionalProperties": false,
    });
    Ok(Tool {
        name: names.add(need_text(tool, "name", path)?, namespace, true),
        description: take_text(tool, "description", path)?,
        parameters: Some(parameters),
        strict: None,
        cache_point: None,
        rest: Map::new(),
    })
}

/// Takes `tool_choice` out of the body.
pub(super) fn take_tool_choice(
    map: &mut Map<String, Value>,
    request: &mut ChatRequest,
) -> Result<(), Untranslatable> {
    let Some(choice) = take(map, "tool_choice") else { return Ok(()) };
    request.tool_choice = match choice.as_str() {
        Some("auto") => Some(ToolChoice::Auto),
        Some("none") => Some(ToolChoice::None),
        Some("required") => Some(ToolChoice::Required),
        Some(_) => return Err(misshapen("tool_choice", "auto, none, required or one tool")),
        None => take_one_tool(choice, request)?,
    };
    Ok(())
}

fn take_one_tool(choice: Value, request: &mut ChatRequest) -> Result<Option<ToolChoice>, Untranslatable> {
    let mut choice = need_object(choice, "tool_choice")?;
    match need_text(&mut choice, "type", "tool_choice")?.as_str() {
        "function" | "custom" => {
            let namespace = take_text(&mut choice, "namespace", "tool_choice")?;
            let name = need_text(&mut choice, "name", "tool_choice")?;
            Ok(Some(ToolChoice::Named(function_name(&name, namespace.as_deref()))))
        }
        other => {
            request.particular.push(format!("tool_choice ({other})"));
            Ok(None)
        }
    }
}
