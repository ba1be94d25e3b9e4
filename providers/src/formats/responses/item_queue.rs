//! Puts the pieces of items that arrive side by side one behind the other: the first open item goes out
//! as it comes, later ones wait until it is done.

use std::collections::BTreeMap;

use serde_json::Value;

use super::decode_item::Item;
use crate::StreamFault;
use crate::canonical::StreamEvent;

/// The most items one answer may have, and the most bytes that may wait.
const MAX_ITEMS: usize = 4_096;
const MAX_WAITING_BYTES: usize = 8 * 1024 * 1024;

/// The items of one streamed answer, by their place in it.
#[derive(Debug, Default)]
pub(super) struct ItemQueue {
    items: BTreeMap<u64, Progress>,
    /// Every item before this place has gone out.
    front: u64,
    waiting_bytes: usize,
    has_calls: bool,
}

/// What came of one item.
#[derive(Debug, Default)]
struct Progress {
    waiting: Vec<StreamEvent>,
    announced: bool,
    done: bool,
    /// The last part that had a piece: what repeats it whole adds nothing.
    part: Option<u64>,
    /// Reasoning comes as a summary (true) or as it is; the first one seen holds.
    summary: Option<bool>,
    /// It has given text, reasoning or arguments.
    filled: bool,
}

impl ItemQueue {
    /// No item was seen.
    pub(super) fn is_unused(&self) -> bool {
        self.items.is_empty()
    }

    /// A tool call was seen.
    pub(super) fn has_calls(&self) -> bool {
        self.has_calls
    }

    /// An item begins. A call is announced by it.
    pub(super) fn add(&mut self, index: u64, item: &Item) -> Result<(), StreamFault> {
        let progress = self.item(index)?;
        if progress.announced || !matches!(item.r#type.as_str(), "function_call" | "custom_tool_call") {
            return Ok(());
        }
        let id = item.call_id.clone().or_else(|| item.id.clone()).filter(|id| !id.is_empty());
        let Some(name) = item.name.clone().filter(|name| !name.is_empty()) else {
            return Err(StreamFault::Malformed("a tool call begins without a name".to_owned()));
        };
        progress.announced = true;
        let id = id.unwrap_or_else(|| format!("call_{index}"));
        progress.waiting.push(StreamEvent::ToolCall { id, name });
        self.has_calls = true;
        Ok(())
    }

    /// An item is whole: what it says and no event said yet is said now.
    pub(super) fn item_done(&mut self, index: u64, item: Item) -> Result<(), StreamFault> {
        self.add(index, &item)?;
        let progress = self.item(index)?;
        if progress.done {
            return Ok(());
        }
        let filled = progress.filled;
        match item.r#type.as_str() {
            "function_call" | "custom_tool_call" if !filled => {
                self.push(index, StreamEvent::Arguments(item.arguments_text()))?;
            }
            "reasoning" => {
                let text = item.reasoning_text();
                let silent = text.is_empty() && !filled;
                if !filled {
                    self.push(index, StreamEvent::Reasoning(text))?;
                }
                if let Some(signature) = item.signature() {
                    let event = if silent {
                        StreamEvent::SealedReasoning(signature)
                    } else {
                        StreamEvent::Signature(signature)
                    };
                    self.push(index, event)?;
                }
            }
            "message" if !filled => {
                let mut logprobs = Vec::new();
                let parts = item.parts(&mut logprobs).map_err(StreamFault::Malformed)?;
                for part in parts {
                    if let crate::canonical::Part::Text { text, .. } = part {
                        self.push(index, StreamEvent::Text(text))?;
                    }
                }
                self.logprobs(index, logprobs)?;
            }
            _ => {}
        }
        self.item(index)?.done = true;
        Ok(())
    }

    /// A piece of a message.
    pub(super) fn text(&mut self, index: u64, part: u64, text: String) -> Result<(), StreamFault> {
        self.item(index)?.part = Some(part);
        self.push(index, StreamEvent::Text(text))
    }

    /// A part of a message, whole: new only when it had no pieces.
    pub(super) fn whole_text(&mut self, index: u64, part: u64, text: String) -> Result<(), StreamFault> {
        if self.item(index)?.part == Some(part) { Ok(()) } else { self.text(index, part, text) }
    }

    /// Log probabilities of the piece before.
    pub(super) fn logprobs(&mut self, index: u64, logprobs: Vec<Value>) -> Result<(), StreamFault> {
        if logprobs.is_empty() { Ok(()) } else { self.push(index, StreamEvent::Logprobs(logprobs)) }
    }

    /// A piece of reasoning. The parts of a summary are paragraphs.
    pub(super) fn thought(
        &mut self,
        index: u64,
        part: u64,
        summary: bool,
        text: String,
    ) -> Result<(), StreamFault> {
        let progress = self.item(index)?;
        if *progress.summary.get_or_insert(summary) != summary {
            return Ok(());
        }
        let next = progress.part.replace(part).is_some_and(|before| before != part);
        let text = if next && summary { format!("\n\n{text}") } else { text };
        self.push(index, StreamEvent::Reasoning(text))
    }

    /// A part of the reasoning, whole: new only when it had no pieces.
    pub(super) fn whole_thought(
        &mut self,
        index: u64,
        part: u64,
        summary: bool,
        text: String,
    ) -> Result<(), StreamFault> {
        if self.item(index)?.part == Some(part) { Ok(()) } else { self.thought(index, part, summary, text) }
    }

    /// A piece of a call's arguments.
    pub(super) fn arguments(&mut self, index: u64, text: String) -> Result<(), StreamFault> {
        if !self.item(index)?.announced {
            return Err(StreamFault::Malformed("arguments belong to no tool call".to_owned()));
        }
        self.push(index, StreamEvent::Arguments(text))
    }

    /// A call's arguments, whole: new only when they had no pieces.
    pub(super) fn whole_arguments(&mut self, index: u64, text: String) -> Result<(), StreamFault> {
        if self.item(index)?.filled { Ok(()) } else { self.arguments(index, text) }
    }

    /// Gives what can go out: everything up to the first item that is not done, and its pieces.
    pub(super) fn release(&mut self, out: &mut Vec<StreamEvent>) {
        for (index, progress) in self.items.range_mut(self.front..) {
            self.waiting_bytes = self.waiting_bytes.saturating_sub(size(&progress.waiting));
            out.append(&mut progress.waiting);
            if !progress.done {
                break;
            }
            self.front = index.saturating_add(1);
        }
    }

    /// Gives everything: no more will come.
    pub(super) fn finish(&mut self, out: &mut Vec<StreamEvent>) {
        for progress in self.items.values_mut() {
            out.append(&mut progress.waiting);
        }
        self.waiting_bytes = 0;
    }

    fn item(&mut self, index: u64) -> Result<&mut Progress, StreamFault> {
        if self.items.len() >= MAX_ITEMS && !self.items.contains_key(&index) {
            return Err(StreamFault::Malformed("the answer has too many items".to_owned()));
        }
        Ok(self.items.entry(index).or_default())
    }

    fn push(&mut self, index: u64, event: StreamEvent) -> Result<(), StreamFault> {
        let bytes = length(&event);
        if bytes == 0 {
            return Ok(());
        }
        self.waiting_bytes = self.waiting_bytes.saturating_add(bytes);
        if self.waiting_bytes > MAX_WAITING_BYTES {
            return Err(StreamFault::TooLong);
        }
        let progress = self.item(index)?;
        progress.filled = true;
        progress.waiting.push(event);
        Ok(())
    }
}

fn size(events: &[StreamEvent]) -> usize {
    events.iter().map(length).fold(0, usize::saturating_add)
}

fn length(event: &StreamEvent) -> usize {
    match event {
        StreamEvent::Text(text) | StreamEvent::Reasoning(text) | StreamEvent::Arguments(text) => text.len(),
        StreamEvent::Signature(signature) | StreamEvent::SealedReasoning(signature) => signature.value.len(),
        StreamEvent::Logprobs(logprobs) => logprobs.len().saturating_mul(64),
        // The name of a call is not among what is counted when it is pushed.
        _ => 0,
    }
}
