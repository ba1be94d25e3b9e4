//! A few members of a JSON object, read while its bytes pass in whatever pieces: the memory it takes does not grow with the
//! object. For bodies that nobody holds; it checks nothing, and what is no JSON object has no members.

/// A longer member is not kept.
const LONGEST: usize = 16 << 10;
/// A longer name is none that is wanted.
const LONGEST_NAME: usize = 32;

/// The members that are wanted, as far as they have come.
#[derive(Debug)]
pub struct Members {
    wanted: &'static [&'static str],
    found: Vec<Vec<u8>>,
    /// The member that is being read, by its place among the wanted ones.
    current: Option<usize>,
    name: Vec<u8>,
    depth: usize,
    place: Place,
    in_text: bool,
    is_escaped: bool,
}

/// Where in the outermost object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Before,
    Name,
    Value,
    Behind,
}

impl Members {
    /// Of these names.
    pub fn new(wanted: &'static [&'static str]) -> Self {
        Self {
            wanted,
            found: vec![Vec::new(); wanted.len()],
            current: None,
            name: Vec::new(),
            depth: 0,
            place: Place::Before,
            in_text: false,
            is_escaped: false,
        }
    }

    /// Takes the next bytes.
    pub fn read(&mut self, mut bytes: &[u8]) {
        while let Some((byte, rest)) = bytes.split_first() {
            bytes = rest;
            if self.place == Place::Behind {
                return;
            }
            self.take(*byte);
            if self.in_text && !self.is_escaped && self.is_of_no_interest() {
                // Most of a body is text that nobody asked for.
                let end = memchr::memchr2(b'"', b'\\', bytes).unwrap_or(bytes.len());
                bytes = bytes.get(end..).unwrap_or_default();
            }
        }
    }

    /// A member that was read, as JSON text; None when it has not come or was too long.
    pub fn get(&self, name: &str) -> Option<&str> {
        let index = self.wanted.iter().position(|wanted| *wanted == name)?;
        let text = std::str::from_utf8(self.found.get(index)?).ok()?.trim_ascii();
        let is_whole = self.current != Some(index) && text.len() <= LONGEST && !text.is_empty();
        is_whole.then_some(text)
    }

    /// A member that is a string.
    pub fn text(&self, name: &str) -> Option<String> {
        serde_json::from_str(self.get(name)?).ok()
    }

    fn is_of_no_interest(&self) -> bool {
        self.current.is_none() && !(self.depth == 1 && self.place == Place::Name)
    }

    fn take(&mut self, byte: u8) {
        if self.in_text {
            self.take_in_text(byte);
            return;
        }
        match byte {
            b'"' => {
                self.in_text = true;
                if self.depth == 1 && self.place == Place::Name {
                    self.name.clear();
                }
                self.keep(byte);
            }
            b'{' | b'[' => {
                self.keep(byte);
                self.depth += 1;
                if self.place == Place::Before {
                    self.place = if byte == b'{' { Place::Name } else { Place::Behind };
                }
            }
            b'}' | b']' if self.depth == 1 => {
                self.current = None;
                self.place = Place::Behind;
            }
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                self.keep(byte);
            }
            b':' if self.depth == 1 && self.place == Place::Name => self.begin_value(),
            b',' if self.depth == 1 => {
                self.current = None;
                self.place = Place::Name;
            }
            _ if self.place == Place::Before && !byte.is_ascii_whitespace() => self.place = Place::Behind,
            _ => self.keep(byte),
        }
    }

    fn take_in_text(&mut self, byte: u8) {
        match byte {
            _ if self.is_escaped => self.is_escaped = false,
            b'\\' => self.is_escaped = true,
            b'"' => self.in_text = false,
            _ => {}
        }
        if self.in_text && self.depth == 1 && self.place == Place::Name && self.name.len() <= LONGEST_NAME {
            self.name.push(byte);
        }
        self.keep(byte);
    }

    fn begin_value(&mut self) {
        self.place = Place::Value;
        self.current = self.wanted.iter().position(|wanted| wanted.as_bytes() == self.name);
        // The last of several with one name counts, as everywhere.
        if let Some(found) = self.current.and_then(|index| self.found.get_mut(index)) {
            found.clear();
        }
    }

    fn keep(&mut self, byte: u8) {
        if let Some(found) = self.current.and_then(|index| self.found.get_mut(index))
            && found.len() <= LONGEST
        {
            found.push(byte);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = r#" {"messages":[{"model":"inner","content":"a \"quoted\" } ] , : \\"}],"model" : "gpt-\u0034o" ,
        "usage":{"prompt_tokens":7,"details":[1,{"x":"}"}]}, "n": 12}"#;

    fn read(pieces: &[&[u8]]) -> Members {
        let mut members = Members::new(&["model", "usage", "n", "absent"]);
        pieces.iter().for_each(|piece| members.read(piece));
        members
    }

    #[test]
    fn members_are_found_wherever_the_bytes_are_cut() {
        for at in 0..=BODY.len() {
            let (one, other) = BODY.as_bytes().split_at(at);
            let members = read(&[one, other]);
            assert_eq!(members.text("model").as_deref(), Some("gpt-4o"), "{at}");
            assert_eq!(members.get("usage"), Some(r#"{"prompt_tokens":7,"details":[1,{"x":"}"}]}"#), "{at}");
            assert_eq!((members.get("n"), members.get("absent")), (Some("12"), None), "{at}");
        }
        let single: Vec<&[u8]> = BODY.as_bytes().chunks(1).collect();
        assert_eq!(read(&single).text("model").as_deref(), Some("gpt-4o"));
    }

    #[test]
    fn what_is_no_object_or_not_whole_or_too_long_has_no_members() {
        for body in [r#"["model":"x"]"#, r#"x{"model":"x"}"#, r#"{"model":"x"#, "", r#"{"a":{"model":"x"}}"#]
        {
            assert_eq!(read(&[body.as_bytes()]).text("model"), None, "{body}");
        }
        let long = format!(r#"{{"model":"{}","n":1}}"#, "x".repeat(LONGEST));
        let members = read(&[long.as_bytes()]);
        assert_eq!((members.get("model"), members.get("n")), (None, Some("1")));
        assert!(members.found.iter().all(|found| found.len() <= LONGEST + 1));
    }

    #[test]
    fn of_several_with_one_name_the_last_counts() {
        assert_eq!(read(&[br#"{"n":1,"n":2}"#]).get("n"), Some("2"));
    }
}
