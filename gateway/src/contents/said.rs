//! A prompt and an answer up to their limit, and as the bytes that are sealed.

/// The first byte of what is sealed: which form the rest has.
const FORM: u8 = 1;
const PROMPT_CUT: u8 = 1;
const ANSWER_CUT: u8 = 2;
/// Of the prompt's length.
const LENGTH_BYTES: usize = 4;

/// The beginning of a body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// What came, up to the limit.
    pub bytes: Vec<u8>,
    /// More came.
    pub is_cut: bool,
}

/// What was said in one request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// The body of the request as it came.
    pub prompt: Part,
    /// The body of the answer as it went out.
    pub answer: Part,
}

impl Said {
    /// Bytes of both.
    pub fn len(&self) -> usize {
        self.prompt.bytes.len() + self.answer.bytes.len()
    }

    /// Nothing was said.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// As one text to seal.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(2 + LENGTH_BYTES + self.len());
        let flag = |is_cut: bool, flag: u8| if is_cut { flag } else { 0 };
        bytes.extend([FORM, flag(self.prompt.is_cut, PROMPT_CUT) | flag(self.answer.is_cut, ANSWER_CUT)]);
        // A limit keeps it far below four gigabytes.
        let length = u32::try_from(self.prompt.bytes.len()).unwrap_or(u32::MAX);
        bytes.extend(length.to_le_bytes());
        bytes.extend_from_slice(&self.prompt.bytes);
        bytes.extend_from_slice(&self.answer.bytes);
        bytes
    }

    /// What was sealed; None when it has another form.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let ([FORM, flags], rest) = bytes.split_first_chunk::<2>()? else { return None };
        let (length, rest) = rest.split_first_chunk::<LENGTH_BYTES>()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        let (prompt, answer) = rest.split_at_checked(length)?;
        let part = |bytes: &[u8], cut: u8| Part { bytes: bytes.to_vec(), is_cut: flags & cut != 0 };
        Some(Self { prompt: part(prompt, PROMPT_CUT), answer: part(answer, ANSWER_CUT) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_is_read_as_it_was_written() {
        for (prompt, answer) in [("", ""), ("question", ""), ("", "answer"), ("question", "answer")] {
            let part = |text: &str, is_cut| Part { bytes: text.as_bytes().to_vec(), is_cut };
            let said = Said { prompt: part(prompt, false), answer: part(answer, true) };
            assert_eq!(Said::from_bytes(&said.to_bytes()), Some(said));
        }
    }

    #[test]
    fn what_was_cut_short_or_has_another_form_is_nothing() {
        let said = Said { prompt: Part { bytes: b"question".to_vec(), is_cut: true }, ..Said::default() };
        let bytes = said.to_bytes();
        assert!((0..bytes.len()).all(|length| Said::from_bytes(&bytes[..length]).is_none()));
        assert_eq!(Said::from_bytes(&[2, 0, 0, 0, 0, 0]), None);
    }
}
